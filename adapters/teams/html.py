"""What operators write in Teams -> Markdown for customers, and who it mentions. Pure.

Teams sends each message twice: as `text`, and as an attachment `text/html` that keeps its formatting. Who is mentioned
is told by `entities`; the text may have been altered by its author. Tags outside a short list lose their meaning and
keep their
words; addresses are http, https or mailto; scripts and styles are dropped with all that is in them. See
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations.
"""

import html as entities_of_html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from bridge.markdown import code, escape, fenced, link

COLLEAGUE = "a colleague"
MAX_DEPTH = 40
_VOID = frozenset({"br", "hr", "img", "emoji", "customemoji", "attachment", "input", "meta", "link", "wbr", "col"})
_DROPPED = frozenset({"script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg", "math"})
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "blockquote",
        "pre",
        "codeblock",
        "ul",
        "ol",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "table",
        "tr",
        "section",
        "article",
        "header",
        "footer",
    ]
)
_MARKS = {"b": "**", "strong": "**", "i": "_", "em": "_", "s": "~~", "strike": "~~", "del": "~~"}
_SPACES = re.compile(r"[ \t\r\n\f\u200b]+")
_AT = re.compile(r"(</?at\b[^<>]{0,200}>)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """An entry of `entities`: whom Teams says that the words `name` mean."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A message, read. `bridge`: the bot is mentioned; `people`: so are these; `everyone`: so is a channel or tag."""

    markdown: str
    after_mention: str | None
    """What follows a mention of the bot that opens the message, as bare text; None if none opens it."""
    plain: str
    bridge: bool = False
    people: frozenset[str] = frozenset()
    everyone: bool = False
    files: tuple[str, ...] = ()
    """Ids of files that the message refers to; their bytes are not in it."""
    quotes: bool = False
    """It repeats an earlier message."""


@dataclass(slots=True)
class _Node:
    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: "list[_Node | str]" = field(default_factory=list)


class _Tree(HTMLParser):
    """Builds a tree of whatever it is given; never fails. Deeper than `MAX_DEPTH`, tags are ignored, words kept."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = _Node("div")
        self._open = [self.root]
        self._dropping: list[str] = []

    def parse_marked_section(self, i: int, report: bool = True) -> int:  # noqa: FBT001, FBT002 -- HTMLParser's
        """Pass `<![...>` over, as browsers do. HTMLParser raises AssertionError at one that has no name:
        https://html.spec.whatwg.org/multipage/parsing.html#markup-declaration-open-state.
        """
        return self.parse_bogus_comment(i, report=False)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropping.append(tag)
        if self._dropping or tag in _DROPPED:
            return
        node = _Node(tag, {name: value or "" for name, value in attrs})
        if tag in _VOID:
            self._open[-1].children.append(node)
        elif len(self._open) < MAX_DEPTH:
            self._open[-1].children.append(node)
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            if tag in self._dropping:
                del self._dropping[self._dropping.index(tag) :]
            return
        for at in range(len(self._open) - 1, 0, -1):
            if self._open[at].tag == tag:
                del self._open[at:]
                return

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self._open[-1].children.append(data)


def read(*, html: str | None, text: str, mentions: Sequence[Mention], bot: str) -> Reading:
    """Return what a message says. `html` is its rich form, if there is one; `bot` is the bot's own account id."""
    tree = _parse(html if html is not None else _as_html(text))
    reader = _Reader(list(mentions), bot)
    markdown = _tidy(reader.blocks(tree))
    return Reading(
        markdown=markdown,
        after_mention=reader.after_mention(tree),
        plain=_plain(tree, reader).strip(),
        bridge=any(mention.id == bot for mention in mentions) and bool(bot),
        people=frozenset(mention.id for mention in mentions if mention.id != bot and not _is_place(mention.id)),
        everyone=any(_is_place(mention.id) for mention in mentions),
        files=tuple(node.attrs.get("id", "") for node in _walk(tree) if node.tag == "attachment"),
        quotes=any("reply" in node.attrs.get("itemtype", "").lower() for node in _walk(tree)),
    )


def images(html: str | None) -> tuple[str, ...]:
    """Return the addresses of images within a message, in order."""
    return tuple(src for node in _walk(_parse(html or "")) if node.tag == "img" and (src := node.attrs.get("src")))


def _is_place(mentioned: str) -> bool:
    """Tell whether a channel, a team or a tag is mentioned: people's ids begin otherwise."""
    return mentioned.startswith("19:") or "tag" in mentioned[:4].lower()


def _as_html(text: str) -> str:
    """Return the plain form of a message as HTML: its only markup is `<at>`, its characters may be escaped."""
    pieces = [piece.lower()[:3] if i % 2 else _escaped(piece) for i, piece in enumerate(_AT.split(text))]
    return "".join({"<at": "<at>", "</a": "</at>"}.get(piece, piece) for piece in pieces)


def _escaped(text: str) -> str:
    plain = entities_of_html.unescape(text)
    return entities_of_html.escape(plain, quote=False).replace("\r\n", "\n").replace("\n", "<br>")


def _parse(html: str) -> _Node:
    tree = _Tree()
    tree.feed(html)
    tree.close()
    return tree.root


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for child in node.children:
        if isinstance(child, _Node):
            yield from _walk(child)


def _words(node: _Node) -> str:
    parts = [child if isinstance(child, str) else _words(child) for child in node.children]
    return _flat("".join(parts))


def _flat(text: str) -> str:
    return _SPACES.sub(" ", text.replace("\u00a0", " "))


def _is_mention(node: _Node) -> bool:
    return node.tag == "at" or "mention" in node.attrs.get("itemtype", "").lower()


class _Reader:
    """Turns a tree into Markdown. Each mention in the tree belongs to the first entity of that name not yet used."""

    def __init__(self, mentions: list[Mention], bot: str) -> None:
        self._mentions, self._bot = mentions, bot
        self._whose: dict[int, str] = {}
        self._left = list(mentions)

    def whose(self, node: _Node) -> str:
        """Return whom a mention means; "" where no entity says so: then it is mere words."""
        if id(node) not in self._whose:
            words = _words(node).strip()
            found = next((one for one in self._left if _flat(one.name).strip() == words), None)
            if found is not None:
                self._left.remove(found)
            self._whose[id(node)] = found.id if found is not None else ""
        return self._whose[id(node)]

    # --- blocks

    def blocks(self, node: _Node) -> str:
        """Return what is in a block, its blocks parted by empty lines."""
        pieces: list[str] = []
        line: list[_Node | str] = []

        def end_line() -> None:
            if words := _line(self.inline(line)):
                pieces.append(words)
            line.clear()

        for child in node.children:
            if isinstance(child, _Node) and self._holds_blocks(child):
                end_line()
                if piece := self._block(child):
                    pieces.append(piece)
            else:
                line.append(child)
        end_line()
        return "\n\n".join(pieces)

    def _holds_blocks(self, node: _Node) -> bool:
        return node.tag in _BLOCKS or any(
            isinstance(child, _Node) and self._holds_blocks(child) for child in node.children
        )

    def _block(self, node: _Node) -> str:
        match node.tag:
            case "pre" | "codeblock":
                return fenced(_verbatim(node)) if _verbatim(node).strip() else ""
            case "blockquote":
                inner = self.blocks(node)
                return "\n".join(f"> {row}".rstrip() for row in inner.split("\n")) if inner else ""
            case "ul" | "ol":
                return self._list(node)
            case "hr":
                return "---"
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                words = _line(self.inline(node.children)).strip("*")
                return f"**{words}**" if words else ""
            case "tr":
                cells = [self.blocks(cell).replace("\n", " ") for cell in _elements(node)]
                return " · ".join(cell for cell in cells if cell)
            case "table":
                rows = [self._block(row) for row in _walk(node) if row.tag == "tr"]
                return "  \n".join(row for row in rows if row)
            case _:
                return self.blocks(node)

    def _list(self, node: _Node) -> str:
        first = node.attrs.get("start", "1")
        number = int(first) if first.isdecimal() and len(first) < 9 else 1
        rows: list[str] = []
        for item in _elements(node):
            mark = f"{number}." if node.tag == "ol" else "-"
            inner = self._block(item) if item.tag in {"ul", "ol"} else self.blocks(item)
            if inner:
                rows.append(f"{mark} " + re.sub(r"\n+(?=\s*(?:-|\d+\.) )", "\n", inner).replace("\n", "\n    "))
                number += 1
        return "\n".join(rows)

    # --- lines

    def inline(self, nodes: Sequence["_Node | str"]) -> str:
        """Return these as Markdown within a line; breaks are line feeds."""
        out = ""
        for piece in filter(None, map(self._inline, nodes)):
            # Two pieces must not make a link, or a picture, that neither of them is.
            torn = (out.endswith("]") and piece[0] in "([:") or (out.endswith("!") and piece[0] == "[")
            out = f"{out[:-1]}\\{out[-1]}{piece}" if torn and out[-2:-1] != "\\" else out + piece
        return out

    def _inline(self, node: "_Node | str") -> str:
        if isinstance(node, str):
            return escape(_flat(node)) if node.strip() else _flat(node)
        if _is_mention(node):
            return self._mention(node)
        match node.tag:
            case "br":
                return "\n"
            case "code":
                words = _verbatim(node)
                return code(words) if words.strip() else words
            case "a":
                return link(node.attrs.get("href", "").strip(), _words(node).strip())
            case "emoji" | "customemoji":
                return escape(node.attrs.get("alt") or node.attrs.get("title") or "")
            case "img":
                is_emoji = "emoji" in node.attrs.get("itemtype", "").lower()
                return escape(node.attrs.get("alt", "")) if is_emoji else ""
            case _:
                return _marked(self.inline(node.children), _MARKS.get(node.tag, ""))

    def _mention(self, node: _Node) -> str:
        person = self.whose(node)
        if person and person == self._bot:
            return ""
        return escape(_words(node).strip() or COLLEAGUE)

    # --- commands

    def after_mention(self, tree: _Node) -> str | None:
        """Return the bare text behind an opening mention of the bot; None if the message opens otherwise."""
        for at, leaf in enumerate(leaves := list(_leaves(tree))):
            if isinstance(leaf, _Node) and _is_mention(leaf):
                if not self._bot or self.whose(leaf) != self._bot:
                    return None
                rest = leaves[at + 1 :]
                return "".join(_leaf_words(one, self) for one in rest).replace("\u00a0", " ").strip()
            if _leaf_words(leaf, self).replace("\u00a0", " ").strip():
                return None
        return None


def _elements(node: _Node) -> list[_Node]:
    return [child for child in node.children if isinstance(child, _Node)]


def _verbatim(node: _Node) -> str:
    parts: list[str] = []
    for child in node.children:
        if isinstance(child, str):
            parts.append(child)
        else:
            parts.append("\n" if child.tag == "br" else _verbatim(child))
            if child.tag in {"div", "p"}:
                parts.append("\n")
    return "".join(parts).replace("\u00a0", " ")


def _marked(words: str, mark: str) -> str:
    body = words.strip()
    if not mark or not body or "\n" in body:
        return words
    at = words.find(body)
    return f"{words[:at]}{mark}{body}{mark}{words[at + len(body) :]}"


def _leaves(node: _Node) -> "Iterator[_Node | str]":
    """Walk over words, mentions and breaks, in order."""
    for child in node.children:
        if isinstance(child, str) or _is_mention(child) or child.tag in _VOID:
            yield child
        else:
            yield from _leaves(child)
            if child.tag in _BLOCKS:
                yield "\n"


def _leaf_words(leaf: "_Node | str", reader: _Reader) -> str:
    if isinstance(leaf, str):
        return leaf
    if _is_mention(leaf):
        return "" if reader.whose(leaf) else _words(leaf)
    return "\n" if leaf.tag == "br" else leaf.attrs.get("alt", "")


def _plain(tree: _Node, reader: _Reader) -> str:
    return "".join(_leaf_words(leaf, reader) for leaf in _leaves(tree)).replace("\u00a0", " ")


def _line(words: str) -> str:
    """Return a paragraph without blanks at the edges of its lines, its line breaks such that Markdown keeps them."""
    rows = [row.strip() for row in words.split("\n")]
    return re.sub(r"(?<!\n)\n(?!\n)", "  \n", "\n".join(rows).strip())


def _tidy(markdown: str) -> str:
    return re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", re.sub(r"(?m)^[ ]{2,}$", "", markdown)).strip()


def name_of(mention: str) -> str:
    """Return the words of a mention as `entities` has it: `<at>Dana &amp; Co</at>` says `Dana & Co`."""
    return _words(_parse(mention)).strip()
