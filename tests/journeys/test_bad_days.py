"""Bad days of a whole bridge: each is named in the log and by /readyz, loses nothing, and ends by itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.app import Bridge, serving
from adapters.sandbox.client import State
from adapters.sandbox.slack.people import DANA, SUPPORT
from adapters.store import opening
from bridge.errors import SettingsError
from bridge.settings import load
from tests.adapters.store.proxy import DROP, PASS, Wire
from tests.journeys.test_edges import ONE_QUEUE
from tests.journeys.world import Customer, Json, World, until
from tests.postgres import Postgres

pytestmark = pytest.mark.xdist_group("storm")
AN_HOUR_AHEAD = """
import time
now, now_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: now() + 3600, lambda: now_ns() + 3600 * 10**9
from adapters.cli import main
main()
"""


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL that may be broken: what it acknowledged outlives a crash."""
    with Postgres(durable=True, port=0) as started:
        yield started


async def with_dana(world: World, *, posts: int = 0, streams: int = 0) -> tuple[Customer, Json]:
    """A customer with whom Dana talks, who posts to one process and watches another; and the card."""
    customer = await world.customer()
    await customer.sees("help")
    await customer.drop()
    customer.posts_at, customer.streams_at = world.urls[posts], world.urls[streams]
    await customer.reconnect()
    await customer.say("I want to talk to a human, please")
    root = await world.root_with("H-1001")
    await world.slack.click(DANA, "bridge_take", root["ts"])
    await customer.sees("Dana Ruiz")
    return customer, root


async def thread(world: World, root: Json, words: str) -> list[str]:
    """Wait for the words in the thread; return its posts below the card, as their readers see them."""

    def look(state: State) -> list[str]:
        posts = [json.dumps(post.get("blocks") or post["text"]) for post in state.thread(SUPPORT, root["ts"])[1:]]
        return posts if any(words in post for post in posts) else []

    return await world.slack.wait_for(look, timeout_s=60)


def times(words: str, texts: list[str]) -> int:
    return sum(text.count(words) for text in texts)


async def told(world: World, holds: Callable[[int, Json], bool], number: int = 0) -> Json:
    """Ask /readyz until its answer holds; return it. /healthz says alive all the while: no restart mends these."""
    async with asyncio.timeout(40):
        while True:
            async with world.http.get(f"{world.urls[number]}/healthz") as answer:
                assert answer.status == 200
            status, body = await world.told(number)
            if holds(status, body):
                return body
            await asyncio.sleep(0.05)


async def talk(world: World, customer: Customer, root: Json, words: str) -> None:
    """One line each way, each of which arrives once."""
    await customer.say(f"customer: {words}")
    await world.slack.say(DANA, f"operator: {words}", thread_ts=root["ts"])
    await customer.sees(f"operator: {words}")
    assert times(f"customer: {words}", await thread(world, root, f"customer: {words}")) == 1
    assert times(f"operator: {words}", customer.texts) == 1


# --- versions


def ahead(url: str, revision: str, serves_from: str) -> None:
    """Do what the migration of a newer version does to a database, as far as this version can see it."""
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO schema_info VALUES (%s, %s)", (revision, serves_from))
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))


async def test_two_versions_serve_together_as_long_as_the_schema_says_so(tmp_path: Path, postgres_url: str) -> None:
    """A newer version brings the database ahead: older processes go on, and start, with a warning. When it is ahead too
    far, they say that they may not serve any more, and a new one refuses to start in one line.
    """
    async with World(tmp_path, processes=2, database_url=postgres_url) as world:
        customer, root = await with_dana(world, posts=0, streams=1)
        await asyncio.to_thread(ahead, postgres_url, "0901", "0002")

        warned = await told(world, lambda status, body: "schema" in body["warnings"])
        assert (warned["ready"], warned["reasons"]) == (True, {})
        assert "0901" in warned["warnings"]["schema"]
        await world.bridges[0].stop()
        await world.start_bridge(0)
        await talk(world, customer, root, "on a newer schema")

        await asyncio.to_thread(ahead, postgres_url, "0902", "0901")
        for number in range(2):
            refused = await told(world, lambda status, body: status == 503, number)
            assert "update handoff-bridge" in refused["reasons"]["store"]
        await world.bridges[0].stop()
        before = len(world.bridges[0].log())
        await world.bridges[0].start()
        assert world.bridges[0].process is not None
        assert await asyncio.wait_for(world.bridges[0].process.wait(), 20) == 2
        said = world.bridges[0].log()[before:].strip()
        assert "0902" in said
        assert len(said.splitlines()) == 1


