"""Parts, cards, transcripts and modals as Block Kit: within every limit, whole, and inert."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from adapters.slack import blocks, card, modals, render, rich
from bridge.briefing import AWAY_LINE, HERE_LINE, Transcript
from bridge.capabilities import REHEARSED, Part, fit
from bridge.conversation import Audience, Author, Entry, EntryKind, FileRef, HandoffState, Role
from bridge.effects import OutKind
from bridge.ids import FileId, Millis, Ticket
from bridge.pacing import together
from bridge.storage import Out
from tests.adapters.slack.rig import SITE, envelope, handoff, shown_card
from tests.settings import ROOT

Json = dict[str, Any]
HOSTILE: list[str] = json.loads((ROOT / "tests/payloads/hostile.json").read_text(encoding="utf-8"))["slack"]
HOSTILE += ["x" * 40_000, "<!channel> " * 3_000, "&" * 9_000, "\U0001f469\u200d\U0001f4bb" * 5_000, "> " * 900 + "deep"]
NAMES = [f"{i}: {text[:30]!r}" for i, text in enumerate(HOSTILE)]
KIM = Author(role=Role.CUSTOMER, id="kim", name="Kim Vale")
ARIA = Author(role=Role.AGENT, name="Aria")


def entry(text: str, *, author: Author = KIM, n: int = 4, kind: EntryKind = EntryKind.LINE, **more: Any) -> Entry:
    return Entry(
        n=n, kind=kind, author=author, audience=Audience.EVERYONE, at=Millis(1_000), epoch=2, text=text, **more
    )


def checked(message: render.Rendered) -> list[Json]:
    """Assert that Slack would take this message, by its SDK's models and by what they do not know."""
    shown = message.blocks
    View(type="modal", title={"type": "plain_text", "text": "x"}, blocks=Block.parse_all(shown)).to_dict()
    ids = [block["block_id"] for block in shown if "block_id" in block]
    assert 0 < len(shown) <= 50
    assert len(ids) == len(set(ids))
    assert message.text.strip()
    assert len(message.text) <= blocks.MAX_TEXT_CHARS
    assert blocks.characters(shown) <= blocks.MAX_MESSAGE_CHARS
    for piece in walk(shown):
        assert piece.get("type") != "text" or piece["text"], "an empty piece of rich text"
        assert piece.get("type") != "mrkdwn" or piece["verbatim"] is True
        assert piece.get("type") != "context" or 0 < len(piece["elements"]) <= 10
        assert piece.get("type") != "plain_text" or len(piece["text"]) <= 2_000
        assert piece.get("type") != "mrkdwn" or len(piece["text"]) <= 2_000
    return shown


