"""The table of ownership, row by row: who has the conversation next, what follows, and what the actor is told."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bridge import ownership
from bridge.audience import Hearing
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
from bridge.effects import (
    Append,
    ClearTimers,
    CloseStream,
    Decision,
    Effect,
    EndTurn,
    QueueTurn,
    Send,
    SetTimer,
    WriteStream,
)
from bridge.envelope import ReturnNote
from bridge.events import (
    AgentActed,
    AgentBroke,
    AgentFinished,
    AgentSaid,
    AgentStreamed,
    CardStale,
    CustomerOpened,
    CustomerSaid,
    CustomerWithdrew,
    DeliveryFailed,
    Echoed,
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
    Overlooked,
    RungDue,
    ThreadGone,
)
from bridge.ids import HandoffId, Millis, OutKey, RemoteRef, SourceId, Ticket, TurnId
from bridge.notices import Words
from bridge.ownership import Verdicts, decide
from bridge.routing import Queue, Route
from tests.bridge.stories import (
    BACK,
    BEN,
    C1,
    CUSTOMER,
    DANA,
    DESK,
    GUEST,
    LADDER,
    NEVER,
    SITE,
    SUE,
    envelope,
    queue,
    without_standing,
)

NOW = Millis(1_800_000_000_000)
HEAD: dict[str, Any] = {"site": SITE, "source": SourceId("s1"), "at": NOW}
QUEUE = queue("support", ladder=LADDER, idle_close_s=3600)
H1, OLD = HandoffId("h1"), HandoffId("h0")
RUN: dict[str, Any] = {"conversation": C1, "turn": TurnId("t1"), "epoch": 5, "attempt": 1}
TEXT: dict[str, Any] = {"desk": DESK, "root": RemoteRef("r1"), "remote": RemoteRef("m1")}
SAID = OperatorSaid(**HEAD, operator=DANA, **TEXT, text="hello")
NOTE = ReturnNote(note="done")
HEARD = Hearing(to_customer=True, why="owner")
KEPT = Hearing(to_customer=False, why="not_owner")


def route(of: Queue = QUEUE, *, opens: str = "") -> Route:
    return Route(queue=of, channel=of.channels[0], open=of.hours is None, opens=opens, why="test")


def handoff(state: HandoffState = HandoffState.WAITING, **changes: Any) -> Handoff:
    human = state is HandoffState.HUMAN
    fields: dict[str, Any] = {
        "site": SITE,
        "id": H1,
        "conversation": C1,
        "ticket": Ticket("H-1001"),
        "envelope": envelope(),
        "queue": QUEUE.name,
        "thread": Thread(desk=DESK, channel=QUEUE.channels[0], root=RemoteRef("r1")),
        "state": state,
        "opened_at": Millis(NOW - 60_000),
        "first_n": 3,
        "taken_at": Millis(NOW - 50_000) if human else None,
        "operator": DANA if human else None,
        **changes,
    }
    return Handoff(**fields)


def situation(state: State, **changes: Any) -> Situation:
    """Return a conversation in this state with ten entries, epoch 5; the agent's has a live turn."""
    ended = changes.pop("ended", HandoffState.RETURNED)
    row: dict[str, Any] = {
        "site": SITE,
        "id": C1,
        "widget": "web",
        "customer": CUSTOMER,
        "state": state,
        "operator": DANA if state is State.HUMAN else None,
        "epoch": 5,
        "next_n": 11,
        "last_at": Millis(NOW - 5000),
        "last_customer_n": 10,
        "last_role": "customer",
        "sticky": DANA.id,
        **changes.pop("row", {}),
    }
    kinds = {State.WAITING: HandoffState.WAITING, State.HUMAN: HandoffState.HUMAN, State.CLOSED: HandoffState.CLOSED}
    newest = changes.pop("handoff", None)
    if newest is None and (state is not State.AGENT or changes.pop("had", False)):
        newest = handoff(kinds.get(state, ended))
    if newest is not None:
        row["handoff"] = newest.id
    turn = turn_row() if state is State.AGENT and changes.pop("turn", True) else None
    changes.pop("turn", None)
    return Situation(conversation=Conversation(**row), handoff=newest, turn=turn, **changes)


def turn_row(**changes: Any) -> Turn:
    fields: dict[str, Any] = {
        "site": SITE,
        "id": TurnId("t1"),
        "conversation": C1,
        "epoch": 5,
        "kind": TurnKind.MESSAGE,
        "upto_n": 10,
        "state": TurnState.RUNNING,
        **changes,
    }
    return Turn(**fields)


def verdicts(**changes: Any) -> Verdicts:
    fields: dict[str, Any] = {
        "now": NOW,
        "words": Words(),
        "new_turn": TurnId("t2"),
        "new_handoff": HandoffId("h2"),
        "ticket": Ticket("H-1002"),
        "queue": QUEUE,
        **changes,
    }
    return Verdicts(**fields)


ENDED = handoff(HandoffState.RETURNED, operator=DANA, taken_at=Millis(NOW - 50_000), ended_at=Millis(NOW - 1000))
STAY = route(queue("night", hours=NEVER, when_closed="stay"))
NIGHT = route(queue("night", hours=NEVER, when_closed="wait"))
BILLING = route(queue("billing", ladder=BACK))
REHEARSAL = turn_row(id=TurnId("t9"), kind=TurnKind.REHEARSAL, handoff=H1)
TRY: dict[str, Any] = {**RUN, "turn": TurnId("t9")}
LINE = Entry(
    n=7,
    kind=EntryKind.LINE,
    author=Author(role=Role.OPERATOR, id=DANA.id, name="Dana"),
    audience=Audience.EVERYONE,
    at=NOW,
    epoch=5,
    text="hello",
)
KEPT_LINE = replace(LINE, audience=Audience.COLLEAGUES)


