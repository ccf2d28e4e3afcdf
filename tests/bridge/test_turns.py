"""The agent's runs, with the real front door on a store in memory and time that moves when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bridge.attempt import TurnLimits
from bridge.conversation import Audience, State, TurnKind
from bridge.envelope import Reason, ReturnNote
from bridge.errors import AgentFailed
from bridge.events import AgentBroke, AgentFinished, AgentSaid, AgentStreamed, OperatorRehearsed
from bridge.fakes.agent import Crash, Hang, Pause
from bridge.ids import (
    ConversationId,
    Millis,
    SourceId,
)
from bridge.notices import thread
from bridge.ports import AgentError, AgentReply, AgentTurn, Collected, Delta, Done, HandOff, Message, ToolCall, Typing
from bridge.storage import Changed
from bridge.triggers import PolicyRule, Triggers
from bridge.turns import Turns
from tests.bridge.turns_world import CHAT, DANA, SITE, World


@pytest.fixture
def world() -> World:
    return World()


async def test_a_customers_line_is_answered_once(world: World) -> None:
    """A line makes one turn, the turn one answer, and then nothing waits."""
    await world.customer("hello")
    await world.step()

    assert await world.said() == ["You said: hello"]
    assert await world.turns.step() is False
    assert await world.live() is None


async def test_the_agent_reads_the_whole_visible_log_with_roles_named(world: World) -> None:
    """The agent reads what the customer saw, people by name, and never colleagues' notes or suppressed words."""
    await world.customer("hello")
    await world.step()
    handoff = await world.takeover()
    await world.speak(handoff, "Dana here, I fixed it.")
    await world.speak(handoff, "// secret among colleagues")
    await world.give_back(handoff, ReturnNote(note="Fixed by hand."))
    await world.customer("thanks")
    await world.step()

    turn = world.agent.turns[-1]
    told = [(message.role, message.name, message.text.splitlines()[0]) for message in turn.messages]
    assert told == [
        ("customer", "Sam Lee", "hello"),
        ("agent", "Assistant", "You said: hello"),
        ("operator", "Dana", "Dana here, I fixed it."),
        ("note", "Dana", f"A person dealt with ticket {handoff.ticket} (reason: operator_takeover)."),
        ("customer", "Sam Lee", "thanks"),
    ]
    assert turn.customer["id"] == "c-1"
    assert turn.customer["verified"] is True


async def test_a_line_written_during_an_answer_is_left_for_the_next_one(world: World) -> None:
    """What a customer writes while the agent still answers stands last in the next turn, as nobody has answered it."""
    world.agent.script(Delta(text="Hel"), Pause(1), Message(text="Hello!"), Pause(1), Message(text="I help."), Done())
    await world.customer("hi")
    work = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.5)
    await world.customer("where is my order?")
    await world.clock.advance(1)
    await world.customer("it is 1042")
    await world.finish(work)
    await world.step()

    texts = [message.text for message in world.agent.turns[-1].messages]
    assert texts == ["hi", "Hello!", "I help.", "where is my order?", "it is 1042"]
    assert (await world.said())[-1] == "You said: it is 1042"


async def test_streamed_text_is_gathered_and_becomes_one_line(world: World) -> None:
    """However fast an agent writes, at most four commits a second show it, each holding all so far; no word is lost."""
    words = [f"word{i} " for i in range(100)]
    world.agent.script(*(step for word in words for step in (Delta(text=word), Pause(0.02))), Done())
    await world.customer("hello")
    await world.step()

    streamed = world.of(AgentStreamed)
    whole = "".join(words)
    assert 4 <= len(streamed) <= 2.0 * 4 + 2
    assert all(whole.startswith(event.text) for event in streamed)
    assert [len(event.text) for event in streamed] == sorted({len(event.text) for event in streamed})
    assert await world.said() == [whole]


