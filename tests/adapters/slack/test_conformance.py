"""The desk conformance suite over Slack: the same cases as over every desk."""

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
import pytest_asyncio

from bridge.capabilities import Support
from tests.adapters.slack.conformance_rig import SlackRoom, slack_queues, slack_room
from tests.contracts.desk_conformance import DeskConformance
from tests.contracts.desk_conformance_house import House, LeapingClock, house_at
from tests.contracts.desk_conformance_room import LADDERS, OWNER
from tests.contracts.desk_conformance_talk import new_talk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("conformance-slack")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, SlackRoom]]:
    """One bridge and one Slack for all cases; each has a customer of its own."""
    clock = LeapingClock()
    async with slack_room(clock) as room:
        toml = slack_queues(clock) + LADDERS
        async with house_at(tmp_path_factory.mktemp("slack"), room.environment(), toml, clock) as house:
            await room.join()
            yield house, room


@pytest.fixture
def house(stage: tuple[House, SlackRoom]) -> House:
    """The bridge."""
    return stage[0]


@pytest.fixture
def room(stage: tuple[House, SlackRoom]) -> SlackRoom:
    """Slack, with nothing wrong."""
    stage[1].sandbox.faults.clear()
    return stage[1]


class TestConformance(DeskConformance):
    """Runs it."""

    can: ClassVar = {
        "markdown": Support.PARTIAL,
        "names": Support.FULL,
        "typing": Support.FULL,
        "stream": Support.REJECTED,
        "retract": Support.REJECTED,
        "edit": Support.FULL,
        "delete": Support.FULL,
        "files": Support.FULL,
        "read_back": Support.FULL,
        "whisper": Support.PARTIAL,
    }

    async def test_a_command_without_a_ticket_opens_a_picker(self, house: House, room: SlackRoom) -> None:
        """`/return` alone offers this person's open conversations, by ticket and customer; the chosen one goes back."""
        first, second = [await new_talk(house, room) for _ in range(2)]
        for talk in (first, second):
            await talk.taken()
        offered = await room.pick(OWNER, "support", (await first.handoff()).id, "the first of them")
        assert f"{first.ticket} · Kim Vale" in offered
        assert f"{second.ticket} · Kim Vale" in offered
        await first.sees("the first of them")
        await first.owned_by("agent")
        await second.owned_by("human", OWNER)
