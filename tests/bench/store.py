"""The durable relay on SQLite: a line is accepted, claimed, and settled, each step committed with fsync.

Beside it the same relay as most would write it first: aiosqlite, every statement awaited, a commit per step.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiosqlite

from adapters.store.opening import open_store
from bridge.storage import Store
from tests.bench import _relay as relay
from tests.bench._relay import WHOLE, Sizes

PARTS = 3
RATIOS = (
    ("lines per second on SQLite, against one commit per step", "sqlite_burst_lines_per_s", "naive_burst_lines_per_s"),
)


def measure(step: Callable[[str], None], sizes: Sizes = WHOLE) -> dict[str, float]:
    """One round of each."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        step("burst through SQLite")
        figures["sqlite_burst_lines_per_s"] = asyncio.run(_on(Path(folder) / "burst.db", relay.burst, sizes))
        step(f"{sizes.rate_per_s} lines a second through SQLite")
        figures["sqlite_p99_ms_at_300"] = asyncio.run(_on(Path(folder) / "steady.db", relay.steady, sizes))
        step("burst through the naive relay")
        figures["naive_burst_lines_per_s"] = asyncio.run(_naive(Path(folder), sizes))
    return figures


async def _on(file: Path, do: Callable[[Store, Sizes], Awaitable[float]], sizes: Sizes) -> float:
    store = await open_store(f"sqlite:///{file}")
    try:
        await relay.prepare(store, sizes)
        return await do(store, sizes)
    finally:
        await store.close()


_NAIVE_TABLES = """
CREATE TABLE inbox (source TEXT PRIMARY KEY, at INTEGER);
CREATE TABLE conversation (id TEXT PRIMARY KEY, epoch INTEGER, next_n INTEGER);
CREATE TABLE entry (conversation TEXT, n INTEGER, text TEXT, PRIMARY KEY (conversation, n));
CREATE TABLE outbox (id INTEGER PRIMARY KEY, conversation TEXT, n INTEGER, state TEXT, remote TEXT);
CREATE INDEX outbox_new ON outbox (id) WHERE state = 'new';
"""


async def _naive(folder: Path, sizes: Sizes) -> float:
    async with aiosqlite.connect(folder / "naive.db", isolation_level=None) as database:
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = FULL")
        await database.executescript(_NAIVE_TABLES)
        rows = [(f"c{i}",) for i in range(sizes.conversations)]
        await database.executemany("INSERT INTO conversation VALUES (?, 1, 1)", rows)
        lock = asyncio.Lock()
        began = time.perf_counter()
        await asyncio.gather(
            *(
                _naive_line(database, lock, number, f"c{number % sizes.conversations}")
                for number in range(sizes.rival_lines)
            )
        )
        return sizes.rival_lines / (time.perf_counter() - began)


async def _naive_line(database: aiosqlite.Connection, lock: asyncio.Lock, number: int, key: str) -> None:
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
