"""Direct Line keeps the contract of a widget adapter."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from bridge.capabilities import Capabilities
from bridge.fakes.widget import FakeFeed, FakeReceive, FakeState
from bridge.ids import ConversationId
from tests.adapters.directline.client import Screen
from tests.adapters.directline.server import SETTINGS, Bridge, Chat, running
from tests.contracts import widget_contract


@dataclass
class Visitor:
    chat: Chat
    attempts: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def conversation(self) -> ConversationId:
        return self.chat.id

    @property
    def customer(self) -> str:
        return "dl_cust1"

    async def say(self, text: str, attempt: str = "") -> bool:
        status, _, _ = await self.chat.post(text, made=attempt or f"made-{next(self.attempts)}")
        return status == 200

    @asynccontextmanager
    async def window(self, after: widget_contract.Window | None = None) -> AsyncIterator[Screen]:
        before = after if isinstance(after, Screen) else Screen()
        screen = Screen(by_id=dict(before.by_id), watermark=before.watermark)
        async with self.chat.window(screen.watermark) as page:
            reading = asyncio.create_task(self._read(page.stream, screen))
            try:
                yield screen
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading

    @staticmethod
    async def _read(stream: aiohttp.ClientWebSocketResponse, screen: Screen) -> None:
        async for frame in stream:
            screen.take(frame.data)


@dataclass
class Harness:
    bridge: Bridge

    @property
    def state(self) -> FakeState:
        return self.bridge.state

    @property
    def receive(self) -> FakeReceive:
        return self.bridge.receive

    @property
    def feed(self) -> FakeFeed:
        return self.bridge.feed

    @property
    def capabilities(self) -> Capabilities:
        return self.bridge.server.capabilities

    @property
    def widget(self) -> str:
        return "directline"

    async def visitor(self) -> Visitor:
        return Visitor(await self.bridge.chat())


class TestDirectLine(widget_contract.WidgetContract):
    """The suite, over real sockets."""

    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        async with running(SETTINGS) as bridge:
            yield Harness(bridge)
