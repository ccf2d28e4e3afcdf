"""The whole bridge with Teams as its desk: a customer, people in the team, the scripted agent, one store."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.app import Bridge
from adapters.app import serving as serving_bridge
from adapters.sandbox.teams.client import Json, State, TeamsClient
from adapters.sandbox.teams.people import DANA, LEE, SAM, SUPPORT
from adapters.sandbox.teams.server import serving
from adapters.sandbox.teams.settings import SandboxSettings
from adapters.teams import inputs
from bridge.conversation import CUSTOMER_SEES, Customer, Entry, Role
from bridge.conversation import State as Owner
from bridge.events import CustomerSaid
from bridge.ids import ConversationId, CustomerId, Millis, SiteId, SourceId
from bridge.settings import load
from tests.adapters.slack.rig import WallClock

SITE, C1 = SiteId("main"), ConversationId("c-kim")
REST_S = 0.3
"""Between two tries of what people must mend: a minute otherwise."""
TOML = f"""
[[queues]]
name = "support"
desk = "teams"
channels = ["{SUPPORT}"]
supervisors = ["{SAM}"]
"""


class Office:
    """One conversation, and its thread in Teams."""

    def __init__(self, bridge: Bridge, teams: TeamsClient) -> None:
        self.bridge, self.teams = bridge, teams
        self._count = itertools.count(1)
        self.root = ""

    async def says(self, text: str) -> None:
        """Let the customer write."""
        await self.bridge.engine.receive(
            CustomerSaid(
                site=SITE,
                source=SourceId(f"said:{next(self._count)}"),
                at=Millis(WallClock().now()),
                conversation=C1,
                widget="test",
                customer=Customer(id=CustomerId("kim"), name="Kim Vale"),
                text=text,
            )
        )

    async def opened(self) -> None:
        """Ask for a person, and wait for the card."""
        await self.says("I want to talk to a person")
        self.root = await self.teams.wait_for(lambda state: next((str(p["id"]) for p in state.posts()), ""))

    async def thread(self, words: str) -> Json:
        """Wait until the thread shows this."""

        def shows(state: State) -> Json | None:
            return next((each for each in state.thread(SUPPORT, self.root) if words in str(each)), None)

        found = await self.teams.wait_for(shows, timeout_s=60)
        assert found is not None
        return found

    async def refused(self) -> None:
        """Wait until Teams has refused a message."""
        for _ in range(200):
            if any(call["status"] == 403 for call in await self.teams.calls("send")):
                return
            await asyncio.sleep(0.05)
        raise TimeoutError

    async def owner(self) -> Owner:
        """Return who owns the conversation."""
        found = await self.bridge.engine.lookup.conversation(SITE, C1)
        assert found is not None
        return found.state

    async def seen(self) -> list[Entry]:
        """Return what the customer has seen."""
        log = await self.bridge.store.read(lambda tx: list(tx.entries(SITE, C1)))
        return [entry for entry in log if entry.audience in CUSTOMER_SEES]

    async def operators_said(self) -> list[str]:
        """Return what people said to the customer."""
        return [entry.text for entry in await self.seen() if entry.author.role is Role.OPERATOR and entry.text]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """A bridge on SQLite in front of a local Teams in which the app has just been installed."""
    async with serving(SandboxSettings()) as sandbox, TeamsClient(sandbox.team.base_url) as teams:
        told = await teams.app()
        file = tmp_path / "handoff.toml"
        file.write_text(TOML, encoding="utf-8")
        keys = {f"HANDOFF_TEAMS__{name.upper()}": told[name] for name in told if name != "endpoint"}
        environment = {
            "HANDOFF_PORT": "0",
            "HANDOFF_SECRET_KEY": "k" * 48,
            "HANDOFF_AGENT__KIND": "demo",
            "HANDOFF_DATABASE_URL": f"sqlite:///{tmp_path}/handoff.db",
            **keys,
        }
        async with serving_bridge(load(environment, file)) as bridge:
            await teams.configure(endpoint=f"http://127.0.0.1:{bridge.port}/api/messages")
            await teams.act(SAM, "install", channel=SUPPORT)
            await teams.delivered("conversationUpdate", 1)
            for courier in bridge.engine._couriers:
                courier._rest_s = REST_S
            yield Office(bridge, teams)


async def test_a_conversation_goes_to_a_person_in_teams_and_back(office: Office) -> None:
    """Taken by the card, answered in the thread, noted among colleagues, corrected, returned by the form."""
    await office.opened()
    await office.teams.say(DANA, "Too early", root=office.root)
    await office.thread("Nobody has taken this conversation yet")
    await office.teams.click(DANA, office.root, "take")
    await office.thread("Taken by")
    assert await office.owner() is Owner.HUMAN
    said = await office.teams.say(DANA, "Hello **Kim**", root=office.root)
    await office.teams.say(DANA, "// she sounds upset", root=office.root)
    await office.teams.say(LEE, "Me too", root=office.root)
    await office.says("Where is my <at>parcel</at>?")
    await office.thread("parcel")
    await office.thread("replies go to the customer")
    await office.teams.edit(DANA, said, "Hello Kim")
    await office.teams.delivered("messageUpdate", 1)
    assert await office.operators_said() == ["Hello **Kim**", "Hello Kim"]
    await office.teams.click(DANA, office.root, "return", inputs={inputs.NOTE: "All paid."})
    await office.thread("eturned")

    assert await office.owner() is Owner.AGENT
    assert "upset" not in str(await office.seen())


async def test_who_comes_second_is_told_and_the_owner_stays(office: Office) -> None:
    """Two people press *Take it*: one has it, the other reads who."""
    await office.opened()
    await office.teams.click(DANA, office.root, "take")
    await office.teams.click(LEE, office.root, "take")

    assert "Dana" in (await office.teams.state()).notices(LEE)[0]
    await office.teams.mention(DANA, "return thanks", root=office.root)
    await office.teams.delivered("message", 1)
    assert await office.owner() is Owner.AGENT


async def test_what_waits_while_the_app_is_away_arrives_when_it_is_back(office: Office) -> None:
    """Removed from the team: nothing is lost, nothing doubled; the thread is told when it goes on."""
    await office.opened()
    await office.teams.click(DANA, office.root, "take")
    await office.teams.act(SAM, "uninstall")
    await office.teams.delivered("installationUpdate", 2)
    await office.says("Are you there?")
    await office.refused()
    await office.teams.act(SAM, "install")

    await office.thread("is back")
    await office.thread("Are you there?")
    await office.says("Hello again")
    await office.thread("Hello again")
    shown = [str(each) for each in (await office.teams.state()).thread(SUPPORT, office.root)]
    assert [sum(words in each for each in shown) for words in ("Are you there?", "Hello again")] == [1, 1]
