"""What the doctor finds about Teams, against a strict local team and a real bridge in this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.app import serving as serving_bridge
from adapters.doctor import teams as clinic
from adapters.doctor.findings import Finding
from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import DANA, SUPPORT
from adapters.sandbox.teams.server import serving as serving_teams
from adapters.sandbox.teams.settings import SandboxSettings
from bridge.settings import Settings, load
from tests.journeys.world import free_port

WITHIN_S = 10.0
Findings = dict[str, Finding]


@pytest.fixture
async def teams() -> AsyncIterator[TeamsClient]:
    async with serving_teams(SandboxSettings()) as sandbox, TeamsClient(sandbox.team.base_url) as client:
        yield client


async def settings(teams: TeamsClient, folder: Path, *, channel: str = SUPPORT, **changes: str) -> Settings:
    file = folder / "any.toml"
    file.write_text(f'[[queues]]\nname = "care"\ndesk = "teams"\nchannels = ["{channel}"]\n', encoding="utf-8")
    port, told = free_port(), await teams.app()
    await teams.configure(endpoint=f"http://127.0.0.1:{port}/api/messages")
    environment = {
        "HANDOFF_SECRET_KEY": "k" * 32,
        "HANDOFF_AGENT__KIND": "demo",
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/any.db",
        "HANDOFF_PORT": str(port),
        **{f"HANDOFF_TEAMS__{name.upper()}": told[name] for name in told if name != "endpoint"},
        **changes,
    }
    return load(environment, file)


async def examined(told: Settings, *, post: bool = False, person_s: float = 0.0) -> Findings:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        return {found.subject: found async for found in clinic.findings(told, http, post=post, person_s=person_s)}


def verdicts(found: Findings) -> dict[str, str]:
    return {subject: finding.verdict for subject, finding in found.items()}


async def introduced(teams: TeamsClient, *, unasked: bool = True) -> None:
    """Let the bot hear of its team: a mention, and a line without one."""
    await teams.act(DANA, "install")
    await teams.delivered("conversationUpdate", 1, timeout_s=WITHIN_S)
    await teams.mention(DANA, "help", channel=SUPPORT)
    if unasked:
        await teams.say(DANA, "Good morning", channel=SUPPORT)
    await teams.delivered("message", 2 if unasked else 1, timeout_s=WITHIN_S)


async def test_a_sound_installation_passes(teams: TeamsClient, tmp_path: Path) -> None:
    """Endpoint, sign-in, tenant, address, channel and permission are each looked at and good."""
    told = await settings(teams, tmp_path)
    async with serving_bridge(told):
        await introduced(teams)
        found = await examined(told)

    assert set(verdicts(found).values()) == {"good"}, found
    assert list(found) == [
        "Teams endpoint",
        "Teams token",
        "Teams tenant",
        "Teams serviceUrl",
        f"queue care, channel {SUPPORT}",
        "Teams permission, Northwind Support",
    ]


async def test_before_the_first_word_it_says_what_to_do(teams: TeamsClient, tmp_path: Path) -> None:
    """Nothing was heard yet: the channel is bad, the rest a warning, and each says to add the app and mention it."""
    told = await settings(teams, tmp_path)
    async with serving_bridge(told):
        found = await examined(told)

    assert verdicts(found) == {
        "Teams endpoint": "good",
        "Teams token": "good",
        "Teams tenant": "warn",
        "Teams serviceUrl": "warn",
        f"queue care, channel {SUPPORT}": "bad",
    }
    assert all("add the app" in finding.remedy for finding in found.values() if finding.verdict != "good")


@pytest.mark.parametrize(
    "rules,code,words",
    [
        ({"secret": "expired"}, "AADSTS7000222", "client secret has expired"),
        ({"secret": "invalid"}, "AADSTS7000215", "client secret is wrong"),
        ({"secret": "unknown_app"}, "AADSTS700016", "HANDOFF_TEAMS__APP_ID"),
    ],
)
async def test_a_sign_in_that_fails_is_told_in_plain_words(
    teams: TeamsClient, tmp_path: Path, rules: dict[str, str], code: str, words: str
) -> None:
    """Entra's code for whoever looks it up, our sentence for everybody, and not the secret."""
    told = await settings(teams, tmp_path)
    await teams.rules(**rules)
    found = await examined(told)

    assert (found["Teams token"].verdict, found["Teams token"].detail) == ("bad", code)
    assert words in found["Teams token"].remedy
    assert (await teams.app())["app_password"] not in repr(found)


