"""A bot that calls the sandbox's connector and hears what it is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
from aiohttp import web

from adapters.sandbox.teams.client import Json, TeamsClient
from adapters.sandbox.teams.people import SUPPORT
from adapters.sandbox.teams.sandbox import Sandbox


@dataclass
class Bot:
    """A bot: calls the connector with a token, and notes what its endpoint is sent.

    `statuses` and `answers` are given out first, then 200 without a body; each answer takes `rest_s`.
    """

    app: Json
    session: aiohttp.ClientSession
    token: str = ""
    rest_s: float = 0.0
    statuses: list[int] = field(default_factory=list)
    answers: list[Json] = field(default_factory=list)
    heard: list[Json] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    last_headers: dict[str, str] = field(default_factory=dict)

    async def receive(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        self.headers.append(request.headers.get("Authorization", ""))
        await asyncio.sleep(self.rest_s)
        status = self.statuses.pop(0) if self.statuses else 200
        is_invoke = self.heard[-1]["type"] == "invoke"
        if is_invoke and status == 200 and self.answers:
            return web.json_response(self.answers.pop(0))
        return web.Response(status=status)

    async def sign_in(self, *, secret: str = "", tenant: str = "", scope: str = "https://api.botframework.com") -> Json:
        form = {
            "grant_type": "client_credentials", "client_id": self.app["app_id"],
            "client_secret": secret or self.app["app_password"], "scope": f"{scope}/.default",
        }  # fmt: skip
        url = f"{self.app['authority_url']}/{tenant or self.app['tenant_id']}/oauth2/v2.0/token"
        async with self.session.post(url, data=form) as response:
            answer: Json = await response.json()
        self.token = str(answer.get("access_token", self.token))
        return answer | {"status": response.status}

    async def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Any]:
        url = path if path.startswith("http") else self.app["service_url"] + path
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.request(method, url, json=body, headers=headers) as response:
            self.last_headers = dict(response.headers)
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.read()

    async def open(self, activity: Json, channel: str = SUPPORT) -> tuple[int, Any]:
        body = {"isGroup": True, "channelData": {"channel": {"id": channel}}, "activity": activity}
        return await self.call("POST", "v3/conversations", body)

    async def say(self, conversation: str, text: str, **more: object) -> tuple[int, Any]:
        activity = {"type": "message", "text": text, "textFormat": "plain", **more}
        return await self.call("POST", f"v3/conversations/{conversation}/activities", activity)

    async def claims(self, sandbox: Sandbox, at: int = -1) -> Json:
        _, _, token = self.headers[at].partition(" ")
        key = jwt.PyJWKSet.from_dict(sandbox.keys.as_jwks())[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=["RS256"], audience=self.app["app_id"])


@asynccontextmanager
async def listening(teams: TeamsClient) -> AsyncIterator[Bot]:
    """A bot that is signed in and listens."""
    async with aiohttp.ClientSession() as session:
        bot = Bot(app=await teams.app(), session=session)
        application = web.Application()
        application.router.add_post("/api/messages", bot.receive)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        await teams.configure(endpoint=f"http://{host}:{port}/api/messages")
        await bot.sign_in()
        yield bot
        await runner.cleanup()


def card(*actions: Json, body: list[Json] | None = None, version: str = "1.4") -> Json:
    """Return an attachment with a card."""
    shown = [{"type": "TextBlock", "text": "Hello"}] if body is None else body
    content = {
        "type": "AdaptiveCard", "version": version, "body": shown,
        "actions": list(actions),
    }  # fmt: skip
    return {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}


def with_card(*actions: Json, **more: Any) -> Json:
    """Return an activity with a card and no text."""
    return {"type": "message", "attachments": [card(*actions, **more)]}
