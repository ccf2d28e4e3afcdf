"""A wire to PostgreSQL that a test may cut, or take messages out of."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from io import BufferedReader
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

CUT, DROP, PASS = "cut", "drop", "pass"


class Wire:
    """A TCP proxy in front of a server. It takes messages apart, after
    https://www.postgresql.org/docs/current/protocol-message-formats.html.

    `up` and `down` judge each message to and from the server: PASS, DROP (swallow it) or CUT (break this connection,
    before the message goes on). Both are called in threads.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._target = (parts.hostname, parts.port)
        self._door = socket.create_server(("127.0.0.1", 0))
        mine = f"postgres@127.0.0.1:{self._door.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=mine, query="sslmode=disable&gssencmode=disable"))
        self.up: Callable[[bytes, bytes], str] = lambda kind, content: PASS
        self.down: Callable[[bytes, bytes], str] = lambda kind, content: PASS
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._go(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Break every connection that is open now."""
        while self._open:
            _break(self._open.pop())

    def _go(self, work: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            self._go(self._carry, near, far, True)
            self._go(self._carry, far, near, False)

    def _carry(self, source: socket.socket, target: socket.socket, upward: bool) -> None:
        begins = upward
        try:
            with source.makefile("rb") as stream:
                while True:
                    kind = b"" if begins else _exactly(stream, 1)
                    length = _exactly(stream, 4)
                    content = _exactly(stream, struct.unpack("!i", length)[0] - 4)
                    verdict = PASS if begins else (self.up if upward else self.down)(kind, content)
                    if verdict == CUT:
                        return
                    if verdict == PASS:
                        target.sendall(kind + length + content)
                    begins = False
        except (OSError, EOFError):
            pass
        finally:
            _break(source)
            _break(target)


def _exactly(stream: BufferedReader, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _break(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
