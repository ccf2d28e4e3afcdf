"""The desks that the settings name, put together. Each one's library is loaded only where it is configured."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from bridge.conversation import FileRef, Operator
from bridge.engine import Engine
from bridge.errors import SettingsError
from bridge.facts import DeskFacts
from bridge.ids import DeskName, OperatorId, SiteId
from bridge.letters import DeadLetters
from bridge.pacing import Pace
from bridge.ports import Clock, Desk, Files, Roster
from bridge.routing import Directory, Queue
from bridge.settings import Settings
from bridge.storage import Store

if TYPE_CHECKING:
    from adapters.slack.config import SlackSettings
    from adapters.slack.parts import SlackParts
    from adapters.teams.config import TeamsSettings
    from adapters.teams.parts import TeamsParts

TEAMS = DeskName("teams")
PACES: Mapping[DeskName, Pace] = {
    TEAMS: Pace(post_every_ms=2010, posts_at_once=6, change_every_ms=500, changes_at_once=10)
}
"""What differs from Slack's. Teams takes 7 messages a second, 8 in two, 60 in thirty and 1,800 an hour in one channel:
six and then one in 2 s is never more (https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit).
"""


class DeskParts(Protocol):
    """One desk with all that is around it, as its folder's `parts.create` makes it."""

    @property
    def desk(self) -> Desk:
        """The way out."""
        ...

    @property
    def roster(self) -> Roster:
        """Who its people are."""
        ...

    @property
    def routes(self) -> Sequence[web.RouteDef]:
        """What its vendor calls."""
        ...

    async def start(self) -> None:
        """Begin to listen; returns at once."""
        ...

    async def hush(self) -> None:
        """Take nothing more in, and finish what is under way. May be called twice."""
        ...

    async def stop(self) -> None:
        """Close everything. May be called twice."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Desks:
    """All desks of a process, as one. None: not configured."""

    slack: "SlackParts | None"
    teams: "TeamsParts | None"

    @property
    def all(self) -> tuple[DeskParts, ...]:
        """Those that are there."""
        return tuple(parts for parts in (self.slack, self.teams) if parts is not None)

    @property
    def routes(self) -> list[web.RouteDef]:
        """What vendors call."""
        return [route for parts in self.all for route in parts.routes]

    async def start(self) -> None:
        """Begin to listen; returns at once."""
        for parts in self.all:
            await parts.start()

    async def hush(self) -> None:
        """Take nothing more in, and finish what is under way. May be called twice."""
        await asyncio.gather(*(parts.hush() for parts in self.all))

    async def stop(self) -> None:
        """Close everything. May be called twice."""
        await asyncio.gather(*(parts.stop() for parts in self.all))

    def doubt(self) -> None:
        """Take it that another process may have heard what it could not keep."""
        if self.slack is not None:
            self.slack.catching_up.doubt()


class RosterByQueue:
    """Asks the roster of the desk on which a queue is."""

    def __init__(self, desks: Desks, directory: Directory) -> None:
        """Take the desks and where the queues are."""
        self._rosters: Mapping[DeskName, Roster] = {parts.desk.name: parts.roster for parts in desks.all}
        self._directory = directory

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        queue = self._directory.queue(handoff_queue)
        roster = self._rosters.get(queue.desk) if queue is not None else None
        if roster is None:
            return Operator(id=person, name="", why=f"There is no queue {handoff_queue} any more.")
        return await roster.operator(person, handoff_queue)


def create(
    settings: Settings,
    *,
    engine: Engine,
    store: Store,
    files: Files,
    link: Callable[[FileRef], str],
    directory: Directory,
    clock: Clock,
) -> Desks:
    """Build the desks. Opens nothing and asks nobody. Raises SettingsError for what one of them could not work with."""
    site, letters = SiteId(settings.site), DeadLetters(store, clock, engine.changed)
    queues: dict[str, Queue] = {queue.name: queue for queue in directory.queues}
    slack, teams = None, None
    if settings.slack.bot_token is not None:
        from adapters.slack import parts as slack_parts

        slack = slack_parts.create(
            slack_settings(settings),
            site=site,
            receive=engine.receive,
            lookup=engine.lookup,
            files=files,
            queues=queues,
            clock=clock,
            dead_letters=letters,
            lease=engine.lease,
        )
    if settings.teams.app_id:
        told = teams_settings(settings)
        try:
            from adapters.teams import parts as teams_parts
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"HANDOFF_TEAMS__APP_ID: {error.name} is not installed; for Teams: pip install 'handoff-bridge[teams]'"
            ) from None
        teams = teams_parts.create(
            told,
            site=site,
            receive=engine.receive,
            lookup=engine.lookup,
            files=files,
            link=link,
            queues=queues,
            clock=clock,
            facts=DeskFacts(store, site, told.desk),
            dead_letters=letters,
        )
    return Desks(slack=slack, teams=teams)


def slack_settings(settings: Settings) -> "SlackSettings":
    """Return what the Slack desk is told. Raises SettingsError."""
    from adapters.slack.config import SlackSettings

    section = settings.slack
    return SlackSettings(
        bot_token=section.bot_token.get_secret_value() if section.bot_token else "",
        app_token=section.app_token.get_secret_value() if section.app_token else None,
        signing_secret=section.signing_secret.get_secret_value() if section.signing_secret else None,
        mode=section.mode,
        api_url=section.api_url,
        command=section.command,
        call_timeout_s=settings.call_timeout_s,
    )


def teams_settings(settings: Settings) -> "TeamsSettings":
    """Return what the Teams desk is told. Raises SettingsError, in one line, also where the token would go astray."""
    from adapters.teams.config import Local, TeamsSettings

    section, local = settings.teams, None
    if section.unsigned:
        local = Local(service_url=section.service_url, metadata_url="", authority_url="", unsigned=True)
    elif section.metadata_url:
        local = Local(
            service_url=section.service_url,
            metadata_url=section.metadata_url,
            authority_url=section.authority_url,
            graph_url=section.graph_url,
        )
    told = TeamsSettings(
        app_id=section.app_id,
        app_password=section.app_password.get_secret_value() if section.app_password else "",
        app_type=section.app_type,
        tenant_id=section.tenant_id,
        tenants=frozenset(section.tenants),
        service_url=section.service_url,
        graph=section.graph,
        slash=section.slash,
        call_timeout_s=settings.call_timeout_s,
        local=local,
    )
    if not told.trusts(told.service_url):
        raise SettingsError(
            "HANDOFF_TEAMS__SERVICE_URL: the bot's token would be sent to another host than Teams'; remove it, or name "
            "your cloud's, as in https://smba.infra.gcc.teams.microsoft.com/teams"
        )
    return told
