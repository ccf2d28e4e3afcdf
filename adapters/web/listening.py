"""The one address that the bridge listens on."""

import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from bridge.errors import SettingsError

FINISH_WITHIN_S = 1.0
"""How long requests that are under way may take at the very end."""
BACKLOG = 1024


def door(host: str, port: int) -> socket.socket:
    """Return a socket that is bound: from here on connections queue up. Raises SettingsError, in one line."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"HANDOFF_HOST, HANDOFF_PORT: cannot listen on {host} port {port}: {error.strerror}"
        ) from None


@contextlib.asynccontextmanager
async def listening(app: web.Application, at: socket.socket) -> AsyncIterator[None]:
    """Serve the application at this socket."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=FINISH_WITHIN_S)
    await runner.setup()
    try:
        await web.SockSite(runner, at).start()
        yield
    finally:
        await runner.cleanup()
