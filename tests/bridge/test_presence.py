"""Whether a customer has the chat on the screen, and that the card is told: with windows, polls, other processes."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from bridge.conversation import Conversation, State
from bridge.ids import ConversationId, HandoffId
from bridge.presence import BEAT_S, Attendance, PresenceWatch
from bridge.sharing import AWAY, HERE, PRESENCE_MS
from bridge.storage import Store
from tests.bridge.stories import C1, CUSTOMER, SITE, Story

KEY = (SITE, C1)


def row(state: State = State.HUMAN, handoff: str = "h1") -> Conversation:
    """Return a conversation that people have, or had."""
    return Conversation(
        site=SITE, id=C1, widget="w", customer=CUSTOMER, state=state, handoff=HandoffId(handoff) if handoff else None
    )


def present(attendance: Attendance) -> list[str]:
    """Return the handoffs whose customers are here."""
    return list(attendance.present().get(SITE, []))


@pytest.mark.parametrize("state", list(State))
def test_only_chats_that_people_have_count(state: State) -> None:
    """Ten thousand chats with the agent cost nothing; one that waits for a person, or has one, is known."""
    attendance = Attendance()
    attendance.saw(row(state), stays=True)

    assert present(attendance) == (["h1"] if state in (State.WAITING, State.HUMAN) else [])
    assert attendance.arrived.is_set() == (state in (State.WAITING, State.HUMAN))


def test_a_window_counts_until_it_is_gone() -> None:
    """However long it is idle; with the return it counts no more, and with the next handoff for that one."""
    attendance = Attendance()
    attendance.saw(row(), stays=True)
    assert [present(attendance) for _ in range(3)] == [["h1"]] * 3
    attendance.arrived.clear()
    attendance.saw(row(), stays=True)
    assert not attendance.arrived.is_set()

    attendance.saw(row(State.AGENT), stays=True)
    assert present(attendance) == []
    attendance.saw(row(handoff="h2"), stays=True)
    assert present(attendance) == ["h2"]
    assert attendance.arrived.is_set()
    attendance.left(KEY)
    assert present(attendance) == []


def test_who_polls_counts_as_long_as_they_poll() -> None:
    """One that did not poll between two looks is gone; a window that opens meanwhile stays."""
    attendance = Attendance()
    attendance.saw(row(), stays=False)
    assert present(attendance) == ["h1"]
    attendance.saw(row(), stays=False)
    assert present(attendance) == ["h1"]
    assert present(attendance) == []
    attendance.saw(row(), stays=False)
    attendance.saw(row(), stays=True)
    assert [present(attendance) for _ in range(3)] == [["h1"]] * 3


class Desk:
    """A story with people in it, and what the process that shows it knows."""

    def __init__(self, story: Story) -> None:
        self.story, self.attendance = story, Attendance()
        self.watch = self.another()

    def another(self) -> PresenceWatch:
        """Return what another process, or this one after a crash, does; it shows nothing yet."""
        story = self.story
        return PresenceWatch(
            attendance=self.attendance, store=story.store, clock=story.clock, receive=story.door.receive
        )

    async def looks(self) -> None:
        """Let the customer's page be open."""
        self.attendance.saw(await self.story.row(), stays=True)

    async def beat(self, seconds: float = BEAT_S) -> None:
        """Let time pass, and look once."""
        await self.story.clock.advance(seconds)
        await self.watch.step()

    async def told(self) -> str:
        """Return what the card was told last."""
        handoff = (await self.story.row()).handoff
        assert handoff is not None
        found = await self.story.look(lambda tx: tx.presences(SITE, [handoff]))
        return found[handoff].told if handoff in found else ""

    async def cards(self) -> int:
        """Return how often the card was to be shown."""
        counts = await self.story.look(lambda tx: tx.counts(self.story.clock.now()))
        return counts["unsent_cosmetic"]


@pytest.fixture
async def desk(store: Store) -> Desk:
    """A conversation that somebody has."""
    story = Story(store=store)
    await story.says("help")
    await story.escalates()
    await story.card_arrives()
    await story.takes()
    return Desk(story)


async def test_the_card_is_told_who_is_there_once(desk: Desk) -> None:
    """It is shown anew when the customer is seen, not with each look after that."""
    before = await desk.cards()
    await desk.beat()
    assert await desk.told() == ""
    await desk.looks()
    for _ in range(5):
        await desk.beat()

    assert await desk.told() == HERE
    assert await desk.cards() == before + 1


