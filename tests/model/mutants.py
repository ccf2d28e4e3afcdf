"""Wrong rules, each one mistake that a change of the product could make. The search must catch every one of them.

A mutant lies to the real `decide` about what is, or changes what it answered: everything else stays the product's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bridge import grounding, ownership
from bridge.audience import Hearing
from bridge.conversation import Audience, EntryKind, HandoffState, Situation, Standing, State, Turn, TurnKind, TurnState
from bridge.effects import Append, Decision, EndTurn, OutKind, Send, WriteStream
from bridge.events import (
    AgentEvent,
    AgentSaid,
    AgentStreamed,
    CustomerSaid,
    Escalated,
    Event,
    HandoffAction,
    OperatorClosed,
    OperatorEdited,
    OperatorForwarded,
    OperatorReleased,
    OperatorReturned,
    OperatorSaid,
    OperatorTook,
    RungDue,
)
from bridge.ownership import Verdicts
from bridge.ports import AgentTurn
from bridge.storage import Tx
from tests.model.machine import Rules
from tests.model.moves import Bounds
from tests.model.world import Live, World, turn

Decide = Callable[[Situation, Event, Verdicts], Decision]
TO_CUSTOMER = Hearing(to_customer=True, why="owner")


def _as_if_live(now: Situation, event: AgentEvent, **row: Any) -> Situation:
    """Return the situation as a fence without its checks takes it: whatever run speaks is the live one."""
    live = Turn(
        site=event.site,
        id=event.turn,
        conversation=event.conversation,
        epoch=event.epoch,
        kind=TurnKind.MESSAGE,
        upto_n=now.conversation.next_n - 1,
        attempt=event.attempt,
        state=TurnState.RUNNING,
    )
    return replace(now, turn=live, conversation=replace(now.conversation, epoch=event.epoch, **row))


def _with_row_of(decision: Decision, now: Situation) -> Decision:
    """Put owner, epoch and turn back as they were: only the effects of the mistake stay."""
    before, after = now.conversation, decision.situation.conversation
    row = replace(after, state=before.state, operator=before.operator, epoch=before.epoch)
    return replace(decision, situation=replace(decision.situation, conversation=row, turn=now.turn))


def no_owner_check(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Let a run speak to the end once it was started, whoever owns the conversation meanwhile."""
    if isinstance(event, AgentSaid) and now.conversation.state is not State.AGENT:
        lied = _as_if_live(now, event, state=State.AGENT, operator=None)
        return _with_row_of(ownership.decide(lied, event, verdicts), now)
    return ownership.decide(now, event, verdicts)


