"""What every store promises to processes that share it. A subclass gives the fixture `store`: empty."""

from dataclasses import replace

from bridge.conversation import HandoffState, Thread
from bridge.ids import ChannelId, ConversationId, RemoteRef, SourceId, TurnId
from bridge.storage import Head, Store, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, OTHER_SITE, SITE, T0, at


async def hold(store: Store, worker: str, ms: int, name: str = "socket-1") -> bool:
    return await store.run(lambda tx: tx.hold_lease(SITE, name, worker, at(ms), 1000))


class SharingContract:
    """Named leases, and where many conversations stand."""

    async def test_a_named_lease_has_one_holder(self, store: Store) -> None:
        """Who has it keeps it by asking again; another gets it when it has run out, and then the first does not."""
        assert await hold(store, "a", 0)
        assert not await hold(store, "b", 999)
        assert await hold(store, "a", 999)
        assert not await hold(store, "b", 1998)
        assert await hold(store, "b", 1999)
        assert not await hold(store, "a", 2000)
        assert await hold(store, "a", 2000, name="socket-2")
        assert await store.run(lambda tx: tx.hold_lease(OTHER_SITE, "socket-1", "a", at(2000), 1000))

    async def test_a_dropped_lease_is_free_at_once(self, store: Store) -> None:
        """Giving it back lets another in; who does not hold it gives nothing back."""
        assert await hold(store, "a", 0)
        await store.run(lambda tx: tx.drop_lease(SITE, "socket-1", "b"))
        assert not await hold(store, "b", 1)
        await store.run(lambda tx: tx.drop_lease(SITE, "socket-1", "a"))
        assert await hold(store, "b", 1)

    async def test_heads_tell_where_conversations_stand(self, store: Store) -> None:
        """Next number, epoch and open stream of each that exists here; of no other site."""

        def unit(tx: Tx) -> None:
            tx.insert_conversation(replace(make.conversation("c1"), next_n=7, epoch=3))
            tx.insert_conversation(make.conversation("c2"))
            tx.insert_turn(make.turn())
            tx.write_stream(SITE, ConversationId("c1"), TurnId("t1"), 2, "Hel")
            tx.write_stream(SITE, ConversationId("c1"), TurnId("t1"), 2, "Hello")

        await store.run(unit)
        asked = [ConversationId(name) for name in ("c1", "c2", "nobody's", 'it\'s "quoted"')]

        found = await store.read(lambda tx: tx.heads(SITE, asked))
        second = make.conversation("c2")
        assert found == {
            "c1": Head(next_n=7, epoch=3, stream=(TurnId("t1"), 2, 2)),
            "c2": Head(next_n=second.next_n, epoch=second.epoch),
        }
        assert await store.read(lambda tx: tx.heads(OTHER_SITE, asked)) == {}
        assert await store.read(lambda tx: tx.heads(SITE, [])) == {}

    async def test_channels_are_weighed_by_their_open_handoffs(self, store: Store) -> None:
        """Each channel counts the open handoffs whose newest thread is there; ended ones count nowhere."""
        ended = make.handoff("h4", "c4", thread=Thread(desk=DESK, channel=ChannelId("CA"), root=RemoteRef("CA/4")))

        def unit(tx: Tx) -> None:
            for number, channel in enumerate(("CA", "CA", "CB"), start=1):
                tx.insert_conversation(make.conversation(f"c{number}"))
                thread = Thread(desk=DESK, channel=ChannelId(channel), root=RemoteRef(f"{channel}/{number}"))
                tx.insert_handoff(make.handoff(f"h{number}", f"c{number}", thread=thread))
            tx.insert_conversation(make.conversation("c4"))
            tx.insert_handoff(replace(ended, state=HandoffState.CLOSED))

        await store.run(unit)
        assert await store.read(lambda tx: tx.channel_loads(SITE, DESK)) == {"CA": 2, "CB": 1}
        assert await store.read(lambda tx: tx.channel_loads(OTHER_SITE, DESK)) == {}

    async def test_old_sources_are_forgotten_in_portions(self, store: Store) -> None:
        """Source ids from before a time are forgotten, at most so many at once; younger ones are still known."""
        for number in range(3):
            await store.run(lambda tx, number=number: tx.remember(SITE, SourceId(f"e{number}"), at(number)))  # type: ignore[misc]

        assert await store.run(lambda tx: tx.forget_sources(at(2), limit=1)) == 1
        assert await store.run(lambda tx: tx.forget_sources(at(2))) == 1
        assert await store.run(lambda tx: tx.forget_sources(at(2))) == 0
        assert await store.run(lambda tx: tx.remember(SITE, SourceId("e0"), T0))
        assert not await store.run(lambda tx: tx.remember(SITE, SourceId("e2"), T0))
