"""The order of an operator's lines when two processes listen, and one could not keep what the other did not hear."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.sandbox.slack.people import DANA
from tests.chaos.traffic import Count, Talk, count
from tests.journeys.test_fleet_sockets import split, two
from tests.journeys.world import World, until
from tests.postgres import Postgres

pytestmark = pytest.mark.xdist_group("fleet")
TALKS, OUTAGES, AFTERWARDS = 3, 3, 3
APART_S = 1.0
"""Between two lines of a person. Shorter, and a machine that is busy with other tests may bring the first one later to
its process than the second one to the other, which nobody promises to put right.
"""
AWAY_S = 1.2
"""Longer than a reply rests before it is heard, shorter than the three seconds after which Slack sends it again."""


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL that survives its own end."""
    with Postgres(durable=True) as started:
        yield started


@pytest.fixture
async def world(tmp_path: Path, server: Postgres) -> AsyncIterator[World]:
    """Three processes; the first to start has both connections."""
    async with World(tmp_path, processes=3, database_url=server.ready_url()) as started:
        yield started


async def test_what_nobody_could_keep_comes_before_what_was_said_later(world: World, server: Postgres) -> None:
    """Two processes listen. What operators say while the database is away reaches either, and Slack sends it again
    seconds later; what they say next may reach the other at once. Customers read it in the order in which it was said.
    """
    talks = [Talk(world=world, number=n, operator=DANA, chance=random.Random(n)) for n in range(1, TALKS + 1)]
    await asyncio.gather(*(talk.begin() for talk in talks))
    await split(world, server)
    await two(world, None, 30)

    async def all_say() -> None:
        for talk in talks:
            word = f"r{talk.number}-{len(talk.answered) + 1}."
            await world.slack.say(DANA, f"my reply {word}", channel=talk.channel, thread_ts=talk.root)
            talk.answered.append(word)

    for _ in range(OUTAGES):
        await asyncio.to_thread(server.crash)
        await all_say()
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(server.start)
        for _ in range(AFTERWARDS):
            await asyncio.sleep(APART_S)
            await all_say()
        for talk in talks:
            await talk.customer.sees(talk.answered[-1], within_s=60)
        await two(world, None, 30)

    for talk in talks:
        await until(lambda talk=talk: set(talk.answered) <= set(talk.on_screen()) or None, within_s=60)  # type: ignore[misc]
    found = sum((count(talk.answered, talk.on_screen()) for talk in talks), Count())
    assert found == Count(said=TALKS * OUTAGES * (AFTERWARDS + 1))
    await asyncio.gather(*(talk.customer.close() for talk in talks))
