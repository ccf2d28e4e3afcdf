"""The ports: what the core asks of the world, and the contract of each call. Adapters implement them; `tests/contracts`
holds one
suite per port, run by the public fakes and the real adapters alike.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, Part
from bridge.conversation import (
    Conversation,
    Entry,
    FileRef,
    Handoff,
    Operator,
    Stream,
    Thread,
    TurnKind,
)
from bridge.effects import Receipt
from bridge.events import Event
from bridge.ids import (
    ConversationId,
    DeskName,
    FileId,
    HandoffId,
    Millis,
    OperatorId,
    OutKey,
    RemoteRef,
    SiteId,
    Ticket,
    TurnId,
)
from bridge.outcomes import Outcome

T = TypeVar("T")

# --- time


class Clock(Protocol):
    """Time as a parameter."""

    def now(self) -> Millis:
        """Return the time in UTC milliseconds. Never blocks; may stand still, never trusted to be monotonic."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Rest. Cancellable."""
        ...


# --- the door


class Receive(Protocol):
    """The one front door, as adapters see it (`switchboard.receive`)."""

    async def __call__(self, event: Event) -> Receipt:
        """Decide and keep, in one transaction; return after the commit.

        May be called again with the same event: the second time changes nothing and answers `duplicate`.
        Raises StoreUnavailable (nothing kept: answer 5xx so that the sender repeats), NotFound (no such conversation or
        handoff).
        """
        ...


# --- desk


class Desk(Protocol):
    """Where operators sit. One implementation per vendor.

    Every sending call sends once, may block on the network for at most `call_timeout_s` of the adapter's settings,
    never retries, and
    answers with an Outcome instead of raising: a vendor's refusal, a time-out, a broken connection are outcomes. `key`
    is an opaque mark
    that the adapter puts on the message so that `find` and echoes can recognise it. The echo of a message whose files
    follow it settles nothing: it is not brought to the door.
    """

    @property
    def name(self) -> DeskName:
        """Its name in settings and ids."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; constant while the process runs."""
        ...

    async def open(self, thread: Thread, card: Card, key: OutKey) -> Outcome:
        """Post the card as the root of a new thread in `thread.channel`. Delivered.ref is the root."""
        ...

    async def refresh(self, thread: Thread, card: Card) -> Outcome:
        """Make the root show this card. Safe to repeat."""
        ...

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        """Post these parts as one message in the thread (files of a part follow it as uploads). The parts fit
        `capabilities`.
        """
        ...

    async def post_transcript(self, thread: Thread, transcript: Transcript, key: OutKey) -> Outcome:
        """Post the last lines as one message, and the whole as a file where there is more."""
        ...

    async def complete(self, thread: Thread, posted: Sequence[Part] | Transcript, ref: RemoteRef) -> Outcome:
        """Upload those files of our post `ref`, found by `find`, that are not in the thread yet. Safe to repeat, one
        call after another.

        Delivered: nothing is missing any more; what the vendor refuses for good is named in the thread. Any other
        outcome: call again later. Raises ThreadUnreadable.
        """
        ...

    async def edit(self, thread: Thread, ref: RemoteRef, part: Part) -> Outcome:
        """Make an earlier post of ours show this text. Safe to repeat."""
        ...

    async def delete(self, thread: Thread, ref: RemoteRef) -> Outcome:
        """Remove an earlier post of ours. Delivered too if it is gone already."""
        ...

    async def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        """Look in the thread (in the channel, if the root is not known) for our post with this key, not older than
        `since`.

        Raises ThreadUnreadable. None means: certainly not there, as far as the vendor shows.
        """
        ...

    def address(self, root: RemoteRef) -> str:
        """Return where people open the thread of this root, for a notice on another desk; "" where that is not known.

        Asks nobody and never raises.
        """
        ...

    async def whisper(self, thread: Thread, operator: OperatorId, sentence: str) -> None:
        """Tell one person one sentence, best effort; never raises, never used for what matters."""
        ...

    async def typing(self, thread: Thread, name: str) -> None:
        """Hint that the customer is typing; best effort, may do nothing, never raises."""
        ...


class Roster(Protocol):
    """Who people on a desk are: facts from the vendor, fresh (at most `max_age_s` of the settings old)."""

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        """Return the person with public name and standing in this queue. An unknown person has Standing.NONE and a
        reason in `why`.

        May block on the network. Never raises for a person: what cannot be verified is NONE.
        """
        ...


