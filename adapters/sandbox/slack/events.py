"""Delivery to the app's request URL: signed HTTP requests, sent again like Slack's.

Sources: https://docs.slack.dev/apis/events-api (retries), https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

import aiohttp

from adapters.sandbox.slack.journal import Journal
from adapters.sandbox.slack.payloads import event_id
from adapters.sandbox.slack.records import Json
from adapters.sandbox.slack.rules import Rules
from adapters.sandbox.slack.settings import SandboxSettings

RETRY_WAITS_S = (0.0, 60.0, 300.0)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the ``x-slack-signature`` of a request body."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reply:
    """What came back: a status (0 if nothing did), the body, and Slack's word for what went wrong."""

    status: int = 0
    content_type: str = ""
    text: str = ""
    reason: str | None = None
    stop: bool = False


class HttpDelivery:
    """Posts events and interactions to one URL."""

    def __init__(
        self, settings: SandboxSettings, rules: Rules, journal: Journal, session: aiohttp.ClientSession
    ) -> None:
        """Send with ``session``, which the caller closes."""
        self._settings = settings
        self._rules = rules
        self._journal = journal
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=settings.answer_timeout_s)

    async def event(self, url: str, body: Json) -> None:
        """Deliver an event: at once, and up to three times more until a 2xx comes back."""
        reason = ""
        for attempt in range(len(RETRY_WAITS_S) + 1):
            headers = {"Content-Type": "application/json"}
            if attempt:
                await asyncio.sleep(RETRY_WAITS_S[attempt - 1] * self._settings.retry_scale)
                headers |= {"x-slack-retry-num": str(attempt), "x-slack-retry-reason": reason}
                if self._rules.new_id_on_retry:
                    body = body | {"event_id": event_id()}
            reply = await self._post(url, json.dumps(body).encode(), headers)
            self._journal.delivered(body, attempt=attempt, status=reply.status, reason=reply.reason)
            if reply.reason is None or reply.stop:
                return
            reason = reply.reason

    async def ask(self, url: str, kind: str, payload: Json) -> tuple[Json, str | None]:
        """Deliver an interaction once. Returns its answer, and what Slack's client would say if there was none."""
        form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await self._post(url, urlencode(form).encode(), headers)
        self._journal.asked(kind, payload, status=reply.status, reason=reply.reason)
        if reply.reason == "http_timeout":
            return {}, "operation_timeout"
        if reply.reason is not None:
            return {}, "dispatch_failed"
        return _answer(reply), None

    async def verify_url(self, url: str) -> str | None:
        """Send ``url_verification`` as Slack does when the URL is saved. Returns what is wrong, or ``None``."""
        challenge = {"token": "t", "challenge": "sandbox-challenge", "type": "url_verification"}
        reply = await self._post(url, json.dumps(challenge).encode(), {"Content-Type": "application/json"})
        if reply.reason is not None:
            return f"no answer: {reply.reason} ({reply.status})"
        return None if "sandbox-challenge" in reply.text else "the challenge was not returned"

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> _Reply:
        timestamp = str(int(self._journal.now()))
        signed = {
            **headers,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._settings.signing_secret, timestamp, body),
        }
        try:
            async with self._session.post(
                url, data=body, headers=signed, timeout=self._timeout, allow_redirects=False
            ) as response:
                text = await response.text()
                is_good = HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES
                return _Reply(
                    status=response.status,
                    content_type=response.content_type,
                    text=text,
                    reason=None if is_good else "http_error",
                    stop=not is_good and response.headers.get("x-slack-no-retry") == "1",
                )
        except TimeoutError:
            return _Reply(reason="http_timeout")
        except aiohttp.ClientError:
            return _Reply(reason="connection_failed")


def _answer(reply: _Reply) -> Json:
    if not reply.text:
        return {}
    if reply.content_type == "application/json":
        try:
            parsed = json.loads(reply.text)
        except ValueError:
            parsed = reply.text
        return parsed if isinstance(parsed, dict) else {"text": str(parsed)}
    return {"text": reply.text}
