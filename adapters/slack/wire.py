"""Slack's payloads -> what happened, or None for what is not ours to handle. Pure.

Shapes: https://docs.slack.dev/reference/events/message, https://docs.slack.dev/reference/interaction-payloads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.slack import text as slack_text
from adapters.slack.refs import millis, source_id
from adapters.slack.render import FOLLOWED, METADATA_TYPE
from bridge.ids import Millis, SourceId

Json = Mapping[str, Any]

SPOKEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})
COMMANDS = ("return", "rehearse")
_COMMAND = re.compile(rf"(?is)\A\s*({'|'.join(COMMANDS)})(?![\w-])[\s:,-]*(.*)\Z")
_TS = re.compile(r"\A\d{1,12}\.\d{1,6}\Z")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class SlackFile(_Model):
    """A file as a message carries it (https://docs.slack.dev/reference/objects/file-object)."""

    id: str
    name: str | None = None
    title: str | None = None
    mimetype: str | None = None
    size: int | None = None
    mode: str | None = None
    url_private: str | None = None
    url_private_download: str | None = None
    file_access: str | None = None


class Edited(_Model):
    """When a message was last edited."""

    ts: str


class Message(_Model):
    """A message, bare or inside message_changed and message_deleted."""

    type: str | None = None
    subtype: str | None = None
    ts: str | None = None
    thread_ts: str | None = None
    parent_user_id: str | None = None
    user: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    text: str | None = None
    blocks: list[dict[str, Any]] | None = None
    attachments: list[dict[str, Any]] | None = None
    files: list[SlackFile] | None = None
    edited: Edited | None = None
    metadata: dict[str, Any] | None = None
    user_team: str | None = None
    team: str | None = None


class MessageEvent(Message):
    """A `message` or `app_mention` event."""

    channel: str
    event_ts: str | None = None
    deleted_ts: str | None = None
    message: Message | None = None
    previous_message: Message | None = None


class Authorization(_Model):
    """Whose installation an event is delivered for."""

    team_id: str | None = None
    user_id: str | None = None
    is_bot: bool = False


class EventBody(_Model):
    """What wraps every event."""

    team_id: str
    api_app_id: str | None = None
    event: dict[str, Any]
    event_id: str | None = None
    event_time: int | None = None
    authorizations: list[Authorization] = Field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Me:
    """What marks a message as the app's own, as far as it is known."""

    team: str
    bot_user: str = ""
    bot_id: str = ""
    app_id: str = ""

    def began(self, happened: "Heard") -> bool | None:
        """Tell whether the app itself began the thread; None if nothing says who did."""
        if not happened.parent or not self.bot_user:
            return None
        return happened.parent in {self.bot_user, self.bot_id}

    def wrote(self, message: Message) -> bool:
        """Tell whether the app itself wrote this message."""
        return bool(
            (self.app_id and message.app_id == self.app_id)
            or (self.bot_id and message.bot_id == self.bot_id)
            or (self.bot_user and message.user == self.bot_user)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """Something in a channel. `root_ts` names the thread, `ts` the message."""

    source: SourceId
    at: Millis
    channel: str
    root_ts: str
    ts: str
    parent: str = ""
    """Who began the thread, where Slack says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken(Heard):
    """A person's (or another bot's) message in a thread, new or as it now reads."""

    user: str
    message: Message
    hints: frozenset[str]
    mentioned: frozenset[str]
    edited: bool = False
    command: str = ""
    """Which of COMMANDS it asks of the bridge by name, as in `@bridge return ...`."""

    def markdown(self, names: Mapping[str, str]) -> str:
        """Return it as Markdown for customers."""
        return slack_text.markdown(self.message.blocks, self.message.text or "", names)

    def note(self, names: Mapping[str, str]) -> str:
        """Return what follows the command."""
        match = _COMMAND.match(_after_mention(self.message, names))
        return match.group(2).strip() if match else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone(Heard):
    """A message in a thread was deleted. `user` is its author; Slack does not say who deleted it."""

    user: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnEcho(Heard):
    """The app's own post, seen from outside."""

    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftChannel:
    """A person is no longer in a channel."""

    source: SourceId
    at: Millis
    channel: str
    user: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonChanged:
    """A person's profile changed; `gone`: deactivated, or now a guest."""

    source: SourceId
    at: Millis
    user: str
    gone: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedChannel:
    """A person is now in a channel."""

    channel: str
    user: str


Happened = Spoken | Gone | OwnEcho | LeftChannel | PersonChanged | JoinedChannel


def read_event(body: Json, me: Me) -> Happened | None:
    """Return what an `event_callback` says, or None: not ours, unreadable, or without meaning for the bridge."""
    try:
        wrapped = EventBody.model_validate(body)
        match wrapped.event.get("type"):
            case "message" | "app_mention":
                return read_message(MessageEvent.model_validate(wrapped.event), me)
            case "member_left_channel":
                return _left(wrapped, me)
            case "member_joined_channel":
                return JoinedChannel(channel=str(wrapped.event["channel"]), user=str(wrapped.event["user"]))
            case "user_change":
                return _person(wrapped, me)
            case _:
                return None
    except (ValidationError, KeyError, ValueError, TypeError):
        return None


def identity_of(body: Json, team: str = "", bot_user: str = "", bot_id: str = "") -> Me:
    """Return who we are: what auth.test said, completed by what the delivery itself says."""
    if team and bot_user:
        app_id = body.get("api_app_id")
        return Me(team=team, bot_user=bot_user, bot_id=bot_id, app_id=app_id if isinstance(app_id, str) else "")
    try:
        wrapped = EventBody.model_validate(body)
    except ValidationError:
        return Me(team=team, bot_user=bot_user, bot_id=bot_id)
    ours = next((auth for auth in wrapped.authorizations if auth.is_bot), None)
    return Me(
        team=team or (ours.team_id if ours and ours.team_id else wrapped.team_id),
        bot_user=bot_user or (ours.user_id if ours and ours.user_id else ""),
        bot_id=bot_id,
        app_id=wrapped.api_app_id or "",
    )


def read_message(event: MessageEvent, me: Me) -> Happened | None:
    """Return what a message event says. Raises ValueError for a `ts` that is none."""
    if event.subtype == "message_changed":
        return _changed(event, me)
    if event.subtype == "message_deleted":
        return _deleted(event.channel, event.deleted_ts, event.previous_message, event.event_ts, me)
    if not event.ts or not _TS.match(event.ts):
        return None
    if me.wrote(event):
        return _echo(event, me)
    if not event.thread_ts or event.thread_ts == event.ts:
        return None
    if event.subtype not in SPOKEN and event.subtype != "bot_message":
        return None
    return _spoken(event, event.channel, me, source_id(me.team, event.channel, event.ts, "said"), millis(event.ts))


def _spoken(message: Message, channel: str, me: Me, source: SourceId, at: Millis, *, edited: bool = False) -> Spoken:
    mentioned = slack_text.mentions(message.blocks, message.text or "")
    hints = {name for name, there in _hints(message, mentioned, me).items() if there}
    by_name = bool(me.bot_user) and me.bot_user in mentioned and not message.bot_id
    asked = _COMMAND.match(_after_mention(message, {})) if by_name else None
    return Spoken(
        source=source,
        at=at,
        channel=channel,
        root_ts=str(message.thread_ts),
        ts=str(message.ts),
        parent=message.parent_user_id or "",
        user=message.user or message.bot_id or "",
        message=message,
        hints=frozenset(hints),
        mentioned=mentioned,
        edited=edited,
        command=asked.group(1).lower() if asked else "",
    )


def _hints(message: Message, mentioned: frozenset[str], me: Me) -> dict[str, bool]:
    shared = any(
        item.get("is_share") or item.get("is_msg_unfurl") or item.get("message_blocks")
        for item in message.attachments or []
    )
    foreign = message.user_team or message.team
    return {
        "mentions_person": bool(mentioned - {me.bot_user}),
        "mentions_bridge": bool(me.bot_user) and me.bot_user in mentioned,
        "is_bot": bool(message.bot_id) or message.subtype == "bot_message" or not message.user,
        "is_foreign": bool(foreign and me.team and foreign != me.team),
        "is_broadcast_mention": any(one.startswith("!") for one in mentioned),
        "is_quote": shared,
        "is_broadcast": message.subtype == "thread_broadcast",
    }


def _after_mention(message: Message, names: Mapping[str, str]) -> str:
    """Return what follows a mention that opens the message, as bare text."""
    rich = slack_text.rich_blocks(message.blocks)
    if not rich:
        _, opened, tail = (message.text or "").partition(">")
        return slack_text.plain(None, tail, names) if opened and (message.text or "").lstrip().startswith("<@") else ""
    first = [dict(element) for element in rich[0].get("elements") or [] if isinstance(element, Mapping)]
    leaves = [leaf for leaf in (first[0].get("elements") or [] if first else []) if isinstance(leaf, Mapping)]
    while leaves and leaves[0].get("type") == "text" and not str(leaves[0].get("text")).strip():
        leaves.pop(0)
    if not leaves or leaves[0].get("type") != "user":
        return ""
    rest = [{"type": "rich_text", "elements": [{**first[0], "elements": leaves[1:]}, *first[1:]]}, *rich[1:]]
    return slack_text.plain(rest, "", names)


def _echo(event: MessageEvent, me: Me) -> OwnEcho | None:
    """Our own post, unless files follow it: then its echo proves too little to settle anything."""
    key = ""
    if event.metadata and event.metadata.get("event_type") == METADATA_TYPE:
        payload = event.metadata.get("event_payload")
        key = str(payload.get("k") or "") if isinstance(payload, Mapping) else ""
    if not key and event.blocks:
        key = str(event.blocks[0].get("block_id") or "")
    if not key or not event.ts or key.startswith(FOLLOWED):
        return None
    return OwnEcho(
        source=source_id(me.team, event.channel, event.ts, "echo"),
        at=millis(event.ts),
        channel=event.channel,
        root_ts=event.thread_ts or event.ts,
        ts=event.ts,
        key=key,
    )


def _changed(event: MessageEvent, me: Me) -> Happened | None:
    """An edit by a person. Slack says message_changed too when it unfurls a link or detects a language."""
    now, before = event.message, event.previous_message
    ts = now.ts if now else None
    if now is None or not ts or not _TS.match(ts) or me.wrote(now) or (before and me.wrote(before)):
        return None
    if now.subtype == "tombstone":
        return _deleted(event.channel, ts, before, event.event_ts, me)
    thread = now.thread_ts or (before.thread_ts if before else None)
    if not thread or thread == ts or (now.subtype not in SPOKEN and now.subtype != "bot_message"):
        return None
    now = now.model_copy(update={"thread_ts": thread})
    edited_ts = now.edited.ts if now.edited else None
    is_new = edited_ts is not None and (before is None or before.edited is None or before.edited.ts != edited_ts)
    same = before is not None and _reads(now) == _reads(before)
    if same or not (is_new or before is not None):
        return None
    mark = edited_ts or event.event_ts or ts
    return _spoken(
        now, event.channel, me, source_id(me.team, event.channel, ts, "edited", mark), millis(mark), edited=True
    )


def _reads(message: Message) -> tuple[str, frozenset[str]]:
    files = frozenset(file.id for file in message.files or [] if file.mode != "tombstone")
    return slack_text.markdown(message.blocks, message.text or "", {}), files


def _deleted(channel: str, ts: str | None, before: Message | None, event_ts: str | None, me: Me) -> Gone | None:
    if not ts or not _TS.match(ts) or before is None or me.wrote(before):
        return None
    if not before.thread_ts or before.thread_ts == ts:
        return None
    return Gone(
        source=source_id(me.team, channel, ts, "deleted"),
        at=millis(event_ts or ts),
        channel=channel,
        root_ts=before.thread_ts,
        ts=ts,
        parent=before.parent_user_id or "",
        user=before.user or before.bot_id or "",
    )


def _moment(wrapped: EventBody) -> tuple[str, Millis]:
    stamp = str(wrapped.event.get("event_ts") or f"{wrapped.event_time or 0}.0")
    return stamp, millis(stamp)


def _left(wrapped: EventBody, me: Me) -> LeftChannel:
    stamp, at = _moment(wrapped)
    channel, user = str(wrapped.event["channel"]), str(wrapped.event["user"])
    return LeftChannel(source=source_id(me.team, channel, user, "left", stamp), at=at, channel=channel, user=user)


def _person(wrapped: EventBody, me: Me) -> PersonChanged:
    person = wrapped.event["user"]
    stamp, at = _moment(wrapped)
    user = str(person["id"])
    gone = bool(person.get("deleted") or person.get("is_restricted") or person.get("is_ultra_restricted"))
    return PersonChanged(source=source_id(me.team, user, "changed", stamp), at=at, user=user, gone=gone)
