"""A crowd: several processes on one PostgreSQL, customers and Slack reach any of them line by line, all is counted."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import DANA, SUPPORT, more_channel
from tests.chaos.traffic import Count, Talk, count
from tests.journeys.races import StreamingAgent, take_over
from tests.journeys.world import Customer, World

CHANNELS = (SUPPORT, *(more_channel(number) for number in range(1, 16)))
PAUSE_S = (2.0, 4.0)
"""Between two lines of one person. Two that an operator sends to different processes keep their order unless one of
these is later than the other by the pause.
"""
ARRIVED_WITHIN_S = 120.0
GRACE_S = 5


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is counted. `posted` and `received`: of each process, the posts it sent, and what reached its front door."""

    seconds: float
    customers: Count
    operators: Count
    posted: tuple[int, ...]
    received: tuple[int, ...]

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


@dataclass(kw_only=True)
class Line(Talk):
    """A conversation in which each line goes to a process at random."""

    each: int
    said: Callable[[], None]

    async def begin(self) -> None:
        """Open the chat; let Dana take it. `find` finds the thread."""
        self.customer = Customer(self.world, user=f"dl_kim{self.number}", name=self.name)
        self.customer.posts_at = self.customer.streams_at = self.chance.choice(self.world.urls)
        await self.customer.open()
        await take_over(self.world, self.customer, self.chance.randrange(len(self.world.urls)))
        await self.customer.sees("joined the chat", within_s=60)

    def find(self, state: State) -> bool:
        """Look for the thread; return whether it is known."""
        for channel in CHANNELS if not self.root else ():
            for root in state.roots(channel):
                if self.name in json.dumps(root):
                    self.root, self.channel = root["ts"], channel
        return bool(self.root)

    async def ask(self) -> None:
        """Write so many lines, each to any process."""
        for number in range(1, self.each + 1):
            await asyncio.sleep(self.chance.uniform(*PAUSE_S))
            self.customer.posts_at = self.chance.choice(self.world.urls)
            word = f"c{self.number}-{number}."
            await self.customer.say(f"my line {word}")
            self.asked.append(word)
            self.said()

    async def answer(self) -> None:
        """Reply so many times; the balancer chooses the process."""
        for number in range(1, self.each + 1):
            await asyncio.sleep(self.chance.uniform(*PAUSE_S))
            word = f"r{self.number}-{number}."
            await self.world.slack.say(self.operator, f"my reply {word}", channel=self.channel, thread_ts=self.root)
            self.answered.append(word)
            self.said()


async def crowd(
    folder: Path,
    database_url: str,
    *,
    lines: int,
    talks: int,
    processes: int = 8,
    seed: int = 1,
    on_line: Callable[[], None] = lambda: None,
) -> Result:
    """Let so many lines or a few more be said, half by customers, half by operators, in so many conversations."""
    chance, began = random.Random(seed), time.monotonic()
    toml = f'[[queues]]\nname = "support"\nchannels = {json.dumps(CHANNELS)}\n'
    async with (
        StreamingAgent.running() as agent,
        World(
            folder,
            mode="http",
            toml=toml,
            extra={"HANDOFF_UNCLEAR_GRACE_S": str(GRACE_S)},
            own=agent.settings,
            processes=processes,
            database_url=database_url,
            balanced=True,
            more_channels=len(CHANNELS) - 1,
        ) as world,
    ):
        each = -(-lines // (talks * 2))
        people = [
            Line(world=world, number=1000 + n, operator=DANA, chance=chance, each=each, said=on_line)
            for n in range(talks)
        ]
        await _all(talk.begin() for talk in people)
        await _until(world, lambda state: all(talk.find(state) for talk in people))
        await _all(work for talk in people for work in (talk.ask(), talk.answer()))
        await _until(world, lambda state: all(talk.settled(state) for talk in people))
        # What another process would send again it sends when the lease of its lane, G, is over.
        await asyncio.sleep(GRACE_S + 1)
        state = await world.slack.state()
        result = Result(
            seconds=round(time.monotonic() - began, 1),
            customers=sum((count(talk.asked, talk.in_thread(state)) for talk in people), Count()),
            operators=sum((count(talk.answered, talk.on_screen()) for talk in people), Count()),
            posted=_told(world, "sent"),
            received=_told(world, "received"),
        )
        await _all(talk.customer.close() for talk in people)
    return result


async def _all(works: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*works)


async def _until(world: World, everything: Callable[[State], bool]) -> None:
    """Ask now and then whether everything is there. What lacks after a long while is counted."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + ARRIVED_WITHIN_S
    while loop.time() < ends:
        if everything(await world.slack.state()):
            break
        await asyncio.sleep(1)


def _told(world: World, event: str) -> tuple[int, ...]:
    """Return how often each process logged this."""
    return tuple(len(bridge.logged(event)) for bridge in world.bridges)
