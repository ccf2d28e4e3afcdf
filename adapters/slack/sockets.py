"""Socket Mode: Slack's payloads over connections that we open.
https://docs.slack.dev/apis/events-api/using-socket-mode.

Two at once, since the SDK closes the old connection before it opens the next one, and Slack sends what was not
acknowledged to whichever is alive. Each goes with a lease: of a fleet any process may have either. A watchdog replaces
one that is dead without knowing it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from adapters.slack.calls import QUIET, Json, SlackCalls
from bridge import log as logs
from bridge.leases import Lease

log = logs.get("slack.sockets")
ACKNOWLEDGE_WITHIN_S = 3.0
"""How long a stop waits for what is being handled: Slack waits no longer for an answer, and then delivers it again."""
CLOSE_WITHIN_S = 2.0
Dispatch = Callable[[Json], Awaitable[BoltResponse]]


@dataclass(kw_only=True, slots=True)
class _Connection:
    client: SocketModeClient
    connecting: asyncio.Task[None]
    unhealthy_s: float = 0.0


class Sockets:
    """Keeps a socket open for each lease that this process holds, between `start` and `stop`."""

    def __init__(
        self,
        *,
        calls: SlackCalls,
        dispatch: Dispatch,
        leases: Sequence[Lease],
        before: Callable[[], Awaitable[None]],
        on_gap: Callable[[], None],
    ) -> None:
        """`before` is awaited before a connection is opened. `on_gap` is called when no connection of this process was
        up and one is: something may have been missed.
        """
        self._calls, self._dispatch, self._leases = calls, dispatch, leases
        self._before, self._on_gap = before, on_gap
        self._connections: list[_Connection] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._had_gap = True
        self._handling = 0
        self._idle = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """Begin to ask for the leases; returns at once, so that the process listens before Slack answers."""
        self._keeping = [asyncio.create_task(lease.keep(self._listen)) for lease in self._leases]

    async def stop(self) -> None:
        """Acknowledge what is being handled, close all connections, give the leases back. May be called twice."""
        self._stopping = True
        if self._handling:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
                    await self._idle.wait()
        for lease in self._leases:
            lease.stop()
        keeping, self._keeping = self._keeping, []
        await asyncio.gather(*keeping)

    async def connected(self) -> int:
        """Return how many connections of this process are up."""
        up = [await connection.client.is_connected() for connection in self._connections]
        return sum(up)

    @property
    def is_mine(self) -> bool | None:
        """Whether this process is to have a connection. None: it is not known yet."""
        if not all(lease.is_known for lease in self._leases):
            return None
        return any(lease.held for lease in self._leases)

    async def _listen(self) -> None:
        """Keep one connection up until cancelled."""
        await self._before()
        connection = self._connect()
        self._connections.append(connection)
        try:
            await self._watch(connection)
        finally:
            self._connections.remove(connection)
            if not self._connections:
                self._had_gap = True
            await _close(connection)

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
        if self._stopping:
            return  # not acknowledged: Slack delivers it to another connection
        self._handling += 1
        try:
            await self._answer(client, request)
        finally:
            self._handling -= 1
            if not self._handling:
                self._idle.set()

    async def _answer(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
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

    async def _watch(self, connection: _Connection) -> None:
        every_s = max(0.05, self._calls.settings.socket_ping_s / 5)
        patience_s = self._calls.settings.socket_ping_s * 3
        await asyncio.wait({connection.connecting}, timeout=every_s)
        while True:
            if await connection.client.is_connected():
                connection.unhealthy_s = 0.0
            else:
                connection.unhealthy_s += every_s
            if connection.unhealthy_s >= patience_s and connection.connecting.done():
                log.warning("socket_replaced", after_s=round(connection.unhealthy_s, 1))
                await _close(connection)
                fresh = self._connect()
                connection.client, connection.connecting, connection.unhealthy_s = fresh.client, fresh.connecting, 0.0
            self._look_for_gap(await self.connected())
            await asyncio.sleep(every_s)

    def _look_for_gap(self, connected: int) -> None:
        if connected == 0:
            self._had_gap = True
        elif self._had_gap:
            self._had_gap = False
            self._on_gap()


async def _connect(client: SocketModeClient) -> None:
    await client.connect()  # type: ignore[no-untyped-call]  # the SDK's method has no annotations


async def _close(connection: _Connection) -> None:
    connection.connecting.cancel()
    await asyncio.gather(connection.connecting, return_exceptions=True)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await connection.client.close()  # type: ignore[no-untyped-call]  # the SDK's method has no annotations
    await connection.client.aiohttp_client_session.close()
