"""Markdown and people's plain text -> what Teams shows. Pure.

Words of customers go where nothing is read as markup: a message with `textFormat` plain, or the runs of a card's
RichTextBlock (https://adaptivecards.io/explorer/TextRun.html: "Markdown is not supported"). A card's TextBlock reads
Markdown, and how to escape there differs between desktop, iOS and Android
(https://github.com/microsoft/AdaptiveCards/issues/5590), so no foreign word stands in one. We render from the parser's
token tree; nothing is replaced inside finished Teams text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

Json = dict[str, Any]

_SAFE_URL = re.compile(r"(?i)^(?:https?://|mailto:)[^\s<>\"]+$")
_LOOKS_LIKE_URL = re.compile(r"(?i)(?:://|^www\.|^[\w-]+(?:\.[\w-]+)+(?:[/?#]|$))")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_STEERING = re.compile(r"[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_AT_TAG = re.compile(r"(?i)<(\s*/?\s*at\b[^<>]*)>?")
_MARKUP = re.compile(
    r"[&<>\\`*_~\[\]]|^[ \t]*(?:#|[-+=](?=[ \t-=]|$)|\d{1,9}[.)])|(?<=\n)[ \t]*(?:[#\-+=])", re.MULTILINE
)
_AUTO_LINK = re.compile(r"(?i)(https?|ftp|mailto)(:)|(www)(\.)")
_ITEM = re.compile(r"[\u2003 ]*(?:•|\d+\.) ")
MARKS = "👤🤖🎧↔"
"""What our own lines about a speaker begin with."""
MAX_INDENT = 6


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough").disable("reference")


def clean(text: str) -> str:
    """Return text without what JSON cannot carry, without what turns lines around, and with `<at>` as mere words.

    Teams makes a mention only of an `<at>` with an entity, but shows any as if it were one.
    """
    shown = _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _AT_TAG.sub(r"‹\1›", _BIDI.sub("", shown))


def label(text: str, limit: int = 120) -> str:
    """Return a name or other short word of somebody, fit to stand inside our own line: one line, no steering marks."""
    flat = clean(" ".join(_STEERING.sub(" ", clean(text)).split())).lstrip(MARKS + " ")
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def cut(text: str, limit: int) -> str:
    """Return text that fits, with an ellipsis where something is left out; for our own and for repeated words only."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def harmless(name: str) -> str:
    """Return a name as a mention may hold it: nothing in it is markup anywhere."""
    return " ".join("".join(c if c.isalnum() or c in " .'’-" else " " for c in label(name, 80)).split()) or "colleague"


def quoted(text: str) -> str:
    """Return a customer's words for a plain message: a line that begins like ours is set off."""
    return re.sub(rf"(?m)^([ \t]*)(?=[{MARKS}])", r"\1› ", clean(text))


def escape(text: str) -> str:
    """Return Markdown of Teams in which this text is inert.

    By character references, as Teams reads HTML within Markdown too: a backslash would not stop `<b>`.
    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages
    """
    shown = _MARKUP.sub(lambda found: "".join(_reference(c) for c in found.group()), clean(text))
    return _AUTO_LINK.sub(lambda found: found.group(0)[:-1] + _reference(found.group(0)[-1]), shown)


def _reference(char: str) -> str:
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return named.get(char) or (char if char.isspace() or char.isdigit() else f"&#{ord(char)};")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A run of words in one style. `url` is one that a person may follow."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    url: str = ""


Paragraph = tuple[Leaf, ...]


def paragraphs(markdown: str) -> list[Paragraph]:
    """Return Markdown as paragraphs. What Teams' cards cannot show keeps its words: a heading is bold, a picture its
    link, a table its source.
    """
    tree = SyntaxTreeNode(_parser().parse(clean(markdown)))
    return [found for found in (_joined(part) for part in _blocks(tree.children, "")) if found]


def _blocks(nodes: Sequence[SyntaxTreeNode], indent: str) -> Iterator[list[Leaf]]:
    for node in nodes:
        match node.type:
            case "paragraph" | "heading":
                yield [Leaf(indent), *_leaves(node, Leaf("", bold=node.type == "heading"))]
            case "fence" | "code_block":
                body = "\n".join(part for part in (node.info.strip(), node.content.rstrip("\n")) if part)
                yield [Leaf(indent), Leaf(body, code=True)]
            case "blockquote":
                yield from ([Leaf("▏ "), *leaves] for leaves in _blocks(node.children, indent))
            case "bullet_list" | "ordered_list":
                yield from _items(node, indent)
            case "hr":
                yield [Leaf("———")]
            case _:
                yield [Leaf(indent), Leaf(node.content)]


def _items(node: SyntaxTreeNode, indent: str) -> Iterator[list[Leaf]]:
    number = int(node.attrs.get("start") or 1) if node.type == "ordered_list" else 0
    deeper = indent + "\u2003" if len(indent) < MAX_INDENT else indent
    for item in node.children:
        mark = f"{number}. " if number else "• "
        number += bool(number)
        first, *rest = list(_blocks(item.children, deeper)) or [[Leaf("")]]
        yield [Leaf(indent + mark), *(first[1:] if first and not first[0].text.strip() else first)]
        yield from rest


