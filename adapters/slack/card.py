"""The card -> Block Kit: what the operator reads first. Pure.

The summary and the question are always whole; lists give way first, and say how much is left out.
"""

from collections.abc import Sequence
from typing import Any

from adapters.slack import blocks, render, rich
from bridge.briefing import Card
from bridge.conversation import OPEN_STATES
from bridge.ids import Millis

Json = dict[str, Any]

SUMMARY_CHARS = 2_000
QUESTION_CHARS = 1_000
VALUE_CHARS = 300
REPLY_CHARS = 600
LISTS_CHARS = 3_500
"""What all lists of the card share; the rest of a message's 12,000 is for what is never shortened."""


class _Room:
    """The characters that are left for lists."""

    def __init__(self, chars: int) -> None:
        self.left = chars

    def take(self, lines: Sequence[tuple[str, str]], share: int) -> tuple[list[tuple[str, str]], int]:
        """Return the lines that fit into this share of the room, and how many do not."""
        budget, shown = min(share, self.left), []
        for name, value in lines:
            short = (blocks.cut(rich.label(name, 200), 200), blocks.cut(rich.clean(value), VALUE_CHARS))
            cost = len(short[0]) + len(short[1]) + 4
            if cost > budget:
                break
            budget -= cost
            self.left -= cost
            shown.append(short)
        return shown, len(lines) - len(shown)


def card(shown: Card, key: str | None = None) -> render.Rendered:
    """Return the root message of a thread. `key` becomes the id of the first block."""
    room = _Room(LISTS_CHARS)
    header: Json = {"type": "header", "text": blocks.plain(rich.label(shown.title, 150), blocks.MAX_HEADER_CHARS)}
    if key:
        header["block_id"] = key
    out = [header, *_state(shown), *_story(shown)]
    out += _list("Tried so far", shown.tried, room, 1_500)
    out += _list(_customer_heading(shown), shown.customer_facts, room, 1_200, always=True)
    out += _list("Collected by the agent", shown.collected, room, 1_000)
    out += _replies(shown, room)
    out += [*_problems(shown, room), _small_print(shown)]
    if shown.actions:
        out.append(blocks.actions([render.button(name, shown.handoff) for name in shown.actions]))
    return render.Rendered(text=_text(shown), blocks=out)


def _state(shown: Card) -> list[Json]:
    mark = {"waiting": "🟠", "human": "🟢"}.get(shown.state.value, "⚪")
    line = f"{mark} *{_unstarred(shown.state_line)}*"
    out = [blocks.section(blocks.mrkdwn(line))]
    if shown.state in OPEN_STATES:
        out.append(blocks.context([blocks.plain(shown.audience_line, blocks.MAX_CONTEXT_CHARS)]))
    if shown.presence_line:
        since = f" {render.clock(shown.away_since)}" if shown.away_since is not None else ""
        sign = "👀" if shown.away_since is None else "💤"
        out.append(blocks.context([blocks.mrkdwn(f"{sign} {rich.escape(shown.presence_line)}{since}")]))
    return out


def _unstarred(text: str) -> str:
    """A name may hold `*`, which mrkdwn cannot escape."""
    return rich.escape(rich.label(text, 300)).replace("*", "∗")


def _bold(text: str) -> Json:
    return {"type": "text", "text": text, "style": {"bold": True}}


