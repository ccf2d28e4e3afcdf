"""One process of the bridge: the real rooms over ports that pass crash points. What it holds in memory dies with it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bridge.conversation import TurnKind
from bridge.courier import Courier
from bridge.effects import Receipt
from bridge.events import Event
from bridge.grouping import GroupCommit
from bridge.judging import House
from bridge.ports import (
    Agent,
    AgentReply,
    AgentTurn,
    Clock,
    Delta,
    Desk,
    Done,
    HandOff,
    Message,
    Receive,
    ToolCall,
    Typing,
)
from bridge.showing import Showing
from bridge.storage import Changed, Store
from bridge.switchboard import Switchboard
from bridge.timers import Timers
from bridge.turns import Turns
from tests.simulation.crash import CrashingStore, Host, at_door, door_of
from tests.simulation.scale import GRACE_S, LIMITS, QUEUES, house, pace


@dataclass(frozen=True, kw_only=True)
class Made:
    """Of what a process is made. A mutant replaces one part."""

    switchboard: type[Switchboard] = Switchboard
    courier: type[Courier] = Courier
    turns: type[Turns] = Turns
    timers: type[Timers] = Timers
    showing: type[Showing] = Showing
    grace_s: float = GRACE_S
    store: Callable[[Store], Store] = field(default=lambda store: store)
    deliver: "Callable[[Process, Receive, Event], Awaitable[Receipt]] | None" = None


class Process:
    """Wires the rooms as `bridge.engine` does."""

    def __init__(
        self,
        *,
        number: int,
        host: Host,
        clock: Clock,
        store: CrashingStore,
        desk: Desk,
        agent: Agent,
        mint: Callable[[str], str],
        made: Made,
        couriers: int,
    ) -> None:
        self.number, self.host, self._made = number, host, made
        settings: House = house()
        seen_by = made.store(store)
        self._switchboard = made.switchboard(
            store=seen_by, clock=clock, house=settings, on_change=self._changed, mint=mint
        )
        labels: dict[str, str] = {queue.name: queue.label for queue in QUEUES}
        self._couriers = [
            made.courier(
                store=seen_by,
                desk=desk,
                clock=clock,
                receive=self.receive,
                queue_labels=labels,
                worker=f"p{number}.{lane}",
                pace=pace(),
                grace_ms=round(made.grace_s * 1000),
                # As the engine does where processes share a store.
                settlements=GroupCommit(seen_by) if number % 2 else None,
            )
            for lane in range(couriers)
        ]
        self._turns = made.turns(
            seen_by, agent, self.receive, clock, worker=f"p{number}", triggers=settings.triggers, limits=LIMITS
        )
        self._timers = made.timers(store=seen_by, clock=clock, receive=self.receive)
        self.showing = made.showing(store=seen_by, clock=clock)

    def start(self) -> None:
        """Begin the background work."""
        for job in (self.showing.run(), self._turns.run(), self._timers.run(), *(one.run() for one in self._couriers)):
            self.host.spawn(job)

    def _changed(self, change: Changed) -> None:
        self.showing.changed(change)
        self._turns.wake(change)
        for courier in self._couriers:
            courier.changed(change)

    async def receive(self, event: Event) -> Receipt:
        """The front door, for adapters and for the rooms."""
        door = door_of(event)
        with at_door(door):
            if self._made.deliver is not None:
                receipt = await self._made.deliver(self, self._switchboard.receive, event)
            else:
                receipt = await self._switchboard.receive(event)
        await self.host.point(f"door.{door}.answered")
        return receipt


class SimAgent:
    """An agent as unreliable as its process: streams, says several things, hands over, crashes, hangs.

    Every text says of which run it is. `asked` is told of each run that begins.
    """

    name = "Assistant"

    def __init__(
        self,
        host: Host,
        chance: random.Random,
        asked: Callable[[AgentTurn], Awaitable[None]],
        faults: Callable[[], bool],
    ) -> None:
        self._host, self._chance, self._asked, self._faults = host, chance, asked, faults

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        await self._asked(turn)
        mood = self._chance.random() if self._faults() else 0.0
        if 0.15 < mood < 0.3:
            # It thinks for long, and says in one piece what it thought of: people may have come and gone meanwhile.
            yield Typing()
            await asyncio.sleep(self._chance.uniform(1.0, 8.0))
        count = 1 + (self._chance.random() < 0.15)
        for part in range(count):
            words = f"{run_mark(turn)} {part}"
            async for reply in self._say(words, mood):
                yield reply
        if mood > 0.97:
            await asyncio.sleep(3600)
        if mood > 0.94:
            raise RuntimeError("the agent crashed")
        if mood > 0.92:
            yield ToolCall(name="refund", failed=True)
        if mood > 0.35 and turn.kind is not TurnKind.OPENED:
            document: dict[str, Any] = {"reason": "out_of_scope", "summary": "The agent cannot do this."}
            await self._step()
            yield HandOff(envelope=document | ({"queue": "billing"} if self._chance.random() < 0.4 else {}))
            return
        await self._step()
        yield Done(confidence=0.9)

    async def _say(self, words: str, mood: float) -> AsyncIterator[AgentReply]:
        await self._step()
        if mood > 0.3:
            for piece in words.split():
                yield Delta(text=f"{piece} ")
                await self._step()
        yield Message(text=words)

    async def _step(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.01, 0.2 if self._faults() else 0.02))
        await self._host.point("agent.step")


def run_mark(turn: AgentTurn) -> str:
    """Return the words by which a text of the agent is known: kind of run, turn, epoch, attempt."""
    return f"agent-{turn.kind.value} {turn.turn} e{turn.epoch} a{turn.attempt}"


def epoch_said(text: str) -> int:
    """Return the epoch in which the run began that made this text, or 0 if the text is not whole enough to tell."""
    words = text.split()
    return int(words[2][1:]) if len(words) > 3 and words[2].startswith("e") else 0
