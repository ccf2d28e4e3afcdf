"""Socket Mode: the app's WebSocket connections, envelopes and their acknowledgements.

Source: https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import asyncio
import contextlib
import json
import secrets
import uuid
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from adapters.sandbox.slack.events import RETRY_WAITS_S
from adapters.sandbox.slack.journal import Journal
from adapters.sandbox.slack.payloads import event_id
from adapters.sandbox.slack.people import APP_ID
from adapters.sandbox.slack.records import Json
from adapters.sandbox.slack.rules import Rules
from adapters.sandbox.slack.settings import SandboxSettings

MAX_CONNECTIONS = 10
WARNING_S = 10.0


@dataclass(kw_only=True, slots=True, eq=False)
class _Link:
    """One open connection and the envelopes it has not acknowledged yet."""

    socket: web.WebSocketResponse
    request: web.Request
    waiting: dict[str, asyncio.Future[Json | None]] = field(default_factory=dict)

    def settle(self, envelope_id: str, payload: Json | None) -> None:
        future = self.waiting.pop(envelope_id, None)
        if future is not None and not future.done():
            future.set_result(payload)

    def abandon(self) -> None:
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError())
        self.waiting.clear()


class SocketHub:
    """Hands every envelope to one of the app's connections, and to another if that one fails it."""

    def __init__(self, settings: SandboxSettings, rules: Rules, journal: Journal) -> None:
        """Start with no connection."""
        self._settings = settings
        self._rules = rules
        self._journal = journal
        self._tickets: set[str] = set()
        self._links: list[_Link] = []
        self._turn = 0
        self._opened = asyncio.Event()
        self.is_enabled = True

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def ticket(self) -> str:
        """Mint the single-use ticket of a connection URL."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hold one connection until either side closes it."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=401, text="the ticket is unknown or used: call apps.connections.open again")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=self._settings.socket_ping_s, compress=False)
        await socket.prepare(request)
        refusal = "link_disabled" if not self.is_enabled else ""
        if len(self._links) >= MAX_CONNECTIONS:
            refusal = "too_many_websockets"
        if refusal:
            await socket.send_json(_disconnect(refusal))
            await socket.close()
            return socket
        link = _Link(socket=socket, request=request)
        await socket.send_json(self._hello())
        self._links.append(link)
        self._opened.set()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    _take_acknowledgement(link, message.data)
        finally:
            self._forget(link)
        return socket

    async def event(self, body: Json) -> None:
        """Deliver an event until a connection acknowledges it; given up after Slack's retries or a long silence."""
        envelope_id, reason = str(uuid.uuid4()), ""
        attempt = 0
        while attempt <= len(RETRY_WAITS_S):
            link = await self._any_link()
            if link is None:
                self._journal.delivered(body, attempt=attempt, status=0, reason="no_connection")
                return
            extra: Json = {"accepts_response_payload": False, "retry_attempt": attempt, "retry_reason": reason}
            try:
                await self._send(link, {"envelope_id": envelope_id, "type": "events_api", "payload": body} | extra)
            except TimeoutError:
                self._journal.delivered(body, attempt=attempt, status=0, reason="timeout")
                reason = "timeout"
                await asyncio.sleep(RETRY_WAITS_S[min(attempt, 2)] * self._settings.retry_scale)
                attempt += 1
                if self._rules.new_id_on_retry:
                    body = body | {"event_id": event_id()}
            except ConnectionError:
                self._journal.delivered(body, attempt=attempt, status=0, reason="connection_closed")
                self._forget(link)
            else:
                self._journal.delivered(body, attempt=attempt, status=200, reason=None)
                return

    async def ask(self, kind: str, payload: Json) -> tuple[Json, str | None]:
        """Deliver an interaction once. Returns the answer, and what Slack's client would say if there was none."""
        link = self._next_link()
        if link is None:
            return {}, "dispatch_failed"
        envelope = {"envelope_id": str(uuid.uuid4()), "type": kind, "payload": payload}
        try:
            answer = await self._send(link, envelope | {"accepts_response_payload": True})
        except (TimeoutError, ConnectionError) as error:
            self._journal.asked(kind, payload, status=0, reason=type(error).__name__)
            return {}, "operation_timeout"
        self._journal.asked(kind, payload, status=200, reason=None)
        return answer or {}, None

    async def disconnect(self, reason: str, *, abrupt: bool = False, only_one: bool = False) -> int:
        """Ask the app to connect again, or (``abrupt``) cut the lines without a word. Returns how many were told."""
        links = self._links[:1] if only_one else list(self._links)
        for link in links:
            if abrupt:
                transport = link.request.transport
                if transport is not None:
                    transport.abort()
                self._forget(link)
                continue
            with contextlib.suppress(ConnectionError):
                await link.socket.send_json(_disconnect(reason))
            if reason != "warning":
                self._forget(link)
                await link.socket.close()
        return len(links)

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        await self.disconnect("link_disabled")

    async def _any_link(self) -> _Link | None:
        if not self._links:
            self._opened.clear()
            try:
                await asyncio.wait_for(self._opened.wait(), self._settings.socket_hold_s)
            except TimeoutError:
                return None
        return self._next_link()

    def _next_link(self) -> _Link | None:
        if not self._links:
            return None
        self._turn += 1
        return self._links[self._turn % len(self._links)]

    async def _send(self, link: _Link, envelope: Json) -> Json | None:
        future: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        link.waiting[envelope["envelope_id"]] = future
        try:
            await link.socket.send_json(envelope)
            return await asyncio.wait_for(future, self._settings.socket_ack_s)
        finally:
            link.waiting.pop(envelope["envelope_id"], None)

    def _forget(self, link: _Link) -> None:
        if link in self._links:
            self._links.remove(link)
        link.abandon()

    def _hello(self) -> Json:
        debug = {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18060}
        return {
            "type": "hello",
            "num_connections": len(self._links) + 1,
            "connection_info": {"app_id": APP_ID},
            "debug_info": debug,
        }


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}


def _take_acknowledgement(link: _Link, text: str) -> None:
    try:
        body = json.loads(text)
    except ValueError:
        return
    if isinstance(body, dict) and "envelope_id" in body:
        payload = body.get("payload")
        link.settle(body["envelope_id"], payload if isinstance(payload, dict) else None)
