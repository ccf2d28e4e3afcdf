"""`handoff-bridge demo`: the whole thing on one page of this machine, with a local Slack and no account.

The bridge is composed as `serve` composes it; only Slack's address and the people are local. The local Slack runs as a
process of its
own, as the real one would.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from rich.console import Console

from adapters import app as composition
from adapters.sandbox.slack.people import BILLING, SAM, SUPPORT
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN
from adapters.web import demo as pages
from adapters.web import webchat_bundle
from bridge import log as logs
from bridge.errors import SettingsError
from bridge.ids import SiteId
from bridge.settings import Settings, load

START_WITHIN_S = 20.0
REAL = (
    "HANDOFF_SLACK__{name}: is set, and the demo refuses to run beside real tokens, so that nothing can reach a real "
    "workspace; unset it, or start the bridge itself with: handoff-bridge serve"
)
POLICY = "refund_amount > 100"


def run(*, port: int, agent_url: str, open_browser: bool) -> None:
    """Show the demo until it is interrupted. Blocks. Raises SettingsError beside real tokens."""
    _refuse_real_tokens()
    logs.configure(level="warning", form="auto")
    composition.run_loop(composition.until_stopped(showing(port=port, agent_url=agent_url, open_browser=open_browser)))


def _refuse_real_tokens() -> None:
    slack = load(for_="demo").slack
    for name in ("bot_token", "app_token", "signing_secret", "client_secret"):
        if getattr(slack, name) is not None:
            raise SettingsError(REAL.format(name=name.upper()))


@contextlib.asynccontextmanager
async def showing(*, port: int, agent_url: str = "", open_browser: bool = False) -> AsyncIterator[str]:
    """Start everything, say where the page is, and take it down again."""
    console = Console(stderr=True)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="handoff-demo-")))
        with console.status("Starting a local Slack …"):
            slack_url = await stack.enter_async_context(_local_slack())
        with console.status("Fetching Microsoft's Web Chat, once …"):
            web_chat, why = await _web_chat()
        settings = _settings(folder, port=port or _free_port(), slack_url=slack_url, agent_url=agent_url)

        def add_pages(app: web.Application, bridge: composition.Bridge) -> None:
            demo = pages.Demo(
                site=SiteId(settings.site),
                store=bridge.store,
                slack_url=slack_url,
                issue=lambda: bridge.directline.issue(user=f"ann-{secrets.token_hex(3)}", name="Ann Lee"),
                web_chat=web_chat,
                why=why,
            )
            pages.add_routes(app, demo)

        with console.status("Starting the bridge …"):
            await stack.enter_async_context(composition.serving(settings, more_routes=add_pages))
        page = f"{settings.public_url}/demo/"
        if why:
            console.print(f"[yellow]{why}[/] The page shows a small chat of ours instead.")
        console.print(
            f"[bold]The demo is at[/] {page}\n[dim]Customer on the left, Slack on the right. Ctrl+C ends it.[/]"
        )
        if open_browser:
            await asyncio.to_thread(webbrowser.open, page)
        yield page


@contextlib.asynccontextmanager
async def _local_slack() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters.sandbox", "slack", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise SettingsError("the local Slack could not be started")
        line = await asyncio.wait_for(process.stdout.readline(), START_WITHIN_S)
        if not line:
            raise SettingsError(
                "the local Slack ended at once; start it by hand to see why: handoff-bridge sandbox slack"
            )
        yield str(json.loads(line)["url"])
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _web_chat() -> tuple[Path | None, str]:
    try:
        found = await webchat_bundle.fetch(webchat_bundle.default_cache_dir(), webchat_bundle.find_npm())
    except webchat_bundle.WebChatUnavailable as error:
        return None, str(error)
    return found, ""


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings(folder: Path, *, port: int, slack_url: str, agent_url: str) -> Settings:
    file = folder / "handoff.toml"
    file.write_text(
        f"""
site = "demo"
public_label = "Northwind support"

[[queues]]
name = "support"
label = "Support"
channels = ["{SUPPORT}"]
supervisors = ["{SAM}"]

[[queues]]
name = "billing"
label = "Billing"
public_label = "Northwind billing"
channels = ["{BILLING}"]
supervisors = ["{SAM}"]

[triggers]
low_confidence = 0.5
tool_failures = 2

[[triggers.policy]]
name = "large-refund"
when = "{POLICY}"
queue = "billing"
""",
        encoding="utf-8",
    )
    environment = {
        "HANDOFF_PORT": str(port),
        "HANDOFF_SECRET_KEY": secrets.token_hex(32),
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/demo.db",
        "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
        "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
        "HANDOFF_SLACK__API_URL": f"{slack_url}/api/",
        "HANDOFF_AGENT__KIND": "http" if agent_url else "demo",
        "HANDOFF_AGENT__URL": agent_url,
        "HANDOFF_AGENT__NAME": "Ada",
        "HANDOFF_LOG__LEVEL": "warning",
    }
    return load(environment, file, for_="serve")
