"""The way out: `ports.Desk` for Teams. Each call tries once and answers with an outcome."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from adapters.teams import card, known, pictures, private, render
from adapters.teams.calls import Json, TeamsCalls
from adapters.teams.errors import CallFailed, is_gone, repeatable
from adapters.teams.refs import remote_ref, root_ref, split_ref, split_thread
from bridge import log as logs
from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, Part, Support
from bridge.conversation import FileRef, Thread
from bridge.errors import BridgeError, ThreadUnreadable
from bridge.facts import DeskFacts
from bridge.ids import DeskName, Millis, OperatorId, OutKey, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused, RetryLater
from bridge.ports import Clock, Files

log = logs.get("teams.desk")

LOOK_BACK_MS = 5_000
LOOK_PAGES = 5
PEOPLE_FOR_MS = 600_000
PEOPLE_MAX = 2_000
POSTED_AGAIN = "posted again after an interruption: another card may stand above"

Queues = Callable[[], Sequence[tuple[str, str]]]


class TeamsDesk:
    """Posts to the channels of one bot. Construct it through `parts.create`.

    `link` makes a signed address of a file; `queues` tells (name, label) of all queues, for the transfer form.
    """

    def __init__(
        self,
        *,
        calls: TeamsCalls,
        files: Files,
        clock: Clock,
        facts: DeskFacts,
        link: Callable[[FileRef], str],
        queues: Queues,
    ) -> None:
        """Take the way out, the files and what links to them, the time, what is remembered."""
        self._calls, self._files, self._clock, self._facts = calls, files, clock, facts
        self._link, self._queues = link, queues
        self._people: dict[tuple[str, str], tuple[tuple[str, str], Millis]] = {}
        reads = Support.PARTIAL if calls.settings.graph else Support.REJECTED
        self._capabilities = replace(render.CAPABILITIES, read_back=reads)

    @property
    def name(self) -> DeskName:
        return self._calls.settings.desk

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def card(self, place: str, shown: Card, key: str = "") -> Json:
        """Return the Adaptive Card of a handoff in this channel or thread, as `open` and `refresh` show it.

        `key` is the mark of its post: Graph finds the card by it, and each press brings it along.
        """
        return card.card(
            shown,
            queues=self._queues(),
            hears_all=known.hears_all(self._facts.known, place),
            mark=key,
            remark=POSTED_AGAIN if shown.again else "",
        )

    async def open(self, thread: Thread, card: Card, key: OutKey) -> Outcome:
        try:
            opened, root = await self._calls.create_thread(thread.channel, self._message(thread.channel, card, key))
        except CallFailed as failed:
            return failed.outcome
        return Delivered(ref=remote_ref(opened, root))

    async def refresh(self, thread: Thread, card: Card) -> Outcome:
        if thread.root is None:
            return _no_root()
        return await self._update(thread.root, self._message(thread.channel, card, ""))

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        around = await self._around(thread, parts, key)
        return await self._reply(thread, render.post(parts, around))

    async def post_transcript(self, thread: Thread, transcript: Transcript, key: OutKey) -> Outcome:
        if thread.root is None:
            return _no_root()
        try:
            whole = await self._whole(transcript)
        except BridgeError as error:
            return RetryLater(after_s=0.0, reason=type(error).__name__)
        around = await self._around(thread, (), key)
        remark = render.AGAIN if transcript.again else ""
        return await self._reply(thread, render.transcript(transcript, whole, around, remark=remark))

    async def complete(self, thread: Thread, posted: Sequence[Part] | Transcript, ref: RemoteRef) -> Outcome:
        """Nothing follows a post here: its files are links in it, so where it is, they are."""
        return Delivered(ref=ref)

    async def edit(self, thread: Thread, ref: RemoteRef, part: Part) -> Outcome:
        around = await self._around(thread, (part,), OutKey(""))
        return await self._update(ref, render.post((part,), around, remark="edited"))

    async def delete(self, thread: Thread, ref: RemoteRef) -> Outcome:
        try:
            await self._calls.delete(*split_ref(ref))
        except CallFailed as failed:
            return repeatable(failed.outcome)
        return Delivered()

    async def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        """Ask Graph, where the admin has granted it; else nobody can look."""
        group = self._group(thread.channel)
        if not self._calls.settings.graph or not group:
            raise ThreadUnreadable("Teams: reading back is not granted")
        conversation = split_ref(thread.root)[0] if thread.root else ""
        path = f"teams/{quote(group, safe='')}/channels/{quote(thread.channel, safe='')}/messages"
        if conversation:
            path += f"/{split_thread(conversation)[1]}/replies"
        async for message in self._messages(f"{path}?$top=50", since - LOOK_BACK_MS):
            if key in _marks(message):
                found = str(message.get("id") or "")
                return remote_ref(conversation, found) if conversation else root_ref(thread.channel, found)
        return None

    async def whisper(self, thread: Thread, operator: OperatorId, sentence: str) -> None:
        """Do nothing: a bot's message to one person in a channel is a preview that needs its own consent."""

    async def typing(self, thread: Thread, name: str) -> None:
        """Do nothing: Teams shows no typing of bots in channels."""

    async def remark(self, thread: Thread, sentence: str) -> None:
        """Say something in the thread that everybody there must see; best effort, never raises."""
        outcome = await self._reply(thread, render.note(sentence))
        if not isinstance(outcome, Delivered):
            log.warning("remark_not_posted", channel=thread.channel, reason=outcome.reason)

    async def answer(self, conversation: str, person: str, message: str, sentence: str) -> bool:
        """Answer a private message, for its writer's eyes only; tell whether Teams took it. Never raises."""
        try:
            await private.answer(self._calls, conversation, person=person, message=message, sentence=sentence)
        except CallFailed as failed:
            log.warning("answer_not_heard", reason=failed.code)
            return False
        return True

    # --- one call each

    def _message(self, place: str, shown: Card, key: str) -> Json:
        return render.message(self.card(place, shown, key), card.summary(shown))

    async def _reply(self, thread: Thread, activity: Json) -> Outcome:
        if thread.root is None:
            return _no_root()
        conversation, _ = split_ref(thread.root)
        try:
            posted = await self._calls.send(conversation, activity)
        except CallFailed as failed:
            if is_gone(failed):
                return Delivered(landed_elsewhere=True)
            return failed.outcome
        if not posted:
            log.warning("message_without_id", channel=thread.channel)
            return Delivered()
        return Delivered(ref=remote_ref(conversation, posted))

    async def _update(self, ref: RemoteRef, activity: Json) -> Outcome:
        try:
            await self._calls.update(*split_ref(ref), activity)
        except CallFailed as failed:
            return repeatable(failed.outcome)
        return Delivered()

    def address(self, root: RemoteRef) -> str:
        channel, _ = split_thread(split_ref(root)[0])
        return render.permalink(root, tenant=self._tenant, group=self._group(channel))

    async def _around(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> render.Surroundings:
        settings = self._calls.settings
        people = {}
        for operator, person in render.mentioned(parts).items():
            if found := await self._person(thread, person):
                people[operator] = found
        return render.Surroundings(
            link=self._link,
            people=people,
            tenant=self._tenant,
            group=self._group(thread.channel),
            mark=key if settings.graph else "",
            pictures=frozenset([file.id for part in parts for file in part.files if await self._shows(file)]),
        )

    async def _shows(self, file: FileRef) -> bool:
        """Tell whether Teams can show a file in place."""
        if not pictures.may_show(file):
            return False
        head = b""
        try:
            async for piece in await self._files.read(file.id):
                head += piece
                if len(head) >= pictures.HEAD_BYTES:
                    break
        except BridgeError:
            return False
        return pictures.shows(head)

    def _group(self, channel: str) -> str:
        facts = self._facts.known
        return facts.get(known.aad_group(facts.get(known.team_of(channel), "")), "")

    @property
    def _tenant(self) -> str:
        return self._facts.known.get(known.TENANT, "") or self._calls.settings.tenant_id

    async def _person(self, thread: Thread, person: str) -> tuple[str, str] | None:
        """Return (id, name) of a person in Teams, for a mention; None leaves it out."""
        team = self._facts.known.get(known.team_of(thread.channel), "") or thread.channel
        kept = self._people.get((team, person))
        if kept is not None and self._clock.now() < kept[1] + PEOPLE_FOR_MS:
            return kept[0]
        try:
            member = await self._calls.member(team, person)
        except CallFailed as failed:
            log.info("mention_left_out", reason=failed.code)
            return None
        found = (str(member.get("id") or person), str(member.get("name") or ""))
        if len(self._people) >= PEOPLE_MAX:
            self._people.clear()
        self._people[team, person] = (found, self._clock.now())
        return found

    async def _whole(self, transcript: Transcript) -> str:
        """Keep the whole transcript as a file where it is needed; return its address, or ""."""
        if not render.excerpt(transcript).needs_file:
            return ""
        content = transcript.file_text.encode("utf-8", "replace")

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        kept = await self._files.put(
            pieces(), name=transcript.file_name, claimed_type="text/plain", max_bytes=len(content) + 1
        )
        return self._link(kept)

    # --- reading back

    async def _messages(self, path: str, oldest: int) -> AsyncIterator[Json]:
        """Read messages through Graph, newest first. Raises ThreadUnreadable.

        https://learn.microsoft.com/graph/api/chatmessage-list-replies
        """
        for _ in range(LOOK_PAGES):
            try:
                answer = await self._calls.graph(path)
            except CallFailed as failed:
                after_s = failed.outcome.after_s if isinstance(failed.outcome, RetryLater) else None
                raise ThreadUnreadable(f"Graph: {failed.code}", after_s) from None
            for message in answer.get("value") or []:
                yield message
                if _millis(message) < oldest:
                    return
            path = str(answer.get("@odata.nextLink") or "")
            if not path:
                return
        raise ThreadUnreadable("Graph: more was said since than can be read back")


def _marks(message: Mapping[str, Any]) -> set[str]:
    """Return the marks of the cards in a message, as Graph shows it."""
    found: set[str] = set()
    for attachment in message.get("attachments") or []:
        try:
            shown = json.loads(attachment.get("content") or "{}")
        except (TypeError, ValueError):
            continue
        body = shown.get("body") if isinstance(shown, dict) else None
        if isinstance(body, list) and body and isinstance(body[0], dict):
            found.add(str(body[0].get("id") or ""))
    return found - {""}


def _millis(message: Mapping[str, Any]) -> int:
    """Return when a message was last touched, by which Graph sorts; a strange time counts as new."""
    try:
        at = datetime.fromisoformat(str(message.get("lastModifiedDateTime") or message.get("createdDateTime")))
    except ValueError:
        return 1 << 62
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def _no_root() -> Refused:
    return Refused(reason="no_thread", remedy="The card of this handoff has not reached Teams yet.")
