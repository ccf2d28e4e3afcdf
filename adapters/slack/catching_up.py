"""What was said while nobody listened: open threads are read again into the same door, which knows repeats.

Slack gives up on deliveries and promises no order, so a start or a gap between sockets may have lost some, and what
comes again may come after what was said later (https://docs.slack.dev/apis/events-api#errors). So after a gap every
open thread is read, page by page and turn by turn, and a thread is read before anything new from it is heard.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from pydantic import ValidationError

from adapters.slack import wire
from adapters.slack.calls import SlackCalls
from adapters.slack.errors import CallFailed
from adapters.slack.hearing import Hearing
from adapters.slack.refs import millis, remote_ref, split_ref, stamp
from bridge import log as logs
from bridge.conversation import Handoff, HandoffState
from bridge.errors import StoreUnavailable
from bridge.ids import HandoffId, Millis, RemoteRef, SiteId
from bridge.outcomes import Refused, RetryLater
from bridge.ports import Clock, Lookup
from bridge.retention import SOURCES_KEPT_MS

log = logs.get("slack.catching_up")
PAGE = 200
MAX_WAIT_S = 120.0
MAX_FAILURES = 4
PAUSE_S = 0.5
"""Doubled with each failure in a row, where Slack names no time itself."""
OVERLAP_MS = 60_000
"""Read again from this long before the last look: what Slack shows late is still found."""
KNOWN_MS = SOURCES_KEPT_MS - 24 * 3600 * 1000
"""What is older is not read again: the door may have forgotten that it had it."""
HOLD_S = 2.0
"""How long something new waits at least for its thread to be read. Slack wants its answer within 3 s, else it sends it
again, which does no harm.
"""
HOLDS = 10
"""So many times it waits as long, if it is not Slack that takes its time."""
SLOW_S = 1.0
"""From when on Slack is taken to be the one who is waited for: what was read is heard here for sure, and soon."""
CLOCKS_DIFFER_MS = 1_000
AGAIN = -1
"""The gap of a thread of which something was missed after its page was asked for: it is read once more."""
ROOTLESS_EVERY_S = 1.0
ROOTLESS_LOOKS = 120
"""How often is asked whether a card that was under way before the gap has its thread by now."""
OPEN = frozenset({HandoffState.WAITING, HandoffState.HUMAN})


@dataclass(kw_only=True, slots=True)
class _Reading:
    """A thread that is to be read to its end; `cursor` is how far it was."""

    root: RemoteRef
    opened_at: Millis
    gap: int
    since: Millis
    begun: Millis
    cursor: str = ""
    failures: int = 0
    is_unkept: bool = False
    """What was read of it could not be kept, for now."""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class CatchingUp:
    """Reads open threads back, one page of one thread at a time, those first that somebody waits for."""

    def __init__(self, *, site: SiteId, calls: SlackCalls, hearing: Hearing, lookup: Lookup, clock: Clock) -> None:
        """Take the ports and the way in, which from now on asks `first_read` before it hears something new."""
        self._site, self._calls, self._hearing, self._lookup, self._clock = site, calls, hearing, lookup, clock
        self._task: asyncio.Task[None] | None = None
        self._gap, self._gap_at = 0, clock.now()
        self._listed, self._looks = True, 0
        self._rootless: frozenset[HandoffId] = frozenset()
        self._later: asyncio.Task[None] | None = None
        self._waiting: dict[RemoteRef, _Reading] = {}
        self._read: set[RemoteRef] = set()
        self._missed: set[RemoteRef] = set()
        self._seen: dict[RemoteRef, Millis] = {}
        self._rests_until = Millis(0)
        self._asking_since: Millis | None = None
        self._is_stopped = False
        hearing.read_first(self)

    def begin(self) -> None:
        """Take it that something was missed in every thread, and read them. Returns at once; may be called any time."""
        self.doubt()
        self._listed, self._looks, self._rootless = False, ROOTLESS_LOOKS, frozenset()
        self._work()

    def doubt(self) -> None:
        """Take it that another process may have heard what it could not keep, as while the store was away: each thread
        is
        read before anything new from it is heard. Reads nothing by itself; may be called any time.
        """
        self._gap, self._gap_at = self._gap + 1, self._clock.now()
        self._read.clear()

    async def first(self, within_s: float) -> None:
        """Do a round before anything new is heard, so that what was said while nobody listened keeps its place.

        Waits for `within_s` at most; a longer round goes on by itself. Never raises.
        """
        self.begin()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_s)

    async def stop(self) -> None:
        """Break off for good. What was not read is read after the next start. May be called twice."""
        self._is_stopped = True
        tasks = [task for task in (self._later, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for root in list(self._waiting):
            self._end(self._waiting[root])

    # --- what is new, and its thread

    def missed(self, heard: wire.Heard) -> None:
        """Take it that this was not kept: what is said later waits for its thread to be read."""
        root = remote_ref(heard.channel, heard.root_ts)
        self._missed.add(root)
        self._read.discard(root)
        if root in self._waiting:
            self._waiting[root].gap = AGAIN

    async def first_read(self, heard: wire.Heard, handoff: Handoff | None) -> bool:
        """Return when the thread was read since the last gap, or when Slack takes long over that: whether it had to be.
        `handoff` is the thread's, as the store has just told it. Raises StoreUnavailable.
        """
        root = remote_ref(heard.channel, heard.root_ts)
        if self._is_stopped or not self._in_doubt(root, heard.root_ts):
            return False
        reading = self._waiting.get(root)
        if reading is None:
            if handoff is None or handoff.state not in OPEN:
                return False
            reading = self._reading(root, handoff)
        self._waiting.pop(root, None)
        self._waiting = {root: reading, **self._waiting}
        self._work()
        if self._rests_until - self._clock.now() < HOLD_S * 1000:
            await self._held_for(reading)
        return True

    async def _held_for(self, reading: _Reading) -> None:
        """All who wait here go on in the same breath, so that `InOrder` sees them together.

        Raises StoreUnavailable where it is not Slack that is waited for: then what was read is not kept yet, and this,
        which is read too or comes again, must not overtake it.
        """
        for _ in range(HOLDS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD_S):
                    await reading.over.wait()
            asked_ms = self._clock.now() - self._asking_since if self._asking_since is not None else 0
            if reading.over.is_set():
                return
            if asked_ms >= SLOW_S * 1000:
                reading.over.set()
                return
            if reading.is_unkept:
                break
        raise StoreUnavailable("what was said before in this thread is not kept yet")

    def _in_doubt(self, root: RemoteRef, root_ts: str) -> bool:
        if root in self._read:
            return False
        return root in self._missed or millis(root_ts) < self._gap_at + CLOCKS_DIFFER_MS

    def _reading(self, root: RemoteRef, handoff: Handoff) -> _Reading:
        last, now = self._seen.get(root), self._clock.now()
        opened_at = Millis(max(handoff.opened_at, now - KNOWN_MS))
        since = Millis(max(opened_at, last - OVERLAP_MS)) if last is not None else opened_at
        return _Reading(root=root, opened_at=opened_at, gap=self._gap, since=since, begun=now)

    # --- reading

    def _work(self) -> None:
        if not self._is_stopped and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._rounds())

    async def _rounds(self) -> None:
        failures = 0
        while not self._listed or self._waiting:
            try:
                if not self._listed:
                    await self._list()
            except StoreUnavailable as error:
                failures += 1
                log.warning("catch_up_waits", reason=str(error))
                await self._clock.sleep(PAUSE_S * 2 ** min(failures, 6))
                continue
            if self._waiting:
                await self._turn(next(iter(self._waiting.values())))
        if self._rootless and self._looks:
            self._later = asyncio.create_task(self._look_again())

    async def _list(self) -> None:
        """Note every open thread that was not read since the gap. Raises StoreUnavailable."""
        gap, again = self._gap, self._rootless
        handoffs = await self._lookup.open_handoffs(self._site)
        if gap != self._gap:
            return
        self._listed = True
        here = [handoff for handoff in handoffs if handoff.thread.desk == self._calls.settings.desk]
        for handoff in here:
            root = handoff.thread.root
            if root is None or root in self._read or root in self._waiting or (again and handoff.id not in again):
                continue
            self._waiting[root] = self._reading(root, handoff)
        self._rootless = frozenset(one.id for one in here if one.thread.root is None and one.opened_at <= self._gap_at)
        open_roots = {handoff.thread.root for handoff in here}
        self._seen = {root: at for root, at in self._seen.items() if root in open_roots}
        self._missed &= open_roots | self._waiting.keys()

    async def _look_again(self) -> None:
        """List once more, for the threads of cards that were under way at the gap and are not settled yet."""
        await self._clock.sleep(ROOTLESS_EVERY_S)
        self._looks -= 1
        self._listed = False
        self._work()

    async def _turn(self, reading: _Reading) -> None:
        """Read one page of a thread; then it is the next one's turn."""
        try:
            cursor = await self._page(reading)
        except CallFailed as error:
            await self._failed(reading, error)
            return
        except StoreUnavailable as error:
            await self._not_kept(reading, error)
            return
        except Exception:  # the next thread may do better
            self._asking_since = None
            log.exception("thread_not_read", root=reading.root)
            self._end(reading)
            return
        reading.failures, reading.is_unkept = 0, False
        if cursor:
            reading.cursor = cursor
            self._waiting[reading.root] = self._waiting.pop(reading.root)
        elif reading.gap != self._gap:
            reading.gap, reading.cursor = self._gap, ""
            reading.since = Millis(max(reading.opened_at, reading.begun - OVERLAP_MS))
            reading.begun = self._clock.now()
        else:
            self._seen[reading.root] = reading.begun
            self._end(reading)

    async def _page(self, reading: _Reading) -> str:
        self._asking_since = self._asking_since or self._clock.now()
        identity = await self._calls.identity()
        me = wire.Me(team=identity.team, bot_user=identity.bot_user, bot_id=identity.bot_id)
        channel, root_ts = split_ref(reading.root)
        page = {"channel": channel, "ts": root_ts, "oldest": stamp(reading.since), "limit": PAGE}
        more = {"cursor": reading.cursor} if reading.cursor else {}
        answer = await self._calls.read("conversations.replies", **page, **more)
        self._asking_since = None
        for message in answer.get("messages") or []:
            await self._message(channel, message, me)
        return str((answer.get("response_metadata") or {}).get("next_cursor") or "")

    async def _not_kept(self, reading: _Reading, error: StoreUnavailable) -> None:
        """Try the same page again in a while, however often: what is read and not kept is not given up."""
        log.warning("catch_up_waits", root=reading.root, reason=str(error))
        self._asking_since, reading.is_unkept = None, True
        reading.failures += 1
        self._waiting[reading.root] = self._waiting.pop(reading.root)
        await self._clock.sleep(PAUSE_S * 2 ** min(reading.failures, 2))

    async def _failed(self, reading: _Reading, error: CallFailed) -> None:
        """Wait as long as Slack says, or a little; give the thread up for now if that is too long or too often."""
        outcome = error.outcome
        if error.code == "invalid_cursor" and reading.cursor:
            reading.cursor = ""
            return
        reading.failures += 1
        self._asking_since = self._asking_since or self._clock.now()
        wait_s = outcome.after_s if isinstance(outcome, RetryLater) else 0.0
        wait_s = wait_s or PAUSE_S * reading.failures
        if isinstance(outcome, Refused) or wait_s > MAX_WAIT_S or reading.failures >= MAX_FAILURES:
            log.warning("thread_not_read", root=reading.root, reason=str(error))
            self._end(reading)
            return
        self._waiting[reading.root] = self._waiting.pop(reading.root)
        self._rests_until = Millis(self._clock.now() + round(wait_s * 1000))
        await self._clock.sleep(wait_s)

    def _end(self, reading: _Reading) -> None:
        """Hold nobody up any more, whether the thread was read or cannot be."""
        self._waiting.pop(reading.root, None)
        self._missed.discard(reading.root)
        self._read.add(reading.root)
        reading.over.set()

    async def _message(self, channel: str, message: object, me: wire.Me) -> None:
        try:
            event = wire.MessageEvent.model_validate(
                {**message, "channel": channel} if isinstance(message, dict) else {}
            )
            happened = wire.read_message(event, me)
        except (ValidationError, ValueError):
            return
        if isinstance(happened, wire.Spoken):
            await self._hearing.heard(happened, me)
