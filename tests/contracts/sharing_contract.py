"""What every store promises to processes that share it. A subclass gives the fixture `store`: empty."""

from dataclasses import replace

from bridge.conversation import HandoffState, Thread
from bridge.effects import OutKind
from bridge.ids import ChannelId, ConversationId, DeskName, HandoffId, OutKey, RemoteRef, SourceId, TurnId
from bridge.sharing import Head, Presence
from bridge.storage import Claim, Out, Store, Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import DESK, LEASE_MS, OTHER_SITE, SITE, T0, at


async def hold(store: Store, worker: str, ms: int, name: str = "socket-1") -> bool:
    return await store.run(lambda tx: tx.hold_lease(SITE, name, worker, at(ms), 1000))


async def queued(store: Store, *outs: Out) -> None:
    await store.run(lambda tx: [tx.enqueue(out) for out in outs])


async def claimed(store: Store, ms: int) -> Claim:
    found = await store.run(lambda tx: tx.claim_lane(DESK, "w1", at(ms), LEASE_MS))
    assert found is not None
    return found


class SharingContract:
    """Named leases, where many conversations stand, and how much waits for whichever process comes first."""

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

    async def test_who_is_seen_on_a_screen_is_known_until_then(self, store: Store) -> None:
        """What is known only grows, by whichever process; what the card was told is kept apart from it."""
        first, second = HandoffId("h1"), HandoffId("h2")
        await store.run(lambda tx: tx.keep_presence(SITE, [second, first], at(50)))
        await store.run(lambda tx: tx.note_presence(SITE, first, "here"))
        await store.run(lambda tx: tx.keep_presence(SITE, [first], at(90)))
        await store.run(lambda tx: tx.keep_presence(SITE, [first], at(70)))
        await store.run(lambda tx: tx.keep_presence(OTHER_SITE, [first], at(10)))
        await store.run(lambda tx: tx.keep_presence(SITE, [], at(10)))
        await store.run(lambda tx: tx.note_presence(SITE, HandoffId("h3"), "here"))

        asked = [first, second, HandoffId("h3")]
        assert await store.read(lambda tx: tx.presences(SITE, asked)) == {
            first: Presence(site=SITE, handoff=first, until=at(90), told="here"),
            second: Presence(site=SITE, handoff=second, until=at(50)),
        }
        unknown = Presence(site=SITE, handoff=second, until=at(50))
        assert await store.read(lambda tx: list(tx.untold_presences(SITE, asked))) == [unknown]
        assert await store.read(lambda tx: list(tx.untold_presences(SITE, [first]))) == []
        await store.run(lambda tx: tx.note_presence(SITE, first, "away"))
        found = await store.read(lambda tx: tx.untold_presences(SITE, asked))
        assert [(one.handoff, one.told) for one in found] == [(first, "away"), (second, "")]
        other = Presence(site=OTHER_SITE, handoff=first, until=at(10))
        assert await store.read(lambda tx: tx.presences(OTHER_SITE, asked)) == {first: other}
        assert await store.read(lambda tx: tx.presences(SITE, [])) == {}

    async def test_whose_absence_nobody_was_told_is_found(self, store: Store) -> None:
        """Those told as here whose time is over, of all sites, the longest first; leases of other names never."""
        handoffs = [HandoffId(f"h{number}") for number in range(5)]

        def unit(tx: Tx) -> None:
            for number, handoff in enumerate(handoffs):
                site = OTHER_SITE if number == 1 else SITE
                tx.keep_presence(site, [handoff], at(40 - number))
                tx.note_presence(site, handoff, "away" if number == 2 else "" if number == 3 else "here")
            tx.hold_lease(SITE, "here", "here", at(0), 1)

        await store.run(unit)
        found = await store.read(lambda tx: tx.lapsed_presences(at(40)))
        assert [(one.site, one.handoff) for one in found] == [(SITE, "h4"), (OTHER_SITE, "h1")]
        assert [one.handoff for one in await store.read(lambda tx: tx.lapsed_presences(at(40), limit=1))] == ["h4"]
        assert await store.read(lambda tx: tx.lapsed_presences(at(36))) == []

    async def test_old_presences_are_forgotten(self, store: Store) -> None:
        """Those over by then are, and no lease of another name."""
        assert await hold(store, "a", 0)
        await store.run(lambda tx: tx.keep_presence(SITE, [HandoffId("h1")], at(10)))
        await store.run(lambda tx: tx.keep_presence(SITE, [HandoffId("h2")], at(20)))

        assert await store.run(lambda tx: tx.forget_presences(at(20))) == 1
        assert list(await store.read(lambda tx: tx.presences(SITE, [HandoffId("h1"), HandoffId("h2")]))) == ["h2"]
        assert not await hold(store, "b", 999)

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

    async def test_what_waits_is_told_by_kind(self, store: Store) -> None:
        """All of a thread that is not open yet counts as new, then lines and cosmetic changes apart; what was handed to
        the vendor is still unsent.
        """
        await store.run(lambda tx: tx.insert_handoff(make.handoff()))
        await queued(store, make.card(at_ms=10), make.out(2, at_ms=20), make.out(3, kind=OutKind.EDIT, at_ms=30))

        new = await store.read(lambda tx: tx.counts(at(100)))
        mine = await claimed(store, 40)
        await store.run(lambda tx: tx.begin_send(mine, [1], OutKey("o"), at(50), at(50)))
        sending = await store.read(lambda tx: tx.counts(at(100)))
        await store.run(lambda tx: tx.delivered(mine, [1], RemoteRef("root"), at(60)))
        opened = await store.read(lambda tx: tx.counts(at(100)))

        assert [new[name] for name in ("unsent_new", "oldest_new_ms", "sending_outs")] == [3, 90, 0]
        assert [sending[name] for name in ("unsent_new", "oldest_new_ms", "sending_outs")] == [3, 90, 1]
        assert [opened[f"unsent_{kind}"] for kind in ("new", "line", "cosmetic", "outs")] == [0, 1, 1, 2]
        assert [opened[f"oldest_{kind}_ms"] for kind in ("new", "line", "cosmetic")] == [0, 80, 70]

    async def test_a_channel_says_how_long_it_rests(self, store: Store) -> None:
        """By its pace and by the vendor's wish, in ms from now, never below 0, the longest first, at most `limit`."""
        await store.run(lambda tx: tx.insert_handoff(make.handoff()))
        await queued(store, make.card(at_ms=10))
        assert set((await store.read(lambda tx: tx.channel_rests(T0))).values()) == {(0, 0)}
        mine = await claimed(store, 40)
        await store.run(lambda tx: tx.begin_send(mine, [1], OutKey("o"), at(50), at(1050)))
        paced = await store.read(lambda tx: tx.channel_rests(at(100)))
        await store.run(
            lambda tx: tx.postpone(mine, [1], not_before=at(9000), reason="429", channel_blocked_until=at(9000))
        )

        assert list(paced.values()) == [(950, 0)]
        blocked = await store.read(lambda tx: tx.channel_rests(at(100)))
        assert [by_vendor for _, by_vendor in blocked.values()] == [8900]
        assert await store.read(lambda tx: tx.channel_rests(at(9500))) == dict.fromkeys(paced, (0, 0))
        assert await store.read(lambda tx: tx.channel_rests(T0, limit=0)) == {}

    async def test_what_a_desk_remembers_is_there_for_all(self, store: Store) -> None:
        """A fact about a desk is replaced by its next value, forgotten by an empty one, and no other desk's."""
        other = DeskName("elsewhere")

        def unit(tx: Tx) -> None:
            tx.put_desk_fact(SITE, DESK, "service_url", "https://one.example/")
            tx.put_desk_fact(SITE, DESK, "service_url", "https://two.example/")
            tx.put_desk_fact(SITE, DESK, "hears", "all")
            tx.put_desk_fact(SITE, other, "hears", "mentions")
            tx.put_desk_fact(SITE, DESK, "bot", "28:a")
            tx.put_desk_fact(SITE, DESK, "bot", "")
            tx.put_desk_fact(SITE, DESK, "never", "")

        await store.run(unit)
        assert await store.read(lambda tx: tx.desk_facts(SITE, DESK)) == {
            "hears": "all",
            "service_url": "https://two.example/",
        }
        assert await store.read(lambda tx: tx.desk_facts(SITE, other)) == {"hears": "mentions"}
        assert await store.read(lambda tx: tx.desk_facts(OTHER_SITE, DESK)) == {}
