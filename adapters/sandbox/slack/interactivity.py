"""What a person's clicks, commands, shortcuts and modals send to the app, and what its answers do.

Source: https://docs.slack.dev/interactivity/handling-user-interaction
"""

from aiohttp import web

from adapters.sandbox.slack import payloads
from adapters.sandbox.slack.compose import compose
from adapters.sandbox.slack.inputs import find_element, initial_state, missing_inputs, state_of, states_from
from adapters.sandbox.slack.people import APP_ID, BOT_USER, TEAM_DOMAIN, TEAM_ID, Person
from adapters.sandbox.slack.records import Channel, Ephemeral, Json, ResponseUrl, SlackError, View
from adapters.sandbox.slack.sandbox import SANDBOX, Sandbox
from adapters.sandbox.slack.validate import check_message, check_view
from adapters.sandbox.slack.workspace import Draft

TROUBLE = "We had some trouble connecting. Try again?"


async def command(sandbox: Sandbox, person: Person, channel: Channel, *, name: str, text: str, thread_ts: str) -> Json:
    """Run a slash command. In a thread Slack's client refuses it and the app hears nothing.

    Source: https://docs.slack.dev/interactivity/implementing-slash-commands
    """
    if thread_ts:
        refusal = f"{name} is not supported in threads. Sorry!"
        _whisper(sandbox, person, channel, refusal, thread_ts=thread_ts, author="USLACKBOT")
        return {"refused": refusal}
    known = next((each for each in sandbox.app.commands if each["command"] == name), None)
    if known is None:
        unknown = (
            f"{name} is not a valid command. In Slack, all messages that start with the “/” character are commands."
        )
        _whisper(sandbox, person, channel, unknown, author="USLACKBOT")
        return {"refused": unknown}
    permission = sandbox.modals.permission(channel.id, person.id)
    form: Json = {
        "token": payloads.VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": "privategroup" if channel.is_private else channel.name,
        "user_id": person.id,
        "user_name": person.name,
        "command": name,
        "text": compose(text, sandbox.workspace.directory())[0] if known.get("should_escape") else text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": sandbox.modals.response_url(sandbox.workspace.base_url, permission),
        "trigger_id": sandbox.modals.trigger(person.id),
    }
    answer, error = await sandbox.delivery.ask("slash_commands", form)
    if error is not None:
        failure = f"{name} failed with the error “{error}”"
        _whisper(sandbox, person, channel, failure, author="USLACKBOT")
        return {"failed": error}
    if answer.get("text") or answer.get("blocks"):
        _say(sandbox, permission, answer)
    return {"answer": answer}


async def click(sandbox: Sandbox, person: Person, act: Json) -> Json:
    """Use a button, select or other element of a message, an ephemeral message or a modal."""
    if act.get("view_id"):
        return await _click_in_view(sandbox, person, act)
    channel = sandbox.workspace.channel(act.get("channel", ""))
    ts = str(act.get("ts", ""))
    ephemeral = next((e for e in sandbox.workspace.ephemerals if e.ts == ts and e.user == person.id), None)
    message = ephemeral.as_json() if ephemeral else channel.rendered(sandbox.workspace.message(channel, ts))
    if ephemeral:
        message = {"type": "message", "subtype": "ephemeral", "ts": ts, "user": BOT_USER} | message
    element, block_id = find_element(message.get("blocks", []), act.get("action_id", ""), act.get("block_id"))
    thread_ts = message.get("thread_ts")
    permission = sandbox.modals.permission(channel.id, person.id)
    permission.message_ts, permission.thread_ts, permission.is_ephemeral = ts, thread_ts, ephemeral is not None
    body = payloads.interaction("block_actions", person, trigger_id=sandbox.modals.trigger(person.id)) | {
        "container": {
            "type": "message",
            "message_ts": ts,
            "channel_id": channel.id,
            "is_ephemeral": ephemeral is not None,
            **({"thread_ts": thread_ts} if thread_ts else {}),
        },
        "channel": {"id": channel.id, "name": channel.name},
        "message": message | {"app_id": APP_ID},
        "state": {"values": initial_state(message.get("blocks", []))},
        "response_url": sandbox.modals.response_url(sandbox.workspace.base_url, permission),
        "actions": [_action(sandbox, element, block_id, act)],
    }
    _, error = await sandbox.delivery.ask("interactive", body)
    return {"failed": error} if error else {}


