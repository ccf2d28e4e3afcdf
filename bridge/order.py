"""One thing at a time per thread, the earliest first: neither a slow file nor a quick connection lets a later message
overtake.

Vendors promise no order and may deliver twice (https://docs.slack.dev/apis/events-api). So a message waits until it is
`window_s` old by the vendor's own time, which it mostly is when it arrives, and never longer than that after its
arrival; what comes in meanwhile and is older goes first. Repeats of what is under way join it instead of doing it
again. What cannot be done now takes with it what waits behind it: all of that comes again, and nothing has overtaken.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.ids import Millis
from bridge.ports import Clock

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    rank: tuple[float, int, int]
    ready_at: Millis
    source: str
    work: Work


class InOrder:
    """Runs pieces of work, one at a time per lane."""

    def __init__(self, clock: Clock, window_s: float) -> None:
        """Start empty."""
        self._clock = clock
        self._window_ms = round(window_s * 1000)
        self._waiting: dict[str, list[_Waiting]] = {}
        self._results: dict[str, asyncio.Future[None]] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._count = 0

    async def run(self, lane: str, ts: str, at: Millis, source: str, work: Work) -> None:
        """Do the work in its turn, and return or raise as it does. It goes on even if the caller gives up waiting.

        `ts` is the message that it is about, `at` when it happened: an edit comes after its message however it arrives.
        """
        result = self._results.get(source)
        if result is None:
            result = self._results[source] = asyncio.get_running_loop().create_future()
            self._count += 1
            ready_at = Millis(min(self._clock.now(), at) + self._window_ms)
            queue = self._waiting.setdefault(lane, [])
            queue.append(_Waiting(rank=(float(ts), at, self._count), ready_at=ready_at, source=source, work=work))
            if len(queue) == 1:
                runner = asyncio.create_task(self._drain(lane))
                self._runners.add(runner)
                runner.add_done_callback(self._runners.discard)
        await asyncio.shield(result)

    async def _drain(self, lane: str) -> None:
        queue = self._waiting[lane]
        while queue:
            delay_ms = min(entry.ready_at for entry in queue) - self._clock.now()
            if delay_ms > 0:
                await self._clock.sleep(delay_ms / 1000)
            entry = min(queue, key=lambda waiting: waiting.rank)
            error: Exception | None = None
            try:
                await entry.work()
            except Exception as raised:  # noqa: BLE001 -- it is handed to whoever waits
                error = raised
            queue.remove(entry)
            self._over(entry, error)
            if error is not None:
                for behind in [waiting for waiting in queue if waiting.rank > entry.rank]:
                    queue.remove(behind)
                    self._over(behind, error)
        del self._waiting[lane]

    def _over(self, entry: _Waiting, error: Exception | None) -> None:
        result = self._results.pop(entry.source)
        if error is None:
            result.set_result(None)
        else:
            result.set_exception(error)
            result.exception()

    @property
    def busy(self) -> bool:
        """Whether something waits or is done now."""
        return bool(self._waiting)

    async def stop(self) -> None:
        """Finish what is under way. May be called twice."""
        while self._runners:
            await asyncio.wait(set(self._runners))