async def test_a_message_replaces_the_deltas_before_it(world: World) -> None:
    """The whole message is what counts; what streamed before it is not said twice."""
    world.agent.script(Typing(), Delta(text="Hal"), Delta(text="lo"), Message(text="Hallo!"), Delta(text="Bye"), Done())
    await world.customer("hello")
    await world.step()

    assert await world.said() == ["Hallo!", "Bye"]


async def test_a_takeover_in_mid_stream_stops_the_run_and_keeps_its_words_from_the_customer(world: World) -> None:
    """After a takeover the run is let go of, and what it was about to say is kept as suppressed only."""
    world.agent.script(Delta(text="Your refund "), Pause(1), Delta(text="is approved"), Pause(60), Done())
    await world.customer("refund please")
    work = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.5)
    await world.takeover()
    await world.clock.advance(1)
    await world.finish(work, within_s=1)

    assert world.agent.open == 0
    assert await world.said() == []
    assert [text for text in await world.said(Audience.SUPPRESSED) if text] == ["Your refund "]
    assert (await world.conversation()).state is State.HUMAN


async def test_a_fenced_chunk_stops_the_run_where_no_hint_arrives(world: World) -> None:
    """In another process, which hears of no takeover, the first chunk after it ends the run and is suppressed."""
    world.hints = False
    world.agent.script(Delta(text="Your refund "), Pause(1), Delta(text="is approved"), Pause(60), Done())
    await world.customer("refund please")
    work = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.5)
    await world.takeover()
    await world.finish(work, within_s=1)

    assert world.agent.open == 0
    assert await world.said() == []
    assert await world.said(Audience.SUPPRESSED) == ["Your refund is approved"]


@pytest.mark.parametrize("hints, within_s", [(True, 0.3), (False, 5.3)])
async def test_a_silent_run_is_let_go_of_after_a_takeover(hints: bool, within_s: float) -> None:
    """A run that says nothing notices at the hint, or else at the next renewal of its lease."""
    world = World(hints=hints)
    world.agent.script(Typing(), Hang())
    await world.customer("hello")
    work = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.1)
    assert world.agent.open == 1
    await world.takeover()
    await world.finish(work, within_s=within_s)

    assert world.agent.open == 0
    assert world.of(AgentBroke) == []


async def test_an_agent_that_says_nothing_is_asked_twice_and_then_a_person_is_called(world: World) -> None:
    """Two time-outs of the first byte make a handoff with reason `error`: never silence."""
    world.agent.script(Hang())
    world.agent.script(Hang())
    await world.customer("hello")
    await world.step(within_s=15.2)
    await world.step(within_s=15.2)

    assert [turn.attempt for turn in world.agent.turns] == [1, 2]
    assert len({turn.turn for turn in world.agent.turns}) == 1
    handoff = await world.handoff()
    assert handoff.envelope.reason is Reason.ERROR
    assert "timeout_first_byte" in (handoff.envelope.reason_detail or "")
    assert (await world.conversation()).state is State.WAITING
    assert await world.turns.step() is False


async def test_an_answer_without_end_is_not_waited_for_twice(world: World) -> None:
    """After two minutes of talk without an end the customer has waited enough: a person is called at once."""
    world.agent.script(*(step for _ in range(300) for step in (Typing(), Pause(1))))
    await world.customer("hello")
    await world.step(within_s=121)

    assert [event.code for event in world.of(AgentBroke)] == ["timeout_total"]
    assert (await world.conversation()).state is State.WAITING


async def test_too_much_text_is_refused(world: World) -> None:
    """An answer over the limit is cut off by calling a person, not by filling the store."""
    world.agent.script(*(Delta(text="x" * 1024) for _ in range(70)), Done())
    await world.customer("hello")
    await world.step()

    assert [event.code for event in world.of(AgentBroke)] == ["too_large"]
    assert max(len(event.text) for event in world.of(AgentStreamed)) <= 64 * 1024


