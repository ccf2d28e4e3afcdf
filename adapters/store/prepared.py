"""Statements of SQLAlchemy Core, compiled once per dialect and run by the driver as they are."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from sqlalchemy import Dialect, Executable, Table
from sqlalchemy.sql.elements import ClauseElement

from bridge.errors import StoreUnavailable

Row = Sequence[Any]
Parameters = Mapping[str, Any]


class PerDialect:
    """A statement that each dialect writes in its own way: it is built with that dialect's `insert`."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[[Callable[[Table], Any]], Executable]) -> None:
        """Keep how to build it."""
        self._build = build

    def for_dialect(self, dialect: Dialect) -> Executable:
        """Return the statement for this dialect."""
        return self._build(import_module(f"sqlalchemy.dialects.{dialect.name}").insert)


class PerName:
    """A statement for each dialect, by its name: for what the two databases say in different words."""

    __slots__ = ("_statements",)

    def __init__(self, **statements: Executable) -> None:
        """Keep them."""
        self._statements = statements

    def for_dialect(self, dialect: Dialect) -> Executable:
        """Return the statement for this dialect."""
        return self._statements[dialect.name]


Statement = Executable | PerDialect | PerName


class Prepared:
    """One statement as text, and how its parameters reach the driver."""

    __slots__ = ("_constants", "_order", "sql")

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        """Compile it."""
        if isinstance(statement, PerDialect | PerName):
            statement = statement.for_dialect(dialect)
        if not isinstance(statement, ClauseElement):
            raise TypeError(f"cannot compile {statement!r}")
        compiled: Any = statement.compile(dialect=dialect)
        self.sql: str = compiled.string
        self._order: tuple[str, ...] | None = tuple(compiled.positiontup or ()) if compiled.positional else None
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def bind(self, parameters: Parameters) -> Any:
        """Return the parameters as the driver wants them."""
        if self._constants:
            parameters = {**self._constants, **parameters}
        if self._order is None:
            return dict(parameters)
        return tuple([parameters[name] for name in self._order])


class Statements:
    """The statements of one dialect. They are compiled at first use and kept; safe to share between threads."""

    __slots__ = ("_dialect", "_prepared", "broken_rule", "failed")

    def __init__(self, dialect: Dialect) -> None:
        """Start with none."""
        self._dialect = dialect
        self._prepared: dict[Statement, Prepared] = {}
        self.broken_rule: type[Exception] = dialect.loaded_dbapi.IntegrityError
        self.failed: type[Exception] = dialect.loaded_dbapi.Error

    def __getitem__(self, statement: Statement) -> Prepared:
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = self._prepared[statement] = Prepared(statement, self._dialect)
        return prepared


class Cursor(Protocol):
    """What a session needs of a driver's cursor (PEP 249)."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, operation: Any, parameters: Any, /) -> Any: ...
    def executemany(self, operation: Any, parameters: Any, /) -> Any: ...
    def fetchall(self) -> Sequence[Any]: ...


class Session:
    """A connection of the driver inside a transaction that somebody else begins and ends.

    The driver's own cursor (PEP 249) runs the statements: SQLAlchemy's results cost more than SQLite's work. Raises
    StoreUnavailable where the database fails, and ValueError where the caller breaks a rule of the tables (a number
    given twice, a second open handoff).
    """

    __slots__ = ("_cursor", "_later", "_shared", "_statements")

    def __init__(self, cursor: Cursor, statements: Statements) -> None:
        """Use this cursor; nothing is begun or ended here."""
        self._cursor = cursor
        # A database that is not in this process spares itself a way there and back.
        self._later: Callable[[Any, Any], Any] = getattr(cursor, "later", cursor.execute)
        self._shared = hasattr(cursor, "later")
        self._statements = statements

    def _execute(self, statement: Statement, parameters: Parameters) -> Cursor:
        prepared = self._statements[statement]
        try:
            self._cursor.execute(prepared.sql, prepared.bind(parameters))
        except self._statements.failed as error:
            raise self._named(error) from error
        return self._cursor

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, self._statements.broken_rule):
            return ValueError(f"the tables do not allow this: {error}")
        return StoreUnavailable(f"the database failed: {error}")

    def _one(self, statement: Statement, **parameters: Any) -> Row | None:
        """Return the first row; the statement is one that has at most one."""
        rows = self._all(statement, **parameters)
        return rows[0] if rows else None

    def _all(self, statement: Statement, **parameters: Any) -> Sequence[Row]:
        cursor = self._execute(statement, parameters)
        try:
            return cursor.fetchall()
        except self._statements.failed as error:
            raise self._named(error) from error

    def _change(self, statement: Statement, **parameters: Any) -> int:
        return self._execute(statement, parameters).rowcount

    def _write(self, statement: Statement, **parameters: Any) -> None:
        """Run one whose outcome is not asked for: what goes wrong with it may come out at a later one, or at the
        commit.
        """
        prepared = self._statements[statement]
        try:
            self._later(prepared.sql, prepared.bind(parameters))
        except self._statements.failed as error:
            raise self._named(error) from error

    def _lock(self, statement: Statement, **parameters: Any) -> None:
        """Lock rows for the statements that follow, where others write at the same time: who has the one connection
        that writes is alone with them.
        """
        if self._shared:
            self._write(statement, **parameters)

    def _change_each(self, statement: Statement, rows: Sequence[Parameters]) -> int:
        """Run it once for each; return how many rows changed in all."""
        if len(rows) == 1:
            return self._change(statement, **rows[0])
        prepared = self._statements[statement]
        try:
            self._cursor.executemany(prepared.sql, [prepared.bind(row) for row in rows])
        except self._statements.failed as error:
            raise self._named(error) from error
        return self._cursor.rowcount
