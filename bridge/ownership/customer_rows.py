"""What follows when the customer acts."""

from dataclasses import replace

from bridge.conversation import Audience, Author, HandoffState, Role, State, TurnKind
from bridge.effects import Decision
from bridge.events import CustomerOpened, CustomerSaid, CustomerWithdrew, Overlooked
from bridge.ids import RemoteRef
from bridge.notices import thread
from bridge.ownership.agent_rows import hand_over
from bridge.ownership.draft import Draft


def opened(draft: Draft, event: CustomerOpened) -> Decision:
    """Greet once: a chat that was opened before is only shown again."""
    conversation = draft.conversation
    draft.conversation = replace(conversation, customer=event.customer)
    if conversation.next_n == 1 and draft.turn is None and draft.state is State.AGENT:
        draft.queue_turn(TurnKind.OPENED)
    return draft.done()


def said(draft: Draft, event: CustomerSaid) -> Decision:
    """Append; the owner hears it."""
    if draft.state is State.CLOSED:
        draft.change_owner(State.AGENT)
    n = draft.append(
        author=Author(role=Role.CUSTOMER, id=event.customer.id, name=event.customer.name),
        audience=Audience.EVERYONE,
        text=event.text,
        files=event.files,
        remote=RemoteRef(event.source),
        data=event.data,
    )
    at = draft.conversation.last_at
    match draft.state:
        case State.AGENT:
            moved = draft.verdicts.trigger is not None and hand_over(draft, draft.verdicts.trigger)
            if not moved and draft.turn is None:
                draft.queue_turn(TurnKind.MESSAGE)
        case State.WAITING if draft.verdicts.withdraws:
            draft.show_in_thread(n)
            _withdraw(draft)
        case _:
            draft.show_in_thread(n)
            draft.rest_idle()
    decision = draft.done(n)
    return replace(decision, receipt=replace(decision.receipt, at=at))


def overlooked(draft: Draft, _: Overlooked) -> Decision:
    """Let the agent answer, if it still has not and nobody else has."""
    row = draft.conversation
    waits = row.last_role == Role.CUSTOMER and row.last_customer_n > row.read_n
    if draft.state is State.AGENT and draft.turn is None and waits:
        draft.queue_turn(TurnKind.MESSAGE)
    return draft.done()


def withdrew(draft: Draft, _: CustomerWithdrew) -> Decision:
    """Give the conversation back to the agent, if nobody has taken it yet."""
    if draft.state is not State.WAITING:
        return draft.refuse("There is no request for a person to withdraw.")
    _withdraw(draft)
    return draft.done()


def _withdraw(draft: Draft) -> None:
    draft.stop_ladder()
    draft.tell_thread(thread("withdrawn"), notice="withdrawn")
    draft.change_owner(State.AGENT)
    draft.set_handoff(HandoffState.WITHDRAWN)
    draft.tell_customer("withdrawn")
    draft.card()
    draft.queue_turn(TurnKind.MESSAGE)
