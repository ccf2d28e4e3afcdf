"""No customer is left without an answer: lines that a fault left lying, and handoffs that a closed queue refuses."""

import asyncio
from dataclasses import replace
from datetime import time

import pytest

from bridge.conversation import State, TurnKind, TurnState
from bridge.envelope import ReturnNote
from bridge.ids import ConversationId
from bridge.ports import Done, HandOff, Message
from bridge.routing import Hours
from bridge.turns import PICK_UP_AT_ONCE
from tests.bridge.turns_world import CHAT, QUEUE, SITE, World


@pytest.fixture
def world() -> World:
    return World()


async def lose_turn(world: World, chat: ConversationId = CHAT) -> None:
    """Let the live turn vanish without a word, as a fault might."""
    turn = await world.live(chat)
    assert turn is not None
    await world.store.run(lambda tx: tx.end_turn(SITE, turn.id, TurnState.CANCELLED))


async def test_a_line_that_nobody_would_answer_is_picked_up_at_the_start(world: World) -> None:
    """A process that starts queues one turn for it, however many start at once, and the agent answers."""
    await world.customer("hello?")
    await lose_turn(world)
    found = await asyncio.gather(world.turns.pick_up(), world.process("w2").pick_up())
    running = asyncio.create_task(world.turns.run())
    await world.clock.advance(1)
    await world.turns.stop()
    await world.finish(running)

    assert max(found) == 1
    assert await world.said() == ["You said: hello?"]
    assert await world.turns.pick_up() == 0


async def test_a_start_picks_up_by_itself(world: World) -> None:
    """`run` looks once before it serves, also where the store cannot be read at first."""
    await world.customer("hello?")
    await lose_turn(world)
    world.store.fail_next(2)
    running = asyncio.create_task(world.turns.run())
    for _ in range(5):
        await world.clock.advance(2)
    await world.turns.stop()
    await world.finish(running)

    assert await world.said() == ["You said: hello?"]


async def test_nothing_is_picked_up_that_was_dealt_with(world: World) -> None:
    """An agent's silence is an answer; so is a person who has it, and a conversation that is over."""
    world.agent.script(Done())
    await world.customer("thanks")
    await world.step()
    assert await world.said() == []
    assert await world.turns.pick_up() == 0

    await world.customer("a person!")
    handoff = await world.takeover()
    await world.customer("still there?")
    assert await world.turns.pick_up() == 0
    await world.speak(handoff, "Here I am.")
    await world.give_back(handoff, ReturnNote(note="done"))
    assert await world.turns.pick_up() == 0


async def test_many_are_picked_up_page_by_page() -> None:
    """More than one page of them is found, each once."""
    world = World()
    chats = [ConversationId(f"conv_{number}") for number in range(PICK_UP_AT_ONCE + 20)]
    for chat in chats:
        await world.customer("hello?", chat)
        await lose_turn(world, chat)

    assert await world.turns.pick_up() == len(chats)
    assert all([await world.live(chat) for chat in chats])


# --- a queue that is closed, where the agent stays

NIGHT = replace(QUEUE, hours=Hours(spans={0: ((time(9), time(10)),)}), when_closed="stay")
NEEDS_PERSON = HandOff(envelope={"reason": "policy", "summary": "Only a person may do this."})


async def test_an_agent_whose_handoff_is_refused_reads_it_and_answers() -> None:
    """Nobody is there: the next turn tells the agent so, and until when; what it says then is the answer."""
    world = World(queue=NIGHT)
    world.agent.script(NEEDS_PERSON)
    world.agent.script(Message(text="They will call you on Monday."), Done())
    await world.customer("refund me")
    await world.step()
    assert await world.said() == []
    await world.step()
    note = world.agent.turns[1].messages[-1]

    assert [turn.kind for turn in world.agent.turns] == [TurnKind.MESSAGE, TurnKind.MESSAGE]
    assert note.role == "note"
    assert "Nobody can be called now" in note.text
    assert "Monday" in note.text
    assert await world.said() == ["They will call you on Monday."]
    assert (await world.conversation()).state is State.AGENT
    assert await world.live() is None


async def test_an_agent_that_insists_is_not_asked_in_circles() -> None:
    """A second escalation by the run that had read the note ends it; the customer was told once, and is heard again."""
    world = World(queue=NIGHT)
    for _ in range(2):
        world.agent.script(NEEDS_PERSON)
    await world.customer("refund me")
    await world.step()
    await world.step()

    assert await world.live() is None
    assert [e.data["notice"] for e in await world.notices()] == ["stays"]
    assert await world.turns.pick_up() == 0
    await world.customer("hello?")
    await world.step()
    assert await world.said() == ["You said: hello?"]
