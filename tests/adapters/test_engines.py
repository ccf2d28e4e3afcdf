"""Several engines on one PostgreSQL, over fakes: what one does the others know, and time is the database's."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from adapters.clock import StoreClock
from adapters.store.hints import PostgresHints
from adapters.store.opening import open_store
from adapters.store.postgres import PostgresStore
from bridge.attempt import TurnLimits
from bridge.conversation import EntryKind
from bridge.effects import Receipt
from bridge.engine import Engine, EngineParts, Trouble
from bridge.envelope import ReturnNote
from bridge.events import CustomerSaid, OperatorReturned, OperatorSaid, OperatorTook
from bridge.fakes.agent import FakeAgent, Hang
from bridge.fakes.desk import FakeDesk
from bridge.ids import ConversationId, RemoteRef, SourceId, mint
from bridge.ports import Delta, Done, Message, Shown
from tests.bridge.stories import C1, CUSTOMER, DANA, DESK, SITE, house

HOUR_S = 3600.0
WITHIN_S = 10.0
TURN_LEASE_S = TurnLimits().lease_s


class Window:
    """Remembers the lines and streams that it was shown."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.streams: list[str] = []

    async def show(self, shown: Shown) -> None:
        self.texts += [entry.text for entry in shown.entries if entry.kind is EntryKind.LINE]
        self.streams += [stream.text for stream in shown.streams]

    async def typing(self, name: str) -> None:
        """Nobody looks."""


@dataclass(kw_only=True)
class Process:
    """An engine with a store, a clock and an agent of its own; its machine's clock may be off."""

    number: int
    store: PostgresStore
    desk: FakeDesk
    off_s: float = 0.0
    engine: Engine = field(init=False)
    agent: FakeAgent = field(init=False)

    async def start(self) -> None:
        self.clock = StoreClock(self.store.store_time, wall=lambda: time.time() + self.off_s)
        await self.clock.measure()
        self.agent = FakeAgent(self.clock)
        self.hints = PostgresHints(self.store)
        self.hints.start()
        self.engine = Engine(
            EngineParts(
                store=self.store,
                clock=self.clock,
                house=house(),
                agent=self.agent,
                worker=f"p{self.number}",
                site=SITE,
                hints=self.hints,
                shared=True,
                reports=(self._off,),
            )
        )
        self.engine.start([self.desk])

    def _off(self) -> Trouble | None:
        said = self.clock.trouble()
        return Trouble(name="clock", says=said, serves=True) if said else None

    async def stop(self) -> None:
        await self.engine.stop()
        await self.hints.close()
        await self.store.close()

    async def says(self, text: str, chat: ConversationId = C1) -> Receipt:
        """The customer posts to this process."""
        return await self.engine.receive(
            CustomerSaid(
                site=SITE,
                source=SourceId(mint("said")),
                at=self.clock.now(),
                conversation=chat,
                widget="directline",
                customer=CUSTOMER,
                text=text,
            )
        )

    def watch(self, chat: ConversationId = C1) -> Window:
        """The customer's window is here."""
        window = Window()
        self.engine.showing.attach(SITE, chat, 0, window, lambda _: None)
        return window


Fleet = Callable[[Sequence[float]], Awaitable[list[Process]]]


@pytest.fixture
async def fleet(postgres_url: str) -> AsyncIterator[Fleet]:
    """Starts processes on one database, whose machines' clocks are off by so much, and one desk for all."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(offs_s: Sequence[float]) -> list[Process]:
            desk, processes = FakeDesk(name=DESK), list[Process]()
            for number, off_s in enumerate(offs_s):
                store = await open_store(postgres_url)
                assert isinstance(store, PostgresStore)
                process = Process(number=number, store=store, desk=desk, off_s=off_s)
                await process.start()
                stack.push_async_callback(process.stop)
                processes.append(process)
            for process in processes:
                await until(lambda process=process: process.hints._heard_myself.is_set())  # type: ignore[misc]
            return processes

        yield start


async def nothing() -> None:
    """Stand in for a sweep."""


async def until(happened: Callable[[], object], within_s: float = WITHIN_S) -> None:
    async with asyncio.timeout(within_s):
        while True:
            if happened():
                return
            await asyncio.sleep(0.005)


def cards(desk: FakeDesk) -> list[RemoteRef]:
    """Return the roots of threads, in order."""
    return [ref for ref, found in desk.messages.items() if found.card]


async def test_what_one_process_hears_the_others_show_at_once(fleet: Fleet) -> None:
    """The customer's lines and the agent's answers are on the windows at other processes, though those never sweep."""
    here, there, third = await fleet([0, 0, 0])
    for process in (there, third):
        process.engine.showing.sweep = nothing  # type: ignore[method-assign]
    windows = [there.watch(), third.watch()]
    await here.says("hello")
    await until(lambda: all("You said: hello" in window.texts for window in windows))
    for number in range(3):
        await here.says(f"line {number}")
        await until(lambda number=number: all(f"line {number}" in window.texts for window in windows))  # type: ignore[misc]

    for window in windows:
        assert len(window.texts) == len(set(window.texts))


async def test_a_turn_is_handed_over_when_its_process_stops(fleet: Fleet) -> None:
    """The agent's run ends with its process; another begins the next attempt at once, with what was said before."""
    here, there = await fleet([0, 0])
    window = there.watch()
    for process in (here, there):
        process.agent.script(Message(text="One moment."), Delta(text="I am look"), Hang())
    await here.says("where is my parcel?")
    await until(lambda: here.agent.open or there.agent.open)
    first, second = (here, there) if here.agent.open else (there, here)
    await until(lambda: "One moment." in window.texts)
    second.agent._scripts.clear()
    second.agent.script(Message(text="Here it is."), Done())
    began = time.monotonic()
    await first.engine.drain()
    assert time.monotonic() - began < 5
    await until(lambda: second.agent.turns, within_s=TURN_LEASE_S / 3)

    again = second.agent.turns[0]
    assert (again.turn, again.attempt, again.committed) == (first.agent.turns[0].turn, 2, ("One moment.",))
    assert [trouble.name for trouble in first.engine.troubles()] == ["draining"]
    assert second.engine.troubles() == []
    shown = second.watch()
    await until(lambda: "Here it is." in shown.texts)


