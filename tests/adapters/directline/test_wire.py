"""Activities <-> events and entries, without any socket."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.directline import wire
from adapters.directline.errors import DirectLineError
from adapters.directline.screen import Screen
from bridge.conversation import Audience, Author, Entry, EntryKind, FileRef, Role, Stream
from bridge.ids import ConversationId, Millis, TurnId

CONVERSATION = ConversationId("c_1")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def screen() -> Screen:
    return Screen(
        conversation=CONVERSATION,
        link=lambda file: f"https://bridge.example/{file.id}",
        agent_name="Ava",
        public_label="Acme support",
        bridge_name="Notice",
    )


def entry(n: int, text: str = "", **more: object) -> Entry:
    base = Entry(
        n=n,
        kind=EntryKind.LINE,
        author=Author(role=Role.OPERATOR, id="slack:T1:U1", name="Dana Ruiz"),
        audience=Audience.EVERYONE,
        at=Millis(1_800_000_000_000 + n),
        epoch=1,
        text=text,
    )
    return replace(base, **more)  # type: ignore[arg-type]


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Whatever a client posts, it becomes an activity or a 400; never anything else."""
    try:
        activity = wire.parse_activity(body)
    except DirectLineError as error:
        outcome = str(error.status)
    else:
        outcome = activity.type
    assert outcome == "400" or json.loads(body)["type"] == outcome


@given(st.dictionaries(st.sampled_from(["channelData", "value", "locale", "entities", "from", "id"]), json_values))
def test_what_is_kept_can_be_sent_again(fields: dict[str, object]) -> None:
    """What the echo takes from a POST is valid JSON as it was, and never `from` or `id`."""
    body = json.dumps({"type": "message", "text": "x", **fields}).encode()
    try:
        activity = wire.parse_activity(body)
    except DirectLineError:
        return
    kept = activity.kept()
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert {"from", "id"}.isdisjoint(kept)
    assert kept == {k: v for k, v in json.loads(body).items() if k in kept}


@given(st.none() | st.text(max_size=20))
def test_any_watermark_is_a_number(raw: str | None) -> None:
    """A watermark that was not ours is the beginning; ours is itself."""
    n = wire.parse_watermark(raw)
    assert n >= 0
    assert n == 0 or (raw is not None and int(raw) == n)


@given(
    st.lists(
        st.tuples(st.sampled_from(["line", "edit", "delete"]), st.integers(1, 8), st.text(max_size=5)), max_size=12
    )
)
def test_folding_changes_nothing_but_the_way(steps: list[tuple[str, int, str]]) -> None:
    """A client that saw each step and one that got the folded batch show the same."""
    log: list[Entry] = []
    for n, (kind, target, text) in enumerate(steps, start=1):
        lines = [e.n for e in log if e.kind is EntryKind.LINE]
        if kind == "line" or not lines:
            log.append(entry(n, text))
        else:
            log.append(entry(n, text, kind=EntryKind(kind), target=lines[target % len(lines)]))

    def shown(entries: list[Entry]) -> dict[int, str]:
        texts: dict[int, str] = {}
        for e in entries:
            if e.kind is EntryKind.LINE:
                texts[e.n] = e.text
            elif e.target is not None:
                texts[e.target] = e.text if e.kind is EntryKind.EDIT else ""
        return texts

    assert shown(wire.fold(log)) == shown(log)
    assert wire.targets(wire.fold(log)) == []


def test_files_are_links_in_every_direction() -> None:
    """A person's files are attachments with signed links; a deleted message has none."""
    file = FileRef(id="f1", name="a.pdf", media_type="application/pdf", size_bytes=3)  # type: ignore[arg-type]
    line = entry(1, "see", files=(file,))
    (shown,) = screen().activities(line)
    (deleted,) = screen().activities(entry(2, kind=EntryKind.DELETE, target=1), line)

    link = {"contentType": "application/pdf", "contentUrl": "https://bridge.example/f1", "name": "a.pdf"}
    assert shown["attachments"] == [link]
    assert "attachments" not in deleted


def test_a_file_without_words_still_says_who_sent_it() -> None:
    """The name line stands alone above a file."""
    file = FileRef(id="f1", name="a.pdf", media_type="application/pdf", size_bytes=3)  # type: ignore[arg-type]
    (shown,) = screen().activities(entry(1, files=(file,), named=True))
    assert shown["text"] == "**Dana Ruiz** · Acme support"


def test_a_persons_team_stands_behind_the_name() -> None:
    """A line that says which queue it comes from is headed by that queue's label, as plain text."""
    (shown,) = screen().activities(entry(1, "Hi", named=True, data={"label": "Acme *billing*"}))
    assert shown["text"] == "**Dana Ruiz** · Acme \\*billing\\*\n\nHi"


def test_a_change_of_something_unseen_shows_nothing() -> None:
    """An edit whose original the customer may not see is passed over."""
    assert screen().activities(entry(2, "x", kind=EntryKind.EDIT, target=1)) == []


