"""A store in memory: the same contract as the real ones, each unit undone by a journal if it raises."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from bridge.conversation import (
    OPEN_STATES,
    Audience,
    Conversation,
    Entry,
    EntryKind,
    FileRef,
    Handoff,
    Role,
    State,
    Stream,
    Turn,
    TurnKind,
    TurnState,
)
from bridge.errors import StoreUnavailable
from bridge.fakes.gauges import GaugeUnits
from bridge.fakes.lanes import LaneUnits
from bridge.fakes.sharing import SharingUnits
from bridge.fakes.state import LIVE, Journal, Run, Tables, check_text, stored, stored_entry
from bridge.ids import (
    ChannelId,
    ConversationId,
    DeskName,
    FileId,
    HandoffId,
    Millis,
    OperatorId,
    RemoteRef,
    SiteId,
    SourceId,
    Ticket,
    TurnId,
)
from bridge.storage import DueTimer, ThreadPlace, Tx

T = TypeVar("T")


class LogUnits(LaneUnits):
    """See `bridge.storage.Tx`: inbox, conversation and log, files."""

    def remember(self, site: SiteId, source: SourceId, now: Millis) -> bool:
        if (site, source) in self._tables.inbox:
            return False
        self._journal.put(self._tables.inbox, (site, source), now)
        return True

    def conversation(self, site: SiteId, conversation: ConversationId, *, lock: bool = True) -> Conversation | None:
        return self._tables.conversations.get((site, conversation))

    def insert_conversation(self, conversation: Conversation) -> None:
        if (conversation.site, conversation.id) in self._tables.conversations:
            raise ValueError(f"conversation {conversation.id} is kept already")
        self._keep_conversation(conversation)

    def _keep_conversation(self, conversation: Conversation) -> None:
        customer = replace(conversation.customer, attributes=stored(conversation.customer.attributes))
        kept = replace(conversation, customer=customer, collected=stored(conversation.collected))
        self._journal.put(self._tables.conversations, (kept.site, kept.id), kept)

    def save_conversation(self, conversation: Conversation, *, was_epoch: int) -> None:
        before = self._tables.conversations.get((conversation.site, conversation.id))
        if before is None or before.epoch != was_epoch:
            raise StoreUnavailable(f"conversation {conversation.id} is no longer at epoch {was_epoch}")
        self._keep_conversation(conversation)

    def append(self, site: SiteId, conversation: ConversationId, entry: Entry) -> None:
        log = self._journal.under(self._tables.logs, (site, conversation))
        if entry.n in log:
            raise ValueError(f"entry {entry.n} of {conversation} is kept already")
        self._journal.put(log, entry.n, stored_entry(entry))

    def entries(
        self,
        site: SiteId,
        conversation: ConversationId,
        *,
        after_n: int = 0,
        upto_n: int | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        log = self._tables.logs.get((site, conversation), {})
        return [log[n] for n in sorted(log) if after_n < n and (upto_n is None or n <= upto_n)][:limit]

    def last_entries(self, site: SiteId, conversation: ConversationId, *, before_n: int, limit: int) -> list[Entry]:
        log = self._tables.logs.get((site, conversation), {})
        newest = sorted((n for n in log if n < before_n), reverse=True)[:limit]
        return [log[n] for n in reversed(newest)]

    def asides(self, site: SiteId, conversation: ConversationId, *, from_n: int, limit: int = 500) -> list[Entry]:
        log = self._tables.logs.get((site, conversation), {})
        found = [log[n] for n in sorted(log) if n >= from_n]
        return [entry for entry in found if entry.audience is Audience.COLLEAGUES or "forwards" in entry.data][-limit:]

    def entry_by_remote(self, site: SiteId, desk: DeskName, remote: RemoteRef) -> tuple[ConversationId, Entry] | None:
        here = {lane.conversation for lane in self._tables.lanes.values() if (lane.site, lane.desk) == (site, desk)}
        found = [
            (entry.at, entry.n, conversation, entry)
            for (of, conversation), log in self._tables.logs.items()
            if of == site and conversation in here
            for entry in log.values()
            if entry.remote == remote and entry.kind is EntryKind.LINE
        ]
        if not found:
            return None
        _, _, conversation, entry = max(found, key=lambda item: item[:2])
        return ConversationId(conversation), entry

    def put_file(self, site: SiteId, file: FileRef, digest: str) -> None:
        if (site, file.id) not in self._tables.files:
            self._journal.put(self._tables.files, (site, file.id), (file, digest))

    def file(self, site: SiteId, file: FileId) -> tuple[FileRef, str] | None:
        return self._tables.files.get((site, file))


class HandoffUnits(LaneUnits):
    """See `bridge.storage.Tx`: handoffs and timers."""

    def take_ticket(self, site: SiteId) -> Ticket:
        number = self._tables.tickets.get(site, 1000) + 1
        self._journal.put(self._tables.tickets, site, number)
        return Ticket(f"H-{number}")

    def _with_root(self, handoff: Handoff) -> Handoff:
        lane = self._tables.lanes[handoff.site, handoff.id, handoff.thread.ordinal]
        return replace(handoff, thread=replace(handoff.thread, root=lane.root))

    def _find(self, site: SiteId, fits: Callable[[Handoff], bool]) -> list[Handoff]:
        found = [h for (of, _), h in self._tables.handoffs.items() if of == site and fits(h)]
        return [self._with_root(handoff) for handoff in sorted(found, key=lambda h: (h.opened_at, h.id))]

    def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        found = self._tables.handoffs.get((site, handoff))
        return None if found is None else self._with_root(found)

    def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        return next(iter(self._find(site, lambda h: h.ticket == ticket)), None)

    def handoff_by_envelope(self, site: SiteId, conversation: ConversationId, envelope: str) -> Handoff | None:
        found = self._find(site, lambda h: (h.conversation, h.envelope.id) == (conversation, envelope))
        return next(iter(found), None)

    def thread_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> ThreadPlace | None:
        for lane in self._tables.lanes.values():
            if (lane.site, lane.desk, lane.root) == (site, desk, root):
                return ThreadPlace(
                    conversation=ConversationId(lane.conversation),
                    handoff=HandoffId(lane.handoff),
                    ordinal=lane.ordinal,
                )
        return None

    def open_handoffs(self, site: SiteId, *, operator: OperatorId | None = None, limit: int = 100) -> list[Handoff]:
        def fits(handoff: Handoff) -> bool:
            mine = operator is None or (handoff.operator is not None and handoff.operator.id == operator)
            return mine and handoff.state in OPEN_STATES

        return self._find(site, fits)[:limit]

    def insert_handoff(self, handoff: Handoff) -> None:
        if (handoff.site, handoff.id) in self._tables.handoffs:
            raise ValueError(f"handoff {handoff.id} is kept already")
        self._keep_handoff(handoff)

    def save_handoff(self, handoff: Handoff) -> None:
        if (handoff.site, handoff.id) not in self._tables.handoffs:
            raise ValueError(f"handoff {handoff.id} was never inserted")
        self._keep_handoff(handoff)

    def _keep_handoff(self, handoff: Handoff) -> None:
        for other in self._tables.handoffs.values():
            if other.site != handoff.site or other.id == handoff.id:
                continue
            same = other.conversation == handoff.conversation
            if same and other.envelope.id == handoff.envelope.id:
                raise ValueError(f"envelope {handoff.envelope.id} became handoff {other.id} already")
            if same and other.state in OPEN_STATES and handoff.state in OPEN_STATES:
                raise ValueError(f"conversation {handoff.conversation} has the open handoff {other.id} already")
            if other.ticket == handoff.ticket:
                raise ValueError(f"ticket {handoff.ticket} is taken already")
        self._journal.put(self._tables.handoffs, (handoff.site, handoff.id), handoff)
        self._open_lane(handoff)

    def channels(self, desk: DeskName) -> list[ChannelId]:
        opened = [h.thread for h in self._tables.handoffs.values() if h.state in OPEN_STATES]
        return sorted({thread.channel for thread in opened if thread.desk == desk})

    def set_timer(self, site: SiteId, handoff: HandoffId, rung: str, due_at: Millis) -> None:
        self._journal.put(self._tables.timers, (site, handoff, rung), due_at)

    def clear_timers(self, site: SiteId, handoff: HandoffId) -> None:
        for key in [key for key in self._tables.timers if key[:2] == (site, handoff)]:
            self._journal.drop(self._tables.timers, key)

    def drop_timer(self, site: SiteId, handoff: HandoffId, rung: str) -> None:
        self._journal.drop(self._tables.timers, (site, handoff, rung))

    def due_timers(self, now: Millis, limit: int = 50) -> list[DueTimer]:
        due = sorted(
            (at, handoff, rung, site) for (site, handoff, rung), at in self._tables.timers.items() if at <= now
        )
        return [
            DueTimer(site=SiteId(site), handoff=HandoffId(handoff), rung=rung, due_at=Millis(at))
            for at, handoff, rung, site in due[:limit]
        ]


class TurnUnits(LaneUnits):
    """See `bridge.storage.Tx`: turns and streams."""

    def _live(self) -> list[Run]:
        return [self._tables.runs[key] for key in self._tables.live]

    def live_turn(self, site: SiteId, conversation: ConversationId) -> Turn | None:
        return next(
            (
                run.turn
                for run in self._live()
                if (run.turn.site, run.turn.conversation) == (site, conversation)
                and run.turn.kind is not TurnKind.REHEARSAL
            ),
            None,
        )

    def turn(self, site: SiteId, turn: TurnId) -> Turn | None:
        run = self._tables.runs.get((site, turn))
        return None if run is None else run.turn

    def insert_turn(self, turn: Turn) -> None:
        if (turn.site, turn.id) in self._tables.runs:
            raise ValueError(f"turn {turn.id} is kept already")
        live = turn.state in LIVE and turn.kind is not TurnKind.REHEARSAL
        if live and (other := self.live_turn(turn.site, turn.conversation)) is not None:
            raise ValueError(f"conversation {turn.conversation} has the live turn {other.id} already")
        self._journal.put_run(Run(seq=len(self._tables.runs) + 1, turn=turn))

    def end_turn(self, site: SiteId, turn: TurnId, state: TurnState) -> None:
        run = self._tables.runs.get((site, turn))
        if run is not None and run.turn.state in LIVE:
            self._journal.put_run(replace(run, turn=replace(run.turn, state=state)))

    def claim_turn(self, worker: str, now: Millis, lease_ms: int) -> Turn | None:
        waiting = [run for run in self._live() if run.lease_until <= now]
        if not waiting:
            return None
        run = min(waiting, key=lambda found: found.seq)
        attempt = run.turn.attempt + (run.turn.state is TurnState.RUNNING)
        turn = replace(run.turn, attempt=attempt, state=TurnState.RUNNING)
        self._journal.put_run(replace(run, turn=turn, lease_until=now + lease_ms))
        return turn

    def unanswered(self, limit: int = 100) -> list[Conversation]:
        waiting = [
            row
            for row in self._tables.conversations.values()
            if row.state is State.AGENT and row.last_role == Role.CUSTOMER and row.last_customer_n > row.read_n
        ]
        found = [row for row in waiting if self.live_turn(row.site, row.id) is None]
        return sorted(found, key=lambda row: row.last_at)[:limit]

    def renew_turn(self, site: SiteId, turn: TurnId, attempt: int, now: Millis, lease_ms: int) -> bool:
        run = self._tables.runs.get((site, turn))
        if run is None or run.turn.state is not TurnState.RUNNING or run.turn.attempt != attempt:
            return False
        self._journal.put_run(replace(run, lease_until=now + lease_ms))
        return True

    def write_stream(self, site: SiteId, conversation: ConversationId, turn: TurnId, attempt: int, text: str) -> None:
        check_text(text)
        before = self._tables.streams.get((site, conversation))
        seq = 1 if before is None else before.seq + 1
        stream = Stream(turn=turn, attempt=attempt, seq=seq, text=text)
        self._journal.put(self._tables.streams, (site, conversation), stream)

    def close_stream(self, site: SiteId, conversation: ConversationId, turn: TurnId) -> None:
        stream = self._tables.streams.get((site, conversation))
        if stream is not None and stream.turn == turn:
            self._journal.drop(self._tables.streams, (site, conversation))

    def stream(self, site: SiteId, conversation: ConversationId) -> Stream | None:
        return self._tables.streams.get((site, conversation))


class MemoryTx(LogUnits, HandoffUnits, TurnUnits, SharingUnits, GaugeUnits):
    """One transaction over the tables in memory."""


class MemoryStore:
    """A `storage.Store` that forgets everything at the end. Units run at once, in the caller's thread, one by one."""

    def __init__(self) -> None:
        """Begin empty."""
        self._tables = Tables()
        self._closed = False
        self._failing = 0
        self.commits = 0
        """How many units were kept."""

    def fail_next(self, units: int) -> None:
        """Let the next so many units fail after they ran, as on a full disk: StoreUnavailable, nothing is kept."""
        self._failing = units

    async def run(self, unit: Callable[[Tx], T]) -> T:
        result = self._in_transaction(unit, read_only=False)
        self.commits += 1
        return result

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return self._in_transaction(unit, read_only=True)

    def _in_transaction(self, unit: Callable[[Tx], T], *, read_only: bool) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        journal = Journal(self._tables, read_only=read_only)
        try:
            result = unit(MemoryTx(journal))
            if self._failing and not read_only:
                self._failing -= 1
                raise StoreUnavailable("the store was told to fail")
            return result
        except BaseException:
            journal.roll_back()
            raise
        finally:
            journal.end()

    async def close(self) -> None:
        self._closed = True
