"""Files in PostgreSQL, for processes that share no folder: the bytes in pieces under their SHA-256.

They travel on connections of their own, so that no line waits behind a picture. What comes in is gathered on this
machine's disk first: the pieces and the digest they lie under are then committed at once, and a sender who is slow, or
gives up, leaves nothing behind.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar, cast

import psycopg

from adapters.store.dialling import Server, open_connection, reason
from bridge.conversation import FileRef
from bridge.errors import NotFound, StoreUnavailable, TooLarge
from bridge.ids import FileId, SiteId, mint
from bridge.media import HEAD_BYTES, harmless_name, sniff
from bridge.storage import Store

T = TypeVar("T")

PIECE_BYTES = 256 * 1024
IN_MEMORY_BYTES = 1024 * 1024
CONNECTIONS = 2
STATEMENT_MS = 30_000

_KNOWN = "SELECT 1 FROM file_piece WHERE site = %s AND digest = %s AND number = 0"
_KEEP = "INSERT INTO file_piece (site, digest, number, bytes) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
_PIECE = "SELECT bytes FROM file_piece WHERE site = %s AND digest = %s AND number = %s"


class PieceFiles:
    """`ports.Files` of one site, in the database of its store."""

    def __init__(self, server: Server, store: Store, site: SiteId) -> None:
        """Connect when there is something to do."""
        self._server, self._store, self._site = server, store, site
        self._threads = ThreadPoolExecutor(max_workers=CONNECTIONS, thread_name_prefix="store-files")
        self._idle: list[psycopg.Connection[Any]] = []

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        with cast("BinaryIO", tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)) as gathered:
            digest, size_bytes, head = await _gather(content, gathered, max_bytes)
            await self._work(lambda connection: self._keep(connection, digest, gathered))
        file = FileRef(
            id=FileId(mint("file")),
            name=harmless_name(name),
            media_type=sniff(head, claimed_type),
            size_bytes=size_bytes,
        )
        await self._store.run(lambda tx: tx.put_file(self._site, file, digest))
        return file

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        known, digest = await self._known(file)
        if await self._piece(digest, 0) is None:
            raise NotFound(f"the bytes of file {file} are gone")
        return self._pieces(digest, known.size_bytes)

    async def ref(self, file: FileId) -> FileRef:
        return (await self._known(file))[0]

    async def close(self) -> None:
        """Finish what is being done, and disconnect. May be called twice."""
        await asyncio.to_thread(self._threads.shutdown)
        while self._idle:
            self._idle.pop().close()

    async def _known(self, file: FileId) -> tuple[FileRef, str]:
        found = await self._store.read(lambda tx: tx.file(self._site, file))
        if found is None:
            raise NotFound(f"there is no file {file}")
        return found

    async def _pieces(self, digest: str, size_bytes: int) -> AsyncIterator[bytes]:
        """Ask for each piece when the one before is used up: nothing is open in between."""
        for number in range(-(-size_bytes // PIECE_BYTES)):
            piece = await self._piece(digest, number)
            if piece is None:
                raise StoreUnavailable(f"piece {number} of the bytes {digest} is gone")
            yield piece

    async def _piece(self, digest: str, number: int) -> bytes | None:
        def ask(connection: psycopg.Connection[Any]) -> bytes | None:
            row = connection.execute(_PIECE, (self._site, digest, number), binary=True).fetchone()
            return None if row is None else bytes(row[0])

        return await self._work(ask)

    def _keep(self, connection: psycopg.Connection[Any], digest: str, gathered: BinaryIO) -> None:
        if connection.execute(_KNOWN, (self._site, digest)).fetchone() is not None:
            return
        gathered.seek(0)
        with connection.transaction():
            for number, piece in enumerate(_cut(gathered)):
                connection.execute(_KEEP, (self._site, digest, number, piece))

    async def _work(self, ask: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Do it on a connection of its own. Raises StoreUnavailable."""

        def on_a_connection() -> T:
            connection = self._idle.pop() if self._idle else open_connection(self._server, STATEMENT_MS)
            try:
                found = ask(connection)
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            return found

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, on_a_connection)
        except psycopg.Error as error:
            raise StoreUnavailable(f"the files' database failed: {reason(error)}") from None
        except OSError as error:
            raise StoreUnavailable(f"the file could not be gathered: {error.strerror}") from error


async def _gather(content: AsyncIterator[bytes], gathered: BinaryIO, max_bytes: int) -> tuple[str, int, bytes]:
    """Take all that comes in; return its digest, size and first bytes. Raises TooLarge."""
    digest, size_bytes, head = hashlib.sha256(), 0, b""
    async for piece in content:
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise TooLarge(f"the file is over the limit of {max_bytes} bytes")
        digest.update(piece)
        if len(head) < HEAD_BYTES:
            head = (head + piece)[:HEAD_BYTES]
        if size_bytes > IN_MEMORY_BYTES:
            await asyncio.to_thread(gathered.write, piece)
        else:
            gathered.write(piece)
    return digest.hexdigest(), size_bytes, head


def _cut(gathered: BinaryIO) -> Iterator[bytes]:
    """Return the pieces, of which there is at least one: that of an empty file is empty."""
    yield gathered.read(PIECE_BYTES)
    while piece := gathered.read(PIECE_BYTES):
        yield piece
