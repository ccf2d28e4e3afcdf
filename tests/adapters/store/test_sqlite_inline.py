"""SQLite in memory, each unit at once."""

from collections.abc import AsyncIterator

import pytest

from adapters.store.opening import open_store
from bridge.storage import Store
from tests.contracts.sharing_contract import SharingContract
from tests.contracts.store_contract import LaneContract, StoreContract


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store("sqlite+memory://")
    yield store
    await store.close()


class TestStore(StoreContract):
    """The units."""


class TestLanes(LaneContract):
    """The lanes."""


class TestSharing(SharingContract):
    """What processes share."""
