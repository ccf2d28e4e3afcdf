"""Activities as Direct Line writes them <-> events and entries as the core knows them. Pure.

https://github.com/microsoft/botframework-sdk/blob/main/specs/botframework-activity/botframework-activity.md
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.directline.errors import bad
from adapters.directline.markdown import harmless, plain
from bridge.conversation import Entry, EntryKind, FileRef, Role, Stream
from bridge.ids import ConversationId, Millis, TurnId

Json = dict[str, Any]

MAX_ID_CHARS = 128

_ATTEMPT_STEP = 1_000_000
"""Keeps the chunks of a later attempt behind those of an earlier one in the same stream."""
_LAG_MS = 60_000
"""More than any hint can be late."""

# What of a posted activity goes back as it came. The rest is ours to say (from, id, timestamp, attachments), or could
# carry what only bots may show (cards, suggested actions).
_KEPT = (
    "channelData",
    "entities",
    "locale",
    "localTimestamp",
    "localTimezone",
    "name",
    "textFormat",
    "value",
    "valueType",
)


# --- in


def _none_is_empty(value: Any) -> Any:
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_none_is_empty)]


class PostedAttachment(BaseModel):
    """A file as an activity names it; its bytes come beside it (upload), or inside it (a `data:` address)."""

    model_config = ConfigDict(populate_by_name=True)

    content_type: Text = Field(default="", alias="contentType", max_length=200)
    content_url: Text = Field(default="", alias="contentUrl")
    name: Text = Field(default="", max_length=1000)


class PostedActivity(BaseModel):
    """One activity of a customer. Fields that nobody reads are ignored."""

    model_config = ConfigDict(populate_by_name=True)

    type: str = Field(min_length=1, max_length=64)
    text: Text = ""
    name: Text = Field(default="", max_length=200)
    value: Any = None
    attachments: list[PostedAttachment] | None = Field(default=None, max_length=50)
    channel_data: Any = Field(default=None, alias="channelData")
    raw: Json = Field(default_factory=dict, exclude=True)

    @property
    def client_activity_id(self) -> str | None:
        """The id that Web Chat gave to this attempt to send. A retry by the customer has another one."""
        data = self.channel_data
        made = data.get("clientActivityID") if isinstance(data, dict) else None
        return made if isinstance(made, str) and 0 < len(made) <= 128 else None

    def kept(self) -> Json:
        """Return what the echo needs beside text, files and what the server says itself."""
        return {key: self.raw[key] for key in _KEPT if key in self.raw}

    def said(self) -> str:
        """Return what people read. A card's button that sends only a value is shown by its fields."""
        if self.text or self.value is None:
            return self.text.replace("\x00", "")
        if isinstance(self.value, dict):
            return "\n".join(f"{key}: {_shown(value)}" for key, value in self.value.items()).replace("\x00", "")
        return _shown(self.value).replace("\x00", "")

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Return what the page claims about the customer (`pvaSetContext`): flat, scalar, limited."""
        if not isinstance(self.value, dict):
            return {}
        scalars = {str(k)[:64]: v for k, v in self.value.items() if isinstance(v, str | int | float | bool)}
        return {k: v[:1024] if isinstance(v, str) else v for k, v in list(scalars.items())[:50]}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parse_activity(body: bytes) -> PostedActivity:
    """Read a posted activity. Raises DirectLineError (400) that says what is wrong with it."""
    document = parse_object(body)
    try:
        # A number that JSON cannot say (1e999) or half a surrogate pair would spoil every later replay of it.
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
        activity = PostedActivity.model_validate(document)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, problem["loc"])) or "activity" for problem in error.errors()[:3])
        raise bad(f"This is no activity; look at: {where}.") from None
    except (ValueError, RecursionError):
        raise bad("The activity holds a number or a character that JSON cannot carry.") from None
    return activity.model_copy(update={"raw": document})


def parse_object(body: bytes) -> Json:
    """Read a JSON object; an empty body is an empty object. Raises DirectLineError (400)."""
    if not body.strip():
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise bad("The body is not JSON in UTF-8.") from None
    if not isinstance(document, dict):
        raise bad("The body is not a JSON object.")
    return document


def user_of(document: Json) -> tuple[str, str]:
    """Return (id, name) of `user`, each "" if not given. Capitals are accepted: published samples use them.

    Raises DirectLineError (400) for an id that would have to be changed: two customers must never become one.
    """
    user = document.get("user", document.get("User"))
    if not isinstance(user, dict):
        return "", ""
    lowered = {str(key).lower(): value for key, value in user.items()}
    user_id = lowered.get("id")
    if user_id not in (None, "") and (not isinstance(user_id, str) or one_line(user_id, MAX_ID_CHARS) != user_id):
        raise bad(f"The user's id is not a string of at most {MAX_ID_CHARS} printable characters.")
    return user_id or "", one_line(lowered.get("name"), 120)


def origins_of(document: Json) -> tuple[str, ...]:
    """Return `trustedOrigins`. Raises DirectLineError (400) for anything but a short list of origins."""
    origins = document.get("trustedOrigins", document.get("TrustedOrigins")) or []
    if not isinstance(origins, list) or len(origins) > 20 or not all(_is_origin(origin) for origin in origins):
        raise bad("trustedOrigins is not a list of at most 20 origins such as https://shop.example.")
    return tuple(origins)


def _is_origin(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200 and re.fullmatch(r"https?://[^/\s?#@]+", value) is not None


def one_line(value: Any, max_chars: int) -> str:
    """Return a string as one clean line of limited length; anything else as ""."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:max_chars]


