"""What stands in front of several processes: a TCP balancer that gives each connection to one of them at random, and to
another if that one does not listen.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

PIECE_BYTES = 65_536


@dataclass(kw_only=True, slots=True, eq=False)
class Link:
    """One open connection: to which process it goes, by its place in `ports`, and whether it became a WebSocket."""

    process: int
    is_socket: bool
    ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]


class Balancer:
    """A balancer on the loopback interface; `over` starts it."""

    def __init__(self, ports: Sequence[int], *, seed: int) -> None:
        """Lead to these ports. With the same `seed` connections that come in the same order go the same ways."""
        self.url = ""
        self.first: tuple[int, ...] = ()
        """Which processes get new connections as long as they listen, in this order; empty: all alike."""
        self.links: set[Link] = set()
        self.served: Counter[int] = Counter()
        """How many connections each process got."""
        self._ports = ports
        self._chance = random.Random(seed)

    @classmethod
    @asynccontextmanager
    async def over(cls, ports: Sequence[int], *, seed: int = 1) -> AsyncIterator[Self]:
        """Balance as long as the context lasts."""
        balancer = cls(ports, seed=seed)
        server = await asyncio.start_server(balancer._serve, "127.0.0.1", 0, backlog=1024)
        balancer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield balancer
        finally:
            server.close()
            for link in balancer.links:
                for end in link.ends:
                    end.transport.abort()
            await server.wait_closed()

    def sockets_at(self, process: int) -> int:
        """Return how many WebSockets are open to a process."""
        return sum(link.process == process and link.is_socket for link in self.links)

    # --- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for process in self._order():
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._ports[process])
            except OSError:
                continue
            self.served[process] += 1
            link = Link(process=process, is_socket=False, ends=(writer, far_writer))
            self.links.add(link)
            await asyncio.gather(_pour(reader, far_writer, link), _pour(far_reader, writer))
            self.links.discard(link)
            return
        writer.transport.abort()

    def _order(self) -> list[int]:
        everyone = [process for process in range(len(self._ports)) if process not in self.first]
        return [*self.first, *self._chance.sample(everyone, len(everyone))]


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter, link: Link | None = None) -> None:
    try:
        while piece := await source.read(PIECE_BYTES):
            if link is not None and b"upgrade: websocket" in piece.lower():
                link.is_socket = True
            target.write(piece)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()