async def test_an_app_of_another_type_is_found_out(teams: TeamsClient, tmp_path: Path) -> None:
    """The app is known to the other authority: it works, and the setting to mend is named."""
    told = await settings(teams, tmp_path)
    await teams.rules(authority="botframework.com")
    async with serving_bridge(told):
        found = await examined(told)

    assert found["Teams token"].verdict == "warn"
    assert "HANDOFF_TEAMS__APP_TYPE" in found["Teams token"].remedy


async def test_without_the_permission_it_is_not_proven(teams: TeamsClient, tmp_path: Path) -> None:
    """Only mentions arrive: a warning with the way to prove it, and what operators do until then."""
    told = await settings(teams, tmp_path)
    await teams.rules(rsc=False)
    async with serving_bridge(told):
        await introduced(teams, unasked=False)
        found = await examined(told)
    permission = found["Teams permission, Northwind Support"]

    assert permission.verdict == "warn"
    assert "without mentioning anybody" in permission.remedy


async def test_an_app_that_was_removed_is_told(teams: TeamsClient, tmp_path: Path) -> None:
    """The team removed the app: its channel is bad, by what Teams said."""
    told = await settings(teams, tmp_path)
    async with serving_bridge(told):
        await introduced(teams)
        await teams.act(DANA, "uninstall")
        await teams.delivered("installationUpdate", 2, timeout_s=WITHIN_S)
        found = await examined(told)

    assert found[f"queue care, channel {SUPPORT}"].verdict == "bad"
    assert "removed" in found[f"queue care, channel {SUPPORT}"].detail


async def test_a_channel_of_another_team_is_not_taken_for_granted(teams: TeamsClient, tmp_path: Path) -> None:
    """A channel that nothing was heard from is bad, however well the bot knows others."""
    told = await settings(teams, tmp_path, channel="19:00000000000000000000000000000000@thread.tacv2")
    async with serving_bridge(told):
        await introduced(teams)
        found = await examined(told)

    assert [finding.verdict for subject, finding in found.items() if subject.startswith("queue")] == ["bad"]


async def test_graph_is_tried_where_the_settings_count_on_it(teams: TeamsClient, tmp_path: Path) -> None:
    """Granted it is good; not granted it is bad, with the permission's name."""
    told = await settings(teams, tmp_path, HANDOFF_TEAMS__GRAPH="true")
    async with serving_bridge(told):
        await introduced(teams)
        refused = await examined(told)
        await teams.rules(graph=True)
        granted = await examined(told)

    assert (refused["Teams Graph"].verdict, granted["Teams Graph"].verdict) == ("bad", "good")
    assert "ChannelMessage.Read.Group" in refused["Teams Graph"].remedy


async def test_the_test_thread_is_answered_and_removed(teams: TeamsClient, tmp_path: Path) -> None:
    """A person answers the labelled card without a mention: heard, proven, and the card is gone."""
    told = await settings(teams, tmp_path)
    async with serving_bridge(told):
        await introduced(teams, unasked=False)
        looking = asyncio.create_task(examined(told, post=True, person_s=WITHIN_S))
        [card] = await teams.wait_for(
            lambda state: [post for post in state.posts(SUPPORT) if "doctor" in str(post["cards"])], timeout_s=WITHIN_S
        )
        await teams.say(DANA, "here I am", root=card["id"])
        found = await looking
        left = (await teams.state()).posts(SUPPORT)

    assert (found["Teams post"].verdict, found["Teams reply"].verdict) == ("good", "good")
    assert "without mentioning anybody" in str(card["cards"])
    assert [post for post in left if post["cards"] and not post["is_deleted"]] == []


async def test_nobody_answers_and_the_test_thread_is_removed(teams: TeamsClient, tmp_path: Path) -> None:
    """Without a person the reply is a warning; nothing of the doctor's stays in the channel."""
    told = await settings(teams, tmp_path)
    async with serving_bridge(told):
        await introduced(teams, unasked=False)
        found = await examined(told, post=True)
        left = (await teams.state()).posts(SUPPORT)

    assert (found["Teams post"].verdict, found["Teams reply"].verdict) == ("good", "warn")
    assert [post for post in left if post["cards"] and not post["is_deleted"]] == []


async def test_a_bridge_that_does_not_listen_is_told(teams: TeamsClient, tmp_path: Path) -> None:
    """Nobody is at the address: the endpoint is bad and says to start serve."""
    found = await examined(await settings(teams, tmp_path))

    assert found["Teams endpoint"].verdict == "bad"
    assert "handoff-bridge serve" in found["Teams endpoint"].remedy
