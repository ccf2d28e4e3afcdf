"""The core's feed and its fake keep the same contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.conversation import Audience, Conversation, Role
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.fakes.widget import FakeFeed, FakeLog, FakeState
from bridge.ids import ConversationId, SiteId, TurnId
from bridge.ports import Feed
from bridge.showing import Showing
from bridge.storage import Changed
from tests.bridge.stories import C1, CUSTOMER, SITE, Story
from tests.contracts.feed_contract import FeedContract, RecordingViewer, Wall
from tests.contracts.viewer_contract import ViewerContract


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


class Recorded:
    """The window that suites show on."""

    def __init__(self) -> None:
        self.viewer = RecordingViewer()

    def texts(self) -> list[str]:
        return self.viewer.texts

    async def leave(self) -> None:
        self.viewer.broken = True


class TestRecordingViewer(ViewerContract):
    """`feed_contract.RecordingViewer`."""

    @pytest.fixture
    def pane(self) -> Recorded:
        """An open one."""
        return Recorded()
