"""Teams' activities -> what happened, or None for what is not ours to handle. Pure.

Shapes: https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference and
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-messages. The tenant is that
of
`channelData`, as `conversation.tenantId` is not always there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.teams import html, inputs
from adapters.teams.activity import Account, Activity, ChannelData, Place
from adapters.teams.refs import source_id, split_thread, thread_id
from bridge.ids import Millis, SourceId

Json = Mapping[str, Any]

SPOKEN_EDITS = frozenset({"editMessage", "undeleteMessage"})
EXECUTE = "adaptiveCard/action"
FETCH = "composeExtension/fetchTask"
SUBMIT = "composeExtension/submitAction"
RETURN_COMMAND = "returnToAgent"
SEND_COMMAND = "sendToCustomer"
_COMMAND = re.compile(r"(?is)\A\s*/?(return|rehearse)(?![\w-])[\s:,-]*(.*)\Z")
_TRANSFER = re.compile(r"(?is)\A\s*/?transfer(?![\w-])(?:\s+to(?![\w-]))?[\s:,-]*(.*)\Z")
_SLASH = re.compile(r"(?is)\A\s*/(return|rehearse)(?![\w-])[\s:,-]*(.*)\Z")
_SLIP = re.compile(
    r"(?i)\A\s*/?(retur\w{0,2}|retrun|reutrn|rteurn|reurn|retunr|etrun|rehears\w{0,2}|rehers\w{0,2}|transfer|help|status|take|close|release)\b"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What somebody asks of the bridge with a note: `return` or `rehearse`."""

    name: str
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """Where it happened, and who did it. `person` is Entra's object id, `account` the one that Teams mentions."""

    source: SourceId
    at: Millis
    tenant: str
    team: str
    conversation: str
    channel: str
    root: str
    activity: str
    person: str
    account: str
    bot: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken(Where):
    """A message in a thread, new or as it now reads."""

    reading: html.Reading
    images: tuple[tuple[str, str], ...]
    """(address, name) of images within it."""
    is_bot: bool
    edited: bool = False
    restored: bool = False
    """It had been deleted, and is there again."""

    def hints(self, *, hears_all: bool, home: bool) -> frozenset[str]:
        """Return the facts that decide who may hear it.

        Where only mentions reach us, mentioning the bot is how one speaks; it is a slip only before what looks like a
        command. Where every message does, a mention is meant for the bot.
        """
        slip = bool(_SLIP.match(self.reading.after_mention or ""))
        there = {
            "mentions_person": bool(self.reading.people),
            "mentions_bridge": self.reading.bridge and (hears_all or slip),
            "is_bot": self.is_bot,
            "is_foreign": not home,
            "is_broadcast_mention": self.reading.everyone,
            "is_quote": self.reading.quotes,
        }
        return frozenset(name for name, holds in there.items() if holds)

    @property
    def command(self) -> Command | None:
        """What `@bridge return` or a typed `/return` asks for, or the same with `rehearse`; None if it is neither."""
        if self.reading.after_mention is not None:
            return _command(_COMMAND.match(self.reading.after_mention))
        return _command(_SLASH.match(self.reading.plain))

    @property
    def transfer(self) -> str | None:
        """What follows `@bridge transfer` or `@bridge transfer to`, without the mention of a colleague; None if it is
        not that.
        """
        match = _TRANSFER.match(self.reading.after_mention or "")
        return match.group(1).strip() if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Targeted(Where):
    """A private message of one person to the bot: a slash command. No customer ever sees it."""

    words: str

    @property
    def command(self) -> Command | None:
        """What it asks for; None for a command that is not known."""
        return _command(_COMMAND.match(self.words))


def _command(match: re.Match[str] | None) -> Command | None:
    return Command(name=match.group(1).lower(), note=match.group(2).strip()) if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone(Where):
    """A message in a thread was deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Click(Where):
    """A button of a card of ours. `inline`: who pressed waits for the answer to this very request."""

    verb: str
    handoff: str
    target: int | None
    key: str
    values: Mapping[str, str]
    card: str
    inline: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose(Where):
    """The message extension, opened (`submitted` is False) or sent off."""

    command: str
    message: str
    """The message in whose menu it was chosen."""
    submitted: bool
    handoff: str
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved(Where):
    """Something about the installation, the team, its channels or members. `event` is Teams' own name of it."""

    event: str
    team_name: str
    aad_group: str
    channel_name: str
    selected_channel: str
    selected_name: str
    is_us: bool
    members: tuple[str, ...]
    bot_name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked(Where):
    """An invoke of another kind: it has to be answered, and means nothing here."""

    name: str


Happened = Spoken | Targeted | Gone | Click | Compose | Moved | Asked


def read(activity: Activity, now: Millis) -> Happened | None:
    """Return what happened; None for reactions, typing and whatever else has no meaning here."""
    if activity.recipient.is_targeted and activity.type != "message":
        return None
    match activity.type:
        case "message":
            return _message(activity, now)
        case "messageUpdate" if _event(activity) in SPOKEN_EDITS:
            return _spoken(activity, now, changed=True)
        case "messageDelete" if _event(activity) == "softDeleteMessage":
            return Gone(**_where(activity, now, "deleted", _stamp(activity)))
        case "invoke":
            return _invoke(activity, now)
        case "installationUpdate" | "conversationUpdate":
            return _moved(activity, now)
        case _:
            return None


def _event(activity: Activity) -> str:
    return (activity.channel_data and activity.channel_data.event_type) or ""


def _stamp(activity: Activity) -> str:
    return activity.timestamp.isoformat() if activity.timestamp else ""