@pytest.mark.parametrize(
    "failing",
    [
        Crash(RuntimeError("secret detail")),
        Crash(AgentFailed("unreachable", "connection refused")),
        AgentError(code="model_overloaded"),
    ],
)
async def test_a_second_attempt_knows_what_the_first_one_said(world: World, failing: Any) -> None:
    """A failed run is repeated once, under the same turn id, told what the customer has read already."""
    world.agent.script(Message(text="First, good news."), Delta(text="Then"), failing)
    world.agent.script(Message(text="Second part."), Done())
    await world.customer("hello")
    await world.step()
    await world.step()

    first, second = world.agent.turns
    assert (first.attempt, first.committed) == (1, ())
    assert (second.attempt, second.committed) == (2, ("First, good news.",))
    assert first.turn == second.turn
    assert [message.text for message in second.messages] == ["hello"]
    assert await world.said() == ["First, good news.", "Second part."]
    assert (await world.conversation()).state is State.AGENT


async def test_a_broken_off_answer_is_no_answer(world: World) -> None:
    """An agent that ends without saying so has failed: half a sentence is not taken for a whole one."""
    world.agent.script(Delta(text="Your refund is not"))
    world.agent.script(Message(text="Your refund is not needed."), Done())
    await world.customer("hello")
    await world.step()
    assert await world.said() == []
    await world.step()

    assert await world.said() == ["Your refund is not needed."]


async def test_foreign_errors_keep_their_words_to_themselves(world: World) -> None:
    """What an agent's exception says may hold secrets; people read only its kind."""
    world.agent.script(Crash(RuntimeError("password=hunter2")))
    world.agent.script(Crash(RuntimeError("password=hunter2")))
    await world.customer("hello")
    await world.step()
    await world.step()

    detail = (await world.handoff()).envelope.reason_detail or ""
    assert "RuntimeError" in detail
    assert "hunter2" not in detail


async def test_a_handoff_carries_what_only_the_bridge_knows(world: World) -> None:
    """The agent writes reason and summary; conversation, customer, agent and id are filled and cannot be forged."""
    raw = {
        "reason": "policy",
        "summary": "Wants 250 back.",
        "conversation_id": "somebody-elses",
        "customer": {"id": "forged", "verified": False, "tier": "gold"},
        "resume": {"mode": "tool_result", "tool_call_id": "call/7"},
    }
    world.agent.script(Delta(text="I'll ask a colleague."), HandOff(envelope=raw))
    await world.customer("refund please")
    await world.step()

    envelope = (await world.handoff()).envelope
    turn = world.agent.turns[0].turn
    assert envelope.id == f"{turn}:call-7"
    assert envelope.conversation_id == CHAT
    assert (envelope.customer.id, envelope.customer.verified, envelope.customer.tier) == ("c-1", True, "gold")
    assert envelope.customer.name == "Sam Lee"
    assert envelope.agent.name == "Assistant"
    assert (await world.handoff()).problems == ()
    assert await world.said() == ["I'll ask a colleague."]
    assert (await world.conversation()).state is State.WAITING
    assert await world.live() is None


async def test_an_id_used_before_still_calls_a_person(world: World) -> None:
    """An agent that gives every handoff the same id is not left alone with the customer the second time."""
    raw = {"id": "always-the-same", "reason": "policy", "summary": "Again."}
    world.agent.script(HandOff(envelope=raw))
    await world.customer("refund please")
    await world.step()
    first = await world.handoff()
    await world.give_back(first, ReturnNote(note="Done."))
    world.agent.script(HandOff(envelope=raw))
    await world.customer("another refund please")
    await world.step()

    second = await world.handoff()
    assert second.id != first.id
    assert (await world.conversation()).state is State.WAITING


