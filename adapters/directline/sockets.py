"""The stream: one WebSocket per open window, several per conversation.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-direct-line-3-0-receive-activities
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from adapters.directline.screen import Screen
from adapters.directline.wire import Json, frame, targets
from adapters.directline.wire import fold as folded
from bridge import log
from bridge.conversation import Entry
from bridge.errors import BridgeError
from bridge.ids import ConversationId, Millis, SiteId, mint
from bridge.ports import Clock, Feed, Shown

_log = log.get(__name__)

PING_S = 30
MAX_FRAME_BYTES = 4096
"""Clients only send empty pings."""
MAX_ACTIVITIES_PER_FRAME = 100
MAX_PENDING_HINTS = 32
LOOK_BACK = 32
"""How many entries before the watermark a new window looks at, to know which streams of a turn have ended."""


async def originals(
    feed: Feed, site: SiteId, conversation: ConversationId, entries: Iterable[Entry]
) -> dict[int, Entry]:
    """Return the entries that these change, as far as the customer may see them."""
    found: dict[int, Entry] = {}
    for n in targets(list(entries)):
        shown = await feed.read(site, conversation, n - 1, limit=1)
        if shown is not None and shown.entries and shown.entries[0].n == n:
            found[n] = shown.entries[0]
    return found


def activities(screen: Screen, shown: Shown, changed: dict[int, Entry], now: Millis) -> list[Json]:
    """Return what a window shows of this, entries first."""
    made: list[Json] = []
    for entry in shown.entries:
        made += screen.activities(entry, changed.get(entry.target) if entry.target is not None else None)
    chunks = [screen.chunk(stream, now) for stream in shown.streams]
    return made + [chunk for chunk in chunks if chunk is not None]


class Window:
    """One socket as the feed's Viewer.

    The feed serves many windows, so nothing here waits for a slow one: frames queue up to `max_pending_bytes`. A window
    that does not read what it is sent is closed, and loses nothing: it comes back with its watermark.
    """

    # Ten thousand of them are to fit in 300 MiB.
    __slots__ = (
        "_clock",
        "_feed",
        "_gone",
        "_max_pending_bytes",
        "_pending",
        "_pending_bytes",
        "_screen",
        "_send_timeout_s",
        "_site",
        "_socket",
        "_transport",
        "_writing",
        "after_n",
    )

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        screen: Screen,
        *,
        feed: Feed,
        site: SiteId,
        clock: Clock,
        after_n: int,
        send_timeout_s: float,
        max_pending_bytes: int,
    ) -> None:
        """Show on this socket, which is prepared and has seen everything up to `after_n`."""
        self.after_n = after_n
        self._socket = socket
        self._transport = transport
        self._screen = screen
        self._feed = feed
        self._site = site
        self._clock = clock
        self._send_timeout_s = send_timeout_s
        self._max_pending_bytes = max_pending_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._gone = False

    async def show(self, shown: Shown) -> None:
        """Show entries after the watermark and streams; see ports.Viewer."""
        try:
            await self._show(shown)
        except (ConnectionError, BridgeError):
            raise
        except Exception as error:
            # The feed serves all conversations: what spoils one window must not end it for the others.
            _log.exception("window_failed", conversation=self._screen.conversation)
            self._abandon()
            raise ConnectionError("this window cannot be shown what there is") from error

    async def _show(self, shown: Shown) -> None:
        for entry in shown.entries:
            if entry.n <= self.after_n:
                self._screen.note(entry)
        fresh = folded([entry for entry in shown.entries if entry.n > self.after_n])
        changed = await originals(self._feed, self._site, self._screen.conversation, fresh)
        made = activities(self._screen, Shown(entries=tuple(fresh), streams=shown.streams), changed, self._clock.now())
        last_n = max((entry.n for entry in shown.entries), default=0)
        for start in range(0, len(made), MAX_ACTIVITIES_PER_FRAME):
            piece = made[start : start + MAX_ACTIVITIES_PER_FRAME]
            is_last = start + MAX_ACTIVITIES_PER_FRAME >= len(made)
            # Only the last frame may say that everything up to here was shown.
            self._send(frame(piece, last_n if is_last and fresh else None))
        self.after_n = max(self.after_n, last_n)

    async def typing(self, name: str) -> None:
        """Hint that a person types; see ports.Viewer."""
        self.hint(frame([self._screen.typing(name, mint("t"), self._clock.now())]))

    def hint(self, text: str) -> None:
        """Send a frame that may be lost."""
        if len(self._pending) < MAX_PENDING_HINTS and not self._gone:
            self._send(text)

    async def close(self, code: WSCloseCode, reason: str) -> None:
        """Close the socket. May be called twice; never raises."""
        self._gone = True
        with contextlib.suppress(ConnectionError, TimeoutError, RuntimeError):
            async with asyncio.timeout(2):
                await self._socket.close(code=code, message=reason.encode())

    def _send(self, text: str) -> None:
        if self._gone or self._socket.closed:
            raise ConnectionError("the window is gone")
        self._pending.append(text.encode())
        self._pending_bytes += len(self._pending[-1])
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        if self._pending_bytes > self._max_pending_bytes:
            self._abandon()
            raise ConnectionError("the window does not read what it is sent")

    async def _write(self) -> None:
        try:
            while self._pending:
                piece = self._pending.pop(0)
                async with asyncio.timeout(self._send_timeout_s):
                    await self._socket.send_frame(piece, WSMsgType.TEXT)
                self._pending_bytes -= len(piece)
        except (ConnectionError, TimeoutError, RuntimeError):
            self._abandon()
        finally:
            self._writing = None

    def _abandon(self) -> None:
        # Not a polite close: it would wait for the one who does not read.
        self._gone = True
        self._pending.clear()
        if self._transport is not None:
            self._transport.abort()


class Windows:
    """All windows of this process, by conversation."""

    def __init__(self) -> None:
        """Start without any."""
        self._open: dict[ConversationId, set[Window]] = {}

    def __len__(self) -> int:
        return sum(len(windows) for windows in self._open.values())

    def count(self, conversation: ConversationId) -> int:
        """Return how many windows of this conversation are open here."""
        return len(self._open.get(conversation, ()))

    def hint(self, conversation: ConversationId, activity: Json) -> None:
        """Show something that is not stored on every window of the conversation."""
        text = frame([activity])
        for window in self._open.get(conversation, ()):
            window.hint(text)

    @contextlib.contextmanager
    def joined(self, conversation: ConversationId, window: Window) -> Iterator[None]:
        """Count the window among the open ones."""
        windows = self._open.setdefault(conversation, set())
        windows.add(window)
        try:
            yield
        finally:
            windows.discard(window)
            if not windows:
                self._open.pop(conversation, None)

    async def close(self) -> None:
        """Close all of them; the clients come back to the next process within seconds."""
        everyone = [window for windows in self._open.values() for window in windows]
        await asyncio.gather(*(window.close(WSCloseCode.SERVICE_RESTART, "restart") for window in everyone))


async def run(
    socket: web.WebSocketResponse, window: Window, *, watch: Callable[[int], Coroutine[Any, Any, None]]
) -> None:
    """Keep a window until the client leaves or the feed ends. What the client sends is not read: pings only."""
    watching = asyncio.create_task(watch(max(0, window.after_n - LOOK_BACK)))
    closing: list[asyncio.Task[None]] = []

    def feed_ended(ended: asyncio.Task[None]) -> None:
        failure = None if ended.cancelled() else ended.exception()
        if failure is None or isinstance(failure, ConnectionError):
            code = WSCloseCode.GOING_AWAY
        else:
            _log.warning("stream_failed", error=type(failure).__name__)
            code = WSCloseCode.INTERNAL_ERROR
        closing.append(asyncio.create_task(window.close(code, "come back")))

    watching.add_done_callback(feed_ended)
    try:
        async for _ in socket:
            pass
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        await asyncio.gather(*closing)
