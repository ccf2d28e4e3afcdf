"""What a person types in the composer -> the ``text`` and the ``rich_text`` block that Slack's clients send.

Mentions are typed as ``@handle``, ``@here`` or ``#channel`` (a client completes them), or given as ``<@U...>``,
``<#C...>``, ``<!subteam^S...>`` of somebody who exists. Everything else is text: a typed ``<!channel>`` stays inert.
Source: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adapters.sandbox.slack.records import Json

_FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<code>`[^`\n]+`)"
    r"|(?P<url>https?://[^\s<>|]+[^\s<>|.,;:!?)\]}'\"])"
    r"|(?P<raw><(?:@[UW][A-Z0-9]+|\#C[A-Z0-9]+|!subteam\^S[A-Z0-9]+)(?:\|[^>\n]*)?>)"
    r"|(?P<at>(?<![\w@])@[\w.-]*\w)"
    r"|(?P<channel>(?<![\w#])\#[\w-]+)"
    r"|(?P<emoji>:[a-z0-9_+'-]+:(?::skin-tone-[2-6]:)?)"
    r"|(?P<bold>(?<![\w*])\*(?=\S)[^*\n]+(?<=\S)\*(?![\w*]))"
    r"|(?P<italic>(?<![\w_])_(?=\S)[^_\n]+(?<=\S)_(?![\w_]))"
    r"|(?P<strike>(?<![\w~])~(?=\S)[^~\n]+(?<=\S)~(?![\w~]))",
)
_STYLES = {"bold": "*", "italic": "_", "strike": "~"}
_BULLET = re.compile(r"^[-•*] +(?=\S)")
_NUMBER = re.compile(r"^\d+\. +(?=\S)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The names a client can complete: handle -> user id, handle -> group id, channel name -> channel id."""

    users: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)


def escape(text: str) -> str:
    """Escape the three characters that Slack's text escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def compose(typed: str, directory: Directory) -> tuple[str, list[Json]]:
    """Return ``(text, blocks)`` of a typed message; no blocks where nothing was typed."""
    if not typed:
        return "", []
    elements: list[Json] = []
    position = 0
    for fence in _FENCE.finditer(typed):
        elements += _paragraphs(typed[position : fence.start()], directory)
        elements.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": fence.group(1)}]})
        position = fence.end()
    elements += _paragraphs(typed[position:], directory)
    text = "".join(_plain(element) for element in elements).strip("\n")
    return text, [{"type": "rich_text", "block_id": "typed", "elements": elements}]


def mentioned(blocks: list[Json]) -> list[str]:
    """Return the user ids mentioned in rich text, in order."""
    return [leaf["user_id"] for leaf in _leaves(blocks) if leaf.get("type") == "user"]


def _leaves(elements: list[Json]) -> Iterator[Json]:
    for element in elements:
        if "elements" in element:
            yield from _leaves(element["elements"])
        else:
            yield element


def _paragraphs(part: str, directory: Directory) -> Iterator[Json]:
    kind, lines = "", list[str]()
    for line in part.strip("\n").split("\n") if part.strip("\n") else []:
        now, bare = _line_kind(line)
        if lines and now != kind:
            yield _paragraph(kind, lines, directory)
            lines = []
        kind = now
        lines.append(bare)
    if lines:
        yield _paragraph(kind, lines, directory)


def _line_kind(line: str) -> tuple[str, str]:
    if line.startswith(">"):
        return "quote", line[1:].removeprefix(" ")
    for kind, pattern in (("bullet", _BULLET), ("ordered", _NUMBER)):
        if found := pattern.match(line):
            return kind, line[found.end() :]
    return "section", line


def _paragraph(kind: str, lines: list[str], directory: Directory) -> Json:
    if kind in {"bullet", "ordered"}:
        items = [{"type": "rich_text_section", "elements": list(_inline(line, directory, {}))} for line in lines]
        return {"type": "rich_text_list", "style": kind, "indent": 0, "elements": items}
    return {"type": f"rich_text_{kind}", "elements": list(_inline("\n".join(lines), directory, {}))}


def _inline(text: str, directory: Directory, style: Mapping[str, bool]) -> Iterator[Json]:
    position = 0
    for found in _TOKEN.finditer(text):
        elements = list(_element(found, directory, style))
        if not elements:
            continue
        if found.start() > position:
            yield _styled({"type": "text", "text": text[position : found.start()]}, style)
        yield from elements
        position = found.end()
    if position < len(text):
        yield _styled({"type": "text", "text": text[position:]}, style)


def _element(found: re.Match[str], directory: Directory, style: Mapping[str, bool]) -> Iterator[Json]:
    kind, value = found.lastgroup or "", found.group()
    if kind == "code":
        yield _styled({"type": "text", "text": value[1:-1]}, {**style, "code": True})
    elif kind == "url":
        yield _styled({"type": "link", "url": value}, style)
    elif kind == "emoji":
        yield {"type": "emoji", "name": value.strip(":")}
    elif kind in _STYLES:
        yield from _inline(value[1:-1], directory, {**style, kind: True})
    elif mention := _mention(value, directory):
        yield _styled(mention, style)


def _mention(value: str, directory: Directory) -> Json | None:
    name = value.strip("<>").partition("|")[0]
    sigil, name = name[0], name[1:]
    if sigil == "!":
        group = name.removeprefix("subteam^")
        return {"type": "usergroup", "usergroup_id": group} if group in directory.groups.values() else None
    if sigil == "#":
        channel = name if name in directory.channels.values() else directory.channels.get(name)
        return {"type": "channel", "channel_id": channel} if channel else None
    if name in {"here", "channel", "everyone"}:
        return {"type": "broadcast", "range": name}
    if name in directory.groups:
        return {"type": "usergroup", "usergroup_id": directory.groups[name]}
    user = name if name in directory.users.values() else directory.users.get(name)
    return {"type": "user", "user_id": user} if user else None


def _styled(element: Json, style: Mapping[str, bool]) -> Json:
    return {**element, "style": dict(style)} if style else element


def _plain(element: Json) -> str:
    kind, inner = element["type"], element.get("elements", [])
    if kind == "rich_text_list":
        bullets = ("• " if element["style"] == "bullet" else f"{number}. " for number in range(1, len(inner) + 1))
        return "".join(bullet + _plain(item) for bullet, item in zip(bullets, inner, strict=True))
    body = "".join(_leaf(leaf) for leaf in inner)
    if kind == "rich_text_preformatted":
        return f"```{body}```\n"
    if kind == "rich_text_quote":
        return "".join(f"&gt; {line}\n" for line in body.split("\n"))
    return body + "\n"


def _leaf(leaf: Json) -> str:
    match leaf["type"]:
        case "user":
            body = f"<@{leaf['user_id']}>"
        case "usergroup":
            body = f"<!subteam^{leaf['usergroup_id']}>"
        case "channel":
            body = f"<#{leaf['channel_id']}>"
        case "broadcast":
            body = f"<!{leaf['range']}>"
        case "emoji":
            body = f":{leaf['name']}:"
        case "link":
            body = f"<{escape(leaf['url'])}>"
        case _:
            body = escape(leaf["text"])
    style = leaf.get("style", {})
    for name, mark in (("code", "`"), ("strike", "~"), ("italic", "_"), ("bold", "*")):
        if style.get(name):
            body = f"{mark}{body}{mark}"
    return body
