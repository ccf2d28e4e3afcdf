"""The sandbox's own HTTP interface, for tests and the page: act, deliver, state, live, log, faults, rules, app."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from adapters.sandbox.teams import acts
from adapters.sandbox.teams.people import BOT, BOT_NAME, TEAM, TEAM_GROUP, Person
from adapters.sandbox.teams.records import ActRefused, Json
from adapters.sandbox.teams.sandbox import SANDBOX, Sandbox

MAX_WAIT_S = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes() -> list[web.RouteDef]:
    """Return the routes under `/sandbox`."""
    return [
        web.post("/sandbox/act", _refusing(act)),
        web.post("/sandbox/deliver", _refusing(deliver)),
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
        web.post("/sandbox/disconnect", disconnect),
    ]


def _refusing(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ActRefused as error:
            return web.json_response({"ok": False, "error": error.code, "detail": error.detail}, status=400)

    return answer


async def _body(request: web.Request) -> Json:
    """Return the JSON body. Browsers ask before they send this type across origins, and nobody answers them."""
    if request.content_type != "application/json":
        raise ActRefused("invalid_json", "send the body with Content-Type: application/json")
    try:
        body = await request.json()
    except ValueError as error:
        raise ActRefused("invalid_json", "the body must be a JSON object") from error
    if not isinstance(body, dict):
        raise ActRefused("invalid_json", "the body must be a JSON object")
    return body


async def act(request: web.Request) -> web.Response:
    """Do one thing as one person, and wait until it is done (for clicks: until the bot has answered)."""
    result = await acts.perform(request.app[SANDBOX], await _body(request))
    return web.json_response({"ok": True, **result})


async def deliver(request: web.Request) -> web.Response:
    """Send the bot any `activity` (an object, or a string as it is) with a `token` of some kind; say what it said."""
    sandbox, body = request.app[SANDBOX], await _body(request)
    if not sandbox.settings.endpoint:
        raise ActRefused("no_endpoint", "the bot's endpoint is not set")
    status, text = await sandbox.delivery.raw(body.get("activity", {}), str(body.get("token", "valid")))
    return web.json_response({"ok": True, "status": status, "text": text})


async def state(request: web.Request) -> web.Response:
    """Return everything that can be seen. `after=<seq>&wait_s=<seconds>` waits for something newer first."""
    sandbox = request.app[SANDBOX]
    try:
        after, wait_s = int(request.query.get("after", -1)), float(request.query.get("wait_s", 0))
    except ValueError as error:
        raise ActRefused("invalid_arguments", "after and wait_s must be numbers") from error
    if wait_s > 0:
        await sandbox.live.wait_beyond(after, min(wait_s, MAX_WAIT_S))
    return web.json_response(snapshot(sandbox))


def snapshot(sandbox: Sandbox) -> Json:
    """Return the whole team as JSON."""
    team = sandbox.team
    return {
        "seq": sandbox.live.seq,
        "page_key": sandbox.page_key,
        "tenant": sandbox.settings.tenant,
        "team": {"id": TEAM, "name": team.name, "group": TEAM_GROUP, "is_archived": team.is_archived},
        "bot": {"id": BOT, "name": BOT_NAME, "is_installed": team.is_installed},
        "service_url": team.service_url,
        "people": [_person(sandbox, person) for person in team.people.values()],
        "channels": [channel.as_json() for channel in team.channels.values()],
        "dialogs": [dialog.as_json() for dialog in sandbox.dialogs.values()],
        "notices": [notice.as_json() for notice in team.notices],
        "rules": sandbox.rules.as_json(),
        "faults": [fault.as_json() for fault in sandbox.faults.faults],
        "app": app_json(sandbox),
    }


def _person(sandbox: Sandbox, person: Person) -> Json:
    return {
        "aad": person.aad, "id": person.id, "name": person.name, "email": person.email, "tenant": person.tenant,
        "title": person.title, "colour": person.colour, "is_guest": person.is_guest, "is_owner": person.is_owner,
        "is_outsider": person.tenant != sandbox.settings.tenant, "is_member": person.aad in sandbox.team.members,
    }  # fmt: skip


def app_json(sandbox: Sandbox) -> Json:
    """Return what one needs to point a bot here. The secret is the sandbox's own and opens nothing else."""
    base = sandbox.team.base_url
    return {
        "endpoint": sandbox.settings.endpoint,
        "app_id": sandbox.settings.app_id,
        "app_password": sandbox.settings.app_password,
        "tenant_id": sandbox.settings.tenant,
        "service_url": sandbox.team.service_url,
        "metadata_url": f"{base}/v1/.well-known/openidconfiguration",
        "authority_url": base,
        "graph_url": base,
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


def _announce(sandbox: Sandbox) -> None:
    shown = {
        "rules": sandbox.rules.as_json(), "faults": [fault.as_json() for fault in sandbox.faults.faults],
    }  # fmt: skip
    sandbox.live.announce(lambda: {"kind": "switches", **shown})


async def list_faults(request: web.Request) -> web.Response:
    """Return the faults that are switched on."""
    return web.json_response({"faults": [fault.as_json() for fault in request.app[SANDBOX].faults.faults]})


async def set_fault(request: web.Request) -> web.Response:
    """Switch a fault on."""
    fault = request.app[SANDBOX].faults.set(await _body(request))
    _announce(request.app[SANDBOX])
    return web.json_response({"ok": True, "fault": fault.as_json()})


async def clear_faults(request: web.Request) -> web.Response:
    """Switch every fault off."""
    request.app[SANDBOX].faults.clear()
    _announce(request.app[SANDBOX])
    return web.json_response({"ok": True})


async def show_rules(request: web.Request) -> web.Response:
    """Return how the tenant is set up."""
    return web.json_response(request.app[SANDBOX].rules.as_json())


async def set_rules(request: web.Request) -> web.Response:
    """Change how it is set up; limits count anew."""
    sandbox = request.app[SANDBOX]
    sandbox.rules.update(await _body(request))
    sandbox.budget.forget()
    _announce(sandbox)
    return web.json_response({"ok": True, **sandbox.rules.as_json()})


async def reset_rules(request: web.Request) -> web.Response:
    """Be as at the start."""
    request.app[SANDBOX].rules.reset()
    request.app[SANDBOX].budget.forget()
    _announce(request.app[SANDBOX])
    return web.json_response({"ok": True})


async def show_app(request: web.Request) -> web.Response:
    """Return the bot's configuration and the addresses that it needs."""
    return web.json_response(app_json(request.app[SANDBOX]))


async def configure_app(request: web.Request) -> web.Response:
    """Change the bot's messaging `endpoint`."""
    sandbox, body = request.app[SANDBOX], await _body(request)
    unknown = set(body) - {"endpoint"}
    if unknown or not isinstance(body.get("endpoint", ""), str):
        raise ActRefused("invalid_arguments", "only endpoint can be changed, and it must be a string")
    sandbox.settings.endpoint = body.get("endpoint", sandbox.settings.endpoint)
    return web.json_response({"ok": True, **app_json(sandbox)})


async def disconnect(request: web.Request) -> web.Response:
    """Cut the pages' sockets."""
    await request.app[SANDBOX].live.close()
    return web.json_response({"ok": True})
