"""What can happen to a conversation: every event that enters by the one door. Frozen data, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.conversation import (
    Customer,
    FileRef,
    Operator,
)
from bridge.envelope import HandoffEnvelope, ReturnNote
from bridge.ids import (
    ConversationId,
    DeskName,
    HandoffId,
    Millis,
    OutKey,
    QueueName,
    RemoteRef,
    SiteId,
    SourceId,
    TurnId,
)


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
class CardStale(Event):
    """The desk has learned something about itself that the card shows: it is to be shown anew."""

    handoff: HandoffId


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
