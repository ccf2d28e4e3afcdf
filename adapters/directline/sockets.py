"""The stream: one WebSocket per open window, several per conversation.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-direct-line-3-0-receive-activities
"""

import asyncio
import contextlib
from collections.abc import Iterable

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

BEAT_S = 15.0
"""A window that was silent for two beats is pinged; one that is still silent a beat later is gone."""
PATIENCE_BEATS = 2
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
        "_closing",
        "_feed",
        "_gone",
        "_max_pending_bytes",
        "_pending",
        "_pending_bytes",
        "_screen",
        "_send_timeout_s",
        "_silent_beats",
        "_site",
        "_transport",
        "_writing",
        "after_n",
        "socket",
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
        self.socket = socket
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
        self._closing: asyncio.Task[None] | None = None
        self._silent_beats = 0
        self._gone = False

    @property
    def conversation(self) -> ConversationId:
        """Whose window it is."""
        return self._screen.conversation

    async def run(self) -> None:
        """Serve it until the client leaves or the feed ends. What the client sends is not read: it proves life."""
        detach = self._feed.attach(
            self._site, self.conversation, max(0, self.after_n - LOOK_BACK), self, self._feed_ended
        )
        try:
            async for message in self.socket:
                self._silent_beats = 0
                if message.type is WSMsgType.PING:
                    await self.socket.pong(message.data)
        finally:
            self._gone = True
            detach()
            if self._closing is not None:
                await self._closing

    def _feed_ended(self, error: Exception | None) -> None:
        code = WSCloseCode.GOING_AWAY
        if error is not None and not isinstance(error, ConnectionError):
            _log.warning("stream_failed", error=type(error).__name__)
            code = WSCloseCode.INTERNAL_ERROR
        self._closing = asyncio.create_task(self.close(code, "come back"))

    async def beat(self) -> None:
        """Look whether the client is still there. Never waits for it."""
        self._silent_beats += 1
        if self._silent_beats > PATIENCE_BEATS:
            self._abandon()
        elif self._silent_beats == PATIENCE_BEATS and self._has_taken_everything:
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self.socket.ping()

    @property
    def _has_taken_everything(self) -> bool:
        # Otherwise a ping could wait for the full buffer of one window, and hold up those of all others.
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

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
            with contextlib.suppress(ConnectionError):
                self._send(text)

    async def close(self, code: WSCloseCode, reason: str) -> None:
        """Close the socket. May be called twice; never raises."""
        self._gone = True
        with contextlib.suppress(ConnectionError, TimeoutError, RuntimeError):
            async with asyncio.timeout(2):
                await self.socket.close(code=code, message=reason.encode())

    def _send(self, text: str) -> None:
        if self._gone or self.socket.closed:
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
                    await self.socket.send_frame(piece, WSMsgType.TEXT)
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
        self._open: dict[ConversationId, list[Window]] = {}
        self._beating: asyncio.Task[None] | None = None

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

    async def hold(self, window: Window) -> None:
        """Serve the window until it leaves, counted among the open ones."""
        windows = self._open.setdefault(window.conversation, [])
        windows.append(window)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat_on())
        try:
            await window.run()
        finally:
            windows.remove(window)
            if not windows:
                self._open.pop(window.conversation, None)

    async def beat(self) -> None:
        """Look after every window once: one timer for all, since a timer of its own costs each a kilobyte."""
        for window in self._everyone():
            await window.beat()

    async def _beat_on(self) -> None:
        while self._open:
            await asyncio.sleep(BEAT_S)
            await self.beat()

    async def close(self) -> None:
        """Close all of them; the clients come back to the next process within seconds."""
        if self._beating is not None:
            self._beating.cancel()
        await asyncio.gather(*(window.close(WSCloseCode.SERVICE_RESTART, "restart") for window in self._everyone()))

    def _everyone(self) -> list[Window]:
        return [window for windows in self._open.values() for window in windows]
