"""One simulated world: a store that survives, processes that do not, a vendor, customers and operators.

Everything that varies comes from one seed. `run` lives through the kills, switches the faults off, lets time run on
until nothing is left to do, and asks the oracles.
"""

import asyncio
import contextvars
import logging
import random
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import structlog
from structlog.typing import EventDict

from bridge.conversation import Conversation, State, Stream
from bridge.effects import OutKind, Receipt
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import Echoed, Event
from bridge.ids import ConversationId, SourceId
from bridge.ports import AgentTurn, Clock
from bridge.storage import Store, Tx
from tests.simulation import oracles, virtual
from tests.simulation.crash import CrashingStore, Host, Reaper, register
from tests.simulation.people import Client, Desk
from tests.simulation.process import Made, Process, SimAgent, epoch_said
from tests.simulation.scale import DESK, GRACE_S, OPERATORS, SITE, customer
from tests.simulation.vendor import Held, SimDesk, Vendor

QUIET_WITHIN_S = 200.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a world is like. The seed is all that a replay needs."""

    seed: int
    kills: int = 20
    customers: int = 3
    lines: int = 7
    freezes: float = 0.12
    only: str = ""
    """The one point at which to strike; everywhere, if none is named."""


@dataclass(kw_only=True)
class Past:
    """What is known of a conversation from its commits: who owned each epoch, and since when."""

    states: dict[int, State] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    epoch: int = 0
    changed_at: float = 0.0


class World:
    """See above."""

    def __init__(self, plan: Plan, made: Made, store: Store, loop: virtual.VirtualLoop) -> None:
        self.plan, self.made, self.store, self.loop = plan, made, store, loop
        self.chance = random.Random(plan.seed)
        self.clock: Clock = virtual.LoopClock(loop)
        self.reaper = Reaper(chance=random.Random(plan.seed + 1), freezes=plan.freezes, only=plan.only)
        self.vendor = Vendor(chance=random.Random(plan.seed + 2), clock=self.clock, loop=loop, echo=self._echo)
        self.desk = Desk(self)
        self.clients = [
            Client(world=self, conversation=chat, customer=who, lines=plan.lines)
            for chat, who in map(customer, range(1, plan.customers + 1))
        ]
        self.past: dict[ConversationId, Past] = {client.conversation: Past() for client in self.clients}
        self.asked: dict[str, list[AgentTurn]] = {}
        self.problems: list[str] = []
        self.faults = True
        self.process: Process | None = None
        self.hosts: list[Host] = []
        self.deliveries = 0
        self._ids = count(1)
        self._up = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    # --- what the oracles are told

    def fail(self, problem: str) -> None:
        """Keep a broken promise."""
        if problem not in self.problems:
            self.problems.append(problem)

    def may_stream(self, conversation: ConversationId, epoch: int) -> bool:
        """Tell whether text of this epoch may be painted now. What changes at this very moment is still on its way."""
        past = self.past[conversation]
        return past.epoch == epoch or self.loop.time() - past.changed_at <= 0.01

    async def committed(self) -> None:
        """Look at every conversation after a commit: I3, I4, and the stream behind the fence."""

        def unit(tx: Tx) -> list[tuple[Conversation, Stream | None]]:
            rows = [tx.conversation(SITE, client.conversation, lock=False) for client in self.clients]
            return [(row, tx.stream(SITE, row.id)) for row in rows if row is not None]

        for row, stream in await self.store.read(unit):
            past, operator = self.past[row.id], row.operator.id if row.operator else ""
            if row.epoch < past.epoch:
                self.fail(f"I3: the epoch of {row.id} went back to {row.epoch}")
            elif row.epoch == past.epoch:
                if past.states[row.epoch] is not row.state or past.owners[row.epoch] != operator:
                    self.fail(f"I3: {row.id} changed its owner within epoch {row.epoch}")
            else:
                past.epoch, past.changed_at = row.epoch, self.loop.time()
                past.states[row.epoch], past.owners[row.epoch] = row.state, operator
            if stream is not None and stream.open:
                said = epoch_said(stream.text)
                if row.state is not State.AGENT or said not in (0, row.epoch):
                    self.fail(f"I1: an open stream of epoch {said} in {row.id}, which is {row.state} {row.epoch}")

    async def _asked(self, turn: AgentTurn) -> None:
        self.asked.setdefault(turn.turn, []).append(turn)
        await oracles.agent_was_told(self, turn)

    # --- processes

    async def serving(self) -> Process:
        """Wait for a process that serves."""
        while self.process is None:
            await self._up.wait()
        return self.process

    def _start(self) -> None:
        host = Host(self.reaper, self.loop, self._ended)
        self.hosts.append(host)
        number = len(self.hosts)
        chance = random.Random(self.plan.seed * 1000 + number)
        store = CrashingStore(self.store, host, chance, self.committed, lambda: 0.002 if self.faults else 0.0)
        self.process = Process(
            number=number,
            host=host,
            clock=self.clock,
            store=store,
            desk=SimDesk(self.vendor, host),
            agent=SimAgent(host, chance, self._asked, lambda: self.faults),
            mint=lambda prefix: f"{prefix}_{next(self._ids):06d}",
            made=self.made,
            couriers=1 + self.plan.seed % 2,
        )
        self.process.start()
        self._up.set()

    def _ended(self, host: Host) -> None:
        """A process was killed, or stands still: another one takes its place."""
        if host.frozen:
            self.spawn(self._thaw(host))
        if self.process is not None and self.process.host is host:
            self.process = None
            self._up.clear()
            self.spawn(self._restart())

    async def _restart(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.05, 0.8))
        self._start()

    async def _thaw(self, host: Host) -> None:
        await asyncio.sleep(self.chance.choice([1.0, GRACE_S + self.chance.uniform(0.0, 0.8), 8.0]))
        host.thaw()
        await asyncio.sleep(self.chance.uniform(0.5, 4.0))
        host.kill()

    async def _reap(self) -> None:
        while self.reaper.kills < self.plan.kills:
            await asyncio.sleep(self.chance.expovariate(1 / 0.5))
            if self.reaper.wanted is None:
                self.reaper.arm(self.loop.time())

    # --- the network

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run as part of the world, which no kill ends."""
        task = self.loop.create_task(work, context=contextvars.Context())
        self._background.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(f"the world itself broke: {error!r}")

    async def request(self, event: Event) -> Receipt:
        """Bring an event to the process that serves, over a bad network. Raises ConnectionError: not acknowledged."""
        process = await self.serving()
        await asyncio.sleep(self.chance.uniform(0.0, 0.03))
        if not process.host.alive:
            raise ConnectionError
        work = process.host.spawn(process.receive(event))
        await asyncio.wait({work}, timeout=10.0)
        if not work.done():
            work.cancel()
            raise ConnectionError
        error = None if work.cancelled() else work.exception()
        # An answer like any other, also where the process is killed before it gets through.
        if isinstance(error, StoreUnavailable | NotFound) and error in process.host.failures:
            process.host.failures.remove(error)
        if work.cancelled() or not process.host.alive:
            raise ConnectionError
        if error is None:
            if self.faults and self.chance.random() < 0.05:
                raise ConnectionError
            return work.result()
        raise ConnectionError from error

    def deliver(self, event: Event, *, delay_s: float = 0.0) -> None:
        """Deliver as a vendor does: later, again until it is acknowledged, and sometimes once more after that."""
        self.spawn(self._deliver(event, delay_s))

    async def _deliver(self, event: Event, delay_s: float) -> None:
        chance = self.chance
        self.deliveries += 1
        try:
            await asyncio.sleep(delay_s + (chance.uniform(0.0, 0.6) if self.faults else 0.0))
            for _ in range(400):
                try:
                    await self.request(event)
                    break
                except ConnectionError:
                    await asyncio.sleep(chance.choice([0.5, 2.0]))
            else:
                self.fail(f"{type(event).__name__} {event.source} was never acknowledged")
            if self.faults and chance.random() < 0.2:
                await asyncio.sleep(chance.choice([0.01, 0.5, 10.0, 60.0]))
                self.deliveries += 1
                await self._once_more(event)
                self.deliveries -= 1
        finally:
            self.deliveries -= 1

    async def _once_more(self, event: Event) -> None:
        try:
            await self.request(event)
        except ConnectionError:
            return

    def _echo(self, held: Held) -> None:
        if held.kind is OutKind.CARD and held.card is None:
            return
        if self.faults and self.chance.random() < 0.35:
            return
        delay_s = self.chance.choice([0.0, 0.0, 0.1, 1.0, 5.0]) if self.faults else 0.0
        source = SourceId(f"echo:{held.ref}")
        echoed = Echoed(site=SITE, source=source, at=self.clock.now(), desk=DESK, key=held.key, ref=held.ref)
        self.deliver(echoed, delay_s=delay_s)

    # --- a life

    async def live(self) -> None:
        """Be born, live through the kills, calm down."""
        self.loop.on_task = register
        self._start()
        talking = [self.loop.create_task(client.talk()) for client in self.clients]
        watching = [self.loop.create_task(client.watch()) for client in self.clients]
        working = [self.loop.create_task(self.desk.work(operator)) for operator in OPERATORS]
        reaping = self.loop.create_task(self._reap())
        await asyncio.wait({reaping}, timeout=30 if self.plan.only else None)
        reaping.cancel()
        self.reaper.wanted = None
        await asyncio.wait(set(talking), timeout=120)
        self.faults = self.vendor.faults = False
        await asyncio.wait(set(working))
        await self._quiet()
        await oracles.at_rest(self)
        for task in (*talking, *working):
            if not task.done():
                self.fail("I13: somebody was never finished")
            elif (error := task.exception()) is not None:
                self.fail(f"the world itself broke: {error!r}")
        for host in self.hosts:
            for error in host.failures:
                self.fail(f"a process broke: {error!r}")
        for task in watching:
            task.cancel()
        for host in self.hosts:
            host.on_end_ignored()
            host.kill()
        for task in list(self._background):
            task.cancel()

    async def _quiet(self) -> None:
        """Let time run on until nothing is left to do: I13."""
        ends, calm = self.loop.time() + QUIET_WITHIN_S, 0
        counts: Mapping[str, int] = {}
        while self.loop.time() < ends:
            await asyncio.sleep(1.0)
            counts = await self.store.read(lambda tx: tx.counts(self.clock.now()))
            busy = counts["unsent_outs"] or counts["live_turns"] or self.deliveries or self.vendor.busy
            calm = 0 if busy or not await oracles.all_shown(self) else calm + 1
            if calm >= 2:
                return
        watermarks = [client.watermark for client in self.clients]
        self.fail(
            f"I13: unsettled after {QUIET_WITHIN_S:.0f} s without faults: {dict(counts)}, windows at {watermarks}, "
            f"{self.deliveries} deliveries and {self.vendor.busy:d} calls under way"
        )


