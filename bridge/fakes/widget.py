"""The core as widget adapters see it, in memory: a door, a feed and a lookup over one log per conversation.

It appends what customers say and whatever a test lets others say; it decides nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.briefing import Card, card
from bridge.conversation import (
    CUSTOMER_SEES,
    OPEN_STATES,
    Audience,
    Author,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    FileRef,
    Handoff,
    Role,
    Stream,
)
from bridge.effects import Receipt
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import CustomerOpened, CustomerSaid, CustomerWithdrew, Event
from bridge.ids import (
    ConversationId,
    DeskName,
    HandoffId,
    Millis,
    OperatorId,
    RemoteRef,
    SiteId,
    SourceId,
    Ticket,
    TurnId,
)
from bridge.ports import Clock, Ended, Shown, Viewer

_BATCH = 200


@dataclass(kw_only=True)
class FakeLog:
    """One conversation: its row, its entries (`entries[n - 1]`), the streams as they stand."""

    row: Conversation
    entries: list[Entry] = field(default_factory=list)
    streams: dict[TurnId, Stream] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(kw_only=True)
class FakeState:
    """What outlives a restart of the adapter: give the same one to the next FakeReceive and FakeFeed."""

    clock: Clock
    logs: dict[ConversationId, FakeLog] = field(default_factory=dict)
    seen: set[SourceId] = field(default_factory=set)
    handoffs: list[Handoff] = field(default_factory=list)
    """What FakeLookup knows, oldest first."""
    queues: Sequence[tuple[str, str]] = ()

    def say(
        self,
        conversation: ConversationId,
        text: str = "",
        *,
        role: Role = Role.OPERATOR,
        author: str = "slack:T1:U1",
        name: str = "",
        kind: EntryKind = EntryKind.LINE,
        audience: Audience = Audience.EVERYONE,
        files: tuple[FileRef, ...] = (),
        target: int | None = None,
        turn: TurnId | None = None,
        named: bool = False,
        remote: RemoteRef | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Append an entry and wake who watches. A line or retraction with `turn` closes that turn's stream."""
        log = self.logs[conversation]
        at = Millis(max(self.clock.now(), log.row.last_at + 1))
        entry = Entry(
            n=log.row.next_n,
            kind=kind,
            author=Author(role=role, id=author, name=name),
            audience=audience,
            at=at,
            epoch=log.row.epoch,
            text=text,
            files=files,
            target=target,
            turn=turn,
            named=named,
            remote=remote,
            data=data or {},
        )
        log.entries.append(entry)
        log.row = replace(log.row, next_n=entry.n + 1, last_at=at)
        if turn is not None:
            log.streams.pop(turn, None)
        self.wake(conversation)
        return entry

    def stream(self, conversation: ConversationId, turn: TurnId, text: str, *, attempt: int = 1) -> None:
        """Let the agent's open stream read this."""
        log = self.logs[conversation]
        before = log.streams.get(turn)
        seq = before.seq + 1 if before is not None else 1
        log.streams[turn] = Stream(turn=turn, attempt=attempt, seq=seq, text=text)
        self.wake(conversation)

    def wake(self, conversation: ConversationId) -> None:
        """Let watchers look again."""
        log = self.logs[conversation]
        log.changed.set()
        log.changed = asyncio.Event()


class FakeReceive:
    """Keeps what customers do. `events` are all that came, repeats too; `down` makes it refuse; `gate` holds it up."""

    def __init__(self, state: FakeState) -> None:
        """Write to this state."""
        self.state = state
        self.events: list[Event] = []
        self.down = False
        self.gate: asyncio.Event | None = None

    async def __call__(self, event: Event) -> Receipt:
        """Keep it; see ports.Receive. A repeat is answered without `n`, as a store that forgot it would."""
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise StoreUnavailable("the fake store is down")
        if not isinstance(event, CustomerOpened | CustomerSaid | CustomerWithdrew):
            raise TypeError(f"a widget does not bring {type(event).__name__}")
        if isinstance(event, CustomerWithdrew) and event.conversation not in self.state.logs:
            raise NotFound(f"no conversation {event.conversation}")
        self.events.append(event)
        if event.source in self.state.seen:
            return Receipt(status="duplicate", conversation=event.conversation)
        self.state.seen.add(event.source)
        if isinstance(event, CustomerWithdrew):
            return Receipt(status="refused", sentence="Nobody was called.", conversation=event.conversation)
        log = self.state.logs.get(event.conversation)
        if log is None:
            row = Conversation(site=event.site, id=event.conversation, widget=event.widget, customer=event.customer)
            log = self.state.logs.setdefault(event.conversation, FakeLog(row=row))
        if isinstance(event, CustomerOpened):
            log.row = replace(log.row, customer=event.customer)
            return Receipt(conversation=event.conversation)
        entry = self.state.say(
            event.conversation,
            event.text,
            role=Role.CUSTOMER,
            author=event.customer.id,
            name=event.customer.name,
            files=event.files,
            remote=RemoteRef(event.source),
            data=event.data,
        )
        return Receipt(conversation=event.conversation, n=entry.n, at=entry.at)

    def customer(self, conversation: ConversationId) -> Customer:
        """Return the customer as last claimed."""
        return self.state.logs[conversation].row.customer


