"""The parts of one running sandbox, put together."""

import secrets
from collections.abc import Callable

import aiohttp
from aiohttp import web

from adapters.sandbox.live import Live
from adapters.sandbox.teams.delivery import Delivery
from adapters.sandbox.teams.faults import FaultTable
from adapters.sandbox.teams.grants import Grants
from adapters.sandbox.teams.journal import Journal
from adapters.sandbox.teams.keys import Keys
from adapters.sandbox.teams.pacing import Budget
from adapters.sandbox.teams.people import Cast
from adapters.sandbox.teams.records import Dialog
from adapters.sandbox.teams.rules import Rules
from adapters.sandbox.teams.settings import SandboxSettings
from adapters.sandbox.teams.team import Team


class Sandbox:
    """One tenant with one team, one bot, and the wires between them."""

    def __init__(
        self, settings: SandboxSettings, cast: Cast, session: aiohttp.ClientSession, *, now: Callable[[], float]
    ) -> None:
        """Wire everything; nothing is sent before somebody acts. The caller closes `session`."""
        self.settings = settings
        self.now = now
        self.page_key = secrets.token_urlsafe(12)
        self.rules = Rules()
        self.keys = Keys(now=now)
        self.grants = Grants()
        self.journal = Journal(now=now)
        self.faults = FaultTable()
        self.budget = Budget(rules=self.rules, now=now)
        self.live = Live()
        self.team = Team(cast, now=now)
        self.team.on_change = self.live.announce
        self.dialogs: dict[str, Dialog] = {}
        self.delivery = Delivery(
            settings=settings,
            rules=self.rules,
            keys=self.keys,
            faults=self.faults,
            journal=self.journal,
            team=self.team,
            session=session,
        )

    async def stop(self) -> None:
        """End every delivery and connection. May be called twice."""
        await self.delivery.stop()
        await self.live.close()


SANDBOX = web.AppKey("sandbox", Sandbox)
