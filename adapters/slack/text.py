"""What operators write in Slack -> Markdown for customers. Pure.

The tree of a `rich_text` block is read where there is one; else Slack's mrkdwn text, in which `&`, `<`, `>` are the
only escaped characters (https://docs.slack.dev/messaging/formatting-message-text). Mentions become names, so that no id
ever reaches a customer; links keep http, https and mailto; what merely looks like Markdown is escaped.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapters.slack.emoji import from_code_points, from_name
from bridge.markdown import code, escape, fenced, link

Json = Mapping[str, Any]
Names = Mapping[str, str]

COLLEAGUE = "a colleague"
_TOKEN = re.compile(r"<([^<>\n]{1,3000})>")
_MENTION = re.compile(r"<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!here|!channel|!everyone)(?:\|[^<>]*)?>")


def unescape(text: str) -> str:
    """Return mrkdwn text with Slack's three entities decoded, `&amp;` last."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _styled(text: str, style: Json) -> str:
    if not text or not style:
        return text
    lead, body, trail = _edges(text)
    if not body:
        return text
    for name, mark in (("strike", "~~"), ("italic", "_"), ("bold", "**")):
        if style.get(name):
            body = f"{mark}{body}{mark}"
    return lead + body + trail


def _edges(text: str) -> tuple[str, str, str]:
    body = text.strip()
    at = text.find(body) if body else 0
    return text[:at], body, text[at + len(body) :] if body else text


def _mention(leaf: Json, names: Names) -> str:
    match leaf.get("type"):
        case "user":
            return names.get(str(leaf.get("user_id")), COLLEAGUE)
        case "usergroup" | "team":
            return "colleagues"
        case "channel":
            return "a channel"
        case _:
            return "everyone" if leaf.get("range") == "everyone" else "the channel"


def _leaf(leaf: Json, names: Names) -> str:
    style = leaf.get("style") or {}
    match leaf.get("type"):
        case "text":
            text = str(leaf.get("text") or "")
            return code(text) if style.get("code") and text else _styled(escape(text), style)
        case "link":
            return _styled(link(str(leaf.get("url") or ""), str(leaf.get("text") or "")), style)
        case "emoji":
            return _emoji(leaf)
        case "date":
            return escape(str(leaf.get("fallback") or ""))
        case "color":
            return escape(str(leaf.get("value") or ""))
        case "user" | "usergroup" | "team" | "channel" | "broadcast":
            return _styled(escape(_mention(leaf, names)), style)
        case _:
            return escape(str(leaf.get("text") or ""))


def _emoji(leaf: Json) -> str:
    drawn = from_code_points(str(leaf.get("unicode") or ""))
    return drawn or from_name(str(leaf.get("name") or ""), str(leaf.get("skin_tone") or ""))


def _inline(element: Json, names: Names) -> str:
    return "".join(_leaf(leaf, names) for leaf in _dicts(element.get("elements")))


def _breaks(text: str) -> str:
    """Make each line break one that Markdown keeps."""
    return re.sub(r"(?<!\n)\n(?!\n)", "  \n", re.sub(r"[ \t]+\n", "\n", text))


def _pieces(block: Json, names: Names) -> Iterator[str]:
    counters: dict[int, int] = {}
    for element in _dicts(block.get("elements")):
        kind = element.get("type")
        if kind == "rich_text_section":
            yield _breaks(_inline(element, names)).strip("\n")
        elif kind == "rich_text_preformatted":
            yield fenced("".join(_plain_leaf(leaf, names) for leaf in _dicts(element.get("elements"))))
        elif kind == "rich_text_quote":
            yield "\n".join(f"> {line}" for line in _breaks(_inline(element, names)).split("\n"))
        elif kind == "rich_text_list":
            yield "\n".join(_items(element, names, counters))
        if kind != "rich_text_list":
            counters.clear()


def _items(element: Json, names: Names, counters: dict[int, int]) -> Iterator[str]:
    indent = int(element.get("indent") or 0)
    for deeper in [level for level in counters if level > indent]:
        del counters[deeper]
    counters.setdefault(indent, int(element.get("offset") or 0))
    for item in _dicts(element.get("elements")):
        counters[indent] += 1
        mark = f"{counters[indent]}." if element.get("style") == "ordered" else "-"
        body = _breaks(_inline(item, names)).replace("\n", "\n" + "    " * (indent + 1))
        yield f"{'    ' * indent}{mark} {body}"


