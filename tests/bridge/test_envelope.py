"""The documents: what is kept of an envelope that an agent sent, and what an operator may return."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.envelope import HandoffEnvelope, ReadEnvelope, Reason, ReturnNote, read_envelope
from bridge.errors import EnvelopeError

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "spec": "handoff/1",
    "id": "e-1",
    "conversation_id": "c1",
    "created_at": "2026-01-05T09:00:00Z",
    "reason": "policy",
    "summary": "Wants 500 euros back.",
    "agent": {"id": "bot", "version": "3"},
    "customer": {"id": "cu1", "name": "Kim", "attributes": {"plan": "gold", "orders": 3, "vip": True, "x": None}},
    "routing": {"team": "billing", "priority": "urgent", "skills": ["refunds"]},
    "collected": {"order": "A-17", "refund_amount": 500.5},
    "attempts": [{"action": "looked up the order", "outcome": "succeeded"}],
    "suggested_replies": ["We refund you."],
    "citations": [{"title": "Terms", "url": "https://shop.example/terms"}],
    "transcript": [{"role": "customer", "text": "hi"}],
    "ticket": {"id": "ZD-5", "url": "https://tickets.example/5"},
    "resume": {"mode": "tool_result", "token": "t", "tool_call_id": "call_1"},
    "ext": {"acme": {"anything": [1, {"deep": True}]}},
    "from_the_future": 1,
}


def read(raw: object, conversation_id: str | None = "c1") -> ReadEnvelope:
    return read_envelope(raw, conversation_id=conversation_id, envelope_id="made-1", now=NOW)


def test_a_good_envelope_is_kept_whole() -> None:
    """Every field arrives, nothing is complained of, and fields of a newer spec are ignored."""
    found = read(GOOD)

    assert found.problems == ()
    assert found.envelope == HandoffEnvelope.model_validate(GOOD)
    assert found.envelope.collected == {"order": "A-17", "refund_amount": 500.5}
    assert found.envelope.ext["acme"]["anything"] == [1, {"deep": True}]


def test_an_envelope_survives_its_own_json() -> None:
    """What is written is what is read."""
    envelope = read(GOOD).envelope

    assert HandoffEnvelope.model_validate_json(envelope.model_dump_json()) == envelope


@pytest.mark.parametrize(
    "field, value",
    [
        ("created_at", "yesterday"),
        ("created_at", "2026-01-05T09:00:00"),
        ("summary", ""),
        ("summary", None),
        ("agent", {}),
        ("agent", "bot"),
        ("customer", {"attributes": {"k": ["nested"]}}),
        ("customer", {"attributes": {"a b": 1}}),
        ("collected", {f"k{i}": i for i in range(51)}),
        ("collected", {"k": "x" * 1025}),
        ("collected", [1]),
        ("confidence", 1.5),
        ("confidence", float("nan")),
        ("routing", {"priority": "asap"}),
        ("routing", {"sla_seconds": -1}),
        ("attempts", [{"action": "x"}] * 21),
        ("citations", [{"title": "x", "url": "javascript:alert(1)"}]),
        ("ticket", {"id": "5", "url": "file:///etc/passwd"}),
        ("id", "has blanks"),
        ("id", None),
        ("ext", {f"k{i}": {} for i in range(11)}),
        ("transcript", [{"role": "wizard", "text": "x"}]),
        ("resume", {"mode": "never"}),
        ("question", "\ud800"),
    ],
)
def test_a_field_that_does_not_fit_is_left_out_and_named(field: str, value: Any) -> None:
    """A customer is waiting: everything else is kept, and the operator can read what was wrong."""
    found = read({**GOOD, field: value})

    assert found.problems
    assert all(path.split(".")[0] == field and message for path, message in found.problems)
    expected = HandoffEnvelope.model_validate(GOOD).model_dump(exclude={field})
    assert found.envelope.model_dump(exclude={field}) == expected


@pytest.mark.parametrize("field, limit", [("summary", 2000), ("question", 1000), ("reason_detail", 500)])
def test_a_text_that_is_too_long_is_cut_and_named(field: str, limit: int) -> None:
    """Half a summary is better than none."""
    found = read({**GOOD, field: "x" * 5000})

    kept = getattr(found.envelope, field)
    assert (len(kept), kept[:10], kept[-1]) == (limit, "x" * 10, "…")
    assert [path for path, _ in found.problems] == [field]


def test_a_long_transcript_loses_its_old_end() -> None:
    """The newest 200 lines stay, a line of more than 8,000 characters is cut, and the envelope says so."""
    lines = [{"role": "customer", "text": str(number)} for number in range(300)]
    lines[-1]["text"] = "y" * 9000
    found = read({**GOOD, "transcript": lines})

    assert (len(found.envelope.transcript), found.envelope.transcript[0].text) == (200, "100")
    assert len(found.envelope.transcript[-1].text) == 8000
    assert found.envelope.transcript_truncated


@pytest.mark.parametrize("detail", [None, "details", 5])
def test_an_unknown_reason_is_other_with_its_word_kept(detail: Any) -> None:
    """No reason of an agent is refused."""
    found = read({**GOOD, "reason": "mood_swing", "reason_detail": detail})

    assert found.envelope.reason is Reason.OTHER
    assert (found.envelope.reason_detail or "").startswith("mood_swing")
    assert found.problems == ()


@pytest.mark.parametrize("raw", [{}, [], "text", 5, None, {"summary": 5, "reason": 7, "agent": None, "id": []}])
def test_anything_at_all_is_a_handoff_of_a_live_conversation(raw: object) -> None:
    """Where the way in names the conversation, nothing that an agent sends is refused."""
    found = read(raw)

    assert found.envelope.conversation_id == "c1"
    assert found.envelope.id == "made-1"
    assert found.envelope.created_at == NOW
    assert found.envelope.summary
    assert found.problems


def test_the_way_in_wins_over_the_document() -> None:
    """An agent cannot hand over another conversation than the one that it is in."""
    assert read({**GOOD, "conversation_id": "c2"}).envelope.conversation_id == "c1"
    assert read(GOOD, None).envelope.conversation_id == "c1"


@pytest.mark.parametrize(
    "raw",
    [{}, [], "x", None, *({**GOOD, "conversation_id": wrong} for wrong in ("", 5, "c" * 129))],
)
def test_what_names_no_conversation_is_refused_with_its_problem(raw: object) -> None:
    """Only then is an envelope refused, and the answer says where and why."""
    with pytest.raises(EnvelopeError) as caught:
        read(raw, None)

    assert caught.value.problems
    assert all(path and message for path, message in caught.value.problems)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(GOOD)), JSON, max_size=5))
def test_no_document_breaks_the_door(changes: dict[str, Any]) -> None:
    """Any JSON in any field: what comes of it is an envelope of this conversation that can be written and read."""
    found = read({**GOOD, **changes})

    again = HandoffEnvelope.model_validate_json(found.envelope.model_dump_json())
    assert (again.conversation_id, again.reason, again.summary) == (
        "c1",
        found.envelope.reason,
        found.envelope.summary,
    )


def test_a_return_note_keeps_its_limits() -> None:
    """At most 20 lines of 500 characters in each list, 3,000 characters of note."""
    note = ReturnNote(note="x" * 3000, facts=tuple("y" * 500 for _ in range(20)))
    assert note.outcome.value == "answered"
    for broken in ({"note": "x" * 3001}, {"facts": ["y" * 501]}, {"promises": ["y"] * 21}, {"do_not_repeat": [""]}):
        with pytest.raises(ValidationError):
            ReturnNote.model_validate(broken)


def test_the_documents_have_a_schema() -> None:
    """Outsiders can read what to send."""
    schema = HandoffEnvelope.model_json_schema()

    assert {"id", "conversation_id", "reason", "summary", "agent"} <= set(schema["required"])
    assert "properties" in ReturnNote.model_json_schema()
