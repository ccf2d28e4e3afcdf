"""What must hold before, at and after every step. Each returns what is wrong in words, or ""."""

from collections.abc import Callable
from typing import NamedTuple, cast

from bridge.storage import Tx
from tests.model.machine import Outcome, Reading, Rules
from tests.model.world import Happening, World

SUPERVISOR, STRANGER = "S", "G"


class Step(NamedTuple):
    """One step of the world."""

    before: World
    happening: Happening
    after: World
    outcome: Outcome
    rules: Rules


def agent_speaks_only_as_owner(step: Step) -> str:
    """I1, I2: agent text is shown only while the agent owns, in the epoch and attempt of the run that says it."""
    before, outcome = step.before, step.outcome
    shown = [one for one in outcome.written if one.role == "agent" and one.audience in ("everyone", "customer")]
    if not shown and not outcome.streamed:
        return ""
    live = before.turn
    if before.owner != "agent":
        return f"the agent was heard while the conversation was {before.owner}"
    if live is None or not live.running or step.happening[1:] != (live.number, live.epoch, live.attempt):
        return f"words of the run {step.happening[1:]} were shown while the live one was {live}"
    if any(one.epoch != before.epoch for one in shown) or live.epoch != before.epoch:
        return "agent text carries another epoch than the one it was committed in"
    return ""


def late_words_are_kept(step: Step) -> str:
    """What the agent says too late is in the log, for operators."""
    if step.happening[0] != "speaks" or step.outcome.status != "fenced":
        return ""
    kept = any(one.role == "agent" and one.audience == "suppressed" for one in step.outcome.written)
    return "" if kept else "late words of the agent were dropped or shown"


def nothing_half_written_stays(step: Step) -> str:
    """I1 for streams: when the owner changes, a half-written text is taken back or completed."""
    after, outcome = step.after, step.outcome
    if after.stream and (after.owner != "agent" or after.turn is None):
        return "a stream is open though no run of the agent is live"
    if not step.before.stream or after.stream:
        return ""
    completed = any(one.role == "agent" and one.audience == "everyone" for one in outcome.written)
    taken_back = any(one.kind == "retraction" for one in outcome.written)
    return "" if completed or taken_back else "a half-written text stays on the customer's screen"


def epoch_moves_with_the_owner(step: Step) -> str:
    """I3, I18: the epoch grows by one exactly when the owner changes; nothing ends or reopens without it."""
    by, moved = step.after.epoch - step.before.epoch, step.after.mark != step.before.mark
    if by == moved:
        return ""
    return f"the epoch grew by {by} while the owner went {step.before.mark} -> {step.after.mark}"


def owner_is_a_person_exactly_in_human(step: Step) -> str:
    """I4: a conversation that people have has exactly one allowed owner, any other none."""
    after = step.after
    if (after.owner == "human") != bool(after.operator):
        return f"{after.owner} is owned by {after.operator or 'nobody'}"
    return "a stranger owns the conversation" if after.operator == STRANGER else ""


def second_taker_is_told(step: Step) -> str:
    """I4: who comes second gets nothing and is told who has it; only a supervisor takes over."""
    before, happening = step.before, step.happening
    if (
        happening[0] not in ("takes", "reopens", "sends")
        or before.owner != "human"
        or step.outcome.status == "duplicate"
    ):
        return ""
    if happening[1] in (before.operator, SUPERVISOR):
        return ""
    if step.after.mark != before.mark:
        return f"{happening[1]} took it from {before.operator}"
    told = step.outcome.status == "refused" and step.outcome.sentence
    return "" if told or happening[0] == "sends" else "who came second was not told"


def one_open_handoff(step: Step) -> str:
    """I5: at most one handoff is open, the newest, exactly while people have the conversation."""
    after = step.after
    opened = [number for number, hand in enumerate(after.hands, start=1) if hand.is_open]
    wanted = [len(after.hands)] if after.owner in ("waiting", "human") else []
    if opened != wanted:
        return f"open handoffs {opened} while {after.owner}, newest {len(after.hands)}"
    if opened and after.hands[-1].state != after.owner:
        return f"the handoff is {after.hands[-1].state}, the conversation {after.owner}"
    return ""


def a_request_is_one_handoff(step: Step) -> str:
    """I5, I7: a request that comes again under its id is answered, and nobody hears of it twice."""
    if step.happening[0] != "asks" or all(one[0] != "asks" for one in step.before.seen):
        return ""
    return "a request was dealt with twice" if step.outcome.written or step.after.hands != step.before.hands else ""


def turn_is_the_agents(step: Step) -> str:
    """A run is live only while the agent owns, in the epoch that is."""
    live = step.after.turn
    if live is None or (step.after.owner == "agent" and live.epoch == step.after.epoch):
        return ""
    return f"a turn of epoch {live.epoch} is live while {step.after.owner} at {step.after.epoch}"


def customer_is_never_nobodys(step: Step) -> str:
    """I6: each line of the customer is in a thread or transcript, was read by a run that ended, or waits for one."""
    after = step.after
    if after.owner == "agent" and after.turn is not None:
        return ""
    for n, line in enumerate(after.log, start=1):
        if line.role == "customer" and not after.covered >> n & 1:
            return f"nobody has the customer's line {n}"
    return ""


