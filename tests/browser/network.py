"""The network between a customer and the bridge, which a test can cut and mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

PIECE_BYTES = 65_536


class Network:
    """A TCP relay on the loopback interface."""

    def __init__(self, port: int) -> None:
        """Lead to this port; `to` starts it."""
        self.url = ""
        self._port = port
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        """Relay to the port as long as the context lasts."""
        network = cls(port)
        server = await asyncio.start_server(network._relay, "127.0.0.1", 0)
        network.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield network
        finally:
            network.cut()
            server.close()
            await server.wait_closed()

    def cut(self) -> None:
        """Reset every connection, and refuse new ones until `mend`."""
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._open |= pair
        await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))
        self._open -= pair


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(PIECE_BYTES):
            target.write(piece)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()
