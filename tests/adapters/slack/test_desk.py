"""The Slack desk against the sandbox: the contract of desks, and what Slack does when things go wrong."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.sandbox.client import Json
from adapters.sandbox.slack.people import BILLING, DANA, SAM
from adapters.slack import render
from adapters.slack.desk import SlackDesk
from bridge.briefing import Card, Transcript
from bridge.capabilities import fit
from bridge.conversation import Entry, FileRef, Thread
from bridge.errors import ThreadUnreadable
from bridge.ids import ChannelId, Millis, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused, RetryLater, Unknown
from tests.adapters.slack.conftest import Stage, root_ts, settings_for, staged
from tests.adapters.slack.rig import DESK, SUPPORT, WallClock, key, person, shown_card
from tests.contracts.desk_contract import DeskContract, line
from tests.contracts.desk_contract import Room as RoomOfAll


def words(message: Json) -> str:
    """What people read: every text of the blocks."""
    return "\n".join(_texts(message.get("blocks") or []))


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [
            text
            for name, item in value.items()
            for text in ([item] if name == "text" and isinstance(item, str) else _texts(item))
        ]
    return []


@dataclass
class SlackRoom:
    """The Slack desk as the contract sees it."""

    stage: Stage
    began: float = field(default_factory=time.time)

    @property
    def desk(self) -> SlackDesk:
        return self.stage.parts.desk

    def card(self, summary: str) -> Card:
        return shown_card(summary=summary)

    def thread(self, root: RemoteRef | None = None) -> Thread:
        return Thread(desk=DESK, channel=SUPPORT, root=root)

    async def seen(self, ref: RemoteRef) -> str | None:
        ts = ref.partition(":")[2]
        found = [
            m for m in await self.stage.slack.messages(SUPPORT) if m["ts"] == ts and m.get("subtype") != "tombstone"
        ]
        return words(found[0]) if found else None

    async def all_seen(self) -> Sequence[str]:
        return [words(message) for message in await self.stage.slack.messages(SUPPORT)]

    async def lose(self, root: RemoteRef) -> None:
        await self.stage.parts.calls.write("chat.delete", {"channel": SUPPORT, "ts": root.partition(":")[2]})

    def keep(self, name: str) -> FileRef:
        return self.stage.shelf.add(name, name.encode())

    async def files(self) -> Sequence[str]:
        since = [m for m in await self.stage.slack.messages(SUPPORT) if float(m["ts"]) >= self.began]
        return [file["name"] for message in since for file in message.get("files") or []]

    def now(self) -> Millis:
        return WallClock().now()


class TestSlackDesk(DeskContract):
    """The contract."""

    @pytest.fixture
    def room(self, stage: Stage) -> RoomOfAll:
        """The sandbox's #support."""
        return SlackRoom(stage)


FAULTS: list[tuple[str, dict[str, Any], type[Outcome]]] = [
    ("rate_limited", {"after_s": 7}, RetryLater),
    ("http_500_before", {}, Unknown),
    ("http_500_after", {}, Unknown),
    ("drop_before", {}, Unknown),
    ("drop_after", {}, Unknown),
    ("error_before", {"error": "internal_error"}, Unknown),
    ("error_after", {"error": "fatal_error"}, Unknown),
    ("error_after", {"error": "request_timeout"}, Unknown),
    ("error_after", {"error": "service_unavailable"}, Unknown),
    ("error_before", {"error": "invalid_auth"}, Refused),
    ("error_before", {"error": "is_archived"}, Refused),
    ("error_before", {"error": "never_heard_of"}, Refused),
]


@pytest.mark.parametrize("kind, details, expected", FAULTS, ids=[f"{f[0]}-{f[1].get('error', '')}" for f in FAULTS])
async def test_each_fault_is_an_outcome(
    stage: Stage, kind: str, details: dict[str, Any], expected: type[Outcome]
) -> None:
    """Whatever goes wrong with a post is answered, never raised, and tried once."""
    one = await stage.opened()
    calls = len(await stage.slack.calls("chat.postMessage"))
    await stage.slack.fault("chat.postMessage", kind, times=-1, **details)
    mark, since = key(), WallClock().now()
    outcome = await stage.parts.desk.post(one.thread, fit(line("hello"), render.CAPABILITIES), mark)
    await stage.slack.clear_faults()

    assert type(outcome) is expected
    assert len(await stage.slack.calls("chat.postMessage")) == calls + 1
    found = await stage.parts.desk.find(one.thread, mark, since)
    assert (found is not None) == kind.endswith("_after")


