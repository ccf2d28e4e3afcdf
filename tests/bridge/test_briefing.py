"""What people and agents read first: the card, the transcript, the briefing."""

from dataclasses import replace
from typing import Any

import pytest

from bridge import briefing
from bridge.conversation import (
    Audience,
    Author,
    Conversation,
    Entry,
    EntryKind,
    Handoff,
    HandoffState,
    Role,
    Thread,
)
from bridge.envelope import Reason, ReturnNote, ReturnOutcome
from bridge.ids import HandoffId, Millis, QueueName, Ticket
from tests.bridge.stories import C1, CUSTOMER, DANA, DESK, SITE, a_file, envelope, queue

AT = Millis(1_800_000_000_000)
KIM = Author(role=Role.CUSTOMER, id="cu1", name="Kim Doe")
BOT = Author(role=Role.AGENT, id="bot", name="Assistant")
OPERATOR = Author(role=Role.OPERATOR, id=DANA.id, name="Dana")
ROW = Conversation(site=SITE, id=C1, widget="web", customer=CUSTOMER, collected={"order": "A-17", "empty": ""})


def handoff(**changes: Any) -> Handoff:
    fields: dict[str, Any] = {
        "site": SITE,
        "id": HandoffId("h1"),
        "conversation": C1,
        "ticket": Ticket("H-1001"),
        "envelope": envelope(),
        "queue": QueueName("support"),
        "thread": Thread(desk=DESK, channel=queue("support").channels[0]),
        "opened_at": AT,
        "first_n": 3,
        **changes,
    }
    return Handoff(**fields)


def entry(n: int, text: str, author: Author = KIM, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "n": n,
        "kind": EntryKind.LINE,
        "author": author,
        "audience": Audience.EVERYONE,
        "at": Millis(AT + n),
        "epoch": 1,
        "text": text,
        **changes,
    }
    return Entry(**fields)


def test_the_card_tells_who_why_and_what() -> None:
    """Everything that the agent handed over is on it, with what the token proves before what the page claims."""
    document = envelope(
        reason=Reason.POLICY,
        reason_detail="over 100 euros",
        question="May I?",
        customer={"name": "Not Kim", "email": "k@x.example", "verified": True, "attributes": {"plan": "gold"}},
        routing={"priority": "high"},
        collected={"refund": 500},
        attempts=({"action": "looked", "outcome": "failed", "detail": "timeout"}, {"action": "asked"}),
        suggested_replies=("Yes.",),
        ticket={"id": "ZD-5", "url": "https://t.example/5"},
    )
    unproven = replace(ROW, customer=replace(CUSTOMER, verified=False))
    card = briefing.card(handoff(envelope=document, why_here="rule 1"), unproven, queue_label="Support")

    assert (card.title, card.customer_name, card.customer_verified) == ("H-1001 · Kim Doe", "Kim Doe", False)
    assert (card.reason, card.reason_detail, card.question) == ("A policy needs a person", "over 100 euros", "May I?")
    assert set(card.customer_facts) >= {("Email", "k@x.example"), ("plan", "gold")}
    assert card.collected == (("order", "A-17"), ("refund", "500"))
    assert card.tried == (("looked", "failed: timeout"), ("asked", "unknown"))
    assert (card.priority, card.queue, card.why_here) == ("high", "Support", "rule 1")
    assert card.company_ticket == ("ZD-5", "https://t.example/5")


@pytest.mark.parametrize(
    "state, words, actions",
    [
        (HandoffState.WAITING, "Waiting", ("take", "return", "transfer", "close")),
        (HandoffState.HUMAN, "Taken by Dana", ("return", "transfer", "release", "close")),
        (HandoffState.RETURNED, "Returned to the AI agent by Dana", ("reopen",)),
        (HandoffState.WITHDRAWN, "Withdrawn", ("reopen",)),
        (HandoffState.CLOSED, "Closed by Dana", ("reopen",)),
    ],
)
def test_the_card_shows_the_state_and_its_buttons(state: HandoffState, words: str, actions: tuple[str, ...]) -> None:
    """Each state has its line and exactly the buttons that work in it."""
    card = briefing.card(handoff(state=state, operator=DANA), ROW, queue_label="Support")

    assert card.state_line.startswith(words)
    assert card.actions == actions


@pytest.mark.parametrize("rule", ["owner", "anyone-in-queue", "button"])
def test_the_card_says_who_hears_a_reply(rule: str) -> None:
    """The queue's rule stands on the card; before the take nobody is heard."""
    waiting = briefing.card(handoff(audience_rule=rule), ROW, queue_label="Support")
    taken = briefing.card(handoff(audience_rule=rule, state=HandoffState.HUMAN), ROW, queue_label="Support")

    assert waiting.audience_line.startswith(taken.audience_line)
    assert waiting.audience_line != taken.audience_line


@pytest.mark.parametrize("state", list(HandoffState))
@pytest.mark.parametrize("on_screen", [True, False, None])
def test_the_card_says_who_is_there_while_it_is_open(state: HandoffState, on_screen: bool | None) -> None:
    """On the customer's screen, or away since when; nothing where nobody knows, or where nobody answers any more."""
    one = handoff(state=state, operator=DANA)
    card = briefing.card(one, ROW, queue_label="Support", on_screen=on_screen, seen_at=Millis(7))
    is_open = state in (HandoffState.WAITING, HandoffState.HUMAN)

    line = {True: briefing.HERE_LINE, False: briefing.AWAY_LINE, None: ""}[on_screen]
    assert card.presence_line == (line if is_open else "")
    assert card.away_since == (7 if is_open and on_screen is False else None)
    assert (briefing.moved(card, "Billing").presence_line, briefing.moved(card, "Billing").away_since) == ("", None)


