"""The sandbox's web server: connector, Entra, Graph, the control interface and the page."""

import asyncio
import contextlib
import html
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TextIO

import aiohttp
from aiohttp import web

from adapters.sandbox.teams import connector, control, graph, login
from adapters.sandbox.teams.people import BOT, Cast, default_cast
from adapters.sandbox.teams.sandbox import SANDBOX, Sandbox
from adapters.sandbox.teams.settings import APP_PASSWORD, SandboxSettings

PAGE = Path(__file__).parent / "page"
SHARED = Path(__file__).parent.parent / "slack" / "page" / "dom.js"
"""What draws elements without parsing HTML is the same for both vendors' pages."""

MAX_BODY_BYTES = 40 * 1024 * 1024
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' https: http://127.0.0.1:* http://localhost:* data:; "
        "object-src 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def build(sandbox: Sandbox) -> web.Application:
    """Return the web application of one sandbox."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[SANDBOX] = sandbox
    app.add_routes([
        *control.routes(),
        *connector.routes(),
        *graph.routes(),
        *login.routes(),
        web.get("/avatars/{person}.svg", avatar),
        web.get("/pictures/{image}", picture),
        web.get("/", page),
        web.get("/page/{name}", page_file),
    ])  # fmt: skip
    return app


async def page(_: web.Request) -> web.StreamResponse:
    """Return the page."""
    return web.FileResponse(PAGE / "index.html", headers=_HEADERS)


async def page_file(request: web.Request) -> web.StreamResponse:
    """Return one of the page's own scripts or styles."""
    name = request.match_info["name"]
    wanted = SHARED if name == SHARED.name else PAGE / name
    if wanted.parent not in {PAGE, SHARED.parent} or wanted.suffix not in {".js", ".css"} or not wanted.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(wanted, headers=_HEADERS)


async def avatar(request: web.Request) -> web.Response:
    """Return a person's picture: initials on a colour."""
    team, who = request.app[SANDBOX].team, request.match_info["person"]
    if who not in team.people and who != "bot":
        raise web.HTTPNotFound
    name = team.name_of(BOT if who == "bot" else who)
    colour = team.people[who].colour if who in team.people else "4f52b2"
    initials = html.escape("".join(part[0] for part in name.split()[:2]))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72" width="72" height="72">'
        f'<rect width="72" height="72" rx="{16 if who == "bot" else 36}" fill="#{colour}"/>'
        '<text x="36" y="46" font-family="sans-serif" font-size="28" font-weight="600" fill="#fff" '
        f'text-anchor="middle">{initials}</text></svg>'
    )
    return web.Response(text=svg, content_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


async def picture(request: web.Request) -> web.Response:
    """Return a pasted picture to the page, which has no token of the bot."""
    found = request.app[SANDBOX].team.images.get(request.match_info["image"])
    if found is None or request.query.get("page") != request.app[SANDBOX].page_key:
        raise web.HTTPNotFound
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return web.Response(body=found[1], content_type="image/png", headers=headers)


@contextlib.asynccontextmanager
async def serving(
    settings: SandboxSettings, *, cast: Cast | None = None, now: Callable[[], float] = time.time
) -> AsyncIterator[Sandbox]:
    """Run a sandbox until the block ends. Its address is `sandbox.team.base_url`."""
    async with aiohttp.ClientSession() as session:
        sandbox = Sandbox(settings, cast or default_cast(), session, now=now)
        runner = web.AppRunner(build(sandbox), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            host, port = runner.addresses[0][:2]
            sandbox.team.base_url = f"http://{host}:{port}"
            yield sandbox
        finally:
            await sandbox.stop()
            await runner.cleanup()


async def run_teams(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    endpoint: str = "",
    app_password: str = APP_PASSWORD,
    more_channels: int = 0,
    retry_after_s: tuple[float, ...] = (1.0, 5.0),
    limits: bool = True,
    out: TextIO = sys.stdout,
) -> None:
    """Serve until cancelled. Prints one JSON line once it listens: `url` and what a bot must be told.

    `port` 0 takes a free one. `endpoint` is where activities go; it can be told later by `PUT /sandbox/app`.
    `more_channels` come beside the usual ones. The rest: `SandboxSettings` and `Rules`.
    """
    settings = SandboxSettings(
        host=host, port=port, endpoint=endpoint, app_password=app_password, retry_after_s=retry_after_s
    )
    async with serving(settings, cast=default_cast(more_channels)) as sandbox:
        sandbox.rules.limits = limits
        out.write(json.dumps({"url": sandbox.team.base_url, **control.app_json(sandbox)}) + "\n")
        out.flush()
        await asyncio.Event().wait()
