"""What every `ports.Receive` promises whoever brings it events. A subclass gives the fixture `front`."""

import asyncio
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pytest

from bridge.conversation import Customer, Entry, FileRef
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import CustomerOpened, CustomerSaid, CustomerWithdrew
from bridge.ids import ConversationId, CustomerId, FileId, Millis, SiteId, SourceId
from bridge.ports import Receive

SITE = SiteId("acme")
C1, C2 = ConversationId("c1"), ConversationId("c2")
KIM = Customer(id=CustomerId("cu1"), name="Kim Doe", verified=True, locale="en-GB", attributes={"plan": "pro"})
PICTURE = FileRef(id=FileId("f1"), name="bill.png", media_type="image/png", size_bytes=10)


class Front(Protocol):
    """A door of site `acme`, what it kept, and its failures."""

    @property
    def receive(self) -> Receive: ...

    async def log(self, conversation: ConversationId) -> list[Entry]:
        """Return what was said there, oldest first; nothing for an unknown conversation."""
        ...

    async def customer(self, conversation: ConversationId) -> Customer | None:
        """Return who is known to speak there, or None if there is no such conversation."""
        ...

    def broken(self) -> AbstractContextManager[object]:
        """Within it, nothing can be kept."""
        ...


def opened(source: str, conversation: ConversationId = C1, customer: Customer = KIM) -> CustomerOpened:
    return CustomerOpened(**head(source, conversation), widget="web", customer=customer)


def said(source: str, text: str = "hello", conversation: ConversationId = C1, **more: Any) -> CustomerSaid:
    return CustomerSaid(**head(source, conversation), widget="web", customer=KIM, text=text, **more)


def head(source: str, conversation: ConversationId) -> dict[str, Any]:
    at = Millis(1_700_000_000_000)
    return {"site": SITE, "source": SourceId(source), "at": at, "conversation": conversation}


async def texts(front: Front, conversation: ConversationId = C1) -> list[str]:
    return [entry.text for entry in await front.log(conversation)]


class ReceiveContract:
    """Keeping, once; failing, wholly."""

    async def test_what_was_answered_is_kept(self, front: Front) -> None:
        """When the call returns, the line is there as it was brought, under the number and time of the receipt."""
        line = said("s1", "Grüße 👋 <b>", files=(PICTURE,), data={"activity": {"locale": "de"}})
        receipt = await front.receive(line)
        (entry,) = await front.log(C1)

        assert (receipt.status, receipt.conversation) == ("done", C1)
        assert (entry.n, entry.at) == (receipt.n, receipt.at)
        assert (entry.text, entry.files, entry.data) == (line.text, line.files, line.data)
        assert (entry.author.id, entry.author.name) == (KIM.id, KIM.name)

    async def test_lines_are_numbered_without_gaps(self, front: Front) -> None:
        """Each conversation counts for itself, from 1."""
        receipts = [await front.receive(said(f"s{i}", conversation=c)) for i, c in enumerate((C1, C2, C1))]

        assert [receipt.n for receipt in receipts] == [1, 1, 2]

    async def test_the_same_event_again_changes_nothing(self, front: Front) -> None:
        """A repeat answers `duplicate`, also after other events."""
        await front.receive(said("s1", "one"))
        await front.receive(said("s2", "two"))
        again = await front.receive(said("s1", "one"))

        assert (again.status, again.conversation) == ("duplicate", C1)
        assert await texts(front) == ["one", "two"]

    async def test_the_same_words_from_another_source_are_said_twice(self, front: Front) -> None:
        """Only the source tells a repeat from somebody who says the same again."""
        await front.receive(said("s1", "hello?"))
        await front.receive(said("s2", "hello?"))

        assert await texts(front) == ["hello?", "hello?"]

    async def test_repeats_at_the_same_time_are_kept_once(self, front: Front) -> None:
        """However many bring the same event at once, one is `done`."""
        receipts = await asyncio.gather(*(front.receive(said("s1")) for _ in range(8)))

        assert sorted(receipt.status for receipt in receipts) == ["done", *["duplicate"] * 7]
        assert await texts(front) == ["hello"]

    async def test_opening_makes_the_conversation_and_says_nothing(self, front: Front) -> None:
        """A page that opens or reloads is known, with what it claims now, and leaves no line."""
        assert await front.customer(C1) is None
        await front.receive(opened("s1"))
        assert await front.customer(C1) == KIM
        other = Customer(id=KIM.id, name="Kim D. Doe")
        receipt = await front.receive(opened("s2", customer=other))

        assert receipt.status == "done"
        assert await front.customer(C1) == other
        assert await texts(front) == []

    async def test_what_cannot_be_kept_is_not_remembered(self, front: Front) -> None:
        """StoreUnavailable: nothing of it is there, and the same event is taken when it comes again."""
        await front.receive(said("s1", "one"))
        with front.broken(), pytest.raises(StoreUnavailable):
            await front.receive(said("s2", "two"))
        assert await texts(front) == ["one"]
        again = await front.receive(said("s2", "two"))

        assert (again.status, again.n) == ("done", 2)
        assert await texts(front) == ["one", "two"]

    async def test_events_about_nothing_known_are_refused(self, front: Front) -> None:
        """NotFound, and no conversation comes to be; once there is one, the same event is taken."""
        withdrew = CustomerWithdrew(**head("s1", C1))
        with pytest.raises(NotFound):
            await front.receive(withdrew)
        assert await front.customer(C1) is None
        await front.receive(said("s2"))
        receipt = await front.receive(withdrew)

        # Nobody had called a person, so there is nothing to withdraw.
        assert receipt.status == "refused"
        assert receipt.sentence
        assert await texts(front) == ["hello"]
