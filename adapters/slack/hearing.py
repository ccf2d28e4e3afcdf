"""What happens in Slack's channels -> the bridge's one door. Nothing is acknowledged before it is kept."""

from collections.abc import Sequence
from typing import Protocol

from adapters.slack import wire
from adapters.slack.calls import Json, SlackCalls
from adapters.slack.desk import SlackDesk
from adapters.slack.downloads import Downloads, NotTaken
from adapters.slack.errors import CallFailed
from adapters.slack.refs import operator_id, remote_ref, source_id
from adapters.slack.roster import SlackRoster
from bridge import log as logs
from bridge.conversation import FileRef, Handoff, Operator, Thread
from bridge.effects import Receipt
from bridge.envelope import ReturnNote
from bridge.errors import NotFound
from bridge.events import (
    Echoed,
    OperatorDeleted,
    OperatorEdited,
    OperatorLeft,
    OperatorRehearsed,
    OperatorReturned,
    OperatorSaid,
)
from bridge.ids import ChannelId, OutKey, RemoteRef, SiteId
from bridge.order import InOrder
from bridge.outcomes import Refused
from bridge.ports import Clock, Lookup, Receive

log = logs.get("slack.hearing")
MAX_NOTE_CHARS = 3_000
MAX_FOREIGN = 10_000
"""Threads that are known not to be ours; looked at again when there are more."""


class FirstRead(Protocol):
    """Who reads a thread again before anything new from it is heard."""

    async def first_read(self, heard: wire.Heard, handoff: Handoff | None) -> bool:
        """Return when what was said before is heard, or it takes too long: whether that was to be waited for. Raises
        StoreUnavailable.
        """
        ...

    def missed(self, heard: wire.Heard) -> None:
        """Take note that this could not be kept."""
        ...


