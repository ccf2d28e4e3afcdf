"""The way in: Teams' activities over HTTP. Checked, kept, and only then answered.

The library's own handler runs a whole turn before it answers, makes a 500 of a bad token and of each answer to an
invoke; so only its check of tokens is used. What could not be kept is answered 503.
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from adapters.teams import wire
from adapters.teams.acting import Acting
from adapters.teams.activity import Activity, read_activity
from adapters.teams.auth import Auth, NotAdmitted
from adapters.teams.config import TeamsSettings
from adapters.teams.errors import CallFailed
from adapters.teams.hearing import Hearing
from adapters.teams.installs import Installs
from bridge import log as logs
from bridge.errors import StoreUnavailable
from bridge.ids import Millis
from bridge.ports import Clock

log = logs.get("teams.events")
PATH = "/api/messages"


class Door:
    """Where Teams' activities enter."""

    def __init__(
        self,
        *,
        settings: TeamsSettings,
        hearing: Hearing,
        acting: Acting,
        installs: Installs,
        auth: Auth,
        clock: Clock,
    ) -> None:
        """Take the settings, who guards the door, and the three who handle what comes."""
        self._settings, self._auth, self._clock = settings, auth, clock
        self._hearing, self._acting, self._installs = hearing, acting, installs
        self.last_event_at: Millis | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the HTTP routes."""
        return [web.post(PATH, self._http)]

    async def _http(self, request: web.Request) -> web.Response:
        try:
            self._auth.check_head(request.headers, request.remote)
            activity = await self._read(request)
            await self._auth.check(request.headers, activity, request.remote)
        except NotAdmitted as refused:
            log.warning("request_refused", status=refused.status, reason=refused.reason)
            return web.Response(status=refused.status, text=refused.reason)
        self.last_event_at = self._clock.now()
        return await self._kept(activity)

    async def _read(self, request: web.Request) -> Activity:
        if request.content_type != "application/json":
            raise NotAdmitted(415, "not_json")
        limit = self._settings.max_body_bytes
        if (request.content_length or 0) > limit:
            raise NotAdmitted(413, "too_large")
        raw = b""
        while not request.content.at_eof() and len(raw) <= limit:
            raw += await request.content.read(limit + 1 - len(raw))
        if len(raw) > limit:
            raise NotAdmitted(413, "too_large")
        try:
            return read_activity(json.loads(raw))
        except (ValueError, RecursionError):
            raise NotAdmitted(400, "not_an_activity") from None

    async def _kept(self, activity: Activity) -> web.Response:
        try:
            happened = wire.read(activity, self._clock.now())
            await self._installs.seen(activity)
            return await self._handle(happened)
        except StoreUnavailable:
            return web.Response(status=503, text="not_kept")
        except CallFailed as failed:
            log.warning("activity_not_handled", method=failed.method, reason=failed.code)
            return web.Response(status=503, text="not_handled")

    async def _handle(self, happened: wire.Happened | None) -> web.Response:
        answers: dict[type, Callable[[Any], Awaitable[object]]] = {
            wire.Spoken: self._hearing.heard,
            wire.Gone: self._hearing.heard,
            wire.Moved: self._installs.moved,
            wire.Targeted: self._acting.targeted,
            wire.Click: self._acting.click,
            wire.Compose: self._acting.compose,
        }
        if isinstance(happened, wire.Asked):
            return web.Response(status=501)
        answer = await answers[type(happened)](happened) if happened is not None else None
        return web.json_response(answer) if answer is not None else web.Response(status=200)
