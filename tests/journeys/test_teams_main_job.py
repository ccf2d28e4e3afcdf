"""The main job with Teams as the desk, end to end, in real processes: a web chat goes to a team and comes back."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adapters.sandbox.teams.people import DANA, LEE, SAM
from adapters.teams import inputs
from tests.journeys.teams_world import TeamsWorld
from tests.journeys.world import Customer

pytestmark = pytest.mark.xdist_group("journeys")
Place = tuple[str, str]
NOTE = "the invoice was corrected"
IMPATIENT = (
    "-m", "adapters.sandbox", "teams", "--port", "0", "--retry-after-s", *["0.5"] * 20,
)  # fmt: skip
"""A sandbox that brings again what nobody answered, every half second."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TeamsWorld]:
    """A running sandbox and bridge, and the app in the team."""
    async with TeamsWorld(tmp_path) as started:
        await started.install()
        yield started


async def escalated(world: TeamsWorld) -> tuple[Customer, Place]:
    """A customer who asked for a person, and where the card is."""
    customer = await world.customer()
    await customer.sees("help")
    await customer.say("I want to talk to a human about my invoice, please")
    await customer.sees("ticket is H-1001")
    return customer, await world.card_with("H-1001")


async def taken(world: TeamsWorld) -> tuple[Customer, Place]:
    """The same, with Dana as its owner."""
    customer, card = await escalated(world)
    await world.teams.click(DANA, card[1], "take")
    await customer.sees("Dana Ruiz")
    return customer, card


async def by_button(world: TeamsWorld, card: Place) -> None:
    """The form on the card."""
    await world.teams.click(DANA, card[1], "return", inputs={inputs.NOTE: NOTE})


async def by_message_action(world: TeamsWorld, card: Place) -> None:
    """The app's action in the menu of a message of the thread, and its dialog."""
    message = (await world.teams.thread(*card))[-1]["id"]
    opened = await world.teams.message_action(DANA, message)
    await world.teams.submit_dialog(DANA, opened["dialog"], {inputs.NOTE: NOTE})


async def by_mention(world: TeamsWorld, card: Place) -> None:
    """`@Support Bridge return <note>` in the thread."""
    await world.teams.mention(DANA, f"return {NOTE}", channel=card[0], root=card[1])


@pytest.mark.parametrize("way", [by_button, by_message_action, by_mention], ids=lambda way: way.__name__)
async def test_a_chat_goes_to_a_team_and_comes_back(
    world: TeamsWorld, way: Callable[[TeamsWorld, Place], Awaitable[None]]
) -> None:
    """A conversation escalates, a person answers in the thread, gives it back, and the agent goes on with the note;
    the next time the same person is asked first.
    """
    customer, card = await taken(world)
    channel, root = card
    await world.teams.say(DANA, "Hello Ann, **I** am looking at it.", channel=channel, root=root)
    reply = await customer.sees("I** am looking at it.")
    assert "Dana Ruiz" in reply
    await world.teams.say(DANA, "// canary: she sounds upset", channel=channel, root=root)
    await customer.say("Thank you <at>everyone</at> & see you")
    relayed = await world.in_thread(card, "Thank you")
    assert relayed["entities"] == []

    await way(world, card)
    await customer.sees("AI assistant again")
    await customer.say("So, is it done?")
    await customer.sees(f"Dana Ruiz answered you: {NOTE}")
    assert "canary" not in json.dumps(customer.frames)

    await customer.say("I need to talk to a human again, please")
    await customer.sees("ticket is H-1002")
    again = await world.card_with("H-1002")
    asked = await world.in_thread(again, "You talked with this customer before")
    assert [entity["mentioned"]["name"] for entity in asked["entities"]] == ["Dana Ruiz"]


async def test_only_the_owner_is_heard_in_teams(world: TeamsWorld) -> None:
    """Before anybody took it, and from anybody but its owner, nothing typed in the thread reaches the customer."""
    customer, card = await escalated(world)
    channel, root = card
    await world.teams.say(SAM, "early canary", channel=channel, root=root)
    await world.in_thread(card, "Nobody has taken")
    await world.teams.click(DANA, root, "take")
    await customer.sees("Dana Ruiz")
    await world.teams.say(LEE, "colleague canary", channel=channel, root=root)
    await world.in_thread(card, "Only Dana Ruiz")
    await world.teams.say(DANA, "// note canary", channel=channel, root=root)
    await world.teams.say(DANA, "a real answer", channel=channel, root=root)
    await customer.sees("a real answer")
    assert "canary" not in json.dumps(customer.frames)


async def test_without_consent_mentions_and_buttons_carry_the_conversation(world: TeamsWorld) -> None:
    """Where the team has not let the app read all, the card says so, and what mentions the app is an answer."""
    await world.teams.rules(rsc=False)
    customer, (channel, root) = await taken(world)
    [card] = (await world.teams.thread(channel, root))[:1]
    assert "Only messages that mention me are heard here" in json.dumps(card)
    await world.teams.say(DANA, "unheard canary", channel=channel, root=root)
    await world.teams.mention(DANA, "your invoice is right now", channel=channel, root=root)
    assert "Support Bridge" not in await customer.sees("your invoice is right now")
    await by_button(world, (channel, root))
    await customer.sees("AI assistant again")
    assert "canary" not in json.dumps(customer.frames)


async def test_a_kill_loses_nothing_in_teams(tmp_path: Path) -> None:
    """After kill -9 and a restart in the middle, both sides have every line once, in order, what an operator typed in
    the meantime included.
    """
    environment = {"HANDOFF_TEAMS__GRAPH": "true", "HANDOFF_UNCLEAR_GRACE_S": "1"}
    async with TeamsWorld(tmp_path, sandbox=IMPATIENT, extra=environment) as world:
        await world.teams.rules(graph=True, limits=False)
        await world.install()
        customer, card = await taken(world)
        channel, root = card
        for i in range(5):
            await customer.say(f"customer line {i}")
        await world.bridge.kill()
        await customer.drop()
        await world.teams.say(DANA, "typed while it was down", channel=channel, root=root)
        await world.start_bridge()
        await customer.reconnect()
        for i in range(5, 8):
            await customer.say(f"customer line {i}")
        await world.teams.say(DANA, "still here", channel=channel, root=root)
        await customer.sees("still here")
        await world.in_thread(card, "customer line 7")
        replies = (await world.teams.thread(*card))[1:]
        thread = "\n".join(json.dumps(reply["cards"] or reply["text"]) for reply in replies)
        lines = [f"customer line {i}" for i in range(8)]
        assert [thread.count(line) for line in lines] == [1] * 8
        places = [thread.index(line) for line in lines]
        assert places == sorted(places)
        assert [text for text in customer.texts if text.startswith("customer line")] == lines
        answers = [text for text in customer.texts if "typed while" in text or "still here" in text]
        assert len(answers) == 2
        assert "typed while it was down" in answers[0]
