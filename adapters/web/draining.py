"""What a process that stops answers: come again, to the next one."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from adapters.web.answers import RETRY_AFTER_S, error

TOLD_ALL_THE_SAME = ("/healthz", "/readyz", "/metrics")
SPEAKS_FOR_ITSELF = ("/v3/directline", "//v3/directline")
"""Answers 503 in its own words, which browsers may read across origins."""


def refusing(is_draining: Callable[[], bool]) -> Middleware:
    """Return a middleware that answers new requests with 503 and Retry-After while the process is on its way out.

    What is under way is finished.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_draining() and not request.path.startswith((*TOLD_ALL_THE_SAME, *SPEAKS_FOR_ITSELF)):
            headers = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}
            return error(503, "stopping", "This process is stopping; send it again.", headers=headers)
        return await handler(request)

    return refuse
