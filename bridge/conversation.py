"""What a conversation is, what can happen to it (events) and what may follow (effects). Frozen data, no behaviour.

The log of a conversation is a sequence of entries numbered `n` = 1, 2, ... without gaps. A widget shows the entries
that the customer
may see, a thread those that operators may see; `n` is the widget's watermark. Owner and epoch move together: the epoch
grows by one
at every change of owner, and whatever the agent says is fenced by it.
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
    OutKey,
    QueueName,
    RemoteRef,
    SiteId,
    SourceId,
    Ticket,
    TurnId,
)

# --- people
# -------------------------------------------------------------------------------------------------------------------


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
# ------------------------------------------------------------------------------------------------------------------


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
# --------------------------------------------------------------------------------------------------------------------


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


# --- events: what can happen
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Everything that enters by the one door. `source` recognises repeats; `at` is when the source says that it
    happened.
    """

    site: SiteId
    source: SourceId
    at: Millis


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerEvent(Event):
    """Something that a customer did in the widget."""

    conversation: ConversationId


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerOpened(CustomerEvent):
    """The chat was opened. Makes the conversation if it is new; may be said again at each reload."""

    widget: str
    customer: Customer


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerSaid(CustomerEvent):
    """The customer wrote or sent files. Makes the conversation if the token proves one that the store has not."""

    widget: str
    customer: Customer
    text: str
    files: tuple[FileRef, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerWithdrew(CustomerEvent):
    """The customer no longer wants a person ("never mind")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlooked(CustomerEvent):
    """A starting bridge found lines of the customer that nobody has answered, and that nobody is about to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentEvent(Event):
    """Something from a run of the agent; it counts only while epoch and attempt match."""

    conversation: ConversationId
    turn: TurnId
    epoch: int
    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentStreamed(AgentEvent):
    """More of the text that is being written. `text` is cumulative."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSaid(AgentEvent):
    """A whole message of the agent."""

    text: str
    files: tuple[FileRef, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentActed(AgentEvent):
    """A tool call, a tool's failure, or collected values: read by the triggers, never shown."""

    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    collected: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentFinished(AgentEvent):
    """The run ended as agreed. `close`: the agent considers the conversation finished."""

    confidence: float | None = None
    close: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentBroke(AgentEvent):
    """The run failed for good (second attempt, time-out, unreadable). `code` as in errors.AgentFailed."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalated(Event):
    """The conversation is to go to a person. From the agent's run it carries the run's fence; from an API it carries
    none.
    """

    conversation: ConversationId
    envelope: HandoffEnvelope
    problems: tuple[tuple[str, str], ...] = ()
    turn: TurnId | None = None
    epoch: int | None = None
    attempt: int | None = None
    operator: Operator | None = None
    """For the reason operator_takeover: who takes it, unasked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorEvent(Event):
    """Something that a person on a desk did. `operator.standing` was settled just now for the queue in question."""

    operator: Operator


@dataclass(frozen=True, kw_only=True, slots=True)
class HandoffAction(OperatorEvent):
    """A button, a command or a modal: it carries the handoff's id."""

    handoff: HandoffId


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorTook(HandoffAction):
    """*Take it*."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorReleased(HandoffAction):
    """Back to the queue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorTransferred(HandoffAction):
    """To a colleague (same thread), or to a queue (new card there). Exactly one of the two is set."""

    to_operator: Operator | None = None
    to_queue: QueueName | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorReturned(HandoffAction):
    """Back to the agent, with a note."""

    note: ReturnNote


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorClosed(HandoffAction):
    """Nobody owns it any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorReopened(HandoffAction):
    """*Take it back*: from AGENT (after a return) or from CLOSED; makes a new, linked handoff."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorRehearsed(HandoffAction):
    """Let the agent say, to the thread only, how it would go on with this note."""

    note: ReturnNote


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorLeft(HandoffAction):
    """The owner was deactivated or left the channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorSpoke(OperatorEvent):
    """A message in a thread of ours. `desk`, `root` name the thread; `remote` the message.

    `hints` are facts that the desk saw (`mentions_person`, `mentions_bridge`, `is_bot`, `is_quote`, `is_broadcast`),
    read by audience.py.
    """

    desk: DeskName
    root: RemoteRef
    remote: RemoteRef
    text: str
    files: tuple[FileRef, ...] = ()
    hints: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorSaid(OperatorSpoke):
    """A new message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorEdited(OperatorSpoke):
    """The message `remote` now reads `text`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorDeleted(OperatorEvent):
    """The message `remote` is gone."""

    desk: DeskName
    root: RemoteRef
    remote: RemoteRef


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorForwarded(OperatorEvent):
    """*Send to the customer* (or, with `take`, *Take it and send this*) on a message that was kept for colleagues."""

    desk: DeskName
    root: RemoteRef
    remote: RemoteRef | None = None
    """The kept message, as the message shortcut names it ..."""
    n: int | None = None
    """... or as the button under a notice names it (`Part.target`). Exactly one of the two is set."""
    take: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RungDue(Event):
    """A step of the ladder (or the 60 s check that the card reached its desk) is due."""

    handoff: HandoffId
    rung: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryFailed(Event):
    """Something could not be posted in a handoff's thread, or may have been: people are to know."""

    handoff: HandoffId
    n: int | None
    reason: str
    remedy: str
    maybe_sent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadGone(Event):
    """The desk has lost this thread (its root was deleted): the handoff goes on in a new one."""

    handoff: HandoffId
    ordinal: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Echoed(Event):
    """The desk showed us our own post: it settles an unclear send. Handled by the switchboard, never by `decide`."""

    desk: DeskName
    key: OutKey
    ref: RemoteRef


# --- effects: what may follow
# -------------------------------------------------------------------------------------------------


class OutKind(StrEnum):
    """What a courier carries to a desk."""

    CARD = "card"
    TRANSCRIPT = "transcript"
    POST = "post"
    EDIT = "edit"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class Append:
    """Write this entry to the log. Its `n` is already the right one."""

    entry: Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Queue something for the thread of `handoff` (its newest thread unless `ordinal` names another).

    `n` is the entry to show (POST), the changed one (EDIT, DELETE: the entry that holds the change), or None (CARD,
    TRANSCRIPT).
    `actions` are the buttons under a notice, by their constant names.
    """

    handoff: HandoffId
    kind: OutKind
    n: int | None = None
    ordinal: int | None = None
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueTurn:
    """Queue this run of the agent."""

    turn: Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class EndTurn:
    """The live turn ends in `state` (DONE, CANCELLED, FAILED)."""

    turn: TurnId
    state: TurnState


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteStream:
    """Replace the open stream's text."""

    turn: TurnId
    attempt: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseStream:
    """The stream is complete, or was retracted: nothing of it is shown any more."""

    turn: TurnId


@dataclass(frozen=True, kw_only=True, slots=True)
class SetTimer:
    """Fire RungDue(handoff, rung) at `due_at`, once."""

    handoff: HandoffId
    rung: str
    due_at: Millis


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearTimers:
    """Forget all timers of the handoff."""

    handoff: HandoffId


Effect = Append | Send | QueueTurn | EndTurn | WriteStream | CloseStream | SetTimer | ClearTimers


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What the one who brought the event is told.

    `status`: `done` · `duplicate` (seen before: nothing happened again) · `refused` (`sentence` says why) · `fenced`
    (agent text that came
    too late: kept as suppressed; stop the run). `sentence` is for the person who acted, in plain words, or "".
    `n` is the entry that the event became, if it became one.
    """

    status: str = "done"
    sentence: str = ""
    conversation: ConversationId | None = None
    n: int | None = None
    at: Millis | None = None
    handoff: HandoffId | None = None
    ticket: Ticket | None = None
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The new state, what follows from it, and what to answer."""

    situation: Situation
    effects: tuple[Effect, ...] = ()
    receipt: Receipt = Receipt()
