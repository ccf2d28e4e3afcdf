"""The courier's loop: many sends under way, none of them in another's way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from bridge.capabilities import Part
from bridge.conversation import Thread
from bridge.courier import Courier
from bridge.errors import StoreUnavailable
from bridge.fakes.clock import ManualClock
from bridge.fakes.desk import FakeDesk
from bridge.fakes.store import MemoryStore
from bridge.ids import ChannelId, ConversationId, OutKey, RemoteRef
from bridge.outcomes import Delivered, Outcome
from bridge.storage import OutState, Store, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, SITE, T0

T = TypeVar("T")
CHANNELS = 40


@dataclass
class SlowDesk(FakeDesk):
    """Answers no post before it is told to."""

    waiting: list[ChannelId] = field(default_factory=list)
    most: int = 0
    done: list[OutKey] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        self.waiting.append(thread.channel)
        self.most = max(self.most, len(self.waiting))
        try:
            await self.answers.wait()
        finally:
            self.waiting.remove(thread.channel)
        self.done.append(key)
        return Delivered(ref=RemoteRef(f"p{len(self.done)}"))


class Counting:
    """A store that counts its units, and is away at the first few."""

    def __init__(self, store: Store, away: int = 0) -> None:
        self.store, self.units, self.away = store, 0, away

    async def run(self, unit: Callable[[Tx], T]) -> T:
        self._count()
        return await self.store.run(unit)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        self._count()
        return await self.store.read(unit)

    async def close(self) -> None:
        await self.store.close()

    def _count(self) -> None:
        self.units += 1
        if self.units <= self.away:
            raise StoreUnavailable("away")


class House:
    """A courier with one line waiting in each of many channels."""

    def __init__(self, store: Store, *, at_once: int = 32, away: int = 0) -> None:
        self.store = Counting(store, away)
        self.desk = SlowDesk(name=DESK)
        self.clock = ManualClock(T0 + 1000)
        self.courier = Courier(
            store=self.store,
            desk=self.desk,
            clock=self.clock,
            receive=None,  # type: ignore[arg-type]
            queue_labels={},
            worker="w",
            at_once=at_once,
        )

    async def fill(self, channels: int = CHANNELS, lines: int = 1) -> None:
        def unit(tx: Tx) -> None:
            for i in range(channels):
                tx.insert_conversation(make.conversation(f"c{i}"))
                thread = Thread(desk=DESK, channel=ChannelId(f"C{i}"), root=RemoteRef(f"C{i}/1"))
                tx.insert_handoff(make.handoff(f"h{i}", f"c{i}", thread=thread))
                for n in range(1, lines + 1):
                    tx.append(SITE, ConversationId(f"c{i}"), make.entry(n))
                    key = OutKey(f"h{i}-{n}")
                    tx.enqueue(make.out(n, f"h{i}", conversation=ConversationId(f"c{i}"), key=key))

        await self.store.store.run(unit)

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not ready():
                await self.clock.advance(0.01)

    async def states(self) -> list[OutState]:
        """Return how the outs of all lanes stand."""
        rows = await self.store.store.read(
            lambda tx: [out for i in range(CHANNELS) for out in tx.out_for(SITE, make.handoff(f"h{i}").id, 1)]
        )
        return [out.state for out in rows]


async def test_many_channels_flow_side_by_side(store: Store) -> None:
    """A slow answer holds up no other channel: as many sends are under way as may be, and all arrive once."""
    house = House(store)
    await house.fill()
    task = asyncio.create_task(house.courier.run())
    await house.until(lambda: len(house.desk.waiting) == 32)
    assert len(set(house.desk.waiting)) == 32
    house.desk.answers.set()
    await house.until(lambda: len(house.desk.done) == CHANNELS)
    await house.courier.stop()
    async with asyncio.timeout(10):
        await task

    assert house.desk.most == 32
    assert await house.states() == [OutState.DELIVERED] * CHANNELS


async def test_no_more_sends_are_under_way_than_are_allowed(store: Store) -> None:
    """With one at once a courier sends one after the other, and still sends all."""
    house = House(store, at_once=1)
    await house.fill(5)
    house.desk.answers.set()
    task = asyncio.create_task(house.courier.run())
    await house.until(lambda: len(house.desk.done) == 5)
    await house.courier.stop()
    async with asyncio.timeout(10):
        await task

    assert house.desk.most == 1


async def test_stopping_finishes_what_is_under_way(store: Store) -> None:
    """`stop` begins nothing new; what was handed to the vendor is settled before `run` ends."""
    house = House(store, at_once=8)
    await house.fill(20)
    task = asyncio.create_task(house.courier.run())
    await house.until(lambda: len(house.desk.waiting) == 8)
    await house.courier.stop()
    await house.clock.settle()
    assert not task.done()
    house.desk.answers.set()
    async with asyncio.timeout(10):
        await task

    assert sorted(await house.states()) == sorted([OutState.DELIVERED] * 8 + [OutState.NEW] * 12)


async def test_cancelling_leaves_what_is_under_way_to_be_looked_for(store: Store) -> None:
    """Whoever cancels `run` waits for nobody; the posts stay SENDING, and nothing runs on."""
    house = House(store, at_once=8)
    await house.fill(8)
    task = asyncio.create_task(house.courier.run())
    await house.until(lambda: len(house.desk.waiting) == 8)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert house.desk.waiting == []
    assert await house.states() == [OutState.SENDING] * 8


async def test_a_store_that_is_away_is_waited_for(store: Store) -> None:
    """Neither claiming nor resting without it ends the loop."""
    house = House(store, away=3)
    await house.fill(2)
    house.desk.answers.set()
    task = asyncio.create_task(house.courier.run())
    await house.until(lambda: len(house.desk.done) == 2)
    await house.courier.stop()
    async with asyncio.timeout(10):
        await task

    assert await house.states() == [OutState.DELIVERED] * 2


async def test_claims_share_a_commit_and_an_idle_courier_asks_seldom() -> None:
    """Eight lanes cost one unit to claim, and the next finds no more; with nothing to do there are two a second."""
    house = House(MemoryStore())
    await house.fill(8)
    task = asyncio.create_task(house.courier.run())
    await house.until(lambda: len(house.desk.waiting) == 8)
    assert house.store.units <= 3
    house.desk.answers.set()
    await house.until(lambda: len(house.desk.done) == 8)
    await house.clock.settle()
    before = house.store.units
    await asyncio.sleep(1.2)
    idle = house.store.units - before
    await house.courier.stop()
    await task

    assert idle <= 4
