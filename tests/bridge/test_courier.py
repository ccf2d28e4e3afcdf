"""The back door: what leaves for a desk, in which order, and what happens when an answer is lost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from bridge import outcomes
from bridge.capabilities import Part
from bridge.conversation import EntryKind, State, Thread
from bridge.courier import OPEN_AGAIN_MS, Courier
from bridge.effects import OutKind, Receipt
from bridge.errors import StoreUnavailable, ThreadUnreadable
from bridge.events import Event
from bridge.fakes.desk import FAKE_CAPABILITIES, FakeDesk, Posted
from bridge.fakes.store import MemoryStore
from bridge.ids import ConversationId, DeskName, HandoffId, Millis, OutKey, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused, RetryLater, Unknown
from bridge.pacing import Pace
from bridge.ports import Desk, Receive
from bridge.storage import Changed, Out, Store, Tx
from tests.bridge.stories import BEN, C1, DESK, SITE, Story, a_file

T = TypeVar("T")
GRACE_S = 15


class Office:
    """A story, a desk and the courier between them."""

    def __init__(self, store: Store, pace_ms: int = 1000) -> None:
        self.story = Story(store=store)
        self.desk = FakeDesk(name=DESK)
        self.pace = Pace(post_every_ms=pace_ms)
        self.courier = self.another()

    def another(
        self,
        worker: str = "w1",
        *,
        store: Store | None = None,
        desk: FakeDesk | None = None,
        receive: Receive | None = None,
        others: Mapping[DeskName, Desk] | None = None,
    ) -> Courier:
        """Return a courier as a process makes one that has just started."""
        return Courier(
            store=store or self.story.store,
            desk=desk or self.desk,
            clock=self.story.clock,
            receive=receive or self.story.door.receive,
            queue_labels={"support": "Support"},
            worker=worker,
            pace=self.pace,
            grace_ms=GRACE_S * 1000,
            others=others or {},
        )

    async def wait(self, seconds: float) -> None:
        self.story.clock.set(self.story.clock.now() + int(seconds * 1000))
        self.desk.now = self.story.clock.now()

    async def carry(self, courier: Courier | None = None) -> int:
        """Carry whatever may leave at this moment; return how many parcels that were."""
        self.desk.now = self.story.clock.now()
        count = 0
        while await (courier or self.courier).step():
            count += 1
        return count

    async def carry_all(self, seconds: int = 30) -> None:
        """Let so many seconds pass, carrying in each."""
        for _ in range(seconds):
            await self.carry()
            await self.wait(1)

    async def shown(self, ordinal: int = 1) -> list[str]:
        """Return the texts in a thread after its card and its transcript, one per line."""
        handoff = await self.story.handoff()
        roots = [m.ref for m in self.desk.messages.values() if m.kind is OutKind.CARD]
        assert handoff is not None
        return [
            text
            for message in self.desk.thread(roots[ordinal - 1])
            if message.kind is OutKind.POST
            for text in message.texts
        ]

    def posts(self) -> list[Posted]:
        return [m for m in self.desk.messages.values() if m.kind is OutKind.POST]

    async def dead(self) -> int:
        return len(await self.story.look(lambda tx: tx.dead_outs(SITE)))


@pytest.fixture
async def office(store: Store) -> Office:
    """A conversation that Dana has taken, its thread open and everything delivered."""
    made = Office(store)
    await made.story.says("my parcel is late")
    await made.story.escalates()
    await made.carry_all(3)
    await made.story.takes()
    await made.carry_all(3)
    made.desk.sent.clear()
    return made


class Through:
    """A store that is away for the first units, or whose process dies at the next one."""

    def __init__(self, store: Store, away: int = 0) -> None:
        self.store, self.away, self.dead = store, away, False

    async def run(self, unit: Callable[[Tx], T]) -> T:
        if self.dead:
            raise asyncio.CancelledError
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        return await self.store.run(unit)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self.store.read(unit)

    async def close(self) -> None:
        await self.store.close()


# --- the first post


async def test_a_handoff_opens_its_thread_with_card_and_transcript(store: Store) -> None:
    """The card first, then what was said, then what is said: nothing before the thread is open."""
    made = Office(store)
    await made.story.says("my parcel is late")
    await made.story.escalates()
    await made.story.says("hello?")

    await made.carry_all(4)

    assert [sent.kind for sent in made.desk.sent] == [OutKind.CARD, OutKind.TRANSCRIPT, OutKind.POST]
    card, transcript, post = made.desk.messages.values()
    assert card.card is not None
    assert (card.card.ticket, card.card.queue, card.card.operator_name) == ("H-1001", "Support", "")
    assert transcript.texts == ("my parcel is late",)
    assert post.texts == ("hello?",)
    assert (transcript.root, post.root) == (card.ref, card.ref)
    assert await made.story.root() == card.ref


async def test_the_card_follows_the_state(office: Office) -> None:
    """Each change of owner is shown on the same card."""
    root = await office.story.root()
    card = office.desk.messages[root].card
    assert card is not None
    assert card.operator_name == "Dana"
    await office.story.returns(note="done")
    await office.carry_all(3)

    card = office.desk.messages[root].card
    assert card is not None
    assert (card.state.value, card.actions) == ("returned", ("reopen",))


async def test_a_second_handoff_links_to_the_first(office: Office) -> None:
    """Its card names the ticket before it, and its transcript tells both stretches."""
    await office.story.types("It left yesterday")
    await office.story.returns()
    await office.story.escalates("e2")
    await office.carry_all(5)

    cards = [m.card for m in office.desk.messages.values() if m.card is not None]
    assert [(card.ticket, card.previous) for card in cards] == [("H-1001", None), ("H-1002", "H-1001")]
    assert [card.last_words for card in cards] == ["my parcel is late"] * 2
    transcript = [m for m in office.desk.messages.values() if m.kind is OutKind.TRANSCRIPT][-1]
    assert transcript.texts == ("my parcel is late", "It left yesterday")


# --- order and pace


async def test_what_waits_leaves_together_in_order(office: Office) -> None:
    """One post a second: lines that wait for it go in one post, one part each."""
    await office.story.says("one")
    await office.carry()
    for text in ("two", "three", "four"):
        await office.story.says(text)
    office.story.clock.set(office.story.clock.now() + 1000)
    await office.carry()

    posts = office.posts()[-2:]
    assert [post.texts for post in posts] == [("one",), ("two", "three", "four")]
    assert all(part.total == 1 for post in posts for part in post.parts)


async def test_each_line_of_a_post_tells_how_long_it_waited(office: Office) -> None:
    """Those over five seconds, each for itself: the operator knows what is old."""
    office.story.step_ms = 0
    await office.story.says("old")
    await office.wait(14)
    await office.story.says("young")
    await office.carry()

    ages = [(part.text, part.late_ms // 1000) for part in office.posts()[-1].parts]
    assert ages == [("old", 14), ("young", 0)]


async def test_one_update_shows_the_newest_card(office: Office) -> None:
    """Changes of a card that wait together are one call, and all of them are settled by it."""
    await office.story.releases()
    await office.story.takes()
    await office.story.releases()
    await office.carry()
    office.desk.sent.clear()
    await office.carry_all(3)

    cards = [sent for sent in office.desk.sent if sent.kind is OutKind.CARD]
    card = office.desk.messages[await office.story.root()].card
    assert len(cards) == 1
    assert card is not None
    assert card.state.value == "waiting"
    assert await office.story.unsent() == []


async def test_a_channel_takes_one_post_per_pause(office: Office) -> None:
    """Two conversations in one channel share its budget; refreshing a card uses none of it and holds up no line."""
    one = office.story
    other = Story(store=one.store, clock=one.clock, conversation=ConversationId("c2"), mint=one.mint)
    await other.says("hi")
    await other.escalates(conversation_id="c2")
    await office.carry_all(4)
    office.desk.sent.clear()
    office.story.step_ms = other.step_ms = 0
    await office.story.says("from one")
    await other.says("from two")
    await office.story.transfers(to_operator=BEN)
    assert await office.carry() == 1
    await office.wait(0.5)
    assert await office.carry() == 0
    await office.wait(0.5)
    assert await office.carry() == 2
    assert [sent.kind for sent in office.desk.sent] == [OutKind.POST, OutKind.POST, OutKind.CARD]
    passed = "Dana passed this conversation to Ben."
    assert sorted(m.texts for m in office.posts()[-2:]) == [("from one", passed), ("from two",)]


async def test_a_rate_limit_keeps_order_and_costs_nothing(office: Office) -> None:
    """However often the vendor says "later", nothing dies, nothing overtakes, and nothing leaves too early."""
    await office.story.says("one")
    office.desk.script = [(RetryLater(after_s=7, reason="ratelimited", channel_wide=True), False)] * 12
    for _ in range(12):
        assert await office.carry() == 1
        await office.story.says("more")
        await office.wait(5.9)
        assert await office.carry() == 0
        await office.wait(0.2)
    await office.carry_all(3)

    assert (await office.shown())[1:] == ["one"] + ["more"] * 12
    assert await office.dead() == 0


async def test_couriers_side_by_side_send_each_line_once(office: Office) -> None:
    """Several couriers on one desk never send the same line twice nor out of order."""
    couriers = [office.courier, office.another("w2"), office.another("w3")]
    for number in range(10):
        await office.story.says(f"line {number}")
        office.desk.now = office.story.clock.now()
        await asyncio.gather(*(courier.step() for courier in couriers))
    await office.carry_all(5)

    assert (await office.shown())[1:] == [f"line {number}" for number in range(10)]


# --- unclear sends


@pytest.mark.parametrize("applied", [True, False])
async def test_an_unclear_send_rests_and_is_looked_for(office: Office, applied: bool) -> None:
    """After a lost answer nothing is sent for G; then it is found, or sent again with the same key: once in the end."""
    await office.story.says("one")
    office.desk.script = [(Unknown(reason="timeout"), applied)]
    await office.carry()
    key = office.desk.sent[-1].key
    await office.story.says("two")
    await office.wait(GRACE_S - 2)
    assert await office.carry() == 0

    await office.wait(2)
    await office.carry_all(3)

    assert (await office.shown())[1:] == ["one", "two"]
    assert [m.key for m in office.posts() if m.texts == ("one",)] == [key]
    assert (await office.story.unsent()) == []


async def test_an_exception_of_the_desk_is_unclear(office: Office) -> None:
    """Whatever an adapter raises, the line is looked for before it is sent again."""
    await office.story.says("one")
    office.desk.script = [(ConnectionResetError(), False)]
    await office.carry()
    assert await office.carry() == 0
    await office.wait(GRACE_S)
    await office.carry_all(2)

    assert (await office.shown())[1:] == ["one"]


async def test_the_lines_of_an_unclear_post_stay_together(office: Office) -> None:
    """What was frozen as one post is looked for and sent again as exactly that post; later lines wait."""
    office.desk.script = [(Unknown(reason="timeout"), False)]
    await office.story.says("one")
    await office.story.says("two")
    await office.carry()
    await office.story.says("three")
    await office.wait(GRACE_S)
    await office.carry_all(3)

    assert [post.texts for post in office.posts()[1:]] == [("one", "two"), ("three",)]


async def test_our_own_echo_settles_it_sooner(office: Office) -> None:
    """When the vendor shows us our post, nobody looks for it any more, and the lane goes on."""
    await office.story.says("one")
    office.desk.script = [(Unknown(reason="timeout"), True)]
    await office.carry()
    post = office.posts()[-1]
    now = office.story.clock.now()
    await office.story.store.run(lambda tx: tx.settle_echo(SITE, DESK, post.key, post.ref, now))
    await office.story.says("two")
    await office.wait(1)
    await office.carry()

    assert (await office.shown())[1:] == ["one", "two"]


async def test_after_three_looks_people_are_asked(office: Office) -> None:
    """A send that stays unclear is read back three times, then people are told, once, and may choose."""
    office.desk.script = [(Unknown(reason="timeout"), False)] * 20
    await office.story.says("one")
    sends = 0
    for _ in range(6):
        await office.carry()
        sends = sum(1 for sent in office.desk.sent if sent.kind is OutKind.POST)
        if await office.dead():
            break
        await office.wait(GRACE_S)
    office.desk.script = []
    await office.carry_all(3)

    assert sends == outcomes.MAX_LOOKS + 1
    dead = await office.story.look(lambda tx: tx.dead_outs(SITE))
    assert [(out.maybe_sent, out.reason) for out in dead] == [(True, "timeout")]
    notice = office.posts()[-1]
    assert notice.parts[-1].actions == ("retry_send", "it_arrived")
    assert notice.parts[-1].target == dead[0].n
    assert (await office.story.notices()).count("delivery_maybe") == 1


async def test_where_the_thread_cannot_be_read_people_are_asked_too(office: Office) -> None:
    """A vendor that refuses to be read is asked again at its own time, three times, and then people decide."""
    office.desk.script = [(Unknown(reason="timeout"), False)]
    office.desk.unreadable = ThreadUnreadable("missing_scope", after_s=40)
    await office.story.says("one")
    await office.carry()
    await office.wait(GRACE_S)
    assert await office.carry() == 1
    await office.wait(39)
    assert await office.carry() == 0
    for _ in range(3):
        await office.wait(41)
        await office.carry()

    assert await office.dead() == 1
    assert (await office.story.notices())[-1] == "delivery_maybe"
    assert [m.texts for m in office.posts()].count(("one",)) == 0


@pytest.mark.parametrize("applied", [True, False])
async def test_a_courier_that_dies_while_sending_loses_and_doubles_nothing(office: Office, applied: bool) -> None:
    """Killed between the freezing and the answer: another one looks after the lease, and sends what is not there."""

    class Deadly(FakeDesk):
        async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
            if applied:
                await office.desk.post(thread, parts, key)
            raise asyncio.CancelledError

    await office.story.says("one")
    with pytest.raises(asyncio.CancelledError):
        await office.another("dying", desk=Deadly(name=DESK)).step()
    await office.story.says("two")
    assert await office.carry() == 0
    await office.wait(61)
    await office.carry_all(3)

    assert (await office.shown())[1:] == ["one", "two"]
    assert await office.dead() == 0


# --- files that follow a post


def names(office: Office) -> list[str]:
    """Return the files in the thread."""
    return [name for _, name in office.desk.uploads]


async def test_a_file_follows_its_line(office: Office) -> None:
    """Where all goes well, a line and its file are sent in one call, and nothing is read back."""
    await office.story.says("look", files=(a_file("lamp.jpg"),))
    await office.carry_all(GRACE_S + 5)

    assert (await office.shown())[1:] == ["look"]
    assert names(office) == ["lamp.jpg"]


async def test_an_unclear_post_that_is_there_gets_its_files(office: Office) -> None:
    """After a lost answer the post is found, its file follows it, and only then the next line."""
    await office.story.says("look", files=(a_file("lamp.jpg"),))
    office.desk.script = [(Unknown(reason="timeout"), True)]
    await office.carry()
    await office.story.says("two")
    assert names(office) == []
    await office.wait(GRACE_S)
    await office.carry_all(GRACE_S + 5)

    assert (await office.shown())[1:] == ["look", "two"]
    assert names(office) == ["lamp.jpg"]
    assert (await office.story.unsent()) == []


@pytest.mark.parametrize("uploaded", [True, False])
async def test_a_courier_that_dies_between_a_post_and_its_files_loses_none(office: Office, uploaded: bool) -> None:
    """Killed before or after the upload: the next process brings what is missing, once, G later."""

    class Deadly(FakeDesk):
        async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
            office.desk.script = [] if uploaded else [(Unknown(reason="died"), True)]
            await office.desk.post(thread, parts, key)
            raise asyncio.CancelledError

    await office.story.says("look", files=(a_file("lamp.jpg"), a_file("bill.pdf")))
    with pytest.raises(asyncio.CancelledError):
        await office.another("dying", desk=Deadly(name=DESK)).step()
    assert names(office) == (["lamp.jpg", "bill.pdf"] if uploaded else [])
    await office.wait(GRACE_S + 1)
    await office.carry_all(3)

    assert (await office.shown())[1:] == ["look"]
    assert names(office) == ["lamp.jpg", "bill.pdf"]
    assert await office.dead() == 0


async def test_the_whole_transcript_follows_an_unclear_post(store: Store) -> None:
    """A long conversation's transcript file is not lost with the answer to its post."""
    made = Office(store)
    for number in range(120):
        await made.story.says(f"line {number}")
    await made.story.escalates()
    made.desk.script = [(Delivered(ref=RemoteRef("C-support:1")), True), (Unknown(reason="timeout"), True)]
    await made.carry_all(3)
    assert names(made) == []
    await made.carry_all(GRACE_S + 2)

    assert [m.kind for m in made.desk.messages.values()] == [OutKind.CARD, OutKind.TRANSCRIPT]
    assert names(made) == ["transcript-H-1001.txt"]


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize(
    "outcome", [Unknown(reason="reset"), RetryLater(after_s=20, reason="ratelimited"), ThreadUnreadable("rationed")]
)
async def test_files_in_doubt_are_asked_about_again(
    office: Office, outcome: Outcome | ThreadUnreadable, applied: bool
) -> None:
    """While an upload falters its post stays unclear, and is neither sent again nor given up at once."""
    await office.story.says("look", files=(a_file("lamp.jpg"),))
    office.desk.script = [(Unknown(reason="timeout"), True), (outcome, applied)]
    await office.carry()
    await office.wait(GRACE_S)
    assert await office.carry() == 1
    assert len(await office.story.unsent()) == 1
    await office.carry_all(3 * GRACE_S)

    assert (await office.shown())[1:] == ["look"]
    assert names(office) == ["lamp.jpg"]
    assert await office.dead() == 0
    assert (await office.story.unsent()) == []


