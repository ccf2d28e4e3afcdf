"""Time that moves only when it is told to."""

import asyncio
import heapq
from itertools import count

from bridge.ids import Millis


class ManualClock:
    """A `ports.Clock` that stands still until `advance`."""

    def __init__(self, start: int = 1_700_000_000_000) -> None:
        """Begin at `start`, UTC milliseconds."""
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> Millis:
        return Millis(self._now)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + round(seconds * 1000), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on by so many seconds, waking whoever sleeps till then, in the order of their times.

        Each one runs on until it next waits, at the time for which it slept, and may sleep again within the span.
        """
        end = self._now + round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not future.done():
                future.set_result(None)
                await self.settle()
        self._now = end
        await self.settle()

    def set(self, now: int) -> None:
        """Show another time at once, earlier or later, as a clock does that is set; nobody wakes."""
        self._now = now

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    @staticmethod
    async def settle(rounds: int = 20) -> None:
        """Let everybody run who can run without time passing."""
        for _ in range(rounds):
            await asyncio.sleep(0)
