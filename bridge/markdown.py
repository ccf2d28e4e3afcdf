"""Text -> Markdown that shows exactly this text, for whoever turns a vendor's messages into Markdown. Pure."""

import re

_SAFE_URL = re.compile(r"(?i)^(?:https?://|mailto:)[^\s<>]+$")
_MARKS = re.compile(r"[\\`*<>~]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|!(?=\[)|&(?=#?\w+;)")
_LINE_START = re.compile(r"(?m)^([ \t]*)(#{1,6}(?=[ \t]|$)|[-+](?=[ \t]|$)|=+[ \t]*$|-{2,}[ \t]*$)")
_NUMBERED = re.compile(r"(?m)^([ \t]*\d{1,9})([.)])(?=[ \t]|$)")
_INDENT = re.compile(r"(?m)^[ \t]{4,}")


def escape(text: str) -> str:
    """Return Markdown that shows exactly this text."""
    escaped = _MARKS.sub(lambda match: "\\" + match.group(), text)
    escaped = _LINE_START.sub(lambda match: f"{match.group(1)}\\{match.group(2)}", escaped)
    escaped = _NUMBERED.sub(r"\1\\\2", escaped)
    return _INDENT.sub(lambda match: "\u00a0" * len(match.group()), escaped)


def link(url: str, label: str) -> str:
    """Return a Markdown link; only the label where the address is of a kind that no customer should follow."""
    if not _SAFE_URL.match(url):
        return escape(label or url)
    safe = url.replace("\\", "%5C").replace("(", "%28").replace(")", "%29")
    if not label or url in {label, f"mailto:{label}"}:
        return f"<{safe}>"
    return f"[{escape(label)}]({safe})"


def code(text: str) -> str:
    """Return a Markdown code span that holds any backticks."""
    flat = text.replace("\n", " ")
    fence = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") or not flat.strip() else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def fenced(text: str) -> str:
    """Return a Markdown code block that holds any backticks."""
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return f"{fence}\n{text.rstrip(chr(10))}\n{fence}"
