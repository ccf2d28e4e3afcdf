"""The Direct Line 3.0 endpoints: conversations, tokens, activities, uploads, the stream.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-direct-line-3-0-api-reference
What the real client does with each status: https://github.com/microsoft/BotFramework-DirectLineJS
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from aiohttp import web

from adapters.directline import posting, sockets, wire
from adapters.directline.door import Door, bearer
from adapters.directline.errors import DirectLineError, bad, forged, from_bridge, unavailable
from adapters.directline.limits import Buckets
from adapters.directline.tokens import Purpose, Session
from bridge import log
from bridge.errors import BridgeError
from bridge.ids import ConversationId, mint

_log = log.get(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Pages build the address in three ways, one of which doubles the slash.
PREFIXES = ("/v3/directline", "//v3/directline")
COPILOT = "/powervirtualagents"
POLL_ENTRIES = 200
_ALLOWED_HEADERS = "authorization,content-disposition,content-type,x-ms-bot-agent,x-requested-with"


class Server:
    """The endpoints."""

    def __init__(self, door: Door) -> None:
        """Serve what is behind this door."""
        self._door = door
        self._settings = door.settings
        per_minute = door.settings.anonymous_tokens_per_minute
        self._anonymous = Buckets(per_second=per_minute / 60, burst=per_minute)

    def routes(self) -> list[web.RouteDef]:
        """Return every route, ready to be added to an application."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/tokens/generate", self.generate),
            ("POST", "/tokens/refresh", self.refresh),
            ("POST", "/conversations", self.start),
            ("GET", "/conversations/{conversation}", self.reconnect),
            ("GET", "/conversations/{conversation}/activities", self.poll),
            ("POST", "/conversations/{conversation}/activities", partial(posting.post, self._door)),
            ("POST", "/conversations/{conversation}/upload", partial(posting.upload, self._door)),
            ("GET", "/conversations/{conversation}/stream", self.stream),
            ("OPTIONS", "/{tail:.*}", _preflight),
            ("*", "/{tail:.*}", _no_such_path),
        ]
        made = [web.route(method, prefix + path, self._guarded(h)) for prefix in PREFIXES for method, path, h in table]
        copilot: list[tuple[str, str, Handler]] = [
            ("GET", "/regionalchannelsettings", self.regional_settings),
            ("GET", "/botsbyschema/{schema}/directline/token", self.anonymous_token),
            ("OPTIONS", "/{tail:.*}", _preflight),
        ]
        return made + [web.route(method, COPILOT + path, self._guarded(h)) for method, path, h in copilot]

    # --- tokens

    async def generate(self, request: web.Request) -> web.Response:
        """Give the company's server a token for one of its customers. Starts nothing."""
        if not self._is_secret(bearer(request)):
            raise forged()
        document = wire.parse_object(await self._door.body(request))
        user, name = wire.user_of(document)
        return web.json_response(self.issue(user, name, wire.origins_of(document)))

    def issue(self, user: str = "", name: str = "", trusted_origins: tuple[str, ...] = ()) -> dict[str, str | int]:
        """Return a token for a new conversation; its customer is verified if `user` is given, else unknown."""
        session = Session(
            conversation=ConversationId(mint("c")),
            user=user or mint("dl"),
            name=name,
            verified=bool(user),
            trusted_origins=trusted_origins,
        )
        return self._token(session)

    async def refresh(self, request: web.Request) -> web.Response:
        """Exchange a token for a fresh one."""
        return web.json_response(self._token(self._door.tokens.verify(bearer(request), grace=True)))

    async def anonymous_token(self, request: web.Request) -> web.Response:
        """Give anybody's page a token of an unverified customer."""
        if not self._settings.anonymous_tokens:
            raise DirectLineError(403, "AnonymousTokensOff", "This site does not give tokens to unknown pages.")
        if not self._is_trusted(request.headers.get("Origin"), ()):
            raise DirectLineError(403, "BadOrigin", "This page's origin is not one of the site's trusted origins.")
        if wait_s := self._anonymous.wait_s("all", self._door.clock.now()):
            raise DirectLineError(429, "TooManyRequests", "Too many new chats; try again.", retry_after_s=wait_s)
        return web.json_response(self.issue())

    async def regional_settings(self, request: web.Request) -> web.Response:
        """Tell Copilot Studio's page where Direct Line is."""
        return web.json_response({"channelUrlsById": {"directline": self._base_url(request) + "/"}})

    # --- conversations

    async def start(self, request: web.Request) -> web.Response:
        """Open the token's conversation: 201 the first time, 200 after that (a reload)."""
        document = wire.parse_object(await self._door.body(request))
        session = self._starting_session(bearer(request), *wire.user_of(document))
        receipt = await self._door.open(session, locale=wire.one_line(document.get("locale"), 35))
        agent = wire.one_line(request.headers.get("x-ms-bot-agent"), 200)
        _log.info("widget_opened", conversation=session.conversation, again=receipt.status == "duplicate", widget=agent)
        status = 200 if receipt.status == "duplicate" else 201
        return web.json_response(self._opened(request, session), status=status)

    async def reconnect(self, request: web.Request) -> web.Response:
        """Give a fresh token and stream address to a window that lost its socket."""
        session = self._door.session(request, grace=True)
        await self._door.ensure(session)
        return web.json_response(self._opened(request, session, request.query.get("watermark"), again=True))

    async def poll(self, request: web.Request) -> web.Response:
        """Answer what came after the watermark: for pages that cannot hold a socket."""
        session = self._door.session(request)
        await self._door.ensure(session)
        after_n = await self._after_n(session, request.query.get("watermark"))
        screen = self._door.screen(session)
        screen.resumed = after_n > 0
        shown = await self._door.feed.read(
            self._door.site, session.conversation, max(0, after_n - sockets.LOOK_BACK), limit=POLL_ENTRIES
        )
        if shown is None:
            raise unavailable()
        for entry in shown.entries:
            if entry.n <= after_n:
                screen.note(entry)
        fresh = [entry for entry in shown.entries if entry.n > after_n]
        last_n = max((entry.n for entry in fresh), default=after_n)
        fresh = wire.fold(fresh)
        changed = await sockets.originals(self._door.feed, self._door.site, session.conversation, fresh)
        # While more is to come, a stream would be ahead of its place.
        streams = shown.streams if len(shown.entries) < POLL_ENTRIES else ()
        view = replace(shown, entries=tuple(fresh), streams=streams)
        made = sockets.activities(screen, view, changed, self._door.clock.now())
        return web.json_response({"activities": made, "watermark": str(last_n)})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve one window until it leaves."""
        window = await self._window(request)
        await self._door.windows.hold(window)
        return window.socket

    async def _window(self, request: web.Request) -> sockets.Window:
        # Apart from `stream`: what is only needed for opening a window must not live as long as the window.
        conversation = request.match_info["conversation"]
        token = request.query.get("t", "")
        session = self._door.tokens.verify(token, purpose=Purpose.STREAM, conversation=conversation)
        if not self._is_trusted(request.headers.get("Origin"), session.trusted_origins):
            raise DirectLineError(403, "BadOrigin", "This page's origin is not one of the trusted origins.")
        if self._door.windows.count(session.conversation) >= self._settings.max_sockets_per_conversation:
            raise DirectLineError(429, "TooManyRequests", "Too many windows on this conversation.", retry_after_s=15)
        await self._door.ensure(session)
        after_n = await self._after_n(session, request.query.get("watermark"))
        # `Windows` looks after pings and pongs, for all sockets at once.
        socket = web.WebSocketResponse(autoping=False, max_msg_size=sockets.MAX_FRAME_BYTES, compress=False)
        if not socket.can_prepare(request).ok:
            raise bad("This address is for WebSockets.")
        await socket.prepare(request)
        screen = self._door.screen(session)
        screen.resumed = after_n > 0 or "again" in request.query
        return sockets.Window(
            socket,
            request.transport,
            screen,
            feed=self._door.feed,
            site=self._door.site,
            clock=self._door.clock,
            after_n=after_n,
            send_timeout_s=self._settings.send_timeout_s,
            max_pending_bytes=self._settings.max_pending_bytes,
        )

    # --- what the endpoints share

    def _token(self, session: Session) -> dict[str, str | int]:
        return {
            "conversationId": session.conversation,
            "token": self._door.tokens.issue(session),
            "expires_in": self._door.tokens.lifetime_s,
        }

    def _opened(
        self, request: web.Request, session: Session, watermark: str | None = None, *, again: bool = False
    ) -> dict[str, str | int]:
        base = self._base_url(request).replace("http", "ws", 1)
        ticket = self._door.tokens.issue(session, Purpose.STREAM)
        address = f"{base}{PREFIXES[0]}/conversations/{session.conversation}/stream?t={ticket}"
        if after_n := wire.parse_watermark(watermark):
            address += f"&watermark={after_n}"
        if again:
            # The page may have seen the beginning of a stream, though nothing that is kept.
            address += "&again=1"
        return {**self._token(session), "streamUrl": address}

    def _base_url(self, request: web.Request) -> str:
        return (self._settings.base_url or f"{request.scheme}://{request.host}").rstrip("/")

    def _is_secret(self, bearer: str) -> bool:
        secret = self._settings.secret
        return bool(secret) and hmac.compare_digest(bearer.encode(), (secret or "").encode())

    def _starting_session(self, bearer: str, user: str, name: str) -> Session:
        if self._is_secret(bearer):
            # A page that holds the secret itself proves nothing about its user.
            return Session(conversation=ConversationId(mint("c")), user=user or mint("dl"), name=name)
        session = self._door.tokens.verify(bearer)
        return session if session.name or session.verified else replace(session, name=name)

    async def _after_n(self, session: Session, watermark: str | None) -> int:
        after_n = wire.parse_watermark(watermark)
        if after_n:
            known = await self._door.lookup.conversation(self._door.site, session.conversation)
            # A number that the log has not reached (a restored backup) would hide everything.
            if known is None or after_n >= known.next_n:
                return 0
        return after_n

    def _is_trusted(self, origin: str | None, also: tuple[str, ...]) -> bool:
        trusted = {*self._settings.trusted_origins, *also}
        # A browser always says its origin; other clients have none.
        return not trusted or origin is None or origin in trusted

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                if handler is not _preflight:
                    self._door.ready()
                response = await handler(request)
            except BridgeError as error:
                response = _problem(from_bridge(error))
            except (ConnectionError, asyncio.CancelledError):
                raise
            except Exception:  # noqa: BLE001 -- the one place that turns what nobody foresaw into an answer
                _log.exception("directline_failed", method=request.method, route=_route(request))
                response = _problem(DirectLineError(500, "ServiceError", "The bridge failed; its log says more."))
            if not response.prepared:
                self._allow_origin(request, response)
            return response

        return guarded

    def _allow_origin(self, request: web.Request, response: web.StreamResponse) -> None:
        # On errors too: without these headers a page sees no status, and takes it for a broken network.
        origin = request.headers.get("Origin")
        if not self._settings.trusted_origins:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.headers["Vary"] = "Origin"
            if origin in self._settings.trusted_origins:
                response.headers["Access-Control-Allow-Origin"] = str(origin)
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        response.headers["Cache-Control"] = "no-store"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _problem(error: DirectLineError) -> web.Response:
    response = web.json_response(error.body(), status=error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


async def _preflight(_: web.Request) -> web.Response:
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": "86400",
        },
    )


async def _no_such_path(_: web.Request) -> web.Response:
    raise DirectLineError(404, "NotFound", "Direct Line has no such path here.")
