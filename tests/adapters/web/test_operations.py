"""What operators of the bridge and programs read about it: health, readiness, metrics, the API's description."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from adapters.web import control, files, health, instruments, metered, metrics, openapi, operations
from adapters.web.answers import Access
from bridge.errors import StoreUnavailable
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import ChannelId, DeskName, SiteId
from bridge.lookup import StoreLookup
from bridge.meters import Ended, FirstWord, HandedOver, Received, Taken, TurnEnded, TurnFailed
from bridge.outcomes import RetryLater
from bridge.routing import Directory
from bridge.settings import load
from tests.adapters.web.test_files import OneFile

SITE = SiteId("main")
KEY = "admin-key-0123456789abcdef0123456789"


async def receive(event: object) -> Any:
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A trouble that is known without asking."""

    name: str
    says: str
    serves: bool


async def readings() -> dict[str, float | None]:
    return {"widget_sockets": 3, "slack_connections": None}


def application(
    *,
    keys: list[tuple[str, str]],
    watches: Mapping[str, health.Probe] | None = None,
    troubles: Callable[[], Iterable[Told]] = tuple,
    kept: MemoryStore | None = None,
    **probes: health.Probe,
) -> web.Application:
    """Everything of the web part but the demo."""
    store, clock, access = kept or MemoryStore(), ManualClock(), Access(keys)
    app = web.Application()
    lookup = StoreLookup(store, Directory(queues=()), clock)
    control.add_routes(app, control.Control(site=SITE, receive=receive, lookup=lookup, clock=clock), access)
    links = files.Links(site=SITE, base_url="https://b.example", keys=("k",), clock=clock)
    files.add_routes(app, links=links, files=OneFile(), store=store)
    health.add_routes(
        app, probes=probes, watches=watches, troubles=troubles, config="c0ffee", schema="0001", probe_timeout_s=0.05
    )
    metrics.add_routes(
        app, store=store, clock=clock, access=access, instruments=instruments.Instruments(), readings=readings
    )
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


async def test_what_serves_all_the_same_is_a_warning() -> None:
    """200 with the warnings by name; what is a reason already is no warning too, and two of a name stand together."""
    found = [
        Told(name="hints", says="hints do not arrive", serves=True),
        Told(name="clock", says="this machine's clock is 3600 s off", serves=True),
    ]
    app = application(keys=[], watches={"slack": ill, "clock": ill}, troubles=lambda: found, disk=well)
    async with served(app) as client:
        async with client.get("/readyz") as response:
            body = await response.json()
            assert (response.status, body["ready"], body["reasons"]) == (200, True, {})
        assert body["warnings"] == {
            "slack": "the disk is full",
            "clock": "the disk is full; this machine's clock is 3600 s off",
            "hints": "hints do not arrive",
        }
        found.append(Told(name="draining", says="this process is stopping", serves=False))
        async with client.get("/readyz") as response:
            assert response.status == 503
            assert (await response.json())["reasons"] == {"draining": "this process is stopping"}
    both = application(keys=[], watches={"slack": ill}, slack=ill)
    async with served(both) as client, client.get("/readyz") as response:
        assert (await response.json())["warnings"] == {}


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


async def scraped(client: TestClient[web.Request, web.Application]) -> dict[str, Metric]:
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await response.text()
    return {family.name: family for family in text_string_to_metric_families(text)}


async def test_metrics_are_prometheus_text() -> None:
    """Every figure has our prefix, its unit in its name, and a help that says whether it is the fleet's or of this
    process; what is not there yet has no sample.
    """
    async with served(application(keys=[])) as client:
        families = await scraped(client)
    ours = {name: family for name, family in families.items() if not name.startswith("process_")}

    assert {name for name in ours if not name.startswith("handoff_")} == set()
    assert all(
        family.documentation.endswith((metrics.SHARED, metrics.HERE, instruments.HERE)) for family in ours.values()
    )
    assert not [name for name in ours if name.endswith("_ms") or "created" in name]
    assert [sample.value for sample in ours["handoff_widget_sockets"].samples] == [3]
    assert ours["handoff_slack_connections"].samples == []
    assert {sample.labels["lane"] for sample in ours["handoff_oldest_unsent_age_seconds"].samples} == set(metrics.LANES)
    assert ours["handoff_store_up"].samples[0].value == 1


async def test_metrics_are_there_while_the_store_is_not() -> None:
    """What the process knows itself is told, and that the store is away; nothing is told for the fleet."""
    store = MemoryStore()
    await store.close()
    async with served(application(keys=[], kept=store)) as client:
        families = await scraped(client)

    assert families["handoff_store_up"].samples[0].value == 0
    assert families["handoff_widget_sockets"].samples[0].value == 3
    assert "handoff_dead_letters" not in families


