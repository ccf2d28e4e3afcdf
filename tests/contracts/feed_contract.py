"""What every feed promises the widget adapters: the port `Feed`, as the core and its fake both keep it.

A test module subclasses `FeedContract` and gives it a `wall` fixture.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from bridge.conversation import EntryKind
from bridge.ids import ConversationId, SiteId
from bridge.ports import Feed, Shown

WITHIN_S = 30


class Wall(Protocol):
    """A conversation `site`, `conversation` behind a running feed, and what can be put on it."""

    @property
    def feed(self) -> Feed: ...

    @property
    def site(self) -> SiteId: ...

    @property
    def conversation(self) -> ConversationId: ...

    async def say(self, text: str) -> None:
        """The customer, or somebody whom the customer hears, says this."""
        ...

    async def whisper(self, text: str) -> None:
        """Something is written for colleagues only."""
        ...

    async def stream(self, text: str) -> None:
        """The agent's open stream reads this."""
        ...


class RecordingViewer:
    """A window that remembers; `broken` makes it fail as a closed socket does."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.broken = False

    async def show(self, shown: Shown) -> None:
        if self.broken:
            raise ConnectionResetError
        self.shown.append(shown)

    async def typing(self, name: str) -> None:
        return None

    @property
    def texts(self) -> list[str]:
        return [e.text for shown in self.shown for e in shown.entries if e.kind is EntryKind.LINE]

    @property
    def streams(self) -> list[str]:
        return [stream.text for shown in self.shown for stream in shown.streams]


async def becomes(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():  # noqa: ASYNC110 -- the windows are plain data
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(wall: Wall, after_n: int = 0) -> AsyncIterator[RecordingViewer]:
    viewer = RecordingViewer()
    task = asyncio.create_task(wall.feed.watch(wall.site, wall.conversation, after_n, viewer))
    try:
        yield viewer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class FeedContract:
    """Subclass it, and define the fixture `wall`."""

    async def test_a_window_gets_what_is_there_and_what_comes_once_and_in_order(self, wall: Wall) -> None:
        """From its watermark on, by ascending n, nothing twice."""
        await wall.say("one")
        async with watching(wall) as viewer:
            await becomes(lambda: viewer.texts == ["one"])
            await wall.say("two")
            await wall.say("three")
            await becomes(lambda: len(viewer.texts) >= 3)
        ns = [entry.n for shown in viewer.shown for entry in shown.entries]

        assert viewer.texts == ["one", "two", "three"]
        assert ns == sorted(set(ns))

    async def test_a_window_goes_on_at_its_watermark(self, wall: Wall) -> None:
        """What it has seen is not shown again."""
        await wall.say("one")
        await wall.say("two")
        page = await wall.feed.read(wall.site, wall.conversation, 0)
        assert page is not None
        seen = next(entry.n for entry in page.entries if entry.text == "one")
        async with watching(wall, after_n=seen) as viewer:
            await becomes(lambda: viewer.texts == ["two"])

    async def test_colleagues_words_are_never_shown(self, wall: Wall) -> None:
        """Neither live nor when polled; what follows them is."""
        async with watching(wall) as viewer:
            await wall.whisper("secret")
            await wall.say("one")
            await becomes(lambda: viewer.texts == ["one"])
        page = await wall.feed.read(wall.site, wall.conversation, 0)

        assert page is not None
        assert "secret" not in repr((viewer.shown, page))

    async def test_a_stream_is_shown_as_it_stands(self, wall: Wall) -> None:
        """Cumulative, to those who watch and to those who poll."""
        await wall.stream("I think")
        async with watching(wall) as viewer:
            await becomes(lambda: viewer.streams == ["I think"])
            await wall.stream("I think so")
            await becomes(lambda: viewer.streams[-1] == "I think so")
        page = await wall.feed.read(wall.site, wall.conversation, 0)

        assert page is not None
        assert [stream.text for stream in page.streams] == ["I think so"]

    async def test_a_window_that_is_gone_ends_its_feed(self, wall: Wall) -> None:
        """`watch` returns, and another window is not disturbed."""
        gone = RecordingViewer()
        task = asyncio.create_task(wall.feed.watch(wall.site, wall.conversation, 0, gone))
        async with watching(wall) as other:
            await wall.say("one")
            await becomes(lambda: bool(gone.texts and other.texts))
            gone.broken = True
            await wall.say("two")
            await asyncio.wait_for(task, WITHIN_S)
            await becomes(lambda: other.texts == ["one", "two"])

    async def test_what_is_attached_is_shown_until_it_is_detached(self, wall: Wall) -> None:
        """Detaching twice does no harm, nothing is shown after it, and nobody is told that it ended."""
        viewer, ends = RecordingViewer(), list[Exception | None]()
        detach = wall.feed.attach(wall.site, wall.conversation, 0, viewer, ends.append)
        async with watching(wall) as other:
            await wall.say("one")
            await becomes(lambda: bool(viewer.texts and other.texts))
            detach()
            detach()
            await wall.say("two")
            await becomes(lambda: other.texts == ["one", "two"])

        assert viewer.texts == ["one"]
        assert ends == []

    async def test_what_is_attached_tells_once_that_its_viewer_is_gone(self, wall: Wall) -> None:
        """Without an error: a viewer may leave."""
        viewer, ends = RecordingViewer(), list[Exception | None]()
        viewer.broken = True
        detach = wall.feed.attach(wall.site, wall.conversation, 0, viewer, ends.append)
        await wall.say("one")
        await becomes(lambda: bool(ends))
        detach()

        assert ends == [None]

    async def test_a_poll_reads_page_by_page(self, wall: Wall) -> None:
        """At most `limit` at a time; an unknown conversation is None."""
        for text in ("one", "two", "three"):
            await wall.say(text)
        page = await wall.feed.read(wall.site, wall.conversation, 0, limit=2)
        assert page is not None
        rest = await wall.feed.read(wall.site, wall.conversation, page.entries[-1].n, limit=2)
        assert rest is not None

        assert [entry.text for entry in (*page.entries, *rest.entries)] == ["one", "two", "three"]
        assert await wall.feed.read(wall.site, ConversationId("nobody"), 0) is None
        await wall.feed.typed(wall.site, wall.conversation)
