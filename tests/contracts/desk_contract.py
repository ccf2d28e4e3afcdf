"""What every desk keeps, whoever makes it: one suite, run by the fake and by each real one.

A subclass provides the fixture `room`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import pytest

from bridge.briefing import Card, Transcript
from bridge.capabilities import Part, fit
from bridge.conversation import Audience, Author, Entry, EntryKind, FileRef, Role, Thread
from bridge.ids import Millis, OperatorId, OutKey, RemoteRef, mint
from bridge.outcomes import Delivered, Refused
from bridge.ports import Desk


class Room(Protocol):
    """A desk and what its people see."""

    @property
    def desk(self) -> Desk:
        """The desk."""
        ...

    def card(self, summary: str) -> Card:
        """Return a card for a new thread, which says this."""
        ...

    def thread(self, root: RemoteRef | None = None) -> Thread:
        """Return a thread in the room."""
        ...

    async def seen(self, ref: RemoteRef) -> str | None:
        """Return what people read at this message; None if it is not there."""
        ...

    async def all_seen(self) -> Sequence[str]:
        """Return every message of the room."""
        ...

    async def lose(self, root: RemoteRef) -> None:
        """Delete a card behind the desk's back."""
        ...

    def keep(self, name: str) -> FileRef:
        """Keep a small file, so that a line may carry it."""
        ...

    async def files(self) -> Sequence[str]:
        """Return the names of the files that lie in the room, in their order."""
        ...

    def now(self) -> Millis:
        """Return the time by the clock of the desk's vendor."""
        ...


def fresh() -> OutKey:
    """Return a new key."""
    return OutKey(mint("o"))


def line(text: str, n: int = 4, role: Role = Role.CUSTOMER) -> Entry:
    """Return something that somebody said."""
    return Entry(
        n=n,
        kind=EntryKind.LINE,
        author=Author(role=role, name="Kim"),
        audience=Audience.EVERYONE,
        at=Millis(1_000),
        epoch=2,
        text=text,
    )