@pytest.mark.parametrize("offs_s", [(0, 0, 0), (HOUR_S, -HOUR_S, 0), (-HOUR_S, HOUR_S, 2 * HOUR_S)])
async def test_clocks_an_hour_off_change_no_outcome(fleet: Fleet, offs_s: Sequence[float]) -> None:
    """With machines' clocks an hour off, and set by hours in mid-run, a whole handoff goes as it does with right ones:
    the same lines, once, in order, no lost turn, no repeated post, ages by the database's time.
    """
    processes = await fleet(offs_s)
    one, two, three = processes
    window = two.watch()
    await one.says("hello")
    await until(lambda: "You said: hello" in window.texts)
    for process in processes:
        process.off_s += 3 * HOUR_S
        await process.clock.measure()
    await two.says("a person, please")
    await until(lambda: cards(one.desk))
    handoff = (await one.store.read(lambda tx: tx.open_handoffs(SITE)))[0]
    stamps = {"site": SITE, "at": three.clock.now(), "operator": DANA}
    await three.engine.receive(OperatorTook(source=SourceId("take"), handoff=handoff.id, **stamps))  # type: ignore[arg-type]
    for number in range(4):
        process = processes[number % 3]
        await process.says(f"customer {number}")
        said = OperatorSaid(
            source=SourceId(f"op{number}"),
            desk=DESK,
            root=cards(one.desk)[0],
            remote=RemoteRef(f"r{number}"),
            text=f"operator {number}",
            **stamps,  # type: ignore[arg-type]
        )
        assert (await process.engine.receive(said)).status == "done"
        assert (await processes[(number + 1) % 3].engine.receive(said)).status == "duplicate"
        for each in processes:
            each.off_s -= HOUR_S
    note = ReturnNote(note="all done")
    await one.engine.receive(OperatorReturned(source=SourceId("back"), handoff=handoff.id, note=note, **stamps))  # type: ignore[arg-type]
    await one.says("thanks")
    await until(lambda: any("I am back" in text for text in window.texts))

    talk = [text for text in window.texts if text.startswith(("customer", "operator"))]
    assert talk == [f"{who} {number}" for number in range(4) for who in ("customer", "operator")]
    turns = [turn for process in processes for turn in process.agent.turns]
    assert [turn.attempt for turn in turns] == [1] * len(turns)
    await until(lambda: sum("customer 3" in text for found in one.desk.messages.values() for text in found.texts) == 1)
    posted = [text for found in one.desk.messages.values() for text in found.texts]
    assert [sum(f"customer {number}" in text for text in posted) for number in range(4)] == [1, 1, 1, 1]
    assert not any("ago" in text for text in posted)
    off = [abs(process.off_s) > 5 for process in processes]
    for process in processes:
        await process.clock.measure()
    assert [[trouble.name for trouble in process.engine.troubles()] == ["clock"] for process in processes] == off


async def test_one_of_three_forgets_old_sources(fleet: Fleet) -> None:
    """One process holds the lease of retention; when it stops another has it within seconds."""
    processes = await fleet([0, 0, 0])
    await until(lambda: any(process.engine._retaining.held for process in processes))
    [holder] = [process for process in processes if process.engine._retaining.held]
    await holder.engine.drain()
    rest = [process for process in processes if process is not holder]

    await until(lambda: sum(process.engine._retaining.held for process in rest) == 1)
    assert not holder.engine._retaining.held


async def test_a_lost_hint_is_made_good(fleet: Fleet) -> None:
    """What no hint tells, the sweep finds: a window is behind by about a second, and loses nothing."""
    here, there = await fleet([0, 0])
    window = there.watch()
    await there.hints.close()
    there.engine._parts.hints.hear(lambda _: None)  # type: ignore[union-attr]
    await here.says("unheard")
    await until(lambda: "unheard" in window.texts, within_s=5)

    assert window.texts.count("unheard") == 1