async def test_rules_on_words_keep_the_agent_from_streaming() -> None:
    """Where the agent's words are judged, nothing is shown before the whole message was."""
    world = World(triggers=Triggers(never_say=("guarantee",)))
    world.agent.script(Delta(text="We "), Pause(1), Delta(text="guarantee it"), Pause(1), Done())
    await world.customer("hello")
    await world.step()

    assert world.of(AgentStreamed) == []
    assert await world.said() == []
    assert await world.said(Audience.SUPPRESSED) == ["We guarantee it"]
    assert (await world.handoff()).envelope.reason is Reason.POLICY


async def test_a_policy_stops_the_agent_in_mid_sentence() -> None:
    """When a policy calls a person, the run ends there: nothing of what would have followed is even asked for."""
    world = World(triggers=Triggers(policy=(PolicyRule(name="big", when="refund_amount > 100"),)))
    world.agent.script(
        Delta(text="Let me see. "),
        Collected(values={"refund_amount": 250}),
        Delta(text="Your refund is approved."),
        Done(),
    )
    await world.customer("refund please")
    await world.step()

    assert await world.said() == []
    assert await world.said(Audience.SUPPRESSED) == ["Let me see. "]
    assert world.of(AgentFinished) == []
    assert (await world.handoff()).envelope.collected == {"refund_amount": 250}


async def test_a_policy_that_a_person_has_dealt_with_does_not_call_again() -> None:
    """After a return the same collected value is no reason; a new one is."""
    world = World(triggers=Triggers(policy=(PolicyRule(name="big", when="refund_amount > 100"),)))
    for amount, state in ((250, State.WAITING), (250, State.AGENT), (300, State.WAITING)):
        world.agent.script(Collected(values={"refund_amount": amount}), ToolCall(name="look_up"), Done())
        await world.customer("refund please")
        await world.step()
        assert (await world.conversation()).state is state
        if state is State.WAITING:
            await world.give_back(await world.handoff(), ReturnNote(note="Approved."))


async def test_a_tool_may_fail_as_often_as_the_site_says() -> None:
    """Only the failure that reaches the site's limit within one run calls a person."""
    world = World(triggers=Triggers(tool_failures=2))
    for failures, state in ((1, State.AGENT), (2, State.WAITING)):
        world.agent.script(*(ToolCall(name="track", failed=True) for _ in range(failures)), Done())
        await world.customer("where is it")
        await world.step()
        assert (await world.conversation()).state is state


async def test_doubt_in_two_turns_calls_a_person() -> None:
    """A run is as sure as its least sure message; two unsure ones in a row are enough; nonsense is no confidence."""
    world = World(triggers=Triggers(low_confidence=0.5, low_confidence_turns=2))
    runs: list[tuple[AgentReply, ...]] = [
        (Message(text="Maybe.", confidence=0.3), Message(text="Surely.", confidence=0.9), Done()),
        (Message(text="Hm.", confidence=45.0), Done()),
        (Message(text="No idea."), Done(confidence=0.2)),
    ]
    for i, run in enumerate(runs):
        world.agent.script(*run)
        await world.customer("what?")
        await world.step()
        assert (await world.conversation()).state is (State.WAITING if i == 2 else State.AGENT)


async def test_a_rehearsal_has_no_path_to_the_customer(world: World) -> None:
    """What the agent would say is for the thread only; its tools, its doubts and its handoffs have no effect."""
    await world.customer("hello")
    await world.step()
    handoff = await world.takeover()
    note = ReturnNote(note="Voucher SPRING was granted.")
    await world.switchboard.receive(
        OperatorRehearsed(
            site=SITE,
            source=SourceId("r1"),
            at=world.clock.now(),
            operator=DANA,
            handoff=handoff.id,
            note=note,
        )
    )
    before = len(world.events)
    raw = {"reason": "policy", "summary": "Needs approval."}
    world.agent.script(Delta(text="Your voucher "), Message(text="Your voucher is SPRING."), HandOff(envelope=raw))
    await world.step()

    turn = world.agent.turns[-1]
    assert turn.kind is TurnKind.REHEARSAL
    assert turn.briefing is not None
    assert turn.briefing["note"] == "Voucher SPRING was granted."
    assert {type(event) for event in world.events[before:]} == {AgentSaid, AgentFinished}
    assert await world.said() == ["You said: hello"]
    assert await world.said(Audience.COLLEAGUES) == [
        "Your voucher is SPRING.",
        "(I would hand over again: Needs approval.)",
    ]
    assert (await world.handoff()).id == handoff.id
    await world.clock.advance(60)
    assert await world.turns.step() is False, "the rehearsal's row has ended"


