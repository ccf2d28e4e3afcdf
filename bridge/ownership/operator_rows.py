"""What follows when people act on a handoff: take, release, transfer, return, close, reopen, rehearse."""

from bridge.conversation import Handoff, HandoffState, Operator, State, TurnKind
from bridge.effects import Decision, OutKind, Send
from bridge.envelope import AgentInfo, HandoffEnvelope, Reason, ReturnNote
from bridge.events import (
    HandoffAction,
    OperatorClosed,
    OperatorLeft,
    OperatorRehearsed,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorTook,
    OperatorTransferred,
)
from bridge.notices import harmless, thread
from bridge.ownership.draft import Draft, is_supervisor, may_answer
from bridge.routing import Route


def _stale(draft: Draft, event: HandoffAction) -> str:
    """Say why this card's button can do nothing any more, or return ""."""
    handoff = draft.handoff
    if handoff is None:
        return "This conversation was never handed over."
    if handoff.id != event.handoff:
        return f"This card is of an earlier handoff. The conversation went on as {handoff.ticket}."
    if draft.state is State.CLOSED:
        return f"{handoff.ticket} is closed."
    if draft.state is State.AGENT:
        return f"{handoff.ticket} is with the AI agent again."
    return ""


def _stranger(operator: Operator) -> str:
    return operator.why or "You are not an operator of this queue."


def _owned_by(draft: Draft, operator: Operator) -> bool:
    owner = draft.conversation.operator
    return owner is not None and owner.id == operator.id


def _owner_name(draft: Draft) -> str:
    owner = draft.conversation.operator
    return harmless(owner.name) if owner else "Nobody"


def _may_manage(draft: Draft, operator: Operator, *, while_waiting: bool) -> str:
    """Say why this person may not act on the open handoff, or return ""."""
    if not may_answer(operator):
        return _stranger(operator)
    if is_supervisor(operator) or _owned_by(draft, operator):
        return ""
    if draft.state is State.WAITING:
        return "" if while_waiting else "Take it first: only its owner or a supervisor can do that."
    return f"{_owner_name(draft)} has this conversation. Only its owner or a supervisor can do that."


def take(draft: Draft, operator: Operator, *, envelope: str = "") -> str:
    """Make this person the owner; return "" or why not. `envelope` is the id of the request for it, if any."""
    if not may_answer(operator):
        return _stranger(operator)
    other = draft.conversation.operator
    if other is not None and not is_supervisor(operator):
        return f"{harmless(other.name)} has this conversation already."
    draft.stop_ladder()
    draft.change_owner(State.HUMAN, operator)
    taken_at = draft.open_handoff.taken_at or draft.verdicts.now
    draft.set_handoff(HandoffState.HUMAN, operator=operator, taken_at=taken_at)
    draft.card()
    draft.joined(operator)
    draft.taken(operator, other, envelope=envelope)
    draft.rest_idle()
    return ""


def took(draft: Draft, event: OperatorTook) -> Decision:
    """The first one gets it; a second one is told who has it; a supervisor may take it over."""
    if sentence := _stale(draft, event):
        return draft.refuse(sentence)
    if _owned_by(draft, event.operator):
        return draft.done()
    sentence = take(draft, event.operator)
    return draft.refuse(sentence) if sentence else draft.done()


def _back_to_queue(draft: Draft, operator: Operator, text: str, notice: str) -> Decision:
    draft.stop_ladder()
    draft.change_owner(State.WAITING)
    draft.set_handoff(HandoffState.WAITING, operator=None)
    draft.tell_customer("released", name=harmless(operator.name), ticket=draft.open_handoff.ticket)
    draft.card()
    draft.tell_thread(text, notice=notice, actions=("take",))
    draft.start_ladder()
    return draft.done()


def released(draft: Draft, event: OperatorReleased) -> Decision:
    """Back to the queue; the ladder starts again."""
    if sentence := _stale(draft, event) or _may_manage(draft, event.operator, while_waiting=False):
        return draft.refuse(sentence)
    if draft.state is State.WAITING:
        return draft.done()
    owner = draft.conversation.operator or event.operator
    return _back_to_queue(draft, owner, thread("released", name=harmless(event.operator.name)), "released")


