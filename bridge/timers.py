"""Due rungs: once-only work, fired through the front door. A timer is a row; the door drops
it in the transaction that keeps what it fires.
"""

import asyncio

from bridge import log as logs
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import RungDue
from bridge.ids import SourceId
from bridge.ports import Clock, Receive
from bridge.storage import DueTimer, Store

log = logs.get(__name__)
SWEEP_S = 1.0


class Timers:
    """Fires what is due. Several processes may: the key (handoff, rung, due time) makes each count once."""

    def __init__(self, *, store: Store, clock: Clock, receive: Receive) -> None:
        """Take the ports."""
        self._store, self._clock, self._receive = store, clock, receive
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Look every second, until `stop`."""
        while not self._stopping.is_set():
            try:
                await self.step()
            except StoreUnavailable:
                log.warning("store_unavailable")
            await self._rest()

    async def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def _rest(self) -> None:
        rest, stopping = asyncio.ensure_future(self._clock.sleep(SWEEP_S)), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({rest, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rest.cancel()
            stopping.cancel()

    async def step(self) -> int:
        """Fire what is due now; return how many."""
        now = self._clock.now()
        due = await self._store.read(lambda tx: tx.due_timers(now))
        for timer in due:
            await self._fire(timer)
        return len(due)

    async def _fire(self, timer: DueTimer) -> None:
        event = RungDue(
            site=timer.site,
            source=SourceId(f"rung:{timer.handoff}:{timer.rung}:{timer.due_at}"),
            at=timer.due_at,
            handoff=timer.handoff,
            rung=timer.rung,
        )
        try:
            receipt = await self._receive(event)
            log.info("rung_fired", handoff=timer.handoff, rung=timer.rung, status=receipt.status)
        except NotFound:
            log.warning("rung_without_handoff", handoff=timer.handoff, rung=timer.rung)
            await self._store.run(lambda tx: tx.drop_timer(timer.site, timer.handoff, timer.rung))
        except StoreUnavailable:
            raise
        except Exception:
            # It stays due and is tried again; the others must not wait for it.
            log.exception("rung_failed", handoff=timer.handoff, rung=timer.rung)
