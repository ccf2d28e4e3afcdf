"""How long customers' lines wait for a Slack channel that takes one post a second, with 60 live conversations. In
virtual time, by the rules that the stores and the courier use (`bridge.pacing`, `bridge.routing`).

*Steady*: 60 conversations in open threads for one hour, then drained to the end. *Churn*: for 90 minutes conversations
arrive at random (Poisson) and stay for 8 minutes on average (exponential, at least a minute), so that 60 are live, as
there are at the start. In both a customer's lines come 12 s apart on average (exponential, at least half a second).
Five seeds each. A line that has not left in the end has waited until then.

The first line of a new conversation is the post that opens its thread. Figures named `card_apart` are of what the
bridge does on Slack: the card opens the thread, and what was said follows in a second post, a second later at least.

Beside it what most would write first (`fifo`): one post per line, in the order of arrival.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from adapters.slack.render import CAPABILITIES
from bridge.capabilities import Capabilities, Part
from bridge.conversation import Author, Conversation, Customer, EntryKind, Role
from bridge.effects import OutKind
from bridge.ids import ChannelId, ConversationId, CustomerId, DeskName, HandoffId, Millis, OutKey, QueueName, SiteId
from bridge.pacing import Pace, Urgency, choose, offered, together, urgency
from bridge.routing import Queue, choose_channel
from bridge.storage import Out

PARTS = 3
SAME_EACH_ROUND = True
_FIRST_COME = (
    ("wait for the first line, six channels", "first_line"),
    ("wait of all lines, six channels", "sharded"),
    ("wait of all lines, one channel", "one_channel"),
    ("wait of all lines, one channel, steady", "steady"),
)
RATIOS = tuple(
    (f"{label}: first come, first served, against paced", f"pacing_60_fifo_{name}_p99_s", f"pacing_60_{name}_p99_s")
    for label, name in _FIRST_COME
)

SEEDS = range(1, 6)
LIVE = 60
GAP_S, LEAST_GAP_S = 12.0, 0.5
STEADY_S, CHURN_S = 3600, 5400
STAY_S, LEAST_STAY_S = 480.0, 60.0
MEAN_STAY_S = 483.6
"""Of a stay that is at least a minute: 60 + 480 e^(-60/480)."""
FOREVER_S = 10**7
TEXT = "Where is my parcel? It was to arrive on Tuesday, and it is Friday now."
PART = Part(n=1, kind=EntryKind.LINE, author=Author(role=Role.CUSTOMER, name="Kim"), text=TEXT, plain=True)


@dataclass(frozen=True, slots=True)
class Visit:
    """One conversation: when it is there, when the customer says something, and whether its thread is open before."""

    name: str
    begins: int
    ends: int
    lines: tuple[int, ...]
    known: bool


@dataclass(kw_only=True, slots=True)
class Waits:
    """How long lines waited, in ms; `unsent` of them had not left in the end."""

    first: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    unsent: int = 0

    def add(self, more: "Waits") -> None:
        """Count these too."""
        self.first += more.first
        self.others += more.others
        self.unsent += more.unsent

    def first_p99_s(self) -> float:
        """Of the first lines of new conversations."""
        return p99_s(self.first)

    def p99_s(self) -> float:
        """Of all lines."""
        return p99_s(self.first + self.others)

    def unsent_share(self) -> float:
        """How many of all lines never left."""
        return self.unsent / len(self.first + self.others)


def p99_s(waits_ms: list[int]) -> float:
    return sorted(waits_ms)[int(len(waits_ms) * 0.99)] / 1000


def steady(seed: int) -> list[Visit]:
    """Return the conversations of the steady scenario."""
    chance = random.Random(seed)
    return [_visit(chance, f"steady-{i}", 0.0, STEADY_S, STEADY_S, known=True) for i in range(LIVE)]


def churn(seed: int) -> list[Visit]:
    """Return the conversations of the churn scenario, in the order in which they begin."""
    chance = random.Random(seed)
    visits = [
        _visit(chance, f"early-{i}", 0.0, chance.expovariate(1 / STAY_S), CHURN_S, known=True) for i in range(LIVE)
    ]
    at = chance.expovariate(LIVE / MEAN_STAY_S)
    while at < CHURN_S:
        stays = max(LEAST_STAY_S, chance.expovariate(1 / STAY_S))
        visits.append(_visit(chance, f"churn-{len(visits)}", at, at + stays, CHURN_S, known=False))
        at += chance.expovariate(LIVE / MEAN_STAY_S)
    return visits


def _visit(chance: random.Random, name: str, begins: float, ends: float, over: float, *, known: bool) -> Visit:
    lines, at = [] if known else [begins], begins
    while (at := at + max(LEAST_GAP_S, chance.expovariate(1 / GAP_S))) < min(ends, over):
        lines.append(at)
    return Visit(name, int(begins * 1000), int(ends * 1000), tuple(int(line * 1000) for line in lines), known)


def spread(visits: list[Visit], channels: int) -> list[list[Visit]]:
    """Return each channel's conversations, by the rule that routes handoffs."""
    names = tuple(ChannelId(f"C{i}") for i in range(channels))
    queue = Queue(name=QueueName("support"), label="Support", desk=DeskName("slack"), channels=names)
    live: list[tuple[int, ChannelId]] = []
    loads: dict[ChannelId, int] = dict.fromkeys(names, 0)
    found: dict[ChannelId, list[Visit]] = {name: [] for name in names}
    for visit in visits:
        while live and live[0][0] <= visit.begins:
            loads[heapq.heappop(live)[1]] -= 1
        chosen = choose_channel(queue, _conversation(visit.name), lambda _: loads)
        found[chosen].append(visit)
        loads[chosen] += 1
        heapq.heappush(live, (visit.ends, chosen))
    return list(found.values())


