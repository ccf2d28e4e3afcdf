"""The core's feed and its fake keep the same contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.conversation import Audience, Conversation, Role
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.fakes.widget import FakeFeed, FakeLog, FakeState
from bridge.ids import ConversationId, SiteId, TurnId
from bridge.lookup import StoreLookup
from bridge.ports import Changed, Feed, Store
from bridge.showing import Showing
from tests.bridge.stories import C1, CUSTOMER, DANA, DESK, SITE, Story
from tests.contracts.feed_contract import FeedContract, Wall


class Told:
    """The real feed behind a story."""

    site: SiteId = SITE
    conversation: ConversationId = C1

    def __init__(self, story: Story) -> None:
        self.story = story
        self.showing = Showing(store=story.store, clock=story.clock)
        self.feed: Feed = self.showing

    async def say(self, text: str) -> None:
        await self.story.says(text)
        self._hint()

    async def whisper(self, text: str) -> None:
        """By way of a run that comes too late: such words are kept and not shown."""
        run = {"conversation": C1, "turn": TurnId("t0"), "epoch": 0, "attempt": 1}
        await self.story.agent_says(text, run=run)
        self._hint()

    async def stream(self, text: str) -> None:
        await self.story.agent_streams(text)
        self._hint()

    def _hint(self) -> None:
        self.showing.changed(Changed(site=SITE, conversation=C1))


class TestShowing(FeedContract):
    """`showing.Showing` on the memory store."""

    @pytest.fixture
    async def wall(self) -> AsyncIterator[Wall]:
        """A running reader."""
        story = Story(store=MemoryStore())
        await story.opens()
        told = Told(story)
        task = asyncio.create_task(told.showing.run())
        yield told
        await told.showing.stop()
        await asyncio.wait_for(task, 5)


class Faked:
    """The fake feed."""

    site: SiteId = SITE
    conversation: ConversationId = C1

    def __init__(self) -> None:
        row = Conversation(site=SITE, id=C1, widget="web", customer=CUSTOMER)
        self.state = FakeState(clock=ManualClock(), logs={C1: FakeLog(row=row)})
        self.feed: Feed = FakeFeed(self.state)

    async def say(self, text: str) -> None:
        self.state.say(C1, text, role=Role.CUSTOMER)

    async def whisper(self, text: str) -> None:
        self.state.say(C1, text, audience=Audience.COLLEAGUES)

    async def stream(self, text: str) -> None:
        self.state.stream(C1, TurnId("t1"), text)


class TestFakeFeed(FeedContract):
    """`fakes.widget.FakeFeed`."""

    @pytest.fixture
    def wall(self) -> Wall:
        """A log of its own."""
        return Faked()


async def test_lookups_answer_what_pickers_and_modals_ask(store: Store) -> None:
    """By id, ticket and thread; open ones by operator; nothing of another site."""
    story = Story(store=store)
    lookup = StoreLookup(store, story.house.directory)
    await story.says("help")
    await story.escalates()
    root = await story.card_arrives()
    await story.takes()
    handoff = await story.handoff()

    assert await lookup.handoff(SITE, handoff.id) == handoff
    assert await lookup.handoff_by_ticket(SITE, handoff.ticket) == handoff
    assert await lookup.handoff_at(SITE, DESK, root) == handoff
    assert await lookup.open_handoffs(SITE, DANA.id) == [handoff]
    assert await lookup.conversation(SITE, C1) == await story.row()
    assert lookup.queues()[:2] == [("support", "Support"), ("billing", "Billing")]
    await story.closes()
    assert await lookup.open_handoffs(SITE) == []
    other = SiteId("other-company")
    assert await lookup.handoff(other, handoff.id) is None
    assert await lookup.handoff_by_ticket(other, handoff.ticket) is None
    assert await lookup.handoff_at(other, DESK, root) is None
    assert await lookup.conversation(other, C1) is None
