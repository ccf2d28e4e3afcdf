"""What an idle widget costs: the whole bridge as `serve` runs it, with real sockets on loopback.

Each window belongs to a conversation of its own, which is in the store and was greeted. The figure is what the process
grew by, divided
by the number of windows. Beside it: how long a killed bridge takes from its start to answering again, by the clock and
in processor time, which other work on the machine disturbs less.
"""

import asyncio
import contextlib
import json
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp

from tests.journeys.world import DIRECTLINE_SECRET, World

PARTS = 2
RATIOS: tuple[tuple[str, str, str], ...] = ()
WINDOWS = 1000
WARM = 500
"""Windows before the count begins: they fill the caches of the store, which are as large with ten thousand windows."""
AT_ONCE = 100
SETTLE_S = 3.0
LIMIT_S = 120.0
ENVIRONMENT = {"HANDOFF_LOG__LEVEL": "warning", "PYTHONDONTWRITEBYTECODE": ""}
"""An installed bridge has its bytecode; the first start of the two writes it."""


def measure(step: Callable[[str], None]) -> dict[str, float]:
    """One round."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), step))


async def _measure(folder: Path, step: Callable[[str], None]) -> dict[str, float]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * WINDOWS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * WINDOWS, hard), hard))
    async with World(folder, extra=ENVIRONMENT) as world, asyncio.timeout(LIMIT_S):
        step(f"{WINDOWS} idle windows")
        each = await _windows(world)
        step("kill and start")
        await world.bridge.kill()
        began = time.perf_counter()
        await world.bridge.start()
        await _listening(world)
        restart_ms = (time.perf_counter() - began) * 1000
        restart_cpu_ms = _cpu_ms(world)
    return {"socket_kib_each": each, "restart_ms": restart_ms, "restart_cpu_ms": restart_cpu_ms}


async def _windows(world: World) -> float:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, contextlib.AsyncExitStack() as stack:
        await _open(world, http, stack, [f"warm{number}" for number in range(WARM)])
        before = _resident_kib(world)
        await _open(world, http, stack, [f"w{number}" for number in range(WINDOWS)])
        return (_resident_kib(world) - before) / WINDOWS


async def _open(world: World, http: aiohttp.ClientSession, stack: contextlib.AsyncExitStack, users: list[str]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(user: str) -> None:
        async with gate:
            await stack.enter_async_context(_window(world, http, user))

    await asyncio.gather(*(one(user) for user in users))
    await asyncio.sleep(SETTLE_S)


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


def _resident_kib(world: World) -> float:
    status = _told(world, "status")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def _cpu_ms(world: World) -> float:
    """Return the processor time since the start, in user and system mode: fields 14 and 15 of proc_pid_stat(5)."""
    fields = _told(world, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _told(world: World, name: str) -> str:
    if world.bridge.process is None:
        raise LookupError("the bridge does not run")
    return Path(f"/proc/{world.bridge.process.pid}/{name}").read_text(encoding="ascii")


async def _listening(world: World) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with world.http.get(f"{world.url}/healthz") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.005)
