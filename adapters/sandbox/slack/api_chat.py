"""``chat.*``, ``reactions.*`` and ``assistant.threads.*``. Pages: https://docs.slack.dev/reference/methods/chat.postMessage."""

import asyncio
import json

from adapters.sandbox.slack.call import Call, Method
from adapters.sandbox.slack.people import APP_ID, BOT_USER
from adapters.sandbox.slack.records import Channel, Ephemeral, Json, Message, SlackError
from adapters.sandbox.slack.validate import MAX_MARKDOWN_CHARS, MAX_METADATA_BYTES, check_message
from adapters.sandbox.slack.workspace import Draft, Workspace

MAX_POST_CHARS = 40_000
MAX_UPDATE_CHARS = 4_000
STATUS_S = 120.0
"""How long a status stays. Source: https://docs.slack.dev/reference/methods/assistant.threads.setStatus"""


class RateLimited(Exception):
    """HTTP 429. ``after_s`` is the ``Retry-After`` header."""

    def __init__(self, after_s: int) -> None:
        super().__init__(f"retry after {after_s} s")
        self.after_s = after_s


def read_blocks(call: Call) -> list[Json]:
    """Return the validated blocks of a call, ``markdown_text`` included. Raises as ``check_message``."""
    markdown = call.text("markdown_text")
    if markdown:
        if call.text("text") or call.args.get("blocks"):
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN_CHARS:
            raise SlackError("msg_too_long")
        return check_message([{"type": "markdown", "text": markdown}])
    blocks = call.structure("blocks", "invalid_blocks_format")
    return check_message(blocks) if blocks else []


def _attachments(call: Call) -> list[Json]:
    attachments = call.structure("attachments", "invalid_attachments")
    if not attachments:
        return []
    if not isinstance(attachments, list) or len(attachments) > 100:
        raise SlackError("too_many_attachments" if isinstance(attachments, list) else "invalid_attachments")
    return attachments


