"""`handoff-bridge demo`: the whole thing on one page of this machine, with a local Slack and Teams, and no account.

The bridge is composed as `serve` composes it; only the desks' addresses and the people are local. Everything but the
processes of the desks is imported while those start.
"""

import asyncio
import contextlib
import gc
import secrets
import signal
import socket
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from adapters import demo_processes

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.app import Bridge
    from adapters.demo_desks import LocalDesks

REAL = (
    "{name}: is set, and the demo refuses to run beside real tokens, so that nothing can reach a real workspace; unset "
    "it, or start the bridge itself with: handoff-bridge serve"
)


def run(*, port: int, agent_url: str, open_browser: bool) -> None:
    """Show the demo until it is interrupted. Blocks. Raises SettingsError beside real tokens."""
    # As for `serve`: what loads at start is never garbage.
    gc.disable()
    with demo_processes.started() as processes:
        _refuse_real_tokens()
        from adapters import app as composition
        from bridge import log as logs

        logs.configure(level="warning", form="auto")
        if hasattr(signal, "SIGHUP"):
            # The terminal was closed: the desks, whom nobody told, must not go on.
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        shown = showing(port=port, agent_url=agent_url, open_browser=open_browser, processes=processes)
        composition.run_loop(composition.until_stopped(shown))


def _refuse_real_tokens() -> None:
    from bridge.errors import SettingsError
    from bridge.settings import load

    given = load(for_="demo")
    for name in ("bot_token", "app_token", "signing_secret", "client_secret"):
        if getattr(given.slack, name) is not None:
            raise SettingsError(REAL.format(name=f"HANDOFF_SLACK__{name.upper()}"))
    for name in ("app_password", "app_id"):
        if getattr(given.teams, name):
            raise SettingsError(REAL.format(name=f"HANDOFF_TEAMS__{name.upper()}"))


@contextlib.asynccontextmanager
async def showing(
    *,
    port: int,
    agent_url: str = "",
    open_browser: bool = False,
    processes: demo_processes.Processes | None = None,
) -> AsyncIterator[str]:
    """Start everything that has not been started, say where the page is, and take it down again."""
    from rich.console import Console

    from adapters import app as composition
    from adapters import demo_desks
    from adapters.web import demo as pages
    from bridge.ids import SiteId

    console = Console(stderr=True)
    async with contextlib.AsyncExitStack() as stack:
        beside = processes or stack.enter_context(demo_processes.started())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="handoff-demo-")))
        with console.status("Starting a local Slack and a local Teams; Microsoft's Web Chat is fetched once …"):
            desks, (web_chat, why) = await asyncio.gather(demo_desks.ready(beside), _web_chat())
        settings = demo_desks.settings(folder, desks, port=port or _free_port(), agent_url=agent_url)

        def add_pages(app: "web.Application", bridge: "Bridge") -> None:
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
        for line in _words(page, why=why, desks=desks):
            console.print(line)
        if open_browser:
            await asyncio.to_thread(webbrowser.open, page)
        yield page


def _words(page: str, *, why: str, desks: "LocalDesks") -> list[str]:
    from rich.markup import escape

    lines = [f"[yellow]{escape(why)}[/] The page shows a small chat of ours instead."] if why else []
    lines += [f"[yellow]{escape(tab.why)}[/]" for tab in desks.tabs if tab.why]
    right = " and ".join(tab.label for tab in desks.tabs if tab.url)
    return [
        *lines,
        f"[bold]The demo is at[/] {page}",
        f"[dim]Customer on the left, {right} on the right. Ctrl+C ends it.[/]",
    ]


async def _web_chat() -> tuple[Path | None, str]:
    from adapters.web import webchat_bundle

    try:
        found = await webchat_bundle.fetch(webchat_bundle.default_cache_dir(), webchat_bundle.find_npm())
    except webchat_bundle.WebChatUnavailable as error:
        return None, str(error)
    return found, ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
