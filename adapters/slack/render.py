"""Parts, transcripts and notices -> Slack messages. Pure; the card is in `card.py`.

Words of customers stay exactly as written, in `rich_text`, where nothing can mention, link or format. A message's
`text` is what screen readers read, so it holds the words too (https://docs.slack.dev/messaging#accessibility).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.slack import blocks, rich
from adapters.slack.refs import permalink, user_of
from bridge.briefing import Transcript
from bridge.capabilities import Capabilities, Part, Support
from bridge.conversation import Author, Entry, FileRef, Role

Json = dict[str, Any]

CAPABILITIES = Capabilities(
    text_max_chars=3_000,
    post_max_parts=15,
    post_max_chars=8_000,
    file_max_bytes=50 * 1024 * 1024,
    markdown=Support.PARTIAL,
    typing=Support.FULL,
    stream=Support.REJECTED,
    retract=Support.REJECTED,
    read_back=Support.FULL,
    whisper=Support.PARTIAL,
)
TRANSCRIPT_CHARS = 8_000
LINE_CHARS = 2_500
METADATA_TYPE = "bridge_line"
FOLLOWED = "f."
"""Before the key of a message whose files follow it: that it is there does not mean that they are."""

BUTTONS = {
    "take": "Take it",
    "return": "Return to AI",
    "transfer": "Transfer",
    "release": "Release",
    "close": "Close",
    "reopen": "Take it back",
    "take_back": "Take it back",
    "send_to_customer": "Send to the customer",
    "take_and_send": "Take it and send this",
    "retry_send": "Send again",
    "it_arrived": "It arrived",
}
PRIMARY = frozenset({"take", "take_and_send"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A message as `chat.postMessage` and `chat.update` take it."""

    text: str
    blocks: list[Json] = field(default_factory=list)


def metadata(key: str) -> Json:
    """Return the mark by which we know our own message again. It is readable by every app: an opaque key only."""
    return {"event_type": METADATA_TYPE, "event_payload": {"k": key}}


def mark(key: str, *, followed: bool) -> str:
    """Return a key as a message carries it."""
    return f"{FOLLOWED}{key}" if followed else key


def button(name: str, handoff: str, target: int | None = None) -> Json:
    """Return the button of an action of the core, by its constant name."""
    sure = None
    if name == "close":
        sure = blocks.confirm(
            "Close this conversation?",
            "Nobody owns it any more. The customer is told, and can write again at any time.",
            "Close it",
        )
    value = handoff if target is None else f"{handoff}|{target}"
    style = "primary" if name in PRIMARY else ""
    return blocks.button(BUTTONS.get(name, name), f"bridge_{name}", value, style=style, confirm=sure)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def age(ms: int) -> str:
    """Return a span of time as people read it."""
    seconds = ms // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def speaker(author: Author) -> str:
    """Return who speaks and what they are: it is always clear whether that is a person or an AI."""
    name = rich.label(author.name)
    match author.role:
        case Role.CUSTOMER:
            return f"👤 {name or 'Customer'} · customer"
        case Role.AGENT:
            return f"🤖 {name or 'Agent'} · AI agent"
        case Role.OPERATOR:
            return f"🎧 {name or 'Operator'} · operator"
        case _:
            return "↔ Bridge"


def _elements(author: Author, text: str) -> list[Json]:
    if author.role is Role.CUSTOMER:
        return rich.plain_elements(text)
    return rich.markdown_elements(text)


def _file_line(files: Sequence[FileRef]) -> Json:
    names = " · ".join(f"📎 {rich.label(file.name)} ({size(file.size_bytes)})" for file in files)
    return blocks.context([blocks.plain(names, blocks.MAX_CONTEXT_CHARS)])


def post(parts: Sequence[Part], key: str | None = None, *, workspace: str = "") -> Rendered:
    """Return several lines of a conversation as one message: a group of blocks per line.

    `key` becomes the id of the first block, as a second mark beside the metadata. `workspace` is its address: without
    it, notices link to no other thread.
    """
    out: list[Json] = []
    spoken: list[str] = []
    before: Author | None = None
    for part in parts:
        quiet = part.quiet and part.author.role is not Role.CUSTOMER
        group = list(_notice(part, workspace)) if quiet else list(_line(part, with_name=part.author != before))
        out += group
        spoken.append(f"{_mentions(part)} {rich.escape(_spoken(part))}".strip())
        before = None if quiet else part.author
    if key and out:
        out[0] = {**out[0], "block_id": key}
    return Rendered(text=_fallback(spoken), blocks=out[: blocks.MAX_BLOCKS])


def edited(part: Part) -> Rendered:
    """Return one line as it reads after an edit; its text stays within what `chat.update` takes."""
    changed = list(_notice(part) if part.quiet else _line(part, with_name=True, remark="edited"))
    return Rendered(text=blocks.cut_escaped(rich.escape(_spoken(part)), blocks.MAX_UPDATE_TEXT_CHARS), blocks=changed)


