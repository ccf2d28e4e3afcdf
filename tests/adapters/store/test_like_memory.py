"""The databases and the store in memory, written apart, give the same answers to the same random units."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from adapters.store.opening import open_store
from bridge.conversation import Handoff, HandoffState, Thread, TurnKind, TurnState
from bridge.effects import OutKind
from bridge.fakes.store import MemoryStore
from bridge.ids import ChannelId, HandoffId, Millis, OutKey, RemoteRef, SourceId, TurnId
from bridge.storage import Claim, Out, Store, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, LEASE_MS, SITE, at

T = TypeVar("T")

KEYS = st.sampled_from(["h1", "h2", "h3"])
KINDS = st.sampled_from(list(OutKind))
STEPS_MS = st.sampled_from([0, 1, 500, 1000, 15_000, LEASE_MS])


def insert(tx: Tx, handoff: Handoff) -> None:
    tx.insert_handoff(handoff)


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns; these stores never wait for anything."""
    try:
        call.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("the store waited")


def without_own_keys(answer: Any) -> Any:
    """Leave out what each store makes up: the keys of revived outs."""
    if isinstance(answer, Claim):
        return replace(answer, outs=tuple(without_own_keys(out) for out in answer.outs))
    if isinstance(answer, list):
        return [without_own_keys(item) for item in answer]
    return replace(answer, key=OutKey("")) if isinstance(answer, Out) and answer.key.startswith("out_") else answer


