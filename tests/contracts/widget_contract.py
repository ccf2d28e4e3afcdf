"""What every widget adapter promises the core and the customer, whatever its protocol.

A test module of the adapter subclasses `WidgetContract` and gives it a `harness` fixture.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from bridge.capabilities import Capabilities, Support
from bridge.conversation import EntryKind, Role
from bridge.events import CustomerOpened, CustomerSaid
from bridge.fakes.widget import FakeFeed, FakeReceive, FakeState
from bridge.ids import ConversationId, TurnId


class Window(Protocol):
    """An open chat page: `shown()` are the texts on it now, top to bottom, empty bubbles left out."""

    def shown(self) -> list[str]: ...


class Visitor(Protocol):
    """A customer. `say` returns whether the server took the line; the same `attempt` is the same POST repeated."""

    @property
    def conversation(self) -> ConversationId: ...

    @property
    def customer(self) -> str: ...

    async def say(self, text: str, attempt: str = "") -> bool: ...

    def window(self, after: Window | None = None) -> AbstractAsyncContextManager[Window]: ...


class Harness(Protocol):
    """A running adapter over the fakes."""

    @property
    def state(self) -> FakeState: ...

    @property
    def receive(self) -> FakeReceive: ...

    @property
    def feed(self) -> FakeFeed: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def widget(self) -> str: ...

    async def visitor(self) -> Visitor: ...


async def becomes(true: Callable[[], bool], *, timeout_s: float = 30) -> None:
    """Wait until it is so; a test that waits in vain fails with TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 -- the condition is on a page, which has no event to wait for
            await asyncio.sleep(0.005)


class WidgetContract:
    """The suite."""

    @pytest.fixture
    async def visitor(self, harness: Harness) -> Visitor:
        return await harness.visitor()

    async def test_opening_the_chat_reaches_the_core(self, harness: Harness, visitor: Visitor) -> None:
        """Opening a chat makes the conversation, so that the agent can greet before anything was said."""
        async with visitor.window():
            await becomes(lambda: visitor.conversation in harness.state.logs)

        opened = [event for event in harness.receive.events if isinstance(event, CustomerOpened)]
        assert opened[0].widget == harness.widget
        assert opened[0].customer.id == visitor.customer

    async def test_a_line_reaches_the_core_as_it_was_typed(self, harness: Harness, visitor: Visitor) -> None:
        """What a customer types arrives character by character, with who it is by."""
        typed = "Grüße 👩‍👩‍👧 <!channel> *not bold* \u202e & <b>x</b>\n\nsecond paragraph  "
        assert await visitor.say(typed)

        said = [event for event in harness.receive.events if isinstance(event, CustomerSaid)]
        assert [(event.text, event.customer.id, event.conversation) for event in said] == [
            (typed, visitor.customer, visitor.conversation)
        ]

    async def test_a_repeated_post_is_one_line(self, harness: Harness, visitor: Visitor) -> None:
        """The same POST again is recognised by its source id and makes no second line."""
        assert await visitor.say("once", attempt="a1")
        assert await visitor.say("once", attempt="a1")
        assert await visitor.say("once", attempt="a2")

        assert [entry.text for entry in harness.state.logs[visitor.conversation].entries] == ["once", "once"]

    async def test_nothing_is_taken_while_the_store_is_down(self, harness: Harness, visitor: Visitor) -> None:
        """A line that could not be kept is refused, so that the page can say so; later it is taken."""
        harness.receive.down = True
        assert not await visitor.say("hello", attempt="a1")
        harness.receive.down = False
        assert await visitor.say("hello", attempt="a1")

        assert [entry.text for entry in harness.state.logs[visitor.conversation].entries] == ["hello"]

    async def test_every_window_shows_the_log_in_order(self, harness: Harness, visitor: Visitor) -> None:
        """Lines of customer, agent, operator and bridge stand in the order of the log, in all windows."""
        async with visitor.window() as first, visitor.window() as second:
            await visitor.say("one")
            harness.state.say(visitor.conversation, "two", role=Role.AGENT, author="agent")
            harness.state.say(visitor.conversation, "three", role=Role.BRIDGE, kind=EntryKind.NOTICE)
            harness.state.say(visitor.conversation, "four", name="Dana Ruiz")
            await becomes(lambda: len(first.shown()) == 4 and len(second.shown()) == 4)

            assert first.shown() == ["one", "two", "three", "four"]
            assert second.shown() == first.shown()

    async def test_a_window_that_comes_back_has_missed_nothing(self, harness: Harness, visitor: Visitor) -> None:
        """Lines, edits and deletions made while the page was away are there when it returns, each once."""
        if harness.capabilities.edit is not Support.FULL:
            pytest.fail("this widget cannot edit any line: give it a contract of its own for that")
        async with visitor.window() as window:
            await visitor.say("one")
            edited = harness.state.say(visitor.conversation, "two", name="Dana Ruiz")
            deleted = harness.state.say(visitor.conversation, "three", name="Dana Ruiz")
            await becomes(lambda: len(window.shown()) == 3)

        harness.state.say(
            visitor.conversation, "two, corrected", kind=EntryKind.EDIT, target=edited.n, name="Dana Ruiz"
        )
        harness.state.say(visitor.conversation, kind=EntryKind.DELETE, target=deleted.n, name="Dana Ruiz")
        harness.state.say(visitor.conversation, "four", name="Dana Ruiz")

        async with visitor.window(after=window) as again:
            await becomes(lambda: "four" in again.shown())
            assert again.shown() == ["one", "two, corrected", "four"]

    async def test_an_operators_desk_id_stays_inside(self, harness: Harness, visitor: Visitor) -> None:
        """A customer learns an operator's public name, never the id at the desk."""
        async with visitor.window() as window:
            await visitor.say("hello")
            harness.state.say(visitor.conversation, "I am here", name="Dana Ruiz", author="slack:T123:U456")
            await becomes(lambda: len(window.shown()) == 2)

            assert "U456" not in repr(window)

    async def test_a_half_written_answer_disappears_when_it_is_taken_back(
        self, harness: Harness, visitor: Visitor
    ) -> None:
        """After a takeover no word of the agent's unfinished answer stays on the screen."""
        assert harness.capabilities.retract is Support.FULL
        turn = TurnId("turn-1")
        async with visitor.window() as window:
            await visitor.say("refund please")
            for text in ("Your refund", "Your refund of $250 has been app"):
                harness.state.stream(visitor.conversation, turn, text)
                await becomes(lambda text=text: any(text in shown for shown in window.shown()))  # type: ignore[misc]
            harness.state.say(visitor.conversation, kind=EntryKind.RETRACTION, role=Role.BRIDGE, turn=turn)
            harness.state.say(visitor.conversation, "Dana speaking", name="Dana Ruiz")
            await becomes(lambda: "Dana speaking" in window.shown())

            assert window.shown() == ["refund please", "Dana speaking"]

    async def test_a_finished_answer_replaces_its_half_written_form(self, harness: Harness, visitor: Visitor) -> None:
        """A streamed answer ends as one line, not two."""
        turn = TurnId("turn-1")
        async with visitor.window() as window:
            await visitor.say("hello")
            harness.state.stream(visitor.conversation, turn, "It is on")
            await becomes(lambda: any("It is on" in shown for shown in window.shown()))
            harness.state.say(visitor.conversation, "It is on its way.", role=Role.AGENT, author="agent", turn=turn)
            await becomes(lambda: "It is on its way." in window.shown())

            assert window.shown() == ["hello", "It is on its way."]
