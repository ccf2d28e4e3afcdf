"""The store's port: what a unit of work may ask of its transaction, and who runs units.

One of the ports (`ports.py`), in a file of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from bridge.conversation import Conversation, Entry, FileRef, Handoff, Stream, Thread, Turn, TurnState
from bridge.effects import OutKind
from bridge.ids import (
    ChannelId,
    ConversationId,
    DeskName,
    FileId,
    HandoffId,
    Millis,
    OperatorId,
    OutKey,
    RemoteRef,
    SiteId,
    SourceId,
    Ticket,
    TurnId,
)
from bridge.sharing import SharedTx

T = TypeVar("T")
CLAIMS_PER_UNIT = 8
"""So many lanes are claimed in one transaction at most: one commit for them, and a claim that waits for the disk holds
up no other channel for long.
"""


class OutState(StrEnum):
    """NEW waits; SENDING was handed to the vendor and is frozen; DELIVERED, DEAD are final (DEAD may be retried by
    people).
    """

    NEW = "new"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class Out:
    """One thing for one thread: number `k` of its lane. Outs that leave in one post share their `key` from `sending`
    on.
    """

    site: SiteId
    conversation: ConversationId
    handoff: HandoffId
    ordinal: int
    k: int
    kind: OutKind
    key: OutKey
    n: int | None = None
    actions: tuple[str, ...] = ()
    state: OutState = OutState.NEW
    attempts: int = 0
    looks: int = 0
    attempt_at: Millis | None = None
    not_before: Millis = Millis(0)
    queued_at: Millis = Millis(0)
    remote: RemoteRef | None = None
    reason: str = ""
    maybe_sent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A lane that this worker may send now. `outs` are its next ones in order, at most 50 (`pacing.offered`)."""

    site: SiteId
    conversation: ConversationId
    handoff: HandoffId
    thread: Thread
    lease_epoch: int
    lease_until: Millis
    outs: tuple[Out, ...]
    free_at: Millis = Millis(0)
    """Since when the budget that they use has been free: the channel's for posts, the desk's for changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueTimer:
    """A timer whose time has come."""

    site: SiteId
    handoff: HandoffId
    rung: str
    due_at: Millis


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadPlace:
    """What hangs below a thread's root: the conversation, its handoff, and which of the handoff's threads it is."""

    conversation: ConversationId
    handoff: HandoffId
    ordinal: int


class Tx(SharedTx, Protocol):
    """One transaction, as units of work see it. Plain synchronous calls; whatever is read was committed or written by
    this unit.

    Every call may raise StoreUnavailable; the whole unit is then undone. Units must not keep a Tx after they return.
    """

    # inbox
    def remember(self, site: SiteId, source: SourceId, now: Millis) -> bool:
        """Return True the first time this source id is seen, False for a repeat. Undone with the unit."""
        ...

    # conversation and log
    def conversation(self, site: SiteId, conversation: ConversationId, *, lock: bool = True) -> Conversation | None:
        """Return the row, locked until the unit ends."""
        ...

    def insert_conversation(self, conversation: Conversation) -> None:
        """Keep a new one."""
        ...

    def save_conversation(self, conversation: Conversation, *, was_epoch: int) -> None:
        """Replace the row, compared on the epoch it was read with. Raises StoreUnavailable if that moved (cannot happen
        under the lock).
        """
        ...

    def append(self, site: SiteId, conversation: ConversationId, entry: Entry) -> None:
        """Keep an entry under its n. A second entry with the same n is an error of the caller and raises."""
        ...

    def entries(
        self,
        site: SiteId,
        conversation: ConversationId,
        *,
        after_n: int = 0,
        upto_n: int | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        """Return entries with after_n < n <= upto_n, ascending."""
        ...

    def last_entries(self, site: SiteId, conversation: ConversationId, *, before_n: int, limit: int) -> list[Entry]:
        """Return the newest entries with n < before_n, ascending."""
        ...

    def asides(self, site: SiteId, conversation: ConversationId, *, from_n: int, limit: int = 500) -> list[Entry]:
        """Return what colleagues said among themselves since `from_n`, and the entries that sent some of it on to the
        customer: the newest of them, ascending.
        """
        ...

    def entry_by_remote(self, site: SiteId, desk: DeskName, remote: RemoteRef) -> tuple[ConversationId, Entry] | None:
        """Return the LINE that an operator's message became, whatever its audience."""
        ...

    # handoffs
    def take_ticket(self, site: SiteId) -> Ticket:
        """Mint the site's next ticket, `H-1001` upwards. Gaps are allowed, repeats never."""
        ...

    def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        """Return it."""
        ...

    def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        """Return it."""
        ...

    def handoff_by_envelope(self, site: SiteId, conversation: ConversationId, envelope: str) -> Handoff | None:
        """Return the handoff that this envelope id already became."""
        ...

    def thread_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> ThreadPlace | None:
        """Return whose thread has this root: the newest thread of a handoff, or an older one."""
        ...

    def open_handoffs(self, site: SiteId, *, operator: OperatorId | None = None, limit: int = 100) -> list[Handoff]:
        """Return open handoffs, oldest first; only this operator's, if named."""
        ...

    def insert_handoff(self, handoff: Handoff) -> None:
        """Keep a new one, with its first thread."""
        ...

    def save_handoff(self, handoff: Handoff) -> None:
        """Replace it. A thread with a new ordinal is a new lane; the old lane stays."""
        ...

    # turns and streams
    def live_turn(self, site: SiteId, conversation: ConversationId) -> Turn | None:
        """Return the queued or running turn that is not a rehearsal."""
        ...

    def turn(self, site: SiteId, turn: TurnId) -> Turn | None:
        """Return it."""
        ...

    def insert_turn(self, turn: Turn) -> None:
        """Keep a new one."""
        ...

    def end_turn(self, site: SiteId, turn: TurnId, state: TurnState) -> None:
        """End it. Ending twice changes nothing."""
        ...

    def claim_turn(self, worker: str, now: Millis, lease_ms: int) -> Turn | None:
        """Claim the oldest turn that is queued, or running under a lease that ran out (then with attempt + 1, kept).
        None if there is none.
        """
        ...

    def unanswered(self, limit: int = 100) -> list[Conversation]:
        """Return conversations of all sites that are the agent's, where the customer spoke last, no ended turn has read
        that line and no turn is live: the longest silent first.
        """
        ...

    def renew_turn(self, site: SiteId, turn: TurnId, attempt: int, now: Millis, lease_ms: int) -> bool:
        """Keep the claim. False: it is no longer ours, or the turn ended: stop at once."""
        ...

    def write_stream(self, site: SiteId, conversation: ConversationId, turn: TurnId, attempt: int, text: str) -> None:
        """Open or replace the stream's text; its seq grows by one."""
        ...

    def close_stream(self, site: SiteId, conversation: ConversationId, turn: TurnId) -> None:
        """Close it. Closing what is not open changes nothing."""
        ...

    def stream(self, site: SiteId, conversation: ConversationId) -> Stream | None:
        """Return the open stream, if any (one live turn, hence at most one)."""
        ...

    # timers
    def set_timer(self, site: SiteId, handoff: HandoffId, rung: str, due_at: Millis) -> None:
        """Set or move a timer; its key is (handoff, rung)."""
        ...

    def clear_timers(self, site: SiteId, handoff: HandoffId) -> None:
        """Forget all of the handoff."""
        ...

    def drop_timer(self, site: SiteId, handoff: HandoffId, rung: str) -> None:
        """Forget one."""
        ...

    def due_timers(self, now: Millis, limit: int = 50) -> list[DueTimer]:
        """Return timers that are due, oldest first."""
        ...

    # lanes
    def enqueue(self, out: Out) -> int:
        """Add to its lane and return k (the k of `out` is ignored)."""
        ...

    def claim_lane(self, desk: DeskName, worker: str, now: Millis, lease_ms: int) -> Claim | None:
        """Claim one lane of the desk whose head may leave now: its budget free, its channel not blocked, the lane not
        leased, the head's `not_before` past. None if there is none. Of the channels that may take a post now, that of
        the oldest new lane, or of the longest waiting one; of its lanes the one that `pacing.choose` names. Changes
        leave when no post can.
        """
        ...

    def next_due(self, desk: DeskName) -> Millis | None:
        """Return the earliest time at which a head could leave, or None if nothing waits."""
        ...

    def begin_send(self, claim: Claim, ks: Sequence[int], key: OutKey, now: Millis, channel_free_at: Millis) -> bool:
        """Freeze these outs as one post: SENDING, this key, attempt_at = now. The budget that they use rests until
        `channel_free_at`, never shorter than it did. False: the lease is lost, do not send.
        """
        ...

    def delivered(self, claim: Claim, ks: Sequence[int], ref: RemoteRef | None, now: Millis) -> bool:
        """Settle: remote id kept, the lane moves on and its lease is given back; for a CARD that opened the thread,
        `ref` becomes its root. False: the lease is lost.
        """
        ...

    def postpone(
        self,
        claim: Claim,
        ks: Sequence[int],
        *,
        not_before: Millis,
        reason: str,
        channel_blocked_until: Millis | None = None,
    ) -> bool:
        """Back to NEW, attempts + 1, not before then; the lease is given back. `channel_blocked_until` holds back all
        of the channel or, where these are changes of what is there, only the desk's budget for those.
        """
        ...

    def unclear(self, claim: Claim, ks: Sequence[int], *, look_at: Millis, reason: str) -> bool:
        """Stays SENDING; looks + 1; the lease is given back, and the lane rests until `look_at`, when the thread is
        read back.
        """
        ...

    def bury(self, claim: Claim, ks: Sequence[int], *, reason: str, maybe_sent: bool) -> bool:
        """DEAD; the lane moves on and its lease is given back."""
        ...

    def release(self, claim: Claim) -> None:
        """Give the lease of a lane back of which nothing was settled."""
        ...

    def settle_echo(self, site: SiteId, desk: DeskName, key: OutKey, ref: RemoteRef, now: Millis) -> bool:
        """Our own post was seen: settle the SENDING outs with this key. False if none waits for it."""
        ...

    def out_for(self, site: SiteId, handoff: HandoffId, n: int) -> list[Out]:
        """Return the POST outs of this entry in the handoff's threads, newest thread last."""
        ...

    def dead_outs(self, site: SiteId, limit: int = 100) -> list[Out]:
        """Return dead letters, oldest first."""
        ...

    def revive(self, out: Out, now: Millis) -> None:
        """Queue a dead letter again, as a new out at the end of its lane (with `actions` and `n` as they were)."""
        ...

    def drop_dead(self, out: Out) -> None:
        """Forget a dead letter: people decided that it arrived or is not needed."""
        ...

    # files
    def put_file(self, site: SiteId, file: FileRef, digest: str) -> None:
        """Keep what is known of a file; the bytes lie elsewhere. May be called twice."""
        ...

    def file(self, site: SiteId, file: FileId) -> tuple[FileRef, str] | None:
        """Return it with its digest."""
        ...

    # open work, for start and health
    def channels(self, desk: DeskName) -> list[ChannelId]:
        """Return channels with open handoffs."""
        ...

    def counts(self, now: Millis) -> Mapping[str, int]:
        """Return gauges by constant name: open_handoffs (waiting_, human_), oldest_waiting_ms, unsent_outs, of these
        unsent_KIND and oldest_KIND_ms (KIND: new, all of a lane whose thread is not open yet; line; cosmetic),
        sending_outs, dead_outs, live_turns, suppressed.
        """
        ...

    def channel_rests(self, now: Millis, limit: int = 50) -> Mapping[tuple[DeskName, ChannelId], tuple[int, int]]:
        """Return for how many ms a channel takes no post (its pace, the vendor's wish), the longest first."""
        ...


class Store(Protocol):
    """Runs units of work. An executor decides where: inline, on a writer thread, on a pool."""

    async def run(self, unit: Callable[[Tx], T]) -> T:
        """Run the unit in a transaction, and return its result after the commit. The unit may run again only if nothing
        of it was kept.

        What the unit raises comes out and undoes it. Raises StoreUnavailable if nothing was kept.
        """
        ...

    async def read(self, unit: Callable[[Tx], T]) -> T:
        """The same for units that only read; may see the state of a moment ago, never of half a transaction."""
        ...

    async def close(self) -> None:
        """Finish what was handed over, then close. May be called twice."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A hint after a commit: what may have new work. Hints may be lost; sweeps are the truth."""

    site: SiteId
    conversation: ConversationId
    desk: DeskName | None = None
    turn: bool = False
