"""One process of the bridge for tests of the agent's runs: the real front door on a store in memory."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.attempt import TurnLimits
from bridge.conversation import (
    CUSTOMER_SEES,
    Audience,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    Handoff,
    Operator,
    Role,
    Standing,
    State,
    Turn,
)
from bridge.effects import Receipt
from bridge.envelope import HandoffEnvelope, Reason, ReturnNote
from bridge.events import CustomerOpened, CustomerSaid, Escalated, Event, OperatorReturned, OperatorSaid, OperatorTook
from bridge.fakes.agent import FakeAgent
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import (
    ChannelId,
    ConversationId,
    CustomerId,
    DeskName,
    OperatorId,
    QueueName,
    RemoteRef,
    SiteId,
    SourceId,
    mint,
)
from bridge.judging import House
from bridge.routing import Directory, Queue
from bridge.storage import Changed
from bridge.switchboard import Switchboard
from bridge.triggers import Triggers
from bridge.turns import Turns

SITE = SiteId("main")
CHAT = ConversationId("conv_1")
SAM = Customer(id=CustomerId("c-1"), name="Sam Lee", verified=True, locale="en-GB")
DANA = Operator(id=OperatorId("slack:T1:U1"), name="Dana", standing=Standing.ALLOWED)
DESK = DeskName("slack")
QUEUE = Queue(name=QueueName("support"), label="Support", desk=DESK, channels=(ChannelId("C1"),))


@dataclass
class World:
    """One process: the front door, the runs, and what went through the door."""

    triggers: Triggers = field(default_factory=Triggers)
    limits: TurnLimits = field(default_factory=lambda: TurnLimits(retry_after_s=0))
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    events: list[Event] = field(default_factory=list)
    hints: bool = True
    queue: Queue = QUEUE

    def __post_init__(self) -> None:
        self.agent = FakeAgent(self.clock)
        house = House(directory=Directory(queues=(self.queue,)), triggers=self.triggers)
        self.switchboard = Switchboard(store=self.store, clock=self.clock, house=house, on_change=self.changed)
        self.turns = self.process("w1")

    def process(self, worker: str) -> Turns:
        """Another process on the same store."""
        return Turns(
            self.store,
            self.agent,
            self.receive,
            self.clock,
            worker=worker,
            triggers=self.triggers,
            limits=self.limits,
        )

    def changed(self, change: Changed) -> None:
        if self.hints:
            self.turns.wake(change)

    async def receive(self, event: Event) -> Receipt:
        self.events.append(event)
        return await self.switchboard.receive(event)

    async def customer(self, text: str, chat: ConversationId = CHAT) -> Receipt:
        return await self.switchboard.receive(
            CustomerSaid(
                site=SITE,
                source=SourceId(mint("s")),
                at=self.clock.now(),
                conversation=chat,
                widget="directline",
                customer=SAM,
                text=text,
            )
        )

    async def open_chat(self) -> Receipt:
        """The customer opens the widget and has said nothing yet."""
        return await self.switchboard.receive(
            CustomerOpened(
                site=SITE,
                source=SourceId(mint("s")),
                at=self.clock.now(),
                conversation=CHAT,
                widget="directline",
                customer=SAM,
            )
        )

    async def takeover(self, reason: Reason = Reason.OPERATOR_TAKEOVER) -> Handoff:
        envelope = HandoffEnvelope.model_validate(
            {
                "id": mint("e"),
                "conversation_id": CHAT,
                "created_at": "2026-01-01T00:00:00Z",
                "reason": reason,
                "summary": "Taken over.",
                "agent": {"id": "a"},
            }
        )
        await self.switchboard.receive(
            Escalated(
                site=SITE,
                source=SourceId(mint("s")),
                at=self.clock.now(),
                conversation=CHAT,
                envelope=envelope,
                operator=DANA,
            )
        )
        return await self.handoff()

    async def speak(self, handoff: Handoff, text: str) -> Receipt:
        """Dana writes in the thread, whose card has been posted."""
        root = RemoteRef("C1:1")
        await self.store.run(lambda tx: tx.save_handoff(replace(handoff, thread=replace(handoff.thread, root=root))))
        return await self.switchboard.receive(
            OperatorSaid(
                site=SITE,
                source=SourceId(mint("s")),
                at=self.clock.now(),
                operator=DANA,
                desk=DESK,
                root=root,
                remote=RemoteRef(mint("m")),
                text=text,
            )
        )

    async def give_back(self, handoff: Handoff, note: ReturnNote) -> Receipt:
        return await self.switchboard.receive(
            OperatorReturned(
                site=SITE,
                source=SourceId(mint("s")),
                at=self.clock.now(),
                operator=DANA,
                handoff=handoff.id,
                note=note,
            )
        )

    async def conversation(self) -> Conversation:
        found = await self.store.read(lambda tx: tx.conversation(SITE, CHAT, lock=False))
        assert found is not None
        return found

    async def conversation_state(self) -> State | None:
        """Who owns it; None before the first line."""
        found = await self.store.read(lambda tx: tx.conversation(SITE, CHAT, lock=False))
        return found.state if found else None

    async def takeover_of_open(self) -> Handoff:
        """Dana takes what waits."""
        handoff = await self.handoff()
        await self.switchboard.receive(
            OperatorTook(site=SITE, source=SourceId(mint("s")), at=self.clock.now(), operator=DANA, handoff=handoff.id)
        )
        return await self.handoff()

    async def handoff(self) -> Handoff:
        newest = (await self.conversation()).handoff
        assert newest is not None
        found = await self.store.read(lambda tx: tx.handoff(SITE, newest))
        assert found is not None
        return found

    async def lines(self, chat: ConversationId = CHAT) -> list[Entry]:
        entries = await self.store.read(lambda tx: tx.entries(SITE, chat))
        return [entry for entry in entries if entry.kind is EntryKind.LINE]

    async def notices(self, chat: ConversationId = CHAT) -> list[Entry]:
        entries = await self.store.read(lambda tx: tx.entries(SITE, chat))
        return [entry for entry in entries if entry.kind is EntryKind.NOTICE]

    async def said(self, *audiences: Audience, chat: ConversationId = CHAT) -> list[str]:
        """What the agent said, to these; to the customer if none is named."""
        wanted = audiences or tuple(CUSTOMER_SEES)
        return [e.text for e in await self.lines(chat) if e.author.role is Role.AGENT and e.audience in wanted]

    async def live(self, chat: ConversationId = CHAT) -> Turn | None:
        return await self.store.read(lambda tx: tx.live_turn(SITE, chat))

    async def finish(self, work: "asyncio.Task[Any]", within_s: float = 300) -> None:
        """Let time pass until this is done."""
        passed_s = 0.0
        while not work.done():
            assert passed_s < within_s, "it does not end"
            await self.clock.advance(0.05)
            passed_s += 0.05
        await work

    async def step(self, within_s: float = 300) -> None:
        """Run one turn to its end."""
        work = asyncio.create_task(self.turns.step())
        await self.finish(work, within_s)
        assert work.result() is True

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]
