"""What the store's tests keep: every field filled with something that is not its default."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bridge.conversation import (
    Audience,
    Author,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    FileRef,
    Handoff,
    HandoffState,
    Operator,
    Role,
    Standing,
    State,
    Thread,
    Turn,
    TurnKind,
)
from bridge.effects import OutKind
from bridge.envelope import AgentInfo, HandoffEnvelope, Reason, ReturnNote, ReturnOutcome
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
    TurnId,
)
from bridge.storage import Out

SITE = SiteId("acme")
OTHER_SITE = SiteId("rival")
DESK = DeskName("slack")
CHANNEL = ChannelId("C1")
T0 = Millis(1_700_000_000_000)
LEASE_MS = 30_000
DANA = Operator(id=OperatorId("slack:T1:U1"), name="Dana Ruiz", standing=Standing.SUPERVISOR, why="the owner")
FILE = FileRef(id=FileId("file_1"), name="Zähler.png", media_type="image/png", size_bytes=12)
NOTE = ReturnNote(
    outcome=ReturnOutcome.RESOLVED, note="refunded", facts=("order 7 is lost",), promises=("a call",), continue_now=True
)


def at(ms: int) -> Millis:
    """Return the time so many milliseconds after the start."""
    return Millis(T0 + ms)


def conversation(key: str = "c1", **changes: Any) -> Conversation:
    plain = Conversation(
        site=SITE,
        id=ConversationId(key),
        widget="directline",
        customer=Customer(
            id=CustomerId("u1"), name="Max Ünal", verified=True, locale="de-DE", attributes={"plan": "gold", "n": 3}
        ),
        last_at=T0,
    )
    return replace(plain, **changes)


def full_conversation() -> Conversation:
    return conversation(
        state=State.HUMAN,
        operator=DANA,
        epoch=4,
        next_n=17,
        handoff=HandoffId("h1"),
        sticky=DANA.id,
        last_speaker="operator:slack:T1:U1",
        last_role="operator",
        last_customer_n=9,
        read_n=8,
        unsure_turns=2,
        collected={"order": "7", "amount": 12.5, "ok": True, "none": None},
    )


def entry(n: int, **changes: Any) -> Entry:
    plain = Entry(
        n=n,
        kind=EntryKind.LINE,
        author=Author(role=Role.CUSTOMER, id="u1", name="Max"),
        audience=Audience.EVERYONE,
        at=at(n),
        epoch=1,
        text=f"line {n} — ünïcode 🙂",
    )
    return replace(plain, **changes)


def full_entry(n: int) -> Entry:
    return entry(
        n,
        kind=EntryKind.EDIT,
        author=Author(role=Role.OPERATOR, id=DANA.id, name=DANA.name),
        audience=Audience.COLLEAGUES,
        epoch=3,
        files=(FILE,),
        target=1,
        turn=TurnId("t1"),
        handoff=HandoffId("h1"),
        named=True,
        remote=RemoteRef("C1/17.5"),
        data={"channelData": {"a": [1, 2, {"b": None}]}},
    )


def handoff(key: str = "h1", of: str = "c1", **changes: Any) -> Handoff:
    plain = Handoff(
        site=SITE,
        id=HandoffId(key),
        conversation=ConversationId(of),
        ticket=Ticket(f"H-{key}"),
        envelope=HandoffEnvelope(
            id=f"env-{key}",
            conversation_id=of,
            created_at=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
            reason=Reason.POLICY,
            summary="Wants a refund.",
            agent=AgentInfo(id="bot"),
            collected={"order": "7"},
            confidence=0.25,
        ),
        queue=QueueName("support"),
        thread=Thread(desk=DESK, channel=CHANNEL),
        opened_at=T0,
        first_n=3,
    )
    return replace(plain, **changes)


def full_handoff() -> Handoff:
    return handoff(
        problems=(("customer.email", "is too long"),),
        thread=Thread(desk=DESK, channel=CHANNEL, root=RemoteRef("C1/1.0"), ordinal=2),
        why_here="Sticky operator.",
        state=HandoffState.RETURNED,
        taken_at=at(10),
        ended_at=at(20),
        operator=DANA,
        previous=HandoffId("h0"),
        rung=2,
        note=NOTE,
        preferred=DANA.id,
        audience_rule="button",
        first_reply="takes",
        told=frozenset({OperatorId("slack:T1:U2"), OperatorId("slack:T1:U3")}),
    )


def turn(key: str = "t1", of: str = "c1", **changes: Any) -> Turn:
    plain = Turn(site=SITE, id=TurnId(key), conversation=ConversationId(of), epoch=1, kind=TurnKind.MESSAGE, upto_n=1)
    return replace(plain, **changes)


def out(n: int | None = None, of: str = "h1", *, kind: OutKind = OutKind.POST, at_ms: int = 0, **changes: Any) -> Out:
    plain = Out(
        site=SITE,
        conversation=ConversationId("c1"),
        handoff=HandoffId(of),
        ordinal=1,
        k=0,
        kind=kind,
        key=OutKey(f"{of}-{kind}-{n}"),
        n=n,
        queued_at=at(at_ms),
    )
    return replace(plain, **changes)


def card(of: str = "h1", *, at_ms: int = 0, **changes: Any) -> Out:
    return out(None, of, kind=OutKind.CARD, at_ms=at_ms, **changes)
