"""Read-only answers for adapters: what a picker lists, what a modal shows."""

from collections.abc import Sequence

from bridge.conversation import Conversation, Handoff
from bridge.ids import ConversationId, DeskName, HandoffId, OperatorId, RemoteRef, SiteId, Ticket
from bridge.routing import Directory
from bridge.storage import Store

ALL = 1_000_000
"""More than can be open at once: threads that are to be read again must not be left out."""


class StoreLookup:
    """Implements `ports.Lookup` on the store."""

    def __init__(self, store: Store, directory: Directory) -> None:
        """Take the store and the queues."""
        self._store = store
        self._directory = directory

    async def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        """Return it."""
        return await self._store.read(lambda tx: tx.handoff(site, handoff))

    async def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        """Return it."""
        return await self._store.read(lambda tx: tx.handoff_by_ticket(site, ticket))

    async def handoff_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> Handoff | None:
        """Return the handoff whose thread has this root."""
        found = await self._store.read(lambda tx: tx.handoff_at(site, desk, root))
        return found[0] if found else None

    async def open_handoffs(self, site: SiteId, operator: OperatorId | None = None) -> list[Handoff]:
        """Return all open handoffs, oldest first."""
        return await self._store.read(lambda tx: tx.open_handoffs(site, operator=operator, limit=ALL))

    async def conversation(self, site: SiteId, conversation: ConversationId) -> Conversation | None:
        """Return it."""
        return await self._store.read(lambda tx: tx.conversation(site, conversation, lock=False))

    def queues(self) -> Sequence[tuple[str, str]]:
        """Return (name, label) of every queue."""
        return [(queue.name, queue.label) for queue in self._directory.queues]
