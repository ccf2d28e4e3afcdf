"""What an idle widget costs: the whole bridge as `serve` runs it, with real sockets on loopback.

Each window belongs to a conversation of its own, which is in the store and was greeted. The figure is what the process
grew by, divided by the number of windows. Then a crowd of ten thousand: what the whole process takes, and how much of a
core it needs while nobody says anything. Beside it: how long a killed bridge takes from its start to answering again,
by the clock and in processor time, which other work on the machine disturbs less.
"""

import asyncio
import contextlib
import json
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench import _processes as processes
from tests.bench._load import cpu_s
from tests.bench._wire import open_windows
from tests.journeys.world import DIRECTLINE_SECRET, Process, World

PARTS = 3
RATIOS: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much of everything. `warm`: windows before the count begins, which fill the caches of the store; those are as
    large with ten thousand windows.
    """

    windows: int = 1000
    warm: int = 500
    crowd: int = 10_000
    settle_s: float = 3.0
    idle_s: float = 5.0


WHOLE = Sizes()
AT_ONCE = 100
LIMIT_S = 120.0
ENVIRONMENT = {"HANDOFF_LOG__LEVEL": "warning", "PYTHONDONTWRITEBYTECODE": ""}
"""An installed bridge has its bytecode; the first start of the two writes it."""


def measure(step: Callable[[str], None], sizes: Sizes = WHOLE) -> dict[str, float]:
    """One round."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        return asyncio.run(_measure(Path(one), step, sizes)) | asyncio.run(_crowd(Path(other), step, sizes))


async def _measure(folder: Path, step: Callable[[str], None], sizes: Sizes) -> dict[str, float]:
    _allow_files(4 * (sizes.windows + sizes.warm))
    async with World(folder, extra=ENVIRONMENT) as world, asyncio.timeout(LIMIT_S):
        step(f"{sizes.windows} idle windows")
        each = await _windows(world, sizes)
        step("kill and start")
        await world.bridge.kill()
        began = time.perf_counter()
        await world.bridge.start()
        await _listening(world)
        restart_ms = (time.perf_counter() - began) * 1000
        restart_cpu_ms = _cpu_ms(world.bridge)
    return {"socket_kib_each": each, "restart_ms": restart_ms, "restart_cpu_ms": restart_cpu_ms}


async def _crowd(folder: Path, step: Callable[[str], None], sizes: Sizes) -> dict[str, float]:
    """Open them by raw protocols onto chats that are in the store already: it is the bridge that is looked at."""
    step(f"{sizes.crowd} windows at once")
    _allow_files(2 * sizes.crowd + 1000)
    await processes.prepare(folder, sizes.crowd, processes.greeted)
    async with processes.around() as world, processes.bridge(folder, world.slack) as (url, relay):
        shown: list[bytes] = []
        paths = [chat.stream_path for chat in processes.chats(sizes.crowd, windows=True)]
        opened = await open_windows(url, paths, shown.append)
        async with asyncio.timeout(LIMIT_S):
            while len(shown) < sizes.crowd:  # noqa: ASYNC110 -- a deadline, not a decision
                await asyncio.sleep(0.05)
        await asyncio.sleep(sizes.settle_s)
        used_ms, mib = _cpu_ms(relay), _resident_kib(relay) / 1024
        await asyncio.sleep(sizes.idle_s)
        used_ms = _cpu_ms(relay) - used_ms
        for window in opened:
            window.close()
    return {
        f"sockets_{sizes.crowd}_mib": mib,
        f"sockets_{sizes.crowd}_idle_core_percent": used_ms / 10 / sizes.idle_s,
    }


def _allow_files(count: int) -> None:
    """Let this process, and those that it starts, open so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


async def _windows(world: World, sizes: Sizes) -> float:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, contextlib.AsyncExitStack() as stack:
        await _open(world, http, stack, [f"warm{number}" for number in range(sizes.warm)])
        await asyncio.sleep(sizes.settle_s)
        before = _resident_kib(world.bridge)
        await _open(world, http, stack, [f"w{number}" for number in range(sizes.windows)])
        await asyncio.sleep(sizes.settle_s)
        return (_resident_kib(world.bridge) - before) / sizes.windows


async def _open(world: World, http: aiohttp.ClientSession, stack: contextlib.AsyncExitStack, users: list[str]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(user: str) -> None:
        async with gate:
            await stack.enter_async_context(_window(world, http, user))

    await asyncio.gather(*(one(user) for user in users))


@contextlib.asynccontextmanager
async def _window(world: World, http: aiohttp.ClientSession, user: str) -> AsyncIterator[None]:
    """Open a chat and its stream, and hold it once its greeting is complete."""
    base = f"{world.url}/v3/directline"
    body = {"user": {"id": f"dl_{user}"}}
    async with http.post(f"{base}/tokens/generate", json=body, headers=_bearer(DIRECTLINE_SECRET)) as answer:
        token = (await answer.json())["token"]
    async with http.post(f"{base}/conversations", json=body, headers=_bearer(token)) as answer:
        url = (await answer.json())["streamUrl"]
    async with http.ws_connect(url) as socket:
        while '"final"' not in json.dumps(await socket.receive_json()):
            pass
        # Somebody has to read on, or pings are not answered and the bridge lets the window go.
        reading = asyncio.create_task(_read_on(socket))
        try:
            yield
        finally:
            reading.cancel()


async def _read_on(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _resident_kib(bridge: Process) -> float:
    status = Path(f"/proc/{processes.pid(bridge)}/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def _cpu_ms(bridge: Process) -> float:
    return cpu_s(processes.pid(bridge)) * 1000


async def _listening(world: World) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with world.http.get(f"{world.url}/healthz") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.005)
