"""Hints between processes on PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from adapters.store.dialling import Server
from adapters.store.hints import EVERY_S, MAX_WAITING, PostgresHints
from adapters.store.postgres import PostgresStore
from bridge.ids import ConversationId, DeskName, SiteId
from bridge.storage import Changed
from tests.adapters.store.proxy import DROP, PASS, Wire
from tests.adapters.store.waiting import SOON_S, soon
from tests.contracts.store_samples import DESK, SITE
from tests.postgres import Postgres

TRYING = SiteId("trying")


def changed(key: str, *, desk: DeskName | None = None, turn: bool = False) -> Changed:
    return Changed(site=SITE, conversation=ConversationId(key), desk=desk, turn=turn)


class Process:
    """A store, its hints, and what it was told."""

    def __init__(self, url: str, **probes: float) -> None:
        self.store = PostgresStore(Server(url=url), writers=1, readers=1)
        self.hints = PostgresHints(self.store, **probes)
        self.told: list[Changed] = []
        self.tries = 0
        self.last_tried: Changed | None = None
        self.hear(self.told.append)
        self.hints.start()

    def hear(self, then: Callable[[Changed], object]) -> None:
        """Pass on what is said, save the words that only try whether anything arrives: they may come late."""

        def heard(change: Changed) -> None:
            if change.site == TRYING:
                self.last_tried = change
            else:
                then(change)

        self.hints.hear(heard)

    async def hears(self, other: "Process") -> None:
        """Wait until what the other one says arrives here."""
        async with asyncio.timeout(SOON_S):
            self.tries += 1
            word = Changed(site=TRYING, conversation=ConversationId(f"{id(self)}-{self.tries}"))
            while self.last_tried != word:
                other.hints.say(word)
                await asyncio.sleep(0.05)

    async def has_heard(self, count: int) -> None:
        await soon(lambda: len(self.told) >= count)

    async def close(self) -> None:
        await self.hints.close()
        await self.hints.close()
        await self.store.close()


@contextlib.asynccontextmanager
async def processes(*urls: str) -> AsyncIterator[list[Process]]:
    running = [Process(url) for url in urls]
    try:
        yield running
    finally:
        for process in running:
            await process.close()


async def test_what_one_says_the_others_hear(postgres_url: str) -> None:
    """Every other process is told, with desk and turn as they were; the speaker itself is not."""
    async with processes(postgres_url, postgres_url, postgres_url) as [one, two, three]:
        await two.hears(one)
        await three.hears(one)
        said = [changed("c1"), changed("c2", desk=DESK), changed("c3", turn=True)]
        for change in said:
            one.hints.say(change)
        await two.has_heard(3)
        await three.has_heard(3)

        assert (two.told, three.told, one.told) == (said, said, [])
        assert [process.hints.trouble for process in (one, two, three)] == ["", "", ""]


async def test_many_words_make_few_messages(postgres_url: str) -> None:
    """What is said at once leaves together, each thing once, in messages under the server's limit, none lost."""
    async with processes(postgres_url, postgres_url) as [one, two]:
        await two.hears(one)
        for number in range(2000):
            one.hints.say(changed(f"conversation-{number % 1000:040}", turn=number == 1500))
        await two.has_heard(1000)
        await asyncio.sleep(3 * EVERY_S)

        assert len(two.told) == len({change.conversation for change in two.told}) == 1000
        assert [change.turn for change in two.told].count(True) == 1


async def test_the_server_hears_at_most_once_in_twenty_milliseconds(postgres_url: str) -> None:
    """However fast changes come, a process notifies rarely: commits of all wait for each other there."""
    async with processes(postgres_url, postgres_url) as [one, two]:
        await two.hears(one)
        began = asyncio.get_running_loop().time()
        times: list[float] = []
        two.hear(lambda _: times.append(asyncio.get_running_loop().time()))
        while asyncio.get_running_loop().time() < began + 10 * EVERY_S:
            one.hints.say(changed("c1"))
            await asyncio.sleep(0.001)
        await asyncio.sleep(5 * EVERY_S)

        assert 2 <= len(times) <= 12


async def test_words_to_nobody_do_not_pile_up(postgres_url: str) -> None:
    """What cannot be said for long is forgotten, not kept for ever."""
    async with processes(postgres_url) as [one]:
        for number in range(2 * MAX_WAITING):
            one.hints.say(changed(f"c{number}"))

        assert len(one.hints._waiting) == MAX_WAITING


async def test_a_hint_that_cannot_be_read_harms_nobody(postgres_url: str) -> None:
    """Whatever another program says on the channel is passed over."""
    async with processes(postgres_url, postgres_url) as [one, two]:
        await two.hears(one)
        await one.store.notify("handoff_bridge", ["", "{", "[]", '["x", 1]', '["x", ["a"]]', "null", '"word"'])
        one.hints.say(changed("c1"))
        await two.has_heard(1)

        assert two.told == [changed("c1")]


@pytest.fixture
def tcp() -> Iterator[Postgres]:
    with Postgres(port=0) as server:
        yield server


async def test_a_broken_line_is_mended(tcp: Postgres) -> None:
    """After the listener's connection broke, and after the server crashed, hints come again by themselves."""
    url = tcp.ready_url()
    with Wire(url) as wire:
        async with processes(url, wire.url) as [one, two]:
            await two.hears(one)
            wire.cut()
            await two.hears(one)
            tcp.crash()
            one.hints.say(changed("lost"))
            await asyncio.to_thread(tcp.start)
            await two.hears(one)

            await soon(lambda: two.hints.trouble == "")


async def test_a_pooler_that_swallows_hints_is_found_out(tcp: Postgres) -> None:
    """Where LISTEN hears nothing, as behind a pooler in transaction mode, that is said, until it hears again."""
    with Wire(tcp.ready_url()) as wire:
        wire.down = lambda kind, content: DROP if kind == b"A" else PASS
        process = Process(wire.url, probe_within_s=0.2, probe_every_s=0.2)
        try:
            await soon(lambda: bool(process.hints.trouble))
            assert "do not arrive" in process.hints.trouble
            wire.down = lambda kind, content: PASS
            await soon(lambda: not process.hints.trouble)
        finally:
            await process.close()
