"""Bring a database to this version's schema at start. Alembic is loaded only when there is something to do.

Migrations only add, so that processes of this version and of the one before can serve together while they are replaced
one by one. Each revision says in table `schema_info` from which revision on code may serve it: code that meets a newer
schema than it knows asks there.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection

from bridge.errors import SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"

REVISIONS = ("0001", "0002")
"""Every schema that this version knows, oldest first."""

SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
POSTGRES_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace "
    # What extensions bring with them belongs to nobody's program.
    "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
)


class Migrated(Protocol):
    """A database, as far as its schema goes."""

    @property
    def list_tables(self) -> str:
        """The query that lists its tables."""
        ...

    def ask(self, query: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query without parameters, as committed."""
        ...

    def locked(self) -> AbstractContextManager[Connection]:
        """Begin the transaction to change the schema in, for one process at a time; commit it unless the body
        raises.
        """
        ...


def version(database: Migrated) -> str | None:
    """Return the schema that the database has, or None if it is empty. Raises SettingsError if it is not ours."""
    there = {row[0] for row in database.ask(database.list_tables)}
    if not there:
        return None
    found = database.ask("SELECT version_num FROM alembic_version") if there >= {"alembic_version", "inbox"} else []
    if not found:
        raise SettingsError("the database belongs to another program: name another one")
    return str(found[0][0])


def is_served(database: Migrated, *, by: tuple[str, ...] = REVISIONS) -> bool:
    """Return whether code that knows these revisions can work on the database as it is, at the newest one or beyond.

    Raises SettingsError if it is not ours, or if it is ahead and says that it is no longer for this code.
    """
    found = version(database)
    if found is None or found in by:
        return found == by[-1]
    ahead = database.ask(f"SELECT serves_from FROM schema_info WHERE revision = '{found}'")  # noqa: S608 -- our own word
    if ahead and ahead[0][0] <= by[-1]:
        return True
    raise SettingsError(
        f"the database has schema {found}, but this version knows only up to {by[-1]}: "
        "update handoff-bridge, or restore a backup from before the update"
    )


def migrate(database: Migrated) -> bool:
    """Bring it to the newest schema, all or nothing; return whether there was anything to do.

    May be called twice, and by several processes at once: the first one works, the others wait. Raises SettingsError as
    `is_served` does.
    """
    if is_served(database):
        return False
    with database.locked() as connection:
        if is_served(database):
            return False
        upgrade(connection)
    return True


def check(database: Migrated, *, update: bool) -> None:
    """Make sure that this code can work on the database: bring it up to date, or only look.

    Raises SettingsError as `is_served` does, and for an empty database that is not to be changed.
    """
    if update:
        migrate(database)
    elif not is_served(database) and version(database) is None:
        raise SettingsError("the database is empty: run handoff-bridge migrate")


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the migrations up to this revision, in the transaction that the caller has begun."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    # Alembic compiles its scripts beside themselves, where an installed program has no business to write.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        command.upgrade(config, to)
    finally:
        sys.dont_write_bytecode = before