def left(draft: Draft, event: OperatorLeft) -> Decision:
    """An owner who can no longer answer owns nothing."""
    if _stale(draft, event) or not _owned_by(draft, event.operator):
        return draft.done()
    return _back_to_queue(draft, event.operator, thread("left", name=harmless(event.operator.name)), "left")


def transferred(draft: Draft, event: OperatorTransferred) -> Decision:
    """To a colleague in the same thread, or to another queue in a new one."""
    if sentence := _stale(draft, event) or _may_manage(draft, event.operator, while_waiting=True):
        return draft.refuse(sentence)
    by = harmless(event.operator.name)
    note = f" Note: {event.note}" if event.note else ""
    if event.to_operator is not None:
        return _to_colleague(draft, event.to_operator, by, note)
    route = draft.verdicts.route
    if event.to_queue is None or route is None or route.queue.name != event.to_queue:
        return draft.refuse("There is no such queue. Choose one of the list.")
    if route.queue.name == draft.open_handoff.queue:
        return draft.refuse("The conversation is in that queue already. To give it back to the queue, use Release.")
    move_to_queue(draft, route, by=by, note=note)
    return draft.done()


def _to_colleague(draft: Draft, colleague: Operator, by: str, note: str) -> Decision:
    if not may_answer(colleague):
        return draft.refuse(
            f"{harmless(colleague.name)} cannot answer here: {colleague.why or 'not an operator of this queue.'}"
        )
    if _owned_by(draft, colleague):
        return draft.refuse(f"{harmless(colleague.name)} has this conversation already.")
    draft.stop_ladder()
    draft.change_owner(State.HUMAN, colleague)
    draft.set_handoff(
        HandoffState.HUMAN, operator=colleague, taken_at=draft.open_handoff.taken_at or draft.verdicts.now
    )
    draft.card()
    draft.joined(colleague)
    text = thread("transferred_to", name=by, other=harmless(colleague.name), note=note)
    draft.tell_thread(text, notice="transferred", mention=colleague)
    draft.rest_idle()
    return draft.done()


def move_to_queue(draft: Draft, route: Route, *, by: str, note: str) -> None:
    """Open a new thread for the same handoff in the route's channel; leave a word in the old one."""
    handoff, queue = draft.open_handoff, draft.verdicts.queue
    before = queue.label if queue is not None else handoff.queue
    draft.stop_ladder()
    text = thread("transferred_away", name=by, queue=route.queue.label, note=note)
    draft.tell_thread(text, notice="transferred", ordinal=handoff.thread.ordinal, points_to=handoff)
    draft.change_owner(State.WAITING)
    draft.set_handoff(
        HandoffState.WAITING,
        operator=None,
        queue=route.queue.name,
        thread=route.thread(handoff.thread.ordinal + 1),
        why_here=f"{by} moved it here",
        audience_rule=route.queue.audience,
        first_reply=route.queue.first_reply,
    )
    draft.tell_customer("transferred", label=route.queue.public_label, ticket=handoff.ticket)
    draft.effects.append(Send(handoff=handoff.id, kind=OutKind.CARD, ordinal=handoff.thread.ordinal))
    draft.card()
    draft.effects.append(Send(handoff=handoff.id, kind=OutKind.TRANSCRIPT, n=draft.conversation.next_n))
    draft.tell_thread(thread("transferred_here", name=by, queue=before, note=note), notice="transferred")
    draft.start_ladder()


