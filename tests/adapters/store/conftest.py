"""For tests that bring their own histories to a store and are no coroutines themselves."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from adapters.store.opening import open_store
from adapters.store.tables import METADATA
from bridge.storage import Store
from tests.postgres import Postgres, name_in


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop to run coroutines on, one after another."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def emptied(postgres_server: Postgres, postgres_url: str, runner: asyncio.Runner) -> Callable[[], Store]:
    """Returns the store on PostgreSQL, on empty tables, as often as it is called; whoever calls closes it."""
    tables = ", ".join(METADATA.tables)

    def open_it() -> Store:
        postgres_server.sql(f"TRUNCATE {tables} RESTART IDENTITY", name_in(postgres_url))
        return runner.run(open_store(postgres_url))

    return open_it
