"""The scripted agent of the demo."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.agents import create
from adapters.agents.demo import DemoAgent
from bridge.conversation import TurnKind
from bridge.fakes.clock import ManualClock
from bridge.handing_over import envelope_from
from bridge.ports import AgentError, AgentMessage, AgentTurn, Collected, Delta, Done, HandOff, Message, ToolCall
from tests.contracts.agent_contract import AT, AgentContract, asked, replies, returned, words


@pytest.fixture
def agent() -> DemoAgent:
    return DemoAgent(pause_s=0)


class TestDemoAgent(AgentContract):
    """The suite, run by the demo's agent."""

    @pytest.fixture
    def agent(self) -> DemoAgent:
        return DemoAgent(pause_s=0)


async def test_it_greets_and_says_that_it_is_an_ai(agent: DemoAgent) -> None:
    """Who opens the chat is told at once that an AI speaks and that a person can be had."""
    greeting = words(await replies(agent, asked("", kind=TurnKind.OPENED, messages=())))

    assert "AI assistant" in greeting
    assert "person" in greeting


async def test_it_streams_in_small_pieces_at_a_readable_pace() -> None:
    """A message arrives in pieces of a few words with pauses between, by the clock that it is given."""
    clock = ManualClock()
    agent = DemoAgent(pause_s=0.05, sleep=clock.sleep)
    began = clock.now()
    work = asyncio.create_task(replies(agent, asked("Where is my order 1042?")))
    while not work.done():
        await clock.advance(0.05)
    answer = work.result()

    pieces = [reply.text for reply in answer if isinstance(reply, Delta)]
    assert len(pieces) > 3
    assert "".join(pieces) == words(answer)
    assert clock.now() - began >= 50 * (len(pieces) - 1)


@pytest.mark.parametrize(
    "text, reason, queue",
    [
        ("I want a real person", "customer_request", "support"),
        ("can I talk to someone about my invoice", "customer_request", "billing"),
        ("I want a refund of 250", "policy", "billing"),
        ("I was charged twice on my invoice", "out_of_scope", "billing"),
        ("this is ridiculous", "sentiment", "support"),
        ("please delete my account", "approval_required", "support"),
        ("my lawyer will call you", "out_of_scope", "support"),
        ("the parcel is late, this is ridiculous", "sentiment", "delivery"),
    ],
)
async def test_it_hands_over_for_each_reason(agent: DemoAgent, text: str, reason: str, queue: str) -> None:
    """Each reason has words that bring it about, with a full envelope and a queue that fits."""
    turn = asked(text)
    last = (await replies(agent, turn))[-1]

    assert isinstance(last, HandOff)
    read = envelope_from(last.envelope, turn, agent_name=agent.name, now=AT)
    assert read.problems == ()
    assert (read.envelope.reason.value, read.envelope.queue) == (reason, queue)
    assert read.envelope.summary.startswith("Sam ")
    assert text not in read.envelope.summary


async def test_the_summary_tells_what_came_before(agent: DemoAgent) -> None:
    """The operator reads what the customer wanted and was told before; the last words stand on the card anyway."""
    told = "Your order **1042** is on its way and should be with you in two days."
    messages = (
        *asked("Where is my order 1042?").messages,
        AgentMessage(n=2, role="agent", name="Ada", text=told, at=AT),
        AgentMessage(n=3, role="customer", name="Sam", text="get me a real person, about an invoice", at=AT),
    )
    later = (await replies(agent, asked("", messages=messages)))[-1]
    at_once = (await replies(agent, asked("a real person please")))[-1]

    assert isinstance(later, HandOff)
    assert later.envelope["summary"] == (
        f'Sam asks for a person about an invoice or a payment. Before that: "Where is my order 1042?" '
        f'{agent.name} answered: "{told}"'
    )
    assert isinstance(at_once, HandOff)
    assert at_once.envelope["summary"] == "Sam asks for a person. Nothing else has been said so far."


async def test_it_says_when_it_does_not_know(agent: DemoAgent) -> None:
    """An unknown question is answered with low confidence, which the site's trigger reads."""
    answer = await replies(agent, asked("How high is the Matterhorn?"))

    assert answer[-1] == Done(confidence=0.3)


async def test_a_refund_is_collected_before_anything_is_promised(agent: DemoAgent) -> None:
    """The amount is reported before a word about approval, so that a policy can step in first."""
    asked_amount = await replies(agent, asked("I want my money back"))
    assert "Which amount" in words(asked_amount)
    small = await replies(agent, asked("refund 40 please"))
    assert Collected(values={"refund_amount": 40.0}) in small
    assert "on its way" in words(small)
    big = await replies(agent, asked("refund $250.50 please"))
    kinds = [type(reply) for reply in big]
    assert kinds == [Delta, Collected, HandOff]
    assert "on its way" not in "".join(reply.text for reply in big if isinstance(reply, Delta))


