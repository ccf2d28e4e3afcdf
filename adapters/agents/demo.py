"""The scripted agent of the demo: the clerk of an outdoor shop. Deterministic, without a network or a model.

It hands over for every reason there is: "a person please", doubt (anything it does not know), a refund over 100
(policy), "track my parcel" (a failing tool), "I still cannot log in" (repeated failure), "this is ridiculous"
(sentiment), "delete my account" (approval), "I will sue" (out of scope), "please crash" (error).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from adapters.agents import demo_answers
from bridge.ports import AgentReply, AgentTurn, Delta, Message

_PIECE = re.compile(r"(?:\s*\S+){1,3}\s*")


class DemoAgent:
    """A `ports.Agent`. `pause_s` is the rest between two pieces of a streamed message, `sleep` takes it."""

    def __init__(
        self,
        *,
        name: str = "Ada",
        pause_s: float = 0.05,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Write at a readable pace."""
        self._name = name
        self._sleep = sleep
        self._pause_s = pause_s

    @property
    def name(self) -> str:
        return self._name

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        for reply in demo_answers.answer(turn, self._name):
            if isinstance(reply, Message):
                if reply.text in turn.committed:
                    continue
                for piece in _pieces(reply.text):
                    yield Delta(text=piece)
                    await self._sleep(self._pause_s)
            yield reply


def _pieces(text: str) -> Iterator[str]:
    yield from (match.group() for match in _PIECE.finditer(text))