def _joined(pieces: Iterable[str]) -> str:
    """Join blocks by empty lines, list to list by single ones, so that a nested list stays in its list."""
    text = ""
    for piece in pieces:
        if not piece.strip():
            continue
        nested = bool(re.match(r" {4,}(?:-|\d+\.) ", piece)) or (
            bool(re.match(r"(?:-|\d+\.) ", piece)) and bool(re.search(r"(?m)^ {4,}(?:-|\d+\.) [^\n]*\Z", text))
        )
        text += ("\n" if nested else "\n\n") * bool(text) + piece
    return text


def _dicts(value: object) -> Sequence[Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def rich_blocks(blocks: object) -> Sequence[Json]:
    """Return the `rich_text` blocks among a message's blocks."""
    return [block for block in _dicts(blocks) if block.get("type") == "rich_text"]


def markdown(blocks: object, text: str, names: Names) -> str:
    """Return a message as Markdown for customers. `names` gives people's public names by Slack id."""
    rich = rich_blocks(blocks)
    if rich:
        return _joined(piece for block in rich for piece in _pieces(block, names)).strip()
    return _breaks(_from_mrkdwn(text, names, escape)).strip()


def plain(blocks: object, text: str, names: Names) -> str:
    """Return a message as bare text: what a note or a command is read from."""
    rich = rich_blocks(blocks)
    if not rich:
        return _from_mrkdwn(text, names, lambda part: part).strip()
    parts = [
        "".join(_plain_leaf(leaf, names) for leaf in _leaves(element))
        for block in rich
        for element in _dicts(block.get("elements"))
    ]
    return "\n".join(parts).strip()


def _plain_leaf(leaf: Json, names: Names) -> str:
    match leaf.get("type"):
        case "link":
            return str(leaf.get("text") or leaf.get("url") or "")
        case "emoji":
            return _emoji(leaf)
        case "user" | "usergroup" | "team" | "channel" | "broadcast":
            return _mention(leaf, names)
        case _:
            return str(leaf.get("text") or leaf.get("fallback") or leaf.get("value") or "")


def _leaves(element: Json) -> Iterator[Json]:
    for child in _dicts(element.get("elements")):
        if "elements" in child:
            yield from _leaves(child)
            yield {"type": "text", "text": "\n"}
        else:
            yield child


def _from_mrkdwn(text: str, names: Names, literal: Callable[[str], str]) -> str:
    out, at = [], 0
    for match in _TOKEN.finditer(text):
        out.append(literal(unescape(text[at : match.start()])))
        out.append(_control(match.group(1), names, literal))
        at = match.end()
    out.append(literal(unescape(text[at:])))
    return re.sub(
        r":([a-z0-9_+'-]+):(?::(skin-tone-[2-6]):)?",
        lambda m: from_name(m.group(1), (m.group(2) or "")[-1:], default=m.group()),
        "".join(out),
    )


def _control(token: str, names: Names, literal: Callable[[str], str]) -> str:
    body, _, label = token.partition("|")
    if body.startswith("@"):
        return literal(names.get(body[1:], COLLEAGUE))
    if body.startswith("#"):
        return "a channel"
    if body.startswith("!date"):
        return literal(unescape(label))
    if body.startswith("!subteam"):
        return "colleagues"
    if body.startswith("!"):
        return "everyone" if body == "!everyone" else "the channel"
    url, words = unescape(body), unescape(label)
    return (words or url) if literal is not escape else link(url, words)


def mentions(blocks: object, text: str) -> frozenset[str]:
    """Return who is mentioned: ids of people and groups, and `!here`, `!channel`, `!everyone`."""
    found = {token.lstrip("@").replace("!subteam^", "") for token in _MENTION.findall(text)}
    for block in rich_blocks(blocks):
        for leaf in _leaves(block):
            match leaf.get("type"):
                case "user":
                    found.add(str(leaf.get("user_id")))
                case "usergroup":
                    found.add(str(leaf.get("usergroup_id")))
                case "broadcast":
                    found.add(f"!{leaf.get('range')}")
    return frozenset(found)
