"""The clock that moves by hand."""

import asyncio

import pytest

from bridge.fakes.clock import ManualClock
from tests.contracts.clock_contract import ClockContract


class ByHand:
    """Time that is moved on."""

    def __init__(self) -> None:
        self.clock = ManualClock()

    async def go_by(self, seconds: float) -> None:
        await self.clock.settle()
        await self.clock.advance(seconds)


class TestManualClock(ClockContract):
    """`fakes.clock.ManualClock`."""

    @pytest.fixture
    def time(self) -> ByHand:
        """One that stands still."""
        return ByHand()


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Each sleeper wakes at its own time, and sees that time."""
    clock = ManualClock(start=0)
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, *seconds: float) -> None:
        for rest in seconds:
            await clock.sleep(rest)
            woken.append((name, clock.now()))

    tasks = [asyncio.ensure_future(sleeper("a", 3, 1)), asyncio.ensure_future(sleeper("b", 2, 5))]
    await clock.settle()
    await clock.advance(1.999)
    assert woken == []
    await clock.advance(3)

    assert woken == [("b", 2000), ("a", 3000), ("a", 4000)]
    assert (clock.now(), clock.sleepers) == (4999, 1)
    await clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken[-1] == ("b", 7000)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """Cancelling a sleep ends it; time goes on without it."""
    clock = ManualClock(start=0)
    task = asyncio.ensure_future(clock.sleep(5))
    await clock.settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert clock.sleepers == 0
    await clock.advance(6)
    assert clock.now() == 6000


async def test_no_rest_takes_no_time() -> None:
    """Sleeping for nothing only lets the others run."""
    clock = ManualClock(start=7)
    await clock.sleep(0)

    assert clock.now() == 7
