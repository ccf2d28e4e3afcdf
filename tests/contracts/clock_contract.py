"""What every `ports.Clock` promises. A subclass gives the fixture `time`: a clock, and how its time goes by."""

import asyncio
from typing import Protocol

import pytest

from bridge.ports import Clock

SHORT_S = 0.03
LONG_S = 3600.0
ROUNDED_MS = 5
"""Wall clocks are set while they run and round to milliseconds."""


class Time(Protocol):
    """A clock under test."""

    @property
    def clock(self) -> Clock: ...

    async def go_by(self, seconds: float) -> None:
        """Let this much time pass on the clock, and everybody run who is due."""
        ...


class ClockContract:
    """Telling the time, resting."""

    async def test_the_time_is_in_utc_milliseconds(self, time: Time) -> None:
        """An integer between the years 2020 and 2100."""
        now = time.clock.now()

        assert isinstance(now, int)
        assert 1_577_836_800_000 < now < 4_102_444_800_000

    async def test_time_goes_by(self, time: Time) -> None:
        """What passes is told."""
        before = time.clock.now()
        await time.go_by(SHORT_S)

        assert time.clock.now() - before >= SHORT_S * 1000 - ROUNDED_MS

    async def test_a_rest_lasts_as_long_as_asked(self, time: Time) -> None:
        """Who rests is not awake before, and is awake after."""
        began = time.clock.now()
        rest = asyncio.create_task(time.clock.sleep(SHORT_S))
        await asyncio.sleep(0)
        assert not rest.done()
        await time.go_by(SHORT_S)
        await asyncio.wait_for(rest, 5)

        assert time.clock.now() - began >= SHORT_S * 1000 - ROUNDED_MS

    async def test_sleepers_do_not_wait_for_one_another(self, time: Time) -> None:
        """The shorter rest ends while the longer one goes on, in whatever order they began."""
        longer = asyncio.create_task(time.clock.sleep(LONG_S))
        shorter = asyncio.create_task(time.clock.sleep(SHORT_S))
        await asyncio.sleep(0)
        await time.go_by(SHORT_S)
        await asyncio.wait_for(shorter, 5)

        assert not longer.done()
        longer.cancel()
        await asyncio.gather(longer, return_exceptions=True)

    async def test_a_rest_can_be_cancelled(self, time: Time) -> None:
        """Whoever is called off wakes at once."""
        rest = asyncio.create_task(time.clock.sleep(LONG_S))
        await asyncio.sleep(0)
        rest.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(rest, 5)

    async def test_no_rest_lets_the_others_run(self, time: Time) -> None:
        """Resting for nothing, or for less, returns without time going by, after the others had their turn."""
        for seconds in (0.0, -1.0):
            other = asyncio.create_task(asyncio.sleep(0))
            await asyncio.wait_for(time.clock.sleep(seconds), 5)
            await asyncio.wait_for(other, 5)
