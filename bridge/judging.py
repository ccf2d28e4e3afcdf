"""Before a decision: what audience, routing and triggers say about an event, as data for `ownership.decide`.

Everything here reads the transaction and the settings, and writes nothing but the fresh ticket that a handoff may need.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bridge import triggers
from bridge.audience import Hearing, hear
from bridge.conversation import (
    Audience,
    Author,
    Conversation,
    Entry,
    EntryKind,
    Handoff,
    HandoffState,
    Role,
    Situation,
    State,
    Turn,
)
from bridge.envelope import HandoffEnvelope, Reason
from bridge.events import (
    AgentActed,
    AgentBroke,
    AgentEvent,
    AgentFinished,
    AgentSaid,
    CardStale,
    CustomerSaid,
    DeliveryFailed,
    Escalated,
    Event,
    HandoffAction,
    OperatorDeleted,
    OperatorEdited,
    OperatorForwarded,
    OperatorReopened,
    OperatorSaid,
    OperatorSpoke,
    OperatorTransferred,
    RungDue,
    ThreadGone,
)
from bridge.ids import DeskName, HandoffId, Millis, RemoteRef, Ticket, TurnId
from bridge.notices import Words
from bridge.ownership.verdicts import Verdicts
from bridge.routing import Directory, Queue, Route, route
from bridge.storage import Tx

PAGE = 1000
RECENT_LINES = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """What the settings say about one site: queues, triggers, words, and how the agent is called."""

    directory: Directory
    triggers: triggers.Triggers
    custom_words: dict[str, dict[str, str]] = field(default_factory=dict)
    agent_name: str = "Assistant"
    agent_id: str = "agent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What an event is about, as the transaction finds it."""

    situation: Situation
    acted: Handoff | None = None
    acted_ordinal: int = 1
    event_turn: Turn | None = None


