"""What every `ports.Files` promises. A subclass gives the fixture `files`: empty."""

import gc
from collections.abc import AsyncIterator

import pytest

from bridge.conversation import FileRef
from bridge.errors import NotFound, TooLarge
from bridge.ids import FileId
from bridge.ports import Files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000


async def pieces(whole: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


async def put(files: Files, whole: bytes, name: str = "a.png", claimed: str = "", limit: int = 10**6) -> FileRef:
    return await files.put(pieces(whole), name=name, claimed_type=claimed, max_bytes=limit)


async def content(files: Files, file: FileId) -> bytes:
    return b"".join([piece async for piece in await files.read(file)])


class FilesContract:
    """Keeping, reading, refusing."""

    async def test_bytes_come_back(self, files: Files) -> None:
        """What was put is read again, byte for byte, as often as asked, and `ref` knows it."""
        file = await put(files, PNG, "photo.png", "image/png")

        assert await content(files, file.id) == PNG
        assert await content(files, file.id) == PNG
        assert await files.ref(file.id) == file
        assert file == FileRef(id=file.id, name="photo.png", media_type="image/png", size_bytes=len(PNG))

    async def test_the_same_bytes_may_be_put_twice(self, files: Files) -> None:
        """Each time has its own name and id, and both read alike."""
        one, two = await put(files, PNG, "one.png"), await put(files, PNG, "two.png")

        assert one.id != two.id
        assert (await files.ref(one.id)).name == "one.png"
        assert await content(files, one.id) == await content(files, two.id) == PNG

    async def test_an_empty_file_is_a_file(self, files: Files) -> None:
        """No bytes are kept as no bytes."""
        file = await put(files, b"", "empty.txt", "text/plain")

        assert file.size_bytes == 0
        assert await content(files, file.id) == b""

    async def test_the_limit_is_inclusive(self, files: Files) -> None:
        """As many bytes as the limit are welcome, one more raises TooLarge, which names the limit."""
        assert (await put(files, b"x" * 5000, limit=5000)).size_bytes == 5000

        with pytest.raises(TooLarge, match="5000 bytes"):
            await put(files, b"x" * 5001, limit=5000)

    async def test_the_type_is_looked_at_not_believed(self, files: Files) -> None:
        """A page that claims to be a picture is text; a picture that claims to be a page is a picture."""
        page = await put(files, b"<html><script>alert(1)</script>", "x.png", "image/png")
        picture = await put(files, PNG, "x.html", "text/html")

        assert (page.media_type, picture.media_type) == ("text/plain", "image/png")

    async def test_a_name_has_no_folder(self, files: Files) -> None:
        """Paths, controls and characters that turn the reading direction are taken out of a name."""
        file = await put(files, PNG, "../../etc/\u202egnp.exe\x00")

        assert file.name == "gnp.exe"

    async def test_unknown_files_are_not_found(self, files: Files) -> None:
        """Reading what was never put raises NotFound at the call, not in the middle."""
        with pytest.raises(NotFound):
            await files.read(FileId("file_none"))
        with pytest.raises(NotFound):
            await files.ref(FileId("file_none"))

    async def test_a_reader_may_never_begin(self, files: Files) -> None:
        """Whoever asks for bytes and then has no use for them leaves nothing open (that would be a warning here)."""
        file = await put(files, PNG)
        unread = await files.read(file.id)
        del unread
        gc.collect()

        assert await content(files, file.id) == PNG

    async def test_a_content_that_breaks_off_is_not_kept(self, files: Files) -> None:
        """What the sender's connection raises comes out, and a complete second try works."""

        async def broken() -> AsyncIterator[bytes]:
            yield PNG[:100]
            raise ConnectionResetError("gone")

        with pytest.raises(ConnectionResetError):
            await files.put(broken(), name="a.png", claimed_type="", max_bytes=10**6)

        assert await content(files, (await put(files, PNG)).id) == PNG
