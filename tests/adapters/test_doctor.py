"""What the doctor finds, against a local Slack and a local bridge."""

import io
import json
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console
from slack_sdk.signature import SignatureVerifier

from adapters import manifest_slack
from adapters.doctor import clinic
from adapters.doctor import slack as on_slack
from adapters.doctor.findings import Finding
from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import BILLING, PARTNERS, SUPPORT
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.server import serving
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, SandboxSettings
from adapters.web import health
from bridge.settings import Settings, load

SCOPES = on_slack.Scopes(required=frozenset(manifest_slack.SCOPES), optional=manifest_slack.OPTIONAL_SCOPES)
WISHES = clinic.Wishes(timeout_s=5)
Findings = dict[str, list[Finding]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with serving(SandboxSettings()) as running:
        yield running


@pytest.fixture
async def slack(sandbox: Sandbox) -> AsyncIterator[Workspace]:
    async with Workspace(sandbox.workspace.base_url) as client:
        yield client


async def slack_events(request: web.Request) -> web.Response:
    """Answers Slack's greeting as a bridge in HTTP mode does."""
    body = (await request.read()).decode()
    if not SignatureVerifier(SIGNING_SECRET).is_valid_request(body, dict(request.headers)):
        return web.Response(status=401)
    return web.json_response({"challenge": "doctor"})


@pytest.fixture
async def bridge() -> AsyncIterator[str]:
    app = web.Application()
    health.add_routes(app, probes={}, config="c", schema="1")
    app.router.add_post("/slack/events", slack_events)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


@pytest.fixture
def settings(sandbox: Sandbox, bridge: str, tmp_path: Path) -> Callable[..., Settings]:
    def make(*, channels: tuple[str, ...] = (SUPPORT,), more: str = "", **changes: str) -> Settings:
        file = tmp_path / "any.toml"
        file.write_text(f'[[queues]]\nname = "support"\nchannels = {json.dumps(channels)}\n{more}', encoding="utf-8")
        environment = {
            "HANDOFF_SECRET_KEY": "k" * 32,
            "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
            "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
            "HANDOFF_SLACK__API_URL": f"{sandbox.workspace.base_url}/api/",
            "HANDOFF_AGENT__KIND": "demo",
            "HANDOFF_BASE_URL": bridge,
        }
        return load({**environment, **changes}, file)

    return make


async def examined(settings: Settings) -> Findings:
    """Everything that is found, by subject."""
    found: Findings = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        async for finding in clinic.look(settings, SCOPES, http, clinic.Wishes()):
            found.setdefault(finding.subject, []).append(finding)
    return found


def bad(found: Findings) -> list[str]:
    return [finding.detail for findings in found.values() for finding in findings if finding.verdict == "bad"]


async def test_a_sound_installation_passes(settings: Callable[..., Settings]) -> None:
    """Nothing is bad, each part was looked at, and what was not proven is said."""
    found = await examined(settings())

    assert bad(found) == []
    assert list(found) == [
        "settings",
        "Slack bot token",
        "Slack scopes",
        "clock",
        f"queue support, channel {SUPPORT}",
        "Slack app token",
        "public address",
        "WebSocket",
        "end to end",
    ]
    assert found["end to end"][0].verdict == "warn"


async def test_http_mode_proves_the_signature(settings: Callable[..., Settings]) -> None:
    """A signed greeting is answered and an unsigned one refused; another secret is found out."""
    right = await examined(settings(HANDOFF_SLACK__MODE="http", HANDOFF_SLACK__SIGNING_SECRET=SIGNING_SECRET))
    wrong = await examined(settings(HANDOFF_SLACK__MODE="http", HANDOFF_SLACK__SIGNING_SECRET="another"))

    assert [finding.verdict for finding in right["Slack signature"]] == ["good", "good"]
    assert [finding.verdict for finding in wrong["Slack signature"]] == ["bad", "good"]
    assert "Slack app token" not in right


@pytest.mark.parametrize(
    "variable,value,subject",
    [
        ("HANDOFF_SLACK__BOT_TOKEN", "xoxb-canary", "Slack bot token"),
        ("HANDOFF_SLACK__APP_TOKEN", "xapp-canary", "Slack app token"),
    ],
)
async def test_a_wrong_token_is_named(
    settings: Callable[..., Settings], variable: str, value: str, subject: str
) -> None:
    """Slack's own word for it, a remedy, and not the token."""
    found = await examined(settings(**{variable: value}))
    [finding] = found[subject]

    assert (finding.verdict, finding.detail) == ("bad", "invalid_auth")
    assert finding.remedy
    assert "canary" not in repr(found)


async def test_missing_and_superfluous_scopes_are_told(settings: Callable[..., Settings], slack: Workspace) -> None:
    """A needed scope is bad, an optional one a warning, one too many a warning."""
    granted = (set(manifest_slack.SCOPES) | {"chat:write.customize"}) - {"files:write"}
    await slack.configure(scopes=sorted(granted))
    found = (await examined(settings()))["Slack scopes"]

    assert found[0].detail == "missing: files:write"
    assert {f.detail.split()[0] for f in found if f.verdict == "warn"} == {*manifest_slack.OPTIONAL_SCOPES, "more"}
    assert found[-1].detail == "more than is needed: chat:write.customize"


@pytest.mark.parametrize(
    "more,scope",
    [('supervisors = ["dana@x.example"]', "users:read.email"), ('user_group = "S0BILLING"', "usergroups:read")],
)
async def test_an_optional_scope_that_a_queue_needs_is_needed(
    settings: Callable[..., Settings], slack: Workspace, more: str, scope: str
) -> None:
    """Who lists people by e-mail or user group must grant what that takes."""
    await slack.configure(scopes=sorted(manifest_slack.SCOPES))
    found = (await examined(settings(more=more)))["Slack scopes"]

    assert [finding.detail.split()[0] for finding in found if finding.verdict == "bad"] == [scope]


async def test_each_channel_is_looked_at(settings: Callable[..., Settings]) -> None:
    """One that is not there and one that is shared with strangers are bad; the others are good."""
    found = await examined(settings(channels=(SUPPORT, BILLING, "C0NOWHERE", PARTNERS)))
    verdicts = {subject.split()[-1]: f[0].verdict for subject, f in found.items() if subject.startswith("queue")}

    assert verdicts == {SUPPORT: "good", BILLING: "good", "C0NOWHERE": "bad", PARTNERS: "bad"}
    assert "another organisation" in " ".join(bad(found))


@pytest.mark.parametrize("info,words", [({"is_archived": True}, "archived"), ({"is_member": False}, "not in #x")])
def test_a_channel_where_nothing_could_be_posted_is_bad(info: dict[str, object], words: str) -> None:
    """Archived, or the app was never invited: the remedy says what to do."""
    finding = on_slack.channel_finding("queue", {"ok": True, "channel": {"name": "x", "is_member": True, **info}})

    assert finding.verdict == "bad"
    assert words in finding.detail
    assert finding.remedy


@pytest.mark.parametrize("skew_s,verdict", [(0, "good"), (30, "good"), (300, "bad"), (-300, "bad")])
def test_the_clock_is_compared_with_slacks(skew_s: int, verdict: str) -> None:
    """Five minutes beside Slack's clock and every signature is refused."""
    finding = on_slack.clock_finding({"Date": formatdate(time.time() - skew_s, usegmt=True)})

    assert finding.verdict == verdict


async def test_a_bridge_that_is_not_reached_is_told(settings: Callable[..., Settings]) -> None:
    """Nobody listens at the public address: one finding, and nothing else is tried there."""
    found = await examined(settings(HANDOFF_BASE_URL="http://127.0.0.1:9"))

    assert len(bad(found)) == 1
    assert "does not answer" in bad(found)[0]
    assert "WebSocket" not in found


async def test_a_proxy_without_upgrade_is_found_out(settings: Callable[..., Settings]) -> None:
    """The page answers, the WebSocket does not: the remedy names the two headers."""
    app = web.Application()

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app.router.add_get("/{any:.*}", alive)
    server = TestServer(app)
    await server.start_server()
    found = await examined(settings(HANDOFF_BASE_URL=str(server.make_url("")).rstrip("/")))
    await server.close()

    [finding] = found["WebSocket"]
    assert finding.verdict == "bad"
    assert "Upgrade and Connection" in finding.remedy


async def test_slack_that_is_not_reached_is_no_crash(settings: Callable[..., Settings]) -> None:
    """A network without Slack is told like any other finding."""
    found = await examined(settings(HANDOFF_SLACK__API_URL="http://127.0.0.1:9/api/"))

    assert [finding.detail for finding in found["Slack bot token"]] == ["unreachable (ClientConnectorError)"]


async def test_it_prints_each_finding_with_its_remedy(settings: Callable[..., Settings]) -> None:
    """People read verdict, subject and remedy, and the last line sums up; the answer is whether all is well."""
    text = io.StringIO()
    console = Console(file=text, width=200, markup=False, highlight=False)

    fine = await clinic.examine(settings(), SCOPES, WISHES, console=console)
    broken = await clinic.examine(settings(channels=("C0NOWHERE",)), SCOPES, WISHES, console=console)

    assert (fine, broken) == (True, False)
    assert "good  Slack scopes: all that is needed" in text.getvalue()
    assert "bad   queue support, channel C0NOWHERE: channel_not_found" in text.getvalue()
    assert text.getvalue().endswith("Mend what is bad, then run this again.\n")


async def test_programs_get_one_json_object(settings: Callable[..., Settings]) -> None:
    """With --json there is one document with every finding and the verdict of the whole, and no token in it."""
    text = io.StringIO()
    console = Console(file=text, width=80, markup=False, highlight=False)

    fine = await clinic.examine(
        settings(HANDOFF_SLACK__BOT_TOKEN="xoxb-canary"),
        SCOPES,
        clinic.Wishes(timeout_s=5, json=True),
        console=console,
    )
    told = json.loads(text.getvalue())

    assert (fine, told["ok"]) == (False, False)
    assert {"verdict", "subject", "detail", "remedy"} == set(told["findings"][0])
    [token] = [finding for finding in told["findings"] if finding["subject"] == "Slack bot token"]
    assert (token["verdict"], token["detail"], bool(token["remedy"])) == ("bad", "invalid_auth", True)
    assert "canary" not in text.getvalue()
