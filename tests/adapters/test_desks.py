"""Desks in one process: those that are configured are there, each queue has its own, and nothing else is loaded."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.app import Bridge
from adapters.app import serving as serving_bridge
from adapters.desks import PACES, TEAMS, Desks, RosterByQueue, teams_settings
from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import SUPPORT as SLACK_CHANNEL
from adapters.sandbox.slack.server import serving as serving_slack
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SandboxSettings
from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import SUPPORT as TEAMS_CHANNEL
from adapters.sandbox.teams.server import serving as serving_teams
from adapters.sandbox.teams.settings import SandboxSettings as TeamsSandboxSettings
from bridge.conversation import Customer, Operator, Standing
from bridge.envelope import AgentInfo, HandoffEnvelope, Reason
from bridge.errors import SettingsError
from bridge.events import CustomerOpened, Escalated
from bridge.ids import ConversationId, CustomerId, DeskName, Millis, OperatorId, QueueName, SiteId, SourceId
from bridge.pacing import Pace
from bridge.routing import Directory, Queue
from bridge.settings import Settings, load
from tests.settings import ROOT

SITE = SiteId("main")
ON_SLACK = f'[[queues]]\nname = "sales"\nchannels = ["{SLACK_CHANNEL}"]\n'
ON_TEAMS = f'[[queues]]\nname = "care"\ndesk = "teams"\nchannels = ["{TEAMS_CHANNEL}"]\n'
COMMON = {"HANDOFF_SECRET_KEY": "k" * 32, "HANDOFF_AGENT__KIND": "demo", "HANDOFF_PORT": "0"}
GUID = "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f"
TEAMS_KEYS = {
    "HANDOFF_TEAMS__APP_ID": GUID,
    "HANDOFF_TEAMS__APP_PASSWORD": "canary",
    "HANDOFF_TEAMS__TENANT_ID": GUID,
}
Made = Callable[[dict[str, str], str], Settings]


@pytest.fixture
async def slack() -> AsyncIterator[Workspace]:
    async with (
        serving_slack(SandboxSettings()) as sandbox,
        Workspace(sandbox.workspace.base_url) as client,
    ):
        yield client


@pytest.fixture
async def teams() -> AsyncIterator[TeamsClient]:
    async with serving_teams(TeamsSandboxSettings()) as sandbox, TeamsClient(sandbox.team.base_url) as client:
        yield client


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(environment: dict[str, str], text: str) -> Settings:
        file = tmp_path / "any.toml"
        file.write_text(text, encoding="utf-8")
        return load({**COMMON, "HANDOFF_DATABASE_URL": f"sqlite:///{tmp_path}/any.db", **environment}, file)

    return make


def slack_keys(slack: Workspace) -> dict[str, str]:
    return {
        "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
        "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
        "HANDOFF_SLACK__API_URL": f"{slack.url}/api/",
    }


async def teams_keys(teams: TeamsClient) -> dict[str, str]:
    told = await teams.app()
    return {f"HANDOFF_TEAMS__{name.upper()}": told[name] for name in told if name != "endpoint"}


async def escalate(bridge: Bridge, queue: str) -> None:
    """Let a customer come and need a person of this queue."""
    conversation = ConversationId(f"c-{queue}")
    await bridge.engine.receive(
        CustomerOpened(
            site=SITE,
            source=SourceId(f"open-{queue}"),
            at=Millis(1),
            conversation=conversation,
            widget="directline",
            customer=Customer(id=CustomerId(f"dl_{queue}")),
        )
    )
    envelope = HandoffEnvelope(
        id=f"e-{queue}",
        conversation_id=conversation,
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
        reason=Reason.CUSTOMER_REQUEST,
        summary=f"They want {queue}.",
        agent=AgentInfo(id="bot"),
        queue=queue,
    )
    receipt = await bridge.engine.receive(
        Escalated(site=SITE, source=SourceId(f"up-{queue}"), at=Millis(2), conversation=conversation, envelope=envelope)
    )
    assert receipt.ticket


def loaded(code: str, folder: Path) -> set[str]:
    """Which of the heavy libraries a fresh process has loaded after this code."""
    names = ("botbuilder", "botframework", "msal", "msrest", "slack_sdk")
    script = f"import sys\n{code}\nprint(*(name for name in {names} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    return set(done.stdout.splitlines()[-1].split())


JOIN = """
from datetime import UTC, datetime
from pathlib import Path
from adapters import app
from bridge.settings import load
import asyncio
async def work():
    file = Path("any.toml")
    file.write_text({text!r})
    settings = load({environment!r}, file)
    async with app.serving(settings):
        pass
asyncio.run(work())
"""


def test_a_bridge_for_slack_never_loads_teams(tmp_path: Path) -> None:
    """Who has no Teams pays nothing for it: the real process serves and stops without Microsoft's libraries."""
    environment = {
        **COMMON,
        "HANDOFF_SLACK__BOT_TOKEN": "xoxb-1",
        "HANDOFF_SLACK__MODE": "http",
        "HANDOFF_SLACK__SIGNING_SECRET": "s" * 32,
        "HANDOFF_SLACK__API_URL": "http://127.0.0.1:9/api/",
    }

    assert loaded(JOIN.format(text=ON_SLACK, environment=environment), tmp_path) == {"slack_sdk"}


