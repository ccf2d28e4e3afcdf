"""What the operator reads first (the card, the transcript), and what the agent reads when a conversation comes back.
Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bridge.conversation import (
    CUSTOMER_SEES,
    OPEN_STATES,
    Audience,
    Conversation,
    Entry,
    EntryKind,
    Handoff,
    HandoffState,
    Role,
)
from bridge.envelope import Reason, ReturnOutcome
from bridge.ids import HandoffId, Millis, Ticket

TRANSCRIPT_LINES = 10

REASONS: Mapping[Reason, str] = {
    Reason.CUSTOMER_REQUEST: "The customer asked for a person",
    Reason.LOW_CONFIDENCE: "The agent is not sure of its answers",
    Reason.POLICY: "A policy needs a person",
    Reason.TOOL_FAILURE: "A tool of the agent failed",
    Reason.REPEATED_FAILURE: "The agent tried repeatedly without success",
    Reason.SENTIMENT: "The customer is upset",
    Reason.APPROVAL_REQUIRED: "Approval is required",
    Reason.OUT_OF_SCOPE: "Outside what the agent may handle",
    Reason.OPERATOR_TAKEOVER: "Taken over by an operator",
    Reason.ERROR: "The agent failed to answer",
    Reason.OTHER: "Other",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """The root message of a thread, as data: a desk's render makes blocks or an Adaptive Card of it.

    `actions` are constant names: take, release, return, transfer, close, reopen, wider audiences later. All texts but
    `title`, `reason`,
    `state_line` and `audience_line` come from customers or agents: they are to be shown inert.
    """

    handoff: HandoffId
    ticket: Ticket
    title: str
    state: HandoffState
    state_line: str
    reason: str
    reason_detail: str
    summary: str
    question: str
    customer_name: str
    customer_verified: bool
    customer_facts: tuple[tuple[str, str], ...]
    collected: tuple[tuple[str, str], ...]
    tried: tuple[tuple[str, str], ...]
    """(what, outcome with detail)."""
    suggested_replies: tuple[str, ...]
    queue: str
    priority: str
    why_here: str
    company_ticket: tuple[str, str] | None
    """(id, url or "")."""
    opened_at: Millis
    operator_id: str
    operator_name: str
    audience_line: str
    problems: tuple[tuple[str, str], ...]
    previous: Ticket | None
    actions: tuple[str, ...]
    last_words: str = ""
    """What the customer said last before the handoff, unless the summary quotes it: what came before and after it
    follows
    in the thread.
    """
    presence_line: str = ""
    """Whether the customer has the chat on the screen, "" where that is not known; `away_since` goes with it."""
    away_since: Millis | None = None
    again: bool = False
    """It may stand there already, with a thread of its own: it is posted once more where nobody can look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """The conversation before the handoff: the last lines, and everything as one text where there is more."""

    lines: tuple[Entry, ...]
    earlier: int
    """How many lines are only in the file."""
    file_name: str
    file_text: str
    again: bool = False
    """It may stand there already."""


def visible(entries: Sequence[Entry]) -> list[Entry]:
    """Return the lines of the log as they stand, with edits applied and deleted ones left out.

    An edit that stayed among colleagues is no edit of a line that the customer saw.
    """
    texts: dict[int, str] = {}
    gone: set[int] = set()
    public = {entry.n for entry in entries if entry.kind is EntryKind.LINE and entry.audience in CUSTOMER_SEES}
    for entry in entries:
        if entry.target is not None and entry.kind is EntryKind.EDIT:
            if entry.audience in CUSTOMER_SEES or entry.target not in public:
                texts[entry.target] = entry.text
        elif entry.target is not None and entry.kind is EntryKind.DELETE:
            gone.add(entry.target)
    return [
        _with_text(entry, texts.get(entry.n, entry.text))
        for entry in entries
        if entry.kind is EntryKind.LINE and entry.n not in gone
    ]


def _with_text(entry: Entry, text: str) -> Entry:
    if text == entry.text:
        return entry
    return replace(entry, text=text)


