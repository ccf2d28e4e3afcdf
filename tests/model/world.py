"""The world of the search: one conversation as a value that can be compared, hashed and continued.

What a store keeps is durable: the conversation's row, its handoffs, the live turn, the log, what waits for a thread,
the sources seen. What a crash takes away is volatile: the agent's runs in this process and the words that they still
have in flight. What operators have typed is with Slack, so a crash does not take it.

A state is canonical: entries that nobody says (notices, edits, deletions, retractions) have no number of their own,
times are replaced by their order, and ids by their rank. Everything that `decide` compares is kept.
"""

from functools import cache
from typing import Any, NamedTuple

from bridge.conversation import (
    Audience,
    Author,
    Conversation,
    Entry,
    EntryKind,
    Handoff,
    HandoffState,
    Operator,
    Role,
    Situation,
    State,
    Thread,
    Turn,
    TurnKind,
    TurnState,
)
from bridge.envelope import ReturnNote
from bridge.events import (
    AgentBroke,
    AgentFinished,
    AgentSaid,
    AgentStreamed,
    CustomerSaid,
    CustomerWithdrew,
    Escalated,
    Event,
    OperatorClosed,
    OperatorDeleted,
    OperatorEdited,
    OperatorForwarded,
    OperatorLeft,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorSaid,
    OperatorTook,
    OperatorTransferred,
    RungDue,
)
from bridge.ids import ChannelId, HandoffId, Millis, QueueName, RemoteRef, SourceId, Ticket, TurnId
from tests.bridge.stories import BEN, C1, CUSTOMER, DANA, DESK, GUEST, SITE, SUE, envelope

PEOPLE: dict[str, Operator] = {"D": DANA, "B": BEN, "S": SUE, "G": GUEST}
LETTERS: dict[str, str] = {person.id: letter for letter, person in PEOPLE.items()}
NOTE = ReturnNote(note="settled by a person")
OPENED_AT, TAKEN_AT, ENDED_AT, NOW = 1_000, 2_000, 3_000, 9_000
TYPED_AT = {"early": 1_500, "during": 2_500, "late": 4_000}
"""When a message was typed, seen from its thread's handoff: before it was taken, before it ended, or after that."""

Happening = tuple[Any, ...]
"""What happens, by name and with what it is about: `("takes", "D", 1, 0)`."""


class Line(NamedTuple):
    """Something said. Its number is its place in the log, from 1."""

    role: str
    who: str
    word: str
    epoch: int
    audience: str
    note: bool = False
    """Its text as it was typed is a note among colleagues."""
    edited: str = ""
    """Its text now, if it was edited: `note` or `answer`."""
    kept: str = ""
    copies: int = 0
    """The line of which this is the copy that somebody sent to the customer."""
    gone: str = ""
    """`edit` or `delete`: what took it from the customer's screen."""

    @property
    def shown(self) -> bool:
        """Whether it stands on the customer's screen."""
        return self.audience == "everyone" and not self.gone

    @property
    def is_note(self) -> bool:
        """Whether its text now is a note."""
        return self.edited == "note" if self.edited else self.note


class Hand(NamedTuple):
    """A handoff; its number is its place, from 1."""

    state: str
    operator: str
    first: int
    envelope: str
    taken: bool = False
    last: int = -1
    """The number of the newest line when it ended; -1 while it is open."""
    told: str = ""

    @property
    def is_open(self) -> bool:
        """Whether people have it."""
        return self.last < 0


class Live(NamedTuple):
    """The live turn."""

    number: int
    epoch: int
    kind: str
    upto: int
    attempt: int
    running: bool
    handoff: int


class Run(NamedTuple):
    """One attempt of a turn at work in a process. It may be long over for the store."""

    turn: int
    epoch: int
    attempt: int
    phase: int
    """0: nothing said yet, 1: a half-written text is on its way, 2: it has spoken."""


class Typed(NamedTuple):
    """A message that an operator has typed and Slack has not delivered yet."""

    word: str
    who: str
    hand: int
    when: str
    owned: bool
    """Its author owned the conversation while typing."""
    note: bool


