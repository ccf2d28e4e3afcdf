"""What every `storage.Store` promises. A subclass gives the fixture `store`: empty, closed by the fixture."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from bridge.conversation import Audience, EntryKind, HandoffState, State, Stream, Thread, TurnKind, TurnState
from bridge.effects import OutKind
from bridge.errors import StoreUnavailable
from bridge.ids import (
    ChannelId,
    ConversationId,
    DeskName,
    FileId,
    HandoffId,
    OperatorId,
    OutKey,
    RemoteRef,
    SourceId,
    Ticket,
    TurnId,
)
from bridge.storage import Claim, DueTimer, Out, OutState, Store, ThreadPlace, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import CHANNEL, DANA, DESK, FILE, LEASE_MS, NOTE, OTHER_SITE, SITE, T0, at

C1, C2 = ConversationId("c1"), ConversationId("c2")
H1, H2 = HandoffId("h1"), HandoffId("h2")
ROOT = RemoteRef("C1/1.0")
POSTED = RemoteRef("C1/2.0")


async def opened(store: Store, *keys: str, root: RemoteRef | None = ROOT) -> None:
    """Keep a conversation with an open handoff for each key; its thread has a root of its own, unless it is None."""

    def unit(tx: Tx) -> None:
        for key in keys:
            mine = None if root is None else RemoteRef(f"{root}-{key}")
            tx.insert_conversation(make.conversation(f"c-{key}"))
            thread = Thread(desk=DESK, channel=CHANNEL, root=mine)
            tx.insert_handoff(make.handoff(key, f"c-{key}", thread=thread))

    await store.run(unit)


async def told(store: Store, *keys: str) -> None:
    """Keep such conversations in whose threads something was said already."""
    await opened(store, *keys)
    for key in keys:
        [k] = await queued(store, make.out(1, key, at_ms=-9))
        found = await claimed(store)
        await begin(store, found, k)
        await settle(store, found, k)


async def post_next(store: Store, ms: int) -> str:
    """Send what leaves next; return the lane and, of what is not said, the kind."""
    found = await claimed(store, ms)
    head = found.outs[0]
    await begin(store, found, head.k, ms=ms, free_at=ms)
    await settle(store, found, head.k, ms=ms, ref=RemoteRef(f"{found.handoff}/{ms}"))
    return found.handoff if head.kind is OutKind.POST else f"{found.handoff} {head.kind}"


async def queued(store: Store, *outs: Out) -> list[int]:
    return await store.run(lambda tx: [tx.enqueue(out) for out in outs])


async def claim(store: Store, ms: int = 0, worker: str = "w1") -> Claim | None:
    return await store.run(lambda tx: tx.claim_lane(DESK, worker, at(ms), LEASE_MS))


async def claimed(store: Store, ms: int = 0, worker: str = "w1") -> Claim:
    found = await claim(store, ms, worker)
    assert found is not None
    return found


async def begin(store: Store, claim: Claim, *ks: int, ms: int = 0, key: str = "k", free_at: int = 0) -> bool:
    return await store.run(lambda tx: tx.begin_send(claim, ks, OutKey(key), at(ms), at(free_at)))


async def settle(store: Store, claim: Claim, *ks: int, ms: int = 0, ref: RemoteRef | None = POSTED) -> bool:
    def unit(tx: Tx) -> bool:
        held = tx.delivered(claim, ks, ref, at(ms))
        tx.release(claim)
        return held

    return await store.run(unit)


async def each(store: Store, act: Callable[[Tx, Any], None], items: Iterable[Any]) -> None:
    """Do this with each item, in one unit."""

    def unit(tx: Tx) -> None:
        for item in items:
            act(tx, item)

    await store.run(unit)


def numbers(claim: Claim | None) -> list[int]:
    return [] if claim is None else [out.k for out in claim.outs]


class StoreContract:
    """The units themselves: what is kept, found, undone."""

    # --- units

    async def test_a_unit_returns_its_result_after_the_commit(self, store: Store) -> None:
        """What a unit returned is what a later reader finds."""
        ticket = await store.run(lambda tx: tx.take_ticket(SITE))
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))

        assert ticket == Ticket("H-1001")
        assert await store.read(lambda tx: tx.conversation(SITE, C1, lock=False)) == make.conversation()

    async def test_a_raising_unit_leaves_nothing(self, store: Store) -> None:
        """Whatever a unit did before it raised is undone, and the exception is the unit's own."""

        def unit(tx: Tx) -> None:
            tx.remember(SITE, SourceId("e1"), T0)
            tx.insert_conversation(make.conversation())
            tx.append(SITE, C1, make.entry(1))
            tx.insert_handoff(make.handoff())
            tx.enqueue(make.card())
            tx.set_timer(SITE, H1, "first", T0)
            tx.insert_turn(make.turn())
            tx.write_stream(SITE, C1, TurnId("t1"), 1, "Hel")
            tx.put_file(SITE, FILE, "digest")
            raise LookupError("the unit's own")

        before = await store.read(lambda tx: tx.counts(T0))
        with pytest.raises(LookupError, match="the unit's own"):
            await store.run(unit)

        def look(tx: Tx) -> list[Any]:
            return [
                tx.conversation(SITE, C1, lock=False),
                tx.entries(SITE, C1),
                tx.handoff(SITE, H1),
                tx.next_due(DESK),
                tx.due_timers(T0),
                tx.turn(SITE, TurnId("t1")),
                tx.stream(SITE, C1),
                tx.file(SITE, FILE.id),
            ]

        assert [found or None for found in await store.read(look)] == [None] * 8
        assert await store.read(lambda tx: tx.counts(T0)) == before
        assert await store.run(lambda tx: tx.remember(SITE, SourceId("e1"), T0))

    async def test_a_raising_unit_leaves_its_neighbours_alone(self, store: Store) -> None:
        """Of units handed over together, only those that raise are undone."""

        def unit(i: int) -> Any:
            def run(tx: Tx) -> int:
                tx.insert_conversation(make.conversation(f"c{i}"))
                if i % 3 == 0:
                    raise LookupError(i)
                return i

            return run

        def find(tx: Tx, key: ConversationId) -> Any:
            return tx.conversation(SITE, key, lock=False)

        results = await asyncio.gather(*(store.run(unit(i)) for i in range(60)), return_exceptions=True)

        for i, result in enumerate(results):
            key = ConversationId(f"c{i}")
            kept = await store.read(partial(find, key=key))
            assert (isinstance(result, LookupError), kept is None) == ((True, True) if i % 3 == 0 else (False, False))

    async def test_a_unit_may_catch_what_it_broke(self, store: Store) -> None:
        """A rule of the tables that a unit breaks and catches costs it nothing else."""

        def unit(tx: Tx) -> bool:
            tx.append(SITE, C1, make.entry(1))
            with pytest.raises(ValueError, match=r"."):
                tx.append(SITE, C1, make.entry(1, text="another"))
            tx.append(SITE, C1, make.entry(2))
            return True

        assert await store.run(unit)
        assert await store.read(lambda tx: tx.entries(SITE, C1)) == [make.entry(1), make.entry(2)]

    async def test_a_reading_unit_cannot_write(self, store: Store) -> None:
        """A unit handed to `read` that writes all the same fails and leaves nothing."""
        with pytest.raises(StoreUnavailable):
            await store.read(lambda tx: tx.insert_conversation(make.conversation()))

        assert await store.read(lambda tx: tx.conversation(SITE, C1, lock=False)) is None
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        """After `close`, which may be called twice, every unit fails with StoreUnavailable."""
        await store.close()
        await store.close()

        with pytest.raises(StoreUnavailable, match="closed"):
            await store.run(lambda tx: tx.take_ticket(SITE))
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.read(lambda tx: tx.counts(T0))

    async def test_closing_finishes_what_was_handed_over(self, store: Store) -> None:
        """Units that were handed over before `close` are kept and acknowledged."""
        units = [asyncio.ensure_future(store.run(lambda tx: tx.take_ticket(SITE))) for _ in range(100)]
        await asyncio.sleep(0)
        await store.close()

        assert len({await unit for unit in units}) == 100

    async def test_text_that_no_database_can_hold_is_refused(self, store: Store) -> None:
        """Half a surrogate pair raises ValueError and leaves nothing."""
        with pytest.raises(ValueError, match="surrogates"):
            await store.run(lambda tx: tx.append(SITE, C1, make.entry(1, text="\ud83d")))

        assert await store.read(lambda tx: tx.entries(SITE, C1)) == []

    # --- inbox

    async def test_a_source_is_new_once(self, store: Store) -> None:
        """The first unit that remembers a source hears True, every later one False, each site for itself."""
        source = SourceId("slack:Ev1")
        seen = await asyncio.gather(*(store.run(lambda tx: tx.remember(SITE, source, T0)) for _ in range(20)))

        assert sorted(seen) == [False] * 19 + [True]
        assert await store.run(lambda tx: tx.remember(OTHER_SITE, source, T0))

    # --- conversation

    async def test_a_conversation_comes_back_as_it_was(self, store: Store) -> None:
        """Every field survives, when inserted and when saved."""
        full = make.full_conversation()
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))
        await store.run(lambda tx: tx.save_conversation(full, was_epoch=1))
        await store.run(lambda tx: tx.insert_conversation(dataclasses.replace(full, id=C2)))

        assert await store.run(lambda tx: tx.conversation(SITE, C1)) == full
        assert await store.run(lambda tx: tx.conversation(SITE, C2)) == dataclasses.replace(full, id=C2)
        assert await store.run(lambda tx: tx.conversation(OTHER_SITE, C1)) is None

    def test_the_samples_leave_no_field_at_its_default(self) -> None:
        """A field that is added to the core without a column cannot pass unseen."""
        same: list[str] = []
        samples: list[Any] = [
            make.full_conversation(),
            make.full_entry(2),
            make.full_handoff(),
            FILE,
            make.turn(attempt=2, handoff=H1, note=NOTE, state=TurnState.RUNNING),
        ]
        for sample in samples:
            for field in dataclasses.fields(sample):
                default = field.default
                if field.default_factory is not dataclasses.MISSING:
                    default = field.default_factory()
                if getattr(sample, field.name) == default:
                    same.append(f"{type(sample).__name__}.{field.name}")

        assert same == []

    async def test_a_conversation_is_inserted_once(self, store: Store) -> None:
        """A second one with the same id raises ValueError."""
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))

        with pytest.raises(ValueError, match=r"."):
            await store.run(lambda tx: tx.insert_conversation(make.conversation(widget="other")))

    async def test_saving_compares_the_epoch(self, store: Store) -> None:
        """Who saves with an epoch that has moved on changes nothing."""
        await store.run(lambda tx: tx.insert_conversation(make.conversation(epoch=5)))

        with pytest.raises(StoreUnavailable):
            await store.run(lambda tx: tx.save_conversation(make.conversation(epoch=5, next_n=9), was_epoch=4))

        assert await store.run(lambda tx: tx.conversation(SITE, C1)) == make.conversation(epoch=5)

    async def test_eight_tasks_that_read_and_write_lose_nothing(self, store: Store) -> None:
        """What is read in a unit is still true when the unit writes."""
        await store.run(lambda tx: tx.insert_conversation(make.conversation()))

        def unit(tx: Tx) -> None:
            found = tx.conversation(SITE, C1)
            assert found is not None
            tx.append(SITE, C1, make.entry(found.next_n))
            tx.save_conversation(dataclasses.replace(found, next_n=found.next_n + 1), was_epoch=found.epoch)

        async def task() -> None:
            for _ in range(50):
                await store.run(unit)

        await asyncio.gather(*(task() for _ in range(8)))

        log = await store.read(lambda tx: tx.entries(SITE, C1))
        assert [found.n for found in log] == list(range(1, 401))

    # --- log

    async def test_an_entry_comes_back_as_it_was(self, store: Store) -> None:
        """Every field of an entry survives, files and the widget's own data included."""
        await each(store, lambda tx, made: tx.append(SITE, C1, made), (make.entry(1), make.full_entry(2)))

        assert await store.read(lambda tx: tx.entries(SITE, C1)) == [make.entry(1), make.full_entry(2)]

    async def test_a_number_is_given_once(self, store: Store) -> None:
        """A second entry with the same n raises and leaves the first."""
        await store.run(lambda tx: tx.append(SITE, C1, make.entry(1)))

        with pytest.raises(ValueError, match=r"."):
            await store.run(lambda tx: tx.append(SITE, C1, make.entry(1, text="another")))

        assert await store.read(lambda tx: tx.entries(SITE, C1)) == [make.entry(1)]

    async def test_the_log_is_read_in_slices(self, store: Store) -> None:
        """`entries` reads upwards from a watermark, `last_entries` the newest below one; both ascend."""
        await each(store, lambda tx, n: tx.append(SITE, C1, make.entry(n)), range(1, 11))
        await store.run(lambda tx: tx.append(SITE, C2, make.entry(1)))

        def look(tx: Tx) -> list[list[int]]:
            found = [
                tx.entries(SITE, C1, after_n=7),
                tx.entries(SITE, C1, after_n=2, upto_n=5),
                tx.entries(SITE, C1, limit=2),
                tx.entries(SITE, C1, after_n=10),
                tx.last_entries(SITE, C1, before_n=9, limit=3),
                tx.last_entries(SITE, C1, before_n=3, limit=100),
                tx.last_entries(OTHER_SITE, C1, before_n=3, limit=100),
            ]
            return [[entry.n for entry in slice_] for slice_ in found]

        assert await store.read(look) == [[8, 9, 10], [3, 4, 5], [1, 2], [], [6, 7, 8], [1, 2], []]

    async def test_asides_are_found_among_everything_that_was_said(self, store: Store) -> None:
        """Colleagues' talk and what sent some of it on, the newest, in order; customers' words do not count."""
        aside = {"audience": Audience.COLLEAGUES}
        sent = make.entry(4, data={"forwards": 2})
        said = [make.entry(1), make.entry(2, **aside), make.entry(3, text='"forwards"'), sent, make.entry(5, **aside)]
        await each(store, lambda tx, made: tx.append(SITE, C1, made), said)

        def look(tx: Tx) -> list[list[int]]:
            found = [
                tx.asides(SITE, C1, from_n=1),
                tx.asides(SITE, C1, from_n=3),
                tx.asides(SITE, C1, from_n=1, limit=2),
                tx.asides(OTHER_SITE, C1, from_n=1),
            ]
            return [[entry.n for entry in slice_] for slice_ in found]

        assert await store.read(look) == [[2, 4, 5], [4, 5], [4, 5], []]

    async def test_an_operators_message_is_found_by_what_the_desk_calls_it(self, store: Store) -> None:
        """The newest LINE that a message became is found, on its own desk only, whatever its audience."""
        await opened(store, "h1")
        said = make.entry(1, remote=POSTED, audience=Audience.COLLEAGUES)
        edited = make.entry(2, remote=POSTED, kind=EntryKind.EDIT, target=1)
        of = ConversationId("c-h1")
        await each(store, lambda tx, made: tx.append(SITE, of, made), (said, edited))

        def look(tx: Tx) -> list[Any]:
            return [
                tx.entry_by_remote(SITE, DESK, POSTED),
                tx.entry_by_remote(SITE, DeskName("teams"), POSTED),
                tx.entry_by_remote(OTHER_SITE, DESK, POSTED),
                tx.entry_by_remote(SITE, DESK, ROOT),
            ]

        assert await store.read(look) == [(of, said), None, None, None]
        forwarded = make.entry(3, remote=POSTED)
        await store.run(lambda tx: tx.append(SITE, of, forwarded))
        assert await store.read(lambda tx: tx.entry_by_remote(SITE, DESK, POSTED)) == (of, forwarded)

    async def test_files_are_known_by_id(self, store: Store) -> None:
        """What is known of a file is kept once; a second time changes nothing."""
        await store.run(lambda tx: tx.put_file(SITE, FILE, "d1"))
        await store.run(lambda tx: tx.put_file(SITE, FILE, "d1"))

        assert await store.read(lambda tx: tx.file(SITE, FILE.id)) == (FILE, "d1")
        assert await store.read(lambda tx: tx.file(SITE, FileId("file_2"))) is None
        assert await store.read(lambda tx: tx.file(OTHER_SITE, FILE.id)) is None

    async def test_counts_are_the_gauges_that_are_promised(self, store: Store) -> None:
        """Each gauge counts what its name says, over all sites."""
        empty = await store.read(lambda tx: tx.counts(T0))
        assert set(empty.values()) == {0}
        await opened(store, "h1", "h2")
        await store.run(lambda tx: tx.append(SITE, C1, make.entry(1, audience=Audience.SUPPRESSED)))
        await store.run(lambda tx: tx.append(SITE, C1, make.entry(2)))
        await each(store, lambda tx, key: tx.insert_turn(make.turn(key, key)), ("t1", "t2"))
        await store.run(lambda tx: tx.end_turn(SITE, TurnId("t1"), TurnState.DONE))
        await queued(store, make.out(1, at_ms=10), make.out(2, at_ms=20), make.out(3, at_ms=30))
        mine = await claimed(store, 40)
        await store.run(lambda tx: tx.bury(mine, [1], reason="gone", maybe_sent=False))

        assert await store.read(lambda tx: tx.counts(at(100))) == dict.fromkeys(empty, 0) | {
            "open_handoffs": 2,
            "waiting_handoffs": 2,
            "oldest_waiting_ms": 100,
            "unsent_outs": 2,
            "unsent_line": 2,
            "oldest_line_ms": 80,
            "dead_outs": 1,
            "live_turns": 1,
            "suppressed": 1,
        }

    # --- handoffs

    async def test_a_handoff_comes_back_as_it_was(self, store: Store) -> None:
        """Every field survives, when inserted and when saved."""
        full = make.full_handoff()
        await store.run(lambda tx: tx.insert_handoff(make.handoff()))
        assert await store.read(lambda tx: tx.handoff(SITE, H1)) == make.handoff()
        await store.run(lambda tx: tx.save_handoff(full))
        assert await store.read(lambda tx: tx.handoff(SITE, H1)) == full
        other = dataclasses.replace(full, id=H2, ticket=Ticket("H-2"), conversation=C2)
        await store.run(lambda tx: tx.insert_handoff(other))

        assert await store.read(lambda tx: tx.handoff(SITE, H2)) == other

    async def test_a_handoff_is_found_by_each_of_its_names(self, store: Store) -> None:
        """Ticket, envelope and root lead to it, each within its site, conversation or desk."""
        root = RemoteRef("C1/9.9")
        mine = make.handoff(thread=Thread(desk=DESK, channel=CHANNEL, root=root))
        await store.run(lambda tx: tx.insert_handoff(mine))
        place = ThreadPlace(conversation=C1, handoff=mine.id, ordinal=1)

        def look(tx: Tx) -> list[Any]:
            return [
                tx.handoff_by_ticket(SITE, mine.ticket),
                tx.handoff_by_envelope(SITE, C1, mine.envelope.id),
                tx.thread_at(SITE, DESK, root),
                tx.handoff_by_ticket(OTHER_SITE, mine.ticket),
                tx.handoff_by_envelope(SITE, C2, mine.envelope.id),
                tx.thread_at(SITE, DeskName("teams"), root),
                tx.thread_at(SITE, DESK, RemoteRef("C1/9.8")),
            ]

        assert await store.read(look) == [mine, mine, place, None, None, None, None]

    async def test_a_moved_handoff_is_found_by_its_old_thread_too(self, store: Store) -> None:
        """A new thread is a new lane; the old root still leads to the handoff, with the old ordinal."""
        await opened(store, "h1")
        old = RemoteRef(f"{ROOT}-h1")
        moved = Thread(desk=DeskName("teams"), channel=ChannelId("19:x"), ordinal=2)
        before = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert before is not None
        after = dataclasses.replace(before, thread=moved)
        await store.run(lambda tx: tx.save_handoff(after))

        place = ThreadPlace(conversation=after.conversation, handoff=H1, ordinal=1)
        assert await store.read(lambda tx: tx.thread_at(SITE, DESK, old)) == place
        assert await store.read(lambda tx: tx.channels(DeskName("teams"))) == [ChannelId("19:x")]
        assert await store.read(lambda tx: tx.channels(DESK)) == []
        assert await queued(store, make.out(1), make.out(2, ordinal=2), make.out(3)) == [1, 1, 2]

    async def test_one_open_handoff_per_conversation(self, store: Store) -> None:
        """A second open one raises; after the first has ended it is welcome."""
        await store.run(lambda tx: tx.insert_handoff(make.handoff("h1")))
        with pytest.raises(ValueError, match=r"."):
            await store.run(lambda tx: tx.insert_handoff(make.handoff("h2")))
        await store.run(lambda tx: tx.save_handoff(make.handoff("h1", state=HandoffState.RETURNED)))
        await store.run(lambda tx: tx.insert_handoff(make.handoff("h2")))

        assert [found.id for found in await store.read(lambda tx: tx.open_handoffs(SITE))] == [H2]

    async def test_an_envelope_becomes_one_handoff(self, store: Store) -> None:
        """A second handoff from the same envelope id raises, even when the first has ended."""
        ended = make.handoff("h1", state=HandoffState.CLOSED)
        await store.run(lambda tx: tx.insert_handoff(ended))

        with pytest.raises(ValueError, match=r"."):
            await store.run(lambda tx: tx.insert_handoff(make.handoff("h2", envelope=ended.envelope)))

    async def test_what_was_never_inserted_cannot_be_saved(self, store: Store) -> None:
        """Saving an unknown handoff raises instead of making half of one."""
        with pytest.raises(ValueError, match="never inserted"):
            await store.run(lambda tx: tx.save_handoff(make.handoff()))

    async def test_open_handoffs_are_listed_oldest_first(self, store: Store) -> None:
        """All of a site's, or one operator's; ended ones are left out."""
        mine = [
            make.handoff("h1", "c1", opened_at=at(3)),
            make.handoff("h2", "c2", opened_at=at(1), operator=DANA, state=HandoffState.HUMAN),
            make.handoff("h3", "c3", opened_at=at(2)),
            make.handoff("h4", "c4", opened_at=at(0), state=HandoffState.CLOSED, operator=DANA),
        ]
        await each(store, lambda tx, made: tx.insert_handoff(made), mine)

        def look(tx: Tx) -> list[list[str]]:
            found = [
                tx.open_handoffs(SITE),
                tx.open_handoffs(SITE, limit=1),
                tx.open_handoffs(SITE, operator=DANA.id),
                tx.open_handoffs(SITE, operator=OperatorId("slack:T1:U9")),
                tx.open_handoffs(OTHER_SITE),
            ]
            return [[handoff.id for handoff in list_] for list_ in found]

        assert await store.read(look) == [["h2", "h3", "h1"], ["h2"], ["h2"], [], []]

    async def test_tickets_are_never_given_twice(self, store: Store) -> None:
        """However many ask at once, each gets another number, from H-1001 upwards in every site."""
        tickets = await asyncio.gather(*(store.run(lambda tx: tx.take_ticket(SITE)) for _ in range(100)))

        assert sorted(tickets) == [f"H-{number}" for number in range(1001, 1101)]
        assert await store.run(lambda tx: tx.take_ticket(OTHER_SITE)) == "H-1001"

    # --- turns and streams

    async def test_a_turn_comes_back_as_it_was(self, store: Store) -> None:
        """Every field survives; a rehearsal is no live turn."""
        rehearsal = make.turn(kind=TurnKind.REHEARSAL, handoff=H1, note=NOTE, attempt=2, upto_n=7, epoch=3)
        await store.run(lambda tx: tx.insert_turn(rehearsal))

        assert await store.read(lambda tx: tx.turn(SITE, TurnId("t1"))) == rehearsal
        assert await store.read(lambda tx: tx.live_turn(SITE, C1)) is None

    async def test_one_live_turn_per_conversation(self, store: Store) -> None:
        """A second one raises, rehearsals apart, until the first has ended."""
        await store.run(lambda tx: tx.insert_turn(make.turn("t1")))
        await store.run(lambda tx: tx.insert_turn(make.turn("t2", kind=TurnKind.REHEARSAL)))
        with pytest.raises(ValueError, match=r"."):
            await store.run(lambda tx: tx.insert_turn(make.turn("t3")))
        await store.run(lambda tx: tx.end_turn(SITE, TurnId("t1"), TurnState.CANCELLED))
        await store.run(lambda tx: tx.end_turn(SITE, TurnId("t1"), TurnState.DONE))
        await store.run(lambda tx: tx.insert_turn(make.turn("t3")))

        assert await store.read(lambda tx: tx.live_turn(SITE, C1)) == make.turn("t3")
        ended = await store.read(lambda tx: tx.turn(SITE, TurnId("t1")))
        assert ended == make.turn("t1", state=TurnState.CANCELLED)

    async def test_turns_are_claimed_oldest_first_and_once(self, store: Store) -> None:
        """Of workers that claim at once, each gets another turn; then there is none."""
        await each(store, lambda tx, i: tx.insert_turn(make.turn(f"t{i}", f"c{i}")), range(9))
        got = [await store.run(lambda tx: tx.claim_turn("w", T0, LEASE_MS)) for _ in range(10)]

        assert [None if turn is None else turn.id for turn in got] == [f"t{i}" for i in range(9)] + [None]
        assert {(turn.state, turn.attempt) for turn in got if turn} == {(TurnState.RUNNING, 1)}

    async def test_a_dead_lease_starts_the_next_attempt(self, store: Store) -> None:
        """A turn whose worker is silent is claimed again with attempt + 1, and the old worker is told to stop."""
        await store.run(lambda tx: tx.insert_turn(make.turn()))
        t1 = TurnId("t1")
        await store.run(lambda tx: tx.claim_turn("w1", T0, LEASE_MS))
        assert await store.run(lambda tx: tx.renew_turn(SITE, t1, 1, at(20_000), LEASE_MS))
        assert await store.run(lambda tx: tx.claim_turn("w2", at(49_999), LEASE_MS)) is None
        again = await store.run(lambda tx: tx.claim_turn("w2", at(50_000), LEASE_MS))

        assert again == make.turn(attempt=2, state=TurnState.RUNNING)
        assert await store.read(lambda tx: tx.turn(SITE, t1)) == again
        assert not await store.run(lambda tx: tx.renew_turn(SITE, t1, 1, at(50_001), LEASE_MS))
        assert await store.run(lambda tx: tx.renew_turn(SITE, t1, 2, at(50_001), LEASE_MS))

    async def test_whoever_waits_for_the_agent_is_found(self, store: Store) -> None:
        """Of all sites, the longest silent first: the agent's, customer spoke last, unread, and no live turn."""
        unread: dict[str, Any] = {"last_role": "customer", "last_customer_n": 3}
        late = make.conversation("late", last_at=at(5), **unread)
        early = make.conversation("early", site=OTHER_SITE, last_at=at(1), read_n=2, **unread)
        others = [
            make.conversation("waiting", state=State.WAITING, **unread),
            make.conversation("human", state=State.HUMAN, operator=make.DANA, **unread),
            make.conversation("closed", state=State.CLOSED, **unread),
            make.conversation("answered", last_role="agent", last_customer_n=3),
            make.conversation("read", read_n=3, **unread),
            make.conversation("new"),
        ]
        busy = make.conversation("busy", last_at=at(9), **unread)
        tried = make.conversation("tried", last_at=at(7), **unread)
        await each(store, lambda tx, row: tx.insert_conversation(row), [late, early, busy, tried, *others])
        await store.run(lambda tx: tx.insert_turn(make.turn("t1", "busy")))
        await store.run(lambda tx: tx.insert_turn(make.turn("t2", "tried", kind=TurnKind.REHEARSAL)))

        assert await store.read(lambda tx: tx.unanswered()) == [early, late, tried]
        assert await store.read(lambda tx: tx.unanswered(2)) == [early, late]
        await store.run(lambda tx: tx.end_turn(SITE, TurnId("t1"), TurnState.DONE))
        assert await store.read(lambda tx: tx.unanswered()) == [early, late, tried, busy]

    async def test_an_ended_turn_is_not_renewed_or_claimed(self, store: Store) -> None:
        """Ending a turn takes it from its worker, at once and for good."""
        await store.run(lambda tx: tx.insert_turn(make.turn()))
        t1 = TurnId("t1")
        assert not await store.run(lambda tx: tx.renew_turn(SITE, t1, 1, T0, LEASE_MS))
        await store.run(lambda tx: tx.claim_turn("w1", T0, LEASE_MS))
        await store.run(lambda tx: tx.end_turn(SITE, t1, TurnState.CANCELLED))

        assert not await store.run(lambda tx: tx.renew_turn(SITE, t1, 1, T0, LEASE_MS))
        assert await store.run(lambda tx: tx.claim_turn("w2", at(90_000), LEASE_MS)) is None

    async def test_a_stream_grows_and_closes(self, store: Store) -> None:
        """Each write replaces the text under a higher seq; only its own turn can close it, twice if it likes."""
        t1, t2 = TurnId("t1"), TurnId("t2")

        def write(text: str, attempt: int = 1) -> Any:
            return store.run(lambda tx: tx.write_stream(SITE, C1, t1, attempt, text))

        async def now() -> Stream | None:
            return await store.read(lambda tx: tx.stream(SITE, C1))

        assert await now() is None
        await write("Hel")
        assert await now() == Stream(turn=t1, attempt=1, seq=1, text="Hel")
        await write("Hello", 2)
        await store.run(lambda tx: tx.close_stream(SITE, C1, t2))
        assert await now() == Stream(turn=t1, attempt=2, seq=2, text="Hello")
        await store.run(lambda tx: tx.close_stream(SITE, C1, t1))
        await store.run(lambda tx: tx.close_stream(SITE, C1, t1))
        assert await now() is None
        await store.run(lambda tx: tx.write_stream(SITE, C1, t2, 1, "Next"))
        assert await now() == Stream(turn=t2, attempt=1, seq=1, text="Next")

    # --- timers

    async def test_timers_are_due_in_their_order(self, store: Store) -> None:
        """Due ones are listed oldest first until they are dropped; setting one again moves it."""

        def unit(tx: Tx) -> None:
            tx.set_timer(SITE, H1, "b", at(20))
            tx.set_timer(SITE, H1, "a", at(10))
            tx.set_timer(SITE, H2, "a", at(15))
            tx.set_timer(SITE, H1, "b", at(5))
            tx.set_timer(SITE, H2, "z", at(99))

        await store.run(unit)

        async def due(ms: int, limit: int = 50) -> list[tuple[str, str, int]]:
            found = await store.read(lambda tx: tx.due_timers(at(ms), limit))
            assert {(type(timer), timer.site) for timer in found} <= {(DueTimer, SITE)}
            return [(timer.handoff, timer.rung, timer.due_at - T0) for timer in found]

        assert await due(4) == []
        assert await due(15) == [("h1", "b", 5), ("h1", "a", 10), ("h2", "a", 15)]
        assert await due(15, limit=1) == [("h1", "b", 5)]
        await store.run(lambda tx: tx.drop_timer(SITE, H2, "a"))
        await store.run(lambda tx: tx.drop_timer(SITE, H2, "never set"))
        await store.run(lambda tx: tx.clear_timers(SITE, H1))
        assert await due(1000) == [("h2", "z", 99)]