# --- time


async def test_a_clock_an_hour_off_changes_nothing(tmp_path: Path, postgres_url: str) -> None:
    """The database's time counts: signatures, tokens, order and sends are as ever, and the clock is named."""
    async with World(tmp_path, mode="http", toml=ONE_QUEUE, processes=2, database_url=postgres_url) as world:
        await world.bridges[0].stop()
        world.bridges[0].arguments = ("-c", AN_HOUR_AHEAD, "serve")
        await world.start_bridge(0)

        customer, root = await with_dana(world, posts=0, streams=1)
        await talk(world, customer, root, "through the wrong clock")
        customer.posts_at = world.urls[1]
        await talk(world, customer, root, "through the right clock")

        warned = await told(world, lambda status, body: "clock" in body["warnings"])
        assert warned["ready"]
        assert "3600 s ahead" in warned["warnings"]["clock"]
        assert "clock_off" in world.bridges[0].log()
        assert (await world.told(1))[1]["warnings"] == {}
        through = [text.rpartition(": through the ")[2] for text in customer.texts if ": through the " in text]
        assert through == ["wrong clock", "wrong clock", "right clock", "right clock"]


# --- a pooler in between


async def test_a_pooler_that_swallows_hints_costs_a_moment_only(tmp_path: Path) -> None:
    """Where NOTIFY reaches nobody, processes find each other's work by looking; that is said, until hints arrive."""
    with Postgres(port=0) as server, Wire(server.ready_url()) as wire:
        wire.down = lambda kind, content: DROP if kind == b"A" else PASS
        async with World(tmp_path, processes=2, database_url=wire.url) as world:
            warned = await told(world, lambda status, body: "hints" in body["warnings"])
            assert warned["ready"]
            assert "do not arrive" in warned["warnings"]["hints"]
            assert "hints_do_not_arrive" in world.bridge.log()

            customer, root = await with_dana(world, posts=0, streams=1)
            await talk(world, customer, root, "without hints")


# --- a database that restarts


async def test_a_database_that_restarts_under_load_loses_and_doubles_nothing(tmp_path: Path, server: Postgres) -> None:
    """While both sides write, the database crashes and comes back: every acknowledged line arrives once, in order."""
    async with World(tmp_path, processes=2, database_url=server.ready_url()) as world:
        customer, root = await with_dana(world, posts=0, streams=1)
        stop = asyncio.Event()
        acknowledged: list[str] = []

        async def write() -> None:
            while not stop.is_set():
                words = f"line {len(acknowledged):04d}."
                await customer.say(words)
                acknowledged.append(words)
                await asyncio.sleep(0.25)

        async def reply() -> int:
            count = 0
            while not stop.is_set():
                await world.slack.say(DANA, f"reply {count:04d}.", thread_ts=root["ts"])
                count += 1
                await asyncio.sleep(0.3)
            return count

        writing, replying = asyncio.create_task(write()), asyncio.create_task(reply())
        await until(lambda: len(acknowledged) > 8 or None, what="a load")
        await asyncio.to_thread(server.crash)
        for number in range(2):
            away = await told(world, lambda status, body: status == 503, number)
            assert away["reasons"]["store"]
        at_crash = len(acknowledged)
        await asyncio.to_thread(server.start)
        for number in range(2):
            await told(world, lambda status, body: status == 200, number)
        await until(lambda: len(acknowledged) > at_crash + 8 or None, within_s=60, what="life after it")
        stop.set()
        replies = await replying
        await writing

        posts = await thread(world, root, acknowledged[-1])
        joined = "\n".join(posts)
        assert [words for words in acknowledged if joined.count(words) != 1] == []
        places = [joined.index(words) for words in acknowledged]
        assert places == sorted(places)
        await customer.drop()
        await customer.reconnect()
        await customer.sees(f"reply {replies - 1:04d}.", within_s=60)
        wanted = [f"reply {number:04d}." for number in range(replies)]
        assert [words for text in customer.texts for words in wanted if words in text] == wanted
        assert "store_fails" in world.bridge.log()