class Judge:
    """Makes the verdicts for one site. `mint` makes fresh ids from a prefix."""

    def __init__(self, house: House, mint: Callable[[str], str]) -> None:
        """Keep the settings."""
        self._house = house
        self._mint = mint

    def verdicts(self, tx: Tx, subject: Subject, event: Event, now: Millis) -> Verdicts:
        """Ask all three, for this event."""
        situation = subject.situation
        conversation = situation.conversation
        language = conversation.customer.locale or "en"
        base = Verdicts(
            now=now,
            words=Words(language=language, custom=self._house.custom_words),
            new_turn=TurnId(self._mint("t")),
            new_handoff=HandoffId(self._mint("h")),
            queue=self._queue(situation.handoff),
            acted=subject.acted,
            acted_ordinal=subject.acted_ordinal,
            event_turn=subject.event_turn,
            agent_name=self._house.agent_name,
            agent_id=self._house.agent_id,
        )
        match event:
            case CustomerSaid():
                return self._customer(tx, situation, event, base)
            case Escalated():
                envelope = event.envelope
                if situation.conversation.state in (State.WAITING, State.HUMAN):
                    return base
                return self._opening(tx, situation, envelope, base)
            case AgentEvent():
                return self._agent(tx, subject, event, base)
            case OperatorReopened():
                return self._reopening(tx, situation, base)
            case OperatorTransferred(to_queue=name) if name:
                queue = self._house.directory.queue(name)
                return replace(base, route=self._route_to(tx, queue, situation, now)) if queue else base
            case RungDue():
                return self._rung(tx, situation, event, base)
            case OperatorSpoke():
                return self._spoken(tx, subject, event, base)
            case OperatorDeleted():
                line = self._line(tx, conversation, event.desk, event.remote)
                after = _all_after(tx, conversation, line.n) if line else []
                return _with_line(base, after, line)
            case OperatorForwarded():
                return self._forwarded(tx, subject, event, base)
            case _:
                return base

    def _queue(self, handoff: Handoff | None) -> Queue | None:
        return self._house.directory.queue(handoff.queue) if handoff else None

    def _route_to(self, tx: Tx, queue: Queue, situation: Situation, now: Millis) -> Route:
        envelope = situation.handoff.envelope if situation.handoff else None
        if envelope is None:
            raise LookupError("only what was handed over can be moved")
        conversation = situation.conversation
        loads = partial(tx.channel_loads, conversation.site)
        return route(envelope, conversation, Directory(queues=(queue,)), now, loads=loads)

    # --- triggers

    def _customer(self, tx: Tx, situation: Situation, event: CustomerSaid, base: Verdicts) -> Verdicts:
        state, locale = situation.conversation.state, situation.conversation.customer.locale
        if state is State.WAITING:
            return replace(base, withdraws=triggers.withdrew(self._house.triggers, event.text, locale))
        if state is State.HUMAN:
            return base
        asked = triggers.asked_for_person(self._house.triggers, event.text, locale)
        return self._triggered(tx, situation, asked, base, last_words=event.text) if asked else base

    def _agent(self, tx: Tx, subject: Subject, event: AgentEvent, base: Verdicts) -> Verdicts:
        situation, rules = subject.situation, self._house.triggers
        conversation, turn = situation.conversation, situation.turn
        live = turn is not None and turn.id == event.turn and turn.attempt == event.attempt
        if conversation.state is not State.AGENT or not live or conversation.epoch != event.epoch:
            return base
        collected = conversation.collected
        fired: triggers.Trigger | None = None
        match event:
            case AgentSaid():
                fired = triggers.on_agent_text(rules, event.text, collected)
            case AgentActed():
                collected = {**collected, **event.collected}
                before = conversation.collected
                fired = triggers.on_agent_act(
                    rules, event.tool, event.arguments, event.failed, collected, before=before
                )
            case AgentFinished():
                unsure, fired = triggers.unsure(rules, event.confidence, conversation.unsure_turns)
                base = replace(base, unsure_turns=unsure)
            case AgentBroke():
                fired = triggers.Trigger(reason=Reason.ERROR, detail=f"{event.code}: {event.message}"[:500])
            case _:
                return base
        if fired is None:
            return base
        known = replace(situation, conversation=replace(conversation, collected=collected))
        return self._triggered(tx, known, fired, base)

    def _triggered(
        self, tx: Tx, situation: Situation, trigger: triggers.Trigger, base: Verdicts, last_words: str = ""
    ) -> Verdicts:
        conversation = situation.conversation
        recent = tx.last_entries(conversation.site, conversation.id, before_n=conversation.next_n, limit=RECENT_LINES)
        if last_words:
            recent = [*recent, _spoken_now(conversation, last_words, base.now)]
        envelope = triggers.envelope_for(
            trigger,
            conversation,
            recent,
            envelope_id=self._mint("e"),
            now_ms=base.now,
            agent_id=self._house.agent_id,
        )
        return replace(self._opening(tx, situation, envelope, base), trigger=envelope)

    # --- routing

    def _opening(self, tx: Tx, situation: Situation, envelope: HandoffEnvelope, base: Verdicts) -> Verdicts:
        conversation = situation.conversation
        loads = partial(tx.channel_loads, conversation.site)
        way = route(envelope, conversation, self._house.directory, base.now, loads=loads)
        stays_n = 0 if way.open or way.queue.when_closed != "stay" else _stays_n(tx, conversation)
        return replace(base, route=way, ticket=tx.take_ticket(conversation.site), stays_n=stays_n)

    def _reopening(self, tx: Tx, situation: Situation, base: Verdicts) -> Verdicts:
        if situation.handoff is None or situation.conversation.state in (State.WAITING, State.HUMAN):
            return base
        queue = self._queue(situation.handoff) or self._house.directory.queues[0]
        way = replace(self._route_to(tx, queue, situation, base.now), why="An operator took it back", preferred=None)
        ticket: Ticket = tx.take_ticket(situation.conversation.site)
        return replace(base, route=way, ticket=ticket)

    def _rung(self, tx: Tx, situation: Situation, event: RungDue, base: Verdicts) -> Verdicts:
        rung = next((rung for rung in base.queue.ladder if rung.name == event.rung), None) if base.queue else None
        if rung is None or rung.action != "queue":
            return base
        queue = self._house.directory.queue(rung.text)
        return replace(base, route=self._route_to(tx, queue, situation, base.now)) if queue else base

    # --- audience

    def _spoken(self, tx: Tx, subject: Subject, event: OperatorSpoke, base: Verdicts) -> Verdicts:
        acted, conversation = subject.acted, subject.situation.conversation
        if acted is None:
            return base
        owner = conversation.operator.id if conversation.operator else None
        if acted.state is HandoffState.RETURNED:
            # Who returned it may be a supervisor; whose words went out until then is the last owner.
            owner = conversation.sticky
        edited = isinstance(event, OperatorEdited)
        line = self._line(tx, conversation, event.desk, event.remote) if edited else None
        after = [] if line is None else _all_after(tx, conversation, line.n)
        mine = line is not None and line.author.id == event.operator.id
        was_human = _typed_in_human_stretch(acted, event)
        sent = line is not None and _sent_as(after, line) is not None
        hearing: Hearing = hear(
            text=event.text,
            hints=event.hints,
            standing=event.operator.standing,
            is_owner=mine or owner == event.operator.id,
            state=HandoffState.HUMAN if edited or was_human else acted.state,
            rule="owner" if sent else acted.audience_rule,
            first_reply=acted.first_reply,
            notes=_notes(tx.asides(event.site, conversation.id, from_n=acted.first_n), event),
        )
        return replace(_with_line(base, after, line), hearing=hearing)

    def _forwarded(self, tx: Tx, subject: Subject, event: OperatorForwarded, base: Verdicts) -> Verdicts:
        conversation, acted = subject.situation.conversation, subject.acted
        line: Entry | None = None
        if event.remote is not None:
            line = self._line(tx, conversation, event.desk, event.remote)
        elif event.n is not None:
            found = tx.entries(event.site, conversation.id, after_n=event.n - 1, upto_n=event.n)
            line = found[0] if found else None
        if line is None or acted is None:
            return base
        after = _all_after(tx, conversation, line.n)
        edits = [entry for entry in after if entry.kind is EntryKind.EDIT and entry.target == line.n]
        if any(_deletes(entry, line) and not _by_edit(entry) for entry in after):
            return base
        now = replace(line, text=edits[-1].text, files=edits[-1].files or line.files) if edits else line
        return _with_line(base, after, now)

    @staticmethod
    def _line(tx: Tx, conversation: Conversation, desk: DeskName, remote: RemoteRef) -> Entry | None:
        found = tx.entry_by_remote(conversation.site, desk, remote)
        return found[1] if found and found[0] == conversation.id else None


