"""The state of the sandbox workspace and what can happen to it. Pure: no I/O, the clock is passed in.

Every mutation does two things at most: it announces a Slack event (``on_event``) and a change for the page and the
tests (``on_change``, given a function that describes the change, called at once or never: describing the root of a long
thread is dear, and often nobody looks). Both callbacks are plain functions that must not block.
"""

import secrets
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from adapters.sandbox.slack import payloads
from adapters.sandbox.slack.compose import Directory, mentioned
from adapters.sandbox.slack.people import APP_ID, BOT_USER, Cast, Person, UserGroup
from adapters.sandbox.slack.records import Change, Channel, Ephemeral, Json, Message, SlackError, StoredFile

TOMBSTONE = "This message was deleted."


def _ignore(_: object) -> None:
    """Nobody listens yet."""


@dataclass(kw_only=True, slots=True)
class Draft:
    """A message that is about to be posted, by a person or by an app."""

    text: str
    thread_ts: str | None = None
    broadcast: bool = False
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    username: str | None = None
    icons: Json | None = None
    files: list[StoredFile] = field(default_factory=list)


class Workspace:
    """Channels, people and messages of one team."""

    def __init__(self, cast: Cast, *, now: Callable[[], float]) -> None:
        """Start with the people and channels of ``cast``. ``now`` returns seconds since the epoch."""
        self.now = now
        self.base_url = ""
        self.on_event: Callable[[Json], None] = _ignore
        self.on_change: Callable[[Change], None] = _ignore
        self.people: dict[str, Person] = {person.id: person for person in cast.people}
        self.groups: dict[str, UserGroup] = {group.id: group for group in cast.groups}
        self.channels: dict[str, Channel] = {
            room.id: Channel(
                id=room.id,
                name=room.name,
                topic=room.topic,
                members=list(room.members),
                is_private=room.is_private,
                is_ext_shared=room.is_ext_shared,
                created=int(now()),
            )
            for room in cast.rooms
        }
        self.files: dict[str, StoredFile] = {}
        self.ephemerals: list[Ephemeral] = []
        self.statuses: dict[tuple[str, str], str] = {}
        self._last_ts_us = 0

    def next_ts(self) -> str:
        """Mint a message timestamp: unique and growing in this workspace."""
        self._last_ts_us = max(int(self.now() * 1_000_000), self._last_ts_us + 1)
        return f"{self._last_ts_us // 1_000_000}.{self._last_ts_us % 1_000_000:06d}"

    def directory(self) -> Directory:
        """Return the names that the composer completes."""
        return Directory(
            users={person.name: person.id for person in self.people.values()},
            groups={group.handle: group.id for group in self.groups.values()},
            channels={channel.name: channel.id for channel in self.channels.values()},
        )

    def person(self, user: str) -> Person:
        """Return a person by id. Raises ``user_not_found``."""
        if user not in self.people:
            raise SlackError("user_not_found")
        return self.people[user]

    def channel(self, reference: str, *, seen_by: str | None = None) -> Channel:
        """Return a channel by id or name. Raises ``channel_not_found``, also for one that ``seen_by`` may not see."""
        name = reference.removeprefix("#")
        found = self.channels.get(reference) or next((c for c in self.channels.values() if c.name == name), None)
        if found is None or (found.is_private and seen_by is not None and seen_by not in found.members):
            raise SlackError("channel_not_found")
        return found

    def message(self, channel: Channel, ts: str) -> Message:
        """Return a message. Raises ``message_not_found``."""
        if ts not in channel.messages:
            raise SlackError("message_not_found")
        return channel.messages[ts]

    def post(self, channel: Channel, author: str, draft: Draft) -> Message:
        """Add a message. A thread whose root is gone takes no replies: the message lands in the channel, as Slack does.

        Raises ``not_in_channel``, ``is_archived``, ``cannot_reply_to_message``.
        """
        person = self.person(author)
        if author not in channel.members:
            raise SlackError("not_in_channel")
        if channel.is_archived:
            raise SlackError("is_archived")
        root = channel.messages.get(draft.thread_ts) if draft.thread_ts else None
        if root is not None and root.is_reply:
            raise SlackError("cannot_reply_to_message")
        message = self._message(channel, person, draft, root)
        channel.add(message)
        for file in draft.files:
            share: Json = {"ts": message.ts, "channel_name": channel.name, "team_id": message.team}
            file.shares.setdefault(channel.id, []).append(share | ({"thread_ts": root.ts} if root else {}))
        if person.is_bot and root is not None:
            self.set_status(channel, root.ts, "")
        self._announce_posted(channel, message, root)
        return message

    def _message(self, channel: Channel, person: Person, draft: Draft, root: Message | None) -> Message:
        subtype = None
        if draft.files:
            subtype = "file_share"
        elif draft.username or (person.is_bot and person.app_id != APP_ID):
            subtype = "bot_message"
        elif draft.broadcast and root is not None:
            subtype = "thread_broadcast"
        return Message(
            ts=self.next_ts(),
            channel=channel.id,
            text=draft.text,
            user=None if subtype == "bot_message" else person.id,
            team=person.team_id,
            thread_ts=root.ts if root else None,
            parent_user=root.user if root else None,
            blocks=draft.blocks,
            attachments=draft.attachments,
            bot_id=person.bot_id,
            app_id=person.app_id,
            bot_name=person.real_name,
            username=(draft.username or person.real_name) if subtype == "bot_message" else None,
            icons=draft.icons,
            subtype=subtype,
            metadata=draft.metadata,
            files=draft.files,
            client_msg_id=None if person.is_bot else _client_msg_id(),
        )

    def _announce_posted(self, channel: Channel, message: Message, root: Message | None) -> None:
        event = payloads.message_event(channel, message)
        if message.subtype == "thread_broadcast" and root is not None:
            event["root"] = channel.rendered(root)
        self.on_event(event)
        if message.bot_id is None and BOT_USER in mentioned(message.blocks):
            self.on_event(payloads.app_mention_event(message))
        for file in message.files:
            shared = {"type": "file_shared", "file_id": file.id, "user_id": file.user, "file": {"id": file.id}}
            self.on_event(shared | {"channel_id": channel.id, "event_ts": message.ts})
        self.announce_message(channel, message)

    def announce_message(self, channel: Channel, message: Message) -> None:
        """Tell the page about a message, and about its root, whose counts it changes."""
        self.on_change(
            lambda: {"kind": "message", "channel": channel.id, "message": channel.rendered(message, metadata=True)}
        )
        root = channel.messages.get(message.thread_ts or "")
        if root is not None and root is not message:
            self.on_change(
                lambda: {"kind": "message", "channel": channel.id, "message": channel.rendered(root, metadata=True)}
            )

    def edit(
        self, channel: Channel, message: Message, *, by: str, text: str, blocks: list[Json], is_marked: bool = True
    ) -> None:
        """Replace a message's words. ``is_marked`` is whether it shows as edited (an app's new blocks do not)."""
        before = deepcopy(channel.rendered(message, metadata=True))
        message.text, message.blocks = text, blocks
        event_ts = self.next_ts()
        if is_marked:
            message.edited = {"user": by, "ts": event_ts}
        self.announce_changed(channel, message, before=before, event_ts=event_ts)

    def announce_changed(self, channel: Channel, message: Message, *, before: Json, event_ts: str) -> None:
        """Send ``message_changed`` for a message whose earlier form was ``before``."""
        now = channel.rendered(message, metadata=True)
        self.on_event(payloads.changed_event(channel, now=now, before=before, event_ts=event_ts))
        self.announce_message(channel, message)

    def delete(self, channel: Channel, message: Message) -> None:
        """Delete a message. A root with replies stays as a tombstone and its thread lives on."""
        before = deepcopy(channel.rendered(message, metadata=True))
        event_ts = self.next_ts()
        if not message.is_reply and channel.replies(message.ts):
            message.subtype, message.text, message.user = "tombstone", TOMBSTONE, "USLACKBOT"
            message.blocks, message.files, message.bot_id, message.app_id = [], [], None, None
            message.username, message.metadata, message.edited, message.client_msg_id = None, None, None, None
            self.announce_changed(channel, message, before=before, event_ts=event_ts)
            return
        channel.remove(message)
        self.on_event(payloads.deleted_event(channel, before=before, event_ts=event_ts))
        self.on_change(lambda: {"kind": "message_deleted", "channel": channel.id, "ts": message.ts})
        root = channel.messages.get(message.thread_ts or "")
        if root is not None:
            self.announce_message(channel, root)

    def react(self, channel: Channel, message: Message, *, by: str, name: str) -> None:
        """Add an emoji reaction. Raises ``already_reacted``."""
        people = message.reactions.setdefault(name, [])
        if by in people:
            raise SlackError("already_reacted")
        people.append(by)
        self._announce_reaction("reaction_added", channel, message, by=by, name=name)

    def unreact(self, channel: Channel, message: Message, *, by: str, name: str) -> None:
        """Remove an emoji reaction. Raises ``no_reaction``."""
        people = message.reactions.get(name, [])
        if by not in people:
            raise SlackError("no_reaction")
        people.remove(by)
        if not people:
            del message.reactions[name]
        self._announce_reaction("reaction_removed", channel, message, by=by, name=name)

    def _announce_reaction(self, kind: str, channel: Channel, message: Message, *, by: str, name: str) -> None:
        item = {"type": "message", "channel": channel.id, "ts": message.ts}
        event: Json = {"type": kind, "user": by, "reaction": name, "item": item, "event_ts": self.next_ts()}
        self.on_event(event | ({"item_user": message.user} if message.user else {}))
        self.announce_message(channel, message)

    def join(self, channel: Channel, user: str) -> None:
        """Add a member. Does nothing for one."""
        if user in channel.members:
            return
        channel.members.append(user)
        self._announce_member("member_joined_channel", channel, user)

    def leave(self, channel: Channel, user: str) -> None:
        """Remove a member. Raises ``not_in_channel``."""
        if user not in channel.members:
            raise SlackError("not_in_channel")
        self._announce_member("member_left_channel", channel, user)
        channel.members.remove(user)
        self.announce_channel(channel)

    def _announce_member(self, kind: str, channel: Channel, user: str) -> None:
        event: Json = {
            "type": kind,
            "user": user,
            "channel": channel.id,
            "channel_type": "G" if channel.is_private else "C",
        }
        self.on_event(event | {"team": self.person(user).team_id, "event_ts": self.next_ts()})
        self.announce_channel(channel)

    def announce_channel(self, channel: Channel) -> None:
        """Tell the page about a channel's members, name or state."""
        self.on_change(
            lambda: {"kind": "channel", "channel": channel_object(channel, seen_by=BOT_USER), "id": channel.id}
        )

    def archive(self, channel: Channel, *, by: str) -> None:
        """Archive a channel."""
        channel.is_archived = True
        self.on_event({"type": "channel_archive", "channel": channel.id, "user": by, "event_ts": self.next_ts()})
        self.announce_channel(channel)

    def unarchive(self, channel: Channel, *, by: str) -> None:
        """Bring an archived channel back."""
        channel.is_archived = False
        self.on_event({"type": "channel_unarchive", "channel": channel.id, "user": by, "event_ts": self.next_ts()})
        self.announce_channel(channel)

    def share(self, channel: Channel, *, with_team: str) -> None:
        """Share a channel with another organisation (Slack Connect)."""
        channel.is_ext_shared = True
        event = {"type": "channel_shared", "connected_team_id": with_team, "channel": channel.id}
        self.on_event(event | {"event_ts": self.next_ts()})
        self.announce_channel(channel)

    def set_deleted(self, person: Person, *, deleted: bool) -> None:
        """Deactivate or reactivate an account."""
        person.deleted = deleted
        user = payloads.user_object(person, self.base_url)
        self.on_event(
            {"type": "user_change", "user": user, "cache_ts": int(self.now()), "event_ts": self.next_ts()},
        )
        self.on_change(lambda: {"kind": "person", "user": user})

    def whisper(self, ephemeral: Ephemeral) -> None:
        """Show a message to one person only."""
        self.ephemerals.append(ephemeral)
        self.on_change(lambda: {"kind": "ephemeral", "message": ephemeral.as_json()})

    def unwhisper(self, ts: str) -> None:
        """Take an ephemeral message away. Does nothing where it is gone."""
        self.ephemerals = [ephemeral for ephemeral in self.ephemerals if ephemeral.ts != ts]
        self.on_change(lambda: {"kind": "ephemeral_deleted", "ts": ts})

    def set_status(self, channel: Channel, thread_ts: str, status: str) -> None:
        """Show "<app> <status>" under a thread; an empty status clears it."""
        if self.statuses.get((channel.id, thread_ts), "") == status:
            return
        self.statuses[channel.id, thread_ts] = status
        self.on_change(lambda: {"kind": "status", "channel": channel.id, "thread_ts": thread_ts, "status": status})


def _client_msg_id() -> str:
    digits = secrets.token_hex(16)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def channel_object(channel: Channel, *, seen_by: str) -> Json:
    """Return the channel object. Shape: https://docs.slack.dev/reference/objects/conversation-object."""
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_general": False,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": False,
        "is_pending_ext_shared": False,
        "is_member": seen_by in channel.members,
        "num_members": len(channel.members),
        "members": list(channel.members),
        "created": channel.created,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }
