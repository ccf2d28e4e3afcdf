"""Files in a folder."""

import hashlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.store.files import FolderFiles, OpenedFiles, open_files
from adapters.store.opening import open_store
from bridge.errors import NotFound, SettingsError, StoreUnavailable, TooLarge
from bridge.ids import SiteId
from bridge.storage import Store
from tests.contracts.files_contract import PNG, FilesContract, content, pieces, put
from tests.contracts.store_samples import SITE


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store("sqlite+memory://")
    yield store
    await store.close()


@pytest.fixture
async def files(store: Store, tmp_path: Path) -> OpenedFiles:
    return await open_files(tmp_path / "files", store, SITE)


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "files").rglob("*") if path.is_file())


class TestFiles(FilesContract):
    """All of them."""


async def test_the_same_bytes_lie_there_once(files: OpenedFiles, tmp_path: Path) -> None:
    """Content is kept under its SHA-256, readable by its owner only."""
    await put(files, PNG, "one.png")
    await put(files, PNG, "two.png")
    digest = hashlib.sha256(PNG).hexdigest()

    assert kept(tmp_path) == [tmp_path / "files" / digest[:2] / digest]
    assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700
    assert stat.S_IMODE(kept(tmp_path)[0].stat().st_mode) == 0o600


async def test_nothing_is_left_of_what_was_refused(files: OpenedFiles, tmp_path: Path) -> None:
    """A file over the limit leaves no bytes behind."""
    with pytest.raises(TooLarge):
        await put(files, PNG, limit=100)

    assert kept(tmp_path) == []


async def test_nothing_half_written_survives_a_restart(files: OpenedFiles, store: Store, tmp_path: Path) -> None:
    """What a crash left in the middle of a file is removed at the next start; whole files stay."""
    file = await put(files, PNG)
    (tmp_path / "files" / "partial" / "tmpabc").write_bytes(b"half")
    again = await open_files(tmp_path / "files", store, SITE)

    assert len(kept(tmp_path)) == 1
    assert await content(again, file.id) == PNG


async def test_a_file_without_a_row_was_not_kept(files: OpenedFiles, store: Store, tmp_path: Path) -> None:
    """Where the store fails, `put` fails; the bytes that lie there already serve the next try."""
    await store.close()
    with pytest.raises(StoreUnavailable):
        await put(files, PNG)

    fresh = await open_store("sqlite+memory://")
    again = await open_files(tmp_path / "files", fresh, SITE)
    assert await content(again, (await put(again, PNG)).id) == PNG
    assert len(kept(tmp_path)) == 1
    await fresh.close()


async def test_lost_bytes_are_not_found(files: OpenedFiles, tmp_path: Path) -> None:
    """A row whose bytes are gone answers NotFound, before the first byte."""
    file = await put(files, PNG)
    kept(tmp_path)[0].unlink()

    with pytest.raises(NotFound, match="gone"):
        await files.read(file.id)


async def test_a_site_sees_its_own_files_only(files: OpenedFiles, store: Store, tmp_path: Path) -> None:
    """Another site on the same bridge does not find a file, even with its id."""
    file = await put(files, PNG)
    other = FolderFiles(tmp_path / "files", store, SiteId("rival"))

    with pytest.raises(NotFound):
        await other.read(file.id)


async def test_a_disk_that_fails_is_named(files: OpenedFiles, tmp_path: Path) -> None:
    """What the file system refuses becomes StoreUnavailable: the sender tries again."""
    (tmp_path / "files" / "partial").rmdir()

    with pytest.raises(StoreUnavailable, match="could not be written"):
        await files.put(pieces(PNG), name="a", claimed_type="", max_bytes=10**6)


async def test_a_folder_that_cannot_be_made_is_refused_at_start(store: Store, tmp_path: Path) -> None:
    """A file where the folder should be is named in one line."""
    (tmp_path / "taken").write_text("")

    with pytest.raises(SettingsError, match="taken") as refused:
        await open_files(tmp_path / "taken", store, SITE)

    assert "\n" not in str(refused.value)