class Hearing:
    """Handles events: messages, edits, deletions, own echoes, people who leave."""

    def __init__(
        self,
        *,
        site: SiteId,
        calls: SlackCalls,
        desk: SlackDesk,
        roster: SlackRoster,
        downloads: Downloads,
        receive: Receive,
        lookup: Lookup,
        clock: Clock,
    ) -> None:
        """Take the ports and the rest of the desk."""
        self._site, self._calls, self._desk, self._roster = site, calls, desk, roster
        self._downloads, self._receive, self._lookup = downloads, receive, lookup
        self._order = InOrder(clock, calls.settings.reorder_window_s)
        self._foreign: set[RemoteRef] = set()
        self._reader: FirstRead | None = None

    async def event(self, body: Json) -> None:
        """Handle one event delivery; return when it is kept, or not ours. Raises StoreUnavailable: do not ack."""
        me = await self._me(body)
        happened = wire.read_event(body, me)
        if isinstance(happened, wire.OwnEcho):
            await self.heard(happened, me)
        elif isinstance(happened, wire.Heard):
            await self._news(happened, me)
        elif isinstance(happened, wire.LeftChannel):
            self._roster.forget(user=happened.user, channel=happened.channel)
            await self._left(happened, me.team, only_channel=happened.channel)
        elif isinstance(happened, wire.PersonChanged):
            self._roster.forget(user=happened.user)
            if happened.gone:
                await self._left(happened, me.team)
        elif isinstance(happened, wire.JoinedChannel):
            self._roster.forget(user=happened.user, channel=happened.channel)

    def read_first(self, reader: FirstRead) -> None:
        """Ask this one before anything new is heard."""
        self._reader = reader

    async def _news(self, happened: wire.Heard, me: wire.Me) -> None:
        """Hear it after what was said before it. What could not be kept comes again, and must not come too late.

        The store is asked first: who asks it is told if it was away, and then the thread is in doubt.
        """
        try:
            root = remote_ref(happened.channel, happened.root_ts)
            handoff = await self._lookup.handoff_at(self._site, self._desk.name, root)
            waited = self._reader is not None and await self._reader.first_read(happened, handoff)
            await self.heard(happened, me, None if waited else handoff)
        except Exception:
            if self._reader is not None:
                self._reader.missed(happened)
            raise

    async def heard(self, happened: wire.Heard, me: wire.Me, known: Handoff | None = None) -> None:
        """Handle one message, edit, deletion or echo, in its thread's turn. May be called again with the same. `known`:
        the thread's handoff, if it was asked for a moment ago.
        """
        if isinstance(happened, wire.OwnEcho):
            await self._echo(happened)
            return
        lane = f"{happened.channel}:{happened.root_ts}"
        await self._order.run(
            lane, happened.ts, happened.at, happened.source, lambda: self._in_thread(happened, me, known)
        )

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._order.busy

    async def stop(self) -> None:
        """Finish what is under way."""
        await self._order.stop()

    async def _me(self, body: Json) -> wire.Me:
        try:
            known = await self._calls.identity()
        except CallFailed as failed:
            log.warning("identity_unknown", reason=failed.code)
            return wire.identity_of(body)
        return wire.identity_of(body, known.team, known.bot_user, known.bot_id)

    async def _echo(self, echo: wire.OwnEcho) -> None:
        await self._receive(
            Echoed(
                site=self._site,
                source=echo.source,
                at=echo.at,
                desk=self._desk.name,
                key=OutKey(echo.key),
                ref=remote_ref(echo.channel, echo.ts),
            )
        )

    async def _in_thread(self, happened: wire.Heard, me: wire.Me, known: Handoff | None) -> None:
        root = remote_ref(happened.channel, happened.root_ts)
        handoff = known or await self._lookup.handoff_at(self._site, self._desk.name, root)
        if handoff is None:
            handoff = await self._unsettled(happened, me, root)
        if handoff is None:
            return
        thread = Thread(desk=self._desk.name, channel=ChannelId(happened.channel), root=root)
        try:
            if isinstance(happened, wire.Spoken):
                await self._spoken(happened, me, handoff, thread)
            elif isinstance(happened, wire.Gone):
                await self._gone(happened, me, handoff, thread)
        except NotFound:
            log.info("thread_not_ours", root=root)

    async def _unsettled(self, happened: wire.Heard, me: wire.Me, root: RemoteRef) -> Handoff | None:
        """Look whether a thread that the store does not know hangs below a card of ours.

        People and echoes can be faster than the answer to our post, and a process may die before it keeps that answer.
        Seeing the card settles it, as its echo does. Raises CallFailed if nobody can tell now: Slack delivers again.
        """
        is_ours = me.began(happened)
        if is_ours is False or root in self._foreign:
            return None
        try:
            card = wire.read_message(wire.MessageEvent.model_validate(await self._desk.message(root)), me)
        except CallFailed as failed:
            log.warning("thread_unknown", root=root, reason=failed.code)
            if isinstance(failed.outcome, Refused) and not is_ours:
                return None
            raise
        except ValueError:
            card = None
        if not isinstance(card, wire.OwnEcho):
            self._foreign.add(root)
            if len(self._foreign) > MAX_FOREIGN:
                self._foreign.clear()
            return None
        await self._echo(card)
        return await self._lookup.handoff_at(self._site, self._desk.name, root)

    async def _spoken(self, spoken: wire.Spoken, me: wire.Me, handoff: Handoff, thread: Thread) -> None:
        operator = await self._operator(spoken, me, handoff)
        names = await self._roster.names(spoken.mentioned - {me.bot_user})
        if spoken.command and not spoken.edited:
            note = ReturnNote(note=spoken.note(names)[:MAX_NOTE_CHARS])
            asks = OperatorRehearsed if spoken.command == "rehearse" else OperatorReturned
            receipt = await self._receive(
                asks(
                    site=self._site,
                    source=spoken.source,
                    at=spoken.at,
                    operator=operator,
                    handoff=handoff.id,
                    note=note,
                )
            )
            await self._answer(receipt, spoken, thread)
            return
        if thread.root is None:
            return
        kind = OperatorEdited if spoken.edited else OperatorSaid
        files = () if spoken.edited else await self._files(spoken.message.files or [], thread)
        receipt = await self._receive(
            kind(
                site=self._site,
                source=spoken.source,
                at=spoken.at,
                operator=operator,
                desk=self._desk.name,
                root=thread.root,
                remote=remote_ref(spoken.channel, spoken.ts),
                text=spoken.markdown(names),
                files=files,
                hints=spoken.hints,
            )
        )
        await self._answer(receipt, spoken, thread)

    async def _gone(self, gone: wire.Gone, me: wire.Me, handoff: Handoff, thread: Thread) -> None:
        if thread.root is None:
            return
        await self._receive(
            OperatorDeleted(
                site=self._site,
                source=gone.source,
                at=gone.at,
                operator=await self._roster.operator(operator_id(me.team, gone.user), handoff.queue),
                desk=self._desk.name,
                root=thread.root,
                remote=remote_ref(gone.channel, gone.ts),
            )
        )

    async def _operator(self, spoken: wire.Spoken, me: wire.Me, handoff: Handoff) -> Operator:
        person = operator_id(me.team, spoken.user)
        if "is_bot" in spoken.hints:
            return Operator(id=person, name="", why="Apps and bots may not act on conversations.")
        if "is_foreign" in spoken.hints:
            return Operator(id=person, name="", why="Only members of this workspace may do this.")
        return await self._roster.operator(person, handoff.queue)

    async def _files(self, files: Sequence[wire.SlackFile], thread: Thread) -> tuple[FileRef, ...]:
        limit = self._calls.settings.files_per_message
        kept: list[FileRef] = []
        for file in files[:limit]:
            try:
                kept.append(await self._downloads.fetch(file))
            except NotTaken as reason:
                await self._desk.remark(thread, f"The file {file.name or file.id} cannot be passed on: {reason}.")
        if len(files) > limit:
            await self._desk.remark(thread, f"Only the first {limit} files can be passed on; send the others again.")
        return tuple(kept)

    async def _answer(self, receipt: Receipt, spoken: wire.Spoken, thread: Thread) -> None:
        if receipt.status == "refused" and receipt.sentence and thread.root is not None:
            await self._desk.tell(spoken.channel, spoken.root_ts, spoken.user, receipt.sentence)

    async def _left(
        self, happened: wire.LeftChannel | wire.PersonChanged, team: str, *, only_channel: str | None = None
    ) -> None:
        person = operator_id(team, happened.user)
        for handoff in await self._lookup.open_handoffs(self._site, person):
            here = handoff.thread.desk == self._desk.name
            if not here or (only_channel is not None and handoff.thread.channel != only_channel):
                continue
            operator = handoff.operator or Operator(id=person, name="")
            await self._receive(
                OperatorLeft(
                    site=self._site,
                    source=source_id(happened.source, str(handoff.id)),
                    at=happened.at,
                    operator=operator,
                    handoff=handoff.id,
                )
            )
