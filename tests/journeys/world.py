"""Real processes on real sockets: a sandbox Slack, the bridge as `handoff-bridge serve` runs it, and a customer's
Direct Line client.

One bridge on SQLite, or several on one PostgreSQL: `World(folder, processes=3, database_url=url)`. Each has an address
(`world.urls[2]`) and a log of its own (`world.bridges[2].log()`), and is killed, stopped, frozen and started alone. A
customer may post to one and have the stream from another (`posts_at`, `streams_at`). With `balanced` everybody goes
through a balancer, which is `world.url`.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp

from adapters.sandbox.client import State, Workspace
from adapters.sandbox.slack.people import BILLING, SUPPORT
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from tests.journeys.balancer import Balancer
from tests.settings import ROOT

Found = TypeVar("Found")
Json = dict[str, Any]
DIRECTLINE_SECRET = "a-direct-line-secret-for-tests-only-0123456789"
ADMIN_KEY = "admin-key-for-tests-0123456789abcdef"
START_WITHIN_S = 60.0


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(question: Callable[[], Found | None], *, within_s: float = 40.0, what: str = "it") -> Found:
    """Ask until there is an answer."""
    async with asyncio.timeout(within_s):
        while True:
            if (answer := question()) is not None:
                return answer
            await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {within_s} s")


class Process:
    """A program of ours, started as a user would start it."""

    def __init__(self, *arguments: str, environment: dict[str, str], folder: Path, name: str) -> None:
        """Describe it; `start` starts it."""
        self.arguments, self.environment, self.folder, self.name = arguments, environment, folder, name
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. What it prints goes to a file in the folder."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HANDOFF_")}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self.arguments,
                cwd=self.folder,
                env={**clean, "PYTHONPATH": str(ROOT), **self.environment},
                stdout=asyncio.subprocess.PIPE if self.name == "sandbox" else log,
                stderr=log,
            )

    async def kill(self) -> None:
        """Send SIGKILL, as a power cut would, and wait for the end."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> int | None:
        """Ask it to end; insist after a while."""
        if self.process is None:
            return None
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 15)
            except TimeoutError:
                await self.kill()
        return self.process.returncode

    def freeze(self) -> None:
        """Send SIGSTOP: it stands still and answers nobody."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT: it goes on where it was."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Return what it wrote."""
        path = self.folder / f"{self.name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def logged(self, *events: str) -> list[Json]:
        """Return its log lines about these events, as far as they are whole."""
        found = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict) and line.get("event") in events]


