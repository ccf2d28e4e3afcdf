"""Makes Markdown of agents and operators harmless for the customer's page. Pure.

Web Chat loads remote images, which tells their server that the customer reads. It neutralises raw HTML and odd link
schemes itself, which other Direct Line clients may not (https://github.com/microsoft/BotFramework-WebChat).
A text without anything of that kind stays exactly as it was written.
"""

import html
import re
from collections.abc import Iterator
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

SAFE_SCHEMES = frozenset({"http", "https", "mailto", "tel"})

# Stricter than the standard: anything before a first colon counts as a scheme, whatever it is made of.
_SCHEME = re.compile(r"([^:/?#]*):")
_TAG = re.compile(r"<(?=[a-z/!?])(?!(?:https?://|mailto:)[^\s<>]*>)", re.IGNORECASE)
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")


def _every_link(url: str) -> bool:
    return url is not None


_parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# The parser's own taste would hide from us which links a laxer parser sees.
_parser.validateLink = _every_link  # type: ignore[method-assign]


def _walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or [])


def _is_bad_link(href: str) -> bool:
    bare = "".join(c for c in html.unescape(href) if c > " ")
    scheme = _SCHEME.match(bare)
    return scheme is not None and scheme.group(1).lower() not in SAFE_SCHEMES


def is_harmless(text: str) -> bool:
    """Tell whether the text holds no image, no raw HTML and no link with a scheme that is not in SAFE_SCHEMES."""
    for token in _walk(_parser.parse(text)):
        if token.type in {"image", "html_inline", "html_block"}:
            return False
        if token.type == "link_open" and _is_bad_link(str(token.attrGet("href") or "")):
            return False
    return True


@lru_cache(maxsize=1024)
def harmless(text: str) -> str:
    """Return the text with images as links and HTML shown as it was typed; as plain text if that is not enough."""
    if not ("[" in text or "<" in text) or is_harmless(text):
        return text
    softer = _TAG.sub(r"\\<", text.replace("![", "["))
    return softer if is_harmless(softer) else plain(text)


def plain(text: str) -> str:
    """Return Markdown that shows this text as it is."""
    return _SPECIAL.sub(r"\\\1", text)
