"""The desk conformance suite over Teams: the same cases as over every desk."""

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
import pytest_asyncio

from bridge.capabilities import Support
from tests.adapters.teams.conformance_rig import TeamsRoom, teams_queues, teams_room
from tests.contracts.desk_conformance import DeskConformance
from tests.contracts.desk_conformance_house import House, LeapingClock, house_at
from tests.contracts.desk_conformance_room import LADDERS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("conformance-teams")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, TeamsRoom]]:
    """One bridge and one Teams for all cases; each has a customer of its own."""
    clock = LeapingClock()
    async with teams_room(clock) as room:
        toml = teams_queues(clock) + LADDERS
        async with house_at(tmp_path_factory.mktemp("teams"), room.environment(), toml, clock) as house:
            await room.join(house.bridge.port)
            yield house, room


@pytest.fixture
def house(stage: tuple[House, TeamsRoom]) -> House:
    """The bridge."""
    return stage[0]


@pytest.fixture
def room(stage: tuple[House, TeamsRoom]) -> TeamsRoom:
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
