"""What all endpoints share: the ports, the tokens, the open windows, and the opening of a conversation."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from adapters.directline import sockets
from adapters.directline.errors import DirectLineError, too_large, unavailable
from adapters.directline.limits import Buckets
from adapters.directline.screen import Screen
from adapters.directline.settings import DirectLineSettings
from adapters.directline.tokens import Session, Tokens
from bridge.conversation import Customer, FileRef
from bridge.effects import Receipt
from bridge.events import CustomerOpened
from bridge.ids import CustomerId, SiteId, SourceId
from bridge.ports import Clock, Feed, Files, Lookup, Receive

WIDGET = "directline"
PIECE_BYTES = 64 * 1024


class Door:
    """The core as the endpoints see it."""

    def __init__(
        self,
        settings: DirectLineSettings,
        *,
        site: SiteId,
        receive: Receive,
        feed: Feed,
        lookup: Lookup,
        files: Files,
        link: Callable[[FileRef], str],
        clock: Clock,
    ) -> None:
        """Keep the ports; nothing is opened yet."""
        self.settings = settings
        self.site = site
        self.receive = receive
        self.feed = feed
        self.lookup = lookup
        self.files = files
        self.clock = clock
        self.windows = sockets.Windows()
        self.tokens = Tokens(
            site=site,
            signing_secrets=settings.signing_secrets,
            token_days=settings.token_days,
            grace_days=settings.grace_days,
            stream_token_s=settings.stream_token_s,
            now=clock.now,
        )
        self._link = link
        self._posts = Buckets(per_second=settings.posts_per_second, burst=settings.post_burst)
        self._draining = False

    async def close(self) -> None:
        """Refuse new work from here on, and close all sockets. May be called twice."""
        self._draining = True
        await self.windows.close()

    def ready(self) -> None:
        """Raise DirectLineError (503) once the process is stopping."""
        if self._draining:
            raise unavailable()

    def session(self, request: web.Request, *, grace: bool = False) -> Session:
        """Return whom the request speaks for; its token must be for the conversation in the path."""
        return self.tokens.verify(bearer(request), conversation=request.match_info["conversation"], grace=grace)

    def spend(self, session: Session) -> None:
        """Count a post of this conversation. Raises DirectLineError (429)."""
        if wait_s := self._posts.wait_s(session.conversation, self.clock.now()):
            raise DirectLineError(429, "TooManyRequests", "Too many messages; wait a moment.", retry_after_s=wait_s)

    async def open(self, session: Session, *, locale: str = "") -> Receipt:
        """Tell the core that the chat is open, once per conversation however often it is said."""
        return await self.receive(self.opened(session, f"open:{session.conversation}", locale=locale))

    async def ensure(self, session: Session) -> None:
        """Make the conversation again if the store does not know it: a 404 would leave the chat silently dead."""
        if await self.lookup.conversation(self.site, session.conversation) is None:
            await self.open(session)

    def opened(
        self, session: Session, source: str, *, locale: str = "", attributes: Mapping[str, Any] | None = None
    ) -> CustomerOpened:
        """Return the event that the chat is open, with what the page claims about the customer."""
        return CustomerOpened(
            site=self.site,
            source=SourceId(f"{WIDGET}:{source}"),
            at=self.clock.now(),
            conversation=session.conversation,
            widget=WIDGET,
            customer=customer(session, locale=locale, attributes=attributes),
        )

    def screen(self, session: Session) -> Screen:
        """Return a fresh window's view."""
        return Screen(
            conversation=session.conversation,
            link=self._link,
            agent_name=self.settings.agent_name,
            public_label=self.settings.public_label,
            bridge_name=self.settings.bridge_name,
        )

    async def body(self, request: web.Request) -> bytes:
        """Read a small body. Raises DirectLineError (413) as soon as it is over the limit."""
        max_bytes = self.settings.max_activity_bytes
        limit = too_large(f"The body is over {max_bytes} bytes.")
        if (request.content_length or 0) > max_bytes:
            raise limit
        body = bytearray()
        async for piece in request.content.iter_chunked(PIECE_BYTES):
            body += piece
            if len(body) > max_bytes:
                raise limit
        return bytes(body)


def bearer(request: web.Request) -> str:
    """Return the token or secret of a request. Raises DirectLineError (401) if there is none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise DirectLineError(401, "BadArgument", "Missing token or secret.")
    return value.strip()


def customer(session: Session, *, locale: str = "", attributes: Mapping[str, Any] | None = None) -> Customer:
    """Return the customer as the token proves, with what the page claims."""
    return Customer(
        id=CustomerId(session.user),
        name=session.name,
        verified=session.verified,
        locale=locale,
        attributes=attributes or {},
    )
