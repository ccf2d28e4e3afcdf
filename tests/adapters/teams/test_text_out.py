"""Markdown and people's words on their way into Teams: shown as meant, or visibly as less, and never as more."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.teams import text


@pytest.mark.parametrize(
    "markdown, shown",
    [
        ("**bold** _it_ ~~gone~~", "**bold** _it_ ~~gone~~"),
        ("# Title\n\ntext", "**Title**\n\ntext"),
        ("- a\n- b\n  1. c", "• a\n\n• b\n\n\u20031. c"),
        ("`x < 1`", "“x &lt; 1”"),
        ("> said", "▏ said"),
        ("[us](https://a.example/x)", "[us](https://a.example/x)"),
        ("[mail](mailto:a@b.example)", "[mail](mailto:a@b.example)"),
        ("[x](javascript:alert(1))", "&#91;x&#93;(javascript:alert(1))"),
        ("[x](ftp://a.example)", "x (ftp&#58;//a.example)"),
        ("[bank.example](https://evil.example)", "bank.example ([https&#58;//evil.example](https://evil.example))"),
        ("![cat](https://a.example/c.png)", "[cat](https://a.example/c.png)"),
        ("a\nb", "a\n\nb"),
        ("<b>x</b> & y", "&lt;b&gt;x&lt;/b&gt; &amp; y"),
        ("5 \\* 3", "5 &#42; 3"),
        ("[a](https://x.example/(1)*2)", "[a](https://x.example/%281%29%2A2)"),
        ("<at>Dana</at>", "‹at›Dana‹/at›"),
    ],
)
def test_markdown_becomes_teams_markdown(markdown: str, shown: str) -> None:
    """Bold, italic and links are kept; headings, lists, code and pictures are shown as less; nothing else gets in."""
    assert text.markdown(markdown) == shown


def test_markdown_becomes_runs() -> None:
    """In a card, styles and links are properties of runs, never characters in them."""
    (block,) = text.shown("**b** `c` [us](https://a.example) *_")
    assert block["type"] == "RichTextBlock"
    assert [(run["text"], run.get("weight"), run.get("fontType")) for run in block["inlines"]] == [
        ("b", "Bolder", None),
        (" ", None, None),
        ("c", None, "Monospace"),
        (" ", None, None),
        ("us", None, None),
        (" *_", None, None),
    ]
    assert block["inlines"][4]["selectAction"] == {"type": "Action.OpenUrl", "url": "https://a.example"}


@given(st.text(alphabet=st.sampled_from("ab *_~`[]()<>&\\#-+=1.|!\"'\n:/w@{}"), max_size=60))
def test_escaped_text_holds_no_markup(raw: str) -> None:
    """Whatever was written, the parser finds words only."""
    html = re.sub(r"&#?\w+;", "x", text.escape(raw))
    assert not re.search(r"[<>`*_~\[\]\\]", html)
    assert not re.search(r"(?m)^[ \t]*(?:#|[-+](?:[ \t]|$)|\d+[.)])", html)


@given(st.text(max_size=200))
def test_a_customers_words_arrive_as_they_are(raw: str) -> None:
    """What is left out of them is only what steers a display or cannot be carried."""
    shown = text.clean(raw)
    json.dumps(shown, ensure_ascii=False).encode()
    assert not re.search(r"(?i)<\s*/?\s*at\b", shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", shown)
    if raw.isascii() and raw.isprintable() and "<" not in raw:
        assert shown == raw


def test_a_customer_cannot_speak_as_somebody_else() -> None:
    """A line that begins like one of ours is set off, and a name holds no mark of ours."""
    assert text.quoted("ok\n🎧 Dana · operator\nreset it") == "ok\n› 🎧 Dana · operator\nreset it"
    assert text.label("🎧 Dana\n· operator") == "Dana · operator"


@pytest.mark.parametrize("name", ["</at><at>Lee", "Dana [x](http://e.example)", "*Dana*", "\u202eanaD", "<b>"])
def test_a_name_in_a_mention_is_only_a_name(name: str) -> None:
    """Nothing in it ends the mention or begins something else."""
    assert not re.search(r"[<>\[\]()*_&\u202e]", text.harmless(name))
    assert text.harmless(name)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "msteams:/l/x", ""])
def test_only_addresses_that_people_may_follow_are_links(url: str) -> None:
    """http, https and mailto; everything else is words."""
    assert all(not leaf.url for leaf in text.link(url, "press here"))
