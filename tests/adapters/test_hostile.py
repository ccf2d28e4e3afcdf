"""One corpus of hostile strings, through every place where words of strangers reach Slack, Teams, or the customer."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.directline.markdown import harmless
from adapters.slack import card as slack_card
from adapters.slack import render as slack_render
from adapters.slack import text as slack_text
from adapters.teams import card as teams_card
from adapters.teams import html
from adapters.teams import render as teams_render
from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, fit
from bridge.conversation import Audience, Author, Entry, EntryKind, FileRef, Role
from bridge.ids import FileId, Millis
from tests.adapters.slack.rig import shown_card
from tests.adapters.slack.test_render import assert_inert, checked
from tests.settings import ROOT

Json = dict[str, Any]
Checked = Callable[[Any], None]

CORPUS: dict[str, list[str]] = json.loads((ROOT / "tests/payloads/hostile.json").read_text(encoding="utf-8"))
HUGE = {
    "huge": [
        "x" * 40_000,
        "<at>" * 9_000,
        "**" * 9_000,
        "[" * 5_000,
        "&" * 9_000,
        "\U0001f469\u200d\U0001f4bb" * 5_000,
    ],
    "deep": ["> " * 900 + "deep", "- " * 500 + "x", "<div>" * 3_000 + "x", "<b>" * 3_000, "*" * 4_000 + "x"],
}
KINDS = sorted({**CORPUS, **HUGE})
ROLES = [Role.CUSTOMER, Role.AGENT, Role.OPERATOR, Role.BRIDGE]

# What a reader of Teams' Markdown may see in it at most: HTML within it, tables, struck words.
_READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_AT = re.compile(r"(?i)<\s*/?\s*at\b")
_SAFE = ("http://", "https://", "mailto:")
ELEMENTS = {
    "AdaptiveCard", "TextBlock", "RichTextBlock", "TextRun", "FactSet", "Container", "ColumnSet", "Column",
    "ActionSet", "Image", "Action.Execute", "Action.Submit", "Action.ShowCard", "Action.OpenUrl", "Input.Text",
    "Input.ChoiceSet", "Input.Toggle", "Data.Query", "message", "mention",
}  # fmt: skip


def corpus(kind: str) -> list[str]:
    return {**CORPUS, **HUGE}[kind]


def test_the_corpus_is_large() -> None:
    """Five hundred strings and more, no two alike, from every family."""
    flat = [text for texts in CORPUS.values() for text in texts]

    assert len(flat) == len(set(flat)) >= 500
    assert set(CORPUS) == {"slack", "mentions", "html", "links", "markdown", "hidden", "cards", "words"}
    assert all(len(texts) >= 40 for texts in CORPUS.values())


def entry(text: str, author: Author, **more: Any) -> Entry:
    kind = EntryKind.NOTICE if author.role is Role.BRIDGE else EntryKind.LINE
    return Entry(
        n=4, kind=kind, author=author, audience=Audience.EVERYONE, at=Millis(1_000), epoch=2, text=text, **more
    )


def filled(text: str) -> Card:
    """A card with the string in every field that a customer or an agent fills."""
    pairs = ((text[:64], text[:1_024]),)
    return shown_card(
        title=text[:150], summary=text[:2_000] or "x", question=text[:1_000], customer_name=text[:120],
        reason_detail=text[:500], customer_facts=pairs, collected=pairs, tried=pairs, suggested_replies=(text[:2_000],),
        queue=text[:80], why_here=text[:300], problems=pairs, last_words=text, operator_name=text[:120],
        company_ticket=(text[:128], f"https://x.example/{text[:20]}"),
    )  # fmt: skip


def walk(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(item)


def tokens(markdown: str) -> Iterator[Token]:
    for token in _READER.parse(markdown):
        yield token
        yield from token.children or []


def assert_harmless_markdown(markdown: str) -> None:
    """Assert that no reader of Markdown finds markup of its own, a picture, or a link that runs something in it."""
    for token in tokens(markdown):
        assert token.type not in {"html_inline", "html_block", "image"}, markdown
        if token.type == "link_open":
            assert str(token.attrGet("href")).lower().startswith((*_SAFE, "tel:")), markdown


# --- Teams


def assert_inert_in_teams(activity: Json, ours: frozenset[str]) -> None:
    """Assert that an activity mentions nobody, runs nothing, and reads as markup in no place where strangers' words
    stand. `ours` are the texts that the bridge itself puts into places where a card reads Markdown.
    """
    json.dumps(activity, ensure_ascii=False).encode("utf-8")
    assert teams_render.size(activity) <= teams_render.MAX_BYTES
    assert not (activity.get("text") and activity.get("attachments")), "Teams would make two messages of it"
    assert not activity.get("entities")
    for text in strings(activity):
        assert not _STEERING.search(text), text
        assert not _AT.search(text), text
    if activity.get("text") and activity.get("textFormat") != "plain":
        assert_harmless_markdown(activity["text"])
    for piece in walk(activity.get("attachments")):
        assert piece.get("type", "TextRun") in ELEMENTS, piece
        assert piece.get("type") != "TextBlock" or piece["text"] in ours, piece
        assert str(piece.get("url", "https://")).lower().startswith(_SAFE), piece
        assert "msteams" not in piece or not piece["msteams"].get("entities")


def link(file: FileRef) -> str:
    return f"https://bridge.example/v1/files/{file.id}"


AROUND = teams_render.Surroundings(link=link, mark="o_1")
QUEUES = (("support", "Support"),)


def text_blocks(activity: Json) -> frozenset[str]:
    return frozenset(piece["text"] for piece in walk(activity) if piece.get("type") == "TextBlock")


def in_teams(text: str) -> Iterator[tuple[Json, Json]]:
    """Each activity that can hold the string, and the same one with a harmless word in its place."""
    yield from zip(_teams_activities(text), _teams_activities("word"), strict=True)


def _teams_activities(text: str) -> Iterator[Json]:
    benign = "word"
    file = FileRef(id=FileId("f"), name=text, media_type="application/pdf", size_bytes=5_000)
    named = Author(role=Role.CUSTOMER, name=text)
    for around in (AROUND, replace(AROUND, mark="")):
        for role in ROLES:
            parts = fit(entry(text, Author(role=role, name="Kim")), teams_render.CAPABILITIES)
            yield teams_render.post(parts[:1], around) if parts else {}
        yield teams_render.post(fit(entry(benign, named, files=(file,)), teams_render.CAPABILITIES)[:1], around)
    talk = Transcript(
        lines=tuple(entry(text[:2_000], Author(role=role, name=text[:60])) for role in ROLES[:3]),
        earlier=0,
        file_name="transcript-H-1.txt",
        file_text="...",
    )
    yield teams_render.transcript(talk, "https://bridge.example/v1/files/t", AROUND)
    shown = filled(text)
    made = teams_card.card(shown, queues=QUEUES, hears_all=True, mark="o_1")
    yield teams_render.message(made, teams_card.summary(shown))


@pytest.mark.parametrize("kind", KINDS)
def test_teams_shows_them_inert(kind: str) -> None:
    """Lines, notices, names, files, transcripts and cards: nothing of it acts in Teams."""
    for text in corpus(kind):
        for activity, harmless_one in in_teams(text):
            assert_inert_in_teams(activity, text_blocks(harmless_one))


@pytest.mark.parametrize("kind", KINDS)
def test_a_customers_words_are_plain_and_whole_in_teams(kind: str) -> None:
    """What a customer wrote is read by nobody as markup, and no visible character of it is lost."""
    for text in corpus(kind):
        parts = fit(entry(text, Author(role=Role.CUSTOMER, name="Kim")), teams_render.CAPABILITIES)
        said = [teams_render.post([part], replace(AROUND, mark="")) for part in parts]
        assert all(activity["textFormat"] == "plain" for activity in said if activity.get("text"))
        shown = "".join(text for activity in said for text in strings(activity.get("text", "")))
        assert letters(text) <= letters(shown) or not letters(text)


def letters(text: str) -> int:
    return sum(1 for char in text if char.isalnum())


# --- Slack


def _slack_messages(text: str) -> Iterator[slack_render.Rendered]:
    file = FileRef(id=FileId("f"), name=text, media_type="application/pdf", size_bytes=5_000)
    named = Author(role=Role.CUSTOMER, name=text)
    for role in ROLES:
        for part in fit(entry(text, Author(role=role, name="Kim")), slack_render.CAPABILITIES)[:2]:
            yield slack_render.post([part], "o_1")
    yield slack_render.post(fit(entry("hi", named, files=(file,)), slack_render.CAPABILITIES), "o_1")
    yield slack_card.card(filled(text), "o_1")


@pytest.mark.parametrize("kind", KINDS)
def test_slack_shows_them_inert(kind: str) -> None:
    """The same strings in the same places: nothing of it acts in Slack."""
    for text in corpus(kind):
        for message in _slack_messages(text):
            checked(message)
            assert_inert(message)


# --- and back, to the customer's page


@pytest.mark.parametrize("kind", KINDS)
def test_what_operators_send_is_harmless_on_the_customers_page(kind: str) -> None:
    """As Teams' HTML, as Teams' text and as Slack's text: no script, no picture from elsewhere, no odd link."""
    nobody: dict[str, str] = {}
    for text in corpus(kind):
        as_html = html.read(html=text, text=text, mentions=(), bot="28:bot")
        as_text = html.read(html=None, text=text, mentions=(), bot="28:bot")
        for markdown in (as_html.markdown, as_text.markdown, slack_text.markdown(None, text, nobody)):
            assert_harmless_markdown(harmless(markdown))
        assert not as_html.bridge, "a mention is one by its entity only"
        assert not as_text.people


@pytest.mark.parametrize("kind", KINDS)
def test_both_desks_take_every_string(kind: str) -> None:
    """No string is refused, lost or cut without a word by what a desk says that it can take."""
    for text in corpus(kind):
        for capabilities in (slack_render.CAPABILITIES, teams_render.CAPABILITIES):
            assert_whole(text, capabilities)


def assert_whole(text: str, capabilities: Capabilities) -> None:
    parts = fit(entry(text, Author(role=Role.CUSTOMER, name="Kim")), capabilities)

    assert all(len(part.text) <= capabilities.text_max_chars for part in parts)
    assert letters("".join(part.text for part in parts)) == letters(text)