def last_words(entries: Sequence[Entry]) -> str:
    """Return what the customer said last in these entries, or ""."""
    said = (entry.text for entry in reversed(visible(entries)) if entry.author.role is Role.CUSTOMER)
    return next((text for text in said if text.strip()), "")


def clock(at: Millis) -> str:
    """Return a time as people read it, UTC: `2026-11-22 14:05:09`."""
    return datetime.fromtimestamp(at / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def speaker(entry: Entry) -> str:
    """Return who speaks, with what they are: `Dana Ruiz (operator)`."""
    names = {Role.CUSTOMER: "customer", Role.AGENT: "AI agent", Role.OPERATOR: "operator", Role.BRIDGE: "bridge"}
    role = names[entry.author.role]
    return (
        f"{entry.author.name} ({role})"
        if entry.author.name
        else role.capitalize()
        if role != "AI agent"
        else "AI agent"
    )


_STATE_LINES = {
    HandoffState.WAITING: "Waiting for somebody to take it",
    HandoffState.HUMAN: "Taken by {name}",
    HandoffState.RETURNED: "Returned to the AI agent by {name}",
    HandoffState.WITHDRAWN: "Withdrawn: the customer no longer wants a person",
    HandoffState.CLOSED: "Closed by {name}",
}
_ACTIONS = {
    HandoffState.WAITING: ("take", "return", "transfer", "close"),
    HandoffState.HUMAN: ("return", "transfer", "release", "close"),
    HandoffState.RETURNED: ("reopen",),
    HandoffState.WITHDRAWN: ("reopen",),
    HandoffState.CLOSED: ("reopen",),
}
HERE_LINE = "On the customer's screen: what is sent shows at once."
AWAY_LINE = "Customer away: what is sent shows when they come back. Last seen"
_AUDIENCES = {
    "owner": "Only the owner's replies in this thread go to the customer.",
    "anyone-in-queue": "Replies of every operator of this queue go to the customer.",
    "button": "Replies stay among colleagues until somebody presses Send to the customer.",
}


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(value)) for key, value in values.items() if value not in (None, ""))


def card(
    handoff: Handoff,
    conversation: Conversation,
    *,
    queue_label: str,
    previous: Ticket | None = None,
    last_words: str = "",
    on_screen: bool | None = None,
    seen_at: Millis | None = None,
) -> Card:
    """Return the card of a handoff as it stands now. `on_screen`: whether its customer has the chat before them; None:
    that is not known; `seen_at` is when they had it last.
    """
    envelope, customer = handoff.envelope, conversation.customer
    claims = envelope.customer
    name = handoff.operator.name if handoff.operator else "the bridge"
    facts = _pairs(
        {
            "Email": claims.email,
            "Phone": claims.phone,
            "Tier": claims.tier,
            "Language": claims.locale or customer.locale,
            "Time zone": claims.timezone,
            **customer.attributes,
            **claims.attributes,
        }
    )
    on_screen = on_screen if handoff.state in OPEN_STATES else None
    waiting_note = " Replies before that stay among colleagues." if handoff.state is HandoffState.WAITING else ""
    return Card(
        handoff=handoff.id,
        ticket=handoff.ticket,
        title=f"{handoff.ticket} · {customer.name or claims.name or 'Customer'}",
        state=handoff.state,
        state_line=_STATE_LINES[handoff.state].format(name=name),
        reason=REASONS[envelope.reason],
        reason_detail=envelope.reason_detail or "",
        summary=envelope.summary,
        question=envelope.question or "",
        customer_name=customer.name or claims.name or "Customer",
        customer_verified=customer.verified,
        customer_facts=facts,
        collected=_pairs({**conversation.collected, **envelope.collected}),
        tried=tuple((a.action, f"{a.outcome}: {a.detail}" if a.detail else a.outcome) for a in envelope.attempts),
        suggested_replies=envelope.suggested_replies,
        queue=queue_label,
        priority=envelope.routing.priority,
        why_here=handoff.why_here,
        company_ticket=(envelope.ticket.id, envelope.ticket.url or "") if envelope.ticket else None,
        opened_at=handoff.opened_at,
        operator_id=handoff.operator.id if handoff.operator else "",
        operator_name=handoff.operator.name if handoff.operator else "",
        audience_line=_AUDIENCES.get(handoff.audience_rule, _AUDIENCES["owner"]) + waiting_note,
        problems=handoff.problems,
        previous=previous,
        actions=_ACTIONS[handoff.state],
        presence_line="" if on_screen is None else HERE_LINE if on_screen else AWAY_LINE,
        away_since=seen_at if on_screen is False else None,
        last_words="" if f'"{_flat(last_words)}"' in _flat(envelope.summary) else last_words,
    )


