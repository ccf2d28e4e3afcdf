"""`handoff-bridge demo`: the whole thing on one page of this machine, with a local Slack and Teams, and no account.

The bridge is composed as `serve` composes it; only the desks' addresses and the people are local.
"""

import asyncio
import contextlib
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from rich.console import Console

from adapters import app as composition
from adapters import demo_desks
from adapters.web import demo as pages
from adapters.web import webchat_bundle
from bridge import log as logs
from bridge.errors import SettingsError
from bridge.ids import SiteId
from bridge.settings import load

REAL = (
    "{name}: is set, and the demo refuses to run beside real tokens, so that nothing can reach a real workspace; unset "
    "it, or start the bridge itself with: handoff-bridge serve"
)


def run(*, port: int, agent_url: str, open_browser: bool) -> None:
    """Show the demo until it is interrupted. Blocks. Raises SettingsError beside real tokens."""
    _refuse_real_tokens()
    logs.configure(level="warning", form="auto")
    composition.run_loop(composition.until_stopped(showing(port=port, agent_url=agent_url, open_browser=open_browser)))


def _refuse_real_tokens() -> None:
    given = load(for_="demo")
    for name in ("bot_token", "app_token", "signing_secret", "client_secret"):
        if getattr(given.slack, name) is not None:
            raise SettingsError(REAL.format(name=f"HANDOFF_SLACK__{name.upper()}"))
    for name in ("app_password", "app_id"):
        if getattr(given.teams, name):
            raise SettingsError(REAL.format(name=f"HANDOFF_TEAMS__{name.upper()}"))


@contextlib.asynccontextmanager
async def showing(*, port: int, agent_url: str = "", open_browser: bool = False) -> AsyncIterator[str]:
    """Start everything, say where the page is, and take it down again."""
    console = Console(stderr=True)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="handoff-demo-")))
        with console.status("Starting a local Slack and a local Teams; Microsoft's Web Chat is fetched once …"):
            desks, (web_chat, why) = await asyncio.gather(stack.enter_async_context(demo_desks.starting()), _web_chat())
        settings = demo_desks.settings(folder, desks, port=port or _free_port(), agent_url=agent_url)

        def add_pages(app: web.Application, bridge: composition.Bridge) -> None:
            demo = pages.Demo(
                site=SiteId(settings.site),
                store=bridge.store,
                desks=desks.tabs,
                issue=lambda: bridge.directline.issue(user=f"ann-{secrets.token_hex(3)}", name="Ann Lee"),
                web_chat=web_chat,
                why=why,
                says=(pages.ASK,) if agent_url else pages.SAYS,
            )
            pages.add_routes(app, demo)

        with console.status("Starting the bridge …"):
            bridge = await stack.enter_async_context(composition.serving(settings, more_routes=add_pages))
        if desks.teams is not None:
            await demo_desks.install_in_teams(desks.teams, bridge.port)
        page = f"{settings.public_url}/demo/"
        _say(console, page, why=why, desks=desks)
        if open_browser:
            await asyncio.to_thread(webbrowser.open, page)
        yield page


def _say(console: Console, page: str, *, why: str, desks: demo_desks.LocalDesks) -> None:
    if why:
        console.print(f"[yellow]{why}[/] The page shows a small chat of ours instead.")
    if desks.teams is None:
        console.print(demo_desks.NO_TEAMS, style="yellow", markup=False)
    right = "Slack" if desks.teams is None else "Slack and Teams"
    console.print(
        f"[bold]The demo is at[/] {page}\n[dim]Customer on the left, {right} on the right. Ctrl+C ends it.[/]"
    )


async def _web_chat() -> tuple[Path | None, str]:
    try:
        found = await webchat_bundle.fetch(webchat_bundle.default_cache_dir(), webchat_bundle.find_npm())
    except webchat_bundle.WebChatUnavailable as error:
        return None, str(error)
    return found, ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
