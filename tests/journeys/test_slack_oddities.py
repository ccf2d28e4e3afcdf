"""What Slack does on an ordinary day, through the whole bridge as real processes: disorder, files, previews, and a kill
at the worst moment of a card.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox.slack.people import DANA, SUPPORT
from tests.journeys.world import Customer, World, until

Json = dict[str, Any]
pytestmark = pytest.mark.xdist_group("journeys")
FILE = bytes(range(256)) * 300


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A bridge in Socket Mode."""
    async with World(tmp_path) as started:
        yield started


async def owned_by_dana(world: World) -> tuple[Customer, str]:
    """A customer with whom Dana talks, and the `ts` of the card."""
    customer = await world.customer()
    await customer.say("I want to talk to a human, please")
    root = await world.root_with("H-1001")
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    return customer, root["ts"]


def seen(customer: Customer, words: str) -> list[str]:
    """Return the lines with these words as they came over the socket, without the name above the first."""
    return [frame["text"].rpartition("\n")[2] for frame in customer.frames if words in str(frame.get("text"))]


async def test_disorder_within_the_window_is_put_right(world: World) -> None:
    """Two lines of which Slack delivers the second first, within 400 ms, reach the customer as they were typed."""
    customer, root = await owned_by_dana(world)
    for pair in range(4):
        await world.slack.fault("events", "reorder", after_s=5.0)
        await world.slack.say(DANA, f"line {pair}a", thread_ts=root)
        await world.slack.say(DANA, f"line {pair}b", thread_ts=root)
        assert (await world.slack.request("GET", "/sandbox/faults"))["faults"] == []
        await customer.sees(f"line {pair}b")

    wanted = [f"line {pair}{half}" for pair in range(4) for half in "ab"]
    await until(lambda: len(seen(customer, "line ")) >= len(wanted) or None, what="eight lines")
    assert seen(customer, "line ") == wanted


async def test_a_shared_file_reaches_the_customer_once(world: World) -> None:
    """A file_share that Slack delivers three times is one message with one file, whole, and so is one without words."""
    customer, root = await owned_by_dana(world)
    await world.slack.fault("events", "duplicate_new_id")
    await world.slack.upload(DANA, "label.bin", FILE, thread_ts=root, text="your label")
    await world.slack.fault("events", "duplicate")
    await world.slack.upload(DANA, "second.bin", FILE[::-1], thread_ts=root)
    await world.slack.say(DANA, "the end", thread_ts=root)
    await customer.sees("the end")

    files = [one for frame in customer.frames for one in frame.get("attachments") or []]
    assert [one["name"] for one in files] == ["label.bin", "second.bin"]
    assert len(seen(customer, "your label")) == 1
    for one, content in zip(files, (FILE, FILE[::-1]), strict=True):
        async with world.http.get(one["contentUrl"]) as answer:
            assert (answer.status, await answer.read()) == (200, content)


async def test_a_preview_changes_nothing(world: World) -> None:
    """Slack's message_changed for a link's preview reaches nobody: the customer keeps one message, as it was typed."""
    customer, root = await owned_by_dana(world)
    ts = await world.slack.say(DANA, "see https://example.com/parcel", thread_ts=root)
    await customer.sees("example.com/parcel")
    before = len(customer.frames)
    await world.slack.act(DANA, "unfurl", ts=ts, channel=SUPPORT)
    await world.slack.wait_for(lambda state: "A link preview" in str(state.thread(SUPPORT, root)) or None)
    await world.slack.say(DANA, "the end", thread_ts=root)
    await customer.sees("the end")

    assert [frame["text"] for frame in customer.frames[before:] if frame["type"] != "typing"] == ["the end"]
    changed = [event for event in await world.slack.deliveries("message") if event["subtype"] == "message_changed"]
    assert [event["status"] for event in changed if event["body"]["event"]["message"]["ts"] == ts] == [200]


def kept(world: World, words: str) -> int:
    """Count the entries of the log with these words."""
    with contextlib.closing(sqlite3.connect(f"file:{world.folder}/handoff.db?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM entry WHERE text LIKE ?", (f"%{words}%",)).fetchone()[0])


@pytest.mark.parametrize("lost", [False, True], ids=["delivered-later", "never-delivered"])
async def test_a_reply_below_a_card_that_a_kill_left_unsettled_is_heard(tmp_path: Path, lost: bool) -> None:
    """kill -9 between the card's post and its settling, a reply below it: one card, one reply, and it goes on."""
    async with World(tmp_path, extra={"HANDOFF_UNCLEAR_GRACE_S": "4"}) as world:
        await _killed_below_a_card(world, lost=lost)


async def _killed_below_a_card(world: World, *, lost: bool) -> None:
    customer = await world.customer()
    await world.slack.fault("events", "lose")
    await world.slack.fault("chat.postMessage", "delay_after", after_s=30.0)
    await customer.say("I want to talk to a human, please")
    root = await world.root_with("H-1001")
    await world.bridge.kill()
    await customer.drop()
    await world.slack.clear_faults()
    if lost:
        await world.slack.fault("events", "lose")
    await world.slack.say(DANA, "said below the card", thread_ts=root["ts"])

    await world.start_bridge()
    async with asyncio.timeout(20):
        while not kept(world, "said below the card"):  # noqa: ASYNC110 -- it is another process
            await asyncio.sleep(0.05)
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.reconnect()
    await customer.sees("Dana Ruiz")
    await world.slack.say(DANA, "and on it goes", thread_ts=root["ts"])
    await customer.sees("and on it goes")

    assert kept(world, "said below the card") == 1
    cards = (await world.slack.state()).roots(SUPPORT)
    assert [card["ts"] for card in cards if "H-1001" in str(card)] == [root["ts"]]