def _where(activity: Activity, now: Millis, *kind: str) -> dict[str, Any]:
    conversation = activity.conversation.id or ""
    channel, root = split_thread(conversation)
    data = activity.channel_data
    at = Millis(min(round(activity.timestamp.timestamp() * 1000), now)) if activity.timestamp else now
    return {
        "source": source_id(activity.tenant, conversation, activity.id or _stamp(activity) or str(now), *kind),
        "at": at,
        "tenant": activity.tenant,
        "team": (data and data.team and data.team.id) or "",
        "conversation": conversation,
        "channel": channel,
        "root": root,
        "activity": activity.id or "",
        "person": activity.sender.aad_object_id or "",
        "account": activity.sender.id or "",
        "bot": activity.recipient.id or "",
    }


def _message(activity: Activity, now: Millis) -> Happened | None:
    if activity.recipient.is_targeted:
        reading = _reading(activity)
        words = reading.after_mention if reading.after_mention is not None else reading.plain
        return Targeted(**_where(activity, now, "targeted"), words=words)
    if isinstance(activity.value, Mapping) and not (activity.text or "").strip():
        return _click(activity, activity.value, now, inline=False)
    return _spoken(activity, now, changed=False)


def _spoken(activity: Activity, now: Millis, *, changed: bool) -> Spoken | None:
    if not activity.id:
        return None
    kind = (_event(activity), _stamp(activity)) if changed else ("said",)
    pictures = [
        (one.content_url or "", one.name or "image")
        for one in activity.attachments or []
        if (one.content_type or "").startswith("image/")
    ]
    return Spoken(
        **_where(activity, now, *kind),
        reading=_reading(activity),
        images=tuple((url, name) for url, name in pictures if url),
        is_bot=activity.sender.role == "bot" or not activity.sender.aad_object_id,
        edited=_event(activity) == "editMessage",
        restored=_event(activity) == "undeleteMessage",
    )


def _reading(activity: Activity) -> html.Reading:
    rich = next((one.content for one in activity.attachments or [] if one.content_type == "text/html"), None)
    return html.read(
        html=rich if isinstance(rich, str) and rich.strip() else None,
        text=activity.text or "",
        mentions=[
            html.Mention(id=_mentioned(one.mentioned), name=html.name_of(one.text or one.mentioned.name or ""))
            for one in activity.entities or []
            if one.type == "mention" and one.mentioned is not None
        ],
        bot=activity.recipient.id or "",
    )


def _mentioned(account: Account) -> str:
    return account.id or account.aad_object_id or ""


def _invoke(activity: Activity, now: Millis) -> Happened:
    value = activity.value if isinstance(activity.value, Mapping) else {}
    if activity.name == EXECUTE:
        action = value.get("action")
        found = _click(activity, action if isinstance(action, Mapping) else {}, now, inline=True)
        return found or Asked(**_where(activity, now, "asked"), name=EXECUTE)
    if activity.name in {FETCH, SUBMIT}:
        data, payload = value.get("data"), value.get("messagePayload")
        fields = data if isinstance(data, Mapping) else {}
        return Compose(
            **_in_thread(_where(activity, now, "compose"), payload),
            command=str(value.get("commandId") or ""),
            message=_text(payload.get("id")) if isinstance(payload, Mapping) else "",
            submitted=activity.name == SUBMIT,
            handoff=_text(fields.get(inputs.HANDOFF)),
            values=_values(fields),
        )
    return Asked(**_where(activity, now, "asked"), name=activity.name or "")


def _in_thread(where: dict[str, Any], payload: object) -> dict[str, Any]:
    """Complete a conversation without its root by the message that was acted on, as Teams shows it."""
    message = payload if isinstance(payload, Mapping) else {}
    root = _text(message.get("replyToId")) or _text(message.get("id"))
    if where["root"] or not root or not where["channel"]:
        return where
    return {**where, "root": root, "conversation": thread_id(where["channel"], root)}


def _click(activity: Activity, action: Json, now: Millis, *, inline: bool) -> Click | None:
    """Read `Action.Execute`, whose verb stands beside its data, and `Action.Submit`, which has data alone."""
    data = action.get("data") if inline else action
    fields: Json = data if isinstance(data, Mapping) else {}
    verb = _text(action.get("verb")) if inline else _text(fields.get(inputs.VERB))
    if not verb:
        return None
    target = fields.get(inputs.TARGET)
    return Click(
        **_where(activity, now, "click", verb),
        verb=verb,
        handoff=_text(fields.get(inputs.HANDOFF)),
        target=target if isinstance(target, int) and not isinstance(target, bool) else None,
        key=_text(fields.get(inputs.KEY)),
        values=_values(fields),
        card=activity.reply_to_id or "",
        inline=inline,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _values(fields: Json) -> dict[str, str]:
    return {str(name): value for name, value in fields.items() if isinstance(value, str)}


def _moved(activity: Activity, now: Millis) -> Moved:
    data = activity.channel_data or ChannelData()
    installed = activity.type == "installationUpdate"
    changed = [*(activity.members_added or []), *(activity.members_removed or [])]
    team, channel = data.team or Place(), data.channel or Place()
    selected = (data.settings and data.settings.selected_channel) or Place()
    event = f"install/{activity.action or ''}" if installed else _event(activity)
    if not installed and not event and changed:
        event = "teamMemberAdded" if activity.members_added else "teamMemberRemoved"
    where = _where(activity, now, event, _stamp(activity))
    return Moved(
        **{**where, "channel": channel.id or where["channel"]},
        event=event,
        team_name=team.name or "",
        aad_group=team.aad_group_id or "",
        channel_name=channel.name or "",
        selected_channel=selected.id or "",
        selected_name=selected.name or "",
        is_us=installed or any(one.id == activity.recipient.id for one in changed),
        members=tuple(one.aad_object_id for one in changed if one.aad_object_id),
        bot_name=activity.recipient.name or "",
    )
