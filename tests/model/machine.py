"""What the world does with what happens: the real judge and the real `decide`, and the store's part around them.

Both are pure, so a decision is made once for each situation and remembered. `Rules` holds the places where a mutant may
be wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from bridge import grounding, ownership
from bridge.conversation import Audience, Entry, EntryKind, Handoff, Role, Situation, TurnState
from bridge.effects import Append, CloseStream, Decision, EndTurn, OutKind, QueueTurn, Send, WriteStream
from bridge.events import Event
from bridge.ids import ChannelId, Millis, RemoteRef, Ticket
from bridge.judging import Judge, Subject
from bridge.ownership import Verdicts
from bridge.ports import AgentTurn
from bridge.storage import Tx
from bridge.triggers import Triggers
from tests.bridge.stories import BACK, C1, house, queue
from tests.model.world import (
    LETTERS,
    NOW,
    Hand,
    Happening,
    Line,
    Live,
    World,
    entries,
    event,
    handoff,
    situation,
    turn,
)

SPEECH = frozenset({"arrives", "edits", "deletes", "sends"})
SPOKEN_BY_RUNS = frozenset({"streams", "speaks", "finishes", "ends", "breaks", "escalates"})


class Written(NamedTuple):
    """An entry that a decision appended; `n` and `target` are numbers of lines, 0 for what is no line."""

    kind: str
    role: str
    who: str
    audience: str
    text: str
    epoch: int
    n: int
    target: int
    step: int
    """By how much its number is greater than the entry's before."""


class Outcome(NamedTuple):
    """What a decision did, as far as invariants ask."""

    status: str = "done"
    sentence: str = ""
    written: tuple[Written, ...] = ()
    posts: tuple[tuple[int, int], ...] = ()
    """Lines queued for threads: (handoff, line)."""
    streamed: bool = False
    closed_stream: bool = False


class Reading:
    """The part of `Tx` that the judge and the grounding read, over a world."""

    def __init__(self, world: World) -> None:
        """Show this world."""
        self._world = world

    def take_ticket(self, *_: object) -> Ticket:
        """Mint the next one."""
        return Ticket(f"H-{1001 + len(self._world.hands)}")

    def conversation(self, *_: object, lock: bool = True) -> Any:
        """Return the row."""
        return situation(self._world).conversation

    def handoff(self, _: object, wanted: str) -> Handoff:
        """Return the one of this id."""
        number = int(wanted.removeprefix("h"))
        return handoff(number, self._world.hands[number - 1])

    def entries(self, *_: object, after_n: int = 0, upto_n: int | None = None, limit: int = 1_000) -> list[Entry]:
        """Return a slice of the log."""
        found = entries(self._world.log)
        return [entry for entry in found if after_n < entry.n and (upto_n is None or entry.n <= upto_n)][:limit]

    def last_entries(self, *_: object, before_n: int, limit: int) -> list[Entry]:
        """Return the newest lines."""
        return [entry for entry in entries(self._world.log) if entry.n < before_n][-limit:]

    def asides(self, *_: object, from_n: int, limit: int = 500) -> list[Entry]:
        """Return what colleagues said, and what sent some of it on."""
        found = [entry for entry in entries(self._world.log) if entry.n >= from_n]
        return [one for one in found if one.audience is Audience.COLLEAGUES or "forwards" in one.data][-limit:]

    def channel_loads(self, *_: object) -> dict[ChannelId, int]:
        """Return nothing: the model has one channel."""
        return {}

    def entry_by_remote(self, _site: object, _desk: object, remote: RemoteRef) -> Any:
        """Return the line that a message became."""
        line = next((entry for entry in entries(self._world.log) if entry.remote == remote), None)
        return (C1, line) if line else None


def read_all(tx: Tx, live: Live, _: World) -> AgentTurn:
    """Tell the agent everything, as the real thing does."""
    return grounding.agent_turn(tx, turn(live))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a world. The defaults are the product's own; a mutant replaces one of them."""

    name: str = "the product"
    decide: Callable[[Situation, Event, Verdicts], Decision] = ownership.decide
    forgets_sources: bool = False
    forgets_envelopes: bool = False
    ground: Callable[[Tx, Live, World], AgentTurn] = read_all