class World:
    """One sandbox, one bridge or several, as many customers as a story needs."""

    def __init__(
        self,
        folder: Path,
        *,
        mode: str = "socket",
        extra: dict[str, str] | None = None,
        toml: str = "",
        processes: int = 1,
        database_url: str = "",
        balanced: bool = False,
        more_channels: int = 0,
        own: Callable[[int], dict[str, str]] = lambda _: {},
    ) -> None:
        """Describe the world; use it as an async context manager.

        Slack's events over HTTP go to the first process, or to any through the balancer. `more_channels`: beside the
        usual ones. `extra` are settings of all processes, `own` those of one, by its number.
        """
        self.folder, self.mode, self.toml = folder, mode, toml
        self.extra, self._own = extra or {}, own
        self.database_url = database_url or f"sqlite:///{folder}/handoff.db"
        self.ports = [free_port() for _ in range(processes)]
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.port, self.url = self.ports[0], self.urls[0]
        self._more_channels, self._balanced, self._stack = more_channels, balanced, contextlib.AsyncExitStack()
        self.balancer: Balancer
        self.sandbox_url = ""
        self.slack: Workspace
        self.http: aiohttp.ClientSession
        self.sandbox: Process
        self.bridges: list[Process] = []

    @property
    def bridge(self) -> Process:
        """The first one."""
        return self.bridges[0]

    async def __aenter__(self) -> Self:
        """Start everything and wait until it answers."""
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _start(self) -> None:
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        if self._balanced:
            self.balancer = await self._stack.enter_async_context(Balancer.over(self.ports))
            self.url = self.balancer.url
        await self.start_desk()
        (self.folder / "handoff.toml").write_text(self.toml or default_toml(), encoding="utf-8")
        self.bridges = [
            Process(
                "-c",
                "from adapters.cli import main; main()",
                "serve",
                environment={**self._environment(port), **self._own(number)},
                folder=self.folder,
                name="bridge" if number == 0 else f"bridge{number}",
            )
            for number, port in enumerate(self.ports)
        ]
        # The first one alone: it has the Socket Mode connections, and makes what is not there yet.
        await self.start_bridge(0)
        await asyncio.gather(*(self.start_bridge(number) for number in range(1, len(self.bridges))))

    async def start_desk(self) -> None:
        """Start where operators sit: a sandbox Slack."""
        arguments = ["-m", "adapters.sandbox", "slack", "--port", "0", "--posts-per-s", "20"]
        arguments += ["--more-channels", str(self._more_channels)]
        if self.mode == "http":
            arguments += ["--app-url", f"{self.url}/slack/events"]
        self.slack = Workspace((await self.start_sandbox(*arguments))["url"])

    async def start_sandbox(self, *arguments: str) -> Json:
        """Start a sandbox and return what its first line says."""
        self.sandbox = Process(*arguments, environment={}, folder=self.folder, name="sandbox")
        await self.sandbox.start()
        assert self.sandbox.process is not None
        assert self.sandbox.process.stdout is not None
        line = await asyncio.wait_for(self.sandbox.process.stdout.readline(), START_WITHIN_S)
        told: Json = json.loads(line)
        self.sandbox_url = told["url"]
        return told

    async def leave_desk(self) -> None:
        """Let go of the sandbox's control interface."""
        await self.slack.close()

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self.http.close()
        await self.leave_desk()
        await asyncio.gather(*(bridge.stop() for bridge in self.bridges))
        await self._stack.aclose()
        await self.sandbox.stop()

    def desk_environment(self) -> dict[str, str]:
        """Return what the bridge must be told of the desk."""
        slack = {"BOT_TOKEN": BOT_TOKEN, "MODE": self.mode, "API_URL": f"{self.sandbox_url}/api/"}
        slack |= {"APP_TOKEN": APP_TOKEN} if self.mode == "socket" else {"SIGNING_SECRET": SIGNING_SECRET}
        return {f"HANDOFF_SLACK__{key}": value for key, value in slack.items()}

    def _environment(self, port: int) -> dict[str, str]:
        return {
            "HANDOFF_PORT": str(port),
            "HANDOFF_SECRET_KEY": "0123456789abcdef0123456789abcdef0123456789abcdef",
            "HANDOFF_DATABASE_URL": self.database_url,
            "HANDOFF_DIRECTLINE__SECRET": DIRECTLINE_SECRET,
            "HANDOFF_API_KEYS": f"admin:{ADMIN_KEY}",
            "HANDOFF_AGENT__KIND": "demo",
            **self.desk_environment(),
            **self.extra,
        }

    async def start_bridge(self, number: int = 0) -> None:
        """Start a bridge (again) and wait until it listens, and Slack can reach it or another."""
        bridge = self.bridges[number]
        await bridge.start()
        await self.until_ready(number)

    async def until_ready(self, number: int = 0) -> None:
        """Wait until a bridge that runs says that it is ready. Raises TimeoutError."""
        bridge = self.bridges[number]
        async with asyncio.timeout(START_WITHIN_S):
            while not await self.ready(number):
                assert bridge.process is not None
                assert bridge.process.returncode is None, bridge.log()[-3000:]
                await asyncio.sleep(0.05)

    async def ready(self, number: int = 0) -> bool:
        """Whether it says that it is ready."""
        with contextlib.suppress(aiohttp.ClientError):
            return (await self.told(number))[0] == 200
        return False

    async def told(self, number: int = 0) -> tuple[int, Json]:
        """Return what /readyz answers. Raises ClientError."""
        async with self.http.get(f"{self.urls[number]}/readyz") as answer:
            return answer.status, await answer.json()

    async def customer(self, name: str = "Ann Lee", user: str = "dl_ann") -> "Customer":
        """Let the company's server make a token, and open the chat with it."""
        customer = Customer(self, user=user, name=name)
        await customer.open()
        return customer

    async def root_with(self, ticket: str = "H-", channel: str = SUPPORT) -> Json:
        """Wait for the newest card in the channel that shows this ticket."""

        def newest(state: State) -> list[Json]:
            return [root for root in state.roots(channel) if ticket in json.dumps(root)]

        return (await self.slack.wait_for(newest, timeout_s=60))[-1]


