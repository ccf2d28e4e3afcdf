"""The time: this machine's, or that of the database which several machines share."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from bridge import log as logs
from bridge.errors import StoreUnavailable
from bridge.ids import Millis

log = logs.get("clock")
MEASURE_EVERY_S = 30.0
OFF_S = 5.0
"""From when on it is told that this machine's clock is off."""


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> Millis:
        """Return UTC milliseconds."""
        return Millis(time.time_ns() // 1_000_000)

    async def sleep(self, seconds: float) -> None:
        """Rest."""
        await asyncio.sleep(seconds)


class StoreClock(SystemClock):
    """The store's time, so that all processes agree on it, whatever their machines' clocks show.

    Between two looks the monotonic clock carries it on: to set this machine's clock, in mid-run too, changes nothing.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[float, float]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`ask` returns the store's time in UTC milliseconds and the moment of `monotonic`, in seconds, to which it
        belongs; it raises StoreUnavailable. Until the first `measure` the time is this machine's.
        """
        self._ask, self._monotonic, self._wall = ask, monotonic, wall
        self._zero_ms = wall() * 1000 - monotonic() * 1000
        self.off_s = 0.0
        """How far this machine's clock was ahead of the store's at the last look; only as long as that is too far."""

    def now(self) -> Millis:
        """Return the store's UTC milliseconds."""
        return Millis(int(self._zero_ms + self._monotonic() * 1000))

    async def measure(self) -> None:
        """Ask for the store's time. Raises StoreUnavailable; the time goes on as it was."""
        store_ms, at_s = await self._ask()
        self._zero_ms = store_ms - at_s * 1000
        off_s = self._wall() - self.now() / 1000
        was_off, self.off_s = self.off_s, off_s if abs(off_s) > OFF_S else 0.0
        if self.off_s and not was_off:
            log.warning("clock_off", seconds=round(off_s, 1))
        elif was_off and not self.off_s:
            log.info("clock_right_again")

    async def keep(self) -> None:
        """Measure every 30 s, until cancelled."""
        while True:
            await asyncio.sleep(MEASURE_EVERY_S)
            try:
                await self.measure()
            except StoreUnavailable:
                log.warning("store_unavailable")

    def trouble(self) -> str:
        """Return in a sentence how far this machine's clock is off, or ""."""
        if not self.off_s:
            return ""
        way = "ahead of" if self.off_s > 0 else "behind"
        return f"this machine's clock is {abs(self.off_s):.0f} s {way} the database's, whose time counts; set it right"
