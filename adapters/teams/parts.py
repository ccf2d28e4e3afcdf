"""Puts the Teams desk together. Its library is loaded with this module: import it only where Teams is configured."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from aiohttp import web

from adapters.teams import known
from adapters.teams.acting import Acting, DeadLetters
from adapters.teams.auth import Auth
from adapters.teams.calls import TeamsCalls
from adapters.teams.cards import Cards
from adapters.teams.config import TeamsSettings
from adapters.teams.desk import TeamsDesk
from adapters.teams.downloads import Downloads
from adapters.teams.errors import CallFailed
from adapters.teams.events import Door
from adapters.teams.hearing import Hearing
from adapters.teams.installs import Installs
from adapters.teams.roster import TeamsRoster
from adapters.teams.threads import Threads
from bridge import log as logs
from bridge.conversation import FileRef
from bridge.errors import StoreUnavailable
from bridge.facts import DeskFacts
from bridge.ids import SiteId
from bridge.ports import Clock, Files, Lookup, Receive
from bridge.routing import Queue

log = logs.get("teams.parts")
FACTS_EVERY_S = 15.0
"""How soon this process knows what others heard: another address of the connector, an app that was removed."""
HUSH_AGAIN_WITHIN_S = 1.0
SIGN_IN_EVERY_S = 5.0
"""How soon a token that ran out is renewed, and a sign-in that failed is tried again: a secret that was mended needs no
restart, and one that expired is told before the next customer needs it. Nothing is asked while a token is good.
"""


@dataclass(kw_only=True)
class TeamsParts:
    """The desk with everything around it. `routes` go into the application before it starts."""

    desk: TeamsDesk
    roster: TeamsRoster
    routes: list[web.RouteDef]
    door: Door
    calls: TeamsCalls
    hearing: Hearing
    acting: Acting
    cards: Cards
    facts: DeskFacts
    clock: Clock
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Begin to remember and get the first token; returns at once. Call it inside the running loop, once."""
        for work in (self._stay_signed_in(), self._follow()):
            task = asyncio.create_task(work)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _follow(self) -> None:
        """Read again and again what this and other processes remember."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                await self.facts.all()
            await self.clock.sleep(FACTS_EVERY_S)

    async def _stay_signed_in(self) -> None:
        """Have a token at all times."""
        await self.calls.warm()
        while True:
            await self.clock.sleep(SIGN_IN_EVERY_S)
            with contextlib.suppress(CallFailed, StoreUnavailable):
                await self.calls.tokens.get()

    async def hush(self) -> None:
        """Finish what is under way. May be called twice."""
        await asyncio.gather(self.hearing.stop(), self.cards.stop())

    async def stop(self) -> None:
        """Do `hush`, for a moment at most, then close what the desk sends by. May be called twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HUSH_AGAIN_WITHIN_S):
                await self.hush()
        tasks = set(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.calls.stop()

    async def health(self) -> Mapping[str, object]:
        """Return what /readyz tells: `sign_in` (why there is no token, in a sentence; "": there is); `is_unsigned`
        (calls of this machine are taken as they come); `service_url`; `removed` (teams and channels that cannot be
        posted to); `hears_all` (channels' teams that let it read every message); `last_event_age_s` (None: none yet).
        """
        last, facts = self.door.last_event_at, self.facts.known
        removed, granted = known.removed(""), known.heard_all("")
        return {
            "sign_in": self.calls.tokens.trouble,
            "is_unsigned": self.calls.settings.is_unsigned,
            "service_url": self.calls.service_url,
            "removed": sorted(name.removeprefix(removed) for name in facts if name.startswith(removed)),
            "hears_all": sorted(name.removeprefix(granted) for name in facts if name.startswith(granted)),
            "last_event_age_s": None if last is None else max(0.0, (self.clock.now() - last) / 1000),
        }


class _Core(TypedDict):
    """What all need who bring something to the core."""

    site: SiteId
    receive: Receive
    lookup: Lookup
    roster: TeamsRoster


def create(
    settings: TeamsSettings,
    *,
    site: SiteId,
    receive: Receive,
    lookup: Lookup,
    files: Files,
    link: Callable[[FileRef], str],
    queues: Mapping[str, Queue],
    clock: Clock,
    facts: DeskFacts,
    dead_letters: DeadLetters | None = None,
) -> TeamsParts:
    """Build the desk of one bot. Opens nothing yet and asks Teams nothing. Raises SettingsError.

    `queues` are those of all desks, by name; `link` makes a signed address of a file. `dead_letters` answers the
    buttons *Send again* and *It arrived*. All processes listen: Teams brings each activity to one of them.
    """
    calls = TeamsCalls(settings, facts)
    desk = TeamsDesk(calls=calls, files=files, clock=clock, facts=facts, link=link, queues=lookup.queues)
    roster = TeamsRoster(settings=settings, calls=calls, facts=facts, queues=queues, clock=clock)
    cards = Cards(site=site, desk=desk.name, receive=receive, lookup=lookup, clock=clock)
    threads = Threads(site=site, desk=desk.name, lookup=lookup, clock=clock)
    downloads = Downloads(calls, files)
    hearing = Hearing(
        site=site,
        settings=settings,
        voice=desk,
        cards=cards,
        roster=roster,
        downloads=downloads,
        facts=facts,
        queues=queues,
        threads=threads,
        receive=receive,
        clock=clock,
    )
    core = _Core(site=site, receive=receive, lookup=lookup, roster=roster)
    acting = Acting(**core, settings=settings, desk=desk, threads=threads, clock=clock, dead_letters=dead_letters)
    installs = Installs(**core, desk=desk.name, voice=desk, cards=cards, facts=facts)
    auth = Auth(settings, clock)
    door = Door(settings=settings, hearing=hearing, acting=acting, installs=installs, auth=auth, clock=clock)
    return TeamsParts(
        desk=desk,
        roster=roster,
        routes=door.routes(),
        door=door,
        calls=calls,
        hearing=hearing,
        acting=acting,
        cards=cards,
        facts=facts,
        clock=clock,
    )