def _fallback(spoken: Sequence[str]) -> str:
    return blocks.cut_escaped("\n".join(spoken), blocks.MAX_TEXT_CHARS) or "(no text)"


def _mentions(part: Part) -> str:
    """Real mentions of those whom the core wants to reach: they make Slack notify them."""
    return " ".join(f"<@{user}>" for user in map(user_of, part.mentions) if user and user.isalnum())


def _spoken(part: Part) -> str:
    text = part.text if part.author.role is Role.CUSTOMER else rich.words(rich.markdown_elements(part.text))
    names = "".join(f" (file: {rich.label(file.name)})" for file in part.files)
    remark = f" ({part.remark})" if part.remark else ""
    return f"{text}{names}".strip() if part.quiet else f"{speaker(part.author)[2:]}{remark}: {text}{names}"


def _line(part: Part, *, with_name: bool, remark: str = "") -> Iterator[Json]:
    has_more = part.late_ms or part.total > 1 or part.remark or remark
    remarks = [speaker(part.author)] if with_name or has_more else []
    if part.remark:
        remarks.append(part.remark)
    if part.total > 1:
        remarks.append(f"part {part.index} of {part.total}")
    if part.late_ms:
        remarks.append(f"written {age(part.late_ms)} ago")
    if remark:
        remarks.append(remark)
    if remarks:
        yield blocks.context([blocks.plain(" · ".join(remarks), blocks.MAX_CONTEXT_CHARS)])
    elements = _elements(part.author, part.text)
    if elements:
        yield blocks.rich_text(elements)
    if part.files:
        yield _file_line(part.files)
    elif not elements:
        yield blocks.context([blocks.plain("(empty message)", 40)])
    if part.actions:
        yield blocks.actions([button(name, part.handoff, part.target) for name in part.actions])


def _notice(part: Part, workspace: str = "") -> Iterator[Json]:
    mention = _mentions(part)
    address = permalink(workspace, part.link) if part.link and part.link_desk is None else rich.escape(part.address)
    link = f"<{address}|Open its thread>" if address else ""
    text = f"{mention} {rich.mrkdwn(part.text)} {link}".strip() or "—"
    if len(text) <= blocks.MAX_CONTEXT_CHARS:
        yield blocks.context([blocks.mrkdwn(text)])
    else:
        if mention or link:
            yield blocks.context([blocks.mrkdwn(f"{mention} {link}".strip())])
        yield blocks.rich_text(rich.markdown_elements(part.text))
    if part.files:
        yield _file_line(part.files)
    if part.actions:
        yield blocks.actions([button(name, part.handoff, part.target) for name in part.actions])


def clock(at: int) -> str:
    """Return a moment that Slack shows in each reader's own time zone."""
    fallback = datetime.fromtimestamp(at / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{at // 1000}^{{date_short_pretty}} {{time}}|{fallback}>"


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedTranscript:
    """The last lines as a message, and whether the whole has to follow as a file."""

    message: Rendered
    needs_file: bool


def transcript(shown: Transcript, key: str) -> RenderedTranscript:
    """Return what was said before: the newest lines that fit, oldest first, whole; what does not fit is in the file."""
    chosen: list[Entry] = []
    room = TRANSCRIPT_CHARS
    for entry in reversed(shown.lines):
        cost = min(len(entry.text), LINE_CHARS) + 200
        if chosen and cost > room:
            break
        room -= cost
        chosen.insert(0, entry)
    hidden = shown.earlier + len(shown.lines) - len(chosen)
    shortened = any(len(entry.text) > LINE_CHARS for entry in chosen)
    needs_file = hidden > 0 or shortened
    if not chosen and not hidden:
        title = "Nothing was said before."
    elif hidden:
        title = f"The last {len(chosen)} lines before the handoff; {hidden} earlier ones are in {shown.file_name}"
    else:
        title = "The conversation before the handoff"
    out = [blocks.context([blocks.plain(title, blocks.MAX_CONTEXT_CHARS)])]
    out[0]["block_id"] = key
    for entry in chosen:
        out.append(blocks.context([blocks.plain(speaker(entry.author), 200), blocks.mrkdwn(clock(entry.at))]))
        body = entry.text
        if len(body) > LINE_CHARS:
            body = f"{body[: LINE_CHARS - 60]}… (whole in {shown.file_name})"
        elements = _elements(entry.author, body)
        out += [blocks.rich_text(elements)] if elements else []
        out += [_file_line(entry.files)] if entry.files else []
    spoken = [title, *(f"{speaker(entry.author)[2:]}: {entry.text}" for entry in chosen)]
    text = blocks.cut_escaped(rich.escape("\n".join(spoken)), blocks.MAX_MESSAGE_CHARS)
    return RenderedTranscript(message=Rendered(text=text, blocks=out), needs_file=needs_file)
