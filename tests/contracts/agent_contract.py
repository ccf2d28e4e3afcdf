"""What every agent adapter promises to the turns that run it. A subclass gives the fixture `agent`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest

from bridge.conversation import TurnKind
from bridge.envelope import Reason
from bridge.handing_over import envelope_from
from bridge.ids import ConversationId, Millis, SiteId, TurnId
from bridge.ports import Agent, AgentError, AgentMessage, AgentReply, AgentTurn, Delta, Done, HandOff, Message

AT = Millis(1_700_000_000_000)


def asked(text: str, *, turn: str = "t_1", conversation: str = "conv_1", **more: Any) -> AgentTurn:
    """A turn in which the customer wrote this."""
    return replace(
        AgentTurn(
            site=SiteId("main"),
            conversation=ConversationId(conversation),
            turn=TurnId(turn),
            epoch=1,
            attempt=1,
            kind=TurnKind.MESSAGE,
            messages=(AgentMessage(n=1, role="customer", name="Sam", text=text, at=AT),),
            customer={"id": "c-1", "name": "Sam", "verified": True, "locale": "en", "attributes": {}},
        ),
        **more,
    )


def returned(note: str, *, kind: TurnKind = TurnKind.RESUMED, text: str = "", reason: str = "policy") -> AgentTurn:
    """A turn after Dana gave the conversation back with this note."""
    base = asked("Refund 250 please")
    messages = [*base.messages, AgentMessage(n=2, role="operator", name="Dana", text="Hello!", at=AT)]
    messages.append(AgentMessage(n=3, role="note", name="Dana", text=f"(reason: {reason})\nNote: {note}", at=AT))
    if text:
        messages.append(AgentMessage(n=4, role="customer", name="Sam", text=text, at=AT))
    briefing = {
        "start": "A person took over.",
        "ticket": "H-1001",
        "reason": reason,
        "handoff_id": "h_1",
        "operator": "Dana",
        "human_turns": [{"n": 2, "role": "operator", "name": "Dana", "text": "Hello!", "at_ms": AT}],
        "outcome": "resolved",
        "note": note,
        "facts": [],
        "promises": [],
        "do_not_repeat": [],
        "continue_now": True,
        "resume": None,
        "end": "The conversation is yours again.",
    }
    collected = {"refund_amount": 250.0}
    return replace(base, kind=kind, epoch=3, messages=tuple(messages), briefing=briefing, collected=collected)


async def replies(agent: Agent, turn: AgentTurn) -> list[AgentReply]:
    """Everything that the agent does in this turn."""
    return [reply async for reply in agent.respond(turn)]


def words(answer: list[AgentReply]) -> str:
    """What the customer reads."""
    whole = [reply.text for reply in answer if isinstance(reply, Message)]
    return "\n".join(whole) or "".join(reply.text for reply in answer if isinstance(reply, Delta))


class AgentContract:
    """The suite."""

    async def test_it_has_a_public_name(self, agent: Agent) -> None:
        """Customers read by whom they are answered."""
        assert agent.name.strip()

    async def test_a_message_is_answered_in_words_and_ended(self, agent: Agent) -> None:
        """An answer has words, and exactly one end, which comes last."""
        answer = await replies(agent, asked("Where is my order 1042?"))

        assert words(answer).strip()
        assert isinstance(answer[-1], Done)
        assert not any(isinstance(reply, Done | HandOff | AgentError) for reply in answer[:-1])

    async def test_deltas_are_the_message_in_pieces(self, agent: Agent) -> None:
        """What streams before a message is how the message begins."""
        answer = await replies(agent, asked("Where is my order 1042?"))
        streamed = ""
        for reply in answer:
            if isinstance(reply, Delta):
                streamed += reply.text
            elif isinstance(reply, Message):
                assert reply.text.startswith(streamed)
                streamed = ""

    async def test_a_request_for_a_person_ends_in_a_handoff(self, agent: Agent) -> None:
        """The envelope can be read without a problem, and the handoff is the end of the answer."""
        turn = asked("I want to talk to a real person, please")
        answer = await replies(agent, turn)

        last = answer[-1]
        assert isinstance(last, HandOff)
        read = envelope_from(last.envelope, turn, agent_name=agent.name, now=AT)
        assert read.problems == ()
        assert read.envelope.reason is Reason.CUSTOMER_REQUEST
        assert "person" in read.envelope.summary

    async def test_it_goes_on_from_the_note(self, agent: Agent) -> None:
        """After a return the agent speaks of what the operator noted, and does not hand over again."""
        answer = await replies(agent, returned("The voucher SPRING-7431 was granted"))

        assert "SPRING-7431" in words(answer)
        assert isinstance(answer[-1], Done)

    async def test_the_same_turn_gets_the_same_answer(self, agent: Agent) -> None:
        """A repeated attempt has no second effect: it says the same."""
        turn = asked("Where is my order 1042?")

        first = await replies(agent, turn)
        assert words(await replies(agent, replace(turn, attempt=2))) == words(first)

    async def test_it_can_be_stopped_at_any_point_and_asked_again(self, agent: Agent) -> None:
        """Letting go of an answer in the middle raises nothing and spoils nothing."""
        turn = asked("Where is my order 1042?")
        async with aclosing(cast("AsyncGenerator[AgentReply]", agent.respond(turn))) as running:
            await anext(running)

        assert words(await replies(agent, replace(turn, attempt=2))).strip()

    async def test_a_cancelled_run_lets_go(self, agent: Agent) -> None:
        """A run that is cancelled ends as cancelled, and the agent can be asked again."""
        work = asyncio.create_task(replies(agent, asked("Where is my order 1042?")))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

        assert words(await replies(agent, asked("Where is my order 1042?", turn="t_2"))).strip()

    async def test_conversations_are_answered_side_by_side(self, agent: Agent) -> None:
        """Several conversations at once get each its own answer."""
        turns = [asked(f"Where is my order {i}?", turn=f"t_{i}", conversation=f"conv_{i}") for i in range(2000, 2010)]
        answers = await asyncio.gather(*(replies(agent, turn) for turn in turns))

        assert all(str(i) in words(answer) for i, answer in enumerate(answers, start=2000))
