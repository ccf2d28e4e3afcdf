"""The app comes and goes, teams and channels are renamed and deleted: followed, and told."""

from collections.abc import AsyncIterator

import pytest

from adapters.sandbox.teams.people import BILLING, BOT, BOT_NAME, DANA, LEE, SAM, SUPPORT, TEAM, TEAM_GROUP, TENANT
from adapters.teams import known
from bridge.conversation import Standing
from bridge.events import OperatorLeft, OperatorSaid
from tests.adapters.teams.in_rig import Stage, nothing_known, owned, person, root, staged, until


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A desk and its team."""
    async with staged() as one:
        yield one


async def test_an_installation_tells_all_that_is_needed() -> None:
    """Address, tenant, bot, team, and the channel that the installer chose; nothing has to be typed into settings."""
    async with staged(knows=nothing_known) as stage:
        await stage.teams.act(SAM, "install", channel=BILLING)
        await stage.teams.delivered("installationUpdate", 1)
        await stage.teams.delivered("conversationUpdate", 1)

        facts = await stage.facts.all()
        assert facts[known.SERVICE_URL] == stage.sandbox.team.service_url
        assert (facts[known.TENANT], facts[known.BOT_ID], facts[known.BOT_NAME]) == (TENANT, BOT, BOT_NAME)
        assert (facts[known.TEAM], facts[known.aad_group(TEAM)]) == (TEAM, TEAM_GROUP)
        assert (facts[known.team_of(BILLING)], facts[known.channel_name(BILLING)]) == (TEAM, "Billing")
        assert all(isinstance(value, str) for value in facts.values())
        await stage.opened()
        assert (await stage.parts.roster.operator(person(LEE), "billing")).standing is Standing.ALLOWED


async def test_a_removed_app_is_noticed_and_its_return_is_told(stage: Stage) -> None:
    """What cannot be sent waits, with a remedy; back again, the threads are told, and the grant proves itself anew."""
    one = await stage.opened()
    await stage.teams.say(DANA, "Hello", root=root(one))
    await stage.door.first(OperatorSaid)
    assert (await stage.facts.all())[known.heard_all(TEAM)] == known.YES
    await stage.teams.act(SAM, "uninstall")
    await stage.teams.delivered("installationUpdate", 1)

    facts = await stage.facts.all()
    assert facts[known.removed(TEAM)] == known.YES
    assert known.heard_all(TEAM) not in facts
    assert (await stage.parts.health())["removed"] == [TEAM]
    await stage.teams.act(SAM, "install")
    await stage.told(one, "is back")
    assert (await stage.parts.health())["removed"] == []
    assert sum("is back" in str(each) for each in await stage.thread(one)) == 1


async def test_an_upgrade_is_no_removal(stage: Stage) -> None:
    """A new version of the app: nothing is told, nothing waits."""
    one = await stage.opened()
    await stage.teams.act(SAM, "install", action="add-upgrade")
    await stage.teams.delivered("installationUpdate", 1)

    assert known.removed(TEAM) not in await stage.facts.all()
    assert len(await stage.thread(one)) == 1


async def test_new_names_are_followed(stage: Stage) -> None:
    """Of the team and of a channel."""
    await stage.teams.act(SAM, "rename_channel", channel=SUPPORT, name="Care")
    await stage.teams.act(SAM, "rename_team", name="Northwind Care")
    await stage.teams.delivered("conversationUpdate", 2)

    facts = await stage.facts.all()
    assert (facts[known.channel_name(SUPPORT)], facts[known.team_name(TEAM)]) == ("Care", "Northwind Care")


async def test_a_deleted_channel_is_noticed_and_its_return_is_told(stage: Stage) -> None:
    """Only its own threads are."""
    one = await stage.opened()
    await stage.teams.act(SAM, "delete_channel", channel=SUPPORT)
    await stage.teams.delivered("conversationUpdate", 1)
    assert (await stage.parts.health())["removed"] == [SUPPORT]
    await stage.teams.act(SAM, "restore_channel", channel=SUPPORT)

    await stage.told(one, "is back")
    assert (await stage.parts.health())["removed"] == []


async def test_an_archived_team_is_noticed(stage: Stage) -> None:
    """It can be read and not written to."""
    one = await stage.opened()
    await stage.teams.act(SAM, "archive_team")
    await stage.teams.delivered("conversationUpdate", 1)
    assert (await stage.facts.all())[known.removed(TEAM)] == known.YES
    await stage.teams.act(SAM, "unarchive_team")

    await stage.told(one, "is back")


async def test_an_owner_who_leaves_the_team_leaves_the_conversation(stage: Stage) -> None:
    """Others' conversations stay; the roster asks anew."""
    mine, others = await stage.opened(**owned(DANA)), await stage.opened(**owned(LEE, "Lee Park"))
    await stage.teams.act(DANA, "leave")
    left = await stage.door.first(OperatorLeft)

    assert (left.handoff, left.operator.id) == (mine.id, person(DANA))
    assert others.id not in {event.handoff for event in stage.door.of(OperatorLeft)}
    assert (await stage.parts.roster.operator(person(DANA), "support")).standing is Standing.NONE
    await stage.teams.act(DANA, "join")
    await until(lambda: True)
    await stage.teams.delivered("conversationUpdate", 2)
    assert (await stage.parts.roster.operator(person(DANA), "support")).standing is Standing.ALLOWED


async def test_the_desk_starts_and_stops_twice() -> None:
    """It signs in at its start, remembers what others heard, and leaves nothing behind."""
    async with staged() as stage:
        await stage.parts.start()
        health = await stage.parts.health()
        assert (health["service_url"], health["last_event_age_s"]) == (stage.sandbox.team.service_url, None)
        await stage.parts.hush()
        await stage.parts.stop()
