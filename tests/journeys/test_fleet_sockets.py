"""The two Socket Mode connections of a fleet: whoever dies with one or both, another process has them soon, and nothing
that an operator said meanwhile is lost.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import DANA
from tests.chaos.traffic import Count, Talk, count
from tests.journeys.world import World, until
from tests.postgres import Postgres, name_in

pytestmark = pytest.mark.xdist_group("fleet")
REPLACED_WITHIN_S = 15.0
LEASES = ("slack-socket-1", "slack-socket-2")
SPLIT_WITHIN_S = 100.0
STILL_S = 3.0
"""Longer than others take to ask for a lease, shorter than a lease."""
REPLIES = 24
LATE_S = 3.0
"""What Slack did not get acknowledged it sends again: within three seconds a line would come twice."""


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str) -> AsyncIterator[World]:
    """Three processes; the first to start has both connections."""
    async with World(tmp_path, processes=3, database_url=postgres_url) as started:
        yield started


def holder(world: World, lease: str) -> int | None:
    """Return which living process holds a lease, as their logs tell."""
    for number, bridge in enumerate(world.bridges):
        told = [line for line in bridge.logged("lease_gained", "lease_lost") if line["lease"].startswith(lease)]
        if (
            told
            and told[-1]["event"] == "lease_gained"
            and bridge.process is not None
            and bridge.process.returncode is None
        ):
            return number
    return None


async def split(world: World, server: Postgres) -> int:
    """Let somebody outside take one lease, and leave it while the process that had both stands still: until another one
    has it; return which.
    """

    async def give(owner: str, until_ms: int) -> None:
        change = f"UPDATE lease SET owner = '{owner}', until = {until_ms} WHERE name LIKE '{LEASES[1]}%'"
        await asyncio.to_thread(server.sql, change, name_in(world.database_url))

    async with asyncio.timeout(SPLIT_WITHIN_S):
        while True:
            await give("somebody", int((time.time() + SPLIT_WITHIN_S) * 1000))
            await until(lambda: True if holder(world, LEASES[1]) is None else None, what="a lease lost")
            world.bridges[0].freeze()
            try:
                await give("somebody", 0)
                await asyncio.sleep(STILL_S)
            finally:
                world.bridges[0].thaw()
            second = await until(lambda: holder(world, LEASES[1]), within_s=60, what="a lease gained")
            if second != 0:
                return second


async def two(world: World, victim: int | None, within_s: float) -> None:
    """Return when Slack has two connections, and none is the victim's. Raises TimeoutError."""

    def there(state: State) -> bool:
        holders = [holder(world, lease) for lease in LEASES]
        return state["connections"] == len(LEASES) and None not in holders and victim not in holders

    await world.slack.wait_for(there, timeout_s=within_s)


async def reply(world: World, talk: Talk) -> None:
    """Say a line in the thread twice a second."""
    for number in range(1, REPLIES + 1):
        word = f"r{talk.number}-{number}."
        await world.slack.say(talk.operator, f"my reply {word}", channel=talk.channel, thread_ts=talk.root)
        talk.answered.append(word)
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("dies", ["with both", "with one"])
async def test_a_dead_process_s_connections_are_replaced_and_nothing_is_lost(
    world: World, postgres_server: Postgres, dies: str
) -> None:
    """Within 15 s of a kill Slack has two connections again; every reply that was sent meanwhile is shown once, in
    order.
    """
    assert [holder(world, lease) for lease in LEASES] == [0, 0]
    talk = Talk(world=world, number=1, operator=DANA, chance=random.Random(1))
    await talk.begin()
    victim = 0 if dies == "with both" else await split(world, postgres_server)
    await two(world, None, 30)
    customer, survivor = talk.customer, (victim + 1) % len(world.bridges)
    await customer.drop()
    customer.posts_at = customer.streams_at = world.urls[survivor]
    await customer.reconnect()

    replying = asyncio.create_task(reply(world, talk))
    await until(lambda: True if len(talk.answered) > 1 else None)
    await world.bridges[victim].kill()
    killed_at = time.monotonic()
    await two(world, victim, REPLACED_WITHIN_S)
    print(f"replaced after {time.monotonic() - killed_at:.1f} s")  # noqa: T201 -- a figure to be seen with -s
    await replying
    await customer.sees(talk.answered[-1], within_s=60)
    await asyncio.sleep(LATE_S)

    assert count(talk.answered, talk.on_screen()) == Count(said=REPLIES)
    assert victim not in [holder(world, lease) for lease in LEASES]
    await customer.close()
