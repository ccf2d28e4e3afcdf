"""The demo page: the customer's chat on the left, the team's desks on the right, and on top who owns the conversation.

For this machine only: whoever can open it gets a token for a new customer.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.web import demo_faults
from adapters.web.answers import answer, error, read_json
from bridge.conversation import Audience, State
from bridge.errors import StoreUnavailable, TooLarge
from bridge.ids import ConversationId, SiteId
from bridge.storage import Store, Tx

POLL_S = 0.2
HEARTBEAT_S = 15.0
TYPES: Mapping[str, str] = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
PAGES = ("demo.css", "demo.js", "tabs.js", "faults.js", "chat.css", "chat.js", "plain.js")
MAX_BODY_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskTab:
    """One tab: a local Slack or Teams. `queues` are (name, place) of what is there, as (`billing`, `#billing`)."""

    name: str
    label: str
    url: str = ""
    """Empty: it is not here, and `why` tells in a sentence."""
    why: str = ""
    queues: Sequence[tuple[str, str]] = ()
    posts: str = ""
    """The vendor's name of the call that posts a message, for the switches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """A sentence for the customer to try, and the queue that it leads to (empty: the agent answers by itself)."""

    text: str
    queue: str = ""


ASK = Say(text="Can I talk to a person?", queue="support")
SAYS = (
    Say(text="Where is my order 1042?"),
    ASK,
    Say(text="I want a refund of 250 euros", queue="billing"),
    Say(text="My invoice is wrong", queue="billing"),
    Say(text="Track my parcel", queue="delivery"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """What the page needs: the desks, tokens for customers, and the real Web Chat or why it is not here."""

    site: SiteId
    store: Store
    desks: Sequence[DeskTab]
    issue: Callable[[], Mapping[str, Any]]
    """Returns Direct Line's `{conversationId, token, expires_in}` for a new customer."""
    web_chat: Path | None = None
    why: str = ""
    """Why `web_chat` is None, in a sentence."""
    says: Sequence[Say] = SAYS

    def config(self) -> dict[str, Any]:
        """Return what differs from one demo to another."""
        places = {queue: f"{desk.label} · {place}" for desk in self.desks for queue, place in desk.queues}
        desks = [
            {
                "name": desk.name,
                "label": desk.label,
                "url": desk.url,
                "why": desk.why,
                "places": list(dict.fromkeys(place for _, place in desk.queues)),
            }
            for desk in self.desks
        ]
        says = [{"text": say.text, "to": say.queue and places.get(say.queue, "a person")} for say in self.says]
        return {"web_chat": self.web_chat is not None, "why": self.why, "desks": desks, "says": says}


def state_of(tx: Tx, site: SiteId, conversation: ConversationId) -> dict[str, Any]:
    """Return what the strip shows of a conversation; one that nobody has opened yet has the state `none`."""
    found = tx.conversation(site, conversation, lock=False)
    if found is None:
        nothing = dict.fromkeys(("operator", "epoch", "ticket", "queue", "desk"))
        return {"state": "none", **nothing, "suppressed": []}
    handoff = tx.handoff(site, found.handoff) if found.handoff else None
    people = found.state in {State.WAITING, State.HUMAN}
    late = [entry.text for entry in tx.entries(site, conversation) if entry.audience is Audience.SUPPRESSED]
    return {
        "state": found.state.value,
        "operator": found.operator.name if found.operator else None,
        "epoch": found.epoch,
        "ticket": handoff.ticket if handoff else None,
        "queue": handoff.queue if handoff and people else None,
        "desk": handoff.thread.desk if handoff and people else None,
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
        return answer(self._demo.config())

    async def faults(self, request: web.Request) -> web.Response:
        """GET faults?desk=: the switches of a desk. PUT `{"desk": ..., "on": [...]}` sets them all."""
        # A page of another origin cannot send JSON without being asked first, which nobody answers.
        given: Any = {"desk": request.query.get("desk")}
        if request.method == "PUT":
            try:
                given = await read_json(request, MAX_BODY_BYTES) if request.content_type == "application/json" else None
            except (ValueError, TooLarge):
                given = None
        if not isinstance(given, dict) or not isinstance(given.get("on", []), list):
            return error(400, "bad_request", "Send JSON: desk and on, a list of names.")
        desk = next((each for each in self._demo.desks if each.url and each.name == given.get("desk")), None)
        if desk is None:
            return error(404, "not_found", "There is no such desk here.")
        try:
            if request.method == "PUT":
                await demo_faults.write(desk.url, desk.posts, [str(name) for name in given.get("on", [])])
            on = await demo_faults.read(desk.url, desk.posts)
        except demo_faults.DeskAway:
            return error(502, "desk_away", f"The local {desk.label} does not answer.")
        return answer({"desk": desk.name, "faults": demo_faults.switches(on)})

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
    app.router.add_get("/demo/faults", page.faults)
    app.router.add_put("/demo/faults", page.faults)
    app.router.add_post("/demo/token", page.token)
    app.router.add_get("/demo/webchat.js", page.web_chat)
    app.router.add_get("/demo/state", page.state)
    app.on_shutdown.append(page.close)