async def test_files_that_stay_in_doubt_are_told_to_people(office: Office) -> None:
    """After the last look people read that it is unclear and may choose; nothing is dropped without a word."""
    await office.story.says("look", files=(a_file("lamp.jpg"),))
    office.desk.script = [(Unknown(reason="timeout"), True)]
    office.desk.script += [(Unknown(reason="reset"), False)] * outcomes.MAX_LOOKS
    await office.carry()
    await office.carry_all(12 * GRACE_S)

    assert [m.texts for m in office.posts()].count(("look",)) == 1
    assert (await office.story.notices())[-1] == "delivery_maybe"
    assert await office.dead() == 1


# --- refusals


async def test_what_a_dead_process_had_under_way_is_settled_g_later(office: Office) -> None:
    """Its lane is nobody's after G, not later: the next process looks, sends, and the lines behind follow."""
    await office.story.says("sent, and nobody knows")
    await office.wait(2)
    dead = Through(office.story.store)
    office.desk.script = [(Unknown(reason="reset"), False)]
    courier = office.another("w2", store=dead)
    parcel = await dead.run(lambda tx: courier._claim(tx, office.story.clock.now()))
    assert parcel is not None
    dead.dead = True
    with pytest.raises(asyncio.CancelledError):
        await courier._send(parcel)
    await office.story.says("behind it")

    await office.wait(GRACE_S - 2)
    assert await office.carry() == 0
    await office.wait(2)
    await office.carry_all(3)

    assert [text for text in await office.shown() if "taken" not in text][-2:] == [
        "sent, and nobody knows",
        "behind it",
    ]


