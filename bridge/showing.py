"""What a customer's screen shows: only what the store holds. One reader per process feeds the windows that are open
here.

A window has seen everything up to its watermark n. The reader is woken by hints; it reads the new entries of the
conversations that have windows here, so edits and retractions made while a window was away are shown when it comes
back. Every second it asks where all of them stand, many at once, and reads those that moved without a hint. It only
lays them out: each window shows them at its own speed, in a task that lasts as long as there is something to show.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from bridge import log as logs
from bridge.conversation import CUSTOMER_SEES, Conversation, Entry, State, Stream
from bridge.errors import StoreUnavailable
from bridge.ids import ConversationId, DeskName, SiteId
from bridge.ports import Clock, Desk, Ended, Shown, Viewer
from bridge.presence import Attendance
from bridge.sharing import Head
from bridge.storage import Changed, Store, Tx

log = logs.get(__name__)
SWEEP_S = 1.0
PAGE = 500
SWEEP_PORTION = 500
"""Of how many conversations one unit asks where they stand."""
AT_ONCE = 32
"""For how many conversations one unit reads what is new: one's news mostly cost less than a unit itself."""


@dataclass(slots=True, eq=False)
class _Window:
    """One viewer, and how far it has come: what the reader laid out for it, and what of that it has shown.

    While there is nothing to show it holds no task and no text: most windows are idle, and there may be ten thousand.
    """

    viewer: Viewer
    read_n: int
    ended: Ended
    entries: tuple[Entry, ...] = ()
    stream: Stream | None = None
    shown: tuple[str, int, int] | None = None
    epoch: int | None = None
    news: bool = False
    showing: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether it is so far behind that nothing more is laid out for it."""
        return len(self.entries) >= PAGE

    def lay_out(self, entries: tuple[Entry, ...], stream: Stream | None, epoch: int) -> None:
        """Add what is new; of a stream only the newest text counts."""
        fresh = tuple(entry for entry in entries if entry.n > self.read_n)
        if fresh:
            self.entries += fresh
            self.read_n = fresh[-1].n
        if fresh or stream != self.stream or epoch != self.epoch:
            self.stream, self.epoch, self.news = stream, epoch, True

    def take(self, epoch: int) -> Shown:
        """Return what was laid out and not shown yet."""
        entries, self.entries, self.news = self.entries, (), False
        stream = self.stream
        mark = (stream.turn, stream.attempt, stream.seq) if stream else None
        streams = (stream,) if stream and mark != self.shown else ()
        self.shown = mark
        return Shown(entries=entries, streams=streams, epoch=epoch)


_Key = tuple[SiteId, ConversationId]


class Showing:
    """Implements `ports.Feed` for all widgets of this process."""

    def __init__(self, *, store: Store, clock: Clock, desks: dict[DeskName, Desk] | None = None) -> None:
        """Take the ports. `desks` get the customers' typing hints."""
        self._store = store
        self._clock = clock
        self.desks = desks if desks is not None else {}
        self._windows: dict[_Key, list[_Window]] = defaultdict(list)
        self._heads: dict[_Key, Head] = {}
        self._dirty: dict[_Key, None] = {}
        self.attendance = Attendance()
        self._wake = asyncio.Event()
        self._stopping = False

    # --- the port

    def attach(
        self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer, ended: Ended
    ) -> Callable[[], None]:
        """Show everything after `after_n`, and then each new entry, until detached; see ports.Feed."""
        window = _Window(viewer=viewer, read_n=after_n, ended=ended)
        if self._stopping:
            asyncio.get_running_loop().call_soon(ended, None)
            return lambda: None
        key = (site, conversation)
        self._windows[key].append(window)
        self._mark(key)
        return partial(self._detach, key, window)

    def _detach(self, key: _Key, window: _Window) -> None:
        windows = self._windows.get(key, [])
        if window in windows:
            windows.remove(window)
        if not windows:
            self._windows.pop(key, None)
            self._heads.pop(key, None)
            self.attendance.left(key)
        if window.showing is not None:
            window.showing.cancel()

    async def watch(self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer) -> None:
        """Do the same until cancelled or until the viewer is gone."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(error: Exception | None) -> None:
            if over.done():
                return
            if error is None:
                over.set_result(None)
            else:
                over.set_exception(error)

        detach = self.attach(site, conversation, after_n, viewer, ended)
        try:
            await over
        finally:
            detach()

    async def _show(self, key: _Key, window: _Window) -> None:
        """Show what was laid out for this window, at its own speed: a slow one holds up no other."""
        try:
            while window.news and window.epoch is not None:
                was_full = window.full
                await window.viewer.show(window.take(window.epoch))
                if was_full:
                    self._mark(key)
        except (ConnectionError, RuntimeError):
            self._end(key, window, None)
        except Exception as error:  # noqa: BLE001 -- it is handed to whoever attached the window
            self._end(key, window, error)
        else:
            window.showing = None
            if self._stopping:
                self._end(key, window, None)

    def _end(self, key: _Key, window: _Window, error: Exception | None) -> None:
        window.showing = None
        self._detach(key, window)
        window.ended(error)

    async def read(self, site: SiteId, conversation: ConversationId, after_n: int, limit: int = 200) -> Shown | None:
        """Return what a poll shows. None: no such conversation."""

        def unit(tx: Tx) -> tuple[Conversation, Shown] | None:
            row = tx.conversation(site, conversation, lock=False)
            if row is None:
                return None
            entries = _visible(tx, row, after_n, limit)
            stream = _shown(tx.stream(site, conversation), row)
            return row, Shown(entries=entries, streams=(stream,) if stream else (), epoch=row.epoch)

        found = await self._store.read(unit)
        if found is None:
            return None
        self.attendance.saw(found[0], stays=(site, conversation) in self._windows)
        return found[1]

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
        self._dirty[key] = None
        self._wake.set()

    async def typing(self, site: SiteId, conversation: ConversationId, name: str) -> None:
        """Tell the windows that this person types. Best effort."""
        for window in list(self._windows.get((site, conversation), ())):
            await window.viewer.typing(name)

    async def run(self) -> None:
        """Lay out for the windows what is new, until `stop`."""
        loop = asyncio.get_running_loop()
        swept_at = loop.time()
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, swept_at + SWEEP_S - loop.time())):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.step()
                if self._dirty:
                    self._wake.set()
                if loop.time() >= swept_at + SWEEP_S:
                    swept_at = loop.time()
                    await self.sweep()
            except StoreUnavailable:
                log.warning("store_unavailable")
                await self._rest()
            except Exception:
                log.exception("showing_step_failed")
                await self._rest()

    async def _rest(self) -> None:
        """Wait before a read that failed is made again."""
        await self._clock.sleep(SWEEP_S)
        self._wake.set()

    async def step(self) -> None:
        """Read once for the conversations that were hinted at. Those that cannot be read now are tried again."""
        for _ in range(-(-len(self._dirty) // AT_ONCE)):
            if self._stopping or not self._dirty:
                return
            keys = [key for _, key in zip(range(AT_ONCE), self._dirty, strict=False)]
            for key in keys:
                del self._dirty[key]
            try:
                await self._lay_out(keys)
            except BaseException:
                self._dirty.update(dict.fromkeys(keys))
                raise

    async def sweep(self) -> None:
        """Ask where all conversations that have windows here stand, and lay out those that moved without a hint."""
        for site, portion in list(self._portions()):
            heads = await self._store.read(lambda tx, site=site, portion=portion: tx.heads(site, portion))  # type: ignore[misc]
            for conversation, head in heads.items():
                key = (site, conversation)
                if key in self._windows and self._heads.get(key) != head:
                    self._mark(key)
            await self.step()

    def _portions(self) -> Iterator[tuple[SiteId, list[ConversationId]]]:
        by_site: dict[SiteId, list[ConversationId]] = defaultdict(list)
        for site, conversation in self._windows:
            by_site[site].append(conversation)
        for site, conversations in by_site.items():
            for start in range(0, len(conversations), SWEEP_PORTION):
                yield site, conversations[start : start + SWEEP_PORTION]

    async def stop(self) -> None:
        """End `run`, and let all windows go, so that widgets come back elsewhere."""
        self._stopping = True
        self._wake.set()
        for key, windows in list(self._windows.items()):
            for window in [window for window in windows if window.showing is None]:
                self._end(key, window, None)

    async def _lay_out(self, keys: Iterable[_Key]) -> None:
        """Read what is new for these in one unit, as far as its portion reaches; mark the others again."""
        wanted: dict[_Key, int] = {}
        for key in keys:
            read_ns = [window.read_n for window in self._windows.get(key, ()) if not window.full]
            if read_ns:
                wanted[key] = min(read_ns)
        if not wanted:
            return
        for key, news in await self._store.read(lambda tx: list(_all_news(tx, wanted))):
            self._lay(key, wanted.pop(key), news)
        for key in wanted:
            self._mark(key)

    def _lay(self, key: _Key, after_n: int, news: "_News | None") -> None:
        if news is None or key not in self._windows:
            return
        row, entries, written = news
        mark = (written.turn, written.attempt, written.seq) if written else None
        self._heads[key] = Head(next_n=row.next_n, epoch=row.epoch, stream=mark)
        self.attendance.saw(row, stays=True)
        stream = _shown(written, row)
        more = len(entries) == PAGE
        # One that came meanwhile and is further back was marked when it came.
        for window in [window for window in self._windows[key] if not window.full and window.read_n >= after_n]:
            # While more is to come, the stream would be ahead of its place.
            window.lay_out(entries, None if more else stream, row.epoch)
            if window.news and window.showing is None and window in self._windows.get(key, ()):
                window.showing = asyncio.create_task(self._show(key, window))
        if more:
            self._mark(key)


_News = tuple[Conversation, tuple[Entry, ...], Stream | None]


def _all_news(tx: Tx, wanted: Mapping[_Key, int]) -> Iterator[tuple[_Key, _News | None]]:
    """Yield what is new for each, until that is a page in all: a longer unit would hold up other readers."""
    size = 0
    for key, after_n in wanted.items():
        news = _news(tx, *key, after_n)
        yield key, news
        size += len(news[1]) if news is not None else 0
        if size >= PAGE:
            return


def _news(tx: Tx, site: SiteId, conversation: ConversationId, after_n: int) -> _News | None:
    row = tx.conversation(site, conversation, lock=False)
    return None if row is None else (row, _visible(tx, row, after_n, PAGE), tx.stream(site, conversation))


def _shown(stream: Stream | None, row: Conversation) -> Stream | None:
    """Return what the agent is writing, if the conversation is the agent's."""
    return stream if stream is not None and stream.open and row.state is State.AGENT else None


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