async def test_a_rate_limit_names_its_time_and_the_channel(stage: Stage) -> None:
    """A 429 on a post rests the channel for as long as Slack says."""
    one = await stage.opened()
    await stage.slack.fault("chat.postMessage", "rate_limited", after_s=7)

    outcome = await stage.parts.desk.post(one.thread, fit(line("hello"), render.CAPABILITIES), key())
    assert outcome == RetryLater(after_s=7.0, reason="ratelimited", channel_wide=True)


async def test_an_unclear_update_is_simply_done_again(stage: Stage) -> None:
    """Showing a card twice is no harm, so nothing has to be looked for."""
    one = await stage.opened()
    await stage.slack.fault("chat.update", "http_500_after")

    assert isinstance(await stage.parts.desk.refresh(one.thread, shown_card(one)), RetryLater)


async def test_a_slow_answer_is_unclear(stage: Stage) -> None:
    """After the call's time is up nobody knows, and the next call works."""
    impatient = staged(stage.slack, settings_for(stage.slack.url, call_timeout_s=0.3))
    one = await stage.opened()
    await stage.slack.fault("chat.postMessage", "delay", after_s=1.0)
    outcome = await impatient.parts.desk.post(one.thread, fit(line("slow"), render.CAPABILITIES), key())
    again = await impatient.parts.desk.post(one.thread, fit(line("quick"), render.CAPABILITIES), key())
    await impatient.parts.stop()

    assert outcome == Unknown(reason="timeout")
    assert isinstance(again, Delivered)


async def test_a_slack_that_is_not_there_was_certainly_not_reached(stage: Stage) -> None:
    """A refused connection means that nothing was applied."""
    lonely = staged(stage.slack, settings_for("http://127.0.0.1:1"))
    outcome = await lonely.parts.desk.open(Thread(desk=DESK, channel=SUPPORT), shown_card(), key())
    await lonely.parts.stop()

    assert outcome == RetryLater(after_s=0.0, reason="unreachable")


async def test_a_wrong_channel_is_refused_with_a_remedy(stage: Stage) -> None:
    """A channel that the app is not in says how to mend it."""
    nowhere = Thread(desk=DESK, channel=ChannelId("C0RANDOM1"))
    outcome = await stage.parts.desk.open(nowhere, shown_card(), key())

    assert isinstance(outcome, Refused)
    assert "/invite" in outcome.remedy


async def test_a_post_is_found_by_its_first_block_too(stage: Stage) -> None:
    """Where the payload of the metadata is gone, the block id of the first block still names the post."""
    one = await stage.opened()
    mark, since = key(), WallClock().now()
    bare = {"event_type": "bridge_line", "event_payload": {}}
    blocks = [{"type": "section", "block_id": mark, "text": {"type": "plain_text", "text": "hello"}}]
    body = {"channel": SUPPORT, "thread_ts": root_ts(one), "text": "hello", "blocks": blocks, "metadata": bare}
    ts = (await stage.parts.calls.write("chat.postMessage", body))["ts"]

    assert await stage.parts.desk.find(one.thread, mark, since) == f"{SUPPORT}:{ts}"


async def test_reading_back_may_be_refused(stage: Stage) -> None:
    """What Slack does not let us read is not taken for absent."""
    one = await stage.opened()
    await stage.slack.fault("conversations.replies", "rate_limited", after_s=30)

    with pytest.raises(ThreadUnreadable) as caught:
        await stage.parts.desk.find(one.thread, key(), Millis(0))
    assert caught.value.after_s == 30.0


async def test_reading_back_turns_the_pages(stage: Stage) -> None:
    """A post is found behind hundreds of younger ones."""
    one = await stage.opened()
    mark, since = key(), WallClock().now()
    outcome = await stage.parts.desk.post(one.thread, fit(line("early"), render.CAPABILITIES), mark)
    assert isinstance(outcome, Delivered)
    for n in range(210):
        await stage.slack.say(DANA, f"chatter {n}", thread_ts=root_ts(one))

    assert await stage.parts.desk.find(one.thread, mark, since) == outcome.ref


