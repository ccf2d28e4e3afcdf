"""Who owns the conversation: `decide(situation, event, verdicts)`. Pure; the one hard rule lives here.

From the commit of a handoff until the commit of a return, nothing that the agent generates reaches the customer:
whatever it says
counts only while `owner = agent and epoch = turn.epoch and attempt = turn.attempt` (`agent_rows.fence_holds`). No timer
gives the
conversation back unless the queue's ladder says so in words, and then the customer is told.

The rows of the table stand in the file of the one who acts: `customer_rows`, `agent_rows`, `operator_rows` (what people
do with a
handoff), `speech_rows` (what people type), `timer_rows`. `draft` collects what follows from a row.
"""

from collections.abc import Callable
from typing import Any

from bridge.conversation import Situation
from bridge.effects import Decision
from bridge.events import (
    AgentActed,
    AgentBroke,
    AgentFinished,
    AgentSaid,
    AgentStreamed,
    CardStale,
    CustomerOpened,
    CustomerSaid,
    CustomerWithdrew,
    DeliveryFailed,
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
    Overlooked,
    RungDue,
    ThreadGone,
)
from bridge.ownership import agent_rows, customer_rows, operator_rows, speech_rows, timer_rows
from bridge.ownership.draft import Draft
from bridge.ownership.verdicts import Verdicts

_ROWS: dict[type[Event], Callable[[Draft, Any], Decision]] = {
    CustomerOpened: customer_rows.opened,
    CustomerSaid: customer_rows.said,
    CustomerWithdrew: customer_rows.withdrew,
    Overlooked: customer_rows.overlooked,
    AgentStreamed: agent_rows.streamed,
    AgentSaid: agent_rows.said,
    AgentActed: agent_rows.acted,
    AgentFinished: agent_rows.finished,
    AgentBroke: agent_rows.broke,
    Escalated: agent_rows.escalated,
    OperatorTook: operator_rows.took,
    OperatorReleased: operator_rows.released,
    OperatorTransferred: operator_rows.transferred,
    OperatorReturned: operator_rows.returned,
    OperatorClosed: operator_rows.closed,
    OperatorReopened: operator_rows.reopened,
    OperatorRehearsed: operator_rows.rehearsed,
    OperatorLeft: operator_rows.left,
    OperatorSaid: speech_rows.said,
    OperatorEdited: speech_rows.edited,
    OperatorDeleted: speech_rows.deleted,
    OperatorForwarded: speech_rows.forwarded,
    RungDue: timer_rows.rung_due,
    DeliveryFailed: timer_rows.delivery_failed,
    ThreadGone: timer_rows.thread_gone,
    CardStale: timer_rows.card_stale,
}


def decide(situation: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Return the new situation, what follows, and what to answer. Raises TypeError for an event that is not a matter of
    ownership.
    """
    row = _ROWS.get(type(event))
    if row is None:
        raise TypeError(f"{type(event).__name__} is not a matter of ownership")
    return row(Draft(situation, verdicts), event)


__all__ = ["Verdicts", "decide"]
