"""A Slack as strict as it gets and the whole bridge before it: nothing lost or doubled, operators read the truth."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import BOT_USER, DANA, SAM, SUPPORT
from adapters.sandbox.slack.settings import DEFAULT_SCOPES
from tests.adapters.slack.conftest import SHORTCUTS
from tests.adapters.slack.whole import GRACE_S, Office, office_at

pytestmark = pytest.mark.xdist_group("slack-whole")
NO_HISTORY = [scope for scope in DEFAULT_SCOPES if not scope.endswith(":history")]


@pytest.fixture
async def office(tmp_path: Path, slack: Workspace) -> AsyncIterator[Office]:
    """A conversation that Dana has taken; everything so far has arrived."""
    await slack.reset_rules()
    await slack.configure(request_url=None, scopes=list(DEFAULT_SCOPES), shortcuts=SHORTCUTS)
    async with office_at(tmp_path, slack) as one:
        await one.opened()
        yield one
        await slack.clear_faults()
        await slack.reset_rules()
        await slack.configure(scopes=list(DEFAULT_SCOPES))


async def deaf(office: Office) -> None:
    """Let every event be lost, so that no echo can help."""
    await office.slack.fault("events", "lose", times=-1)


UNCLEAR: list[tuple[str, dict[str, Any]]] = [
    ("http_500_before", {}),
    ("drop_after", {}),
    ("delay_after", {"after_s": GRACE_S * 0.9}),
    ("error_after", {"error": "fatal_error"}),
]
"""One of each sort; `test_desk.py` holds the table of all of them."""


@pytest.mark.parametrize("kind, details", UNCLEAR, ids=[f"{u[0]}-{u[1].get('error', '')}" for u in UNCLEAR])
async def test_an_unclear_post_is_read_back_and_sent_once(office: Office, kind: str, details: dict[str, Any]) -> None:
    """Without an echo the thread is read after G: what is there stays, what is not is sent again, the rest follows."""
    await deaf(office)
    began = time.time()
    await office.slack.fault("chat.postMessage", kind, **details)
    await office.says("first line")
    await office.says("second line")
    await office.settled()

    assert [await office.times(line) for line in ("first line", "second line")] == [1, 1]
    shown = str(await office.thread())
    assert shown.index("first line") < shown.index("second line")
    reads = [call["at"] for call in await office.slack.calls("conversations.replies") if call["at"] >= began]
    assert reads[0] - began >= GRACE_S
    assert await office.dead() == []


@pytest.mark.parametrize("metadata", ["full", "type-only", "none"])
async def test_the_echo_settles_an_unclear_post_at_once(office: Office, metadata: str) -> None:
    """Our own post, seen in an event, is proof, by its metadata or by its first block; nobody reads the thread."""
    await office.slack.rules(metadata_in_events=metadata)
    began = time.time()
    await office.slack.fault("chat.postMessage", "http_500_after")
    await office.says("only once")
    await office.settled()

    assert await office.times("only once") == 1
    assert await office.calls_since(began, "conversations.replies") == 0
    assert await office.calls_since(began, "chat.postMessage") == 1


@pytest.mark.parametrize("kind", ["drop_after", "http_500_after"])
async def test_an_unclear_post_with_files_keeps_them(office: Office, kind: str) -> None:
    """Its echo shows the post and not its files, so the thread is read: the line and each file are there once."""
    files = [await office.file(name, name.encode()) for name in ("lamp.txt", "bill.txt")]
    await office.slack.fault("chat.postMessage", kind)
    await office.slack.fault("files.getUploadURLExternal", "http_500_before")
    await office.says("look at these", *files)
    await office.says("and now?")
    await office.settled()

    assert [await office.times("look at these"), await office.times("and now?")] == [1, 1]
    assert sorted(await office.files()) == ["bill.txt", "lamp.txt"]
    assert "is not here" not in str(await office.thread())
    assert await office.dead() == []


async def test_an_echo_may_come_before_the_answer(office: Office) -> None:
    """An answer that is lost after its echo changes nothing any more."""
    await office.slack.fault("chat.postMessage", "delay_after", after_s=GRACE_S * 3)
    await office.says("quick echo")
    await office.settled()
    await office.says("next")
    await office.settled()

    assert [await office.times("quick echo"), await office.times("next")] == [1, 1]


async def test_after_three_rounds_people_decide_to_send_again(office: Office) -> None:
    """A post that stays unclear is asked about in the thread; *Send again* brings the line, once, and settles it."""
    await deaf(office)
    await office.slack.fault("chat.postMessage", "http_500_before", times=4)
    await office.says("stubborn line")
    asked = await office.notice("may have been sent")
    assert await office.times("stubborn line") == 0
    await office.settled()
    assert [out.maybe_sent for out in await office.dead()] == [True]
    assert "handoff_dead_letters 1.0" in await office.metrics()

    await office.slack.clear_faults()
    await office.slack.click(DANA, "bridge_retry_send", asked["ts"])
    await office.notice("stubborn line")
    await office.slack.click(DANA, "bridge_retry_send", asked["ts"])
    await office.settled()
    assert await office.times("stubborn line") == 1
    assert await office.dead() == []
    assert "handoff_dead_letters 0.0" in await office.metrics()


async def test_where_history_is_forbidden_people_say_that_it_arrived(office: Office) -> None:
    """Without the history scopes there is neither echo nor reading: people are asked, and nothing is sent twice."""
    await office.slack.configure(scopes=NO_HISTORY)
    await office.slack.fault("chat.postMessage", "http_500_after")
    await office.says("is it there?")
    asked = await office.notice("may have been sent")
    assert "missing_scope" in str(asked["blocks"])
    await office.slack.click(DANA, "bridge_it_arrived", asked["ts"])
    await office.eventually(lambda: _none_dead(office))
    await office.says("afterwards")
    await office.notice("afterwards")

    assert await office.times("is it there?") == 1


async def _none_dead(office: Office) -> bool:
    return not await office.dead()


async def test_a_ration_that_is_used_up_leads_to_the_same_question(office: Office) -> None:
    """Reading that is put off three times is given up for a question to people."""
    await deaf(office)
    await office.slack.fault("conversations.replies", "rate_limited", after_s=1, times=-1)
    await office.slack.fault("chat.postMessage", "http_500_after")
    await office.says("rationed")
    await office.notice("may have been sent")

    assert await office.times("rationed") == 1
    assert [out.reason for out in await office.dead()] == ["Slack: ratelimited"]


async def test_a_ration_is_waited_for(office: Office) -> None:
    """One read a minute is enough for one doubt: it is settled as soon as Slack lets itself be read."""
    await deaf(office)
    await office.slack.rules(rationed_reads=True, minute_s=2)
    await office.bridge_reads()
    await office.slack.fault("chat.postMessage", "http_500_after")
    await office.says("patience pays")
    await office.settled()

    assert await office.times("patience pays") == 1
    assert await office.dead() == []


LOCKS = ["token_revoked", "account_inactive"]


@pytest.mark.parametrize("error", LOCKS)
async def test_a_dead_token_holds_everything_until_it_is_mended(office: Office, error: str) -> None:
    """Nothing is given up while the app is locked out; afterwards every line stands there once, in order."""
    await office.slack.rules(token_error=error)
    for number in range(3):
        await office.says(f"held {number}")
    await office.refused("chat.postMessage", error)
    assert await office.dead() == []
    await office.slack.rules(token_error="")
    await office.settled()

    await _in_order(office, [f"held {number}" for number in range(3)])


async def _in_order(office: Office, lines: list[str]) -> None:
    assert [await office.times(line) for line in lines] == [1] * len(lines)
    shown = str(await office.thread())
    places = [shown.index(line) for line in lines]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "how, back, error", [("archive", "unarchive", "is_archived"), ("leave", "join", "not_in_channel")]
)
async def test_a_closed_channel_holds_its_lines(office: Office, how: str, back: str, error: str) -> None:
    """An archived channel, or one that the app was removed from, keeps its lines waiting until people mend it."""
    who = SAM if how == "archive" else BOT_USER
    await office.slack.act(who, how, channel=SUPPORT)
    try:
        await office.says("one")
        await office.says("two")
        await office.refused("chat.postMessage", error)
        assert await office.dead() == []
    finally:
        await office.slack.act(who, back, channel=SUPPORT)
    await office.settled()

    await _in_order(office, ["one", "two"])


async def test_a_missing_scope_holds_the_card_too(office: Office) -> None:
    """Without chat:write nothing leaves; once it is granted the state on the card and the lines follow."""
    await office.slack.configure(scopes=[scope for scope in DEFAULT_SCOPES if scope != "chat:write"])
    await office.says("not yet")
    await office.refused("chat.postMessage", "missing_scope")
    await office.slack.configure(scopes=list(DEFAULT_SCOPES))
    await office.settled()

    assert await office.times("not yet") == 1


async def test_what_slack_never_takes_is_told_in_the_thread(office: Office) -> None:
    """One refused line is a dead letter with its reason, and later lines go on."""
    await office.slack.fault("chat.postMessage", "error_before", error="msg_blocks_too_long")
    await office.says("too much")
    told = await office.notice("could not be delivered")
    assert "msg_blocks_too_long" in str(told["blocks"])
    await office.says("goes on")
    await office.notice("goes on")
    await office.slack.click(DANA, "bridge_retry_send", told["ts"])
    await office.notice("too much")

    assert [await office.times(line) for line in ("too much", "goes on")] == [1, 1]
    assert await office.dead() == []


@pytest.mark.parametrize("kind", ["http_500_before", "http_500_after", "rate_limited"])
async def test_a_line_of_several_posts_never_repeats_those_that_are_there(office: Office, kind: str) -> None:
    """The second of several posts fails: the first is not posted again, and all of the line arrives."""
    await deaf(office)
    marks = [f"piece-{number:02d}" for number in range(24)]
    began = time.time()
    await office.slack.fault("chat.postMessage", "delay", after_s=0.01)
    await office.slack.fault("chat.postMessage", kind, after_s=1)
    await office.says(" ".join(f"{mark} {'x' * 900}" for mark in marks))
    await office.settled(within_s=20)

    assert await office.calls_since(began, "chat.postMessage") >= 3
    assert [await office.times(mark) for mark in marks] == [1] * len(marks)
    assert await office.dead() == []


@pytest.mark.parametrize("method, kind", [("chat.postMessage", "rate_limited"), ("chat.update", "http_500_after")])
async def test_a_limit_costs_time_and_nothing_else(office: Office, method: str, kind: str) -> None:
    """A 429 of one channel, and an update whose answer is lost, delay and neither lose nor double."""
    await office.slack.fault(method, kind, after_s=1, times=2, channel=SUPPORT)
    for number in range(3):
        await office.says(f"slow {number}")
    await office.settled()

    await _in_order(office, [f"slow {number}" for number in range(3)])


async def test_the_tiers_of_methods_are_kept_or_waited_for(office: Office) -> None:
    """The card is late when updates are used up for the minute, and shows the last state all the same."""
    await office.slack.rules(method_tiers=True, minute_s=3)
    for _ in range(50):
        await office.bridge_updates()
    await office.slack.click(DANA, "bridge_release", await office.root())
    await office.settled()

    assert "bridge_take" in str((await office.thread())[0]["blocks"])


async def test_an_outage_without_replay_is_caught_up(office: Office) -> None:
    """Words of an operator that no event ever brought are read after the gap, once, in their order."""
    await office.slack.say(DANA, "before", thread_ts=await office.root())
    await office.eventually(lambda: _heard(office, "before"))
    await office.slack.fault("apps.connections.open", "error_before", times=2)
    await deaf(office)
    await office.slack.disconnect(abrupt=True)
    await office.slack.say(DANA, "during 1", thread_ts=await office.root())
    await office.slack.say(DANA, "during 2", thread_ts=await office.root())
    await office.connected(0)
    await office.slack.clear_faults()
    await office.eventually(lambda: _heard(office, "during 2"), within_s=40)
    await office.slack.say(DANA, "after", thread_ts=await office.root())
    await office.eventually(lambda: _heard(office, "after"))

    assert [text for text in await office.heard() if text in {"before", "during 1", "during 2", "after"}] == [
        "before",
        "during 1",
        "during 2",
        "after",
    ]


async def _heard(office: Office, text: str) -> bool:
    return text in await office.heard()


@pytest.mark.parametrize("new", [False, True])
async def test_what_comes_again_is_said_once(office: Office, new: bool) -> None:
    """Duplicates and retries, under the same or another event id, are one message to the customer."""
    await office.slack.rules(new_id_on_retry=new)
    await office.slack.fault("events", "duplicate_new_id" if new else "duplicate", times=4)
    await office.slack.say(DANA, "said once", thread_ts=await office.root())
    await office.slack.say(DANA, "for all", thread_ts=await office.root(), broadcast=True)
    await office.slack.say(DANA, "the end", thread_ts=await office.root())
    await office.eventually(lambda: _heard(office, "the end"))

    assert [text for text in await office.heard() if text in {"said once", "for all"}] == ["said once", "for all"]


async def test_a_deleted_card_gets_a_new_thread(office: Office) -> None:
    """When the root is gone Slack drops replies into the channel: they are taken back and go to a new thread."""
    old = await office.root()
    for message in reversed(await office.thread()):
        await office.slack.delete(SAM, message["ts"])
    await office.says("where am I?")

    async def elsewhere() -> bool:
        return await office.root() not in {"", old} and await office.times("where am I?") > 0

    await office.eventually(elsewhere)
    await office.settled()
    assert await office.times("where am I?") == 1
    assert "where am I?" in str(await office.thread())
