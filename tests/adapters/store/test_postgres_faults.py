"""What can go wrong between us and PostgreSQL: wires cut at every moment, crashes, deadlocks, a server that stands
still.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from adapters.store import postgres
from adapters.store.dialling import Server, connect
from adapters.store.postgres import TRIES, PostgresStore
from bridge.conversation import Thread
from bridge.errors import StoreUnavailable
from bridge.ids import ChannelId, ConversationId, HandoffId, OutKey, RemoteRef, SourceId
from bridge.storage import Claim, OutState, Tx
from tests.adapters.store.proxy import CUT, DROP, PASS, Wire
from tests.adapters.store.waiting import soon
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, LEASE_MS, SITE, T0, at
from tests.postgres import Postgres, name_in

COMMIT_NAME = b"handoff_" + sha256(b"COMMIT").hexdigest()[:32].encode()
"""What the COMMIT of a unit is called on the wire."""
KEY = OutKey("key")
C1, C2 = ConversationId("c1"), ConversationId("c2")


@pytest.fixture(scope="module")
def tcp() -> Iterator[Postgres]:
    with Postgres(port=0) as server:
        yield server


@pytest.fixture
def wire(tcp: Postgres) -> Iterator[Wire]:
    with Wire(tcp.ready_url()) as wire:
        yield wire


@contextlib.asynccontextmanager
async def opened(url: str, *, writers: int = 1, **limits: Any) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(Server(url=url, **limits), writers=writers, readers=1)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(wire: Wire) -> AsyncIterator[PostgresStore]:
    """One connection to the server, over a wire."""
    async with opened(wire.url) as store:
        yield store


def remember(source: str = "e1") -> Callable[[Tx], bool]:
    return lambda tx: tx.remember(SITE, SourceId(source), T0)


def once(kind: bytes, word: bytes, verdict: str) -> Callable[[bytes, bytes], str]:
    """Judge the first message like this, and let all others pass."""
    left = [verdict]

    def look(found: bytes, content: bytes) -> str:
        return left.pop() if left and found == kind and word in content else PASS

    return look


def gone_after_commit(wire: Wire) -> Callable[[bytes, bytes], str]:
    """Judge the server's answer to the next COMMIT: it does not arrive."""
    return once(b"C", b"COMMIT\0", CUT)


# --- the wire


async def test_a_wire_that_is_cut_before_the_commit_keeps_nothing(wire: Wire, store: PostgresStore) -> None:
    """The unit fails with StoreUnavailable, nothing of it is kept, and the next one works without any ado."""
    await store.run(lambda tx: tx.insert_conversation(make.conversation()))
    wire.up = once(b"P", b"FROM conversation", CUT)

    def unit(tx: Tx) -> None:
        assert tx.remember(SITE, SourceId("e1"), T0)
        tx.conversation(SITE, C1)

    with pytest.raises(StoreUnavailable, match="the database failed"):
        await store.run(unit)
    assert await store.run(remember())


async def test_a_wire_that_broke_while_nobody_used_it_is_not_noticed(wire: Wire, store: PostgresStore) -> None:
    """A connection that died in between is replaced before the unit begins."""
    assert await store.run(remember("e1"))
    wire.cut()

    assert await store.run(remember("e2"))
    wire.cut()
    assert await store.read(lambda tx: tx.conversation(SITE, C1, lock=False)) is None


async def test_a_loss_that_no_unit_notices_is_told_before_the_unit_that_found_it(
    wire: Wire, store: PostgresStore
) -> None:
    """The database may have been away for others: who asks it anything afterwards is told first, and once."""
    told: list[str] = []
    store.when_lost(lambda: told.append("lost"))
    assert await store.run(remember("e1"))
    assert told == []
    wire.cut()

    assert await store.run(remember("e2"))
    told.append("answered")
    assert await store.run(remember("e3"))
    assert told == ["lost", "answered"]


async def test_a_commit_whose_answer_is_lost_is_known_to_be_kept(wire: Wire, store: PostgresStore) -> None:
    """The server committed and could not say so: the caller gets its result, once, and nothing runs twice."""
    runs = []

    def unit(tx: Tx) -> str:
        runs.append(1)
        return tx.take_ticket(SITE)

    wire.down = gone_after_commit(wire)

    assert await store.run(unit) == "H-1001"
    assert await store.run(unit) == "H-1002"
    assert len(runs) == 2


