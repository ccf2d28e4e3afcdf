"""Files in a folder: the bytes under their SHA-256, what is known of them in the store.

The order makes a crash harmless: bytes, fsync, rename, fsync of the folder, and only then the row. Bytes without a row
are found again by the next file with the same content.
"""

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from bridge.conversation import FileRef
from bridge.errors import NotFound, SettingsError, StoreUnavailable, TooLarge
from bridge.ids import FileId, SiteId, mint
from bridge.media import HEAD_BYTES, harmless_name, sniff
from bridge.ports import Files
from bridge.storage import Store

T = TypeVar("T")

PIECE_BYTES = 64 * 1024


class FolderFiles:
    """`ports.Files` of one site, in one folder."""

    def __init__(self, folder: Path, store: Store, site: SiteId) -> None:
        """Use `open_files`, which makes the folder."""
        self._folder, self._store, self._site = folder, store, site

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        digest, size_bytes, head = await self._keep(content, max_bytes)
        file = FileRef(
            id=FileId(mint("file")),
            name=harmless_name(name),
            media_type=sniff(head, claimed_type),
            size_bytes=size_bytes,
        )
        await self._store.run(lambda tx: tx.put_file(self._site, file, digest))
        return file

    async def _keep(self, content: AsyncIterator[bytes], max_bytes: int) -> tuple[str, int, bytes]:
        """Write the bytes under their digest; return it with the size and the first bytes."""
        number, name = await _on_disk(lambda: tempfile.mkstemp(dir=self._folder / "partial"))
        file, path = os.fdopen(number, "wb"), Path(name)
        try:
            digest, size_bytes, head = await _copy(content, file, max_bytes)
            await _on_disk(lambda: _flush(file))
            await _on_disk(lambda: _move(path, self._path(digest)))
        finally:
            _discard(file, path)
        return digest, size_bytes, head

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        _, digest = await self._known(file)
        path = self._path(digest)
        if not await asyncio.to_thread(path.is_file):
            raise NotFound(f"the bytes of file {file} are gone")
        return _pieces(path)

    async def ref(self, file: FileId) -> FileRef:
        return (await self._known(file))[0]

    async def close(self) -> None:
        """Nothing is open in between."""

    async def _known(self, file: FileId) -> tuple[FileRef, str]:
        found = await self._store.read(lambda tx: tx.file(self._site, file))
        if found is None:
            raise NotFound(f"there is no file {file}")
        return found

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


class OpenedFiles(Files, Protocol):
    """Files, and how to let go of them."""

    async def close(self) -> None:
        """Finish what is being done. May be called twice."""
        ...


async def open_files(folder: Path | None, store: Store, site: SiteId) -> OpenedFiles:
    """Open the files of a site: in this folder, or, where there is none, in the store's own PostgreSQL.

    A folder is made, readable by its owner only, and what a crash left half written is forgotten; one process at a time
    may use it. Raises SettingsError, in one line, if it cannot be written.
    """
    if folder is None:
        from adapters.store.pieces import PieceFiles
        from adapters.store.postgres import PostgresStore

        if not isinstance(store, PostgresStore):
            raise SettingsError("HANDOFF_FILES_URL: name a folder for files")
        return PieceFiles(store.server, store, site)
    try:
        await asyncio.to_thread(_prepare, folder)
    except OSError as error:
        raise SettingsError(f"the folder for files, {folder}, cannot be used: {error.strerror}") from error
    return FolderFiles(folder, store, site)


def _prepare(folder: Path) -> None:
    partial = folder / "partial"
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for left in partial.iterdir():
        left.unlink()


async def _on_disk(call: Callable[[], T]) -> T:
    """Do something that blocks. What the disk refuses becomes StoreUnavailable."""
    try:
        return await asyncio.to_thread(call)
    except OSError as error:
        raise StoreUnavailable(f"the file could not be written: {error.strerror}") from error


async def _copy(content: AsyncIterator[bytes], file: BinaryIO, max_bytes: int) -> tuple[str, int, bytes]:
    digest, size_bytes, head = hashlib.sha256(), 0, b""
    async for piece in content:
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise TooLarge(f"the file is over the limit of {max_bytes} bytes")
        digest.update(piece)
        if len(head) < HEAD_BYTES:
            head = (head + piece)[:HEAD_BYTES]
        await _on_disk(partial(file.write, piece))
    return digest.hexdigest(), size_bytes, head


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _discard(file: BinaryIO, path: Path) -> None:
    """Let go of what was being written; nothing is left to do if it was moved to its place."""
    with contextlib.suppress(OSError):
        file.close()
    path.unlink(missing_ok=True)


def _move(written: Path, path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    written.replace(path)
    for folder in (path.parent, path.parent.parent):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    """Open it only when it is read: a reader that never begins would leave it open."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
    finally:
        file.close()
