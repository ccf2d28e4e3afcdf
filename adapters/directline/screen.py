"""What one window shows of a conversation: entries and streams -> activities. Pure.

https://github.com/microsoft/BotFramework-WebChat/blob/main/docs/LIVESTREAMING.md
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from adapters.directline.markdown import harmless, plain
from adapters.directline.wire import Json, activity_id, fold, one_line, timestamp
from bridge.conversation import Author, Entry, EntryKind, FileRef, Role, Stream
from bridge.ids import ConversationId, Millis, TurnId

_ATTEMPT_STEP = 1_000_000
"""Keeps the chunks of a later attempt behind those of an earlier one in the same stream."""
_LAG_MS = 60_000
"""More than any hint can be late."""


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
    resumed: bool = False
    """An earlier socket of this page may have shown the beginning of a stream; until the next stream has ended."""
    _last_n: int = 0
    _ended: dict[TurnId, int] = field(default_factory=dict)
    _begun: dict[str, int] = field(default_factory=dict)
    """Stream id -> number of the last entry shown when it began here."""
    _ends: dict[int, str] = field(default_factory=dict)
    """Number of a line -> the stream that it ended."""

    def note(self, entry: Entry) -> None:
        """Take notice of an entry that this window has shown already."""
        self.last_at = max(self.last_at, entry.at)
        self._last_n = entry.n
        if entry.kind is EntryKind.LINE and entry.author.role in (Role.AGENT, Role.OPERATOR):
            self.last_speaker = entry.author.role
        if entry.turn is not None and entry.kind in (EntryKind.LINE, EntryKind.RETRACTION):
            self._begun.pop(self._stream_id(entry.turn), None)
            self._ends = {**self._ends, entry.n: self._stream_id(entry.turn)} if len(self._ends) < 32 else {}
            self._ended = {**self._ended, entry.turn: entry.n} if len(self._ended) < 32 else {entry.turn: entry.n}

    def activities(self, entry: Entry, original: Entry | None = None) -> list[Json]:
        """Return the activities of an entry, none if it shows nothing. Changes need the entry that they change."""
        if entry.kind in (EntryKind.EDIT, EntryKind.DELETE):
            shown = self._changed(entry, original) if original is not None else []
        elif entry.kind is EntryKind.RETRACTION:
            shown = [self._retracted(entry, entry.turn)] if entry.turn is not None else []
        elif entry.author.role is Role.CUSTOMER:
            shown = [self._echo(entry)]
        elif entry.turn is not None:
            shown = self._ending(entry, entry.turn)
            self.resumed = False
        else:
            shown = [self._message(entry, self._named(entry))]
        self.note(entry)
        return shown

    def chunk(self, stream: Stream, at: Millis) -> Json | None:
        """Return the text so far of an open stream; None if there is nothing to show yet."""
        if not stream.open or not stream.text:
            return None
        stream_id = self._stream_id(stream.turn)
        sequence = (stream.attempt - 1) * _ATTEMPT_STEP + max(1, stream.seq)
        first = stream_id not in self._begun
        self._begun.setdefault(stream_id, self._last_n)
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

        Web Chat sorts by time. A chunk that was read before its retraction was committed, and is shown later, would
        stand again if it were stamped with the present.
        """
        return Millis(self.last_at + 1 if self.last_at else at - _LAG_MS)

    def _stream_id(self, turn: TurnId) -> str:
        return f"{self.conversation}|s{turn}.{self._ended.get(turn, 0)}"

    def _ending(self, entry: Entry, turn: TurnId) -> list[Json]:
        """Return the whole line of an agent, and what takes its half-written form off the page.

        Web Chat keeps a stream's bubble where it began. If somebody spoke meanwhile the line would stand above what it
        comes after, so then the bubble goes and the line comes anew, in its place in the log.
        """
        line, stream_id = self._message(entry, self._named(entry)), self._stream_id(turn)
        in_place = self._begun.get(stream_id, self._last_n) == self._last_n and not self.resumed
        if in_place:
            return [{**line, "channelData": {"streamType": "final", "streamId": stream_id}}]
        return [{**self._retracted(entry, turn), "id": f"{stream_id}.end"}, line]

    def _retracted(self, entry: Entry, turn: TurnId) -> Json:
        self.resumed = False
        data = {"streamType": "final", "streamId": self._stream_id(turn)}
        agent = Author(role=Role.AGENT, name=self.agent_name)
        return {**self._message(replace(entry, author=agent, files=()), ""), "channelData": data}

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
        if entry.author.role is Role.AGENT:
            return name or self.agent_name, "agent"
        return self.bridge_name, "bridge"

    def _named(self, entry: Entry) -> str:
        name, _ = self._speaker(entry)
        label = str(entry.data.get("label") or self.public_label)
        kind = label if entry.author.role is Role.OPERATOR else "AI"
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

    def _changed(self, entry: Entry, original: Entry) -> list[Json]:
        changed = fold([original, entry])[0]
        if original.author.role is Role.CUSTOMER:
            return [self._echo(changed)]
        message = self._message(changed, self._named(changed))
        if (stream_id := self._ends.get(original.n)) is None:
            return [message]
        # The new text names no stream; without an end of its own the stream's half-written text would stand again.
        end = {**self._message(replace(original, files=()), ""), "id": f"{stream_id}.end"}
        return [{**end, "channelData": {"streamType": "final", "streamId": stream_id}}, message]


def _person_id(name: str) -> str:
    """Return an id by which a person's hints and lines belong together, without giving away the desk's own id."""
    return "person-" + hashlib.sha256(one_line(name, 120).encode()).hexdigest()[:12]
