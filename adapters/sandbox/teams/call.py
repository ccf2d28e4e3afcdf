"""What every call of the bot goes through: its token, faults, limits, and errors as the connector words them."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from adapters.sandbox.teams.faults import Fault, FaultKind
from adapters.sandbox.teams.grants import CONNECTOR_AUDIENCE
from adapters.sandbox.teams.records import Json, TeamsError
from adapters.sandbox.teams.sandbox import SANDBOX, Sandbox
from adapters.sandbox.teams.team import split_conversation

Answer = tuple[int, Json | list[Json] | bytes | None]
Call = Callable[[Sandbox, web.Request, Json], Answer]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOO_MANY = 429


class Throttled(TeamsError):
    """Too many calls. `after_s` is how long to wait."""

    def __init__(self, after_s: int) -> None:
        super().__init__(TOO_MANY, "Throttled", "Too many requests: the bot exceeded its quota of calls.")
        self.after_s = after_s


def serve(target: str, call: Call, *, audience: str = CONNECTOR_AUDIENCE) -> Handler:
    """Return a handler: token, fault, limit, the call itself, fault."""

    async def handle(request: web.Request) -> web.StreamResponse:
        sandbox, body = request.app[SANDBOX], {}
        try:
            sandbox.grants.check(request, audience, sandbox.now())
            body = await _body(request)
            channel = _channel(request, body)
            fault = sandbox.faults.take(target, channel)
            await strike_before(fault)
            wait_s = sandbox.budget.take(target, channel)
            if wait_s is not None:
                raise Throttled(wait_s)
            status, answer = call(sandbox, request, body)
            await strike_after(fault)
        except TeamsError as error:
            return refused(sandbox, request, target, body, error)
        sandbox.journal.called(target, request.path, body, status=status, error="")
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=status, content_type=_kind(answer))
        return web.json_response(answer, status=status) if answer is not None else web.Response(status=status)

    return handle


async def _body(request: web.Request) -> Json:
    if request.method not in {"POST", "PUT"}:
        return {}
    if request.content_type != "application/json":
        raise TeamsError(415, "UnsupportedMediaType", "Send the body as application/json.")
    try:
        body = json.loads(await request.text())
    except ValueError as error:
        raise TeamsError(400, "BadSyntax", "The body is no JSON.") from error
    if not isinstance(body, dict):
        raise TeamsError(400, "BadSyntax", "The body must be a JSON object.")
    return body


def _channel(request: web.Request, body: Json) -> str:
    conversation = request.match_info.get("conversation") or request.match_info.get("channel", "")
    if conversation:
        return split_conversation(conversation)[0]
    data = body.get("channelData")
    channel = data.get("channel") if isinstance(data, dict) else None
    return str(channel.get("id", "")) if isinstance(channel, dict) else ""


def refused(sandbox: Sandbox, request: web.Request, target: str, body: Json, error: TeamsError) -> web.StreamResponse:
    """Answer a refused call, or cut its connection."""
    sandbox.journal.called(target, request.path, body, status=error.status, error=error.code)
    if error.status == 0:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers = {}
    if isinstance(error, Throttled) and sandbox.rules.retry_after:
        headers["Retry-After"] = str(error.after_s)
    if error.status == web.HTTPUnauthorized.status_code:
        return web.json_response(
            {"message": error.message}, status=error.status, headers={"WWW-Authenticate": "Bearer"}
        )
    return web.json_response(error.as_json(), status=error.status, headers=headers)


async def strike_before(fault: Fault | None) -> None:
    """Fail or wait before a call has any effect. Raises TeamsError, with status 0 for a connection to be cut."""
    if fault is None:
        return
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            raise Throttled(max(1, round(fault.after_s)))
        case FaultKind.HTTP_BEFORE:
            raise TeamsError(fault.status, fault.code, "The service could not do it.")
        case FaultKind.DROP_BEFORE:
            raise TeamsError(0, "dropped", "The connection was cut.")
        case FaultKind.DELAY:
            await asyncio.sleep(fault.after_s)


async def strike_after(fault: Fault | None) -> None:
    """Fail or wait once a call has been applied. Raises TeamsError."""
    if fault is None:
        return
    match fault.kind:
        case FaultKind.HTTP_AFTER:
            raise TeamsError(fault.status, fault.code, "The service could not do it.")
        case FaultKind.DROP_AFTER:
            raise TeamsError(0, "dropped", "The connection was cut.")
        case FaultKind.DELAY_AFTER:
            await asyncio.sleep(fault.after_s)


def _kind(content: bytes) -> str:
    for start, kind in ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif")):
        if content.startswith(start):
            return kind
    return "application/octet-stream"