@dataclass(frozen=True)
class Row:
    """One row: `name` says it in words, `effects` are kinds in order, as `told` writes them."""

    name: str
    state: State
    event: Event
    next: State
    effects: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    judged: dict[str, Any] = field(default_factory=dict)
    status: str = "done"
    operator: Operator | None = None
    handoff: HandoffState | None = None
    changes_owner: bool = False


def said(text: str = "hi") -> CustomerSaid:
    return CustomerSaid(**HEAD, conversation=C1, widget="web", customer=CUSTOMER, text=text)


def by(kind: Callable[..., Event], operator: Operator = DANA, of: HandoffId = H1, **more: Any) -> Event:
    return kind(**HEAD, operator=operator, handoff=of, **more)


OPENED = CustomerOpened(**HEAD, conversation=C1, widget="web", customer=CUSTOMER)
OVERLOOKED = Overlooked(**HEAD, conversation=C1)
A, W, H, C = State.AGENT, State.WAITING, State.HUMAN, State.CLOSED
OPENS = "notice:escalated send:CARD send:TRANSCRIPT timer:delivery timer:ask timer:sorry timer:up timer:idle"
TAKEN = "off send:CARD notice:joined note:taken send:POST timer:idle"
WAITS = "timer:delivery timer:ask timer:sorry timer:up timer:idle"
ACTED: dict[str, Any] = {"acted": handoff(HandoffState.HUMAN), "hearing": HEARD}