def _conversation(name: str) -> Conversation:
    customer = Customer(id=CustomerId(name))
    return Conversation(site=SiteId("main"), id=ConversationId(name), widget="bench", customer=customer)


def arrivals(visits: list[Visit], *, card_apart: bool) -> list[Out]:
    """Return what one channel is to carry, in the order in which it is queued. `k` is 1 for a first line or 0 for the
    card before it.
    """
    outs = []
    for visit in visits:
        kinds = [OutKind.POST] * len(visit.lines)
        if not visit.known and card_apart:
            outs.append(_out(visit, 0, OutKind.CARD, visit.begins))
        elif not visit.known:
            kinds[0] = OutKind.CARD
        outs += [_out(visit, k, kind, at) for k, (kind, at) in enumerate(zip(kinds, visit.lines, strict=True), start=1)]
    return sorted(outs, key=lambda out: (out.queued_at, out.handoff, out.k))


def _out(visit: Visit, k: int, kind: OutKind, at: int) -> Out:
    return Out(
        site=SiteId("main"), conversation=ConversationId(visit.name), handoff=HandoffId(visit.name), ordinal=1, k=k,
        kind=kind, key=OutKey(""), queued_at=Millis(at),
    )  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Lane:
    """A thread, and what waits for it."""

    opened: bool
    told: bool
    waiting: list[Out] = field(default_factory=list)

    def head(self) -> tuple[Urgency, int, str]:
        """Return how urgent what leaves next is, since when it waits, and of which conversation it is."""
        out = offered(self.waiting, opened=self.opened)[0]
        return urgency(out.kind, opened=self.opened, told=self.told), out.queued_at, out.handoff


class Paced:
    """A channel as the bridge paces it."""

    def __init__(self, known: set[str], limits: Capabilities) -> None:
        self._known, self._limits = known, limits
        self._lanes: dict[str, Lane] = {}
        self._heads: dict[str, tuple[Urgency, int, str]] = {}
        self._new_in_a_row = 0

    def put(self, out: Out) -> None:
        """Let it wait."""
        known = out.handoff in self._known
        lane = self._lanes.setdefault(out.handoff, Lane(opened=known, told=known))
        lane.waiting.append(out)
        self._heads[out.handoff] = lane.head()

    def take(self) -> list[Out]:
        """Return what leaves next."""
        oldest: dict[Urgency, tuple[Urgency, int, str]] = {}
        for head in self._heads.values():
            oldest[head[0]] = min(head, oldest.get(head[0], head))
        chosen, self._new_in_a_row = choose(oldest, self._new_in_a_row)
        name = oldest[chosen][2]
        lane = self._lanes[name]
        outs = offered(lane.waiting, opened=lane.opened)
        post = [outs[i] for i in together(outs, [[PART] if o.kind is OutKind.POST else [] for o in outs], self._limits)]
        lane.opened, lane.told = True, any(out.k > 0 for out in post)
        ks = {out.k for out in post}
        lane.waiting = [out for out in lane.waiting if out.k not in ks]
        if lane.waiting:
            self._heads[name] = lane.head()
        else:
            del self._heads[name]
        return post

    def __bool__(self) -> bool:
        return bool(self._heads)


