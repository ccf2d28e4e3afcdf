"""`handoff-bridge demo` as somebody new would start it."""

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from adapters.sandbox.client import Workspace
from tests.journeys.world import Process, free_port

pytestmark = pytest.mark.xdist_group("journeys")
START_WITHIN_S = 60.0


def demo(folder: Path, *arguments: str, **environment: str) -> Process:
    """Describe a demo that opens no browser."""
    command = ("-c", "from adapters.cli import main; main()", "demo", "--no-browser", *arguments)
    return Process(*command, environment=environment, folder=folder, name="demo")


async def test_one_command_shows_everything(tmp_path: Path) -> None:
    """Without any account the page is there, a customer gets a token, and the local Slack knows the app."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = demo(tmp_path, "--port", str(port))
    await process.start()
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(START_WITHIN_S):
            config = await _config(http, url, process)
            async with http.get(f"{url}/demo/") as page:
                assert page.status == 200
            async with http.post(f"{url}/demo/token") as token:
                assert {"token", "conversationId"} <= set(await token.json())
            async with Workspace(config["slack_url"]) as slack:
                assert (await slack.state())["channels"]
    finally:
        assert await process.stop() == 0, process.log()


async def _config(http: aiohttp.ClientSession, url: str, process: Process) -> dict[str, str]:
    while True:
        assert process.process is not None
        assert process.process.returncode is None, process.log()
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(f"{url}/demo/config") as answer:
                found: dict[str, str] = await answer.json()
                return found
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "name,value",
    [
        ("HANDOFF_SLACK__BOT_TOKEN", "xoxb-1-2-abcdefgh"),
        ("HANDOFF_SLACK__APP_TOKEN", "xapp-1-A1-2-abcdefgh"),
        ("HANDOFF_SLACK__SIGNING_SECRET", "0123456789abcdef0123456789abcdef"),
    ],
)
async def test_it_does_not_start_beside_real_tokens(tmp_path: Path, name: str, value: str) -> None:
    """Whoever has a real workspace's token in the environment gets one line and no demo, and the token is not shown."""
    process = demo(tmp_path, **{name: value})
    await process.start()
    assert process.process is not None
    assert await asyncio.wait_for(process.process.wait(), START_WITHIN_S) == 2
    [line] = process.log().splitlines()
    assert line.startswith(f"{name}: ")
    assert "real tokens" in line
    assert value not in line
