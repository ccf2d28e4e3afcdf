"""The sandbox's own HTTP interface, for tests and the page: act, state, live, log, faults, rules, app, disconnect."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from adapters.sandbox.slack import acts, payloads
from adapters.sandbox.slack.people import BOT_USER, TEAM_DOMAIN, TEAM_ID, TEAM_NAME
from adapters.sandbox.slack.records import Json, SlackError
from adapters.sandbox.slack.sandbox import SANDBOX, Sandbox
from adapters.sandbox.slack.workspace import channel_object

MAX_WAIT_S = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes() -> list[web.RouteDef]:
    """Return the routes under ``/sandbox``."""
    return [
        web.post("/sandbox/act", _refusing(act)),
        web.get("/sandbox/state", _refusing(state)),
        web.get("/sandbox/live", live),
        web.get("/sandbox/log", log),
        web.get("/sandbox/faults", list_faults),
        web.post("/sandbox/faults", _refusing(set_fault)),
        web.delete("/sandbox/faults", clear_faults),
        web.get("/sandbox/rules", show_rules),
        web.put("/sandbox/rules", _refusing(set_rules)),
        web.delete("/sandbox/rules", reset_rules),
        web.get("/sandbox/app", show_app),
        web.put("/sandbox/app", _refusing(configure_app)),
        web.post("/sandbox/disconnect", _refusing(disconnect)),
    ]


def _refusing(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SlackError as error:
            return web.json_response({"ok": False, "error": error.code, **error.fields}, status=400)

    return answer


async def _body(request: web.Request) -> Json:
    """Return the JSON body. Browsers ask before they send this type across origins, and nobody answers them."""
    if request.content_type != "application/json":
        raise SlackError("invalid_json", detail="send the body with Content-Type: application/json")
    try:
        body = await request.json()
    except ValueError as error:
        raise SlackError("invalid_json", detail="the body must be a JSON object") from error
    if not isinstance(body, dict):
        raise SlackError("invalid_json", detail="the body must be a JSON object")
    return body


async def act(request: web.Request) -> web.Response:
    """Do one thing as one person, and wait until it is done (for interactions: until the app has answered)."""
    result = await acts.perform(request.app[SANDBOX], await _body(request))
    return web.json_response({"ok": True, **result})


async def state(request: web.Request) -> web.Response:
    """Return everything that can be seen. ``after=<seq>&wait_s=<seconds>`` waits for something newer first."""
    sandbox = request.app[SANDBOX]
    try:
        after, wait_s = int(request.query.get("after", -1)), float(request.query.get("wait_s", 0))
    except ValueError as error:
        raise SlackError("invalid_arguments", detail="after and wait_s must be numbers") from error
    if wait_s > 0:
        await sandbox.live.wait_beyond(after, min(wait_s, MAX_WAIT_S))
    return web.json_response(snapshot(sandbox))


def snapshot(sandbox: Sandbox) -> Json:
    """Return the whole workspace as JSON."""
    workspace, modals = sandbox.workspace, sandbox.modals
    views = [{"view": modals.as_json(v), "user": v.user, "errors": v.errors} for v in modals.views.values()]
    return {
        "seq": sandbox.live.seq,
        "page_key": sandbox.page_key,
        "team": {"id": TEAM_ID, "name": TEAM_NAME, "domain": TEAM_DOMAIN},
        "bot_user": BOT_USER,
        "people": [payloads.user_object(person, workspace.base_url) for person in workspace.people.values()],
        "groups": [{"id": g.id, "handle": g.handle, "members": g.members} for g in workspace.groups.values()],
        "channels": [
            channel_object(channel, seen_by=BOT_USER)
            | {"messages": [channel.rendered(m, metadata=True) for m in channel.messages.values()]}
            for channel in workspace.channels.values()
        ],
        "ephemerals": [ephemeral.as_json() for ephemeral in workspace.ephemerals],
        "views": views,
        "statuses": [
            {"channel": channel, "thread_ts": thread_ts, "status": status}
            for (channel, thread_ts), status in workspace.statuses.items()
        ],
        "app": sandbox.app.as_json(),
        "connections": sandbox.hub.connections,
    }


async def live(request: web.Request) -> web.StreamResponse:
    """Push changes over a WebSocket, to pages of this origin only: browsers let every page open one."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="another origin's page may not listen")
    return await request.app[SANDBOX].live.serve(request)


async def log(request: web.Request) -> web.Response:
    """Return the calls and deliveries so far."""
    return web.json_response(request.app[SANDBOX].journal.as_json())


async def list_faults(request: web.Request) -> web.Response:
    """Return the faults that are switched on."""
    return web.json_response({"faults": [fault.as_json() for fault in request.app[SANDBOX].faults.faults]})


async def set_fault(request: web.Request) -> web.Response:
    """Switch a fault on."""
    fault = request.app[SANDBOX].faults.set(await _body(request))
    return web.json_response({"ok": True, "fault": fault.as_json()})


async def clear_faults(request: web.Request) -> web.Response:
    """Switch every fault off."""
    request.app[SANDBOX].faults.clear()
    return web.json_response({"ok": True})


async def show_rules(request: web.Request) -> web.Response:
    """Return how strict the workspace is."""
    return web.json_response(request.app[SANDBOX].rules.as_json())


async def set_rules(request: web.Request) -> web.Response:
    """Change how strict it is; limits count anew."""
    sandbox = request.app[SANDBOX]
    sandbox.rules.update(await _body(request))
    sandbox.method_budget.forget()
    return web.json_response({"ok": True, **sandbox.rules.as_json()})


async def reset_rules(request: web.Request) -> web.Response:
    """Be as lenient as at the start."""
    request.app[SANDBOX].rules.reset()
    request.app[SANDBOX].method_budget.forget()
    return web.json_response({"ok": True})


async def show_app(request: web.Request) -> web.Response:
    """Return the app's configuration."""
    return web.json_response(request.app[SANDBOX].app.as_json())


async def configure_app(request: web.Request) -> web.Response:
    """Change the app's configuration. A new request URL must answer Slack's challenge, unless ``verify`` is false."""
    sandbox, body = request.app[SANDBOX], await _body(request)
    url = body.get("request_url")
    if url and body.get("verify", True):
        problem = await sandbox.http.verify_url(url)
        if problem:
            raise SlackError("url_not_verified", detail=problem)
    sandbox.app.update(body)
    sandbox.hub.is_enabled = sandbox.app.request_url is None
    if not sandbox.hub.is_enabled:
        await sandbox.hub.disconnect("link_disabled")
    sandbox.live.announce(lambda: {"kind": "app", "app": sandbox.app.as_json()})
    return web.json_response({"ok": True, **sandbox.app.as_json()})


async def disconnect(request: web.Request) -> web.Response:
    """Have the app's Socket Mode connections renewed, or cut them (``abrupt``); ``pages`` cuts the pages' sockets."""
    body = await _body(request)
    if body.get("pages"):
        await request.app[SANDBOX].live.close()
        return web.json_response({"ok": True, "connections": 0})
    reason = str(body.get("reason", "refresh_requested"))
    told = await request.app[SANDBOX].hub.disconnect(
        reason, abrupt=bool(body.get("abrupt")), only_one=bool(body.get("only_one"))
    )
    return web.json_response({"ok": True, "connections": told})
