"""A window of Direct Line keeps the promises of a viewer, over a real socket."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bridge.ports import Viewer
from tests.adapters.directline.client import Screen
from tests.adapters.directline.server import SETTINGS, Page, running
from tests.contracts.feed_contract import becomes
from tests.contracts.viewer_contract import ViewerContract


class Glass:
    """A page that reads, and the window that the adapter made for it."""

    def __init__(self, page: Page, viewer: Viewer) -> None:
        self.viewer = viewer
        self._page = page
        self._screen = Screen()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in self._page.stream:
            if frame.type is aiohttp.WSMsgType.TEXT:
                self._screen.take(frame.data)

    def texts(self) -> list[str]:
        return self._screen.shown()

    async def leave(self) -> None:
        await self._page.stream.close()


class TestWindow(ViewerContract):
    """`adapters.directline.sockets.Window`."""

    @pytest.fixture
    async def pane(self) -> AsyncIterator[Glass]:
        """The only window of a conversation in which nothing was said yet."""
        async with running(SETTINGS) as bridge:
            chat = await bridge.chat()
            async with chat.window() as page:
                await becomes(lambda: bool(bridge.feed.viewers))
                glass = Glass(page, bridge.feed.viewers[0][1])
                yield glass
                await page.stream.close()
                await asyncio.wait_for(glass.reading, 5)
