"""What a customer's screen shows, told with windows that remember what they got."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from bridge.conversation import Audience, EntryKind
from bridge.errors import StoreUnavailable
from bridge.fakes.desk import FakeDesk
from bridge.ids import ConversationId, SiteId
from bridge.ports import Shown
from bridge.showing import PAGE, Showing
from bridge.storage import Changed, Store, Tx
from tests.bridge.stories import BEN, C1, CUSTOMER, DESK, SITE, Story, a_file

T = TypeVar("T")
CANARY = "canary-7f3a"
WITHIN_S = 30


class Window:
    """A viewer. It takes what it is shown when `open` is set, and breaks when it is `broken`."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken: Exception | None = None
        self.busy = 0
        self.names: list[str] = []

    async def show(self, shown: Shown) -> None:
        self.busy += 1
        assert self.busy == 1, "shown by two tasks at a time"
        await self.open.wait()
        self.busy -= 1
        if self.broken is not None:
            raise self.broken
        self.shown.append(shown)

    async def typing(self, name: str) -> None:
        self.names.append(name)

    @property
    def ns(self) -> list[int]:
        return [entry.n for shown in self.shown for entry in shown.entries]

    @property
    def texts(self) -> list[str]:
        return [entry.text for shown in self.shown for entry in shown.entries if entry.kind is EntryKind.LINE]

    @property
    def streams(self) -> list[str]:
        return [stream.text for shown in self.shown for stream in shown.streams]


class Screen:
    """A story, and the windows that are open on it."""

    def __init__(self, store: Store) -> None:
        self.story = Story(store=store)
        self.showing = Showing(store=store, clock=self.story.clock)
        self.tasks: list[asyncio.Task[None]] = []

    def open(self, after_n: int = 0, window: Window | None = None) -> Window:
        window = window or Window()
        watching = self.showing.watch(SITE, C1, after_n, window)
        self.tasks.append(asyncio.create_task(watching))
        return window

    async def look(self) -> None:
        """Read once, as after a hint, and let the windows show it."""
        await asyncio.sleep(0)
        self.showing.changed(Changed(site=SITE, conversation=C1))
        await self.showing.step()
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def screen(store: Store) -> AsyncIterator[Screen]:
    """A conversation with one line."""
    made = Screen(store)
    await made.story.says("one")
    yield made
    await made.close()


async def test_a_window_shows_everything_once_and_in_order(screen: Screen) -> None:
    """What was there and what comes is shown by ascending n, nothing twice, however often one looks."""
    window = screen.open()
    await screen.look()
    await screen.look()
    await screen.story.agent_says("two")
    await screen.story.says("three")
    await screen.look()
    await screen.look()

    assert window.texts == ["one", "two", "three"]
    assert window.ns == [1, 2, 3]


async def test_a_window_that_comes_back_goes_on_at_its_watermark(screen: Screen) -> None:
    """Edits, deletions and retractions made while it was away are replayed: they have numbers like lines."""
    story = screen.story
    await story.escalates()
    await story.card_arrives()
    await story.takes()
    remote = await story.types("It costs 5 euros")
    other = await story.types("bye")
    seen = (await story.row()).next_n - 1
    await story.edits(remote, "It costs 6 euros")
    await story.deletes(other)

    window = screen.open(after_n=seen)
    await screen.look()

    kinds = [(e.kind, e.text) for shown in window.shown for e in shown.entries]
    assert kinds == [(EntryKind.EDIT, "It costs 6 euros"), (EntryKind.DELETE, "")]


async def test_a_late_joiner_and_an_early_one_see_the_same(screen: Screen) -> None:
    """Two tabs end up alike, whenever they were opened."""
    first = screen.open()
    await screen.look()
    await screen.story.agent_says("two")
    await screen.look()
    second = screen.open()
    await screen.look()
    await screen.story.says("three")
    await screen.look()

    assert first.texts == second.texts == ["one", "two", "three"]


async def test_the_log_is_shown_whole_however_long_it_is(screen: Screen) -> None:
    """More than a page is read page by page; a window far behind does not keep others from what is new."""
    screen.story.step_ms = 1
    for number in range(2 * PAGE + 20):
        await screen.story.says(str(number))
    late = screen.open()
    row = await screen.story.row()
    up_to_date = screen.open(after_n=row.next_n - 1)
    await screen.story.says("new")
    for _ in range(5):
        await screen.look()

    assert len(late.texts) == 2 * PAGE + 22
    assert late.ns == sorted(set(late.ns))
    assert up_to_date.texts == ["new"]