def test_what_is_being_written_is_never_taken_for_the_persons_words() -> None:
    """After a person spoke, the AI's half-written text has its name line; after the AI spoke it needs none."""
    turn = TurnId("t")
    view = screen()
    view.note(entry(1, "I am Dana"))
    chunk = view.chunk(Stream(turn=turn, attempt=1, seq=1, text="Welcome back"), Millis(0))
    assert chunk is not None
    assert chunk["text"] == "**Ava** · AI\n\nWelcome back"
    view.note(entry(2, "Welcome back.", author=Author(role=Role.AGENT, id="agent"), turn=turn))
    chunk = view.chunk(Stream(turn=turn, attempt=1, seq=1, text="More"), Millis(0))
    assert chunk is not None
    assert chunk["text"] == "More"


def test_chunks_of_a_second_attempt_come_after_those_of_the_first() -> None:
    """A stream that goes on after a crash keeps its id, and its numbers go on growing."""
    turn = TurnId("t")
    first = screen().chunk(Stream(turn=turn, attempt=1, seq=900, text="a"), Millis(0))
    second = screen().chunk(Stream(turn=turn, attempt=2, seq=1, text="b"), Millis(0))
    assert first is not None
    assert second is not None
    assert first["channelData"]["streamSequence"] < second["channelData"]["streamSequence"]
    assert first["channelData"]["streamId"] == second["channelData"]["streamId"]


@pytest.mark.parametrize(
    "stream",
    [
        Stream(turn=TurnId("t"), attempt=1, seq=1, text=""),
        Stream(turn=TurnId("t"), attempt=1, seq=1, text="x", open=False),
    ],
)
def test_an_empty_or_ended_stream_shows_nothing(stream: Stream) -> None:
    """There is no bubble before there are words, nor after the end."""
    assert screen().chunk(stream, Millis(0)) is None


@pytest.mark.parametrize("lag_ms", [0, 4, 1000])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_chunk_is_never_stamped_behind_what_ends_its_stream(lag_ms: int, earlier: bool) -> None:
    """A chunk shown after its retraction was committed keeps its place, for Web Chat sorts by time."""
    view, turn, at = screen(), TurnId("t1"), 1_700_000_000_000
    if earlier:
        view.activities(replace(entry(1, "hello"), at=Millis(at - 10)))
    ended = replace(entry(2, "", kind=EntryKind.RETRACTION, turn=turn), at=Millis(at))

    chunk = view.chunk(Stream(turn=turn, attempt=1, seq=1, text="Let me"), Millis(at + lag_ms))
    (final,) = view.activities(ended)

    assert chunk is not None
    assert chunk["timestamp"] < final["timestamp"]


def test_a_clock_that_goes_back_does_not_reorder_the_screen() -> None:
    """Hints and chunks are stamped behind everything shown, whatever the time is."""
    view = screen()
    view.note(entry(5))
    hint = view.typing("Dana Ruiz", "t_1", Millis(0))
    assert hint["timestamp"] > wire.timestamp(entry(5).at)


@pytest.mark.parametrize(
    "document, user",
    [
        ({"user": {"id": "u1", "name": "Mia"}}, ("u1", "Mia")),
        ({"User": {"Id": "u1", "Name": "Mia"}}, ("u1", "Mia")),
        ({"user": {"id": None, "name": None}}, ("", "")),
        ({"user": "u1"}, ("", "")),
        ({}, ("", "")),
        ({"user": {"id": "x" * 128, "name": "a\nb\u202e" + "x" * 500}}, ("x" * 128, "a b " + "x" * 116)),
    ],
)
def test_the_user_of_a_request_is_one_clean_line(document: wire.Json, user: tuple[str, str]) -> None:
    """Ids and names that pages claim are short, printable strings or nothing."""
    assert wire.user_of(document) == user


@pytest.mark.parametrize("user_id", ["x" * 129, 7, "a\nb", " padded ", ["u1"], "tab\there"])
def test_an_id_that_would_have_to_be_changed_is_refused(user_id: object) -> None:
    """Two customers must never become one because their ids were cut or cleaned to the same."""
    with pytest.raises(DirectLineError) as refused:
        wire.user_of({"user": {"id": user_id}})
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "origins", ["https://a.example", [7], ["https://a.example/page"], ["*"], ["https://a.example"] * 21]
)
def test_what_is_no_list_of_origins_is_refused(origins: object) -> None:
    """A mistake in trustedOrigins is told at once, rather than never matching."""
    with pytest.raises(DirectLineError):
        wire.origins_of({"trustedOrigins": origins})


def test_origins_are_taken_as_they_are() -> None:
    """The list of origins is exact; none given is none."""
    assert wire.origins_of({"TrustedOrigins": ["https://a.example:8443"]}) == ("https://a.example:8443",)
    assert wire.origins_of({}) == wire.origins_of({"trustedOrigins": None}) == ()
