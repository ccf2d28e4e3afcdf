"""Calls to Teams: one try each, off the loop, with tokens that Microsoft's own library gets from a local sign-in."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.sandbox.teams.people import SUPPORT, TEAM
from adapters.teams import known, tokens
from adapters.teams.calls import TeamsCalls
from adapters.teams.config import Local, TeamsSettings
from adapters.teams.errors import CallFailed
from bridge.errors import TooLarge
from bridge.outcomes import Refused, RetryLater, Unknown
from tests.adapters.teams.out_rig import Outside, outside, remembered

THREAD = f"{SUPPORT};messageid=1700000000001"
CARD = {
    "type": "message",
    "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"}}],
}


@dataclass
class Script:
    """A connector that does as it is told and counts."""

    status: int = 201
    body: Any = field(default_factory=lambda: {"id": "1700000000002"})
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    delay: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer any call."""
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.path, body))
        if self.delay is not None:
            await self.delay.wait()
        return web.json_response(self.body, status=self.status, headers=self.headers)


async def sign_in(request: web.Request) -> web.Response:
    """Give any app a token."""
    if request.method == "POST":
        return web.json_response({"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600})
    base = f"https://{request.host}/{request.match_info['tenant']}"
    return web.json_response(
        {"token_endpoint": f"{base}/oauth2/v2.0/token", "issuer": base, "authorization_endpoint": base}
    )


def settings_for(base: str, **changes: Any) -> TeamsSettings:
    """Return settings for a local Teams."""
    local = Local(service_url=f"{base}/amer/", metadata_url=f"{base}/m", authority_url=base, graph_url=base)
    given: dict[str, Any] = {
        "app_id": "app",
        "app_password": "secret",
        "tenant_id": "tenant",
        "call_timeout_s": 2.0,
        "local": local,
    }
    return TeamsSettings(**(given | changes))


@asynccontextmanager
async def scripted(script: Script, **changes: Any) -> AsyncIterator[TeamsCalls]:
    """Run such a connector, and calls that lead to it."""
    app = web.Application()
    app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", sign_in)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", sign_in)
    app.router.add_route("*", "/{tail:.*}", script.answer)
    async with TestServer(app) as server:
        calls = TeamsCalls(settings_for(str(server.make_url("")).rstrip("/"), **changes), await remembered())
        yield calls
        await calls.stop()


async def failure(call: Any) -> CallFailed:
    """Return why a call failed."""
    with pytest.raises(CallFailed) as caught:
        await call
    return caught.value


OPERATIONS: dict[str, Callable[[TeamsCalls], Any]] = {
    "create": lambda calls: calls.create_thread(SUPPORT, CARD),
    "send": lambda calls: calls.send(THREAD, {"type": "message", "text": "x"}),
    "update": lambda calls: calls.update(THREAD, "1700000000002", CARD),
    "delete": lambda calls: calls.delete(THREAD, "1700000000002"),
    "member": lambda calls: calls.member(TEAM, "aad"),
}


@pytest.mark.parametrize("status", [429, 502])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_nothing_is_tried_twice(operation: str, status: int) -> None:
    """Whatever the library would do by itself: one call is one request, with Retry-After as without."""
    script = Script(status=status, body={"error": {"code": "Busy"}}, headers={"Retry-After": "1"})
    async with scripted(script) as calls:
        failed = await failure(OPERATIONS[operation](calls))

    assert len(script.seen) == 1
    assert isinstance(failed.outcome, RetryLater if status == 429 else Unknown)


def test_the_library_underneath_is_the_one_that_was_measured() -> None:
    """With urllib3 before 2 a POST would be tried again whatever is set."""
    assert int(version("urllib3").split(".")[0]) >= 2


async def test_a_reply_goes_nowhere_but_into_a_thread() -> None:
    """A lost `;messageid=` would open a post for all to read: nothing is sent."""
    script = Script()
    async with scripted(script) as calls:
        for place in (SUPPORT, f"{SUPPORT};messageid=", f"{SUPPORT};messageid=x"):
            for call in (
                calls.send(place, {"type": "message", "text": "x"}),
                calls.update(place, "1", CARD),
                calls.delete(place, "1"),
            ):
                assert isinstance((await failure(call)).outcome, Refused)
    assert script.seen == []


@pytest.mark.parametrize(
    "body",
    [
        {"id": THREAD},
        {"id": THREAD, "activityId": "3f2b"},
        {"id": SUPPORT, "activityId": "1700000000001"},
        {"id": "19:other@thread.tacv2;messageid=1700000000001", "activityId": "1700000000001"},
        {"id": f"{SUPPORT};messageid=5", "activityId": "1700000000001"},
        {},
    ],
)
async def test_a_thread_without_its_ids_is_unclear(body: dict[str, Any]) -> None:
    """A root whose id is not known, not numeric or not the thread's can never be updated, and may stand there."""
    async with scripted(Script(body=body)) as calls:
        failed = await failure(calls.create_thread(SUPPORT, CARD))
    assert failed.outcome == Unknown(reason="no_thread_id")


async def test_text_and_card_are_never_sent_together() -> None:
    """Teams would make two messages of them and name none."""
    script = Script()
    async with scripted(script) as calls:
        failed = await failure(calls.create_thread(SUPPORT, CARD | {"text": "x"}))
    assert failed.code == "text_and_card"
    assert script.seen == []


async def test_what_is_sent_arrives_whole() -> None:
    """The library's models drop what they do not know: mentions, cards, `channelData` and summaries survive it."""
    script = Script(body={"id": THREAD, "activityId": "1700000000001"})
    entity = {"type": "mention", "text": "<at>D</at>", "mentioned": {"id": "29:x", "name": "D"}}
    card = {
        "type": "AdaptiveCard",
        "body": [{"type": "TextBlock", "text": "ü", "x": [1, {"y": None}]}],
        "msteams": {"w": 1},
    }
    sent = {
        "type": "message",
        "textFormat": "plain",
        "text": "<at>D</at>",
        "summary": "s",
        "entities": [entity],
        "channelData": {"notification": {"alert": True}},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    async with scripted(script) as calls:
        await calls.create_thread(SUPPORT, {"type": "message", "summary": "s", "attachments": [attachment]})
        await calls.send(THREAD, sent)

    (_, path, created), (_, where, said) = script.seen
    assert path == "/amer/v3/conversations"
    assert created["isGroup"] is True
    assert created["channelData"]["channel"] == {"id": SUPPORT}
    assert created["activity"] == {"type": "message", "summary": "s", "attachments": [attachment]}
    assert said == sent
    assert where == f"/amer/v3/conversations/{THREAD}/activities"


async def test_a_slow_connector_does_not_hold_up_the_loop() -> None:
    """A call that is not answered in time is unclear, and everything else goes on meanwhile."""
    script = Script(delay=asyncio.Event())
    async with scripted(script, call_timeout_s=0.3) as calls:
        await calls.tokens.get()
        waiting = asyncio.create_task(failure(OPERATIONS["send"](calls)))
        loop, ticks = asyncio.get_running_loop(), 0
        while not waiting.done():
            before = loop.time()
            await asyncio.sleep(0.005)
            ticks += 1
            assert loop.time() - before < 0.25
        failed = await waiting
        assert script.delay is not None
        script.delay.set()

    assert isinstance(failed.outcome, Unknown)
    assert ticks > 3


async def test_a_connector_that_is_not_there_got_nothing() -> None:
    """A connection that was never made may be tried again without a look."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with scripted(Script()) as calls:
        await calls.tokens.get()
        local = calls.settings.local
        assert local is not None
        lost = TeamsCalls(settings_for(f"http://127.0.0.1:{port}"), await remembered())
        lost.tokens = calls.tokens
        failed = await failure(OPERATIONS["send"](lost))
        await lost.stop()
    assert isinstance(failed.outcome, RetryLater)
    assert failed.code == "unreachable"


async def test_the_token_goes_to_trusted_addresses_only() -> None:
    """Neither a remembered service address nor a picture's may lead the token elsewhere, by redirect either."""
    script = Script(status=302, body={}, headers={"Location": "http://127.0.0.1:1/x"})
    async with scripted(script) as calls:
        await calls.facts.put(**{known.SERVICE_URL: "https://evil.example/"})
        assert calls.service_url == calls.settings.local.service_url  # type: ignore[union-attr]
        failed = await failure(calls.get_bytes("https://evil.example/v3/attachments/1/views/original"))
        assert failed.code == "foreign_address"
        assert (await failure(calls.graph("https://evil.example/v1.0/x"))).code == "foreign_address"
        await failure(calls.get_bytes(f"{calls.service_url}v3/attachments/1/views/original"))
        await failure(OPERATIONS["send"](calls))
    assert len(script.seen) == 2


async def test_a_picture_over_the_limit_is_not_read_to_its_end() -> None:
    """Its size is counted as it comes."""
    async with scripted(Script(status=200, body="x" * 5_000)) as calls:
        with pytest.raises(TooLarge):
            await calls.get_bytes(f"{calls.service_url}v3/attachments/1/views/original", max_bytes=1_000)


# --- people and tokens, against the sandbox


@pytest.fixture
async def out() -> AsyncIterator[Outside]:
    """A way out to a sandbox."""
    async with outside() as one:
        yield one


async def test_people_come_with_all_that_teams_tells(out: Outside) -> None:
    """A member has ids, name, mail and tenant, and the role that the library's model does not know."""
    people = await out.calls.members(TEAM)
    guest = next(person for person in people if person["userRole"] == "guest")
    one = await out.calls.member(TEAM, guest["aadObjectId"])

    assert one == guest
    assert {"id", "name", "aadObjectId", "email", "tenantId", "userPrincipalName"} <= set(one)
    assert (await failure(out.calls.member(TEAM, "nobody"))).code == "MemberNotFoundInConversation"


@pytest.mark.parametrize(
    "secret, code, words",
    [
        ("expired", "AADSTS7000222", "has expired"),
        ("invalid", "AADSTS7000215", "secret's value"),
        ("unknown_app", "AADSTS700016", "knows no such app"),
    ],
)
async def test_a_refused_sign_in_is_told_in_plain_words(out: Outside, secret: str, code: str, words: str) -> None:
    """An expired, wrong or unknown secret holds everything, with the remedy, and nothing was sent."""
    await out.teams.rules(secret=secret)
    failed = await failure(out.calls.send(THREAD, {"type": "message", "text": "x"}))

    assert failed.code == code
    assert isinstance(failed.outcome, Refused)
    assert failed.outcome.until_mended
    assert words in failed.outcome.remedy
    assert await out.requests("send") == 0


async def test_the_authority_that_knows_the_app_is_remembered(out: Outside) -> None:
    """A bot that is registered for many tenants signs in there, at once the next time."""
    await out.teams.rules(authority="botframework.com")
    await out.calls.tokens.get()
    assert out.facts.known[known.AUTHORITY] == tokens.MANY_TENANTS
    asked = await out.requests("token")

    again = TeamsCalls(out.settings, out.facts)
    await again.tokens.get()
    await again.stop()
    assert await out.requests("token") == asked + 1


async def test_a_token_is_asked_for_once_and_off_the_loop(out: Outside) -> None:
    """Many calls at once wait for one sign-in, which runs on a thread of its own."""
    await asyncio.gather(*(out.calls.tokens.get() for _ in range(10)))
    await out.calls.warm()

    assert await out.requests("token") == 1
    assert any(thread.name.startswith("teams") for thread in threading.enumerate())


async def test_a_start_without_teams_is_no_failure() -> None:
    """Warming up says what is wrong and goes on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    calls = TeamsCalls(settings_for(f"http://127.0.0.1:{port}"), await remembered())
    await calls.warm()
    failed = await failure(calls.tokens.get())
    await calls.stop()
    assert isinstance(failed.outcome, RetryLater)


async def test_a_managed_identity_signs_in_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the endpoint that Azure gives its App Services; the library's own class for it does not work."""
    asked: list[dict[str, str]] = []

    async def identity(request: web.Request) -> web.Response:
        asked.append({**request.query, "header": request.headers.get("X-IDENTITY-HEADER", "")})
        return web.json_response({"access_token": "t0ken", "expires_on": str(int(time.time()) + 3600), "resource": "r"})

    app = web.Application()
    app.router.add_get("/msi/token", identity)
    async with TestServer(app) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", str(server.make_url("/msi/token")))
        monkeypatch.setenv("IDENTITY_HEADER", "proof")
        settings = settings_for(str(server.make_url("")), app_type="UserAssignedMsi", app_password="")
        calls = TeamsCalls(settings, await remembered())
        assert await calls.tokens.get() == "t0ken"
        await calls.stop()
    assert [(one["resource"], one["client_id"], one["header"]) for one in asked] == [
        ("https://api.botframework.com", "app", "proof")
    ]


async def test_a_token_that_is_not_accepted_is_asked_for_anew(out: Outside) -> None:
    """A secret that was renewed counts at the next try, not an hour later."""
    await out.teams.fault("send", "http_before", status=401, code="Unauthorized")
    await failure(out.calls.send(THREAD, {"type": "message", "text": "x"}))
    await failure(out.calls.send(THREAD, {"type": "message", "text": "x"}))
    assert await out.requests("token") == 2


async def test_no_log_holds_words_or_tokens(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    script = Script(status=500, body={"error": {"code": "x", "message": "secret words"}})
    async with scripted(script) as calls:
        await failure(calls.send(THREAD, {"type": "message", "text": "secret words"}))
    assert "secret words" not in caplog.text
    assert "t0ken" not in caplog.text
