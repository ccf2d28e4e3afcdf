"""One connection to PostgreSQL: statements are prepared by the server once and run by libpq itself.

psycopg's own cursors take two to four times as long for the small statements of a unit; `psycopg.pq` is the documented
way around them (https://www.psycopg.org/psycopg3/docs/api/pq.html). A prepared statement is named after its text, so
that behind a pooler, where another process may have prepared it on the same server connection, its name never means
another statement. Only text, integers and NULL go in and out.
"""

import contextlib
import os
import select
import socket
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NoReturn, cast

import psycopg
from psycopg import pq
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

_DONE = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_RUN_AGAIN = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html"""
_NOT_PREPARED = frozenset({"26000", "42P05"})
"""A pooler in transaction mode gave us another server connection than the one that prepared it."""
_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "08P01"})
"""The server is about to hang up: shut down, crashed, starting, idle for too long in a session or a transaction."""
BEGIN = "BEGIN"
BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
COMMIT = "COMMIT"
# Only with its number can be told afterwards whether a transaction was committed, see pg_xact_status in
# https://www.postgresql.org/docs/current/functions-info.html
NUMBER = "SELECT pg_current_xact_id()::text"
_INTEGERS = frozenset({20, 21, 23})
_NOT_IN_TEXT = "\0"
"""PostgreSQL holds every character but this one: https://www.postgresql.org/docs/current/datatype-character.html"""

Row = tuple[Any, ...]
_Step = tuple[str, Sequence[bytes | None]]
"""A statement and its parameters, as they are sent."""


class RunAgain(BaseException):
    """Nothing of the unit was kept, and it has to run once more.

    Not an Exception: a unit that catches those has no part in this.
    """


class RunCarefully(RunAgain):
    """It broke a rule of the tables, which it may want to catch: each of its statements needs a savepoint."""


class Lost(psycopg.OperationalError):
    """The connection is gone."""


def dialect() -> Dialect:
    """Return the dialect that the statements are written in: $1, $2, as the server itself counts parameters."""
    made: Any = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    made.dbapi = psycopg
    return cast("Dialect", made)


