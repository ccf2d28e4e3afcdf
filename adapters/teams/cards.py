"""Has the cards shown anew when the desk learns something that they tell."""

import asyncio

from adapters.teams.refs import source_id
from bridge import log as logs
from bridge.errors import BridgeError
from bridge.events import CardStale
from bridge.ids import DeskName, SiteId
from bridge.ports import Clock, Lookup, Receive

log = logs.get("teams.cards")


class Cards:
    """The cards of this desk's open handoffs."""

    def __init__(self, *, site: SiteId, desk: DeskName, receive: Receive, lookup: Lookup, clock: Clock) -> None:
        """Take the ports."""
        self._site, self._desk = site, desk
        self._receive, self._lookup, self._clock = receive, lookup, clock
        self._tasks: set[asyncio.Task[None]] = set()

    def refresh_all(self) -> None:
        """Begin to; returns at once. A card that could not be queued is shown anew at its next change."""
        task = asyncio.create_task(self._refresh_all())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refresh_all(self) -> None:
        now = self._clock.now()
        try:
            for one in await self._lookup.open_handoffs(self._site):
                if one.thread.desk != self._desk or one.thread.root is None:
                    continue
                source = source_id("", "stale", str(one.id), str(now))
                await self._receive(CardStale(site=self._site, source=source, at=now, handoff=one.id))
        except BridgeError as error:
            log.warning("cards_not_refreshed", reason=type(error).__name__)

    async def stop(self) -> None:
        """Finish what is under way. May be called twice."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
