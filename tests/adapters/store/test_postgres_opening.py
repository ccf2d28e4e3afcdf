"""From a URL to a store on PostgreSQL: what is brought up to date, what is refused in one line."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from adapters.store.opening import open_store
from adapters.store.tables import METADATA
from bridge.errors import SettingsError
from tests.contracts.store_samples import SITE
from tests.postgres import Postgres, name_in
from tests.settings import ROOT

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' AND table_name NOT IN ('alembic_version', 'schema_info')
"""
INDEXES = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'schema_info')
"""


def schema(server: Postgres, url: str) -> list[set[tuple[Any, ...]]]:
    return [set(server.sql(query, name_in(url))) for query in (COLUMNS, INDEXES)]


def test_migrations_lead_to_the_tables(postgres_server: Postgres, postgres_url: str, empty_postgres_url: str) -> None:
    """From nothing, the revisions make exactly the tables and indexes that the code expects."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(empty_postgres_url))
    METADATA.create_all(engine)
    engine.dispose()
    made, expected = schema(postgres_server, postgres_url), schema(postgres_server, empty_postgres_url)

    assert made == expected
    assert len(made[0]) > 100


async def test_several_may_start_at_once(empty_postgres_url: str) -> None:
    """Of processes that start together on an empty database, one makes the tables and all of them work."""
    stores = await asyncio.gather(*(open_store(empty_postgres_url) for _ in range(4)))
    tickets = [await store.run(lambda tx: tx.take_ticket(SITE)) for store in stores]
    for store in stores:
        await store.close()

    assert tickets == ["H-1001", "H-1002", "H-1003", "H-1004"]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_every_usual_name_is_understood(postgres_url: str, scheme: str) -> None:
    """Providers and libraries write the same address in three ways."""
    store = await open_store(f"{scheme}://{postgres_url.partition('://')[2]}")
    assert await store.run(lambda tx: tx.take_ticket(SITE)) == "H-1001"
    await store.close()


async def test_databases_of_others_are_refused(postgres_server: Postgres, empty_postgres_url: str) -> None:
    """Another program's tables are left alone."""
    postgres_server.sql("CREATE TABLE inbox (x int)", name_in(empty_postgres_url))
    with pytest.raises(SettingsError, match="another program"):
        await open_store(empty_postgres_url)

    assert schema(postgres_server, empty_postgres_url)[0] == {("inbox", "x", "integer", "YES", None)}


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: Postgres) -> None:
    """Names and messages come in all scripts; the line says how to make a database for them."""
    url = postgres_server.fresh_url(more="ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(SettingsError, match=r"LATIN1.*ENCODING 'UTF8'") as refused:
        await open_store(url)

    assert "\n" not in str(refused.value)


async def test_a_database_that_is_not_there_is_named(postgres_server: Postgres) -> None:
    """The line names the database, the server's reason, and no password."""
    url = postgres_server.url("nowhere").replace("postgres@", "postgres:hunter2@")
    with pytest.raises(SettingsError, match=r'nowhere cannot be reached: .*"nowhere" does not exist') as refused:
        await open_store(url)

    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_user_who_may_not_make_tables_is_told_so(postgres_server: Postgres, empty_postgres_url: str) -> None:
    """Where rights are missing, one line says which."""
    postgres_server.sql("CREATE ROLE guest LOGIN")
    url = empty_postgres_url.replace("postgres@", "guest@")
    with pytest.raises(SettingsError, match=r"may not make tables: .*permission denied") as refused:
        await open_store(url)

    assert "\n" not in str(refused.value)


def test_without_the_driver_one_line_says_what_to_install(tmp_path: Path) -> None:
    """PostgreSQL is an extra; SQLite works without it and never loads it."""
    script = (
        "import asyncio, sys\n"
        "sys.modules['psycopg'] = None\n"
        "from adapters.store.opening import open_store\n"
        "asyncio.run(asyncio.run(open_store('sqlite:///bridge.db')).close())\n"
        "try: asyncio.run(open_store('postgresql://me:hunter2@db/x'))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout

    assert said.startswith("SettingsError ")
    assert "pip install 'handoff-bridge[postgres]'" in said
    assert "hunter2" not in said


def test_migrate_prepares_a_database_by_the_command_line(
    tmp_path: Path, postgres_server: Postgres, empty_postgres_url: str
) -> None:
    """`handoff-bridge migrate` works before the first start, may be repeated, and repeats no password."""
    url = empty_postgres_url.replace("postgres@", "postgres:hunter2@")
    environment = {"HANDOFF_DATABASE_URL": url, "PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        command = [sys.executable, "-c", "from adapters.cli import main; main()", "migrate"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(f"/{name_in(url)} is up to date\n")
        assert "hunter2" not in done.stdout
    assert postgres_server.sql("SELECT count(*) FROM conversation", name_in(url)) == [(0,)]