async def test_a_commit_that_never_arrived_is_known_to_be_lost(wire: Wire, store: PostgresStore) -> None:
    """The wire broke before the server heard COMMIT: StoreUnavailable says that nothing was kept, and that is so."""
    wire.up = once(b"B", COMMIT_NAME, CUT)

    with pytest.raises(StoreUnavailable, match="nothing was kept"):
        await store.run(remember())
    assert await store.run(remember())


async def test_a_commit_that_is_held_up_is_ended_and_told(wire: Wire, tcp: Postgres) -> None:
    """The server still waits for a COMMIT that got stuck on the way: its transaction is ended, and the answer sure."""
    async with opened(wire.url, unit_s=0.5) as store:
        await store.run(remember("warm-up"))
        stuck: list[bytes] = []

        def look(kind: bytes, content: bytes) -> str:
            """Hold back the COMMIT and the rest of its message, up to the Sync at the end."""
            if stuck[-1:] != [b"S"] and (stuck or (kind == b"B" and COMMIT_NAME in content)):
                stuck.append(kind)
                return DROP
            return PASS

        wire.up = look

        with pytest.raises(StoreUnavailable, match="nothing was kept"):
            await store.run(remember())
        assert await store.run(remember())


async def test_what_cannot_be_known_is_said(wire: Wire, store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a COMMIT is lost and the server stays away: after some seconds the caller hears just that."""
    monkeypatch.setattr(postgres, "CLEARING_UP_S", 0.5)
    await store.run(remember("warm-up"))
    away: list[bool] = []

    def look(kind: bytes, content: bytes) -> str:
        if kind == b"C" and content == b"COMMIT\0":
            away.append(True)
        return CUT if away else PASS

    wire.down = look

    with pytest.raises(StoreUnavailable, match="whether it was is not known"):
        await store.run(remember())
    wire.down = lambda kind, content: PASS
    await until_it_works(store, remember("afterwards"))


async def test_a_number_given_again_after_a_crash_proves_nothing(tcp: Postgres) -> None:
    """After a crash the server may give another transaction the same number: its commit is not taken for ours."""
    url = tcp.ready_url()
    link = connect(Server(url=url))
    [[number]] = tcp.sql("SELECT pg_current_xact_id()::text", name_in(url))
    now, before = link.incarnation, "another start"
    link.close()

    assert postgres.was_committed(Server(url=url), str(number), now)
    with pytest.raises(StoreUnavailable, match="restarted meanwhile"):
        postgres.was_committed(Server(url=url), str(number), before)
    assert not postgres.was_committed(Server(url=url), "999999999", before)


async def test_a_crash_begins_another_incarnation(tcp: Postgres) -> None:
    """Each start of the server is told from the one before, and so is its recovery from the death of one process."""
    url = tcp.fresh_url()
    seen = []
    for crash in (tcp.restart, lambda: kill_a_backend(tcp), lambda: None):
        link = connect(Server(url=url))
        seen.append(link.incarnation)
        link.close()
        crash()
        await asyncio.to_thread(wait_for, tcp)

    assert len(set(seen)) == 3


def kill_a_backend(tcp: Postgres) -> None:
    """Let one of its processes die as the kernel's hunt for memory would: all others restart."""
    with contextlib.suppress(psycopg.Error), psycopg.connect(tcp.url("postgres"), autocommit=True) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        time.sleep(0.2)
        victim.execute("SELECT 1")


def wait_for(tcp: Postgres) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            tcp.sql("SELECT 1")
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


# --- the server


async def until_it_works(store: PostgresStore, unit: Callable[[Tx], Any], within_s: float = 20) -> Any:
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await store.run(unit)
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_a_crash_of_the_server_loses_nothing_that_was_acknowledged() -> None:
    """Three times the server ends at once under load: callers get StoreUnavailable or an answer that is kept for good,
    and a moment later all works without a person.
    """
    with Postgres(port=0, durable=True) as durable:
        acknowledged: list[str] = []
        refused = 0
        async with opened(durable.ready_url(), writers=4) as store:
            numbers = iter(range(10**6))

            async def sender() -> None:
                nonlocal refused
                for number in numbers:
                    if stop.is_set():
                        return
                    try:
                        if await store.run(remember(f"line-{number}")):
                            acknowledged.append(f"line-{number}")
                    except StoreUnavailable:
                        refused += 1
                        await asyncio.sleep(0.02)

            stop = asyncio.Event()
            senders = [asyncio.ensure_future(sender()) for _ in range(12)]
            for _ in range(3):
                before = len(acknowledged)
                await soon(lambda before=before: len(acknowledged) > before + 200)  # type: ignore[misc]
                await asyncio.to_thread(durable.restart)
            before = len(acknowledged)
            await soon(lambda: len(acknowledged) > before + 200)
            stop.set()
            await asyncio.gather(*senders)

            new = await store.run(lambda tx: [one for one in acknowledged if tx.remember(SITE, SourceId(one), T0)])
        assert new == []
        assert refused > 0


async def test_a_server_that_stands_still_holds_nobody_for_ever(tcp: Postgres) -> None:
    """A frozen server answers no time-out of its own: the unit ends all the same, and works again once it goes on."""
    async with opened(tcp.ready_url(), unit_s=1.0, connect_s=2) as store:
        await store.run(remember("warm-up"))
        tcp.freeze()
        began = time.monotonic()
        try:
            with pytest.raises(StoreUnavailable):
                await store.run(remember())
            assert time.monotonic() - began < 10
        finally:
            tcp.thaw()
        assert await until_it_works(store, remember()) in {True, False}


async def test_a_lock_that_is_never_let_go_is_given_up(tcp: Postgres) -> None:
    """A unit that waits for a lock of somebody else fails after the time-out, keeps nothing, and names the reason."""
    url = tcp.ready_url()
    async with opened(url, lock_ms=200) as store, opened(url) as other:
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))
        entered, go_on = threading.Event(), threading.Event()

        def hold(tx: Tx) -> None:
            tx.conversation(SITE, C1)
            entered.set()
            assert go_on.wait(30)

        holding = asyncio.ensure_future(other.run(hold))
        await asyncio.to_thread(entered.wait, 30)
        try:
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                await store.run(lambda tx: (tx.remember(SITE, SourceId("e1"), T0), tx.conversation(SITE, C1)))
        finally:
            go_on.set()
            await holding
        assert await store.run(remember("e1"))