async def test_a_customers_file_lies_in_the_thread(stage: Stage) -> None:
    """The bytes of a line's file follow it as an upload, once."""
    one = await stage.opened()
    photo = stage.shelf.add("broken lamp.jpg", b"\xff\xd8\xff" + b"x" * 5_000, "image/jpeg")
    entry = line("Look")
    parts = fit(_with_files(entry, photo), render.CAPABILITIES)
    assert isinstance(await stage.parts.desk.post(one.thread, parts, key()), Delivered)

    shared = [message for message in await stage.thread(one) if message.get("files")]
    assert [(file["name"], file["size"]) for message in shared for file in message["files"]] == [
        ("broken lamp.jpg", 5_003)
    ]
    assert "📎 broken lamp.jpg (5 KB)" in words((await stage.thread(one))[1])


def _with_files(entry: Entry, *files: FileRef) -> Entry:
    return replace(entry, files=files)


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_file_that_slack_refuses_is_named_in_the_thread(stage: Stage, method: str) -> None:
    """Nobody has to guess that a file is missing; the line itself is there."""
    one = await stage.opened()
    photo = stage.shelf.add("setup.exe", b"MZ", "application/x-dosexec")
    await stage.slack.fault(method, "error_before", error="blocked_file_type")
    outcome = await stage.parts.desk.post(one.thread, fit(_with_files(line("Look"), photo), render.CAPABILITIES), key())

    assert isinstance(outcome, Delivered)
    assert "The file setup.exe is not here: Slack did not take it (blocked_file_type)" in words(
        (await stage.thread(one))[-1]
    )


async def test_a_file_that_is_gone_here_is_named_too(stage: Stage) -> None:
    """A file that the bridge lost is not passed over."""
    one = await stage.opened()
    photo = stage.shelf.add("a.txt", b"x")
    del stage.shelf.kept[photo.id]
    await stage.parts.desk.post(one.thread, fit(_with_files(line("Look"), photo), render.CAPABILITIES), key())

    assert "The file a.txt is not here" in words((await stage.thread(one))[-1])


@pytest.mark.parametrize("kind", ["http_500_before", "http_500_after", "rate_limited"])
async def test_a_file_in_doubt_is_brought_by_a_later_call(stage: Stage, kind: str) -> None:
    """While Slack falters nothing is said and the files stay wanted; in the end each is there once."""
    one = await stage.opened()
    files = [stage.shelf.add(name, b"bytes") for name in ("a.txt", "b.txt")]
    outcome = await stage.parts.desk.post(one.thread, fit(line("Look"), render.CAPABILITIES), key())
    assert isinstance(outcome, Delivered)
    assert outcome.ref is not None
    parts = fit(_with_files(line("Look"), *files), render.CAPABILITIES)
    await stage.slack.fault("files.completeUploadExternal", kind)

    first = await stage.parts.desk.complete(one.thread, parts, outcome.ref)
    assert isinstance(first, Unknown | RetryLater)
    assert await stage.parts.desk.complete(one.thread, parts, outcome.ref) == outcome
    thread = await stage.thread(one)
    assert sorted(file["name"] for message in thread for file in message.get("files") or []) == ["a.txt", "b.txt"]
    assert "is not here" not in "".join(map(words, thread))


async def test_a_colleagues_file_of_that_name_does_not_count(stage: Stage) -> None:
    """Only our own uploads say that a customer's file is there; what Slack refuses for good is named, once."""
    one = await stage.opened()
    photo = stage.shelf.add("lamp.jpg", b"bytes")
    outcome = await stage.parts.desk.post(one.thread, fit(line("Look"), render.CAPABILITIES), key())
    assert isinstance(outcome, Delivered)
    assert outcome.ref is not None
    await stage.slack.upload(DANA, "lamp.jpg", b"bytes", thread_ts=root_ts(one))
    await stage.slack.fault("files.completeUploadExternal", "error_before", error="blocked_file_type")
    parts = fit(_with_files(line("Look"), photo), render.CAPABILITIES)

    assert await stage.parts.desk.complete(one.thread, parts, outcome.ref) == outcome
    assert "The file lamp.jpg is not here" in words((await stage.thread(one))[-1])


async def test_files_are_not_brought_blindly(stage: Stage) -> None:
    """Where the thread cannot be read, nobody knows which files are missing."""
    one = await stage.opened()
    photo = stage.shelf.add("lamp.jpg", b"bytes")
    parts = fit(_with_files(line("Look"), photo), render.CAPABILITIES)
    outcome = await stage.parts.desk.post(one.thread, parts, key())
    assert isinstance(outcome, Delivered)
    assert outcome.ref is not None
    await stage.slack.fault("conversations.replies", "rate_limited", after_s=9)

    with pytest.raises(ThreadUnreadable) as caught:
        await stage.parts.desk.complete(one.thread, parts, outcome.ref)
    assert caught.value.after_s == 9


