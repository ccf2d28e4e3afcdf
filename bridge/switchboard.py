"""The front door. Whatever happens enters by `receive`, is decided and kept in one transaction, and is answered after
the commit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bridge import ids, ownership
from bridge.conversation import Conversation, Entry, Handoff, Situation
from bridge.effects import (
    Append,
    ClearTimers,
    CloseStream,
    Decision,
    Effect,
    EndTurn,
    QueueTurn,
    Receipt,
    Send,
    SetTimer,
    WriteStream,
)
from bridge.errors import NotFound
from bridge.events import (
    AgentEvent,
    CustomerEvent,
    CustomerOpened,
    CustomerSaid,
    Echoed,
    Escalated,
    Event,
    OperatorDeleted,
    OperatorForwarded,
    OperatorSpoke,
    RungDue,
)
from bridge.ids import ConversationId, HandoffId, Millis, OutKey, RemoteRef
from bridge.judging import House, Judge, Subject, acted_handoff
from bridge.meters import Fact, FirstWord, Meter, Received, facts, is_persons, persons_line, unmetered
from bridge.ports import Clock
from bridge.storage import Changed, Out, Store, ThreadPlace, Tx

FIRST_WORD_WITHIN = 500
"""So many entries of a handoff are searched for an earlier line of a person."""
MOST_ANSWERED = 10_000
"""How many handoffs a process remembers to be answered already: it only spares a read."""
DUPLICATES_LOOK_BACK = 200
"""How many entries are searched for the line that a repeated event had become."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What a transaction kept. `answered` is the handoff in which a person spoke to the customer."""

    receipt: Receipt
    changes: Sequence[Changed] = ()
    facts: Sequence[Fact] = ()
    answered: HandoffId | None = None


