"""The whole path on one core: half operators' replies, half customers' lines, 50 in flight, all of it durable.

Ours is the process that `serve` starts: real slack-bolt in HTTP mode with signatures, real Direct Line, SQLite with
fsync. A line counts when it was acknowledged and arrived: on the widget's socket, or as a post at Slack. There are so
many channels that none is asked for a second post within its second: pacing is measured by itself.

Beside it, in the same run: a plain slack-bolt relay that stores nothing, with the load that its documentation suggests
(one event in, one post to Slack and one to the widget out) and with ours; and bare aiohttp with a row on the disk.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import _processes as processes
from tests.bench._load import Job
from tests.bench._profiled import FOUND
from tests.bench._rivals import SIGNING_SECRET

PARTS = 4
RATIOS = (
    ("whole path, durable, against slack-bolt that stores nothing", "path_events_per_s", "bolt_plain_events_per_s"),
    ("the same, slack-bolt with our load", "path_events_per_s", "bolt_halves_events_per_s"),
    ("the same, processor time per line or event", "bolt_plain_cpu_ms_each", "path_cpu_ms_each"),
    ("whole path against bare aiohttp with a row on the disk", "path_events_per_s", "aiohttp_sqlite_events_per_s"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much of everything. `warm_s` and `measured_s` are of each relay."""

    chats: int = 2000
    workers: int = 50
    warm_s: float = 3.0
    measured_s: float = 5.0

    def job(self, shape: str) -> dict[str, Any]:
        """Return what completes a rival's job."""
        times = {"warm_s": self.warm_s, "measured_s": self.measured_s}
        return {"shape": shape, "count": self.chats, "workers": self.workers, **times}


WHOLE = Sizes()
PROFILED = "from tests.bench._profiled import main; main()"


def measure(step: Callable[[str], None], sizes: Sizes = WHOLE) -> dict[str, float]:
    """One round of each."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(step, Path(folder), sizes))


async def _measure(step: Callable[[str], None], folder: Path, sizes: Sizes) -> dict[str, float]:
    step("the whole path")
    ours = await whole(folder, sizes)
    step("plain slack-bolt")
    plain = await processes.rival("bolt", folder, sizes.job("both"))
    step("plain slack-bolt, our load")
    halves = await processes.rival("bolt-halves", folder, sizes.job("halves"))
    step("bare aiohttp and SQLite")
    bare = await processes.rival("aiohttp-sqlite", folder, sizes.job("both"))
    return {
        "path_events_per_s": ours["lines_per_s"],
        "path_p50_ms": ours["p50_ms"],
        "path_p99_ms": ours["p99_ms"],
        "path_ack_p99_ms": ours["ack_p99_ms"],
        "path_cpu_ms_each": ours["cpu_ms_each"],
        "bolt_plain_events_per_s": plain["lines_per_s"],
        "bolt_plain_p99_ms": plain["p99_ms"],
        "bolt_plain_cpu_ms_each": plain["cpu_ms_each"],
        "bolt_halves_events_per_s": halves["lines_per_s"],
        "aiohttp_sqlite_events_per_s": bare["lines_per_s"],
        "aiohttp_sqlite_p99_ms": bare["p99_ms"],
        "aiohttp_sqlite_cpu_ms_each": bare["cpu_ms_each"],
    }


def hottest(sizes: Sizes = WHOLE, count: int = 10) -> list[tuple[str, float]]:
    """Run ours once more under a profiler; return the functions that used most by themselves, with their share of all
    that was used, in percent.
    """
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(whole(Path(folder), sizes, profiled=True))
        own_s: dict[str, float] = json.loads((Path(folder) / FOUND).read_text(encoding="utf-8"))
    total_s = sum(own_s.values())
    first = sorted(own_s.items(), key=lambda one: -one[1])[:count]
    return [(name, 100 * seconds / total_s) for name, seconds in first]


async def whole(folder: Path, sizes: Sizes, *, profiled: bool = False) -> dict[str, Any]:
    """Measure ours."""
    code = PROFILED if profiled else processes.SERVE
    await processes.prepare(folder, sizes.chats, processes.taken)
    async with processes.around() as world, processes.bridge(folder, world.slack, code) as (url, relay):
        chats = processes.chats(sizes.chats, windows=True)
        job = Job(
            relay=url,
            relay_pid=processes.pid(relay),
            shape="halves",
            signing_secret=SIGNING_SECRET,
            chats=chats,
            workers=sizes.workers,
            warm_s=sizes.warm_s,
            measured_s=sizes.measured_s,
            profiled=profiled,
        )
        try:
            return await world.work(job)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{relay.log()[-3000:]}") from None