async def test_a_failed_rehearsal_is_told_and_over(world: World) -> None:
    """A rehearsal that fails is not repeated behind the operator's back and changes no owner."""
    await world.customer("hello")
    handoff = await world.takeover()
    event = OperatorRehearsed(
        site=SITE, source=SourceId("r1"), at=world.clock.now(), operator=DANA, handoff=handoff.id, note=ReturnNote()
    )
    await world.switchboard.receive(event)
    world.agent.script(Crash(RuntimeError()))
    await world.step()
    await world.clock.advance(60)

    assert await world.turns.step() is False
    assert (await world.conversation()).state is State.HUMAN
    log = await world.store.read(lambda tx: list(tx.entries(SITE, CHAT)))
    assert (log[-1].text, log[-1].audience) == (thread("rehearsal_failed"), Audience.COLLEAGUES)


async def test_a_rehearsal_without_a_word_says_so(world: World) -> None:
    """Who let the agent rehearse is not left waiting for words that do not come."""
    await world.customer("hello")
    handoff = await world.takeover()
    event = OperatorRehearsed(
        site=SITE, source=SourceId("r1"), at=world.clock.now(), operator=DANA, handoff=handoff.id, note=ReturnNote()
    )
    await world.switchboard.receive(event)
    world.agent.script(Message(text="  "), Done())
    await world.step()

    assert await world.said(Audience.COLLEAGUES) == ["(I would say nothing.)"]


async def test_the_first_run_after_a_return_is_briefed_and_later_ones_remember(world: World) -> None:
    """The first run since a return reads the briefing of the human stretch alone; later ones still read the note."""
    await world.customer("it is broken")
    handoff = await world.takeover()
    await world.speak(handoff, "I sent a new one.")
    await world.give_back(handoff, ReturnNote(note="Sent a new one.", promises=("Arrives on Friday",)))
    await world.customer("thanks")
    await world.step()
    await world.customer("when does it arrive?")
    await world.step()

    first, second = world.agent.turns[-2:]
    assert first.briefing is not None
    assert first.briefing["note"] == "Sent a new one."
    assert "thanks" not in [line["text"] for line in first.briefing["human_turns"]]
    assert "I sent a new one." in [line["text"] for line in first.briefing["human_turns"]]
    assert second.briefing is None
    notes = [message.text for message in second.messages if message.role == "note"]
    assert len(notes) == 1
    assert "Sent a new one." in notes[0]
    assert "Arrives on Friday" in notes[0]


async def test_continue_now_makes_the_agent_speak_first(world: World) -> None:
    """When the operator ticks "let the AI continue now", the agent goes on from the note without a customer's line."""
    await world.customer("hello")
    await world.step()
    handoff = await world.takeover()
    await world.give_back(handoff, ReturnNote(note="All settled.", continue_now=True))
    await world.step()

    assert world.agent.turns[-1].kind is TurnKind.RESUMED
    assert (await world.said())[-1] == "I am back. The note says: All settled."


async def test_a_process_that_died_is_followed_by_the_next_attempt(world: World) -> None:
    """When a lease runs out, another process runs the same turn as the next attempt, and the dead one is fenced out."""
    world.agent.script(Message(text="One moment."), Pause(40), Message(text="Too late."), Done())
    world.agent.script(Message(text="Here I am."), Done())
    await world.customer("hello")
    dying = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.5)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    other = world.process("w2")
    assert await other.step() is False, "the lease still holds"
    await world.clock.advance(15)
    await world.finish(asyncio.create_task(other.step()))

    assert [turn.attempt for turn in world.agent.turns] == [1, 2]
    assert world.agent.turns[1].committed == ("One moment.",)
    assert await world.said() == ["One moment.", "Here I am."]


