"""The machine's clock keeps the promises of the one that moves by hand."""

import asyncio

import pytest

from adapters.clock import SystemClock
from tests.contracts.clock_contract import ClockContract


class Wall:
    """Time that nobody can hurry."""

    def __init__(self) -> None:
        self.clock = SystemClock()

    async def go_by(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TestSystemClock(ClockContract):
    """`adapters.clock.SystemClock`."""

    @pytest.fixture
    def time(self) -> Wall:
        """The machine's."""
        return Wall()
