"""A small company for stories: a house with queues, its people, and a conversation that things happen to.

Every call makes an event with a source of its own and brings it through the front door; `again` repeats the last one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any, TypeVar

from bridge.conversation import (
    Audience,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    FileRef,
    Handoff,
    Operator,
    Standing,
    Turn,
)
from bridge.effects import Receipt
from bridge.envelope import AgentInfo, HandoffEnvelope, Reason, ReturnNote
from bridge.events import (
    AgentActed,
    AgentBroke,
    AgentFinished,
    AgentSaid,
    AgentStreamed,
    CustomerOpened,
    CustomerSaid,
    CustomerWithdrew,
    Escalated,
    Event,
    OperatorClosed,
    OperatorDeleted,
    OperatorEdited,
    OperatorForwarded,
    OperatorLeft,
    OperatorRehearsed,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorSaid,
    OperatorTook,
    OperatorTransferred,
)
from bridge.fakes.clock import ManualClock
from bridge.ids import (
    ChannelId,
    ConversationId,
    CustomerId,
    DeskName,
    FileId,
    HandoffId,
    Millis,
    OperatorId,
    QueueName,
    RemoteRef,
    SiteId,
    SourceId,
)
from bridge.judging import House
from bridge.routing import Directory, Hours, Queue, Rule, Rung
from bridge.storage import Out, Store, Tx
from bridge.switchboard import Switchboard
from bridge.triggers import PolicyRule, Triggers

T = TypeVar("T")

SITE = SiteId("acme")
DESK = DeskName("slack")
TEAMS = DeskName("teams")
C1 = ConversationId("c1")
NEVER = Hours(spans={})
STAMP = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

CUSTOMER = Customer(id=CustomerId("cu1"), name="Kim Doe", verified=True, locale="en-GB")
DANA = Operator(id=OperatorId("slack:T1:DANA"), name="Dana", standing=Standing.ALLOWED)
BEN = Operator(id=OperatorId("slack:T1:BEN"), name="Ben", standing=Standing.ALLOWED)
SUE = Operator(id=OperatorId("slack:T1:SUE"), name="Sue", standing=Standing.SUPERVISOR)
GUEST = Operator(id=OperatorId("slack:T1:GUEST"), name="Gus", standing=Standing.NONE, why="Gus is a guest.")

LADDER = (
    Rung(name="ask", after_s=120, action="mention"),
    Rung(name="sorry", after_s=300, action="tell_customer"),
    Rung(name="up", after_s=600, action="queue", text="billing"),
)
BACK = (Rung(name="back", after_s=900, action="return"),)


def queue(name: str, **changes: Any) -> Queue:
    """Return a queue with one channel, open at all hours, without a ladder."""
    settings: dict[str, Any] = {
        "name": QueueName(name),
        "label": name.title(),
        "desk": DESK,
        "channels": (ChannelId(f"C-{name}"),),
        "public_label": f"{name} team",
        **changes,
    }
    return Queue(**settings)


def house(*queues: Queue, **changes: Any) -> House:
    """Return the settings of a site; without queues a usual set of them."""
    found = queues or (
        queue("support", ladder=LADDER, idle_close_s=3600),
        queue("billing", ladder=BACK),
        queue("teams-desk", desk=TEAMS),
        queue("night-wait", hours=NEVER, when_closed="wait"),
        queue("night-contact", hours=NEVER, when_closed="contact"),
        queue("night-stay", hours=NEVER, when_closed="stay"),
        queue("everybody", audience="anyone-in-queue"),
        queue("buttons", audience="button"),
        queue("eager", first_reply="takes"),
    )
    rules: tuple[Rule, ...] = changes.pop("rules", ())
    settings: dict[str, Any] = {
        "directory": Directory(queues=found, rules=rules),
        "triggers": Triggers(
            low_confidence=0.5,
            low_confidence_turns=2,
            tool_failures=1,
            never_say=("guarantee",),
            policy=(PolicyRule(name="refunds", when="refund_amount > 100"),),
        ),
        **changes,
    }
    return House(**settings)


def envelope(envelope_id: str = "e1", **changes: Any) -> HandoffEnvelope:
    """Return an envelope for the conversation."""
    fields: dict[str, Any] = {
        "id": envelope_id,
        "conversation_id": C1,
        "created_at": STAMP,
        "reason": Reason.CUSTOMER_REQUEST,
        "summary": "The customer wants a person.",
        "agent": AgentInfo(id="bot"),
        **changes,
    }
    return HandoffEnvelope(**fields)


def numbered() -> Callable[[str], str]:
    """Return a mint of ids that can be read: t1, h2, ..."""
    number = count(1)
    return lambda prefix: f"{prefix}{next(number)}"


@dataclass(kw_only=True)
class Story:
    """One conversation, told event by event."""

    store: Store
    house: House = field(default_factory=house)
    clock: ManualClock = field(default_factory=ManualClock)
    conversation: ConversationId = C1
    customer: Customer = CUSTOMER
    mint: Callable[[str], str] = field(default_factory=numbered)
    events: list[Event] = field(default_factory=list)
    step_ms: int = 1000

    def __post_init__(self) -> None:
        self.door = Switchboard(store=self.store, clock=self.clock, house=self.house, mint=self.mint)
        self._sources = count(1)
        self._refs = count(1)

    # --- bringing events

    async def bring(self, event: Event) -> Receipt:
        """Let a little time pass, and bring an event."""
        self.clock.set(self.clock.now() + self.step_ms)
        self.events.append(event)
        return await self.door.receive(event)

    async def again(self) -> Receipt:
        """Bring the last event once more."""
        return await self.door.receive(self.events[-1])

    def head(self, **changes: Any) -> dict[str, Any]:
        source = SourceId(f"{self.conversation}:{next(self._sources)}")
        return {"site": SITE, "source": source, "at": Millis(self.clock.now() + self.step_ms), **changes}

    # --- the customer

    async def opens(self) -> Receipt:
        return await self.bring(
            CustomerOpened(**self.head(), conversation=self.conversation, widget="web", customer=self.customer)
        )

    async def says(self, text: str, **changes: Any) -> Receipt:
        changes = {"widget": "web", "customer": self.customer, **changes}
        return await self.bring(CustomerSaid(**self.head(), conversation=self.conversation, text=text, **changes))

    async def withdraws(self) -> Receipt:
        return await self.bring(CustomerWithdrew(**self.head(), conversation=self.conversation))

    # --- the agent

    async def run(self) -> dict[str, Any]:
        """Return the fence of the live turn, as its events carry it."""
        turn = await self.turn()
        assert turn is not None, "no live turn"
        return fence(turn)

    async def agent_says(self, text: str, run: dict[str, Any] | None = None, **changes: Any) -> Receipt:
        return await self.bring(AgentSaid(**self.head(), **(run or await self.run()), text=text, **changes))

    async def agent_streams(self, text: str, run: dict[str, Any] | None = None) -> Receipt:
        return await self.bring(AgentStreamed(**self.head(), **(run or await self.run()), text=text))

    async def agent_acts(self, run: dict[str, Any] | None = None, **changes: Any) -> Receipt:
        return await self.bring(AgentActed(**self.head(), **(run or await self.run()), **changes))

    async def agent_finishes(self, run: dict[str, Any] | None = None, **changes: Any) -> Receipt:
        return await self.bring(AgentFinished(**self.head(), **(run or await self.run()), **changes))

    async def agent_breaks(self, run: dict[str, Any] | None = None) -> Receipt:
        run = run or await self.run()
        return await self.bring(AgentBroke(**self.head(), **run, code="timeout_total", message="too long"))

    async def agent_escalates(self, run: dict[str, Any] | None = None, **changes: Any) -> Receipt:
        run = run or await self.run()
        return await self.bring(Escalated(**self.head(), **run, envelope=envelope(**changes)))

    async def escalates(self, envelope_id: str = "e1", operator: Operator | None = None, **changes: Any) -> Receipt:
        """Escalate by the API."""
        document = envelope(envelope_id, **changes)
        event = Escalated(**self.head(), conversation=self.conversation, envelope=document, operator=operator)
        return await self.bring(event)

    # --- people

    async def _act(self, kind: Callable[..., Event], operator: Operator, of: HandoffId | None, **more: Any) -> Receipt:
        handoff = of or (await self.handoff()).id
        return await self.bring(kind(**self.head(), operator=operator, handoff=handoff, **more))

    async def takes(self, operator: Operator = DANA, of: HandoffId | None = None) -> Receipt:
        return await self._act(OperatorTook, operator, of)

    async def releases(self, operator: Operator = DANA, of: HandoffId | None = None) -> Receipt:
        return await self._act(OperatorReleased, operator, of)

    async def leaves(self, operator: Operator = DANA, of: HandoffId | None = None) -> Receipt:
        return await self._act(OperatorLeft, operator, of)

    async def transfers(self, operator: Operator = DANA, of: HandoffId | None = None, **to: Any) -> Receipt:
        return await self._act(OperatorTransferred, operator, of, **to)

    async def returns(self, operator: Operator = DANA, of: HandoffId | None = None, **note: Any) -> Receipt:
        return await self._act(OperatorReturned, operator, of, note=ReturnNote(**note))

    async def closes(self, operator: Operator = DANA, of: HandoffId | None = None) -> Receipt:
        return await self._act(OperatorClosed, operator, of)

    async def reopens(self, operator: Operator = DANA, of: HandoffId | None = None) -> Receipt:
        return await self._act(OperatorReopened, operator, of)

    async def rehearses(self, operator: Operator = DANA, of: HandoffId | None = None, **note: Any) -> Receipt:
        return await self._act(OperatorRehearsed, operator, of, note=ReturnNote(**note))

    async def types(self, text: str, operator: Operator = DANA, *, root: RemoteRef | None = None, **more: Any) -> str:
        """Type in the thread; return the message's name on the desk. The receipt is `self.last`."""
        remote = RemoteRef(f"m{next(self._refs)}")
        head = self.head(at=more.pop("at")) if "at" in more else self.head()
        where: dict[str, Any] = {"desk": DESK, "root": root or await self.root(), "remote": remote}
        self.last = await self.bring(OperatorSaid(**head, operator=operator, **where, text=text, **more))
        return remote

    async def edits(self, remote: str, text: str, operator: Operator = DANA, **more: Any) -> Receipt:
        where: dict[str, Any] = {"desk": DESK, "root": await self.root(), "remote": RemoteRef(remote)}
        return await self.bring(OperatorEdited(**self.head(), operator=operator, **where, text=text, **more))

    async def deletes(self, remote: str, operator: Operator = DANA) -> Receipt:
        where: dict[str, Any] = {"desk": DESK, "root": await self.root(), "remote": RemoteRef(remote)}
        return await self.bring(OperatorDeleted(**self.head(), operator=operator, **where))

    async def forwards(self, operator: Operator = DANA, *, root: RemoteRef | None = None, **what: Any) -> Receipt:
        where: dict[str, Any] = {"desk": DESK, "root": root or await self.root()}
        return await self.bring(OperatorForwarded(**self.head(), operator=operator, **where, **what))

    # --- the desk

    async def card_arrives(self, root: str = "") -> RemoteRef:
        """Post what waits, as a courier does: the first card opens its thread. Returns the newest root."""
        for desk in (DESK, TEAMS):
            while await self.store.run(partial(self._post_next, desk=desk, root=root)):
                pass
        return await self.root()

    def _post_next(self, tx: Tx, *, desk: DeskName, root: str) -> bool:
        claim = tx.claim_lane(desk, "w", Millis(self.clock.now() + 10**9), 1000)
        if claim is None:
            return False
        out = claim.outs[0]
        ref = RemoteRef(root or f"root-{claim.handoff}-{claim.thread.ordinal}")
        now = self.clock.now()
        tx.begin_send(claim, [out.k], out.key, now, now)
        tx.delivered(claim, [out.k], ref if claim.thread.root is None else RemoteRef(f"p{next(self._refs)}"), now)
        tx.release(claim)
        return True

    # --- looking

    async def look(self, unit: Callable[[Tx], T]) -> T:
        return await self.store.read(unit)

    async def row(self) -> Conversation:
        found = await self.look(lambda tx: tx.conversation(SITE, self.conversation, lock=False))
        assert found is not None
        return found

    async def handoff(self) -> Handoff:
        """Return the newest one."""
        wanted = (await self.row()).handoff
        assert wanted is not None, "never handed over"
        found = await self.look(lambda tx: tx.handoff(SITE, wanted))
        assert found is not None
        return found

    async def root(self) -> RemoteRef:
        """Return the newest thread's root; it must be there."""
        found = (await self.handoff()).thread.root
        assert found is not None, "the card has not arrived"
        return found

    async def turn(self) -> Turn | None:
        return await self.look(lambda tx: tx.live_turn(SITE, self.conversation))

    async def log(self) -> list[Entry]:
        return await self.look(lambda tx: tx.entries(SITE, self.conversation, limit=100_000))

    async def screen(self) -> list[str]:
        """Return what a customer sees who looks now: lines with their edits, without what was deleted, and notices."""
        shown: dict[int, str] = {}
        for entry in await self.log():
            if entry.audience not in (Audience.EVERYONE, Audience.CUSTOMER):
                continue
            if entry.kind is EntryKind.EDIT:
                assert entry.target in shown, "an edit of what is not on the screen"
                shown[entry.target] = entry.text
            elif entry.kind is EntryKind.DELETE:
                shown.pop(entry.target or 0, None)
            elif entry.kind in (EntryKind.LINE, EntryKind.NOTICE):
                shown[entry.n] = entry.text if entry.kind is EntryKind.LINE else f"({entry.data['notice']})"
        return list(shown.values())

    async def notices(self) -> list[str]:
        """Return the constant names of what the bridge told the thread."""
        return [
            str(entry.data["notice"])
            for entry in await self.log()
            if entry.kind is EntryKind.NOTICE and entry.audience is Audience.COLLEAGUES
        ]

    async def unsent(self) -> list[Out]:
        """Return what waits for the desks, lane by lane, in order."""
        try:
            await self.store.run(_unsent)
        except Rollback as found:
            return found.result
        raise AssertionError

    async def fingerprint(self) -> Any:
        """Return all of it that a repeat could change."""
        row, log, outs = await self.row(), await self.log(), await self.unsent()
        handoff = await self.handoff() if row.handoff else None
        timers = await self.look(lambda tx: tx.due_timers(Millis(self.clock.now() + 10**12), 500))
        stream = await self.look(lambda tx: tx.stream(SITE, self.conversation))
        return row, log, outs, handoff, await self.turn(), timers, stream


