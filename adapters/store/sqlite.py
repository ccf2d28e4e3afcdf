"""SQLite under the units of work: the connection, and the two executors that decide where a unit runs.

Transactions are begun and ended here by hand: SQLAlchemy's and sqlite3's own rules would open them too late, so that
two writers read the same state (https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable).
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import StaticPool

from adapters.store.prepared import Statements
from adapters.store.schema import SQLITE_TABLES
from adapters.store.units import SqlTx
from bridge.errors import StoreUnavailable
from bridge.storage import Tx

T = TypeVar("T")
Unit = Callable[[Tx], T]

MAX_GROUP = 64
"""Units per commit: one fsync for all of them."""

_PRAGMAS = (
    # A commit is on the disk before it is acknowledged: https://www.sqlite.org/pragma.html#pragma_synchronous
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 2000",
    "journal_size_limit = 67108864",
    "cache_size = -32000",
    "temp_store = MEMORY",
)


class Database:
    """One connection to one SQLite database. Used by one thread at a time."""

    def __init__(self, path: Path | None, *, busy_ms: int = 5000, read_only: bool = False) -> None:
        """Open it; None is a new one in memory. Raises sqlite3.Error if the file is no database."""
        name = ":memory:" if path is None else str(path)
        raw = sqlite3.connect(name, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            for pragma in (f"busy_timeout = {busy_ms}", *_PRAGMAS, f"query_only = {int(read_only)}"):
                _set(raw, pragma, busy_ms)
        except sqlite3.Error:
            raw.close()
            raise
        self.raw = raw
        engine = create_engine(
            "sqlite+pysqlite://", creator=lambda: raw, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
        )
        self.connection: Connection = engine.connect()
        # SQLAlchemy is to believe in one transaction without end: else it would commit or roll back ours.
        self.connection.begin()
        self._cursor: Any = raw.cursor()
        self._statements = _statements()

    def tx(self) -> SqlTx:
        """Return a fresh Tx; the caller has begun a transaction."""
        return SqlTx(self._cursor, self._statements)

    @contextlib.contextmanager
    def transaction(self, begin: str) -> Iterator[None]:
        """Begin, and commit unless the body raises. Raises StoreUnavailable if nothing could be begun or committed."""
        self.execute(begin)
        try:
            yield
            self.execute("COMMIT")
        finally:
            self.undo()

    @property
    def list_tables(self) -> str:
        """See `schema.Migrated`."""
        return SQLITE_TABLES

    def ask(self, query: str) -> list[Any]:
        """See `schema.Migrated`."""
        return self.raw.execute(query).fetchall()

    @contextlib.contextmanager
    def locked(self) -> Iterator[Connection]:
        """See `schema.Migrated`."""
        with self.transaction("BEGIN IMMEDIATE"):
            yield self.connection

    def execute(self, command: str) -> None:
        """Run a command of transaction control."""
        try:
            self.raw.execute(command).close()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the database failed at {command}: {error}") from error

    def undo(self) -> None:
        """Roll back what is open, if anything is."""
        if self.raw.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self.raw.execute("ROLLBACK").close()

    def close(self) -> None:
        """Close it. May be called twice."""
        self.connection.close()
        self.connection.engine.dispose()
        self.raw.close()


@cache
def _statements() -> Statements:
    """Return those of all connections: to compile them takes longer than many a database is open for."""
    return Statements(SQLiteDialect_pysqlite(dbapi=sqlite3))


def _set(raw: sqlite3.Connection, pragma: str, busy_ms: int) -> None:
    """Set a pragma. The change to WAL does not wait by itself where several processes make a new file at once: each
    would stand in the other's way. See https://www.sqlite.org/c3ref/busy_handler.html.
    """
    ends = time.monotonic() + busy_ms / 1000
    while True:
        try:
            raw.execute(f"PRAGMA {pragma}").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return


class Executor(Protocol):
    """Where units run. The contract of each call is that of `bridge.storage.Store`."""

    async def run(self, unit: Unit[T]) -> T: ...
    async def read(self, unit: Unit[T]) -> T: ...
    async def close(self) -> None: ...


class SqliteStore:
    """The `Store` of the core; its executor decides where units run."""

    def __init__(self, executor: Executor) -> None:
        """Use this executor, and close it in the end."""
        self._executor = executor

    async def run(self, unit: Unit[T]) -> T:
        return await self._executor.run(unit)

    async def read(self, unit: Unit[T]) -> T:
        return await self._executor.read(unit)

    async def store_time(self) -> tuple[float, float]:
        """See `opening.OpenedStore`: whoever shares a file shares the machine's clock."""
        return time.time() * 1000, time.monotonic()

    async def close(self) -> None:
        await self._executor.close()


