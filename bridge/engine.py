"""The core at work: the rooms of this package joined to one another and to the ports they are given, with one start and
one stop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge import log as logs
from bridge.courier import Courier
from bridge.effects import Receipt
from bridge.errors import StoreUnavailable
from bridge.events import Event
from bridge.ids import DeskName, mint
from bridge.judging import House
from bridge.lookup import StoreLookup
from bridge.meters import Meter, unmetered
from bridge.pacing import Pace
from bridge.ports import Agent, Clock, Desk
from bridge.showing import Showing
from bridge.storage import Changed, Store
from bridge.switchboard import Switchboard
from bridge.timers import Timers
from bridge.turns import Turns

log = logs.get(__name__)
STOP_WITHIN_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineParts:
    """The ports that an engine joins."""

    store: Store
    clock: Clock
    house: House
    agent: Agent
    worker: str = field(default_factory=lambda: mint("w"))
    grace_ms: int = 15_000
    pace: Pace = field(default_factory=Pace)
    couriers_per_desk: int = 4
    meter: Meter = unmetered


class Engine:
    """Owns the background work of one process: couriers, turns, timers, the reader behind the windows.

    Made without desks, since a desk adapter itself needs the front door: `receive` works at once, `start` takes the
    desks.
    """

    def __init__(self, parts: EngineParts) -> None:
        """Join what needs no desk."""
        self._parts = parts
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._couriers: list[Courier] = []
        self.switchboard = Switchboard(
            store=parts.store, clock=parts.clock, house=parts.house, on_change=self.changed, meter=parts.meter
        )
        self.lookup = StoreLookup(parts.store, parts.house.directory)
        self.showing = Showing(store=parts.store, clock=parts.clock)
        self.turns = Turns(
            store=parts.store,
            agent=parts.agent,
            receive=self._deliver,
            clock=parts.clock,
            worker=parts.worker,
            triggers=parts.house.triggers,
            meter=parts.meter,
        )
        self.timers = Timers(store=parts.store, clock=parts.clock, receive=self._deliver)

    async def receive(self, event: Event) -> Receipt:
        """The front door for adapters. Raises StoreUnavailable while draining: the sender comes again, to the next
        process.

        What this process has begun itself (a turn, a rung) still gets through, so that it can end.
        """
        if self._draining:
            raise StoreUnavailable("this process is stopping; send it again")
        return await self._deliver(event)

    async def _deliver(self, event: Event) -> Receipt:
        receipt = await self.switchboard.receive(event)
        log.info(
            "received",
            event_kind=type(event).__name__,
            status=receipt.status,
            conversation=receipt.conversation,
            n=receipt.n,
            ticket=receipt.ticket,
        )
        return receipt

    def changed(self, change: Changed) -> None:
        """Pass a hint on to whoever may have work now."""
        self.showing.changed(change)
        self.turns.wake(change)
        for courier in self._couriers:
            courier.changed(change)

    def start(self, desks: Sequence[Desk]) -> None:
        """Begin the background work. Must be called in the running loop, once."""
        by_name: Mapping[DeskName, Desk] = {desk.name: desk for desk in desks}
        self.showing.desks.update(by_name)
        labels: dict[str, str] = {queue.name: queue.label for queue in self._parts.house.directory.queues}
        for desk in desks:
            self._couriers += [
                Courier(
                    store=self._parts.store,
                    desk=desk,
                    clock=self._parts.clock,
                    receive=self._deliver,
                    queue_labels=labels,
                    worker=f"{self._parts.worker}.{number}",
                    pace=self._parts.pace,
                    grace_ms=self._parts.grace_ms,
                )
                for number in range(self._parts.couriers_per_desk)
            ]
        jobs = [self.showing.run(), self.turns.run(), self.timers.run(), *(courier.run() for courier in self._couriers)]
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(_report_end)

    @property
    def running(self) -> bool:
        """Whether all background work is alive."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Refuse new events, finish what is at hand, end. May be called twice."""
        self._draining = True
        await self.turns.stop()
        await self.timers.stop()
        await self.showing.stop()
        for courier in self._couriers:
            await courier.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


def _report_end(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background_work_ended", error=type(error).__name__, exc_info=error)