ROWS = (
    # the customer
    Row("a chat that opens is greeted", A, OPENED, A,
        "turn:opened", given={"turn": False, "row": {"next_n": 1, "last_customer_n": 0}}),
    Row("a chat that opens again is not", A, OPENED, A),
    Row("AGENT, customer line, no turn", A, said(), A, "line:customer turn:message", given={"turn": False}),
    Row("AGENT, customer line, live turn", A, said(), A, "line:customer"),
    Row("AGENT, customer asks for a person", A, said(), W, f"line:customer end:cancelled {OPENS}",
        judged={"trigger": envelope(), "route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, customer asks, queue closed", A, said(), W,
        "line:customer end:cancelled notice:escalated_closed send:CARD send:TRANSCRIPT timer:delivery",
        judged={"trigger": envelope(), "route": NIGHT}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, customer asks, queue stays closed", A, said(), A, "line:customer notice:stays turn:message",
        given={"turn": False}, judged={"trigger": envelope(), "route": STAY}),
    Row("AGENT, customer asks, queue stays closed, live turn", A, said(), A, "line:customer notice:stays",
        judged={"trigger": envelope(), "route": STAY}),
    Row("WAITING, customer line", W, said(), W, "line:customer send:POST timer:idle", handoff=HandoffState.WAITING),
    Row("WAITING, customer withdraws by words", W, said(), A,
        "line:customer send:POST off note:withdrawn send:POST notice:withdrawn send:CARD turn:message",
        judged={"withdraws": True}, handoff=HandoffState.WITHDRAWN, changes_owner=True),
    Row("WAITING, customer withdraws", W, CustomerWithdrew(**HEAD, conversation=C1), A,
        "off note:withdrawn send:POST notice:withdrawn send:CARD turn:message", handoff=HandoffState.WITHDRAWN,
        changes_owner=True),
    Row("HUMAN, customer line", H, said(), H, "line:customer send:POST timer:idle", operator=DANA),
    Row("HUMAN, never mind is a line", H, said(), H, "line:customer send:POST timer:idle", operator=DANA,
        judged={"withdraws": True}),
    Row("HUMAN, customer withdraws", H, CustomerWithdrew(**HEAD, conversation=C1), H, status="refused", operator=DANA),
    Row("AGENT, customer withdraws", A, CustomerWithdrew(**HEAD, conversation=C1), A, status="refused"),
    Row("CLOSED, customer withdraws", C, CustomerWithdrew(**HEAD, conversation=C1), C, status="refused"),
    Row("CLOSED, customer line", C, said(), A, "line:customer turn:message", changes_owner=True),
    # what a starting bridge finds
    Row("AGENT, overlooked line", A, OVERLOOKED, A, "turn:message", given={"turn": False}),
    Row("AGENT, overlooked line, a turn is live by now", A, OVERLOOKED, A),
    Row("AGENT, overlooked line, a turn has read it by now", A, OVERLOOKED, A,
        given={"turn": False, "row": {"read_n": 10}}),
    Row("AGENT, overlooked line, answered by now", A, OVERLOOKED, A,
        given={"turn": False, "row": {"last_role": "operator"}}),
    Row("WAITING, overlooked line", W, OVERLOOKED, W),
    Row("HUMAN, overlooked line", H, OVERLOOKED, H, operator=DANA),
    Row("CLOSED, overlooked line", C, OVERLOOKED, C),
    # the agent
    Row("AGENT, chunk of the live attempt", A, AgentStreamed(**HEAD, **RUN, text="he"), A, "stream"),
    Row("AGENT, line of the live attempt", A, AgentSaid(**HEAD, **RUN, text="hello"), A, "line:agent"),
    Row("AGENT, line that completes a stream", A, AgentSaid(**HEAD, **RUN, text="hello"), A, "line:agent close",
        given={"stream_open": True}),
    Row("AGENT, line that a rule forbids", A, AgentSaid(**HEAD, **RUN, text="sue"), W,
        f"suppressed end:cancelled {OPENS}", judged={"trigger": envelope(), "route": route()}, status="fenced",
        handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, line that a rule forbids, queue stays closed", A, AgentSaid(**HEAD, **RUN, text="sue"), A,
        "suppressed notice:stays end:cancelled turn:message", given={"row": {"last_customer_n": 11, "next_n": 12}},
        judged={"trigger": envelope(), "route": STAY}, status="fenced"),
    Row("AGENT, values and tools", A, AgentActed(**HEAD, **RUN, collected={"a": 1}), A),
    Row("AGENT, a tool fails", A, AgentActed(**HEAD, **RUN, failed=True), W, f"end:cancelled {OPENS}",
        judged={"trigger": envelope(), "route": route()}, status="fenced", handoff=HandoffState.WAITING,
        changes_owner=True),
    Row("AGENT, turn ends", A, AgentFinished(**HEAD, **RUN), A, "end:done"),
    Row("AGENT, turn ends in an open stream", A, AgentFinished(**HEAD, **RUN), A, "retraction close end:done",
        given={"stream_open": True}),
    Row("AGENT, turn ends, lines wait", A, AgentFinished(**HEAD, **RUN), A, "end:done turn:message",
        given={"row": {"last_customer_n": 11, "next_n": 12}}),
    Row("AGENT, turn ends in doubt", A, AgentFinished(**HEAD, **RUN), W, f"end:done {OPENS}",
        judged={"trigger": envelope(), "route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, turn ends in doubt, queue stays closed, lines wait", A, AgentFinished(**HEAD, **RUN), A,
        "end:done notice:stays turn:message", given={"row": {"last_customer_n": 11, "next_n": 12}},
        judged={"trigger": envelope(), "route": STAY}),
    Row("AGENT, agent closes", A, AgentFinished(**HEAD, **RUN, close=True), C, "end:done notice:closed",
        changes_owner=True),
    Row("AGENT, agent closes, lines wait", A, AgentFinished(**HEAD, **RUN, close=True), A, "end:done turn:message",
        given={"row": {"last_customer_n": 11, "next_n": 12}}),
    Row("AGENT, agent failed", A, AgentBroke(**HEAD, **RUN, code="crashed", message=""), W, f"end:failed {OPENS}",
        judged={"trigger": envelope(), "route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, agent failed in an open stream", A, AgentBroke(**HEAD, **RUN, code="crashed", message=""), W,
        f"retraction close end:cancelled {OPENS}", given={"stream_open": True},
        judged={"trigger": envelope(), "route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, agent escalates", A, Escalated(**HEAD, **RUN, envelope=envelope()), W, f"end:done {OPENS}",
        judged={"route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, escalation asks the last operator first", A, Escalated(**HEAD, **RUN, envelope=envelope()), W,
        f"end:done {OPENS} note:sticky send:POST", judged={"route": replace(route(), preferred=DANA.id)},
        handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, API escalates", A, Escalated(**HEAD, conversation=C1, envelope=envelope()), W, f"end:done {OPENS}",
        judged={"route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("AGENT, API escalates, queue stays closed", A, Escalated(**HEAD, conversation=C1, envelope=envelope()), A,
        "notice:stays", judged={"route": STAY}, status="refused"),
    Row("AGENT, agent escalates, queue stays closed", A, Escalated(**HEAD, **RUN, envelope=envelope()), A,
        "notice:stays end:done turn:message", judged={"route": STAY}, status="refused"),
    Row("AGENT, agent escalates, queue stays closed, told meanwhile", A, Escalated(**HEAD, **RUN, envelope=envelope()),
        A, "end:done turn:message", given={"row": {"next_n": 12}}, judged={"route": STAY, "stays_n": 11},
        status="refused"),
    Row("AGENT, agent escalates again though it was told", A, Escalated(**HEAD, **RUN, envelope=envelope("e2")), A,
        "end:done", given={"row": {"last_customer_n": 9}}, judged={"route": STAY, "stays_n": 10}, status="refused"),
    Row("AGENT, agent escalates again, lines wait", A, Escalated(**HEAD, **RUN, envelope=envelope("e2")), A,
        "notice:stays end:done turn:message", given={"row": {"last_customer_n": 11, "next_n": 12}},
        judged={"route": STAY, "stays_n": 10}, status="refused"),
    Row("AGENT, a tool fails, queue stays closed", A, AgentActed(**HEAD, **RUN, failed=True), A,
        "notice:stays end:cancelled turn:message", judged={"trigger": envelope(), "route": STAY}, status="fenced"),
    Row("AGENT, agent failed, queue stays closed", A, AgentBroke(**HEAD, **RUN, code="crashed", message=""), A,
        "notice:stays end:failed turn:message", judged={"trigger": envelope(), "route": STAY}),
    Row("AGENT, agent failed again, queue stays closed", A, AgentBroke(**HEAD, **RUN, code="crashed", message=""), A,
        "end:failed", given={"row": {"last_customer_n": 9}},
        judged={"trigger": envelope(), "route": STAY, "stays_n": 10}),
    Row("AGENT, API escalates again, queue stays closed", A,
        Escalated(**HEAD, conversation=C1, envelope=envelope("e2")), A, given={"row": {"last_customer_n": 9}},
        judged={"route": STAY, "stays_n": 10}, status="refused"),
    Row("AGENT, operator takes over unasked", A,
        Escalated(**HEAD, conversation=C1, envelope=envelope(reason="operator_takeover"), operator=DANA), H,
        "end:done notice:joined send:CARD send:TRANSCRIPT timer:idle note:taken send:POST", judged={"route": route()},
        operator=DANA, handoff=HandoffState.HUMAN, changes_owner=True),
    Row("AGENT, stranger takes over", A,
        Escalated(**HEAD, conversation=C1, envelope=envelope(reason="operator_takeover"), operator=GUEST), A,
        judged={"route": route()}, status="refused"),
    Row("WAITING, operator takes over", W,
        Escalated(**HEAD, conversation=C1, envelope=envelope("e2", reason="operator_takeover"), operator=DANA), H,
        TAKEN, operator=DANA, handoff=HandoffState.HUMAN, changes_owner=True),
    Row("WAITING, escalated again", W, Escalated(**HEAD, conversation=C1, envelope=envelope("e2")), W,
        "note:escalated_again send:POST"),
    Row("HUMAN, escalated again", H, Escalated(**HEAD, conversation=C1, envelope=envelope("e2")), H,
        "note:escalated_again send:POST", operator=DANA),
    Row("CLOSED, API escalates", C, Escalated(**HEAD, conversation=C1, envelope=envelope("e2")), W, OPENS,
        judged={"route": route()}, handoff=HandoffState.WAITING, changes_owner=True),
    Row("CLOSED, API escalates, queue stays closed", C, Escalated(**HEAD, conversation=C1, envelope=envelope("e2")), C,
        judged={"route": STAY}, status="refused"),
    *(
        Row(f"{state.name}, agent's {type(event).__name__} comes too late", state, event, state,
            "suppressed" if isinstance(event, AgentSaid) else "", status="fenced",
            operator=DANA if state is H else None)
        for state in (W, H, C)
        for event in (
            AgentStreamed(**HEAD, **RUN, text="he"),
            AgentSaid(**HEAD, **RUN, text="hello"),
            AgentActed(**HEAD, **RUN),
            AgentFinished(**HEAD, **RUN),
            AgentBroke(**HEAD, **RUN, code="crashed", message=""),
            Escalated(**HEAD, **RUN, envelope=envelope("e2")),
        )
    ),
    # rehearsals
    Row("HUMAN, rehearse", H, by(OperatorRehearsed, note=NOTE), H, "note:rehearsing send:POST turn:rehearsal",
        operator=DANA),
    Row("WAITING, rehearse", W, by(OperatorRehearsed, note=NOTE), W, "note:rehearsing send:POST turn:rehearsal"),
    Row("HUMAN, a colleague rehearses", H, by(OperatorRehearsed, BEN, note=NOTE), H, operator=DANA, status="refused"),
    Row("AGENT, rehearse", A, by(OperatorRehearsed, note=NOTE), A, given={"had": True}, status="refused"),
    Row("CLOSED, rehearse", C, by(OperatorRehearsed, note=NOTE), C, status="refused"),
    Row("HUMAN, the rehearsal speaks", H, AgentSaid(**HEAD, **TRY, text="hello"), H, "note:rehearsal send:POST",
        judged={"event_turn": REHEARSAL}, operator=DANA),
    Row("HUMAN, the rehearsal ends", H, AgentFinished(**HEAD, **TRY), H, "end:done",
        judged={"event_turn": REHEARSAL}, operator=DANA),
    Row("HUMAN, the rehearsal fails", H, AgentBroke(**HEAD, **TRY, code="crashed", message=""), H,
        "end:failed note:rehearsal_failed send:POST", judged={"event_turn": REHEARSAL}, operator=DANA),
    Row("HUMAN, the rehearsal speaks after a change of owner", H, AgentSaid(**HEAD, **TRY, text="hello"), H,
        "end:cancelled note:rehearsal_dropped send:POST", judged={"event_turn": replace(REHEARSAL, epoch=4)},
        status="fenced", operator=DANA),
    Row("HUMAN, a rehearsal of an earlier handoff speaks", H, AgentSaid(**HEAD, **TRY, text="hello"), H,
        "end:cancelled", judged={"event_turn": replace(REHEARSAL, handoff=OLD)}, status="fenced",
        operator=DANA),
    Row("HUMAN, a rehearsal of an earlier handoff fails", H, AgentBroke(**HEAD, **TRY, code="crashed", message=""), H,
        "end:failed", judged={"event_turn": replace(REHEARSAL, handoff=OLD)}, operator=DANA),
    Row("AGENT, the rehearsal speaks too late", A, AgentSaid(**HEAD, **TRY, text="hello"), A, "end:cancelled",
        judged={"event_turn": REHEARSAL}, given={"had": True}, status="fenced"),
    # take
    Row("WAITING, take", W, by(OperatorTook), H, TAKEN, operator=DANA, handoff=HandoffState.HUMAN, changes_owner=True),
    Row("WAITING, a stranger takes", W, by(OperatorTook, GUEST), W, status="refused"),
    Row("HUMAN(a), take(b)", H, by(OperatorTook, BEN), H, operator=DANA, status="refused"),
    Row("HUMAN(a), take(a)", H, by(OperatorTook, DANA), H, operator=DANA),
    Row("HUMAN(a), a supervisor takes", H, by(OperatorTook, SUE), H, TAKEN, operator=SUE, changes_owner=True),
    Row("AGENT, take", A, by(OperatorTook), A, given={"had": True}, status="refused"),
    Row("CLOSED, take", C, by(OperatorTook), C, status="refused"),
    Row("WAITING, take of an earlier handoff", W, by(OperatorTook, of=OLD), W, status="refused"),
    # release, leave
    Row("HUMAN(a), release by a", H, by(OperatorReleased), W,
        f"off notice:released send:CARD note:released send:POST {WAITS}", handoff=HandoffState.WAITING,
        changes_owner=True),
    Row("HUMAN(a), release by a supervisor", H, by(OperatorReleased, SUE), W,
        f"off notice:released send:CARD note:released send:POST {WAITS}", changes_owner=True),
    Row("HUMAN(a), release by b", H, by(OperatorReleased, BEN), H, operator=DANA, status="refused"),
    Row("WAITING, release", W, by(OperatorReleased, SUE), W),
    Row("AGENT, release", A, by(OperatorReleased), A, given={"had": True}, status="refused"),
    Row("CLOSED, release", C, by(OperatorReleased), C, status="refused"),
    Row("HUMAN(a), a left", H, by(OperatorLeft, without_standing(DANA)), W,
        f"off notice:released send:CARD note:left send:POST {WAITS}", changes_owner=True),
    Row("HUMAN(a), b left", H, by(OperatorLeft, without_standing(BEN)), H, operator=DANA),
    Row("WAITING, somebody left", W, by(OperatorLeft, without_standing(BEN)), W),
    Row("AGENT, somebody left", A, by(OperatorLeft, without_standing(DANA)), A, given={"had": True}),
    Row("CLOSED, somebody left", C, by(OperatorLeft, without_standing(DANA)), C),
    # transfer
    Row("HUMAN(a), transfer to b", H, by(OperatorTransferred, to_operator=BEN), H,
        "off send:CARD notice:joined note:transferred send:POST timer:idle", operator=BEN, changes_owner=True),
    Row("WAITING, transfer to b", W, by(OperatorTransferred, BEN, to_operator=DANA), H,
        "off send:CARD notice:joined note:transferred send:POST timer:idle", operator=DANA, changes_owner=True),
    Row("HUMAN(a), transfer to a stranger", H, by(OperatorTransferred, to_operator=GUEST), H, operator=DANA,
        status="refused"),
    Row("HUMAN(a), transfer to a queue", H, by(OperatorTransferred, to_queue="billing"), W,
        "off note:transferred send:POST:1 notice:transferred send:CARD:1 send:CARD send:TRANSCRIPT note:transferred "
        "send:POST timer:delivery timer:back", judged={"route": BILLING}, handoff=HandoffState.WAITING,
        changes_owner=True),
    Row("HUMAN(a), transfer to the same queue", H, by(OperatorTransferred, to_queue="support"), H, operator=DANA,
        judged={"route": route()}, status="refused"),
    Row("HUMAN(a), transfer to no queue", H, by(OperatorTransferred, to_queue="nowhere"), H, operator=DANA,
        status="refused"),
    Row("HUMAN(a), transfer by b", H, by(OperatorTransferred, BEN, to_queue="billing"), H, operator=DANA,
        judged={"route": BILLING}, status="refused"),
    Row("AGENT, transfer", A, by(OperatorTransferred, to_operator=BEN), A, given={"had": True}, status="refused"),
    Row("CLOSED, transfer", C, by(OperatorTransferred, to_operator=BEN), C, status="refused"),
    # giving it back
    Row("HUMAN(a), return by a, the customer spoke last", H, by(OperatorReturned, note=NOTE), A,
        "off note:returned send:POST notice:returned send:CARD turn:resumed", handoff=HandoffState.RETURNED,
        changes_owner=True),
    Row("HUMAN(a), return by a, the operator spoke last", H, by(OperatorReturned, note=NOTE), A,
        "off note:returned send:POST notice:returned send:CARD", given={"row": {"last_role": "operator"}},
        handoff=HandoffState.RETURNED, changes_owner=True),
    Row("HUMAN(a), return by a, go on at once", H, by(OperatorReturned, note=ReturnNote(continue_now=True)), A,
        "off note:returned send:POST notice:returned send:CARD turn:resumed",
        given={"row": {"last_role": "operator"}}, changes_owner=True),
    Row("HUMAN(a), return by a supervisor", H, by(OperatorReturned, SUE, note=NOTE), A,
        "off note:returned send:POST notice:returned send:CARD turn:resumed", changes_owner=True),
    Row("HUMAN(a), return by b", H, by(OperatorReturned, BEN, note=NOTE), H, operator=DANA, status="refused"),
    Row("WAITING, return by any operator", W, by(OperatorReturned, BEN, note=NOTE), A,
        "off note:returned send:POST notice:agent_again send:CARD turn:resumed", changes_owner=True),
    Row("WAITING, return by a stranger", W, by(OperatorReturned, GUEST, note=NOTE), W, status="refused"),
    Row("AGENT, return", A, by(OperatorReturned, note=NOTE), A, given={"had": True}, status="refused"),
    Row("CLOSED, return", C, by(OperatorReturned, note=NOTE), C, status="refused"),
    # close, reopen
    Row("HUMAN(a), close by a", H, by(OperatorClosed), C, "off note:closed send:POST notice:closed send:CARD",
        handoff=HandoffState.CLOSED, changes_owner=True),
    Row("HUMAN(a), close by b", H, by(OperatorClosed, BEN), H, operator=DANA, status="refused"),
    Row("WAITING, close by a supervisor", W, by(OperatorClosed, SUE), C,
        "off note:closed send:POST notice:closed send:CARD", handoff=HandoffState.CLOSED, changes_owner=True),
    Row("WAITING, close by an operator", W, by(OperatorClosed), W, status="refused"),
    Row("AGENT, close", A, by(OperatorClosed), A, given={"had": True}, status="refused"),
    Row("CLOSED, close", C, by(OperatorClosed), C, status="refused"),
    Row("CLOSED, reopen", C, by(OperatorReopened), H,
        "notice:joined note:reopened send:POST:1 send:CARD send:TRANSCRIPT timer:idle note:taken send:POST",
        judged={"route": route()}, operator=DANA, handoff=HandoffState.HUMAN, changes_owner=True),
    Row("AGENT, take it back", A, by(OperatorReopened), H,
        "end:cancelled notice:joined note:reopened send:POST:1 send:CARD send:TRANSCRIPT timer:idle note:taken "
        "send:POST", given={"had": True}, judged={"route": route()}, operator=DANA, handoff=HandoffState.HUMAN,
        changes_owner=True),
    Row("AGENT, a stranger takes it back", A, by(OperatorReopened, GUEST), A, given={"had": True}, status="refused"),
    Row("AGENT, nothing to take back", A, by(OperatorReopened), A, status="refused"),
    Row("WAITING, take it back", W, by(OperatorReopened), H, TAKEN, operator=DANA, changes_owner=True),
    Row("HUMAN(a), b takes it back", H, by(OperatorReopened, BEN), H, operator=DANA, status="refused"),
    # speech
    Row("HUMAN(a), reply by a", H, SAID, H, "line:operator timer:idle", judged=ACTED, operator=DANA),
    Row("HUMAN(a), reply by b", H, replace(SAID, operator=BEN), H, "kept note:kept_not_owner send:POST",
        judged={**ACTED, "hearing": KEPT}, operator=DANA),
    Row("HUMAN(a), note by a", H, SAID, H, "kept", operator=DANA,
        judged={**ACTED, "hearing": Hearing(to_customer=False, why="note")}),
    Row("HUMAN(a), a bot", H, SAID, H, operator=DANA,
        judged={**ACTED, "hearing": Hearing(to_customer=False, why="bot")}),
    Row("WAITING, reply by an operator", W, SAID, W, "kept note:kept_not_taken send:POST",
        judged={"acted": handoff(), "hearing": Hearing(to_customer=False, why="not_taken")}),
    Row("WAITING, a reply that takes", W, SAID, H, f"{TAKEN} line:operator timer:idle",
        judged={"acted": handoff(), "hearing": Hearing(to_customer=True, why="takes", takes=True)}, operator=DANA,
        changes_owner=True),
    Row("AGENT, reply in the thread", A, SAID, A, "kept note:kept_ended send:POST", given={"handoff": ENDED},
        judged={"acted": ENDED, "hearing": Hearing(to_customer=False, why="ended")}),
    Row("AGENT, reply typed before the return", A, replace(SAID, at=Millis(NOW - 2000)), A, "line:operator",
        given={"handoff": ENDED}, judged={"acted": ENDED, "hearing": HEARD}),
    Row("CLOSED, reply in the thread", C, SAID, C, "kept note:kept_ended send:POST",
        judged={"acted": handoff(HandoffState.CLOSED), "hearing": Hearing(to_customer=False, why="ended")}),
    Row("HUMAN, reply in the thread of an earlier handoff", H, SAID, H, "kept note:earlier send:POST:1", operator=DANA,
        judged={"acted": handoff(HandoffState.RETURNED, id=OLD), "hearing": HEARD}),
    Row("HUMAN, edit of a relayed line", H, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="hi"), H,
        "edit:everyone", judged={**ACTED, "line": LINE}, operator=DANA),
    Row("HUMAN, edit that makes a note", H, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="// hi"), H,
        "delete:everyone note:edit_removed send:POST:1 edit:colleagues", operator=DANA,
        judged={**ACTED, "line": LINE, "hearing": Hearing(to_customer=False, why="note")}),
    Row("HUMAN, edit of a note into an answer", H, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="hi"), H,
        "edit:colleagues note:edit_kept send:POST:1", judged={**ACTED, "line": KEPT_LINE}, operator=DANA),
    Row("HUMAN, edit of a note", H, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="// hi"), H, "edit:colleagues",
        judged={**ACTED, "line": KEPT_LINE, "hearing": Hearing(to_customer=False, why="note")}, operator=DANA),
    Row("HUMAN, edit of anothers line", H, OperatorEdited(**HEAD, operator=BEN, **TEXT, text="hi"), H,
        judged={**ACTED, "line": LINE}, operator=DANA),
    Row("CLOSED, edit of a relayed line", C, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="hi"), C,
        "edit:everyone", judged={**ACTED, "line": LINE}),
    Row("AGENT, edit of a relayed line", A, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="hi"), A,
        "edit:everyone", given={"handoff": ENDED}, judged={**ACTED, "line": LINE}),
    Row("WAITING, edit of a note", W, OperatorEdited(**HEAD, operator=DANA, **TEXT, text="// hi"), W, "edit:colleagues",
        judged={**ACTED, "line": KEPT_LINE, "hearing": Hearing(to_customer=False, why="note")}),
    *(
        Row(f"{state.name}, delete of a relayed line", state, OperatorDeleted(**HEAD, operator=DANA, **TEXT), state,
            "delete:everyone", given={"handoff": ENDED} if state is A else {}, judged={**ACTED, "line": LINE},
            operator=DANA if state is H else None)
        for state in State
    ),
    Row("HUMAN, delete of a note", H, OperatorDeleted(**HEAD, operator=DANA, **TEXT), H, "delete:colleagues",
        judged={**ACTED, "line": KEPT_LINE}, operator=DANA),
    Row("HUMAN, delete of nothing of ours", H, OperatorDeleted(**HEAD, operator=DANA, **TEXT), H, judged=ACTED,
        operator=DANA),
    Row("HUMAN(a), a sends a kept message", H, OperatorForwarded(**HEAD, operator=DANA, **TEXT), H,
        "line:operator timer:idle", judged={**ACTED, "line": KEPT_LINE}, operator=DANA),
    Row("HUMAN(a), b sends a kept message", H, OperatorForwarded(**HEAD, operator=BEN, **TEXT), H,
        judged={**ACTED, "line": KEPT_LINE}, operator=DANA, status="refused"),
    Row("HUMAN(a), a sends what is there already", H, OperatorForwarded(**HEAD, operator=DANA, **TEXT), H,
        judged={**ACTED, "line": LINE}, operator=DANA, status="refused"),
    Row("WAITING, take it and send this", W, OperatorForwarded(**HEAD, operator=DANA, **TEXT, take=True), H,
        f"{TAKEN} line:operator timer:idle", judged={"acted": handoff(), "line": KEPT_LINE}, operator=DANA,
        changes_owner=True),
    Row("WAITING, send without taking", W, OperatorForwarded(**HEAD, operator=DANA, **TEXT), W,
        judged={"acted": handoff(), "line": KEPT_LINE}, status="refused"),
    Row("AGENT, send a kept message", A, OperatorForwarded(**HEAD, operator=DANA, **TEXT, take=True), A,
        given={"handoff": ENDED}, judged={"acted": ENDED, "line": KEPT_LINE}, status="refused"),
    Row("CLOSED, send a kept message", C, OperatorForwarded(**HEAD, operator=DANA, **TEXT, take=True), C,
        judged={"acted": handoff(HandoffState.CLOSED), "line": KEPT_LINE}, status="refused"),
    # timers and the desk
    Row("WAITING, rung asks", W, RungDue(**HEAD, handoff=H1, rung="ask"), W, "note:ask send:POST"),
    Row("WAITING, rung tells the customer", W, RungDue(**HEAD, handoff=H1, rung="sorry"), W, "notice:still_waiting"),
    Row("WAITING, rung moves it", W, RungDue(**HEAD, handoff=H1, rung="up"), W,
        "off note:transferred send:POST:1 notice:transferred send:CARD:1 send:CARD send:TRANSCRIPT note:transferred "
        "send:POST timer:delivery timer:back", judged={"route": BILLING}, changes_owner=True),
    Row("WAITING, rung returns it", W, RungDue(**HEAD, handoff=H1, rung="back"), A,
        "off note:unanswered send:POST notice:unanswered send:CARD turn:resumed",
        judged={"queue": BILLING.queue}, handoff=HandoffState.RETURNED, changes_owner=True),
    Row("WAITING, desk unreachable", W, RungDue(**HEAD, handoff=H1, rung="delivery"), W, "notice:unreachable",
        given={"handoff": handoff(thread=Thread(desk=DESK, channel=QUEUE.channels[0]))}),
    Row("WAITING, desk reached", W, RungDue(**HEAD, handoff=H1, rung="delivery"), W),
    Row("WAITING, a rung that no ladder has", W, RungDue(**HEAD, handoff=H1, rung="gone"), W),
    Row("HUMAN, silence for too long", H, RungDue(**HEAD, handoff=H1, rung="idle"), C,
        "off note:closed send:POST notice:closed send:CARD", given={"row": {"last_at": Millis(NOW - 3_600_000)}},
        handoff=HandoffState.CLOSED, changes_owner=True),
    Row("HUMAN, somebody spoke meanwhile", H, RungDue(**HEAD, handoff=H1, rung="idle"), H, "timer:idle", operator=DANA),
    *(
        Row(f"{state.name}, a rung of the ladder does nothing", state, RungDue(**HEAD, handoff=H1, rung=rung), state,
            given={"had": True} if state is A else {}, operator=DANA if state is H else None)
        for state in (A, H, C)
        for rung in ("ask", "delivery")
    ),
    *(
        Row(f"{state.name}, a post failed", state, DeliveryFailed(**HEAD, handoff=H1, n=4, reason="r", remedy="m"),
            state, "note:delivery_dead send:POST", given={"had": True} if state is A else {},
            judged={"acted": handoff(HandoffState.HUMAN)}, operator=DANA if state is H else None)
        for state in State
    ),
    Row("HUMAN, a post may have failed", H,
        DeliveryFailed(**HEAD, handoff=H1, n=4, reason="r", remedy="m", maybe_sent=True), H,
        "note:delivery_maybe send:POST", judged={"acted": handoff(HandoffState.HUMAN)}, operator=DANA),
    *(
        Row(f"{state.name}, the thread is gone", state, ThreadGone(**HEAD, handoff=H1, ordinal=1), state,
            "send:CARD send:TRANSCRIPT note:thread_gone send:POST" if state in (W, H) else "",
            given={"had": True} if state is A else {}, operator=DANA if state is H else None)
        for state in State
    ),
    *(
        Row(f"{state.name}, the card is stale", state, CardStale(**HEAD, handoff=H1), state,
            "send:CARD" if state in (W, H) else "",
            given={"had": True} if state is A else {}, operator=DANA if state is H else None)
        for state in State
    ),
    Row("HUMAN, a thread that was left before is gone", H, ThreadGone(**HEAD, handoff=H1, ordinal=0), H, operator=DANA),
)  # fmt: skip

