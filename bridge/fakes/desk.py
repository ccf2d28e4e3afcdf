"""A desk in memory, as strict as a real one: it refuses what a vendor would, and remembers everything that left."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, Part
from bridge.conversation import Operator, Standing, Thread
from bridge.effects import OutKind
from bridge.errors import ThreadUnreadable
from bridge.ids import ChannelId, DeskName, Millis, OperatorId, OutKey, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused

FAKE_CAPABILITIES = Capabilities(
    text_max_chars=3_000, post_max_parts=15, post_max_chars=8_000, file_max_bytes=1024 * 1024
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """A message as the fake vendor holds it. `root` is None for a card."""

    ref: RemoteRef
    kind: OutKind
    channel: ChannelId
    root: RemoteRef | None
    key: OutKey
    at: Millis
    texts: tuple[str, ...] = ()
    card: Card | None = None
    parts: tuple[Part, ...] = ()
    transcript: Transcript | None = None
    edits: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One call that was made, with its outcome."""

    kind: OutKind
    thread: Thread
    outcome: Outcome
    key: OutKey | None = None
    ref: RemoteRef | None = None


@dataclass(kw_only=True)
class FakeDesk:
    """Implements `ports.Desk`. Nothing is deduplicated: a second post with the same key is a second message.

    `script` holds what the next sending calls answer, in order, as (outcome, applied): `applied` says whether the
    vendor did it all the same, as after a lost answer. An exception instead of an outcome is raised.
    """

    name: DeskName = DeskName("fake")
    capabilities: Capabilities = FAKE_CAPABILITIES
    script: list[tuple[Outcome | Exception, bool]] = field(default_factory=list)
    unreadable: ThreadUnreadable | None = None
    now: Millis = Millis(1_000)
    sent: list[Sent] = field(default_factory=list)
    messages: dict[RemoteRef, Posted] = field(default_factory=dict)
    uploads: list[tuple[RemoteRef, str]] = field(default_factory=list)
    """(post that it follows, name) of each file. After an answer that was lost nothing follows."""
    whispers: list[tuple[OperatorId, str]] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    _count: int = 0

    # --- ports.Desk

    async def open(self, thread: Thread, card: Card, key: OutKey) -> Outcome:
        return self._new(OutKind.CARD, thread, key, texts=(card.title, card.summary), card=card)

    async def refresh(self, thread: Thread, card: Card) -> Outcome:
        if thread.root is None:
            return self._note(OutKind.CARD, thread, _no_thread())
        return self._change(OutKind.CARD, thread, thread.root, texts=(card.title, card.summary), card=card)

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        self._check(parts)
        texts = tuple(part.text for part in parts)
        outcome = self._new(OutKind.POST, thread, key, texts=texts, parts=tuple(parts))
        return self._followed(parts, outcome)

    async def post_transcript(self, thread: Thread, transcript: Transcript, key: OutKey) -> Outcome:
        texts = tuple(entry.text for entry in transcript.lines)
        outcome = self._new(OutKind.TRANSCRIPT, thread, key, texts=texts, transcript=transcript)
        return self._followed(transcript, outcome)

    async def complete(self, thread: Thread, posted: Sequence[Part] | Transcript, ref: RemoteRef) -> Outcome:
        following = _following(posted)
        if following and self.unreadable is not None:
            raise self.unreadable
        missing = Counter(following) - Counter(name for post, name in self.uploads if post == ref)
        if not missing:
            return Delivered(ref=ref)
        answer, applied = self._next()
        if applied:
            self.uploads += [(ref, name) for name in missing.elements()]
        return answer or Delivered(ref=ref)

    async def edit(self, thread: Thread, ref: RemoteRef, part: Part) -> Outcome:
        self._check((part,))
        return self._change(OutKind.EDIT, thread, ref, texts=(part.text,), parts=(part,))

    async def delete(self, thread: Thread, ref: RemoteRef) -> Outcome:
        answer, applied = self._next()
        if applied:
            self.messages.pop(ref, None)
        return self._note(OutKind.DELETE, thread, answer or Delivered(), ref=ref)

    async def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        if self.unreadable is not None:
            raise self.unreadable
        for message in self.messages.values():
            if message.key == key and message.at >= since and message.root == thread.root:
                return message.ref
        return None

    def address(self, root: RemoteRef) -> str:
        return f"https://{self.name}.example/{root}"

    async def whisper(self, thread: Thread, operator: OperatorId, sentence: str) -> None:
        self.whispers.append((operator, sentence))

    async def typing(self, thread: Thread, name: str) -> None:
        self.typed.append(name)

    # --- what tests do to it

    def lose_root(self, root: RemoteRef) -> None:
        """Delete a card, as an administrator may."""
        self.messages.pop(root)

    def thread(self, root: RemoteRef) -> list[Posted]:
        """Return a thread's messages, its root first."""
        return [message for message in self.messages.values() if root in (message.ref, message.root)]

    # --- the vendor

    def _next(self) -> tuple[Outcome | None, bool]:
        if not self.script:
            return None, True
        answer, applied = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer, applied

    def _new(
        self,
        kind: OutKind,
        thread: Thread,
        key: OutKey,
        *,
        texts: tuple[str, ...],
        card: Card | None = None,
        parts: tuple[Part, ...] = (),
        transcript: Transcript | None = None,
    ) -> Outcome:
        if kind is not OutKind.CARD and thread.root is None:
            return self._note(kind, thread, _no_thread(), key=key)
        answer, applied = self._next()
        if not applied:
            return self._note(kind, thread, answer or _no_thread(), key=key)
        if kind is not OutKind.CARD and thread.root not in self.messages:
            return self._note(kind, thread, Delivered(landed_elsewhere=True), key=key)
        self._count += 1
        ref = RemoteRef(f"{thread.channel}:{self._count}")
        self.messages[ref] = Posted(
            ref=ref,
            kind=kind,
            channel=thread.channel,
            root=None if kind is OutKind.CARD else thread.root,
            key=key,
            at=self.now,
            texts=texts,
            card=card,
            parts=parts,
            transcript=transcript,
        )
        return self._note(kind, thread, answer or Delivered(ref=ref), key=key, ref=ref)

    def _followed(self, posted: Sequence[Part] | Transcript, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Delivered) and outcome.ref is not None:
            self.uploads += [(outcome.ref, name) for name in _following(posted)]
        return outcome

    def _change(
        self,
        kind: OutKind,
        thread: Thread,
        ref: RemoteRef,
        *,
        texts: tuple[str, ...],
        card: Card | None = None,
        parts: tuple[Part, ...] = (),
    ) -> Outcome:
        answer, applied = self._next()
        known = self.messages.get(ref)
        if known is None:
            gone = Refused(reason="message_not_found", remedy="The message is gone; the bridge goes on without it.")
            return self._note(kind, thread, gone, ref=ref)
        if applied:
            changed = replace(known, texts=texts, card=card, parts=parts, edits=known.edits + 1)
            self.messages[ref] = changed
        return self._note(kind, thread, answer or Delivered(), ref=ref)

    def _note(
        self,
        kind: OutKind,
        thread: Thread,
        outcome: Outcome,
        *,
        key: OutKey | None = None,
        ref: RemoteRef | None = None,
    ) -> Outcome:
        self.sent.append(Sent(kind=kind, thread=thread, outcome=outcome, key=key, ref=ref))
        return outcome

    def _check(self, parts: Sequence[Part]) -> None:
        """Raise ValueError for parts that the caller should have made fit."""
        limits = self.capabilities
        if not parts or len(parts) > limits.post_max_parts:
            raise ValueError(f"{len(parts)} parts in one post")
        if any(len(part.text) > limits.text_max_chars for part in parts):
            raise ValueError("a part is longer than the desk takes")
        if sum(len(part.text) for part in parts) > max(limits.post_max_chars, limits.text_max_chars):
            raise ValueError("a post is longer than the desk takes")


