"""Crash points: labelled moments at which a process may be killed, or may freeze while another takes its place.

Everything that a process does to the world passes a point before and after: each unit of work, each call of a desk,
each step of the agent, each window that is painted, each answer at the door.
"""

import asyncio
import contextlib
import contextvars
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bridge.errors import StoreUnavailable
from bridge.events import AgentEvent, CustomerEvent, Echoed, Escalated, Event, OperatorEvent
from bridge.storage import Store, Tx

T = TypeVar("T")

SENDS = ("open", "refresh", "post", "post_transcript")
SIDES = ("before", "after")
DOORS = ("customer", "agent", "escalated", "operator", "echo", "bridge")
OWN_POINTS = frozenset(
    {
        *(f"desk.{call}.{side}" for call in (*SENDS, "find") for side in SIDES),
        *(f"door.{door}.{side}" for door in DOORS for side in ("before", "committed", "answered")),
        *(f"viewer.show.{side}" for side in SIDES),
        "agent.step",
    }
)
"""The points that every run must have been killed at. Those of the other units of work are named after the units."""

NEW_POINTS = 0.2
"""How often a point is struck when a world passes it for the first time: some come only once."""

_process: contextvars.ContextVar["Host | None"] = contextvars.ContextVar("process", default=None)
_door: contextvars.ContextVar[str] = contextvars.ContextVar("door", default="")


class Killed(BaseException):
    """The process is gone. No handler of `Exception` may catch it, as none catches a SIGKILL."""


def door_of(event: Event) -> str:
    """Return by which door an event enters."""
    match event:
        case CustomerEvent():
            return "customer"
        case AgentEvent():
            return "agent"
        case Escalated():
            return "escalated"
        case OperatorEvent():
            return "operator"
        case Echoed():
            return "echo"
        case _:
            return "bridge"