# Opening a window is no matter of ownership but in a conversation of the agent's.
UNCHANGED = {(state, CustomerOpened) for state in (W, H, C)}


def told(effect: Effect) -> str:
    """Return an effect as the table writes it."""
    match effect:
        case Append(entry=entry):
            return _entry(entry)
        case Send(kind=kind, ordinal=ordinal):
            return f"send:{kind.name}" + (f":{ordinal}" if ordinal else "")
        case QueueTurn(turn=turn):
            return f"turn:{turn.kind.value}"
        case EndTurn(state=state):
            return f"end:{state.value}"
        case SetTimer(rung=rung):
            return f"timer:{rung}"
        case WriteStream():
            return "stream"
        case CloseStream():
            return "close"
        case ClearTimers():
            return "off"


def _entry(entry: Entry) -> str:
    name = str(entry.data.get("notice", ""))
    if entry.kind in (EntryKind.EDIT, EntryKind.DELETE):
        return f"{entry.kind.value}:{entry.audience.value}"
    if entry.kind is EntryKind.RETRACTION:
        return "retraction"
    if entry.audience is Audience.SUPPRESSED:
        return "suppressed"
    if entry.audience is Audience.COLLEAGUES:
        return f"note:{name}" if name else "kept"
    return f"notice:{name}" if entry.kind is EntryKind.NOTICE else f"line:{entry.author.role.value}"