def parse_watermark(raw: str | None) -> int:
    """Return the number that a watermark stands for; an empty or unknown one stands for the beginning."""
    return int(raw) if raw and re.fullmatch(r"[0-9]{1,15}", raw) else 0


# --- out


def activity_id(conversation: ConversationId, n: int) -> str:
    """Return the stable id of an entry's activity."""
    return f"{conversation}|{n:07d}"


def timestamp(at: Millis) -> str:
    """Return a time as activities hold it."""
    return datetime.fromtimestamp(at / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fold(entries: Sequence[Entry]) -> list[Entry]:
    """Apply edits and deletions to the entries of the same batch, so that a replay never shows what was taken back."""
    folded: dict[int, Entry] = {}
    for entry in entries:
        original = folded.get(entry.target) if entry.target is not None else None
        if original is not None and entry.kind is EntryKind.EDIT:
            folded[original.n] = replace(original, text=entry.text)
        elif original is not None and entry.kind is EntryKind.DELETE:
            folded[original.n] = replace(original, text="", files=(), named=False)
        else:
            folded[entry.n] = entry
    return list(folded.values())


def targets(entries: Sequence[Entry]) -> list[int]:
    """Return the entries that these change and that are not among them."""
    return [e.target for e in entries if e.target is not None and e.kind in (EntryKind.EDIT, EntryKind.DELETE)]


@dataclass(kw_only=True, slots=True)
class Screen:
    """One window's view of a conversation: makes activities of what is to be shown, in the order in which it is shown.

    A stream's id must be the same on every socket and must tell the streams of one turn apart; it is made of the turn
    and of the number of the last entry that ended an earlier stream of that turn.
    """

    conversation: ConversationId
    link: Callable[[FileRef], str]
    agent_name: str
    public_label: str
    bridge_name: str
    last_at: Millis = Millis(0)
    last_speaker: Role | None = None
    """Who of agent and operators the window showed speaking last."""
    _ended: dict[TurnId, int] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)

    def note(self, entry: Entry) -> None:
        """Take notice of an entry that this window has shown already."""
        self.last_at = max(self.last_at, entry.at)
        if entry.kind is EntryKind.LINE and entry.author.role in (Role.AGENT, Role.OPERATOR):
            self.last_speaker = entry.author.role
        if entry.turn is not None and entry.kind in (EntryKind.LINE, EntryKind.RETRACTION):
            self._begun.discard(self._stream_id(entry.turn))
            self._ended = {**self._ended, entry.turn: entry.n} if len(self._ended) < 32 else {entry.turn: entry.n}

    def activity(self, entry: Entry, original: Entry | None = None) -> Json | None:
        """Return the activity of an entry; None if it shows nothing. Edits and deletions need the entry they change."""
        if entry.kind in (EntryKind.EDIT, EntryKind.DELETE):
            shown = self._changed(entry, original) if original is not None else None
        elif entry.kind is EntryKind.RETRACTION:
            shown = self._final(self._message(entry, ""), entry) if entry.turn is not None else None
        elif entry.author.role is Role.CUSTOMER:
            shown = self._echo(entry)
        else:
            shown = self._final(self._message(entry, self._named(entry)), entry)
        self.note(entry)
        return shown

    def chunk(self, stream: Stream, at: Millis) -> Json | None:
        """Return the text so far of an open stream; None if there is nothing to show yet."""
        if not stream.open or not stream.text:
            return None
        stream_id = self._stream_id(stream.turn)
        sequence = (stream.attempt - 1) * _ATTEMPT_STEP + max(1, stream.seq)
        first = stream_id not in self._begun
        self._begun.add(stream_id)
        data: Json = {"streamType": "streaming", "streamSequence": sequence, "streamId": stream_id}
        return {
            "type": "typing",
            # The client knows a stream by the id of its first chunk, so each window's first chunk has that id.
            "id": stream_id if first else f"{stream_id}.{sequence}",
            "timestamp": timestamp(self.later(at)),
            "channelId": "directline",
            "conversation": {"id": self.conversation},
            "from": {"id": "agent", "name": self.agent_name, "role": "bot"},
            # What is being written must not be taken for more words of the person who spoke last.
            "text": self._headed(harmless(stream.text), self.agent_name, "AI", named=self.last_speaker != Role.AGENT),
            "textFormat": "markdown",
            "channelData": data,
        }

    def typing(self, name: str, activity: str, at: Millis) -> Json:
        """Return the hint that a person types."""
        return {
            "type": "typing",
            "id": activity,
            "timestamp": timestamp(self.later(at)),
            "channelId": "directline",
            "conversation": {"id": self.conversation},
            "from": {"id": _person_id(name), "name": one_line(name, 120), "role": "bot"},
        }

    def later(self, at: Millis) -> Millis:
        """Return the time for what is not stored: behind everything shown so far, and before everything that follows.

        Web Chat sorts by time. A chunk that was read before its retraction, and is shown after it, would stand again if it
        were stamped with the present.
        """
        return Millis(self.last_at + 1 if self.last_at else at - _LAG_MS)

    def _stream_id(self, turn: TurnId) -> str:
        return f"{self.conversation}|s{turn}.{self._ended.get(turn, 0)}"

    def _final(self, message: Json, entry: Entry) -> Json:
        if entry.turn is None:
            return message
        return {**message, "channelData": {"streamType": "final", "streamId": self._stream_id(entry.turn)}}

    def _message(self, entry: Entry, text: str) -> Json:
        name, who = self._speaker(entry)
        message: Json = {
            "type": "message",
            "id": activity_id(self.conversation, entry.n),
            "timestamp": timestamp(entry.at),
            "channelId": "directline",
            "conversation": {"id": self.conversation},
            "from": {"id": who, "name": name, "role": "bot"},
            "text": text,
            "textFormat": "markdown",
        }
        if entry.files:
            message["attachments"] = self._attachments(entry)
        return message

    def _speaker(self, entry: Entry) -> tuple[str, str]:
        name = one_line(entry.author.name, 120)
        if entry.author.role is Role.OPERATOR:
            return name, _person_id(name)
        # What the bridge takes back is the agent's.
        if entry.author.role is Role.AGENT or entry.kind is EntryKind.RETRACTION:
            return name or self.agent_name, "agent"
        return self.bridge_name, "bridge"

    def _named(self, entry: Entry) -> str:
        name, _ = self._speaker(entry)
        kind = self.public_label if entry.author.role is Role.OPERATOR else "AI"
        named = entry.named and bool(entry.text or entry.files)
        return self._headed(harmless(entry.text), name, kind, named=named)

    @staticmethod
    def _headed(text: str, name: str, kind: str, *, named: bool) -> str:
        return f"**{plain(name)}** · {plain(kind)}\n\n{text}".rstrip() if named and name else text

    def _echo(self, entry: Entry) -> Json:
        echo: Json = {
            **entry.data.get("activity", {}),
            "type": "message",
            "id": activity_id(self.conversation, entry.n),
            "timestamp": timestamp(entry.at),
            "channelId": "directline",
            "conversation": {"id": self.conversation},
            "from": {"id": entry.author.id, "name": entry.author.name, "role": "user"},
            "attachments": self._attachments(entry),
        }
        if not entry.data.get("value_only"):
            echo["text"] = entry.text
        return echo

    def _attachments(self, entry: Entry) -> list[Json]:
        return [self._attachment(file) for file in entry.files]

    def _attachment(self, file: FileRef) -> Json:
        address = self.link(file)
        attachment = {"contentType": file.media_type, "contentUrl": address, "name": file.name}
        # Without it Web Chat shows a customer's own picture as a mere file name.
        return {**attachment, "thumbnailUrl": address} if file.media_type.startswith("image/") else attachment

    def _changed(self, entry: Entry, original: Entry) -> Json:
        changed = fold([original, entry])[0]
        if original.author.role is Role.CUSTOMER:
            return self._echo(changed)
        # The text is final already; naming its stream again would need the log before it.
        return self._message(changed, self._named(changed))


def _person_id(name: str) -> str:
    """Return an id by which a person's hints and lines belong together, without giving away the desk's own id."""
    return "person-" + hashlib.sha256(one_line(name, 120).encode()).hexdigest()[:12]


def frame(activities: Sequence[Json], watermark: int | None = None) -> str:
    """Return one frame of the stream; without a watermark for what is not stored."""
    document: Json = {"activities": list(activities)}
    if watermark is not None:
        document["watermark"] = str(watermark)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
