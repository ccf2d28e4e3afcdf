"""The main job, end to end, in real processes: a web chat goes to a Slack thread and comes back."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import BILLING, DANA, LEE, SAM, SUPPORT
from tests.journeys.world import Customer, World

Json = dict[str, Any]
pytestmark = pytest.mark.xdist_group("journeys")


@pytest.fixture(params=["socket", "http"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A running sandbox and bridge, joined by Socket Mode and then by HTTP."""
    async with World(tmp_path, mode=request.param) as started:
        yield started


def holds(*words: str) -> Callable[[list[Json]], list[Json]]:
    """Return a question: which messages of a thread hold all these words?"""
    return lambda messages: [m for m in messages if all(word in json.dumps(m) for word in words)]


async def in_thread(world: World, root: Json, *words: str, channel: str = SUPPORT) -> list[Json]:
    """Wait until a message of the thread holds these words."""

    def look(state: State) -> list[Json]:
        return holds(*words)(state.thread(channel, root["ts"])[1:])

    return await world.slack.wait_for(look, timeout_s=60)


async def escalated(world: World) -> tuple[Customer, Json]:
    """A customer who asked for a person, and the card."""
    customer = await world.customer()
    await customer.sees("help")
    await customer.say("I want to talk to a human about my invoice, please")
    await customer.sees("ticket is H-1001")
    return customer, await world.root_with("H-1001", await where(world))


async def where(world: World) -> str:
    """Return the channel that got the card."""

    def look(state: State) -> str:
        return next((channel for channel in (SUPPORT, BILLING) if state.roots(channel)), "")

    return await world.slack.wait_for(look, timeout_s=60)


async def taken(world: World) -> tuple[Customer, Json, str]:
    """The same, with Dana as its owner."""
    customer, root = await escalated(world)
    channel = await where(world)
    await world.slack.click(DANA, "bridge_take", root["ts"], channel=channel)
    await customer.sees("Dana Ruiz")
    return customer, root, channel


async def by_button(world: World, root: Json, channel: str) -> None:
    """The button on the card, and its modal."""
    await world.slack.click(DANA, "bridge_return", root["ts"], channel=channel)
    await _submit(world)


async def by_shortcut(world: World, root: Json, channel: str) -> None:
    """The message shortcut, on the card."""
    await world.slack.shortcut(DANA, "bridge_return_message", ts=root["ts"], channel=channel)
    await _submit(world)


async def by_command(world: World, root: Json, channel: str) -> None:
    """`/return H-1001` in the channel, and its modal."""
    assert root
    await world.slack.command(DANA, "/return", "H-1001", channel=channel)
    await _submit(world)


async def by_mention(world: World, root: Json, channel: str) -> None:
    """`@bridge return <note>` in the thread."""
    await world.slack.mention(DANA, "return the invoice was corrected", channel=channel, thread_ts=root["ts"])


async def _submit(world: World) -> None:
    view = await world.slack.view_of(DANA, timeout_s=60)
    blocks = {block["block_id"]: block for block in view["blocks"] if block["type"] == "input"}
    note = next(block for key, block in blocks.items() if "note" in key)
    written = {"type": "plain_text_input", "value": "the invoice was corrected"}
    values = {note["block_id"]: {note["element"]["action_id"]: written}}
    await world.slack.submit(DANA, view["id"], values)


WAYS = [by_button, by_shortcut, by_command, by_mention]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_chat_goes_to_a_thread_and_comes_back(
    world: World, way: Callable[[World, Json, str], Awaitable[None]]
) -> None:
    """A conversation escalates, a person answers in the thread, gives it back, and the agent goes on with the note."""
    customer, root, channel = await taken(world)

    await world.slack.say(DANA, "Hello Ann, I am looking at it.", channel=channel, thread_ts=root["ts"])
    reply = await customer.sees("Hello Ann, I am looking at it.")
    assert "Dana Ruiz" in reply

    await customer.say("Thank you <!channel> & see you")
    await in_thread(world, root, "Thank you", channel=channel)

    await way(world, root, channel)
    await customer.sees("AI assistant again")
    await customer.say("So, is it done?")
    await customer.sees("the invoice was corrected")


async def test_only_the_owner_is_heard(tmp_path: Path) -> None:
    """Before anybody took it, and from anybody but its owner, nothing typed in the thread reaches the customer."""
    async with World(tmp_path) as world:
        customer, root = await escalated(world)
        channel = await where(world)
        await world.slack.say(SAM, "early canary", channel=channel, thread_ts=root["ts"])
        await in_thread(world, root, "Nobody has taken", channel=channel)
        await world.slack.click(DANA, "bridge_take", root["ts"], channel=channel)
        await customer.sees("Dana Ruiz")
        await world.slack.say(LEE, "colleague canary", channel=channel, thread_ts=root["ts"])
        await in_thread(world, root, "Only Dana Ruiz", channel=channel)
        await world.slack.say(DANA, "// note canary", channel=channel, thread_ts=root["ts"])
        await world.slack.say(DANA, "a real answer", channel=channel, thread_ts=root["ts"])
        await customer.sees("a real answer")
        assert "canary" not in json.dumps(customer.frames)


async def test_a_kill_loses_nothing(tmp_path: Path) -> None:
    """After kill -9 and a restart in the middle, both sides have every line once, in order."""
    async with World(tmp_path) as world:
        customer, root, channel = await taken(world)
        for i in range(5):
            await customer.say(f"customer line {i}")
        await world.bridge.kill()
        await customer.drop()
        await world.start_bridge()
        await customer.reconnect()
        for i in range(5, 8):
            await customer.say(f"customer line {i}")
        await world.slack.say(DANA, "still here", channel=channel, thread_ts=root["ts"])
        await customer.sees("still here")
        await in_thread(world, root, "customer line 7", channel=channel)
        thread = json.dumps(await world.slack.thread(channel, root["ts"]))
        lines = [f"customer line {i}" for i in range(8)]
        places = [thread.index(line) for line in lines]
        assert places == sorted(places)
        assert [text for text in customer.texts if text.startswith("customer line")] == lines