class SameAnswers(RuleBasedStateMachine):
    """Each rule runs one unit in both stores and compares what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stores: list[Store] = []
        self.now = 0
        self.claims: list[Claim] = []
        self.sends = 0

    @initialize()
    def open(self) -> None:
        self.stores = [MemoryStore(), self.database()]
        for key, channel, root in (("h1", "C1", None), ("h2", "C2", RemoteRef("R")), ("h3", "C2", None)):
            thread = Thread(desk=DESK, channel=ChannelId(channel), root=root)
            self.same(partial(insert, handoff=make.handoff(key, key, thread=thread)))

    def database(self) -> Store:
        return at_once(open_store("sqlite+memory://"))

    def finish(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns. A subclass whose store waits says how."""
        return at_once(call)

    def same(self, unit: Callable[[Tx], T]) -> T:
        answers: list[Any] = []
        for store in self.stores:
            try:
                answers.append(self.finish(store.run(unit)))
            except ValueError:
                answers.append(ValueError)
        assert without_own_keys(answers[0]) == without_own_keys(answers[1])
        answer: T = answers[0]
        return answer

    @rule(ms=STEPS_MS)
    def wait(self, ms: int) -> None:
        self.now += ms

    @rule(key=KEYS, kind=KINDS, n=st.integers(1, 3), delay=STEPS_MS, ordinal=st.sampled_from([1, 1, 1, 2]))
    def enqueue(self, key: str, kind: OutKind, n: int, delay: int, ordinal: int) -> None:
        out = make.out(n, key, kind=kind, at_ms=self.now, ordinal=ordinal, not_before=at(self.now + delay))
        self.same(lambda tx: tx.enqueue(out))

    @rule(key=KEYS)
    def move(self, key: str) -> None:
        def unit(tx: Tx) -> None:
            found = tx.handoff(SITE, HandoffId(key))
            assert found is not None
            tx.save_handoff(replace(found, thread=Thread(desk=DESK, channel=ChannelId("C1"), ordinal=2)))

        self.same(unit)

    @rule()
    def claim(self) -> None:
        found = self.same(lambda tx: tx.claim_lane(DESK, "w", at(self.now), LEASE_MS))
        if found is not None:
            self.claims.append(found)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), rest=STEPS_MS)
    def begin(self, data: st.DataObject, rest: int) -> None:
        claim, ks = self.choose(data)
        self.sends += 1
        key = OutKey(f"send-{self.sends}")
        self.same(lambda tx: tx.begin_send(claim, ks, key, at(self.now), at(self.now + rest)))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from(["delivered", "postpone", "unclear", "bury"]), later=STEPS_MS)
    def settle(self, data: st.DataObject, how: str, later: int) -> None:
        claim, ks = self.choose(data)
        time = at(self.now + later)

        def unit(tx: Tx) -> bool:
            if how == "delivered":
                return tx.delivered(claim, ks, RemoteRef(f"R{claim.handoff}{ks[0]}"), at(self.now))
            if how == "postpone":
                return tx.postpone(claim, ks, not_before=time, reason="r", channel_blocked_until=time)
            if how == "unclear":
                return tx.unclear(claim, ks, look_at=time, reason="r")
            return tx.bury(claim, ks, reason="r", maybe_sent=later > 0)

        self.same(unit)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim, _ = self.choose(data)
        self.same(lambda tx: tx.release(claim))

    @precondition(lambda self: self.sends)
    @rule(data=st.data())
    def echo(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.sends))
        key, ref = OutKey(f"send-{number}"), RemoteRef(f"echo-{number}")
        self.same(lambda tx: tx.settle_echo(SITE, DESK, key, ref, at(self.now)))

    @rule(drop=st.booleans())
    def bring_out_the_dead(self, drop: bool) -> None:
        dead = self.same(lambda tx: tx.dead_outs(SITE))
        if not dead:
            return
        if drop:
            self.same(lambda tx: tx.drop_dead(dead[0]))
            return
        for store in self.stores:
            self.finish(store.run(lambda tx: tx.revive(dead[0], at(self.now))))

    @rule(key=KEYS, state=st.sampled_from(list(HandoffState)), conversation=KEYS)
    def change_handoff(self, key: str, state: HandoffState, conversation: str) -> None:
        def unit(tx: Tx) -> None:
            found = tx.handoff(SITE, HandoffId(key))
            assert found is not None
            tx.save_handoff(replace(found, state=state, conversation=make.handoff("x", conversation).conversation))

        self.same(unit)

    @rule(key=KEYS, of=KEYS, kind=st.sampled_from(list(TurnKind)))
    def queue_turn(self, key: str, of: str, kind: TurnKind) -> None:
        self.same(lambda tx: tx.insert_turn(make.turn(key, of, kind=kind)))

    @rule(key=KEYS, attempt=st.integers(1, 3), end=st.booleans())
    def run_turn(self, key: str, attempt: int, end: bool) -> None:
        turn, now = TurnId(key), at(self.now)
        self.same(lambda tx: tx.claim_turn("w", now, LEASE_MS))
        self.same(lambda tx: tx.renew_turn(SITE, turn, attempt, now, LEASE_MS))
        if end:
            self.same(lambda tx: tx.end_turn(SITE, turn, TurnState.DONE))

    @rule(key=KEYS, rung=KEYS, act=st.sampled_from(["set", "drop", "clear"]))
    def time(self, key: str, rung: str, act: str) -> None:
        handoff = HandoffId(key)
        if act == "set":
            self.same(lambda tx: tx.set_timer(SITE, handoff, rung, at(self.now)))
        elif act == "drop":
            self.same(lambda tx: tx.drop_timer(SITE, handoff, rung))
        else:
            self.same(lambda tx: tx.clear_timers(SITE, handoff))

    @rule(source=KEYS)
    def remember(self, source: str) -> None:
        self.same(lambda tx: tx.remember(SITE, SourceId(source), at(self.now)))

    @rule(key=KEYS, turn=KEYS, close=st.booleans())
    def stream(self, key: str, turn: str, close: bool) -> None:
        of = make.conversation(key).id
        if close:
            self.same(lambda tx: tx.close_stream(SITE, of, TurnId(turn)))
        else:
            self.same(lambda tx: tx.write_stream(SITE, of, TurnId(turn), 1, "text"))

    @rule()
    def look(self) -> None:
        def outs(tx: Tx) -> list[Out]:
            return [out for key in ("h1", "h2", "h3") for n in (1, 2, 3) for out in tx.out_for(SITE, HandoffId(key), n)]

        def rest(tx: Tx) -> list[Any]:
            return [
                tx.counts(at(self.now)),
                tx.next_due(DESK),
                tx.open_handoffs(SITE),
                tx.channels(DESK),
                tx.thread_at(SITE, DESK, RemoteRef("R")),
                tx.due_timers(Millis(2**50)),
                [tx.stream(SITE, make.conversation(key).id) for key in ("h1", "h2", "h3")],
                [tx.turn(SITE, TurnId(key)) for key in ("h1", "h2", "h3")],
                [tx.live_turn(SITE, make.conversation(key).id) for key in ("h1", "h2", "h3")],
            ]

        self.same(outs)
        self.same(rest)

    def choose(self, data: st.DataObject) -> tuple[Claim, list[int]]:
        """Return one of the newest claims, and the first outs of it."""
        claim = data.draw(st.sampled_from(self.claims[-3:]))
        count = data.draw(st.integers(1, len(claim.outs)))
        return claim, [out.k for out in claim.outs[:count]]

    def teardown(self) -> None:
        for store in self.stores:
            self.finish(store.close())


def test_sqlite_agrees() -> None:
    """Whatever the order of units, SQLite and the memory answer alike."""
    run_state_machine_as_test(SameAnswers, settings=settings(max_examples=60, stateful_step_count=50))


def test_postgres_agrees(emptied: Callable[[], Store], runner: asyncio.Runner) -> None:
    """Whatever the order of units, PostgreSQL and the memory answer alike."""

    class OnPostgres(SameAnswers):
        def database(self) -> Store:
            return emptied()

        def finish(self, call: Coroutine[Any, Any, T]) -> T:
            return runner.run(call)

    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=12, stateful_step_count=40))
