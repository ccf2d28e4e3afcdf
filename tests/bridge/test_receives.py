"""The front door and its fake keep the same contract."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from bridge.conversation import Customer, Entry, EntryKind
from bridge.errors import StoreUnavailable
from bridge.fakes.clock import ManualClock
from bridge.fakes.widget import FakeReceive, FakeState
from bridge.ids import ConversationId
from bridge.storage import Store, Tx
from bridge.switchboard import Switchboard
from tests.bridge.stories import SITE, house
from tests.contracts.receive_contract import ReceiveContract

T = TypeVar("T")


class Brittle:
    """A store that, while `broken`, undoes each unit after it ran, as on a full disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.broken = False

    async def run(self, unit: Callable[[Tx], T]) -> T:
        def undone(tx: Tx) -> T:
            unit(tx)
            raise StoreUnavailable("the disk is full")

        return await self._store.run(undone if self.broken else unit)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self._store.read(unit)

    async def close(self) -> None:
        await self._store.close()


class Real:
    """The switchboard over a store."""

    def __init__(self, store: Store) -> None:
        self.store = Brittle(store)
        self.receive = Switchboard(store=self.store, clock=ManualClock(), house=house()).receive

    async def log(self, conversation: ConversationId) -> list[Entry]:
        found = await self.store.read(lambda tx: tx.entries(SITE, conversation))
        return [entry for entry in found if entry.kind is EntryKind.LINE]

    async def customer(self, conversation: ConversationId) -> Customer | None:
        row = await self.store.read(lambda tx: tx.conversation(SITE, conversation, lock=False))
        return row.customer if row is not None else None

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.store.broken = True
        yield
        self.store.broken = False


class Faked:
    """The fake door over its state."""

    def __init__(self) -> None:
        self.state = FakeState(clock=ManualClock())
        self.receive = FakeReceive(self.state)

    async def log(self, conversation: ConversationId) -> list[Entry]:
        log = self.state.logs.get(conversation)
        return list(log.entries) if log is not None else []

    async def customer(self, conversation: ConversationId) -> Customer | None:
        log = self.state.logs.get(conversation)
        return log.row.customer if log is not None else None

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.receive.down = True
        yield
        self.receive.down = False


class TestSwitchboard(ReceiveContract):
    """`switchboard.Switchboard`, on each store."""

    @pytest.fixture
    def front(self, store: Store) -> Real:
        """A house as in stories."""
        return Real(store)


class TestFakeReceive(ReceiveContract):
    """`fakes.widget.FakeReceive`."""

    @pytest.fixture
    def front(self) -> Faked:
        """A state of its own."""
        return Faked()
