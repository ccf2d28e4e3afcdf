"""What follows when the agent acts, or when it fails: the fence, and the way over to people."""

from dataclasses import replace

from bridge.conversation import Audience, Author, EntryKind, Operator, Role, State, TurnKind, TurnState
from bridge.effects import CloseStream, Decision, EndTurn, WriteStream
from bridge.envelope import HandoffEnvelope, Reason
from bridge.events import AgentActed, AgentBroke, AgentEvent, AgentFinished, AgentSaid, AgentStreamed, Escalated
from bridge.notices import thread
from bridge.ownership.draft import BRIDGE, Draft, may_answer, whole
from bridge.ownership.operator_rows import take


def fence_holds(draft: Draft, event: AgentEvent) -> bool:
    """Tell whether the agent may still speak: it owns the conversation, in this epoch, with this attempt of the live
    turn.
    """
    return (
        draft.state is State.AGENT
        and draft.turn is not None
        and draft.turn.id == event.turn
        and draft.conversation.epoch == event.epoch
        and draft.turn.attempt == event.attempt
    )


def _author(draft: Draft) -> Author:
    return Author(role=Role.AGENT, id=draft.verdicts.agent_id, name=draft.verdicts.agent_name)


def streamed(draft: Draft, event: AgentStreamed) -> Decision:
    """Show the text so far, or stop the run."""
    if not fence_holds(draft, event):
        return draft.fenced()
    draft.effects.append(WriteStream(turn=event.turn, attempt=event.attempt, text=whole(event.text)))
    draft.stream_open = True
    return draft.done()


def said(draft: Draft, event: AgentSaid) -> Decision:
    """Append for the customer; for the thread only if rehearsed; as suppressed if it came too late."""
    turn = draft.verdicts.event_turn
    if turn is not None and turn.kind is TurnKind.REHEARSAL:
        return _rehearsed(draft, event)
    if not fence_holds(draft, event):
        n = draft.append(
            author=_author(draft), audience=Audience.SUPPRESSED, text=event.text, files=event.files, turn=event.turn
        )
        return draft.fenced(n)
    if draft.verdicts.trigger is not None:
        n = draft.append(author=_author(draft), audience=Audience.SUPPRESSED, text=event.text, turn=event.turn)
        _leave(draft, draft.verdicts.trigger)
        return draft.fenced(n)
    streams = draft.stream_open
    n = draft.append(
        author=_author(draft),
        audience=Audience.EVERYONE,
        text=event.text,
        files=event.files,
        turn=event.turn if streams else None,
        # What its run had read: a line that came meanwhile is not answered by it, and the next run has to see that.
        data={"read_n": draft.turn.upto_n} if draft.turn is not None else None,
    )
    if streams:
        draft.effects.append(CloseStream(turn=event.turn))
        draft.stream_open = False
    return draft.done(n)


def _rehearses_for(draft: Draft) -> bool:
    """Tell whether the handoff for which the event's run rehearses is still with people."""
    turn, handoff = draft.verdicts.event_turn, draft.handoff
    open_now = draft.state in (State.WAITING, State.HUMAN)
    return turn is not None and handoff is not None and turn.handoff == handoff.id and open_now


def _rehearsed(draft: Draft, event: AgentSaid) -> Decision:
    turn = draft.verdicts.event_turn
    if turn is None or turn.epoch != draft.conversation.epoch or not _rehearses_for(draft):
        draft.effects.append(EndTurn(turn=event.turn, state=TurnState.CANCELLED))
        if _rehearses_for(draft):
            draft.tell_thread(thread("rehearsal_dropped"), notice="rehearsal_dropped")
        return draft.fenced()
    n = draft.append(
        author=_author(draft),
        audience=Audience.COLLEAGUES,
        text=event.text,
        files=event.files,
        data={"notice": "rehearsal"},
        turn=event.turn,
    )
    draft.show_in_thread(n)
    return draft.done(n)


def acted(draft: Draft, event: AgentActed) -> Decision:
    """Keep what the agent established; escalate if a policy or a tool's failure says so."""
    if not fence_holds(draft, event):
        return draft.fenced()
    if event.collected:
        draft.conversation = replace(draft.conversation, collected={**draft.conversation.collected, **event.collected})
    if draft.verdicts.trigger is not None:
        _leave(draft, draft.verdicts.trigger)
        return draft.fenced()
    return draft.done()


def finished(draft: Draft, event: AgentFinished) -> Decision:
    """End the turn; go on with what was said meanwhile, or call a person if the agent was not sure for too long."""
    turn = draft.verdicts.event_turn
    if turn is not None and turn.kind is TurnKind.REHEARSAL:
        draft.effects.append(EndTurn(turn=turn.id, state=TurnState.DONE))
        return draft.done()
    if not fence_holds(draft, event) or draft.turn is None:
        return draft.fenced()
    upto_n = draft.turn.upto_n
    if draft.stream_open:
        draft.append(kind=EntryKind.RETRACTION, author=BRIDGE, audience=Audience.EVERYONE, turn=event.turn)
    draft.end_turn(TurnState.DONE)
    draft.conversation = replace(draft.conversation, unsure_turns=draft.verdicts.unsure_turns)
    if draft.verdicts.trigger is not None and hand_over(draft, draft.verdicts.trigger):
        return draft.done()
    if draft.conversation.last_customer_n > upto_n:
        draft.queue_turn(TurnKind.MESSAGE)
    elif event.close:
        draft.tell_customer("closed")
        draft.change_owner(State.CLOSED)
    return draft.done()