class Machine:
    """Continues worlds by one set of rules."""

    def __init__(self, rules: Rules) -> None:
        """Make a judge for a company with one queue whose ladder gives unanswered conversations back."""
        self.rules = rules
        self._names: dict[str, str] = {}
        settings = house(queue("support", ladder=BACK), triggers=Triggers())
        self._judge = Judge(settings, lambda prefix: self._names[prefix])
        self._decided: dict[Any, tuple[World, Outcome]] = {}
        self.decisions = 0

    def receive(self, world: World, happening: Happening) -> tuple[World, Outcome]:
        """Bring an event to the front door: remembered, judged, decided, applied. A repeat changes nothing."""
        if happening in world.seen and not self.rules.forgets_sources:
            return world, Outcome(status="duplicate")
        # Every request of the API here has the same envelope, whether it became a handoff or a notice in one.
        asked = happening[0] == "asks" and any(one[0] == "asks" for one in world.seen)
        if asked and not self.rules.forgets_envelopes:
            return world._replace(seen=world.seen | {happening}), Outcome(status="duplicate")
        core, outcome = self._decide(world, happening)
        after = world._replace(
            owner=core.owner,
            operator=core.operator,
            epoch=core.epoch,
            sticky=core.sticky,
            role=core.role,
            asked=core.asked,
            hands=core.hands,
            turn=core.turn,
            turns=core.turns,
            stream=core.stream,
            log=core.log,
            covered=core.covered,
            unposted=world.unposted + outcome.posts if outcome.posts else world.unposted,
            seen=world.seen | {happening},
        )
        return after, outcome

    def _decide(self, world: World, happening: Happening) -> tuple[World, Outcome]:
        """Decide once for all worlds that differ only in what the decision cannot see."""
        core = world._replace(unposted=(), seen=frozenset(), runs=(), typed=(), claims=0, crashes=0)
        key = (core, happening)
        found = self._decided.get(key)
        if found is None:
            found = self._decided[key] = self._decide_now(core, happening)
            self.decisions += 1
        return found

    def _decide_now(self, core: World, happening: Happening) -> tuple[World, Outcome]:
        number = len(core.hands) + 1
        self._names.update(t=f"t{core.turns + 1}", h=f"h{number}", e=f"own{number}", o="o")
        what, now = event(happening), situation(core)
        acted = None
        if happening[0] in SPEECH or happening[0] in ACTS:
            acted = handoff(happening[2], core.hands[happening[2] - 1])
        elif happening[0] == "rung":
            acted = handoff(happening[1], core.hands[happening[1] - 1])
        if acted is not None and now.handoff is not None and acted.id == now.handoff.id:
            acted = now.handoff
        own = happening[0] in SPOKEN_BY_RUNS and now.turn is not None and now.turn.id == f"t{happening[1]}"
        subject = Subject(situation=now, acted=acted, event_turn=now.turn if own else None)
        tx = cast("Tx", Reading(core))
        verdicts = self._judge.verdicts(tx, subject, what, Millis(NOW))
        decision = self.rules.decide(now, what, verdicts)
        return _applied(core, decision)


ACTS = frozenset({"takes", "releases", "closes", "reopens", "leaves", "returns", "gives"})


class _Numbers:
    """Gives lines their canonical numbers: entries that nobody says are not counted."""

    def __init__(self, lines: int, appended: Sequence[Entry]) -> None:
        self._lines = lines
        self._new = [entry.n for entry in appended if entry.kind is EntryKind.LINE]

    def upto(self, n: int) -> int:
        """How many lines there are up to this number."""
        return n if n <= self._lines else self._lines + sum(one <= n for one in self._new)

    def next(self, n: int) -> int:
        """The number of the first line from there on."""
        return n if n <= self._lines else self._lines + sum(one < n for one in self._new) + 1


def _applied(core: World, decision: Decision) -> tuple[World, Outcome]:
    appended = [effect.entry for effect in decision.effects if isinstance(effect, Append)]
    numbers = _Numbers(len(core.log), appended)
    log = list(core.log)
    written: list[Written] = []
    before = len(core.log)
    for entry in appended:
        _write(log, entry)
        who = LETTERS.get(entry.author.id, "")
        is_line = entry.kind is EntryKind.LINE
        written.append(
            Written(
                kind=entry.kind.value,
                role=entry.author.role.value,
                who=who,
                audience=entry.audience.value,
                text=entry.text,
                epoch=entry.epoch,
                n=numbers.upto(entry.n) if is_line else 0,
                target=entry.target or 0,
                step=entry.n - before,
            )
        )
        before = entry.n
    after = _row(core, decision, numbers, tuple(log))
    posts, covered = _carried(core, decision, numbers, after.log)
    receipt = decision.receipt
    outcome = Outcome(
        status=receipt.status,
        sentence=receipt.sentence,
        written=tuple(written),
        posts=tuple(posts),
        streamed=any(isinstance(effect, WriteStream) for effect in decision.effects),
        closed_stream=any(isinstance(effect, CloseStream) for effect in decision.effects),
    )
    return after._replace(covered=covered), outcome


