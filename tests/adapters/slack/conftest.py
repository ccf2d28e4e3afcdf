"""The Slack desk against a sandbox Slack in a process of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from adapters.sandbox.client import Json, Workspace
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from adapters.slack.config import SlackSettings
from adapters.slack.parts import SlackParts, create
from bridge.conversation import Handoff
from bridge.leases import Lease
from tests.adapters.slack.rig import (
    QUEUES,
    SITE,
    Book,
    Door,
    Shelf,
    WallClock,
    handoff,
    key,
    sandbox_process,
    shown_card,
)

SHORTCUTS = [
    {"name": "Return to AI agent", "type": "message", "callback_id": "bridge_return_message"},
    {"name": "Send to the customer", "type": "message", "callback_id": "bridge_send_message"},
]


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    """A sandbox without a budget for posts."""
    with sandbox_process("--posts-per-s", "0") as url:
        yield url


@pytest.fixture
async def slack(sandbox_url: str) -> AsyncIterator[Workspace]:
    """People in the sandbox; faults of the test before are gone."""
    async with Workspace(sandbox_url) as workspace:
        await workspace.clear_faults()
        await workspace.configure(shortcuts=SHORTCUTS)
        yield workspace


def settings_for(url: str, **changes: Any) -> SlackSettings:
    """Return settings for a sandbox."""
    given: dict[str, Any] = {
        "bot_token": BOT_TOKEN,
        "app_token": APP_TOKEN,
        "signing_secret": SIGNING_SECRET,
        "api_url": f"{url}/api/",
        "call_timeout_s": 3.0,
        "roster_max_age_s": 0.0,
        "socket_ping_s": 1.0,
        "reorder_window_s": 0.0,
    }
    return SlackSettings(**(given | changes))


@dataclass
class Stage:
    """A running desk, and what stands behind it."""

    slack: Workspace
    parts: SlackParts
    door: Door
    book: Book
    shelf: Shelf
    url: str = ""

    async def opened(self, **fields: Any) -> Handoff:
        """Post a card, and return its handoff with the thread's root."""
        one = handoff(**fields)
        outcome = await self.parts.desk.open(one.thread, shown_card(one), key())
        ref = getattr(outcome, "ref", None)
        assert ref is not None, outcome
        channel, _, ts = str(ref).partition(":")
        one = handoff(**(fields | {"id": one.id, "root": ts, "channel": channel}))
        self.book.handoffs.append(one)
        return one

    async def thread(self, one: Handoff) -> list[Json]:
        """Return what people see in a handoff's thread."""
        channel, _, ts = str(one.thread.root).partition(":")
        return await self.slack.thread(channel, ts)


def root_ts(one: Handoff) -> str:
    """Return the `ts` of a handoff's card."""
    return str(one.thread.root).partition(":")[2]


async def connected(stage: "Stage", count: int = 2) -> None:
    """Wait until so many sockets are up."""
    assert stage.parts.sockets is not None
    deadline = time.monotonic() + 8
    while await stage.parts.sockets.connected() != count:
        assert time.monotonic() < deadline, "the sockets did not come up"
        await asyncio.sleep(0.01)


def staged(slack: Workspace, settings: SlackSettings, lease: Callable[[str], Lease] | None = None) -> Stage:
    """Build a desk for these settings; nothing is started."""
    door, book, shelf = Door(), Book(), Shelf()
    parts = create(
        settings, site=SITE, receive=door, lookup=book, files=shelf, queues=QUEUES, clock=WallClock(), lease=lease
    )
    return Stage(slack=slack, parts=parts, door=door, book=book, shelf=shelf)


@pytest.fixture
async def stage(slack: Workspace) -> AsyncIterator[Stage]:
    """A desk that only posts; no events come in."""
    one = staged(slack, settings_for(slack.url))
    yield one
    await one.parts.stop()


@pytest.fixture
async def by_socket(slack: Workspace) -> AsyncIterator[Stage]:
    """A desk in Socket Mode, connected."""
    await slack.configure(request_url=None)
    one = staged(slack, settings_for(slack.url))
    await one.parts.start()
    await connected(one)
    yield one
    await one.parts.stop()


@pytest.fixture
async def by_http(slack: Workspace) -> AsyncIterator[Stage]:
    """A desk that Slack calls over HTTP."""
    one = staged(slack, settings_for(slack.url, mode="http", app_token=None))
    app = web.Application()
    app.add_routes(one.parts.routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    one.url = f"http://{host}:{port}/slack/events"
    await one.parts.start()
    await slack.configure(request_url=one.url)
    yield one
    await runner.cleanup()
    await one.parts.stop()
