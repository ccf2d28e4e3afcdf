"""Statements of SQLAlchemy Core, compiled once per dialect and run by the driver as they are."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Dialect, Executable, Table
from sqlalchemy.exc import DBAPIError, IntegrityError
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


Statement = Executable | PerDialect


class Prepared:
    """One statement as text, and how its parameters reach the driver."""

    __slots__ = ("_constants", "_order", "sql")

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        """Compile it."""
        if isinstance(statement, PerDialect):
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

    __slots__ = ("_dialect", "_prepared")

    def __init__(self, dialect: Dialect) -> None:
        """Start with none."""
        self._dialect = dialect
        self._prepared: dict[Statement, Prepared] = {}

    def __getitem__(self, statement: Statement) -> Prepared:
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = self._prepared[statement] = Prepared(statement, self._dialect)
        return prepared


class Session:
    """A connection inside a transaction that somebody else begins and ends.

    Raises StoreUnavailable where the database fails, and ValueError where the caller breaks a rule of the tables (a
    number given twice, a second open handoff).
    """

    __slots__ = ("_connection", "_statements")

    def __init__(self, connection: Connection, statements: Statements) -> None:
        """Use this connection; nothing is begun or ended here."""
        self._connection = connection
        self._statements = statements

    def _execute(self, statement: Statement, parameters: Any, *, many: bool = False) -> Any:
        prepared = self._statements[statement]
        bound = [prepared.bind(row) for row in parameters] if many else prepared.bind(parameters)
        try:
            return self._connection.exec_driver_sql(prepared.sql, bound)
        except IntegrityError as error:
            raise ValueError(f"the tables do not allow this: {error.orig}") from error
        except DBAPIError as error:
            raise StoreUnavailable(f"the database failed: {error.orig}") from error

    def _one(self, statement: Statement, **parameters: Any) -> Row | None:
        result = self._execute(statement, parameters)
        row: Row | None = result.fetchone()
        result.close()
        return row

    def _all(self, statement: Statement, **parameters: Any) -> Sequence[Row]:
        rows: Sequence[Row] = self._execute(statement, parameters).fetchall()
        return rows

    def _change(self, statement: Statement, **parameters: Any) -> int:
        count: int = self._execute(statement, parameters).rowcount
        return count

    def _change_each(self, statement: Statement, rows: Sequence[Parameters]) -> int:
        """Run it once for each; return how many rows changed in all."""
        if len(rows) == 1:
            return self._change(statement, **rows[0])
        count: int = self._execute(statement, rows, many=True).rowcount
        return count
