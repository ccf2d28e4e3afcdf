"""One connection to PostgreSQL: statements are prepared by the server once and run by libpq itself.

psycopg's own cursors take two to four times as long for the small statements of a unit; `psycopg.pq` is the documented
way around them (https://www.psycopg.org/psycopg3/docs/api/pq.html). A prepared statement is named after its text, so
that behind a pooler, where another process may have prepared it on the same server connection, its name never means
another statement. Only text, integers and NULL go in and out.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, cast

import psycopg
from psycopg import pq
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

_DONE = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_RUN_AGAIN = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html"""
_NOT_PREPARED = frozenset({"26000", "42P05"})
"""A pooler in transaction mode gave us another server connection than the one that prepared it."""
_INTEGERS = frozenset({20, 21, 23})
_NOT_IN_TEXT = "\0"
"""PostgreSQL holds every character but this one: https://www.postgresql.org/docs/current/datatype-character.html"""

Row = tuple[Any, ...]


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
    """One connection, used by one thread at a time. It is its own cursor, as far as units need one (PEP 249)."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepare: bool = True) -> None:
        """Own the connection, which must be in autocommit: transactions are begun and ended here by hand.

        `prepare=False`: send each statement whole, for poolers that forget prepared ones.
        """
        self._connection = connection
        self._pg = connection.pgconn
        self._prepare = prepare
        self._prepared: dict[str, bytes] = {}
        self._readers: dict[str, list[Callable[[bytes], Any]]] = {}
        self._result: pq.abc.PGresult | None = None
        self._sql = ""
        self.careful = False
        """Give each statement a savepoint, so that a unit may go on after one that failed."""
        self.incarnation = b""
        """Which run of the server this is: another one after each restart and each crash."""
        self.rowcount = -1

    @property
    def lost(self) -> bool:
        """The connection is gone."""
        return self._pg.status != pq.ConnStatus.OK

    @property
    def failed(self) -> bool:
        """A statement failed, and the transaction can only be undone."""
        return self._pg.transaction_status == pq.TransactionStatus.INERROR

    # --- transactions

    def command(self, sql: bytes) -> pq.abc.PGresult:
        """Run words of our own without parameters; of several, return the last result. Raises psycopg.Error."""
        return self._checked(self._pg.exec_(sql))

    def undo(self) -> None:
        """Roll back what is open, if anything is and if anybody is there to do it."""
        if self._pg.transaction_status in {pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR}:
            with contextlib.suppress(psycopg.Error):
                self.command(b"ROLLBACK")

    def close(self) -> None:
        """Close it. May be called twice."""
        self._connection.close()

    def break_off(self) -> None:
        """Cut the connection from another thread, so that the one which waits for an answer is told that it is lost."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._pg.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)

    # --- the cursor

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement. Raises psycopg.Error, RunAgain, and UnicodeEncodeError for text that is none."""
        values = [None if value is None else _written(value) for value in parameters]
        if not self.careful:
            self._result = self._run(sql, values)
        else:
            self._result = self._run_carefully(sql, values)
        self._sql = sql
        self.rowcount = self._result.command_tuples or 0

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run it once for each row; `rowcount` is then that of all."""
        count = 0
        for row in rows:
            self.execute(sql, row)
            count += self.rowcount
        self.rowcount = count

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

    def _run(self, sql: str, values: list[bytes | None]) -> pq.abc.PGresult:
        if not self._prepare:
            return self._checked(self._pg.exec_params(sql.encode(), values))
        name = self._prepared.get(sql)
        if name is None:
            name = b"handoff_" + sha256(sql.encode()).hexdigest()[:32].encode()
            prepared = self._pg.prepare(name, sql.encode())
            if _state(prepared) != "42P05":
                self._checked(prepared)
            self._prepared[sql] = name
        # NULL is allowed, whatever its types say.
        return self._checked(self._pg.exec_prepared(name, cast("list[bytes]", values)))

    def _run_carefully(self, sql: str, values: list[bytes | None]) -> pq.abc.PGresult:
        self.command(b"SAVEPOINT statement")
        try:
            result = self._run(sql, values)
        except psycopg.Error:
            if self.failed:
                self.command(b"ROLLBACK TO statement")
            raise
        self.command(b"RELEASE statement")
        return result

    def _checked(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status in _DONE:
            return result
        message = _first_line(result.error_message)
        if self.lost:
            raise Lost(message or "the connection is gone")
        state = _state(result)
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


def _written(value: str | int) -> bytes:
    if isinstance(value, str):
        if _NOT_IN_TEXT in value:
            value = value.replace(_NOT_IN_TEXT, "\ufffd")
        return value.encode()
    return str(int(value)).encode()


def _reader(kind: int) -> Callable[[bytes], Any]:
    return int if kind in _INTEGERS else bytes.decode


def _state(result: pq.abc.PGresult) -> str:
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()


def _first_line(message: bytes) -> str:
    return message.decode(errors="replace").strip().partition("\n")[0]
