"""Parts, transcripts and notices -> activities of Teams, as plain dicts. Pure; the handoff's card is in `card.py`.

Customers' lines alone are a message with `textFormat` plain, the bridge's own notices one with Markdown. Where lines of
different people, buttons or files come together, it is a card, which has a place for each. A message with a card has no
`text`: Teams would make two messages of it and name none
(https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations).
Only a card has a place for a mark by which we know it again, so where marks are wanted, everything is a card.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from adapters.teams import inputs, text
from adapters.teams.refs import person_of, split_ref, split_thread
from adapters.teams.text import Leaf
from bridge.briefing import Transcript
from bridge.capabilities import Capabilities, Part, Support
from bridge.conversation import Author, Entry, FileRef, Role
from bridge.ids import RemoteRef

Json = dict[str, Any]

CARD_TYPE = "application/vnd.microsoft.card.adaptive"
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
VERSION = "1.4"
MAX_BYTES = 25_000
"""Of one message as UTF-8 JSON. Teams promises 80 KB of UTF-16 and has changed that figure more than once:
https://learn.microsoft.com/microsoftteams/platform/includes/agent-message-size-limit.
"""
CAPABILITIES = Capabilities(
    text_max_chars=3_000,
    post_max_parts=10,
    post_max_chars=4_500,
    file_max_bytes=50 * 1024 * 1024,
    markdown=Support.PARTIAL,
    typing=Support.REJECTED,
    stream=Support.REJECTED,
    retract=Support.REJECTED,
    files=Support.FALLBACK,
    read_back=Support.REJECTED,
    whisper=Support.REJECTED,
)
"""Files: as signed links of ours, since a bot can put none into a channel (https://learn.microsoft.com/
microsoftteams/platform/bots/how-to/bots-filesv4). Typing shows nothing in channels.
"""
TRANSCRIPT_BYTES = 14_000
LINE_CHARS = 2_000
SUMMARY_CHARS = 200
AGAIN = "sent again after an interruption: it may stand here twice"

BUTTONS = {
    "take": "Take it",
    "return": "Return to AI",
    "rehearse": "Show me what it would say",
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
class Surroundings:
    """What a message needs to know that its parts do not say.

    `link` makes a signed address of a file; `people` has (id, name) in Teams by operator id, for mentions; `tenant` and
    `group` name the team in links to threads; `mark`: put the key into it; `pictures`: files that Teams can show.
    """

    link: Callable[[FileRef], str]
    people: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    tenant: str = ""
    group: str = ""
    mark: str = ""
    pictures: frozenset[str] = frozenset()


def size(activity: Json) -> int:
    """Return how long an activity is as UTF-8 JSON."""
    return len(json.dumps(activity, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def bytes_of(count: int) -> str:
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
    name = text.label(author.name)
    match author.role:
        case Role.CUSTOMER:
            return f"👤 {name or 'Customer'} · customer"
        case Role.AGENT:
            return f"🤖 {name or 'Agent'} · AI agent"
        case Role.OPERATOR:
            return f"🎧 {name or 'Operator'} · operator"
        case _:
            return "↔ Bridge"


# --- buttons


def execute(
    name: str, title: str, handoff: str, target: int | None = None, *, key: str = "", primary: bool = False
) -> Json:
    """Return a button of a card, which old clients know as a submit
    (https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/
    work-with-universal-actions-for-adaptive-cards#backward-compatibility).
    """
    data = inputs.data(handoff, target, key)
    style = {"style": "positive"} if primary else {}
    return {
        "type": "Action.Execute",
        "title": title,
        "verb": name,
        "data": data,
        **style,
        "fallback": {"type": "Action.Submit", "title": title, "data": {**data, inputs.VERB: name}, **style},
    }


def button(name: str, handoff: str, target: int | None = None, key: str = "") -> Json:
    """Return the button of an action of the core, by its constant name."""
    return execute(name, BUTTONS.get(name, name), handoff, target, key=key, primary=name in PRIMARY)


# --- messages


def mention(name: str, teams_id: str) -> tuple[str, Json]:
    """Return a mention's words and its entity; Teams takes it only if both say the same."""
    words = f"<at>{text.harmless(name)}</at>"
    return words, {"type": "mention", "text": words, "mentioned": {"id": teams_id, "name": text.harmless(name)}}


def message(card: Json, summary: str) -> Json:
    """Return a card as a message. `summary` is what a notification shows of it."""
    attachment = {"contentType": CARD_TYPE, "content": card}
    short = text.cut(" ".join(text.clean(summary).split()), SUMMARY_CHARS)
    return {"type": "message", "summary": short, "attachments": [attachment]}


def adaptive(
    body: Sequence[Json], actions: Sequence[Json] = (), *, mark: str = "", entities: Sequence[Json] = ()
) -> Json:
    """Return an Adaptive Card; `mark` is the id of the element that holds all others."""
    kept: list[Json] = [{"type": "Container", "id": mark, "items": list(body)}] if mark else list(body)
    return {
        "type": "AdaptiveCard",
        "$schema": SCHEMA,
        "version": VERSION,
        "msteams": {"width": "Full", **({"entities": list(entities)} if entities else {})},
        "body": kept,
        **({"actions": list(actions)} if actions else {}),
    }


def post(parts: Sequence[Part], around: Surroundings, *, remark: str = "") -> Json:
    """Return several lines of a conversation as one message. `remark` stands beside each speaker ("edited")."""
    bare = not around.mark and not any(part.files or part.actions for part in parts)
    made: Json | None = None
    if bare and all(part.author.role is Role.CUSTOMER for part in parts):
        made = _plain(parts, remark)
    elif bare and all(_is_notice(part) for part in parts):
        made = _markdown(parts, around, remark)
    if made is not None and size(made) <= MAX_BYTES:
        return made
    return _card(parts, around, remark)


def _is_notice(part: Part) -> bool:
    return part.quiet and part.author.role is not Role.CUSTOMER


def _heading(part: Part, before: Author | None, remark: str) -> str:
    """Return what stands above a line, "" where the same person goes on."""
    remarks = [part.remark] if part.remark else []
    remarks += [f"part {part.index} of {part.total}"] if part.total > 1 else []
    remarks += [f"written {age(part.late_ms)} ago"] if part.late_ms else []
    remarks += [AGAIN] if part.again else []
    remarks += [remark] if remark else []
    return " · ".join([speaker(part.author), *remarks]) if remarks or part.author != before else ""


def _plain(parts: Sequence[Part], remark: str) -> Json:
    lines: list[str] = []
    before: Author | None = None
    for part in parts:
        heading = _heading(part, before, remark)
        lines += [*([""] if lines and heading else []), *([heading] if heading else [])]
        lines.append(text.quoted(part.text) or "(empty message)")
        before = part.author
    return {"type": "message", "textFormat": "plain", "text": "\n".join(lines), "summary": _summary(parts)}


def _markdown(parts: Sequence[Part], around: Surroundings, remark: str) -> Json:
    lines, entities = [], []
    for part in parts:
        called = [mention(*reversed(around.people[each])) for each in part.mentions if each in around.people]
        entities += [entity for _, entity in called]
        words = [text.markdown(part.text) or "—"]
        if part.again or remark:
            words.append(f"_({remark or AGAIN})_")
        if address := _address(part, around):
            words.append(f"[Open its thread]({address})")
        lines.append(" ".join([*(each for each, _ in called), *words]))
    made = {"type": "message", "textFormat": "markdown", "text": "\n\n".join(lines), "summary": _summary(parts)}
    return {**made, "entities": entities} if entities else made


def _card(parts: Sequence[Part], around: Surroundings, remark: str) -> Json:
    body: list[Json] = []
    entities: list[Json] = []
    actions: list[Json] = []
    before: Author | None = None
    for part in parts:
        notice = _is_notice(part)
        body += _notice(part, around, remark, entities) if notice else _line(part, before, remark)
        files = list(_files(part.files, around))
        body += files
        if not part.text.strip() and not part.files:
            body.append(text.rich([Leaf("(empty message)")], isSubtle=True))
        actions += [button(name, part.handoff, part.target, around.mark) for name in part.actions]
        before = None if notice else part.author
    return message(adaptive(body, actions, mark=around.mark, entities=entities), _summary(parts))


def _line(part: Part, before: Author | None, remark: str) -> Iterator[Json]:
    heading = _heading(part, before, remark)
    if heading:
        yield {**text.rich([Leaf(heading)], isSubtle=True, size="Small"), "separator": before is not None}
    yield from text.said(part.text) if part.author.role is Role.CUSTOMER else text.shown(part.text)


def _notice(part: Part, around: Surroundings, remark: str, entities: list[Json]) -> Iterator[Json]:
    called = [mention(*reversed(around.people[each])) for each in part.mentions if each in around.people]
    if called:
        entities += [entity for _, entity in called]
        yield {"type": "TextBlock", "text": " ".join(words for words, _ in called), "wrap": True, "size": "Small"}
    for found in text.paragraphs(part.text):
        yield text.rich(found, size="Small")
    tail = [Leaf(f"({remark or AGAIN}) ", italic=True)] if part.again or remark else []
    if address := _address(part, around):
        tail.append(Leaf("Open its thread", url=address))
    if tail:
        yield text.rich(tail, size="Small")


def _files(files: Sequence[FileRef], around: Surroundings) -> Iterator[Json]:
    """Pictures that Teams can show, in place; each file as a link of ours."""
    for file in files:
        name = f"📎 {text.label(file.name)} ({bytes_of(file.size_bytes)})"
        address = around.link(file)
        if file.id in around.pictures and address.startswith("https://"):
            yield {"type": "Image", "url": address, "altText": text.label(file.name), "size": "Large"}
        yield text.rich([Leaf(name, url=address)])


def _summary(parts: Sequence[Part]) -> str:
    first = parts[0]
    words = first.text if first.author.role is Role.CUSTOMER else text.words(first.text)
    remark = f" ({first.remark})" if first.remark else ""
    shown = f"{speaker(first.author)[2:]}{remark}: {words or ', '.join(file.name for file in first.files)}"
    return text.cut(" ".join(text.clean(shown).split()), SUMMARY_CHARS)


def note(sentence: str) -> Json:
    """Return a sentence of ours as a message."""
    return {"type": "message", "textFormat": "plain", "text": f"↔ {text.clean(sentence)}", "summary": sentence[:200]}


def _address(part: Part, around: Surroundings) -> str:
    if part.link is None or part.link_desk is not None:
        return part.address
    return permalink(part.link, tenant=around.tenant, group=around.group)


def permalink(root: RemoteRef, *, tenant: str, group: str) -> str:
    """Return the address of a root message, or "" where the tenant is not known. The form is that of
    https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/deep-link-teams.
    """
    if not tenant:
        return ""
    channel, message_id = split_thread(split_ref(root)[0])
    in_group = f"&groupId={quote(group, safe='')}" if group else ""
    return (
        f"https://teams.microsoft.com/l/message/{quote(channel, safe='')}/{message_id}"
        f"?tenantId={quote(tenant, safe='')}{in_group}&parentMessageId={message_id}"
    )


def mentioned(parts: Sequence[Part]) -> dict[str, str]:
    """Return Entra's ids of the people whom a post is to reach, by operator id."""
    found = {each: person_of(each) for part in parts for each in part.mentions}
    return {each: person for each, person in found.items() if person}


def clock(at: int) -> str:
    """Return a moment that Teams shows in each reader's own time zone, where a TextBlock says it
    (https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features#datetime-function-rules).
    """
    stamp = datetime.fromtimestamp(at / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{{{{DATE({stamp},SHORT)}}}} {{{{TIME({stamp})}}}}"


# --- the transcript


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """The newest lines of a transcript that fit one message, and whether the whole has to be linked beside them."""

    lines: tuple[Entry, ...]
    hidden: int
    needs_file: bool


def excerpt(shown: Transcript) -> Excerpt:
    """Choose what stands in the message; what does not fit is in the file."""
    chosen: list[Entry] = []
    room = TRANSCRIPT_BYTES
    for entry in reversed(shown.lines):
        cost = len(text.cut(entry.text, LINE_CHARS).encode("utf-8", "replace")) + 500
        if chosen and cost > room:
            break
        room -= cost
        chosen.insert(0, entry)
    hidden = shown.earlier + len(shown.lines) - len(chosen)
    shortened = any(len(entry.text) > LINE_CHARS for entry in chosen)
    return Excerpt(lines=tuple(chosen), hidden=hidden, needs_file=hidden > 0 or shortened)


def transcript(shown: Transcript, whole: str, around: Surroundings, *, remark: str = "") -> Json:
    """Return what was said before: the newest lines, oldest first; `whole` is the address of everything, or ""."""
    part = excerpt(shown)
    title = "The conversation before the handoff"
    if not part.lines:
        title = "Nothing was said before."
    elif part.hidden:
        title = f"The last {len(part.lines)} lines before the handoff; {part.hidden} earlier ones are in the file below"
    title += f" ({remark})" if remark else ""
    body = [text.rich([Leaf(title, bold=True)], size="Small")]
    for entry in part.lines:
        body += _told(entry, around)
    if whole:
        body.append(text.rich([Leaf(f"📄 {shown.file_name}", url=whole), Leaf(" (the whole transcript)")]))
    return message(adaptive(body, mark=around.mark), title)


def _told(entry: Entry, around: Surroundings) -> Iterator[Json]:
    body = entry.text
    if len(body) > LINE_CHARS:
        body = f"{body[: LINE_CHARS - 60]}… (whole in the transcript)"
    yield {**text.rich([Leaf(speaker(entry.author))], isSubtle=True, size="Small"), "separator": True}
    yield {"type": "TextBlock", "text": clock(entry.at), "isSubtle": True, "size": "Small", "spacing": "None"}
    yield from text.said(body) if entry.author.role is Role.CUSTOMER else text.shown(body)
    for file in entry.files:
        yield text.rich([Leaf(f"📎 {text.label(file.name)} ({bytes_of(file.size_bytes)})", url=around.link(file))])
