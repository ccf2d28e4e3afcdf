"""What the doctor asks Microsoft, and what the bridge has heard of Teams. Loads Microsoft's libraries.

It reads what the bridge remembers from the bridge's own database, and asks the connector by the code that serves.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import aiohttp

from adapters import desks
from adapters.doctor.findings import Finding
from adapters.store.opening import open_store
from adapters.teams import known
from adapters.teams.calls import TeamsCalls
from adapters.teams.config import TeamsSettings
from adapters.teams.errors import CallFailed
from bridge.errors import SettingsError, StoreUnavailable
from bridge.facts import DeskFacts
from bridge.ids import SiteId
from bridge.outcomes import Refused
from bridge.settings import Settings

LOOK_EVERY_S = 0.5
INSTALL = (
    "While handoff-bridge serve runs, add the app to the channel's team (Teams, Apps), then mention it once in that "
    "channel."
)
GRANT = "https://learn.microsoft.com/microsoftteams/platform/graph-api/rsc/resource-specific-consent"


class Facts(Protocol):
    """What is remembered of Teams (`DeskFacts`)."""

    async def all(self) -> Mapping[str, str]:
        """Return it as it is now. Raises StoreUnavailable."""
        ...


async def findings(
    settings: Settings, http: aiohttp.ClientSession, *, post: bool, person_s: float
) -> AsyncIterator[Finding]:
    """Look at the endpoint, the sign-in, the tenant, the connector's address, each channel and what is heard there.

    `post`: post a labelled test thread, remove it, and wait `person_s` for a person to write in it unless that is
    proven already.
    """
    try:
        told, store = desks.teams_settings(settings), await open_store(settings.database_url)
    except (SettingsError, StoreUnavailable) as error:
        yield Finding(verdict="bad", subject="Teams", detail=str(error), remedy="Mend the setting that it names.")
        return
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        facts = DeskFacts(store, SiteId(settings.site), told.desk)
        calls = TeamsCalls(told, facts)
        stack.push_async_callback(calls.stop)
        remembered = await facts.all()
        yield await _endpoint(settings, http)
        token = await _token(told, calls)
        yield token
        yield _tenant(told, remembered)
        yield _service_url(told, remembered)
        if token.verdict == "bad":
            return
        async for finding in _channels(settings, told, calls, remembered):
            yield finding
        if post:
            async for finding in _thread(settings, calls, facts, person_s):
                yield finding


async def _endpoint(settings: Settings, http: aiohttp.ClientSession) -> Finding:
    """Nobody but Microsoft may be let in; that it is let in, the first message shows."""
    url, subject = f"{settings.public_url}/api/messages", "Teams endpoint"
    try:
        async with http.post(url, json={"type": "message", "serviceUrl": "https://smba.trafficmanager.net/"}) as answer:
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        remedy = "Start handoff-bridge serve, and let the proxy pass /api/messages on to it."
        return Finding(verdict="bad", subject=subject, detail=f"no answer ({type(error).__name__})", remedy=remedy)
    if status in {401, 403}:
        return Finding(verdict="good", subject=subject, detail=f"an unsigned request is answered with {status}")
    remedy = "Let the proxy pass /api/messages on unchanged, and run serve with these same settings."
    return Finding(
        verdict="bad", subject=subject, detail=f"an unsigned request is answered with {status}", remedy=remedy
    )


async def _token(told: TeamsSettings, calls: TeamsCalls) -> Finding:
    subject = "Teams token"
    try:
        await calls.tokens.get()
    except CallFailed as failed:
        if isinstance(failed.outcome, Refused):
            return Finding(verdict="bad", subject=subject, detail=failed.code, remedy=failed.outcome.remedy)
        where = "the machine's managed identity" if told.app_type == "UserAssignedMsi" else "login.microsoftonline.com"
        remedy = f"Let this machine reach {where}, then run this again."
        return Finding(verdict="bad", subject=subject, detail=failed.code, remedy=remedy)
    other = calls.facts.known.get(known.AUTHORITY)
    if other:
        remedy = "Set HANDOFF_TEAMS__APP_TYPE to what the Azure Bot says, and HANDOFF_TEAMS__TENANT_ID to its tenant."
        detail = f"the app is known to {other}, not where the settings say"
        return Finding(verdict="warn", subject=subject, detail=detail, remedy=remedy)
    return Finding(verdict="good", subject=subject, detail=f"{told.app_type}, given")


def _tenant(told: TeamsSettings, remembered: Mapping[str, str]) -> Finding:
    allowed, heard = sorted(told.allowed_tenants), remembered.get(known.TENANT, "")
    detail = f"people of {', '.join(allowed)} may speak to the bot"
    if heard and heard not in told.allowed_tenants:
        remedy = f"If {heard} is yours, put it into HANDOFF_TEAMS__TENANTS; if not, remove the app there."
        return Finding(
            verdict="bad", subject="Teams tenant", detail=f"{detail}, but {heard} was heard last", remedy=remedy
        )
    if not heard:
        return Finding(verdict="warn", subject="Teams tenant", detail=f"{detail}; none was heard yet", remedy=INSTALL)
    return Finding(verdict="good", subject="Teams tenant", detail=detail)


def _service_url(told: TeamsSettings, remembered: Mapping[str, str]) -> Finding:
    said, subject = remembered.get(known.SERVICE_URL, ""), "Teams serviceUrl"
    if not said:
        detail = f"Teams has not told its address yet; {told.service_url} is used"
        return Finding(verdict="warn", subject=subject, detail=detail, remedy=INSTALL)
    if not told.trusts(said):
        remedy = "Is this database another installation's? The bot's token is not sent there."
        return Finding(verdict="bad", subject=subject, detail=f"{said} is not Teams'", remedy=remedy)
    return Finding(verdict="good", subject=subject, detail=said)


async def _channels(
    settings: Settings, told: TeamsSettings, calls: TeamsCalls, remembered: Mapping[str, str]
) -> AsyncIterator[Finding]:
    teams: dict[str, str] = {}
    for queue in settings.queues:
        for channel in queue.channels if queue.desk == "teams" else ():
            team = remembered.get(known.team_of(channel), "")
            yield await _channel(f"queue {queue.name}, channel {channel}", channel, team, calls, remembered)
            if team:
                teams.setdefault(team, channel)
    for team, channel in teams.items():
        yield _reading(remembered.get(known.team_name(team)) or team, team, remembered)
        if told.graph:
            yield await _graph(remembered.get(known.aad_group(team), ""), channel, calls)


async def _channel(subject: str, channel: str, team: str, calls: TeamsCalls, remembered: Mapping[str, str]) -> Finding:
    if not team:
        detail = "nothing was heard from it: is the app in its team?"
        return Finding(verdict="bad", subject=subject, detail=detail, remedy=INSTALL)
    name = remembered.get(known.channel_name(channel)) or "the channel"
    where = f"{name} in {remembered.get(known.team_name(team)) or team}"
    if remembered.get(known.removed(channel)) == known.YES:
        remedy = "Restore it in Teams, or name another channel in the settings."
        return Finding(verdict="bad", subject=subject, detail=f"{where} was deleted", remedy=remedy)
    if remembered.get(known.removed(team)) == known.YES:
        return Finding(verdict="bad", subject=subject, detail=f"the app was removed from {where}", remedy=INSTALL)
    try:
        people = await calls.members(team)
    except CallFailed as failed:
        return _failed(subject, failed)
    return Finding(verdict="good", subject=subject, detail=f"{where}, {len(people)} people")


def _failed(subject: str, failed: CallFailed) -> Finding:
    remedy = failed.outcome.remedy if isinstance(failed.outcome, Refused) else ""
    fallback = "Let this machine reach the address under Teams serviceUrl, then run this again."
    return Finding(verdict="bad", subject=subject, detail=failed.code, remedy=remedy or fallback)


def _reading(name: str, team: str, remembered: Mapping[str, str]) -> Finding:
    """Whether a message without a mention ever came from there: the only proof of the permission that there is."""
    subject = f"Teams permission, {name}"
    if remembered.get(known.heard_all(team)) == known.YES:
        return Finding(verdict="good", subject=subject, detail="replies are heard without a mention")
    remedy = (
        "Write a line in any channel of this team without mentioning anybody, then run this again. If it stays so, a "
        "team owner removes the app and adds it again, and agrees to what it asks for; the tenant must allow that "
        f"({GRANT}). Until then operators mention the app or use the buttons."
    )
    return Finding(verdict="warn", subject=subject, detail="not proven: only mentions were heard so far", remedy=remedy)


async def _graph(group: str, channel: str, calls: TeamsCalls) -> Finding:
    if not group:
        return Finding(
            verdict="warn", subject="Teams Graph", detail="the team's id for Graph was not heard", remedy=INSTALL
        )
    try:
        await calls.graph(f"teams/{group}/channels/{channel}/messages?$top=1")
    except CallFailed as failed:
        remedy = f"Grant ChannelMessage.Read.Group ({GRANT}), or set HANDOFF_TEAMS__GRAPH=false."
        return Finding(verdict="bad", subject="Teams Graph", detail=failed.code, remedy=remedy)
    return Finding(verdict="good", subject="Teams Graph", detail="the channel's messages can be read")


async def _thread(settings: Settings, calls: TeamsCalls, facts: Facts, person_s: float) -> AsyncIterator[Finding]:
    channel = next((queue.channels[0] for queue in settings.queues if queue.desk == "teams"), None)
    if channel is None:
        return
    remembered = await facts.all()
    team = remembered.get(known.team_of(channel), "")
    proven = not team or remembered.get(known.heard_all(team)) == known.YES
    try:
        thread, root = await calls.create_thread(channel, _card(ask=not proven, person_s=person_s))
    except CallFailed as failed:
        yield _failed("Teams post", failed)
        return
    left: CallFailed | None = None
    try:
        yield Finding(verdict="good", subject="Teams post", detail=f"a thread in {channel}")
        if not proven:
            yield await _unmentioned(facts, team, person_s)
    finally:
        try:
            await calls.delete(thread, root)
        except CallFailed as failed:
            left = failed
    if left is not None:
        yield Finding(
            verdict="warn",
            subject="Teams post",
            detail=f"the test message is still there ({left.code})",
            remedy="Delete it by hand.",
        )


async def _unmentioned(facts: Facts, team: str, person_s: float) -> Finding:
    until = time.monotonic() + person_s
    while True:
        remembered = await facts.all()
        if remembered.get(known.heard_all(team)) == known.YES:
            return Finding(verdict="good", subject="Teams reply", detail="one without a mention was heard")
        if time.monotonic() >= until:
            remedy = "Answer the test card without mentioning anybody while the doctor waits; --person-s says how long."
            return Finding(
                verdict="warn", subject="Teams reply", detail="nobody wrote without a mention", remedy=remedy
            )
        await asyncio.sleep(LOOK_EVERY_S)


def _card(*, ask: bool, person_s: float) -> dict[str, Any]:
    """Return the test post. It is a card without text, as every post that opens a thread."""
    lines = ["Test message of handoff-bridge doctor. It removes itself."]
    if ask:
        lines.append(f"Please answer here within {person_s:.0f} s, without mentioning anybody.")
    body = [{"type": "TextBlock", "text": line, "wrap": True} for line in lines]
    content = {"type": "AdaptiveCard", "version": "1.4", "body": body}
    return {
        "type": "message",
        "summary": "Test of handoff-bridge",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": content}],
    }
