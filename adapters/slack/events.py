"""The way in: slack-bolt behind Slack's HTTP requests and behind Socket Mode alike.

Bolt acknowledges after our handlers (`process_before_response`), so that what could not be kept is delivered again, and
its own filter for the app's messages is off: our echoes settle unclear sends.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import Clock as SignatureClock
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.acting import Acting
from adapters.slack.calls import QUIET, Json
from adapters.slack.config import SlackSettings
from adapters.slack.hearing import Hearing
from bridge import log as logs
from bridge.ports import Clock

log = logs.get("slack.events")
PATH = "/slack/events"
ANY = re.compile(r".*", re.DOTALL)
MAX_BODY_BYTES = 1024 * 1024


class Door:
    """Where Slack's payloads enter."""

    def __init__(self, *, settings: SlackSettings, hearing: Hearing, acting: Acting, clock: Clock) -> None:
        """Take the settings and the two who handle what comes."""
        self._settings, self._hearing, self._acting, self._clock = settings, hearing, acting, clock
        self._app = self._bolt()
        secret = settings.signing_secret
        self._verifier = SignatureVerifier(secret, clock=_Seconds(clock)) if secret else None
        self.last_event_at: int | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the HTTP routes; none in Socket Mode, where nobody needs to reach us."""
        if self._settings.mode != "http":
            return []
        return [web.post(PATH, self._http), web.get(PATH, _ssl_check)]

    async def dispatch(self, body: Json) -> BoltResponse:
        """Handle one payload whose sender is proven; 200 only when it is kept."""
        self.last_event_at = self._clock.now()
        try:
            request = AsyncBoltRequest(mode="socket_mode", body=body)
        except (AttributeError, KeyError, TypeError):
            log.warning("payload_unreadable")
            return BoltResponse(status=400, body="")
        return await self._app.async_dispatch(request)

    async def _http(self, request: web.Request) -> web.Response:
        raw = await request.content.read(MAX_BODY_BYTES + 1)
        while raw and len(raw) <= MAX_BODY_BYTES and not request.content.at_eof():
            raw += await request.content.read(MAX_BODY_BYTES + 1 - len(raw))
        if len(raw) > MAX_BODY_BYTES:
            return web.Response(status=413, text="too large")
        if not self._is_signed(raw, request):
            log.warning("signature_refused")
            return web.Response(status=401, text="the signature is missing, wrong or too old")
        body = parse_body(raw, request.content_type)
        if body is None:
            return web.Response(status=400, text="neither JSON nor a form with Slack's fields")
        if body.get("type") == "url_verification":
            return web.json_response({"challenge": body.get("challenge")})
        return await to_aiohttp_response(await self.dispatch(body))

    def _is_signed(self, raw: bytes, request: web.Request) -> bool:
        """Check v0 signatures (https://docs.slack.dev/authentication/verifying-requests-from-slack), 5 min window."""
        stamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        if self._verifier is None or not re.fullmatch(r"[0-9]{1,12}", stamp) or not signature.isascii():
            return False
        try:
            return bool(self._verifier.is_valid(body=raw, timestamp=stamp, signature=signature))
        except UnicodeDecodeError:
            return False

    def _bolt(self) -> AsyncApp:
        token = self._settings.bot_token

        async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
            return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=token)

        app = AsyncApp(
            name="handoff-bridge",
            logger=QUIET,
            client=AsyncWebClient(base_url=self._settings.base_url, logger=QUIET, retry_handlers=[]),
            authorize=authorize,
            process_before_response=True,
            request_verification_enabled=False,  # done in `_is_signed`, before a byte is parsed
            ignoring_self_events_enabled=False,
            ssl_check_enabled=False,
            url_verification_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        self._listen(app)
        return app

    def _listen(self, app: AsyncApp) -> None:
        async def event(body: dict[str, Any]) -> None:
            await self._hearing.event(body)

        async def click(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack()
            await self._acting.click(body)

        async def command(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack(await self._acting.command(body))

        async def shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack()
            await self._acting.shortcut(body)

        async def submitted(ack: AsyncAck, body: dict[str, Any]) -> None:
            errors = await self._acting.submission(body)
            if errors:
                await ack(response_action="errors", errors=errors)
            else:
                await ack()

        async def closed(ack: AsyncAck) -> None:
            await ack()

        app.event(ANY)(event)
        app.action(ANY)(click)
        app.command(self._settings.command)(command)
        app.shortcut(ANY)(shortcut)
        app.view(ANY)(submitted)
        app.view_closed(ANY)(closed)


class _Seconds(SignatureClock):
    """Our clock, as the SDK asks for the time: a signature is judged by the time that all processes agree on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now() / 1000


async def _ssl_check(_request: web.Request) -> web.Response:
    return web.Response(text="")


def parse_body(raw: bytes, content_type: str) -> Json | None:
    """Return a request's payload: a JSON document, a form's `payload`, or the form itself (slash commands).

    Bolt's own reading of forms takes the word "payload" anywhere in the body for the parameter of that name, and loses
    such a slash command; so the form is parsed here.
    """
    try:
        if content_type == "application/json":
            body = json.loads(raw)
        else:
            form = dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True))
            body = json.loads(form["payload"]) if "payload" in form else form if "command" in form else None
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and body else None
