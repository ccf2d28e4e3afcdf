"""SQLite when things go wrong: a full disk, a kill, a lock, callers that give up."""

import asyncio
import contextlib
import dataclasses
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.store.opening import open_store
from adapters.store.sqlite import SqliteStore
from bridge.errors import StoreUnavailable
from bridge.ids import ConversationId, SourceId
from bridge.storage import Store, Tx
from tests.adapters.store.burst import CONVERSATIONS
from tests.contracts import store_samples as make
from tests.contracts.store_samples import SITE, T0
from tests.settings import ROOT

C1 = ConversationId("c1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(f"sqlite:///{path}", busy_ms=50)
    assert isinstance(store, SqliteStore)
    yield store
    await store.close()


class Gate:
    """A unit that keeps the writer busy until it is opened, so that what is handed over meanwhile forms one group."""

    def __init__(self, store: SqliteStore) -> None:
        self._entered, self._opened = threading.Event(), threading.Event()
        self.unit = asyncio.ensure_future(store.run(self._wait))

    def _wait(self, tx: Tx) -> None:
        self._entered.set()
        assert self._opened.wait(30)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 30)

    async def open(self) -> None:
        self._opened.set()
        await self.unit


async def group(store: SqliteStore, *units: Callable[[Tx], Any]) -> list[Any]:
    """Run these units in one group; return their results and exceptions."""
    gate = Gate(store)
    await gate.entered()
    handed = [asyncio.ensure_future(store.run(unit)) for unit in units]
    await asyncio.sleep(0)
    await gate.open()
    return await asyncio.gather(*handed, return_exceptions=True)


def sql(command: str) -> Callable[[Tx], Any]:
    """Return a unit that says this to the database, past the port."""

    def unit(tx: Any) -> Any:
        return tx._cursor.execute(command).fetchall()

    return unit


def appends(n: int, text: str = "x") -> Callable[[Tx], int]:
    def unit(tx: Tx) -> int:
        tx.append(SITE, C1, make.entry(n, text=text))
        return n

    return unit


async def kept(store: Store) -> list[int]:
    return [entry.n for entry in await store.read(lambda tx: tx.entries(SITE, C1))]


