"""What a process that stops answers: come again, to the next one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from adapters.web.answers import RETRY_AFTER_S, error

TOLD_ALL_THE_SAME = ("/healthz", "/readyz", "/metrics")
SPEAKS_FOR_ITSELF = ("/v3/directline", "//v3/directline")
"""Answers 503 in its own words, which browsers may read across origins."""
STREAM = "/stream"


class Gate:
    """Stands before all routes: while the process is on its way out, new requests get 503 and Retry-After, and what is
    under way is finished.
    """

    def __init__(self, is_draining: Callable[[], bool]) -> None:
        """`is_draining` is asked at each request."""
        self._is_draining = is_draining
        self._under_way = 0
        self._quiet = asyncio.Event()

    @property
    def middleware(self) -> Middleware:
        """For the application."""

        @web.middleware
        def gate(request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
            # A stream ends when the windows are closed. Until then it would hold our frames: a kilobyte for each
            # window.
            return handler(request) if request.path.endswith(STREAM) else self._pass(request, handler)

        return gate

    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._is_draining() and not request.path.startswith((*TOLD_ALL_THE_SAME, *SPEAKS_FOR_ITSELF)):
            headers = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}
            return error(503, "stopping", "This process is stopping; send it again.", headers=headers)
        self._under_way += 1
        try:
            return await handler(request)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    async def quiet(self, within_s: float) -> None:
        """Wait until no request is under way, for so long at most."""
        self._quiet.clear()
        if self._under_way:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._quiet.wait()