async def test_two_workers_on_one_turn_say_it_once() -> None:
    """A worker that was merely slow loses its turn to the next attempt; its words reach nobody."""
    slow = World(limits=TurnLimits(retry_after_s=0, renew_every_s=1000), hints=False)
    slow.agent.script(Typing(), Pause(20), Message(text="From the first."), Done())
    slow.agent.script(Message(text="From the second."), Done())
    await slow.customer("hello")
    first = asyncio.create_task(slow.turns.step())
    await slow.clock.advance(0.1)
    await slow.clock.advance(16)
    await slow.finish(asyncio.create_task(slow.process("w2").step()), within_s=1)
    await slow.finish(first)

    assert await slow.said() == ["From the second."]
    assert await slow.said(Audience.SUPPRESSED) == ["From the first."]


async def test_a_turn_lost_twice_calls_a_person_without_asking_again(world: World) -> None:
    """After two dead processes the agent is not asked a third time: a person is called."""
    await world.customer("hello")
    for _ in range(2):
        claimed = await world.store.run(lambda tx: tx.claim_turn("dead", world.clock.now(), 15_000))
        assert claimed is not None
        await world.clock.advance(16)
    await world.step()

    assert world.agent.turns == []
    assert (await world.handoff()).envelope.reason is Reason.ERROR


async def test_a_store_that_was_away_for_a_moment_loses_and_doubles_nothing(world: World) -> None:
    """Words that could not be kept are brought again, and are said once."""
    world.agent.script(Message(text="One."), Message(text="Two."), Pause(1), Message(text="Three."), Done())
    await world.customer("hello")
    work = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.5)
    world.store.fail_next(2)
    await world.finish(work)

    assert await world.said() == ["One.", "Two.", "Three."]
    assert [turn.attempt for turn in world.agent.turns] == [1]


async def test_conversations_do_not_wait_for_one_another(world: World) -> None:
    """While one agent thinks for a minute, another conversation is answered, and one that fails harms neither."""
    world.agent.script(Typing(), Pause(60), Message(text="Slow."), Done())
    await world.customer("one", ConversationId("conv_slow"))
    running = asyncio.create_task(world.turns.run())
    await world.clock.advance(0.2)
    await world.customer("two", ConversationId("conv_quick"))
    await world.clock.advance(0.2)
    assert await world.said(chat=ConversationId("conv_quick")) == ["You said: two"]
    assert await world.said(chat=ConversationId("conv_slow")) == []
    await world.clock.advance(61)
    assert await world.said(chat=ConversationId("conv_slow")) == ["Slow."]

    await world.turns.stop()
    await world.finish(running)


async def test_no_more_runs_at_once_than_allowed() -> None:
    """A process takes on only as many turns as it may, and goes on when one has ended."""
    world = World(limits=TurnLimits(at_once=2))
    for i in range(4):
        world.agent.script(Typing(), Pause(5), Message(text=f"Answer {i}"), Done())
        await world.customer("hello", ConversationId(f"conv_{i}"))
    running = asyncio.create_task(world.turns.run())
    await world.clock.advance(2)
    assert world.agent.open == 2
    await world.clock.advance(12)
    assert sorted([text for i in range(4) for text in await world.said(chat=ConversationId(f"conv_{i}"))]) == [
        f"Answer {i}" for i in range(4)
    ]

    await world.turns.stop()
    await world.finish(running)


