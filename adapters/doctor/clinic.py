"""What `handoff-bridge doctor` checks before go-live. It only reads, unless it is asked to post a test message."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from rich.console import Console

from adapters.doctor import address, findings, slack
from adapters.doctor.findings import Finding
from bridge.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """How to look. `post`: post a labelled test message, and remove it; wait `person_s` for a person to answer it."""

    timeout_s: float = 10.0
    post: bool = False
    person_s: float = 60.0
    json: bool = False


async def examine(settings: Settings, scopes: slack.Scopes, wishes: Wishes, *, console: Console | None = None) -> bool:
    """Tell every finding. Return whether nothing is bad. Blocks for the network, one check at a time."""
    out = console or Console(highlight=False, markup=False)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=wishes.timeout_s)) as http:
        found = look(settings, scopes, http, wishes)
        return await (findings.as_json if wishes.json else findings.tell)(found, out)


async def look(
    settings: Settings, scopes: slack.Scopes, http: aiohttp.ClientSession, wishes: Wishes
) -> AsyncIterator[Finding]:
    """Look at one thing after the other; what cannot work after a failure is left out."""
    yield Finding(verdict="good", subject="settings", detail="complete, no contradiction")
    on_slack = settings.slack.bot_token is not None
    if on_slack:
        async for finding in slack.findings(settings, scopes, http):
            yield finding
    async for finding in address.findings(settings, http):
        yield finding
    if settings.teams.app_id:
        # Microsoft's libraries load with it.
        from adapters.doctor import teams

        async for finding in teams.findings(settings, http, post=wishes.post, person_s=wishes.person_s):
            yield finding
    if on_slack and wishes.post:
        from adapters.doctor import echo

        async for finding in echo.findings(settings, http, within_s=wishes.timeout_s):
            yield finding
    yield Finding(
        verdict="warn",
        subject="end to end",
        detail="not proven: the doctor is no customer",
        remedy="Write in the widget, ask for a person, answer in the thread"
        + (". A message of its own the doctor posts with --post." if not wishes.post else "."),
    )
