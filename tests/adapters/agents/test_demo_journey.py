"""The scripted agent behind the real front door: each reason ends with a person, and nothing is promised too early."""

import asyncio

import pytest

from adapters.agents.demo import DemoAgent
from bridge.conversation import Audience, State
from bridge.envelope import Reason, ReturnNote
from bridge.triggers import PolicyRule, Triggers
from bridge.turns import Turns
from tests.bridge.turns_world import World

TRIGGERS = Triggers(
    low_confidence=0.5,
    low_confidence_turns=2,
    tool_failures=2,
    policy=(PolicyRule(name="big-refund", when="refund_amount > 100", queue="support", detail="Refunds over 100"),),
)


@pytest.fixture
def world() -> World:
    """A process whose agent is the demo's."""
    world = World(triggers=TRIGGERS)
    agent = DemoAgent(pause_s=0.05, sleep=world.clock.sleep)
    world.turns = Turns(
        world.store, agent, world.receive, world.clock, worker="w1", triggers=TRIGGERS, limits=world.limits
    )
    return world


@pytest.mark.parametrize(
    "lines, reason",
    [
        (["hello", "I want to talk to a human"], Reason.CUSTOMER_REQUEST),
        (["can you get me a real supervisor, thanks"], Reason.CUSTOMER_REQUEST),
        (["how high is the Matterhorn?", "and the Eiger?"], Reason.LOW_CONFIDENCE),
        (["I want a refund of 250"], Reason.POLICY),
        (["I want my money back", "250"], Reason.POLICY),
        (["track my parcel 998877"], Reason.TOOL_FAILURE),
        (["I cannot log in", "I still cannot log in"], Reason.REPEATED_FAILURE),
        (["this is ridiculous"], Reason.SENTIMENT),
        (["please delete my account"], Reason.APPROVAL_REQUIRED),
        (["my lawyer will call you"], Reason.OUT_OF_SCOPE),
        (["please crash"], Reason.ERROR),
    ],
)
async def test_each_reason_brings_in_a_person(world: World, lines: list[str], reason: Reason) -> None:
    """For every reason there are words in the demo that end with a person being called, with that reason."""
    for line in lines:
        assert (await world.conversation_state()) in (None, State.AGENT)
        await world.customer(line)
        while await world.live() is not None:
            await world.step()

    assert await world.conversation_state() is State.WAITING
    assert (await world.handoff()).envelope.reason is reason
    assert (await world.handoff()).envelope.summary


async def test_a_refund_over_the_limit_is_never_promised(world: World) -> None:
    """The policy steps in while the agent speaks: the customer reads no word about the refund from the agent."""
    await world.customer("I want a refund of 250")
    await world.step()

    assert await world.said() == []
    assert [text.strip() for text in await world.said(Audience.SUPPRESSED)] == [
        "Let me look into a refund of 250.00 for you."
    ]
    assert (await world.handoff()).envelope.collected == {"refund_amount": 250.0}


async def test_after_a_return_it_goes_on_and_calls_nobody_again(world: World) -> None:
    """The operator's note is what the customer reads next, and the refund that was settled calls nobody again."""
    await world.customer("I want a refund of 250")
    await world.step()
    handoff = await world.takeover_of_open()
    await world.give_back(handoff, ReturnNote(note="The refund of 250 is approved.", continue_now=True))
    await world.step()
    await world.customer("So what about my refund of 250?")
    await world.step()
    await world.customer("and where is my order 1042?")
    await world.step()

    said = await world.said()
    assert "The refund of 250 is approved." in said[0]
    assert "The refund of 250 is approved." in said[1]
    assert "1042" in said[2]
    assert await world.conversation_state() is State.AGENT


async def test_whoever_writes_during_the_greeting_is_answered(world: World) -> None:
    """A customer who is quicker than the greeting gets the greeting and then the answer."""
    await world.open_chat()
    greeting = asyncio.create_task(world.turns.step())
    await world.clock.advance(0.1)
    await world.customer("Where is my order 1042?")
    await world.finish(greeting)
    await world.step()

    greeted, answered = await world.said()
    assert "AI assistant" in greeted
    assert "1042" in answered