async def test_an_amount_alone_answers_its_question(agent: DemoAgent) -> None:
    """ "250" after "which amount?" is a refund of 250."""
    question = "I can help with that. Which amount should be refunded?"
    messages = (
        *asked("I want a refund").messages,
        AgentMessage(n=2, role="agent", name="Ada", text=question, at=AT),
        AgentMessage(n=3, role="customer", name="Sam", text="250", at=AT),
    )
    answer = await replies(agent, asked("", messages=messages))

    assert Collected(values={"refund_amount": 250.0}) in answer


async def test_its_parcel_tool_fails(agent: DemoAgent) -> None:
    """Tracking fails twice in a run, which a site with that trigger makes a handoff."""
    answer = await replies(agent, asked("track my parcel 998877"))

    failed = [reply for reply in answer if isinstance(reply, ToolCall) and reply.failed]
    assert [reply.name for reply in failed] == ["track_parcel", "track_parcel"]
    assert failed[0].arguments == {"parcel": "998877"}


async def test_the_second_failure_to_log_in_calls_a_person(agent: DemoAgent) -> None:
    """Advice that did not help is not given twice."""
    first = words(await replies(agent, asked("I cannot log in")))
    messages = (
        *asked("I cannot log in").messages,
        AgentMessage(n=2, role="agent", name="Ada", text=first, at=AT),
        AgentMessage(n=3, role="customer", name="Sam", text="I still cannot log in", at=AT),
    )
    last = (await replies(agent, asked("", messages=messages)))[-1]

    assert isinstance(last, HandOff)
    assert last.envelope["reason"] == "repeated_failure"
    assert last.envelope["attempts"][0]["outcome"] == "failed"


async def test_it_can_crash_and_say_goodbye(agent: DemoAgent) -> None:
    """The demo shows a failing agent and a finished conversation as well."""
    assert isinstance((await replies(agent, asked("please crash")))[-1], AgentError)
    assert (await replies(agent, asked("goodbye")))[-1] == Done(confidence=0.9, close=True)


NOTE = "Refund of 250 approved, 5 days"


@pytest.mark.parametrize(
    "turn",
    [
        returned(NOTE),
        returned(NOTE, kind=TurnKind.MESSAGE, text="thanks"),
        returned(NOTE, kind=TurnKind.MESSAGE, text="so what about my refund of 250?"),
        returned(NOTE, kind=TurnKind.MESSAGE, text="refund 250 now"),
        replace(returned(NOTE, kind=TurnKind.MESSAGE, text="refund 250 now"), briefing=None),
        replace(returned(NOTE, kind=TurnKind.MESSAGE, text="what did Dana say?"), briefing=None),
    ],
)
async def test_what_a_person_settled_is_not_handed_over_again(agent: DemoAgent, turn: AgentTurn) -> None:
    """After a return the note is what counts, at once and later: the same matter calls nobody again."""
    answer = await replies(agent, turn)

    assert NOTE in words(answer)
    assert isinstance(answer[-1], Done)
    assert not any(isinstance(reply, Collected) for reply in answer)


async def test_another_matter_after_a_return_is_dealt_with(agent: DemoAgent) -> None:
    """A new question is answered after the note, and whoever asks for a person again gets one."""
    order = await replies(agent, returned(NOTE, kind=TurnKind.MESSAGE, text="and where is my order 1042?"))
    assert NOTE in words(order)
    assert "1042" in words(order)
    person = returned(NOTE, kind=TurnKind.MESSAGE, text="I want a real person again", reason="customer_request")
    assert isinstance((await replies(agent, person))[-1], HandOff)


@pytest.mark.parametrize("outcome", ["resolved", "answered", "needs_agent", "unanswered", "withdrawn", "other", "new"])
async def test_each_outcome_has_its_words(agent: DemoAgent, outcome: str) -> None:
    """However the human stretch ended, the agent goes on from it, with facts and promises."""
    base = returned(NOTE)
    more: dict[str, Any] = {"outcome": outcome, "facts": ["Paid by card"], "promises": ["Money within 5 days"]}
    text = words(await replies(agent, replace(base, briefing={**(base.briefing or {}), **more})))

    assert all(part in text for part in (NOTE, "Paid by card", "Money within 5 days"))


async def test_a_second_attempt_does_not_repeat_what_was_said(agent: DemoAgent) -> None:
    """Lines that a dead attempt had committed are not said again."""
    turn = asked("this is ridiculous")
    said = words(await replies(agent, turn))
    again = await replies(agent, replace(turn, attempt=2, committed=(said,)))

    assert words(again) == ""
    assert not any(isinstance(reply, Message | Delta) for reply in again)
    assert isinstance(again[-1], HandOff)


async def test_the_settings_choose_it() -> None:
    """`kind = "demo"` gives this agent, under the settings' name."""
    agent = create("demo", name="Robin")

    assert isinstance(agent, DemoAgent)
    assert agent.name == "Robin"
