"""`handoff-bridge serve` under a profiler, from SIGUSR1 to SIGUSR2; what was found goes to `hottest.json` in its
folder.

Each thread counts its own processor time, so that waiting (for the disk, for the others) counts for nothing. The
profiler itself costs more than half of the speed: the figures say which functions are hot, not how fast the bridge is.
"""

import cProfile
import json
import os
import signal
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import Any

import adapters

FOUND = "hottest.json"
_HOMES = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(Path(adapters.__file__).parents[1]))


class Profiled:
    """One profiler per thread, all begun and ended together."""

    def __init__(self) -> None:
        self._profiles: list[cProfile.Profile] = []
        self._on = False

    def begin(self, *_: object) -> None:
        """Begin in this thread, and in each other one at its next call."""
        self._on = True
        self._enable()

    def watch(self, _frame: Any, _event: str, _argument: Any) -> None:
        """Stand in for the profiler in a thread until it begins."""
        if self._on:
            sys.setprofile(None)
            self._enable()

    def _enable(self) -> None:
        profile = cProfile.Profile(time.thread_time)
        self._profiles.append(profile)
        profile.enable()

    def end(self, *_: object) -> None:
        """Write what each function used by itself, in seconds."""
        own_s: dict[str, float] = {}
        for profile in self._profiles:
            # Not `create_stats`, which would end the profile of this thread, whichever it is called on.
            profile.snapshot_stats()
            for function, found in vars(profile)["stats"].items():
                place = _place(*function)
                own_s[place] = own_s.get(place, 0.0) + found[2]
        Path(FOUND).write_text(json.dumps(own_s), encoding="utf-8")


def _place(file: str, line: int, name: str) -> str:
    for home in _HOMES:
        file = file.removeprefix(f"{home}{os.sep}")
    return name if file == "~" else f"{file}:{line} {name}"


def main() -> None:
    """Serve."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    profiled = Profiled()
    threading.setprofile(profiled.watch)
    signal.signal(signal.SIGUSR1, profiled.begin)
    signal.signal(signal.SIGUSR2, profiled.end)
    from adapters.cli import main as serve

    serve()
