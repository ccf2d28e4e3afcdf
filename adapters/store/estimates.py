"""What SQLite's planner is to believe of the tables: that they have grown.

Without statistics it takes every index for equally good whose first column is compared, and that is `site`, the same in
nearly every row: an echo read all posts of the site, a correction all its lines. ANALYZE would tell, but only of what a
database holds when it runs, and a new one holds nothing. So the rows that it would find in a large one are written:
https://www.sqlite.org/lang_analyze.html, in the form of https://www.sqlite.org/fileformat2.html#stat1tab.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from adapters.store.sqlite import Database
from adapters.store.tables import METADATA
from bridge import log as logs
from bridge.errors import StoreUnavailable

log = logs.get(__name__)
MANY, FEW, KINDRED = 1_000_000, 100, 20
"""Rows of a table; of an index of what is open or under way; of what belongs to one conversation."""
_ALIKE = frozenset({"site", "desk"})
"""Columns that hold the same in nearly every row."""
_NEARLY_ALL = frozenset({"lane_root", "entry_remote"})
"""Indexes with a condition that nearly every row meets."""

_Estimate = tuple[str, str, str]


def estimate(database: Database) -> None:
    """Let the planner know, on this connection and on all that are opened from now on. Writes only what is not there.

    The schema must be the newest. May be called twice. What cannot be written is logged: all works without, but slowly.
    """
    try:
        if _there(database.raw) == _wanted(database.raw):
            return
        with database.transaction("BEGIN IMMEDIATE"):
            _write(database.raw)
    except (StoreUnavailable, sqlite3.Error) as error:
        log.warning("estimates_not_kept", reason=str(error))


def _there(raw: sqlite3.Connection) -> set[_Estimate]:
    if not raw.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchall():
        return set()
    return set(raw.execute("SELECT tbl, idx, stat FROM sqlite_stat1"))


def _write(raw: sqlite3.Connection) -> None:
    raw.execute("ANALYZE schema_info")  # makes the table, if it is not there
    raw.execute("DELETE FROM sqlite_stat1")
    raw.executemany("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", sorted(_wanted(raw)))
    raw.execute("ANALYZE sqlite_schema")  # makes this connection read it


def _wanted(raw: sqlite3.Connection) -> set[_Estimate]:
    return set(_estimates(raw))


def _estimates(raw: sqlite3.Connection) -> Iterator[_Estimate]:
    for table in METADATA.tables:
        for _, index, unique, _, partial in raw.execute(f"PRAGMA index_list({table})").fetchall():
            columns = [name for _, _, name in raw.execute(f"PRAGMA index_info('{index}')")]
            rows = FEW if partial and index not in _NEARLY_ALL else MANY
            yield table, index, " ".join(map(str, _in_a_prefix(rows, columns, unique=bool(unique))))


def _in_a_prefix(rows: int, columns: Sequence[str], *, unique: bool) -> Iterator[int]:
    """Yield how many rows there are, and how many of them are the same in the first column, the first two, ..."""
    yield rows
    for name in columns:
        if name not in _ALIKE:
            rows = min(KINDRED, rows // 4) or 1
        yield 1 if unique and name is columns[-1] else rows
