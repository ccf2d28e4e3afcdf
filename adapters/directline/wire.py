"""Activities as Direct Line writes them <-> events and entries as the core knows them. Pure.

https://github.com/microsoft/botframework-sdk/blob/main/specs/botframework-activity/botframework-activity.md
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.directline.errors import bad
from bridge.conversation import Entry, EntryKind
from bridge.ids import ConversationId, Millis

Json = dict[str, Any]

MAX_ID_CHARS = 128

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


def frame(activities: Sequence[Json], watermark: int | None = None) -> str:
    """Return one frame of the stream; without a watermark for what is not stored."""
    document: Json = {"activities": list(activities)}
    if watermark is not None:
        document["watermark"] = str(watermark)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