def run(row: Row) -> tuple[Situation, Decision]:
    before = situation(row.state, **row.given)
    return before, decide(before, row.event, verdicts(**row.judged))


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_table(row: Row) -> None:
    """Each row leads to the state, the effects in their order, and the answer that the design gives."""
    before, decision = run(row)
    after = decision.situation.conversation

    assert [told(effect) for effect in decision.effects] == row.effects.split()
    assert (after.state, after.operator) == (row.next, row.operator)
    assert decision.receipt.status == row.status
    assert bool(decision.receipt.sentence) is (row.status == "refused")
    assert after.epoch - before.conversation.epoch == (0 if not row.changes_owner else _steps(row))
    if row.handoff is not None:
        assert decision.situation.handoff is not None
        assert decision.situation.handoff.state is row.handoff


def _steps(row: Row) -> int:
    """Return how often the owner changes: a closed conversation that is handed over was the agent's in between."""
    return 2 if row.state is C and isinstance(row.event, CustomerSaid) and row.next is W else 1


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_row_keeps_the_log_whole(row: Row) -> None:
    """Entries are numbered without a gap, their times grow, sends name entries that are there, and one turn is live."""
    before, decision = run(row)
    was, now = before.conversation, decision.situation.conversation
    entries = [effect.entry for effect in decision.effects if isinstance(effect, Append)]

    assert [entry.n for entry in entries] == list(range(was.next_n, now.next_n))
    times = [was.last_at, *(entry.at for entry in entries)]
    assert times == sorted(set(times))
    sent = {effect.n for effect in decision.effects if isinstance(effect, Send) and effect.kind.name == "POST"}
    assert sent <= {entry.n for entry in entries}
    queued = [e.turn for e in decision.effects if isinstance(e, QueueTurn) and e.turn.kind is not TurnKind.REHEARSAL]
    assert len(queued) <= 1
    for turn in queued:
        assert decision.situation.turn == turn
        assert turn.epoch == now.epoch
        assert now.state is A
    if now.state is not A:
        assert decision.situation.turn is None
        assert not decision.situation.stream_open
    visible = [e for e in entries if e.author.role is Role.AGENT and e.audience is Audience.EVERYONE]
    assert not visible or (was.state is A and was.epoch == now.epoch)


