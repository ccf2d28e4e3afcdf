"""The sandbox as a process of its own, the way other tests and the demo start it."""

import asyncio
import json
import sys

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import DANA


async def test_it_says_where_it_listens_and_stops_when_told() -> None:
    """The process prints its address as one JSON line, serves there, and ends quietly on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters.sandbox", "slack", "--port", "0", "--posts-per-s", "0",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(20):
        url = json.loads(await process.stdout.readline())["url"]
    assert url.startswith("http://127.0.0.1:")
    async with Workspace(url) as slack:
        await slack.until_up()
        await slack.say(DANA, "hello")
        assert [message["text"] for message in await slack.messages()] == ["hello"]
    process.terminate()
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, errors) == (0, b"")
