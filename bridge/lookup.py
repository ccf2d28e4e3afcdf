"""Read-only answers for adapters: what a picker lists, what a modal shows."""

from collections.abc import Sequence

from bridge.briefing import Card
from bridge.conversation import Conversation, Handoff
from bridge.ids import ConversationId, DeskName, HandoffId, OperatorId, RemoteRef, SiteId, Ticket
from bridge.parcels import card_of
from bridge.ports import Clock
from bridge.routing import Directory
from bridge.storage import Store, Tx

ALL = 1_000_000
"""More than can be open at once: threads that are to be read again must not be left out."""


class StoreLookup:
    """Implements `ports.Lookup` on the store."""

    def __init__(self, store: Store, directory: Directory, clock: Clock) -> None:
        """Take the store, the queues and the time."""
        self._store, self._clock = store, clock
        self._directory = directory

    async def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        """Return it."""
        return await self._store.read(lambda tx: tx.handoff(site, handoff))

    async def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        """Return it."""
        return await self._store.read(lambda tx: tx.handoff_by_ticket(site, ticket))

    async def handoff_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> Handoff | None:
        """Return the handoff whose thread has this root."""

        def unit(tx: Tx) -> Handoff | None:
            place = tx.thread_at(site, desk, root)
            return tx.handoff(site, place.handoff) if place else None

        return await self._store.read(unit)

    async def open_handoffs(self, site: SiteId, operator: OperatorId | None = None) -> list[Handoff]:
        """Return all open handoffs, oldest first."""
        return await self._store.read(lambda tx: tx.open_handoffs(site, operator=operator, limit=ALL))

    async def conversation(self, site: SiteId, conversation: ConversationId) -> Conversation | None:
        """Return it."""
        return await self._store.read(lambda tx: tx.conversation(site, conversation, lock=False))

    async def card(self, site: SiteId, handoff: HandoffId) -> Card | None:
        """Return the card of a handoff as it stands now."""
        now = self._clock.now()

        def unit(tx: Tx) -> Card | None:
            found = tx.handoff(site, handoff)
            conversation = tx.conversation(site, found.conversation, lock=False) if found else None
            if found is None or conversation is None:
                return None
            queue = self._directory.queue(found.queue)
            label = queue.label if queue else found.queue
            return card_of(tx, found, conversation, label, now)

        return await self._store.read(unit)

    def queues(self) -> Sequence[tuple[str, str]]:
        """Return (name, label) of every queue."""
        return [(queue.name, queue.label) for queue in self._directory.queues]