class World(NamedTuple):
    """Everything that can make a difference."""

    owner: str = "agent"
    operator: str = ""
    epoch: int = 1
    sticky: str = ""
    role: str = ""
    asked: int = 0
    """The number of the customer's newest line."""
    hands: tuple[Hand, ...] = ()
    turn: Live | None = Live(1, 1, "opened", 0, 1, running=False, handoff=0)
    turns: int = 1
    stream: bool = False
    log: tuple[Line, ...] = ()
    covered: int = 0
    """A bit for each customer line that a thread, a transcript or a finished run of the agent has."""
    unposted: tuple[tuple[int, int], ...] = ()
    """Lines that wait for a thread: (handoff, line)."""
    seen: frozenset[Happening] = frozenset()
    runs: tuple[Run, ...] = ()
    typed: tuple[Typed, ...] = ()
    claims: int = 0
    crashes: int = 0

    @property
    def mark(self) -> tuple[str, str]:
        """Who owns the conversation."""
        return self.owner, self.operator


# --- from a value to what `decide` reads


@cache
def handoff(number: int, hand: Hand) -> Handoff:
    """Return a handoff as the store would."""
    ended = not hand.is_open
    return Handoff(
        site=SITE,
        id=HandoffId(f"h{number}"),
        conversation=C1,
        ticket=Ticket(f"H-{1000 + number}"),
        envelope=envelope(hand.envelope),
        queue=QueueName("support"),
        thread=Thread(desk=DESK, channel=ChannelId("C-support"), root=RemoteRef(f"root{number}")),
        state=HandoffState(hand.state),
        opened_at=Millis(OPENED_AT),
        first_n=hand.first,
        taken_at=Millis(TAKEN_AT) if hand.taken else None,
        ended_at=Millis(ENDED_AT) if ended else None,
        operator=PEOPLE.get(hand.operator),
        previous=HandoffId(f"h{number - 1}") if number > 1 else None,
        note=NOTE if hand.state == "returned" else None,
        told=frozenset(PEOPLE[letter].id for letter in hand.told),
    )


def turn(live: Live) -> Turn:
    """Return a turn as the store would."""
    return Turn(
        site=SITE,
        id=TurnId(f"t{live.number}"),
        conversation=C1,
        epoch=live.epoch,
        kind=TurnKind(live.kind),
        upto_n=live.upto,
        attempt=live.attempt,
        state=TurnState.RUNNING if live.running else TurnState.QUEUED,
        handoff=HandoffId(f"h{live.handoff}") if live.handoff else None,
    )


def situation(world: World) -> Situation:
    """Return what `decide` may look at."""
    newest = len(world.hands)
    sticky = PEOPLE.get(world.sticky)
    conversation = Conversation(
        site=SITE,
        id=C1,
        widget="web",
        customer=CUSTOMER,
        state=State(world.owner),
        operator=PEOPLE.get(world.operator),
        epoch=world.epoch,
        next_n=len(world.log) + 1,
        handoff=HandoffId(f"h{newest}") if newest else None,
        sticky=sticky.id if sticky else None,
        last_role=world.role,
        last_customer_n=world.asked,
    )
    return Situation(
        conversation=conversation,
        handoff=handoff(newest, world.hands[-1]) if newest else None,
        turn=turn(world.turn) if world.turn else None,
        stream_open=world.stream,
    )


def text_of(word: str, *, note: bool) -> str:
    """Return how a message reads."""
    return f"// among us: {word}" if note else f"words of {word}"


@cache
def entries(log: tuple[Line, ...]) -> tuple[Entry, ...]:
    """Return the log as the store would: what was said, then what became of it."""
    said, changed = [], []
    for n, line in enumerate(log, start=1):
        said.append(_entry(n, line))
        if line.edited:
            text = text_of(line.word, note=line.edited == "note")
            changed.append(_change(EntryKind.EDIT, n, line, text))
        if line.gone:
            changed.append(_change(EntryKind.DELETE, n, line, "", by_edit=line.gone == "edit"))
    return (*said, *changed)


def _author(line: Line) -> Author:
    if line.role == "operator":
        return Author(role=Role.OPERATOR, id=PEOPLE[line.who].id, name=PEOPLE[line.who].name)
    return Author(role=Role(line.role), id=line.role)


