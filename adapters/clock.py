"""The time of this machine."""

import asyncio
import time

from bridge.ids import Millis


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> Millis:
        """Return UTC milliseconds."""
        return Millis(time.time_ns() // 1_000_000)

    async def sleep(self, seconds: float) -> None:
        """Rest."""
        await asyncio.sleep(seconds)
