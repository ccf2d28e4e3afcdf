"""The statements themselves: each can be prepared for every database, and none reads a whole table."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects import postgresql, sqlite

from adapters.store import gauges, handoffs, heads, lanes, log, runs, sharing
from adapters.store.estimates import estimate
from adapters.store.prepared import PerDialect, Prepared, Statement
from adapters.store.schema import migrate
from adapters.store.sqlite import Database

# They look at all that is open or dead, or count: neither is done per message. The first is but the start of others.
WHOLE = {
    "handoffs._SELECT",
    "handoffs._OPEN",
    "handoffs._CHANNELS",
    "lanes._DEAD_OUTS",
    "gauges._RESTS",
    "sharing._LOADS",
    "sharing._LAPSED",
    "sharing._FORGET_WINDOWS",
}


def statements() -> Iterator[tuple[str, Statement]]:
    for module in (gauges, handoffs, heads, lanes, log, runs, sharing):
        short = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if isinstance(value, Select | Insert | Update | Delete | PerDialect):
                yield f"{short}.{name}", value
            elif name == "_COUNTS":
                yield from ((f"{short}.{name}.{key}", found) for key, found in value.items())


ALL = dict(statements())


def prepared(name: str, dialect: Any) -> Prepared:
    return Prepared(ALL[name], dialect)


@pytest.mark.parametrize("name", ALL)
def test_each_can_be_written_for_postgresql(name: str) -> None:
    """No statement is bound to SQLite's own words."""
    assert prepared(name, postgresql.dialect()).sql  # type: ignore[no-untyped-call]


def test_who_waits_for_the_agent_is_found_without_looking_at_those_who_do_not() -> None:
    """Of a million conversations a start reads those few that are in the partial index, and their live turns."""
    database = Database(None)
    migrate(database)
    sql = prepared("runs._UNANSWERED", sqlite.dialect()).sql
    binds = [None] * sql.count("?")
    steps = [step for *_, step in database.raw.execute(f"EXPLAIN QUERY PLAN {sql}", binds)]
    database.close()

    assert [step.partition(" USING ")[2] for step in steps if " USING " in step] == [
        "INDEX conversation_unread",
        "INDEX turn_one_live (site=? AND conversation=?)",
    ]


def test_none_reads_a_whole_table() -> None:
    """SQLite finds an index for every statement that a message needs, partial ones included; all that belongs to a site
    is as good as the whole table.
    """
    database = Database(None)
    migrate(database)
    estimate(database)
    scans = []
    for name in ALL:
        sql = prepared(name, sqlite.dialect()).sql
        binds = [None] * sql.count("?")
        for *_, step in database.raw.execute(f"EXPLAIN QUERY PLAN {sql}", binds):
            if re.match(r"SCAN (?!.*USING (?:COVERING )?INDEX)|.*\(site=\?\)$", step) and name not in WHOLE:
                scans.append(f"{name}: {step}")
    database.close()

    assert len(ALL) > 50
    assert scans == []
