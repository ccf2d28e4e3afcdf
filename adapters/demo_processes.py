"""The processes beside the demo: a local Slack and a local Teams. Loads nothing else, so that they start first and get
ready while the rest is loaded.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Process = subprocess.Popen[bytes]
_ROOT = "botbuilder"
END_WITHIN_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """What was started. `teams` is None where Microsoft's libraries are not installed."""

    slack: Process
    teams: Process | None


@contextlib.contextmanager
def started() -> Iterator[Processes]:
    """Start them side by side, each a process of its own as the real ones are, and end them with the block.

    Does not wait for them: each prints one line of JSON once it listens.
    """
    with contextlib.ExitStack() as stack:
        slack = _start(stack, "slack")
        teams = None if importlib.util.find_spec(_ROOT) is None else _start(stack, "teams")
        yield Processes(slack=slack, teams=teams)


def _start(stack: contextlib.ExitStack, kind: Literal["slack", "teams"]) -> Process:
    command = [sys.executable, "-m", "adapters.sandbox", kind, "--port", "0"]
    # Of a group of its own: Ctrl+C ends the bridge first, which would else find its desks gone and say so at length.
    group = 0 if os.name == "posix" else None
    process = subprocess.Popen(command, stdout=subprocess.PIPE, process_group=group)
    stack.callback(_end, process)
    return process


def _end(process: Process) -> None:
    process.terminate()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
