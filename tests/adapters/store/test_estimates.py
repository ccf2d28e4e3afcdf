"""The planner's estimates: a new database works as one that has grown."""

import sqlite3
from pathlib import Path

from adapters.store.estimates import estimate
from adapters.store.opening import open_store
from adapters.store.schema import migrate
from adapters.store.sqlite import Database
from tests.adapters.store.test_statements import prepared

ECHO = "lanes._IN_FLIGHT"


def plan(raw: sqlite3.Connection, name: str) -> list[str]:
    sql = prepared(name, Database(None).connection.dialect).sql
    return [step for *_, step in raw.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]


async def test_a_store_is_opened_with_its_estimates(tmp_path: Path) -> None:
    """A file that was made without them has them from its next start on, for every connection; a further start writes
    nothing.
    """
    path = tmp_path / "handoff.db"
    before = Database(path)
    migrate(before)
    assert "SEARCH out USING PRIMARY KEY (site=?)" in plan(before.raw, ECHO)
    before.close()

    await (await open_store(f"sqlite:///{path}")).close()
    with sqlite3.connect(path) as raw:
        assert "SEARCH out USING INDEX out_in_flight (site=? AND key=?)" in plan(raw, ECHO)
        version = raw.execute("PRAGMA data_version").fetchone()
        await (await open_store(f"sqlite:///{path}")).close()
        assert raw.execute("PRAGMA data_version").fetchone() == version
    raw.close()


def test_the_connection_that_wrote_them_uses_them() -> None:
    """Also what it had prepared before is planned anew."""
    database = Database(None)
    migrate(database)
    plan(database.raw, ECHO)
    estimate(database)

    assert "SEARCH out USING INDEX out_in_flight (site=? AND key=?)" in plan(database.raw, ECHO)
    database.close()


def test_where_nothing_can_be_written_the_store_works_on(tmp_path: Path) -> None:
    """A full disk costs the estimates, not the start."""
    path = tmp_path / "handoff.db"
    database = Database(path)
    migrate(database)
    [[pages]] = database.raw.execute("PRAGMA page_count").fetchall()
    database.raw.execute(f"PRAGMA max_page_count = {pages}")
    estimate(database)

    assert "SEARCH out USING PRIMARY KEY (site=?)" in plan(database.raw, ECHO)
    assert not database.raw.in_transaction
    assert database.raw.execute("SELECT count(*) FROM conversation").fetchall() == [(0,)]
    database.close()
