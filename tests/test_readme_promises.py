"""What the README promises about settings, the agent and the manifest is what the program does."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.agents.http import HttpAgent
from adapters.explain import settings_table
from adapters.manifest_slack import OPTIONAL_SCOPES, SCOPES
from adapters.manifest_teams import PERMISSIONS
from adapters.wiring import house
from bridge.conversation import TurnKind
from bridge.ids import ConversationId, Millis, SiteId, TurnId
from bridge.ports import AgentMessage, AgentReply, AgentTurn, HandOff, Message
from bridge.settings import load
from tests.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "manifest/README.md").read_text(encoding="utf-8")
TEAMS_GUIDE = (ROOT / "manifest/teams.md").read_text(encoding="utf-8")


def block(language: str, text: str = README) -> str:
    """The one fenced block of a language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return str(found)


def test_the_table_of_settings_is_the_generated_one() -> None:
    """Each variable is told with the default and meaning that the program has."""
    [table] = re.findall(r"<!-- made by: handoff-bridge settings -->\n(.*?)<!-- end -->", README, flags=re.DOTALL)

    assert table == settings_table()


def test_the_file_that_is_shown_is_taken(tmp_path: Path) -> None:
    """Whoever copies it gets what its comments say."""
    file = tmp_path / "handoff.toml"
    file.write_text(block("toml"), encoding="utf-8")
    made = house(load({}, file, for_="tool"))

    assert [queue.name for queue in made.directory.queues] == ["support", "billing"]
    assert made.directory.queues[0].public_label == "Acme support"
    assert [rung.action for rung in made.directory.queues[0].ladder] == ["mention", "tell_customer"]
    assert (made.triggers.low_confidence, made.triggers.low_confidence_turns) == (0.4, 2)


@pytest.mark.parametrize("guide,desk", [(GUIDE, "slack"), (TEAMS_GUIDE, "teams")], ids=["Slack", "Teams"])
def test_the_guides_file_is_taken(guide: str, desk: str, tmp_path: Path) -> None:
    """The smallest file of the admin's guide is enough."""
    file = tmp_path / "handoff.toml"
    file.write_text(block("toml", re.sub(r"(?m)^   ", "", guide)), encoding="utf-8")
    [queue] = load({}, file, for_="tool").queues

    assert (queue.desk, len(queue.channels)) == (desk, 1)


async def test_the_agent_that_is_shown_is_an_agent() -> None:
    """The bridge's own client gets an answer, a handoff and a word after a return from it."""
    names: dict[str, object] = {}
    exec(compile(block("python"), "README.md", "exec"), names)
    app = names["app"]
    assert isinstance(app, web.Application)
    server = TestServer(app)
    await server.start_server()
    agent = HttpAgent(url=str(server.make_url("/turn")), secret="", name="Assistant")

    async def ask(text: str, **more: object) -> list[AgentReply]:
        line = AgentMessage(n=1, role="customer", name="", text=text, at=Millis(0))
        turn = AgentTurn(
            site=SiteId("main"),
            conversation=ConversationId("c"),
            turn=TurnId(f"t_{text}"),
            epoch=1,
            attempt=1,
            kind=TurnKind.MESSAGE,
            messages=(line,) if text else (),
            customer={"id": "u", "verified": False},
            **more,  # type: ignore[arg-type]
        )
        return [reply async for reply in agent.respond(turn)]

    try:
        [greeting, *_] = await ask("")
        [answer, *_] = await ask("good morning")
        [handoff, *_] = await ask("I want a refund")
        [back, *_] = await ask("and now?", briefing={"note": "paid"})
    finally:
        await agent.close()
        await server.close()

    assert isinstance(greeting, Message)
    assert (greeting.text, isinstance(answer, Message) and answer.text) == ("Hello!", "You said: good morning")
    assert isinstance(handoff, HandOff)
    assert handoff.envelope["reason"] == "policy"
    assert isinstance(back, Message)
    assert "colleague" in back.text


@pytest.mark.parametrize(
    "guide,rights",
    [(GUIDE, {**SCOPES, **OPTIONAL_SCOPES}), (TEAMS_GUIDE, PERMISSIONS)],
    ids=["Slack", "Teams"],
)
def test_the_guide_explains_each_right_of_the_manifest(guide: str, rights: Mapping[str, str]) -> None:
    """An admin reads what each right is for, in the words of the generator."""
    told = dict(re.findall(r"^\| `([\w:.]+)`(?: \(optional\))? \| (.+) \|$", guide, flags=re.MULTILINE))

    assert told == rights


@pytest.mark.parametrize("guide", [GUIDE, TEAMS_GUIDE], ids=["Slack", "Teams"])
def test_the_guide_keeps_below_ten_steps(guide: str) -> None:
    """From nothing to the first relayed message."""
    steps = [int(number) for number in re.findall(r"^(\d+)\. \*\*", guide, flags=re.MULTILINE)]

    assert steps == list(range(1, len(steps) + 1))
    assert 5 <= len(steps) < 10