async def test_a_commit_is_on_the_disk_before_it_is_acknowledged(store: SqliteStore) -> None:
    """The file keeps a write-ahead log and syncs it at each commit, against the loss of power too."""
    # 2 is FULL: https://www.sqlite.org/pragma.html#pragma_synchronous
    assert [await store.run(sql(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")] == [[("wal",)], [(2,)]]


async def test_on_a_full_disk_the_whole_group_fails(store: SqliteStore) -> None:
    """No unit of a group that met a full disk is acknowledged or kept, and with space again everything works."""
    await store.run(appends(1))
    await store.run(sql("PRAGMA max_page_count = 1"))  # as many pages as there are
    results = await group(store, *(appends(n, "x" * 20_000) for n in range(2, 40)))

    assert {type(result) for result in results} == {StoreUnavailable}
    assert await kept(store) == [1]
    await store.run(sql("PRAGMA max_page_count = 1000000"))
    assert await group(store, *(appends(n) for n in range(2, 40))) == list(range(2, 40))
    assert await kept(store) == list(range(1, 40))


async def test_what_is_acknowledged_is_kept_however_full_the_disk(store: SqliteStore) -> None:
    """With the disk filling up in the middle, the acknowledged lines and the kept lines are the same."""
    [[pages]] = await store.run(sql("PRAGMA page_count"))
    await store.run(sql(f"PRAGMA max_page_count = {pages + 40}"))
    results: list[Any] = []
    for first in range(1, 300, 10):
        units = (store.run(appends(n, "x" * 2000)) for n in range(first, first + 10))
        results += await asyncio.gather(*units, return_exceptions=True)
    acknowledged = [result for result in results if not isinstance(result, BaseException)]

    assert 0 < len(acknowledged) < 300
    assert await kept(store) == acknowledged


async def test_if_the_transaction_is_gone_nobody_is_acknowledged(store: SqliteStore) -> None:
    """A unit that loses the transaction takes all of its group with it, those before and those after."""
    results = await group(store, appends(1), sql("ROLLBACK"), appends(2))

    assert {type(result) for result in results} == {StoreUnavailable}
    assert await kept(store) == []
    assert await store.run(appends(3)) == 3


async def test_a_unit_that_hides_the_failure_is_not_acknowledged(store: SqliteStore) -> None:
    """Catching the database's failure inside a unit does not make it kept."""
    await store.run(sql("PRAGMA max_page_count = 1"))

    def hiding(tx: Tx) -> str:
        with contextlib.suppress(StoreUnavailable):
            for n in range(50, 100):
                appends(n, "x" * 20_000)(tx)
        return "all is well"

    results = await group(store, appends(1), hiding, appends(2))
    acknowledged = [result for result in results if isinstance(result, int)]

    assert await kept(store) == acknowledged


async def test_a_lock_held_too_long_is_named(store: SqliteStore, path: Path) -> None:
    """While another process writes for longer than the patience, units fail; afterwards they work."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.run(appends(1))
    assert await kept(store) == []
    other.execute("ROLLBACK")
    other.close()

    assert await store.run(appends(1)) == 1


async def test_readers_never_see_half_a_transaction(store: SqliteStore) -> None:
    """What a unit has written is invisible until all of it is committed, and visible from then on."""
    half, go_on = threading.Event(), threading.Event()

    def unit(tx: Tx) -> None:
        appends(1)(tx)
        half.set()
        assert go_on.wait(30)
        appends(2)(tx)

    writing = asyncio.ensure_future(store.run(unit))
    assert await asyncio.to_thread(half.wait, 30)
    assert await kept(store) == []
    go_on.set()
    await writing

    assert await kept(store) == [1, 2]


async def test_a_reading_unit_sees_one_moment(store: SqliteStore) -> None:
    """Two looks of one reading unit agree, whatever is committed between them."""
    looked, go_on = threading.Event(), threading.Event()

    def unit(tx: Tx) -> tuple[int, int]:
        before = len(tx.entries(SITE, C1))
        looked.set()
        assert go_on.wait(30)
        return before, len(tx.entries(SITE, C1))

    await store.run(appends(1))
    reading = asyncio.ensure_future(store.read(unit))
    assert await asyncio.to_thread(looked.wait, 30)
    await store.run(appends(2))
    go_on.set()

    assert await reading == (1, 1)
    assert await kept(store) == [1, 2]


async def test_who_gives_up_before_its_turn_changes_nothing(store: SqliteStore) -> None:
    """A unit whose caller is cancelled while it waits is never run."""
    gate = Gate(store)
    await gate.entered()
    task = asyncio.ensure_future(store.run(appends(1)))
    await asyncio.sleep(0)
    task.cancel()
    await gate.open()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await kept(store) == []


async def test_who_gives_up_too_late_harms_nobody(store: SqliteStore) -> None:
    """A caller that is cancelled while its unit runs does not stop the writer; the unit is kept."""
    entered, go_on = threading.Event(), threading.Event()

    def unit(tx: Tx) -> None:
        appends(1)(tx)
        entered.set()
        assert go_on.wait(30)

    task = asyncio.ensure_future(store.run(unit))
    assert await asyncio.to_thread(entered.wait, 30)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await store.run(appends(2)) == 2
    assert await kept(store) == [1, 2]


async def test_a_unit_may_raise_anything(store: SqliteStore) -> None:
    """Even what a future refuses to carry reaches the caller, and the writer lives on."""

    def stops(tx: Tx) -> None:
        raise StopIteration

    def misses(tx: Tx) -> None:
        raise KeyError("x")

    results = await group(store, stops, misses, appends(1))

    assert [type(result) for result in results] == [RuntimeError, KeyError, int]


def test_a_loop_that_is_gone_does_not_stop_the_writer(path: Path) -> None:
    """Units of a loop that ended early do not disturb those of the next."""
    store = asyncio.run(open_store(f"sqlite:///{path}"))
    entered, go_on = threading.Event(), threading.Event()

    def unit(tx: Tx) -> None:
        entered.set()
        assert go_on.wait(30)

    async def leave() -> None:
        handed = asyncio.ensure_future(store.run(unit))
        assert await asyncio.to_thread(entered.wait, 30)
        handed.cancel()

    async def come() -> list[int]:
        await store.run(appends(1))
        return await kept(store)

    asyncio.run(leave())
    go_on.set()
    try:
        assert asyncio.run(come()) == [1]
    finally:
        asyncio.run(store.close())


async def test_two_processes_may_share_a_file(path: Path) -> None:
    """Two stores on one file, as two processes have them, wait for each other: no unit fails, no update is lost."""
    stores = [await open_store(f"sqlite:///{path}", busy_ms=30_000) for _ in range(2)]
    await stores[0].run(lambda tx: tx.insert_conversation(make.conversation()))

    def unit(tx: Tx) -> None:
        found = tx.conversation(SITE, C1)
        assert found is not None
        tx.append(SITE, C1, make.entry(found.next_n))
        tx.save_conversation(dataclasses.replace(found, next_n=found.next_n + 1), was_epoch=1)

    async def task(mine: Store) -> None:
        for _ in range(25):
            await mine.run(unit)

    await asyncio.gather(*(task(mine) for mine in stores for _ in range(4)))
    log = await kept(stores[1])
    for mine in stores:
        await mine.close()

    assert log == list(range(1, 201))


def acknowledged_until_killed(path: Path, first: int, lines: int) -> set[int]:
    """Let a process keep lines, numbered from `first`; kill it after so many; return those that it acknowledged."""
    command = [sys.executable, "-m", "tests.adapters.store.burst", f"sqlite:///{path}", str(first)]
    acknowledged: set[int] = set()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.add(int(line))
            if len(acknowledged) == lines:
                process.kill()
                break
        # What was still in the pipe was acknowledged too; only the last line may be cut.
        acknowledged.update(int(line) for line in process.stdout if line.endswith("\n"))
    assert process.returncode == -signal.SIGKILL
    return acknowledged


async def test_nothing_acknowledged_is_lost_by_kill_9(path: Path) -> None:
    """However often the process is killed in the middle of a burst: acknowledged lines are there, logs have no gaps."""
    acknowledged: set[int] = set()
    for first in (1_000_000, 2_000_000, 3_000_000):
        acknowledged |= await asyncio.to_thread(acknowledged_until_killed, path, first, 150)

    def look(tx: Tx) -> list[str]:
        said: list[str] = []
        for i in range(CONVERSATIONS):
            key = ConversationId(f"c{i}")
            row = tx.conversation(SITE, key, lock=False)
            log = tx.entries(SITE, key, limit=10**6)
            assert row is not None
            assert [entry.n for entry in log] == list(range(1, row.next_n))
            said += [entry.text.removeprefix("line-") for entry in log]
        return said

    store = await open_store(f"sqlite:///{path}")
    kept = [int(number) for number in await store.read(look)]
    anew = await store.run(lambda tx: [n for n in kept if tx.remember(SITE, SourceId(f"line-{n}"), T0)])
    await store.close()

    assert len(acknowledged) >= 450
    assert len(kept) == len(set(kept))
    assert acknowledged <= set(kept)
    assert anew == []