async def test_stopping_lets_runs_finish_and_gives_back_the_rest(world: World) -> None:
    """A process that stops waits a while for its runs, and what is unfinished can be claimed elsewhere at once."""
    world.agent.script(Typing(), Pause(3), Message(text="In time."), Done())
    world.agent.script(Typing(), Hang())
    await world.customer("one", ConversationId("conv_1"))
    await world.customer("two", ConversationId("conv_2"))
    running = asyncio.create_task(world.turns.run())
    await world.clock.advance(1)
    await world.finish(asyncio.create_task(world.turns.stop()), within_s=11)
    await world.finish(running, within_s=1)

    assert await world.said() == ["In time."]
    assert world.agent.open == 0
    assert await world.process("w2").step() is True
    assert await world.said(chat=ConversationId("conv_2")) == ["You said: two"]


async def test_a_swept_turn_needs_no_hint() -> None:
    """Hints may be lost: a turn is found by the sweep within a second."""
    world = World(hints=False)
    running = asyncio.create_task(world.turns.run())
    await world.clock.advance(0.1)
    await world.customer("hello")
    await world.clock.advance(1.2)
    assert await world.said() == ["You said: hello"]

    await world.turns.stop()
    await world.finish(running)


async def test_values_that_are_not_json_are_kept_as_text(world: World) -> None:
    """What an in-process agent collects is kept, whatever its type, and never breaks the store."""
    world.agent.script(Collected(values={"when": Millis, "n": 3}), Done())
    await world.customer("hello")
    await world.step()

    collected = (await world.conversation()).collected
    assert collected["n"] == 3
    assert isinstance(collected["when"], str)


async def test_a_document_without_measure_is_refused(world: World) -> None:
    """A tool call over the envelope's limit calls a person instead of filling the store."""
    world.agent.script(ToolCall(name="x", arguments={"blob": "y" * 300_000}), Done())
    await world.customer("hello")
    await world.step()

    assert [event.code for event in world.of(AgentBroke)] == ["too_large"]


async def test_torn_characters_are_whole_for_the_customer(world: World) -> None:
    """An emoji that an agent's program tore in two is whole again, and lone halves and NUL break nothing."""
    torn = (Delta(text="Done \ud83d"), Pause(1), Delta(text="\ude00!"), Pause(1), Delta(text=" \udc00\x00"))
    world.agent.script(*torn, Collected(values={"a\ud83d": ["\ud83d", float("nan")]}), Done())
    await world.customer("hello")
    await world.step()

    assert [event.text for event in world.of(AgentStreamed)] == ["Done ", "Done \U0001f600!", "Done \U0001f600! \ufffd"]
    assert await world.said() == ["Done \U0001f600! \ufffd"]
    assert (await world.conversation()).collected == {"a\ufffd": ["\ufffd", None]}


async def test_a_document_that_contains_itself_is_unreadable(world: World) -> None:
    """What can never be written down is a failure with a name."""
    endless: dict[str, Any] = {}
    endless["again"] = endless
    world.agent.script(Collected(values=endless))
    world.agent.script(Collected(values=endless))
    await world.customer("hello")
    await world.step()
    await world.step()

    assert [event.code for event in world.of(AgentBroke)] == ["unreadable"]


class Stubborn:
    """An agent that does not stop when it is told to, for a while."""

    name = "Stubborn"

    def __init__(self, until: Callable[[], bool]) -> None:
        self.until = until

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        yield Typing()
        while not self.until():
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                continue
        yield Message(text="I would not stop.")


async def test_an_agent_that_will_not_stop_is_not_heard(world: World) -> None:
    """An agent that ignores being told to stop holds nobody up for ever, and its words reach nobody."""
    rounds = 0

    def later() -> bool:
        nonlocal rounds
        rounds += 1
        return rounds > 2000

    turns = Turns(
        world.store, Stubborn(later), world.receive, world.clock, worker="w1", triggers=Triggers(), limits=world.limits
    )
    await world.customer("hello")
    work = asyncio.create_task(turns.step())
    await world.clock.settle()
    await world.takeover()
    turns.wake(Changed(site=SITE, conversation=CHAT))
    await world.finish(work)

    assert await world.said() == []