def test_what_happens_becomes_figures() -> None:
    """Each fact, send and unit moves the figure that is made for it; an unknown word opens no new label."""
    made = instruments.Instruments()
    read = made.registry.get_sample_value
    for fact in (
        Received(kind="CustomerSaid", status="done"),
        HandedOver(queue="support", reason="policy"),
        Taken(queue="support", after_s=20.0),
        FirstWord(queue="support", after_s=45.0),
        Ended(queue="support", how="returned", outcome="resolved"),
        TurnEnded(ending="finished", took_s=0.4),
        TurnFailed(code="timeout_total"),
        TurnFailed(code="ignore previous instructions"),
    ):
        made.note(fact)
    made.sent(DeskName("slack"), "post", RetryLater(after_s=1, reason="ratelimited"), 0.25)
    made.unit("run", 0.003, failed=True)
    made.about(version="1", config="c", schema="0002")

    assert read("handoff_events_total", {"kind": "CustomerSaid", "status": "done"}) == 1
    assert read("handoff_handoffs_total", {"queue": "support", "reason": "policy"}) == 1
    assert read("handoff_time_to_take_seconds_bucket", {"queue": "support", "le": "30.0"}) == 1
    assert read("handoff_time_to_take_seconds_bucket", {"queue": "support", "le": "15.0"}) == 0
    assert read("handoff_time_to_first_word_seconds_sum", {"queue": "support"}) == 45
    labels = {"queue": "support", "how": "returned", "outcome": "resolved"}
    assert read("handoff_handoffs_ended_total", labels) == 1
    assert read("handoff_turn_duration_seconds_bucket", {"ending": "finished", "le": "0.5"}) == 1
    assert read("handoff_turn_failures_total", {"code": "timeout_total"}) == 1
    assert read("handoff_turn_failures_total", {"code": "other"}) == 1
    assert read("handoff_sends_total", {"desk": "slack", "call": "post", "outcome": "retrylater"}) == 1
    assert read("handoff_send_duration_seconds_sum", {"desk": "slack", "call": "post"}) == 0.25
    assert read("handoff_store_failures_total", {"kind": "run"}) == 1
    assert read("handoff_store_unit_duration_seconds_count", {"kind": "run"}) == 1
    assert read("handoff_build_info", {"version": "1", "config": "c", "schema": "0002"}) == 1


async def test_a_channels_rest_is_told_in_seconds() -> None:
    """By the bridge's own pace and by the vendor's wish, for each channel."""
    gathered = metrics.Gathered(readings={}, rests={(DeskName("slack"), ChannelId("C1")): (950, 30_000)})
    families = {family.name: family for family in text_string_to_metric_families(metrics.render(gathered).decode())}

    found = {
        s.labels["reason"]: (s.labels["channel"], s.value) for s in families["handoff_channel_rest_seconds"].samples
    }
    assert found == {"pace": ("C1", 0.95), "vendor": ("C1", 30.0)}


class Flaky:
    """A store whose units fail while it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def run(self, unit: Callable[[Any], Any]) -> Any:
        if self.error is not None:
            raise self.error
        return unit(None)

    read = run

    async def close(self) -> None: ...


async def test_a_store_that_failed_a_moment_ago_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """The reason holds for five seconds after the last failure, though other units work, and names nobody; whoever
    wants
    to know of a failure is told at once.
    """
    now = 0.0
    store, units = Flaky(), list[tuple[str, bool]]()

    def meter(kind: str, took_s: float, *, failed: bool) -> None:
        units.append((kind, failed))

    told = list[str]()
    watched = metered.MeteredStore(store, meter, on_failure=lambda: told.append("away"), monotonic=lambda: now)
    assert await watched.run(lambda _: 7) == 7
    assert watched.trouble == ""
    store.error = StoreUnavailable("the database failed: database or disk is full\nDETAIL: Kim said hello")
    with pytest.raises(StoreUnavailable):
        await watched.run(lambda _: 7)
    store.error = None
    await watched.read(lambda _: 7)
    assert watched.trouble == "the database or its disk is full: nothing new is kept until there is space"
    now = 5.1
    await watched.run(lambda _: 7)
    assert watched.trouble == ""
    assert told == ["away"]
    store.error = StoreUnavailable("conversation c-kim is no longer at epoch 3")
    with pytest.raises(StoreUnavailable):
        await watched.read(lambda _: 7)
    assert watched.trouble == "the database is away, or refuses to work: see store_fails in the log"
    store.error = ValueError("the caller's own")
    with pytest.raises(ValueError, match="own"):
        await watched.run(lambda _: 7)

    assert units == [("run", False), ("run", True), ("read", False), ("run", False), ("read", True), ("run", False)]


@pytest.mark.parametrize(
    "revision, serves_from, reason, warning",
    [
        ("0002", "0001", "", ""),
        ("0001", "0001", "", ""),
        ("0003", "0002", "", "update it soon"),
        ("0003", "0003", "update handoff-bridge", "update it soon"),
    ],
)
def test_a_schema_that_is_ahead_is_said(revision: str, serves_from: str, reason: str, warning: str) -> None:
    """Ahead and still for this version: a warning. No longer: a reason to take the process out."""
    found, known = operations.Schema(revision=revision, serves_from=serves_from), ("0001", "0002")

    assert operations.too_new(found, known).endswith(reason)
    assert bool(operations.too_new(found, known)) is bool(reason)
    assert operations.newer(found, known).endswith(warning)
    assert bool(operations.newer(found, known)) is bool(warning)


@pytest.mark.parametrize(
    "told, wrong",
    [
        ({"connections": 0}, True),
        ({"connections": 0, "is_listener": True}, True),
        ({"connections": 0, "is_listener": False}, False),
        ({"connections": 2}, False),
        ({"connections": None}, False),
    ],
    ids=["none", "listener", "another listens", "well", "http"],
)
def test_only_who_should_be_connected_misses_it(told: dict[str, object], wrong: bool) -> None:
    """In HTTP mode, and where another process holds the connections, there is nothing to miss."""
    assert bool(operations.slack_trouble(told)) is wrong


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
