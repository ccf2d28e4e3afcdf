"""The hard rule in real processes: an agent that streams over HTTP, and an operator who takes over at a random moment
of it.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.races import LEAKED, SUPPRESSED, WORD_S, WORDS, StreamingAgent, race
from tests.journeys.world import World
from tests.settings import TestSettings

pytestmark = pytest.mark.xdist_group("journeys")
MOMENTS = 1000
AT_ONCE = 24


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A bridge with that agent."""
    async with StreamingAgent.running() as agent:
        extra = {"HANDOFF_LOG__LEVEL": "warning"}
        async with World(tmp_path, extra=extra, own=agent.settings) as started:
            yield started


async def test_silence_from_the_moment_of_a_takeover(world: World) -> None:
    """At 1,000 random moments of a streamed answer: no word of the agent after the takeover, no half answer left."""
    seed = TestSettings().race_seed
    print(f"seed {seed}")  # noqa: T201 -- a failing run is repeated with it
    chance = random.Random(seed)
    moments = [chance.uniform(0, WORDS * WORD_S * 1.2) for _ in range(MOMENTS)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded(number: int, moment_s: float) -> bool:
        async with gate:
            return await race(world, number, moment_s)

    seen = await asyncio.gather(*(guarded(number, moment_s) for number, moment_s in enumerate(moments)))

    assert sum(seen) > MOMENTS / 10, "the takeovers did not hit running streams"
    suppressed, leaked = _audit(world)
    assert leaked == 0
    assert suppressed > MOMENTS / 10


def _audit(world: World) -> tuple[int, int]:
    with contextlib.closing(sqlite3.connect(f"file:{world.folder}/handoff.db?mode=ro", uri=True)) as db:
        suppressed, leaked = (db.execute(question).fetchone()[0] for question in (SUPPRESSED, LEAKED))
    return int(suppressed), int(leaked)
