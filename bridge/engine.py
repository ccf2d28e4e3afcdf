"""The core at work: the rooms of this package joined to one another and to the ports they are given, with one start and
one stop.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge import log as logs
from bridge.courier import Courier
from bridge.effects import Receipt
from bridge.errors import StoreUnavailable
from bridge.events import Event
from bridge.grouping import GroupCommit
from bridge.hints import Hints
from bridge.ids import DeskName, SiteId, mint
from bridge.judging import House
from bridge.leases import Lease
from bridge.lookup import StoreLookup
from bridge.meters import Meter, unmetered
from bridge.pacing import Pace
from bridge.ports import Agent, Clock, Desk
from bridge.presence import PresenceWatch
from bridge.retention import Retention
from bridge.showing import Showing
from bridge.storage import Changed, Store
from bridge.switchboard import Switchboard
from bridge.timers import Timers
from bridge.turns import Turns

log = logs.get(__name__)
STOP_WITHIN_S = 4.0
TURNS_END_WITHIN_S = 3.0
"""How long a stop lets the agent finish: most turns end by then, and what is given back begins anew elsewhere, which
the customer sees.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What is wrong with this process, by a constant name and in a sentence. `serves`: it works all the same."""

    name: str
    says: str
    serves: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineParts:
    """The ports that an engine joins.

    `shared`: other processes work on the store too, so what one process is enough for goes by leases. `reports` tell
    what is wrong with the parts around it. `paces` are those of desks that take more or less than Slack.
    """

    store: Store
    clock: Clock
    house: House
    agent: Agent
    worker: str = field(default_factory=lambda: mint("w"))
    grace_ms: int = 15_000
    paces: Mapping[DeskName, Pace] = field(default_factory=dict)
    meter: Meter = unmetered
    site: SiteId = SiteId("main")
    hints: Hints | None = None
    shared: bool = False
    reports: Sequence[Callable[[], Trouble | None]] = ()


class Engine:
    """Owns the background work of one process: couriers, turns, timers, the reader behind the windows.

    Made without desks, since a desk adapter itself needs the front door: `receive` works at once, `start` takes the
    desks.
    """

    def __init__(self, parts: EngineParts) -> None:
        """Join what needs no desk."""
        self._parts = parts
        self._draining = False
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._couriers: list[Courier] = []
        self.switchboard = Switchboard(
            store=parts.store, clock=parts.clock, house=parts.house, on_change=self.changed, meter=parts.meter
        )
        self.lookup = StoreLookup(parts.store, parts.house.directory, parts.clock)
        self.showing = Showing(store=parts.store, clock=parts.clock)
        self.turns = Turns(
            store=parts.store,
            agent=parts.agent,
            receive=self._deliver,
            clock=parts.clock,
            worker=parts.worker,
            triggers=parts.house.triggers,
            meter=parts.meter,
            on_change=self.changed,
        )
        self._presence = PresenceWatch(
            attendance=self.showing.attendance, store=parts.store, clock=parts.clock, receive=self._deliver
        )
        self.timers = Timers(store=parts.store, clock=parts.clock, receive=self._deliver)
        self._retention = Retention(store=parts.store, clock=parts.clock)
        self._retaining = self.lease("retention")

    def lease(self, name: str) -> Lease:
        """Return a lease for work that one process of all is enough for."""
        parts = self._parts
        return Lease(
            name,
            site=parts.site,
            worker=parts.worker,
            clock=parts.clock,
            store=parts.store if parts.shared else None,
        )

    async def receive(self, event: Event) -> Receipt:
        """The front door for adapters. Raises StoreUnavailable once `stop` was called: the sender comes again, to the
        next process.

        What this process has begun itself (a turn, a rung) still gets through, so that it can end.
        """
        if self._closed:
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
        """Pass a hint on to whoever may have work now, here and in other processes."""
        self._heard(change)
        if self._parts.hints is not None:
            self._parts.hints.say(change)

    def _heard(self, change: Changed) -> None:
        self.showing.changed(change)
        self.turns.wake(change)
        for courier in self._couriers:
            courier.changed(change)

    def start(self, desks: Sequence[Desk]) -> None:
        """Begin the background work. Must be called in the running loop, once."""
        if self._parts.hints is not None:
            self._parts.hints.hear(self._heard)
        by_name: Mapping[DeskName, Desk] = {desk.name: desk for desk in desks}
        self.showing.desks.update(by_name)
        labels: dict[str, str] = {queue.name: queue.label for queue in self._parts.house.directory.queues}
        for desk in desks:
            self._couriers.append(
                Courier(
                    store=self._parts.store,
                    desk=desk,
                    clock=self._parts.clock,
                    receive=self._deliver,
                    queue_labels=labels,
                    worker=self._parts.worker,
                    pace=self._parts.paces.get(desk.name, Pace()),
                    grace_ms=self._parts.grace_ms,
                    others=by_name,
                    settlements=GroupCommit(self._parts.store) if self._parts.shared else None,
                )
            )
        jobs = [
            self.showing.run(),
            self.turns.run(),
            self.timers.run(),
            self._presence.run(),
            self._retaining.keep(self._retention.run),
            *(courier.run() for courier in self._couriers),
        ]
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(_report_end)

    @property
    def running(self) -> bool:
        """Whether all background work is alive."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def draining(self) -> bool:
        """Whether this process is on its way out: send new work elsewhere."""
        return self._draining

    def troubles(self) -> list[Trouble]:
        """Return what is wrong with this process now, the worst first. Asks nobody."""
        found: list[Trouble | None] = []
        if self._draining:
            found.append(Trouble(name="draining", says="this process is stopping"))
        elif self._tasks and not self.running:
            says = "background work has ended; see the log, then restart the process"
            found.append(Trouble(name="background", says=says))
        found += [report() for report in self._parts.reports]
        return sorted((trouble for trouble in found if trouble is not None), key=lambda trouble: trouble.serves)

    def say_draining(self) -> None:
        """Let `troubles` say that this process stops. It works on."""
        self._draining = True

    async def drain(self) -> None:
        """Begin no more turns, let running ones end within 3 s or give them to another process, give leases back.

        What comes in is still received, and sent. May be called twice.
        """
        self.say_draining()
        self._retaining.stop()
        await self.turns.stop(TURNS_END_WITHIN_S)

    async def stop(self) -> None:
        """Drain, refuse new events, finish what is at hand, end. May be called twice."""
        await self.drain()
        self._closed = True
        await self.timers.stop()
        await self._presence.stop()
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