def walk(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


LIVE = {"user", "usergroup", "broadcast", "channel", "team", "date"}


def assert_inert(message: render.Rendered, *, mentions: Sequence[str] = ()) -> None:
    """Assert that nothing in it can mention, call or disguise an address."""
    shown = [piece for piece in walk(message.blocks) if piece.get("type") != "button"]
    assert [piece for piece in shown if piece.get("type") in LIVE] == []
    assert set(_controls(message.text)) <= {f"<@{user}" for user in mentions}
    for piece in shown:
        if piece.get("type") == "mrkdwn":
            text = piece["text"]
            assert set(_controls(text)) <= {"<!date", *(f"<@{user}" for user in mentions), "<http"}, text
        if piece.get("type") == "link":
            assert piece["url"].lower().startswith(("http://", "https://", "mailto:"))


def _controls(text: str) -> Iterator[str]:
    for part in text.split("<")[1:]:
        head = part.split(">")[0].split("|")[0].split("^")[0]
        yield "<http" if head.startswith(("http://", "https://", "mailto:")) else f"<{head}"


def read(message: render.Rendered) -> str:
    """The words of all rich text of a message."""
    return "".join(
        piece.get("text") or piece.get("url") or ""
        for piece in walk(message.blocks)
        if piece.get("type") in {"text", "link"}
    )


def test_the_corpus_is_large() -> None:
    """The hostile corpus holds at least 80 strings, all different."""
    assert len(set(HOSTILE)) >= 80


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_customers_words_are_inert_and_whole(text: str) -> None:
    """Whatever a customer writes is shown exactly, within the limits, and does nothing in Slack."""
    parts = fit(entry(text), render.CAPABILITIES)
    messages = [render.post([part], "o_1") for part in parts]

    for message in messages:
        assert checked(message)[0]["block_id"] == "o_1"
        assert_inert(message)
    assert "".join(read(message) for message in messages) == rich.clean(text)


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
@pytest.mark.parametrize("role", [Role.AGENT, Role.OPERATOR])
def test_the_agents_markdown_is_inert(text: str, role: Role) -> None:
    """Agents and operators may format, and still cannot mention, call, or hide an address behind another."""
    for part in fit(entry(text, author=Author(role=role, name=text[:60])), render.CAPABILITIES):
        for message in (render.post([part], "o_1"), render.edited(part)):
            checked(message)
            assert_inert(message)


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_names_and_files_cannot_carry_anything(text: str) -> None:
    """A customer's name and a file's name stay one inert line of small print."""
    file = FileRef(id=FileId("f"), name=text, media_type="image/png", size_bytes=5_000)
    author = Author(role=Role.CUSTOMER, name=text)
    message = render.post(fit(entry("hi", author=author, files=(file,)), render.CAPABILITIES), "o_1")

    checked(message)
    assert_inert(message)
    small = [element["text"] for block in message.blocks if block["type"] == "context" for element in block["elements"]]
    assert all("\n" not in line and "\u202e" not in line for line in small)


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_notices_are_inert(text: str) -> None:
    """A notice that quotes somebody cannot mention anybody but whom the core named."""
    notice = Part(
        n=5, kind=EntryKind.NOTICE, author=Author(role=Role.BRIDGE), text=text[:3_000], plain=False, quiet=True,
        mentions=("slack:T1:U1", "teams:x:y"), actions=("send_to_customer",), target=4, handoff="h_1",
    )  # fmt: skip
    message = render.post([notice], "o_1")

    checked(message)
    assert_inert(message, mentions=["U1"])
    called = [piece["text"] for piece in walk(message.blocks) if piece.get("type") == "mrkdwn"]
    assert called[0].startswith("<@U1>")
    assert message.text.startswith("<@U1>")


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_cards_are_inert(text: str) -> None:
    """Nothing that an agent or customer put into a card can do anything, and the summary is there."""
    line = text[:2_000] or "x"
    pairs = ((text[:64], text[:1_024]),)
    shown = shown_card(
        title=text[:150], state_line=f"Taken by {text[:50]}", summary=line, question=text[:1_000],
        customer_name=text[:120], reason_detail=text[:500], customer_facts=pairs, collected=pairs, tried=pairs,
        suggested_replies=(text[:2_000],),
        queue=text[:80], why_here=text[:300], problems=pairs, last_words=text,
        company_ticket=(text[:128], f"https://x.example/{text[:20]}"),
    )  # fmt: skip
    message = card.card(shown, "o_1")

    checked(message)
    assert_inert(message)


def test_no_address_hides_behind_another() -> None:
    """A link whose words look like an address shows the real one."""
    message = render.post(
        fit(entry("[https://bank.example](https://evil.example)", author=ARIA), render.CAPABILITIES), "o_1"
    )

    links = [piece for piece in walk(message.blocks) if piece.get("type") == "link"]
    assert links == [{"type": "link", "url": "https://evil.example"}]


def test_it_is_clear_who_speaks() -> None:
    """Customer, AI agent, operator and bridge are told apart in words."""
    lines = [entry("a"), entry("b", author=ARIA), entry("c", author=Author(role=Role.OPERATOR, name="Dana"))]
    message = render.post([part for line in lines for part in fit(line, render.CAPABILITIES)], "o_1")

    names = [block["elements"][0]["text"] for block in message.blocks if block["type"] == "context"]
    assert names == ["👤 Kim Vale · customer", "🤖 Aria · AI agent", "🎧 Dana · operator"]
    assert message.text == "Kim Vale · customer: a\nAria · AI agent: b\nDana · operator: c"


def test_what_the_agent_rehearses_says_who_does_not_see_it() -> None:
    """Beside the speaker of each part and in the notification; a customer's page cannot put it there."""
    tried = replace(entry("Your money is on its way.", author=ARIA), audience=Audience.COLLEAGUES)
    twice = render.post([*fit(tried, render.CAPABILITIES), *fit(tried, render.CAPABILITIES)], "o_1")
    said = render.post(fit(entry("Hello", data={"notice": "rehearsal"}), render.CAPABILITIES), "o_1")

    assert str(checked(twice)).count(f"🤖 Aria · AI agent · {REHEARSED}") == 2
    assert twice.text.startswith(f"Aria · AI agent ({REHEARSED}): Your money")
    assert REHEARSED not in str(said.blocks)


def test_lines_of_one_customer_share_one_name() -> None:
    """A burst of lines is a group of blocks per line under one name; a late one says how late."""
    late = fit(entry("b"), render.CAPABILITIES, now_ms=43_000)
    message = render.post([*fit(entry("a"), render.CAPABILITIES), *fit(entry("c"), render.CAPABILITIES), *late], "o_1")

    assert [block["type"] for block in message.blocks] == ["context", "rich_text", "rich_text", "context", "rich_text"]
    assert message.blocks[3]["elements"][0]["text"] == "👤 Kim Vale · customer · written 42 s ago"


def test_a_notice_offers_its_buttons() -> None:
    """A notice is small print with buttons that carry the handoff and the entry they speak of."""
    notice = Part(
        n=5, kind=EntryKind.NOTICE, author=Author(role=Role.BRIDGE), text="**Kept** among colleagues.", plain=False,
        quiet=True, actions=("take_and_send", "send_to_customer"), target=4, handoff="h_1",
    )  # fmt: skip
    small, row = checked(render.post([notice], "o_1"))

    assert small["type"] == "context"
    assert small["elements"][0]["text"] == "*Kept* among colleagues."
    assert [(b["action_id"], b["value"], b["text"]["text"]) for b in row["elements"]] == [
        ("bridge_take_and_send", "h_1|4", "Take it and send this"),
        ("bridge_send_to_customer", "h_1|4", "Send to the customer"),
    ]


@given(st.lists(st.text(max_size=4_000), min_size=1, max_size=60))
def test_a_post_as_the_pacing_packs_it_fits(texts: list[str]) -> None:
    """Whatever leaves together in one post fits into it whole."""
    pieces = [fit(entry(text, n=i + 1), render.CAPABILITIES, now_ms=90_000) for i, text in enumerate(texts)]
    outs = [
        Out(
            site=SITE, conversation=handoff().conversation, handoff=handoff().id, ordinal=1, k=i + 1,
            kind=OutKind.POST, key=render_key(i), n=i + 1,
        )
        for i in range(len(texts))
    ]  # fmt: skip
    taken = together(outs, pieces, render.CAPABILITIES)
    message = render.post([part for i in taken for part in pieces[i]], "o_1")

    checked(message)
    assert read(message) == "".join(rich.clean(texts[i]) for i in taken)


def render_key(i: int) -> Any:
    return f"o_{i}"


PROSE = st.text(alphabet=st.sampled_from(list("abc *_`[](<>&#-\n|:/")), max_size=3_000)


@given(PROSE)
@example("[:]:a")
@example("```a")
def test_formatting_never_loses_words(text: str) -> None:
    """Markdown's marks may go, its letters never."""
    letters = [c for c in text if c in "abc"]

    assert [c for c in rich.words(rich.markdown_elements(text)) if c in "abc"] == letters


PRESENCES = ((HERE_LINE, None), (AWAY_LINE, Millis(1_800_000_000_000)), ("", None))


def full_card() -> render.Rendered:
    """A card whose every field is as long as the envelope allows."""
    many = {f"key_{i}": "v" * 1_024 for i in range(50)}
    full = envelope(
        reason_detail="d" * 500,
        summary="s" * 2_000,
        question="q" * 1_000,
        attempts=[{"action": "a" * 200, "outcome": "failed", "detail": "t" * 500} for _ in range(20)],
        suggested_replies=["r" * 2_000] * 3,
        collected=many,
        customer={"name": "n" * 120, "email": "e@x.example", "attributes": many},
        ticket={"id": "T" * 128, "url": "https://x.example/" + "u" * 2_000},
    )
    shown = shown_card(handoff(envelope=full, why_here="w" * 900), problems=(("a.b", "wrong " * 40),) * 30)
    return card.card(shown, "o_1")


def test_the_fullest_card_fits_and_keeps_what_matters() -> None:
    """Summary and question are whole; lists say how much they leave out."""
    message = full_card()

    checked(message)
    assert "s" * 2_000 in read(message)
    assert "q" * 1_000 in read(message)
    assert "s" * 2_000 in message.text
    assert "more not shown" in read(message)


def test_a_card_says_everything_an_operator_needs() -> None:
    """State, audience, reason, summary, question, facts, proof, queue, priority, tickets and buttons are there."""
    full = envelope(
        reason="policy", reason_detail="refund over 100", question="Approve?", routing={"priority": "high"},
        attempts=[{"action": "Track parcel", "outcome": "failed", "detail": "carrier is down"}],
        ticket={"id": "ZD-9", "url": "https://desk.example/9?a=1&b=2"}, collected={"order": "A-7"},
    )  # fmt: skip
    message = card.card(shown_card(handoff(envelope=full, why_here="default queue"), previous=Ticket("H-1001")), "o_1")
    everything = json.dumps(checked(message), ensure_ascii=False)

    for words in (
        "H-1042 · Kim Vale", "Waiting for somebody to take it", "Only the owner's replies",
        "A policy needs a person",
        "refund over 100", "Parcel 7 is lost", "Approve?", "Track parcel", "carrier is down",
        "Customer: Kim Vale (verified)", "kim@vale.example", "A-7", "queue Support", "high",
        "https://desk.example/9?a=1&b=2", "ZD-9", "earlier: H-1001",
        "default queue", "<!date^1800000000^",
    ):  # fmt: skip
        assert words in everything
    buttons = [piece for piece in walk(message.blocks) if piece.get("type") == "button"]
    assert [b["action_id"] for b in buttons] == ["bridge_take", "bridge_return", "bridge_transfer", "bridge_close"]
    assert [b.get("style") for b in buttons] == ["primary", None, None, None]
    assert "confirm" in buttons[-1]


def test_a_card_says_whether_the_customer_is_there() -> None:
    """In words, with the time in the reader's own zone for one who left; nothing where it is not known."""
    cards = [card.card(shown_card(presence_line=line, away_since=since)) for line, since in PRESENCES]
    words = [json.dumps(checked(message), ensure_ascii=False) for message in cards]

    assert HERE_LINE in words[0]
    assert f"{AWAY_LINE} <!date^1800000000^" in words[1]
    assert not any("👀" in text or "💤" in text for text in words[2:])


def test_an_unverified_customer_is_marked() -> None:
    """An operator is told not to rely on an unproven identity."""
    assert "not verified" in read(card.card(shown_card(customer_verified=False)))


def test_an_ended_card_offers_to_take_it_back() -> None:
    """After the end there is one button, and nobody is told that replies go anywhere."""
    message = card.card(shown_card(handoff(state=HandoffState.RETURNED)))

    assert [b["action_id"] for b in walk(message.blocks) if b.get("type") == "button"] == ["bridge_reopen"]
    assert "Only the owner" not in json.dumps(message.blocks)


def test_a_transcript_shows_whole_lines_and_names_the_rest() -> None:
    """What does not fit is in the file, and the post says so; nothing is cut without a word."""
    lines = tuple(entry("y" * 2_000 if i % 2 else f"line {i}", n=i) for i in range(1, 11))
    shown = render.transcript(
        Transcript(lines=lines, earlier=7, file_name="transcript-H-1.txt", file_text="..."), "o_1"
    )

    checked(shown.message)
    assert shown.needs_file
    assert "transcript-H-1.txt" in shown.message.blocks[0]["elements"][0]["text"]
    texts = read(shown.message)
    assert texts.count("y" * 2_000) * 2_000 == texts.count("y")


def test_a_short_transcript_needs_no_file() -> None:
    """Ten short lines are all there is."""
    lines = tuple(entry(f"line {i}", n=i) for i in range(1, 4))
    shown = render.transcript(Transcript(lines=lines, earlier=0, file_name="t.txt", file_text="..."), "o_1")

    checked(shown.message)
    assert not shown.needs_file
    assert read(shown.message) == "line 1line 2line 3"


def test_a_very_long_line_points_to_the_file() -> None:
    """A line over the room is shortened with a word about where the whole is."""
    shown = render.transcript(
        Transcript(lines=(entry("z" * 9_000),), earlier=0, file_name="t.txt", file_text="..."), "o_1"
    )

    checked(shown.message)
    assert shown.needs_file
    assert "(whole in t.txt)" in read(shown.message)


def test_modals_fit() -> None:
    """Every modal is one that Slack takes, also with a hundred conversations to choose from."""
    choices = [modals.Choice(handoff=f"h_{i}", label="c" * 200) for i in range(130)]
    views = [
        modals.returning(ticket="H-1042", handoff="h_1", channel="C1", note="n" * 9_000),
        modals.returning(channel="C1", choices=choices),
        modals.transferring(
            ticket="H-1042", handoff="h_1", channel="C1", queues=[(f"q{i}", "l" * 90) for i in range(120)]
        ),
        modals.transferring(ticket="H-1042", handoff="h_1", channel="C1", queues=[]),
        modals.loading("Return to AI"),
        modals.sentence("Return to AI", "<!channel> no"),
    ]
    for view in views:
        View(**view).to_dict()
        assert len(view["title"]["text"]) <= 24
        assert len(view.get("private_metadata", "")) <= 3_000
