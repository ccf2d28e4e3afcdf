"""The way out: `ports.Desk` for Slack. Each call tries once and answers with an outcome."""

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from adapters.slack import blocks, card, render, rich
from adapters.slack.calls import Json, SlackCalls
from adapters.slack.errors import REMEDIES, CallFailed, repeatable
from adapters.slack.refs import permalink, remote_ref, split_ref, stamp, user_of
from adapters.slack.uploads import NotThere, TextFile, Uploads
from bridge import log as logs
from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, Part
from bridge.conversation import FileRef, Thread
from bridge.errors import ThreadUnreadable
from bridge.ids import DeskName, Millis, OperatorId, OutKey, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused, RetryLater
from bridge.ports import Clock, Files

log = logs.get("slack.desk")

LOOK_BACK_MS = 5_000
LOOK_PAGES = 5
TYPING_EVERY_MS = 3_000
_QUIETLY: Json = {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}


class SlackDesk:
    """Posts to one workspace. Construct it through `parts.create`."""

    def __init__(self, *, calls: SlackCalls, files: Files, clock: Clock) -> None:
        """Take the way out, the files, the time."""
        self._calls = calls
        self._uploads = Uploads(calls, files)
        self._clock = clock
        self._typed: dict[str, Millis] = {}

    @property
    def name(self) -> DeskName:
        return self._calls.settings.desk

    @property
    def capabilities(self) -> Capabilities:
        return render.CAPABILITIES

    async def open(self, thread: Thread, card: Card, key: OutKey) -> Outcome:
        try:
            answer = await self._post(thread.channel, None, _card(card, key), key)
        except CallFailed as failed:
            return failed.outcome
        return Delivered(ref=remote_ref(thread.channel, str(answer["ts"])))

    async def refresh(self, thread: Thread, card: Card) -> Outcome:
        if thread.root is None:
            return _no_root()
        return await self._update(thread.root, _card(card, None))

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        following = _following(parts)
        mark = render.mark(key, followed=bool(following))
        rendered = render.post(parts, mark, workspace=self._workspace)
        return await self._reply(thread, rendered, mark, following)

    def address(self, root: RemoteRef) -> str:
        return permalink(self._workspace, root)

    @property
    def _workspace(self) -> str:
        known = self._calls.known_identity
        return known.url if known else ""

    async def post_transcript(self, thread: Thread, transcript: Transcript, key: OutKey) -> Outcome:
        following = _following(transcript)
        mark = render.mark(key, followed=bool(following))
        return await self._reply(thread, render.transcript(transcript, mark).message, mark, following)

    async def complete(self, thread: Thread, posted: Sequence[Part] | Transcript, ref: RemoteRef) -> Outcome:
        following = _following(posted)
        if not following:
            return Delivered(ref=ref)
        if thread.root is None:
            return _no_root()
        try:
            there = await self._own_files(thread.root, ref)
        except CallFailed as failed:
            return failed.outcome
        missing = []
        for file in following:
            if there[file.name]:
                there[file.name] -= 1
            else:
                missing.append(file)
        problems = await self._upload(thread.root, missing)
        troubles = [problem.trouble for _, problem in problems if problem.trouble is not None]
        if troubles:
            return troubles[0]
        await self._name(thread, problems)
        return Delivered(ref=ref)

    async def edit(self, thread: Thread, ref: RemoteRef, part: Part) -> Outcome:
        return await self._update(ref, render.edited(part))

    async def delete(self, thread: Thread, ref: RemoteRef) -> Outcome:
        channel, ts = split_ref(ref)
        try:
            await self._calls.write("chat.delete", {"channel": channel, "ts": ts})
        except CallFailed as failed:
            return Delivered() if failed.code == "message_not_found" else repeatable(failed.outcome)
        return Delivered()

    async def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        oldest = stamp(Millis(max(0, since - LOOK_BACK_MS)))
        if thread.root is None:
            return await self._look("conversations.history", thread.channel, key, oldest=oldest)
        channel, ts = split_ref(thread.root)
        return await self._look("conversations.replies", channel, key, ts=ts, oldest=oldest)

    async def whisper(self, thread: Thread, operator: OperatorId, sentence: str) -> None:
        user = user_of(operator)
        if user is None or not sentence:
            return
        root_ts = split_ref(thread.root)[1] if thread.root else None
        await self.tell(thread.channel, root_ts, user, sentence)

    async def typing(self, thread: Thread, name: str) -> None:
        if thread.root is None:
            return
        now = self._clock.now()
        if now - self._typed.get(thread.root, Millis(-TYPING_EVERY_MS)) < TYPING_EVERY_MS:
            return
        if len(self._typed) > 1_000:
            self._typed.clear()
        self._typed[thread.root] = now
        channel, ts = split_ref(thread.root)
        status = f"shows that {rich.label(name, 40) or 'the customer'} is typing…"
        try:
            await self._calls.write(
                "assistant.threads.setStatus", {"channel_id": channel, "thread_ts": ts, "status": status}
            )
        except CallFailed as failed:
            log.info("typing_not_shown", reason=failed.code)

    async def tell(self, channel: str, root_ts: str | None, user: str, sentence: str) -> None:
        """Tell one person one sentence where they are; best effort, never raises."""
        body: Json = {"channel": channel, "user": user, "text": rich.escape(sentence), "parse": "none"}
        body["blocks"] = [blocks.section(blocks.plain(sentence, blocks.MAX_SECTION_CHARS))]
        if root_ts:
            body["thread_ts"] = root_ts
        try:
            await self._calls.write("chat.postEphemeral", body)
        except CallFailed as failed:
            log.info("whisper_not_heard", channel=channel, reason=failed.code)

    async def message(self, ref: RemoteRef) -> Json:
        """Return a message that is no reply, as its event would show it. Raises CallFailed."""
        channel, ts = split_ref(ref)
        page: Json = {"channel": channel, "ts": ts, "limit": 1, "include_all_metadata": "true"}
        found = (await self._calls.read("conversations.replies", **page)).get("messages") or []
        one = next((each for each in found if isinstance(each, dict) and each.get("ts") == ts), None)
        if one is None:
            raise CallFailed("conversations.replies", "message_not_found", _gone())
        return {**one, "channel": channel}

    async def remark(self, thread: Thread, sentence: str) -> None:
        """Say something in the thread that everybody there must see; best effort, never raises."""
        await self._remark(thread, sentence)

    # --- one call each

    async def _post(self, channel: str, root_ts: str | None, message: render.Rendered, key: str) -> Json:
        body: Json = {"channel": channel, "text": message.text, "blocks": message.blocks, **_QUIETLY}
        if key:
            body["metadata"] = render.metadata(key)
        if root_ts is not None:
            body |= {"thread_ts": root_ts, "reply_broadcast": False}
        return await self._calls.write("chat.postMessage", body)

    async def _reply(
        self, thread: Thread, message: render.Rendered, key: str, following: Sequence[FileRef | TextFile]
    ) -> Outcome:
        if thread.root is None:
            return _no_root()
        channel, root_ts = split_ref(thread.root)
        try:
            answer = await self._post(channel, root_ts, message, key)
        except CallFailed as failed:
            if failed.code == "thread_not_found":
                return Delivered(landed_elsewhere=True)
            return failed.outcome
        ts = str(answer.get("ts") or "")
        if _thread_of(answer) != root_ts:
            return await self._stray(channel, ts)
        await self._name(thread, await self._upload(thread.root, following))
        return Delivered(ref=remote_ref(channel, ts))

    async def _upload(self, root: RemoteRef, files: Sequence[FileRef | TextFile]) -> list[tuple[str, NotThere]]:
        """Upload one after the other; return the names of those that are not there, and why."""
        channel, root_ts = split_ref(root)
        problems = []
        for file in files:
            problem = await self._uploads.put(channel, root_ts, file, self.capabilities.file_max_bytes)
            if problem is not None:
                problems.append((file.name, problem))
        return problems

    async def _name(self, thread: Thread, problems: Sequence[tuple[str, NotThere]]) -> None:
        for name, problem in problems:
            await self._remark(thread, f"The file {rich.label(name)} is not here: {problem.why.rstrip('.')}.")

    async def _own_files(self, root: RemoteRef, ref: RemoteRef) -> Counter[str]:
        """Return the names of the files that we put into the thread since a post of ours.

        Names are enough: a thread's posts come one after the other, so these are files of this one.
        """
        me = await self._calls.identity()
        channel, root_ts = split_ref(root)
        since = self._since("conversations.replies", channel, ts=root_ts, oldest=split_ref(ref)[1])
        names: Counter[str] = Counter()
        async with contextlib.aclosing(since) as messages:
            async for message in messages:
                if message.get("user") == me.bot_user or message.get("bot_id") == me.bot_id:
                    names.update(str(file.get("title") or file.get("name")) for file in message.get("files") or [])
        return names

    async def _stray(self, channel: str, ts: str) -> Outcome:
        """A reply to a deleted root lands in the channel, for all to see: take it back.

        Reported in https://github.com/getmunin/munin/pull/885.
        """
        try:
            await self._calls.write("chat.delete", {"channel": channel, "ts": ts})
        except CallFailed as failed:
            log.warning("stray_not_deleted", channel=channel, ts=ts, reason=failed.code)
        return Delivered(landed_elsewhere=True)

    async def _update(self, ref: RemoteRef, message: render.Rendered) -> Outcome:
        channel, ts = split_ref(ref)
        text = blocks.cut_escaped(message.text, blocks.MAX_UPDATE_TEXT_CHARS)
        body: Json = {"channel": channel, "ts": ts, "text": text, "blocks": message.blocks}
        try:
            await self._calls.write("chat.update", body | {"parse": "none", "link_names": False})
        except CallFailed as failed:
            return repeatable(failed.outcome)
        return Delivered()

    async def _remark(self, thread: Thread, sentence: str) -> None:
        if thread.root is None:
            return
        channel, root_ts = split_ref(thread.root)
        note = render.Rendered(
            text=rich.escape(sentence), blocks=[blocks.context([blocks.plain(sentence, blocks.MAX_CONTEXT_CHARS)])]
        )
        try:
            await self._post(channel, root_ts, note, "")
        except CallFailed as failed:
            log.warning("remark_not_posted", channel=channel, reason=failed.code)

    async def _look(self, method: str, channel: str, key: str, **where: str) -> RemoteRef | None:
        marks = {render.mark(key, followed=followed) for followed in (False, True)}
        async with contextlib.aclosing(self._since(method, channel, **where)) as messages:
            async for message in messages:
                if _key_of(message) in marks:
                    return remote_ref(channel, str(message["ts"]))
        return None

    async def _since(self, method: str, channel: str, **where: str) -> AsyncGenerator[Json, None]:
        """Read back, page by page. Raises ThreadUnreadable."""
        cursor = ""
        for _ in range(LOOK_PAGES):
            page: dict[str, Any] = {"channel": channel, "limit": 200, "inclusive": "true", **where}
            page |= {"include_all_metadata": "true", **({"cursor": cursor} if cursor else {})}
            try:
                answer = await self._calls.read(method, **page)
            except CallFailed as failed:
                after_s = failed.outcome.after_s if isinstance(failed.outcome, RetryLater) else None
                raise ThreadUnreadable(f"Slack: {failed.code}", after_s) from None
            for message in answer.get("messages") or []:
                yield message
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return
        raise ThreadUnreadable("Slack: more was said since than can be read back")


def _card(shown: Card, key: str | None) -> render.Rendered:
    return card.card(shown, key)


def _following(posted: Sequence[Part] | Transcript) -> list[FileRef | TextFile]:
    """Return the files that follow a post, in their order."""
    if not isinstance(posted, Transcript):
        return [file for part in posted for file in part.files]
    if not render.transcript(posted, "").needs_file:
        return []
    return [TextFile(name=posted.file_name, content=posted.file_text.encode("utf-8", "replace"))]


def _gone() -> Refused:
    return Refused(reason="message_not_found", remedy=REMEDIES["message_not_found"])


def _no_root() -> Refused:
    return Refused(reason="no_thread", remedy="The card of this handoff has not reached Slack yet.")


def _thread_of(answer: Mapping[str, Any]) -> str:
    message = answer.get("message")
    return str(message.get("thread_ts") or "") if isinstance(message, Mapping) else ""


def _key_of(message: Mapping[str, Any]) -> str:
    mark = message.get("metadata") or {}
    payload = mark.get("event_payload") or {}
    if mark.get("event_type") == render.METADATA_TYPE and payload.get("k"):
        return str(payload["k"])
    first = (message.get("blocks") or [{}])[0]
    return str(first.get("block_id") or "")