def test_every_pair_of_state_and_event_has_its_row() -> None:
    """Nothing that can happen in any state was forgotten: it is in the table, or named as changing nothing."""
    there = {(row.state, type(row.event)) for row in ROWS}
    wanted = {(state, event) for state in State for event in ownership._ROWS}

    assert wanted - there - UNCHANGED == set()
    assert there.isdisjoint(UNCHANGED)


@pytest.mark.parametrize("state, event", sorted(UNCHANGED, key=str))
def test_what_is_named_as_changing_nothing_changes_nothing(state: State, event: Any) -> None:
    """Only the claims about the customer are brought up to date."""
    before = situation(state)
    decision = decide(before, event(**HEAD, conversation=C1, widget="web", customer=CUSTOMER), verdicts())

    assert decision.effects == ()
    assert decision.situation == before


def test_an_echo_is_no_matter_of_ownership() -> None:
    """An event without a row is an error of the caller."""
    echo = Echoed(**HEAD, desk=DESK, key=OutKey("o1"), ref=RemoteRef("r1"))

    with pytest.raises(TypeError, match="Echoed"):
        decide(situation(A), echo, verdicts())


@pytest.mark.parametrize("change", [{"epoch": 4}, {"epoch": 6}, {"attempt": 2}, {"turn": TurnId("t0")}])
@pytest.mark.parametrize("kind", [AgentStreamed, AgentSaid, AgentActed, AgentFinished, AgentBroke, Escalated])
def test_the_fence_asks_for_epoch_attempt_and_turn(kind: Any, change: dict[str, Any]) -> None:
    """While the agent owns it, a run that is not exactly the live one changes nothing that the customer sees."""
    more: dict[Any, dict[str, Any]] = {
        AgentStreamed: {"text": "x"},
        AgentSaid: {"text": "x"},
        AgentBroke: {"code": "crashed", "message": ""},
        Escalated: {"envelope": envelope()},
    }
    before = situation(A, stream_open=True)
    event = kind(**HEAD, **{**RUN, **change}, **more.get(kind, {}))
    decision = decide(before, event, verdicts(route=route(), trigger=envelope()))

    assert decision.receipt.status == "fenced"
    assert {told(effect) for effect in decision.effects} <= {"suppressed"}
    assert (decision.situation.turn, decision.situation.stream_open) == (before.turn, True)


def test_who_waits_is_told_once_per_handoff_and_person() -> None:
    """The notice that a colleague is not heard is written down with the handoff."""
    first = decide(situation(H), replace(SAID, operator=BEN), verdicts(**{**ACTED, "hearing": KEPT}))
    second = decide(first.situation, replace(SAID, operator=BEN), verdicts(**{**ACTED, "hearing": KEPT}))

    assert [told(effect) for effect in second.effects] == ["kept"]
    assert first.situation.handoff is not None
    assert first.situation.handoff.told == {BEN.id}
