"""One storm: people talk, Slack misbehaves, processes are killed and started again, PostgreSQL too, and in the end all
is counted.
"""

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
from tests.postgres import Postgres

GRACE_S = 3
"""G of the bridge under test; its call timeout shrinks with it."""
CALLS = ("rate_limited", "http_500_before", "http_500_after", "drop_before", "drop_after")
EVENTS = {"duplicate": 0.1, "duplicate_new_id": 0.05, "delay": 0.1}
SETTLED_WITHIN_S = 120.0
KILLS_A_ROUND = 10
AT_ONCE = (1, 1, 1, 1, 1, 1, 1, 2, 2, 99)
"""How many processes of a fleet are killed in the same moment: mostly one, sometimes two, once in ten times all."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is counted. `customers` and `operators` name the direction from which the lines come.

    `restart_ms_*`: from the start of a process that was killed until it is ready. `outage_ms_*`: from the end of
    PostgreSQL until all processes that were not killed are ready again.
    """

    kills: int
    processes: int
    database_restarts: int
    seconds: float
    customers: Count
    operators: Count
    restart_ms_median: float
    restart_ms_max: float
    outage_ms_median: float
    outage_ms_max: float

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
    folder: Path,
    kills: int,
    *,
    processes: int = 1,
    server: Postgres | None = None,
    database_restarts: int = 0,
    talks: int = 4,
    seed: int = 1,
    on_kill: Callable[[int, int], None] = lambda _kills, _restarts: None,
) -> Result:
    """Let it rage over one process on SQLite, or over several on a database of `server`; every ten kills over new
    conversations. `on_kill` is told how many kills and restarts of the database there were. Raises TimeoutError if the
    bridge does not come back.
    """
    began = time.monotonic()
    extra = {"HANDOFF_UNCLEAR_GRACE_S": str(GRACE_S)}
    url = server.ready_url() if server is not None else ""
    async with World(folder, extra=extra, processes=processes, database_url=url, balanced=processes > 1) as world:
        raging = _Raging(world, server, chance=random.Random(seed), on_kill=on_kill)
        customers, operators = Count(), Count()
        for done in range(0, kills, KILLS_A_ROUND):
            until = min(done + KILLS_A_ROUND, kills)
            people = [
                Talk(world=world, number=done * talks + n, operator=(DANA, LEE)[n % 2], chance=raging.chance)
                for n in range(1, talks + 1)
            ]
            asked, answered = await raging.over(people, kills=until, crashes=until * database_restarts // kills)
            customers, operators = customers + asked, operators + answered
    return Result(
        kills=len(raging.restarts_ms),
        processes=processes,
        database_restarts=len(raging.outages_ms),
        seconds=round(time.monotonic() - began, 1),
        customers=customers,
        operators=operators,
        restart_ms_median=round(statistics.median(raging.restarts_ms), 1),
        restart_ms_max=round(max(raging.restarts_ms), 1),
        outage_ms_median=round(statistics.median(raging.outages_ms or [0]), 1),
        outage_ms_max=round(max(raging.outages_ms or [0]), 1),
    )


class _Raging:
    """The storm over one world: what it did so far, and what it does next."""

    def __init__(
        self, world: World, server: Postgres | None, *, chance: random.Random, on_kill: Callable[[int, int], None]
    ) -> None:
        self._world, self._server, self.chance, self._on_kill = world, server, chance, on_kill
        self.restarts_ms: list[float] = []
        self.outages_ms: list[float] = []

    async def over(self, people: list[Talk], *, kills: int, crashes: int) -> tuple[Count, Count]:
        """Begin some conversations; kill, and crash the database, until there were so many; let all arrive, count."""
        await asyncio.gather(*(talk.begin() for talk in people))
        staying = [asyncio.create_task(talk.stay()) for talk in people]
        talking = [asyncio.create_task(work) for talk in people for work in (talk.ask(), talk.answer())]
        try:
            await _switch_faults_on(self._world)
            await self._rage(talking, kills=kills, crashes=crashes)
            await self._world.slack.clear_faults()
            await _end(talking)
            await _settle(self._world, people)
            return await _count(self._world, people)
        finally:
            await _end([*talking, *staying])
            for talk in people:
                await talk.customer.close()

    async def _rage(self, talking: list[asyncio.Task[None]], *, kills: int, crashes: int) -> None:
        while (left := kills - len(self.restarts_ms)) > 0:
            crashes_left = crashes - len(self.outages_ms)
            await self._strike(left, crash=crashes_left > 0 and self.chance.random() < crashes_left / left)
            for task in talking:
                assert not task.done(), task.exception()
            self._on_kill(len(self.restarts_ms), len(self.outages_ms))

    async def _strike(self, most: int, *, crash: bool) -> None:
        """Kill at a random moment, sometimes right after the start; start again what was killed."""
        world, everyone = self._world, range(len(self._world.bridges))
        await asyncio.sleep(self.chance.choice([0.05, 0.5, 1.0, 2.0, 4.0]))
        many = min(most, len(everyone), self.chance.choice(AT_ONCE))
        victims = self.chance.sample(everyone, many)
        await asyncio.gather(*(world.bridges[number].kill() for number in victims))
        if crash:
            await self._crash([number for number in everyone if number not in victims])
        await asyncio.gather(*(self._start(number) for number in victims))

    async def _start(self, number: int) -> None:
        began = time.monotonic()
        await self._world.start_bridge(number)
        self.restarts_ms.append((time.monotonic() - began) * 1000)

    async def _crash(self, survivors: list[int]) -> None:
        """End PostgreSQL without a shutdown, start it, and wait until those who lived through it are ready again."""
        assert self._server is not None
        began = time.monotonic()
        await asyncio.to_thread(self._server.restart)
        for number in survivors:
            await self._world.until_ready(number)
        self.outages_ms.append((time.monotonic() - began) * 1000)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel what runs, and raise what it had failed with before."""
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [error for error in ended if error is not None and not isinstance(error, asyncio.CancelledError)]
    assert not broken, broken


async def _switch_faults_on(world: World) -> None:
    for kind in CALLS:
        await world.slack.fault("chat.postMessage", kind, times=-1, probability=0.03)
    for kind, probability in EVENTS.items():
        await world.slack.fault("events", kind, times=-1, probability=probability, after_s=0.2)


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
