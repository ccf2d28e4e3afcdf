"""The house in which the desk conformance suite plays: the whole bridge in this process, an agent that does as it is
told, a customer's Direct Line client, and a clock that can be set ahead.
"""

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from adapters.app import Bridge, serving
from adapters.clock import SystemClock
from bridge.conversation import TurnKind
from bridge.ids import ConversationId, HandoffId, Millis, SiteId
from bridge.pacing import Pace
from bridge.ports import AgentReply, AgentTurn, Done, Message
from bridge.settings import load
from bridge.sharing import PRESENCE_MS

Json = dict[str, Any]
Found = TypeVar("Found")
SITE = SiteId("main")
DIRECTLINE_SECRET = "a-direct-line-secret-for-tests-only-0123456789"
AGENT_KEY = "agent-key-for-tests-0123456789abcdefgh"
BACKEND_KEY = "backend-key-for-tests-0123456789abcdef"
GRACE_S = 1.0
REST_S = 0.2
PACE = Pace(post_every_ms=5, change_every_ms=0)
"""No vendor's limits are tried here, so nothing waits for a budget, nor long for what people must mend."""


async def until(question: Callable[[], Awaitable[Found | None]], *, within_s: float = 40.0, what: str = "it") -> Found:
    """Ask until there is an answer. Raises AssertionError."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                if answer := await question():
                    return answer
                await asyncio.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {what}")


class LeapingClock(SystemClock):
    """The machine's time, plus what it was set ahead by: what is due in a minute need not be waited for."""

    def __init__(self) -> None:
        """Begin with the machine's time."""
        self._ahead_ms = 0

    def now(self) -> Millis:
        return Millis(super().now() + self._ahead_ms)

    def seconds(self) -> float:
        """Return the same time in seconds, as sandboxes want it."""
        return self.now() / 1000

    def leap(self, seconds: float) -> None:
        """Set it ahead. Nothing may be under way: leases would be over."""
        self._ahead_ms += round(seconds * 1000)


