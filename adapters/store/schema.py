"""Bring a database to this version's schema at start. Alembic is loaded only when there is something to do."""

import sys
from pathlib import Path

from adapters.store.sqlite import Database
from bridge.errors import SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"

REVISIONS = ("0001",)
"""Every schema that this version knows, oldest first."""


def version(database: Database) -> str | None:
    """Return the schema that the database has, or None if it is empty. Raises SettingsError if it is not ours."""
    tables = {row[0] for row in database.raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    found = (
        database.raw.execute("SELECT version_num FROM alembic_version").fetchone()
        if tables >= {"alembic_version", "inbox"}
        else None
    )
    if found is None:
        raise SettingsError("the database file belongs to another program: name another file")
    return str(found[0])


def migrate(database: Database) -> bool:
    """Bring it to the newest schema, all or nothing; return whether there was anything to do.

    May be called twice, and by several processes at once: the first one works, the others wait. Raises SettingsError if
    a newer version has written it.
    """
    if _is_newest(database):
        return False
    with database.transaction("BEGIN IMMEDIATE"):
        if _is_newest(database):
            return False
        _upgrade(database)
    return True


def _is_newest(database: Database) -> bool:
    found = version(database)
    if found is not None and found not in REVISIONS:
        raise SettingsError(
            f"the database has schema {found}, but this version knows only up to {REVISIONS[-1]}: "
            "update handoff-bridge, or restore a backup from before the update"
        )
    return found == REVISIONS[-1]


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = database.connection
    # Alembic compiles its scripts beside themselves, where an installed program has no business to write.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        command.upgrade(config, "head")
    finally:
        sys.dont_write_bytecode = before
