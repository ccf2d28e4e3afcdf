"""A budget that allows several at once: it is spent, in the store, and fills up again by the clock."""

import pytest

from bridge.conversation import EntryKind
from bridge.effects import OutKind
from bridge.pacing import Pace
from bridge.storage import Store
from tests.bridge.test_courier import Office, _change


@pytest.fixture
async def office(store: Store) -> Office:
    """A conversation that Dana has taken, its thread open and everything delivered."""
    made = Office(store)
    await made.story.says("my parcel is late")
    await made.story.escalates()
    await made.carry_all(3)
    await made.story.takes()
    await made.carry_all(60)
    return made


async def test_so_many_changes_leave_at_once_and_no_more(office: Office) -> None:
    """Ten, then one in one and a half seconds."""
    line = await office.story.says("befor")
    assert line.n is not None
    await office.carry_all(20)
    for number in range(14):
        await _change(office.story, line.n, EntryKind.EDIT, OutKind.EDIT, f"after {number}")
    office.desk.sent.clear()

    assert await office.carry() == 10
    await office.wait(1.5)
    assert await office.carry() == 1
    await office.carry_all(6)
    assert [sent.kind for sent in office.desk.sent] == [OutKind.EDIT] * 14
    assert (await office.shown())[-1] == "after 13"


async def test_so_many_posts_leave_at_once_and_no_more(store: Store) -> None:
    """Where a desk allows four posts at once, the fifth waits for its time; what waited leaves as one."""
    made = Office(store)
    made.pace = Pace(post_every_ms=60_000, posts_at_once=4)
    made.courier = made.another()
    await made.story.says("my parcel is late")
    await made.story.escalates()
    left = []
    for number in range(5):
        await made.story.says(f"line {number}")
        left.append(await made.carry())

    assert left == [3, 1, 0, 0, 0]
    await made.wait(60)
    assert await made.carry() == 1
    assert [message.texts for message in made.posts()] == [
        ("line 0",),
        ("line 1",),
        ("line 2", "line 3", "line 4"),
    ]
