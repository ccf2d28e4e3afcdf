"""Markdown of agents and operators on a customer's page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.directline.markdown import harmless, is_harmless, plain

# Another reading of the same text than the one in the adapter: what a plain CommonMark parser makes of it.
_judge = MarkdownIt("commonmark")

MARKS = [
    "![",
    "[",
    "]",
    "](",
    "(",
    ")",
    "<",
    ">",
    "<img src=x>",
    "<b>",
    "</b>",
    "<!--",
    "`",
    "```\n",
    "\\",
    "!",
    "&lt;",
]
MARKS += ["\n", "- ", "> ", "    ", "[r]: ", "\n\n", " ", "a"]
pieces = st.sampled_from([*MARKS, "|", "http://t.example/x.png", "javascript:alert(1)", "data:text/html,x"])
texts = st.lists(pieces, max_size=25).map("".join) | st.text(max_size=80)


@given(texts)
def test_nothing_remote_or_active_is_left(text: str) -> None:
    """Whatever was written: no image, no raw HTML, no script link, by our reading and by a plain parser's."""
    made = harmless(text)

    assert is_harmless(made)
    rendered = _judge.render(made)
    assert "<img" not in rendered
    assert 'href="javascript' not in rendered.lower()


@given(texts)
def test_plain_text_shows_as_it_is(text: str) -> None:
    """Escaped text has no links, images or HTML in it."""
    tokens = [t.type for block in _judge.parse(plain(text)) for t in (block.children or [])]
    assert not {"link_open", "image", "html_inline", "em_open", "strong_open"} & set(tokens)


@pytest.mark.parametrize(
    "text",
    [
        "Plain text.",
        "**bold**, *soft*, `code[0] < 1`, [our shop](https://shop.example/a?b=c) and <https://shop.example>",
        "| a | b |\n|---|---|\n| `x[1]` | [m](mailto:a@b.example) |",
        "```rust\nlet v = vec![1, 2];\nif a < b && <T>::x() {}\n```",
        "1 < 2 and [brackets] in a text",
        "[call](tel:+123) or [see](/help)",
    ],
)
def test_ordinary_markdown_stays_as_it_was_written(text: str) -> None:
    """Nothing is rewritten that does no harm, code included."""
    assert harmless(text) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("![logo](https://tracker.example/x.png)", "[logo](https://tracker.example/x.png)"),
        ("see <img src=https://t.example>", "see \\<img src=https://t.example>"),
        ("**b** ![x][r]\n\n[r]: https://t.example/x", "**b** [x][r]\n\n[r]: https://t.example/x"),
    ],
)
def test_harm_is_removed_and_the_rest_is_kept(text: str, shown: str) -> None:
    """An image becomes a link, which loads only when somebody clicks; a tag is shown as typed."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](<java\tscript:alert(1)>)",
        "[a](&#106;avascript:alert(1))",
        "[a](data:text/html;base64,xxxx)",
        "[a](vbscript:x)",
        "[a][r]\n\n[r]: javascript:alert(1)",
        "<javascript:alert(1)>",
        "[a](file:///etc/passwd)",
    ],
)
def test_links_that_run_something_are_shown_as_text(text: str) -> None:
    """A link with another scheme than http, https, mailto or tel is no link any more, however it is spelled."""
    made = harmless(text)
    assert is_harmless(made)
    assert "link_open" not in [t.type for block in _judge.parse(made) for t in (block.children or [])]
