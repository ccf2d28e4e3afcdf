"""PostgreSQL under the units of work: several processes, each with a few threads, each thread with its own connection.

One transaction per unit, never grouped: two groups that lock the same conversations in another order would deadlock.
READ COMMITTED, since a unit locks what it decides on; units that only read see one snapshot (REPEATABLE READ), so that
none of their statements shows more of another's transaction than the ones before.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from typing import Any, TypeVar

import psycopg

from adapters.store.dialling import Dialler, Server, connect
from adapters.store.libpq import Link, Lost, RunAgain, RunCarefully, dialect
from adapters.store.prepared import Statements
from adapters.store.units import SqlTx
from bridge import log as logs
from bridge.errors import StoreUnavailable
from bridge.storage import Tx

T = TypeVar("T")
Unit = Callable[[Tx], T]
log = logs.get(__name__)

WRITERS = 6
READERS = 2
TRIES = 8
"""How often a unit is run that a deadlock undid, or that wants to be run again for another reason."""
CLEARING_UP_S = 8.0
"""How long to ask what became of a transaction whose connection broke during its COMMIT."""

_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_NOTIFY = "SELECT pg_notify($1::text, said) FROM jsonb_array_elements_text($2::text::jsonb) AS said"
_END_OF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = $1::text::xid8::xid"


class PostgresStore:
    """The `Store` of the core on PostgreSQL. Several processes may use one database.

    A caller that is cancelled before its unit began has changed nothing; later, the unit is kept all the same. Every
    unit ends: what takes longer than the server's time-outs, or than `Server.unit_s` in all, raises StoreUnavailable.
    """

    def __init__(self, server: Server, *, writers: int = WRITERS, readers: int = READERS) -> None:
        """Start the threads; each connects when it has something to do."""
        self.server = server
        self._writing: _Queue = SimpleQueue()
        self._reading: _Queue = SimpleQueue()
        self._on_loss: Callable[[], None] = lambda: None
        statements, dialler = _statements(), Dialler(server)
        self._workers = [
            *(_Worker(f"store-writer-{i}", self._writing, dialler, statements) for i in range(writers)),
            *(_Worker(f"store-reader-{i}", self._reading, dialler, statements) for i in range(readers)),
        ]
        self._closed = False
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look_after, name="store-watch", daemon=True)
        self._watch.start()

    def when_lost(self, then: Callable[[], None]) -> None:
        """Call this, in the loop, when a connection turns out to be dead: before the unit that found it is answered.

        A unit that had not begun there runs on a new one, and nobody else learns that the database was away.
        """
        self._on_loss = then

    async def run(self, unit: Unit[T]) -> T:
        return await self._hand_over(self._writing, lambda worker: worker.keep(unit))

    async def read(self, unit: Unit[T]) -> T:
        return await self._hand_over(self._reading, lambda worker: worker.look(unit))

    async def store_time(self) -> tuple[float, float]:
        """Return the database's time in UTC milliseconds, and the moment of this process's monotonic clock, in seconds,
        at which it was asked: the middle of the way there and back. Raises StoreUnavailable.
        """
        return await self._hand_over(self._reading, lambda worker: worker.ask_the_time())

    async def notify(self, channel: str, payloads: Sequence[str]) -> None:
        """Send these to whoever listens on the channel, in a transaction of their own. Raises StoreUnavailable."""
        await self._hand_over(self._reading, lambda worker: worker.notify(channel, payloads))

    async def _hand_over(self, queue: "_Queue", work: "Callable[[_Worker], T]") -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        queue.put(_Handed(work=work, future=future, loop=loop, on_loss=self._on_loss))
        return await future

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            for worker in self._workers:
                worker.queue.put(None)
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        for worker in self._workers:
            worker.join()
        self._ended.set()
        self._watch.join()

    def _look_after(self) -> None:
        """Break off what takes too long: a server that is frozen does not keep its own time-outs."""
        while not self._ended.wait(self.server.unit_s / 10):
            for worker in self._workers:
                worker.break_off(began_before=time.monotonic() - self.server.unit_s)


@cache
def _statements() -> Statements:
    """Return those of all stores of this process, compiled once."""
    return Statements(dialect())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Handed:
    """Work on its way to a thread, and who waits for it."""

    work: "Callable[[_Worker], Any]"
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    on_loss: Callable[[], None]


_Queue = SimpleQueue[_Handed | None]


class _Worker:
    """One thread and its connection."""

    def __init__(self, name: str, queue: _Queue, dialler: Dialler, statements: Statements) -> None:
        self.queue, self._dialler, self._statements = queue, dialler, statements
        self._link: Link | None = None
        self._began_at: float | None = None
        self._lost = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def break_off(self, *, began_before: float) -> None:
        """Cut the connection if the work at hand began before this moment. Called from another thread."""
        began_at, link = self._began_at, self._link
        if began_at is not None and link is not None and began_at < began_before:
            log.warning("store_unit_broken_off", after_s=round(time.monotonic() - began_at, 1))
            link.break_off()

    # --- the thread

    def _work(self) -> None:
        while (handed := self.queue.get()) is not None:
            if handed.future.cancelled():
                continue
            result: Any = None
            error: BaseException | None = None
            self._began_at = time.monotonic()
            try:
                result = handed.work(self)
            except StopIteration as raised:
                # A future refuses this one: it would end the generator of whoever awaits.
                error = RuntimeError("the unit raised StopIteration")
                error.__cause__ = raised
            except BaseException as raised:  # noqa: BLE001 -- it belongs to whoever handed the unit over
                error = raised
            self._began_at = None
            lost, self._lost = self._lost, False
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                if lost:
                    handed.loop.call_soon_threadsafe(handed.on_loss)
                handed.loop.call_soon_threadsafe(_tell, handed.future, result, error)
            del handed, result, error
        self._hang_up()

    def keep(self, unit: Unit[T]) -> T:
        """Run the unit in a transaction; what is returned is true on the server's disk."""
        return self._until_it_ran(lambda link: self._in_transaction(link, unit, reads=False))

    def look(self, unit: Unit[T]) -> T:
        """Run a unit that only reads, on one snapshot."""
        return self._until_it_ran(lambda link: self._in_transaction(link, unit, reads=True))

    def ask_the_time(self) -> tuple[float, float]:
        """See `PostgresStore.store_time`."""

        def ask(link: Link) -> tuple[float, float]:
            before = time.monotonic()
            link.execute(_CLOCK)
            [[now_us]] = link.fetchall()
            return now_us / 1000, (before + time.monotonic()) / 2

        return self._until_it_ran(_repeatable(ask))

    def notify(self, channel: str, payloads: Sequence[str]) -> None:
        """See `PostgresStore.notify`."""
        self._until_it_ran(_repeatable(lambda link: link.execute(_NOTIFY, [channel, json.dumps(payloads)])))

    def _until_it_ran(self, work: Callable[[Link], T]) -> T:
        """Do it on this thread's connection, again if it was undone through no fault of its own."""
        careful, why = False, ""
        for again in range(TRIES):
            fresh = self._link is None
            link = self._link = self._link or self._dialler.connect()
            link.careful = careful
            try:
                return work(link)
            except _NeverBegan as error:
                # The connection had died while nobody used it: that says nothing about the server.
                if fresh:
                    raise StoreUnavailable(f"the database failed: {error}") from error
            except RunCarefully as error:
                careful, why = True, str(error)
            except RunAgain as error:
                why = str(error)
                time.sleep(random.uniform(0, 0.005) * 2**again)  # noqa: S311 -- so that they do not meet again
            except psycopg.Error as error:
                raise StoreUnavailable(f"the database failed: {error}") from error
            finally:
                if link.lost:
                    self._lost = True
                    self._hang_up()
        raise StoreUnavailable(f"the database undid the unit {TRIES} times: {why}")

    def _in_transaction(self, link: Link, unit: Unit[T], *, reads: bool) -> T:
        link.begin(reads=reads)
        try:
            result = unit(SqlTx(link, self._statements))
            link.settle()
            if link.failed or link.lost:
                raise StoreUnavailable("the database failed in a statement whose error the unit passed over")
        except BaseException as error:
            try:
                with contextlib.suppress(psycopg.Error):
                    link.look_back()
            finally:
                link.undo()
            if link.lost and not link.answered:
                raise _NeverBegan(str(error)) from error
            raise
        self._commit(link, reads=reads)
        return result

    def _commit(self, link: Link, *, reads: bool) -> None:
        try:
            kept = link.commit()
        except (psycopg.Error, RunAgain) as error:
            if not link.lost:
                link.undo()
                raise
            if reads:
                return
            number = link.number
            self._hang_up()
            if number is None or not was_committed(self._dialler.server, number, link.incarnation):
                raise StoreUnavailable(f"the connection broke, and nothing was kept: {error}") from error
            return
        if not kept:
            raise StoreUnavailable("the database undid the transaction")

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class _NeverBegan(Lost):
    """The connection was dead before the first word."""