def returned(draft: Draft, event: OperatorReturned) -> Decision:
    """Back to the agent, with everything that was said and the note."""
    if sentence := _stale(draft, event) or _may_manage(draft, event.operator, while_waiting=True):
        return draft.refuse(sentence)
    name = harmless(event.operator.name)
    note = event.note
    text = thread(
        "returned",
        name=name,
        outcome=note.outcome.value.replace("_", " "),
        note=_told(note),
    )
    draft.stop_ladder()
    draft.tell_thread(text, notice="returned", actions=("take_back",))
    was_human = draft.state is State.HUMAN
    speaks_now = draft.conversation.last_role == "customer" or note.continue_now
    draft.change_owner(State.AGENT)
    draft.set_handoff(HandoffState.RETURNED, note=note, operator=event.operator)
    if was_human:
        draft.tell_customer("returned", name=harmless(event.operator.name))
    else:
        draft.tell_customer("agent_again")
    draft.card()
    if speaks_now:
        draft.queue_turn(TurnKind.RESUMED)
    return draft.done()


def _told(note: ReturnNote) -> str:
    """Return the note as the thread shows it: what the agent was told."""
    lines = note.note.splitlines()
    for label, items in (
        ("Facts", note.facts),
        ("Promised", note.promises),
        ("Not to be repeated", note.do_not_repeat),
    ):
        lines += [f"{label}: {item}" for item in items]
    return "".join(f"\n> {line}" for line in lines)


def closed(draft: Draft, event: OperatorClosed) -> Decision:
    """Nobody owns it any more."""
    handoff = draft.handoff
    if handoff is not None and handoff.id == event.handoff and draft.state is State.AGENT:
        if not may_answer(event.operator):
            return draft.refuse(_stranger(event.operator))
        return draft.refuse(f"{handoff.ticket} is with the AI agent again: take it back first.")
    if sentence := _stale(draft, event) or _may_manage(draft, event.operator, while_waiting=False):
        return draft.refuse(sentence)
    draft.stop_ladder()
    draft.tell_thread(thread("closed", name=harmless(event.operator.name)), notice="closed", actions=("take_back",))
    draft.change_owner(State.CLOSED)
    draft.set_handoff(HandoffState.CLOSED, operator=event.operator)
    draft.tell_customer("closed")
    draft.card()
    return draft.done()


def reopened(draft: Draft, event: OperatorReopened) -> Decision:
    """Take it back: a new handoff of the same conversation, linked, at once with this person."""
    last = draft.handoff
    if last is None:
        return draft.refuse(_stale(draft, event))
    if not may_answer(event.operator):
        return draft.refuse(_stranger(event.operator))
    if draft.state in (State.WAITING, State.HUMAN):
        return took(draft, _as_take(event))
    envelope = HandoffEnvelope(
        id=draft.verdicts.new_handoff,
        conversation_id=draft.conversation.id,
        created_at=last.envelope.created_at,
        reason=Reason.OPERATOR_TAKEOVER,
        summary=f"{harmless(event.operator.name)} took the conversation back. Before: {last.envelope.summary}"[:2000],
        queue=last.queue,
        agent=AgentInfo(id=last.envelope.agent.id),
        customer=last.envelope.customer,
        collected=last.envelope.collected,
    )
    before = last
    draft.open(envelope, (), event.operator)
    draft.joined(event.operator)
    _tell_old_thread(draft, before, event.operator)
    draft.announce()
    draft.taken(event.operator)
    return draft.done()


def _tell_old_thread(draft: Draft, before: Handoff, operator: Operator) -> None:
    now = draft.open_handoff
    text = thread("reopened", name=harmless(operator.name), ticket=now.ticket)
    draft.tell_thread(text, notice="reopened", handoff=before, ordinal=before.thread.ordinal, points_to=now)


def _as_take(event: OperatorReopened) -> OperatorTook:
    return OperatorTook(
        site=event.site, source=event.source, at=event.at, operator=event.operator, handoff=event.handoff
    )


def rehearsed(draft: Draft, event: OperatorRehearsed) -> Decision:
    """Let the agent try, for the thread's eyes only."""
    if sentence := _stale(draft, event) or _may_manage(draft, event.operator, while_waiting=True):
        return draft.refuse(sentence)
    text = thread("rehearsing", name=harmless(event.operator.name), note=_told(event.note))
    draft.tell_thread(text, notice="rehearsing")
    draft.queue_turn(TurnKind.REHEARSAL, event.note)
    return draft.done()
