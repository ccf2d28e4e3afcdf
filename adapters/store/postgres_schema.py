"""A PostgreSQL server at start: is it there, is it fit, and is its schema ours?"""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from adapters.store.dialling import Server, open_connection, reason
from adapters.store.schema import POSTGRES_TABLES
from bridge.errors import SettingsError, StoreUnavailable

MIN_VERSION = 140_000
_LOCK = "SELECT pg_advisory_xact_lock(4702111234474983745)"
"""The number is of no meaning, but the same in every process."""


class PostgresSchema:
    """`schema.Migrated` on PostgreSQL. A context manager."""

    def __init__(self, server: Server) -> None:
        """Connect. Raises SettingsError, in one line, for a server that cannot be reached or used."""
        self._server = server
        self._connection = self._connect()
        try:
            self._refuse_unfit()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    @property
    def list_tables(self) -> str:
        """See `schema.Migrated`."""
        return POSTGRES_TABLES

    def ask(self, query: str) -> list[Any]:
        """See `schema.Migrated`."""
        try:
            return self._connection.execute(query.encode()).fetchall()
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self._server.name} failed: {reason(error)}") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[Connection]:
        """See `schema.Migrated`. Behind a pooler too: the lock is the transaction's, not the session's."""
        engine = create_engine("postgresql+psycopg://", creator=self._connect, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                connection.connection.driver_connection.autocommit = False  # type: ignore[union-attr]
                with connection.begin():
                    connection.exec_driver_sql(_LOCK)
                    yield connection
        except DBAPIError as error:
            cause = error.orig or error
            if isinstance(cause, psycopg.errors.InsufficientPrivilege):
                raise SettingsError(f"{self._server.name}: this user may not make tables: {reason(cause)}") from None
            raise SettingsError(f"{self._server.name} could not be brought up to date: {reason(cause)}") from error
        finally:
            engine.dispose()

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            return open_connection(self._server)
        except psycopg.Error as error:
            raise SettingsError(f"{self._server.name} cannot be reached: {reason(error)}") from None

    def _refuse_unfit(self) -> None:
        name, info = self._server.name, self._connection.info
        if info.server_version < MIN_VERSION:
            raise SettingsError(f"{name} is PostgreSQL {info.server_version // 10_000}: 14 or newer is needed")
        if (encoding := info.parameter_status("server_encoding")) != "UTF8":
            raise SettingsError(
                f"{name} keeps text as {encoding}: make the database with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )
