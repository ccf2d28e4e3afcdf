"""What the core tells of its work as it happens, for figures: a small port. Who listens must not block or raise.

A fact holds names from the settings and from fixed lists, never an id of a customer and never a text, so that each can
become the label of a figure. Facts are told after the commit, in the process that did the work: they are events. How
much waits is not told here but asked of the store (`Tx.counts`), which knows it for all processes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.conversation import CUSTOMER_SEES, OPEN_STATES, Entry, EntryKind, Handoff, HandoffState, Role, Situation
from bridge.effects import Append, Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """A conversation left the agent. `reason` is one of `envelope.Reason`."""

    queue: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A handoff got its first owner, so long after it was opened. One that an operator opened is not told."""

    queue: str
    after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstWord:
    """The customer was answered by a person for the first time in a handoff, so long after it was opened."""

    queue: str
    after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A handoff ended: `how` is returned, withdrawn or closed; `outcome` one of `envelope.ReturnOutcome`, or ""."""

    queue: str
    how: str
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnEnded:
    """An attempt of the agent ended: as `attempt.Ending` says, or `failed`."""

    ending: str
    took_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFailed:
    """An attempt of the agent failed; `code` is that of `errors.AgentFailed`."""

    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """The front door answered an event. `kind` is its class, `status` that of the receipt."""

    kind: str
    status: str


Fact = HandedOver | Taken | FirstWord | Ended | TurnEnded | TurnFailed | Received
Meter = Callable[[Fact], None]


def unmetered(_fact: Fact) -> None:
    """Listen to nothing."""


def facts(before: Situation, decision: Decision) -> Iterator[Fact]:
    """Return what a decision means for the figures, once it is committed; the first word apart. Pure."""
    was, now = before.handoff, decision.situation.handoff
    if now is None or now is was:
        return
    is_new = was is None or was.id != now.id
    if is_new:
        yield HandedOver(queue=now.queue, reason=now.envelope.reason.value)
    elif was is not None and was.taken_at is None and now.taken_at is not None:
        yield Taken(queue=now.queue, after_s=max(0, now.taken_at - now.opened_at) / 1000)
    if not is_new and was is not None and was.state in OPEN_STATES and now.state not in OPEN_STATES:
        outcome = now.note.outcome.value if now.note is not None and now.state is HandoffState.RETURNED else ""
        yield Ended(queue=now.queue, how=now.state.value, outcome=outcome)


def persons_line(decision: Decision) -> tuple[Handoff, Entry] | None:
    """Return the line that a person says to the customer by this decision, and in which handoff. Pure."""
    handoff = decision.situation.handoff
    for effect in decision.effects:
        if isinstance(effect, Append) and handoff is not None and is_persons(effect.entry):
            return handoff, effect.entry
    return None


def is_persons(entry: Entry) -> bool:
    """Whether it is a line of a person that the customer sees."""
    return entry.kind is EntryKind.LINE and entry.author.role is Role.OPERATOR and entry.audience in CUSTOMER_SEES
