"""Puts the Slack desk together."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from adapters.slack.acting import Acting, DeadLetters
from adapters.slack.calls import SlackCalls
from adapters.slack.catching_up import CatchingUp
from adapters.slack.config import SlackSettings
from adapters.slack.desk import SlackDesk
from adapters.slack.downloads import Downloads
from adapters.slack.events import Door
from adapters.slack.hearing import Hearing
from adapters.slack.roster import SlackRoster
from adapters.slack.sockets import Sockets
from bridge import log as logs
from bridge.ids import SiteId
from bridge.leases import Lease
from bridge.ports import Clock, Files, Lookup, Receive
from bridge.routing import Queue

log = logs.get("slack.parts")
HUSH_AGAIN_WITHIN_S = 1.0
FIRST_ROUND_S = 3.0
"""How long the sockets wait for the threads to be read: what Slack delivers again comes after what it never delivered.
"""


@dataclass(kw_only=True)
class SlackParts:
    """The desk with everything around it. `routes` go into the application before it starts."""

    desk: SlackDesk
    roster: SlackRoster
    routes: list[web.RouteDef]
    door: Door
    calls: SlackCalls
    hearing: Hearing
    acting: Acting
    catching_up: CatchingUp
    sockets: Sockets | None
    first_reading: Lease
    """Who has it reads the threads for all."""
    clock: Clock
    reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen to Slack; returns at once. Call it inside the running loop, once."""
        if self.sockets is not None:
            await self.sockets.start()
        else:
            self.reading = asyncio.create_task(self.first_reading.keep(self._read_once))

    async def _read_once(self) -> None:
        self.catching_up.begin()
        await asyncio.Event().wait()

    async def read_first(self) -> None:
        """Read what was said while nobody listened, before a connection is opened. One process does it for all."""
        if self.reading is None or self.reading.done():
            self.reading = asyncio.create_task(self._read_first())
        await asyncio.shield(self.reading)

    async def _read_first(self) -> None:
        if await self.first_reading.take():
            await self.catching_up.first(FIRST_ROUND_S)

    async def hush(self) -> None:
        """Take nothing more in, and finish what is under way. May be called twice."""
        if self.sockets is not None:
            await self.sockets.stop()
        self.first_reading.stop()
        if self.reading is not None:
            if self.sockets is not None:
                self.reading.cancel()
            await asyncio.wait({self.reading})
        await self.catching_up.stop()
        await asyncio.gather(self.hearing.stop(), self.acting.stop())

    async def stop(self) -> None:
        """Do `hush`, for a moment at most, then close what the desk sends by. May be called twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HUSH_AGAIN_WITHIN_S):
                await self.hush()
        await self.calls.stop()

    async def health(self) -> Mapping[str, object]:
        """Return what /readyz tells: `mode`, `connections` of this process (None in HTTP mode), `is_listener` (whether
        it
        is to have one; None: not known yet, or HTTP mode), `last_event_age_s` (None: none yet).
        """
        last = self.door.last_event_at
        return {
            "mode": self.calls.settings.mode,
            "connections": await self.sockets.connected() if self.sockets is not None else None,
            "is_listener": self.sockets.is_mine if self.sockets is not None else None,
            "last_event_age_s": None if last is None else max(0.0, (self.clock.now() - last) / 1000),
        }


def create(
    settings: SlackSettings,
    *,
    site: SiteId,
    receive: Receive,
    lookup: Lookup,
    files: Files,
    queues: Mapping[str, Queue],
    clock: Clock,
    dead_letters: DeadLetters | None = None,
    lease: Callable[[str], Lease] | None = None,
) -> SlackParts:
    """Build the desk of one workspace. Opens nothing yet and asks Slack nothing.

    `queues` are those of all desks, by name. `dead_letters` answers the buttons *Send again* and *It arrived*. `lease`
    makes a lease by its name; None: this process is alone.
    """
    leased = lease or (lambda name: Lease(name, site=site, worker="", clock=clock))
    calls = SlackCalls(settings)
    desk = SlackDesk(calls=calls, files=files, clock=clock)
    roster = SlackRoster(calls=calls, queues=queues, clock=clock)
    hearing = Hearing(
        site=site,
        calls=calls,
        desk=desk,
        roster=roster,
        downloads=Downloads(calls, files),
        receive=receive,
        lookup=lookup,
        clock=clock,
    )
    acting = Acting(
        site=site,
        calls=calls,
        desk=desk,
        roster=roster,
        receive=receive,
        lookup=lookup,
        clock=clock,
        dead_letters=dead_letters,
    )
    door = Door(settings=settings, hearing=hearing, acting=acting, clock=clock)
    catching_up = CatchingUp(site=site, calls=calls, hearing=hearing, lookup=lookup, clock=clock)
    parts = SlackParts(
        desk=desk,
        roster=roster,
        routes=door.routes(),
        door=door,
        calls=calls,
        hearing=hearing,
        acting=acting,
        catching_up=catching_up,
        sockets=None,
        first_reading=leased(f"slack-catch-up:{settings.desk}"),
        clock=clock,
    )
    if settings.mode == "socket":
        parts.sockets = _sockets(parts, leased)
    return parts


def _sockets(parts: SlackParts, leased: Callable[[str], Lease]) -> Sockets:
    settings = parts.calls.settings
    return Sockets(
        calls=parts.calls,
        dispatch=parts.door.dispatch,
        leases=[leased(f"slack-socket-{number}:{settings.desk}") for number in range(1, settings.connections + 1)],
        before=parts.read_first,
        on_gap=parts.catching_up.begin,
    )
