"""What could not be delivered is never silent: in the thread, in the metrics, on the command line; real processes."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from adapters.sandbox.client import State
from tests.journeys.test_main_job import in_thread, taken
from tests.journeys.world import ADMIN_KEY, World
from tests.settings import ROOT

pytestmark = pytest.mark.xdist_group("journeys")


async def letters(world: World, *words: str) -> str:
    """Run `handoff-bridge dead-letters` beside the running bridge, as an admin would; return what it prints."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HANDOFF_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from adapters.cli import main; main()",
        "dead-letters",
        *words,
        cwd=world.folder,
        env={**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "250", **world._environment(world.port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def dead_outs(world: World) -> float:
    """Return the count of dead letters in /metrics."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with world.http.get(f"{world.url}/metrics", headers=headers) as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("handoff_dead_letters ")))


async def told(world: World, root_ts: str, channel: str, times: int) -> None:
    """Wait until the thread speaks so many times of something that could not be delivered."""

    def count(state: State) -> bool:
        return sum("could not be delivered" in str(m) for m in state.thread(channel, root_ts)) >= times

    await world.slack.wait_for(count, timeout_s=60)


async def test_a_dead_letter_is_told_listed_counted_and_decided(tmp_path: Path) -> None:
    """A refused line is told in the thread, listed and counted; *retry* brings it to the thread, *drop* forgets it."""
    async with World(tmp_path) as world:
        customer, root, channel = await taken(world)
        for words in ("first canary", "second canary"):
            await world.slack.fault("chat.postMessage", "error_before", error="msg_too_long", channel=channel)
            await customer.say(words)
            await told(world, root["ts"], channel, 1 if words.startswith("first") else 2)

        page = await letters(world, "list")
        keys = [word for word in page.split() if word.startswith(("o_", "out_"))]
        assert (len(keys), page.count("msg_too_long"), page.count("H-1001")) == (2, 2, 2), page
        assert "canary" not in page
        assert await dead_outs(world) == 2

        assert await letters(world, "retry", keys[0]) == "1 will be sent again\n"
        await in_thread(world, root, "first canary", channel=channel)
        assert await letters(world, "drop", keys[1]) == "1 forgotten\n"
        assert await letters(world, "list") == "There is none.\n"
        assert await dead_outs(world) == 0
        await customer.say("and on it goes")
        thread = str(await in_thread(world, root, "and on it goes", channel=channel))
        assert "second canary" not in thread
        assert str(await world.slack.thread(channel, root["ts"])).count("second canary") == 0
