"""What people do in the workspace, as the page and the tests ask for it: ``POST /sandbox/act``."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping

from adapters.sandbox.slack import interactivity
from adapters.sandbox.slack.api_files import new_file
from adapters.sandbox.slack.compose import compose
from adapters.sandbox.slack.people import APP_ID, BOT_USER, OTHER_TEAM_ID, Person
from adapters.sandbox.slack.records import Channel, Json, Message, SlackError
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.workspace import Draft

Act = Callable[[Sandbox, Person, Json], Awaitable[Json]]


async def perform(sandbox: Sandbox, body: Json) -> Json:
    """Do one thing as one person. Raises ``SlackError``, ``unknown_act`` naming what there is."""
    kind = str(body.get("kind", ""))
    act = ACTS.get(kind)
    if act is None:
        raise SlackError("unknown_act", detail=f"no act {kind!r}; there are: {', '.join(ACTS)}")
    person = sandbox.workspace.person(str(body.get("user", "")))
    if person.deleted and kind != "reactivate":
        raise SlackError("account_inactive")
    return await act(sandbox, person, body)


def _channel(sandbox: Sandbox, body: Json) -> Channel:
    return sandbox.workspace.channel(str(body.get("channel", "")))


def _own_message(sandbox: Sandbox, person: Person, body: Json) -> tuple[Channel, Message]:
    channel = _channel(sandbox, body)
    message = sandbox.workspace.message(channel, str(body.get("ts", "")))
    if message.user != person.id and message.bot_id is None:
        raise SlackError("cant_update_message", detail="people change only their own messages")
    return channel, message


async def message(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Say something, in the channel or in a thread. ``files`` are ids of uploaded ones."""
    channel = _channel(sandbox, body)
    text, blocks = compose(str(body.get("text", "")), sandbox.workspace.directory())
    files = [sandbox.workspace.files[file_id] for file_id in body.get("files", [])]
    if not text and not files:
        raise SlackError("no_text")
    draft = Draft(
        text=text,
        blocks=[] if person.is_bot else blocks,
        thread_ts=body.get("thread_ts") or None,
        broadcast=bool(body.get("broadcast")),
        files=files,
    )
    posted = sandbox.workspace.post(channel, person.id, draft)
    return {"ts": posted.ts, "message": posted.as_json()}


async def mention(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Say something to the app by name."""
    return await message(sandbox, person, body | {"text": f"<@{BOT_USER}> {body.get('text', '')}".strip()})


async def edit(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Change one's own message."""
    channel, changed = _own_message(sandbox, person, body)
    text, blocks = compose(str(body.get("text", "")), sandbox.workspace.directory())
    if not text:
        raise SlackError("no_text")
    sandbox.workspace.edit(channel, changed, by=person.id, text=text, blocks=blocks)
    return {"ts": changed.ts}


async def unfurl(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Let Slack add a link preview: a ``message_changed`` in which nobody changed a word."""
    channel, changed = _own_message(sandbox, person, body)
    before = channel.rendered(changed, metadata=True)
    changed.attachments = [
        {"id": 1, "fallback": "A link preview", "title": "A link preview", "from_url": "https://example.com"}
    ]
    sandbox.workspace.announce_changed(channel, changed, before=before, event_ts=sandbox.workspace.next_ts())
    return {"ts": changed.ts}


async def delete(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Delete one's own message; an administrator may delete an app's."""
    channel, gone = _own_message(sandbox, person, body)
    sandbox.workspace.delete(channel, gone)
    return {"ts": gone.ts}


async def upload(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Share a file: ``filename`` and ``content_base64``, with a ``text`` or without."""
    try:
        content = base64.b64decode(body["content_base64"], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise SlackError("invalid_arguments", detail="content_base64 must be base64") from error
    channel = _channel(sandbox, body)
    if person.id not in channel.members:
        raise SlackError("not_in_channel")
    name = str(body.get("filename") or "file")
    file = new_file(sandbox, name=name, user=person.id, mimetype=str(body.get("mimetype", "")))
    file.content, file.completed = content, True
    return await message(sandbox, person, body | {"files": [file.id]}) | {"file_id": file.id}


async def react(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """React with an emoji, or take the reaction back."""
    channel = _channel(sandbox, body)
    target, name = sandbox.workspace.message(channel, str(body.get("ts", ""))), str(body.get("name", ""))
    if person.id in target.reactions.get(name, []):
        sandbox.workspace.unreact(channel, target, by=person.id, name=name)
    else:
        sandbox.workspace.react(channel, target, by=person.id, name=name)
    return {}


async def command(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Use a slash command."""
    return await interactivity.command(
        sandbox,
        person,
        _channel(sandbox, body),
        name=str(body.get("command", "")),
        text=str(body.get("text", "")),
        thread_ts=str(body.get("thread_ts") or ""),
    )


async def join(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Join a channel."""
    sandbox.workspace.join(_channel(sandbox, body), person.id)
    return {}


async def leave(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Leave a channel."""
    sandbox.workspace.leave(_channel(sandbox, body), person.id)
    return {}


async def archive(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Archive a channel."""
    sandbox.workspace.archive(_channel(sandbox, body), by=person.id)
    return {}


async def unarchive(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Bring a channel back."""
    sandbox.workspace.unarchive(_channel(sandbox, body), by=person.id)
    return {}


async def share(sandbox: Sandbox, _: Person, body: Json) -> Json:
    """Share a channel with the other organisation."""
    sandbox.workspace.share(_channel(sandbox, body), with_team=OTHER_TEAM_ID)
    return {}


async def deactivate(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Deactivate an account: ``target``, or one's own."""
    sandbox.workspace.set_deleted(sandbox.workspace.person(body.get("target") or person.id), deleted=True)
    return {}


async def reactivate(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Reactivate an account."""
    sandbox.workspace.set_deleted(sandbox.workspace.person(body.get("target") or person.id), deleted=False)
    return {}


async def uninstall(sandbox: Sandbox, _: Person, __: Json) -> Json:
    """Remove the app: Slack sends both events, in no promised order."""
    event_ts = sandbox.workspace.next_ts()
    sandbox.workspace.on_event({"type": "tokens_revoked", "tokens": {"bot": [BOT_USER]}, "event_ts": event_ts})
    sandbox.workspace.on_event({"type": "app_uninstalled", "event_ts": event_ts, "api_app_id": APP_ID})
    return {}


ACTS: Mapping[str, Act] = {
    "message": message,
    "mention": mention,
    "edit": edit,
    "unfurl": unfurl,
    "delete": delete,
    "upload": upload,
    "react": react,
    "command": command,
    "click": interactivity.click,
    "shortcut": interactivity.shortcut,
    "submit": interactivity.submit,
    "close_view": interactivity.close_view,
    "join": join,
    "leave": leave,
    "archive": archive,
    "unarchive": unarchive,
    "share": share,
    "deactivate": deactivate,
    "reactivate": reactivate,
    "uninstall": uninstall,
}