async def test_a_refused_line_is_a_dead_letter_and_never_silent(office: Office) -> None:
    """People read in the thread what did not arrive and why, once, with *Send again*; later lines go on."""
    office.desk.script = [(Refused(reason="msg_too_strange", remedy="Use words."), False)]
    await office.story.says("one")
    await office.carry()
    await office.story.says("two")
    await office.carry_all(4)

    texts = (await office.shown())[1:]
    assert max(texts) == "two"
    notices = [p for m in office.posts() for p in m.parts if p.actions == ("retry_send",)]
    assert len(notices) == 1
    assert "msg_too_strange" in notices[0].text
    assert "Use words." in notices[0].text
    dead = await office.story.look(lambda tx: tx.dead_outs(SITE))
    assert [out.n for out in dead] == [notices[0].target]


async def test_what_nobody_can_send_until_it_is_mended_waits(office: Office) -> None:
    """A dead token or an archived channel buries nothing: lines wait in their order, tried again after two G each."""
    locked = Refused(reason="token_revoked", remedy="Install it again.", until_mended=True)
    office.desk.script = [(locked, False)] * 3
    await office.story.says("one")
    await office.carry()
    await office.story.says("two")
    await office.wait(2 * GRACE_S - 2)
    assert await office.carry() == 0
    await office.wait(2)
    assert await office.carry() == 1
    await office.carry_all(5 * GRACE_S)

    assert (await office.shown())[1:] == ["one", "two"]
    assert await office.dead() == 0


