"""What happens when nobody answers, told by a clock that moves only when it is told to."""

from typing import Any

import pytest

from bridge.conversation import HandoffState, State, TurnKind
from bridge.effects import Receipt
from bridge.errors import StoreUnavailable
from bridge.events import Event, RungDue
from bridge.fakes.store import MemoryStore
from bridge.ids import HandoffId, Millis, QueueName, SourceId
from bridge.routing import Rung
from bridge.storage import Store
from bridge.timers import Timers
from tests.bridge.stories import SITE, Story, house, queue
from tests.bridge.test_switchboard import waiting


def timers_of(story: Story) -> Timers:
    return Timers(store=story.store, clock=story.clock, receive=story.door.receive)


async def later(story: Story, seconds: float) -> int:
    """Let time pass, and look once."""
    story.clock.set(story.clock.now() + int(seconds * 1000))
    return await timers_of(story).step()


async def test_each_rung_of_the_ladder_fires_once(store: Store) -> None:
    """Ask again, tell the customer, move to the next queue, give it back: each once, however often one looks."""
    story = await waiting(store)
    await story.card_arrives()

    await later(story, 119)
    assert (await story.notices()) == []
    await later(story, 2)
    await later(story, 0)
    assert (await story.notices()) == ["ask"]
    await later(story, 180)
    await later(story, 0)
    assert (await story.screen()).count("(still_waiting)") == 1
    await later(story, 300)
    await later(story, 0)
    handoff = await story.handoff()
    assert (handoff.queue, handoff.thread.ordinal) == ("billing", 2)
    assert (await story.screen())[-1] == "(transferred)"
    await story.card_arrives()

    await later(story, 899)
    assert (await story.row()).state is State.WAITING
    await later(story, 2)
    row, turn = await story.row(), await story.turn()
    assert row.state is State.AGENT
    assert turn is not None
    assert turn.kind is TurnKind.RESUMED
    assert (await story.handoff()).state is HandoffState.RETURNED
    assert (await story.screen())[-1] == "(unanswered)"
    assert await later(story, 10**6) == 0


async def test_a_restart_skips_no_rung(store: Store) -> None:
    """Rungs are rows: after an outage that covers several, each fires once, in order."""
    story = await waiting(store)
    await story.card_arrives()

    await later(story, 550)

    assert (await story.notices()) == ["ask"]
    assert (await story.screen())[-1] == "(still_waiting)"


async def test_a_take_stops_the_ladder_and_a_release_starts_it_again(store: Store) -> None:
    """While a person has it no rung fires; back in the queue the count begins anew."""
    story = await waiting(store)
    await story.card_arrives()
    await story.takes()
    await later(story, 1000)
    assert (await story.notices()) == ["taken"]

    await story.releases()
    await later(story, 119)
    assert (await story.notices())[-1] == "released"
    await later(story, 2)
    assert (await story.notices())[-1] == "ask"


async def test_without_a_rung_that_says_so_nothing_is_given_back(store: Store) -> None:
    """No timer ends human ownership by itself: after 30 days the conversation still waits, or is still its owner's."""
    plain = house(queue("support"))
    story = Story(store=store, house=plain)
    await story.says("help")
    await story.escalates()
    await story.card_arrives()
    await later(story, 30 * 86_400)
    assert (await story.row()).state is State.WAITING
    await story.takes()
    epoch = (await story.row()).epoch

    await later(story, 30 * 86_400)

    row = await story.row()
    assert (row.state, row.epoch) == (State.HUMAN, epoch)


@pytest.mark.parametrize("arrives", [True, False])
async def test_the_customer_is_told_when_the_desk_cannot_be_reached(store: Store, arrives: bool) -> None:
    """After 60 s without a card on the desk the customer hears the truth, once; with it there is nothing to say."""
    story = await waiting(store)
    if arrives:
        await story.card_arrives()
    await later(story, 61)
    await later(story, 61)

    assert (await story.screen()).count("(unreachable)") == (0 if arrives else 1)


async def test_silence_closes_a_conversation_by_the_queues_rule(store: Store) -> None:
    """Both are told, the card does not say that a person closed it, and words by anybody put it off."""
    story = await waiting(store)
    await story.card_arrives()
    await story.takes()
    await later(story, 3500)
    await story.types("still looking")
    await later(story, 3500)
    await story.says("ok")
    await later(story, 3500)
    assert (await story.row()).state is State.HUMAN

    await later(story, 200)

    assert (await story.row()).state is State.CLOSED
    handoff = await story.handoff()
    assert (handoff.state, handoff.operator) == (HandoffState.CLOSED, None)
    assert (await story.screen())[-1] == "(closed)"
    assert (await story.notices())[-1] == "closed"
    assert await later(story, 10**6) == 0


