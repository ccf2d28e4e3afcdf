"""People who go on talking whatever happens to the bridge: customers who press Retry, operators in their threads."""

import asyncio
import contextlib
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from adapters.sandbox.client import State
from adapters.sandbox.slack.people import BILLING, SUPPORT
from tests.journeys.world import Customer, Json, World

REOPEN_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Count:
    """What became of the lines of one direction."""

    said: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            said=self.said + other.said,
            lost=self.lost + other.lost,
            doubled=self.doubled + other.doubled,
            out_of_order=self.out_of_order + other.out_of_order,
        )


def count(said: list[str], seen: list[str]) -> Count:
    """Compare what was said, in order, with what is seen, in order."""
    place = {word: number for number, word in enumerate(said)}
    times = Counter(word for word in seen if word in place)
    places = [place[word] for word in times]
    return Count(
        said=len(said),
        lost=len(place.keys() - times.keys()),
        doubled=times.total() - len(times),
        out_of_order=sum(1 for before, after in pairwise(places) if before > after),
    )


@dataclass(kw_only=True)
class Talk:
    """One conversation: a customer at the widget, an operator in the thread."""

    world: World
    number: int
    operator: str
    chance: random.Random
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    customer: Customer = field(init=False)
    root: str = ""
    channel: str = SUPPORT

    @property
    def name(self) -> str:
        """How the card names the customer."""
        return f"Kim Number{self.number}"

    async def begin(self) -> None:
        """Open the chat, ask for a person, be taken."""
        self.customer = await self.world.customer(self.name, f"dl_kim{self.number}")
        await self.customer.sees("help", within_s=60)
        await self.customer.say("I want to talk to a human, please")
        await self.customer.sees("ticket is", within_s=60)

        def card(state: State) -> Json | None:
            roots = [(channel, root) for channel in (SUPPORT, BILLING) for root in state.roots(channel)]
            return next(({"channel": c, **root} for c, root in roots if self.name in json.dumps(root)), None)

        root = await self.world.slack.wait_for(card, timeout_s=60)
        assert root is not None
        self.root, self.channel = root["ts"], root["channel"]
        await self.world.slack.click(self.operator, "bridge_take", self.root, channel=self.channel)
        await self.customer.sees("joined", within_s=60)

    async def ask(self) -> None:
        """Write for ever; what was acknowledged counts."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.1, 0.8))
            word = f"c{self.number}-{len(self.asked) + 1}."
            await self.customer.say(f"my line {word}")
            self.asked.append(word)

    async def answer(self) -> None:
        """Reply in the thread for ever; what Slack took counts."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5))
            word = f"r{self.number}-{len(self.answered) + 1}."
            await self.world.slack.say(self.operator, f"my reply {word}", channel=self.channel, thread_ts=self.root)
            self.answered.append(word)

    async def stay(self) -> None:
        """Keep the window open, coming back with the watermark whenever it breaks."""
        while True:
            if self.customer.gone.is_set():
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, AssertionError):
                    await self.customer.drop()
                    await self.customer.reconnect()
                    continue
            await asyncio.sleep(REOPEN_S)

    # --- what became of it

    def on_screen(self) -> list[str]:
        """Return the replies as the customer reads them."""
        return [word for text in self.customer.texts for word in re.findall(rf"r{self.number}-\d+\.", text)]

    def in_thread(self, state: State) -> list[str]:
        """Return the customer's lines as the operator reads them."""
        blocks = [json.dumps(message.get("blocks")) for message in state.thread(self.channel, self.root)[1:]]
        return [word for text in blocks for word in re.findall(rf"c{self.number}-\d+\.", text)]

    def settled(self, state: State) -> bool:
        """Tell whether everything has arrived on both sides."""
        return set(self.asked) <= set(self.in_thread(state)) and set(self.answered) <= set(self.on_screen())
