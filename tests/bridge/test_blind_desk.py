"""A desk whose threads nobody can read back: what may be there already is sent once more and says so."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.capabilities import Part, Support
from bridge.conversation import Thread
from bridge.effects import OutKind
from bridge.fakes.desk import FAKE_CAPABILITIES, FakeDesk
from bridge.fakes.store import MemoryStore
from bridge.ids import OutKey
from bridge.outcomes import Outcome, RetryLater, Unknown
from bridge.storage import Store
from tests.bridge.test_courier import GRACE_S, Office, Through

BLIND = replace(FAKE_CAPABILITIES, read_back=Support.REJECTED)
TIMEOUT = Unknown(reason="timeout")


@pytest.fixture
async def office(store: Store) -> Office:
    """A conversation that Dana has taken on such a desk, its thread open and everything delivered."""
    made = Office(store)
    made.desk.capabilities = BLIND
    await made.story.says("my parcel is late")
    await made.story.escalates()
    await made.carry_all(3)
    await made.story.takes()
    await made.carry_all(3)
    made.desk.sent.clear()
    return made


class Deadly(FakeDesk):
    """A desk at whose post the process dies, before it knows the answer."""

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        await super().post(thread, parts, key)
        raise asyncio.CancelledError


def labelled(office: Office) -> list[tuple[str, bool]]:
    """Return what was posted after the handoff, and whether it says that it may be there twice."""
    return [(part.text, part.again) for post in office.posts()[1:] for part in post.parts]


@pytest.mark.parametrize("applied", [True, False])
async def test_an_unclear_post_is_sent_once_more_with_a_label(office: Office, applied: bool) -> None:
    """Whether it was there or not, after G it is there, and the second one says what it is."""
    await office.story.says("one")
    office.desk.script = [(TIMEOUT, applied)]
    await office.carry()
    await office.wait(GRACE_S - 1)
    assert await office.carry() == 0
    await office.carry_all(3)
    await office.story.says("two")
    await office.carry_all(3)

    assert labelled(office) == [*([("one", False)] if applied else []), ("one", True), ("two", False)]
    assert await office.dead() == 0
    assert await office.story.unsent() == []


async def test_after_the_second_try_people_are_asked(office: Office) -> None:
    """There is no third one: they read that it may have been sent, and may choose."""
    await office.story.says("one")
    office.desk.script = [(TIMEOUT, False)] * 2
    await office.carry_all(5 * GRACE_S)

    assert sum(1 for sent in office.desk.sent if sent.kind is OutKind.POST) == 3
    assert office.posts()[-1].parts[-1].actions == ("retry_send", "it_arrived")
    assert (await office.story.notices()).count("delivery_maybe") == 1
    assert await office.dead() == 1


async def test_a_second_try_that_has_to_wait_keeps_its_label(office: Office) -> None:
    """A 429 in between changes nothing about what may be there."""
    await office.story.says("one")
    office.desk.script = [(TIMEOUT, True), (RetryLater(after_s=3, reason="429", channel_wide=True), False)]
    await office.carry_all(2 * GRACE_S)
    assert labelled(office) == [("one", False), ("one", True)]


async def test_what_a_dead_process_had_under_way_is_labelled(office: Office) -> None:
    """Nobody knows whether it left: the next process sends it, labelled, and what waits behind it follows as it is."""
    await office.story.says("one")
    await office.wait(2)
    dead = Through(office.story.store)
    courier = office.another("w2", store=dead)
    parcel = await dead.run(lambda tx: courier._claim(tx, office.story.clock.now()))
    assert parcel is not None
    assert not parcel.parts[0].again
    await office.story.says("two")
    await office.carry_all(3 * GRACE_S)

    assert labelled(office) == [("one", True), ("two", False)]


async def test_processes_that_die_again_do_not_repeat_it_for_ever(office: Office) -> None:
    """After two tries that nobody saw the end of, people are asked."""
    await office.story.says("one")
    office.desk.script = [(TIMEOUT, False)]
    await office.carry()
    await office.wait(GRACE_S)
    deadly = Deadly(name=office.desk.name, capabilities=BLIND)
    with pytest.raises(asyncio.CancelledError):
        await office.another("w2", desk=deadly).step()
    await office.carry_all(3 * GRACE_S)

    assert [sent.kind for sent in deadly.sent] == [OutKind.POST]
    assert "one" not in [text for text, _ in labelled(office)]
    assert await office.dead() == 1


async def test_a_card_is_posted_until_it_is_there(office: Office) -> None:
    """Without it nobody hears of the customer, so it is never given up; each further one says that it is one."""
    made = Office(MemoryStore())
    made.desk.capabilities = BLIND
    await made.story.says("help")
    await made.story.escalates()
    made.desk.script = [(TIMEOUT, True)] * 3
    await made.carry_all(400)

    cards = [message.card for message in made.desk.messages.values() if message.kind is OutKind.CARD]
    assert [card.again for card in cards if card is not None] == [False, True, True, True]
    assert await made.story.unsent() == []


async def test_a_transcript_that_may_be_there_says_so(store: Store) -> None:
    """Like a line."""
    made = Office(store)
    made.desk.capabilities = BLIND
    await made.story.says("help")
    await made.story.escalates()
    await made.carry()
    await made.wait(2)
    made.desk.script = [(TIMEOUT, True)]
    await made.carry_all(2 * GRACE_S)

    told = [m.transcript.again for m in made.desk.messages.values() if m.transcript is not None]
    assert told == [False, True]


async def test_where_it_can_be_read_back_nothing_is_labelled(store: Store) -> None:
    """There nobody has to guess."""
    made = Office(store)
    await made.story.says("my parcel is late")
    await made.story.escalates()
    await made.carry_all(3)
    await made.story.says("one")
    made.desk.script = [(TIMEOUT, False)]
    await made.carry_all(2 * GRACE_S)
    assert not any(part.again for post in made.posts() for part in post.parts)
