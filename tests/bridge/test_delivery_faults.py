"""Every line reaches its thread once and in order, whatever vendor and process do: random faults, then peace."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store.opening import open_store
from bridge.conversation import State
from bridge.courier import Courier
from bridge.effects import OutKind, Receipt
from bridge.fakes.desk import FakeDesk
from bridge.fakes.store import MemoryStore
from bridge.outcomes import Outcome, RetryLater, Unknown
from tests.bridge.stories import BEN, DANA, DESK, SITE, SUE, Story

FAULTS = ("ok", "ok", "lost", "lost_applied", "later", "die", "die_applied")


@dataclass(kw_only=True)
class FaultyDesk(FakeDesk):
    """Each sending call has the next fault: an answer that is lost, a "later", or the death of the process."""

    plan: list[str] = field(default_factory=list)
    dies: bool = False

    def _next(self) -> tuple[Outcome | None, bool]:
        match self.plan.pop(0) if self.plan else "ok":
            case "lost":
                return Unknown(reason="timeout"), False
            case "lost_applied":
                return Unknown(reason="timeout"), True
            case "later":
                return RetryLater(after_s=3, reason="ratelimited", channel_wide=True), False
            case "die":
                raise asyncio.CancelledError
            case "die_applied":
                self.dies = True
        return None, True

    def _note(self, kind: OutKind, thread: Any, outcome: Outcome, **more: Any) -> Outcome:
        super()._note(kind, thread, outcome, **more)
        if self.dies:
            self.dies = False
            raise asyncio.CancelledError
        return outcome


class World:
    """A conversation with people, a faulty desk, and couriers that die and are replaced."""

    def __init__(self, plan: list[str]) -> None:
        self.story = Story(store=MemoryStore(), step_ms=50)
        self.desk = FaultyDesk(name=DESK, plan=plan)
        self.lives = 0
        self.courier = self.born()
        self.said: list[str] = []

    def born(self) -> Courier:
        self.lives += 1
        return Courier(
            store=self.story.store,
            desk=self.desk,
            clock=self.story.clock,
            receive=self.story.door.receive,
            queue_labels={},
            worker=f"w{self.lives}",
        )

    async def carry(self) -> None:
        """Carry what may leave now; a courier that dies is replaced by a fresh one."""
        self.desk.now = self.story.clock.now()
        try:
            while await self.courier.step():
                pass
        except asyncio.CancelledError:
            self.courier = self.born()

    async def says(self) -> None:
        text = f"line {len(self.said) + 1}"
        self.said.append(text)
        await self.story.says(text)

    async def wait(self, seconds: float) -> None:
        self.story.clock.set(self.story.clock.now() + int(seconds * 1000))

    async def echo(self) -> None:
        """The vendor shows us one of our own posts, the newest."""
        newest = list(self.desk.messages.values())[-1:]
        now = self.story.clock.now()
        for post in newest:
            await self.story.store.run(lambda tx, post=post: tx.settle_echo(SITE, DESK, post.key, post.ref, now))  # type: ignore[misc]

    def shown(self) -> list[str]:
        return [
            text
            for message in self.desk.messages.values()
            for text in message.texts
            if text in self.said and message.kind in (OutKind.POST, OutKind.TRANSCRIPT)
        ]


ACTS = st.sampled_from(["says", "says", "carry", "carry", "carry", "wait 1", "wait 16", "wait 61", "echo"])


async def live(acts: Sequence[str], plan: list[str], *, opened: bool) -> World:
    world = World([] if opened else plan)
    await world.says()
    await world.story.escalates()
    for _ in range(3 if opened else 0):
        await world.carry()
        await world.wait(1)
    world.desk.plan = plan
    for act in acts:
        name, _, seconds = act.partition(" ")
        await (world.wait(float(seconds)) if seconds else getattr(world, name)())
    world.desk.plan.clear()
    await world.says()
    for _ in range(30):
        await world.wait(61)
        await world.carry()
    return world


@settings(max_examples=150)
@given(acts=st.lists(ACTS, max_size=40), plan=st.lists(st.sampled_from(FAULTS), max_size=25), opened=st.booleans())
def test_lines_survive_lost_answers_limits_and_deaths(acts: list[str], plan: list[str], opened: bool) -> None:
    """Once the faults end everything settles: each line is there exactly once, in the order of the log."""
    world = asyncio.run(live(acts, plan, opened=opened))
    dead = asyncio.run(world.story.look(lambda tx: tx.dead_outs(SITE)))
    log = {entry.n: entry.text for entry in asyncio.run(world.story.log())}
    # What people were asked about is either there or not; a transcript stands for all lines before it.
    given_up = {log.get(out.n or 0) for out in dead}
    given_up |= {log[n] for out in dead if out.kind is OutKind.TRANSCRIPT for n in range(1, out.n or 1)}

    assert asyncio.run(world.story.unsent()) == []
    assert world.shown() == [text for text in world.said if text not in given_up or text in world.shown()]
    assert all(out.maybe_sent for out in dead)
    cards = [message for message in world.desk.messages.values() if message.kind is OutKind.CARD]
    assert len(cards) == 1


async def test_takes_at_the_same_moment_on_the_real_store_have_one_winner(tmp_path: Path) -> None:
    """Twenty people press at once while the customer writes: one owner, one epoch, a log without a gap."""
    store = await open_store(f"sqlite:///{tmp_path}/handoff.db")
    try:
        story = Story(store=store)
        await story.says("help")
        await story.escalates()
        await story.card_arrives()
        of = (await story.handoff()).id

        def press(number: int) -> Any:
            return story.takes(DANA if number % 2 else BEN, of=of)

        lines = [story.says(f"line {number}") for number in range(20)]
        receipts: list[Receipt] = await asyncio.gather(*(press(number) for number in range(20)), *lines)
        row = await story.row()
        log = await story.log()
    finally:
        await store.close()

    taken = receipts[:20]
    assert row.state is State.HUMAN
    assert row.epoch == 3
    winner = row.operator
    assert winner is not None
    assert winner.id != SUE.id
    assert all(winner.name in receipt.sentence for receipt in taken if receipt.status == "refused")
    assert sum(receipt.status == "refused" for receipt in taken) == 10
    assert [entry.n for entry in log] == list(range(1, len(log) + 1))
    assert sum(entry.text.startswith("line ") for entry in log) == 20
