"""What the core tells of its work: each fact once, after the commit, with names that are safe as labels."""

from bridge.envelope import Reason, ReturnOutcome
from bridge.errors import AgentFailed, StoreUnavailable
from bridge.fakes.agent import Crash
from bridge.fakes.store import MemoryStore
from bridge.meters import Ended, Fact, FirstWord, HandedOver, Meter, Received, Taken, TurnEnded, TurnFailed
from bridge.switchboard import Switchboard
from bridge.turns import Turns
from tests.bridge.stories import BEN, DANA, Story
from tests.bridge.turns_world import World


def metered(story: Story, meter: Meter) -> None:
    """Let the story go on in a process of its own, whose facts the meter gets."""
    story.door = Switchboard(store=story.store, clock=story.clock, house=story.house, mint=story.mint, meter=meter)


def told(story: Story) -> list[Fact]:
    heard: list[Fact] = []
    metered(story, heard.append)
    return heard


def without_receipts(heard: list[Fact]) -> list[Fact]:
    return [fact for fact in heard if not isinstance(fact, Received)]


async def test_a_handoff_is_told_from_its_opening_to_its_end() -> None:
    """Queue, reason, the time until it was taken and until a person spoke, the outcome: each once, in seconds."""
    story = Story(store=MemoryStore(), step_ms=2000)
    heard = told(story)

    await story.says("can I talk to a human?")
    await story.card_arrives()
    await story.types("// only a note")
    await story.takes()
    await story.types("Hello, I am Dana")
    await story.types("How can I help?")
    await story.releases()
    await story.takes(BEN)
    await story.types("And I am Ben", BEN)
    await story.returns(BEN, outcome=ReturnOutcome.RESOLVED)

    assert without_receipts(heard) == [
        HandedOver(queue="support", reason="customer_request"),
        Taken(queue="support", after_s=4.0),
        FirstWord(queue="support", after_s=6.0),
        Ended(queue="support", how="returned", outcome="resolved"),
    ]


async def test_a_takeover_is_no_time_to_take() -> None:
    """Who opens a handoff has it at once: that is not told as a fast take; their first word is."""
    story = Story(store=MemoryStore())
    await story.says("hello")
    heard = told(story)

    await story.escalates(reason=Reason.OPERATOR_TAKEOVER, operator=DANA)
    await story.card_arrives()
    await story.types("Let me")
    await story.closes()

    assert without_receipts(heard) == [
        HandedOver(queue="support", reason="operator_takeover"),
        FirstWord(queue="support", after_s=1.0),
        Ended(queue="support", how="closed", outcome=""),
    ]


async def test_the_first_word_is_told_once_by_all_processes() -> None:
    """Another process, or the same one after a start, finds in the log that a person spoke before."""
    story = Story(store=MemoryStore())
    heard = told(story)
    await story.says("can I talk to a human?")
    await story.card_arrives()
    await story.takes()
    await story.types("Hello")

    metered(story, heard.append)
    await story.types("I was in another process")
    await story.again()

    assert [type(fact) for fact in without_receipts(heard)] == [HandedOver, Taken, FirstWord]


async def test_a_repeat_is_told_as_such_and_nothing_else() -> None:
    """A repeated event, a refused one and an undone one tell no fact but their status, the undone one not even that."""
    story = Story(store=MemoryStore())
    heard = told(story)
    await story.says("can I talk to a human?")
    await story.again()
    await story.takes()
    await story.takes(BEN)
    await story.store.close()
    try:
        await story.returns()
    except StoreUnavailable:
        heard.append(Received(kind="undone", status=""))

    assert [fact.status for fact in heard if isinstance(fact, Received)] == ["done", "duplicate", "done", "refused", ""]
    assert [type(fact) for fact in without_receipts(heard)] == [HandedOver, Taken]


async def test_a_withdrawal_is_told() -> None:
    """The customer who no longer wants a person ends the handoff, without an outcome."""
    story = Story(store=MemoryStore())
    await story.says("can I talk to a human?")
    heard = told(story)

    await story.withdraws()

    assert without_receipts(heard) == [Ended(queue="support", how="withdrawn", outcome="")]


async def test_each_attempt_of_the_agent_is_told() -> None:
    """A run that fails twice tells two failures by code; one that ends well its seconds."""
    world = World()
    heard: list[Fact] = []
    world.turns = Turns(
        world.store,
        world.agent,
        world.receive,
        world.clock,
        worker="w1",
        triggers=world.triggers,
        limits=world.limits,
        meter=heard.append,
    )
    await world.customer("hello")
    await world.step()
    world.agent.script(Crash(AgentFailed("unreachable", "away")))
    world.agent.script(Crash(AgentFailed("crashed", "HTTP 500")))
    await world.customer("and again")
    await world.step()
    await world.step()

    assert [(fact.ending) for fact in heard if isinstance(fact, TurnEnded)] == ["finished", "failed", "failed"]
    assert [fact for fact in heard if isinstance(fact, TurnFailed)] == [
        TurnFailed(code="unreachable"),
        TurnFailed(code="crashed"),
    ]
