"""What the tests of the Slack desk stand on: a front door that notes, a book of handoffs, files in memory."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from bridge.briefing import Card, card
from bridge.conversation import Conversation, Customer, FileRef, Handoff, HandoffState, Operator, Thread
from bridge.effects import Receipt
from bridge.envelope import HandoffEnvelope
from bridge.errors import NotFound, StoreUnavailable, TooLarge
from bridge.events import Echoed, Event
from bridge.ids import (
    ChannelId,
    ConversationId,
    CustomerId,
    DeskName,
    FileId,
    HandoffId,
    Millis,
    OperatorId,
    OutKey,
    QueueName,
    RemoteRef,
    SiteId,
    Ticket,
    mint,
)
from bridge.routing import Queue
from tests.settings import ROOT

SITE = SiteId("harbour")
DESK = DeskName("slack")
SUPPORT = ChannelId("C0SUPPORT")
TEAM = "T0HARBOUR"
E = TypeVar("E", bound=Event)

QUEUES = {
    "support": Queue(
        name=QueueName("support"),
        label="Support",
        desk=DESK,
        channels=(SUPPORT,),
        supervisors=frozenset({"U0SAMOKAFR"}),
    ),
    "billing": Queue(
        name=QueueName("billing"),
        label="Billing",
        desk=DESK,
        channels=(ChannelId("C0BILLING"),),
        user_group="S0BILLING",
    ),
}


@dataclass
class Door:
    """Implements `ports.Receive`: notes each event once, refuses, fails or takes its time as told."""

    events: list[Event] = field(default_factory=list)
    refusals: dict[type[Event], str] = field(default_factory=dict)
    failures: int = 0
    seen: set[str] = field(default_factory=set)
    takes_s: float = 0.0

    async def __call__(self, event: Event) -> Receipt:
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if self.failures and not isinstance(event, Echoed):
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        if event.source in self.seen:
            return Receipt(status="duplicate")
        self.seen.add(event.source)
        self.events.append(event)
        refused = self.refusals.get(type(event))
        return Receipt(status="refused", sentence=refused) if refused else Receipt()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of exactly this kind."""
        return [event for event in self.events if type(event) is kind]

    async def first(self, kind: type[E], timeout_s: float = 8.0) -> E:
        """Wait for an event of this kind."""
        return (await until(lambda: self.of(kind), timeout_s))[0]


Found = TypeVar("Found")


async def until(question: Callable[[], Found], timeout_s: float = 8.0) -> Found:
    """Return the first truthy answer. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        await asyncio.sleep(0.01)
    return answer


@dataclass
class Book:
    """Implements `ports.Lookup` from a list."""

    handoffs: list[Handoff] = field(default_factory=list)
    slow_s: float = 0.0
    when_asked: Callable[[], None] = lambda: None
    """Called by the next question for a thread: who asks may learn something."""

    async def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        await asyncio.sleep(self.slow_s)
        return next((one for one in self.handoffs if one.id == handoff), None)

    async def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        return next((one for one in self.handoffs if one.ticket == ticket), None)

    async def handoff_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> Handoff | None:
        self.when_asked()
        return next((one for one in self.handoffs if one.thread.root == root and one.thread.desk == desk), None)

    async def open_handoffs(self, site: SiteId, operator: OperatorId | None = None) -> list[Handoff]:
        return [
            one
            for one in self.handoffs
            if one.state in (HandoffState.WAITING, HandoffState.HUMAN)
            and (operator is None or (one.operator is not None and one.operator.id == operator))
        ]

    async def conversation(self, site: SiteId, conversation: ConversationId) -> Conversation | None:
        return None

    async def card(self, site: SiteId, handoff: HandoffId) -> Card | None:
        found = await self.handoff(site, handoff)
        return shown_card(found) if found else None

    def queues(self) -> Sequence[tuple[str, str]]:
        return [(queue.name, queue.label) for queue in QUEUES.values()]

    def change(self, handoff: Handoff, **changes: Any) -> Handoff:
        """Put a changed handoff in the place of this one."""
        changed = replace(handoff, **changes)
        self.handoffs[self.handoffs.index(handoff)] = changed
        return changed


@dataclass
class Shelf:
    """Implements `ports.Files` in memory."""

    kept: dict[FileId, tuple[FileRef, bytes]] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    """Files wait for it, if set."""

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        data = b"".join([piece async for piece in content])
        if self.gate is not None:
            await self.gate.wait()
        if len(data) > max_bytes:
            raise TooLarge(f"over {max_bytes} bytes")
        return self.add(name, data, claimed_type)

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        if file not in self.kept:
            raise NotFound(file)
        data = self.kept[file][1]

        async def pieces() -> AsyncIterator[bytes]:
            yield data

        return pieces()

    async def ref(self, file: FileId) -> FileRef:
        return self.kept[file][0]

    def add(self, name: str, data: bytes, media_type: str = "application/octet-stream") -> FileRef:
        """Keep bytes and return their reference."""
        ref = FileRef(id=FileId(mint("f")), name=name, media_type=media_type, size_bytes=len(data))
        self.kept[ref.id] = (ref, data)
        return ref


class WallClock:
    """Implements `ports.Clock` by the machine's time."""

    def now(self) -> Millis:
        return Millis(int(time.time() * 1000))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def envelope(**fields: Any) -> HandoffEnvelope:
    """Return an envelope; every field can be given."""
    document: dict[str, Any] = {
        "id": mint("env"),
        "conversation_id": "c1",
        "created_at": datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        "reason": "customer_request",
        "summary": "Parcel 7 is lost; the customer wants a refund.",
        "agent": {"id": "aria", "name": "Aria"},
        "customer": {"name": "Kim Vale", "email": "kim@vale.example"},
    }
    return HandoffEnvelope.model_validate(document | fields)


def handoff(*, root: str | None = None, channel: str = SUPPORT, number: int = 1042, **fields: Any) -> Handoff:
    """Return an open handoff that waits in #support."""
    thread = Thread(desk=DESK, channel=ChannelId(channel), root=RemoteRef(f"{channel}:{root}") if root else None)
    given: dict[str, Any] = {
        "site": SITE,
        "id": HandoffId(mint("h")),
        "conversation": ConversationId("c1"),
        "ticket": Ticket(f"H-{number}"),
        "envelope": envelope(),
        "queue": QueueName("support"),
        "thread": thread,
        "opened_at": Millis(1_800_000_000_000),
        "first_n": 3,
    }
    return Handoff(**(given | fields))


def shown_card(one: Handoff | None = None, **changes: Any) -> Card:
    """Return the card of a handoff, with any field replaced."""
    shown = one or handoff()
    conversation = Conversation(
        site=SITE,
        id=shown.conversation,
        widget="test",
        customer=Customer(id=CustomerId("kim"), name="Kim Vale", verified=True),
    )
    return replace(card(shown, conversation, queue_label="Support"), **changes)


def key() -> OutKey:
    """Return a fresh key of an out."""
    return OutKey(mint("o"))


def person(user: str) -> OperatorId:
    """Return the id of somebody in the sandbox."""
    return OperatorId(f"slack:{TEAM}:{user}")


def owner(user: str, name: str = "Dana") -> Operator:
    """Return somebody as an owner."""
    return Operator(id=person(user), name=name)


@contextmanager
def sandbox_process(*options: str) -> Iterator[str]:
    """Run a sandbox Slack in a process of its own; gives its address."""
    command = [sys.executable, "-m", "adapters.sandbox", "slack", "--port", "0", "--retry-scale", "0.001", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
