"""The Web API's front door: ``POST /api/<method>``. Tokens, scopes, limits, faults, and errors as Slack words them.

Source: https://docs.slack.dev/apis/web-api
"""

import asyncio
import inspect
import json
from http import HTTPStatus

from aiohttp import web

from adapters.sandbox.slack import api_chat, api_files, api_rooms, api_views
from adapters.sandbox.slack.api_chat import RateLimited
from adapters.sandbox.slack.call import Call, Method
from adapters.sandbox.slack.faults import Fault, FaultKind
from adapters.sandbox.slack.records import Json, SlackError
from adapters.sandbox.slack.sandbox import SANDBOX, Sandbox

METHODS: dict[str, Method] = api_chat.METHODS | api_rooms.METHODS | api_views.METHODS | api_files.METHODS


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer one call."""
    sandbox, name = request.app[SANDBOX], request.match_info["method"]
    try:
        args = await _arguments(request)
    except SlackError as error:
        return _answer(sandbox, name, {}, _error(error))
    fault = sandbox.faults.take(name, str(args.get("channel") or args.get("channel_id") or ""))
    early = await _fail_before(request, sandbox, name, args, fault)
    if early is not None:
        return early
    wait_s = sandbox.method_budget.take(name)
    if wait_s is not None:
        return _rate_limited(sandbox, name, args, wait_s)
    try:
        body = await _run(sandbox, name, args, _token(request, args))
    except RateLimited as limit:
        return _rate_limited(sandbox, name, args, limit.after_s)
    except SlackError as error:
        body = _error(error)
    late = await _fail_after(request, sandbox, name, args, fault)
    return late if late is not None else _answer(sandbox, name, args, body)


async def _arguments(request: web.Request) -> Json:
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        return args | body
    if request.method == "POST":
        args |= {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    return args


def _token(request: web.Request, args: Json) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else str(args.get("token", ""))


async def _run(sandbox: Sandbox, name: str, args: Json, token: str) -> Json:
    method = METHODS.get(name)
    if method is None:
        raise SlackError("unknown_method", req_method=name)
    if method.needs_token:
        _authorise(sandbox, method, token)
    result = method.run(Call(sandbox=sandbox, args=args))
    body = await result if inspect.isawaitable(result) else result
    return {"ok": True, **body}


def _authorise(sandbox: Sandbox, method: Method, token: str) -> None:
    settings = sandbox.settings
    if not token:
        raise SlackError("not_authed")
    if token not in {settings.bot_token, settings.app_token}:
        raise SlackError("invalid_auth")
    if (token == settings.app_token) != method.is_app_level:
        raise SlackError("not_allowed_token_type")
    if sandbox.rules.token_error and not method.is_app_level:
        raise SlackError(sandbox.rules.token_error)
    sandbox.need_scope(method.any_scope)


def _error(error: SlackError) -> Json:
    fields = {key: value for key, value in error.fields.items() if key != "problems"}
    return {"ok": False, "error": error.code, **fields}


def _answer(sandbox: Sandbox, name: str, args: Json, body: Json) -> web.Response:
    sandbox.journal.called(name, args, error=None if body["ok"] else body["error"], status=HTTPStatus.OK)
    method = METHODS.get(name)
    accepted = ",".join(method.any_scope) if method else ""
    headers = {"x-oauth-scopes": ",".join(sandbox.app.scopes), "x-accepted-oauth-scopes": accepted}
    return web.json_response(body, headers=headers)


def _rate_limited(sandbox: Sandbox, name: str, args: Json, after_s: int) -> web.Response:
    sandbox.journal.called(name, args, error="ratelimited", status=HTTPStatus.TOO_MANY_REQUESTS)
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(after_s)})


async def _fail_before(
    request: web.Request, sandbox: Sandbox, name: str, args: Json, fault: Fault | None
) -> web.StreamResponse | None:
    match fault.kind if fault is not None else None, fault:
        case FaultKind.RATE_LIMITED, Fault() as limit:
            return _rate_limited(sandbox, name, args, max(1, round(limit.after_s)))
        case FaultKind.HTTP_500_BEFORE, _:
            return _http_500(sandbox, name, args)
        case FaultKind.DROP_BEFORE, _:
            return _drop(request, sandbox, name, args)
        case FaultKind.ERROR_BEFORE, Fault() as refusal:
            return _answer(sandbox, name, args, {"ok": False, "error": refusal.error})
        case FaultKind.DELAY, Fault() as delay:
            await asyncio.sleep(delay.after_s)
    return None


async def _fail_after(
    request: web.Request, sandbox: Sandbox, name: str, args: Json, fault: Fault | None
) -> web.StreamResponse | None:
    match fault.kind if fault is not None else None, fault:
        case FaultKind.HTTP_500_AFTER, _:
            return _http_500(sandbox, name, args)
        case FaultKind.DROP_AFTER, _:
            return _drop(request, sandbox, name, args)
        case FaultKind.ERROR_AFTER, Fault() as refusal:
            return _answer(sandbox, name, args, {"ok": False, "error": refusal.error})
        case FaultKind.DELAY_AFTER, Fault() as delay:
            await asyncio.sleep(delay.after_s)
    return None


def _http_500(sandbox: Sandbox, name: str, args: Json) -> web.Response:
    sandbox.journal.called(name, args, error="http_500", status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR, text="internal error")


def _drop(request: web.Request, sandbox: Sandbox, name: str, args: Json) -> web.StreamResponse:
    sandbox.journal.called(name, args, error="dropped", status=0)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
