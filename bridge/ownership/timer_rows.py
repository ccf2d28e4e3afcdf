"""What follows when a timer fires: the ladder of a handoff that nobody takes, the check that its card arrived, the idle
rule.
"""

from dataclasses import replace

from bridge.conversation import HandoffState, State, TurnKind
from bridge.effects import Decision, OutKind, Send, SetTimer
from bridge.envelope import ReturnNote, ReturnOutcome
from bridge.events import CardStale, DeliveryFailed, RungDue, ThreadGone
from bridge.ids import Millis
from bridge.notices import thread
from bridge.ownership.draft import DELIVERY_RUNG, IDLE_RUNG, Draft
from bridge.ownership.operator_rows import move_to_queue
from bridge.routing import Rung


def rung_due(draft: Draft, event: RungDue) -> Decision:
    """Do what the rung says, once; a rung of a handoff that moved on does nothing."""
    handoff = draft.handoff
    if handoff is None or handoff.id != event.handoff or draft.state not in (State.WAITING, State.HUMAN):
        return draft.done()
    if event.rung == IDLE_RUNG:
        return _idle(draft)
    if draft.state is not State.WAITING:
        return draft.done()
    if event.rung == DELIVERY_RUNG:
        if handoff.thread.root is None:
            draft.tell_customer("unreachable", ticket=handoff.ticket)
        return draft.done()
    queue = draft.verdicts.queue
    rung = next((rung for rung in queue.ladder if rung.name == event.rung), None) if queue else None
    if rung is not None:
        _climb(draft, rung)
    return draft.done()


def delivery_failed(draft: Draft, event: DeliveryFailed) -> Decision:
    """Say in the thread what did not arrive there, with the choice that people have."""
    name, actions = ("maybe", ("retry_send", "it_arrived")) if event.maybe_sent else ("dead", ("retry_send",))
    text = thread(name, reason=event.reason, remedy=event.remedy)
    draft.tell_thread(text, notice=f"delivery_{name}", target=event.n, actions=actions, handoff=draft.verdicts.acted)
    return draft.done()


def thread_gone(draft: Draft, event: ThreadGone) -> Decision:
    """Open the handoff's next thread in the same channel, with all that was said: nothing else changes."""
    handoff = draft.handoff
    lives_there = handoff is not None and (handoff.id, handoff.thread.ordinal) == (event.handoff, event.ordinal)
    if handoff is None or not lives_there or draft.state not in (State.WAITING, State.HUMAN):
        return draft.done()
    new = replace(handoff.thread, root=None, ordinal=handoff.thread.ordinal + 1)
    draft.set_handoff(handoff.state, thread=new)
    draft.card()
    draft.effects.append(Send(handoff=handoff.id, kind=OutKind.TRANSCRIPT, n=draft.conversation.next_n))
    draft.tell_thread(thread("thread_gone"), notice="thread_gone", mention=draft.conversation.operator)
    return draft.done()


def card_stale(draft: Draft, event: CardStale) -> Decision:
    """Show the card anew, if it is that of an open handoff."""
    if draft.handoff is not None and draft.handoff.id == event.handoff and draft.state in (State.WAITING, State.HUMAN):
        draft.card()
    return draft.done()


def _climb(draft: Draft, rung: Rung) -> None:
    ticket = draft.open_handoff.ticket
    match rung.action:
        case "mention":
            draft.tell_thread(rung.text or thread("ask"), notice="ask", actions=("take",))
        case "tell_customer":
            if rung.text:
                draft.tell_customer_words(rung.text)
            else:
                draft.tell_customer("still_waiting", ticket=ticket)
        case "contact":
            draft.tell_customer("contact", ticket=ticket)
        case "queue" if draft.verdicts.route is not None and draft.verdicts.route.queue is not draft.verdicts.queue:
            move_to_queue(draft, draft.verdicts.route, by="The ladder", note="")
        case "return":
            _return_unanswered(draft)
        case _:
            return


def _return_unanswered(draft: Draft) -> None:
    draft.stop_ladder()
    draft.tell_thread(thread("unanswered"), notice="unanswered")
    draft.change_owner(State.AGENT)
    note = ReturnNote(
        outcome=ReturnOutcome.UNANSWERED, note="Nobody took the conversation in time. The customer was told."
    )
    draft.set_handoff(HandoffState.RETURNED, note=note)
    draft.tell_customer("unanswered", ticket=draft.open_handoff.ticket)
    draft.card()
    draft.queue_turn(TurnKind.RESUMED)


def _idle(draft: Draft) -> Decision:
    queue, now = draft.verdicts.queue, draft.verdicts.now
    if queue is None or not queue.idle_close_s:
        return draft.done()
    due_at = Millis(draft.conversation.last_at + queue.idle_close_s * 1000)
    if now < due_at:
        # Somebody spoke after this timer was read as due, and before it came here.
        draft.effects.append(SetTimer(handoff=draft.open_handoff.id, rung=IDLE_RUNG, due_at=due_at))
        return draft.done()
    draft.stop_ladder()
    draft.tell_thread(thread("closed_idle"), notice="closed", actions=("take_back",))
    draft.change_owner(State.CLOSED)
    draft.set_handoff(HandoffState.CLOSED, operator=None)
    draft.tell_customer("closed")
    draft.card()
    return draft.done()
