"""What every `ports.Roster` promises. A subclass gives the fixture `office`: a desk with people of known standing."""

from typing import Protocol

import pytest

from bridge.conversation import Operator, Standing
from bridge.ids import OperatorId
from bridge.ports import Roster

NOBODY = (
    "",
    "nobody",
    "slack:T0ELSEWHERE:U0NOBODY00",
    "teams:tenant:object",
    "slack::",
    ":::",
    "a b\nc\u202e",
    "é" * 300,
)


class Office(Protocol):
    """`member` and `supervisor` are of `queue`; the member is nothing in `other_queue`, `stranger` nowhere."""

    queue: str
    other_queue: str
    member: OperatorId
    supervisor: OperatorId
    stranger: OperatorId

    @property
    def roster(self) -> Roster: ...

    async def leaves(self, person: OperatorId) -> None:
        """This person loses all standing, and the roster's facts grow older than their greatest age."""
        ...

    async def silent(self) -> None:
        """From now on the vendor does not answer, and what was known is too old."""
        ...


def check_nobody(found: Operator) -> None:
    """Whoever has no standing is told why, in a sentence."""
    assert found.standing is Standing.NONE
    assert found.why.endswith(".")
    assert len(found.why) > 10


class RosterContract:
    """Standing, names, doubt."""

    async def test_a_member_may_answer(self, office: Office) -> None:
        """With the id that was asked for, a public name, and nothing against them."""
        found = await office.roster.operator(office.member, office.queue)

        assert (found.id, found.standing, found.why) == (office.member, Standing.ALLOWED, "")
        assert found.name.strip()

    async def test_a_supervisor_is_one(self, office: Office) -> None:
        """Supervisors are told from the others."""
        found = await office.roster.operator(office.supervisor, office.queue)

        assert (found.id, found.standing, found.why) == (office.supervisor, Standing.SUPERVISOR, "")

    async def test_standing_is_of_one_queue(self, office: Office) -> None:
        """Who may answer in one queue is nobody in the next, and in one that does not exist."""
        for queue in (office.other_queue, "no-such-queue", ""):
            found = await office.roster.operator(office.member, queue)
            check_nobody(found)
            assert found.id == office.member
        assert (await office.roster.operator(office.member, office.queue)).standing is Standing.ALLOWED

    async def test_strangers_have_no_standing(self, office: Office) -> None:
        """Somebody whom the vendor knows and the queue does not."""
        check_nobody(await office.roster.operator(office.stranger, office.queue))

    @pytest.mark.parametrize("person", NOBODY)
    async def test_no_id_is_an_error(self, office: Office, person: str) -> None:
        """Whatever stands where a person should: nobody, and no exception."""
        found = await office.roster.operator(OperatorId(person), office.queue)

        check_nobody(found)
        assert found.id == person

    async def test_who_leaves_has_no_standing(self, office: Office) -> None:
        """Facts are not older than their greatest age."""
        assert (await office.roster.operator(office.member, office.queue)).standing is Standing.ALLOWED
        await office.leaves(office.member)

        check_nobody(await office.roster.operator(office.member, office.queue))

    async def test_doubt_is_no_standing(self, office: Office) -> None:
        """Where the vendor does not answer, nobody can be verified, not even a supervisor; nothing is raised."""
        assert (await office.roster.operator(office.supervisor, office.queue)).standing is Standing.SUPERVISOR
        await office.silent()

        for person in (office.member, office.supervisor):
            check_nobody(await office.roster.operator(person, office.queue))
