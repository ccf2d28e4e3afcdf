"""SQLite in a file: one writing thread, commits in groups, a reading connection beside it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.store.opening import open_store
from bridge.storage import Store
from tests.contracts.sharing_contract import SharingContract
from tests.contracts.store_contract import LaneContract, StoreContract


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/bridge.db")
    yield store
    await store.close()


class TestStore(StoreContract):
    """The units."""


class TestLanes(LaneContract):
    """The lanes."""


class TestSharing(SharingContract):
    """What processes share."""