async def _click_in_view(sandbox: Sandbox, person: Person, act: Json) -> Json:
    view = sandbox.modals.find(view_id=act["view_id"], external_id=None)
    element, block_id = find_element(view.body["blocks"], act.get("action_id", ""), act.get("block_id"))
    view.state = states_from(view.body["blocks"], act.get("values") or {}, view.state)
    body = payloads.interaction(
        "block_actions", person, trigger_id=sandbox.modals.trigger(person.id, view_id=view.id)
    ) | {
        "container": {"type": "view", "view_id": view.id},
        "view": sandbox.modals.as_json(view),
        "actions": [_action(sandbox, element, block_id, act)],
    }
    _, error = await sandbox.delivery.ask("interactive", body)
    return {"failed": error} if error else {}


def _action(sandbox: Sandbox, element: Json, block_id: str, act: Json) -> Json:
    action: Json = {
        "action_id": element.get("action_id", ""),
        "block_id": block_id,
        "type": element["type"],
        "action_ts": sandbox.workspace.next_ts(),
    }
    if element["type"] == "button":
        return action | {"text": element["text"]} | ({"value": element["value"]} if "value" in element else {})
    return action | state_of(element, act.get("value"))


async def shortcut(sandbox: Sandbox, person: Person, act: Json) -> Json:
    """Run a global shortcut, or a message shortcut where ``channel`` and ``ts`` name a message."""
    callback_id = act.get("callback_id", "")
    kind = "message" if act.get("ts") else "global"
    known = [each for each in sandbox.app.shortcuts if each["callback_id"] == callback_id and each["type"] == kind]
    if not known:
        raise SlackError("unknown_shortcut", detail=f"the app has no {kind} shortcut {callback_id!r}")
    trigger_id = sandbox.modals.trigger(person.id)
    action_ts = sandbox.workspace.next_ts()
    if kind == "global":
        body = payloads.interaction("shortcut", person, trigger_id=trigger_id)
        body |= {"callback_id": callback_id, "action_ts": action_ts}
    else:
        channel = sandbox.workspace.channel(act.get("channel", ""))
        message = sandbox.workspace.message(channel, act["ts"])
        permission = sandbox.modals.permission(channel.id, person.id)
        body = payloads.interaction("message_action", person, trigger_id=trigger_id) | {
            "callback_id": callback_id,
            "action_ts": action_ts,
            "message_ts": message.ts,
            "channel": {"id": channel.id, "name": channel.name},
            "message": channel.rendered(message),
            "response_url": sandbox.modals.response_url(sandbox.workspace.base_url, permission),
        }
    _, error = await sandbox.delivery.ask("interactive", body)
    return {"failed": error} if error else {}


async def submit(sandbox: Sandbox, person: Person, act: Json) -> Json:
    """Submit a modal. Required fields are checked first, as Slack's client does; then the app's answer is obeyed."""
    modals = sandbox.modals
    view = modals.find(view_id=act.get("view_id", ""), external_id=None)
    view.state = states_from(view.body["blocks"], act.get("values") or {}, view.state)
    missing = missing_inputs(view.body["blocks"], view.state)
    if missing:
        modals.show_errors(view, missing)
        return {"errors": missing}
    trigger_id = modals.trigger(person.id, view_id=view.id)
    body = payloads.interaction("view_submission", person, trigger_id=trigger_id)
    body |= {"view": modals.as_json(view), "response_urls": []}
    answer, error = await sandbox.delivery.ask("interactive", body)
    if error is not None:
        modals.show_errors(view, {"": TROUBLE})
        return {"failed": error}
    return _obey(sandbox, view, answer)


