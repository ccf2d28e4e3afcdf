"""Starts what is measured and what measures it, each in a process and on a core of its own."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from adapters.clock import SystemClock
from adapters.directline.settings import DirectLineSettings
from adapters.directline.tokens import Purpose, Session, Tokens
from adapters.slack.refs import operator_id, remote_ref
from adapters.store.opening import open_store
from bridge.conversation import (
    Audience,
    Author,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    Handoff,
    HandoffState,
    Operator,
    Role,
    Standing,
    State,
    Thread,
)
from bridge.envelope import AgentInfo, HandoffEnvelope, Reason
from bridge.ids import ChannelId, ConversationId, CustomerId, DeskName, HandoffId, QueueName, SiteId, Ticket
from bridge.storage import Tx
from tests.bench._load import OPERATOR, TEAM, Chat, Job
from tests.bench._rivals import SIGNING_SECRET, TOKEN, root_ts
from tests.journeys.world import Process, free_port
from tests.settings import ROOT

Json = dict[str, Any]
SITE, SECRET_KEY = SiteId("main"), "0123456789abcdef0123456789abcdef0123456789abcdef"
TOML = '[[queues]]\nname = "support"\nchannels = ["C0000000"]\n'
SERVE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from adapters.cli import main; main()"
READY_WITHIN_S = 60.0
PIECE = 200


@dataclass(kw_only=True)
class Around:
    """A running `tests.bench._load`."""

    slack: str
    widget: str
    process: asyncio.subprocess.Process

    async def work(self, job: Job) -> Json:
        """Let it do its one job; return the figures. Raises RuntimeError, with what it wrote, if it failed."""
        out, err = await self.process.communicate(json.dumps(asdict(job)).encode() + b"\n")
        if not out:
            raise RuntimeError(f"the load could not be put on {job.relay}:\n{err.decode()[-3000:]}")
        found: Json = json.loads(out)
        return found


@contextlib.asynccontextmanager
async def around() -> AsyncIterator[Around]:
    """Start Slack, the widget's server and the people; end them."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench._load", cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, limit=2**24
    )
    try:
        assert process.stdout is not None
        there = json.loads(await process.stdout.readline() or b"{}")
        yield Around(slack=there["slack"], widget=there["widget"], process=process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def rival(name: str, folder: Path, job: Json) -> Json:
    """Measure a rival of `tests.bench._rivals`. `job` completes the Job."""
    async with around() as world:
        port = free_port()
        where = ("--port", str(port), "--slack", world.slack, "--widget", world.widget)
        relay = Process("-m", "tests.bench._rivals", name, *where, environment={}, folder=folder, name=name)
        await relay.start()
        try:
            url = f"http://127.0.0.1:{port}"
            await _answers(relay, url, status=None)
            known: Json = {"relay": url, "relay_pid": pid(relay), "signing_secret": SIGNING_SECRET}
            return await world.work(Job(chats=chats(job.pop("count")), **known, **job))
        finally:
            await relay.kill()


@contextlib.asynccontextmanager
async def bridge(folder: Path, slack: str, code: str = SERVE, **environment: str) -> AsyncIterator[tuple[str, Process]]:
    """Run the bridge as `serve` does, in HTTP mode, on a store that was prepared before; yield where it listens."""
    (folder / "handoff.toml").write_text(TOML, encoding="utf-8")
    port = free_port()
    settings = {
        "HANDOFF_PORT": str(port),
        "HANDOFF_SECRET_KEY": SECRET_KEY,
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/handoff.db",
        "HANDOFF_AGENT__KIND": "demo",
        "HANDOFF_SLACK__MODE": "http",
        "HANDOFF_SLACK__BOT_TOKEN": TOKEN,
        "HANDOFF_SLACK__SIGNING_SECRET": SIGNING_SECRET,
        "HANDOFF_SLACK__API_URL": f"{slack}/api/",
        **environment,
    }
    relay = Process("-c", code, "serve", environment=settings, folder=folder, name="bridge")
    await relay.start()
    try:
        url = f"http://127.0.0.1:{port}"
        await _answers(relay, f"{url}/readyz", status=200)
        yield url, relay
    finally:
        await relay.stop()


def pid(process: Process) -> int:
    """Return its number. Raises LookupError if it does not run."""
    if process.process is None:
        raise LookupError(f"{process.name} does not run")
    return process.process.pid


async def _answers(relay: Process, url: str, *, status: int | None) -> None:
    """Wait until it answers, with this status if one is given."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(READY_WITHIN_S):
        while True:
            assert relay.process is not None
            if relay.process.returncode is not None:
                raise RuntimeError(f"{relay.name} ended:\n{relay.log()[-3000:]}")
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    if status is None or answer.status == status:
                        return
            await asyncio.sleep(0.05)


# --- conversations that a person has taken


def chats(count: int, *, windows: bool = False) -> tuple[Chat, ...]:
    """Describe so many, each in a channel of its own; with `windows` the page holds a token and a stream's address."""
    if not windows:
        return tuple(Chat(id=f"c{i:07}", channel=f"C{i:07}", root_ts=root_ts(i)) for i in range(count))
    defaults = DirectLineSettings(signing_secrets=(SECRET_KEY,))
    tokens = Tokens(
        site=SITE,
        signing_secrets=defaults.signing_secrets,
        token_days=defaults.token_days,
        grace_days=defaults.grace_days,
        stream_token_s=defaults.stream_token_s,
        now=SystemClock().now,
    )
    made = []
    for i in range(count):
        key = f"c{i:07}"
        session = Session(conversation=ConversationId(key), user=f"dl_{key}", name="Kim", verified=True)
        path = f"/v3/directline/conversations/{key}/stream?t={tokens.issue(session, Purpose.STREAM)}"
        token = tokens.issue(session)
        made.append(Chat(id=key, channel=f"C{i:07}", root_ts=root_ts(i), token=token, stream_path=path))
    return tuple(made)


async def prepare(folder: Path, count: int, put: Callable[[Tx, int], None]) -> None:
    """Put so many conversations into the store that `bridge` will open, each as `put` does it."""
    store = await open_store(f"sqlite:///{folder}/handoff.db")
    for start in range(0, count, PIECE):
        numbers = range(start, min(start + PIECE, count))
        await store.run(partial(_put_all, put, numbers))
    await store.close()


def _put_all(put: Callable[[Tx, int], None], numbers: range, tx: Tx) -> None:
    for i in numbers:
        put(tx, i)


def greeted(tx: Tx, i: int) -> None:
    """Open a chat that the agent has greeted."""
    key, now = ConversationId(f"c{i:07}"), SystemClock().now()
    customer = Customer(id=CustomerId(f"dl_{key}"), name="Kim", verified=True)
    tx.insert_conversation(
        Conversation(site=SITE, id=key, widget="directline", customer=customer, next_n=2, last_at=now)
    )
    agent = Author(role=Role.AGENT, id="agent", name="Assistant")
    hello = Entry(n=1, kind=EntryKind.LINE, author=agent, audience=Audience.EVERYONE, at=now, epoch=1, text="Hello!")
    tx.append(SITE, key, hello)


def taken(tx: Tx, i: int) -> None:
    """Open a chat that Dana has taken, with a thread in a channel of its own."""
    key, now = ConversationId(f"c{i:07}"), SystemClock().now()
    dana = Operator(id=operator_id(TEAM, OPERATOR), name="Dana Ruiz", standing=Standing.ALLOWED)
    channel = ChannelId(f"C{i:07}")
    conversation = Conversation(
        site=SITE,
        id=key,
        widget="directline",
        customer=Customer(id=CustomerId(f"dl_{key}"), name="Kim", verified=True),
        state=State.HUMAN,
        operator=dana,
        epoch=3,
        last_at=now,
        handoff=HandoffId(f"h{i:07}"),
        sticky=dana.id,
    )
    tx.insert_conversation(conversation)
    envelope = HandoffEnvelope(
        id=f"e{i}",
        conversation_id=key,
        created_at=datetime.now(UTC),
        reason=Reason.CUSTOMER_REQUEST,
        summary="A parcel is late.",
        agent=AgentInfo(id="bench"),
    )
    handoff = Handoff(
        site=SITE,
        id=HandoffId(f"h{i:07}"),
        conversation=key,
        ticket=Ticket(f"H-{i}"),
        envelope=envelope,
        queue=QueueName("support"),
        thread=Thread(desk=DeskName("slack"), channel=channel, root=remote_ref(channel, root_ts(i))),
        state=HandoffState.HUMAN,
        opened_at=now,
        taken_at=now,
        first_n=1,
        operator=dana,
    )
    tx.insert_handoff(handoff)