def _story(shown: Card) -> list[Json]:
    reason = rich.label(shown.reason, 200)
    detail = rich.clean(blocks.cut(shown.reason_detail, 500)).strip()
    why = {"type": "text", "text": f"{reason}: {detail}" if detail else reason}
    out = [blocks.rich_text([_section(_bold("Why: "), why)])]
    told = [("Summary", shown.summary, SUMMARY_CHARS), ("Asked of you", shown.question, QUESTION_CHARS)]
    for heading, text, limit in told:
        body = rich.markdown_elements(blocks.cut(text, limit)) if text.strip() else []
        if body:
            out.append(blocks.rich_text(_under(heading, body)))
    if said := blocks.cut(rich.clean(shown.last_words).strip(), REPLY_CHARS):
        quote = {"type": "rich_text_quote", "elements": [{"type": "text", "text": said}]}
        out.append(blocks.rich_text([_section(_bold("Last words of the customer")), quote]))
    if shown.company_ticket:
        ticket, url = shown.company_ticket
        out.append(blocks.rich_text([_section(_bold("Your ticket: "), *_ticket(ticket, url))]))
    return out


def _section(*leaves: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(leaves)}


def _under(heading: str, body: list[Json]) -> list[Json]:
    """Put a heading on a line of its own above rich text."""
    if body[0]["type"] != "rich_text_section":
        return [_section(_bold(heading)), *body]
    first = _section(_bold(heading), {"type": "text", "text": "\n"}, *body[0]["elements"])
    return [first, *body[1:]]


def _ticket(ticket: str, url: str) -> list[Json]:
    name = rich.label(ticket) or "–"
    return rich.link(url, name, {}) if url else [{"type": "text", "text": name}]


def _customer_heading(shown: Card) -> str:
    proof = "verified" if shown.customer_verified else "not verified: do not rely on who they say they are"
    return f"Customer: {rich.label(shown.customer_name)} ({proof})"


def _list(
    heading: str, lines: Sequence[tuple[str, str]], room: _Room, share: int, *, always: bool = False
) -> list[Json]:
    if not lines and not always:
        return []
    shown, more = room.take(lines, share)
    elements = [_section(_bold(heading))]
    items = [_section(_bold(f"{name or '–'}: "), {"type": "text", "text": value or "–"}) for name, value in shown]
    if more:
        items.append(_section({"type": "text", "text": f"+ {more} more not shown"}))
    if items:
        elements.append({"type": "rich_text_list", "style": "bullet", "indent": 0, "elements": items})
    return [blocks.rich_text(elements)]


def _replies(shown: Card, room: _Room) -> list[Json]:
    elements: list[Json] = []
    for reply in shown.suggested_replies:
        text = blocks.cut(rich.clean(reply).strip(), REPLY_CHARS)
        if text and len(text) <= room.left:
            room.left -= len(text)
            elements.append({"type": "rich_text_quote", "elements": [{"type": "text", "text": text}]})
    if not elements:
        return []
    return [blocks.rich_text([_section(_bold("Suggested by the agent")), *elements])]


def _problems(shown: Card, room: _Room) -> list[Json]:
    if not shown.problems:
        return []
    lines, more = room.take(shown.problems, 800)
    words = "; ".join(f"{path}: {message}" for path, message in lines) + (f"; + {more} more" if more else "")
    return [blocks.context([blocks.plain(f"⚠ The agent's envelope was not as agreed: {words}", 1_900)])]


def _small_print(shown: Card) -> Json:
    urgent = {"urgent": "🔴 urgent", "high": "🟠 high"}.get(shown.priority, shown.priority)
    elements = [
        blocks.plain(f"{shown.ticket} · queue {rich.label(shown.queue)} · priority {rich.label(urgent, 40)}", 400),
        blocks.mrkdwn(f"since {_since(shown.opened_at)}"),
    ]
    if shown.previous:
        elements.append(blocks.plain(f"earlier: {shown.previous}", 100))
    if shown.why_here:
        elements.append(blocks.plain(f"here because: {rich.label(shown.why_here, 500)}", 600))
    return blocks.context(elements)


def _since(at: Millis) -> str:
    return render.clock(at)


def _text(shown: Card) -> str:
    parts = [f"{shown.title}. {shown.state_line}.", f"{shown.reason}.", shown.summary]
    if shown.question:
        parts.append(f"Asked of you: {shown.question}")
    return rich.escape("\n".join(part for part in parts if part.strip()))
