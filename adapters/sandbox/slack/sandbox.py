"""The parts of one running sandbox, put together."""

import secrets
from collections.abc import Callable

import aiohttp
from aiohttp import web

from adapters.sandbox.live import Live
from adapters.sandbox.slack.delivery import Delivery
from adapters.sandbox.slack.events import HttpDelivery
from adapters.sandbox.slack.faults import FaultTable
from adapters.sandbox.slack.journal import Journal
from adapters.sandbox.slack.modals import Modals
from adapters.sandbox.slack.pacing import PostBudget
from adapters.sandbox.slack.people import Cast
from adapters.sandbox.slack.records import SlackError
from adapters.sandbox.slack.rules import MethodBudget, Rules
from adapters.sandbox.slack.settings import SandboxSettings
from adapters.sandbox.slack.socket_mode import SocketHub
from adapters.sandbox.slack.workspace import Workspace


class Sandbox:
    """One workspace, one app, and the wires between them."""

    def __init__(
        self, settings: SandboxSettings, cast: Cast, session: aiohttp.ClientSession, *, now: Callable[[], float]
    ) -> None:
        """Wire everything; nothing is sent before somebody acts. The caller closes ``session``."""
        self.settings = settings
        self.app = settings.app
        self.page_key = secrets.token_urlsafe(12)
        self.journal = Journal(now=now)
        self.faults = FaultTable()
        self.rules = Rules()
        self.method_budget = MethodBudget(rules=self.rules, now=now)
        self.live = Live()
        self.workspace = Workspace(cast, now=now)
        self.modals = Modals(now=now, on_change=self.live.announce, triggers={}, views={}, response_urls={})
        self.budget = PostBudget(now=now, per_s=settings.posts_per_s, burst=settings.post_burst)
        self.hub = SocketHub(settings, self.rules, self.journal)
        self.http = HttpDelivery(settings, self.rules, self.journal, session)
        self.delivery = Delivery(
            app=self.app,
            workspace=self.workspace,
            faults=self.faults,
            rules=self.rules,
            http=self.http,
            hub=self.hub,
        )
        self.workspace.on_event = self.delivery.publish
        self.workspace.on_change = self.live.announce
        self.hub.is_enabled = self.app.request_url is None

    def need_scope(self, any_of: tuple[str, ...]) -> None:
        """Raise ``missing_scope`` unless the app has one of these scopes."""
        if any_of and not set(any_of) & set(self.app.scopes):
            raise SlackError("missing_scope", needed=any_of[0], provided=",".join(self.app.scopes))

    async def stop(self) -> None:
        """End every delivery and connection. May be called twice."""
        await self.delivery.stop()
        await self.hub.close()
        await self.live.close()


SANDBOX = web.AppKey("sandbox", Sandbox)