async def test_a_server_that_is_not_there_is_told_at_once(tcp: Postgres) -> None:
    """While nobody answers, callers are told without waiting, and no flood of tries goes out."""
    async with opened("postgresql://postgres@127.0.0.1:1/x", writers=4) as store:
        began = time.monotonic()
        answers = await asyncio.gather(*(store.run(remember()) for _ in range(500)), return_exceptions=True)

        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert time.monotonic() - began < 3


# --- units


async def test_units_that_lock_crosswise_are_both_kept(tcp: Postgres) -> None:
    """Two units that would wait for each other for ever: the server ends one, which is run again. Nobody notices."""
    async with opened(tcp.ready_url(), writers=2) as store:
        for key in (C1, C2):
            await store.run(lambda tx, key=key: tx.insert_conversation(make.conversation(key)))  # type: ignore[misc]
        meeting = threading.Barrier(2)
        runs: list[ConversationId] = []

        def unit(first: ConversationId, second: ConversationId) -> Callable[[Tx], None]:
            def run(tx: Tx) -> None:
                runs.append(first)
                tx.conversation(SITE, first)
                with contextlib.suppress(threading.BrokenBarrierError):
                    meeting.wait(1)
                found = tx.conversation(SITE, second)
                assert found is not None
                tx.save_conversation(replace(found, next_n=found.next_n + 1), was_epoch=found.epoch)

            return run

        await asyncio.gather(store.run(unit(C1, C2)), store.run(unit(C2, C1)))
        ends = await store.read(lambda tx: [tx.conversation(SITE, key, lock=False) for key in (C1, C2)])

        assert [end.next_n for end in ends if end] == [2, 2]
        # The one that is run again may meet the other a second time, before that has woken.
        assert 3 <= len(runs) <= 2 * TRIES


async def test_a_unit_that_hides_a_failure_is_not_acknowledged(store: PostgresStore) -> None:
    """A unit that passes over a failed statement cannot be kept, so it is not."""

    def unit(tx: Tx) -> str:
        tx.remember(SITE, SourceId("e1"), T0)
        with contextlib.suppress(StoreUnavailable):
            tx.due_timers(make.T0, limit=-1)
        return "fine"

    with pytest.raises(StoreUnavailable):
        await store.run(unit)
    assert await store.run(remember())


