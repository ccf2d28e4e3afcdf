"""Dead windows are found, and living ones left alone: beats are given by hand."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import WSMsgType, web

from adapters.directline.door import Door
from adapters.directline.http import Server
from bridge.fakes.widget import FakeFeed, FakeLookup, FakeReceive, FakeState
from tests.adapters.directline.server import SETTINGS, SITE, FilesInMemory, WallClock

WITHIN_S = 5


@dataclass
class Opened:
    """One window, and the server's side of it."""

    door: Door
    stream: aiohttp.ClientWebSocketResponse

    async def next(self) -> aiohttp.WSMessage:
        return await self.stream.receive(timeout=WITHIN_S)


@asynccontextmanager
async def opened() -> AsyncIterator[Opened]:
    clock = WallClock()
    state = FakeState(clock=clock)
    door = Door(
        SETTINGS,
        site=SITE,
        receive=FakeReceive(state),
        feed=FakeFeed(state),
        lookup=FakeLookup(state),
        files=FilesInMemory(),
        link=lambda file: f"/v1/files/{file.id}",
        clock=clock,
    )
    server = Server(door)
    app = web.Application()
    app.add_routes(server.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    bound = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, bound).start()
    api = f"http://127.0.0.1:{bound.getsockname()[1]}/v3/directline"
    try:
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {server.issue('dl_cust1')['token']}"}
            async with http.post(f"{api}/conversations", json={}, headers=headers) as answer:
                address = (await answer.json())["streamUrl"]
            # Without autoping the test is the one that answers, or does not.
            async with http.ws_connect(address, autoping=False) as stream:
                yield Opened(door=door, stream=stream)
    finally:
        await door.close()
        await runner.cleanup()


async def heard(window: Opened) -> None:
    """Make sure that what the client sent so far was read: the server answers in order."""
    await window.stream.ping(b"?")
    assert (await window.next()).type is WSMsgType.PONG


async def test_a_window_that_answers_is_asked_after_two_beats_and_kept() -> None:
    """It is pinged only when it was silent, and an answer counts."""
    async with opened() as window:
        for _ in range(3):
            await heard(window)
            await window.door.windows.beat()
            await window.door.windows.beat()
            assert (await window.next()).type is WSMsgType.PING
            await window.stream.pong()
        await heard(window)


async def test_a_window_that_is_silent_after_a_ping_is_dropped() -> None:
    """A client that vanished without a word does not hold its memory for ever."""
    async with opened() as window:
        for _ in range(3):
            await window.door.windows.beat()
        assert (await window.next()).type is WSMsgType.PING
        assert (await window.next()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        async with asyncio.timeout(WITHIN_S):
            while len(window.door.windows):  # noqa: ASYNC110 -- the windows are plain data
                await asyncio.sleep(0.005)


async def test_a_clients_own_ping_is_answered() -> None:
    """With the same bytes, as RFC 6455 section 5.5.3 wants it."""
    async with opened() as window:
        await window.stream.ping(b"are you there")
        answer = await window.next()

        assert (answer.type, answer.data) == (WSMsgType.PONG, b"are you there")
