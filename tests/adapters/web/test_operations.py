"""What operators of the bridge and programs read about it: health, readiness, metrics, the API's description."""

import asyncio
import json
import re
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from adapters.web import control, files, health, metrics, openapi
from adapters.web.answers import Access
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import SiteId
from bridge.lookup import StoreLookup
from bridge.routing import Directory
from bridge.settings import load
from tests.adapters.web.test_files import OneFile

SITE = SiteId("main")
KEY = "admin-key-0123456789abcdef0123456789"


async def receive(event: object) -> Any:
    raise NotImplementedError


def application(*, keys: list[tuple[str, str]], **probes: health.Probe) -> web.Application:
    """Everything of the web part but the demo."""
    store, clock, access = MemoryStore(), ManualClock(), Access(keys)
    app = web.Application()
    lookup = StoreLookup(store, Directory(queues=()))
    control.add_routes(app, control.Control(site=SITE, receive=receive, lookup=lookup, clock=clock), access)
    links = files.Links(site=SITE, base_url="https://b.example", keys=("k",), clock=clock)
    files.add_routes(app, links=links, files=OneFile(), store=store)
    health.add_routes(app, probes=probes, config="c0ffee", schema="0001", probe_timeout_s=0.05)
    metrics.add_routes(app, store=store, clock=clock, access=access)
    openapi.add_routes(
        app, base_url="https://b.example", documents=lambda: openapi.schemas(turn={"title": "AgentTurn"})
    )
    return app


def served(app: web.Application) -> TestClient[web.Request, web.Application]:
    return TestClient(TestServer(app))


async def well() -> str:
    return ""


async def ill() -> str:
    return "the disk is full"


async def hangs() -> str:
    await asyncio.Event().wait()
    return ""


async def breaks() -> str:
    raise RuntimeError("token xoxb-canary")


async def test_alive_and_ready() -> None:
    """Both answer 200 when all is well, and ready says which configuration and schema run."""
    async with served(application(keys=[], store=well)) as client:
        async with client.get("/healthz") as response:
            assert (response.status, (await response.json())["status"]) == (200, "alive")
        async with client.get("/readyz") as response:
            body = await response.json()
            assert response.status == 200
            assert (body["ready"], body["reasons"], body["config"], body["schema"]) == (True, {}, "c0ffee", "0001")


async def test_not_ready_says_why() -> None:
    """503 with a reason for each part: what it says, that it hangs, or what kind of error it is, without its words."""
    async with served(application(keys=[], store=ill, slack=hangs, agent=breaks, web=well)) as client:
        async with client.get("/readyz") as response:
            body = await response.json()
            assert response.status == 503
        assert body["reasons"] == {
            "store": "the disk is full",
            "slack": "did not answer within 0.05 s",
            "agent": "RuntimeError",
        }
        assert (await client.get("/healthz")).status == 200


async def test_a_proxy_can_be_proven() -> None:
    """A WebSocket to the health page upgrades, says so and ends."""
    async with served(application(keys=[])) as client, client.ws_connect("/healthz/socket") as socket:
        assert await socket.receive_str() == "upgraded"
        assert (await socket.receive()).type.name in {"CLOSE", "CLOSED"}


def test_the_config_version_follows_the_settings_and_no_secret() -> None:
    """Two processes with the same settings agree; another port differs; another key does not show."""
    plain = health.config_version(load({}, for_="tool"))

    assert plain == health.config_version(load({}, for_="tool"))
    assert plain != health.config_version(load({"HANDOFF_PORT": "1"}, for_="tool"))
    assert health.config_version(load({"HANDOFF_SECRET_KEY": "a" * 40}, for_="tool")) == health.config_version(
        load({"HANDOFF_SECRET_KEY": "b" * 40}, for_="tool")
    )


async def test_metrics_are_prometheus_text() -> None:
    """Each count of the store is a gauge with a help line."""
    async with served(application(keys=[])) as client, client.get("/metrics") as response:
        text = await response.text()
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert set(families) == {metrics.PREFIX + name for name in metrics.HELP}
    assert all(family.type == "gauge" and family.documentation for family in families.values())
    assert [sample.value for sample in families["handoff_bridge_open_handoffs"].samples] == [0]


async def test_metrics_want_a_key_once_there_are_any() -> None:
    """Who has keys has a reason for them: the counts are for role admin only."""
    async with served(application(keys=[("admin", KEY), ("agent", KEY + "x")])) as client:
        assert (await client.get("/metrics")).status == 401
        assert (await client.get("/metrics", headers={"Authorization": f"Bearer {KEY}x"})).status == 403
        assert (await client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"})).status == 200


def routes(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def test_every_route_is_described_and_the_reverse() -> None:
    """The document holds each route of the API, and nothing that is not there."""
    document = openapi.document("https://b.example")
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    there = {(method, path) for method, path in routes(application(keys=[])) if path.startswith("/v1/")}

    assert described == there


def test_the_document_is_sound() -> None:
    """OpenAPI 3.1: every reference leads to a valid JSON Schema, every path parameter is declared, ids are unique."""
    document = openapi.document("https://b.example")
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]

    assert document["openapi"] == "3.1.0"
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert len(ids) == len(set(ids))
    for path, methods in document["paths"].items():
        for operation in methods.values():
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))
            assert {"200", "202"} & set(operation["responses"])


def test_what_needs_a_key_says_so() -> None:
    """The document asks for the key exactly where the API does."""
    document = openapi.document("https://b.example")
    keyed = {path for path, methods in document["paths"].items() if any("security" in o for o in methods.values())}

    assert keyed == {path for path in document["paths"] if path.startswith("/v1/conversations")}


async def test_document_and_schemas_are_served() -> None:
    """The API describes itself; an unknown document is a 404 that names the known ones."""
    async with served(application(keys=[])) as client:
        async with client.get("/v1/openapi.json") as response:
            assert (await response.json()) == openapi.document("https://b.example")
        for name in ("envelope", "return", "turn"):
            async with client.get(f"/v1/schemas/{name}.json") as response:
                assert response.content_type == "application/schema+json"
                jsonschema.Draft202012Validator.check_schema(await response.json())
        async with client.get("/v1/schemas/bogus.json") as response:
            assert response.status == 404
            assert "envelope, return, turn" in (await response.json())["error"]["message"]


@pytest.mark.parametrize("text", ["not json", "[]"])
async def test_an_error_is_json_of_the_described_shape(text: str) -> None:
    """What the document calls Failure is what a caller gets."""
    schema = openapi.document("")["components"]["schemas"]
    async with (
        served(application(keys=[("admin", KEY)])) as client,
        client.post("/v1/conversations/x/messages", data=text, headers={"Authorization": f"Bearer {KEY}"}) as response,
    ):
        body = await response.json()
    rooted = {**schema["Failure"], "components": {"schemas": schema}}
    jsonschema.Draft202012Validator(rooted).validate(body)
    assert response.status in {400, 422}
