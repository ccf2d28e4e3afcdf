"""Several processes of the bridge on one PostgreSQL and one Slack: any of them may do any part of the work."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import DANA, SUPPORT
from tests.journeys.world import Customer, Json, World

pytestmark = pytest.mark.xdist_group("fleet")
QUICK_S = 1.0
"""How soon what one process does is seen at another: hints carry it, and not the next sweep."""


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str) -> AsyncIterator[World]:
    """Three processes; the first to start has both Socket Mode connections."""
    async with World(tmp_path, processes=3, database_url=postgres_url) as started:
        yield started


async def asked_for_a_person(world: World, *, posts: int, streams: int) -> tuple[Customer, Json]:
    """A customer who posts to one process and watches another, and the card of the handoff."""
    customer = await world.customer()
    await customer.sees("help")
    await customer.drop()
    customer.posts_at, customer.streams_at = world.urls[posts], world.urls[streams]
    await customer.reconnect()
    await customer.say("I want to talk to a human about my invoice, please")
    await customer.sees("ticket is H-1001")
    return customer, await world.root_with("H-1001", SUPPORT)


def shown(customer: Customer, words: str) -> int:
    """Return how often these words stand on the screen."""
    return sum(text.count(words) for text in customer.texts)


async def in_thread(world: World, root: Json, words: str) -> None:
    def look(state: State) -> list[Json]:
        return [m for m in state.thread(SUPPORT, root["ts"]) if words in json.dumps(m)]

    await world.slack.wait_for(look, timeout_s=60)


async def listeners(world: World) -> list[int]:
    """Return which processes hold a lease of a Socket Mode connection, as their logs tell."""
    return [
        number
        for number, bridge in enumerate(world.bridges)
        if _count(bridge.log(), "lease_gained", "slack-socket") > _count(bridge.log(), "lease_lost", "slack-socket")
    ]


def _count(log: str, *words: str) -> int:
    return sum(all(word in line for word in words) for line in log.splitlines())


async def test_a_conversation_lives_on_three_processes(world: World) -> None:
    """What is posted to one is answered in the stream of another, taken through a third, and a reply is shown within a
    second.
    """
    assert await listeners(world) == [0]
    customer, root = await asked_for_a_person(world, posts=1, streams=2)
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    took_s = []
    for number in range(3):
        said_at = time.monotonic()
        await world.slack.say(DANA, f"answer {number}", thread_ts=root["ts"])
        await customer.sees(f"answer {number}")
        took_s.append(time.monotonic() - said_at)
    assert min(took_s) < QUICK_S, took_s  # the others may have met a busy machine
    await customer.say("thank you, Dana")
    await in_thread(world, root, "thank you, Dana")

    assert [shown(customer, f"answer {number}") for number in range(3)] == [1, 1, 1]
    await customer.close()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_another_process_listens_when_the_listener_is_gone(world: World, how: str) -> None:
    """Killed or frozen, the process with the connections is followed by another within 15 s: what people say meanwhile
    and afterwards arrives, once; a frozen one that goes on does no harm.
    """
    customer, root = await asked_for_a_person(world, posts=1, streams=2)
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    gone_at = time.monotonic()
    if how == "killed":
        await world.bridges[0].kill()
    else:
        world.bridges[0].freeze()
    await world.slack.say(DANA, "are you there?", thread_ts=root["ts"])
    await customer.sees("are you there?", within_s=20)
    assert time.monotonic() - gone_at < 18
    if how == "frozen":
        world.bridges[0].thaw()
        await asyncio.sleep(1)
    await world.slack.say(DANA, "still with you", thread_ts=root["ts"])
    await customer.sees("still with you")

    for words in ("are you there?", "still with you"):
        assert shown(customer, words) == 1
    assert 0 not in await listeners(world) or how == "killed"
    assert (await world.told(1))[0] == 200
    await customer.close()


async def test_a_process_that_stops_hands_everything_over(world: World) -> None:
    """Asked to stop, the process with the connections and the windows says so at once, lets its windows go with "come
    back", ends within ten seconds, and the others carry on without a gap.
    """
    customer, root = await asked_for_a_person(world, posts=0, streams=0)
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    process = world.bridges[0].process
    assert process is not None
    stopped_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(customer.gone.wait(), 5)
    assert customer.close_code == 1012
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert time.monotonic() - stopped_at < 10

    customer.posts_at, customer.streams_at = world.urls[1], world.urls[2]
    await customer.reconnect()
    await world.slack.say(DANA, "moved house", thread_ts=root["ts"])
    await customer.sees("moved house", within_s=10)
    await customer.say("so did I")
    await in_thread(world, root, "so did I")
    assert shown(customer, "moved house") == 1
    await customer.close()