def _following(posted: Sequence[Part] | Transcript) -> list[str]:
    if isinstance(posted, Transcript):
        return [posted.file_name] if posted.earlier else []
    return [file.name for part in posted for file in part.files]


def _no_thread() -> Refused:
    return Refused(reason="no_thread", remedy="The card of this handoff has not reached the desk yet.")


@dataclass(kw_only=True)
class FakeRoster:
    """Implements `ports.Roster` from a table: (person, queue) or (person, "*") -> Operator; others are nobody."""

    people: dict[tuple[str, str], Operator] = field(default_factory=dict)
    asked: list[tuple[OperatorId, str]] = field(default_factory=list)
    silent: bool = False
    """Nobody can be verified: the vendor does not answer."""

    def add(self, person: str, name: str, *, queue: str = "*", standing: Standing = Standing.ALLOWED) -> Operator:
        """Make somebody known, and return them."""
        operator = Operator(id=OperatorId(person), name=name, standing=standing)
        self.people[person, queue] = operator
        return operator

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        self.asked.append((person, handoff_queue))
        if self.silent:
            return Operator(id=person, name="", why="The desk could not be asked who this is.")
        known = self.people.get((person, handoff_queue)) or self.people.get((person, "*"))
        return known or Operator(id=person, name="", why="This person is not known here.")
