"""HTTP and WebSocket of the measuring side as raw protocols: so little work that the relay is the limit, never this."""

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PONG = b"\x8a\x80\x00\x00\x00\x00"
"""An empty masked pong (https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)."""
_PING, _TEXT = 9, 1
AT_ONCE = 20

Answer = Callable[[bytes, bytes], bytes]


class Stub(asyncio.Protocol):
    """A server that answers each request at once with JSON. `answer` gets path and body."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (found := _whole(self._buffer)) is not None:
            head, body, self._buffer = found
            reply = self._answer(head.split(b" ", 2)[1], body)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(reply), reply)
            )


class Caller(asyncio.Protocol):
    """A kept-alive connection: one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def call(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; return status and body. Raises ConnectionError when the server hangs up."""
        if self._transport.is_closing():
            raise ConnectionError("the relay closed the connection")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        found = _whole(self._buffer)
        if found is not None and self._waiting is not None and not self._waiting.done():
            head, body, self._buffer = found
            self._waiting.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the relay closed the connection"))

    def close(self) -> None:
        self._transport.close()


class Window(asyncio.Protocol):
    """A widget's open window: gives each text frame to `show`, and answers pings."""

    def __init__(self, path: str, host: str, show: Callable[[bytes], None]) -> None:
        self._show = show
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        self._buffer = b""
        self._transport: asyncio.Transport
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.opened.done():
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(f"no window: {self._buffer[:300]!r}"))
                self._transport.close()
                return
            self._buffer = rest
            self.opened.set_result(None)
        while (frame := _frame(self._buffer)) is not None:
            opcode, payload, self._buffer = frame
            if opcode == _TEXT:
                self._show(payload)
            elif opcode == _PING:
                self._transport.write(_PONG)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the bridge closed the window"))

    def close(self) -> None:
        self._transport.close()


def _whole(buffer: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Split off the first whole message: head, body, rest. Only Content-Length is understood."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(buffer, 0, end + 2)
    size = int(found[1]) if found else 0
    start = end + 4
    if len(buffer) < start + size:
        return None
    return buffer[:end], buffer[start : start + size], buffer[start + size :]


def _frame(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """Split off the first whole frame of a server, which masks nothing: opcode, payload, rest."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(buffer) < start:
            return None
        size = int.from_bytes(buffer[2:start], "big")
    if len(buffer) < start + size:
        return None
    return buffer[0] & 0x0F, buffer[start : start + size], buffer[start + size :]


async def open_windows(relay: str, paths: Iterable[str], show: Callable[[bytes], None]) -> list[Window]:
    """Open these windows, a few at a time, as customers come. Raises ConnectionError if one is refused."""
    parts = urlsplit(relay)
    host, port, gate = str(parts.hostname), int(parts.port or 80), asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()
    opened: list[Window] = []

    async def one(path: str) -> None:
        async with gate:
            _, window = await loop.create_connection(lambda: Window(path, f"{host}:{port}", show), host, port)
            opened.append(window)
            await window.opened

    await asyncio.gather(*(one(path) for path in paths))
    return opened
