"""A Direct Line server on a real port of the loopback, over the public fakes."""

import asyncio
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web

from adapters import directline
from adapters.directline import DirectLineSettings
from bridge.conversation import FileRef
from bridge.errors import NotFound, TooLarge
from bridge.fakes.widget import FakeFeed, FakeLookup, FakeReceive, FakeState
from bridge.ids import ConversationId, FileId, Millis, SiteId

SITE = SiteId("acme")
SECRET = "a Direct Line secret of the tests"
SETTINGS = DirectLineSettings(signing_secrets=("a signing secret of the tests",), secret=SECRET, agent_name="Ava")
SETTINGS = replace(SETTINGS, public_label="Acme support")


class WallClock:
    """The real time, which a test may move on."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now(self) -> Millis:
        return Millis(time.time_ns() // 1_000_000 + self.ahead_ms)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def move(self, *, seconds: float) -> None:
        self.ahead_ms += int(seconds * 1000)


class FilesInMemory:
    """Keeps what is uploaded; the type is as claimed."""

    def __init__(self) -> None:
        self.kept: dict[FileId, tuple[FileRef, bytes]] = {}

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        body = b""
        async for piece in content:
            body += piece
            if len(body) > max_bytes:
                raise TooLarge(f"{name} is over {max_bytes} bytes.")
        file = FileId("f" + hashlib.sha256(body).hexdigest()[:16])
        ref = FileRef(id=file, name=name, media_type=claimed_type, size_bytes=len(body))
        self.kept[file] = (ref, body)
        return ref

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        if file not in self.kept:
            raise NotFound("no such file")

        async def pieces() -> AsyncIterator[bytes]:
            yield self.kept[file][1]

        return pieces()

    async def ref(self, file: FileId) -> FileRef:
        if file not in self.kept:
            raise NotFound("no such file")
        return self.kept[file][0]


@dataclass(kw_only=True)
class Bridge:
    """A running server, and the fakes behind it."""

    base: str
    state: FakeState
    clock: WallClock
    receive: FakeReceive
    feed: FakeFeed
    files: FilesInMemory
    server: directline.DirectLine
    http: aiohttp.ClientSession
    runner: web.AppRunner
    log: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"{self.base}/v3/directline"

    async def call(
        self, method: str, path: str, *, token: str | None = None, body: Any = None, **options: Any
    ) -> tuple[int, Any, Any]:
        """Return (status, document, headers)."""
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        if body is not None:
            options["data"] = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        async with self.http.request(method, self.api + path, headers=headers, **options) as answer:
            text = await answer.text()
            document = json.loads(text) if "json" in answer.content_type else text
            return answer.status, document, answer.headers

    async def chat(self, customer: str = "dl_cust1", name: str = "Mia", **started: Any) -> "Chat":
        """Return a started conversation of this customer; `started` is what the page sends."""
        issued = self.server.issue(customer, name)
        status, opened, _ = await self.call("POST", "/conversations", token=str(issued["token"]), body=started)
        assert status == 201, opened
        return Chat(bridge=self, opened=opened)

    async def stop(self) -> None:
        await self.server.close()
        await self.runner.cleanup()


@dataclass
class Chat:
    """One customer's conversation, as a page holds it."""

    bridge: Bridge
    opened: dict[str, Any]

    @property
    def id(self) -> ConversationId:
        return ConversationId(self.opened["conversationId"])

    @property
    def token(self) -> str:
        return str(self.opened["token"])

    @property
    def path(self) -> str:
        return f"/conversations/{self.id}"

    async def post(self, text: str = "", made: str = "", **more: Any) -> tuple[int, Any, Any]:
        activity = {"type": "message", "text": text, "from": {"id": "x", "name": "Mallory", "role": "bot"}, **more}
        if made:
            activity["channelData"] = {"clientActivityID": made, "attachmentSizes": []}
        return await self.bridge.call("POST", f"{self.path}/activities", token=self.token, body=activity)

    @asynccontextmanager
    async def window(self, watermark: str | None = None, **options: Any) -> AsyncIterator["Page"]:
        address = self.opened["streamUrl"]
        if watermark is not None:
            address += f"&watermark={watermark}"
        async with self.bridge.http.ws_connect(address, **options) as stream:
            yield Page(stream)


@dataclass
class Page:
    """What a window was sent."""

    stream: aiohttp.ClientWebSocketResponse
    activities: list[dict[str, Any]] = field(default_factory=list)
    watermarks: list[str] = field(default_factory=list)

    async def until(self, true: Callable[["Page"], bool], *, timeout_s: float = 5) -> "Page":
        """Read frames until the condition holds."""
        async with asyncio.timeout(timeout_s):
            while not true(self):
                frame = await self.stream.receive()
                assert frame.type is aiohttp.WSMsgType.TEXT, frame
                document = json.loads(frame.data)
                self.activities += document["activities"]
                if "watermark" in document:
                    self.watermarks.append(document["watermark"])
        return self

    async def seen(self, count: int) -> list[dict[str, Any]]:
        """Return the activities once there are so many."""
        await self.until(lambda page: len(page.activities) >= count)
        return self.activities

    @property
    def texts(self) -> list[str]:
        return [str(activity.get("text", "")) for activity in self.activities]


@asynccontextmanager
async def running(
    settings: DirectLineSettings = SETTINGS,
    *,
    state: FakeState | None = None,
    port: int = 0,
    pages: Sequence[web.AbstractRouteDef] = (),
) -> AsyncIterator[Bridge]:
    """A server from the same parts as in production, on a port of its own or the given one; `pages` are served too."""
    clock = state.clock if state is not None and isinstance(state.clock, WallClock) else WallClock()
    state = state or FakeState(clock=clock)
    receive, feed, files = FakeReceive(state), FakeFeed(state), FilesInMemory()
    app = web.Application()
    runner = web.AppRunner(app, access_log=None)

    bound = socket.create_server(("127.0.0.1", port))
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"

    def link(file: FileRef) -> str:
        return f"{base}/v1/files/{file.id}?sig=test"

    async def serve_file(request: web.Request) -> web.Response:
        ref, body = files.kept[FileId(request.match_info["file"])]
        return web.Response(body=body, content_type=ref.media_type)

    server = directline.create(
        settings,
        site=SITE,
        receive=receive,
        feed=feed,
        lookup=FakeLookup(state),
        files=files,
        link=link,
        clock=clock,
    )
    app.add_routes(server.routes)
    app.add_routes(pages)
    app.router.add_get("/v1/files/{file}", serve_file)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    async with aiohttp.ClientSession() as http:
        bridge = Bridge(
            base=base,
            state=state,
            clock=clock,
            receive=receive,
            feed=feed,
            files=files,
            server=server,
            http=http,
            runner=runner,
        )
        try:
            yield bridge
        finally:
            await bridge.stop()
