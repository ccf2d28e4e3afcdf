"""Whether the customer has the chat on the screen: operators read it on the card, so that nobody waits for somebody who
has left, or writes at length to a closed page.

A process knows which chats it shows, and keeps in the store until when that is so; what it no longer shows runs out by
itself, after a crash too. The card is brought up to date when somebody comes or has been away for a while, not with
each line.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping

from bridge import log as logs
from bridge.conversation import Conversation, State
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import CardStale
from bridge.ids import ConversationId, HandoffId, Millis, SiteId, SourceId
from bridge.pacing import Pace
from bridge.ports import Clock, Receive
from bridge.sharing import AWAY, HERE, PRESENCE_MS, Presence
from bridge.storage import Store, Tx

log = logs.get(__name__)
BEAT_S = 10.0
"""A third of `PRESENCE_MS`: two beats may be late."""
REST_S = 1.0
"""Between two looks, however many come: thousands do when a process was replaced."""
PORTION = 200
"""Handoffs of one unit."""

_Key = tuple[SiteId, ConversationId]


class Attendance:
    """Which chats that people have are on a screen that this process shows. Asks nobody; holds nothing of others."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._here: dict[_Key, HandoffId] = {}
        self._passing: dict[_Key, bool] = {}
        self.arrived = asyncio.Event()
        """Set when there is one more than before."""

    def saw(self, row: Conversation, *, stays: bool) -> None:
        """The conversation was shown just now: in a window that stays until `left`, or to a poll."""
        key = (row.site, row.id)
        if row.handoff is None or row.state not in (State.WAITING, State.HUMAN):
            self.left(key)
            return
        if stays:
            self._passing.pop(key, None)
        else:
            self._passing[key] = True
        if self._here.get(key) != row.handoff:
            self._here[key] = row.handoff
            self.arrived.set()

    def left(self, key: _Key) -> None:
        """No window is open on it any more."""
        self._here.pop(key, None)
        self._passing.pop(key, None)

    def present(self) -> Mapping[SiteId, list[HandoffId]]:
        """Return the open handoffs of those: a window is open, or one polled since this was asked last."""
        for key, polled in list(self._passing.items()):
            if polled:
                self._passing[key] = False
            else:
                self.left(key)
        found: dict[SiteId, list[HandoffId]] = defaultdict(list)
        for (site, _), handoff in self._here.items():
            found[site].append(handoff)
        return found


class PresenceWatch:
    """Keeps in the store what this process's attendance says, and lets cards say it. One per process."""

    def __init__(self, *, attendance: Attendance, store: Store, clock: Clock, receive: Receive) -> None:
        """Take the ports."""
        self._attendance, self._store, self._clock, self._receive = attendance, store, clock, receive
        self._began_at: Millis | None = None
        self._pace, self._tell_at = Pace(), Millis(0)
        self._stopping = False

    async def run(self) -> None:
        """Look every ten seconds, and within one when somebody comes, until `stop`."""
        while not self._stopping:
            try:
                await self.step()
            except StoreUnavailable:
                log.warning("store_unavailable")
            except Exception:
                log.exception("presence_step_failed")
            await self._clock.sleep(REST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._attendance.arrived.wait()

    async def stop(self) -> None:
        """End `run`. What was kept runs out by itself."""
        self._stopping = True
        self._attendance.arrived.set()

    async def step(self) -> None:
        """Keep who is here, and tell the cards of those who came or are away: as many as a desk takes meanwhile, the
        others later. After an outage there may be thousands, which would only wait in the lanes.
        """
        self._attendance.arrived.clear()
        now = self._clock.now()
        for site, handoffs in self._attendance.present().items():
            for start in range(0, len(handoffs), PORTION):
                for one in await self._keep(site, handoffs[start : start + PORTION], now):
                    if self._tell_at <= now:
                        await self._tell(one, HERE, now)
        # Pages that a process showed which is gone need a moment to come back, to this one perhaps.
        self._began_at = now if self._began_at is None else self._began_at
        if now >= self._began_at + PRESENCE_MS:
            for one in await self._store.read(lambda tx: tx.lapsed_presences(now)):
                if self._tell_at <= now:
                    await self._tell(one, AWAY, now)

    async def _keep(self, site: SiteId, handoffs: list[HandoffId], now: Millis) -> list[Presence]:
        """Keep these; return those whose cards do not say so."""

        def unit(tx: Tx) -> list[Presence]:
            tx.keep_presence(site, handoffs, Millis(now + PRESENCE_MS))
            return list(tx.untold_presences(site, handoffs))

        return await self._store.run(unit)

    async def _tell(self, one: Presence, what: str, now: Millis) -> None:
        """Let the card be shown anew, then note it: a crash in between shows it once more."""
        self._tell_at = self._pace.free_at(posts=False, was_free_at=self._tell_at, now=now)
        source = SourceId(f"presence:{one.handoff}:{what}:{one.until}")
        with contextlib.suppress(NotFound):
            await self._receive(CardStale(site=one.site, source=source, at=now, handoff=one.handoff))
        await self._store.run(lambda tx: tx.note_presence(one.site, one.handoff, what))