class DeskContract:
    """The promises of `ports.Desk`."""

    async def opened(self, room: Room) -> Thread:
        """Return a thread with its card."""
        outcome = await room.desk.open(room.thread(), room.card("It begins"), fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        return room.thread(outcome.ref)

    def parts(self, room: Room, *texts: str) -> list[Part]:
        """Return lines as the core hands them over."""
        return [part for n, text in enumerate(texts, start=4) for part in fit(line(text, n), room.desk.capabilities)]

    def with_files(self, room: Room, *names: str) -> list[Part]:
        """Return a line that carries these files."""
        entry = replace(line("Look"), files=tuple(room.keep(name) for name in names))
        return list(fit(entry, room.desk.capabilities))

    async def test_a_card_opens_a_thread(self, room: Room) -> None:
        """The card is there for people to read, and its reference is the thread's root."""
        thread = await self.opened(room)

        assert thread.root is not None
        assert "It begins" in (await room.seen(thread.root) or "")

    async def test_a_card_is_found_by_its_key(self, room: Room) -> None:
        """After an unclear send, the card is found though nobody knows its root."""
        key, since = fresh(), room.now()
        outcome = await room.desk.open(room.thread(), room.card("Find me"), key)

        assert isinstance(outcome, Delivered)
        assert await room.desk.find(room.thread(), key, since) == outcome.ref

    async def test_refreshing_changes_the_card_and_may_be_repeated(self, room: Room) -> None:
        """The root shows the newest card; saying so twice is no harm."""
        thread = await self.opened(room)

        for _ in range(2):
            assert isinstance(await room.desk.refresh(thread, room.card("It goes on")), Delivered)
        assert thread.root is not None
        assert "It goes on" in (await room.seen(thread.root) or "")
        assert "It begins" not in (await room.seen(thread.root) or "")

    async def test_lines_arrive_together_and_in_order(self, room: Room) -> None:
        """Several lines of one post are one message, each of them whole."""
        thread = await self.opened(room)
        outcome = await room.desk.post(thread, self.parts(room, "first", "second", "third"), fresh())

        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        seen = await room.seen(outcome.ref) or ""
        assert -1 < seen.find("first") < seen.find("second") < seen.find("third")

    async def test_a_post_is_found_by_its_key_and_only_by_it(self, room: Room) -> None:
        """Reading back tells what is there from what certainly is not."""
        thread = await self.opened(room)
        key, since = fresh(), room.now()
        outcome = await room.desk.post(thread, self.parts(room, "hello"), key)

        assert isinstance(outcome, Delivered)
        assert await room.desk.find(thread, key, since) == outcome.ref
        assert await room.desk.find(thread, fresh(), since) is None

    async def test_a_key_does_not_prevent_a_second_post(self, room: Room) -> None:
        """The desk sends once per call and deduplicates nothing: that is the courier's to decide."""
        thread, key = await self.opened(room), fresh()
        first = await room.desk.post(thread, self.parts(room, "once"), key)
        second = await room.desk.post(thread, self.parts(room, "once"), key)

        assert isinstance(first, Delivered)
        assert isinstance(second, Delivered)
        assert first.ref != second.ref

    async def test_an_edit_shows_and_may_be_repeated(self, room: Room) -> None:
        """An edited post reads as it should, however often that is said."""
        thread = await self.opened(room)
        outcome = await room.desk.post(thread, self.parts(room, "befor"), fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None

        for _ in range(2):
            edited = await room.desk.edit(thread, outcome.ref, self.parts(room, "after")[0])
            assert isinstance(edited, Delivered)
        seen = await room.seen(outcome.ref) or ""
        assert "after" in seen
        assert "befor" not in seen

    async def test_a_delete_removes_and_may_be_repeated(self, room: Room) -> None:
        """What is gone already counts as deleted."""
        thread = await self.opened(room)
        outcome = await room.desk.post(thread, self.parts(room, "oops"), fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None

        for _ in range(2):
            assert isinstance(await room.desk.delete(thread, outcome.ref), Delivered)
        assert await room.seen(outcome.ref) is None

    async def test_editing_what_is_gone_is_refused_in_words(self, room: Room) -> None:
        """A vanished message is not an unclear send."""
        thread = await self.opened(room)
        outcome = await room.desk.post(thread, self.parts(room, "soon gone"), fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        await room.desk.delete(thread, outcome.ref)

        edited = await room.desk.edit(thread, outcome.ref, self.parts(room, "late")[0])
        assert isinstance(edited, Refused)
        assert edited.remedy

    async def test_a_reply_to_a_lost_card_does_not_land_in_the_channel(self, room: Room) -> None:
        """When the root is gone, nothing stays where everybody reads it, and the caller is told."""
        thread = await self.opened(room)
        assert thread.root is not None
        await room.lose(thread.root)

        outcome = await room.desk.post(thread, self.parts(room, "for the thread only"), fresh())
        assert outcome == Delivered(landed_elsewhere=True)
        assert [text for text in await room.all_seen() if "for the thread only" in text] == []

    async def test_nothing_is_posted_without_a_card(self, room: Room) -> None:
        """A line whose thread is not open yet is refused, not put somewhere."""
        outcome = await room.desk.post(room.thread(), self.parts(room, "too early"), fresh())

        assert isinstance(outcome, Refused)
        assert outcome.remedy
        assert [text for text in await room.all_seen() if "too early" in text] == []

    async def test_a_transcript_is_one_message(self, room: Room) -> None:
        """The lines before the handoff come as one post, in order."""
        thread, key, since = await self.opened(room), fresh(), room.now()
        lines = tuple(line(f"said {n}", n) for n in range(1, 6))
        transcript = Transcript(lines=lines, earlier=0, file_name="transcript-H-1.txt", file_text="said")
        outcome = await room.desk.post_transcript(thread, transcript, key)

        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        seen = await room.seen(outcome.ref) or ""
        assert -1 < seen.find("said 1") < seen.find("said 5")
        assert await room.desk.find(thread, key, since) == outcome.ref

    async def test_a_post_with_files_is_found_too(self, room: Room) -> None:
        """That files follow it does not hide a post, and they follow it once each."""
        thread, key, since = await self.opened(room), fresh(), room.now()
        parts = self.with_files(room, "lamp.jpg", "bill.pdf")
        outcome = await room.desk.post(thread, parts, key)

        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        assert await room.desk.find(thread, key, since) == outcome.ref
        assert list(await room.files()) == ["lamp.jpg", "bill.pdf"]
        assert isinstance(await room.desk.complete(thread, parts, outcome.ref), Delivered)
        assert list(await room.files()) == ["lamp.jpg", "bill.pdf"]

    async def test_what_should_have_followed_a_post_is_brought_once(self, room: Room) -> None:
        """A post that lost its files gets them, those of the same name too; saying so again adds none."""
        thread = await self.opened(room)
        outcome = await room.desk.post(thread, self.parts(room, "Look"), fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None

        parts = self.with_files(room, "image.png", "image.png", "bill.pdf")
        for _ in range(2):
            assert isinstance(await room.desk.complete(thread, parts, outcome.ref), Delivered)
            assert list(await room.files()) == ["image.png", "image.png", "bill.pdf"]

    async def test_files_of_an_earlier_post_do_not_count_for_a_later_one(self, room: Room) -> None:
        """The same name in an earlier post hides nothing that is missing in this one."""
        thread, parts = await self.opened(room), self.with_files(room, "image.png")
        await room.desk.post(thread, parts, fresh())
        outcome = await room.desk.post(thread, self.parts(room, "Look"), fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None

        assert isinstance(await room.desk.complete(thread, parts, outcome.ref), Delivered)
        assert list(await room.files()) == ["image.png", "image.png"]

    async def test_a_transcript_gets_the_file_that_it_lost(self, room: Room) -> None:
        """The whole transcript is there once, whoever had to bring it; a short one has no file."""
        thread = await self.opened(room)
        whole = Transcript(lines=(line("said"),), earlier=0, file_name="transcript-H-1.txt", file_text="said")
        outcome = await room.desk.post_transcript(thread, whole, fresh())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        assert isinstance(await room.desk.complete(thread, whole, outcome.ref), Delivered)
        assert list(await room.files()) == []

        for _ in range(2):
            assert isinstance(await room.desk.complete(thread, replace(whole, earlier=40), outcome.ref), Delivered)
            assert list(await room.files()) == ["transcript-H-1.txt"]

    async def test_the_longest_post_that_fits_is_taken(self, room: Room) -> None:
        """Parts that fit the capabilities are never refused for their size."""
        thread, limits = await self.opened(room), room.desk.capabilities
        count = min(limits.post_max_parts, max(1, limits.post_max_chars // limits.text_max_chars))
        outcome = await room.desk.post(
            thread, self.parts(room, *["&<" * (limits.text_max_chars // 2)] * count), fresh()
        )

        assert isinstance(outcome, Delivered)

    @pytest.mark.parametrize("person", ["slack:T1:UNOBODY", "fake:nobody", "nonsense"])
    async def test_hints_never_raise(self, room: Room, person: str) -> None:
        """A whisper to nobody and a typing hint for a thread that is not open do nothing."""
        thread = await self.opened(room)

        await room.desk.whisper(thread, OperatorId(person), "psst")
        await room.desk.whisper(room.thread(), OperatorId(person), "psst")
        await room.desk.typing(thread, "Kim")
        await room.desk.typing(room.thread(), "Kim")

    async def test_capabilities_and_name_are_constant(self, room: Room) -> None:
        """What was fitted for a desk still fits when it is sent."""
        assert room.desk.capabilities == room.desk.capabilities
        assert room.desk.name == room.thread().desk
