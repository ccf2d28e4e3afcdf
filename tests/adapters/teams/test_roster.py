"""Who people in Teams are, asked of a sandbox team; and the promises of every roster."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.sandbox.teams.people import BILLING, DANA, GUEST, LEE, OTHER_TENANT, OUTSIDER, SAM, SUPPORT, TEAM
from adapters.teams import known
from adapters.teams.refs import operator_id, person_of
from adapters.teams.roster import TeamsRoster, public_name
from bridge.conversation import Standing
from bridge.facts import DeskFacts
from bridge.fakes.clock import ManualClock
from bridge.ids import ChannelId, OperatorId, QueueName
from bridge.routing import Queue
from tests.adapters.teams.in_rig import DESK, person
from tests.adapters.teams.out_rig import Outside, outside, remembered
from tests.contracts.roster_contract import RosterContract

MAX_AGE_S = 30.0


def queue(name: str, **fields: Any) -> Queue:
    given: dict[str, Any] = {"channels": (ChannelId(SUPPORT),), "supervisors": frozenset({SAM})}
    return Queue(name=QueueName(name), label=name.title(), desk=DESK, **(given | fields))


class Northwind:
    """The sandbox's company; Dana is in the team, and not in the list of billing."""

    queue, other_queue = "support", "billing"
    member, supervisor, stranger = person(DANA), person(SAM), person(OUTSIDER)

    def __init__(self, out: Outside, facts: DeskFacts) -> None:
        self.out, self.facts = out, facts
        self.clock = ManualClock()
        self.queues = {"support": queue("support"), "billing": queue("billing", operators=frozenset({LEE}))}
        settings = replace(out.settings, roster_max_age_s=MAX_AGE_S)
        self.roster = TeamsRoster(settings=settings, calls=out.calls, facts=facts, queues=self.queues, clock=self.clock)

    async def leaves(self, person: OperatorId) -> None:
        await self.out.teams.act(person_of(person) or "", "leave")
        self.clock.set(self.clock.now() + int(MAX_AGE_S * 1000) + 1)

    async def silent(self) -> None:
        await self.out.teams.fault("members", "http_before", status=502, times=50)
        self.clock.set(self.clock.now() + int(MAX_AGE_S * 1000) + 1)


@pytest.fixture
async def office() -> AsyncIterator[Northwind]:
    """A team, and a roster that asks it."""
    async with outside() as out:
        yield Northwind(out, await remembered())


class TestTeamsRoster(RosterContract):
    """`adapters.teams.roster.TeamsRoster`."""


async def why(office: Northwind, who: OperatorId, name: str = "support") -> str:
    found = await office.roster.operator(who, name)
    assert found.standing is Standing.NONE
    return found.why


async def test_guests_and_people_of_other_tenants_may_not(office: Northwind) -> None:
    """Even if they are in the team; another tenant is not even asked about."""
    assert "Guests" in await why(office, person(GUEST))
    assert "organisation" in await why(office, operator_id(OTHER_TENANT, OUTSIDER))
    assert "not from Teams" in await why(office, OperatorId("slack:T1:U1"))


@pytest.mark.parametrize("entry", [DANA, DANA.upper(), "Dana@Northwind.example", str(person(DANA))])
async def test_people_are_listed_by_id_or_address(office: Northwind, entry: str) -> None:
    """Entra's object id, the e-mail address, in any case of letters."""
    office.queues["support"] = queue("support", operators=frozenset({entry}))

    assert (await office.roster.operator(person(DANA), "support")).standing is Standing.ALLOWED
    assert "listed" in await why(office, person(LEE))


async def test_what_teams_does_not_have_is_said(office: Northwind) -> None:
    """A user group, and a channel of which no team is known yet: nobody is let in by mistake."""
    office.queues["support"] = queue("support", user_group="S1")
    assert "user group" in await why(office, person(DANA))
    office.queues["support"] = queue("support", channels=(ChannelId(BILLING),))
    assert "which team" in await why(office, person(DANA))
    await office.facts.put(**{known.team_of(BILLING): TEAM})
    assert (await office.roster.operator(person(DANA), "support")).standing is Standing.ALLOWED


async def test_facts_are_kept_for_a_while_and_forgotten_on_demand(office: Northwind) -> None:
    """One question while they are fresh; another one when somebody has come or gone."""
    for _ in range(3):
        await office.roster.operator(person(DANA), "support")
    assert await office.out.requests("members") == 1
    office.roster.forget(DANA)
    await office.roster.operator(person(DANA), "support")
    assert await office.out.requests("members") == 2


def test_names_are_those_of_people() -> None:
    """First and last name; else the name shown, in one line and without what steers text."""
    assert public_name({"givenName": "Dana", "surname": "Ruiz", "name": "Dana Ruiz (Northwind)"}) == "Dana Ruiz"
    assert public_name({"name": "Dana\nRuiz\u202e"}) == "Dana Ruiz"
    assert public_name({}) == ""
