"""An agent that streams its answer, an operator who takes over in the middle of it, and what the customer then saw."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from adapters.sandbox.slack.people import DANA, TEAM_ID
from tests.journeys.world import ADMIN_KEY, Customer, World

Json = dict[str, Any]
WORDS = 16
WORD_S = 0.03
FIRST_WORDS = 4
CANARY = "agent-words"
LAST = f"{CANARY}-{WORDS - 1}"
JOINED = "joined the chat"
SUPPRESSED = "SELECT count(*) FROM entry WHERE audience = 'suppressed'"
LEAKED = (
    "SELECT count(*) FROM entry AS said JOIN entry AS joined ON joined.conversation = said.conversation"
    f" WHERE said.audience = 'everyone' AND said.text LIKE '%{CANARY}%' AND joined.text LIKE '%{JOINED}%'"
    " AND said.n > joined.n"
)
"""What the log says, in SQL that both stores read: agent lines kept as suppressed, and agent lines for everyone of a
human epoch.
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which process gets the customer's lines, which one has their stream, at which one the takeover arrives."""

    posts: int = 0
    streams: int = 0
    takes: int = 0


ALONE = Way()


class StreamingAgent:
    """A company's agent on a port of its own. Each process of the bridge knows it by an address of its own."""

    def __init__(self) -> None:
        """Use `running`."""
        self.through: dict[str, list[int]] = defaultdict(list)
        """By conversation: the processes through which its answer streamed, attempt by attempt."""
        self.goes_on = asyncio.Event()
        """While it is not set, answers rest after their first words."""
        self.goes_on.set()
        self._url = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Answer as long as the context lasts."""
        agent = cls()
        app = web.Application()
        app.router.add_post("/turns/{process}", agent._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        agent._url = f"http://127.0.0.1:{runner.addresses[0][1]}/turns"
        try:
            yield agent
        finally:
            await runner.cleanup()

    def settings(self, process: int) -> dict[str, str]:
        """Return the settings with which a process of the bridge asks it."""
        return {"HANDOFF_AGENT__KIND": "http", "HANDOFF_AGENT__URL": f"{self._url}/{process}"}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        turn = await request.json()
        if turn["kind"] == "message":
            self.through[turn["conversation_id"]].append(int(request.match_info["process"]))
        return await self._stream(request, turn)

    async def _stream(self, request: web.Request, turn: Json) -> web.StreamResponse:
        """Answer a turn word by word. Greets with nothing, so that all it ever says is the answer."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            if turn["kind"] == "message":
                for number in range(WORDS):
                    if number == FIRST_WORDS:
                        await self.goes_on.wait()
                    await response.write(_line({"type": "delta", "text": f"{CANARY}-{number} "}))
                    await asyncio.sleep(WORD_S)
            await response.write(_line({"type": "done"}))
        return response


def _line(event: Json) -> bytes:
    return json.dumps(event).encode() + b"\n"


async def take_over(world: World, customer: Customer, process: int = 0) -> None:
    """Let Dana take the conversation unasked."""
    envelope = {
        "reason": "operator_takeover",
        "summary": "Dana steps in.",
        "agent": {"id": "backend"},
        "routing": {"assignee_hint": f"slack:{TEAM_ID}:{DANA}"},
    }
    url = f"{world.urls[process]}/v1/conversations/{customer.conversation}/handoffs"
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with world.http.post(url, json=envelope, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


async def ask(world: World, number: int, way: Way = ALONE) -> Customer:
    """Open a chat in which the agent has just been asked."""
    customer = Customer(world, user=f"dl_{number}", name="Ann Lee")
    customer.posts_at = customer.streams_at = world.urls[way.streams]
    await customer.open()
    customer.posts_at = world.urls[way.posts]
    await customer.say("tell me everything")
    return customer


async def race(world: World, number: int, moment_s: float, way: Way = ALONE) -> bool:
    """Ask, take over at a moment of the answer, judge; return whether the customer had seen a part of it."""
    customer = await ask(world, number, way)
    await asyncio.sleep(moment_s)
    await take_over(world, customer, way.takes)
    seen = await judge(customer, f"race {number} at {moment_s:.4f} s")
    await customer.close()
    return seen


async def judge(customer: Customer, what: str) -> bool:
    """Wait for the takeover to be announced, then a little; assert that no word of the agent came after it, and that
    nothing of it is half on the screen. Returns whether a part of an answer had been shown.
    """
    await customer.sees(JOINED, within_s=60)
    await asyncio.sleep(0.3)
    joined = next(i for i, frame in enumerate(customer.frames) if JOINED in frame.get("text", ""))
    assert not [frame for frame in customer.frames[joined:] if CANARY in frame.get("text", "")], what
    assert all(LAST in text for text in customer.texts if CANARY in text), f"{what}: a part was kept as an answer"
    shown: dict[str, bool] = {}
    for frame in customer.frames[: joined + 1]:
        data = frame.get("channelData") or {}
        if data.get("streamType") == "streaming":
            shown[data["streamId"]] = True
        if data.get("streamType") == "final":
            shown[data["streamId"]] = False
    assert not any(shown.values()), f"{what}: a half-written answer stayed on the screen"
    return bool(shown)