async def test_every_line_of_a_refused_post_is_reported(office: Office) -> None:
    """Lines that left together and were refused together each have their notice."""
    office.desk.script = [(Refused(reason="invalid_blocks", remedy="Tell us."), False)]
    await office.story.says("one")
    await office.story.says("two")
    await office.carry()

    assert (await office.story.notices()).count("delivery_dead") == 2
    assert await office.dead() == 2


async def test_a_notice_that_cannot_be_posted_makes_no_further_notice(office: Office) -> None:
    """What the bridge itself says is buried without a word, or it would speak for ever."""
    office.desk.script = [(Refused(reason="no", remedy="no"), False)] * 50
    await office.story.says("one")
    await office.carry_all(20)

    assert (await office.story.notices()).count("delivery_dead") == 1


async def test_a_revived_letter_is_sent_again(office: Office) -> None:
    """*Send again* queues it anew, with a key of its own."""
    office.desk.script = [(Refused(reason="no", remedy="no"), False)]
    await office.story.says("one")
    await office.carry()
    key = office.desk.sent[-1].key
    dead = (await office.story.look(lambda tx: tx.dead_outs(SITE)))[0]
    now = office.story.clock.now()
    await office.story.store.run(lambda tx: tx.revive(dead, now))
    await office.carry_all(3)

    again = next(m for m in office.posts() if "one" in m.texts)
    assert again.key != key
    assert await office.dead() == 0


