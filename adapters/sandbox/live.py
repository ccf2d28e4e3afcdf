"""What changed, told at once to the page and to waiting tests."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

Json = dict[str, Any]
"""A JSON object on the wire."""

Change = Callable[[], Json]
"""Describes something that changed, for the page."""


class Live:
    """A growing number of changes, pushed to every open WebSocket."""

    def __init__(self) -> None:
        """Start with nothing changed and nobody listening."""
        self.seq = 0
        self._pages: dict[web.WebSocketResponse, asyncio.Queue[Json]] = {}
        self._wakers: set[asyncio.Event] = set()

    def announce(self, change: Change) -> None:
        """Number a change and hand it on. Never blocks; ``change`` is asked for its words only if a page is open."""
        self.seq += 1
        if self._pages:
            numbered = change() | {"seq": self.seq}
            for queue in self._pages.values():
                queue.put_nowait(numbered)
        for waker in self._wakers:
            waker.set()

    async def wait_beyond(self, seq: int, timeout_s: float) -> None:
        """Return once something changed after ``seq``, or after ``timeout_s``."""
        if self.seq > seq:
            return
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waker.wait(), timeout_s)
        finally:
            self._wakers.discard(waker)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Push changes to one page until it goes away."""
        socket = web.WebSocketResponse(heartbeat=20, compress=False)
        await socket.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._pages[socket] = queue
        await socket.send_json({"kind": "hello", "seq": self.seq})
        sender = asyncio.create_task(_send_all(socket, queue))
        try:
            async for _ in socket:
                pass
        finally:
            self._pages.pop(socket, None)
            sender.cancel()
        return socket

    async def close(self) -> None:
        """Close every page's socket. May be called twice."""
        for socket in list(self._pages):
            await socket.close()


async def _send_all(socket: web.WebSocketResponse, queue: "asyncio.Queue[Json]") -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await socket.send_json(await queue.get())
