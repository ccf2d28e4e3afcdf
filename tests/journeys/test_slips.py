"""Slips of people, tried on real processes: one effect or none, and one plain sentence to the one who acted."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import APP_ID, BILLING, DANA, LEE, SAM, SUPPORT, TEAM_ID
from adapters.sandbox.slack.settings import SIGNING_SECRET
from tests.journeys.world import Customer, World, until

Json = dict[str, Any]
pytestmark = pytest.mark.xdist_group("journeys")
ONE_QUEUE = f"""
[[queues]]
name = "support"
label = "Support"
channels = ["{SUPPORT}"]
supervisors = ["{SAM}"]
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A bridge behind Slack's HTTP events."""
    async with World(tmp_path, mode="http", toml=ONE_QUEUE) as started:
        yield started


async def waiting(world: World) -> tuple[Customer, str]:
    """A customer who asked for a person, and where the card is."""
    customer = await world.customer()
    await customer.say("I want to talk to a human, please")
    return customer, str((await world.root_with("H-1001"))["ts"])


async def owned(world: World) -> tuple[Customer, str]:
    """The same, with Dana as the owner."""
    customer, root = await waiting(world)
    await world.slack.click(DANA, "bridge_take", root)
    await customer.sees("Dana Ruiz")
    return customer, root


async def told(world: World, user: str, act: Callable[[], Awaitable[Any]]) -> list[str]:
    """Let somebody act, and return what only they read of it."""
    before = len((await world.slack.state()).ephemerals(user))
    await act()
    new = await world.slack.wait_for(lambda state: state.ephemerals(user)[before:], timeout_s=60)
    return [json.dumps(one) for one in new]


async def in_thread(world: World, root: str, words: str) -> None:
    """Wait until the thread holds these words."""
    await world.slack.wait_for(lambda state: words in json.dumps(state.thread(SUPPORT, root)[1:]), timeout_s=60)


def joined(customer: Customer) -> list[str]:
    """Return the lines that name a new owner."""
    return [text for text in customer.texts if "joined the chat" in text]


async def stale_click(world: World, user: str, action: str, *, ts: str, value: str, channel: str = SUPPORT) -> None:
    """Click what a window still shows though Slack has newer blocks, or what was forwarded to another channel."""
    body = {
        "type": "block_actions",
        "api_app_id": APP_ID,
        "team": {"id": TEAM_ID, "domain": "harbour"},
        "user": {"id": user, "team_id": TEAM_ID},
        "trigger_id": f"{time.time_ns()}.stale",
        "container": {"type": "message", "message_ts": ts, "channel_id": channel},
        "channel": {"id": channel, "name": "somewhere"},
        "message": {"ts": ts},
        "actions": [{"type": "button", "action_id": action, "value": value, "action_ts": f"{time.time():.6f}"}],
    }
    raw = urlencode({"payload": json.dumps(body)}).encode()
    stamp = str(int(time.time()))
    digest = hmac.new(SIGNING_SECRET.encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    async with world.http.post(f"{world.url}/slack/events", data=raw, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def button(world: World, root: str, action: str) -> str:
    """Wait until the card offers this; return what the button carries."""

    def look(state: State) -> str:
        card = next(one for one in state.roots(SUPPORT) if one["ts"] == root)
        elements = [element for block in card.get("blocks", []) for element in block.get("elements", [])]
        return next((str(one["value"]) for one in elements if one.get("action_id") == action), "")

    return await world.slack.wait_for(look, timeout_s=60)


def _owners(customer: Customer, wanted: int) -> bool | None:
    return len(joined(customer)) == wanted or None


async def test_clicks_that_come_twice_or_too_late(world: World) -> None:
    """A double click and another's click at the same instant make one owner, and the slower one reads who has it. After
    two more owners a click on what the first card showed changes nothing, nor does one on a forwarded card; each is
    answered by a sentence that only its author reads.
    """
    customer, root = await waiting(world)
    value = await button(world, root, "bridge_take")
    quiet = {user: len((await world.slack.state()).ephemerals(user)) for user in (DANA, LEE)}

    dana = [world.slack.click(DANA, "bridge_take", root) for _ in range(2)]
    await asyncio.gather(*dana, world.slack.click(LEE, "bridge_take", root))
    await until(lambda: joined(customer) or None, what="an owner")
    owner, other = (DANA, LEE) if "Dana" in joined(customer)[0] else (LEE, DANA)
    heard = await world.slack.wait_for(lambda state: state.ephemerals(other)[quiet[other] :], timeout_s=60)
    assert "has this conversation already" in json.dumps(heard)
    assert len((await world.slack.state()).ephemerals(owner)) == quiet[owner]

    for number, (leaves, takes) in enumerate(((owner, other), (other, owner), (owner, other)), start=2):
        await button(world, root, "bridge_release")
        await world.slack.click(leaves, "bridge_release", root)
        await button(world, root, "bridge_take")
        await world.slack.click(takes, "bridge_take", root)
        await until(partial(_owners, customer, number), what="the next owner")

    late = await told(world, owner, lambda: stale_click(world, owner, "bridge_take", ts=root, value=value))
    assert "has this conversation already" in late[0]
    elsewhere = await told(
        world, other, lambda: stale_click(world, other, "bridge_close", ts=root, value=value, channel=BILLING)
    )
    assert "another channel" in elsewhere[0]
    assert len(joined(customer)) == 4
    await world.slack.say(other, "I am still here", thread_ts=root)
    await customer.sees("I am still here")


async def test_what_is_typed_or_sent_by_mistake(world: World) -> None:
    """A mistyped command after the bridge's name stays a note and says so; an edit that makes a note of an answer takes
    it from the customer's screen; a modal that is sent off after the close says in the modal that it is too late.
    """
    customer, root = await owned(world)
    await world.slack.mention(DANA, "retrun all is well", thread_ts=root)
    await in_thread(world, root, "I know no such command")

    ts = await world.slack.say(DANA, "the parcel is on its way", thread_ts=root)
    await customer.sees("the parcel is on its way")
    await world.slack.edit(DANA, ts, "// the parcel is lost, tell nobody")
    await in_thread(world, root, "removed")
    await until(lambda: "on its way" not in " ".join(customer.texts) or None, what="the removal")

    await world.slack.click(DANA, "bridge_return", root)
    view = await world.slack.view_of(DANA)
    await world.slack.click(SAM, "bridge_close", root)
    await button(world, root, "bridge_reopen")
    answer = await world.slack.submit(DANA, view["id"], {"note": "too late"})

    assert "is closed" in json.dumps(answer["errors"])
    assert "tell nobody" not in json.dumps(customer.frames)
    assert "retrun" not in json.dumps(customer.frames)
    assert "too late" not in json.dumps(customer.frames)
