"""The durable relay as far as the store goes: lines are accepted, claimed and settled, each step a unit of its own.

The same units on every database, so that only the database differs. The desk takes no time.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from adapters.store.sqlite import SqliteStore
from bridge.conversation import Thread
from bridge.grouping import GroupCommit, Runs
from bridge.ids import ChannelId, ConversationId, HandoffId, RemoteRef, SourceId
from bridge.storage import CLAIMS_PER_UNIT, Claim, Store, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, LEASE_MS, SITE, T0, at

LATER = at(10**7)
SWEEP_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much of everything."""

    conversations: int = 500
    burst_lines: int = 3000
    rival_lines: int = 300
    workers: int = 32
    """Sends under way at most, as many as a courier has."""
    rate_per_s: int = 300
    warm_lines: int = 300
    """Of those that come at that rate, the first are not counted: connections are made, statements are prepared."""
    rate_lines: int = 1200


WHOLE = Sizes()


def _prepare(numbers: Sequence[int], tx: Tx) -> None:
    for i in numbers:
        tx.insert_conversation(make.conversation(f"c{i}"))
        thread = Thread(desk=DESK, channel=ChannelId(f"C{i}"), root=RemoteRef(f"r{i}"))
        tx.insert_handoff(make.handoff(f"h{i}", f"c{i}", thread=thread))


def _accept(tx: Tx, number: int, conversations: int) -> None:
    """What the front door keeps of a customer's line: source, entry, the out for the thread, the conversation."""
    place = number % conversations
    key, handoff = ConversationId(f"c{place}"), HandoffId(f"h{place}")
    if not tx.remember(SITE, SourceId(f"line-{number}"), T0):
        return
    found = tx.conversation(SITE, key)
    if found is None:
        raise LookupError(key)
    tx.append(SITE, key, make.entry(found.next_n))
    tx.enqueue(make.out(found.next_n, handoff, at_ms=number, conversation=key))
    tx.save_conversation(replace(found, next_n=found.next_n + 1), was_epoch=found.epoch)


def _claim(tx: Tx) -> Claim | None:
    found = tx.claim_lane(DESK, "bench", LATER, LEASE_MS)
    if found is not None:
        head = found.outs[0]
        tx.begin_send(found, [head.k], head.key, LATER, LATER)
    return found


def _claim_some(tx: Tx, room: int) -> list[Claim]:
    return list(islice(iter(lambda: _claim(tx), None), room))


def _settle(tx: Tx, claim: Claim) -> None:
    tx.delivered(claim, [claim.outs[0].k], RemoteRef("C/1"), LATER)


class _Relay:
    """What `bridge.courier` does around the store: one loop claims what may leave, several in a unit; where the engine
    does so too, those sends that end together are settled together. The desk takes no time.
    """

    def __init__(self, store: Store, lines: int, workers: int, conversations: int) -> None:
        self._store, self._left, self._workers, self._conversations = store, lines, workers, conversations
        self._settlements: Runs = store if isinstance(store, SqliteStore) else GroupCommit(store)
        self._wake = asyncio.Event()
        self._under_way = 0
        self.settled_at: dict[tuple[str, int], float] = {}

    async def accept(self, number: int) -> None:
        await self._store.run(lambda tx: _accept(tx, number, self._conversations))
        self._wake.set()

    async def run(self) -> None:
        """Carry until every line is settled."""
        async with asyncio.TaskGroup() as sends:
            while self._left > 0:
                await self._round(sends)

    async def _round(self, sends: asyncio.TaskGroup) -> None:
        room = min(self._workers - self._under_way, CLAIMS_PER_UNIT)
        # Before the look, so that no wake-up between the look and the rest is lost.
        self._wake.clear()
        claims = await self._store.run(lambda tx: _claim_some(tx, room)) if room else []
        self._under_way += len(claims)
        for claim in claims:
            sends.create_task(self._carry(claim))
        if len(claims) < CLAIMS_PER_UNIT and self._left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._wake.wait()

    async def _carry(self, claim: Claim) -> None:
        await self._settlements.run(lambda tx: _settle(tx, claim))
        self.settled_at[claim.handoff, claim.outs[0].k] = time.perf_counter()
        self._under_way -= 1
        self._left -= 1
        self._wake.set()


async def prepare(store: Store, sizes: Sizes) -> None:
    """Put conversations into an empty store, each with a thread in a channel of its own."""
    for start in range(0, sizes.conversations, 100):
        numbers = range(start, min(start + 100, sizes.conversations))
        await store.run(partial(_prepare, numbers))


async def burst(store: Store, sizes: Sizes) -> float:
    """Return lines per second, from all at once to the last one settled."""
    relay = _Relay(store, sizes.burst_lines, sizes.workers, sizes.conversations)
    began = time.perf_counter()
    await asyncio.gather(relay.run(), *(relay.accept(number) for number in range(sizes.burst_lines)))
    return sizes.burst_lines / (time.perf_counter() - began)


async def steady(store: Store, sizes: Sizes) -> float:
    """Return the 99th percentile from the moment a line was due to the commit that settled it, in milliseconds, in a
    process that has worked for a moment.
    """
    lines = sizes.warm_lines + sizes.rate_lines
    relay = _Relay(store, lines, sizes.workers, sizes.conversations)
    couriers = asyncio.ensure_future(relay.run())
    accepting, due_at = set(), {}
    began = time.perf_counter()
    for number in range(lines):
        due = began + number / sizes.rate_per_s
        if number >= sizes.warm_lines:
            due_at[f"h{number % sizes.conversations}", number // sizes.conversations + 1] = due
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        accepting.add(asyncio.ensure_future(relay.accept(number)))
    await asyncio.gather(couriers, *accepting)
    waits_ms = sorted((relay.settled_at[line] - due) * 1000 for line, due in due_at.items())
    return waits_ms[int(len(waits_ms) * 0.99)]
