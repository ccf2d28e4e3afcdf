"""Block Kit's building stones and limits, as plain dicts. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks and its pages. The total of a message is not documented;
13,200 characters were measured (https://github.com/slackapi/bolt-js/issues/2509), so we stay under 12,000.
"""

from collections.abc import Sequence
from typing import Any

from adapters.slack import rich

Json = dict[str, Any]

MAX_BLOCKS = 50
MAX_MESSAGE_CHARS = 12_000
MAX_TEXT_CHARS = 40_000
MAX_UPDATE_TEXT_CHARS = 4_000
MAX_SECTION_CHARS = 3_000
MAX_FIELD_CHARS = 2_000
MAX_HEADER_CHARS = 150
MAX_CONTEXT_CHARS = 2_000
MAX_BUTTON_CHARS = 75


def plain(text: str, limit: int) -> Json:
    """Return a text object that nothing can format or mention."""
    return {"type": "plain_text", "text": rich.clean(cut(text, limit)) or " ", "emoji": False}


def mrkdwn(text: str) -> Json:
    """Return a text object of finished mrkdwn; `verbatim` keeps Slack from linking what it finds in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def cut(text: str, limit: int) -> str:
    """Return text that fits, with an ellipsis where something is left out; for our own and for repeated words only."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cut_escaped(text: str, limit: int) -> str:
    """The same for escaped text: an entity is kept whole or left out."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    amp = head.rfind("&")
    if amp >= 0 and ";" not in head[amp:]:
        head = head[:amp]
    return head + "…"


def rich_text(elements: Sequence[Json]) -> Json:
    """Return a block of rich text."""
    return {"type": "rich_text", "elements": list(elements)}


def section(text: Json) -> Json:
    """Return a section."""
    return {"type": "section", "text": text}


def fields(texts: Sequence[Json]) -> Json:
    """Return a section of at most ten fields, two beside each other."""
    return {"type": "section", "fields": list(texts[:10])}


def context(elements: Sequence[Json]) -> Json:
    """Return small print of at most ten elements."""
    return {"type": "context", "elements": list(elements[:10])}


def button(text: str, action_id: str, value: str, *, style: str = "", confirm: Json | None = None) -> Json:
    """Return a button; `value` is what comes back."""
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": cut(text, MAX_BUTTON_CHARS), "emoji": True},
        "action_id": action_id,
        "value": value,
        **({"style": style} if style else {}),
        **({"confirm": confirm} if confirm else {}),
    }


def confirm(title: str, text: str, yes: str) -> Json:
    """Return the question that Slack asks before a button counts."""
    return {
        "title": {"type": "plain_text", "text": title},
        "text": {"type": "plain_text", "text": text},
        "confirm": {"type": "plain_text", "text": yes},
        "deny": {"type": "plain_text", "text": "Not now"},
        "style": "danger",
    }


def actions(elements: Sequence[Json]) -> Json:
    """Return a row of buttons."""
    return {"type": "actions", "elements": list(elements)}


def characters(value: object) -> int:
    """Count what people read in blocks: every string under a `text` or `url` key."""
    if isinstance(value, list):
        return sum(characters(item) for item in value)
    if isinstance(value, dict):
        return sum(
            len(item) if key in {"text", "url"} and isinstance(item, str) else characters(item)
            for key, item in value.items()
        )
    return 0
