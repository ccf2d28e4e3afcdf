"""A whole life of a conversation in which everything is delivered twice."""

from typing import Any

from bridge.conversation import State
from bridge.effects import Receipt
from bridge.events import Event
from bridge.fakes.store import MemoryStore
from bridge.ids import RemoteRef
from bridge.storage import Store
from bridge.timers import Timers
from tests.bridge.stories import BEN, DANA, GUEST, SUE, Story, fence


class Twice(Story):
    """Brings each event once more, at once and again at the end."""

    async def bring(self, event: Event) -> Receipt:
        receipt = await super().bring(event)
        before = await self.fingerprint()
        repeat = await self.door.receive(event)
        assert repeat.status == "duplicate", type(event).__name__
        assert await self.fingerprint() == before, type(event).__name__
        return receipt


async def live(story: Story) -> None:
    """Let nearly everything happen that can."""
    await story.opens()
    await story.agent_streams("Hel")
    await story.agent_says("Hello")
    await story.agent_finishes()
    await story.says("my parcel is late")
    old_run = await story.run()
    await story.agent_acts(tool="track", collected={"order": "A-17"})
    await story.agent_escalates()
    await story.agent_says("too late", run=old_run)
    await story.card_arrives()
    kept = await story.types("Hello, I take this one")
    await story.forwards(remote=RemoteRef(kept), take=True)
    await story.types("I look into it")
    await story.types("// a note", BEN)
    await story.types("from outside", GUEST)
    await story.says("thank you")
    line = await story.types("It comes tomorow")
    await story.edits(line, "It comes tomorrow")
    await story.edits(line, "// it comes tomorrow")
    await story.deletes(await story.types("oops"))
    await story.rehearses(note="tell her tomorrow")
    rehearsal = await story.store.run(lambda tx: tx.claim_turn("w", story.clock.now(), 1000))
    assert rehearsal is not None
    await story.agent_says("Dana says tomorrow.", run=fence(rehearsal))
    await story.agent_finishes(run=fence(rehearsal))
    await story.takes(BEN)
    await story.takes(SUE)
    await story.releases(SUE)
    await story.takes(DANA)
    await story.transfers(to_operator=BEN)
    await story.transfers(BEN, to_queue="billing")
    await story.card_arrives()
    await story.says("still there?")
    await story.takes(BEN)
    await story.escalates("e5")
    await story.returns(BEN, note="done")
    await story.agent_says("Ben told me all.")
    await story.agent_finishes()
    await story.reopens(DANA)
    await story.card_arrives()
    await story.closes(DANA)
    await story.types("after the end")
    await story.says("me again")
    await story.agent_breaks()
    await story.withdraws()
    await story.agent_finishes(close=True)


async def test_everything_that_comes_twice_has_one_effect(store: Store) -> None:
    """Each event is repeated right away and once more at the end: the second time changes nothing at all."""
    story = Twice(store=store)
    await live(story)
    before = await story.fingerprint()
    for event in story.events:
        repeat = await story.door.receive(event)
        assert repeat.status == "duplicate", type(event).__name__

    assert await story.fingerprint() == before
    assert (await story.row()).state is State.CLOSED
    assert len({type(event) for event in story.events}) >= 19


async def test_both_stores_tell_the_same_story(store: Store) -> None:
    """The log, the owners and what waits for the desk do not depend on where it is kept."""
    here, there = Story(store=store), Story(store=MemoryStore())
    await live(here)
    await live(there)
    for story in (here, there):
        await Timers(store=story.store, clock=story.clock, receive=story.door.receive).step()

    assert await _told(here) == await _told(there)


async def _told(story: Story) -> Any:
    row, log, outs, handoff, turn, timers, stream = await story.fingerprint()
    return row, log, outs, handoff, turn, timers, stream
