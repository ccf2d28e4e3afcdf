"""Markdown and people's plain text -> Slack's `rich_text` elements and mrkdwn. Pure.

In a `rich_text` block a mention is an element of its own type, so text stays text whatever it holds: that is where all
words of customers and agents go (https://docs.slack.dev/reference/block-kit/blocks/rich-text-block). We render from the
parser's token tree; nothing is replaced inside finished Slack text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

Json = dict[str, Any]

_SAFE_URL = re.compile(r"(?i)^(?:https?://|mailto:)\S+$")
_LOOKS_LIKE_URL = re.compile(r"(?i)(?:://|^www\.|^[\w-]+(?:\.[\w-]+)+(?:[/?#]|$))")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_STEERING = re.compile(r"[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
MAX_LIST_INDENT = 8


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough").disable("reference")


def clean(text: str) -> str:
    """Return text without what JSON or Slack cannot carry: control characters, lone surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def label(text: str, limit: int = 120) -> str:
    """Return a name or other short word of somebody, fit to stand inside our own line: one line, no steering marks."""
    flat = " ".join(_STEERING.sub(" ", clean(text)).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def escape(text: str) -> str:
    """Return mrkdwn in which this text is inert. Source: https://docs.slack.dev/messaging/formatting-message-text."""
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain_elements(text: str) -> list[Json]:
    """Return text exactly as somebody wrote it."""
    shown = clean(text)
    return [_section([_text(shown)])] if shown else []


def markdown_elements(text: str) -> list[Json]:
    """Return Markdown as rich text. What Slack cannot show keeps its words."""
    tree = SyntaxTreeNode(_parser().parse(clean(text)))
    return _merged(_blocks(tree.children))


def _text(text: str, style: Json | None = None) -> Json:
    return {"type": "text", "text": text, **({"style": dict(style)} if style else {})}


def _section(leaves: Sequence[Json]) -> Json:
    return {"type": "rich_text_section", "elements": list(leaves)}


def _merged(elements: Iterable[Json]) -> list[Json]:
    """Join neighbouring sections by an empty line: Slack draws sections without a gap."""
    out: list[Json] = []
    for element in elements:
        if not element["elements"]:
            continue
        if out and out[-1]["type"] == element["type"] == "rich_text_section":
            out[-1]["elements"] += [_text("\n\n"), *element["elements"]]
        else:
            out.append(element)
    return out


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> Iterator[Json]:
    for node in nodes:
        match node.type:
            case "paragraph":
                yield _section(_leaves(node))
            case "heading":
                yield _section(_leaves(node, {"bold": True}))
            case "fence" | "code_block":
                body = _code(node)
                yield {"type": "rich_text_preformatted", "elements": [_text(body)] if body else []}
            case "blockquote":
                yield {"type": "rich_text_quote", "elements": _flat(node.children)}
            case "bullet_list" | "ordered_list":
                yield from _list(node, 0)
            case "hr":
                yield _section([_text("———")])
            case _:
                yield _section([_text(node.content)] if node.content else [])


def _code(node: SyntaxTreeNode) -> str:
    """A code block with the word that may stand on its fence: what follows three backticks is not always a language."""
    return "\n".join(part for part in (node.info.strip(), node.content.rstrip("\n")) if part)


def _list(node: SyntaxTreeNode, indent: int) -> Iterator[Json]:
    """A list, and after each item the lists inside it, in the order of the text."""
    ordered = node.type == "ordered_list"
    start, items = int(node.attrs.get("start") or 1) if ordered else 1, 0
    waiting: list[Json] = []
    for item in node.children:
        own = [child for child in item.children if child.type not in {"bullet_list", "ordered_list"}]
        inner = [child for child in item.children if child.type in {"bullet_list", "ordered_list"}]
        waiting.append(_section(_flat(own) or [_text(" ")]))
        items += 1
        if inner:
            yield _list_element(waiting, indent, ordered=ordered, offset=start - 1 + items - len(waiting))
            waiting = []
            for child in inner:
                yield from _list(child, indent + 1)
    if waiting:
        yield _list_element(waiting, indent, ordered=ordered, offset=start - 1 + items - len(waiting))


def _list_element(items: Sequence[Json], indent: int, *, ordered: bool, offset: int) -> Json:
    return {
        "type": "rich_text_list",
        "style": "ordered" if ordered else "bullet",
        "indent": min(indent, MAX_LIST_INDENT),
        **({"offset": offset} if ordered and offset > 0 else {}),
        "elements": list(items),
    }


def _flat(nodes: Sequence[SyntaxTreeNode]) -> list[Json]:
    """Return blocks inside a quote or a list item as leaves of one section."""
    leaves: list[Json] = []
    for node in nodes:
        if leaves:
            leaves.append(_text("\n"))
        if node.type in {"paragraph", "heading"}:
            leaves += _leaves(node)
        elif node.type in {"fence", "code_block"}:
            leaves += [_text(_code(node), {"code": True})] if _code(node) else []
        elif node.type == "list_item":
            leaves += [_text("• "), *_flat(node.children)]
        else:
            leaves += _flat(node.children)
    return leaves


def _leaves(node: SyntaxTreeNode, style: Json | None = None) -> list[Json]:
    out: list[Json] = []
    for child in node.children:
        out += _inline(child, style or {})
    return [leaf for leaf in _joined(out) if leaf["type"] != "text" or leaf["text"]]


_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}


