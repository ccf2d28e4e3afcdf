"""The fake desk keeps the contract of desks, and fails on demand."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from bridge.briefing import Card
from bridge.conversation import FileRef, Standing, Thread
from bridge.errors import ThreadUnreadable
from bridge.fakes.desk import FakeDesk, FakeRoster
from bridge.ids import ChannelId, Millis, OperatorId, OutKey, RemoteRef
from bridge.outcomes import Delivered, RetryLater, Unknown
from tests.adapters.slack.rig import shown_card
from tests.bridge.stories import a_file
from tests.contracts.desk_contract import DeskContract, line
from tests.contracts.desk_contract import Room as RoomOfAll


@dataclass
class FakeRoom:
    """A fake desk as the contract sees it."""

    desk: FakeDesk = field(default_factory=FakeDesk)

    def card(self, summary: str) -> Card:
        return shown_card(summary=summary)

    def thread(self, root: RemoteRef | None = None) -> Thread:
        return Thread(desk=self.desk.name, channel=ChannelId("C1"), root=root)

    async def seen(self, ref: RemoteRef) -> str | None:
        message = self.desk.messages.get(ref)
        return None if message is None else "\n".join(message.texts)

    async def all_seen(self) -> Sequence[str]:
        return ["\n".join(message.texts) for message in self.desk.messages.values()]

    async def lose(self, root: RemoteRef) -> None:
        self.desk.lose_root(root)

    def keep(self, name: str) -> FileRef:
        return a_file(name)

    async def files(self) -> Sequence[str]:
        return [name for _, name in self.desk.uploads]

    def now(self) -> Millis:
        return self.desk.now


class TestFakeDesk(DeskContract):
    """The contract."""

    @pytest.fixture
    def room(self) -> RoomOfAll:
        """A room of its own for each test."""
        return FakeRoom()

    async def test_a_lost_answer_may_hide_a_message(self) -> None:
        """A scripted outcome is given out, whether or not the vendor did it."""
        room = FakeRoom()
        thread = await self.opened(room)
        room.desk.script = [(Unknown(reason="timeout"), True), (RetryLater(after_s=1, reason="ratelimited"), False)]

        assert await room.desk.post(thread, self.parts(room, "there"), OutKey("o_1")) == Unknown(reason="timeout")
        refused = await room.desk.post(thread, self.parts(room, "not there"), OutKey("o_2"))
        assert refused == RetryLater(after_s=1, reason="ratelimited")
        assert await room.desk.find(thread, OutKey("o_1"), Millis(0)) is not None
        assert await room.desk.find(thread, OutKey("o_2"), Millis(0)) is None
        assert isinstance(await room.desk.post(thread, self.parts(room, "again"), OutKey("o_3")), Delivered)

    async def test_an_unreadable_thread_says_so(self) -> None:
        """Reading back can be refused."""
        room = FakeRoom()
        room.desk.unreadable = ThreadUnreadable("rationed", 30)

        with pytest.raises(ThreadUnreadable):
            await room.desk.find(room.thread(), OutKey("o_1"), Millis(0))

    async def test_what_does_not_fit_is_the_callers_mistake(self) -> None:
        """The fake is as strict as a vendor."""
        room = FakeRoom()
        thread = await self.opened(room)
        part = self.parts(room, "x")[0]

        for parts in ([], [replace(part, text="x" * 3_001)], [part] * 16, [replace(part, text="x" * 3_000)] * 3):
            with pytest.raises(ValueError, match=r"part|post"):
                await room.desk.post(thread, parts, OutKey("o_1"))
        assert line("x").text == "x"


async def test_the_fake_roster_knows_whom_it_was_told() -> None:
    """Strangers have no standing and a reason; a standing may be of one queue only."""
    roster = FakeRoster()
    dana = roster.add("fake:dana", "Dana", queue="support")

    assert await roster.operator(OperatorId("fake:dana"), "support") == dana
    assert (await roster.operator(OperatorId("fake:dana"), "billing")).standing is Standing.NONE
    assert (await roster.operator(OperatorId("fake:sam"), "support")).why