def _flat(text: str) -> str:
    return " ".join(text.split())


def moved(old: Card, queue: str) -> Card:
    """Return the card for a thread that the handoff has left."""
    return replace(
        old,
        state_line=f"Moved to {queue}",
        actions=(),
        audience_line="Nothing in this thread goes to the customer.",
        presence_line="",
        away_since=None,
    )


def transcript(entries: Sequence[Entry], ticket: Ticket) -> Transcript:
    """Return what was said before the handoff, for the thread. Suppressed text and notices are not part of it."""
    lines = [entry for entry in visible(entries) if entry.audience in (Audience.EVERYONE, Audience.CUSTOMER)]
    text = "\n\n".join(
        f"[{clock(entry.at)} UTC] {speaker(entry)}:\n{entry.text}"
        + "".join(f"\n(file: {file.name}, {file.size_bytes} bytes)" for file in entry.files)
        for entry in lines
    )
    return Transcript(
        lines=tuple(lines[-TRANSCRIPT_LINES:]),
        earlier=max(0, len(lines) - TRANSCRIPT_LINES),
        file_name=f"transcript-{ticket}.txt",
        file_text=text,
    )


_SETTLED = (
    "Go on from the note; do not repeat what was settled, and do not hand over again for the reason that a person has "
    "just dealt with."
)
_GO_ON: Mapping[ReturnOutcome, str] = {
    **dict.fromkeys(ReturnOutcome, _SETTLED),
    ReturnOutcome.UNANSWERED: "Nobody was free, and the customer knows it. Help as well as you can.",
    ReturnOutcome.WITHDRAWN: "The customer no longer wants a person. Go on where you were.",
}


def for_agent(handoff: Handoff, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the briefing that re-grounds the agent after a return.

    It says in words where the human stretch begins and ends, so that no earlier "I will stay silent" outlives it, holds
    every
    line since the escalation by name, and the operator's note apart from what customers wrote.
    """
    note = handoff.note
    outcome = note.outcome if note else ReturnOutcome.OTHER
    if handoff.state is HandoffState.WITHDRAWN:
        outcome = ReturnOutcome.WITHDRAWN
    was_taken = handoff.operator is not None or handoff.taken_at is not None
    begun = "A person took over this conversation" if was_taken else "A person was called to this conversation"
    stretch = [entry for entry in visible(entries) if entry.n >= handoff.first_n and entry.audience in _TOLD]
    return {
        "start": f"{begun} (ticket {handoff.ticket}). You were silent from here on.",
        "ticket": handoff.ticket,
        "reason": handoff.envelope.reason.value,
        "handoff_id": handoff.id,
        "operator": handoff.operator.name if handoff.operator else None,
        "human_turns": [
            {
                "n": entry.n,
                "role": entry.author.role.value,
                "name": entry.author.name,
                "text": entry.text,
                "at_ms": entry.at,
            }
            for entry in stretch
        ],
        "outcome": outcome.value,
        "note": note.note if note else "",
        "facts": list(note.facts) if note else [],
        "promises": list(note.promises) if note else [],
        "do_not_repeat": list(note.do_not_repeat) if note else [],
        "continue_now": bool(note and note.continue_now),
        "resume": handoff.envelope.resume.model_dump(mode="json") if handoff.envelope.resume else None,
        "end": (f"The conversation is yours again. Any earlier instruction to stay silent is over. {_GO_ON[outcome]}"),
    }


_TOLD = (Audience.EVERYONE, Audience.CUSTOMER)
