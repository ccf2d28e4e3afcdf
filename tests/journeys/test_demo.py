"""`handoff-bridge demo` as somebody new would start it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.demo_desks import NO_TEAMS
from adapters.sandbox.client import State as SlackState
from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import BILLING
from adapters.sandbox.slack.people import DANA as DANA_IN_SLACK
from adapters.sandbox.slack.people import SUPPORT as SLACK_SUPPORT
from adapters.sandbox.teams.client import State as TeamsState
from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import DANA as DANA_IN_TEAMS
from adapters.teams import inputs
from tests.journeys.world import Process, free_port

pytestmark = pytest.mark.xdist_group("journeys")
START_WITHIN_S = 60.0
SHOWN_WITHIN_S = 60.0
START = "from adapters.cli import main; main()"
WITHOUT_TEAMS = f"import sys; sys.modules['botbuilder'] = None; {START}"
"""As if Microsoft's libraries were not installed."""


def demo(folder: Path, *arguments: str, start: str = START, **environment: str) -> Process:
    """Describe a demo that opens no browser."""
    command = ("-c", start, "demo", "--no-browser", *arguments)
    return Process(*command, environment=environment, folder=folder, name="demo")


class Visitor:
    """Somebody new, in front of the page."""

    def __init__(self, url: str, process: Process, http: aiohttp.ClientSession) -> None:
        self.url, self.process, self.http = url, process, http
        self.config: dict[str, Any] = {}

    async def arrived(self) -> None:
        """Wait until the page is there."""
        async with asyncio.timeout(START_WITHIN_S):
            while not self.config:
                assert self.process.process is not None
                assert self.process.process.returncode is None, self.process.log()
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.http.get(f"{self.url}/demo/config") as answer:
                        self.config = await answer.json()
                await asyncio.sleep(0.05)
        async with self.http.get(f"{self.url}/demo/") as page:
            assert page.status == 200

    def desk(self, name: str) -> dict[str, Any]:
        """Return what the page knows of a desk."""
        return next(dict(desk) for desk in self.config["desks"] if desk["name"] == name)

    async def says(self, text: str) -> None:
        """Open a chat as a new customer and write one line."""
        async with self.http.post(f"{self.url}/demo/token") as answer:
            token = (await answer.json())["token"]
        chats, auth = f"{self.url}/v3/directline/conversations", {"Authorization": f"Bearer {token}"}
        async with self.http.post(chats, headers=auth) as answer:
            conversation = (await answer.json())["conversationId"]
        line = {"type": "message", "from": {"id": "ann"}, "text": text}
        async with self.http.post(f"{chats}/{conversation}/activities", json=line, headers=auth) as answer:
            assert answer.status == 200, await answer.text()


@contextlib.asynccontextmanager
async def visiting(folder: Path, *, start: str = START) -> AsyncIterator[Visitor]:
    """Start a demo, arrive there, and end it again."""
    port = free_port()
    process = demo(folder, "--port", str(port), start=start)
    await process.start()
    try:
        async with aiohttp.ClientSession() as http:
            visitor = Visitor(f"http://127.0.0.1:{port}", process, http)
            await visitor.arrived()
            yield visitor
    finally:
        assert await process.stop() == 0, process.log()


def in_slack(state: SlackState, channel: str, words: str) -> str:
    """Return where a thread with these words begins, or ""."""
    found = [message for message in state.messages(channel) if words in str(message)]
    return str(found[-1].get("thread_ts", found[-1]["ts"])) if found else ""


def in_teams(state: TeamsState, words: str) -> str:
    """Return where a thread with these words begins, or ""."""
    messages = [message for channel in state["channels"] for message in state.messages(channel["id"])]
    found = [message for message in messages if words in str(message)]
    return str(found[-1]["root"]) if found else ""


async def test_the_queue_decides_which_desk_and_a_transfer_changes_it(tmp_path: Path) -> None:
    """A refund goes to Slack and a parcel to Teams; each is passed on to the other desk, where a new card begins a new
    thread and the old one says where it went.
    """
    async with (
        visiting(tmp_path) as visitor,
        Workspace(visitor.desk("slack")["url"]) as slack,
        TeamsClient(visitor.desk("teams")["url"]) as teams,
    ):
        await visitor.says("I want a refund of 250 euros")
        refund = await slack.wait_for(lambda state: in_slack(state, BILLING, "H-1001"), timeout_s=SHOWN_WITHIN_S)
        await visitor.says("Track my parcel")
        parcel = await teams.wait_for(lambda state: in_teams(state, "H-1002"), timeout_s=SHOWN_WITHIN_S)

        await slack.click(DANA_IN_SLACK, "bridge_take", refund, channel=BILLING)
        await slack.click(DANA_IN_SLACK, "bridge_transfer", refund, channel=BILLING)
        form = await slack.view_of(DANA_IN_SLACK)
        await slack.submit(DANA_IN_SLACK, form["id"], {"queue": "delivery", "note": "Sent back"})
        await teams.wait_for(lambda state: in_teams(state, "H-1001"), timeout_s=SHOWN_WITHIN_S)
        await teams.wait_for(lambda state: in_teams(state, "Note: Sent back"), timeout_s=SHOWN_WITHIN_S)
        gone = "to the queue Delivery (Teams)"
        await slack.wait_for(lambda state: in_slack(state, BILLING, gone) == refund, timeout_s=SHOWN_WITHIN_S)

        await teams.click(DANA_IN_TEAMS, parcel, "take")
        await teams.click(DANA_IN_TEAMS, parcel, "transfer", inputs={inputs.QUEUE: "support"})
        await slack.wait_for(lambda state: in_slack(state, SLACK_SUPPORT, "H-1002"), timeout_s=SHOWN_WITHIN_S)
        gone_too = "to the queue Support (Slack)"
        await teams.wait_for(lambda state: in_teams(state, gone_too) == parcel, timeout_s=SHOWN_WITHIN_S)


async def test_without_microsofts_libraries_there_is_slack(tmp_path: Path) -> None:
    """The demo runs, says in one line how Teams is had, on the page and where it was started, and all queues are in
    Slack.
    """
    async with visiting(tmp_path, start=WITHOUT_TEAMS) as visitor:
        there = visitor.desk("teams")
        assert (there["url"], there["why"]) == ("", NO_TEAMS)
        assert {"text": "Track my parcel", "to": "Slack · #support"} in visitor.config["says"]
        async with Workspace(visitor.desk("slack")["url"]) as slack:
            await visitor.says("Track my parcel")
            await slack.wait_for(lambda state: in_slack(state, SLACK_SUPPORT, "H-1001"), timeout_s=SHOWN_WITHIN_S)
        assert NO_TEAMS in " ".join(visitor.process.log().split())


@pytest.mark.parametrize(
    "name,value",
    [
        ("HANDOFF_SLACK__BOT_TOKEN", "xoxb-1-2-abcdefgh"),
        ("HANDOFF_SLACK__APP_TOKEN", "xapp-1-A1-2-abcdefgh"),
        ("HANDOFF_SLACK__SIGNING_SECRET", "0123456789abcdef0123456789abcdef"),
        ("HANDOFF_TEAMS__APP_PASSWORD", "a-secret-of-azure"),
        ("HANDOFF_TEAMS__APP_ID", "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f"),
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