async def test_a_line_that_overtakes_the_idle_timer_keeps_the_conversation_open(store: Store) -> None:
    """A timer that was read as due before a line came, and fires after it, closes nothing, and is set anew."""
    story = await waiting(store)
    await story.card_arrives()
    await story.takes()
    handoff = await story.handoff()
    due = Millis(story.clock.now() + 3600_000)
    story.clock.set(due)
    await story.says("here I am")

    event = RungDue(site=SITE, source=SourceId("rung:stale"), at=due, handoff=handoff.id, rung="idle")
    await story.door.receive(event)
    assert (await story.row()).state is State.HUMAN
    await later(story, 3500)
    assert (await story.row()).state is State.HUMAN
    await later(story, 200)

    assert (await story.row()).state is State.CLOSED


async def test_a_ladder_that_names_its_own_queue_does_not_move_the_card(store: Store) -> None:
    """A `queue` rung that leads where the handoff is already does nothing."""
    loop = queue("support", ladder=(Rung(name="up", after_s=10, action="queue", text="support"),))
    story = Story(store=store, house=house(loop))
    await story.says("help")
    await story.escalates()
    await story.card_arrives()

    await later(story, 11)

    assert (await story.handoff()).thread.ordinal == 1
    assert await later(story, 1000) == 1


async def test_rungs_may_ask_for_contact_or_speak_in_own_words(store: Store) -> None:
    """A queue's own words reach the customer as written."""
    own = queue("support", ladder=(Rung(name="own", after_s=10, action="tell_customer", text="Hang on!"),))
    story = Story(store=store, house=house(own))
    await story.says("help")
    await story.escalates()

    await later(story, 11)

    assert (await story.log())[-1].text == "Hang on!"


async def test_two_processes_fire_a_rung_once(store: Store) -> None:
    """Both read the same due timer; the front door lets one through."""
    story = await waiting(store)
    await story.card_arrives()
    handoff = await story.handoff()
    due = (await story.look(lambda tx: tx.due_timers(Millis(story.clock.now() + 130_000))))[-1]
    event = RungDue(
        site=SITE,
        source=SourceId(f"rung:{handoff.id}:{due.rung}:{due.due_at}"),
        at=due.due_at,
        handoff=handoff.id,
        rung=due.rung,
    )

    receipts = [await story.door.receive(event), await story.door.receive(event)]
    await later(story, 130)

    assert [r.status for r in receipts] == ["done", "duplicate"]
    assert (await story.notices()) == ["ask"]


async def test_a_rung_of_a_queue_that_was_renamed_away_does_no_harm(store: Store) -> None:
    """Settings may change between the setting of a timer and its end."""
    story = await waiting(store)
    await story.card_arrives()
    story = Story(store=store, house=house(queue("billing")), clock=story.clock)

    assert await later(story, 1000) > 0

    assert (await story.row()).state is State.WAITING
    assert await later(story, 1000) == 0


class Failing:
    """A front door that fails for one handoff."""

    def __init__(self, error: Exception) -> None:
        self.error, self.done = error, list[str]()

    async def __call__(self, event: Event) -> Receipt:
        assert isinstance(event, RungDue)
        if event.handoff == "h1":
            raise self.error
        self.done.append(event.handoff)
        return Receipt()


async def _two_due() -> tuple[MemoryStore, Story]:
    store = MemoryStore()
    story = Story(store=store)
    for name in ("h1", "h2"):
        handoff = HandoffId(name)
        await store.run(lambda tx, handoff=handoff: tx.set_timer(SITE, handoff, "ask", Millis(5)))  # type: ignore[misc]
    return store, story


async def test_one_failing_timer_does_not_stop_the_others() -> None:
    """An error of our own is logged; the timer stays for later, the next one fires now."""
    store, story = await _two_due()
    door = Failing(LookupError("broken"))

    fired = await Timers(store=store, clock=story.clock, receive=door).step()

    assert (fired, door.done) == (2, ["h2"])
    assert len(await store.read(lambda tx: tx.due_timers(Millis(10**14)))) == 2


async def test_a_store_that_is_away_stops_the_round_and_loses_nothing() -> None:
    """The timers are still there for the next look."""
    store, story = await _two_due()
    door = Failing(StoreUnavailable("full"))

    with pytest.raises(StoreUnavailable):
        await Timers(store=store, clock=story.clock, receive=door).step()

    assert door.done == []
    assert len(await store.read(lambda tx: tx.due_timers(Millis(10**14)))) == 2


async def test_a_timer_without_its_handoff_is_forgotten() -> None:
    """What cannot be found is dropped instead of being tried for ever."""
    store, story = await _two_due()

    await Timers(store=store, clock=story.clock, receive=story.door.receive).step()

    assert await store.read(lambda tx: tx.due_timers(Millis(10**14))) == []


async def test_the_running_timers_fire_by_the_clock_and_stop() -> None:
    """`run` looks every second until it is stopped."""
    import asyncio

    store = MemoryStore()
    story: Any = await waiting(store)
    timers = timers_of(story)
    task = asyncio.create_task(timers.run())
    await story.clock.settle()
    await story.clock.advance(61)

    assert (await story.screen()).count("(unreachable)") == 1
    await timers.stop()
    await story.clock.advance(2)
    await asyncio.wait_for(task, 5)
    assert QueueName("support") == (await story.handoff()).queue
