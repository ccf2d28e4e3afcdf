"""Whether the process is alive, and whether it is ready, with reasons."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version

from aiohttp import web

from adapters.web.answers import answer
from bridge.settings import Settings

Probe = Callable[[], Awaitable[str]]
"""Returns why the part is not ready, in a sentence, or ""."""


def config_version(settings: Settings) -> str:
    """Return twelve hex digits that change when a setting changes. Secrets do not enter, so nothing can be guessed."""
    return hashlib.sha256(json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


def add_routes(
    app: web.Application, *, probes: Mapping[str, Probe], config: str, schema: str, probe_timeout_s: float = 2.0
) -> None:
    """Add `/healthz` (alive: restart me if not), `/readyz` (ready: send work only if so) and `/healthz/socket`, which
    proves that a proxy lets WebSockets through. `schema` is the store's version.
    """
    about = {"version": version("handoff-bridge"), "config": config, "schema": schema}

    async def alive(_request: web.Request) -> web.Response:
        return answer({"status": "alive", "version": about["version"]})

    async def ready(_request: web.Request) -> web.Response:
        said = await asyncio.gather(*(_ask(probe, probe_timeout_s) for probe in probes.values()))
        reasons = {name: reason for name, reason in zip(probes, said, strict=True) if reason}
        return answer({"ready": not reasons, "reasons": reasons, **about}, 503 if reasons else 200)

    async def upgraded(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_str("upgraded")
        await socket.close()
        return socket

    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/healthz/socket", upgraded)


async def _ask(probe: Probe, timeout_s: float) -> str:
    try:
        async with asyncio.timeout(timeout_s):
            return await probe()
    except TimeoutError:
        return f"did not answer within {timeout_s:g} s"
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with a part, the page says so
        return type(error).__name__
