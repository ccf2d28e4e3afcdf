"""Fitting an entry to a destination: nothing is lost, nothing is reordered, no limit is exceeded."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.capabilities import Capabilities, Support, fit
from bridge.conversation import Audience, Author, Entry, EntryKind, FileRef, Role
from bridge.ids import FileId, HandoffId, Millis

DANA = Author(role=Role.OPERATOR, id="d", name="Dana")


def entry(text: str, **changes: object) -> Entry:
    fields: dict[str, object] = {
        "n": 7,
        "kind": EntryKind.LINE,
        "author": DANA,
        "audience": Audience.EVERYONE,
        "at": Millis(1000),
        "epoch": 1,
        "text": text,
        **changes,
    }
    return Entry(**fields)  # type: ignore[arg-type]


def limits(chars: int) -> Capabilities:
    return Capabilities(text_max_chars=chars, post_max_chars=chars * 10, post_max_parts=10)


TEXT = st.text(st.sampled_from("ab .\n\u0301\u200d👩🦰é\ufe0f"), max_size=200) | st.text(max_size=200)


@given(text=TEXT, chars=st.integers(1, 50))
@example("👩\u200d🦰" * 20, 7)
@example("e\u0301" * 30, 10)
@example("", 1)
@example(" " * 60, 10)
@example("\n\n" * 40, 9)
def test_no_character_is_lost_reordered_or_too_many(text: str, chars: int) -> None:
    """The parts together are the text, each within the limit and numbered in order."""
    parts = fit(entry(text), limits(chars))

    assert "".join(part.text for part in parts) == text
    assert all(len(part.text) <= chars for part in parts)
    assert [part.index for part in parts] == list(range(1, len(parts) + 1))
    assert {part.total for part in parts} == {len(parts)}
    assert all(part.text for part in parts) or text == ""


@given(words=st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), min_size=30, max_size=60))
def test_words_are_not_torn_where_a_blank_is_near(words: list[str]) -> None:
    """Text of ordinary words is cut between them."""
    text = " ".join(words)
    parts = fit(entry(text), limits(40))

    assert [word for part in parts for word in part.text.split(" ") if word] == words


@pytest.mark.parametrize("drawn", ["👩\u200d🦰", "e\u0301", "❤\ufe0f"])
@pytest.mark.parametrize("chars", range(8, 14))
def test_what_is_drawn_as_one_character_is_not_torn(drawn: str, chars: int) -> None:
    """A cut in text without blanks keeps accents and joined emoji whole."""
    parts = fit(entry(drawn * 30), limits(chars))

    assert all(len(part.text) % len(drawn) == 0 for part in parts)


def test_paragraphs_are_preferred_to_lines_and_lines_to_sentences() -> None:
    """The best boundary in the second half of what fits is taken."""
    text = "one two.\n\nthree four. five\nsix seven eight nine ten"
    parts = fit(entry(text), limits(16))

    assert parts[0].text == "one two.\n\n"


def test_files_and_marks_go_where_they_belong() -> None:
    """Files follow the last part; a notice is quiet, names its target and whom it is to reach."""
    file = FileRef(id=FileId("f1"), name="a.pdf", media_type="application/pdf", size_bytes=1)
    parts = fit(entry("word " * 10, files=(file,)), limits(20))
    assert [part.files for part in parts] == [()] * (len(parts) - 1) + [(file,)]
    assert fit(entry("", files=(file,)), limits(20))[0].files == (file,)

    notice = entry(
        "hello",
        kind=EntryKind.NOTICE,
        target=3,
        handoff=HandoffId("h1"),
        data={"notice": "taken", "mentions": ["slack:U1"]},
    )
    part = fit(notice, limits(20))[0]
    assert (part.quiet, part.target, part.handoff, part.mentions) == (True, 3, "h1", ("slack:U1",))
    assert fit(entry("x", data={"mentions": ["slack:U1"]}), limits(20))[0].mentions == ()


def test_customers_text_is_plain_and_everybody_elses_is_markdown() -> None:
    """What a customer writes is shown as it is."""
    customer = Author(role=Role.CUSTOMER, id="c", name="Kim")

    assert fit(entry("*x*", author=customer), limits(20))[0].plain
    assert not fit(entry("*x*"), limits(20))[0].plain


@pytest.mark.parametrize(
    "now_ms, late_ms",
    [
        pytest.param(0, 0, id="unknown"),
        pytest.param(6000, 0, id="5s"),
        pytest.param(6001, 5001, id="more"),
        pytest.param(500, 0, id="back"),
    ],
)
def test_a_line_that_waited_says_so(now_ms: int, late_ms: int) -> None:
    """Only what waited for more than five seconds is worth telling."""
    assert fit(entry("x"), limits(20), now_ms=now_ms)[0].late_ms == late_ms


def test_levels_compare() -> None:
    """A feature can be asked for by level."""
    assert Support.REJECTED < Support.DROPPED < Support.FALLBACK < Support.PARTIAL < Support.FULL
