"""What people write in the team's channels -> the bridge's one door. Nothing is acknowledged before it is kept.

Whether every message reaches us, or only those that mention the bot, depends on what the admin has granted and is found
out here: the first message without a mention proves it
(https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-messages-for-bots-and-agents).
"""

from collections.abc import Collection
from typing import Any, Protocol

from adapters.teams import known, wire
from adapters.teams.cards import Cards
from adapters.teams.config import TeamsSettings
from adapters.teams.downloads import Downloads, NotTaken
from adapters.teams.forms import MAX_NOTE_CHARS
from adapters.teams.refs import operator_id, remote_ref, root_ref
from adapters.teams.roster import TeamsRoster
from adapters.teams.threads import Threads
from bridge import log as logs
from bridge.conversation import FileRef, Handoff, Operator, Standing, Thread
from bridge.effects import Receipt
from bridge.envelope import ReturnNote
from bridge.errors import NotFound
from bridge.events import (
    Event,
    OperatorDeleted,
    OperatorEdited,
    OperatorRehearsed,
    OperatorReturned,
    OperatorSaid,
    OperatorTransferred,
)
from bridge.facts import DeskFacts
from bridge.ids import ChannelId, DeskName, QueueName, RemoteRef, SiteId
from bridge.order import InOrder
from bridge.ports import Clock, Receive

log = logs.get("teams.hearing")
FILES_STAY = (
    "Files in channels do not reach me, so the customer did not get yours. Paste a picture into the message itself, or "
    "send a link that the customer can open."
)
SOME_FILES_STAY = "Not everything that the message refers to could be passed on; send the rest again."
FILES_PER_MESSAGE = 10


class Voice(Protocol):
    """What is needed of the desk (`TeamsDesk`)."""

    @property
    def name(self) -> DeskName:
        """Its name."""
        ...

    async def remark(self, thread: Thread, sentence: str) -> None:
        """Say something in the thread that everybody there must see; best effort, never raises."""
        ...