def test_the_last_words_are_the_customers_own() -> None:
    """What the customer said last, as it stands after edits, whoever spoke after them; nothing of what was deleted."""
    edit = entry(4, "now in words", kind=EntryKind.EDIT, target=3)
    gone = [entry(6, "never mind this"), entry(7, "", kind=EntryKind.DELETE, target=6)]

    said = [entry(1, "Hello"), entry(2, "How can I help?", BOT), entry(3, "typo"), edit, entry(5, "Let me see.", BOT)]
    assert briefing.last_words([*said, *gone]) == "now in words"
    assert briefing.last_words([entry(1, "Hi, how can I help?", BOT)]) == ""
    card = briefing.card(handoff(), ROW, queue_label="Support", last_words="now in words")
    assert card.last_words == "now in words"


@pytest.mark.parametrize("words,shown", [("I want a refund", ""), ("a refund", "a refund"), ("I  want\na refund", "")])
def test_the_card_does_not_say_the_same_twice(words: str, shown: str) -> None:
    """Last words that the summary quotes as a whole are not told again; any other words are."""
    told = envelope(summary='The customer wrote: "I want a refund"')

    assert briefing.card(handoff(envelope=told), ROW, queue_label="Support", last_words=words).last_words == shown


def test_every_reason_has_words() -> None:
    """No operator reads a constant."""
    assert set(briefing.REASONS) == set(Reason)


def test_a_card_that_moved_has_no_buttons() -> None:
    """The old thread's card says where it went."""
    card = briefing.moved(briefing.card(handoff(), ROW, queue_label="Support"), "Billing")

    assert (card.state_line, card.actions) == ("Moved to Billing", ())


def test_the_transcript_is_what_the_customer_saw() -> None:
    """Edits are applied; what is deleted, internal or suppressed is left out. Ten lines in view, all in the file."""
    log = [entry(n, f"line {n}") for n in range(1, 13)]
    log += [
        entry(13, "LINE 2", kind=EntryKind.EDIT, target=2),
        entry(14, "", kind=EntryKind.DELETE, target=12),
        entry(15, "note", OPERATOR, audience=Audience.COLLEAGUES),
        entry(16, "late", BOT, audience=Audience.SUPPRESSED),
        entry(17, "notice", Author(role=Role.BRIDGE), kind=EntryKind.NOTICE, audience=Audience.CUSTOMER),
        entry(18, "see this", OPERATOR, files=(a_file(),)),
    ]
    found = briefing.transcript(log, Ticket("H-1001"))

    texts = ["line 1", "LINE 2", *(f"line {n}" for n in range(3, 12)), "see this"]
    assert [line.text for line in found.lines] == texts[-10:]
    assert (found.earlier, found.file_name) == (2, "transcript-H-1001.txt")
    assert [text for text in texts if text not in found.file_text] == []
    assert "(file: bill.pdf, 10 bytes)" in found.file_text
    assert "Dana (operator)" in found.file_text
    for hidden in ("note", "late", "notice", "line 12", "line 2\n"):
        assert hidden not in found.file_text


def test_the_briefing_marks_where_the_human_stretch_begins_and_ends() -> None:
    """It frees the agent of earlier orders to be silent, tells every turn by name, and keeps notes of people apart."""
    note = ReturnNote(note="Refund it.", facts=("f",), promises=("p",), do_not_repeat=("d",), continue_now=True)
    ended = handoff(state=HandoffState.RETURNED, operator=DANA, note=note)
    log = [
        entry(1, "before"),
        entry(2, "answer", BOT),
        entry(3, "help"),
        entry(4, "I am Dana", OPERATOR),
        entry(5, "secret", OPERATOR, audience=Audience.COLLEAGUES),
        entry(6, "too late", BOT, audience=Audience.SUPPRESSED),
        entry(7, "I am Dana R.", OPERATOR, kind=EntryKind.EDIT, target=4),
    ]
    told = briefing.for_agent(ended, log)

    turns = [(turn["role"], turn["name"], turn["text"]) for turn in told["human_turns"]]
    assert turns == [("customer", "Kim Doe", "help"), ("operator", "Dana", "I am Dana R.")]
    assert "silent" in told["start"]
    assert "yours again" in told["end"]
    assert "hand over again" in told["end"]
    assert (told["outcome"], told["note"], told["facts"]) == ("answered", "Refund it.", ["f"])
    assert (told["promises"], told["do_not_repeat"], told["continue_now"]) == (["p"], ["d"], True)
    assert "secret" not in repr(told)
    assert "too late" not in repr(told)


def test_a_briefing_says_when_no_person_dealt_with_it() -> None:
    """An agent that gets a conversation back untouched is not told that somebody has settled anything."""
    withdrawn = briefing.for_agent(handoff(state=HandoffState.WITHDRAWN), [entry(3, "never mind")])
    unanswered = briefing.for_agent(
        handoff(state=HandoffState.RETURNED, note=ReturnNote(outcome=ReturnOutcome.UNANSWERED)), []
    )

    assert (withdrawn["outcome"], unanswered["outcome"]) == ("withdrawn", "unanswered")
    assert "no longer wants a person" in withdrawn["end"]
    assert "Nobody was free" in unanswered["end"]
    for told in (withdrawn, unanswered):
        assert "was called" in told["start"]
        assert "just dealt with" not in told["end"]


def test_a_note_edited_by_its_author_does_not_change_what_the_agent_reads_of_the_customer() -> None:
    """An edit that stayed among colleagues is no edit of the line that the customer saw."""
    log = [entry(3, "I said this", OPERATOR), entry(4, "secret", OPERATOR, kind=EntryKind.EDIT, target=3)]
    log[1] = replace(log[1], audience=Audience.COLLEAGUES)

    assert [line.text for line in briefing.visible(log)] == ["I said this"]
