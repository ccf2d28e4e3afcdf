"""The random histories of ownership once more, on PostgreSQL."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from bridge.storage import Store
from tests.adapters.store.test_ownership_on_sqlite import OwnershipOnSqlite
from tests.postgres import Postgres, name_in


def test_no_history_on_postgres_breaks_an_invariant(
    emptied: Callable[[], Store], runner: asyncio.Runner, postgres_server: Postgres, postgres_url: str
) -> None:
    """What holds on the memory store after every event of a random history holds on PostgreSQL's rows too."""

    class OwnershipOnPostgres(OwnershipOnSqlite):
        def open_store(self) -> Any:
            return emptied()

        def teardown(self) -> None:
            runner.run(self.store.close())

        def unit(self, unit: Any) -> Any:
            return runner.run(self.store.run(unit))

        def rows(self, query: str) -> list[Any]:
            return postgres_server.sql(query, name_in(postgres_url))

    run_state_machine_as_test(
        OwnershipOnPostgres, settings=settings(max_examples=5, stateful_step_count=25, deadline=None)
    )
