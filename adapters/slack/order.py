"""One thing at a time per thread, the earliest first: a slow file must not let a later message overtake.

Slack promises no order and may deliver twice (https://docs.slack.dev/apis/events-api); repeats of what is under way
join it instead of doing it again.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable

Work = Callable[[], Awaitable[None]]


class InOrder:
    """Runs pieces of work, one at a time per lane, the smallest `ts` of those that wait first."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: dict[str, list[tuple[float, int, str, Work]]] = {}
        self._results: dict[str, asyncio.Future[None]] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._count = 0

    async def run(self, lane: str, ts: str, source: str, work: Work) -> None:
        """Do the work in its turn, and return or raise as it does. It goes on even if the caller gives up waiting."""
        result = self._results.get(source)
        if result is None:
            result = self._results[source] = asyncio.get_running_loop().create_future()
            self._count += 1
            queue = self._waiting.setdefault(lane, [])
            heapq.heappush(queue, (float(ts), self._count, source, work))
            if len(queue) == 1:
                runner = asyncio.create_task(self._drain(lane))
                self._runners.add(runner)
                runner.add_done_callback(self._runners.discard)
        await asyncio.shield(result)

    async def _drain(self, lane: str) -> None:
        queue = self._waiting[lane]
        while queue:
            entry = queue[0]
            _, _, source, work = entry
            error: BaseException | None = None
            try:
                await work()
            except Exception as raised:  # noqa: BLE001 -- it is handed to whoever waits
                error = raised
            queue.remove(entry)
            heapq.heapify(queue)
            result = self._results.pop(source)
            if error is None:
                result.set_result(None)
            else:
                result.set_exception(error)
                result.exception()
        del self._waiting[lane]

    async def stop(self) -> None:
        """Finish what is under way. May be called twice."""
        while self._runners:
            await asyncio.wait(set(self._runners))
