"""An agent that does as it is told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bridge.conversation import TurnKind
from bridge.ports import AgentReply, AgentTurn, Clock, Delta, Done, HandOff, Message


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing for so long, by the clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing for ever."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Raise this."""

    error: Exception


Step = AgentReply | Pause | Hang | Crash


class FakeAgent:
    """A `ports.Agent`. Each call of `respond` follows the next script; without one it answers by itself.

    `turns` are what it was asked, in order; `open` counts the runs that have not been let go of. By itself it repeats
    the customer's last line, hands over when that line asks for a person, and after a return speaks of the note.
    """

    def __init__(self, clock: Clock, name: str = "Assistant") -> None:
        """Know the time by `clock`."""
        self._clock = clock
        self._name = name
        self._scripts: deque[tuple[Step, ...]] = deque()
        self.turns: list[AgentTurn] = []
        self.open = 0

    @property
    def name(self) -> str:
        return self._name

    def script(self, *steps: Step) -> None:
        """Do this at the next call that has no script yet."""
        self._scripts.append(steps)

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        self.turns.append(turn)
        self.open += 1
        try:
            for step in self._scripts.popleft() if self._scripts else _by_itself(turn):
                match step:
                    case Pause(seconds=seconds):
                        await self._clock.sleep(seconds)
                    case Hang():
                        await asyncio.Event().wait()
                    case Crash(error=error):
                        raise error
                    case _:
                        yield step
        finally:
            self.open -= 1


def _by_itself(turn: AgentTurn) -> tuple[Step, ...]:
    last = next((message.text for message in reversed(turn.messages) if message.role == "customer"), "")
    if turn.briefing is not None:
        return (Message(text=f"I am back. The note says: {turn.briefing['note']}"), Done())
    if "person" in last and turn.kind is TurnKind.MESSAGE:
        envelope = {"reason": "customer_request", "summary": f"The customer wrote: {last}"[:2000]}
        return (HandOff(envelope=envelope),)
    return (Pause(0), Delta(text="You said: "), Message(text=f"You said: {last}"), Done(confidence=0.9))
