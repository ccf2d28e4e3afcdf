"""The local desks of `handoff-bridge demo`: what the bridge and the page are told of them."""

import asyncio
import contextlib
import importlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.demo_processes import Process, Processes
from adapters.sandbox.slack.people import BILLING, SAM, SUPPORT
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN
from adapters.sandbox.teams.client import SandboxRefusal, TeamsClient
from adapters.sandbox.teams.people import SAM as SAM_IN_TEAMS
from adapters.web.demo import DeskTab
from bridge.errors import SettingsError
from bridge.settings import Settings, load

START_WITHIN_S = 20.0
POLICY = "refund_amount > 100"
DELIVERY = "Delivery"
GREETING = "Morning! Everything about parcels comes in here now, as cards."
NO_TEAMS = (
    "Teams is not shown, because Microsoft's libraries are not installed. To see it, stop the demo and run: "
    "pip install 'handoff-bridge[teams]'"
)
_DESK = "adapters.teams.parts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Teams:
    """A local Teams. `told` is what a bot must be told; `channel` is where the queue is."""

    url: str
    channel: str
    told: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalDesks:
    """The desks that were started."""

    slack_url: str
    teams: Teams | None

    @property
    def tabs(self) -> tuple[DeskTab, DeskTab]:
        """What the page shows of them. Where Teams is not here, its queue is in Slack."""
        queues = [("support", "#support"), ("billing", "#billing")]
        slack = DeskTab(
            name="slack",
            label="Slack",
            url=self.slack_url,
            queues=queues if self.teams else [*queues, ("delivery", "#support")],
            posts="chat.postMessage",
        )
        if self.teams is None:
            return slack, DeskTab(name="teams", label="Teams", why=NO_TEAMS)
        there = [("delivery", DELIVERY)]
        return slack, DeskTab(name="teams", label="Teams", url=self.teams.url, queues=there, posts="send")


async def ready(processes: Processes) -> LocalDesks:
    """Wait until both listen. Microsoft's libraries are loaded meanwhile, because they take their time; where one of
    them is missing, there is no Teams. Raises SettingsError if a process does not start.
    """
    slack, teams = await asyncio.gather(_told("slack", processes.slack), _teams(processes.teams))
    return LocalDesks(slack_url=str(slack["url"]), teams=teams)


async def _teams(process: Process | None) -> Teams | None:
    if process is None:
        return None
    told, is_there = await asyncio.gather(_told("teams", process), asyncio.to_thread(_load_desk))
    if not is_there:
        return None
    async with TeamsClient(str(told["url"])) as client:
        await client.rules(graph=True)
        made = await client.act(SAM_IN_TEAMS, "create_channel", name=DELIVERY)
    return Teams(url=str(told["url"]), channel=str(made["channel"]), told={key: str(told[key]) for key in told})


def _load_desk() -> bool:
    try:
        importlib.import_module(_DESK)
    except ModuleNotFoundError:
        return False
    return True


async def _told(kind: str, process: Process) -> dict[str, Any]:
    """Return what a process says once it listens."""
    line = b""
    if process.stdout is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_WITHIN_S):
                line = await asyncio.to_thread(process.stdout.readline)
    if not line:
        # Else the thread would go on reading, and nothing could end before it.
        process.kill()
        remedy = f"start it by hand to see why: handoff-bridge sandbox {kind}"
        raise SettingsError(f"the local {kind.capitalize()} did not start; {remedy}")
    return dict(json.loads(line))


async def install_in_teams(teams: Teams, port: int) -> None:
    """Add the app to the team, now that the bridge listens. A colleague's greeting lets it find out that it hears every
    message, and not only those that mention it.
    """
    async with TeamsClient(teams.url) as client:
        await client.configure(endpoint=f"http://127.0.0.1:{port}/api/messages")
        with contextlib.suppress(SandboxRefusal):
            await client.act(SAM_IN_TEAMS, "install", channel=teams.channel)
            await client.say(SAM_IN_TEAMS, GREETING, channel=teams.channel)


def settings(folder: Path, desks: LocalDesks, *, port: int, agent_url: str) -> Settings:
    """Write the demo's `handoff.toml` into the folder and return what the bridge is told. Raises SettingsError."""
    file, teams = folder / "handoff.toml", desks.teams
    file.write_text(_document(teams), encoding="utf-8")
    environment = {
        "HANDOFF_PORT": str(port),
        "HANDOFF_SECRET_KEY": secrets.token_hex(32),
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/demo.db",
        "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
        "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
        "HANDOFF_SLACK__API_URL": f"{desks.slack_url}/api/",
        "HANDOFF_AGENT__KIND": "http" if agent_url else "demo",
        "HANDOFF_AGENT__URL": agent_url,
        "HANDOFF_AGENT__NAME": "Ada",
        "HANDOFF_LOG__LEVEL": "warning",
        # A local desk is never slow, and nobody who tries a switch waits for 15 s.
        "HANDOFF_UNCLEAR_GRACE_S": "4",
    }
    if teams is not None:
        names = ("app_id", "app_password", "tenant_id", "service_url", "metadata_url", "authority_url", "graph_url")
        environment |= {f"HANDOFF_TEAMS__{name.upper()}": teams.told[name] for name in names}
        environment["HANDOFF_TEAMS__GRAPH"] = "true"
    return load(environment, file, for_="serve")


def _document(teams: Teams | None) -> str:
    desk, channel, sam = ("slack", SUPPORT, SAM) if teams is None else ("teams", teams.channel, SAM_IN_TEAMS)
    return f"""
site = "demo"
public_label = "Northwind support"

[[queues]]
name = "support"
label = "Support (Slack)"
channels = ["{SUPPORT}"]
supervisors = ["{SAM}"]

[[queues]]
name = "billing"
label = "Billing (Slack)"
public_label = "Northwind billing"
channels = ["{BILLING}"]
supervisors = ["{SAM}"]

[[queues]]
name = "delivery"
label = "Delivery ({desk.capitalize()})"
public_label = "Northwind delivery"
desk = "{desk}"
channels = ["{channel}"]
supervisors = ["{sam}"]

[[routes]]
reason = "tool_failure"
queue = "delivery"

[triggers]
low_confidence = 0.5
tool_failures = 2

[[triggers.policy]]
name = "large-refund"
when = "{POLICY}"
queue = "billing"
"""
