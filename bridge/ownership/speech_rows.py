"""What follows when people type in a thread of ours: to the customer, or among colleagues."""

from dataclasses import replace

from bridge.audience import SENTENCES, Hearing
from bridge.conversation import (
    CUSTOMER_SEES,
    Audience,
    Author,
    Entry,
    EntryKind,
    Handoff,
    HandoffState,
    Operator,
    Role,
    State,
)
from bridge.effects import Decision
from bridge.events import OperatorDeleted, OperatorEdited, OperatorForwarded, OperatorSaid
from bridge.notices import harmless, thread
from bridge.ownership.draft import Draft, is_supervisor, may_answer
from bridge.ownership.operator_rows import take


def _author(operator: Operator) -> Author:
    return Author(role=Role.OPERATOR, id=operator.id, name=harmless(operator.name))


def _hearing(draft: Draft) -> Hearing:
    if draft.verdicts.hearing is None:
        raise LookupError("what people type needs a verdict of audience")
    return draft.verdicts.hearing


def _in_old_thread(draft: Draft) -> Handoff | None:
    """Return the handoff whose thread was typed in, if the conversation does not live there any more."""
    acted, newest = draft.verdicts.acted, draft.handoff
    if acted is None or newest is None:
        return None
    same = acted.id == newest.id and draft.verdicts.acted_ordinal == newest.thread.ordinal
    return None if same else acted


def said(draft: Draft, event: OperatorSaid) -> Decision:
    """Relay it, or keep it and say so."""
    hearing = _hearing(draft)
    if hearing.why == "bot":
        return draft.done()
    if (old := _in_old_thread(draft)) is not None and not _typed_before_the_end(draft, event):
        return _keep(draft, event, hearing, old)
    if _typed_before_the_end(draft, event) and hearing.to_customer:
        return draft.done(_relay(draft, event))
    if draft.state is State.WAITING and hearing.takes:
        if sentence := take(draft, event.operator):
            return draft.refuse(sentence)
        return draft.done(_relay(draft, event))
    if draft.state is State.HUMAN and hearing.to_customer:
        return draft.done(_relay(draft, event))
    return _keep(draft, event, hearing, None)


def _typed_before_the_end(draft: Draft, event: OperatorSaid) -> bool:
    """Tell whether its owner typed this before the return that was committed meanwhile: it belongs to the human
    stretch.
    """
    handoff = draft.verdicts.acted
    return (
        handoff is not None
        and draft.handoff is not None
        and handoff.id == draft.handoff.id
        and handoff.state is HandoffState.RETURNED
        and draft.state is State.AGENT
        and handoff.taken_at is not None
        and handoff.ended_at is not None
        and draft.conversation.sticky == event.operator.id
        and handoff.taken_at <= event.at < handoff.ended_at
    )


def _relay(draft: Draft, event: OperatorSaid) -> int:
    n = draft.append(
        author=_author(event.operator),
        audience=Audience.EVERYONE,
        text=event.text,
        files=event.files,
        remote=event.remote,
    )
    draft.rest_idle()
    return n


def _keep(draft: Draft, event: OperatorSaid, hearing: Hearing, old: Handoff | None) -> Decision:
    n = draft.append(
        author=_author(event.operator),
        audience=Audience.COLLEAGUES,
        text=event.text,
        files=event.files,
        remote=event.remote,
        data={"kept": hearing.why},
    )
    newest = draft.open_handoff
    if old is not None:
        open_now = newest.state in (HandoffState.WAITING, HandoffState.HUMAN)
        text = thread("earlier", ticket=newest.ticket) if open_now else SENTENCES["ended"]
        draft.tell_thread(
            text,
            notice="earlier",
            handoff=old,
            ordinal=draft.verdicts.acted_ordinal,
            actions=() if open_now else ("take_back",),
            points_to=newest if open_now else None,
        )
        return draft.done(n)
    _say_why(draft, event, hearing, n)
    return draft.done(n)


def _say_why(draft: Draft, event: OperatorSaid, hearing: Hearing, n: int) -> None:
    ended = draft.state in (State.AGENT, State.CLOSED)
    why = "ended" if ended else hearing.why
    sentence = SENTENCES.get(why, "")
    if not sentence:
        return
    handoff = draft.open_handoff
    if why in ("not_owner", "outsider"):
        if event.operator.id in handoff.told:
            return
        draft.handoff = replace(handoff, told=handoff.told | {event.operator.id})
    owner = draft.conversation.operator
    text = sentence.format(owner=harmless(owner.name) if owner else "its owner", why=event.operator.why)
    draft.tell_thread(text, notice=f"kept_{why}", actions=_ACTIONS.get(why, ("send_to_customer",)), target=n)


