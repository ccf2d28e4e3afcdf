"""Dead letters: listed without what was said, sent again or forgotten, once."""

import pytest

from bridge.errors import NotFound
from bridge.ids import Millis, OutKey, SiteId
from bridge.letters import DeadLetters
from bridge.storage import Changed, OutState, Store, Tx
from tests.bridge.stories import C1, DESK, SITE, Story
from tests.bridge.test_switchboard import waiting

OTHER = SiteId("other-company")


class Mail:
    """A story whose three lines died on their way to the thread, in two posts."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.changes: list[Changed] = []
        self.letters = DeadLetters(story.store, story.clock, self.changes.append)

    async def die(self) -> None:
        await self.story.card_arrives()
        for text in ("secret one", "secret two", "secret three"):
            await self.story.says(text)
        await self.story.store.run(self._bury)

    def _bury(self, tx: Tx) -> None:
        claim = tx.claim_lane(DESK, "w", Millis(self.story.clock.now() + 10**6), 1000)
        assert claim is not None
        first, second, third = [out.k for out in claim.outs]
        now = self.story.clock.now()
        tx.begin_send(claim, [first, second], OutKey("o_both"), now, now)
        tx.bury(claim, [first, second], reason="no_reason", maybe_sent=True)
        tx.begin_send(claim, [third], OutKey("o_last"), now, now)
        tx.bury(claim, [third], reason="not_in_channel", maybe_sent=False)
        tx.release(claim)

    async def waiting(self) -> list[int | None]:
        return [out.n for out in await self.story.unsent()]

    async def listed(self) -> list[str]:
        return [letter.key for letter in await self.letters.oldest(SITE)]


@pytest.fixture
async def mail(store: Store) -> Mail:
    """On each store."""
    found = Mail(await waiting(store))
    await found.die()
    return found


async def test_they_are_listed_post_by_post(mail: Mail) -> None:
    """The oldest first, with ticket, reason and doubt, and never a word of what was said."""
    first, last = await mail.letters.oldest(SITE)

    assert (first.key, first.ticket, first.kind, first.reason) == ("o_both", "H-1001", "post", "no_reason")
    assert (first.maybe_sent, last.maybe_sent) == (True, False)
    assert (last.key, last.reason) == ("o_last", "not_in_channel")
    assert "secret" not in repr((first, last))
    assert await mail.letters.oldest(OTHER) == []


async def test_a_post_is_sent_again_once(mail: Mail) -> None:
    """All lines of it wait again, in order, and the courier hears of it; the key is spent."""
    assert await mail.letters.retry(SITE, ["o_both"]) == 1
    lines = [entry.n for entry in await mail.story.log() if entry.text in ("secret one", "secret two")]

    assert await mail.waiting() == lines
    assert mail.changes == [Changed(site=SITE, conversation=C1)]
    assert await mail.listed() == ["o_last"]
    with pytest.raises(NotFound, match="o_both"):
        await mail.letters.retry(SITE, ["o_both"])


async def test_an_unknown_key_changes_nothing(mail: Mail) -> None:
    """Nor do keys of another company, or known ones beside it."""
    for site, keys in ((SITE, ["o_last", "o_none"]), (OTHER, ["o_last"])):
        with pytest.raises(NotFound, match="no such dead letter"):
            await mail.letters.drop(site, keys)

    assert await mail.listed() == ["o_both", "o_last"]
    assert mail.changes == []


async def test_no_key_means_all(mail: Mail) -> None:
    """Forgotten ones wait for nothing, and there is none left."""
    assert await mail.letters.drop(OTHER, []) == 0
    assert await mail.letters.drop(SITE, []) == 2
    assert await mail.letters.retry(SITE, []) == 0

    assert await mail.waiting() == []
    assert await mail.listed() == []


async def test_the_buttons_decide_about_their_own_line(mail: Mail) -> None:
    """*Send again* and *It arrived* answer in words; a second press changes nothing."""
    handoff = (await mail.story.handoff()).id
    one, two, _ = [entry.n for entry in await mail.story.log() if entry.text.startswith("secret")]

    assert "sent again" in await mail.letters.send_again(SITE, handoff, one)
    assert "decided" in await mail.letters.send_again(SITE, handoff, one)
    assert "arrived" in await mail.letters.arrived(SITE, handoff, two)
    assert "decided" in await mail.letters.arrived(SITE, handoff, two)
    assert await mail.waiting() == [one]
    assert await mail.listed() == ["o_last"]
    outs = await mail.story.look(lambda tx: tx.dead_outs(SITE))
    assert [out.state for out in outs] == [OutState.DEAD]