class FirstCome:
    """A channel that takes one thing after the other."""

    def __init__(self) -> None:
        self._waiting: list[Out] = []
        self._taken = 0

    def put(self, out: Out) -> None:
        """Let it wait."""
        self._waiting.append(out)

    def take(self) -> list[Out]:
        """Return what leaves next."""
        self._taken += 1
        return [self._waiting[self._taken - 1]]

    def __bool__(self) -> bool:
        return self._taken < len(self._waiting)


def carry(channel: Paced | FirstCome, outs: list[Out], pace: Pace, over_s: int) -> Iterator[tuple[Out, int, bool]]:
    """Give each out with how long it waited, and whether it left before the end. One post as often as the pace says."""
    coming = iter(outs)
    out = next(coming, None)
    free_at, now, over = Millis(0), 0, over_s * 1000
    while channel or out is not None:
        if not channel and out is not None:
            now = max(now, out.queued_at)
        now = max(now, free_at)
        while out is not None and out.queued_at <= now:
            channel.put(out)
            out = next(coming, None)
        for left in channel.take():
            yield left, min(now, over) - left.queued_at, now < over
        free_at = pace.free_at(posts=True, was_free_at=free_at, now=Millis(now))


def waits(visits: list[Visit], channels: int, over_s: int, *, fifo: bool = False, card_apart: bool = False) -> Waits:
    """Return how long all lines waited."""
    found = Waits()
    for mine in spread(visits, channels):
        known = {visit.name for visit in mine if visit.known}
        channel = FirstCome() if fifo else Paced(known, CAPABILITIES)
        for out, waited, left in carry(channel, arrivals(mine, card_apart=card_apart), Pace(), over_s):
            if out.k > 0:
                new = out.k == 1 and out.handoff not in known
                (found.first if new else found.others).append(waited)
                found.unsent += not left
    return found


def all_waits(
    visits: Callable[[int], list[Visit]],
    channels: int,
    over_s: int,
    *,
    fifo: bool = False,
    card_apart: bool = False,
) -> Waits:
    """Return how long the lines of all seeds waited."""
    found = Waits()
    for seed in SEEDS:
        found.add(waits(visits(seed), channels, over_s, fifo=fifo, card_apart=card_apart))
    return found


def measure(step: Callable[[str], None]) -> dict[str, float]:
    """Every scenario once: time is virtual, so that each round gives the same."""
    figures: dict[str, float] = {}
    for fifo in (False, True):
        step("first come, first served" if fifo else "paced")
        name = "pacing_60_fifo" if fifo else "pacing_60"
        six, one = (all_waits(churn, channels, CHURN_S, fifo=fifo) for channels in (6, 1))
        figures |= {
            f"{name}_first_line_p99_s": six.first_p99_s(),
            f"{name}_sharded_p99_s": six.p99_s(),
            f"{name}_one_channel_first_line_p99_s": one.first_p99_s(),
            f"{name}_one_channel_p99_s": one.p99_s(),
            f"{name}_one_channel_unsent_share": one.unsent_share(),
            f"{name}_steady_p99_s": all_waits(steady, 1, FOREVER_S, fifo=fifo).p99_s(),
        }
    step("paced, the card a post of its own")
    for channels, name in ((6, "card_apart"), (1, "card_apart_one_channel")):
        apart = all_waits(churn, channels, CHURN_S, card_apart=True)
        figures[f"pacing_60_{name}_first_line_p99_s"] = apart.first_p99_s()
        figures[f"pacing_60_{name}_p99_s"] = apart.p99_s()
    return figures