def _write(log: list[Line], entry: Entry) -> None:
    if entry.kind is EntryKind.LINE:
        role = entry.author.role
        copies = int(entry.data.get("forwards", 0))
        word = entry.text.rsplit(" ", 1)[-1] if role is Role.OPERATOR else entry.text
        log.append(
            Line(
                role=role.value,
                who=LETTERS.get(entry.author.id, ""),
                word=word,
                epoch=entry.epoch,
                audience=entry.audience.value,
                note=entry.text.startswith("//"),
                kept=str(entry.data.get("kept", "")),
                copies=copies,
            )
        )
    elif entry.target is not None and entry.kind is EntryKind.EDIT:
        edited = "note" if entry.text.startswith("//") else "answer"
        log[entry.target - 1] = log[entry.target - 1]._replace(edited=edited)
    elif entry.target is not None and entry.kind is EntryKind.DELETE:
        by_edit = entry.data.get("notice") == "edit_removed"
        log[entry.target - 1] = log[entry.target - 1]._replace(gone="edit" if by_edit else "delete")


def _row(core: World, decision: Decision, numbers: _Numbers, log: tuple[Line, ...]) -> World:
    row, live = decision.situation.conversation, decision.situation.turn
    queued = any(isinstance(effect, QueueTurn) for effect in decision.effects)
    return core._replace(
        owner=row.state.value,
        operator=LETTERS[row.operator.id] if row.operator else "",
        epoch=row.epoch,
        sticky=LETTERS[row.sticky] if row.sticky else "",
        role=row.last_role,
        asked=numbers.upto(row.last_customer_n),
        hands=_hands(core, decision, numbers, len(log)),
        turn=None
        if live is None
        else Live(
            number=int(live.id.removeprefix("t")),
            epoch=live.epoch,
            kind=live.kind.value,
            upto=numbers.upto(live.upto_n),
            attempt=live.attempt,
            running=live.state is TurnState.RUNNING,
            handoff=int(live.handoff.removeprefix("h")) if live.handoff else 0,
        ),
        turns=core.turns + queued,
        stream=decision.situation.stream_open,
        log=log,
    )


def _hands(core: World, decision: Decision, numbers: _Numbers, lines: int) -> tuple[Hand, ...]:
    newest = decision.situation.handoff
    if newest is None:
        return core.hands
    number = int(newest.id.removeprefix("h"))
    was = core.hands[number - 1] if number <= len(core.hands) else None
    ended = newest.ended_at is not None
    hand = Hand(
        state=newest.state.value,
        operator=LETTERS[newest.operator.id] if newest.operator else "",
        first=numbers.next(newest.first_n),
        envelope=newest.envelope.id,
        taken=newest.taken_at is not None,
        last=(was.last if was is not None and was.last >= 0 else lines) if ended else -1,
        told="".join(sorted(LETTERS[one] for one in newest.told)),
    )
    return (*core.hands[: number - 1], hand)


def _carried(
    core: World, decision: Decision, numbers: _Numbers, log: tuple[Line, ...]
) -> tuple[list[tuple[int, int]], int]:
    """Return what waits for threads from now on, and which of the customer's lines somebody has."""
    posts: list[tuple[int, int]] = []
    have: set[int] = set()
    for effect in decision.effects:
        if isinstance(effect, Send) and effect.n is not None:
            if effect.kind is OutKind.TRANSCRIPT:
                have.update(range(1, numbers.next(effect.n)))
            elif effect.kind is OutKind.POST:
                n = numbers.upto(effect.n)
                is_line = any(e.n == effect.n and e.kind is EntryKind.LINE for e in _appended(decision))
                if is_line and log[n - 1].role == "customer":
                    have.add(n)
                    posts.append((int(effect.handoff.removeprefix("h")), n))
        elif isinstance(effect, EndTurn) and effect.state is TurnState.DONE and core.turn is not None:
            have.update(range(1, core.turn.upto + 1))
    covered = core.covered
    for n in have:
        if n <= len(log) and log[n - 1].role == "customer":
            covered |= 1 << n
    return posts, covered


def _appended(decision: Decision) -> list[Entry]:
    return [effect.entry for effect in decision.effects if isinstance(effect, Append)]
