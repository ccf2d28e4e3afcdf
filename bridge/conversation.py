"""What a conversation is: people, its log, its state. Frozen data, no behaviour.

The log of a conversation is a sequence of entries numbered `n` = 1, 2, ... without gaps. A widget shows the entries
that the customer may see, a thread those that operators may see; `n` is the widget's watermark. Owner and epoch move
together: the epoch grows by one at every change of owner, and whatever the agent says is fenced by it. What can happen
stands in `events`, what may follow in `effects`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bridge.envelope import HandoffEnvelope, ReturnNote
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
    Ticket,
    TurnId,
)

# --- people


class Role(StrEnum):
    """Who speaks. It is always clear whether that is a person or an AI."""

    CUSTOMER = "customer"
    AGENT = "agent"
    OPERATOR = "operator"
    BRIDGE = "bridge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Who an entry is by. `id` is the customer's, operator's or agent's; `name` is the public one."""

    role: Role
    id: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """What the widget's session proves (`id`, `verified`) and what the page claims (the rest)."""

    id: CustomerId
    name: str = ""
    verified: bool = False
    locale: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Standing(StrEnum):
    """What a person on a desk may do in a queue, settled anew at each use."""

    NONE = "none"
    ALLOWED = "allowed"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """A person on a desk. `why` says in one sentence what stands against them when `standing` is NONE."""

    id: OperatorId
    name: str
    standing: Standing = Standing.NONE
    why: str = ""


# --- the log


class EntryKind(StrEnum):
    """LINE is said by somebody, NOTICE by the bridge; EDIT, DELETE and RETRACTION change what an earlier entry or
    stream showed.
    """

    LINE = "line"
    NOTICE = "notice"
    EDIT = "edit"
    DELETE = "delete"
    RETRACTION = "retraction"


class Audience(StrEnum):
    """Who may ever see an entry. SUPPRESSED is agent text that came too late: kept for operators' eyes, never for a
    customer's.
    """

    EVERYONE = "everyone"
    CUSTOMER = "customer"
    COLLEAGUES = "colleagues"
    SUPPRESSED = "suppressed"


CUSTOMER_SEES = frozenset({Audience.EVERYONE, Audience.CUSTOMER})


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRef:
    """A file that the Files port holds. `media_type` is sniffed, not claimed."""

    id: FileId
    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of the log.

    `text` is Markdown where `author` is an agent or operator, plain text where it is the customer. `target` is the n
    that an EDIT or DELETE changes; `turn` names the stream that a RETRACTION takes back or a LINE completes. `named`
    says that the speaker changed, so that widgets which show no names put one in the text. `data` is what the widget
    wants back verbatim (Direct Line's channelData), what a notice means (`data["notice"]` is its constant name), or
    which team a `named` person is of (`data["label"]`).
    """

    n: int
    kind: EntryKind
    author: Author
    audience: Audience
    at: Millis
    epoch: int
    text: str = ""
    files: tuple[FileRef, ...] = ()
    target: int | None = None
    turn: TurnId | None = None
    handoff: HandoffId | None = None
    named: bool = False
    remote: RemoteRef | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """Agent text that is still being written: cumulative, shown by widgets that can retract. `seq` grows with each
    commit.
    """

    turn: TurnId
    attempt: int
    seq: int
    text: str
    open: bool = True


# --- state


class State(StrEnum):
    """Who owns the conversation: the AI agent, nobody yet (a person was called), one operator, nobody any more."""

    AGENT = "agent"
    WAITING = "waiting"
    HUMAN = "human"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """The row that every change locks. `operator` is set only in HUMAN; `sticky` is the last one, asked first next
    time.
    """

    site: SiteId
    id: ConversationId
    widget: str
    customer: Customer
    state: State = State.AGENT
    operator: Operator | None = None
    epoch: int = 1
    next_n: int = 1
    last_at: Millis = Millis(0)
    handoff: HandoffId | None = None
    """The newest handoff, open or ended."""
    sticky: OperatorId | None = None
    last_speaker: str = ""
    """`role:id` of the last one whom the customer saw speaking."""
    last_role: str = ""
    """Who spoke the last line that the customer saw: customer, agent or operator."""
    last_customer_n: int = 0
    """The newest line of the customer: a turn that read less is followed by another."""
    read_n: int = 0
    """What the agent's ended turns have read: a newer line of the customer has a live turn, or was overlooked."""
    unsure_turns: int = 0
    """Turns in a row below the confidence threshold."""
    collected: Mapping[str, Any] = field(default_factory=dict)
    """What the agent reported as established (`Collected` events); policy rules read it."""


class HandoffState(StrEnum):
    """WAITING and HUMAN are open; the others are ended."""

    WAITING = "waiting"
    HUMAN = "human"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


OPEN_STATES = frozenset({HandoffState.WAITING, HandoffState.HUMAN})


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """Where a handoff lives on a desk. `root` is None until the card was posted. `ordinal` grows when a handoff moves
    to a new thread.
    """

    desk: DeskName
    channel: ChannelId
    root: RemoteRef | None = None
    ordinal: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Handoff:
    """One stretch of human ownership = one ticket = one card = one thread."""

    site: SiteId
    id: HandoffId
    conversation: ConversationId
    ticket: Ticket
    envelope: HandoffEnvelope
    problems: tuple[tuple[str, str], ...] = ()
    queue: QueueName
    thread: Thread
    why_here: str = ""
    """Why routing chose this queue, channel and person: shown on the card."""
    state: HandoffState = HandoffState.WAITING
    opened_at: Millis
    first_n: int
    """The number of the first entry of the human stretch."""
    taken_at: Millis | None = None
    ended_at: Millis | None = None
    operator: Operator | None = None
    """Its owner, or its last one when it has ended."""
    previous: HandoffId | None = None
    rung: int = 0
    note: ReturnNote | None = None
    preferred: OperatorId | None = None
    audience_rule: str = "owner"
    first_reply: str = "note"
    told: frozenset[str] = frozenset()
    """Operator ids that were told in this thread that their messages do not go to the customer: once is enough."""


class TurnKind(StrEnum):
    """Why the agent runs."""

    OPENED = "opened"
    MESSAGE = "message"
    RESUMED = "resumed"
    REHEARSAL = "rehearsal"


class TurnState(StrEnum):
    """QUEUED and RUNNING are live; one live turn per conversation (rehearsals apart)."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One run of the agent. A row, not a send: `id` is the idempotency key for the agent and its tools, `attempt`
    counts from 1.
    """

    site: SiteId
    id: TurnId
    conversation: ConversationId
    epoch: int
    kind: TurnKind
    upto_n: int
    attempt: int = 1
    state: TurnState = TurnState.QUEUED
    handoff: HandoffId | None = None
    """For RESUMED: the handoff that just ended. For REHEARSAL: the open one."""
    note: ReturnNote | None = None
    """For REHEARSAL: the draft note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """All that a decision may look at."""

    conversation: Conversation
    handoff: Handoff | None = None
    """The conversation's newest handoff."""
    turn: Turn | None = None
    """The live turn, if any (never a rehearsal)."""
    stream_open: bool = False