class ScriptedAgent:
    """A `ports.Agent` that follows what it was told for a conversation, and else repeats what the customer said."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._scripts: dict[ConversationId, deque[tuple[AgentReply | asyncio.Event, ...]]] = defaultdict(deque)
        self.turns: dict[ConversationId, list[AgentTurn]] = defaultdict(list)

    @property
    def name(self) -> str:
        return "Ada"

    def script(self, conversation: ConversationId, *steps: AgentReply | asyncio.Event) -> None:
        """Do this at the next run for this conversation that has no script yet; an event is waited for."""
        self._scripts[conversation].append(steps)

    async def asked(self, conversation: ConversationId, words: str) -> AgentTurn:
        """Wait until it is asked to answer these words; return that run."""

        async def look() -> AgentTurn | None:
            found = [turn for turn in self.turns[conversation] if turn.messages and turn.messages[-1].text == words]
            return found[-1] if found else None

        return await until(look, what=f"the agent was not asked {words!r}")

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        self.turns[turn.conversation].append(turn)
        scripts = self._scripts[turn.conversation]
        for step in scripts.popleft() if scripts else _by_itself(turn):
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step


def _by_itself(turn: AgentTurn) -> tuple[AgentReply, ...]:
    if turn.briefing is not None:
        return Message(text=f"Ada is back. {turn.briefing['note']}".strip()), Done()
    if turn.kind is TurnKind.OPENED:
        return Message(text="Hello, I am Ada."), Done()
    last = next((message.text for message in reversed(turn.messages) if message.role == "customer"), "")
    return Message(text=f"Ada heard: {last}"), Done(confidence=0.9)


class Chat:
    """A customer's window: a Direct Line client that keeps all it was ever sent, and what stands there now."""

    def __init__(self, url: str, http: aiohttp.ClientSession, *, user: str, name: str) -> None:
        """Describe who opens it; `open` does."""
        self._base, self._http, self._user, self._name = f"{url}/v3/directline", http, user, name
        self._said = 0
        self._token = ""
        self._reader: asyncio.Task[None] | None = None
        self.conversation = ConversationId("")
        self.everything: list[Json] = []
        self._shown: dict[str, Json] = {}

    async def open(self) -> None:
        """Get a token from the company's server, start the conversation, connect the stream."""
        body = {"user": {"id": self._user, "name": self._name}}
        secret = {"Authorization": f"Bearer {DIRECTLINE_SECRET}"}
        async with self._http.post(f"{self._base}/tokens/generate", json=body, headers=secret) as answer:
            assert answer.status == 200, await answer.text()
            self._token = (await answer.json())["token"]
        async with self._http.post(f"{self._base}/conversations", json=body, headers=self._auth()) as answer:
            assert answer.status in {200, 201}, await answer.text()
            started = await answer.json()
        self.conversation = ConversationId(started["conversationId"])
        await self._connect(started["streamUrl"])

    async def come_back(self) -> None:
        """Open the page again, after it was left: the same conversation, from its beginning."""
        self._shown.clear()
        url = f"{self._base}/conversations/{self.conversation}"
        async with self._http.get(url, headers=self._auth()) as answer:
            assert answer.status == 200, await answer.text()
            await self._connect((await answer.json())["streamUrl"])

    async def _connect(self, stream_url: str) -> None:
        socket = await self._http.ws_connect(stream_url)
        self._reader = asyncio.create_task(self._read(socket))

    async def close(self) -> None:
        """Leave the page."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT or not message.data:
                    continue
                for activity in json.loads(message.data)["activities"]:
                    self.everything.append(activity)
                    if activity["type"] == "message":
                        self._shown[activity["id"]] = activity
        finally:
            await socket.close()

    async def say(self, text: str) -> None:
        """Write a message."""
        await self._post({"type": "message", "text": text, "textFormat": "plain"})

    async def type(self) -> None:
        """Touch the keyboard."""
        await self._post({"type": "typing"})

    async def _post(self, activity: Json) -> None:
        self._said += 1
        made = {"clientActivityID": f"{self._user}-{self._said}"}
        body = {**activity, "from": {"id": self._user, "role": "user"}, "channelData": made}
        url = f"{self._base}/conversations/{self.conversation}/activities"
        async with self._http.post(url, json=body, headers=self._auth()) as answer:
            assert answer.status == 200, await answer.text()

    async def upload(self, name: str, content: bytes, media_type: str) -> None:
        """Send a file."""
        form = aiohttp.FormData()
        form.add_field("file", content, filename=name, content_type=media_type)
        url = f"{self._base}/conversations/{self.conversation}/upload?userId={self._user}"
        async with self._http.post(url, data=form, headers=self._auth()) as answer:
            assert answer.status == 200, await answer.text()

    @property
    def messages(self) -> list[Json]:
        """What stands on the screen now, in order, without what was taken back."""
        shown = sorted(self._shown.values(), key=lambda activity: str(activity["timestamp"]))
        return [activity for activity in shown if activity.get("text") or activity.get("attachments")]

    @property
    def texts(self) -> list[str]:
        """The texts of it."""
        return [str(activity.get("text") or "") for activity in self.messages]

    def ever_saw(self, words: str) -> bool:
        """Whether these words were ever sent to the page, in whatever field."""
        return words in json.dumps(self.everything, ensure_ascii=False)

    async def sees(self, words: str) -> str:
        """Wait until a message with these words stands on the screen; return its text."""

        async def look() -> str | None:
            return next((text for text in self.texts if words.casefold() in text.casefold()), None)

        try:
            return await until(look)
        except AssertionError:
            raise AssertionError(f"the customer does not see {words!r}; there is: {self.texts}") from None

    async def sees_no(self, words: str) -> None:
        """Wait until no message on the screen holds these words."""

        async def look() -> bool:
            return all(words not in text for text in self.texts)

        await until(look, what=f"the customer still sees {words!r}: {self.texts}")

    async def file(self, name: str) -> bytes:
        """Wait until a file of this name stands on the screen; return its bytes, as the page fetches them."""

        async def look() -> str | None:
            found = (each for activity in self.messages for each in activity.get("attachments") or [])
            return next((str(each["contentUrl"]) for each in found if each.get("name") == name), None)

        return await self.fetch(await until(look, what=f"the customer has no file {name}: {self.messages}"))

    async def fetch(self, url: str) -> bytes:
        """Return what an address holds that needs no sign-in."""
        async with self._http.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()


class House:
    """A running bridge and what surrounds it."""

    def __init__(self, bridge: Bridge, agent: ScriptedAgent, clock: LeapingClock, http: aiohttp.ClientSession) -> None:
        """Take what runs."""
        self.bridge, self.agent, self.clock, self.http = bridge, agent, clock, http
        self._customers = 0
        self._chats: list[Chat] = []

    async def customer(self, name: str = "Kim Vale") -> Chat:
        """Let a new customer open the chat."""
        self._customers += 1
        chat = Chat(self.bridge.url, self.http, user=f"dl_customer-{self._customers}", name=name)
        self._chats.append(chat)
        await chat.open()
        await chat.sees("I am Ada")
        return chat

    async def control(self, path: str, body: Mapping[str, Any], *, key: str = AGENT_KEY, status: int = 0) -> Json:
        """Call the control API. Returns its answer, which must have this status, or any of success."""
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{self.bridge.url}/v1/conversations/{path}"
        async with self.http.post(url, json=dict(body), headers=headers) as answer:
            assert answer.status in ({status} if status else {200, 202}), await answer.text()
            return dict(await answer.json())

    async def quiet(self) -> None:
        """Wait until nothing waits to be sent and nobody runs."""

        async def nothing() -> bool:
            counts = await self.bridge.store.read(lambda tx: tx.counts(self.clock.now()))
            return counts["unsent_outs"] == 0 and counts["sending_outs"] == 0 and counts["live_turns"] == 0

        await until(nothing, what="something still waits to be sent")

    async def leap(self, seconds: float) -> None:
        """Let this time pass, once nothing is under way."""
        await self.quiet()
        self.clock.leap(seconds)

    async def deserted(self, handoff: HandoffId) -> None:
        """Let so much time pass after its customer closed the page that they count as away."""
        attendance = self.bridge.engine.showing.attendance

        async def nobody() -> bool:
            return handoff not in attendance.present().get(SITE, ())

        await until(nobody, what="the page is still open")
        await self.leap(PRESENCE_MS / 1000 + 1)
        attendance.arrived.set()

    async def close(self) -> None:
        """Let the customers go."""
        for chat in self._chats:
            await chat.close()


@contextlib.asynccontextmanager
async def house_at(
    folder: Path, environment: Mapping[str, str], toml: str, clock: LeapingClock
) -> AsyncIterator[House]:
    """Run a bridge with these desks: what their settings are, and the tables of their queues."""
    file = folder / "handoff.toml"
    file.write_text(f'public_label = "Northwind support"\n{toml}', encoding="utf-8")
    told = {
        "HANDOFF_PORT": "0",
        "HANDOFF_SECRET_KEY": "0123456789abcdef" * 3,
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/handoff.db",
        "HANDOFF_DIRECTLINE__SECRET": DIRECTLINE_SECRET,
        "HANDOFF_API_KEYS": f"agent:{AGENT_KEY},backend:{BACKEND_KEY}",
        "HANDOFF_AGENT__KIND": "demo",
        "HANDOFF_AGENT__NAME": "Ada",
        "HANDOFF_UNCLEAR_GRACE_S": f"{GRACE_S}",
        **environment,
    }
    agent = ScriptedAgent()
    async with (
        # Each customer's window holds a connection for as long as the house stands, and there are more than a hundred.
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        serving(load(told, file), agent=agent, clock=clock) as bridge,
    ):
        for courier in bridge.engine._couriers:
            courier._pace, courier._rest_s = PACE, REST_S
        house = House(bridge, agent, clock, http)
        yield house
        await house.close()