def _repeatable(work: Callable[[Link], T]) -> Callable[[Link], T]:
    """Mark what may be done twice without harm: on a broken connection it counts as not begun."""

    def once(link: Link) -> T:
        try:
            return work(link)
        except Lost as error:
            raise _NeverBegan(str(error)) from error

    return once


def was_committed(server: Server, number: str, incarnation: str) -> bool:
    """Return what became of a transaction whose connection broke during its COMMIT. Blocks while this is not settled.

    A number that was given before a crash can be given again after it, if nothing of the first one had reached the
    disk. So a "committed" counts only from the server that gave the number, unharmed since.

    Raises StoreUnavailable if that could not be told.
    """
    deadline, told = time.monotonic() + CLEARING_UP_S, "nobody answers"
    while time.monotonic() < deadline:
        try:
            link = connect(server)
        except StoreUnavailable as error:
            told = str(error)
            time.sleep(0.1)
            continue
        try:
            link.execute("SELECT pg_xact_status($1::text::xid8)", [number])
            [[status]] = link.fetchall()
            if status == "committed" and link.incarnation == incarnation:
                return True
            if status == "committed":
                told = "the server was restarted meanwhile"
                break
            if status == "aborted" or link.incarnation != incarnation:
                return False
            # Still at work, or the server has not noticed yet that nobody is there.
            link.execute(_END_OF, [number])
        except psycopg.errors.InvalidParameterValue:
            return False  # "in the future": the server has forgotten that it ever gave this number
        except (psycopg.Error, RunAgain) as error:
            told = str(error)
        finally:
            link.close()
        time.sleep(0.05)
    raise StoreUnavailable(f"the connection broke while the unit was kept; whether it was is not known: {told}")


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