def _obey(sandbox: Sandbox, view: View, answer: Json) -> Json:
    modals = sandbox.modals
    match answer.get("response_action"):
        case "errors":
            known = {block.get("block_id") for block in view.body["blocks"] if block.get("type") == "input"}
            errors = answer.get("errors") or {}
            if not errors or not set(errors) <= known:
                modals.show_errors(view, {"": TROUBLE})
                return {"failed": "invalid_errors"}
            modals.show_errors(view, errors)
            return {"errors": errors}
        case "update" | "push" as action:
            try:
                body = check_view(answer.get("view"))
                if action == "push":
                    modals.push_on(view, body)
                else:
                    modals.update(view, body, expected_hash=None)
            except SlackError as error:
                modals.show_errors(view, {"": TROUBLE})
                return {"failed": error.code, **error.fields}
        case "clear":
            modals.close(view, all_of_them=True)
        case _:
            modals.close(view)
    return {}


async def close_view(sandbox: Sandbox, person: Person, act: Json) -> Json:
    """Close a modal by its cross, its close button or Escape. The app hears of it only if it asked to."""
    view = sandbox.modals.find(view_id=act.get("view_id", ""), external_id=None)
    is_cleared = bool(view.body.get("clear_on_close")) or bool(act.get("all"))
    for closed in sandbox.modals.close(view, all_of_them=is_cleared):
        if closed.body.get("notify_on_close"):
            body = payloads.interaction("view_closed", person, trigger_id=None)
            body |= {"view": sandbox.modals.as_json(closed), "is_cleared": is_cleared}
            await sandbox.delivery.ask("interactive", body)
    return {}


async def serve_response_url(request: web.Request) -> web.Response:
    """Take an app's later answer to an interaction."""
    sandbox = request.app[SANDBOX]
    try:
        permission = sandbox.modals.use_response_url(request.match_info["token"])
        body = await request.json() if request.content_type == "application/json" else {"text": await request.text()}
        _say(sandbox, permission, body)
    except SlackError as error:
        status = 404 if error.code in {"expired_url", "used_url"} else 400
        return web.json_response({"ok": False, "error": error.code}, status=status)
    except ValueError:
        return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
    return web.json_response({"ok": True})


def _say(sandbox: Sandbox, permission: ResponseUrl, body: Json) -> None:
    workspace = sandbox.workspace
    channel = workspace.channel(permission.channel)
    blocks = check_message(body["blocks"]) if body.get("blocks") else []
    text = str(body.get("text") or "")
    original = channel.messages.get(permission.message_ts or "")
    if body.get("delete_original") or (body.get("replace_original") and permission.is_ephemeral):
        if permission.is_ephemeral:
            workspace.unwhisper(permission.message_ts or "")
        elif original is not None:
            workspace.delete(channel, original)
        if body.get("delete_original"):
            return
    elif body.get("replace_original") and original is not None:
        workspace.edit(channel, original, by=BOT_USER, text=text, blocks=blocks, is_marked=not blocks)
        return
    if not (text or blocks):
        raise SlackError("no_text")
    thread_ts = body.get("thread_ts") or (permission.thread_ts if permission.is_ephemeral else None)
    if body.get("response_type") == "in_channel":
        # A response URL posts even where the app is no member; the record needs one.
        was_member = BOT_USER in channel.members
        if not was_member:
            channel.members.append(BOT_USER)
        try:
            workspace.post(channel, BOT_USER, Draft(text=text, blocks=blocks, thread_ts=thread_ts))
        finally:
            if not was_member:
                channel.members.remove(BOT_USER)
        return
    ephemeral = Ephemeral(
        ts=workspace.next_ts(),
        channel=channel.id,
        user=permission.user,
        author=BOT_USER,
        text=text,
        blocks=blocks,
        thread_ts=thread_ts,
    )
    workspace.whisper(ephemeral)


def _whisper(
    sandbox: Sandbox, person: Person, channel: Channel, text: str, *, author: str, thread_ts: str | None = None
) -> None:
    workspace = sandbox.workspace
    workspace.whisper(
        Ephemeral(
            ts=workspace.next_ts(), channel=channel.id, user=person.id, author=author, text=text, thread_ts=thread_ts
        )
    )