class Link:
    """One connection, used by one thread at a time. It is its own cursor, as far as units need one (PEP 249).

    Statements travel in libpq's pipeline mode: those whose outcome nobody waits for go along with the next one that
    somebody does wait for (https://www.postgresql.org/docs/current/libpq-pipeline-mode.html). If one of them fails, the
    server skips the rest, a COMMIT included.
    """

    def __init__(self, connection: psycopg.Connection[Any], *, prepare: bool = True) -> None:
        """Own the connection, which must be in autocommit: transactions are begun and ended here by hand.

        `prepare=False`: send each statement whole, for poolers that forget prepared ones.
        """
        self._connection = connection
        self._pg = connection.pgconn
        self._pg.enter_pipeline_mode()
        self._readable, self._both = select.poll(), select.poll()
        self._readable.register(self._pg.socket, select.POLLIN)
        self._both.register(self._pg.socket, select.POLLIN | select.POLLOUT)
        self._prepare = prepare
        self._prepared: dict[str, bytes] = {}
        self._readers: dict[str, list[Callable[[bytes], Any]]] = {}
        self._opening: list[_Step] = []
        self._waiting: list[_Step] = []
        self._result: pq.abc.PGresult | None = None
        self._sql = ""
        self._gone = False
        self.number: str | None = None
        """That of the transaction, by which to ask for it if its end is not heard of. None until the server gave it."""
        self.answered = False
        """The server has said something since `begin`."""
        self.careful = False
        """Give each statement a savepoint, so that a unit may go on after one that failed."""
        self.incarnation = ""
        """Which run of the server this is: another one after each restart and each crash."""
        self.rowcount = -1

    @property
    def lost(self) -> bool:
        """The connection is gone."""
        return self._gone or self._pg.status != pq.ConnStatus.OK

    @property
    def failed(self) -> bool:
        """A statement failed, and the transaction can only be undone."""
        return self._pg.transaction_status == pq.TransactionStatus.INERROR

    def close(self) -> None:
        """Close it. May be called twice."""
        self._connection.close()

    def break_off(self) -> None:
        """Cut the connection from another thread, so that the one which waits for an answer is told that it is lost."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._pg.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)

    # --- transactions

    def begin(self, *, reads: bool) -> None:
        """Begin, together with the first statement. One that writes is given a `number`."""
        self.number, self.answered = None, False
        self._opening = [(BEGIN_READING, ())] if reads else [(BEGIN, ()), (NUMBER, ())]
        if self.careful:
            self._send()

    @property
    def began(self) -> bool:
        """A transaction is open."""
        return self._pg.transaction_status != pq.TransactionStatus.IDLE

    def settle(self) -> None:
        """Send what waits if the transaction has no number yet: without one its end could not be asked for."""
        if self._waiting and self.number is None:
            self._send()

    def look_back(self) -> None:
        """Send what waits, although the transaction is to be undone: it may have failed, and the unit not know that."""
        if self._waiting and not self.lost and not self.failed:
            self._send()

    def commit(self) -> bool:
        """Commit, together with what waits. False: the server undid the transaction. Raises psycopg.Error, RunAgain."""
        if not self.began and not self._waiting:
            return True
        self._waiting.append((COMMIT, ()))
        return self._send()[-1].command_status == b"COMMIT"

    def undo(self) -> None:
        """Roll back what is open, if anything is and if anybody is there to do it."""
        self._opening, self._waiting = [], []
        if self.began and not self.lost:
            self._waiting.append(("ROLLBACK", ()))
            try:
                self._send()
            except (psycopg.Error, RunAgain):
                self._gone = True

    # --- the cursor

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement. Raises psycopg.Error, RunAgain, and UnicodeEncodeError for text that is none."""
        values = _written(parameters)
        if self.careful and self.began:
            self._result = self._run_carefully(sql, values)
        else:
            self._waiting.append((sql, values))
            self._result = self._send()[-1]
        self._sql = sql
        self.rowcount = self._result.command_tuples or 0

    def later(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one whose outcome nobody waits for, with the next one or with the commit."""
        if self.careful:
            self.execute(sql, parameters)
        else:
            self._waiting.append((sql, _written(parameters)))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run it once for each row; `rowcount` is then that of all."""
        if self.careful or not rows:
            count = 0
            for row in rows:
                self.execute(sql, row)
                count += self.rowcount
            self.rowcount = count
            return
        for row in rows:
            self.later(sql, row)
        self.rowcount = sum(result.command_tuples or 0 for result in self._send()[-len(rows) :])

    def fetchall(self) -> list[Row]:
        """Return what the last statement found."""
        result, self._result = self._result, None
        if result is None or not result.ntuples:
            return []
        readers = self._readers.get(self._sql)
        if readers is None:
            readers = self._readers[self._sql] = [_reader(result.ftype(i)) for i in range(result.nfields)]
        get = result.get_value
        columns = list(enumerate(readers))
        return [
            tuple([None if (value := get(row, i)) is None else read(value) for i, read in columns])
            for row in range(result.ntuples)
        ]

    def _run_carefully(self, sql: str, values: Sequence[bytes | None]) -> pq.abc.PGresult:
        self._waiting += [("SAVEPOINT statement", ()), (sql, values)]
        try:
            result = self._send()[-1]
        except psycopg.Error:
            if self.failed:
                self._waiting.append(("ROLLBACK TO statement", ()))
                self._send()
            raise
        self._waiting.append(("RELEASE statement", ()))
        return result

    # --- the wire

    def _send(self) -> list[pq.abc.PGresult]:
        """Send all that waits; return the result of each. Raises what the first one that failed came to."""
        waiting = [*self._opening, *self._waiting]
        self._opening, self._waiting = [], []
        pg, known = self._pg, self._prepared
        fresh: dict[str, bytes] = {}
        steps: list[tuple[str, bytes]] = []
        try:
            for sql, values in waiting:
                name = (known.get(sql) or fresh.get(sql)) if self._prepare else b""
                if name is None:
                    name = fresh[sql] = b"handoff_" + sha256(sql.encode()).hexdigest()[:32].encode()
                    pg.send_prepare(name, sql.encode())
                    steps.append((sql, name))
                if name:
                    # NULL is allowed, whatever the type of this call says.
                    pg.send_query_prepared(name, cast("Sequence[bytes]", values))
                else:
                    pg.send_query_params(sql.encode(), values)
                steps.append((sql, b""))
            pg.pipeline_sync()
            while pg.flush():
                self._both.poll()
                pg.consume_input()
            results = self._collect()
        except psycopg.OperationalError as error:
            self._gone = True
            raise Lost(_first_line(str(error))) from error
        return self._checked(steps, results)

    def _checked(self, steps: list[tuple[str, bytes]], results: list[pq.abc.PGresult]) -> list[pq.abc.PGresult]:
        """Return the results of the statements, without those of preparing them."""
        said = []
        for (sql, name), result in zip(steps, results, strict=False):
            if result.status not in _DONE:
                self._raise(result)
            if name:
                # Only now: what follows a failure in the pipeline was skipped.
                self._prepared[sql] = name
                continue
            if sql is NUMBER:
                self.number = (result.get_value(0, 0) or b"").decode()
            said.append(result)
        self.answered = True
        return said

    def _collect(self) -> list[pq.abc.PGresult]:
        """Return the results of all that was sent."""
        pg = self._pg
        results: list[pq.abc.PGresult] = []
        while True:
            while pg.is_busy():
                self._readable.poll()
                pg.consume_input()
            result = pg.get_result()
            if result is None:
                if pg.status != pq.ConnStatus.OK:
                    raise Lost("the connection is gone")
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _raise(self, result: pq.abc.PGresult) -> NoReturn:
        message = _first_line(result.error_message.decode(errors="replace"))
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        if self.lost or state in _ENDED:
            self._gone = True
            raise Lost(message or "the connection is gone")
        if state in _RUN_AGAIN:
            raise RunAgain(message)
        if state in _NOT_PREPARED and self._prepare:
            self._prepare = False
            raise RunAgain(message)
        try:
            kind = psycopg.errors.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
        if issubclass(kind, psycopg.IntegrityError) and not self.careful:
            raise RunCarefully(message)
        raise kind(message)


def _written(parameters: Sequence[str | int | None]) -> list[bytes | None]:
    return [
        None
        if value is None
        else str(int(value)).encode()
        if not isinstance(value, str)
        else value.encode()
        if _NOT_IN_TEXT not in value
        else value.replace(_NOT_IN_TEXT, "\ufffd").encode()
        for value in parameters
    ]


def _reader(kind: int) -> Callable[[bytes], Any]:
    return int if kind in _INTEGERS else bytes.decode


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0]
