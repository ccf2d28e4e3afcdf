"""Socket Mode: Slack's payloads over connections that we open. https://docs.slack.dev/apis/events-api/using-socket-mode.

Two at once, since the SDK closes the old connection before it opens the next one, and Slack sends what was not
acknowledged to whichever is alive. A watchdog replaces one that is dead without knowing it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from adapters.slack.calls import QUIET, Json, SlackCalls
from bridge import log as logs

log = logs.get("slack.sockets")
Dispatch = Callable[[Json], Awaitable[BoltResponse]]


@dataclass(kw_only=True, slots=True)
class _Connection:
    client: SocketModeClient
    connecting: asyncio.Task[None]
    unhealthy_s: float = 0.0


class Sockets:
    """Keeps `connections` sockets open between `start` and `stop`."""

    def __init__(self, *, calls: SlackCalls, dispatch: Dispatch, on_gap: Callable[[], None]) -> None:
        """`on_gap` is called when no connection was up and one is again: something may have been missed."""
        self._calls, self._dispatch, self._on_gap = calls, dispatch, on_gap
        self._connections: list[_Connection] = []
        self._watch: asyncio.Task[None] | None = None
        self._had_gap = False

    async def start(self) -> None:
        """Begin to connect; returns at once, so that the process listens before Slack answers."""
        for _ in range(self._calls.settings.connections):
            self._connections.append(self._connect())
        self._watch = asyncio.create_task(self._watchdog())

    async def stop(self) -> None:
        """Close all connections. May be called twice."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        connections, self._connections = self._connections, []
        for connection in connections:
            await _close(connection)

    async def connected(self) -> int:
        """Return how many connections are up."""
        up = [await connection.client.is_connected() for connection in self._connections]
        return sum(up)

    def _connect(self) -> _Connection:
        settings = self._calls.settings
        client = SocketModeClient(
            app_token=settings.app_token or "",
            logger=QUIET,
            web_client=self._calls.client(),
            ping_interval=settings.socket_ping_s,
        )
        if settings.sandbox_origin is not None:
            client.proxy = None
        client.socket_mode_request_listeners.append(self._handle)
        return _Connection(client=client, connecting=asyncio.create_task(_connect(client)))

    async def _handle(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        response = await self._dispatch(request.payload)
        if response.status != 200:
            log.warning("not_acknowledged", status=response.status, kind=request.type)
            return
        payload: Json | None = None
        if response.body:
            kind = response.headers.get("content-type", [""])[0]
            payload = json.loads(response.body) if kind.startswith("application/json") else {"text": response.body}
        answer = SocketModeResponse(envelope_id=request.envelope_id, payload=payload)
        with contextlib.suppress(ConnectionError):  # not acknowledged: Slack delivers it again
            await client.send_socket_mode_response(answer)

    async def _watchdog(self) -> None:
        every_s = max(0.05, self._calls.settings.socket_ping_s / 5)
        patience_s = self._calls.settings.socket_ping_s * 3
        while True:
            await asyncio.sleep(every_s)
            healthy = 0
            for place, connection in enumerate(self._connections):
                if await connection.client.is_connected():
                    healthy += 1
                    connection.unhealthy_s = 0.0
                    continue
                connection.unhealthy_s += every_s
                if connection.unhealthy_s >= patience_s and connection.connecting.done():
                    log.warning("socket_replaced", after_s=round(connection.unhealthy_s, 1))
                    await _close(connection)
                    self._connections[place] = self._connect()
            if healthy == 0:
                self._had_gap = True
            elif self._had_gap:
                self._had_gap = False
                self._on_gap()


async def _connect(client: SocketModeClient) -> None:
    await client.connect()  # type: ignore[no-untyped-call]  # the SDK's method has no annotations


async def _close(connection: _Connection) -> None:
    connection.connecting.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await connection.connecting
    with contextlib.suppress(Exception):
        await connection.client.close()  # type: ignore[no-untyped-call]  # the SDK's method has no annotations