# --- widget


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a widget is to show next: entries after its watermark, in order, and streams as they stand now."""

    entries: tuple[Entry, ...] = ()
    streams: tuple[Stream, ...] = ()
    epoch: int = 0


class Viewer(Protocol):
    """One open window on a conversation: a socket. Made by a widget adapter, fed by `showing`."""

    async def show(self, shown: Shown) -> None:
        """Show these. Called by one task at a time, in order. Raises ConnectionError when the window is gone; the feed
        then ends.
        """
        ...

    async def typing(self, name: str) -> None:
        """Hint that an operator types. Best effort; never raises."""
        ...


Ended = Callable[[Exception | None], None]
"""Told once that a viewer is shown nothing more: None if it is gone or the process stops, else what went wrong."""


class Feed(Protocol):
    """Where widget adapters get what to show (`showing.Showing`)."""

    def attach(
        self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer, ended: Ended
    ) -> Callable[[], None]:
        """Show everything after `after_n`, and then each new entry, until the returned function is called, which may be
        called twice. `ended` is not called for that. Must be called in the running loop; an idle viewer costs no task.
        """
        ...

    async def watch(self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer) -> None:
        """Do what `attach` does until cancelled or until the viewer is gone. Blocks for that long; raises what went
        wrong.
        """
        ...

    async def read(self, site: SiteId, conversation: ConversationId, after_n: int, limit: int = 200) -> Shown | None:
        """Return what a poll shows: customer-visible entries after `after_n`, at most `limit`. None: no such
        conversation.
        """
        ...

    async def typed(self, site: SiteId, conversation: ConversationId) -> None:
        """The customer is typing: a hint to the thread. Best effort; never raises."""
        ...


class Lookup(Protocol):
    """Read-only questions of adapters: what a picker lists, what a modal shows. Nothing here decides anything."""

    async def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        """Return it."""
        ...

    async def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        """Return it."""
        ...

    async def handoff_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> Handoff | None:
        """Return the handoff whose thread has this root (the newest thread or an older one)."""
        ...

    async def open_handoffs(self, site: SiteId, operator: OperatorId | None = None) -> list[Handoff]:
        """Return open handoffs, oldest first; only this operator's, if named."""
        ...

    async def conversation(self, site: SiteId, conversation: ConversationId) -> Conversation | None:
        """Return it."""
        ...

    async def card(self, site: SiteId, handoff: HandoffId) -> Card | None:
        """Return the card of a handoff as it stands now, for who is to see it before all others do."""
        ...

    def queues(self) -> Sequence[tuple[str, str]]:
        """Return (name, label) of every queue, in the order of the settings."""
        ...


# --- agent


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentMessage:
    """One earlier line, as the agent reads it. `role`: customer, agent, operator (a person, see `name`), note (the
    bridge).
    """

    n: int
    role: str
    name: str
    text: str
    at: Millis
    files: tuple[FileRef, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentTurn:
    """What the agent is asked to answer. `turn` is the idempotency key; `committed` are lines that a dead attempt
    already said.
    """

    site: SiteId
    conversation: ConversationId
    turn: TurnId
    epoch: int
    attempt: int
    kind: TurnKind
    messages: tuple[AgentMessage, ...]
    customer: Mapping[str, Any]
    collected: Mapping[str, Any] = field(default_factory=dict)
    briefing: Mapping[str, Any] | None = None
    """Set when this is the first run since a return, or a rehearsal: see `briefing.for_agent`."""
    committed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Delta:
    """More text of the message being written (not cumulative)."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A whole message. Text of deltas before it is replaced by it."""

    text: str
    files: tuple[FileRef, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Typing:
    """The agent is at work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """The agent is about to call, or has called, a tool. `failed`: the call did not work."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """Values that the agent established, by name."""

    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class HandOff:
    """The agent wants a person. `envelope` is the raw document: the bridge fills id, conversation, time, agent and
    customer.
    """

    envelope: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The run is over. `close`: so is the conversation, as far as the agent can tell."""

    confidence: float | None = None
    close: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentError:
    """The agent says itself that it failed."""

    code: str
    message: str = ""


AgentReply = Delta | Message | Typing | ToolCall | Collected | HandOff | Done | AgentError


class Agent(Protocol):
    """The company's AI, any stack."""

    @property
    def name(self) -> str:
        """Its public name in the chat."""
        ...

    def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        """Run once. The iterator ends after Done, HandOff or AgentError, or is closed early by the caller (a takeover).

        May be called again with the same `turn.turn` and a higher attempt. Raises AgentFailed; any other exception
        counts as `crashed`.
        """
        ...


# --- files


class Files(Protocol):
    """Where files lie. Content-addressed: the same bytes are kept once."""

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        """Keep a file, durable on return. The media type is sniffed, the name is made harmless. May be called twice
        with the same bytes.

        Raises TooLarge (nothing kept), StoreUnavailable.
        """
        ...

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        """Return its bytes in pieces. Raises NotFound."""
        ...

    async def ref(self, file: FileId) -> FileRef:
        """Return what is known of it. Raises NotFound."""
        ...
