"""What is forgotten in time: the sources by which repeats are known, and when customers were seen last."""

from bridge import log as logs
from bridge.errors import StoreUnavailable
from bridge.ids import Millis
from bridge.ports import Clock
from bridge.storage import Store

log = logs.get(__name__)
SOURCES_KEPT_MS = 7 * 24 * 3600 * 1000
"""Longer than any sender repeats: Slack's last try is an hour's after a day
(https://docs.slack.dev/apis/events-api#retries).
"""
EVERY_S = 3600.0
PORTION = 1000
PAUSE_S = 0.05
"""Between two portions, so that customers' lines get their turn."""


class Retention:
    """Forgets what is old. One process at a time is enough."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        """Take the ports."""
        self._store, self._clock = store, clock

    async def run(self) -> None:
        """Forget now and every hour, until cancelled."""
        while True:
            try:
                forgotten = await self.step()
                log.info("sources_forgotten", count=forgotten)
            except StoreUnavailable:
                log.warning("store_unavailable")
            await self._clock.sleep(EVERY_S)

    async def step(self) -> int:
        """Forget all that is old now, in portions; return how many. Raises StoreUnavailable."""
        before, forgotten = Millis(self._clock.now() - SOURCES_KEPT_MS), 0
        await self._store.run(lambda tx: tx.forget_presences(before))
        while True:
            portion = await self._store.run(lambda tx: tx.forget_sources(before, PORTION))
            forgotten += portion
            if portion < PORTION:
                return forgotten
            await self._clock.sleep(PAUSE_S)