class Switchboard:
    """Implements `ports.Receive` for one site."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        house: House,
        on_change: Callable[[Changed], None] = lambda _: None,
        mint: Callable[[str], str] = ids.mint,
        meter: Meter = unmetered,
    ) -> None:
        """Take the ports. `on_change` is told after each commit what may have new work; it must not block or raise."""
        self._store = store
        self._clock = clock
        self._judge = Judge(house, mint)
        self._on_change = on_change
        self._mint = mint
        self._meter = meter
        self._answered: dict[HandoffId, None] = {}

    async def receive(self, event: Event) -> Receipt:
        """Decide and keep, in one transaction; return after the commit. See `ports.Receive` for the contract."""
        kept = await self._store.run(lambda tx: self._unit(tx, event))
        for change in kept.changes:
            self._on_change(change)
        for fact in kept.facts:
            self._meter(fact)
        self._meter(Received(kind=type(event).__name__, status=kept.receipt.status))
        if kept.answered is not None:
            self._answered[kept.answered] = None
            if len(self._answered) > MOST_ANSWERED:
                self._answered.pop(next(iter(self._answered)))
        return kept.receipt

    def unit(self, tx: Tx, event: Event) -> tuple[Receipt, Sequence[Changed]]:
        """The transaction itself, as a unit of work."""
        kept = self._unit(tx, event)
        return kept.receipt, kept.changes

    def _unit(self, tx: Tx, event: Event) -> _Kept:
        now = self._clock.now()
        if isinstance(event, Echoed):
            settled = tx.settle_echo(event.site, event.desk, event.key, event.ref, now)
            return _Kept(receipt=Receipt(status="done" if settled else "duplicate"))
        if not tx.remember(event.site, event.source, now):
            return _Kept(receipt=self._repeat(tx, event))
        subject = self._subject(tx, event)
        if isinstance(event, RungDue):
            tx.drop_timer(event.site, event.handoff, event.rung)
        if isinstance(event, Escalated):
            known = tx.handoff_by_envelope(event.site, event.conversation, event.envelope.id)
            known = known or _noted(tx, event, subject.situation.conversation)
            if known is not None:
                return _Kept(receipt=_same_ticket(known, subject.situation.conversation))
        before = subject.situation
        decision = ownership.decide(before, event, self._judge.verdicts(tx, subject, event, now))
        changes = self._apply(tx, before, decision, now)
        said = persons_line(decision)
        told = [*facts(before, decision), *(() if said is None else self._first_word(tx, *said))]
        answered = None if said is None else said[0].id
        return _Kept(receipt=decision.receipt, changes=changes, facts=told, answered=answered)

    def _first_word(self, tx: Tx, handoff: Handoff, line: Entry) -> Iterator[FirstWord]:
        """Look, once for each handoff in each process, whether this is the first line of a person in it."""
        if handoff.id in self._answered:
            return
        earlier = tx.entries(
            handoff.site, handoff.conversation, after_n=handoff.first_n - 1, upto_n=line.n - 1, limit=FIRST_WORD_WITHIN
        )
        if len(earlier) < FIRST_WORD_WITHIN and not any(is_persons(entry) for entry in earlier):
            yield FirstWord(queue=handoff.queue, after_s=max(0, line.at - handoff.opened_at) / 1000)

    # --- what it is about

    def _subject(self, tx: Tx, event: Event) -> Subject:
        acted: Handoff | None = None
        place: ThreadPlace | None = None
        if isinstance(event, OperatorSpoke | OperatorDeleted | OperatorForwarded):
            place = tx.thread_at(event.site, event.desk, event.root)
            if place is None:
                raise NotFound(f"no handoff lives in {event.root}")
        elif (handoff_id := acted_handoff(event)) is not None:
            acted = tx.handoff(event.site, handoff_id)
            if acted is None:
                raise NotFound(f"no handoff {handoff_id}")
        about = acted or place
        conversation = self._conversation(tx, event, about.conversation if about else None)
        # Read again, or only now: the conversation is locked from here on.
        newest = tx.handoff(event.site, conversation.handoff) if conversation.handoff else None
        acted_id = acted.id if acted else place.handoff if place else None
        if newest is not None and newest.id == acted_id:
            acted = newest
        elif place is not None:
            acted = tx.handoff(event.site, place.handoff)
        turn = tx.live_turn(event.site, conversation.id)
        stream = tx.stream(event.site, conversation.id)
        event_turn = None
        if isinstance(event, AgentEvent):
            event_turn = turn if turn is not None and turn.id == event.turn else tx.turn(event.site, event.turn)
        situation = Situation(
            conversation=conversation, handoff=newest, turn=turn, stream_open=stream is not None and stream.open
        )
        return Subject(
            situation=situation, acted=acted, acted_ordinal=place.ordinal if place else 1, event_turn=event_turn
        )

    def _conversation(self, tx: Tx, event: Event, known: ConversationId | None) -> Conversation:
        """Return the conversation of the event, locked; it is named by what was found already, or by the event."""
        if known is not None:
            wanted = known
        elif isinstance(event, CustomerEvent | AgentEvent | Escalated):
            wanted = event.conversation
        else:
            raise NotFound(f"{type(event).__name__} names no conversation")
        found = tx.conversation(event.site, wanted)
        if found is not None:
            return found
        if isinstance(event, CustomerOpened | CustomerSaid):
            fresh = Conversation(site=event.site, id=wanted, widget=event.widget, customer=event.customer)
            tx.insert_conversation(fresh)
            return fresh
        raise NotFound(f"no conversation {wanted}")

    # --- what follows

    def _apply(self, tx: Tx, before: Situation, decision: Decision, now: Millis) -> list[Changed]:
        after = decision.situation
        conversation = after.conversation
        if after.handoff is not None and after.handoff is not before.handoff:
            if before.handoff is None or before.handoff.id != after.handoff.id:
                tx.insert_handoff(after.handoff)
            else:
                tx.save_handoff(after.handoff)
        if conversation is not before.conversation:
            tx.save_conversation(conversation, was_epoch=before.conversation.epoch)
        changed = Changed(site=conversation.site, conversation=conversation.id)
        for effect in decision.effects:
            match effect:
                case Append(entry=entry):
                    tx.append(conversation.site, conversation.id, entry)
                case Send():
                    handoff = self._enqueue(tx, after, effect, now)
                    changed = replace(changed, desk=handoff.thread.desk)
                case QueueTurn(turn=turn):
                    tx.insert_turn(turn)
                    changed = replace(changed, turn=True)
                case _:
                    _write(tx, conversation, effect)
        return [changed] if decision.effects else []

    def _enqueue(self, tx: Tx, after: Situation, effect: Send, now: Millis) -> Handoff:
        handoff = after.handoff
        if handoff is None or handoff.id != effect.handoff:
            handoff = tx.handoff(after.conversation.site, effect.handoff)
        if handoff is None:
            raise NotFound(f"no handoff {effect.handoff}")
        tx.enqueue(
            Out(
                site=handoff.site,
                conversation=handoff.conversation,
                handoff=handoff.id,
                ordinal=effect.ordinal or handoff.thread.ordinal,
                k=0,
                kind=effect.kind,
                key=OutKey(self._mint("o")),
                n=effect.n,
                actions=effect.actions,
                queued_at=now,
            )
        )
        return handoff

    # --- repeats

    def _repeat(self, tx: Tx, event: Event) -> Receipt:
        """Answer a repeat as the first time was answered, as far as that can still be told."""
        if not isinstance(event, CustomerSaid | Escalated):
            return Receipt(status="duplicate")
        conversation = tx.conversation(event.site, event.conversation, lock=False)
        if conversation is None:
            return Receipt(status="duplicate")
        if isinstance(event, Escalated):
            known = tx.handoff_by_envelope(event.site, conversation.id, event.envelope.id)
            known = known or _noted(tx, event, conversation)
            return _same_ticket(known, conversation) if known else Receipt(status="duplicate")
        recent = tx.last_entries(event.site, conversation.id, before_n=conversation.next_n, limit=DUPLICATES_LOOK_BACK)
        same = next((entry for entry in reversed(recent) if entry.remote == RemoteRef(event.source)), None)
        return Receipt(
            status="duplicate",
            conversation=conversation.id,
            n=same.n if same else None,
            at=same.at if same else None,
            epoch=conversation.epoch,
        )


def _write(tx: Tx, conversation: Conversation, effect: Effect) -> None:
    match effect:
        case EndTurn(turn=turn_id, state=state):
            tx.end_turn(conversation.site, turn_id, state)
        case WriteStream():
            tx.write_stream(conversation.site, conversation.id, effect.turn, effect.attempt, effect.text)
        case CloseStream(turn=turn_id):
            tx.close_stream(conversation.site, conversation.id, turn_id)
        case SetTimer():
            tx.set_timer(conversation.site, effect.handoff, effect.rung, effect.due_at)
        case ClearTimers(handoff=handoff_id):
            tx.clear_timers(conversation.site, handoff_id)


def _noted(tx: Tx, event: Escalated, conversation: Conversation) -> Handoff | None:
    """Return the handoff that was open when this envelope came first and became a notice there: sent again after the
    return, it must not call a person anew.
    """
    recent = tx.last_entries(event.site, conversation.id, before_n=conversation.next_n, limit=DUPLICATES_LOOK_BACK)
    place = next((one.handoff for one in reversed(recent) if one.data.get("envelope") == event.envelope.id), None)
    return tx.handoff(event.site, place) if place is not None else None


def _same_ticket(handoff: Handoff, conversation: Conversation) -> Receipt:
    return Receipt(
        status="duplicate",
        conversation=conversation.id,
        handoff=handoff.id,
        ticket=handoff.ticket,
        epoch=conversation.epoch,
    )
