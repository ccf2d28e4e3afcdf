"""One process of several does the work, and no two at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from bridge.errors import StoreUnavailable
from bridge.fakes.clock import ManualClock
from bridge.ids import SiteId, SourceId
from bridge.leases import LEASE_S, Lease
from bridge.retention import PORTION, SOURCES_KEPT_MS, Retention
from bridge.storage import Store, Tx

T = TypeVar("T")
SITE = SiteId("main")


class Cut:
    """A store that a process reaches as long as it is not cut off."""

    def __init__(self, store: Store) -> None:
        self.store, self.away, self.hangs = store, False, False

    async def run(self, unit: Callable[[Tx], T]) -> T:
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise StoreUnavailable("cut off")
        return await self.store.run(unit)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self.run(unit)

    async def close(self) -> None:
        await self.store.close()


@dataclass
class Worker:
    """A process with a lease, as the test sees it."""

    name: str
    clock: ManualClock
    cut: Cut
    lease: Lease
    doing: bool = False
    begun: int = 0
    fails: list[Exception] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None

    async def work(self) -> None:
        self.doing, self.begun = True, self.begun + 1
        try:
            if self.fails:
                raise self.fails.pop()
            await asyncio.Event().wait()
        finally:
            self.doing = False


class Fleet:
    """Processes on one store, with one time; `settle` lets real threads of the store answer."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock, self.workers = store, ManualClock(), dict[str, Worker]()

    def add(self, name: str) -> Worker:
        cut = Cut(self.store)
        lease = Lease(
            "socket-1",
            site=SITE,
            worker=name,
            clock=self.clock,
            store=cut,
            monotonic=lambda: self.clock.now() / 1000,
        )
        worker = self.workers[name] = Worker(name=name, clock=self.clock, cut=cut, lease=lease)
        worker.task = asyncio.create_task(lease.keep(worker.work))
        return worker

    async def go_by(self, seconds: float) -> None:
        """Let time pass, and look at each tenth that no two do the work."""
        for _ in range(round(seconds * 10)):
            await self.clock.advance(0.1)
            await asyncio.sleep(0.001)
            assert sum(worker.doing for worker in self.workers.values()) <= 1

    async def end(self) -> None:
        for worker in self.workers.values():
            worker.lease.stop()
            worker.cut.hangs = False
        await self.go_by(2)
        await asyncio.wait_for(asyncio.gather(*(w.task for w in self.workers.values() if w.task)), 5)


@pytest.fixture
async def fleet(store: Store) -> AsyncIterator[Fleet]:
    one = Fleet(store)
    yield one
    await one.end()


async def test_one_does_the_work_and_keeps_it(fleet: Fleet) -> None:
    """The first to ask works on for as long as it lives; the other waits and never begins."""
    a, b = fleet.add("a"), fleet.add("b")
    await fleet.go_by(60)

    assert (a.begun, a.doing, a.lease.held) == (1, True, True)
    assert (b.begun, b.lease.held) == (0, False)


async def test_the_first_round_takes_no_time(fleet: Fleet) -> None:
    """Who is alone begins at once, not after a round."""
    a = fleet.add("a")
    await fleet.go_by(0.1)

    assert a.doing


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_who_cannot_reach_the_store_stops_before_another_begins(fleet: Fleet, how: str) -> None:
    """Cut off, with errors or with silence, the holder ends its work within its lease; another follows within 15 s."""
    a, b = fleet.add("a"), fleet.add("b")
    await fleet.go_by(5)
    setattr(a.cut, how, True)
    await fleet.go_by(LEASE_S + 0.2)
    assert not a.doing
    await fleet.go_by(15 - LEASE_S)
    assert b.doing

    setattr(a.cut, how, False)
    await fleet.go_by(30)
    assert (a.doing, b.doing) == (False, True)


async def test_a_short_outage_changes_nothing(fleet: Fleet) -> None:
    """A store that is away for less than the lease interrupts no work."""
    a = fleet.add("a")
    await fleet.go_by(3)
    a.cut.away = True
    await fleet.go_by(LEASE_S / 2)
    a.cut.away = False
    await fleet.go_by(20)

    assert (a.begun, a.doing) == (1, True)


async def test_a_stopped_process_gives_its_lease_back(fleet: Fleet) -> None:
    """After a stop the work is over when `keep` returns, and the next process begins within a round."""
    a, b = fleet.add("a"), fleet.add("b")
    await fleet.go_by(3)
    a.lease.stop()
    await fleet.go_by(0.1)
    assert a.task is not None
    await asyncio.wait_for(a.task, 5)
    assert (a.doing, a.lease.held) == (False, False)
    await fleet.go_by(LEASE_S / 3 + 0.1)

    assert b.doing


async def test_work_that_fails_is_left_to_another(fleet: Fleet) -> None:
    """Its error ends neither the lease's keeper nor the work: the lease is free, and somebody begins again."""
    a = fleet.add("a")
    a.fails.append(RuntimeError("broken"))
    await fleet.go_by(10)

    assert (a.begun, a.doing) == (2, True)


async def test_a_clock_an_hour_off_does_not_matter_to_the_holder(store: Store) -> None:
    """What a process counts for itself goes by a clock that nobody sets: a jump ends no work and prolongs none."""
    wall, passed_s = ManualClock(), [0.0]
    cut = Cut(store)
    lease = Lease("x", site=SITE, worker="a", clock=wall, store=cut, monotonic=lambda: passed_s[0])
    task = asyncio.create_task(lease.keep(asyncio.Event().wait))  # type: ignore[arg-type]
    await wall.settle()
    await asyncio.sleep(0.01)
    wall.set(wall.now() + 3_600_000)
    assert lease.held
    wall.set(wall.now() - 7_200_000)
    assert lease.held
    passed_s[0] = LEASE_S

    assert not lease.held
    lease.stop()
    await asyncio.wait_for(task, 5)


async def test_without_a_store_it_is_always_held() -> None:
    """A process that is alone works from the start to the stop and asks nobody."""
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    lease = Lease("x", site=SITE, worker="a", clock=ManualClock())
    task = asyncio.create_task(lease.keep(work))
    await asyncio.wait_for(begun.wait(), 1)
    assert lease.held
    lease.stop()

    await asyncio.wait_for(task, 1)
    assert not lease.held


async def test_old_sources_are_forgotten_and_young_ones_are_not(store: Store) -> None:
    """After seven days, however many there are, an hour later again; what is younger is still known as a repeat."""
    clock = ManualClock()

    def remember(name: str) -> Callable[[Tx], bool]:
        return lambda tx: tx.remember(SITE, SourceId(name), clock.now())

    def many(tx: Tx) -> None:
        for number in range(PORTION + 5):
            tx.remember(SITE, SourceId(f"old{number}"), clock.now())

    await store.run(many)
    retention = Retention(store=store, clock=clock)
    clock.set(clock.now() + SOURCES_KEPT_MS)
    await store.run(remember("young"))
    assert await retention.step() == 0
    clock.set(clock.now() + 1)
    step = asyncio.create_task(retention.step())
    while not step.done():
        await clock.advance(0.1)
        await asyncio.sleep(0.001)

    assert await step == PORTION + 5
    assert not await store.run(remember("young"))
    assert await store.run(remember("old0"))
