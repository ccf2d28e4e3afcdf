"""The machine's clock keeps the promises of the one that moves by hand, and so does the store's."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from adapters.clock import StoreClock, SystemClock
from bridge.errors import StoreUnavailable
from bridge.ports import Clock
from tests.contracts.clock_contract import ClockContract

HOUR_S = 3600.0


class Wall:
    """Time that nobody can hurry."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def go_by(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TestSystemClock(ClockContract):
    """`adapters.clock.SystemClock`."""

    @pytest.fixture
    def time(self) -> Wall:
        """The machine's."""
        return Wall(SystemClock())


class Machine:
    """A machine whose clock can be set, and a database that is right."""

    def __init__(self, *, off_s: float = 0.0) -> None:
        self.off_s, self.passed_s, self.away = off_s, 1000.0, False
        self.true_s = 1_700_000_000.0

    def wall(self) -> float:
        return self.true_s + self.passed_s - 1000.0 + self.off_s

    def monotonic(self) -> float:
        return self.passed_s

    async def ask(self) -> tuple[float, float]:
        if self.away:
            raise StoreUnavailable("away")
        return (self.true_s + self.passed_s - 1000.0) * 1000, self.passed_s

    @property
    def true_ms(self) -> float:
        return (self.true_s + self.passed_s - 1000.0) * 1000

    def clock(self) -> StoreClock:
        return StoreClock(self.ask, monotonic=self.monotonic, wall=self.wall)


class TestStoreClock(ClockContract):
    """`adapters.clock.StoreClock`, by the real monotonic clock."""

    @pytest.fixture
    async def time(self) -> Wall:
        """That of a database whose clock is half an hour ahead of the machine's."""

        async def ask() -> tuple[float, float]:
            return (time.time() + HOUR_S / 2) * 1000, time.monotonic()

        clock = StoreClock(ask)
        await clock.measure()
        return Wall(clock)


@pytest.mark.parametrize("off_s", [-HOUR_S, 0.0, HOUR_S])
async def test_the_database_tells_the_time(off_s: float) -> None:
    """However far off the machine's clock is, and however it is set in mid-run, the time is the database's."""
    machine = Machine(off_s=off_s)
    clock = machine.clock()
    await clock.measure()
    assert clock.now() == machine.true_ms
    machine.passed_s += 17.5
    machine.off_s += HOUR_S
    assert clock.now() == machine.true_ms
    machine.off_s -= 3 * HOUR_S

    assert clock.now() == machine.true_ms


async def test_a_monotonic_clock_that_drifts_is_corrected() -> None:
    """What the monotonic clock gets wrong between two looks is gone after the second."""
    machine = Machine()
    clock = machine.clock()
    await clock.measure()
    machine.true_s += 2
    assert clock.now() == machine.true_ms - 2000
    await clock.measure()

    assert clock.now() == machine.true_ms


async def test_a_database_that_is_away_changes_nothing() -> None:
    """The time goes on by the monotonic clock as it was."""
    machine = Machine(off_s=HOUR_S)
    clock = machine.clock()
    await clock.measure()
    machine.away = True
    machine.passed_s += 60
    with pytest.raises(StoreUnavailable):
        await clock.measure()

    assert clock.now() == machine.true_ms


async def test_a_clock_that_is_off_is_told_once_and_until_it_is_right() -> None:
    """More than five seconds: one line, and a sentence for as long as it lasts; less is nobody's trouble."""
    machine = Machine(off_s=4)
    clock = machine.clock()
    await clock.measure()
    assert clock.trouble() == ""
    machine.off_s = -HOUR_S
    with capture_logs() as lines:
        await clock.measure()
        await clock.measure()
    assert [(line["event"], line["seconds"]) for line in lines] == [("clock_off", -HOUR_S)]
    assert "3600 s behind the database's" in clock.trouble()
    machine.off_s = 7
    await clock.measure()
    assert "7 s ahead of the database's" in clock.trouble()
    machine.off_s = 0
    await clock.measure()

    assert clock.trouble() == ""
