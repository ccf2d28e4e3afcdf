"""Lookups over a store and over a list keep the same contract."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.conversation import Conversation, Handoff
from bridge.fakes.clock import ManualClock
from bridge.fakes.widget import FakeLog, FakeLookup, FakeState
from bridge.ids import ConversationId, HandoffId, Ticket
from bridge.lookup import StoreLookup
from bridge.ports import Lookup
from bridge.storage import Store
from tests.bridge.stories import BEN, DANA, DESK, SITE, Story
from tests.contracts.lookup_contract import LookupContract


async def told(store: Store) -> Story:
    """Four conversations: one waits, one each is Dana's and Ben's, one was closed."""
    clock = ManualClock()
    story = Story(store=store, clock=clock)
    for name, operator in (("c1", None), ("c2", DANA), ("c3", BEN), ("c4", DANA)):
        story = Story(store=store, clock=clock, conversation=ConversationId(name), mint=story.mint)
        await story.says("help")
        await story.escalates(f"e-{name}", queue="everybody")
        await story.card_arrives()
        if operator is not None:
            await story.takes(operator)
    await story.closes()
    return story


class Archive:
    """What the story left in the store, and a lookup of it."""

    site, desk, operator = SITE, DESK, DANA.id

    def __init__(self, story: Story) -> None:
        self.story = story
        self.queues: Sequence[tuple[str, str]] = [(queue.name, queue.label) for queue in story.house.directory.queues]
        self.lookup: Lookup = StoreLookup(story.store, story.house.directory, story.clock)

    async def handoffs(self) -> list[Handoff]:
        ids = [row.handoff for row in await self.conversations() if row.handoff]
        found = [await self.story.look(lambda tx, one=one: tx.handoff(SITE, one)) for one in ids]  # type: ignore[misc]
        return [handoff for handoff in found if handoff is not None]

    async def conversations(self) -> list[Conversation]:
        names = [ConversationId(f"c{number}") for number in range(1, 5)]
        found = [await self.story.look(lambda tx, c=name: tx.conversation(SITE, c, lock=False)) for name in names]  # type: ignore[misc]
        return [row for row in found if row is not None]


def _like(one: Handoff, number: int) -> Handoff:
    own = ConversationId(f"busy-{number}")
    envelope = one.envelope.model_copy(update={"id": f"env-busy-{number}"})
    handoff, ticket = HandoffId(f"busy-{number}"), Ticket(f"B-{number}")
    thread = replace(one.thread, root=None)
    return replace(one, id=handoff, ticket=ticket, conversation=own, envelope=envelope, thread=thread)


class TestStoreLookup(LookupContract):
    """`lookup.StoreLookup`, on each store."""

    @pytest.fixture
    async def archive(self, store: Store) -> Archive:
        """Told through the front door."""
        return Archive(await told(store))

    async def test_none_of_many_is_left_out(self, archive: Archive) -> None:
        """On a busy day too each open handoff is listed: its thread has to be read after a gap."""
        store, before = archive.story.store, await archive.lookup.open_handoffs(SITE)
        more = [_like(before[0], number) for number in range(250)]
        for one in more:
            await store.run(lambda tx, one=one: tx.insert_handoff(one))  # type: ignore[misc]

        found = {one.id for one in await archive.lookup.open_handoffs(SITE)}
        assert found == {one.id for one in (*before, *more)}


class TestFakeLookup(LookupContract):
    """`fakes.widget.FakeLookup`, given what such a store holds."""

    @pytest.fixture
    async def archive(self, store: Store) -> Archive:
        """The same rows, as a list."""
        archive = Archive(await told(store))
        rows = {row.id: FakeLog(row=row) for row in await archive.conversations()}
        state = FakeState(clock=ManualClock(), logs=rows, handoffs=await archive.handoffs(), queues=archive.queues)
        archive.lookup = FakeLookup(state)
        return archive
