"""A process that is asked to stop: it says so, finishes what is at hand and loses nothing."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import DANA, SUPPORT
from tests.journeys.world import ADMIN_KEY, World

pytestmark = pytest.mark.xdist_group("journeys")
SLOW_S = 2.5


@pytest.fixture(params=["socket", "http"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """One process, reached by Slack in both ways."""
    async with World(tmp_path, mode=request.param) as started:
        yield started


async def test_a_stop_in_mid_work_is_seen_and_loses_nothing(world: World) -> None:
    """While a post to Slack is on its way: /readyz says draining, /healthz that it lives, the API and the chat answer
    503 with Retry-After; the post is finished; the end comes within ten seconds; afterwards nothing is lost or doubled.
    """
    customer = await world.customer()
    await customer.sees("help")
    await customer.say("I want to talk to a human, please")
    await customer.sees("ticket is H-1001")
    root = await world.root_with("H-1001", SUPPORT)
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    await world.slack.fault("chat.postMessage", "delay_after", after_s=SLOW_S, times=-1)
    await customer.say("on its way")
    await world.slack.wait_for(lambda state: _posted(state, root["ts"], "on its way"), timeout_s=10)
    process = world.bridge.process
    assert process is not None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(customer.gone.wait(), 3)

    status, told = await world.told()
    assert (status, told["reasons"]["draining"]) == (503, "this process is stopping")
    async with world.http.get(f"{world.url}/healthz") as answer:
        assert answer.status == 200
    keyed = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with world.http.get(f"{world.url}/v1/conversations/x", headers=keyed) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    async with world.http.get(f"{customer.base}/conversations/{customer.conversation}") as answer:
        assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert customer.close_code == 1012
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert time.monotonic() - began < 10

    await world.slack.clear_faults()
    await world.start_bridge()
    await customer.reconnect()
    await customer.say("and after it")
    await world.slack.wait_for(lambda state: _posted(state, root["ts"], "and after it"), timeout_s=10)
    await world.slack.say(DANA, "got both", thread_ts=root["ts"])
    await customer.sees("got both")
    thread = (await world.slack.state()).thread(SUPPORT, root["ts"])
    assert [sum(words in str(m) for m in thread) for words in ("on its way", "and after it")] == [1, 1]
    await customer.close()


def _posted(state: State, root_ts: str, words: str) -> bool:
    return any(words in str(message) for message in state.thread(SUPPORT, root_ts))


async def test_an_idle_process_ends_at_once(world: World) -> None:
    """With nothing at hand a stop takes no more than a moment, and nobody listens afterwards."""
    process = world.bridge.process
    assert process is not None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert time.monotonic() - began < 3
    with pytest.raises(aiohttp.ClientError):
        await world.told()
