"""One storm: people talk, Slack misbehaves, the bridge is killed and started again, and in the end all is counted."""

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.sandbox.slack.people import DANA, LEE
from tests.chaos.traffic import Count, Talk, count
from tests.journeys.world import World

GRACE_S = 3
"""G of the bridge under test; its call timeout shrinks with it."""
CALLS = ("rate_limited", "http_500_before", "http_500_after", "drop_before", "drop_after")
EVENTS = {"duplicate": 0.1, "duplicate_new_id": 0.05, "delay": 0.1}
SETTLED_WITHIN_S = 120.0
KILLS_A_ROUND = 10


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is counted. `customers` and `operators` name the direction from which the lines come."""

    kills: int
    seconds: float
    customers: Count
    operators: Count
    restart_ms_median: float
    restart_ms_max: float

    @property
    def clean(self) -> bool:
        """Whether every line arrived once, in order."""
        both = self.customers + self.operators
        return both.said > 0 and both.lost == both.doubled == both.out_of_order == 0

    def flat(self) -> dict[str, Any]:
        """Return it as one flat object."""
        found: dict[str, Any] = {}
        for name, value in asdict(self).items():
            found |= {f"{name}_{part}": n for part, n in value.items()} if isinstance(value, dict) else {name: value}
        return found


async def storm(
    folder: Path, kills: int, *, talks: int = 4, seed: int = 1, on_kill: Callable[[int], None] = lambda _: None
) -> Result:
    """Let it rage, every ten kills over new conversations. Raises TimeoutError if the bridge does not come back."""
    chance, began = random.Random(seed), time.monotonic()
    customers, operators, restarts = Count(), Count(), list[float]()
    async with World(folder, extra={"HANDOFF_UNCLEAR_GRACE_S": str(GRACE_S)}) as world:
        for done in range(0, kills, KILLS_A_ROUND):
            people = [
                Talk(world=world, number=done * talks + n, operator=(DANA, LEE)[n % 2], chance=chance)
                for n in range(1, talks + 1)
            ]
            more = min(KILLS_A_ROUND, kills - done)
            asked, answered = await _round(world, people, kills=more, chance=chance, restarts=restarts, on_kill=on_kill)
            customers, operators = customers + asked, operators + answered
    return Result(
        kills=len(restarts),
        seconds=round(time.monotonic() - began, 1),
        customers=customers,
        operators=operators,
        restart_ms_median=round(statistics.median(restarts), 1),
        restart_ms_max=round(max(restarts), 1),
    )


async def _round(
    world: World,
    people: list[Talk],
    *,
    kills: int,
    chance: random.Random,
    restarts: list[float],
    on_kill: Callable[[int], None],
) -> tuple[Count, Count]:
    """Begin some conversations, kill, let all arrive, count."""
    for talk in people:
        await talk.begin()
    staying = [asyncio.create_task(talk.stay()) for talk in people]
    talking = [asyncio.create_task(work) for talk in people for work in (talk.ask(), talk.answer())]
    await _switch_faults_on(world)
    for _ in range(kills):
        await _kill(world, chance, restarts)
        for task in talking:
            assert not task.done(), task.exception()
        on_kill(len(restarts))
    await world.slack.request("DELETE", "/sandbox/faults")
    for task in talking:
        task.cancel()
    ended = await asyncio.gather(*talking, return_exceptions=True)
    broken = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
    assert not broken, broken
    await _settle(world, people)
    counted = await _count(world, people)
    for task in staying:
        task.cancel()
    await asyncio.gather(*staying, return_exceptions=True)
    for talk in people:
        await talk.customer.close()
    return counted


async def _switch_faults_on(world: World) -> None:
    for kind in CALLS:
        fault: dict[str, Any] = {"target": "chat.postMessage", "kind": kind, "times": -1, "probability": 0.03}
        await world.slack.request("POST", "/sandbox/faults", fault)
    for kind, probability in EVENTS.items():
        fault = {"target": "events", "kind": kind, "times": -1, "probability": probability, "after_s": 0.2}
        await world.slack.request("POST", "/sandbox/faults", fault)


async def _kill(world: World, chance: random.Random, restarts: list[float]) -> None:
    """Kill at a random moment, sometimes right after the start; keep how long it was away, in ms."""
    await asyncio.sleep(chance.choice([0.05, 0.5, 1.0, 2.0, 4.0]))
    await world.bridge.kill()
    began = time.monotonic()
    await world.start_bridge()
    restarts.append((time.monotonic() - began) * 1000)


async def _settle(world: World, people: list[Talk]) -> None:
    """Wait until all has arrived, or the time is over: what then lacks is counted as lost."""
    ends = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < ends:
        state = await world.slack.state()
        if all(talk.settled(state) for talk in people):
            break
        await asyncio.sleep(0.5)
    # What comes twice comes late: a repeat would be on its way for a grace, a look and a second.
    await asyncio.sleep(2 * GRACE_S)


async def _count(world: World, people: list[Talk]) -> tuple[Count, Count]:
    state = await world.slack.state()
    asked, answered = Count(), Count()
    for talk in people:
        asked += count(talk.asked, talk.in_thread(state))
        answered += count(talk.answered, talk.on_screen())
    return asked, answered