def _metadata(call: Call) -> Json | None:
    metadata = call.structure("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}


def _channel(call: Call) -> Channel:
    return call.sandbox.workspace.channel(call.required("channel"), seen_by=BOT_USER)


def _writable(call: Call) -> Channel:
    channel = _channel(call)
    if channel.is_archived:
        raise SlackError("is_archived")
    if BOT_USER not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _identity(call: Call) -> tuple[str | None, Json | None]:
    username, emoji, url = call.text("username"), call.text("icon_emoji"), call.text("icon_url")
    if not (username or emoji or url):
        return None, None
    call.sandbox.need_scope(("chat:write.customize",))
    icons = {"emoji": emoji} if emoji else {"image_48": url} if url else None
    return username or None, icons


def post_message(call: Call) -> Json:
    """Post a message."""
    channel = _writable(call)
    wait_s = call.sandbox.budget.take(channel.id)
    if wait_s is not None:
        raise RateLimited(wait_s)
    blocks, attachments = read_blocks(call), _attachments(call)
    text = call.text("text")[:MAX_POST_CHARS]
    if not (text or blocks or attachments):
        raise SlackError("no_text")
    username, icons = _identity(call)
    draft = Draft(
        text=text or call.text("markdown_text"),
        thread_ts=call.text("thread_ts") or None,
        broadcast=call.flag("reply_broadcast"),
        blocks=blocks,
        attachments=attachments,
        metadata=_metadata(call),
        username=username,
        icons=icons,
    )
    message = call.sandbox.workspace.post(channel, BOT_USER, draft)
    return {"channel": channel.id, "ts": message.ts, "message": message.as_json()}


def _own(call: Call, channel: Channel, error: str) -> Message:
    message = call.sandbox.workspace.message(channel, call.required("ts"))
    if message.app_id != APP_ID:
        raise SlackError(error)
    return message


def update(call: Call) -> Json:
    """Change one of the app's own messages. ``text`` without ``blocks`` removes the blocks."""
    channel = _writable(call)
    message = _own(call, channel, "cant_update_message")
    blocks, text = read_blocks(call), call.text("text")
    if len(text) > MAX_UPDATE_CHARS:
        raise SlackError("msg_too_long")
    if not (text or blocks or call.args.get("attachments")):
        raise SlackError("no_text")
    if "metadata" in call.args:
        message.metadata = _metadata(call)
    call.sandbox.workspace.edit(
        channel, message, by=BOT_USER, text=text or call.text("markdown_text"), blocks=blocks, is_marked=not blocks
    )
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": message.as_json()}


def delete(call: Call) -> Json:
    """Delete one of the app's own messages."""
    channel = _channel(call)
    message = _own(call, channel, "cant_delete_message")
    call.sandbox.workspace.delete(channel, message)
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(call: Call) -> Json:
    """Show a message to one person."""
    channel, user = _writable(call), call.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    blocks, text = read_blocks(call), call.text("text")
    if not (text or blocks):
        raise SlackError("no_text")
    workspace = call.sandbox.workspace
    ephemeral = Ephemeral(
        ts=workspace.next_ts(),
        channel=channel.id,
        user=user,
        author=BOT_USER,
        text=text,
        blocks=blocks,
        thread_ts=call.text("thread_ts") or None,
    )
    workspace.whisper(ephemeral)
    return {"message_ts": ephemeral.ts}


def get_permalink(call: Call) -> Json:
    """Return the address of a message; the sandbox page opens it."""
    channel = _channel(call)
    message = call.sandbox.workspace.message(channel, call.required("message_ts"))
    link = f"{call.sandbox.workspace.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def add_reaction(call: Call) -> Json:
    """React to a message."""
    channel = _writable(call)
    message = call.sandbox.workspace.message(channel, call.required("timestamp"))
    call.sandbox.workspace.react(channel, message, by=BOT_USER, name=call.required("name").strip(":"))
    return {}


def remove_reaction(call: Call) -> Json:
    """Take a reaction back."""
    channel = _writable(call)
    message = call.sandbox.workspace.message(channel, call.required("timestamp"))
    call.sandbox.workspace.unreact(channel, message, by=BOT_USER, name=call.required("name").strip(":"))
    return {}


def set_status(call: Call) -> Json:
    """Show what the app is doing under a thread, until its next message there."""
    workspace = call.sandbox.workspace
    channel = workspace.channel(call.required("channel_id"), seen_by=BOT_USER)
    if BOT_USER not in channel.members:
        raise SlackError("not_in_channel")
    thread_ts = call.required("thread_ts")
    if thread_ts not in channel.messages:
        raise SlackError("thread_not_found")
    status = call.text("status")
    workspace.set_status(channel, thread_ts, status)
    if status:
        call.sandbox.delivery.start(_end_status(call.sandbox.workspace, channel, thread_ts, status))
    return {}


async def _end_status(workspace: Workspace, channel: Channel, thread_ts: str, status: str) -> None:
    await asyncio.sleep(STATUS_S)
    if workspace.statuses.get((channel.id, thread_ts)) == status:
        workspace.set_status(channel, thread_ts, "")


METHODS = {
    "chat.postMessage": Method(run=post_message, any_scope=("chat:write",)),
    "chat.update": Method(run=update, any_scope=("chat:write",)),
    "chat.delete": Method(run=delete, any_scope=("chat:write",)),
    "chat.postEphemeral": Method(run=post_ephemeral, any_scope=("chat:write",)),
    "chat.getPermalink": Method(run=get_permalink),
    "reactions.add": Method(run=add_reaction, any_scope=("reactions:write",)),
    "reactions.remove": Method(run=remove_reaction, any_scope=("reactions:write",)),
    "assistant.threads.setStatus": Method(run=set_status, any_scope=("chat:write", "assistant:write")),
}
