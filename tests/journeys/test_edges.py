"""Where bridges lose or double things, tried on real processes: repeats, limits, errors, forgeries, a kill."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox.slack.people import APP_ID, DANA, SUPPORT, TEAM_ID
from adapters.sandbox.slack.settings import SIGNING_SECRET
from tests.journeys.world import Customer, World, until

Json = dict[str, Any]
pytestmark = pytest.mark.xdist_group("journeys")
ONE_QUEUE = f"""
[[queues]]
name = "support"
label = "Support"
channels = ["{SUPPORT}"]
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A bridge behind Slack's HTTP events, which looks for an unclear post after one second."""
    async with World(tmp_path, mode="http", toml=ONE_QUEUE, extra={"HANDOFF_UNCLEAR_GRACE_S": "1"}) as started:
        yield started


async def owned_by_dana(world: World) -> tuple[Customer, Json]:
    """A customer with whom Dana talks, and the card."""
    customer = await world.customer()
    await customer.say("I want to talk to a human, please")
    root = await world.root_with("H-1001")
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    return customer, root


def reply(root_ts: str, text: str, *, ts: str, event_id: str = "Ev0EDGE") -> bytes:
    """Return what Slack sends when Dana writes in the thread."""
    event = {"type": "message", "user": DANA, "text": text, "ts": ts, "channel": SUPPORT, "thread_ts": root_ts}
    head = {"type": "event_callback", "team_id": TEAM_ID, "api_app_id": APP_ID, "event_id": event_id}
    return json.dumps({**head, "event_time": int(time.time()), "event": event}).encode()


async def deliver(world: World, raw: bytes, *, retry: int = 0, age_s: int = 0, secret: str = SIGNING_SECRET) -> int:
    """Post it as Slack does; return the status of the answer."""
    stamp = str(int(time.time()) - age_s)
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
        "Content-Type": "application/json",
    }
    if retry:
        headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"}
    async with world.http.post(f"{world.url}/slack/events", data=raw, headers=headers) as answer:
        return answer.status


def kept(world: World, words: str) -> int:
    """Count the entries of the log, and the sources seen, that hold these words."""
    with contextlib.closing(sqlite3.connect(f"file:{world.folder}/handoff.db?mode=ro", uri=True)) as db:
        entries = db.execute("SELECT count(*) FROM entry WHERE text LIKE ?", (f"%{words}%",)).fetchone()[0]
        seen = db.execute("SELECT count(*) FROM inbox WHERE source LIKE ?", (f"%{words}%",)).fetchone()[0]
    return int(entries) + int(seen)


async def times_in_thread(world: World, root: Json, words: str) -> int:
    """Wait for the words in the thread, then count the posts that hold them."""

    def posts(thread: list[Json]) -> list[Json]:
        return [post for post in thread[1:] if words in json.dumps(post)]

    await world.slack.wait_for(lambda state: posts(state.thread(SUPPORT, root["ts"])), timeout_s=60)
    return len(posts(await world.slack.thread(SUPPORT, root["ts"])))


async def test_repeats_have_one_effect_and_forgeries_none(world: World) -> None:
    """One message delivered three times, once under another id, is one line for the customer; a forged one and one of
    ten minutes ago get 401 and leave no trace.
    """
    customer, root = await owned_by_dana(world)
    now = int(time.time())
    raw = reply(root["ts"], "said once", ts=f"{now}.000100")
    again = reply(root["ts"], "said once", ts=f"{now}.000100", event_id="Ev1EDGE")
    forged = reply(root["ts"], "forged words", ts="1111111111.000200")
    old = reply(root["ts"], "old words", ts="1111111111.000300")

    accepted = [await deliver(world, raw), await deliver(world, raw, retry=1), await deliver(world, again, retry=2)]
    refused = [await deliver(world, forged, secret="not Slack's"), await deliver(world, old, age_s=600)]
    assert await deliver(world, reply(root["ts"], "the end", ts=f"{now}.000400")) == 200
    await customer.sees("the end")

    assert (accepted, refused) == ([200, 200, 200], [401, 401])
    assert [text for text in customer.texts if "said once" in text] == [await customer.sees("said once")]
    assert not [text for text in customer.texts if "words" in text]
    assert kept(world, "said once") == 1
    assert kept(world, "forged words") + kept(world, "old words") + kept(world, "1111111111") == 0


@pytest.mark.parametrize("kind", ["rate_limited", "http_500_before", "http_500_after"])
async def test_one_failing_answer_of_slack_loses_and_doubles_nothing(tmp_path: Path, kind: str) -> None:
    """After one 429, and after one 500 whether or not Slack had done the work, the thread has the line once."""
    extra = {"HANDOFF_UNCLEAR_GRACE_S": "1"}
    async with World(tmp_path, mode="http", toml=ONE_QUEUE, extra=extra) as world:
        customer, root = await owned_by_dana(world)
        await customer.say("before the failure")
        await times_in_thread(world, root, "before the failure")
        await world.slack.fault("chat.postMessage", kind, times=1, after_s=1.0)

        await customer.say("through the failure")
        await customer.say("after the failure")

        assert await times_in_thread(world, root, "after the failure") == 1
        assert await times_in_thread(world, root, "through the failure") == 1
        told = json.dumps(await world.slack.thread(SUPPORT, root["ts"]))
        assert told.index("through the failure") < told.index("after the failure")


async def test_what_was_acknowledged_survives_a_kill_while_slack_is_down(world: World) -> None:
    """Slack fails every call, a line and a reply are acknowledged, kill -9, a new start: both arrive, each once."""
    customer, root = await owned_by_dana(world)
    for method in ("chat.postMessage", "conversations.replies", "chat.update"):
        await world.slack.fault(method, "http_500_before", times=-1)
    tried = len(await world.slack.calls("chat.postMessage"))
    await customer.say("said into the dark")
    assert await deliver(world, reply(root["ts"], "answered in the dark", ts=f"{int(time.time())}.000100")) == 200
    async with asyncio.timeout(10):
        while len(await world.slack.calls("chat.postMessage")) == tried:  # noqa: ASYNC110 -- it is another process
            await asyncio.sleep(0.02)
    await world.bridge.kill()
    await customer.drop()
    await world.slack.clear_faults()

    await world.start_bridge()
    await customer.reconnect()

    await customer.sees("answered in the dark")
    assert await times_in_thread(world, root, "said into the dark") == 1
    assert len([text for text in customer.texts if "answered in the dark" in text]) == 1
    await customer.say("and on it goes")
    await until(lambda: customer.texts[-1] == "and on it goes" or None, what="the echo")
    assert await times_in_thread(world, root, "and on it goes") == 1
    assert await times_in_thread(world, root, "said into the dark") == 1
