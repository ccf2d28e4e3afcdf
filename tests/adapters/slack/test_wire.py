"""Slack's payloads, one by one: what they mean, and that what is no payload means nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack import interactions, refs, render, wire
from tests.adapters.slack.rig import TEAM, person
from tests.settings import ROOT

BODIES: dict[str, dict[str, Any]] = json.loads((ROOT / "tests/payloads/slack/events.json").read_text(encoding="utf-8"))
ME = wire.Me(team=TEAM, bot_user="U0BRIDGE1", bot_id="B0BRIDGE1", app_id="A0BRIDGE1")
DANA = "U0DANARUIZ"
IGNORED = [
    "unfurled", "language found", "root message", "root that has replies", "channel_join", "own edit",
    "own customised edit", "own delete", "own file", "reaction",
]  # fmt: skip


def read(name: str, me: wire.Me = ME) -> Any:
    return wire.read_event(BODIES[name], me)


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_not_an_operators_is_dropped(name: str) -> None:
    """Unfurls, joins, reactions and our own changes are nobody's words."""
    assert read(name) is None


def test_every_payload_is_covered() -> None:
    """Each payload of the file is expected to mean something, or to mean nothing."""
    meant = {name for name in BODIES if read(name) is not None}

    assert meant | set(IGNORED) == set(BODIES)
    assert meant & set(IGNORED) == set()


def test_a_reply() -> None:
    """Who, where, when, and a source that does not depend on the event's id."""
    said = read("reply")

    assert isinstance(said, wire.Spoken)
    assert (said.channel, said.root_ts, said.ts, said.user) == (
        "C0SUPPORT",
        "1795000000.000100",
        "1795000100.000200",
        DANA,
    )
    assert said.source == f"slack:{TEAM}:C0SUPPORT:1795000100.000200:said"
    assert said.at == 1_795_000_100_000
    assert (said.hints, said.edited, said.command) == (frozenset(), False, "")
    assert wire.read_event({**BODIES["reply"], "event_id": "Ev0002"}, ME) == said


def test_both_events_of_a_mention_are_one() -> None:
    """`app_mention` and `message` of one message have one source."""
    mention = BODIES["app_mention"]
    message = {**mention, "event": {**mention["event"], "type": "message", "channel_type": "channel"}}
    first, second = wire.read_event(mention, ME), wire.read_event(message, ME)

    assert isinstance(first, wire.Spoken)
    assert isinstance(second, wire.Spoken)
    assert first.source == second.source
    assert (first.command, first.note({})) == ("return", "refund done")
    assert first.hints == {"mentions_bridge"}


HINTS = [
    ("mention of two", {"mentions_person", "is_broadcast_mention"}),
    ("thread_broadcast", {"is_broadcast"}),
    ("forwarded", {"is_quote"}),
    ("other bot", {"is_bot"}),
    ("customised bot", {"is_bot"}),
    ("stranger", {"is_foreign"}),
    ("reply without blocks", {"mentions_person"}),
]


@pytest.mark.parametrize("name, hints", HINTS)
def test_hints_tell_what_the_desk_saw(name: str, hints: set[str]) -> None:
    """Facts for the audience rules, none too many."""
    assert set(read(name).hints) == hints


def test_text_without_blocks_is_read() -> None:
    """Older clients and integrations send no blocks."""
    assert read("reply without blocks").markdown({"U0LEEPARK1": "Lee"}) == r"a \<b\> Lee [x](https://x.example)"


def test_files_are_described() -> None:
    """A file's address, size and type come along."""
    (file,) = read("file_share").message.files

    assert (file.id, file.name, file.size, file.mode) == ("F1", "a.pdf", 5, "hosted")
    assert file.url_private_download.endswith("/download/a.pdf")


def test_each_edit_has_its_own_source() -> None:
    """Two edits of a message are two events; the message is the same."""
    first, second = read("edited"), read("edited twice")

    assert (first.edited, first.ts, first.markdown({})) == (True, "1795000100.000200", "hello!")
    assert second.markdown({}) == "hello?"
    assert first.source != second.source
    assert first.source == f"slack:{TEAM}:C0SUPPORT:1795000100.000200:edited:1795000200.000000"


@pytest.mark.parametrize("name", ["deleted", "tombstone"])
def test_a_deletion(name: str) -> None:
    """Both ways in which Slack says that a message is gone are one event."""
    gone = read(name)

    assert isinstance(gone, wire.Gone)
    assert (gone.ts, gone.root_ts, gone.user) == ("1795000100.000200", "1795000000.000100", DANA)
    assert gone.source == f"slack:{TEAM}:C0SUPPORT:1795000100.000200:deleted"


ECHOES = [
    ("own echo", "o_9"),
    ("own echo without payload", "o_1"),
    ("own echo without metadata", "o_1"),
    ("own customised echo", "o_1"),
]