@asynccontextmanager
async def _store(kind: str) -> AsyncIterator[Store]:
    from adapters.store.opening import open_store
    from bridge.fakes.store import MemoryStore

    store: Store = MemoryStore() if kind == "memory" else await open_store("sqlite+memory://")
    try:
        yield store
    finally:
        await store.close()


def live(plan: Plan, made: Made | None = None, *, store: str = "memory") -> World:
    """Let a world live, on a virtual loop of its own, and return it. `problems` says what was broken."""

    async def life(loop: virtual.VirtualLoop) -> World:
        async with _store(store) as kept:
            world = World(plan, made or Made(), kept, loop)
            await world.live()
            return world

    with _errors_logged() as errors:
        world = virtual.run(life)
    for error in errors:
        world.fail(error)
    return world


EXPECTED = frozenset({"desk_call_failed", "dead_letter", "thread_not_opened"})
"""Errors that the vendor's faults make."""


@contextmanager
def _errors_logged() -> Iterator[list[str]]:
    """Collect what the rooms log as errors: what they survive is not always what they were made for."""
    found: list[str] = []

    def keep(_logger: object, _method: str, event: EventDict) -> EventDict:
        if event["event"] not in EXPECTED:
            found.append(f"logged as an error: {event['event']}: {sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[keep],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield found
    finally:
        structlog.configure(**before)
