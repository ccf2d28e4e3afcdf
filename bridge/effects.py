"""What may follow from a decision (effects), and what is answered to the one who brought the event. Frozen data."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.conversation import (
    Entry,
    Situation,
    Turn,
    TurnState,
)
from bridge.ids import (
    ConversationId,
    HandoffId,
    Millis,
    Ticket,
    TurnId,
)


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
