"""Who hears what an operator typed: a corpus of slips and of plain replies, with the verdict on each."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audience import SENTENCES, hear, repeats_note
from bridge.conversation import HandoffState, Standing
from tests.settings import ROOT

CORPUS: dict[str, Any] = json.loads((ROOT / "tests/payloads/audience.json").read_text(encoding="utf-8"))
MESSAGES: list[dict[str, Any]] = CORPUS["messages"]
LEADS = ("", " ", "\n", "\t ", "\u00a0", "\u200b", "\ufeff", "\u2066")


def verdict(text: str, message: dict[str, Any]) -> tuple[bool, str]:
    heard = hear(
        text=text,
        hints=frozenset(message.get("hints", ())),
        standing=Standing(message.get("standing", "allowed")),
        is_owner=message.get("is_owner", True),
        state=HandoffState(message.get("state", "human")),
        rule=message.get("rule", "owner"),
        first_reply=message.get("first_reply", "note"),
        notes=CORPUS["notes"],
    )
    return heard.to_customer, heard.why


@pytest.mark.parametrize("message", MESSAGES, ids=[message["name"] for message in MESSAGES])
def test_each_message_of_the_corpus_is_heard_by_the_right_people(message: dict[str, Any]) -> None:
    """No slip reaches the customer, and no plain reply of the owner is kept."""
    expected = "owner" if message["verdict"] == "customer" else message["verdict"]

    assert verdict(message["text"], message) == (
        message.get("to_customer", message["verdict"] == "customer"),
        expected,
    )


def test_the_corpus_is_large_and_fair() -> None:
    """The corpus holds at least 80 messages, a good part of them plain replies."""
    plain = [message for message in MESSAGES if message["verdict"] == "customer"]

    assert len(MESSAGES) >= 80
    assert len(plain) >= 30


@pytest.mark.parametrize("lead", LEADS, ids=[repr(lead) for lead in LEADS])
def test_nothing_invisible_in_front_of_a_slip_lets_it_through(lead: str) -> None:
    """Blanks, zero-width characters and marks of direction before a kept message change nothing."""
    kept = [message for message in MESSAGES if not message.get("to_customer", message["verdict"] == "customer")]

    assert [message["name"] for message in kept if verdict(lead + message["text"], message)[0]] == []


@given(
    text=st.text(max_size=80),
    standing=st.sampled_from(Standing),
    state=st.sampled_from(HandoffState),
    rule=st.sampled_from(["owner", "anyone-in-queue", "button"]),
    first_reply=st.sampled_from(["note", "takes"]),
    hints=st.sets(
        st.sampled_from(["mentions_person", "mentions_bridge", "is_bot", "is_quote", "is_broadcast_mention"])
    ),
    is_owner=st.booleans(),
)
def test_only_those_who_may_are_heard_by_the_customer(
    *, text: str, standing: Standing, state: HandoffState, rule: str, first_reply: str, hints: set[str], is_owner: bool
) -> None:
    """Whatever the words: without standing, with a hint against it, after the end or from others nothing goes out."""
    heard = hear(
        text=text,
        hints=frozenset(hints),
        standing=standing,
        is_owner=is_owner,
        state=state,
        rule=rule,
        first_reply=first_reply,
    )

    if heard.to_customer:
        assert standing is not Standing.NONE
        assert not hints
        assert rule != "button"
        assert (state is HandoffState.HUMAN and (is_owner or rule == "anyone-in-queue")) or (
            state is HandoffState.WAITING and first_reply == "takes" and heard.takes
        )


@given(note=st.text(st.characters(categories=["L", "N", "Zs"]), min_size=20, max_size=120), around=st.text(max_size=20))
def test_a_pasted_note_is_recognised_wherever_it_stands(note: str, around: str) -> None:
    """A whole note of some length is found in any text that holds it, whatever the blanks."""
    if len(" ".join(note.casefold().split())) >= 20:
        assert repeats_note(f"{around} {note.replace(' ', '  ')} {around}", [f"// {note}"])


def test_every_reason_that_keeps_a_message_has_words_or_is_silent_on_purpose() -> None:
    """The thread is told why in words that exist; only notes and bots are kept without a word."""
    reasons = {message["verdict"] for message in MESSAGES} - {"customer", "takes", "in_queue", "bot"}

    assert reasons <= set(SENTENCES)
    assert {reason for reason in reasons if not SENTENCES[reason]} == {"note"}
