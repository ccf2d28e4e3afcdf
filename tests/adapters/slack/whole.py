"""The bridge as the composition root makes it, in this process, before a sandbox Slack in another one."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp

from adapters.app import Bridge, serving
from adapters.clock import SystemClock
from adapters.sandbox.client import Json, Workspace
from adapters.sandbox.slack.people import DANA, SUPPORT
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN
from adapters.store.files import open_files
from bridge.conversation import Customer, Entry, FileRef, Handoff
from bridge.effects import Receipt
from bridge.events import CustomerSaid
from bridge.fakes.agent import FakeAgent
from bridge.ids import ConversationId, CustomerId, SiteId, SourceId
from bridge.pacing import Pace
from bridge.settings import Settings, load
from bridge.storage import Out, Tx

ADMIN_KEY = "admin-key-for-tests-0123456789abcdef"
C1 = ConversationId("c1")
GRACE_S = 1.0
PACE_MS = 50
REST_S = 0.3
"""Between two posts of a channel, and between two tries of what people must mend: they would be most of the time that
these tests take.
"""
TOML = f"""
[[queues]]
name = "support"
label = "Support"
channels = ["{SUPPORT}"]
supervisors = ["U0SAMOKAFR"]
"""
T = TypeVar("T")


def settings_at(folder: Path, sandbox_url: str) -> Settings:
    """Return the settings of a bridge whose G is a second."""
    (folder / "handoff.toml").write_text(TOML, encoding="utf-8")
    environ = {
        "HANDOFF_PORT": "0",
        "HANDOFF_SECRET_KEY": "0123456789abcdef0123456789abcdef0123456789abcdef",
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/handoff.db",
        "HANDOFF_API_KEYS": f"admin:{ADMIN_KEY}",
        "HANDOFF_AGENT__KIND": "demo",
        "HANDOFF_UNCLEAR_GRACE_S": f"{GRACE_S}",
        "HANDOFF_SLACK__MODE": "socket",
        "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
        "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
        "HANDOFF_SLACK__API_URL": f"{sandbox_url}/api/",
    }
    return load(environ, file=folder / "handoff.toml")


class Office:
    """One conversation with a customer, its thread in Slack, and what the store holds of both."""

    def __init__(self, bridge: Bridge, slack: Workspace, settings: Settings) -> None:
        self.bridge, self.slack, self.settings = bridge, slack, settings
        self.site = SiteId(settings.site)
        self._clock = SystemClock()
        self._count = itertools.count(1)
        self._root = ""
        self._began = self._clock.now() / 1000

    async def file(self, name: str, content: bytes) -> FileRef:
        """Keep a file as a widget does that the customer gave it to."""

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        kept = await open_files(self.settings.files_folder, self.bridge.store, self.site)
        return await kept.put(pieces(), name=name, claimed_type="text/plain", max_bytes=1024)

    async def says(self, text: str, *files: FileRef) -> Receipt:
        """Let the customer write."""
        return await self.bridge.engine.receive(
            CustomerSaid(
                site=self.site,
                source=SourceId(f"said:{next(self._count)}"),
                at=self._clock.now(),
                conversation=C1,
                widget="test",
                customer=Customer(id=CustomerId("kim"), name="Kim Vale"),
                text=text,
                files=files,
            )
        )

    async def opened(self) -> None:
        """Get a person: Dana takes it, everything has arrived in the thread and was seen by both sides."""
        await self.says("I want to talk to a person")
        await self.eventually(self.root)
        await self.slack.wait_for(lambda state: len(state.thread(SUPPORT, self._root)) > 1)
        await self.slack.click(DANA, "bridge_take", self._root)
        await self.eventually(self._is_quiet)

    async def root(self) -> str:
        """Return the `ts` of the newest card, or ""."""
        one = await self.handoff()
        self._root = str(one.thread.root or "").partition(":")[2] if one else ""
        return self._root

    async def handoff(self) -> Handoff | None:
        """Return the newest handoff."""
        found = await self.look(lambda tx: tx.open_handoffs(self.site))
        return found[-1] if found else None

    async def look(self, unit: Callable[[Tx], T]) -> T:
        """Read the store."""
        return await self.bridge.store.read(unit)

    async def counts(self) -> dict[str, int]:
        """Return what /metrics counts."""
        return dict(await self.look(lambda tx: tx.counts(self._clock.now())))

    async def dead(self) -> list[Out]:
        """Return the dead letters."""
        return await self.look(lambda tx: list(tx.dead_outs(self.site)))

    async def log(self) -> list[Entry]:
        """Return the conversation's log."""
        return await self.look(lambda tx: list(tx.entries(self.site, C1)))

    async def heard(self) -> list[str]:
        """Return what operators said to the customer, in the order of the log."""
        log = await self.log()
        return [e.text for e in log if e.author.role.value == "operator" and e.audience.value == "everyone"]

    async def thread(self) -> list[Json]:
        """Return what people see in the thread, its card first."""
        return await self.slack.thread(SUPPORT, self._root)

    async def files(self) -> list[str]:
        """Return the names of the files in the thread."""
        return [file["name"] for message in await self.thread() for file in message.get("files") or []]

    async def times(self, words: str) -> int:
        """Return how many messages hold these words, anywhere in the channel since this office opened."""
        found = await self.slack.messages(SUPPORT)
        return sum(words in str(each.get("blocks")) for each in found if float(each["ts"]) >= self._began)

    async def settled(self, *, within_s: float = 12.0) -> None:
        """Wait until nothing waits to be sent."""
        await self.eventually(self._is_quiet, within_s=within_s)

    async def _is_quiet(self) -> bool:
        return (await self.counts())["unsent_outs"] == 0

    async def eventually(self, question: Callable[[], Awaitable[T]], *, within_s: float = 12.0) -> T:
        """Return the first truthy answer. Raises TimeoutError."""
        box: list[T] = []

        async def ask() -> None:
            while not box:
                answer = await question()
                if answer:
                    box.append(answer)
                else:
                    await self._clock.sleep(0.03)

        try:
            async with asyncio.timeout(within_s):
                await ask()
        except TimeoutError:
            there = [message["text"][:80] for message in await self.slack.messages(SUPPORT)][-8:]
            raise TimeoutError(f"it did not happen; counts {await self.counts()}, Slack shows {there}") from None
        return box[0]

    async def notice(self, words: str, *, within_s: float = 15.0) -> Json:
        """Wait for a message in the thread with these words."""

        async def shown() -> Json | None:
            return next((m for m in reversed(await self.thread()) if words in str(m.get("blocks"))), None)

        found = await self.eventually(shown, within_s=within_s)
        assert found is not None
        return found

    async def calls_since(self, at: float, method: str) -> int:
        """Return how often a method was called since then."""
        return sum(call["at"] >= at for call in await self.slack.calls(method))

    async def connected(self, count: int = 2) -> None:
        """Wait until so many sockets are up."""

        async def there() -> bool:
            return int((await self.slack.state())["connections"]) == count

        await self.eventually(there)

    async def refused(self, method: str, error: str) -> None:
        """Wait until Slack has refused such a call twice: it was tried again."""

        async def count() -> int:
            return len([call for call in await self.slack.calls(method) if call["error"] == error])

        async def twice() -> bool:
            return await count() > before + 1

        before = await count()
        await self.eventually(twice)

    async def bridge_reads(self) -> None:
        """Use up a read of this channel, as the app."""
        await self._calls("conversations.replies", channel=SUPPORT, ts=self._root)

    async def bridge_updates(self) -> None:
        """Use up an update, as the app, of a message that is not there."""
        await self._calls("chat.update", channel=SUPPORT, ts="1.000001", text="x")

    async def _calls(self, method: str, **arguments: str) -> None:
        headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
        url = f"{self.slack.api_url}{method}"
        async with aiohttp.ClientSession() as http, http.post(url, data=arguments, headers=headers) as answer:
            assert answer.status == 200

    async def metrics(self) -> str:
        """Return the page for Prometheus."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with aiohttp.ClientSession() as http, http.get(f"{self.bridge.url}/metrics", headers=headers) as answer:
            assert answer.status == 200
            return await answer.text()


@contextlib.asynccontextmanager
async def office_at(folder: Path, slack: Workspace) -> AsyncIterator[Office]:
    """Return an office whose sockets to Slack are up."""
    settings = settings_at(folder, slack.url)
    async with serving(settings, agent=FakeAgent(SystemClock())) as bridge:
        for courier in bridge.engine._couriers:
            courier._pace, courier._rest_s = Pace(post_every_ms=PACE_MS), REST_S
        one = Office(bridge, slack, settings)
        await one.connected()
        yield one