def only_owners_are_heard(step: Step) -> str:
    """I8: an operator's message reaches the customer only if its author owns the conversation, or wrote it as the last
    owner before the return.
    """
    new = [one for one in step.outcome.written if one.role == "operator" and one.kind != "delete"]
    for one in new:
        if one.audience not in ("everyone", "customer") or one.kind == "edit":
            continue
        if step.after.owner == "human" and step.after.operator == one.who:
            continue
        if step.happening[0] == "sends" and one.who == SUPERVISOR and step.after.owner == "human":
            continue
        on_time = step.happening[0] == "arrives" and step.happening[4] == "during"
        last = step.before.owner == "agent" and step.before.sticky == one.who
        if not (on_time and last and step.happening[2] == len(step.before.hands)):
            return f"{one.who} was heard while {step.before.mark}"
    return ""


def notes_stay_among_colleagues(step: Step) -> str:
    """I12: what reads as a note never stands on the customer's screen, unless somebody sent that very message."""
    for n, line in enumerate(step.after.log, start=1):
        if line.role == "operator" and line.shown and line.is_note and not line.copies:
            return f"the note {n} is on the customer's screen"
    return ""


def a_message_is_sent_once(step: Step) -> str:
    """I7: a kept message stands on the customer's screen once, however often it is sent."""
    for n, line in enumerate(step.after.log, start=1):
        shown = line.shown + sum(one.copies == n and one.shown for one in step.after.log)
        if shown > 1:
            return f"the message {n} stands on the customer's screen {shown} times"
    return ""


def log_is_gapless(step: Step) -> str:
    """I10: numbers without gaps, and what waits for a thread waits in the order of the log."""
    if any(one.step != 1 for one in step.outcome.written):
        return "the log has a gap"
    places: dict[int, int] = {}
    for hand, n in step.after.unposted:
        if n <= places.get(hand, 0):
            return f"line {n} would be posted after line {places[hand]}"
        places[hand] = n
    return ""


def only_who_may_acts(step: Step) -> str:
    """A return, release or close is by the owner or a supervisor; in WAITING any allowed operator may return."""
    name, before = step.happening[0], step.before
    if name not in ("returns", "releases", "closes", "gives") or step.after.mark == before.mark:
        return ""
    who = step.happening[1]
    if who in (before.operator, SUPERVISOR) and who:
        return ""
    if before.owner == "waiting" and name in ("returns", "gives") and who != STRANGER:
        return ""
    return f"{who} {name} what {before.operator or 'nobody'} had"


def old_buttons_do_nothing(step: Step) -> str:
    """A card of an earlier handoff moves nothing; nor does a button of an ended one, but *Take it back*."""
    name, before = step.happening[0], step.before
    if name not in ("takes", "returns", "releases", "closes", "gives", "leaves"):
        return ""
    old = step.happening[2] != len(before.hands) or not before.hands[-1].is_open
    return "a stale button moved the conversation" if old and step.after.mark != before.mark else ""


def each_act_means_itself(step: Step) -> str:
    """A button that worked did what it says."""
    wanted = {"releases": "waiting", "closes": "closed", "returns": "agent", "takes": "human", "withdraws": "agent"}
    name = step.happening[0]
    if name not in wanted or step.outcome.status != "done" or step.after.owner == wanted[name]:
        return ""
    return f"{name} left it {step.after.mark}"


def a_rung_takes_from_nobody(step: Step) -> str:
    """A late rung of the ladder moves nothing that somebody has."""
    late = step.happening[0] == "rung" and step.before.owner != "waiting"
    return "a rung moved what did not wait" if late and step.after.mark != step.before.mark else ""


def agent_reads_before_it_speaks(step: Step) -> str:
    """I9, I6: a run that begins after people had the conversation gets the briefing, with each line of theirs."""
    if step.happening[0] != "claims" or not step.after.hands or step.after.turn is None:
        return ""
    live, hand = step.after.turn, step.after.hands[-1]
    spoken = any(one.role == "agent" and one.shown and n > hand.last for n, one in enumerate(step.after.log, start=1))
    if hand.is_open or spoken:
        return ""
    told = step.rules.ground(cast("Tx", Reading(step.after)), live, step.before)
    if told.briefing is None:
        return "the agent starts without a briefing"
    numbers = {one["n"] for one in told.briefing["human_turns"]}
    for n, line in enumerate(step.after.log[: hand.last], start=1):
        seen = line.role == "customer" or (line.role == "operator" and line.shown)
        if n >= hand.first and seen and n not in numbers:
            return f"line {n} of the human stretch is not in the briefing"
    return ""


INVARIANTS: tuple[Callable[[Step], str], ...] = (
    agent_speaks_only_as_owner,
    late_words_are_kept,
    nothing_half_written_stays,
    epoch_moves_with_the_owner,
    owner_is_a_person_exactly_in_human,
    second_taker_is_told,
    one_open_handoff,
    a_request_is_one_handoff,
    turn_is_the_agents,
    customer_is_never_nobodys,
    only_owners_are_heard,
    notes_stay_among_colleagues,
    a_message_is_sent_once,
    log_is_gapless,
    only_who_may_acts,
    old_buttons_do_nothing,
    each_act_means_itself,
    a_rung_takes_from_nobody,
    agent_reads_before_it_speaks,
)


def broken(step: Step) -> str:
    """Return the first invariant that this step breaks, with what is wrong, or ""."""
    for invariant in INVARIANTS:
        if wrong := invariant(step):
            return f"{invariant.__name__}: {wrong}"
    return ""
