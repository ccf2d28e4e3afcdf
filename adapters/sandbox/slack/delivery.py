"""What leaves the sandbox for the app, whichever way the app chose, and what goes wrong on the way."""

import asyncio
import contextlib
from collections.abc import Coroutine

from adapters.sandbox.slack.events import HttpDelivery
from adapters.sandbox.slack.faults import EVENTS, Fault, FaultKind, FaultTable
from adapters.sandbox.slack.payloads import envelope, event_id
from adapters.sandbox.slack.people import BOT_USER
from adapters.sandbox.slack.records import Channel, Json
from adapters.sandbox.slack.rules import Rules
from adapters.sandbox.slack.settings import AppConfiguration
from adapters.sandbox.slack.socket_mode import SocketHub
from adapters.sandbox.slack.workspace import Workspace

_NEEDS_NO_MEMBERSHIP = frozenset({"user_change", "app_uninstalled", "tokens_revoked", "channel_shared"})
_SCOPES = {
    "app_mention": ("app_mentions:read",),
    "channel_archive": ("channels:read", "groups:read"),
    "channel_shared": ("channels:read", "groups:read"),
    "channel_unarchive": ("channels:read", "groups:read"),
    "file_shared": ("files:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "user_change": ("users:read",),
}
"""What each event asks of the app, as https://docs.slack.dev/reference/events names it on the event's own page."""


class Delivery:
    """Sends events and interactions by HTTP, or by Socket Mode where the app has no request URL."""

    def __init__(
        self,
        *,
        app: AppConfiguration,
        workspace: Workspace,
        faults: FaultTable,
        rules: Rules,
        http: HttpDelivery,
        hub: SocketHub,
    ) -> None:
        """Listen to nothing yet: hand ``publish`` to the workspace."""
        self._app = app
        self._workspace = workspace
        self._faults = faults
        self._rules = rules
        self._http = http
        self._hub = hub
        self._running: set[asyncio.Task[None]] = set()
        self._held: list[Json] = []

    def publish(self, event: Json) -> None:
        """Send an event if the app subscribed to it and can see it. Returns at once."""
        channel_id = _channel_of(event)
        channel = self._workspace.channels.get(channel_id) if channel_id else None
        if event["type"] not in _NEEDS_NO_MEMBERSHIP and channel is not None and BOT_USER not in channel.members:
            return
        if not self._wanted(event["type"], channel):
            return
        body = envelope(
            self._rules.in_event(event),
            now_s=self._workspace.now(),
            is_ext_shared=channel.is_ext_shared if channel is not None else False,
        )
        self._send_or_fail(body, self._faults.take(EVENTS, channel_id or ""))

    def _wanted(self, name: str, channel: Channel | None) -> bool:
        """Tell whether the app subscribed to it and has a scope for it."""
        if name == "message":
            name = "message.groups" if channel is not None and channel.is_private else "message.channels"
        scopes = _SCOPES.get(name, ())
        return name in self._app.bot_events and (not scopes or bool(set(scopes) & set(self._app.scopes)))

    async def ask(self, kind: str, payload: Json) -> tuple[Json, str | None]:
        """Deliver an interaction (``slash_commands`` or ``interactive``) and wait for the app's answer."""
        if self._app.request_url is not None:
            return await self._http.ask(self._app.request_url, kind, payload)
        return await self._hub.ask(kind, payload)

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run something beside everything else until it ends or the sandbox stops."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Cancel what still runs. May be called twice."""
        running = list(self._running)
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _send_or_fail(self, body: Json, fault: Fault | None) -> None:
        if fault is not None and fault.kind == FaultKind.REORDER:
            self._held.append(body)
            self.start(self._release_later(body, fault.after_s))
            return
        if fault is None or fault.kind in {FaultKind.DUPLICATE, FaultKind.DUPLICATE_NEW_ID}:
            self.start(self._send(body))
        if fault is not None and fault.kind == FaultKind.DELAY:
            self.start(self._send(body, after_s=fault.after_s))
        if fault is not None and fault.kind == FaultKind.DUPLICATE:
            self.start(self._send(body))
        if fault is not None and fault.kind == FaultKind.DUPLICATE_NEW_ID:
            self.start(self._send(body | {"event_id": event_id()}))
        held, self._held = self._held, []
        for late in held:
            self.start(self._send(late, after_s=0.05))

    async def _release_later(self, body: Json, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if body in self._held:
            self._held.remove(body)
            await self._send(body)

    async def _send(self, body: Json, *, after_s: float = 0.0) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        if self._app.request_url is not None:
            await self._http.event(self._app.request_url, body)
        else:
            await self._hub.event(body)


def _channel_of(event: Json) -> str | None:
    item = event.get("item")
    found = event.get("channel") or event.get("channel_id") or (item.get("channel") if item else None)
    return str(found) if found else None
