"""From a URL to a store: what is opened, brought up to date, or refused in one line."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.store.opening import open_store
from adapters.store.schema import MIGRATIONS, REVISIONS, migrate, version
from adapters.store.sqlite import Database
from adapters.store.tables import METADATA
from bridge.errors import SettingsError
from tests.contracts import store_samples as make
from tests.contracts.store_samples import SITE
from tests.settings import ROOT


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_what_was_kept_is_there_after_opening_again(tmp_path: Path) -> None:
    """A second start on the same file finds everything; the folder is made at the first."""
    url = f"sqlite:///{tmp_path}/new/folder/bridge.db"
    for ticket in ("H-1001", "H-1002"):
        store = await open_store(url)
        assert await store.run(lambda tx: tx.take_ticket(SITE)) == ticket
        await store.close()

    mode = (tmp_path / "new/folder/bridge.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_a_name_may_be_quoted(tmp_path: Path) -> None:
    """Blanks in a path are written as in every URL."""
    store = await open_store(f"sqlite:///{tmp_path}/my%20bridge.db")
    await store.close()

    assert (tmp_path / "my bridge.db").exists()


async def test_memory_stores_are_apart() -> None:
    """Each store in memory begins empty."""
    one, two = await open_store("sqlite+memory://"), await open_store("sqlite://")
    await one.run(lambda tx: tx.insert_conversation(make.conversation()))

    assert (await two.read(lambda tx: tx.counts(make.T0)))["open_handoffs"] == 0
    await one.close()
    await two.close()


@pytest.mark.parametrize(
    "url, says",
    [
        ("postgres://me:hunter2@db.invalid/bridge", r"^postgres://db\.invalid/bridge cannot be reached: "),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/b", r"^postgresql\+psycopg://127\.0\.0\.1/b cannot be reached: "),
        ("postgresql://me:hunter2%@db/bridge", "cannot be read: write postgresql://USER"),
        ("postgresql://me:hunter2#@db.invalid/bridge", r"^postgresql://db\.invalid/bridge cannot be reached: "),
        ("postgresql+asyncpg://me:hunter2@db/bridge", "must look like sqlite:///handoff.db or postgresql://"),
        ("mysql://me:hunter2@db/bridge", "must look like sqlite:///handoff.db"),
        ("handoff.db", "must look like sqlite:///handoff.db"),
        ("sqlite:///", "must look like sqlite:///handoff.db"),
        ("sqlite://handoff.db", "must look like sqlite:///handoff.db"),
    ],
)
async def test_other_urls_are_refused_in_one_line(url: str, says: str) -> None:
    """The line says what to write instead and repeats no password."""
    with pytest.raises(SettingsError, match=says) as refused:
        await open_store(url)

    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    """Where SQLite can lose data it is not opened, and no file is made; a local disk mounted deeper is fine."""
    mounts = (
        f"/dev/root / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\nserver:/y {tmp_path}/with\\040blank cifs rw 0 0\n"
    )
    for folder, kind in ((tmp_path, "nfs4"), (tmp_path / "sub", "nfs4"), (tmp_path / "with blank", "cifs")):
        with pytest.raises(SettingsError, match=rf"network file system \({kind}\)"):
            await open_store(f"sqlite:///{folder}/bridge.db", mounts=mounts)
    assert names(tmp_path) == []

    local = f"{mounts}/dev/sdb {tmp_path}/local ext4 rw 0 0\n"
    store = await open_store(f"sqlite:///{tmp_path}/local/bridge.db", mounts=local)
    await store.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file that a newer version has written is left alone; the line says so."""
    url = f"sqlite:///{tmp_path}/bridge.db"
    await (await open_store(url)).close()
    with sqlite3.connect(tmp_path / "bridge.db") as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()

    with pytest.raises(SettingsError, match=r"schema 9999.*update handoff-bridge") as refused:
        await open_store(url)
    assert "\n" not in str(refused.value)


async def test_files_of_others_are_refused(tmp_path: Path) -> None:
    """Another program's database and a file that is none are left alone."""
    with sqlite3.connect(tmp_path / "theirs.db") as theirs:
        theirs.execute("CREATE TABLE inbox (x)")
    theirs.close()
    (tmp_path / "letter.txt").write_text("Dear all, " * 1000)

    with pytest.raises(SettingsError, match="another program"):
        await open_store(f"sqlite:///{tmp_path}/theirs.db")
    with pytest.raises(SettingsError, match=r"letter\.txt cannot be opened"):
        await open_store(f"sqlite:///{tmp_path}/letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "Dear all, " * 1000


async def test_several_may_start_at_once(tmp_path: Path) -> None:
    """Of processes that start together on no file, one makes the tables and all of them work."""
    url = f"sqlite:///{tmp_path}/bridge.db"
    stores = await asyncio.gather(*(open_store(url) for _ in range(4)))
    tickets = [await store.run(lambda tx: tx.take_ticket(SITE)) for store in stores]
    for store in stores:
        await store.close()

    assert tickets == ["H-1001", "H-1002", "H-1003", "H-1004"]


def schema(database: Database) -> set[tuple[str, str]]:
    found = database.raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {
        (name, "".join(sql.replace('"', "").split()))
        for name, sql in found
        if name not in {"alembic_version", "schema_info"}
    }


def test_migrations_lead_to_the_tables() -> None:
    """From nothing, the revisions make exactly what the code expects; a second run does nothing."""
    migrated, created = Database(None), Database(None)
    assert version(migrated) is None
    assert migrate(migrated)
    assert not migrate(migrated)
    METADATA.create_all(created.connection)

    assert version(migrated) == REVISIONS[-1]
    assert schema(migrated) == schema(created)
    migrated.close()
    created.close()


def test_every_revision_is_known() -> None:
    """What Alembic finds in the folder is what the code lists, so that no start misses one."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert tuple(reversed(found)) == REVISIONS


def test_starting_writes_nothing_beside_the_migrations(tmp_path: Path) -> None:
    """An installed program leaves its own folder as it was installed, and loads Alembic only when there is work."""
    for package in ("adapters/store", "bridge"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "adapters/__init__.py").touch()
    folder = tmp_path / "adapters/store/migrations"
    before = sorted(folder.rglob("*"))
    script = (
        "import asyncio, sys; from adapters.store.opening import open_store\n"
        "store = asyncio.run(open_store('sqlite:///bridge.db')); asyncio.run(store.close())\n"
        "print('alembic' in sys.modules)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PATH": os.defpath},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for _ in range(2)
    ]

    assert said == ["True", "False"]
    assert sorted(folder.rglob("*")) == before
