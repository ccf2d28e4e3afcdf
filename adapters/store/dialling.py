"""Where a PostgreSQL server is, and how to reach it: quickly while it is there, patiently while it is not."""

import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters.store.libpq import Link
from bridge.errors import SettingsError, StoreUnavailable

FIRST_REST_S = 0.05
LONGEST_REST_S = 1.0

# What the server itself gives up. Session settings, since the start-up packet may not carry them through a pooler:
# https://www.pgbouncer.org/config.html#ignore_startup_parameters
_SET_UP = (
    "SET statement_timeout = {statement_ms}; SET lock_timeout = {lock_ms}; "
    "SET idle_in_transaction_session_timeout = {idle_ms}"
)
_WHICH_RUN = "SELECT pg_postmaster_start_time()::text || ' ' || coalesce(stats_reset::text, '') FROM pg_stat_archiver"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """Where the database is, and how long things there may take. `url` may hold a password: show `name` to people."""

    url: str
    connect_s: int = 5
    statement_ms: int = 8000
    lock_ms: int = 5000
    idle_ms: int = 10_000
    """How long the server waits for the next statement of a transaction, before it undoes it."""
    unit_s: float = 20.0
    """How long a unit may take in all, before its connection is cut from this side."""
    prepare: bool = True

    @property
    def name(self) -> str:
        """Scheme, host and database, and nothing else of the URL."""
        return name_of(self.url)


def name_of(url: str) -> str:
    """Return scheme, host and database of a URL, as libpq reads it, to be shown to people."""
    scheme = url.partition("://")[0]
    try:
        parts = conninfo_to_dict(conninfo(url))
    except psycopg.ProgrammingError:
        return f"{scheme}://..."
    return f"{scheme}://{parts.get('host', '')}/{parts.get('dbname', '')}"


def open_connection(server: Server, statement_ms: int = 0) -> psycopg.Connection[Any]:
    """Connect, in autocommit. Blocks for at most `connect_s`. `statement_ms`: when the server gives a statement up, 0
    never.

    Raises psycopg.Error if the server cannot be reached, SettingsError if the URL cannot be read.
    """
    try:
        connection = psycopg.connect(conninfo(server.url), autocommit=True, prepare_threshold=None, **_words(server))
    except psycopg.ProgrammingError:
        raise SettingsError(
            f"the database URL ({server.url.partition('://')[0]}://...) cannot be read: write "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE, special characters of the password as %XX"
        ) from None
    if statement_ms:
        try:
            connection.execute(f"SET statement_timeout = {statement_ms}".encode())
        except psycopg.Error:
            connection.close()
            raise
    return connection


async def open_listener(server: Server, channel: str) -> psycopg.AsyncConnection[Any]:
    """Connect to hear what is said on the channel. Raises psycopg.Error if the server cannot be reached."""
    connection = await psycopg.AsyncConnection.connect(conninfo(server.url), autocommit=True, **_words(server))
    try:
        await connection.execute(f"LISTEN {channel}".encode())
    except BaseException:
        await connection.close()
        raise
    return connection


def _words(server: Server) -> dict[str, Any]:
    """Return what every connection says, beside its URL. See
    https://www.postgresql.org/docs/current/libpq-connect.html.
    """
    return {
        "connect_timeout": server.connect_s,
        "client_encoding": "utf8",
        "application_name": "handoff-bridge",
        # A peer that is gone without a word is noticed.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }


def connect(server: Server) -> Link:
    """Open a connection and make it ready for units. Blocks for at most `connect_s`.

    Raises StoreUnavailable if the server cannot be reached or does not obey.
    """
    try:
        connection = open_connection(server)
    except psycopg.Error as error:
        raise StoreUnavailable(f"{server.name} cannot be reached: {reason(error)}") from None
    try:
        limits = _SET_UP.format(statement_ms=server.statement_ms, lock_ms=server.lock_ms, idle_ms=server.idle_ms)
        connection.execute(limits.encode())
        [incarnation] = connection.execute(_WHICH_RUN.encode()).fetchone() or [""]
    except psycopg.Error as error:
        connection.close()
        raise StoreUnavailable(f"{server.name} cannot be used: {reason(error)}") from None
    link = Link(connection, prepare=server.prepare)
    link.incarnation = str(incarnation)
    return link


def conninfo(url: str) -> str:
    """Return the URL as libpq reads it: without the name of a driver."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{mark}{rest}"


def reason(error: BaseException) -> str:
    """Return what the server or libpq said, in one line and without the address, which repeats what the URL says."""
    lines = [line for line in str(error).strip().splitlines() if line.strip() and not line.startswith("\t")]
    refused = [line.partition(" failed: ")[2] for line in lines if " failed: " in line]
    return refused[-1] if refused else lines[0] if lines else type(error).__name__


class Dialler:
    """Connects for several threads. While the server is away few tries are made, and everybody is told at once."""

    def __init__(self, server: Server) -> None:
        """Connect to this server."""
        self.server = server
        self._lock = threading.Lock()
        self._rest_s = 0.0
        self._not_before = 0.0
        self._why = ""

    def connect(self) -> Link:
        """Return a new connection. Raises StoreUnavailable, at once if the last try failed a moment ago."""
        with self._lock:
            if time.monotonic() < self._not_before:
                raise StoreUnavailable(self._why)
        try:
            link = connect(self.server)
        except StoreUnavailable as error:
            with self._lock:
                self._rest_s = min(LONGEST_REST_S, self._rest_s * 2 or FIRST_REST_S)
                # Processes that lost the server together do not come back together.
                self._not_before = time.monotonic() + self._rest_s * random.uniform(0.5, 1)  # noqa: S311
                self._why = str(error)
            raise
        with self._lock:
            self._rest_s = self._not_before = 0.0
        return link
