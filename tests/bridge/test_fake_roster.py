"""The roster in memory keeps the promises of the real ones."""

import pytest

from bridge.conversation import Standing
from bridge.fakes.desk import FakeRoster
from bridge.ids import OperatorId
from tests.contracts.roster_contract import RosterContract


class Table:
    """A table of people, changed by hand."""

    queue, other_queue = "support", "billing"

    def __init__(self) -> None:
        self.roster = FakeRoster()
        self.member = self.roster.add("slack:T1:U1", "Dana", queue=self.queue).id
        self.supervisor = self.roster.add("slack:T1:U2", "Sam", queue=self.queue, standing=Standing.SUPERVISOR).id
        self.stranger = self.roster.add("slack:T1:U3", "Lee", queue="sales").id

    async def leaves(self, person: OperatorId) -> None:
        del self.roster.people[person, self.queue]

    async def silent(self) -> None:
        self.roster.silent = True


class TestFakeRoster(RosterContract):
    """`fakes.desk.FakeRoster`."""

    @pytest.fixture
    def office(self) -> Table:
        """Three people."""
        return Table()


async def test_somebody_may_be_known_in_every_queue() -> None:
    """A person added without a queue is known in all, and who was asked about is remembered."""
    roster = FakeRoster()
    dana = roster.add("slack:T1:U1", "Dana")

    assert await roster.operator(dana.id, "support") == dana
    assert await roster.operator(dana.id, "billing") == dana
    assert roster.asked == [(dana.id, "support"), (dana.id, "billing")]
