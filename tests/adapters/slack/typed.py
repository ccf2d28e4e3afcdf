"""What a person types in Slack's composer -> the `rich_text` block of the event, without the composer's guesses."""

from typing import Any

Json = dict[str, Any]


def typed(text: str, *, style: Json | None = None) -> list[Json]:
    """Return the blocks of a message of plain text, as Slack's clients send it."""
    leaf: Json = {"type": "text", "text": text, **({"style": style} if style else {})}
    return rich({"type": "rich_text_section", "elements": [leaf]})


def rich(*elements: Json) -> list[Json]:
    """Return a rich_text block of these elements."""
    return [{"type": "rich_text", "block_id": "x", "elements": list(elements)}]


def section(*leaves: Json) -> Json:
    """Return a section of leaves."""
    return {"type": "rich_text_section", "elements": list(leaves)}


def leaf(text: str, **style: bool) -> Json:
    """Return a piece of text."""
    return {"type": "text", "text": text, **({"style": style} if style else {})}


def escaped(text: str) -> str:
    """Return text as Slack writes it into a message's `text`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
