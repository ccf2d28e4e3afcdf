"""What the team remembers: messages, channels, dialogs; and the errors that the connector answers with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
"""A JSON object on the wire."""

Change = Callable[[], Json]
"""Describes something that changed, for the page."""

CARD_TYPE = "application/vnd.microsoft.card.adaptive"


class TeamsError(Exception):
    """An answer `{"error": {"code", "message"}}` with this HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    def as_json(self) -> Json:
        """Return the body."""
        return {"error": {"code": self.code, "message": self.message}}


class ActRefused(Exception):
    """Somebody asked the sandbox for what Teams' clients do not let them do, or asked it wrongly."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def iso(at_ms: int) -> str:
    """Return a moment as Teams writes it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03}Z"


@dataclass(kw_only=True, slots=True)
class Message:
    """One message. `root` is the id of the post that its thread hangs under, its own for a post.

    `sender` is a person's object id, or the bot's id. `views` are the cards that single people see instead of the
    message's own. `targeted_to` is who alone sees it. `flags` say what a real client would not show as meant.
    """

    id: str
    channel: str
    root: str
    sender: str
    at_ms: int
    text: str = ""
    text_format: str = "markdown"
    html: str = ""
    attachments: list[Json] = field(default_factory=list)
    entities: list[Json] = field(default_factory=list)
    summary: str = ""
    importance: str = ""
    edited_ms: int | None = None
    is_deleted: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    views: dict[str, Json] = field(default_factory=dict)
    targeted_to: str = ""
    flags: list[str] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)
    activity: Json = field(default_factory=dict)

    @property
    def thread(self) -> str:
        """The conversation id of its thread."""
        return f"{self.channel};messageid={self.root}"

    @property
    def cards(self) -> list[Json]:
        """Its Adaptive Cards."""
        return [each["content"] for each in self.attachments if each.get("contentType") == CARD_TYPE]

    def as_json(self) -> Json:
        """Return it as `GET /sandbox/state` shows it."""
        return {
            "id": self.id, "channel": self.channel, "root": self.root, "thread": self.thread, "from": self.sender,
            "at_ms": self.at_ms, "text": self.text, "text_format": self.text_format, "html": self.html,
            "cards": self.cards, "attachments": self.attachments, "entities": self.entities, "summary": self.summary,
            "importance": self.importance, "edited_ms": self.edited_ms, "is_deleted": self.is_deleted,
            "reactions": self.reactions, "views": self.views, "targeted_to": self.targeted_to, "flags": self.flags,
            "files": self.files,
        }  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Channel:
    """A channel and everything said in it, keyed by id in the order of posting."""

    id: str
    name: str
    is_deleted: bool = False
    messages: dict[str, Message] = field(default_factory=dict)

    def thread(self, root: str) -> list[Message]:
        """Return a thread, its post first."""
        return [each for each in self.messages.values() if each.root == root]

    def as_json(self) -> Json:
        """Return it as `GET /sandbox/state` shows it."""
        shown = [message.as_json() for message in self.messages.values()]
        return {"id": self.id, "name": self.name, "is_deleted": self.is_deleted, "messages": shown}


@dataclass(kw_only=True, slots=True)
class Dialog:
    """A dialog that one person has open. `origin` is `composeExtension` or `task`."""

    id: str
    user: str
    title: str
    card: Json
    origin: str
    value: Json
    channel: str
    root: str
    message: str = ""

    def as_json(self) -> Json:
        """Return it as `GET /sandbox/state` shows it."""
        return {"id": self.id, "user": self.user, "title": self.title, "card": self.card, "origin": self.origin}


@dataclass(kw_only=True, slots=True)
class Notice:
    """What the client tells one person beside the messages: an answer to a click, or that it went wrong."""

    id: str
    user: str
    text: str
    is_error: bool
    message: str = ""

    def as_json(self) -> Json:
        """Return it as `GET /sandbox/state` shows it."""
        return {"id": self.id, "user": self.user, "text": self.text, "is_error": self.is_error, "message": self.message}
