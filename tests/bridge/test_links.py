"""Notices that send people to another thread link to it, once it is there."""

import pytest

from bridge.fakes.desk import FakeDesk
from bridge.ids import QueueName, RemoteRef
from bridge.parcels import LINK_WITHIN_MS
from bridge.storage import Store
from tests.bridge.stories import BEN, C1, DESK, SITE, TEAMS
from tests.bridge.test_courier import Office


@pytest.fixture
async def office(store: Store) -> Office:
    """A conversation that Dana has taken, its thread open and everything delivered."""
    made = Office(store)
    await made.story.says("my parcel is late")
    await made.story.escalates()
    await made.carry_all(3)
    await made.story.takes()
    await made.carry_all(3)
    return made


def link(office: Office, root: RemoteRef, words: str) -> RemoteRef | None:
    """Return where the one notice with these words in this thread leads."""
    parts = [part for message in office.desk.thread(root) for part in message.parts]
    (found,) = [part for part in parts if words in part.text]
    return found.link


async def test_a_moved_conversation_is_linked_from_its_old_thread(office: Office) -> None:
    """The word that a transfer leaves behind leads to the new card; the one in the new thread leads nowhere."""
    old = await office.story.root()
    await office.story.transfers(to_queue=QueueName("billing"))
    await office.carry_all(4)
    new = await office.story.root()

    assert new != old
    assert link(office, old, "It goes on in a new thread") == new
    assert link(office, new, "moved this conversation here") is None


async def test_a_reply_in_an_old_thread_is_answered_with_a_link(office: Office) -> None:
    """Whoever types where nobody listens any more finds the way."""
    old = await office.story.root()
    await office.story.returns()
    await office.story.reopens()
    await office.carry_all(4)
    await office.story.types("and one more thing", root=old)
    await office.carry_all(2)
    new = await office.story.root()

    assert link(office, old, "took this conversation back") == new
    assert link(office, old, "This is the thread of an earlier handoff") == new


async def test_what_is_not_there_yet_is_not_linked(office: Office) -> None:
    """While the new thread could not be opened, the ticket stands alone; the word of it does not wait for ever."""
    old = await office.story.root()
    await office.story.transfers(to_queue=QueueName("teams-desk"))
    await office.carry_all(4)
    await office.story.clock.advance(LINK_WITHIN_MS / 1000)
    await office.carry_all(2)

    assert link(office, old, "It goes on in a new thread") is None


async def test_a_conversation_on_another_desk_is_linked_by_its_address(office: Office) -> None:
    """The word that a transfer leaves behind says where people open the new card, as that desk tells it."""
    teams = FakeDesk(name=TEAMS)
    desks = {DESK: office.desk, TEAMS: teams}
    there, office.courier = office.another("w2", desk=teams), office.another(others=desks)
    old = await office.story.root()
    await office.story.transfers(to_queue=QueueName("teams-desk"))
    while await there.step():
        await office.story.clock.advance(2)
    await office.story.clock.advance(2)
    await office.carry_all(4)
    new = await office.story.root()

    assert new in teams.messages
    [left] = [part for message in office.desk.thread(old) for part in message.parts if "in a new thread" in part.text]
    assert (left.link, left.link_desk, left.address) == (new, TEAMS, teams.address(new))


async def test_customers_cannot_make_links(office: Office) -> None:
    """Only notices of the bridge point somewhere: what a page sends with a line does not."""
    handoff = (await office.story.handoff()).id
    await office.story.says("hello", data={"points_to": handoff})
    await office.story.returns()
    await office.story.escalates("e2")
    await office.carry_all(4)
    await office.story.takes(BEN)
    await office.story.says("hello again", data={"points_to": handoff})
    await office.carry_all(3)

    lines = await office.story.look(lambda tx: tx.entries(SITE, C1))
    assert [entry.data for entry in lines if entry.text.startswith("hello")] == [{"points_to": handoff}] * 2
    assert [part for message in office.posts() for part in message.parts if part.link is not None] == []
