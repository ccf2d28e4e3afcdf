"""Work that only one process of a fleet does: whoever holds a named lease does it, for as long as it holds it.

The store says who holds what, by its own time. A holder also counts for itself, by a clock that nobody sets: if it was
frozen or cannot reach the store it stops before another may begin.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bridge import log as logs
from bridge.errors import StoreUnavailable
from bridge.ids import SiteId
from bridge.ports import Clock
from bridge.storage import Store

log = logs.get(__name__)
LEASE_S = 8.0
ROUNDS = 3
"""A holder asks again so many times within its lease; who waits for it asks as often."""

Work = Callable[[], Awaitable[None]]


class Lease:
    """One named lease, and the work that goes with it.

    Without a store nobody else can want it: it is held from the start to the stop.
    """

    def __init__(
        self,
        name: str,
        *,
        site: SiteId,
        worker: str,
        clock: Clock,
        store: Store | None = None,
        lease_s: float = LEASE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`worker` names this process and must be its own. `monotonic` tells seconds, and is never set."""
        self.name, self._site, self._worker = name, site, worker
        self._clock, self._store, self._lease_s, self._monotonic = clock, store, lease_s, monotonic
        self._until_s = float("-inf")
        self._stop = asyncio.Event()
        self.is_known = False
        """Whether the store has said once who holds it."""

    @property
    def held(self) -> bool:
        """Whether this process may do the work now."""
        return self._monotonic() < self._until_s

    async def take(self) -> bool:
        """Take it once, for its length: True if it was free. False: somebody has it, this process too, or the store is
        away.
        """
        if self.held:
            return False
        await self._ask()
        return self.held

    async def keep(self, work: Work) -> None:
        """Do the work whenever the lease can be had, until `stop` or cancelled. Call it once.

        `work` begins anew each time the lease is gained, and is cancelled at once when it is lost; what it raises is
        logged, and the lease given back for a while, so that another process may try.
        """
        doing: asyncio.Future[None] | None = None
        try:
            while not self._stop.is_set():
                await self._ask()
                if doing is not None and (doing.done() or not self.held):
                    await self._end(doing)
                    doing = None
                elif doing is None and self.held:
                    log.info("lease_gained", lease=self.name)
                    doing = asyncio.ensure_future(work())
                await self._rest(doing)
        finally:
            if doing is not None:
                await _over(doing)
            await self._drop()

    def stop(self) -> None:
        """End the work, give the lease back, end `keep`. Returns at once; may be called twice."""
        self._stop.set()

    # --- one round

    async def _ask(self) -> None:
        """Take or keep it. While the store does not answer, what was held lasts as long as it was given for."""
        if self._store is None:
            self._until_s, self.is_known = float("inf"), True
            return
        asked_s = self._monotonic()
        if await self._first(asyncio.ensure_future(self._hold(self._store)), self._left_s()):
            self._until_s = asked_s + self._lease_s

    async def _hold(self, store: Store) -> bool:
        lease_ms = int(self._lease_s * 1000)
        try:
            got = await store.run(
                lambda tx: tx.hold_lease(self._site, self.name, self._worker, self._clock.now(), lease_ms)
            )
        except StoreUnavailable:
            return False
        self.is_known = True
        if not got:
            self._until_s = float("-inf")
        return got

    def _left_s(self) -> float:
        """Return how long an answer is worth waiting for: until the lease is over, or one could be gained."""
        left_s = self._until_s - self._monotonic()
        return left_s if left_s > 0 else self._lease_s

    async def _rest(self, doing: "asyncio.Future[None] | None") -> None:
        """Wait for the next round, the end of the lease, of the work or of everything, whichever comes first."""
        rest_s = self._lease_s / ROUNDS
        if doing is not None:
            rest_s = min(rest_s, max(0.0, self._until_s - self._monotonic()))
        others: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._stop.wait())]
        others.append(asyncio.ensure_future(self._clock.sleep(rest_s)))
        waiting: set[asyncio.Future[Any]] = {*others, *([doing] if doing else [])}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in others:
                future.cancel()

    async def _first(self, answer: "asyncio.Future[bool]", within_s: float) -> bool:
        nap: asyncio.Future[Any] = asyncio.ensure_future(self._clock.sleep(within_s))
        waiting: set[asyncio.Future[Any]] = {answer, nap}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return answer.done() and answer.result()
        finally:
            answer.cancel()
            nap.cancel()

    async def _end(self, doing: "asyncio.Future[None]") -> None:
        if doing.done():
            error = None if doing.cancelled() else doing.exception()
            log.error("leased_work_ended", lease=self.name, error=type(error).__name__, exc_info=error)
            await self._drop()
        else:
            log.warning("lease_lost", lease=self.name)
            await _over(doing)

    async def _drop(self) -> None:
        self._until_s = float("-inf")
        if self._store is not None:
            # Who cannot be told finds it over by itself.
            drop = self._store.run(lambda tx: tx.drop_lease(self._site, self.name, self._worker))
            await self._first(asyncio.ensure_future(_told(drop)), 1.0)


async def _told(drop: Awaitable[None]) -> bool:
    try:
        await drop
    except StoreUnavailable:
        return False
    return True


async def _over(doing: "asyncio.Future[None]") -> None:
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
