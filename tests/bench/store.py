"""The durable relay on SQLite: a line is accepted, claimed, and settled, each step committed with fsync.

Beside it the same relay as most would write it first: aiosqlite, every statement awaited, a commit per step.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiosqlite

from adapters.store.opening import open_store
from bridge.conversation import Thread
from bridge.ids import ChannelId, ConversationId, HandoffId, RemoteRef, SourceId
from bridge.storage import Claim, Store, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, LEASE_MS, SITE, T0, at

PARTS = 3
RATIOS = (("lines per second, against one commit per step", "sqlite_burst_lines_per_s", "naive_burst_lines_per_s"),)

CONVERSATIONS = 500
BURST_LINES = 3000
NAIVE_LINES = 300
WORKERS = 64
RATE_PER_S = 300
RATE_LINES = 1200
LATER = at(10**7)


def measure(step: Callable[[str], None]) -> dict[str, float]:
    """One round of each."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        step("burst through the store")
        figures["sqlite_burst_lines_per_s"] = asyncio.run(_burst(Path(folder)))
        step(f"{RATE_PER_S} lines a second through the store")
        figures["sqlite_p99_ms_at_300"] = asyncio.run(_steady(Path(folder)))
        step("burst through the naive relay")
        figures["naive_burst_lines_per_s"] = asyncio.run(_naive(Path(folder)))
    return figures


def _prepare(tx: Tx) -> None:
    for i in range(CONVERSATIONS):
        tx.insert_conversation(make.conversation(f"c{i}"))
        thread = Thread(desk=DESK, channel=ChannelId(f"C{i}"), root=RemoteRef(f"r{i}"))
        tx.insert_handoff(make.handoff(f"h{i}", f"c{i}", thread=thread))


def _accept(tx: Tx, number: int) -> None:
    """What the front door keeps of a customer's line: source, entry, the out for the thread, the conversation."""
    key, handoff = ConversationId(f"c{number % CONVERSATIONS}"), HandoffId(f"h{number % CONVERSATIONS}")
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


def _settle(tx: Tx, claim: Claim) -> None:
    tx.delivered(claim, [claim.outs[0].k], RemoteRef("C/1"), LATER)
    tx.release(claim)


class _Relay:
    """Couriers that send each line at once to a desk that takes no time."""

    def __init__(self, store: Store, lines: int, workers: int) -> None:
        self._store, self._left, self._workers = store, lines, workers
        self._wake = asyncio.Event()
        self.settled_at: dict[tuple[str, int], float] = {}

    async def accept(self, number: int) -> None:
        await self._store.run(lambda tx: _accept(tx, number))
        self._wake.set()

    async def run(self) -> None:
        """Carry until every line is settled."""
        async with asyncio.TaskGroup() as couriers:
            for _ in range(self._workers):
                couriers.create_task(self._courier())

    async def _courier(self) -> None:
        while self._left > 0:
            # Before the look, so that no wake-up between the look and the rest is lost.
            self._wake.clear()
            claim = await self._store.run(_claim)
            if claim is None:
                await self._wake.wait()
                continue
            await self._store.run(lambda tx, claim=claim: _settle(tx, claim))  # type: ignore[misc]
            self.settled_at[claim.handoff, claim.outs[0].k] = time.perf_counter()
            self._left -= 1
            if self._left == 0:
                self._wake.set()


async def _burst(folder: Path) -> float:
    store = await open_store(f"sqlite:///{folder}/burst.db")
    await store.run(_prepare)
    relay = _Relay(store, BURST_LINES, WORKERS)
    began = time.perf_counter()
    await asyncio.gather(relay.run(), *(relay.accept(number) for number in range(BURST_LINES)))
    took_s = time.perf_counter() - began
    await store.close()
    return BURST_LINES / took_s


async def _steady(folder: Path) -> float:
    """Return the 99th percentile from the moment a line was due to the commit that settled it, in milliseconds."""
    store = await open_store(f"sqlite:///{folder}/steady.db")
    await store.run(_prepare)
    relay = _Relay(store, RATE_LINES, workers=8)
    couriers = asyncio.ensure_future(relay.run())
    accepting, due_at = set(), {}
    began = time.perf_counter()
    for number in range(RATE_LINES):
        due = began + number / RATE_PER_S
        due_at[f"h{number % CONVERSATIONS}", number // CONVERSATIONS + 1] = due
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        accepting.add(asyncio.ensure_future(relay.accept(number)))
    await asyncio.gather(couriers, *accepting)
    await store.close()
    waits_ms = sorted((relay.settled_at[line] - due) * 1000 for line, due in due_at.items())
    return waits_ms[int(len(waits_ms) * 0.99)]


_NAIVE_TABLES = """
CREATE TABLE inbox (source TEXT PRIMARY KEY, at INTEGER);
CREATE TABLE conversation (id TEXT PRIMARY KEY, epoch INTEGER, next_n INTEGER);
CREATE TABLE entry (conversation TEXT, n INTEGER, text TEXT, PRIMARY KEY (conversation, n));
CREATE TABLE outbox (id INTEGER PRIMARY KEY, conversation TEXT, n INTEGER, state TEXT, remote TEXT);
CREATE INDEX outbox_new ON outbox (id) WHERE state = 'new';
"""


async def _naive(folder: Path) -> float:
    async with aiosqlite.connect(folder / "naive.db", isolation_level=None) as database:
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = FULL")
        await database.executescript(_NAIVE_TABLES)
        rows = [(f"c{i}",) for i in range(CONVERSATIONS)]
        await database.executemany("INSERT INTO conversation VALUES (?, 1, 1)", rows)
        lock = asyncio.Lock()
        began = time.perf_counter()
        await asyncio.gather(*(_naive_line(database, lock, number) for number in range(NAIVE_LINES)))
        return NAIVE_LINES / (time.perf_counter() - began)


async def _naive_line(database: aiosqlite.Connection, lock: asyncio.Lock, number: int) -> None:
    key = f"c{number % CONVERSATIONS}"
    async with lock:
        await database.execute("BEGIN IMMEDIATE")
        await database.execute("INSERT INTO inbox VALUES (?, 0)", (f"line-{number}",))
        async with database.execute("SELECT next_n FROM conversation WHERE id = ?", (key,)) as cursor:
            [n] = await cursor.fetchone() or (1,)
        await database.execute("INSERT INTO entry VALUES (?, ?, ?)", (key, n, f"line {n} — ünïcode 🙂"))
        await database.execute("INSERT INTO outbox VALUES (NULL, ?, ?, 'new', NULL)", (key, n))
        await database.execute("UPDATE conversation SET next_n = ? WHERE id = ? AND epoch = 1", (n + 1, key))
        await database.execute("COMMIT")
    async with lock:
        await database.execute("BEGIN IMMEDIATE")
        query = "SELECT id FROM outbox WHERE state = 'new' ORDER BY id LIMIT 1"
        async with database.execute(query) as cursor:
            [out] = await cursor.fetchone() or (0,)
        await database.execute("UPDATE outbox SET state = 'sending' WHERE id = ?", (out,))
        await database.execute("COMMIT")
    async with lock:
        await database.execute("BEGIN IMMEDIATE")
        await database.execute("UPDATE outbox SET state = 'delivered', remote = 'C/1' WHERE id = ?", (out,))
        await database.execute("COMMIT")