async def test_streams_are_cumulative_and_end_with_their_line(screen: Screen) -> None:
    """Each look shows the text so far, never the same twice; the line that completes it names the turn."""
    window = screen.open()
    run = await screen.story.run()
    for text in ("I", "I think", "I think so"):
        await screen.story.agent_streams(text)
        await screen.look()
        await screen.look()
    await screen.story.agent_says("I think so.")
    await screen.look()

    assert window.streams == ["I", "I think", "I think so"]
    last = window.shown[-1]
    assert (last.entries[0].text, last.entries[0].turn, last.streams) == ("I think so.", run["turn"], ())


async def test_a_window_that_opens_in_the_middle_of_a_stream_sees_it(screen: Screen) -> None:
    """What is being written is part of what stands there."""
    await screen.story.agent_streams("I think")
    window = screen.open()
    await screen.look()

    assert window.streams == ["I think"]


async def test_a_takeover_retracts_what_was_half_written(screen: Screen) -> None:
    """The window is told to take the stream back, and never sees more of it."""
    window = screen.open()
    run = await screen.story.run()
    await screen.story.agent_streams("You should su")
    await screen.look()
    await screen.story.escalates()
    await screen.story.agent_streams("You should sue", run=run)
    await screen.story.agent_says("You should sue", run=run)
    await screen.look()

    assert window.streams == ["You should su"]
    retracted = [e.turn for shown in window.shown for e in shown.entries if e.kind is EntryKind.RETRACTION]
    assert retracted == [run["turn"]]
    assert "You should sue" not in window.texts


async def test_nothing_internal_is_ever_shown(screen: Screen) -> None:
    """A canary in every field that only operators or the agent may know appears on no screen, live or replayed."""
    story, window = screen.story, screen.open()
    await story.agent_acts(collected={"secret": CANARY}, tool="t", arguments={"x": CANARY})
    run = await story.run()
    await story.agent_escalates(
        summary=CANARY,
        question=CANARY,
        reason_detail=CANARY,
        intent=CANARY,
        collected={"k": CANARY},
        metadata={"k": CANARY},
        suggested_replies=(CANARY,),
    )
    await story.agent_says(CANARY, run=run)
    await story.card_arrives()
    await story.types(f"before the take {CANARY}")
    await story.takes()
    await story.types(f"// {CANARY}", files=(a_file(CANARY),))
    await story.types(f"colleague {CANARY}", BEN)
    await story.escalates("e9", summary=CANARY)
    await story.rehearses(note=CANARY)
    turn = await story.store.run(lambda tx: tx.claim_turn("w", story.clock.now(), 1000))
    assert turn is not None
    fence = {"conversation": C1, "turn": turn.id, "epoch": turn.epoch, "attempt": turn.attempt}
    await story.agent_says(CANARY, run=fence)
    await story.transfers(to_queue="billing", note=CANARY)
    await story.card_arrives()
    await story.takes()
    await story.returns(note=CANARY, facts=(CANARY,), promises=(CANARY,), do_not_repeat=(CANARY,))
    await screen.look()
    replay = await screen.showing.read(SITE, C1, 0)

    assert len(window.ns) > 5
    assert replay is not None
    assert CANARY in repr(await story.log())
    assert CANARY not in repr(window.shown)
    assert CANARY not in repr(replay)
    assert {e.audience for e in replay.entries} <= {Audience.EVERYONE, Audience.CUSTOMER}


async def test_a_slow_window_holds_up_no_other(screen: Screen) -> None:
    """One that does not take what it is shown waits alone and gets everything in the end; little waits in memory."""
    slow, quick = screen.open(), screen.open()
    slow.open.clear()
    await screen.look()
    screen.story.step_ms = 1
    for number in range(PAGE + 100):
        await screen.story.says(str(number))
    for _ in range(4):
        await screen.look()
    assert len(quick.texts) == PAGE + 101
    assert slow.texts == []
    laid_out = max(len(window.entries) for windows in screen.showing._windows.values() for window in windows)
    assert laid_out <= 2 * PAGE

    slow.open.set()
    for _ in range(6):
        await screen.look()

    assert slow.texts == quick.texts


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), RuntimeError("closing")])
async def test_a_window_that_is_gone_ends_its_feed_only(screen: Screen, error: Exception) -> None:
    """The feed returns to its adapter, and the others go on."""
    gone, other = screen.open(), screen.open()
    gone.broken = error
    await screen.look()
    await asyncio.wait_for(screen.tasks[0], WITHIN_S)
    await screen.story.says("two")
    await screen.look()

    assert other.texts == ["one", "two"]
    assert len(screen.showing._windows) == 1