class Customer:
    """A Direct Line client, as strict as a widget: keeps what it was shown, by id."""

    def __init__(self, world: World, *, user: str, name: str) -> None:
        """Describe who opens the chat; `open` opens it."""
        self.world, self.user, self.name = world, user, name
        self.posts_at = self.streams_at = world.url
        self.conversation = ""
        self.token = ""
        self.stream_url = ""
        self.watermark: str | None = None
        self.frames: list[Json] = []
        self.activities: dict[str, Json] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._sent = 0
        self.close_code: int | None = None
        """With which the last stream was closed."""
        self.gone = asyncio.Event()
        """Set while there is no stream: it broke, or was dropped."""

    @property
    def base(self) -> str:
        """Where Direct Line is, for what the customer says."""
        return f"{self.posts_at}/v3/directline"

    async def open(self) -> None:
        """Get a token, start the conversation, connect the stream."""
        http = self.world.http
        body = {"user": {"id": self.user, "name": self.name}}
        secret = {"Authorization": f"Bearer {DIRECTLINE_SECRET}"}
        async with http.post(f"{self.base}/tokens/generate", json=body, headers=secret) as answer:
            assert answer.status == 200, await answer.text()
            self.token = (await answer.json())["token"]
        async with http.post(f"{self.base}/conversations", json=body, headers=self._auth()) as answer:
            assert answer.status in (200, 201), await answer.text()
            started = await answer.json()
        self.conversation, self.stream_url = started["conversationId"], started["streamUrl"]
        await self.connect()

    def _auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def connect(self) -> None:
        """Open the stream."""
        self._socket = await self.world.http.ws_connect(self.stream_url)
        self.gone.clear()
        self._reader = asyncio.create_task(self._read(self._socket))
        self._reader.add_done_callback(lambda _: self.gone.set())

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is not aiohttp.WSMsgType.TEXT or not message.data:
                continue
            frame = json.loads(message.data)
            self.watermark = frame.get("watermark", self.watermark)
            for activity in frame["activities"]:
                self.frames.append(activity)
                self._keep(activity)
        self.close_code = ws.close_code

    def _keep(self, activity: Json) -> None:
        if activity["type"] == "message":
            self.activities[activity["id"]] = activity

    async def drop(self) -> None:
        """Lose the socket."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def reconnect(self) -> None:
        """Come back as Web Chat does: ask for a new stream from the watermark on."""
        url = f"{self.streams_at}/v3/directline/conversations/{self.conversation}?watermark={self.watermark or ''}"
        async with self.world.http.get(url, headers=self._auth()) as answer:
            assert answer.status == 200, await answer.text()
            found = await answer.json()
        self.token, self.stream_url = found.get("token", self.token), found["streamUrl"]
        await self.connect()

    async def say(self, text: str, **more: Any) -> str:
        """Post a message; return its id. Tries again while the bridge is down or wants a rest, as a customer would
        press
        Retry.
        """
        self._sent += 1
        activity = {
            "type": "message",
            "text": text,
            "textFormat": "plain",
            "from": {"id": self.user, "name": "Mallory", "role": "user"},
            "channelData": {"clientActivityID": f"{self.user}-{self._sent}"},
            **more,
        }
        url = f"{self.base}/conversations/{self.conversation}/activities"
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.world.http.post(url, json=activity, headers=self._auth()) as answer:
                        if answer.status == 200:
                            return str((await answer.json())["id"])
                        assert answer.status in (429, 502, 503), await answer.text()
                await asyncio.sleep(0.1)

    @property
    def texts(self) -> list[str]:
        """What stands on the screen now, in order."""
        shown = sorted(self.activities.values(), key=lambda activity: activity["timestamp"])
        return [activity["text"] for activity in shown if activity.get("text")]

    async def sees(self, words: str, *, within_s: float = 60.0) -> str:
        """Wait until a message with these words is on the screen; return its text."""

        def look() -> str | None:
            return next((text for text in self.texts if words.casefold() in text.casefold()), None)

        try:
            return await until(look, within_s=within_s, what=f"{words!r} on the screen")
        except TimeoutError:
            log = "\n".join(bridge.log()[-2500:] for bridge in self.world.bridges)
            raise AssertionError(f"never saw {words!r}; the screen shows {self.texts}\n{log}") from None

    async def close(self) -> None:
        """Leave."""
        await self.drop()


def default_toml() -> str:
    """The queues of the stories: support and billing, a supervisor, a policy."""
    return f"""
public_label = "Northwind support"

[[queues]]
name = "support"
label = "Support"
channels = ["{SUPPORT}"]
supervisors = ["U0SAMOKAFR"]

[[queues]]
name = "billing"
label = "Billing"
channels = ["{BILLING}"]

[[triggers.policy]]
name = "large-refund"
when = "refund_amount > 100"
"""


@contextlib.asynccontextmanager
async def world_at(folder: Path, **how: Any) -> AsyncIterator[World]:
    """Return a running world."""
    async with World(folder, **how) as world:
        yield world