class Inline:
    """Each unit at once, in the caller's thread, one commit each: deterministic, for tests. It blocks."""

    def __init__(self, database: Database) -> None:
        """Own this database."""
        self._database: Database | None = database

    def _open(self) -> Database:
        if self._database is None:
            raise StoreUnavailable("the store is closed")
        return self._database

    async def run(self, unit: Unit[T]) -> T:
        database = self._open()
        with database.transaction("BEGIN IMMEDIATE"):
            return unit(database.tx())

    async def read(self, unit: Unit[T]) -> T:
        database = self._open()
        with database.transaction("BEGIN"):
            before = database.raw.total_changes
            result = unit(database.tx())
            # Not by `PRAGMA query_only`: each change of it makes SQLite prepare every statement anew.
            if database.raw.total_changes != before:
                raise StoreUnavailable("a unit that only reads has written")
            return result

    async def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Handed:
    """A unit on its way to the writer, and who waits for it."""

    unit: Unit[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """What came of a unit."""

    handed: _Handed
    result: Any = None
    error: BaseException | None = None


class _Worker:
    """A thread with a database of its own. Units that wait together are done together by `work`, and then told."""

    def __init__(self, name: str, database: Database, work: Callable[[Database, list[_Handed]], list[_Done]]) -> None:
        self._database, self._work = database, work
        self._queue: SimpleQueue[_Handed | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def do(self, unit: Unit[T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Handed(unit=unit, future=future, loop=loop))
        return await future

    def end(self) -> None:
        """Take nothing more in. Call it once."""
        self._queue.put(None)

    def ended(self) -> None:
        """Wait until all is done, and close the database. May be called twice."""
        self._thread.join()
        self._database.close()

    def _run(self) -> None:
        open_ = True
        while open_:
            group: list[_Handed] = []
            waiting = self._queue.get()
            while waiting is not None:
                if not waiting.future.cancelled():
                    group.append(waiting)
                if len(group) == MAX_GROUP:
                    break
                try:
                    waiting = self._queue.get_nowait()
                except Empty:
                    break
            else:
                open_ = False
            if group:
                self._answer(self._work(self._database, group))

    @staticmethod
    def _answer(group: list[_Done]) -> None:
        for loop in {done.handed.loop for done in group}:
            mine = [done for done in group if done.handed.loop is loop]
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, mine)


class WriterThread:
    """One thread owns the only writing connection; units that wait together share a commit, each in a SAVEPOINT.

    A unit is acknowledged after the commit that holds it. If the database rolls the whole group back, as it does on a
    full disk (https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction), every unit of the
    group fails with StoreUnavailable. A caller that is cancelled before its unit began has changed nothing; later, the
    unit is kept all the same. Another thread reads: reads that wait together see the same moment.
    """

    def __init__(self, writer: Database, reader: Database) -> None:
        """Own both databases (two connections to one file) and start the threads."""
        self._closed = False
        self._writer = _Worker("store-writer", writer, _written)
        self._reader = _Worker("store-reader", reader, _read)

    async def run(self, unit: Unit[T]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await self._writer.do(unit)

    async def read(self, unit: Unit[T]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await self._reader.do(unit)

    async def close(self) -> None:
        workers = (self._writer, self._reader)
        if not self._closed:
            self._closed = True
            for worker in workers:
                worker.end()
        for worker in workers:
            await asyncio.to_thread(worker.ended)


class _Undone(Exception):
    """Ends a transaction of which nothing is to be kept."""


def _written(writer: Database, group: list[_Handed]) -> list[_Done]:
    """Run the units in one transaction; what is returned is true on the disk."""
    if len(group) == 1:
        return [_written_alone(writer, group[0])]
    try:
        with writer.transaction("BEGIN IMMEDIATE"):
            return [_in_savepoint(writer, handed) for handed in group]
    except StoreUnavailable as error:
        return _failed(group, error)


def _written_alone(writer: Database, handed: _Handed) -> _Done:
    """Run a unit that shares its transaction with nobody, so needs no savepoint."""
    done = _Done(handed=handed)
    try:
        with writer.transaction("BEGIN IMMEDIATE"):
            done = _tried(writer, handed)
            if done.error is not None:
                raise _Undone
    except _Undone:
        pass
    except StoreUnavailable as error:
        [done] = _failed([handed], error)
    return done


def _in_savepoint(writer: Database, handed: _Handed) -> _Done:
    writer.execute("SAVEPOINT unit")
    done = _tried(writer, handed)
    if done.error is not None:
        writer.execute("ROLLBACK TO unit")
    writer.execute("RELEASE unit")
    return done


def _read(reader: Database, group: list[_Handed]) -> list[_Done]:
    try:
        with reader.transaction("BEGIN"):
            return [_tried(reader, handed) for handed in group]
    except StoreUnavailable as error:
        return _failed(group, error)


def _tried(database: Database, handed: _Handed) -> _Done:
    """Run one unit. Raises StoreUnavailable if the transaction around it is gone."""
    try:
        done = _Done(handed=handed, result=handed.unit(database.tx()))
    except StopIteration as error:
        # A future refuses this one: it would end the generator of whoever awaits.
        failure = RuntimeError("the unit raised StopIteration")
        failure.__cause__ = error
        done = _Done(handed=handed, error=failure)
    except BaseException as error:  # noqa: BLE001 -- it belongs to whoever handed the unit over
        done = _Done(handed=handed, error=error)
    if not database.raw.in_transaction:
        raise StoreUnavailable(f"the database undid the transaction: {done.error}")
    return done


def _failed(group: list[_Handed], error: StoreUnavailable) -> list[_Done]:
    return [_Done(handed=handed, error=StoreUnavailable(str(error))) for handed in group]


def _tell(group: list[_Done]) -> None:
    for done in group:
        future = done.handed.future
        if future.done():
            continue
        if done.error is None:
            future.set_result(done.result)
        else:
            future.set_exception(done.error)
