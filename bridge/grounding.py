"""What the agent reads before it answers: the whole visible log with roles named, what people noted, and the briefing
when a conversation comes back. Reads a transaction, writes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bridge import briefing
from bridge.conversation import (
    CUSTOMER_SEES,
    OPEN_STATES,
    Conversation,
    Entry,
    EntryKind,
    Handoff,
    Role,
    Turn,
    TurnKind,
)
from bridge.errors import NotFound
from bridge.ports import AgentMessage, AgentTurn
from bridge.storage import Tx

PAGE = 1000
MAX_HANDOFFS = 20
"""How far back notes of earlier handoffs are told."""

ENDINGS = frozenset({"returned", "agent_again", "withdrawn", "unanswered", "closed"})
"""What the customer is told when a handoff ends: the notice stands where the agent's own time begins again."""

_ROLES = {Role.CUSTOMER: "customer", Role.AGENT: "agent", Role.OPERATOR: "operator", Role.BRIDGE: "note"}


def agent_turn(tx: Tx, turn: Turn) -> AgentTurn:
    """Return what to ask the agent, as the log stands now.

    `messages` holds every line that the customer could see up to `turn.upto_n`; each ended handoff adds a `note` line
    with what its operator noted, so that an agent without a memory still knows it turns later. An answer stands right
    after what it answered, so that the lines at the end are those that nobody has answered. Raises NotFound.
    """
    conversation = tx.conversation(turn.site, turn.conversation, lock=False)
    if conversation is None:
        raise NotFound(f"no conversation {turn.conversation}")
    entries = list(_log(tx, turn))
    lines = [entry for entry in briefing.visible(entries) if entry.audience in CUSTOMER_SEES]
    handoffs = _handoffs(tx, conversation)
    said = [(_place(entry), _message(entry)) for entry in lines if entry.n <= turn.upto_n]
    said += [((entry.n, 0, entry.n), _refused(entry)) for entry in entries if _stays(entry) and entry.n <= turn.upto_n]
    notes = [_note(handoff, entries) for handoff in handoffs if handoff.state not in OPEN_STATES]
    told = sorted([*said, *(((note.n, 2, note.n), note) for note in notes)], key=lambda placed: placed[0])
    mine = [entry for entry in lines if entry.n > turn.upto_n and entry.author.role is Role.AGENT]
    return AgentTurn(
        site=turn.site,
        conversation=turn.conversation,
        turn=turn.id,
        epoch=turn.epoch,
        attempt=turn.attempt,
        kind=turn.kind,
        messages=tuple(message for _, message in told),
        customer=_customer(conversation),
        collected=dict(conversation.collected),
        briefing=_briefing(turn, handoffs, entries),
        committed=tuple(entry.text for entry in mine if entry.epoch == turn.epoch),
    )


def _log(tx: Tx, turn: Turn) -> Iterator[Entry]:
    after_n = 0
    while page := tx.entries(turn.site, turn.conversation, after_n=after_n, limit=PAGE):
        yield from page
        after_n = page[-1].n


def _handoffs(tx: Tx, conversation: Conversation) -> list[Handoff]:
    """Return the newest handoffs, newest first."""
    found: list[Handoff] = []
    wanted = conversation.handoff
    while wanted is not None and len(found) < MAX_HANDOFFS:
        handoff = tx.handoff(conversation.site, wanted)
        if handoff is None:
            break
        found.append(handoff)
        wanted = handoff.previous
    return found


def _place(entry: Entry) -> tuple[int, int, int]:
    """Return where a line belongs in reading order: a customer may have written while the agent was answering."""
    read_n = entry.data.get("read_n") if entry.author.role is Role.AGENT else None
    return (read_n, 1, entry.n) if isinstance(read_n, int) and read_n < entry.n else (entry.n, 0, entry.n)


def _message(entry: Entry) -> AgentMessage:
    return AgentMessage(
        n=entry.n,
        role=_ROLES[entry.author.role],
        name=entry.author.name,
        text=entry.text,
        at=entry.at,
        files=entry.files,
    )


def _stays(entry: Entry) -> bool:
    return entry.kind is EntryKind.NOTICE and entry.data.get("notice") == "stays"


def _refused(entry: Entry) -> AgentMessage:
    """Tell what the customer was told when nobody could be called: it says until when."""
    text = (
        "Nobody can be called now, so the conversation stays with you: answer the customer yourself, and do not "
        f"hand it over for the same reason again. The customer was told: {entry.text}"
    )
    return AgentMessage(n=entry.n, role="note", name="", text=text, at=entry.at)


def _note(handoff: Handoff, entries: Sequence[Entry]) -> AgentMessage:
    """Tell an ended handoff in words, where it ended."""
    ended_at = handoff.ended_at or handoff.opened_at
    ends = (
        e.n for e in entries if e.handoff == handoff.id and e.data.get("notice") in ENDINGS and e.n >= handoff.first_n
    )
    last_n = next(ends, 0) or max((e.n for e in entries if e.at <= ended_at), default=handoff.first_n)
    note, who = handoff.note, handoff.operator.name if handoff.operator else ""
    was_taken = handoff.operator is not None or handoff.taken_at is not None
    what = "A person dealt with ticket" if was_taken else "A person was called, and nobody took ticket"
    told = [f"{what} {handoff.ticket} (reason: {handoff.envelope.reason.value})."]
    if note is not None:
        told.append(f"Outcome: {note.outcome.value}.")
        told += [f"Note: {note.note}"] if note.note else []
        told += [f"Established: {fact}" for fact in note.facts]
        told += [f"Promised to the customer: {promise}" for promise in note.promises]
        told += [f"Do not repeat: {matter}" for matter in note.do_not_repeat]
    else:
        told.append(f"It ended as: {handoff.state.value}.")
    return AgentMessage(n=last_n, role="note", name=who, text="\n".join(told), at=ended_at)


def _customer(conversation: Conversation) -> dict[str, Any]:
    customer = conversation.customer
    return {
        "id": customer.id,
        "name": customer.name,
        "verified": customer.verified,
        "locale": customer.locale,
        "attributes": dict(customer.attributes),
    }


def _briefing(turn: Turn, handoffs: Sequence[Handoff], entries: Sequence[Entry]) -> dict[str, Any] | None:
    if turn.kind is TurnKind.OPENED:
        return None
    handoff = next((one for one in handoffs if one.id == turn.handoff), None) or (handoffs[0] if handoffs else None)
    if handoff is None:
        return None
    if turn.kind is TurnKind.REHEARSAL:
        return briefing.for_agent(replace(handoff, note=turn.note), entries)
    if handoff.state in OPEN_STATES:
        return None
    if turn.kind is not TurnKind.RESUMED and _spoke_since(turn, entries):
        return None
    # The epoch grew when the handoff ended: what is of an earlier one, and only that, belongs to the human stretch.
    stretch = [entry for entry in entries if entry.epoch < turn.epoch or entry.kind is not EntryKind.LINE]
    return briefing.for_agent(handoff, stretch)


def _spoke_since(turn: Turn, entries: Sequence[Entry]) -> bool:
    return any(
        entry.author.role is Role.AGENT and entry.epoch == turn.epoch and entry.audience in CUSTOMER_SEES
        for entry in entries
        if entry.kind is EntryKind.LINE and entry.n <= turn.upto_n
    )