@pytest.mark.parametrize("how", ["refused", "unclear"])
async def test_a_card_that_cannot_be_posted_is_tried_until_it_can(store: Store, how: str) -> None:
    """Without its card nobody hears of a handoff: it is never given up, and nothing of it is posted elsewhere."""
    made = Office(store)
    answer: Outcome = Refused(reason="channel_not_found", remedy="Invite the bot.")
    if how == "unclear":
        answer = Unknown(reason="timeout")
    made.desk.script = [(answer, False)] * 10
    await made.story.says("help")
    await made.story.escalates()
    await made.story.says("anybody?")
    for _ in range(12):
        await made.carry()
        await made.wait(OPEN_AGAIN_MS / 1000 + 1)
    await made.carry_all(3)

    assert await made.dead() == 0
    kinds = [m.kind for m in made.desk.messages.values()]
    assert kinds == [OutKind.CARD, OutKind.TRANSCRIPT, OutKind.POST]
    assert await made.shown() == ["anybody?"]


# --- long lines


async def test_a_line_over_a_posts_limits_is_several_posts_in_order(office: Office) -> None:
    """Nothing of a long line is cut: it becomes as many posts as it needs, with the pause between them."""
    text = "".join(f"word{number} " for number in range(4000))
    await office.story.says(text)
    await office.story.says("after")
    task = asyncio.create_task(office.carry())
    while not task.done():
        await office.story.clock.advance(1)
    await office.carry_all(4)

    assert "".join((await office.shown())[1:]) == text + "after"
    assert len(office.posts()) > len(text) // FAKE_CAPABILITIES.post_max_chars
    assert len({post.key for post in office.posts()}) == len(office.posts())


