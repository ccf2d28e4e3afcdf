"""What audience, routing and triggers said before a decision, and the fresh ids that a row may need."""

from dataclasses import dataclass

from bridge.audience import Hearing
from bridge.conversation import (
    Entry,
    Handoff,
    Turn,
)
from bridge.envelope import HandoffEnvelope
from bridge.ids import HandoffId, Millis, Ticket, TurnId
from bridge.notices import Words
from bridge.routing import Queue, Route


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What audience, routing and triggers said before `decide` was asked, and the fresh ids that a row may need."""

    now: Millis
    words: Words
    new_turn: TurnId
    new_handoff: HandoffId
    ticket: Ticket | None = None
    """A fresh ticket, where a row may open a handoff."""
    route: Route | None = None
    queue: Queue | None = None
    """The newest handoff's queue."""
    trigger: HandoffEnvelope | None = None
    """The envelope that the bridge itself would escalate with, if a trigger fired."""
    stays_n: int = 0
    """The newest notice to the customer that the queue is closed and the agent goes on."""
    unsure_turns: int = 0
    withdraws: bool = False
    acted: Handoff | None = None
    """The handoff that a button, or the thread of a message, belongs to; it may be an earlier one."""
    acted_ordinal: int = 1
    hearing: Hearing | None = None
    line: Entry | None = None
    """The entry that an edited, deleted or forwarded message had become."""
    sent_as: Entry | None = None
    """What the customer got of a message that was kept first and forwarded later."""
    removed: bool = False
    """An edit took the line from the customer's screen: it is a note since."""
    event_turn: Turn | None = None
    """The turn that an agent's event names, live or not."""
    agent_name: str = ""
    agent_id: str = "agent"
