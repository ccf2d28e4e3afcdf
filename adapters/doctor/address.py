"""Whether the world reaches the bridge, and whether it lets in only whom it should."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator

import aiohttp

from adapters.doctor.findings import Finding
from bridge.settings import Settings


async def findings(settings: Settings, http: aiohttp.ClientSession) -> AsyncIterator[Finding]:
    """Look at the public address, its WebSocket upgrade, and how it treats who is not signed in."""
    base = settings.public_url
    try:
        async with http.get(f"{base}/healthz") as answer:
            alive = answer.status == 200
            detail = f"{base} answers {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        alive, detail = False, f"{base} does not answer ({type(error).__name__})"
    if not alive:
        remedy = "Start handoff-bridge serve, and let the proxy pass everything on to it."
        yield Finding(verdict="bad", subject="public address", detail=detail, remedy=remedy)
        return
    yield Finding(verdict="good", subject="public address", detail=detail)
    yield await _upgrade(base, http)
    if settings.slack.bot_token is not None and settings.slack.mode == "http":
        async for finding in _signature(settings, http):
            yield finding


async def _upgrade(base: str, http: aiohttp.ClientSession) -> Finding:
    try:
        async with http.ws_connect(f"{base}/healthz/socket") as socket:
            await socket.receive_str()
        return Finding(verdict="good", subject="WebSocket", detail="upgrades")
    except (aiohttp.ClientError, TimeoutError, TypeError) as error:
        remedy = "Let the proxy pass Upgrade and Connection on, unbuffered, idle for 30 s or more."
        return Finding(verdict="bad", subject="WebSocket", detail=f"no upgrade ({type(error).__name__})", remedy=remedy)


async def _signature(settings: Settings, http: aiohttp.ClientSession) -> AsyncIterator[Finding]:
    """Slack's own greeting, signed as Slack signs, must be answered; unsigned it must not."""
    secret = settings.slack.signing_secret
    body = json.dumps({"type": "url_verification", "challenge": "doctor"})
    stamp = str(int(time.time()))
    digest = hmac.new(
        (secret.get_secret_value() if secret else "").encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256
    )
    signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest.hexdigest()}"}
    for headers, wanted, words in ((signed, 200, "a signed request"), ({}, 401, "an unsigned request")):
        try:
            async with http.post(
                f"{settings.public_url}/slack/events",
                data=body,
                headers={"Content-Type": "application/json", **headers},
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        remedy = "The proxy must pass body and headers on unchanged, and serve must run with the same signing secret."
        yield Finding(
            verdict="good" if status == wanted else "bad",
            subject="Slack signature",
            detail=f"{words} is answered with {status}",
            remedy="" if status == wanted else remedy,
        )
