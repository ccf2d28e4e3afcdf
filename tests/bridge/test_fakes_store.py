"""The store in memory keeps the promises of the real ones."""

from collections.abc import AsyncIterator

import pytest

from bridge.errors import StoreUnavailable
from bridge.fakes.store import MemoryStore
from bridge.storage import Store, Tx
from tests.contracts.sharing_contract import SharingContract
from tests.contracts.store_contract import LaneContract, StoreContract
from tests.contracts.store_samples import SITE


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = MemoryStore()
    yield store
    await store.close()


class TestStore(StoreContract):
    """The units."""


class TestLanes(LaneContract):
    """The lanes."""


class TestSharing(SharingContract):
    """What processes share."""


async def test_failures_can_be_ordered() -> None:
    """A store that was told to fail undoes so many units, then works again."""
    store = MemoryStore()
    store.fail_next(2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.run(lambda tx: tx.take_ticket(SITE))

    assert await store.run(lambda tx: tx.take_ticket(SITE)) == "H-1001"
    assert store.commits == 1


async def test_a_kept_tx_is_refused() -> None:
    """Who writes through a Tx after its unit returned learns of the mistake."""
    store = MemoryStore()
    kept: list[Tx] = []
    await store.run(kept.append)

    with pytest.raises(RuntimeError, match="must not be kept"):
        kept[0].take_ticket(SITE)