@pytest.mark.parametrize(
    "outcome, applied",
    [
        (Unknown(reason="timeout"), True),
        (Unknown(reason="timeout"), False),
        (RetryLater(after_s=100, reason="ratelimited"), False),
        (RetryLater(after_s=3, reason="ratelimited"), False),
        (Refused(reason="token_revoked", remedy="Install it again.", until_mended=True), False),
    ],
)
async def test_a_long_line_that_breaks_off_goes_on_where_it_broke(
    office: Office, outcome: Outcome, applied: bool
) -> None:
    """What of it is there is not sent again, what is missing follows."""
    text = "".join(f"word{number} " for number in range(4000))
    office.desk.script = [(Delivered(), True), (Delivered(), True), (outcome, applied)]
    await office.story.says(text)
    task = asyncio.create_task(office.carry())
    while not task.done():
        await office.story.clock.advance(1)
    await office.story.says("after")
    await office.wait(GRACE_S)
    for _ in range(60):
        office.desk.now = office.story.clock.now()
        task = asyncio.create_task(office.carry())
        await office.story.clock.advance(1)
        while not task.done():
            await office.story.clock.advance(1)

    assert "".join((await office.shown())[1:]) == text + "after"
    assert await office.dead() == 0


# --- threads that move


async def test_a_transfer_opens_a_new_thread_and_leaves_word_in_the_old(office: Office) -> None:
    """The new card has the whole story; the old one says where it went and has no buttons."""
    await office.story.types("It left yesterday")
    await office.story.transfers(to_queue="billing")
    await office.carry_all(6)

    first, second = [m for m in office.desk.messages.values() if m.card is not None]
    assert first.card is not None
    assert second.card is not None
    assert (first.card.actions, second.card.actions[:1]) == ((), ("take",))
    assert first.card.state_line == "Moved to billing"
    assert second.channel == "C-billing"
    recap = [m for m in office.desk.thread(second.ref) if m.kind is OutKind.TRANSCRIPT]
    assert [m.texts for m in recap] == [("my parcel is late", "It left yesterday")]
    await office.story.says("and now?")
    await office.carry_all(2)
    assert (await office.shown(2))[-1] == "and now?"