def test_a_bridge_for_teams_never_loads_slack(tmp_path: Path) -> None:
    """The same the other way round: nothing of Slack's is needed."""
    nowhere = "http://127.0.0.1:9"
    environment = {
        **COMMON,
        **TEAMS_KEYS,
        **{f"HANDOFF_TEAMS__{name}_URL": nowhere for name in ("SERVICE", "METADATA", "AUTHORITY", "GRAPH")},
    }

    found = loaded(JOIN.format(text=ON_TEAMS, environment=environment), tmp_path)

    assert "botframework" in found
    assert "slack_sdk" not in found


async def test_teams_alone_gets_the_card(teams: TeamsClient, made: Made) -> None:
    """An escalation opens a thread in the team's channel, and nothing of Slack's was configured."""
    async with serving_bridge(made(await teams_keys(teams), ON_TEAMS)) as bridge:
        await escalate(bridge, "care")
        [post] = await teams.wait_for(lambda state: state.posts(TEAMS_CHANNEL), timeout_s=15)

    assert "They want care." in str(post["cards"])
    assert post["text"] == ""


async def test_each_queue_goes_to_its_desk(slack: Workspace, teams: TeamsClient, made: Made) -> None:
    """With both configured, each conversation is opened once, where its queue is."""
    environment = {**slack_keys(slack), **await teams_keys(teams)}
    async with serving_bridge(made(environment, ON_SLACK + ON_TEAMS)) as bridge:
        await escalate(bridge, "care")
        await escalate(bridge, "sales")
        [in_teams] = await teams.wait_for(lambda state: state.posts(TEAMS_CHANNEL), timeout_s=15)
        [in_slack] = await slack.wait_for(lambda state: state.roots(SLACK_CHANNEL), timeout_s=15)

    assert "They want care." in str(in_teams)
    assert "They want sales." in str(in_slack)


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/teams/", "http://smba.trafficmanager.net/teams/", "https://u@smba.trafficmanager.net/"],
)
def test_the_bots_token_goes_to_teams_only(address: str, made: Made) -> None:
    """Any other connector's address is refused in one line before anything is sent."""
    settings = made({**TEAMS_KEYS, "HANDOFF_TEAMS__SERVICE_URL": address}, ON_TEAMS)

    with pytest.raises(SettingsError, match=r"^HANDOFF_TEAMS__SERVICE_URL: the bot's token would be sent"):
        teams_settings(settings)


@pytest.mark.parametrize("within_s,most", [(1, 7), (2, 8), (30, 60), (3600, 1800)])
def test_a_channel_of_teams_never_gets_more_than_it_takes(within_s: int, most: int) -> None:
    """However many lines wait, no second, minute or hour sees more posts than Teams allows."""
    pace: Pace = PACES[TEAMS]
    free_at, now, sent = Millis(0), Millis(10_000_000), []
    while now < 10_000_000 + 2 * 3_600_000:
        free_at = pace.free_at(posts=True, was_free_at=free_at, now=now)
        sent.append(now)
        now = Millis(max(now, free_at))

    window = max(sum(1 for at in sent if start <= at < start + within_s * 1000) for start in sent[:200])
    assert window <= most
    assert len(sent) > 3000


async def test_each_queues_people_are_asked_of_its_desk() -> None:
    """Who may take over is asked of the desk on which the queue is; a queue that is gone has nobody."""
    queues = tuple(
        Queue(name=QueueName(name), label=name, desk=DeskName(desk), channels=())
        for name, desk in (("sales", "slack"), ("care", "teams"), ("gone", "elsewhere"))
    )
    there = Desks(slack=Parts("slack"), teams=Parts("teams"))  # type: ignore[arg-type]
    roster = RosterByQueue(there, Directory(queues=queues))

    asked = [(await roster.operator(OperatorId("x"), name)).name for name in ("sales", "care")]
    nobody = [await roster.operator(OperatorId("x"), name) for name in ("gone", "never")]

    assert asked == ["slack", "teams"]
    assert {(operator.standing, bool(operator.why)) for operator in nobody} == {(Standing.NONE, True)}


class Parts:
    """A desk that has nothing but a name and people who are called like it."""

    def __init__(self, name: str) -> None:
        self.name = DeskName(name)
        self.desk = self
        self.roster = self

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        return Operator(id=person, name=self.name, standing=Standing.ALLOWED)


def test_missing_libraries_are_named_in_one_line(tmp_path: Path) -> None:
    """Who configures Teams without its extra is told what to install, not where an import failed."""
    script = "import sys\nsys.modules['botframework'] = None\nfrom adapters.cli import main\nmain()"
    (tmp_path / "handoff.toml").write_text(ON_TEAMS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", script, "serve"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **COMMON, **TEAMS_KEYS},
        timeout=60,
    )

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("is not installed; for Teams: pip install 'handoff-bridge[teams]'")


def test_the_doctor_answers_programs(tmp_path: Path) -> None:
    """The real command with --json prints one object and ends with 1 where something is bad."""
    (tmp_path / "handoff.toml").write_text(ON_SLACK, encoding="utf-8")
    environment = {
        "HANDOFF_SLACK__BOT_TOKEN": "xoxb-canary",
        "HANDOFF_SLACK__APP_TOKEN": "xapp-canary",
        "HANDOFF_SLACK__API_URL": "http://127.0.0.1:9/api/",
        "HANDOFF_BASE_URL": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from adapters.cli import main; main()", "doctor", "--json", "--timeout-s", "2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **COMMON, **environment},
        timeout=60,
    )

    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)
    assert "canary" not in done.stdout + done.stderr