@dataclass(kw_only=True)
class Reaper:
    """Chooses when to kill. At each appointment it picks a few points among those that this world has passed so far,
    mostly rare ones, and strikes at the first that comes, or at one that is new to this world; if none comes in time,
    at whatever comes next.
    """

    chance: random.Random
    patience_s: float = 2.5
    freezes: float = 0.12
    only: str = ""
    """Strike nowhere else."""
    passed: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    frozen: Counter[str] = field(default_factory=Counter)
    wanted: frozenset[str] | None = None
    any_after: float = 0.0

    def arm(self, now_s: float) -> None:
        """Make the next appointment."""
        if self.only:
            self.wanted, self.any_after = frozenset({self.only}), math.inf
            return
        by_rarity = [point for point, _ in reversed(self.passed.most_common())]
        rare = by_rarity[: max(1, len(by_rarity) // 2)] if self.chance.random() < 0.7 else by_rarity
        self.wanted = frozenset(self.chance.sample(rare, min(4, len(rare))))
        self.any_after = now_s + self.patience_s

    def strikes(self, point: str, now_s: float) -> bool:
        """Tell whether this point is the one."""
        self.passed[point] += 1
        if self.wanted is None:
            return False
        is_new = not self.only and self.passed[point] == 1 and self.chance.random() < NEW_POINTS
        if not (is_new or point in self.wanted or now_s >= self.any_after):
            return False
        self.wanted = None
        return True

    @property
    def kills(self) -> int:
        """How many so far."""
        return self.killed.total()


NO_RETURN = ("desk.open.before", "desk.refresh.before", "desk.post.before", "desk.post_transcript.before")
HARMLESS = (
    *NO_RETURN,
    "Courier._claim.after",
    "Courier._round.after",
    "Courier._again.after",
    "Courier._still_mine.after",
)
"""Where a frozen process is not held up: what it froze before a vendor is called cannot be fenced, for no vendor knows
our leases. All that can be done is to look at the lease right before the call, so the freeze is put there.
"""


class Host:
    """One process: its tasks, and whether it lives. `on_end` is told once, when it is killed or freezes."""

    def __init__(self, reaper: Reaper, loop: asyncio.AbstractEventLoop, on_end: Callable[["Host"], None]) -> None:
        self._reaper, self._loop, self._on_end = reaper, loop, on_end
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thawed: asyncio.Event | None = None
        self.alive = True
        self.failures: list[BaseException] = []

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._thawed is not None and not self._thawed.is_set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run as part of this process: what it starts is part of it too."""
        context = contextvars.Context()
        context.run(_process.set, self)
        return self._loop.create_task(work, context=context)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Remember a task of this process."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            self.failures.append(error)

    async def point(self, label: str) -> None:
        """Pass a crash point, if the process lives on. Raises Killed."""
        self._check()
        while self._thawed is not None and not self._thawed.is_set() and label not in HARMLESS:
            await self._thawed.wait()
        self._check()
        if not self._reaper.strikes(label, self._loop.time()):
            return
        if label not in HARMLESS and self._reaper.chance.random() < self._reaper.freezes:
            self._reaper.frozen[label] += 1
            self._thawed = asyncio.Event()
            self._on_end(self)
            await self.point(label)
            return
        self._reaper.killed[label] += 1
        self.kill()
        raise Killed(label)

    def _check(self) -> None:
        if not self.alive:
            raise Killed

    def thaw(self) -> None:
        """Let a frozen process run on, as if nothing had been."""
        if self._thawed is not None:
            self._thawed.set()
            self._thawed = None

    def on_end_ignored(self) -> None:
        """Tell nobody of the end: the world is over."""
        self._on_end = lambda _: None

    def kill(self) -> None:
        """End it at once: whatever still runs can reach nothing any more."""
        if not self.alive:
            return
        self.alive = False
        for task in sorted(self._tasks, key=hash):
            task.cancel()
        self._on_end(self)


def register(task: asyncio.Task[Any], context: contextvars.Context) -> None:
    """Tell the process in whose context a task was made. For `VirtualLoop.on_task`."""
    if (host := context.get(_process)) is not None:
        host.keep(task)


@contextlib.contextmanager
def at_door(name: str) -> Iterator[None]:
    """Name the units of work in here after a door."""
    token = _door.set(name)
    try:
        yield
    finally:
        _door.reset(token)


class CrashingStore:
    """A store as one process sees it: a point before and after each unit; now and then a disk that is full."""

    def __init__(
        self,
        store: Store,
        host: Host,
        chance: random.Random,
        on_commit: Callable[[], Awaitable[None]],
        fault_rate: Callable[[], float],
    ) -> None:
        self._store, self._host, self._chance = store, host, chance
        self._on_commit, self._fault_rate = on_commit, fault_rate

    async def run(self, unit: Callable[[Tx], T]) -> T:
        async with self._points(unit):
            if self._chance.random() < self._fault_rate():
                raise StoreUnavailable("the disk is full")
            result = await self._store.run(unit)
            if _door.get():
                await self._on_commit()
            return result

    async def read(self, unit: Callable[[Tx], T]) -> T:
        async with self._points(unit):
            return await self._store.read(unit)

    async def close(self) -> None:
        raise AssertionError("nobody but the world closes the store")

    @contextlib.asynccontextmanager
    async def _points(self, unit: Callable[[Tx], Any]) -> AsyncIterator[None]:
        door = _door.get()
        name = f"door.{door}" if door else _name(unit)
        after = "committed" if door else "after"
        await self._host.point(f"{name}.before")
        if self._chance.random() < 0.3:
            await asyncio.sleep(0.002)
            await self._host.point(f"{name}.before")
        yield
        await self._host.point(f"{name}.{after}")


def _name(unit: Callable[[Tx], Any]) -> str:
    return unit.__qualname__.replace(".<locals>", "").removesuffix(".<lambda>").removesuffix(".unit")
