"""What every test shares: how hypothesis searches, and where it remembers its finds."""

from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.postgres import Postgres
from tests.settings import CACHE

# Two cores are shared by everything, so the time of one example says nothing about the code.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    print_blob=True,
    database=DirectoryBasedExampleDatabase(CACHE / "hypothesis"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL for all tests of this process; see `tests/postgres.py`."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A database with our tables, gone after the test."""
    url = postgres_server.ready_url()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def empty_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A database without any tables, gone after the test."""
    url = postgres_server.fresh_url()
    yield url
    postgres_server.drop(url)
