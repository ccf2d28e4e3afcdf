"""Slack's rich text and mrkdwn as Markdown for customers."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.slack import emoji, rich
from adapters.slack import text as slack_text
from bridge.audience import hear
from bridge.conversation import HandoffState, Standing
from tests.adapters.slack.typed import Json, escaped, leaf, section, typed
from tests.adapters.slack.typed import rich as block
from tests.settings import ROOT

NAMES = {"U1": "Dana", "U2": "Sam *star*"}
AUDIENCE: dict[str, Any] = json.loads((ROOT / "tests/payloads/audience.json").read_text(encoding="utf-8"))

USER = {"type": "user", "user_id": "U1"}
TREES: list[tuple[str, list[Json], str]] = [
    ("plain", block(section(leaf("hello"))), "hello"),
    ("bold", block(section(leaf("a "), leaf("b ", bold=True), leaf("c"))), "a **b** c"),
    ("all styles", block(section(leaf("x", bold=True, italic=True, strike=True))), "**_~~x~~_**"),
    ("code", block(section(leaf("a`b", code=True))), "``a`b``"),
    ("line break", block(section(leaf("a\nb"))), "a  \nb"),
    ("paragraphs", block(section(leaf("a\n\nb"))), "a\n\nb"),
    ("person", block(section(USER, leaf(" hi"))), "Dana hi"),
    ("unknown person", block(section({"type": "user", "user_id": "U9"})), "a colleague"),
    ("person with marks", block(section({"type": "user", "user_id": "U2"})), r"Sam \*star\*"),
    ("group", block(section({"type": "usergroup", "usergroup_id": "S1"})), "colleagues"),
    ("channel", block(section({"type": "channel", "channel_id": "C1"})), "a channel"),
    ("broadcast", block(section({"type": "broadcast", "range": "here"})), "the channel"),
    ("bare link", block(section({"type": "link", "url": "https://a.example/b_c"})), "<https://a.example/b_c>"),
    ("link", block(section({"type": "link", "url": "https://a.example/(b)", "text": "x*"})),
     r"[x\*](https://a.example/%28b%29)"),
    ("mail", block(section({"type": "link", "url": "mailto:a@b.example", "text": "a@b.example"})),
     "<mailto:a@b.example>"),
    ("evil link", block(section({"type": "link", "url": "javascript:alert(1)", "text": "x"})), "x"),
    ("data link", block(section({"type": "link", "url": "data:text/html,x"})), "data:text/html,x"),
    ("emoji", block(section({"type": "emoji", "name": "tada", "unicode": "1f389"})), "🎉"),
    ("emoji by name", block(section({"type": "emoji", "name": "wave", "skin_tone": 3})), "👋🏼"),
    ("own emoji", block(section({"type": "emoji", "name": "harbour"})), ":harbour:"),
    ("date", block(section({"type": "date", "timestamp": 1, "format": "{date}", "fallback": "1 Jan"})), "1 Jan"),
    ("colour", block(section({"type": "color", "value": "#ff0000"})), "#ff0000"),
    ("code block", block({"type": "rich_text_preformatted", "elements": [leaf("a\n```\nb")]}), "````\na\n```\nb\n````"),
    ("quote", block({"type": "rich_text_quote", "elements": [leaf("a\nb")]}), "> a  \n> b"),
    (
        "list",
        block({"type": "rich_text_list", "style": "bullet", "elements": [section(leaf("a")), section(leaf("b"))]}),
        "- a\n- b",
    ),
    (
        "nested list",
        block(
            {"type": "rich_text_list", "style": "ordered", "elements": [section(leaf("a"))]},
            {"type": "rich_text_list", "style": "bullet", "indent": 1, "elements": [section(leaf("b"))]},
            {"type": "rich_text_list", "style": "ordered", "offset": 1, "elements": [section(leaf("c"))]},
        ),
        "1. a\n    - b\n2. c",
    ),
    ("text after list", block(
        {"type": "rich_text_list", "style": "bullet", "elements": [section(leaf("a"))]}, section(leaf("b"))
    ), "- a\n\nb"),
    ("unknown element", block(section({"type": "shiny", "text": "new*"})), r"new\*"),
]  # fmt: skip


@pytest.mark.parametrize("name, blocks, expected", TREES, ids=[tree[0] for tree in TREES])
def test_rich_text_becomes_markdown(name: str, blocks: list[Json], expected: str) -> None:
    """Each element of Slack's rich text has its Markdown, and no id of Slack's reaches a customer."""
    assert slack_text.markdown(blocks, "ignored", NAMES) == expected


MRKDWN = [
    ("hello &lt;b&gt; &amp;amp;", r"hello \<b\> \&amp;"),
    ("<@U1> and <@U9|dana>", "Dana and a colleague"),
    ("<#C1|secret>", "a channel"),
    ("<!here> <!channel> <!everyone> <!subteam^S1|@x>", "the channel the channel everyone colleagues"),
    ("<https://a.example|A>", "[A](https://a.example)"),
    ("<https://a.example/?x=1&amp;y=2>", "<https://a.example/?x=1&y=2>"),
    ("<javascript:alert(1)|click>", "click"),
    ("<!date^1700000000^{date}^https://evil.example|14 Nov>", "14 Nov"),
    (":tada: :wave::skin-tone-4: :nope_: 10:30:45", r"🎉 👋🏽 :nope\_: 10:30:45"),
]


@pytest.mark.parametrize("text, expected", MRKDWN)
def test_mrkdwn_without_blocks_becomes_markdown(text: str, expected: str) -> None:
    """A message without blocks loses Slack's control sequences, and decodes each entity once."""
    assert slack_text.markdown(None, text, NAMES) == expected


