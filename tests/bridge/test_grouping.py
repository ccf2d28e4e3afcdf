"""Units that share a transaction: kept as if each had its own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bridge.errors import StoreUnavailable
from bridge.fakes.store import MemoryStore
from bridge.grouping import GroupCommit
from bridge.ids import Millis, SiteId, SourceId
from bridge.storage import Tx

SITE, NOW = SiteId("main"), Millis(1)


class GatedStore(MemoryStore):
    """Each transaction waits until it is let through; whether it is kept may be decided."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)
        self.away = False

    async def run(self, unit: Callable[[Tx], Any]) -> Any:
        await self.gate.acquire()
        if self.away:
            raise StoreUnavailable("away")
        return await super().run(unit)


def let_through(store: GatedStore, transactions: int = 100) -> None:
    for _ in range(transactions):
        store.gate.release()


def remembers(source: str) -> Callable[[Tx], bool]:
    return lambda tx: tx.remember(SITE, SourceId(source), NOW)


def fails(tx: Tx) -> bool:
    tx.remember(SITE, SourceId("failed"), NOW)
    raise ValueError("mine alone")


async def begun(group: GroupCommit, *units: Callable[[Tx], Any]) -> list["asyncio.Task[Any]"]:
    """Hand these in, one after the other, while the store lets nothing through."""
    tasks = []
    for unit in units:
        tasks.append(asyncio.create_task(group.run(unit)))
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_one_is_under_way_shares_the_next_transaction() -> None:
    """Seven units are two transactions: the first one's, and that of all others; each gets its own answer."""
    store = GatedStore()
    tasks = await begun(GroupCommit(store), *(remembers(f"s{i % 6}") for i in range(7)))
    let_through(store)

    assert await asyncio.gather(*tasks) == [True] * 6 + [False]
    assert store.commits == 2


async def test_no_transaction_holds_more_than_its_share() -> None:
    """Nine units, three a transaction, the first by itself: four in all."""
    store = GatedStore()
    tasks = await begun(GroupCommit(store, at_most=3), *(remembers(f"s{i}") for i in range(9)))
    let_through(store)

    assert await asyncio.gather(*tasks) == [True] * 9
    assert store.commits == 4


async def test_a_unit_that_fails_fails_alone() -> None:
    """Its neighbours are kept, and of it nothing is."""
    store = GatedStore()
    tasks = await begun(GroupCommit(store), remembers("first"), remembers("before"), fails, remembers("after"))
    let_through(store)
    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert [found[0], found[1], found[3]] == [True, True, True]
    assert isinstance(found[2], ValueError)
    assert await store.run(remembers("failed")) is True


async def test_while_the_store_is_away_all_are_told() -> None:
    """And what comes later is kept again."""
    store = GatedStore()
    group = GroupCommit(store)
    tasks = await begun(group, remembers("a"), remembers("b"), remembers("c"))
    store.away = True
    let_through(store)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    store.away = False

    assert [type(one) for one in found] == [StoreUnavailable] * 3
    assert await group.run(remembers("a")) is True


async def test_who_is_cancelled_before_it_began_changes_nothing() -> None:
    """Neither for itself nor for those before and behind it."""
    store = GatedStore()
    first, gone, last = await begun(GroupCommit(store), remembers("first"), remembers("gone"), remembers("last"))
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    let_through(store)

    assert [await first, await last] == [True, True]
    assert await store.run(remembers("gone")) is True


async def test_who_is_cancelled_in_the_middle_leaves_nobody_waiting() -> None:
    """Those whose units it had taken along are told that nobody knows; those behind them are kept."""
    store = GatedStore()
    group = GroupCommit(store, at_most=2)
    first, leads, led, behind = await begun(group, *(remembers(name) for name in ("first", "leads", "led", "behind")))
    let_through(store, 1)
    assert await first is True
    leads.cancel()
    found = await asyncio.gather(leads, led, return_exceptions=True)
    let_through(store)

    assert [type(one) for one in found] == [asyncio.CancelledError, StoreUnavailable]
    assert await behind is True