async def test_what_a_pooler_forgot_is_prepared_no_more(tcp: Postgres) -> None:
    """Where the server does not know a prepared statement any more, the unit is run again without."""
    async with opened(tcp.ready_url()) as store:
        assert await store.run(remember("e1"))
        link = store._workers[0]._link
        assert link is not None
        link.execute("DEALLOCATE ALL")

        assert await store.run(remember("e2"))
        assert await store.run(remember("e3"))


async def test_who_gives_up_before_its_turn_changes_nothing(store: PostgresStore) -> None:
    """A caller that is cancelled while its unit waits: the unit is not run. Later, it is kept all the same."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        entered.set()
        assert go_on.wait(30)
        tx.remember(SITE, SourceId("too-late"), T0)

    holding = asyncio.ensure_future(store.run(hold))
    await asyncio.to_thread(entered.wait, 30)
    waiting = asyncio.ensure_future(store.run(remember("in-time")))
    await asyncio.sleep(0)
    waiting.cancel()
    holding.cancel()
    go_on.set()
    await asyncio.gather(holding, waiting, return_exceptions=True)

    assert await store.run(remember("in-time"))
    assert not await store.run(remember("too-late"))


async def test_a_unit_may_raise_anything(store: PostgresStore) -> None:
    """Even what is no Exception, and what would end a generator, comes out at the caller, and the store goes on."""

    class Odd(BaseException):
        pass

    def unit(tx: Tx) -> None:
        tx.remember(SITE, SourceId("e1"), T0)
        raise Odd

    with pytest.raises(Odd):
        await store.run(unit)

    def stop(tx: Tx) -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.run(stop)
    assert await store.run(remember())


async def test_text_with_a_nul_is_kept_as_far_as_it_can_be(store: PostgresStore) -> None:
    """The one character that PostgreSQL does not hold becomes the sign for such; nothing after it is cut off."""
    await store.run(lambda tx: tx.append(SITE, C1, make.entry(1, text="be\0fore")))

    [kept] = await store.read(lambda tx: tx.entries(SITE, C1))
    assert kept.text == "be\ufffdfore"


# --- many at once


async def test_readers_never_see_half_a_transaction(tcp: Postgres) -> None:
    """While units keep a line and count it, a unit that only reads always finds both or neither."""
    async with opened(tcp.ready_url(), writers=3) as store:
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))

        def write(tx: Tx) -> None:
            found = tx.conversation(SITE, C1)
            assert found is not None
            tx.append(SITE, C1, make.entry(found.next_n))
            tx.save_conversation(replace(found, next_n=found.next_n + 1), was_epoch=found.epoch)

        def look(tx: Tx) -> tuple[int, int]:
            found = tx.conversation(SITE, C1, lock=False)
            assert found is not None
            return found.next_n - 1, len(tx.entries(SITE, C1))

        async def writer() -> None:
            for _ in range(100):
                await store.run(write)

        writing = asyncio.gather(*(writer() for _ in range(3)))
        seen = []
        while not writing.done():
            seen.append(await store.read(look))
        await writing

        assert [pair for pair in seen if pair[0] != pair[1]] == []
        assert len(set(seen)) > 10


LANES, LINES, WORKERS = 20, 60, 8


async def test_eight_workers_never_claim_a_line_twice(tcp: Postgres) -> None:
    """Of more than a thousand lines in twenty threads each is claimed, sent and settled once, in the order of its
    thread, by whichever of eight workers comes first.
    """
    url = tcp.ready_url()
    sent: dict[str, list[int]] = {f"h{i}": [] for i in range(LANES)}

    def prepare(tx: Tx) -> None:
        for i in range(LANES):
            thread = Thread(desk=DESK, channel=ChannelId(f"C{i}"), root=RemoteRef(f"r{i}"))
            tx.insert_conversation(make.conversation(f"c{i}"))
            tx.insert_handoff(make.handoff(f"h{i}", f"c{i}", thread=thread))

    def accept(number: int) -> Callable[[Tx], int]:
        key = f"{number % LANES}"
        return lambda tx: tx.enqueue(make.out(1, f"h{key}", at_ms=number, conversation=ConversationId(f"c{key}")))

    def claim(tx: Tx) -> Claim | None:
        found = tx.claim_lane(DESK, "w", at(10**6), LEASE_MS)
        if found is not None:
            assert tx.begin_send(found, [found.outs[0].k], found.outs[0].key, at(10**6), at(0))
        return found

    def settle(found: Claim) -> Callable[[Tx], bool]:
        def unit(tx: Tx) -> bool:
            held = tx.delivered(found, [found.outs[0].k], RemoteRef("x"), at(10**6))
            tx.release(found)
            return held

        return unit

    async with opened(url, writers=4) as one, opened(url, writers=4) as two:
        await one.run(prepare)

        async def worker(store: PostgresStore) -> None:
            while sum(map(len, sent.values())) < LANES * LINES:
                found = await store.run(claim)
                if found is None:
                    await asyncio.sleep(0.001)
                    continue
                sent[found.handoff].append(found.outs[0].k)
                assert await store.run(settle(found))

        workers = [worker(store) for store in (one, two) for _ in range(WORKERS // 2)]
        await asyncio.gather(*(one.run(accept(number)) for number in range(LANES * LINES)), *workers)

    assert sent == {f"h{i}": list(range(1, LINES + 1)) for i in range(LANES)}


async def test_an_old_lease_changes_nothing(tcp: Postgres) -> None:
    """A worker whose lease ran out and was taken over is refused in every way, in whichever process it is (I14)."""
    url = tcp.ready_url()
    async with opened(url) as one, opened(url) as two:

        def prepare(tx: Tx) -> None:
            tx.insert_conversation(make.conversation("c-h1"))
            thread = Thread(desk=DESK, channel=ChannelId("C1"), root=RemoteRef("r"))
            tx.insert_handoff(make.handoff("h1", "c-h1", thread=thread))
            tx.enqueue(make.out(1, "h1", conversation=ConversationId("c-h1")))

        await one.run(prepare)
        old = await one.run(lambda tx: tx.claim_lane(DESK, "one", at(0), LEASE_MS))
        new = await two.run(lambda tx: tx.claim_lane(DESK, "two", at(LEASE_MS), LEASE_MS))
        assert old is not None
        assert new is not None
        ks = [old.outs[0].k]
        tries: list[Callable[[Tx], Any]] = [
            lambda tx: tx.begin_send(old, ks, old.outs[0].key, at(LEASE_MS), at(0)),
            lambda tx: tx.delivered(old, ks, RemoteRef("x"), at(LEASE_MS)),
            lambda tx: tx.postpone(old, ks, not_before=at(0), reason="r"),
            lambda tx: tx.unclear(old, ks, look_at=at(0), reason="r"),
            lambda tx: tx.bury(old, ks, reason="r", maybe_sent=False),
            lambda tx: tx.release(old),
        ]

        def outs(tx: Tx) -> Any:
            return tx.out_for(SITE, HandoffId("h1"), 1)

        before = await one.read(outs)
        assert [bool(await one.run(one_try)) for one_try in tries] == [False] * 6
        assert await one.read(outs) == before
        assert await two.run(lambda tx: tx.begin_send(new, ks, new.outs[0].key, at(LEASE_MS), at(0)))


async def test_a_send_that_waited_for_an_echo_is_not_begun(tcp: Postgres) -> None:
    """An echo settles a post while its sender, which found nothing, is about to send it again: the sender waits for the
    lane, then sees what was settled meanwhile, and sends nothing.
    """
    url = tcp.ready_url()
    async with opened(url) as one, opened(url) as two:

        def prepare(tx: Tx) -> Claim | None:
            tx.insert_conversation(make.conversation("c-h1"))
            thread = Thread(desk=DESK, channel=ChannelId("C1"), root=RemoteRef("r"))
            tx.insert_handoff(make.handoff("h1", "c-h1", thread=thread))
            tx.enqueue(make.out(1, "h1", conversation=ConversationId("c-h1")))
            found = tx.claim_lane(DESK, "w", at(0), LEASE_MS)
            if found is not None:
                tx.begin_send(found, [1], KEY, at(0), at(0))
            return found

        claim = await one.run(prepare)
        assert claim is not None
        settled, go_on = threading.Event(), threading.Event()

        def echo(tx: Tx) -> None:
            assert tx.settle_echo(SITE, DESK, KEY, RemoteRef("x"), at(1))
            [out] = tx.out_for(SITE, HandoffId("h1"), 1)  # who asks what came of it makes sure that it was sent
            assert out.state is OutState.DELIVERED
            settled.set()
            assert go_on.wait(30)

        echoing = asyncio.ensure_future(two.run(echo))
        await asyncio.to_thread(settled.wait, 30)
        sending = asyncio.ensure_future(one.run(lambda tx: tx.begin_send(claim, [1], KEY, at(1), at(0))))
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        await soon(lambda: tcp.sql(query) != [(0,)])
        go_on.set()
        await echoing

        assert await sending is False
