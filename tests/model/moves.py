"""What may happen next in a world, within stated bounds; every crash, delay and order that they allow."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from tests.model.machine import SPOKEN_BY_RUNS, Machine, Outcome
from tests.model.world import Happening, Live, Run, Typed, World


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far a search goes. Whatever was delivered once may come again any number of times in every state."""

    handoffs: int = 2
    lines: int = 3
    """Messages of the customer."""
    claims: int = 2
    """Runs of the agent, dead leases included."""
    attempts: int = 2
    crashes: int = 1
    runs_can: frozenset[str] = frozenset({"streams", "speaks", "finishes", "escalates"})
    messages: tuple[tuple[str, str, bool], ...] = (("m1", "D", False),)
    """What operators type, in any of the threads: name, author, whether it is a note."""
    acts: dict[str, str] = field(default_factory=dict)
    """Who may press what; each person presses each button of each card once."""
    gives: tuple[tuple[str, str], ...] = ()
    edits: tuple[tuple[str, bool], ...] = ()
    """Which messages are edited, and into a note or not."""
    deletes: tuple[str, ...] = ()
    sends: tuple[tuple[str, str, bool], ...] = ()
    """Who may send which kept message to the customer, taking the conversation or not."""
    asks: int = 1
    """Requests for a person by the API, all with one envelope id."""
    withdraws: bool = False
    rungs: bool = False
    refusals: frozenset[str] = frozenset()
    """Acts whose refusals are remembered, so that they too can come again later."""


def moves(world: World, bounds: Bounds) -> Iterator[Happening]:
    """Return what may happen here for the first time."""
    return (
        happening
        for happening in chain(_outside(world, bounds), _of_runs(world, bounds), _of_people(world, bounds))
        if happening not in world.seen
    )


def _outside(world: World, bounds: Bounds) -> Iterator[Happening]:
    said = sum(line.role == "customer" for line in world.log)
    if said < bounds.lines:
        yield ("says", said + 1)
    if bounds.withdraws and world.hands:
        yield ("withdraws",)
    if len(world.hands) < bounds.handoffs or world.owner in ("waiting", "human"):
        yield from (("asks", number) for number in range(bounds.asks))
    if bounds.rungs:
        yield from (("rung", number) for number in range(1, len(world.hands) + 1))
    if world.unposted:
        yield ("posts",)
    if world.runs and world.crashes < bounds.crashes:
        yield ("crashes",)


def _of_runs(world: World, bounds: Bounds) -> Iterator[Happening]:
    live = world.turn
    if live is not None and world.claims < bounds.claims and live.attempt + live.running <= bounds.attempts:
        yield ("claims",)
    for run in world.runs:
        fence = run[:3]
        for name in bounds.runs_can:
            if name == "streams" and run.phase > 0:
                continue
            if name == "speaks" and run.phase > 1:
                continue
            if name in ("escalates", "breaks") and len(world.hands) >= bounds.handoffs and world.owner == "agent":
                continue
            yield (name, *fence)


def _of_people(world: World, bounds: Bounds) -> Iterator[Happening]:
    numbers = range(1, len(world.hands) + 1)
    full = len(world.hands) >= bounds.handoffs
    for name, people in bounds.acts.items():
        if name == "reopens" and full and world.owner in ("agent", "closed"):
            continue
        for number in numbers:
            yield from ((name, who, number, 0) for who in people)
    for number in numbers:
        yield from (("gives", who, number, to) for who, to in bounds.gives)
        yield from (("sends", who, number, word, take) for who, word, take in bounds.sends)
        for word, who, note in bounds.messages:
            if not _typed_before(world, word):
                yield ("types", who, number, word, note)
    for typed in world.typed:
        yield ("arrives", typed.who, typed.hand, typed.word, typed.when, typed.note)
    for word, note in bounds.edits:
        if (place := _place_of(world, word)) is not None:
            yield ("edits", *place, word, note)
    for word in bounds.deletes:
        if (place := _place_of(world, word)) is not None:
            yield ("deletes", *place, word)


def _typed_before(world: World, word: str) -> bool:
    arrived = any(one[0] == "arrives" and one[3] == word for one in world.seen)
    return arrived or any(typed.word == word for typed in world.typed)


def _place_of(world: World, word: str) -> tuple[str, int] | None:
    return next(((one[1], one[2]) for one in world.seen if one[0] == "arrives" and one[3] == word), None)


# --- doing it


def do(machine: Machine, world: World, happening: Happening, bounds: Bounds) -> tuple[World, Outcome]:
    """Let it happen."""
    match happening:
        case ("posts",):
            return world._replace(unposted=world.unposted[1:]), Outcome()
        case ("crashes",):
            return world._replace(runs=(), crashes=world.crashes + 1), Outcome()
        case ("claims",):
            return _claimed(world), Outcome()
        case ("types", who, number, word, note):
            return _typed(world, who, number, word, note=note), Outcome()
    after, outcome = machine.receive(world, happening)
    if happening[0] in SPOKEN_BY_RUNS:
        return _after_run(after, happening, outcome), outcome
    if happening[0] == "arrives":
        return after._replace(typed=tuple(one for one in after.typed if one.word != happening[3])), outcome
    if outcome.status == "refused" and happening[0] not in bounds.refusals:
        return world, outcome
    return after, outcome


def _claimed(world: World) -> World:
    """A worker takes the queued turn, or one whose lease ran out: the process before may still be alive."""
    live = world.turn
    if live is None:
        raise LookupError("there is no turn to claim")
    claimed: Live = live._replace(running=True, attempt=live.attempt + live.running)
    run = Run(turn=claimed.number, epoch=claimed.epoch, attempt=claimed.attempt, phase=0)
    return world._replace(turn=claimed, runs=tuple(sorted((*world.runs, run))), claims=world.claims + 1)


def _typed(world: World, who: str, number: int, word: str, *, note: bool) -> World:
    hand = world.hands[number - 1]
    when = "late" if not hand.is_open else "during" if hand.taken else "early"
    owned = world.owner == "human" and world.operator == who and number == len(world.hands)
    typed = Typed(word=word, who=who, hand=number, when=when, owned=owned, note=note)
    return world._replace(typed=tuple(sorted((*world.typed, typed))))


def _after_run(world: World, happening: Happening, outcome: Outcome) -> World:
    """The process goes on with its run, or stops it where the answer says so."""
    name, fence = happening[0], happening[1:]
    over = outcome.status in ("fenced", "refused") or name not in ("streams", "speaks")
    phase = 1 if name == "streams" else 2
    runs = (run if run[:3] != fence else run._replace(phase=phase) for run in world.runs)
    return world._replace(runs=tuple(run for run in runs if not (over and run[:3] == fence)))


def small(bounds: Bounds, **changes: object) -> Bounds:
    """Return narrower bounds."""
    return replace(bounds, **changes)  # type: ignore[arg-type]
