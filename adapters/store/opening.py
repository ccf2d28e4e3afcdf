"""From a URL to a store that is ready for work."""

import asyncio
import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from adapters.store.estimates import estimate
from adapters.store.schema import check, migrate
from adapters.store.sqlite import Database, Inline, SqliteStore, WriterThread
from bridge.errors import SettingsError
from bridge.storage import Store

if TYPE_CHECKING:
    from adapters.store.hints import PostgresHints
    from adapters.store.postgres import PostgresStore

POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
IN_MEMORY = frozenset({"sqlite://", "sqlite:///:memory:", "sqlite+memory://"})

MOUNTS = Path("/proc/self/mounts")
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone"}
)
"""File systems on which SQLite can lose data: https://www.sqlite.org/wal.html#overview, disadvantage 2."""


class OpenedStore(Store, Protocol):
    """A store, and the clock that all who share it can agree on."""

    async def store_time(self) -> tuple[float, float]:
        """Return the store's time in UTC milliseconds, and the moment of this process's monotonic clock, in seconds, at
        which it was asked: the middle of the way there and back. Raises StoreUnavailable.
        """
        ...


async def open_store(url: str, *, mounts: str | None = None, busy_ms: int = 5000, update: bool = True) -> "OpenedStore":
    """Open the store that `url` names, with its schema up to date.

    `postgresql://user:password@host:5432/database` (or `postgres://`): needs psycopg. Several processes may open it.
    `sqlite:///relative.db`, `sqlite:////absolute.db`: a file, made if it is not there, readable by its owner only.
    `sqlite+memory://`: gone at the end, each unit run at once in the caller's thread; for tests. `mounts` is the mount
    table in the form of /proc/self/mounts, by default that of this system. `busy_ms`: how long to wait for another
    process that writes. `update=False`: work on the schema that is there, though it be of an earlier revision.

    Raises SettingsError, in one line, for anything that cannot be opened.
    """
    if url in IN_MEMORY:
        database = Database(None)
        _in_memory().raw.backup(database.raw)
        return SqliteStore(Inline(database))
    scheme, _, rest = url.partition("://")
    if scheme in POSTGRES:
        return await asyncio.to_thread(_open_postgres, url, update=update)
    if scheme != "sqlite" or len(rest) < 2 or not rest.startswith("/"):
        # The URL may hold a password: name no more than its scheme.
        raise SettingsError(
            f"the database URL ({scheme}://...) must look like sqlite:///handoff.db or postgresql://USER@HOST/DATABASE"
        )
    path = Path(unquote(rest[1:].partition("?")[0]))
    if mounts is None:
        mounts = await asyncio.to_thread(_mounts)
    refuse_network_folder(path, mounts)
    writer, reader = await asyncio.to_thread(_open_file, path, busy_ms, update=update)
    return SqliteStore(WriterThread(writer, reader))


@cache
def _in_memory() -> Database:
    """Return an empty one to copy: the migrations take a hundred times as long as the copy."""
    database = Database(None)
    migrate(database)
    estimate(database)
    return database


def open_hints(store: Store) -> "PostgresHints | None":
    """Begin to carry hints between the processes on this store, in the running loop; None where there is but one.

    Close them before the store.
    """
    try:
        from adapters.store.hints import PostgresHints
        from adapters.store.postgres import PostgresStore
    except ImportError:
        return None
    if not isinstance(store, PostgresStore):
        return None
    hints = PostgresHints(store)
    hints.start()
    return hints


def shown(url: str) -> str:
    """Return the URL as people may see it: without a password."""
    if url.partition("://")[0] not in POSTGRES:
        return url
    from adapters.store.dialling import name_of

    return name_of(url)


def refuse_network_folder(path: Path, mounts: str) -> None:
    """Raise SettingsError if the file would lie on a network file system, as the mount table tells."""
    folder = path.resolve().parent
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # Blanks in names are written in octal: https://man7.org/linux/man-pages/man5/fstab.5.html
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t"))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    if kind in NETWORK:
        raise SettingsError(
            f"{folder} is on a network file system ({kind}), where SQLite can lose data: name a file on a local disk"
        )


def _mounts() -> str:
    return MOUNTS.read_text(encoding="utf-8", errors="replace") if MOUNTS.exists() else ""


def _open_file(path: Path, busy_ms: int, *, update: bool) -> tuple[Database, Database]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        writer = Database(path, busy_ms=busy_ms)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"the database file {path} cannot be opened: {error}") from error
    try:
        check(writer, update=update)
        if update:
            estimate(writer)
        return writer, Database(path, busy_ms=busy_ms, read_only=True)
    except BaseException:
        writer.close()
        raise


def _open_postgres(url: str, *, update: bool) -> "PostgresStore":
    try:
        from adapters.store.dialling import Server
        from adapters.store.postgres import PostgresStore
        from adapters.store.postgres_schema import PostgresSchema
    except ImportError as error:
        raise SettingsError(f"PostgreSQL needs psycopg ({error}): pip install 'handoff-bridge[postgres]'") from None
    server = Server(url=url)
    with PostgresSchema(server) as schema:
        check(schema, update=update)
    return PostgresStore(server)
