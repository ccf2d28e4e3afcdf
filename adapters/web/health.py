"""Whether the process is alive, and whether it is ready, with reasons."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Protocol

from aiohttp import web

from adapters.web.answers import answer
from bridge.settings import Settings

Probe = Callable[[], Awaitable[str]]
"""Returns why the part is not ready, in a sentence, or ""."""


def config_version(settings: Settings) -> str:
    """Return twelve hex digits that change when a setting changes. Secrets do not enter, so nothing can be guessed."""
    return hashlib.sha256(json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


class Trouble(Protocol):
    """What is wrong, by a constant name and in a sentence. `serves`: work is done all the same."""

    @property
    def name(self) -> str: ...
    @property
    def says(self) -> str: ...
    @property
    def serves(self) -> bool: ...


def add_routes(
    app: web.Application,
    *,
    probes: Mapping[str, Probe],
    config: str,
    schema: str,
    troubles: Callable[[], Iterable[Trouble]] = tuple,
    watches: Mapping[str, Probe] | None = None,
    probe_timeout_s: float = 2.0,
) -> None:
    """Add `/healthz` (alive: restart me if not), `/readyz` (ready: send work only if so) and `/healthz/socket`, which
    proves that a proxy lets WebSockets through.

    Alive is who answers at all: an outage of Slack or of the database is mended by no restart. Not ready has `reasons`
    by name; what is worse than it should be while work is done all the same is listed under `warnings`. Probes are
    asked at each call, then `watches` for warnings; `troubles` are known without asking. `schema` is the store's
    version.
    """
    about = {"version": version("handoff-bridge"), "config": config, "schema": schema}

    async def alive(_request: web.Request) -> web.Response:
        return answer({"status": "alive", "version": about["version"]})

    async def ready(_request: web.Request) -> web.Response:
        reasons = await _found(probes, probe_timeout_s)
        seen = await _found(watches or {}, probe_timeout_s)
        warnings = {name: says for name, says in seen.items() if name not in reasons}
        for trouble in troubles():
            where = warnings if trouble.serves else reasons
            where[trouble.name] = "; ".join(filter(None, (where.get(trouble.name), trouble.says)))
        body = {"ready": not reasons, "reasons": reasons, "warnings": warnings, **about}
        return answer(body, 503 if reasons else 200)

    async def upgraded(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_str("upgraded")
        await socket.close()
        return socket

    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/healthz/socket", upgraded)


async def _found(probes: Mapping[str, Probe], timeout_s: float) -> dict[str, str]:
    said = await asyncio.gather(*(_ask(probe, timeout_s) for probe in probes.values()))
    return {name: says for name, says in zip(probes, said, strict=True) if says}


async def _ask(probe: Probe, timeout_s: float) -> str:
    try:
        async with asyncio.timeout(timeout_s):
            return await probe()
    except TimeoutError:
        return f"did not answer within {timeout_s:g} s"
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with a part, the page says so
        return type(error).__name__
