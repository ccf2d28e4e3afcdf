"""What every `ports.Lookup` promises the adapters that ask. A subclass gives the fixture `archive`."""

from collections.abc import Sequence
from typing import Protocol

from bridge.conversation import OPEN_STATES, Conversation, Handoff
from bridge.ids import ConversationId, DeskName, HandoffId, OperatorId, RemoteRef, SiteId, Ticket
from bridge.ports import Lookup

ELSEWHERE = SiteId("other-company")


class Archive(Protocol):
    """What is known of `site`: its conversations, handoffs and queues."""

    site: SiteId
    desk: DeskName
    operator: OperatorId
    """Owns exactly one of the open handoffs."""
    queues: Sequence[tuple[str, str]]

    @property
    def lookup(self) -> Lookup: ...

    async def handoffs(self) -> list[Handoff]:
        """Return all there are, oldest first: at least two open ones and one that has ended, each with its thread."""
        ...

    async def conversations(self) -> list[Conversation]:
        """Return all there are."""
        ...


class LookupContract:
    """Found by what names them; nothing of others."""

    async def test_a_handoff_is_found_by_each_of_its_names(self, archive: Archive) -> None:
        """By id, ticket and thread: the same one, as it stands now, whether open or ended."""
        for handoff in await archive.handoffs():
            assert handoff.thread.root is not None
            assert await archive.lookup.handoff(archive.site, handoff.id) == handoff
            assert await archive.lookup.handoff_by_ticket(archive.site, handoff.ticket) == handoff
            assert await archive.lookup.handoff_at(archive.site, archive.desk, handoff.thread.root) == handoff

    async def test_the_open_ones_are_listed_oldest_first(self, archive: Archive) -> None:
        """All of them, none that has ended."""
        handoffs = await archive.handoffs()
        open_now = [handoff for handoff in handoffs if handoff.state in OPEN_STATES]

        assert len(open_now) >= 2
        assert len(open_now) < len(handoffs)
        assert await archive.lookup.open_handoffs(archive.site) == open_now

    async def test_the_open_ones_of_one_operator(self, archive: Archive) -> None:
        """What this person owns now, and not what others own or nobody does; for others, nothing."""
        mine = [
            handoff
            for handoff in await archive.handoffs()
            if handoff.state in OPEN_STATES and handoff.operator is not None and handoff.operator.id == archive.operator
        ]

        assert len(mine) == 1
        assert await archive.lookup.open_handoffs(archive.site, archive.operator) == mine
        assert await archive.lookup.open_handoffs(archive.site, OperatorId("slack:T1:NOBODY")) == []

    async def test_a_conversation_is_found_by_its_id(self, archive: Archive) -> None:
        """The row as it stands now."""
        found = await archive.conversations()

        assert found
        for conversation in found:
            assert await archive.lookup.conversation(archive.site, conversation.id) == conversation

    async def test_a_card_is_that_of_its_handoff(self, archive: Archive) -> None:
        """As the thread shows it: this ticket, this state, the queue by its label."""
        labels = dict(archive.queues)
        for handoff in await archive.handoffs():
            card = await archive.lookup.card(archive.site, handoff.id)

            assert card is not None
            assert (card.handoff, card.ticket, card.state) == (handoff.id, handoff.ticket, handoff.state)
            assert card.queue == labels.get(handoff.queue, handoff.queue)

    async def test_what_is_not_there_is_none(self, archive: Archive) -> None:
        """Unknown names, and names of another kind."""
        lookup, site = archive.lookup, archive.site
        one = (await archive.handoffs())[0]

        assert await lookup.handoff(site, HandoffId("h-none")) is None
        assert await lookup.handoff(site, HandoffId(one.ticket)) is None
        assert await lookup.handoff_by_ticket(site, Ticket("H-1")) is None
        assert await lookup.handoff_at(site, archive.desk, RemoteRef("nowhere")) is None
        assert await lookup.handoff_at(site, DeskName("another desk"), one.thread.root or RemoteRef("")) is None
        assert await lookup.conversation(site, ConversationId("nobody")) is None
        assert await lookup.card(site, HandoffId("h-none")) is None

    async def test_nothing_of_another_company_is_told(self, archive: Archive) -> None:
        """The same names asked for another site name nothing."""
        lookup = archive.lookup
        for handoff in await archive.handoffs():
            assert await lookup.handoff(ELSEWHERE, handoff.id) is None
            assert await lookup.handoff_by_ticket(ELSEWHERE, handoff.ticket) is None
            assert await lookup.handoff_at(ELSEWHERE, archive.desk, handoff.thread.root or RemoteRef("")) is None
            assert await lookup.conversation(ELSEWHERE, handoff.conversation) is None
        assert await lookup.open_handoffs(ELSEWHERE) == []

    async def test_the_queues_are_those_of_the_settings(self, archive: Archive) -> None:
        """Name and label of each, in the order of the settings."""
        assert list(archive.lookup.queues()) == list(archive.queues)