async def test_a_thread_whose_root_was_deleted_is_opened_anew(office: Office) -> None:
    """The line that found no thread, and those behind it, are told in a new one; nothing is lost or said twice."""
    root = await office.story.root()
    await office.story.says("one")
    office.desk.lose_root(root)
    await office.carry()
    await office.story.says("two")
    await office.carry_all(6)

    assert (await office.story.row()).state is State.HUMAN
    handoff = await office.story.handoff()
    assert handoff.thread.ordinal == 2
    thread = office.desk.thread(handoff.thread.root or root)
    assert [m.kind for m in thread][:2] == [OutKind.CARD, OutKind.TRANSCRIPT]
    assert thread[1].texts == ("my parcel is late", "one")
    rest = [text for m in thread[2:] for text in m.texts]
    assert rest[-1] == "two"
    assert rest.count("one") == 0
    assert (await office.story.notices()).count("thread_gone") == 1
    await office.story.types("still here?")
    assert (await office.story.screen())[-1] == "still here?"


# --- changes of what was posted


async def test_an_edit_waits_until_the_post_has_a_name_on_the_desk(office: Office) -> None:
    """A change of a post that is still unclear follows it, and changes that very message; a removal takes it away."""
    story = office.story
    office.desk.script = [(Unknown(reason="timeout"), True)]
    receipt = await story.says("teh parcel")
    await office.carry()
    assert receipt.n is not None
    await _change(story, receipt.n, EntryKind.EDIT, OutKind.EDIT, "the parcel")
    assert await office.carry() == 0
    await office.wait(GRACE_S)
    await office.carry_all(2)
    assert (await office.shown())[1:] == ["the parcel"]

    await _change(story, receipt.n, EntryKind.DELETE, OutKind.DELETE, "")
    await office.carry_all(2)
    assert (await office.shown())[1:] == []


