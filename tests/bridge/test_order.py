"""One thing at a time per thread, the earliest first."""

import asyncio

import pytest

from adapters.slack.refs import millis
from bridge.fakes.clock import ManualClock
from bridge.ids import Millis
from bridge.order import InOrder


class Diary:
    """Notes what was done, and holds the first until it is let go."""

    def __init__(self, window_s: float = 0.0) -> None:
        self.clock = ManualClock(start=100_000)
        self.order = InOrder(self.clock, window_s)
        self.done: list[str] = []
        self.gate = asyncio.Event()

    def work(self, name: str, *, held: bool = False, error: Exception | None = None) -> "asyncio.Task[None]":
        async def do() -> None:
            if held:
                await self.gate.wait()
            self.done.append(name)
            if error is not None:
                raise error

        return asyncio.create_task(self.order.run("C1:1", name, millis(name), f"source-{name}", do))


async def test_a_slow_one_is_not_overtaken() -> None:
    """While one is under way others wait, and then go by their time, not by their arrival."""
    diary = Diary()
    first = diary.work("1.0", held=True)
    await asyncio.sleep(0)
    later = [diary.work(ts) for ts in ("4.0", "2.0", "10.0")]
    await asyncio.sleep(0)
    diary.gate.set()
    await asyncio.gather(first, *later)

    assert diary.done == ["1.0", "2.0", "4.0", "10.0"]


async def test_a_repeat_joins_what_is_under_way() -> None:
    """The same message delivered again while it is handled is handled once, and both callers are answered."""
    diary = Diary()
    tasks = [diary.work("1.0", held=True) for _ in range(3)]
    await asyncio.sleep(0)
    diary.gate.set()
    await asyncio.gather(*tasks)

    assert diary.done == ["1.0"]


async def test_what_fails_takes_with_it_what_waits_behind_it() -> None:
    """Nothing overtakes what could not be done: those behind fail with it, and all of them may come again, in order."""
    diary = Diary()
    held = diary.work("1.0", held=True)
    await asyncio.sleep(0)
    behind = [diary.work("3.0", error=ValueError("no")), diary.work("4.0"), diary.work("2.0")]
    await asyncio.sleep(0)
    diary.gate.set()

    failed, taken, before = await asyncio.gather(*behind, return_exceptions=True)
    await held
    assert before is None
    assert isinstance(failed, ValueError)
    assert taken is failed
    assert diary.done == ["1.0", "2.0", "3.0"]
    await asyncio.gather(diary.work("4.0"), diary.work("3.0"))
    assert diary.done == ["1.0", "2.0", "3.0", "3.0", "4.0"]


async def test_a_failure_does_not_reach_other_threads() -> None:
    """Another thread goes on, and so does what comes to this one later."""
    diary = Diary()

    async def fine() -> None:
        diary.done.append("elsewhere")

    failed = diary.work("1.0", error=ValueError("no"))
    elsewhere = asyncio.create_task(diary.order.run("C1:2", "2.0", millis("2.0"), "source-elsewhere", fine))
    with pytest.raises(ValueError, match="no"):
        await failed
    await elsewhere
    await diary.work("3.0")
    assert diary.done == ["1.0", "elsewhere", "3.0"]


async def test_work_outlives_a_caller_who_hangs_up() -> None:
    """Slack may close the request; what was begun is finished, and stopping waits for it."""
    diary = Diary()
    task = diary.work("1.0", held=True)
    await asyncio.sleep(0)
    task.cancel()
    diary.gate.set()
    await diary.order.stop()

    assert diary.done == ["1.0"]


async def test_threads_do_not_wait_for_each_other() -> None:
    """Order holds within a thread only."""
    diary = Diary()
    held = diary.work("1.0", held=True)
    await asyncio.sleep(0)
    other: list[str] = []

    async def do() -> None:
        other.append("done")

    await diary.order.run("C1:2", "9.0", Millis(9_000), "source-other", do)
    diary.gate.set()
    await held
    assert other == ["done"]


async def test_those_that_arrive_within_the_window_go_by_slacks_time() -> None:
    """A later message that arrives first waits a moment for an earlier one, and nobody waits longer than the window."""
    diary = Diary(window_s=0.4)
    later = diary.work("99.950000")
    await diary.clock.settle()
    await diary.clock.advance(0.1)
    earlier = diary.work("99.900000")
    await diary.clock.settle()
    await diary.clock.advance(0.2)
    assert diary.done == []
    await diary.clock.advance(0.1)
    await asyncio.gather(later, earlier)

    assert diary.done == ["99.900000", "99.950000"]


async def test_what_is_old_already_does_not_wait() -> None:
    """Slack's time says that the window is over, so nothing is held back."""
    diary = Diary(window_s=0.4)
    await diary.work("99.500000")

    assert diary.done == ["99.500000"]


async def test_a_clock_that_is_ahead_at_slack_holds_nobody_up() -> None:
    """However wrong the two clocks are, the wait ends one window after the arrival."""
    diary = Diary(window_s=0.4)
    task = diary.work("5000.000000")
    await diary.clock.settle()
    await diary.clock.advance(0.4)
    await task

    assert diary.done == ["5000.000000"]
