"""What the doctor asks Slack: tokens, granted scopes, the clock, the queues' channels. It only reads."""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from adapters.doctor.findings import Finding, Verdict
from bridge.settings import Settings

MAX_CLOCK_SKEW_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Scopes:
    """What the desk needs of Slack's scopes: from the manifest."""

    required: frozenset[str]
    optional: Mapping[str, str]


class Slack:
    """Slack's Web API, one call at a time."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings) -> None:
        """Use the settings' tokens; neither is ever shown."""
        self._http = http
        self._settings = settings.slack

    async def call(
        self, method: str, *, fields: Mapping[str, str] | None = None, app_token: bool = False
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Return the answer and its headers; `{"ok": False, "error": ...}` also for a network that fails."""
        token = self._settings.app_token if app_token else self._settings.bot_token
        headers = {"Authorization": f"Bearer {token.get_secret_value() if token else ''}"}
        try:
            async with self._http.post(self._settings.api_url + method, data=fields or {}, headers=headers) as answer:
                body = await answer.json(content_type=None)
                return (body if isinstance(body, dict) else {"ok": False, "error": "unreadable"}), answer.headers
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return {"ok": False, "error": f"unreachable ({type(error).__name__})"}, {}


async def findings(settings: Settings, scopes: Scopes, http: aiohttp.ClientSession) -> AsyncIterator[Finding]:
    """Look at tokens, scopes, the clock and the queues' channels."""
    slack = Slack(http, settings)
    who, headers = await slack.call("auth.test")
    if not who.get("ok"):
        yield refused("Slack bot token", str(who.get("error")))
    else:
        yield Finding(verdict="good", subject="Slack bot token", detail=f"{who.get('user')} in {who.get('team')}")
        for finding in (*_scopes(settings, scopes, headers), clock_finding(headers)):
            yield finding
        async for finding in _channels(settings, slack):
            yield finding
    if settings.slack.mode == "socket":
        yield await _socket_mode(slack)


def refused(subject: str, error: str) -> Finding:
    """Return what Slack's own word for a failure means. Pure."""
    remedies = {
        "invalid_auth": "Copy the token again from the app's page; it belongs to another app or was revoked.",
        "not_authed": "The token is empty.",
        "account_inactive": "The app was removed from the workspace; install it again.",
        "token_revoked": "Install the app again and copy the new token.",
        "missing_scope": "Update the app from the manifest, then reinstall it.",
        "not_allowed_token_type": "This is another kind of token; copy the one that the setting asks for.",
    }
    return Finding(
        verdict="bad",
        subject=subject,
        detail=error,
        remedy=remedies.get(error, "Can this machine reach slack.com? Look at the error's name in Slack's reference."),
    )


def _scopes(settings: Settings, scopes: Scopes, headers: Mapping[str, str]) -> list[Finding]:
    granted = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",")} - {""}
    if not granted:
        return [Finding(verdict="warn", subject="Slack scopes", detail="Slack did not say which were granted")]
    found = []
    if missing := sorted(scopes.required - granted):
        remedy = "Update the app from the manifest (handoff-bridge manifest slack), then reinstall it."
        found.append(
            Finding(verdict="bad", subject="Slack scopes", detail=f"missing: {', '.join(missing)}", remedy=remedy)
        )
    else:
        found.append(Finding(verdict="good", subject="Slack scopes", detail="all that is needed"))
    queues = [queue for queue in settings.queues if queue.desk == "slack"]
    wanted = {
        "users:read.email": any("@" in person for queue in queues for person in (*queue.operators, *queue.supervisors)),
        "usergroups:read": any(queue.user_group for queue in queues),
        "groups:read": any(channel.startswith("G") for queue in queues for channel in queue.channels),
    }
    for scope in sorted(set(scopes.optional) - granted):
        verdict: Verdict = "bad" if wanted.get(scope) else "warn"
        detail = f"{scope} was not granted: without it there are no {scopes.optional[scope]}"
        remedy = "Reinstall the app and grant it." if wanted.get(scope) else ""
        found.append(Finding(verdict=verdict, subject="Slack scopes", detail=detail, remedy=remedy))
    if extra := sorted(granted - scopes.required - set(scopes.optional)):
        detail = f"more than is needed: {', '.join(extra)}"
        found.append(
            Finding(verdict="warn", subject="Slack scopes", detail=detail, remedy="Least is safest: remove them.")
        )
    return found


def clock_finding(headers: Mapping[str, str]) -> Finding:
    """Compare our clock with the time of an answer."""
    try:
        skew_s = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return Finding(verdict="warn", subject="clock", detail="Slack's answer had no time to compare with")
    if abs(skew_s) > MAX_CLOCK_SKEW_S:
        # https://docs.slack.dev/authentication/verifying-requests-from-slack
        remedy = "Set the clock by NTP: Slack's signatures are refused when they seem five minutes old."
        return Finding(verdict="bad", subject="clock", detail=f"{skew_s:+.0f} s beside Slack's", remedy=remedy)
    return Finding(verdict="good", subject="clock", detail=f"{skew_s:+.0f} s beside Slack's")


async def _channels(settings: Settings, slack: Slack) -> AsyncIterator[Finding]:
    for queue in settings.queues:
        for channel in queue.channels if queue.desk == "slack" else ():
            answer, _ = await slack.call("conversations.info", fields={"channel": channel})
            yield channel_finding(f"queue {queue.name}, channel {channel}", answer)


def channel_finding(subject: str, answer: Mapping[str, Any]) -> Finding:
    """Judge an answer of conversations.info. Pure."""
    info = answer.get("channel") or {}
    if not answer.get("ok"):
        error = str(answer.get("error"))
        remedy = "Copy the ID from the end of the channel's details; in a private channel say /invite @bridge first."
        return (
            Finding(verdict="bad", subject=subject, detail=error, remedy=remedy)
            if error == "channel_not_found"
            else refused(subject, error)
        )
    name = f"#{info.get('name')}"
    if info.get("is_archived"):
        return Finding(
            verdict="bad", subject=subject, detail=f"{name} is archived", remedy="Unarchive it or name another."
        )
    if info.get("is_ext_shared") or info.get("is_pending_ext_shared"):
        remedy = "Use a channel of your own: people of another organisation read along in this one."
        return Finding(
            verdict="bad", subject=subject, detail=f"{name} is shared with another organisation", remedy=remedy
        )
    if not info.get("is_member"):
        remedy = f"Say /invite @bridge in {name}."
        return Finding(verdict="bad", subject=subject, detail=f"the bridge is not in {name}", remedy=remedy)
    return Finding(verdict="good", subject=subject, detail=name)


async def _socket_mode(slack: Slack) -> Finding:
    answer, _ = await slack.call("apps.connections.open", app_token=True)
    if answer.get("ok"):
        return Finding(verdict="good", subject="Slack app token", detail="Socket Mode can be opened")
    return refused("Slack app token", str(answer.get("error")))