def _entry(n: int, line: Line) -> Entry:
    data: dict[str, Any] = {"forwards": line.copies} if line.copies else {}
    return Entry(
        n=n,
        kind=EntryKind.LINE,
        author=_author(line),
        audience=Audience(line.audience),
        at=Millis(n),
        epoch=line.epoch,
        text=text_of(line.word, note=line.note) if line.role == "operator" else line.word,
        remote=RemoteRef(line.word) if line.role == "operator" and not line.copies else None,
        data={**data, "kept": line.kept} if line.kept else data,
    )


def _change(kind: EntryKind, n: int, line: Line, text: str, *, by_edit: bool = False) -> Entry:
    return Entry(
        n=1_000 + n,
        kind=kind,
        author=_author(line),
        audience=Audience.EVERYONE,
        at=Millis(1_000 + n),
        epoch=line.epoch,
        text=text,
        target=n,
        data={"notice": "edit_removed"} if by_edit else {},
    )


# --- from what happens to an event

_ACTS: dict[str, Any] = {
    "takes": OperatorTook,
    "releases": OperatorReleased,
    "closes": OperatorClosed,
    "reopens": OperatorReopened,
    "leaves": OperatorLeft,
}
_RUNS: dict[str, Any] = {
    "streams": lambda fence: AgentStreamed(**fence, text=word_of(fence)),
    "speaks": lambda fence: AgentSaid(**fence, text=word_of(fence)),
    "finishes": lambda fence: AgentFinished(**fence),
    "ends": lambda fence: AgentFinished(**fence, close=True),
    "breaks": lambda fence: AgentBroke(**fence, code="crashed", message="it crashed"),
}


def word_of(fence: dict[str, Any]) -> str:
    """Return what a run says: its fence, so that a reader can tell where words come from."""
    return f"{fence['turn']}.{fence['epoch']}.{fence['attempt']}"


@cache
def event(happening: Happening) -> Event:
    """Return the event that brings this to the front door. Raises ValueError for what never comes there."""
    name, *about = happening
    head: dict[str, Any] = {"site": SITE, "source": SourceId(repr(happening)), "at": Millis(NOW)}
    if name == "says":
        return CustomerSaid(**head, conversation=C1, widget="web", customer=CUSTOMER, text=f"line {about[0]}")
    if name == "withdraws":
        return CustomerWithdrew(**head, conversation=C1)
    if name == "asks":
        return Escalated(**head, conversation=C1, envelope=envelope("asked"))
    if name == "rung":
        return RungDue(**head, handoff=HandoffId(f"h{about[0]}"), rung="back")
    if name in _RUNS or name == "escalates":
        number, epoch, attempt = about
        fence = {"conversation": C1, "turn": TurnId(f"t{number}"), "epoch": epoch, "attempt": attempt}
        if name == "escalates":
            return Escalated(**head, **fence, envelope=envelope(f"by-t{number}.{attempt}"))
        made: Event = _RUNS[name]({**head, **fence})
        return made
    return _of_people(name, about, head)


def _of_people(name: str, about: list[Any], head: dict[str, Any]) -> Event:
    who, number, *rest = about
    person: dict[str, Any] = {"operator": PEOPLE[who]}
    button: dict[str, Any] = {"handoff": HandoffId(f"h{number}")}
    thread: dict[str, Any] = {"desk": DESK, "root": RemoteRef(f"root{number}")}
    if name in _ACTS:
        made: Event = _ACTS[name](**head, **person, **button)
        return made
    if name == "returns":
        return OperatorReturned(**head, **person, **button, note=NOTE)
    if name == "gives":
        return OperatorTransferred(**head, **person, **button, to_operator=PEOPLE[rest[0]])
    thread["remote"] = RemoteRef(rest[0])
    if name == "arrives":
        word, when, note = rest
        head = {**head, "at": Millis(TYPED_AT[when])}
        return OperatorSaid(**head, **person, **thread, text=text_of(word, note=note))
    if name == "edits":
        word, note = rest
        return OperatorEdited(**head, **person, **thread, text=text_of(word, note=note))
    if name == "deletes":
        return OperatorDeleted(**head, **person, **thread)
    if name == "sends":
        return OperatorForwarded(**head, **person, **thread, take=rest[1])
    raise ValueError(f"{name} never comes to the front door")