class Hearing:
    """Handles messages, edits, deletions."""

    def __init__(
        self,
        *,
        site: SiteId,
        settings: TeamsSettings,
        voice: Voice,
        cards: Cards,
        roster: TeamsRoster,
        downloads: Downloads,
        facts: DeskFacts,
        queues: Collection[str],
        threads: Threads,
        receive: Receive,
        clock: Clock,
    ) -> None:
        """Take the ports and the rest of the desk."""
        self._site, self._settings, self._voice, self._cards = site, settings, voice, cards
        self._roster, self._downloads, self._facts = roster, downloads, facts
        self._queues, self._threads, self._receive = queues, threads, receive
        self._order = InOrder(clock, settings.reorder_window_s)

    async def heard(self, happened: wire.Spoken | wire.Gone) -> None:
        """Handle one message, edit or deletion, in its thread's turn; return when it is kept, or not ours. May be
        called again with the same. Raises StoreUnavailable.
        """
        if isinstance(happened, wire.Spoken):
            await self._notice_grant(happened)
        if not happened.root:
            return
        rank = happened.activity if happened.activity.isdigit() else str(happened.at)
        lane = happened.conversation
        await self._order.run(lane, rank, happened.at, happened.source, lambda: self._in_thread(happened))

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._order.busy

    async def stop(self) -> None:
        """Finish what is under way."""
        await self._order.stop()

    async def _notice_grant(self, spoken: wire.Spoken) -> None:
        """A message that does not mention the bot proves that the team lets it read all."""
        unasked = bool(spoken.team) and not spoken.reading.bridge and bool(spoken.person) and bool(spoken.bot)
        if not unasked or self._facts.known.get(known.heard_all(spoken.team)) == known.YES:
            return
        await self._facts.put(**{known.heard_all(spoken.team): known.YES})
        log.info("every_message_is_heard", team=spoken.team)
        self._cards.refresh_all()

    async def _in_thread(self, happened: wire.Spoken | wire.Gone) -> None:
        handoff = await self._threads.at(happened)
        if handoff is None:
            return
        root = root_ref(happened.channel, happened.root)
        thread = Thread(desk=self._voice.name, channel=ChannelId(happened.channel), root=root)
        try:
            if isinstance(happened, wire.Spoken):
                await self._spoken(happened, handoff, thread, root)
            else:
                await self._gone(happened, handoff, root)
        except NotFound:
            log.info("thread_not_ours", root=root)

    async def _spoken(self, spoken: wire.Spoken, handoff: Handoff, thread: Thread, root: RemoteRef) -> None:
        operator = await self._operator(spoken, handoff)
        command = None if spoken.edited or spoken.restored else await self._command(spoken, handoff, operator)
        if command is not None:
            await self._answer(await self._receive(command), operator, thread)
            return
        kind = OperatorEdited if spoken.edited else OperatorSaid
        files = () if spoken.edited else await self._files(spoken, thread)
        if not spoken.reading.markdown and not files and not spoken.edited:
            return
        hears_all = known.hears_all(self._facts.known, spoken.channel)
        if spoken.reading.bridge and not hears_all:
            # Another process may have learned it: then this mention is no answer to a customer.
            hears_all = known.hears_all(await self._facts.all(), spoken.channel)
        home = spoken.tenant in self._settings.allowed_tenants
        receipt = await self._receive(
            kind(
                site=self._site,
                source=spoken.source,
                at=spoken.at,
                operator=operator,
                desk=self._voice.name,
                root=root,
                remote=remote_ref(spoken.conversation, spoken.activity),
                text=spoken.reading.markdown,
                files=files,
                hints=spoken.hints(hears_all=hears_all, home=home),
            )
        )
        await self._answer(receipt, operator, thread)

    async def _command(self, spoken: wire.Spoken, handoff: Handoff, operator: Operator) -> Event | None:
        """Return what a message asks of the bridge: `@bridge return <note>`, `@bridge rehearse <note>`, `@bridge
        transfer @colleague <note>`, `@bridge transfer <queue> <note>`. None for any other message.
        """
        head: dict[str, Any] = {"site": self._site, "source": spoken.source, "at": spoken.at, "operator": operator}
        if spoken.command is not None:
            note = ReturnNote(note=spoken.command.note[:MAX_NOTE_CHARS])
            asks = OperatorRehearsed if spoken.command.name == "rehearse" else OperatorReturned
            return asks(**head, handoff=handoff.id, note=note)
        if spoken.transfer is None:
            return None
        if len(spoken.reading.people) == 1:
            entra_id = await self._roster.entra_id(spoken.team, next(iter(spoken.reading.people)))
            colleague = await self._roster.operator(operator_id(spoken.tenant, entra_id), handoff.queue)
            if colleague.standing is Standing.NONE:
                return None
            note_text = spoken.transfer[:MAX_NOTE_CHARS]
            return OperatorTransferred(**head, handoff=handoff.id, to_operator=colleague, note=note_text)
        name, _, rest = spoken.transfer.partition(" ")
        name = name.rstrip(":,")
        queue = next((one for one in self._queues if one.casefold() == name.casefold()), None)
        if queue is None or spoken.reading.people:
            return None
        return OperatorTransferred(
            **head, handoff=handoff.id, to_queue=QueueName(queue), note=rest.strip()[:MAX_NOTE_CHARS]
        )

    async def _gone(self, gone: wire.Gone, handoff: Handoff, root: RemoteRef) -> None:
        await self._receive(
            OperatorDeleted(
                site=self._site,
                source=gone.source,
                at=gone.at,
                operator=await self._roster.operator(operator_id(gone.tenant, gone.person), handoff.queue),
                desk=self._voice.name,
                root=root,
                remote=remote_ref(gone.conversation, gone.activity),
            )
        )

    async def _operator(self, spoken: wire.Spoken, handoff: Handoff) -> Operator:
        person = operator_id(spoken.tenant, spoken.person)
        if spoken.is_bot:
            return Operator(id=person, name="", why="Apps and bots may not act on conversations.")
        return await self._roster.operator(person, handoff.queue)

    async def _files(self, spoken: wire.Spoken, thread: Thread) -> tuple[FileRef, ...]:
        """Fetch the pictures; say which files stay behind. A repeat says it once more at worst."""
        kept: list[FileRef] = []
        for url, name in spoken.images[:FILES_PER_MESSAGE]:
            try:
                kept.append(await self._downloads.fetch(url, name))
            except NotTaken as reason:
                await self._voice.remark(thread, f"A picture cannot be passed on: {reason}.")
        if len(spoken.images) > FILES_PER_MESSAGE:
            first = f"Only the first {FILES_PER_MESSAGE} pictures can be passed on; send the others again."
            await self._voice.remark(thread, first)
        if spoken.reading.files:
            kept += await self._shared(spoken, thread)
        return tuple(kept)

    async def _shared(self, spoken: wire.Spoken, thread: Thread) -> list[FileRef]:
        """Fetch the files that a message refers to, through Graph where that is granted."""
        group = self._facts.known.get(known.aad_group(spoken.team), "")
        if not self._settings.graph or not group:
            await self._voice.remark(thread, FILES_STAY)
            return []
        kept: list[FileRef] = []
        try:
            where = (group, spoken.channel, spoken.root, spoken.activity)
            found = await self._downloads.shared(*where, spoken.reading.files)
        except NotTaken as reason:
            await self._voice.remark(thread, f"A file cannot be passed on: {reason}.")
            return []
        for file in found[:FILES_PER_MESSAGE]:
            try:
                kept.append(await self._downloads.fetch_shared(file))
            except NotTaken as reason:
                await self._voice.remark(thread, f"The file {file.name} cannot be passed on: {reason}.")
        if len(found) > FILES_PER_MESSAGE or len(found) < len(spoken.reading.files):
            await self._voice.remark(thread, SOME_FILES_STAY)
        return kept

    async def _answer(self, receipt: Receipt, operator: Operator, thread: Thread) -> None:
        if receipt.status == "refused" and receipt.sentence:
            # Teams shows nothing to one person alone.
            await self._voice.remark(
                thread, f"{operator.name}: {receipt.sentence}" if operator.name else receipt.sentence
            )
