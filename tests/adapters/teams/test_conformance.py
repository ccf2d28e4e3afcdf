"""The desk conformance suite over Teams: the same cases as over every desk."""

import base64
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
import pytest_asyncio

from bridge.capabilities import Support
from tests.adapters.teams.conformance_rig import Stage, TeamsRoom, staged
from tests.contracts.desk_conformance import DeskConformance
from tests.contracts.desk_conformance_house import House
from tests.contracts.desk_conformance_room import COLLEAGUE, OWNER
from tests.contracts.desk_conformance_talk import new_talk

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("conformance-teams")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One bridge and one Teams for all cases; each has a customer of its own."""
    async with staged(tmp_path_factory.mktemp("teams")) as there:
        yield there


@pytest.fixture
def house(stage: Stage) -> House:
    """The bridge."""
    return stage[0]


@pytest.fixture
def room(stage: Stage) -> TeamsRoom:
    """Teams, with nothing wrong."""
    stage[1].sandbox.faults.clear()
    return stage[1]


class TestConformance(DeskConformance):
    """Runs it."""

    can: ClassVar = {
        "markdown": Support.PARTIAL,
        "names": Support.FULL,
        "typing": Support.REJECTED,
        "stream": Support.REJECTED,
        "retract": Support.REJECTED,
        "edit": Support.FULL,
        "delete": Support.FULL,
        "files": Support.FALLBACK,
        "read_back": Support.REJECTED,
        "whisper": Support.REJECTED,
    }

    async def test_a_pasted_picture_reaches_the_customer(self, house: House, room: TeamsRoom) -> None:
        """What is pasted into a message stands on the page, although files of channels do not."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.paste(OWNER, PNG, "Look here.", talk.root)
        await talk.chat.sees("Look here.")
        assert await talk.chat.file("image.png") == PNG

    async def test_a_message_that_is_brought_back_is_heard_again(self, house: House, room: TeamsRoom) -> None:
        """Deleted and restored in Teams: gone from the page, and there again."""
        talk = await new_talk(house, room)
        await talk.taken()
        said = await talk.say(OWNER, "The code is 4711.")
        await talk.chat.sees("The code is 4711.")
        await room.delete(OWNER, said)
        await talk.chat.sees_no("4711")
        await room.restore(OWNER, said)
        await talk.chat.sees("The code is 4711.")

    async def test_a_command_that_could_mean_several_says_so(self, house: House, room: TeamsRoom) -> None:
        """Outside threads the slash command names no conversation: with two open ones nothing is guessed."""
        first, second = [await new_talk(house, room) for _ in range(2)]
        for talk in (first, second):
            await talk.taken()
        await room.command_in_channel(OWNER, "support")
        await second.hears(OWNER, "You have several open conversations: use the button in the thread")
        for talk in (first, second):
            await talk.owned_by("human", OWNER)

    async def test_a_refusal_that_cannot_be_private_is_public(self, house: House, room: TeamsRoom) -> None:
        """Where Teams takes no private answer, a refused command in a thread is answered for all to read."""
        talk = await new_talk(house, room)
        await talk.taken()
        await house.quiet()
        await room.refuse_a_post()
        await room.give_back_by_command(COLLEAGUE, talk.ticket, "I think so", talk.root)
        await talk.sees(f"{OWNER} has this conversation. Only its owner or a supervisor can do that.")
        await talk.owned_by("human", OWNER)

    async def test_no_message_is_shown_otherwise_than_meant(self, house: House, room: TeamsRoom) -> None:
        """Teams' clients would find nothing amiss in all that the bridge has posted: sizes, versions, mentions, ids."""
        talk = await new_talk(house, room)
        await talk.taken()
        assert room.complaints() == []