def _leaves(node: SyntaxTreeNode, style: Leaf) -> list[Leaf]:
    return [leaf for child in node.children for leaf in _inline(child, style)]


def _inline(node: SyntaxTreeNode, style: Leaf) -> list[Leaf]:
    match node.type:
        case "inline":
            return _leaves(node, style)
        case "strong" | "em" | "s":
            bold, italic, strike = node.type == "strong", node.type == "em", node.type == "s"
            inner = replace(
                style, bold=style.bold or bold, italic=style.italic or italic, strike=style.strike or strike
            )
            return _leaves(node, inner)
        case "softbreak" | "hardbreak":
            return [Leaf("\n")]
        case "code_inline":
            return [replace(style, text=node.content, code=True)]
        case "link":
            return link(str(node.attrs.get("href") or ""), _words(node), style)
        case "image":
            return link(str(node.attrs.get("src") or ""), node.content or "image", style)
        case _:
            return [replace(style, text=node.content)] if node.content else []


def _words(node: SyntaxTreeNode) -> str:
    return "".join(
        "\n" if child.type.endswith("break") else child.content if not child.children else _words(child)
        for child in node.children
    )


def link(url: str, words: str, style: Leaf | None = None) -> list[Leaf]:
    """A link, never under the name of another address, and never of a kind that runs something."""
    style, words, url = style or Leaf(""), " ".join(words.split()), clean(url)
    if not _SAFE_URL.match(url):
        return [replace(style, text=f"{words} ({url})" if words and url else words or url)]
    if not words or words in {url, url.removeprefix("mailto:")}:
        return [replace(style, text=url, url=url)]
    if _LOOKS_LIKE_URL.search(words):
        return [replace(style, text=f"{words} ("), replace(style, text=url, url=url), replace(style, text=")")]
    return [replace(style, text=words, url=url)]


def _joined(leaves: Iterable[Leaf]) -> Paragraph:
    out: list[Leaf] = []
    # Once more: a character reference hid from the first time what the parser made of it.
    for leaf in (replace(leaf, text=clean(leaf.text)) for leaf in leaves):
        if out and replace(leaf, text="") == replace(out[-1], text=""):
            out[-1] = replace(leaf, text=out[-1].text + leaf.text)
        elif leaf.text:
            out.append(leaf)
    return tuple(out)


def markdown(text: str) -> str:
    """Return Markdown in the subset that Teams shows in messages: bold, italic, links; all else as words."""
    return "\n\n".join("".join(_leaf_markdown(leaf) for leaf in found) for found in paragraphs(text))


def _leaf_markdown(leaf: Leaf) -> str:
    body = escape(leaf.text)
    if leaf.url:
        return f"[{body}]({_address(leaf.url)})"
    lead, core, trail = body[: len(body) - len(body.lstrip())], body.strip(), body[len(body.rstrip()) :]
    if not core or "\n" in core:
        return body.replace("\n", "\n\n")
    for wanted, mark in ((leaf.strike, "~~"), (leaf.italic, "_"), (leaf.bold, "**")):
        core = f"{mark}{core}{mark}" if wanted else core
    return lead + (f"“{core}”" if leaf.code else core) + trail


def _address(url: str) -> str:
    for char, coded in (("(", "%28"), (")", "%29"), ("[", "%5B"), ("]", "%5D"), ("\\", "%5C"), ("*", "%2A")):
        url = url.replace(char, coded)
    return url


def words(text: str) -> str:
    """Return Markdown as bare words: for a notification's preview."""
    return "\n".join("".join(leaf.text for leaf in found) for found in paragraphs(text))


# --- a card's rich text


def rich(found: Paragraph | Sequence[Leaf], **style: Any) -> Json:
    """Return a paragraph as a block in which words are words. `style` is of all its runs: `size`, `isSubtle`, ..."""
    return {"type": "RichTextBlock", "inlines": [_run(leaf, style) for leaf in found]}


def _run(leaf: Leaf, style: Json) -> Json:
    return {
        "type": "TextRun",
        "text": leaf.text,
        **({"weight": "Bolder"} if leaf.bold else {}),
        **({"italic": True} if leaf.italic else {}),
        **({"strikethrough": True} if leaf.strike else {}),
        **({"fontType": "Monospace"} if leaf.code else {}),
        **({"selectAction": {"type": "Action.OpenUrl", "url": leaf.url}} if leaf.url else {}),
        **style,
    }


def said(text: str) -> list[Json]:
    """Return a customer's words, exactly as written, as blocks of a card."""
    shown = clean(text)
    return [rich([Leaf(shown)])] if shown.strip() else []


def shown(text: str) -> list[Json]:
    """Return Markdown as blocks of a card; the items of a list stand close together."""
    out: list[Json] = []
    in_list = False
    for found in paragraphs(text):
        is_item = bool(_ITEM.match("".join(leaf.text for leaf in found)))
        out.append({**rich(found), **({"spacing": "None"} if in_list and is_item else {})})
        in_list = is_item
    return out