def shown(markdown: str) -> str:
    """What somebody reads in a widget, with white space as HTML has it."""
    html = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").render(markdown)
    text = re.sub(r"<br />\n|</p>\n<p>", "\n", html)
    text = re.sub(r"</?(?:p|a[^>]*)>", "", text).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    return " ".join(text.replace("&amp;", "&").split())


MARKUP = st.sampled_from(list("ab 1.)(*_~`#>-+=![]<>&;:|\\\n\t/"))
LINES = st.text(alphabet=st.one_of(MARKUP, st.characters(codec="utf-8", categories=("L", "N", "P", "S"))))


@given(LINES)
def test_typed_text_is_shown_as_it_was_typed(text: str) -> None:
    """Whatever looks like Markdown, HTML or an entity in an operator's plain words is shown, not interpreted."""
    markdown = slack_text.markdown(typed(text), "", {})

    assert shown(markdown) == " ".join(text.replace("\u00a0", " ").split())


@given(LINES)
def test_blocks_and_text_say_the_same(text: str) -> None:
    """A message that comes without blocks reads as it would with them, but for emoji names."""
    plain = text.replace(":", "")

    assert slack_text.markdown(None, escaped(plain), {}) == slack_text.markdown(typed(plain), "", {})


@pytest.mark.parametrize("message", AUDIENCE["messages"], ids=[message["name"] for message in AUDIENCE["messages"]])
def test_escaping_hides_no_slip(message: dict[str, Any]) -> None:
    """A note or command typed in Slack is still known as one after it has become Markdown."""

    def heard(text: str) -> bool:
        return hear(
            text=text,
            hints=frozenset(message.get("hints", ())),
            standing=Standing(message.get("standing", "allowed")),
            is_owner=message.get("is_owner", True),
            state=HandoffState(message.get("state", "human")),
            rule=message.get("rule", "owner"),
            first_reply=message.get("first_reply", "note"),
            notes=AUDIENCE["notes"],
        ).to_customer

    assert heard(slack_text.markdown(typed(message["text"]), "", {})) == heard(message["text"])


@given(st.text(alphabet=st.sampled_from(list("ab *_~`#>-[]()!\n1.")), max_size=40))
def test_words_survive_both_ways(text: str) -> None:
    """What an operator wrote reads the same when the thread of a colleague shows it again."""
    again = rich.words(rich.markdown_elements(slack_text.markdown(typed(text), "", {})))

    assert " ".join(again.split()) == " ".join(text.split())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("<@U1> <!here>", {"U1", "!here"}),
        ("&lt;@U1&gt; &lt;!here&gt;", set()),
        ("<!subteam^S1|@g>", {"S1"}),
        ("nobody", set()),
    ],
)
def test_mentions_are_found_and_typed_lookalikes_are_not(text: str, expected: set[str]) -> None:
    """A real mention counts, a typed `<@U1>` does not."""
    assert slack_text.mentions(None, text) == expected


def test_mentions_hide_nowhere_in_rich_text() -> None:
    """Mentions inside lists and quotes count too."""
    blocks = block(
        {"type": "rich_text_list", "style": "bullet", "elements": [section(USER)]},
        {"type": "rich_text_quote", "elements": [{"type": "broadcast", "range": "channel"}]},
        section({"type": "usergroup", "usergroup_id": "S1"}),
    )

    assert slack_text.mentions(blocks, "") == {"U1", "!channel", "S1"}


def test_emoji_names_are_slacks() -> None:
    """Slack's short names are known, skin tones too; what is none stays readable."""
    assert emoji.from_name("+1") == "👍"
    assert emoji.from_name("wave::skin-tone-6") == "👋🏿"
    assert emoji.from_code_points("zz") == ""
    assert emoji.from_code_points("110000000") == ""