# --- a full disk


class InThisProcess(World):
    """A world whose bridge runs in the process of the test, so that its database can be made to be full."""

    running: Bridge

    async def start_bridge(self, number: int = 0) -> None:
        """Start it as `serve` does."""
        self.stack = contextlib.AsyncExitStack()
        settings = load(self._environment(self.port), self.folder / "handoff.toml", for_="serve")
        self.running = await self.stack.enter_async_context(serving(settings))
        async with asyncio.timeout(20):
            while not await self.ready():  # noqa: ASYNC110 -- a page is asked
                await asyncio.sleep(0.05)

    async def __aexit__(self, *problem: object) -> None:
        if hasattr(self, "stack"):
            await self.stack.aclose()
        await super().__aexit__(*problem)

    async def space(self, pages: int) -> None:
        """Let the database have so many pages at most; those that it has it keeps."""
        await self.running.store.run(lambda tx: tx._cursor.execute(f"PRAGMA max_page_count = {pages}"))  # type: ignore[attr-defined]

    async def entries(self) -> int:
        """Return how many entries the log of everybody holds."""

        def unit(tx: Any) -> int:
            return int(tx._cursor.execute("SELECT count(*) FROM entry").fetchone()[0])

        return await self.running.store.read(unit)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[InThisProcess]:
    """A bridge on SQLite."""
    async with InThisProcess(tmp_path) as world:
        yield world


async def test_a_full_disk_refuses_whole_and_goes_on_when_there_is_space(small: InThisProcess) -> None:
    """Customers get 503 and nothing of their line is kept; operators' lines wait at Slack; with space all go on."""
    customer, root = await with_dana(small)
    await talk(small, customer, root, "while there is space")
    before = await small.entries()
    with capture_logs() as lines:
        await small.space(1)
        url = f"{customer.base}/conversations/{customer.conversation}/activities"
        long = {"type": "message", "text": "x" * 8000, "from": {"id": customer.user}}
        for number in range(4):
            activity = {**long, "channelData": {"clientActivityID": f"long-{number}"}}
            async with small.http.post(url, json=activity, headers=customer._auth()) as answer:
                assert answer.status == 503, number
        assert await small.entries() == before
        full = await told(small, lambda status, body: status == 503)
        assert "full" in full["reasons"]["store"]
        # It waits at Slack: what was not kept is not acknowledged, and delivered again.
        await small.slack.say(DANA, "operator: into the full disk " + "y" * 7000, thread_ts=root["ts"])
        saying = asyncio.create_task(customer.say("customer: into the full disk " + "z" * 7000))
        await asyncio.sleep(0.5)
        assert not saying.done()
        await small.space(2**30)
    assert any(line["event"] == "store_fails" and "full" in line["reason"] for line in lines)

    await saying
    await customer.sees("operator: into the full disk", within_s=60)
    await told(small, lambda status, body: status == 200)
    posts = await thread(small, root, "customer: into the full disk")
    assert times("customer: into the full disk", posts) == 1
    assert times("operator: into the full disk", customer.texts) == 1
    await talk(small, customer, root, "with space again")


async def test_sqlite_on_a_network_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bridge whose database would lie on NFS does not start: one line names the folder, and no file is made there."""
    mounts = tmp_path / "mounts"
    share = tmp_path / "share"
    share.mkdir()
    mounts.write_text(f"/dev/vda1 / ext4 rw 0 0\nnas:/bridge {share} nfs4 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(opening, "MOUNTS", mounts)
    world = World(tmp_path, database_url=f"sqlite:///{share}/handoff.db")
    world.sandbox_url = "http://127.0.0.1:9"
    (tmp_path / "handoff.toml").write_text(ONE_QUEUE, encoding="utf-8")
    settings = load(world._environment(0), tmp_path / "handoff.toml", for_="serve")

    with pytest.raises(SettingsError, match="network file system") as refused:
        async with serving(settings):
            pass
    assert str(share) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert list(share.iterdir()) == []
