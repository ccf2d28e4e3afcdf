"""What the workspace remembers: messages, channels, files, views, triggers and response URLs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
"""A JSON object on the wire."""

Change = Callable[[], Json]
"""Describes something that changed, for the page."""


@dataclass(kw_only=True, slots=True)
class Message:
    """One message of a channel.

    ``user`` is ``None`` where an app posted under another name (``chat:write.customize``): Slack then sends
    subtype ``bot_message`` with ``username`` instead. Source: https://docs.slack.dev/reference/events/message/bot_message
    """

    ts: str
    channel: str
    text: str
    user: str | None
    team: str
    thread_ts: str | None = None
    parent_user: str | None = None
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    bot_id: str | None = None
    app_id: str | None = None
    bot_name: str = ""
    username: str | None = None
    icons: Json | None = None
    subtype: str | None = None
    metadata: Json | None = None
    files: list["StoredFile"] = field(default_factory=list)
    edited: Json | None = None
    client_msg_id: str | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_reply(self) -> bool:
        """Whether it hangs under another message."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    def as_json(self, *, metadata: bool = True) -> Json:
        """Return the message as Slack writes it, without what only the channel knows (reply counts)."""
        body: Json = {"type": "message", "ts": self.ts, "text": self.text, "team": self.team}
        optional: Mapping[str, object] = {
            "user": self.user,
            "subtype": self.subtype,
            "thread_ts": self.thread_ts,
            "parent_user_id": self.parent_user,
            "blocks": self.blocks,
            "attachments": self.attachments,
            "bot_id": self.bot_id,
            "app_id": self.app_id,
            "username": self.username,
            "icons": self.icons,
            "edited": self.edited,
            "client_msg_id": self.client_msg_id,
            "files": [file.as_json() for file in self.files],
            "reactions": [
                {"name": name, "users": list(users), "count": len(users)} for name, users in self.reactions.items()
            ],
            "metadata": self.metadata if metadata else None,
        }
        body.update({key: value for key, value in optional.items() if value})
        if self.bot_id and self.user:
            body["bot_profile"] = {
                "id": self.bot_id,
                "deleted": False,
                "name": self.bot_name,
                "updated": 0,
                "app_id": self.app_id or "",
                "icons": {},
                "team_id": self.team,
            }
        return body


@dataclass(kw_only=True, slots=True)
class Channel:
    """A channel and everything said in it, keyed by ``ts`` in the order of posting."""

    id: str
    name: str
    topic: str
    members: list[str]
    is_private: bool
    is_ext_shared: bool
    created: int
    is_archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, dict[str, Message]] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        """Keep a new message."""
        self.messages[message.ts] = message
        if message.is_reply and message.thread_ts is not None:
            self.threads.setdefault(message.thread_ts, {})[message.ts] = message

    def remove(self, message: Message) -> None:
        """Forget a message."""
        del self.messages[message.ts]
        if message.is_reply and message.thread_ts is not None:
            del self.threads[message.thread_ts][message.ts]

    @property
    def channel_type(self) -> str:
        """The ``channel_type`` of message events."""
        return "group" if self.is_private else "channel"

    def replies(self, root_ts: str) -> list[Message]:
        """Return the replies of a thread, oldest first, without its root."""
        return list(self.threads.get(root_ts, {}).values())

    def rendered(self, message: Message, *, metadata: bool = False) -> Json:
        """Return the message with the counts that Slack adds to a thread's root."""
        body = message.as_json(metadata=metadata)
        if message.is_reply:
            return body
        replies = self.replies(message.ts)
        if replies:
            users = list(dict.fromkeys(reply.user or reply.bot_id or "" for reply in replies))
            body |= {
                "thread_ts": message.ts,
                "reply_count": len(replies),
                "reply_users_count": len(users),
                "reply_users": users,
                "latest_reply": replies[-1].ts,
                "is_locked": False,
                "subscribed": False,
            }
        return body


@dataclass(kw_only=True, slots=True)
class StoredFile:
    """An uploaded file. ``content`` is ``None`` between asking for an upload URL and sending the bytes."""

    id: str
    name: str
    title: str
    mimetype: str
    user: str
    created: int
    url: str
    permalink: str
    content: bytes | None = None
    expected_bytes: int = 0
    completed: bool = False
    shares: dict[str, list[Json]] = field(default_factory=dict)

    def as_json(self) -> Json:
        """Return the file object. Shape: https://docs.slack.dev/reference/objects/file-object."""
        filetype = self.name.rpartition(".")[2].lower() if "." in self.name else "binary"
        size = len(self.content) if self.content is not None else self.expected_bytes
        body: Json = {
            "id": self.id,
            "created": self.created,
            "timestamp": self.created,
            "name": self.name,
            "title": self.title,
            "mimetype": self.mimetype,
            "filetype": filetype,
            "pretty_type": filetype.upper(),
            "user": self.user,
            "size": size,
            "mode": "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": True,
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "url_private": self.url,
            "url_private_download": self.url + "?download=1",
            "permalink": self.permalink,
            "file_access": "visible",
            "has_rich_preview": False,
        }
        if self.mimetype.startswith("image/"):
            body |= {"thumb_360": self.url, "thumb_480": self.url, "thumb_720": self.url}
        return body


@dataclass(kw_only=True, slots=True)
class View:
    """An open modal. ``body`` is what the app sent, ``errors`` what it said about the last submission (by block id)."""

    id: str
    user: str
    body: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    state: Json = field(default_factory=dict)

    def as_json(self, *, team_id: str, app_id: str, bot_id: str) -> Json:
        """Return the view object. Shape: https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload."""
        return {
            "id": self.id,
            "team_id": team_id,
            "type": self.body.get("type", "modal"),
            "callback_id": self.body.get("callback_id", ""),
            "external_id": self.body.get("external_id", ""),
            "title": self.body.get("title"),
            "submit": self.body.get("submit"),
            "close": self.body.get("close"),
            "blocks": self.body.get("blocks", []),
            "private_metadata": self.body.get("private_metadata", ""),
            "clear_on_close": bool(self.body.get("clear_on_close", False)),
            "notify_on_close": bool(self.body.get("notify_on_close", False)),
            "submit_disabled": False,
            "state": {"values": self.state},
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.previous_id,
            "app_id": app_id,
            "app_installed_team_id": team_id,
            "bot_id": bot_id,
        }


@dataclass(kw_only=True, slots=True)
class Trigger:
    """A ``trigger_id``: good once, for three seconds, for one person's client."""

    user: str
    expires_at: float
    view_id: str | None = None
    used: bool = False


@dataclass(kw_only=True, slots=True)
class ResponseUrl:
    """Where an app may answer an interaction: five times within thirty minutes."""

    channel: str
    user: str
    expires_at: float
    message_ts: str | None = None
    thread_ts: str | None = None
    is_ephemeral: bool = False
    uses: int = 0


@dataclass(kw_only=True, slots=True)
class Ephemeral:
    """A message that one person sees and nobody stores."""

    ts: str
    channel: str
    user: str
    text: str
    author: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None

    def as_json(self) -> Json:
        """Return it as the page and the tests read it."""
        return {
            "ts": self.ts,
            "channel": self.channel,
            "user": self.user,
            "author": self.author,
            "text": self.text,
            "blocks": self.blocks,
            "thread_ts": self.thread_ts,
        }


class SlackError(Exception):
    """An answer ``{"ok": false, "error": code}``. ``fields`` are added to the answer."""

    def __init__(self, code: str, **fields: object) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields
