"""What was said while nobody listened: open threads are read again into the same door, which knows repeats.

Slack gives up on deliveries, so a start or a gap between sockets may have lost some
(https://docs.slack.dev/apis/events-api#errors). One call per open thread; where Slack rations them, it is left at that.
"""

import asyncio
import contextlib

from pydantic import ValidationError

from adapters.slack import wire
from adapters.slack.calls import SlackCalls
from adapters.slack.errors import CallFailed
from adapters.slack.hearing import Hearing
from adapters.slack.refs import split_ref, stamp
from bridge import log as logs
from bridge.conversation import Handoff
from bridge.errors import StoreUnavailable
from bridge.ids import Millis, SiteId
from bridge.outcomes import RetryLater
from bridge.ports import Clock, Lookup

log = logs.get("slack.catching_up")
PAGES = 5
MAX_WAIT_S = 120.0
OVERLAP_MS = 60_000
"""Read again from this long before the last look: what Slack shows late is still found."""


class CatchingUp:
    """Reads open threads back, one round at a time."""

    def __init__(self, *, site: SiteId, calls: SlackCalls, hearing: Hearing, lookup: Lookup, clock: Clock) -> None:
        """Take the ports and the way in."""
        self._site, self._calls, self._hearing, self._lookup, self._clock = site, calls, hearing, lookup, clock
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._seen: dict[str, Millis] = {}

    def begin(self) -> None:
        """Start a round; while one runs, another follows it. Returns at once."""
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.create_task(self._rounds())

    async def first(self, within_s: float) -> None:
        """Do a round before anything new is heard, so that what was said while nobody listened keeps its place.

        Waits for `within_s` at most; a longer round goes on by itself. Never raises.
        """
        self.begin()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_s)

    async def stop(self) -> None:
        """Break off. What was not read is read after the next start. May be called twice."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _rounds(self) -> None:
        while True:
            self._again = False
            try:
                await self._round()
            except (CallFailed, StoreUnavailable) as error:
                log.warning("catch_up_broke_off", reason=str(error))
            if not self._again:
                return

    async def _round(self) -> None:
        handoffs = await self._lookup.open_handoffs(self._site)
        here = [handoff for handoff in handoffs if handoff.thread.desk == self._calls.settings.desk]
        if not here:
            return
        identity = await self._calls.identity()
        me = wire.Me(team=identity.team, bot_user=identity.bot_user, bot_id=identity.bot_id)
        seen: dict[str, Millis] = {}
        for handoff in here:
            begun = self._clock.now()
            if handoff.thread.root is not None and await self._thread(handoff, me):
                seen[handoff.thread.root] = begun
        self._seen = seen

    async def _thread(self, handoff: Handoff, me: wire.Me) -> bool:
        channel, root_ts = split_ref(handoff.thread.root) if handoff.thread.root else ("", "")
        last = self._seen.get(f"{channel}:{root_ts}")
        since = Millis(max(handoff.opened_at, last - OVERLAP_MS)) if last is not None else handoff.opened_at
        cursor, waited = "", False
        for _ in range(PAGES):
            page = {"channel": channel, "ts": root_ts, "oldest": stamp(since), "limit": 200}
            try:
                more = {"cursor": cursor} if cursor else {}
                answer = await self._calls.read("conversations.replies", **page, **more)
            except CallFailed as failed:
                log.warning("thread_not_read", handoff=handoff.id, reason=failed.code)
                if isinstance(failed.outcome, RetryLater) and failed.outcome.after_s <= MAX_WAIT_S and not waited:
                    waited = True
                    await self._clock.sleep(failed.outcome.after_s)
                    continue
                return False
            for message in answer.get("messages") or []:
                await self._message(channel, message, me)
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return True
        return True

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
