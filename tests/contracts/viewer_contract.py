"""What every `ports.Viewer` promises the feed that shows on it. A subclass gives the fixture `pane`."""

import asyncio
from typing import Protocol

import pytest

from bridge.conversation import Audience, Author, Entry, EntryKind, Role, Stream
from bridge.ids import Millis, TurnId
from bridge.ports import Shown, Viewer
from tests.contracts.feed_contract import WITHIN_S, becomes


class Pane(Protocol):
    """An open window."""

    @property
    def viewer(self) -> Viewer: ...

    def texts(self) -> list[str]:
        """Return the texts of the lines on it, in the order in which they came."""
        ...

    async def leave(self) -> None:
        """The customer closes the page."""
        ...


def line(n: int, text: str) -> Entry:
    return Entry(
        n=n,
        kind=EntryKind.LINE,
        author=Author(role=Role.AGENT, id="agent", name="Ava"),
        audience=Audience.EVERYONE,
        at=Millis(1_700_000_000_000 + n),
        epoch=1,
        text=text,
    )


class ViewerContract:
    """Showing in order, ending."""

    async def test_entries_are_shown_in_order(self, pane: Pane) -> None:
        """Within a call and from call to call."""
        await pane.viewer.show(Shown(entries=(line(1, "one"), line(2, "two")), epoch=1))
        await pane.viewer.show(Shown(entries=(line(3, "three"),), epoch=1))
        await becomes(lambda: len(pane.texts()) >= 3)

        assert pane.texts() == ["one", "two", "three"]

    async def test_nothing_to_show_is_no_error(self, pane: Pane) -> None:
        """No entries, streams without text, hints that somebody types: the window goes on."""
        await pane.viewer.show(Shown())
        await pane.viewer.show(Shown(streams=(Stream(turn=TurnId("t1"), attempt=1, seq=1, text=""),), epoch=1))
        await pane.viewer.typing("Dana")
        await pane.viewer.show(Shown(entries=(line(1, "one"),), epoch=1))
        await becomes(lambda: pane.texts() == ["one"])

    async def test_a_window_that_is_gone_says_so(self, pane: Pane) -> None:
        """Showing raises ConnectionError soon after the page was closed, so that the feed ends; a hint never does."""
        await pane.viewer.show(Shown(entries=(line(1, "one"),), epoch=1))
        await pane.leave()

        async def show_on() -> None:
            for n in range(2, 10_000):
                await pane.viewer.show(Shown(entries=(line(n, "more"),), epoch=1))
                await asyncio.sleep(0.005)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(show_on(), WITHIN_S)
        await pane.viewer.typing("Dana")
