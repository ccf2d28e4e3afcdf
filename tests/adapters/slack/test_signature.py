"""The HTTP door: nothing enters unsigned, and everything signed is read right."""

import hashlib
import hmac
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import DANA, SUPPORT
from adapters.sandbox.slack.settings import SIGNING_SECRET
from adapters.slack.config import SlackSettings
from adapters.slack.events import PATH, parse_body
from bridge.errors import SettingsError
from bridge.events import OperatorSaid
from tests.adapters.slack.conftest import Stage, root_ts, settings_for, staged

Http = TestClient[web.Request, web.Application]


@pytest.fixture
async def http_stage(slack: Workspace) -> AsyncIterator[Stage]:
    """A desk in HTTP mode, not started."""
    one = staged(slack, settings_for(slack.url, mode="http", app_token=None))
    yield one
    await one.parts.stop()


@pytest.fixture
async def http(http_stage: Stage) -> AsyncIterator[Http]:
    """Its route behind a real server."""
    app = web.Application()
    app.add_routes(http_stage.parts.routes)
    async with TestClient(TestServer(app)) as client:
        yield client


def signed(raw: bytes, *, stamp: str | None = None, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """Return Slack's headers. Source: https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    stamp = stamp or str(int(time.time()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
        "Content-Type": "application/json",
    }


def said(stage_root: str, text: str = "hello", **event: Any) -> bytes:
    body = {
        "type": "event_callback",
        "team_id": "T0HARBOUR",
        "api_app_id": "A0BRIDGE1",
        "event_id": "Ev1",
        "event_time": 1_800_000_000,
        "event": {
            "type": "message",
            "user": DANA,
            "text": text,
            "ts": f"{int(time.time())}.000100",
            "channel": SUPPORT,
            "thread_ts": stage_root,
            **event,
        },
    }
    return json.dumps(body).encode()


NOW = int(time.time())
FORGED = [
    ("wrong secret", lambda raw: signed(raw, secret="other")),
    ("another body", lambda raw: signed(raw + b" ")),
    ("six minutes old", lambda raw: signed(raw, stamp=str(int(time.time()) - 360))),
    ("six minutes ahead", lambda raw: signed(raw, stamp=str(int(time.time()) + 360))),
    ("stamp is no number", lambda raw: signed(raw, stamp="yesterday")),
    ("stamp is empty", lambda raw: signed(raw) | {"X-Slack-Request-Timestamp": ""}),
    ("stamp is another script's number", lambda raw: signed(raw) | {"X-Slack-Request-Timestamp": "١٢٣"}),
    ("stamp is negative", lambda raw: signed(raw, stamp="-1")),
    ("stamp is huge", lambda raw: signed(raw, stamp="9" * 40)),
    ("no signature", lambda raw: {k: v for k, v in signed(raw).items() if k != "X-Slack-Signature"}),
    ("no headers", lambda _raw: {"Content-Type": "application/json"}),
    ("empty signature", lambda raw: signed(raw) | {"X-Slack-Signature": ""}),
    ("version only", lambda raw: signed(raw) | {"X-Slack-Signature": "v0="}),
    ("no ASCII", lambda raw: signed(raw) | {"X-Slack-Signature": "v0=é"}),
    ("ssl_check cannot skip it", lambda _raw: {"Content-Type": "application/x-www-form-urlencoded"}),
]


@pytest.mark.parametrize("name, headers", FORGED, ids=[name for name, _ in FORGED])
async def test_a_forged_request_is_refused_and_leaves_nothing(
    http: Http, http_stage: Stage, name: str, headers: Any
) -> None:
    """Wrong, old, missing or unreadable signatures get 401, and nothing is stored."""
    one = await http_stage.opened()
    raw = b"ssl_check=1&token=x" if "ssl_check" in name else said(root_ts(one))
    answer = await http.post(PATH, data=raw, headers=headers(raw))

    assert answer.status == 401
    assert http_stage.door.events == []


async def test_a_signed_event_is_kept_before_it_is_acknowledged(http: Http, http_stage: Stage) -> None:
    """By the time that Slack reads 200, the message is with the front door."""
    one = await http_stage.opened()
    raw = said(root_ts(one))
    answer = await http.post(PATH, data=raw, headers=signed(raw))

    assert answer.status == 200
    assert [event.text for event in http_stage.door.of(OperatorSaid)] == ["hello"]


async def test_what_could_not_be_kept_is_not_acknowledged(http: Http, http_stage: Stage) -> None:
    """A store that is down gives 500, so that Slack sends again; then it is kept once."""
    one = await http_stage.opened()
    raw = said(root_ts(one))
    http_stage.door.failures = 2
    statuses = [(await http.post(PATH, data=raw, headers=signed(raw))).status for _ in range(4)]

    assert statuses == [500, 500, 200, 200]
    assert len(http_stage.door.events) == 1


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"1", b"{}", b"payload=%7B", b"payload=1", b"[" * 100_000],
    ids=lambda raw: ascii(raw[:12]),
)
async def test_unreadable_bodies_are_a_bad_request(http: Http, raw: bytes) -> None:
    """Signed rubbish is answered with 400, never 500."""
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        answer = await http.post(PATH, data=raw, headers=signed(raw) | {"Content-Type": kind})
        assert answer.status == 400


async def test_what_is_no_text_cannot_be_signed(http: Http) -> None:
    """Slack signs text; bytes that are none are refused, not stumbled over."""
    answer = await http.post(PATH, data=b"\xff\xfe", headers=signed(b"\xff\xfe"))

    assert answer.status == 401


ODD: list[dict[str, Any]] = [
    {"type": "event_callback"},
    {"type": "event_callback", "team_id": "T", "event": {"type": "message"}},
    {"type": "event_callback", "team_id": 7, "event": {"type": "message", "channel": [], "ts": {}}},
    {
        "type": "event_callback",
        "team_id": "T",
        "event": {"type": "message", "subtype": "message_changed", "channel": "C"},
    },
    {"type": "event_callback", "team_id": "T", "event": {"type": "member_left_channel"}},
    {"type": "event_callback", "team_id": "T", "event": {"type": "user_change", "user": "U"}},
    {"type": "event_callback", "team_id": "T", "event": {"type": "star_added"}},
    {
        "type": "block_actions",
        "team": {"id": "T"},
        "user": {"id": "U"},
        "actions": [{"action_id": "x", "type": "button"}],
    },
    {
        "type": "view_submission",
        "team": {"id": "T"},
        "user": {"id": "U"},
        "view": {"type": "modal", "callback_id": "other"},
    },
    {"type": "view_closed", "team": {"id": "T"}, "user": {"id": "U"}, "view": {"callback_id": "bridge_return"}},
    {"type": "message_action", "callback_id": "other", "team": {"id": "T"}, "user": {"id": "U"}},
    {"type": "shortcut", "callback_id": "x", "team": {"id": "T"}, "user": {"id": "U"}},
]


@pytest.mark.parametrize("body", ODD, ids=[f"{i}-{body['type']}" for i, body in enumerate(ODD)])
async def test_odd_payloads_change_nothing(http: Http, http_stage: Stage, body: dict[str, Any]) -> None:
    """What we cannot read or do not want is acknowledged or refused, and nothing comes of it."""
    raw = json.dumps(body).encode()
    answer = await http.post(PATH, data=raw, headers=signed(raw))

    assert answer.status < 500
    assert http_stage.door.events == []


async def test_a_huge_body_is_refused(http: Http) -> None:
    """More than a mebibyte is not read."""
    raw = b'{"x": "' + b"x" * (1024 * 1024) + b'"}'
    answer = await http.post(PATH, data=io.BytesIO(raw), headers=signed(raw))

    assert answer.status == 413


async def test_slacks_challenge_is_answered(http: Http) -> None:
    """Saving the request URL in Slack works; unsigned, it does not."""
    raw = json.dumps({"type": "url_verification", "challenge": "abc", "token": "x"}).encode()
    answer = await http.post(PATH, data=raw, headers=signed(raw))

    assert await answer.json() == {"challenge": "abc"}
    assert (await http.post(PATH, data=raw)).status == 401
    assert (await http.get(PATH + "?ssl_check=1")).status == 200


@pytest.mark.parametrize(
    "text", ["bad payload in request", "payload", 'H-1042 "payload": {}', "a=b&payload=c", "ssl_check=1"]
)
async def test_a_slash_command_may_speak_of_a_payload(http: Http, http_stage: Stage, text: str) -> None:
    """The word "payload" in a command's text does not lose the command."""
    form = {
        "command": "/return",
        "text": text,
        "user_id": DANA,
        "channel_id": SUPPORT,
        "team_id": "T0HARBOUR",
        "trigger_id": "x",
    }
    raw = urlencode(form).encode()
    headers = signed(raw) | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await http.post(PATH, data=raw, headers=headers)

    assert answer.status == 200
    expected = "There is no ticket" if text.startswith("H-") else "You have no open conversation"
    assert expected in await answer.text()


def test_a_form_is_read_as_a_form() -> None:
    """`payload` counts only as a parameter of that name."""
    kind = "application/x-www-form-urlencoded"

    assert parse_body(b"command=%2Freturn&text=my+payload%3D%7B%7D", kind) == {
        "command": "/return",
        "text": "my payload={}",
    }
    assert parse_body(b"payload=%7B%22type%22%3A%22view_submission%22%7D", kind) == {"type": "view_submission"}


async def test_socket_mode_opens_no_door(stage: Stage) -> None:
    """Without need there is no route to attack."""
    assert stage.parts.routes == []


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"bot_token": ""}, "bot token"),
        ({"mode": "socket", "app_token": None}, "xapp-"),
        ({"mode": "http", "signing_secret": None}, "signing secret"),
        ({"mode": "http", "signing_secret": ""}, "signing secret"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], words: str) -> None:
    """A missing secret is found at the start, with what to do."""
    with pytest.raises(SettingsError, match=words):
        SlackSettings(**({"bot_token": "xoxb-1", "app_token": "xapp-1", "signing_secret": "s"} | wrong))