def _all_after(tx: Tx, conversation: Conversation, n: int) -> list[Entry]:
    """Return what came after an entry, however much: whether a line was changed or sent on may stand at the end."""
    after: list[Entry] = []
    while page := tx.entries(conversation.site, conversation.id, after_n=after[-1].n if after else n):
        after += page
        if len(page) < PAGE:
            break
    return after


def _stays_n(tx: Tx, conversation: Conversation) -> int:
    recent = tx.last_entries(conversation.site, conversation.id, before_n=conversation.next_n, limit=RECENT_LINES)
    return max((entry.n for entry in recent if entry.data.get("notice") == "stays"), default=0)


def acted_handoff(event: Event) -> HandoffId | None:
    """Return the handoff whose button was pressed, or whose timer is due."""
    return (
        event.handoff if isinstance(event, HandoffAction | RungDue | DeliveryFailed | ThreadGone | CardStale) else None
    )


_REPLIES = frozenset({"not_taken", "ended", "button"})
"""Why a reply was kept that its author meant for the customer: saying it again is no slip."""


def _notes(entries: Sequence[Entry], event: OperatorSpoke) -> tuple[str, ...]:
    sent = {entry.data.get("forwards") for entry in entries}
    return tuple(
        entry.text
        for entry in entries
        if entry.audience is Audience.COLLEAGUES
        and entry.kind is EntryKind.LINE
        and entry.author.role is Role.OPERATOR
        and entry.remote != event.remote
        and entry.n not in sent
        and not (entry.author.id == event.operator.id and entry.data.get("kept") in _REPLIES)
    )


def _with_line(base: Verdicts, after: Sequence[Entry], line: Entry | None) -> Verdicts:
    """Add what became of a line: `after` are the entries behind it."""
    if line is None:
        return base
    copy = _sent_as(after, line)
    shown = copy or line
    removed = any(_deletes(entry, shown) and _by_edit(entry) for entry in after)
    return replace(base, line=line, sent_as=copy, removed=removed)


def _sent_as(entries: Sequence[Entry], line: Entry) -> Entry | None:
    copies = [entry for entry in entries if entry.kind is EntryKind.LINE and entry.data.get("forwards") == line.n]
    return copies[-1] if copies else None


def _deletes(entry: Entry, line: Entry) -> bool:
    return entry.kind is EntryKind.DELETE and entry.target == line.n


def _by_edit(entry: Entry) -> bool:
    return entry.data.get("notice") == "edit_removed"


def _typed_in_human_stretch(handoff: Handoff, event: OperatorSpoke) -> bool:
    return (
        isinstance(event, OperatorSaid)
        and handoff.state is HandoffState.RETURNED
        and handoff.taken_at is not None
        and handoff.ended_at is not None
        and handoff.taken_at <= event.at < handoff.ended_at
    )


def _spoken_now(conversation: Conversation, text: str, now: Millis) -> Entry:
    """Stand in for the line that is being decided about, so that a summary can hold it."""
    return Entry(
        n=conversation.next_n,
        kind=EntryKind.LINE,
        author=_customer_author(conversation),
        audience=Audience.EVERYONE,
        at=now,
        epoch=conversation.epoch,
        text=text,
    )


def _customer_author(conversation: Conversation) -> Author:
    return Author(role=Role.CUSTOMER, id=conversation.customer.id, name=conversation.customer.name)
