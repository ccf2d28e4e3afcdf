"""The demo's routes without a browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.web import demo
from bridge.conversation import Customer
from bridge.events import CustomerSaid
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import ConversationId, CustomerId, SiteId, SourceId
from bridge.judging import House
from bridge.routing import Directory
from bridge.switchboard import Switchboard
from bridge.triggers import Triggers

SITE = SiteId("main")
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def client(store: MemoryStore, tmp_path: Path) -> AsyncIterator[Client]:
    script = tmp_path / "webchat.js"
    script.write_text("window.WebChat = {};", encoding="utf-8")
    app = web.Application()
    demo.add_routes(
        app,
        demo.Demo(
            site=SITE,
            store=store,
            slack_url="http://127.0.0.1:9",
            issue=lambda: {"conversationId": "c_1", "token": "t"},
            web_chat=script,
        ),
    )
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize(
    "path,kind",
    [
        ("/demo/", "text/html"),
        ("/demo/chat", "text/html"),
        ("/demo/static/demo.css", "text/css"),
        ("/demo/static/demo.js", "text/javascript"),
        ("/demo/static/plain.js", "text/javascript"),
        ("/demo/webchat.js", "text/javascript"),
    ],
)
async def test_pages_have_their_types(client: Client, path: str, kind: str) -> None:
    """Browsers refuse modules and styles of another type."""
    async with client.get(path) as response:
        assert (response.status, response.content_type) == (200, kind)
        assert await response.text()


@pytest.mark.parametrize("path", ["/", "/demo"])
async def test_the_short_addresses_lead_there(client: Client, path: str) -> None:
    """Relative links need the slash at the end, and people type neither."""
    async with client.get(path) as response:
        assert response.url.path == "/demo/"


@pytest.mark.parametrize("name", ["demo.html", "..%2Fdemo.py", "%2e%2e%2fdemo.py", "nothing.js"])
async def test_only_the_pages_own_files_are_served(client: Client, name: str) -> None:
    """A name that is not in the list is 404, wherever it would lead."""
    assert (await client.get(f"/demo/static/{name}")).status == 404


async def test_config_and_token(client: Client) -> None:
    """The page learns where Slack is and gets a token that it did not choose."""
    async with client.get("/demo/config") as response:
        assert await response.json() == {"slack_url": "http://127.0.0.1:9", "web_chat": True, "why": ""}
    async with client.post("/demo/token") as response:
        assert await response.json() == {"conversationId": "c_1", "token": "t"}
    assert (await client.get("/demo/token")).status == 405


async def test_the_state_is_told_at_each_change(client: Client, store: MemoryStore) -> None:
    """First that there is none, then the conversation as soon as it is kept."""
    house = House(directory=Directory(queues=()), triggers=Triggers())
    switchboard = Switchboard(store=store, clock=ManualClock(), house=house)
    async with client.get("/demo/state", params={"conversation": "c_1"}) as response, asyncio.timeout(10):
        assert response.content_type == "text/event-stream"
        first = json.loads((await response.content.readline()).removeprefix(b"data: "))
        await switchboard.receive(
            CustomerSaid(
                site=SITE,
                source=SourceId("s"),
                at=ManualClock().now(),
                conversation=ConversationId("c_1"),
                widget="directline",
                customer=Customer(id=CustomerId("u")),
                text="hello",
            )
        )
        await response.content.readline()
        second = json.loads((await response.content.readline()).removeprefix(b"data: "))

    assert first == {"state": "none", "operator": None, "epoch": None, "ticket": None, "queue": None, "suppressed": []}
    assert second == {**first, "state": "agent", "epoch": 1}


async def test_open_streams_do_not_hold_up_the_end(store: MemoryStore) -> None:
    """A page that watches is let go at once when the process stops."""
    app = web.Application()
    demo.add_routes(app, demo.Demo(site=SITE, store=store, slack_url="", issue=dict))
    client = TestClient(TestServer(app))
    await client.start_server()
    response = await client.get("/demo/state", params={"conversation": "c_1"})
    await response.content.readline()

    async with asyncio.timeout(3):
        await client.server.close()
        assert b"data:" not in await response.content.read()
    await client.close()