@pytest.mark.parametrize("name, key", ECHOES)
def test_our_own_post_is_known_by_either_mark(name: str, key: str) -> None:
    """The metadata's key counts; where it is missing, the id of the first block."""
    echo = read(name)

    assert isinstance(echo, wire.OwnEcho)
    assert (echo.key, echo.ts) == (key, "1795000100.000200")


@pytest.mark.parametrize("marked", ["metadata", "block"])
def test_the_echo_of_a_post_that_files_follow_says_nothing(marked: str) -> None:
    """That such a post is there does not mean that its files are, so its echo must settle nothing."""
    event: dict[str, Any] = {"type": "message", "channel": "C0SUPPORT", "ts": "1795000100.000200", "bot_id": ME.bot_id}
    mark = render.mark("o_1", followed=True)
    if marked == "metadata":
        event["metadata"] = render.metadata(mark)
    else:
        event["blocks"] = [{"type": "context", "block_id": mark}]

    assert wire.read_message(wire.MessageEvent.model_validate(event), ME) is None


def test_we_know_ourselves_before_slack_told_us() -> None:
    """What a delivery says about us is enough to tell our own posts."""
    me = wire.identity_of(BODIES["own echo"])

    assert (me.team, me.bot_user, me.app_id) == (TEAM, "U0BRIDGE1", "A0BRIDGE1")
    assert isinstance(read("own echo", me), wire.OwnEcho)
    assert read("own edit", me) is None


def test_anothers_metadata_is_no_echo() -> None:
    """Another app cannot settle our sends by copying our mark."""
    body = json.loads(json.dumps(BODIES["other bot"]))
    body["event"]["metadata"] = {"event_type": "bridge_line", "event_payload": {"k": "o_9"}}

    assert isinstance(wire.read_event(body, ME), wire.Spoken)


def test_people_who_leave_and_come() -> None:
    """Departures name person and channel; a guest's status counts as gone, a new name does not."""
    left, joined = read("member_left_channel"), read("member_joined_channel")

    assert (left.user, left.channel) == (DANA, "C0SUPPORT")
    assert (joined.user, joined.channel) == (DANA, "C0SUPPORT")
    assert [read(f"user_change {what}").gone for what in ("deactivated", "guest", "name")] == [True, True, False]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(
    st.sampled_from(["event", "message", "previous_message", "blocks", "user", "ts", "channel", "files"]), max_size=3
)


@given(st.sampled_from(sorted(BODIES)), PATHS, JSON)
def test_broken_payloads_mean_nothing_or_something_never_a_crash(name: str, path: list[str], rubbish: Any) -> None:
    """Whatever stands in a field's place, reading ends in an answer."""
    body = json.loads(json.dumps(BODIES[name]))
    spot = body
    for step in path[:-1]:
        spot = spot[step] if isinstance(spot, dict) and isinstance(spot.get(step), dict) else spot
    spot[path[-1] if path else "event"] = rubbish
    happened = wire.read_event(body, ME)

    if isinstance(happened, wire.Spoken):
        assert isinstance(happened.markdown({}) + happened.note({}), str)


@given(JSON)
def test_broken_interactions_never_crash(rubbish: Any) -> None:
    """A click, shortcut or modal that cannot be read is none."""
    for name in ("actions", "view", "container", "message", "user", "channel"):
        body = {"type": "message_action", name: rubbish}
        assert interactions.read_click(body) is None
        assert interactions.read_submission(body) is None
        interactions.read_shortcut(body)
        interactions.read_command({"text": str(rubbish)})


COMMANDS = [
    ("", "", ""),
    ("H-1042", "H-1042", ""),
    ("h-1042 refund done", "H-1042", "refund done"),
    ("H-1042: refund done", "H-1042", "refund done"),
    ("refund for H-1042", "", "refund for H-1042"),
    ("H-abc", "", "H-abc"),
    ("  H-7\nline two ", "H-7", "line two"),
]


@pytest.mark.parametrize("text, ticket, note", COMMANDS)
def test_a_commands_text_is_a_ticket_and_a_note(text: str, ticket: str, note: str) -> None:
    """A ticket counts only where the text begins with it."""
    command = interactions.read_command({"text": text, "user_id": "U1", "channel_id": "C1"})

    assert (command.ticket, command.note) == (ticket, note)


def test_references_are_ours_to_read() -> None:
    """What is made here is taken apart here, and foreign ids are known as foreign."""
    assert refs.split_ref(refs.remote_ref("C1", "1.2")) == ("C1", "1.2")
    assert refs.user_of(person("U1")) == "U1"
    assert [refs.user_of(name) for name in ("teams:T1:U1", "slack:T1", "U1", "")] == [None] * 4
    assert refs.millis("1795000100.000200") == 1_795_000_100_000
    assert refs.millis("5.9") == 5_900
    assert refs.stamp(refs.millis("1795000100.123456")) == "1795000100.123000"
