"""Breadth-first search through every world that the bounds allow; the first breach found has the shortest history."""

import time
from collections import deque
from dataclasses import dataclass

from tests.model.invariants import Step, broken
from tests.model.machine import Machine, Rules
from tests.model.moves import Bounds, do, moves
from tests.model.world import Happening, World


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search saw. `breach` is "" where every step kept every invariant."""

    states: int
    steps: int
    decisions: int
    depth: int
    cpu_s: float
    breach: str = ""
    trace: tuple[Happening, ...] = ()

    def __str__(self) -> str:
        """Say it in one line, and a breach with its history."""
        told = f"{self.states} states, {self.steps} steps, {self.decisions} decisions, {self.depth} deep"
        told += f", {self.cpu_s:.1f} s"
        return told if not self.breach else f"{self.breach}\n  " + "\n  ".join(map(str, self.trace))


def search(bounds: Bounds, rules: Rules | None = None, start: World | None = None, limit: int = 3_000_000) -> Found:
    """Visit every world within the bounds once. Raises MemoryError beyond `limit` states: bounds are to be finite."""
    began = time.process_time()
    machine = Machine(rules or Rules())
    first = start or World()
    parents: dict[World, tuple[World, Happening] | None] = {first: None}
    waiting = deque([(first, 0)])
    steps = depth = 0

    def found(breach: str = "", trace: tuple[Happening, ...] = ()) -> Found:
        return Found(
            states=len(parents),
            steps=steps,
            decisions=machine.decisions,
            depth=depth,
            cpu_s=time.process_time() - began,
            breach=breach,
            trace=trace,
        )

    while waiting:
        world, depth = waiting.popleft()
        for again in world.seen:
            steps += 1
            after, _ = machine.receive(world, again)
            if after is not world:
                return found(f"I7, I17: {again} came again and had another effect", (*_history(parents, world), again))
        for happening in moves(world, bounds):
            steps += 1
            after, outcome = do(machine, world, happening, bounds)
            if breach := broken(Step(world, happening, after, outcome, machine.rules)):
                return found(breach, (*_history(parents, world), happening))
            if after not in parents:
                parents[after] = (world, happening)
                waiting.append((after, depth + 1))
        if len(parents) > limit:
            raise MemoryError(f"more than {limit} states: narrow the bounds")
    return found()


def _history(parents: dict[World, tuple[World, Happening] | None], world: World) -> tuple[Happening, ...]:
    told: list[Happening] = []
    while (before := parents[world]) is not None:
        world, happening = before
        told.append(happening)
    return tuple(reversed(told))