class LaneContract:
    """Lanes: order, leases, and what came of a send."""

    # --- order

    async def test_a_lane_numbers_its_outs(self, store: Store) -> None:
        """k counts from 1 in each lane, without gaps, whatever k the caller wrote."""
        await opened(store, "h1", "h2")

        assert await queued(store, make.out(1, k=77), make.out(2), make.out(1, "h2"), make.out(3)) == [1, 2, 1, 3]

    async def test_an_out_needs_its_thread(self, store: Store) -> None:
        """What no lane exists for cannot be queued."""
        await opened(store, "h1")

        with pytest.raises(ValueError, match="no thread 2"):
            await queued(store, make.out(1, ordinal=2))

    async def test_a_claim_offers_what_waits_in_order(self, store: Store) -> None:
        """The outs of a claim are the lane's next ones as they were queued, at most fifty."""
        await opened(store, "h1")
        first = make.out(1, actions=("retry", "drop"), at_ms=5)
        assert await claim(store) is None
        await queued(store, first, *(make.out(n) for n in range(2, 61)))
        found = await claimed(store, 10)

        assert numbers(found) == list(range(1, 51))
        assert found.outs[0] == dataclasses.replace(first, k=1)
        assert found == Claim(
            site=SITE,
            conversation=ConversationId("c-h1"),
            handoff=H1,
            thread=Thread(desk=DESK, channel=CHANNEL, root=RemoteRef(f"{ROOT}-h1")),
            lease_epoch=1,
            lease_until=at(10 + LEASE_MS),
            outs=found.outs,
        )

    async def test_new_threads_leave_first_then_the_longest_waiting(self, store: Store) -> None:
        """A card that opens a thread goes before lines that waited longer; among equals the older goes first."""
        await told(store, "h1", "h2")
        await opened(store, "h3", "h4", root=None)
        await queued(store, make.out(1, "h1", at_ms=2), make.out(1, "h2", at_ms=1))
        await queued(store, make.card("h3", at_ms=9), make.card("h4", at_ms=8))
        order = [(await claimed(store, 10)).handoff for _ in range(4)]

        assert order == ["h4", "h3", "h2", "h1"]
        assert await claim(store, 10) is None

    async def test_nothing_precedes_the_card_of_a_new_thread(self, store: Store) -> None:
        """Until its card has opened the thread, a lane offers that card only; then the rest, in order."""
        await opened(store, "h1", root=None)
        await queued(store, make.out(1))
        assert await claim(store) is None
        assert await store.read(lambda tx: tx.next_due(DESK)) is None
        await queued(store, make.card(at_ms=1), make.out(2), make.card(at_ms=2))
        found = await claimed(store, 5)
        assert numbers(found) == [2]
        assert await begin(store, found, 2, ms=5)
        assert await settle(store, found, 2, ms=6, ref=POSTED)

        handoff = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert handoff is not None
        assert handoff.thread.root == POSTED
        place = ThreadPlace(conversation=handoff.conversation, handoff=H1, ordinal=1)
        assert await store.read(lambda tx: tx.thread_at(SITE, DESK, POSTED)) == place
        rest = await claimed(store, 7)
        assert (numbers(rest), rest.thread.root) == ([1, 3], POSTED)
        assert await begin(store, rest, 1, 3, ms=7)
        assert await settle(store, rest, 1, 3, ms=7)
        assert numbers(await claim(store, 8)) == [4]

    async def test_the_first_that_is_said_is_new_too(self, store: Store) -> None:
        """A new conversation's card and what is said first leave before a line that waited longer; what comes later
        takes its turn.
        """
        await told(store, "h1")
        await opened(store, "h2", root=None)
        await queued(store, make.card("h2", at_ms=5), make.out(1, "h2", at_ms=5), make.out(2, "h1", at_ms=1))
        assert [await post_next(store, 10), await post_next(store, 11)] == ["h2 card", "h2"]
        await queued(store, make.out(2, "h2", at_ms=0))
        assert [await post_next(store, 12), await post_next(store, 13)] == ["h2", "h1"]

    async def test_three_new_ones_pass_a_waiting_line_and_no_more(self, store: Store) -> None:
        """Then the line leaves, and three more may pass the next; those that nobody waited for do not count."""
        await told(store, "h1")
        fresh = [f"n{i}" for i in range(9)]
        await opened(store, *fresh, root=None)
        await queued(store, *(make.card(key, at_ms=i) for i, key in enumerate(fresh)))
        assert [await post_next(store, 20) for _ in range(2)] == ["n0 card", "n1 card"]
        await queued(store, make.out(2, "h1", at_ms=10))
        assert [await post_next(store, 20) for _ in range(4)] == ["n2 card", "n3 card", "n4 card", "h1"]
        await queued(store, make.out(3, "h1", at_ms=10))
        assert [await post_next(store, 20) for _ in range(4)] == ["n5 card", "n6 card", "n7 card", "h1"]
        assert await post_next(store, 20) == "n8 card"

    async def test_each_channel_counts_its_own_new_ones(self, store: Store) -> None:
        """The channel with the longest waiting lane is first; a rush in one channel passes nobody in another."""
        await told(store, "h1")
        await opened(store, *(f"n{i}" for i in range(4)), root=None)
        there = Thread(desk=DESK, channel=ChannelId("C2"))
        await store.run(lambda tx: tx.insert_handoff(make.handoff("h9", "c9", thread=there)))
        await queued(store, make.out(2, "h1", at_ms=3), make.card("h9", at_ms=1))
        await queued(store, *(make.card(f"n{i}", at_ms=4 + i) for i in range(4)))

        order = [await post_next(store, 20) for _ in range(6)]
        assert order == ["h9 card", "n0 card", "n1 card", "n2 card", "h1", "n3 card"]

    async def test_a_line_passes_changes_and_no_change_passes_a_line(self, store: Store) -> None:
        """What is said leaves first, together; then the changes that were queued before it, in their order."""
        await told(store, "h1")
        await queued(store, make.card(at_ms=1), make.out(1, kind=OutKind.EDIT, at_ms=1))
        await queued(store, make.out(2, at_ms=2), make.card(at_ms=3), make.out(3, at_ms=4))
        found = await claimed(store, 10)
        assert numbers(found) == [4, 6]
        await begin(store, found, 4, 6, ms=10, free_at=5000)
        await settle(store, found, 4, 6, ms=10)

        changes = await claimed(store, 11)
        assert numbers(changes) == [2, 3, 5]
        assert await begin(store, changes, 2, 5, ms=11)
        assert await settle(store, changes, 2, 5, ms=11, ref=None)
        assert numbers(await claim(store, 12)) == [3]

    async def test_saving_a_handoff_that_was_read_before_keeps_its_root(self, store: Store) -> None:
        """A root that became known in between is not overwritten with None."""
        await opened(store, "h1", root=None)
        stale = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert stale is not None
        await queued(store, make.card())
        found = await claimed(store)
        await begin(store, found, 1)
        await settle(store, found, 1, ref=POSTED)
        await store.run(lambda tx: tx.save_handoff(dataclasses.replace(stale, rung=3)))

        saved = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert saved is not None
        assert (saved.rung, saved.thread.root) == (3, POSTED)

    async def test_a_root_can_be_told_by_saving(self, store: Store) -> None:
        """A handoff saved with a root opens its lane for what waits there."""
        await opened(store, "h1", root=None)
        await queued(store, make.out(1))
        handoff = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert handoff is not None
        thread = dataclasses.replace(handoff.thread, root=POSTED)
        await store.run(lambda tx: tx.save_handoff(dataclasses.replace(handoff, thread=thread)))

        assert numbers(await claim(store)) == [1]

    async def test_each_desk_has_its_own_lanes(self, store: Store) -> None:
        """A courier of one desk never gets another's lane."""
        await opened(store, "h1")
        await queued(store, make.out(1))
        teams = DeskName("teams")

        assert await store.run(lambda tx: tx.claim_lane(teams, "w", T0, LEASE_MS)) is None
        assert await store.read(lambda tx: tx.next_due(teams)) is None

    # --- budget

    async def test_a_resting_channel_holds_posts_back(self, store: Store) -> None:
        """After a post, no lane of the channel may post until the channel is free; its neighbours in others may."""
        await opened(store, "h1", "h2")
        elsewhere = Thread(desk=DESK, channel=ChannelId("C2"), root=RemoteRef("C2/1"))
        await store.run(lambda tx: tx.insert_handoff(make.handoff("h3", "c3", thread=elsewhere)))
        await queued(store, make.out(1, "h1"), make.out(1, "h2", at_ms=1), make.out(1, "h3", at_ms=2))
        first = await claimed(store)
        await begin(store, first, 1, free_at=1000)

        assert (await claimed(store)).handoff == "h3"
        assert await claim(store, 999) is None
        assert (await claimed(store, 1000)).handoff == "h2"

    async def test_changes_of_what_is_there_need_no_budget(self, store: Store) -> None:
        """A refreshed card, an edit, a deletion leave while the channel rests, but not while it is blocked."""
        kinds = (OutKind.CARD, OutKind.EDIT, OutKind.DELETE)
        await opened(store, "h1", "h2")
        await queued(store, make.out(1, "h2"), *(make.out(1, kind=kind, at_ms=1) for kind in kinds))
        rests = await claimed(store, 2)
        await begin(store, rests, 1, ms=2, free_at=5000)

        for k in (1, 2, 3):
            found = await claimed(store, 10 + k)
            assert (found.handoff, found.outs[0].k) == (H1, k)
            assert await begin(store, found, k, ms=10 + k, free_at=10 + k)
            await settle(store, found, k, ms=10 + k, ref=None)
        await queued(store, make.out(2, kind=OutKind.EDIT, at_ms=20))
        found = await claimed(store, 21)

        def blocked(tx: Tx) -> None:
            wait = at(9000)
            tx.postpone(found, [4], not_before=at(30), reason="429", channel_blocked_until=wait)
            tx.release(found)

        await store.run(blocked)
        assert await claim(store, 8999) is None
        assert await store.read(lambda tx: tx.next_due(DESK)) == at(9000)
        assert numbers(await claim(store, 9000)) == [4]

    async def test_changes_have_a_budget_for_the_whole_desk(self, store: Store) -> None:
        """While it rests no change leaves in any channel, and every line does; a claim says since when it was free."""
        await told(store, "h1", "h2")
        there = Thread(desk=DESK, channel=ChannelId("C2"), root=RemoteRef("C2/1"))
        await store.run(lambda tx: tx.insert_handoff(make.handoff("h3", "c3", thread=there)))
        await queued(store, make.card("h1", at_ms=1), make.card("h3", at_ms=2))
        first = await claimed(store, 5)
        assert (first.handoff, first.free_at) == (H1, 0)
        await begin(store, first, 2, ms=5, free_at=3000)
        await settle(store, first, 2, ms=5, ref=None)

        assert await claim(store, 2999) is None
        assert await store.read(lambda tx: tx.next_due(DESK)) == at(3000)
        await queued(store, make.out(2, "h2", at_ms=2000))
        assert await post_next(store, 2999) == "h2"
        late = await claimed(store, 3000)
        assert (late.handoff, late.free_at) == ("h3", at(3000))

    async def test_a_refused_change_holds_back_changes_only(self, store: Store) -> None:
        """Where the vendor has enough of changes, posts of the same channel go on."""
        await told(store, "h1", "h2")
        await queued(store, make.card("h1", at_ms=1))
        found = await claimed(store, 5)
        await begin(store, found, 2, ms=5)

        def unit(tx: Tx) -> None:
            tx.postpone(found, [2], not_before=at(9000), reason="429", channel_blocked_until=at(9000))
            tx.release(found)

        await store.run(unit)
        await queued(store, make.out(2, "h1", at_ms=6), make.out(2, "h2", at_ms=7), make.card("h2", at_ms=8))
        assert [await post_next(store, 10), await post_next(store, 10)] == ["h1", "h2"]
        assert await claim(store, 8999) is None
        assert await post_next(store, 9000) == "h1 card"

    async def test_one_unit_claims_many_lanes_as_many_units_would(self, store: Store) -> None:
        """In the same order, one of a channel while its budget rests, and with what the unit itself has changed."""
        for i in range(12):
            there = Thread(desk=DESK, channel=ChannelId(f"C{i // 2}"), root=RemoteRef(f"C{i}/1"))
            lane = make.handoff(f"h{i}", f"c{i}", thread=there)
            await store.run(lambda tx, lane=lane: tx.insert_handoff(lane))  # type: ignore[misc]
        await queued(store, *(make.out(1, f"h{i}", at_ms=100 - i) for i in range(12)))

        def unit(tx: Tx) -> list[str]:
            order = []
            while (found := tx.claim_lane(DESK, "w1", at(200), LEASE_MS)) is not None:
                order.append(found.handoff)
                tx.begin_send(found, [1], OutKey(f"k-{found.handoff}"), at(200), at(1200))
            tx.enqueue(make.out(2, "h11", at_ms=150))
            there = Thread(desk=DESK, channel=ChannelId("C9"), root=RemoteRef("C9/1"))
            tx.insert_handoff(make.handoff("h12", "c12", thread=there))
            tx.enqueue(make.out(1, "h12", at_ms=160))
            last = tx.claim_lane(DESK, "w1", at(200), LEASE_MS)
            return [*order, last.handoff if last else "none"]

        assert await store.run(unit) == ["h11", "h9", "h7", "h5", "h3", "h1", "h12"]
        assert await claim(store, 1199) is None
        assert [(await claimed(store, 1200)).handoff for _ in range(2)] == ["h10", "h8"]

    async def test_a_blocked_channel_leaves_the_others_alone(self, store: Store) -> None:
        """A vendor's wish to wait is one channel's: its neighbours post on."""
        await told(store, "h1", "h2")
        there = Thread(desk=DESK, channel=ChannelId("C2"), root=RemoteRef("C2/1"))
        await store.run(lambda tx: tx.insert_handoff(make.handoff("h3", "c3", thread=there)))
        await queued(store, make.out(2, "h1", at_ms=1), make.out(2, "h2", at_ms=2))
        found = await claimed(store, 5)
        await queued(store, make.out(1, "h3", at_ms=3))
        await begin(store, found, 2, ms=5, free_at=6)

        def unit(tx: Tx) -> None:
            tx.postpone(found, [2], not_before=at(7000), reason="429", channel_blocked_until=at(7000))
            tx.release(found)

        await store.run(unit)
        assert await post_next(store, 10) == "h3"
        assert await claim(store, 6999) is None
        assert [await post_next(store, 7000), await post_next(store, 7000)] == ["h1", "h2"]

    async def test_a_card_that_opens_a_thread_waits_for_the_budget(self, store: Store) -> None:
        """Opening a thread is a post like any other."""
        await opened(store, "h1", root=None)
        await opened(store, "h2")
        await queued(store, make.out(1, "h2"))
        found = await claimed(store)
        await begin(store, found, 1, free_at=700)
        await queued(store, make.card("h1"))

        assert await claim(store, 699) is None
        assert (await claimed(store, 700)).handoff == "h1"

    async def test_the_budget_is_never_shortened(self, store: Store) -> None:
        """A later send that asks for less rest leaves the longer one as it is."""
        await opened(store, "h1", "h2")
        await queued(store, make.out(1, "h1"), make.out(1, "h2"))
        one, other = await claimed(store), await claimed(store)
        await begin(store, one, 1, free_at=5000)
        await begin(store, other, 1, ms=10, free_at=100)
        await queued(store, make.out(2, "h1"))
        await settle(store, one, 1)

        assert await claim(store, 4999) is None
        assert numbers(await claim(store, 5000)) == [2]

    async def test_next_due_is_when_a_head_could_leave(self, store: Store) -> None:
        """It names the first moment at which a claim finds something, in the past if that is now."""
        await opened(store, "h1")
        assert await store.read(lambda tx: tx.next_due(DESK)) is None
        await queued(store, make.out(1, not_before=at(40)))
        assert await store.read(lambda tx: tx.next_due(DESK)) == at(40)
        assert await claim(store, 39) is None
        found = await claimed(store, 40)
        assert await store.read(lambda tx: tx.next_due(DESK)) == at(40 + LEASE_MS)
        await store.run(lambda tx: tx.release(found))
        assert await store.read(lambda tx: tx.next_due(DESK)) == at(40)

    # --- leases

    async def test_a_leased_lane_is_not_offered(self, store: Store) -> None:
        """One worker at a time; when its lease is over, another gets the lane under a new fence."""
        await opened(store, "h1")
        await queued(store, make.out(1))
        one = await claimed(store)
        assert await claim(store, LEASE_MS - 1, "w2") is None
        two = await claimed(store, LEASE_MS, "w2")

        assert (one.lease_epoch, two.lease_epoch) == (1, 2)

    async def test_who_lost_the_lease_changes_nothing(self, store: Store) -> None:
        """Every call of a worker with an old fence answers False and leaves all as it was."""
        await opened(store, "h1")
        await queued(store, make.out(1))
        old = await claimed(store)
        new = await claimed(store, LEASE_MS, "w2")

        def unit(tx: Tx) -> list[bool]:
            wait = at(99_000)
            tx.release(old)
            return [
                tx.begin_send(old, [1], OutKey("old"), at(1), at(99_000)),
                tx.delivered(old, [1], POSTED, at(1)),
                tx.postpone(old, [1], not_before=wait, reason="", channel_blocked_until=wait),
                tx.unclear(old, [1], look_at=wait, reason=""),
                tx.bury(old, [1], reason="", maybe_sent=True),
            ]

        assert await store.run(unit) == [False] * 5
        assert await claim(store, LEASE_MS, "w3") is None
        assert await begin(store, new, 1, ms=LEASE_MS)
        assert await settle(store, new, 1, ms=LEASE_MS)
        assert await claim(store, 99_999_999) is None

    async def test_a_crash_after_begin_send_is_looked_at_later(self, store: Store) -> None:
        """What was frozen and never settled is offered again, still SENDING, a lease after it was begun."""
        await opened(store, "h1")
        await queued(store, *(make.out(n) for n in range(1, 5)))
        found = await claimed(store)
        assert await begin(store, found, 1, 2, ms=1000, key="post-1", free_at=1000)

        assert await claim(store, LEASE_MS + 999, "w2") is None
        assert await store.read(lambda tx: tx.next_due(DESK)) == at(1000 + LEASE_MS)
        again = await claimed(store, LEASE_MS + 1000, "w2")
        assert numbers(again) == [1, 2, 3, 4]
        frozen = [(out.state, out.key, out.attempt_at) for out in again.outs]
        assert frozen[:2] == [(OutState.SENDING, "post-1", at(1000))] * 2
        assert [state for state, _, _ in frozen[2:]] == [OutState.NEW] * 2

    async def test_what_was_begun_rests_even_when_the_lease_is_given_back(self, store: Store) -> None:
        """A worker that stops between the send and its outcome leaves the outs to be looked at, not sent at once."""
        await opened(store, "h1")
        await queued(store, make.out(1))
        found = await claimed(store)
        await begin(store, found, 1, ms=1000)
        await store.run(lambda tx: tx.release(found))

        assert await claim(store, LEASE_MS + 999, "w2") is None
        assert (await claimed(store, LEASE_MS + 1000, "w2")).outs[0].state is OutState.SENDING

    async def test_beginning_holds_the_lease_for_its_full_length(self, store: Store) -> None:
        """However late in its lease a worker begins, it has a whole lease to hear of the outcome."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await begin(store, found, 1, ms=LEASE_MS - 1)
        await store.run(lambda tx: tx.settle_echo(SITE, DESK, OutKey("k"), POSTED, at(LEASE_MS)))

        assert await claim(store, 2 * LEASE_MS - 2, "w2") is None
        assert numbers(await claim(store, 2 * LEASE_MS - 1, "w2")) == [2]

    async def test_claiming_and_beginning_may_share_a_unit(self, store: Store) -> None:
        """Workers that claim and begin in one unit never spend a channel's budget twice."""
        await opened(store, *(f"h{i}" for i in range(1, 9)))
        await queued(store, *(make.out(1, f"h{i}") for i in range(1, 9)))

        def unit(tx: Tx) -> str | None:
            found = tx.claim_lane(DESK, "w", T0, LEASE_MS)
            if found is None:
                return None
            tx.begin_send(found, [1], found.outs[0].key, T0, at(1000))
            return found.handoff

        got = await asyncio.gather(*(store.run(unit) for _ in range(8)))
        assert sorted(got, key=str) == [*[None] * 7, "h1"]

    # --- outcomes

    async def test_what_was_delivered_is_never_offered_again(self, store: Store) -> None:
        """The lane moves on, the remote id is kept for every line of the post."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2), make.out(3))
        found = await claimed(store)
        await begin(store, found, 1, 2)
        assert await settle(store, found, 1, 2)
        assert await settle(store, found, 1, 2)

        assert numbers(await claim(store, 1)) == [3]
        posted = await store.read(lambda tx: [tx.out_for(SITE, H1, n) for n in (1, 2, 3)])
        assert [(out.state, out.remote) for [out] in posted] == [
            (OutState.DELIVERED, POSTED),
            (OutState.DELIVERED, POSTED),
            (OutState.NEW, None),
        ]

    async def test_postponing_puts_back_in_order(self, store: Store) -> None:
        """A certain failure makes the outs NEW again, one attempt older, not before their time."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await begin(store, found, 1)

        def unit(tx: Tx) -> None:
            tx.postpone(found, [1], not_before=at(500), reason="ratelimited")
            tx.release(found)

        await store.run(unit)
        assert await claim(store, 499) is None
        again = await claimed(store, 500)
        assert [(out.k, out.state, out.attempts, out.reason) for out in again.outs] == [
            (1, OutState.NEW, 1, "ratelimited"),
            (2, OutState.NEW, 0, ""),
        ]

    async def test_a_claim_stops_before_what_may_not_leave_yet(self, store: Store) -> None:
        """An out whose time has not come is not offered behind one whose time has."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2, not_before=at(100)), make.out(3))

        assert numbers(await claim(store)) == [1]

    async def test_an_unclear_send_rests_and_stays_frozen(self, store: Store) -> None:
        """Nobody gets the lane until it is time to look; then the outs are as they were sent."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await begin(store, found, 1, key="post-1")

        def unit(tx: Tx) -> None:
            tx.unclear(found, [1], look_at=at(15_000), reason="timeout")
            tx.release(found)

        await store.run(unit)
        assert await claim(store, 14_999) is None
        again = await claimed(store, 15_000)
        head = again.outs[0]
        assert (head.state, head.key, head.looks, head.reason) == (OutState.SENDING, "post-1", 1, "timeout")
        assert await begin(store, again, 1, ms=15_000, key="post-1")
        assert await settle(store, again, 1, ms=15_001)
        assert numbers(await claim(store, 15_002)) == [2]

    async def test_the_dead_are_passed_over_and_listed(self, store: Store) -> None:
        """A buried out no longer holds up its lane, and people can see it."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await begin(store, found, 1)

        def unit(tx: Tx) -> None:
            tx.bury(found, [1], reason="channel_not_found", maybe_sent=True)
            tx.release(found)

        await store.run(unit)
        assert numbers(await claim(store)) == [2]
        [dead] = await store.read(lambda tx: tx.dead_outs(SITE))
        assert (dead.k, dead.state, dead.reason, dead.maybe_sent) == (1, OutState.DEAD, "channel_not_found", True)
        assert await store.read(lambda tx: tx.dead_outs(OTHER_SITE)) == []

    async def test_a_revived_out_is_a_new_one(self, store: Store) -> None:
        """It goes to the end of its lane under a new key, once, however often people press the button."""
        await opened(store, "h1")
        await queued(store, make.out(1, actions=("retry",)), make.out(2))
        found = await claimed(store)
        await store.run(lambda tx: tx.bury(found, [1], reason="x", maybe_sent=False))
        await store.run(lambda tx: tx.release(found))
        [dead] = await store.read(lambda tx: tx.dead_outs(SITE))
        await each(store, lambda tx, _: tx.revive(dead, at(50)), range(2))

        again = await claimed(store, 60)
        assert [(out.k, out.n) for out in again.outs] == [(2, 2), (3, 1)]
        risen = again.outs[1]
        assert risen.key != dead.key
        assert risen == dataclasses.replace(
            make.out(1, actions=("retry",)), k=3, key=risen.key, queued_at=at(50), not_before=at(50)
        )
        assert await store.read(lambda tx: tx.dead_outs(SITE)) == []

    async def test_a_revived_card_opens_its_thread(self, store: Store) -> None:
        """A card that died and was tried again goes before the lines that waited for it."""
        await opened(store, "h1", root=None)
        await queued(store, make.card(), make.out(1))
        found = await claimed(store)
        await store.run(lambda tx: tx.bury(found, [1], reason="x", maybe_sent=False))
        await store.run(lambda tx: tx.release(found))
        assert await claim(store, 1) is None
        [dead] = await store.read(lambda tx: tx.dead_outs(SITE))
        await store.run(lambda tx: tx.revive(dead, at(2)))
        again = await claimed(store, 3)

        assert [out.kind for out in again.outs] == [OutKind.CARD]
        await begin(store, again, again.outs[0].k, ms=3)
        await settle(store, again, again.outs[0].k, ms=4)
        assert numbers(await claim(store, 5)) == [2]

    async def test_a_dropped_dead_letter_is_gone(self, store: Store) -> None:
        """Dropping forgets a dead letter, and nothing that is alive."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await store.run(lambda tx: tx.bury(found, [1], reason="x", maybe_sent=False))
        [dead] = await store.read(lambda tx: tx.dead_outs(SITE))
        await each(store, lambda tx, made: tx.drop_dead(made), [dead, found.outs[1]])

        assert await store.read(lambda tx: tx.dead_outs(SITE)) == []
        assert await store.read(lambda tx: tx.out_for(SITE, H1, 1)) == []
        assert len(await store.read(lambda tx: tx.out_for(SITE, H1, 2))) == 1

    async def test_posts_of_an_entry_are_found_in_every_thread(self, store: Store) -> None:
        """`out_for` gives the POST outs of one entry, the newest thread last."""
        await opened(store, "h1")
        handoff = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert handoff is not None
        moved = dataclasses.replace(handoff, thread=Thread(desk=DESK, channel=CHANNEL, ordinal=2))
        await store.run(lambda tx: tx.save_handoff(moved))
        await queued(store, make.out(7, ordinal=2), make.out(7), make.out(7, kind=OutKind.EDIT), make.out(8))

        found = await store.read(lambda tx: tx.out_for(SITE, H1, 7))
        assert [(out.ordinal, out.kind) for out in found] == [(1, OutKind.POST), (2, OutKind.POST)]

    # --- echoes

    async def test_an_echo_settles_an_unclear_send(self, store: Store) -> None:
        """Our own post, seen again, settles all outs with its key, once; the lane goes on at once."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2), make.out(3))
        found = await claimed(store)
        await begin(store, found, 1, 2, key="post-1")

        def unit(tx: Tx) -> None:
            tx.unclear(found, [1, 2], look_at=at(15_000), reason="timeout")
            tx.release(found)

        await store.run(unit)

        async def echo(key: str, desk: DeskName = DESK) -> bool:
            return await store.run(lambda tx: tx.settle_echo(SITE, desk, OutKey(key), POSTED, at(10)))

        assert [await echo("another"), await echo("post-1", DeskName("teams"))] == [False, False]
        assert [await echo("post-1"), await echo("post-1")] == [True, False]
        assert numbers(await claim(store, 11)) == [3]
        [sent] = await store.read(lambda tx: tx.out_for(SITE, H1, 2))
        assert (sent.state, sent.remote) == (OutState.DELIVERED, POSTED)

    async def test_an_echo_before_the_answer_changes_nothing_more(self, store: Store) -> None:
        """Whoever still holds the lease settles a second time without harm, whatever its call came to."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await begin(store, found, 1, key="post-1")
        assert await store.run(lambda tx: tx.settle_echo(SITE, DESK, OutKey("post-1"), POSTED, at(5)))

        def late(tx: Tx) -> list[bool]:
            return [
                tx.unclear(found, [1], look_at=at(15_000), reason="timeout"),
                tx.postpone(found, [1], not_before=at(15_000), reason="x"),
                tx.bury(found, [1], reason="x", maybe_sent=True),
                tx.delivered(found, [1], RemoteRef("C1/other"), at(6)),
            ]

        assert await store.run(late) == [True] * 4
        await store.run(lambda tx: tx.release(found))
        [sent] = await store.read(lambda tx: tx.out_for(SITE, H1, 1))
        assert (sent.state, sent.remote, sent.attempts, sent.looks) == (OutState.DELIVERED, POSTED, 0, 0)
        assert numbers(await claim(store, 7)) == [2]

    async def test_what_an_echo_has_settled_is_not_sent_again(self, store: Store) -> None:
        """A worker about to repeat a send that an echo has settled meanwhile is told not to."""
        await opened(store, "h1")
        await queued(store, make.out(1), make.out(2))
        found = await claimed(store)
        await begin(store, found, 1, key="post-1")
        again = await claimed(store, LEASE_MS, "w2")
        assert await store.run(lambda tx: tx.settle_echo(SITE, DESK, OutKey("post-1"), POSTED, at(LEASE_MS)))

        assert not await begin(store, again, 1, ms=LEASE_MS, key="post-1", free_at=LEASE_MS + 1000)
        await store.run(lambda tx: tx.release(again))
        assert numbers(await claim(store, LEASE_MS)) == [2]

    async def test_the_echo_of_a_card_opens_its_thread(self, store: Store) -> None:
        """The root becomes known by the echo too, and what waited for it may leave."""
        await opened(store, "h1", root=None)
        await queued(store, make.card(), make.out(1))
        found = await claimed(store)
        await begin(store, found, 1, key="card-1")
        await store.run(lambda tx: tx.release(found))
        assert await store.run(lambda tx: tx.settle_echo(SITE, DESK, OutKey("card-1"), POSTED, at(5)))

        assert (await claimed(store, 6)).thread.root == POSTED
        handoff = await store.read(lambda tx: tx.handoff(SITE, H1))
        assert handoff is not None
        assert handoff.thread.root == POSTED
        assert await store.run(lambda tx: tx.delivered(found, [1], POSTED, at(9))) is False
