"""The invariants of ownership, searched for by random histories through the front door.

A history that breaks one is printed with the blob that replays it.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.conversation import (
    CUSTOMER_SEES,
    OPEN_STATES,
    Audience,
    Entry,
    EntryKind,
    Operator,
    Role,
    Standing,
    State,
    Turn,
    TurnKind,
)
from bridge.effects import OutKind, Receipt
from bridge.envelope import ReturnNote
from bridge.events import (
    AgentActed,
    AgentBroke,
    AgentFinished,
    AgentSaid,
    AgentStreamed,
    CustomerOpened,
    CustomerSaid,
    CustomerWithdrew,
    Escalated,
    Event,
    OperatorClosed,
    OperatorDeleted,
    OperatorEdited,
    OperatorForwarded,
    OperatorLeft,
    OperatorRehearsed,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorSaid,
    OperatorTook,
    OperatorTransferred,
    RungDue,
    ThreadGone,
)
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import Millis, RemoteRef, SourceId
from bridge.storage import Out, OutState, Tx
from bridge.switchboard import Switchboard
from tests.bridge.stories import BEN, C1, CUSTOMER, DANA, DESK, GUEST, SITE, SUE, envelope, fence, house, numbered

PEOPLE = st.sampled_from([DANA, BEN, SUE, GUEST])
NOTE_CANARY, AGENT_CANARY = "canary-note", "canary-agent"
ACTIONS: dict[str, Any] = {
    "take": OperatorTook,
    "release": OperatorReleased,
    "return": OperatorReturned,
    "close": OperatorClosed,
    "reopen": OperatorReopened,
    "rehearse": OperatorRehearsed,
    "leave": OperatorLeft,
}


class Ownership(RuleBasedStateMachine):
    """One conversation; every unit runs at once, so that a history is a list of events.

    Here on the memory store. A subclass names another store that never waits, and says how to look into it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = self.open_store()
        self.clock = ManualClock()
        self.door = Switchboard(store=self.store, clock=self.clock, house=house(), mint=numbered())
        self.events: list[tuple[Event, Receipt]] = []
        self.runs: list[Turn] = []
        self.kept: list[RemoteRef] = []
        self.sources = 0
        self.owners: list[tuple[int, State, str]] = []
        self.said_by: dict[str, tuple[int, int]] = {}
        self.posted = 0

    # --- the store

    def open_store(self) -> Any:
        return MemoryStore()

    @property
    def handoffs(self) -> list[Any]:
        """Every handoff, the oldest first."""
        return list(self.store._tables.handoffs.values())

    @property
    def roots(self) -> list[RemoteRef]:
        """The roots of all threads that are open on the desk."""
        return sorted(lane.root for lane in self.store._tables.lanes.values() if lane.root)

    def outs(self) -> Iterable[Out]:
        """Whatever was ever queued for a desk."""
        for lane in self.store._tables.outs.values():
            yield from lane.values()

    def everything(self) -> Any:
        """All that a repeat could change."""
        tables = self.store._tables
        names = [n for n in tables.__dataclass_fields__ if n != "inbox"]
        return repr({name: getattr(tables, name) for name in names})

    # --- the world

    def unit(self, unit: Any) -> Any:
        """Run a unit of work now: the memory store never waits."""
        coroutine = self.store.run(unit)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("the store waited")

    def bring(self, event: Event) -> Receipt:
        receipt: Receipt = self.unit(lambda tx: self.door.unit(tx, event))[0]
        self.events.append((event, receipt))
        self.note_runs()
        return receipt

    def note_runs(self) -> None:
        live = self.unit(lambda tx: tx.live_turn(SITE, C1))
        if live is not None and live not in self.runs:
            self.runs.append(live)

    def head(self, **more: Any) -> dict[str, Any]:
        self.sources += 1
        return {"site": SITE, "source": SourceId(f"s{self.sources}"), "at": self.clock.now(), **more}

    @property
    def row(self) -> Any:
        return self.unit(lambda tx: tx.conversation(SITE, C1))

    @property
    def log(self) -> list[Entry]:
        return self.unit(lambda tx: tx.entries(SITE, C1))  # type: ignore[no-any-return]

    @initialize()
    def opens(self) -> None:
        self.bring(CustomerOpened(**self.head(), conversation=C1, widget="web", customer=CUSTOMER))

    # --- what can happen

    @rule(seconds=st.sampled_from([0, 1, 61, 130, 700, 4000, -30]))
    def time_passes(self, seconds: int) -> None:
        self.clock.set(self.clock.now() + seconds * 1000)

    @rule(text=st.sampled_from(["hello", "never mind", "I want to talk to a human", ""]))
    def customer_says(self, text: str) -> None:
        self.bring(CustomerSaid(**self.head(), conversation=C1, widget="web", customer=CUSTOMER, text=text))

    @rule()
    def customer_withdraws(self) -> None:
        self.bring(CustomerWithdrew(**self.head(), conversation=C1))

    @precondition(lambda self: self.runs)
    @rule(
        pick=st.integers(0, 3),
        what=st.sampled_from(["stream", "say", "act", "finish", "doubt", "close", "break", "escalate", "forbidden"]),
        attempt=st.sampled_from([0, 0, 0, 1]),
    )
    def a_run_acts(self, pick: int, what: str, attempt: int) -> None:
        """Any run that ever was, live or long over, of its own attempt or another."""
        run = fence(self.runs[-1 - pick % len(self.runs)])
        run["attempt"] += attempt
        head = self.head(**run)
        text = f"{AGENT_CANARY} {head['source']}"
        events: dict[str, Any] = {
            "stream": lambda: AgentStreamed(**head, text=text),
            "say": lambda: AgentSaid(**head, text=text),
            "forbidden": lambda: AgentSaid(**head, text=f"I guarantee {text}"),
            "act": lambda: AgentActed(**head, collected={"refund_amount": 500}),
            "finish": lambda: AgentFinished(**head),
            "doubt": lambda: AgentFinished(**head, confidence=0.1),
            "close": lambda: AgentFinished(**head, close=True),
            "break": lambda: AgentBroke(**head, code="crashed", message="x"),
            "escalate": lambda: Escalated(**head, envelope=envelope(f"e{head['source']}")),
        }
        self.said_by[text] = (run["epoch"], run["attempt"])
        live = self.unit(lambda tx: tx.live_turn(SITE, C1))
        rehearsal = any(turn.id == run["turn"] and turn.kind is TurnKind.REHEARSAL for turn in self.runs)
        receipt = self.bring(events[what]())
        if not rehearsal and (live is None or fence(live) != run):
            assert receipt.status == "fenced"

    @rule(queue=st.sampled_from(["support", "night-stay", "night-wait", "eager", "everybody", "buttons"]))
    def the_api_escalates(self, queue: str) -> None:
        head = self.head()
        self.bring(Escalated(**head, conversation=C1, envelope=envelope(f"e{head['source']}", queue=queue)))

    @rule(operator=PEOPLE)
    def somebody_takes_over(self, operator: Operator) -> None:
        head = self.head()
        document = envelope(f"e{head['source']}", reason="operator_takeover")
        self.bring(Escalated(**head, conversation=C1, envelope=document, operator=operator))

    @precondition(lambda self: self.handoffs)
    @rule(operator=PEOPLE, what=st.sampled_from(sorted(ACTIONS)), newest=st.sampled_from([True, True, True, False]))
    def somebody_presses(self, operator: Operator, what: str, newest: bool) -> None:
        more = {"note": ReturnNote(note=NOTE_CANARY)} if what in {"return", "rehearse"} else {}
        of = self.row.handoff if newest else self.handoffs[0].id
        self.bring(ACTIONS[what](**self.head(), operator=operator, handoff=of, **more))

    @precondition(lambda self: self.handoffs)
    @rule(operator=PEOPLE, to=st.sampled_from(["billing", "support", "nowhere", "ben", "guest"]))
    def somebody_transfers(self, operator: Operator, to: str) -> None:
        people: dict[str, Any] = {"ben": BEN, "guest": GUEST}
        target = {"to_operator": people[to]} if to in people else {"to_queue": to}
        head = self.head(operator=operator, handoff=self.row.handoff)
        self.bring(OperatorTransferred(**head, **target, note=NOTE_CANARY))

    @precondition(lambda self: self.roots)
    @rule(
        operator=PEOPLE,
        text=st.sampled_from(["hello", f"// {NOTE_CANARY}", f"/cmd {NOTE_CANARY}"]),
        pick=st.integers(0, 5),
        ago_ms=st.sampled_from([0, 0, 500]),
    )
    def somebody_types(self, operator: Operator, text: str, pick: int, ago_ms: int) -> None:
        roots = self.roots
        head = self.head(operator=operator, desk=DESK, root=roots[-1 - pick % len(roots)])
        head["at"] = Millis(head["at"] - ago_ms)
        remote = RemoteRef(f"m{self.sources}")
        self.kept.append(remote)
        self.bring(OperatorSaid(**head, remote=remote, text=text))

    @precondition(lambda self: self.kept)
    @rule(
        operator=PEOPLE,
        pick=st.integers(0, 3),
        what=st.sampled_from(["edit", "note", "delete", "send", "take"]),
    )
    def somebody_changes_a_message(self, operator: Operator, pick: int, what: str) -> None:
        remote = self.kept[-1 - pick % len(self.kept)]
        root = self._root_of(remote)
        head = self.head(operator=operator, desk=DESK, root=root, remote=remote)
        events: dict[str, Any] = {
            "edit": lambda: OperatorEdited(**head, text="changed"),
            "note": lambda: OperatorEdited(**head, text=f"// {NOTE_CANARY}"),
            "delete": lambda: OperatorDeleted(**head),
            "send": lambda: OperatorForwarded(**head),
            "take": lambda: OperatorForwarded(**head, take=True),
        }
        line = next((entry for entry in self.log if entry.remote == remote), None)
        if what in {"send", "take"} and line is not None and NOTE_CANARY in line.text:
            return  # who presses the button means it
        self.bring(events[what]())

    def _root_of(self, remote: RemoteRef) -> Any:
        return next(e.root for e, _ in self.events if isinstance(e, OperatorSaid) and e.remote == remote)

    @rule()
    def due_timers_fire(self) -> None:
        for due in self.unit(lambda tx: tx.due_timers(self.clock.now())):
            source = SourceId(f"rung:{due.handoff}:{due.rung}:{due.due_at}")
            event = RungDue(site=SITE, source=source, at=due.due_at, handoff=due.handoff, rung=due.rung)
            self.bring(event)

    @rule()
    def a_post_leaves(self) -> None:
        self.posted += 1
        root = RemoteRef(f"root{self.posted}")

        def post(tx: Tx) -> None:
            claim = tx.claim_lane(DESK, "w", Millis(10**14), 1)
            if claim is not None:
                tx.delivered(claim, [claim.outs[0].k], root, self.clock.now())
                tx.release(claim)

        self.unit(post)

    @precondition(lambda self: self.handoffs)
    @rule()
    def the_thread_is_lost(self) -> None:
        newest = next(h for h in self.handoffs if h.id == self.row.handoff)
        event = ThreadGone(**self.head(), handoff=newest.id, ordinal=newest.thread.ordinal)
        self.bring(event)

    @rule()
    def a_worker_claims_a_turn(self) -> None:
        """Another attempt, as after a crash; rehearsals too."""
        turn = self.unit(lambda tx: tx.claim_turn("w", self.clock.now(), 1000))
        if turn is not None:
            self.runs.append(turn)

    @precondition(lambda self: self.events)
    @rule(pick=st.integers(0, 30))
    def an_event_comes_again(self, pick: int) -> None:
        """I7, I17: whatever comes twice has one effect."""
        event, _ = self.events[-1 - pick % len(self.events)]
        before = self.everything()
        receipt, _ = self.unit(lambda tx: self.door.unit(tx, event))

        assert receipt.status == "duplicate"
        assert self.everything() == before

    # --- what always holds

    @invariant()
    def the_log_is_gapless_and_grows(self) -> None:
        """I10: n without gaps, times strictly growing, epochs never back."""
        if not self.events:
            return
        log = self.log
        assert [entry.n for entry in log] == list(range(1, len(log) + 1))
        assert self.row.next_n == len(log) + 1
        assert all(a.at < b.at and a.epoch <= b.epoch for a, b in pairwise(log))

    @invariant()
    def the_epoch_grows_exactly_with_the_owner(self) -> None:
        """I3, I4, I18: another owner is another epoch, the same owner the same one."""
        if not self.events:
            return
        row = self.row
        owner = (row.epoch, row.state, row.operator.id if row.operator else "")
        assert (row.operator is not None) == (row.state is State.HUMAN)
        if row.operator is not None:
            assert row.operator.standing is not Standing.NONE
        if not self.owners or self.owners[-1] != owner:
            if self.owners:
                assert owner[0] > self.owners[-1][0], (self.owners[-1], owner)
            self.owners.append(owner)

    @invariant()
    def at_most_one_handoff_is_open(self) -> None:
        """I5: one open handoff, exactly while people own it; every ended one stays ended."""
        if not self.events:
            return
        row, opened = self.row, [h for h in self.handoffs if h.state in OPEN_STATES]
        assert len(opened) == (1 if row.state in (State.WAITING, State.HUMAN) else 0)
        assert all(h.id == row.handoff and h.state.value == row.state.value for h in opened)
        assert len({h.ticket for h in self.handoffs}) == len(self.handoffs)

    @invariant()
    def the_customer_sees_the_agent_only_while_it_owns(self) -> None:
        """I1, I2: agent text on the screen was committed under its own epoch, while that was the agent's."""
        if not self.events:
            return
        agents = {epoch for epoch, state, _ in self.owners if state is State.AGENT}
        for entry in self.log:
            if AGENT_CANARY not in entry.text or entry.audience not in CUSTOMER_SEES:
                continue
            assert entry.author.role is Role.AGENT
            text = entry.text.removeprefix("I guarantee ")
            assert self.said_by[text][0] == entry.epoch
            assert entry.epoch in agents
            assert "guarantee" not in entry.text
        stream = self.unit(lambda tx: tx.stream(SITE, C1))
        turn = self.unit(lambda tx: tx.live_turn(SITE, C1))
        if stream is not None:
            assert self.row.state is State.AGENT
            assert turn is not None
            assert stream.turn == turn.id
        if turn is not None:
            assert (self.row.state, turn.epoch) == (State.AGENT, self.row.epoch)

    @invariant()
    def late_words_are_kept(self) -> None:
        """Whatever a run said is in the log: shown or suppressed, never dropped. Late rehearsals are another matter."""
        rehearsals = {t.id for t in self.runs if t.kind is TurnKind.REHEARSAL}
        texts = {entry.text for entry in self.log} if self.events else set()
        for event, receipt in self.events:
            if isinstance(event, AgentSaid) and event.turn not in rehearsals:
                assert event.text in texts
                assert receipt.n is not None

    @invariant()
    def notes_stay_among_colleagues(self) -> None:
        """I12: nothing that was typed or written for colleagues or for the agent is ever visible to the customer."""
        for entry in self.log if self.events else ():
            if entry.audience in CUSTOMER_SEES:
                assert NOTE_CANARY not in repr(entry)
            if entry.author.role is Role.OPERATOR and entry.audience is Audience.EVERYONE:
                assert entry.author.id != GUEST.id

    @invariant()
    def a_customers_line_is_never_nobodys(self) -> None:
        """I6: it waits for a turn, was read by one, stands in a transcript, or is on its way to a thread."""
        if not self.events:
            return
        turn = self.unit(lambda tx: tx.live_turn(SITE, C1))
        row = self.row
        posted = {out.n for out in self.outs() if out.kind is OutKind.POST}
        recaps = max((out.n or 0 for out in self.outs() if out.kind is OutKind.TRANSCRIPT), default=0)
        read = max((run.upto_n for run in self.runs), default=0)
        for entry in self.log:
            if entry.author.role is not Role.CUSTOMER or entry.kind is not EntryKind.LINE:
                continue
            waits = row.state is State.AGENT and turn is not None
            assert entry.n in posted or entry.n < recaps or entry.n <= read or waits, entry

    @invariant()
    def every_post_names_an_entry_of_its_conversation(self) -> None:
        """An out never points at an entry that is not there, nor at one that is for the customer's eyes only."""
        log = {entry.n: entry for entry in self.log} if self.events else {}
        for out in self.outs():
            if out.kind is OutKind.POST:
                assert log[out.n or 0].audience is not Audience.CUSTOMER
            assert out.state in (OutState.NEW, OutState.DELIVERED)


def test_no_history_breaks_an_invariant() -> None:
    """Whatever happens in whatever order, repeated or late: I1-I7, I10, I12, I17 and I18 hold after every event."""
    run_state_machine_as_test(Ownership, settings=settings(max_examples=60, stateful_step_count=40))
