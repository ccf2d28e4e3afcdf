"""What a customer's screen shows: only what the store holds. One reader per process feeds the windows that are open
here.

A window has seen everything up to its watermark n. The reader is woken by hints and sweeps every second; it reads the
new entries of the
conversations that have windows here, so edits and retractions made while a window was away are shown when it comes
back.
"""

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import dataclass, field

from bridge import log as logs
from bridge.conversation import CUSTOMER_SEES, Conversation, Entry, State, Stream
from bridge.errors import StoreUnavailable
from bridge.ids import ConversationId, DeskName, SiteId
from bridge.ports import Changed, Clock, Desk, Shown, Store, Tx, Viewer

log = logs.get("showing")
SWEEP_S = 1.0
PAGE = 500


@dataclass(slots=True)
class _Window:
    """One viewer, and how far it has come."""

    viewer: Viewer
    after_n: int
    stream: tuple[str, int, int] | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    fresh: bool = True
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_Key = tuple[SiteId, ConversationId]


class Showing:
    """Implements `ports.Feed` for all widgets of this process."""

    def __init__(self, *, store: Store, clock: Clock, desks: dict[DeskName, Desk] | None = None) -> None:
        """Take the ports. `desks` get the customers' typing hints."""
        self._store = store
        self._clock = clock
        self.desks = desks if desks is not None else {}
        self._windows: dict[_Key, list[_Window]] = defaultdict(list)
        self._dirty: set[_Key] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    # --- the port

    async def watch(self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer) -> None:
        """Show everything after `after_n`, and then each new entry, until cancelled or until the viewer is gone."""
        window = _Window(viewer=viewer, after_n=after_n)
        key = (site, conversation)
        self._windows[key].append(window)
        try:
            self._mark(key)
            await window.gone.wait()
        finally:
            self._windows[key].remove(window)
            if not self._windows[key]:
                del self._windows[key]

    async def read(self, site: SiteId, conversation: ConversationId, after_n: int, limit: int = 200) -> Shown | None:
        """Return what a poll shows. None: no such conversation."""

        def unit(tx: Tx) -> Shown | None:
            row = tx.conversation(site, conversation, lock=False)
            if row is None:
                return None
            entries = _visible(tx, row, after_n, limit)
            stream = tx.stream(site, conversation)
            return Shown(entries=entries, streams=(stream,) if stream and stream.open else (), epoch=row.epoch)

        return await self._store.read(unit)

    async def typed(self, site: SiteId, conversation: ConversationId) -> None:
        """The customer is typing: tell the thread, if people own the conversation."""
        with contextlib.suppress(StoreUnavailable):
            row = await self._store.read(lambda tx: tx.conversation(site, conversation, lock=False))
            if row is None or row.handoff is None or row.state not in (State.WAITING, State.HUMAN):
                return
            handoff_id = row.handoff
            handoff = await self._store.read(lambda tx: tx.handoff(site, handoff_id))
            if handoff is not None and handoff.thread.root and (desk := self.desks.get(handoff.thread.desk)):
                await desk.typing(handoff.thread, row.customer.name or "The customer")

    # --- hints and the reader

    def changed(self, change: Changed) -> None:
        """Hint that a conversation has new entries."""
        key = (change.site, change.conversation)
        if key in self._windows:
            self._mark(key)

    def _mark(self, key: _Key) -> None:
        self._dirty.add(key)
        self._wake.set()

    async def typing(self, site: SiteId, conversation: ConversationId, name: str) -> None:
        """Tell the windows that this person types. Best effort."""
        for window in list(self._windows.get((site, conversation), ())):
            await window.viewer.typing(name)

    async def run(self) -> None:
        """Feed the windows until `stop`."""
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._wake.wait()
            swept = not self._wake.is_set()
            self._wake.clear()
            keys = list(self._windows) if swept else list(self._dirty)
            self._dirty.clear()
            try:
                for key in keys:
                    await self._feed(key)
            except StoreUnavailable:
                log.warning("store_unavailable")
                self._dirty.update(keys)
                await self._clock.sleep(SWEEP_S)

    async def stop(self) -> None:
        """End `run`, and let all windows go, so that widgets come back elsewhere."""
        self._stopping = True
        self._wake.set()
        for windows in list(self._windows.values()):
            for window in windows:
                window.gone.set()

    async def _feed(self, key: _Key) -> None:
        windows = self._windows.get(key)
        if not windows:
            return
        site, conversation = key
        after_n = min(window.after_n for window in windows)

        def unit(tx: Tx) -> tuple[Conversation, tuple[Entry, ...], Stream | None] | None:
            row = tx.conversation(site, conversation, lock=False)
            if row is None:
                return None
            return row, _visible(tx, row, after_n, PAGE), tx.stream(site, conversation)

        found = await self._store.read(unit)
        if found is None:
            return
        row, entries, stream = found
        for window in list(windows):
            await self._show(window, entries, stream if stream is not None and stream.open else None, row.epoch)
        if len(entries) == PAGE:
            self._mark(key)

    async def _show(self, window: _Window, entries: tuple[Entry, ...], stream: Stream | None, epoch: int) -> None:
        async with window.lock:
            fresh = tuple(entry for entry in entries if entry.n > window.after_n)
            mark = (stream.turn, stream.attempt, stream.seq) if stream else None
            moved = stream is not None and mark != window.stream
            if not fresh and not moved and not window.fresh:
                return
            try:
                await window.viewer.show(
                    Shown(entries=fresh, streams=(stream,) if stream and moved else (), epoch=epoch)
                )
            except (ConnectionError, RuntimeError):
                window.gone.set()
                return
            window.fresh = False
            window.stream = mark
            if fresh:
                window.after_n = fresh[-1].n


def _visible(tx: Tx, row: Conversation, after_n: int, limit: int) -> tuple[Entry, ...]:
    """Return the next customer-visible entries. Reads on past those that only operators see."""
    seen: list[Entry] = []
    while len(seen) < limit:
        page = tx.entries(row.site, row.id, after_n=after_n, limit=limit)
        seen += [entry for entry in page if entry.audience in CUSTOMER_SEES]
        if len(page) < limit:
            break
        after_n = page[-1].n
    return tuple(seen[:limit])
