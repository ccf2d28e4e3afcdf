"""Files in memory."""

from collections.abc import AsyncIterator

from bridge.conversation import FileRef
from bridge.errors import NotFound, TooLarge
from bridge.ids import FileId, mint
from bridge.media import HEAD_BYTES, harmless_name, sniff


class MemoryFiles:
    """A `ports.Files` that forgets everything at the end."""

    def __init__(self) -> None:
        """Begin empty."""
        self._kept: dict[FileId, tuple[FileRef, bytes]] = {}

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        whole = b""
        async for piece in content:
            whole += piece
            if len(whole) > max_bytes:
                raise TooLarge(f"the file is over the limit of {max_bytes} bytes")
        file = FileRef(
            id=FileId(mint("file")),
            name=harmless_name(name),
            media_type=sniff(whole[:HEAD_BYTES], claimed_type),
            size_bytes=len(whole),
        )
        self._kept[file.id] = (file, whole)
        return file

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        return _pieces(self._known(file)[1])

    async def ref(self, file: FileId) -> FileRef:
        return self._known(file)[0]

    def _known(self, file: FileId) -> tuple[FileRef, bytes]:
        if file not in self._kept:
            raise NotFound(f"there is no file {file}")
        return self._kept[file]


async def _pieces(whole: bytes, size: int = 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(whole), size):
        yield whole[start : start + size]
