"""The demo's routes without a browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.sandbox.slack.server import serving as serving_slack
from adapters.sandbox.slack.settings import SandboxSettings
from adapters.sandbox.teams.server import serving as serving_teams
from adapters.sandbox.teams.settings import SandboxSettings as TeamsSandboxSettings
from adapters.web import demo, demo_faults
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
NOWHERE = "http://127.0.0.1:9"
SLACK = demo.DeskTab(
    name="slack", label="Slack", url=NOWHERE, queues=[("support", "#support"), ("billing", "#billing")]
)
TEAMS = demo.DeskTab(name="teams", label="Teams", why="It is not installed.")


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
            desks=(SLACK, TEAMS),
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
        ("/demo/static/tabs.js", "text/javascript"),
        ("/demo/static/faults.js", "text/javascript"),
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
    """The page learns which desks there are and what leads where, and gets a token that it did not choose."""
    async with client.get("/demo/config") as response:
        config = await response.json()
    assert (config["web_chat"], config["why"]) == (True, "")
    assert [(desk["name"], desk["url"], desk["why"]) for desk in config["desks"]] == [
        ("slack", NOWHERE, ""),
        ("teams", "", "It is not installed."),
    ]
    assert {"text": "My invoice is wrong", "to": "Slack · #billing"} in config["says"]
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

    nothing = dict.fromkeys(("operator", "epoch", "ticket", "queue", "desk"))
    assert first == {"state": "none", **nothing, "suppressed": []}
    assert second == {**first, "state": "agent", "epoch": 1}


async def test_open_streams_do_not_hold_up_the_end(store: MemoryStore) -> None:
    """A page that watches is let go at once when the process stops."""
    app = web.Application()
    demo.add_routes(app, demo.Demo(site=SITE, store=store, desks=(), issue=dict))
    client = TestClient(TestServer(app))
    await client.start_server()
    response = await client.get("/demo/state", params={"conversation": "c_1"})
    await response.content.readline()

    async with asyncio.timeout(3):
        await client.server.close()
        assert b"data:" not in await response.content.read()
    await client.close()


@pytest.fixture
async def desks() -> AsyncIterator[Client]:
    """A page in front of a local Slack and a local Teams."""
    async with serving_slack(SandboxSettings()) as slack, serving_teams(TeamsSandboxSettings()) as teams:
        tabs = (
            demo.DeskTab(name="slack", label="Slack", url=slack.workspace.base_url, posts="chat.postMessage"),
            demo.DeskTab(name="teams", label="Teams", url=teams.team.base_url, posts="send"),
        )
        app = web.Application()
        demo.add_routes(app, demo.Demo(site=SITE, store=MemoryStore(), desks=tabs, issue=dict))
        async with TestClient(TestServer(app)) as made:
            yield made


async def on(client: Client, desk: str) -> set[str]:
    """Return the switches that are on."""
    async with client.get("/demo/faults", params={"desk": desk}) as response:
        return {each["name"] for each in (await response.json())["faults"] if each["on"]}


@pytest.mark.parametrize("desk,other", [("slack", "teams"), ("teams", "slack")])
async def test_switches_concern_one_desk(desks: Client, desk: str, other: str) -> None:
    """Each switch goes on at either desk, leaves the other desk alone, and goes off again."""
    for fault in demo_faults.FAULTS:
        async with desks.put("/demo/faults", json={"desk": desk, "on": [fault.name]}) as response:
            assert {each["name"] for each in (await response.json())["faults"] if each["on"]} == {fault.name}
        assert (await on(desks, desk), await on(desks, other)) == ({fault.name}, set())
    await desks.put("/demo/faults", json={"desk": desk, "on": []})
    assert await on(desks, desk) == set()


async def test_one_thing_goes_wrong_with_events(desks: Client) -> None:
    """The last switch for events takes the place of the one before; those for posts stay on beside it."""
    pressed = ["twice", "limit", "cut", "late"]
    await desks.put("/demo/faults", json={"desk": "slack", "on": pressed})

    assert await on(desks, "slack") == {"limit", "cut", "late"}


@pytest.mark.parametrize(
    "body,status",
    [
        ({"desk": "slack", "on": []}, 502),
        ({"desk": "teams", "on": []}, 404),
        ({"desk": "else", "on": []}, 404),
        ({"desk": "slack", "on": "late"}, 400),
        ([], 400),
    ],
)
async def test_switches_that_cannot_be_set(client: Client, body: object, status: int) -> None:
    """A desk that is away, absent or unknown, and a body of another shape, are answered with a sentence."""
    async with client.put("/demo/faults", json=body) as response:
        assert response.status == status
        assert (await response.json())["error"]["message"]


async def test_another_page_sets_no_switch(client: Client) -> None:
    """What a page of another origin can send unasked, a form's text, is refused."""
    async with client.put("/demo/faults", data='{"desk": "slack", "on": []}') as response:
        assert response.status == 400
