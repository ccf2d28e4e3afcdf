"""The stores on which stories are told."""

from collections.abc import AsyncIterator

import pytest

from adapters.store.opening import open_store
from bridge.fakes.store import MemoryStore
from bridge.storage import Store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Each in turn: what a story promises holds on every store."""
    opened: Store = MemoryStore() if request.param == "memory" else await open_store("sqlite+memory://")
    yield opened
    await opened.close()
