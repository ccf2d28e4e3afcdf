"""Direct Line 3.0, for the Web Chat that a company already has."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from adapters.directline.door import Door
from adapters.directline.http import Server
from adapters.directline.settings import DirectLineSettings
from bridge.capabilities import Capabilities, Support
from bridge.conversation import FileRef
from bridge.ids import SiteId
from bridge.ports import Clock, Feed, Files, Lookup, Receive

__all__ = ["DirectLine", "DirectLineSettings", "create"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectLine:
    """A Direct Line server, ready to be added to an application."""

    routes: tuple[web.RouteDef, ...]
    capabilities: Capabilities
    issue: Callable[..., dict[str, str | int]]
    """`issue(user="", name="", trusted_origins=())` returns `{conversationId, token, expires_in}` for a new
    conversation, as `tokens/generate` does; the customer is verified if `user` is given.
    """
    sockets: Callable[[], int]
    """Return how many windows are open here now."""
    close: Callable[[], Awaitable[None]]
    """Refuse new work with 503 and close all sockets: for the application's on_shutdown. May be called twice."""


def create(
    settings: DirectLineSettings,
    *,
    site: SiteId,
    receive: Receive,
    feed: Feed,
    lookup: Lookup,
    files: Files,
    link: Callable[[FileRef], str],
    clock: Clock,
) -> DirectLine:
    """Make the server. `link` returns the signed address under which the customer's browser may fetch a file."""
    door = Door(settings, site=site, receive=receive, feed=feed, lookup=lookup, files=files, link=link, clock=clock)
    server = Server(door)
    capabilities = Capabilities(
        text_max_chars=settings.max_activity_bytes,
        post_max_chars=settings.max_activity_bytes,
        file_max_bytes=settings.max_upload_bytes,
        names=Support.FALLBACK,
        stream=Support.FULL,
        retract=Support.FULL,
        whisper=Support.REJECTED,
    )
    return DirectLine(
        routes=tuple(server.routes()),
        capabilities=capabilities,
        issue=server.issue,
        sockets=lambda: len(door.windows),
        close=door.close,
    )