async def test_the_whole_transcript_is_attached(stage: Stage) -> None:
    """What the post leaves out is in a text file in the thread."""
    one = await stage.opened()
    transcript = Transcript(
        lines=(line("the last one"),), earlier=40, file_name="transcript-H-1042.txt", file_text="ä" * 3_000
    )
    assert isinstance(await stage.parts.desk.post_transcript(one.thread, transcript, key()), Delivered)

    shared = [message for message in await stage.thread(one) if message.get("files")]
    assert [(file["name"], file["size"]) for file in shared[0]["files"]] == [("transcript-H-1042.txt", 6_000)]


async def test_what_leaves_is_marked_and_quiet(stage: Stage) -> None:
    """A post carries its key twice, and asks Slack to parse, link and unfurl nothing; an update carries its blocks."""
    bodies: list[Json] = []

    async def note(request: web.Request) -> web.Response:
        bodies.append({"method": request.path, **await request.json()})
        return web.json_response({"ok": True, "ts": "1.000002", "message": {"thread_ts": "1.000001"}})

    app = web.Application()
    app.router.add_post("/api/{method}", note)
    async with TestServer(app) as server:
        one = staged(stage.slack, settings_for(str(server.make_url("")).rstrip("/")))
        thread, mark = Thread(desk=DESK, channel=SUPPORT, root=RemoteRef(f"{SUPPORT}:1.000001")), key()
        await one.parts.desk.post(thread, fit(line("see https://x.example"), render.CAPABILITIES), mark)
        await one.parts.desk.refresh(thread, shown_card())
        await one.parts.stop()

    post, update = bodies
    assert post["metadata"] == {"event_type": "bridge_line", "event_payload": {"k": mark}}
    assert post["blocks"][0]["block_id"] == mark
    assert (post["parse"], post["link_names"], post["unfurl_links"], post["unfurl_media"]) == (
        "none",
        False,
        False,
        False,
    )
    assert post["thread_ts"] == "1.000001"
    assert update["blocks"]
    assert update["text"]
    assert "metadata" not in update


async def test_a_refreshed_card_is_still_found_by_its_key(stage: Stage) -> None:
    """Showing a new state does not wipe the mark."""
    mark, since = key(), WallClock().now()
    outcome = await stage.parts.desk.open(Thread(desk=DESK, channel=SUPPORT), shown_card(), mark)
    assert isinstance(outcome, Delivered)
    await stage.parts.desk.refresh(Thread(desk=DESK, channel=SUPPORT, root=outcome.ref), shown_card(summary="new"))

    assert await stage.parts.desk.find(Thread(desk=DESK, channel=SUPPORT), mark, since) == outcome.ref


async def test_a_whisper_is_for_one_person(stage: Stage) -> None:
    """One person reads the sentence, in the thread, as it is written."""
    one = await stage.opened()
    await stage.parts.desk.whisper(one.thread, person(DANA), "Only *you* <!here>")

    state = await stage.slack.state()
    mine = [words(each) for each in state.ephemerals(DANA)]
    assert mine[-1] == "Only *you* <!here>"
    assert "Only *you*" not in str(state.ephemerals(SAM))


async def test_typing_shows_and_is_rationed(stage: Stage) -> None:
    """The thread shows that the customer types, with one call for a burst of hints."""
    one = await stage.opened()
    for _ in range(5):
        await stage.parts.desk.typing(one.thread, "Kim")

    assert "Kim is typing" in (await stage.slack.state()).status(SUPPORT, root_ts(one))
    made = [call for call in await stage.slack.calls("assistant.threads.setStatus") if root_ts(one) in str(call)]
    assert len(made) == 1


async def test_no_token_shows_anywhere(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Neither settings nor failures nor logs hold a token."""
    caplog.set_level("DEBUG")
    settings = settings_for(
        stage.slack.url, bot_token="xoxb-canary", app_token="xapp-canary", signing_secret="canary-s"
    )
    foreign = staged(stage.slack, settings)
    outcome = await foreign.parts.desk.open(Thread(desk=DESK, channel=ChannelId(BILLING)), shown_card(), key())
    await foreign.parts.stop()

    assert outcome == Refused(
        reason="invalid_auth",
        remedy="Install the Slack app again and put its new bot token into the settings.",
        until_mended=True,
    )
    everything = repr((settings, foreign.parts, outcome)) + caplog.text
    assert "canary" not in everything