async def test_who_leaves_is_away_after_a_while_and_back_at_once(desk: Desk) -> None:
    """A page that is loaded anew is no absence; half a minute is, and the return shows at the next look."""
    await desk.looks()
    await desk.beat()
    await desk.beat(PRESENCE_MS / 1000)
    shown = await desk.cards()
    desk.attendance.left(KEY)
    await desk.beat(PRESENCE_MS / 1000 - 1)
    assert (await desk.told(), await desk.cards()) == (HERE, shown)
    await desk.beat(2)
    assert (await desk.told(), await desk.cards()) == (AWAY, shown + 1)
    await desk.beat()
    assert await desk.cards() == shown + 1

    await desk.looks()
    await desk.beat()
    assert (await desk.told(), await desk.cards()) == (HERE, shown + 2)
    desk.attendance.left(KEY)
    await desk.beat(PRESENCE_MS / 1000 + 1)
    assert (await desk.told(), await desk.cards()) == (AWAY, shown + 3)


async def test_a_process_that_starts_gives_pages_time_to_come_back(desk: Desk) -> None:
    """After a crash nobody is away at once, nor for ever here: another process, or this one, finds out."""
    await desk.looks()
    await desk.beat()
    desk.attendance.left(KEY)
    await desk.story.clock.advance(PRESENCE_MS / 1000 + 1)
    desk.watch = desk.another()
    await desk.watch.step()
    assert await desk.told() == HERE
    await desk.beat(PRESENCE_MS / 1000)
    assert await desk.told() == AWAY


async def test_another_process_that_shows_it_keeps_it_here(desk: Desk) -> None:
    """Two windows in two processes: the one that closes says nothing against the other."""
    await desk.looks()
    await desk.beat()
    elsewhere = Desk(desk.story)
    await elsewhere.looks()
    shown = await desk.cards()
    desk.attendance.left(KEY)
    for _ in range(6):
        await desk.beat()
        await elsewhere.watch.step()

    assert (await desk.told(), await desk.cards()) == (HERE, shown)


async def test_many_at_once_are_told_at_the_pace_of_a_desk(desk: Desk) -> None:
    """When five hundred pages come back after an outage, no backlog of cards arises; each is told in the end."""
    handoffs = [HandoffId(f"h-{number}") for number in range(500)]
    for number, handoff in enumerate(handoffs):
        stray = replace(row(handoff=handoff), id=ConversationId(f"c-{number}"))
        desk.attendance.saw(stray, stays=True)

    async def told() -> int:
        found = await desk.story.look(lambda tx: tx.presences(SITE, handoffs))
        return sum(one.told == HERE for one in found.values())

    numbers = []
    for _ in range(7):
        await desk.beat()
        numbers.append(await told())
    assert numbers[0] == 10
    assert all(6 <= after - before <= 7 for before, after in itertools.pairwise(numbers))
    for _ in range(70):
        await desk.beat()
    assert await told() == 500


async def test_a_handoff_that_ended_is_told_nothing(desk: Desk) -> None:
    """The card of a returned conversation is left alone, and is asked about no more."""
    await desk.looks()
    await desk.beat(PRESENCE_MS / 1000)
    await desk.story.returns()
    shown = await desk.cards()
    desk.attendance.left(KEY)
    for _ in range(5):
        await desk.beat(PRESENCE_MS / 1000)

    assert await desk.cards() == shown
    assert await desk.story.look(lambda tx: list(tx.lapsed_presences(desk.story.clock.now()))) == []


async def test_a_handoff_that_nobody_knows_stops_nothing(desk: Desk) -> None:
    """One that is gone from the store is noted like any other, and the next ones are told."""
    stray = replace(row(handoff="h-gone"), id=ConversationId("c-gone"))
    desk.attendance.saw(stray, stays=True)
    await desk.looks()
    await desk.beat()

    assert await desk.told() == HERE
    shown = await desk.cards()
    await desk.beat()
    assert await desk.cards() == shown


async def test_it_looks_soon_when_somebody_comes_and_ends_when_told(desk: Desk) -> None:
    """Whoever opens the page waits a second at most for that, not for the next beat; a stop does not either."""
    run = asyncio.create_task(desk.watch.run())
    await asyncio.sleep(0)
    await desk.looks()
    async with asyncio.timeout(BEAT_S / 2):
        while await desk.told() != HERE:
            await desk.story.clock.advance(0.1)
        await desk.watch.stop()
        while not run.done():
            await desk.story.clock.advance(0.1)
    await run