async def _change(story: Story, target: int, kind: EntryKind, out: OutKind, text: str) -> None:
    """Change a customer's line, as a widget that lets customers do so would."""
    row, handoff, log = await story.row(), await story.handoff(), await story.log()
    line = next(entry for entry in log if entry.n == target)
    change = replace(line, n=row.next_n, kind=kind, text=text, target=target, remote=None, at=Millis(row.last_at + 1))

    def unit(tx: Tx) -> None:
        tx.append(SITE, C1, change)
        tx.save_conversation(replace(row, next_n=row.next_n + 1), was_epoch=row.epoch)
        tx.enqueue(_out(story, handoff.id, out, change.n))

    await story.store.run(unit)


def _out(story: Story, handoff: HandoffId, kind: OutKind, n: int) -> Out:
    key = OutKey(story.mint("o"))
    now = story.clock.now()
    return Out(site=SITE, conversation=C1, handoff=handoff, ordinal=1, k=0, kind=kind, key=key, n=n, queued_at=now)


async def test_a_repeatable_call_is_simply_repeated(office: Office) -> None:
    """Refreshing a card, editing and deleting have the same end however often: after G they are done again unread."""
    office.desk.unreadable = ThreadUnreadable("never")
    office.desk.script = [(Delivered(), True), (Unknown(reason="timeout"), False)]
    await office.story.returns()
    await office.carry_all(GRACE_S + 5)

    card = office.desk.messages[await office.story.root()].card
    assert card is not None
    assert card.state.value == "returned"
    assert await office.dead() == 0


# --- the loop


async def test_the_running_courier_wakes_by_hints_and_stops(office: Office) -> None:
    """`run` carries what a hint announces, survives a store that is away, and ends when told."""

    courier = office.another("runner", store=Through(office.story.store, away=2))
    await office.story.says("one")
    office.desk.now = office.story.clock.now()
    task = asyncio.create_task(courier.run())
    async with asyncio.timeout(10):
        while not any("one" in m.texts for m in office.posts()):
            await office.story.clock.advance(1)
    await courier.stop()
    async with asyncio.timeout(10):
        await task


async def test_hints_for_other_desks_wake_nobody() -> None:
    """A courier only listens for its own desk."""
    office = Office(MemoryStore())
    office.courier.changed(Changed(site=SITE, conversation=C1, desk=DeskName("teams")))
    assert not office.courier._wake.is_set()
    office.courier.changed(Changed(site=SITE, conversation=C1, desk=DESK))
    assert office.courier._wake.is_set()


async def test_a_crash_after_the_notice_and_before_the_burial_says_it_once(office: Office) -> None:
    """The notice of a dead letter comes before its row is settled: dying in between neither loses nor repeats it."""

    through = Through(office.story.store)

    async def receive(event: Event) -> Receipt:
        receipt = await office.story.door.receive(event)
        through.dead = True
        return receipt

    dying = office.another("dying", store=through, receive=receive)
    office.desk.script = [(Refused(reason="no", remedy="no"), False)] * 2
    await office.story.says("one")
    with pytest.raises(asyncio.CancelledError):
        await dying.step()
    assert (await office.story.notices()).count("delivery_dead") == 1
    await office.wait(61)
    await office.carry_all(3)

    assert (await office.story.notices()).count("delivery_dead") == 1
    assert await office.dead() == 1
