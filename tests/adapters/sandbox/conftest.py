"""A sandbox Slack in this process, a client for it, and an app that listens over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Json, Workspace
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.server import serving
from adapters.sandbox.slack.settings import BOT_TOKEN, DEFAULT_SCOPES, AppConfiguration, SandboxSettings

MORE_SCOPES = ("chat:write.customize", "channels:join", "reactions:read", "reactions:write")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A running sandbox, whose retries do not wait, and whose app may do more than the default one."""
    app = AppConfiguration(scopes=(*DEFAULT_SCOPES, *MORE_SCOPES))
    app.shortcuts.append({"name": "Return any", "type": "global", "callback_id": "return_any"})
    settings = SandboxSettings(app=app, retry_scale=0.0, answer_timeout_s=1.0, socket_ack_s=0.5)
    async with serving(settings) as running:
        yield running


@pytest.fixture
async def slack(sandbox: Sandbox) -> AsyncIterator[Workspace]:
    """People in that sandbox."""
    async with Workspace(sandbox.workspace.base_url) as client:
        yield client


@pytest.fixture
async def web_client(sandbox: Sandbox) -> AsyncWebClient:
    """Slack's own client, as the app."""
    return AsyncWebClient(token=BOT_TOKEN, base_url=f"{sandbox.workspace.base_url}/api/", retry_handlers=[])


@dataclass
class Listener:
    """An app's request URL that notes what arrives; ``statuses`` are given out first, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    answer_headers: dict[str, str] = field(default_factory=dict)
    answers: list[Json] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.requests.append((dict(request.headers), raw))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200 and self.answers:
            return web.json_response(self.answers.pop(0))
        return web.Response(status=status, headers=self.answer_headers)


@pytest.fixture
async def listener(sandbox: Sandbox, slack: Workspace) -> AsyncIterator[Listener]:
    """An app that the sandbox sends to by HTTP."""
    listening = Listener()
    app = web.Application()
    app.router.add_post("/slack/events", listening.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    listening.url = f"http://{host}:{port}/slack/events"
    await slack.configure(request_url=listening.url, verify=False)
    yield listening
    await runner.cleanup()