class FakeFeed:
    """Shows the state's logs. `typed_in` lists the conversations whose customer typed, `viewers` the open windows."""

    def __init__(self, state: FakeState) -> None:
        """Read from this state."""
        self.state = state
        self.typed_in: list[ConversationId] = []
        self.viewers: list[tuple[ConversationId, Viewer]] = []

    def attach(
        self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer, ended: Ended
    ) -> Callable[[], None]:
        """Watch in a task of its own; see ports.Feed."""

        def over(done: "asyncio.Task[None]") -> None:
            if not done.cancelled():
                error = done.exception()
                ended(error if isinstance(error, Exception) else None)

        task = asyncio.get_running_loop().create_task(self.watch(site, conversation, after_n, viewer))
        task.add_done_callback(over)

        def detach() -> None:
            task.cancel()

        return detach

    async def watch(self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Viewer) -> None:
        """Show until cancelled or until the viewer is gone; see ports.Feed."""
        self.viewers.append((conversation, viewer))
        shown_streams: dict[TurnId, Stream] = {}
        try:
            while True:
                log = self.state.logs[conversation]
                changed = log.changed
                shown_streams = {turn: stream for turn, stream in shown_streams.items() if turn in log.streams}
                entries = self._visible(log, after_n, _BATCH)
                streams = tuple(s for t, s in log.streams.items() if shown_streams.get(t) != s)
                if entries or streams:
                    # A lagging window gets its streams once it has caught up.
                    now_streams = streams if len(entries) < _BATCH else ()
                    await viewer.show(Shown(entries=entries, streams=now_streams, epoch=log.row.epoch))
                    shown_streams.update({s.turn: s for s in now_streams})
                    after_n = max((e.n for e in entries), default=after_n)
                    continue
                await changed.wait()
        except ConnectionError:
            return
        finally:
            self.viewers.remove((conversation, viewer))

    async def read(self, site: SiteId, conversation: ConversationId, after_n: int, limit: int = 200) -> Shown | None:
        """Return a poll's worth; see ports.Feed."""
        log = self.state.logs.get(conversation)
        if log is None:
            return None
        return Shown(
            entries=self._visible(log, after_n, limit), streams=tuple(log.streams.values()), epoch=log.row.epoch
        )

    async def typed(self, site: SiteId, conversation: ConversationId) -> None:
        """Remember the hint."""
        self.typed_in.append(conversation)

    async def operator_typing(self, conversation: ConversationId, name: str) -> None:
        """Hint to all open windows that a person types."""
        for watched, viewer in list(self.viewers):
            if watched == conversation:
                await viewer.typing(name)

    @staticmethod
    def _visible(log: FakeLog, after_n: int, limit: int) -> tuple[Entry, ...]:
        return tuple([e for e in log.entries[after_n:] if e.audience in CUSTOMER_SEES][:limit])


class FakeLookup:
    """Answers questions about the state's conversations, handoffs and queues."""

    def __init__(self, state: FakeState) -> None:
        """Read from this state."""
        self.state = state

    async def conversation(self, site: SiteId, conversation: ConversationId) -> Conversation | None:
        """Return it."""
        log = self.state.logs.get(conversation)
        return log.row if log is not None and log.row.site == site else None

    async def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        """Return it."""
        return next((one for one in self._of(site) if one.id == handoff), None)

    async def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        """Return it."""
        return next((one for one in self._of(site) if one.ticket == ticket), None)

    async def handoff_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> Handoff | None:
        """Return the one whose newest thread has this root: the state knows no older threads."""
        here = (desk, root)
        return next((one for one in self._of(site) if (one.thread.desk, one.thread.root) == here), None)

    async def open_handoffs(self, site: SiteId, operator: OperatorId | None = None) -> list[Handoff]:
        """Return open handoffs, oldest first; only this operator's, if named."""
        found = [one for one in self._of(site) if one.state in OPEN_STATES]
        return [one for one in found if operator is None or (one.operator is not None and one.operator.id == operator)]

    async def card(self, site: SiteId, handoff: HandoffId) -> Card | None:
        """Return its card; the state knows nothing of what was said before."""
        found = await self.handoff(site, handoff)
        conversation = await self.conversation(site, found.conversation) if found else None
        if found is None or conversation is None:
            return None
        label = next((label for name, label in self.queues() if name == found.queue), str(found.queue))
        return card(found, conversation, queue_label=label)

    def queues(self) -> Sequence[tuple[str, str]]:
        """Return (name, label) of every queue."""
        return list(self.state.queues)

    def _of(self, site: SiteId) -> list[Handoff]:
        return [handoff for handoff in self.state.handoffs if handoff.site == site]
