"""This code on the schema of the revision before: processes that are replaced one by one meet it."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.store.opening import open_store
from adapters.store.schema import REVISIONS, upgrade, version
from adapters.store.sqlite import Database
from bridge.errors import SettingsError
from bridge.ids import ConversationId
from bridge.storage import Store
from tests.contracts import store_samples as make
from tests.contracts.sharing_contract import SharingContract
from tests.contracts.store_contract import LaneContract, StoreContract
from tests.contracts.store_samples import SITE
from tests.postgres import Postgres, name_in

BEFORE = REVISIONS[-2]


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/bridge.db"
        made = Database(tmp_path / "bridge.db")
        with made.locked() as connection:
            upgrade(connection, BEFORE)
        assert version(made) == BEFORE
        made.close()
        opened = await open_store(url, update=False)
        yield opened
        await opened.close()
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    url = server.ready_url(BEFORE)
    assert server.sql("SELECT version_num FROM alembic_version", name_in(url)) == [(BEFORE,)]
    opened = await open_store(url, update=False)
    yield opened
    await opened.close()
    server.drop(url)


class TestStore(StoreContract):
    """The units."""


class TestLanes(LaneContract):
    """The lanes."""


class TestSharing(SharingContract):
    """What processes share."""


AHEAD = "0099"


def get_ahead(url: str, server: Postgres, serves_from: str) -> None:
    """Do what a later version's migration does to the books."""
    words = [
        f"UPDATE alembic_version SET version_num = '{AHEAD}'",
        f"INSERT INTO schema_info VALUES ('{AHEAD}', '{serves_from}')",
    ]
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as ahead:
            for word in words:
                ahead.execute(word)
        ahead.close()
    else:
        server.sql("; ".join(words), name_in(url))


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
async def test_a_later_schema_is_served_if_it_says_so(
    where: str, tmp_path: Path, postgres_server: Postgres, postgres_url: str
) -> None:
    """A revision that this code does not know says from which one on code may go on; else the start is refused in one
    line.
    """
    for serves_from, fine in ((REVISIONS[-1], True), ("0098", False)):
        url = postgres_server.ready_url() if where == "postgres" else f"sqlite:///{tmp_path}/{serves_from}.db"
        await (await open_store(url)).close()
        get_ahead(url, postgres_server, serves_from)
        if fine:
            store = await open_store(url)
            await store.run(lambda tx: tx.insert_conversation(make.conversation()))
            assert await store.read(lambda tx: tx.conversation(SITE, ConversationId("c1"), lock=False)) is not None
            await store.close()
            continue
        with pytest.raises(SettingsError, match=r"schema 0099.*update handoff-bridge") as refused:
            await open_store(url)
        assert "\n" not in str(refused.value)


async def test_an_empty_database_is_not_worked_on(tmp_path: Path, empty_postgres_url: str) -> None:
    """Whoever asks not to change the schema is told to migrate first, and nothing is made."""
    for url in (f"sqlite:///{tmp_path}/bridge.db", empty_postgres_url):
        with pytest.raises(SettingsError, match="handoff-bridge migrate"):
            await open_store(url, update=False)
    store = await open_store(empty_postgres_url)
    assert await store.run(lambda tx: tx.take_ticket(SITE)) == "H-1001"
    await store.close()
