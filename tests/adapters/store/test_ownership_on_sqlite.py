"""The random histories of ownership once more, on SQLite: what its rows cannot hold would break an invariant."""

import asyncio
from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from adapters.store.opening import open_store
from adapters.store.rows import out_of
from adapters.store.sqlite import Inline
from bridge.ids import RemoteRef
from bridge.storage import Out
from tests.bridge.stories import SITE
from tests.bridge.test_ownership_machine import Ownership

TABLES = ("conversation", "entry", "handoff", "lane", "out", "channel", "turn", "stream", "timer", "ticket", "file")


class OwnershipOnSqlite(Ownership):
    """The same rules and invariants; only the store is another one."""

    def open_store(self) -> Any:
        return asyncio.run(open_store("sqlite+memory://"))

    def teardown(self) -> None:
        asyncio.run(self.store.close())

    def rows(self, query: str) -> list[Any]:
        executor = self.store._executor
        assert isinstance(executor, Inline)
        return executor._open().raw.execute(query).fetchall()

    @property
    def handoffs(self) -> list[Any]:
        ids = [row[0] for row in self.rows("SELECT id FROM handoff ORDER BY opened_at, ticket")]
        return [self.unit(lambda tx, one=one: tx.handoff(SITE, one)) for one in ids]

    @property
    def roots(self) -> list[RemoteRef]:
        return [RemoteRef(row[0]) for row in self.rows("SELECT root FROM lane WHERE root IS NOT NULL ORDER BY root")]

    def outs(self) -> Iterable[Out]:
        return [out_of(row) for row in self.rows("SELECT * FROM out ORDER BY handoff, ordinal, k")]

    def everything(self) -> Any:
        return {table: self.rows(f"SELECT * FROM {table}") for table in TABLES}


def test_no_history_on_sqlite_breaks_an_invariant() -> None:
    """What holds on the memory store after every event of a random history holds on SQLite's rows too."""
    run_state_machine_as_test(
        OwnershipOnSqlite, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )
