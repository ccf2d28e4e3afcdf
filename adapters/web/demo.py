"""The demo page: the customer's chat on the left, the team's Slack on the right, and on top who owns the conversation.

For this machine only: whoever can open it gets a token for a new customer.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.web.answers import answer, error
from bridge.conversation import Audience, State
from bridge.errors import StoreUnavailable
from bridge.ids import ConversationId, SiteId
from bridge.storage import Store, Tx

POLL_S = 0.2
HEARTBEAT_S = 15.0
TYPES: Mapping[str, str] = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
PAGES = ("demo.css", "demo.js", "chat.css", "chat.js", "plain.js")


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """What the page needs: the local Slack, tokens for customers, and the real Web Chat or why it is not here."""

    site: SiteId
    store: Store
    slack_url: str
    issue: Callable[[], Mapping[str, Any]]
    """Returns Direct Line's `{conversationId, token, expires_in}` for a new customer."""
    web_chat: Path | None = None
    why: str = ""
    """Why `web_chat` is None, in a sentence."""


def state_of(tx: Tx, site: SiteId, conversation: ConversationId) -> dict[str, Any]:
    """Return what the strip shows of a conversation; one that nobody has opened yet has the state `none`."""
    found = tx.conversation(site, conversation, lock=False)
    if found is None:
        return {"state": "none", "operator": None, "epoch": None, "ticket": None, "queue": None, "suppressed": []}
    handoff = tx.handoff(site, found.handoff) if found.handoff else None
    people = found.state in {State.WAITING, State.HUMAN}
    late = [entry.text for entry in tx.entries(site, conversation) if entry.audience is Audience.SUPPRESSED]
    return {
        "state": found.state.value,
        "operator": found.operator.name if found.operator else None,
        "epoch": found.epoch,
        "ticket": handoff.ticket if handoff else None,
        "queue": handoff.queue if handoff and people else None,
        "suppressed": late,
    }


class Page:
    """The routes of the demo."""

    def __init__(self, demo: Demo) -> None:
        """Read the pages once; the browser asks for them again at every load."""
        folder = files("adapters.web") / "page"
        names = ("demo.html", "chat.html", *PAGES)
        self._texts = {name: (folder / name).read_text(encoding="utf-8") for name in names}
        self._demo = demo
        self._closing = asyncio.Event()

    def page(self, name: str) -> Callable[[web.Request], Any]:
        """Return the handler of one of the pages."""

        async def show(_request: web.Request) -> web.Response:
            return self._text(name)

        return show

    async def static(self, request: web.Request) -> web.Response:
        """GET static/{name}: styles and scripts."""
        name = request.match_info["name"]
        return self._text(name) if name in PAGES else error(404, "not_found", "There is no such file.")

    def _text(self, name: str) -> web.Response:
        kind = TYPES[Path(name).suffix]
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.Response(text=self._texts[name], content_type=kind, charset="utf-8", headers=headers)

    async def config(self, _request: web.Request) -> web.Response:
        """GET config: what differs from one demo to another."""
        demo = self._demo
        return answer({"slack_url": demo.slack_url, "web_chat": demo.web_chat is not None, "why": demo.why})

    async def token(self, _request: web.Request) -> web.Response:
        """POST token: a new customer. In production the company's own server asks for this."""
        return answer(self._demo.issue())

    async def web_chat(self, _request: web.Request) -> web.StreamResponse:
        """GET webchat.js: the real one."""
        if self._demo.web_chat is None:
            return error(404, "not_found", self._demo.why)
        return web.FileResponse(self._demo.web_chat, headers={"Content-Type": "text/javascript; charset=utf-8"})

    async def state(self, request: web.Request) -> web.StreamResponse:
        """GET state: an event for each change (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
        conversation = ConversationId(request.query.get("conversation", ""))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        # A window that was closed is only noticed by writing to it.
        with contextlib.suppress(ConnectionResetError):
            await self._follow(conversation, response)
        return response

    async def _follow(self, conversation: ConversationId, response: web.StreamResponse) -> None:
        shown, quiet_s = "", 0.0
        while not self._closing.is_set():
            text = await self._read(conversation) or shown
            if text != shown:
                await response.write(f"data: {text}\n\n".encode())
                shown, quiet_s = text, 0.0
            elif quiet_s >= HEARTBEAT_S:
                await response.write(b": still here\n\n")
                quiet_s = 0.0
            try:
                await asyncio.wait_for(self._closing.wait(), POLL_S)
            except TimeoutError:
                quiet_s += POLL_S

    async def _read(self, conversation: ConversationId) -> str:
        demo = self._demo
        try:
            return json.dumps(await demo.store.read(lambda tx: state_of(tx, demo.site, conversation)))
        except StoreUnavailable:
            return ""

    async def close(self, _app: web.Application) -> None:
        """End the open streams, so that the process can stop at once."""
        self._closing.set()


def add_routes(app: web.Application, demo: Demo) -> None:
    """Add `/` and everything below `/demo`."""
    page = Page(demo)

    async def home(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/demo/")

    app.router.add_get("/", home)
    app.router.add_get("/demo", home)
    app.router.add_get("/demo/", page.page("demo.html"))
    app.router.add_get("/demo/chat", page.page("chat.html"))
    app.router.add_get("/demo/static/{name}", page.static)
    app.router.add_get("/demo/config", page.config)
    app.router.add_post("/demo/token", page.token)
    app.router.add_get("/demo/webchat.js", page.web_chat)
    app.router.add_get("/demo/state", page.state)
    app.on_shutdown.append(page.close)