def broke(draft: Draft, event: AgentBroke) -> Decision:
    """Call a person: a failure is never silence."""
    turn = draft.verdicts.event_turn
    if turn is not None and turn.kind is TurnKind.REHEARSAL:
        draft.effects.append(EndTurn(turn=turn.id, state=TurnState.FAILED))
        if _rehearses_for(draft):
            draft.tell_thread(thread("rehearsal_failed"), notice="rehearsal_failed")
        return draft.done()
    if not fence_holds(draft, event):
        return draft.fenced()
    if draft.verdicts.trigger is None:
        raise LookupError("a broken turn needs the envelope of its escalation")
    _leave(draft, draft.verdicts.trigger, ending=TurnState.FAILED)
    return draft.done()


def escalated(draft: Draft, event: Escalated) -> Decision:
    """Open a handoff, or say in the thread that the agent asked again."""
    if event.turn is not None and not _of_the_live_turn(draft, event):
        return draft.fenced()
    operator = event.operator if event.envelope.reason is Reason.OPERATOR_TAKEOVER else None
    if operator is not None and not may_answer(operator):
        return draft.refuse(operator.why or "You are not an operator of this queue.")
    if draft.state in (State.WAITING, State.HUMAN):
        if operator is not None:
            sentence = take(draft, operator, envelope=event.envelope.id)
            return draft.refuse(sentence) if sentence else draft.done()
        text = thread("again", reason=event.envelope.reason.value, summary=event.envelope.summary)
        draft.tell_thread(text, notice="escalated_again", envelope=event.envelope.id)
        return draft.done()
    if event.turn is not None:
        moved = _leave(draft, event.envelope, problems=event.problems, ending=TurnState.DONE)
    else:
        moved = hand_over(draft, event.envelope, problems=event.problems, operator=operator, ending=TurnState.DONE)
    if not moved and draft.verdicts.route is not None:
        return draft.refuse(f"The queue {draft.verdicts.route.queue.label} is closed and takes no handoffs now.")
    return draft.done()


def _of_the_live_turn(draft: Draft, event: Escalated) -> bool:
    return (
        draft.state is State.AGENT
        and draft.turn is not None
        and draft.turn.id == event.turn
        and draft.conversation.epoch == event.epoch
        and draft.turn.attempt == event.attempt
    )


def _leave(
    draft: Draft,
    envelope: HandoffEnvelope,
    *,
    problems: tuple[tuple[str, str], ...] = (),
    ending: TurnState = TurnState.CANCELLED,
) -> bool:
    """End the live turn by a handoff. Where the queue is closed and the agent stays, the next turn reads that and the
    lines that waited; a run that had read it already only ends, so that nobody asks in circles.
    """
    upto_n = draft.turn.upto_n if draft.turn else draft.conversation.last_customer_n
    if hand_over(draft, envelope, problems=problems, ending=ending):
        return True
    if draft.stream_open and draft.turn is not None:
        draft.append(kind=EntryKind.RETRACTION, author=BRIDGE, audience=Audience.EVERYONE, turn=draft.turn.id)
    draft.end_turn(ending)
    row = draft.conversation
    knew = row.last_customer_n < draft.verdicts.stays_n <= upto_n
    if row.last_customer_n > upto_n or not knew:
        draft.queue_turn(TurnKind.MESSAGE)
    return False


def hand_over(
    draft: Draft,
    envelope: HandoffEnvelope,
    *,
    problems: tuple[tuple[str, str], ...] = (),
    operator: Operator | None = None,
    ending: TurnState = TurnState.CANCELLED,
) -> bool:
    """Move the conversation to people and return True. If its queue is closed and its rule is that the agent stays,
    only tell the customer (once for each time they spoke, and not when the conversation is over), and leave the live
    turn alone.
    """
    route = draft.verdicts.route
    if route is None:
        raise LookupError("a handoff needs a route")
    opens = route.opens or draft.words.customer("soon")
    if not route.open and route.queue.when_closed == "stay" and operator is None:
        told = draft.verdicts.stays_n > draft.conversation.last_customer_n
        if draft.state is not State.CLOSED and not told:
            draft.tell_customer("stays", opens=opens)
        return False
    if draft.turn is not None and ending is not TurnState.CANCELLED and not draft.stream_open:
        draft.end_turn(ending)
    handoff = draft.open(envelope, problems, operator)
    if operator is not None:
        draft.joined(operator)
    elif route.open:
        draft.tell_customer("escalated", ticket=handoff.ticket)
    else:
        name = "escalated_contact" if route.queue.when_closed == "contact" else "escalated_closed"
        draft.tell_customer(name, ticket=handoff.ticket, opens=opens)
    draft.announce()
    if operator is not None:
        draft.taken(operator)
    elif handoff.preferred is not None:
        _ask_sticky(draft)
    return True


def _ask_sticky(draft: Draft) -> None:
    handoff = draft.open_handoff
    if handoff.preferred is None:
        return
    known = Operator(id=handoff.preferred, name="")
    draft.tell_thread(
        "You talked with this customer before: please take it if you can.", notice="sticky", mention=known
    )
