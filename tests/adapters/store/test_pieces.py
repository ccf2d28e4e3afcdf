"""Files in PostgreSQL."""

import os
from collections.abc import AsyncIterator

import pytest

from adapters.store.files import OpenedFiles, open_files
from adapters.store.opening import OpenedStore, open_store
from adapters.store.pieces import PIECE_BYTES
from bridge.errors import NotFound, SettingsError, StoreUnavailable, TooLarge
from bridge.ids import SiteId
from tests.contracts.files_contract import PNG, FilesContract, content, put
from tests.contracts.store_samples import SITE
from tests.postgres import Postgres, name_in


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[OpenedStore]:
    store = await open_store(postgres_url)
    yield store
    await store.close()


@pytest.fixture
async def files(store: OpenedStore) -> AsyncIterator[OpenedFiles]:
    files = await open_files(None, store, SITE)
    yield files
    await files.close()


class TestFiles(FilesContract):
    """All of them."""


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 9 * PIECE_BYTES + 7])
async def test_large_files_come_back_in_pieces(files: OpenedFiles, size: int) -> None:
    """Bytes around the borders of pieces, and of what is gathered in memory, are all there, none held whole."""
    whole = os.urandom(size)
    file = await put(files, whole, limit=10**7)
    pieces = [piece async for piece in await files.read(file.id)]

    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) <= PIECE_BYTES


async def test_the_same_bytes_are_kept_once(files: OpenedFiles, postgres_server: Postgres, postgres_url: str) -> None:
    """Content lies under its SHA-256, whoever sends it and however often; what was refused left nothing."""
    await put(files, PNG, "one.png")
    await put(files, PNG, "two.png")
    with pytest.raises(TooLarge):
        await put(files, PNG[:-1], limit=100)
    query = "SELECT count(DISTINCT digest), count(*) FROM file_piece"

    assert postgres_server.sql(query, name_in(postgres_url)) == [(1, 1 + len(PNG) // PIECE_BYTES)]


async def test_another_process_reads_them(files: OpenedFiles, store: OpenedStore) -> None:
    """What one process put, another one on the same database reads, but only for the same site."""
    file = await put(files, PNG)
    neighbour, stranger = await open_files(None, store, SITE), await open_files(None, store, SiteId("rival"))

    assert await content(neighbour, file.id) == PNG
    with pytest.raises(NotFound):
        await stranger.read(file.id)
    await neighbour.close()
    await stranger.close()


async def test_lost_bytes_are_not_found(files: OpenedFiles, postgres_server: Postgres, postgres_url: str) -> None:
    """A row whose bytes are gone answers NotFound, before the first byte."""
    file = await put(files, PNG)
    postgres_server.sql("DELETE FROM file_piece", name_in(postgres_url))

    with pytest.raises(NotFound, match="gone"):
        await files.read(file.id)


async def test_a_broken_connection_costs_one_try(files: OpenedFiles, postgres_server: Postgres) -> None:
    """A file that meets a broken connection is not kept, and the next try finds a new one."""
    file = await put(files, PNG)
    postgres_server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    with pytest.raises(StoreUnavailable):
        await put(files, PNG[::-1])
    assert await content(files, file.id) == PNG
    assert await content(files, (await put(files, PNG[::-1])).id) == PNG[::-1]


async def test_a_store_without_a_server_wants_a_folder() -> None:
    """Beside SQLite files need a folder; the line names the setting."""
    store = await open_store("sqlite+memory://")
    with pytest.raises(SettingsError, match="HANDOFF_FILES_URL"):
        await open_files(None, store, SITE)
    await store.close()