def _unsent(tx: Tx) -> None:
    found: list[Out] = []
    for desk in (DESK, TEAMS):
        while claim := tx.claim_lane(desk, "look", Millis(10**14), 10**9):
            found += claim.outs
            tx.bury(claim, [out.k for out in claim.outs], reason="", maybe_sent=False)
            tx.release(claim)
    lanes = list(dict.fromkeys((out.handoff, out.ordinal) for out in found))
    raise Rollback(sorted(found, key=lambda out: (lanes.index((out.handoff, out.ordinal)), out.k)))


class Rollback(Exception):
    """Carries a result out of a unit that is to leave no trace."""

    def __init__(self, result: list[Out]) -> None:
        super().__init__()
        self.result = result


def fence(turn: Turn) -> dict[str, Any]:
    """Return what the events of a run carry."""
    return {"conversation": turn.conversation, "turn": turn.id, "epoch": turn.epoch, "attempt": turn.attempt}


def stale(run: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**run, **changes}


def a_file(name: str = "bill.pdf") -> FileRef:
    return FileRef(id=FileId(f"f-{name}"), name=name, media_type="application/pdf", size_bytes=10)


def without_standing(operator: Operator) -> Operator:
    return replace(operator, standing=Standing.NONE, why=f"{operator.name} left.")