async def test_closed_windows_leave_nothing_behind(screen: Screen) -> None:
    """A cancelled feed is forgotten."""
    screen.open()
    await screen.look()
    await screen.close()

    assert not screen.showing._windows


async def test_conversations_are_kept_apart(screen: Screen) -> None:
    """A window sees its own conversation and no other."""
    story = screen.story
    other = Story(store=story.store, clock=story.clock, conversation=ConversationId("c2"), mint=story.mint)
    await other.says("of another customer")
    window = screen.open()
    await screen.look()

    assert window.texts == ["one"]
    assert await screen.showing.read(SITE, ConversationId("c3"), 0) is None
    assert await screen.showing.read(SiteId("other-company"), C1, 0) is None


async def test_a_poll_shows_the_same_page_by_page(screen: Screen) -> None:
    """Reading by watermark gives each entry once, at most `limit` at a time, and the open stream."""
    await screen.story.agent_says("two")
    await screen.story.escalates()
    await screen.story.says("three")
    after_n, seen = 0, list[str]()
    while (shown := await screen.showing.read(SITE, C1, after_n, limit=1)) and shown.entries:
        assert len(shown.entries) == 1
        after_n = shown.entries[0].n
        seen += [entry.text for entry in shown.entries if entry.kind is EntryKind.LINE]

    assert seen == ["one", "two", "three"]


async def test_typing_goes_both_ways_as_a_hint(screen: Screen) -> None:
    """The customer's reaches the thread that people own, an operator's reaches the windows; otherwise nobody."""
    desk = FakeDesk(name=DESK)
    screen.showing.desks[DESK] = desk
    window = screen.open()
    await screen.look()
    await screen.showing.typed(SITE, C1)
    assert desk.typed == []
    await screen.story.escalates()
    await screen.showing.typed(SITE, C1)
    assert desk.typed == []
    await screen.story.card_arrives()
    await screen.showing.typed(SITE, C1)
    await screen.showing.typing(SITE, C1, "Dana")
    await screen.showing.typed(SITE, ConversationId("nobody"))

    assert desk.typed == [CUSTOMER.name]
    assert window.names == ["Dana"]


class Flaky:
    """A store that is away for the first reads."""

    def __init__(self, store: Store, error: Exception) -> None:
        self.store, self.error, self.left = store, error, 2

    async def run(self, unit: Callable[[Tx], T]) -> T:
        return await self.store.run(unit)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        if self.left:
            self.left -= 1
            raise self.error
        return await self.store.read(unit)

    async def close(self) -> None:
        await self.store.close()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), LookupError("a bug")])
async def test_the_reader_survives_what_fails_and_stops_when_told(store: Store, error: Exception) -> None:
    """A read that failed is made again; on stop every window is let go, and later ones are turned away."""
    story = Story(store=store)
    await story.says("one")
    showing = Showing(store=Flaky(store, error), clock=story.clock)
    window = Window()
    watch = asyncio.create_task(showing.watch(SITE, C1, 0, window))
    run = asyncio.create_task(showing.run())
    async with asyncio.timeout(WITHIN_S):
        while not window.texts:
            await story.clock.advance(1)
            await asyncio.sleep(0.001)
    await showing.stop()

    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(run, watch)
        await showing.watch(SITE, C1, 0, window)
    assert window.texts == ["one"]


async def test_lost_hints_are_made_good_by_the_sweep(store: Store) -> None:
    """Without any hint a new line is shown within a second or two, however busy others keep the reader."""
    story = Story(store=store)
    await story.says("one")
    showing = Showing(store=store, clock=story.clock)
    window = Window()
    tasks = [asyncio.create_task(showing.watch(SITE, C1, 0, window)), asyncio.create_task(showing.run())]
    busy = Changed(site=SITE, conversation=ConversationId("busy"))
    other = asyncio.create_task(showing.watch(SITE, ConversationId("busy"), 0, Window()))
    async with asyncio.timeout(WITHIN_S):
        while not window.texts:
            showing.changed(busy)
            await asyncio.sleep(0.01)
        await story.says("two")
        while len(window.texts) < 2:
            showing.changed(busy)
            await asyncio.sleep(0.01)
    for task in (*tasks, other):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert window.texts == ["one", "two"]
