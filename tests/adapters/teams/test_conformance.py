"""The desk conformance suite over Teams: the same cases as over every desk."""

import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
import pytest_asyncio

from bridge.capabilities import Support
from tests.adapters.teams.conformance_rig import TeamsRoom, teams_queues, teams_room
from tests.contracts.desk_conformance import DeskConformance
from tests.contracts.desk_conformance_house import House, LeapingClock, house_at
from tests.contracts.desk_conformance_room import COLLEAGUE, LADDERS, OWNER
from tests.contracts.desk_conformance_talk import new_talk

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("conformance-teams")]


Stage = tuple[House, TeamsRoom]


@contextlib.asynccontextmanager
async def staged(folder: Path, *queues: str, **more: str) -> AsyncIterator[Stage]:
    """Run a bridge and a Teams with these queues, or all, and `more` settings."""
    clock = LeapingClock()
    async with teams_room(clock, *queues) as room:
        toml = teams_queues(clock, *queues) + LADDERS
        async with house_at(folder, room.environment() | more, toml, clock) as house:
            await room.join(house.bridge.port)
            yield house, room


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One bridge and one Teams for all cases; each has a customer of its own."""
    async with staged(tmp_path_factory.mktemp("teams")) as there:
        yield there


@pytest_asyncio.fixture(loop_scope="module")
async def granted(tmp_path: Path) -> AsyncIterator[Stage]:
    """The same, where the admin lets the bridge read by Graph."""
    async with staged(tmp_path, "support", HANDOFF_TEAMS__GRAPH="true") as (house, room):
        room.sandbox.rules.graph = True
        yield house, room


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

    async def test_without_consent_only_mentions_are_heard(self, house: House, room: TeamsRoom) -> None:
        """Until the team lets the bot hear all, the card says to mention it: then a mention is how one answers, and
        what mentions nobody is not heard. The first message that arrives unasked takes that sentence away.
        """
        await room.forbid_hearing_all()
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.card_says("Only messages that mention me are heard here")
        await talk.say(OWNER, "a canary that mentions nobody")
        await room.ask(OWNER, "Hello Kim, I am Dana.", talk.root)
        await talk.chat.sees("Hello Kim, I am Dana.")
        assert "Support Bridge" not in talk.chat.texts[-1]
        await room.ask(OWNER, "// a canary all the same", talk.root)
        await room.allow_hearing_all()
        await talk.say(OWNER, "Now all is heard.")
        await talk.chat.sees("Now all is heard.")
        await talk.card_says_no("Only messages that mention me")
        assert not talk.chat.ever_saw("canary")

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


async def test_with_graph_the_desk_can_look_and_fetch(granted: Stage) -> None:
    """Where Graph is granted a post whose answer was lost stands there once, and a file of people reaches the
    customer; what the desk says that it can do is that much more.
    """
    house, room = granted
    talk = await new_talk(house, room)
    await talk.taken()
    assert talk.capabilities.read_back is Support.PARTIAL
    await house.quiet()
    await room.lose_an_answer()
    await talk.chat.say("Did you get this?")
    await talk.sees("Did you get this?")
    await house.quiet()
    assert talk.times("Did you get this?") == 1
    assert "sent again" not in talk.notes

    await room.attach(OWNER, "manual.pdf", b"%PDF-1.4 a manual", "Here is the manual.", talk.root)
    await talk.chat.sees("Here is the manual.")
    assert await talk.chat.file("manual.pdf") == b"%PDF-1.4 a manual"
    assert "Files in channels do not reach me" not in talk.notes