_ACTIONS: dict[str, tuple[str, ...]] = {
    "not_taken": ("take_and_send",),
    "ended": ("take_back",),
    "outsider": (),
    "not_owner": ("send_to_customer",),
    "mentions_bridge": (),
}


def edited(draft: Draft, event: OperatorEdited) -> Decision:
    """Decide the audience again: mirrored, removed, or kept a note. Only its own author changes what went out."""
    line = draft.verdicts.line
    if line is None or line.author.id != event.operator.id:
        return draft.done()
    for_customer = _hearing(draft).to_customer
    shown = _on_screen(draft, line)
    if shown is not None and not for_customer:
        n = draft.append(
            kind=EntryKind.DELETE,
            author=_author(event.operator),
            audience=Audience.EVERYONE,
            target=shown.n,
            data={"notice": "edit_removed"},
        )
        _tell_where_typed(draft, thread("edit_removed"), notice="edit_removed", target=line.n)
        _change(draft, event, line, Audience.COLLEAGUES)
        return draft.done(n)
    if shown is not None:
        return draft.done(_change(draft, event, shown, Audience.EVERYONE))
    n = _change(draft, event, line, Audience.COLLEAGUES)
    if for_customer and (draft.verdicts.sent_as is None or draft.verdicts.removed):
        _tell_where_typed(draft, thread("edit_kept"), notice="edit_kept", target=line.n, actions=("send_to_customer",))
    return draft.done(n)


def _on_screen(draft: Draft, line: Entry) -> Entry | None:
    """Return the entry by which the customer sees this line now: itself, or what its own author forwarded of it."""
    copy = draft.verdicts.sent_as
    if copy is not None:
        return copy if copy.author.id == line.author.id and not draft.verdicts.removed else None
    return line if line.audience in CUSTOMER_SEES and not draft.verdicts.removed else None


def _change(draft: Draft, event: OperatorEdited, line: Entry, audience: Audience) -> int:
    return draft.append(
        kind=EntryKind.EDIT,
        author=_author(event.operator),
        audience=audience,
        text=event.text,
        files=event.files,
        target=line.n,
    )


def _tell_where_typed(draft: Draft, text: str, *, notice: str, target: int, actions: tuple[str, ...] = ()) -> None:
    place = draft.verdicts.acted or draft.open_handoff
    draft.tell_thread(
        text, notice=notice, target=target, actions=actions, handoff=place, ordinal=draft.verdicts.acted_ordinal
    )


def deleted(draft: Draft, event: OperatorDeleted) -> Decision:
    """Take it from the customer's screen too."""
    line = draft.verdicts.line
    if line is None:
        return draft.done()
    shown = _on_screen(draft, line)
    n = draft.append(
        kind=EntryKind.DELETE,
        author=_author(event.operator),
        audience=Audience.COLLEAGUES if shown is None else Audience.EVERYONE,
        target=line.n if shown is None else shown.n,
    )
    return draft.done(n)


def forwarded(draft: Draft, event: OperatorForwarded) -> Decision:
    """Send a kept message to the customer, in the name of the owner who presses the button; take the conversation first
    if asked.
    """
    line, handoff, operator = draft.verdicts.line, draft.handoff, event.operator
    if line is None or handoff is None or line.kind is not EntryKind.LINE or line.author.role is not Role.OPERATOR:
        return draft.refuse("Only what operators wrote in this thread can be sent to the customer.")
    if not may_answer(operator):
        return draft.refuse(operator.why or "You are not an operator of this queue.")
    verdicts = draft.verdicts
    if not verdicts.removed and (line.audience in CUSTOMER_SEES or verdicts.sent_as is not None):
        return draft.refuse("The customer has it already.")
    if _in_old_thread(draft) is not None or draft.state in (State.AGENT, State.CLOSED):
        return draft.refuse("The conversation is not with people in this thread any more: take it back first.")
    if draft.state is State.WAITING:
        if not event.take:
            return draft.refuse("Nobody has taken this conversation yet: take it first.")
        if sentence := take(draft, operator):
            return draft.refuse(sentence)
    owner = draft.conversation.operator
    if (
        owner is not None
        and owner.id != operator.id
        and handoff.audience_rule == "owner"
        and not is_supervisor(operator)
    ):
        return draft.refuse(f"{harmless(owner.name)} has this conversation: only its owner can send this.")
    n = draft.append(
        author=_author(operator),
        audience=Audience.EVERYONE,
        text=line.text,
        files=line.files,
        data={"forwards": line.n},
    )
    draft.rest_idle()
    return draft.done(n)