def _inline(node: SyntaxTreeNode, style: Json) -> list[Json]:
    match node.type:
        case "inline":
            return [leaf for child in node.children for leaf in _inline(child, style)]
        case "strong" | "em" | "s":
            inner = style | {_STYLES[node.type]: True}
            return [leaf for child in node.children for leaf in _inline(child, inner)]
        case "softbreak" | "hardbreak":
            return [_text("\n")]
        case "code_inline":
            return [_text(node.content, style | {"code": True})] if node.content else []
        case "link":
            return link(str(node.attrs.get("href") or ""), _words(node), style)
        case "image":
            return link(str(node.attrs.get("src") or ""), node.content or "image", style)
        case _:
            return [_text(node.content, style)] if node.content else []


def _words(node: SyntaxTreeNode) -> str:
    return "".join(
        "\n" if child.type.endswith("break") else child.content if not child.children else _words(child)
        for child in node.children
    )


def link(url: str, words: str, style: Json) -> list[Json]:
    """A link, never under the name of another address, and never of a kind that runs something."""
    words = " ".join(words.split())
    if not _SAFE_URL.match(url):
        return [_text(f"{words} ({url})" if words and url else words or url, style)]
    shown = {"type": "link", "url": url, **({"style": dict(style)} if style else {})}
    if not words or words in {url, url.removeprefix("mailto:")}:
        return [shown]
    if _LOOKS_LIKE_URL.search(words):
        return [_text(f"{words} (", style), shown, _text(")", style)]
    return [shown | {"text": words}]


def _joined(leaves: Iterable[Json]) -> list[Json]:
    out: list[Json] = []
    for leaf in leaves:
        if out and leaf["type"] == out[-1]["type"] == "text" and leaf.get("style") == out[-1].get("style"):
            out[-1] = out[-1] | {"text": out[-1]["text"] + leaf["text"]}
        else:
            out.append(leaf)
    return out


def mrkdwn(text: str) -> str:
    """Return Markdown as mrkdwn for the small print: bold, italic, code and links; everything else as words."""
    return "\n\n".join(_element_mrkdwn(element) for element in markdown_elements(text))


def _element_mrkdwn(element: Json) -> str:
    if element["type"] == "rich_text_list":
        first = int(element.get("offset") or 0) + 1
        marks = (
            f"{i}." if element["style"] == "ordered" else "•" for i in range(first, first + len(element["elements"]))
        )
        return "\n".join(
            f"{mark} {_element_mrkdwn(item)}" for mark, item in zip(marks, element["elements"], strict=True)
        )
    return "".join(_leaf_mrkdwn(leaf) for leaf in element["elements"])


def _leaf_mrkdwn(leaf: Json) -> str:
    if leaf["type"] == "link":
        url = str(leaf["url"]).replace("|", "%7C").replace(">", "%3E").replace("<", "%3C").replace("&", "&amp;")
        words = escape(str(leaf.get("text") or "")).replace("|", "¦")
        return f"<{url}|{words}>" if words else f"<{url}>"
    body = escape(str(leaf["text"]))
    if not body.strip() or "\n" in body:
        return body
    style = leaf.get("style") or {}
    lead, core, trail = body[: len(body) - len(body.lstrip())], body.strip(), body[len(body.rstrip()) :]
    for name, mark in (("code", "`"), ("strike", "~"), ("italic", "_"), ("bold", "*")):
        core = f"{mark}{core}{mark}" if style.get(name) else core
    return lead + core + trail


def words(elements: Sequence[Json]) -> str:
    """Return rich text as bare text: for screen readers, which read a message's `text` and not its blocks."""
    return "\n\n".join(_element_words(element) for element in elements)


def _element_words(element: Json) -> str:
    if element["type"] == "rich_text_list":
        return "\n".join(f"• {_element_words(item)}" for item in element["elements"])
    return "".join(str(leaf.get("text") or leaf.get("url") or "") for leaf in element["elements"])
