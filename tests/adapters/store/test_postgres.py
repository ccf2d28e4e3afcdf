"""PostgreSQL: the whole suite of the store, from several threads."""

from collections.abc import AsyncIterator

import pytest

from adapters.store.opening import open_store
from bridge.storage import Store
from tests.contracts.sharing_contract import SharingContract
from tests.contracts.store_contract import LaneContract, StoreContract


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    store = await open_store(postgres_url)
    yield store
    await store.close()


class TestStore(StoreContract):
    """The units."""


class TestLanes(LaneContract):
    """The lanes."""


class TestSharing(SharingContract):
    """What processes share."""