def no_epoch_check(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Ask only whether the agent owns the conversation (again): the run before the handoff speaks after it."""
    if isinstance(event, AgentSaid) and now.conversation.state is State.AGENT and now.conversation.epoch != event.epoch:
        return _with_row_of(ownership.decide(_as_if_live(now, event), event, verdicts), now)
    return ownership.decide(now, event, verdicts)


def no_attempt_check(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Let the process with the dead lease go on beside the one that replaced it."""
    if isinstance(event, AgentSaid) and now.turn is not None and now.turn.id == event.turn:
        return ownership.decide(now, replace(event, attempt=now.turn.attempt), verdicts)
    return ownership.decide(now, event, verdicts)


def chunks_past_the_fence(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Fence whole messages only, and show chunks as they come."""
    decision = ownership.decide(now, event, verdicts)
    if isinstance(event, AgentStreamed):
        shown = WriteStream(turn=event.turn, attempt=event.attempt, text=event.text)
        return replace(decision, effects=(shown,))
    return decision


def suppressed_shown(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Append late words for everyone instead of for operators."""
    decision = ownership.decide(now, event, verdicts)
    return replace(decision, effects=tuple(_for_everyone(effect) for effect in decision.effects))


def _for_everyone(effect: Any) -> Any:
    if isinstance(effect, Append) and effect.entry.audience is Audience.SUPPRESSED:
        return Append(entry=replace(effect.entry, audience=Audience.EVERYONE))
    return effect


def late_words_dropped(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Forget what the agent said too late."""
    decision = ownership.decide(now, event, verdicts)
    if isinstance(event, AgentSaid) and decision.receipt.status == "fenced":
        return replace(decision, situation=now, effects=())
    return decision


def retraction_forgotten(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Close a stream without taking its text back."""
    return _without(ownership.decide(now, event, verdicts), _is_retraction)


def _is_retraction(effect: Any) -> bool:
    return isinstance(effect, Append) and effect.entry.kind is EntryKind.RETRACTION


def _without(decision: Decision, unwanted: Callable[[Any], bool]) -> Decision:
    """Drop effects; entries behind a dropped one move up."""
    kept: list[Any] = []
    gone = 0
    for effect in decision.effects:
        if unwanted(effect):
            gone += isinstance(effect, Append)
        elif isinstance(effect, Append) and gone:
            kept.append(Append(entry=replace(effect.entry, n=effect.entry.n - gone)))
        else:
            kept.append(effect)
    return replace(decision, effects=tuple(kept))


def turn_outlives_the_handoff(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Leave the live turn alone when the conversation goes to people."""
    decision = ownership.decide(now, event, verdicts)
    if now.turn is None or decision.situation.conversation.state not in (State.WAITING, State.HUMAN):
        return decision
    kept = _without(decision, lambda effect: isinstance(effect, EndTurn))
    return replace(kept, situation=replace(decision.situation, turn=now.turn))


def take_without_compare(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Write the taker down without looking whether somebody was quicker."""
    if isinstance(event, OperatorTook) and now.conversation.state is State.HUMAN:
        row = replace(now.conversation, state=State.WAITING, operator=None)
        return ownership.decide(replace(now, conversation=row), event, verdicts)
    return ownership.decide(now, event, verdicts)


def close_keeps_the_epoch(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """End without a new epoch."""
    decision = ownership.decide(now, event, verdicts)
    if not isinstance(event, OperatorClosed):
        return decision
    row = replace(decision.situation.conversation, epoch=now.conversation.epoch)
    return replace(decision, situation=replace(decision.situation, conversation=row))


def release_keeps_the_owner(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Offer it to the queue and stay its owner."""
    decision = ownership.decide(now, event, verdicts)
    if not isinstance(event, OperatorReleased):
        return decision
    row = replace(decision.situation.conversation, operator=now.conversation.operator)
    return replace(decision, situation=replace(decision.situation, conversation=row))


def return_by_a_stranger(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Take everybody who presses Return for somebody who may."""
    if isinstance(event, OperatorReturned):
        event = replace(event, operator=replace(event.operator, standing=Standing.SUPERVISOR))
    return ownership.decide(now, event, verdicts)


def stale_button_acts(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Act on the conversation and not on the handoff of the card."""
    if isinstance(event, HandoffAction) and now.handoff is not None:
        event = replace(event, handoff=now.handoff.id)
    return ownership.decide(now, event, verdicts)


def second_card_for_a_second_request(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Open another handoff beside the open one."""
    decision = ownership.decide(now, event, verdicts)
    if isinstance(event, Escalated) and now.conversation.state in (State.WAITING, State.HUMAN) and now.handoff:
        another = replace(now.handoff, id=verdicts.new_handoff)
        return replace(decision, situation=replace(decision.situation, handoff=another))
    return decision


def line_kept_from_the_thread(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Append what the customer says to the log and tell nobody."""
    decision = ownership.decide(now, event, verdicts)
    if not isinstance(event, CustomerSaid):
        return decision
    return _without(decision, lambda effect: isinstance(effect, Send) and effect.kind is OutKind.POST)


def reply_after_the_return(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Relay what its last owner types after the return."""
    if isinstance(event, OperatorSaid) and now.conversation.state is State.AGENT and now.handoff is not None:
        row = replace(now.conversation, state=State.HUMAN, operator=event.operator)
        handoff = replace(now.handoff, state=HandoffState.HUMAN, ended_at=None)
        lied = replace(now, conversation=row)
        told = replace(verdicts, hearing=TO_CUSTOMER, acted=handoff)
        return _with_row_of(ownership.decide(lied, event, told), now)
    return ownership.decide(now, event, verdicts)


def reply_before_a_take(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Relay replies while nobody has the conversation."""
    if isinstance(event, OperatorSaid) and now.conversation.state is State.WAITING:
        row = replace(now.conversation, state=State.HUMAN, operator=event.operator)
        lied, told = replace(now, conversation=row), replace(verdicts, hearing=TO_CUSTOMER)
        return _with_row_of(ownership.decide(lied, event, told), now)
    return ownership.decide(now, event, verdicts)


def colleagues_are_heard(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Relay whoever types in the thread of an open handoff."""
    if isinstance(event, OperatorSaid) and now.conversation.state is State.HUMAN:
        verdicts = replace(verdicts, hearing=TO_CUSTOMER)
    return ownership.decide(now, event, verdicts)


def note_relayed_on_edit(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Mirror an edit without asking again who may hear it."""
    if isinstance(event, OperatorEdited):
        verdicts = replace(verdicts, hearing=TO_CUSTOMER)
    return ownership.decide(now, event, verdicts)


def forwarded_twice(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Send a kept message again for each button pressed."""
    if isinstance(event, OperatorForwarded):
        verdicts = replace(verdicts, sent_as=None)
    return ownership.decide(now, event, verdicts)


def late_rung_returns(now: Situation, event: Event, verdicts: Verdicts) -> Decision:
    """Give the conversation back by a rung that was due when somebody took it."""
    if isinstance(event, RungDue) and now.conversation.state is State.HUMAN:
        row = replace(now.conversation, state=State.WAITING, operator=None)
        return ownership.decide(replace(now, conversation=row), event, verdicts)
    return ownership.decide(now, event, verdicts)


def tail_dropped(tx: Tx, live: Live, world: World) -> AgentTurn:
    """Brief the agent with what has reached the thread, and leave out what still waits for it."""
    told = grounding.agent_turn(tx, turn(live))
    if told.briefing is None:
        return told
    waiting = {n for _, n in world.unposted}
    turns = [one for one in told.briefing["human_turns"] if one["n"] not in waiting]
    return replace(told, briefing={**told.briefing, "human_turns": turns})


def no_briefing(tx: Tx, live: Live, _: World) -> AgentTurn:
    """Start the agent with the log alone, as at any other time."""
    return replace(grounding.agent_turn(tx, turn(live)), briefing=None)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A mistake, the bounds within which it shows, and the words of the invariant that it breaks."""

    rules: Rules
    bounds: Bounds
    breaks: str
    steps: int
    """How many its shortest history has."""


_SPEAKING = Bounds(handoffs=1, lines=1, claims=2, crashes=0, messages=(), runs_can=frozenset({"streams", "speaks"}))
_PEOPLE = Bounds(handoffs=1, lines=1, claims=0, crashes=0, messages=(), acts={"takes": "DB", "releases": "D"})
_TYPING = replace(_PEOPLE, lines=0, messages=(("m1", "D", False), ("m2", "B", False)), acts={"takes": "DB"})
_RETURN = {"takes": "D", "returns": "D"}


def _wrong(decide: Decide, breaks: str, bounds: Bounds, steps: int, **within: Any) -> Mutant:
    rules = Rules(name=decide.__name__, decide=decide)
    return Mutant(rules=rules, bounds=replace(bounds, **within), breaks=breaks, steps=steps)


MUTANTS: tuple[Mutant, ...] = (
    _wrong(no_owner_check, "agent_speaks_only_as_owner", _SPEAKING, 3),
    _wrong(no_epoch_check, "agent_speaks_only_as_owner", _SPEAKING, 4, acts={"returns": "D"}),
    _wrong(no_attempt_check, "agent_speaks_only_as_owner", _SPEAKING, 3),
    _wrong(chunks_past_the_fence, "agent_speaks_only_as_owner", _SPEAKING, 3),
    _wrong(suppressed_shown, "agent_speaks_only_as_owner", _SPEAKING, 3),
    _wrong(late_words_dropped, "late_words_are_kept", _SPEAKING, 3),
    _wrong(retraction_forgotten, "nothing_half_written_stays", _SPEAKING, 3),
    _wrong(turn_outlives_the_handoff, "turn_is_the_agents", _SPEAKING, 1),
    _wrong(take_without_compare, "second_taker_is_told", _PEOPLE, 3),
    _wrong(close_keeps_the_epoch, "epoch_moves_with_the_owner", _PEOPLE, 3, acts={"takes": "D", "closes": "D"}),
    _wrong(release_keeps_the_owner, "owner_is_a_person_exactly_in_human", _PEOPLE, 3),
    _wrong(return_by_a_stranger, "only_who_may_acts", _PEOPLE, 2, acts={"returns": "G"}),
    _wrong(stale_button_acts, "old_buttons_do_nothing", _PEOPLE, 4, handoffs=2, acts={"returns": "DB", "reopens": "B"}),
    _wrong(second_card_for_a_second_request, "one_open_handoff", _SPEAKING, 3, runs_can=frozenset({"escalates"})),
    _wrong(line_kept_from_the_thread, "customer_is_never_nobodys", _PEOPLE, 2),
    _wrong(reply_after_the_return, "only_owners_are_heard", _TYPING, 4, acts=_RETURN),
    _wrong(reply_before_a_take, "only_owners_are_heard", _TYPING, 3),
    _wrong(colleagues_are_heard, "only_owners_are_heard", _TYPING, 4),
    _wrong(note_relayed_on_edit, "notes_stay_among_colleagues", _TYPING, 5, edits=(("m1", True),)),
    _wrong(forwarded_twice, "a_message_is_sent_once", _TYPING, 5, sends=(("D", "m2", True), ("D", "m2", False))),
    _wrong(late_rung_returns, "a_rung_takes_from_nobody", _PEOPLE, 3, rungs=True),
    Mutant(
        rules=Rules(name="sources_forgotten", forgets_sources=True),
        bounds=replace(_PEOPLE, acts={}),
        breaks="I7, I17",
        steps=2,
    ),
    Mutant(
        rules=Rules(name="envelopes_forgotten", forgets_envelopes=True),
        bounds=replace(_PEOPLE, asks=2, acts={}),
        breaks="a_request_is_one_handoff",
        steps=2,
    ),
    Mutant(
        rules=Rules(name="tail_dropped", ground=tail_dropped),
        bounds=replace(_PEOPLE, claims=1, acts={"returns": "D"}),
        breaks="agent_reads_before_it_speaks",
        steps=4,
    ),
    Mutant(
        rules=Rules(name="no_briefing", ground=no_briefing),
        bounds=replace(_PEOPLE, claims=1, acts={"returns": "D"}),
        breaks="agent_reads_before_it_speaks",
        steps=4,
    ),
)
