"""What a person types, as Teams' client sends it: text, its HTML twin, and mentions.

`@Name` of the bot or a person is a mention; `**bold**`, `_italic_`, `` `code` `` and addresses are formatted, lines
that begin with `- ` are a list.
"""

import html
import re
from collections.abc import Iterable

from adapters.sandbox.teams.people import BOT, BOT_NAME, Person
from adapters.sandbox.teams.records import Json

_INLINE = re.compile(
    r"(?P<code>`[^`\n]+`)|(?P<bold>\*\*[^*\n]+\*\*)|(?P<italic>(?<!\w)_[^_\n]+_(?!\w))|(?P<url>https?://[^\s<>]+)"
)
_SPAN = '<span itemscope="" itemtype="http://schema.skype.com/Mention" itemid="{number}">{name}</span>'


def compose(typed: str, people: Iterable[Person]) -> tuple[str, str, list[Json]]:
    """Return (text, html, entities) of a message. In the text a mention is followed by `&nbsp;`, as Teams has it."""
    known = {BOT_NAME: {"id": BOT, "name": BOT_NAME}} | {person.name: person.account() for person in people}
    mentions: list[Json] = []
    text, rich = "", ""
    longest_first = sorted(known, key=len, reverse=True)
    parts = re.split("@(" + "|".join(re.escape(name) for name in longest_first) + r")(?!\w)", typed)
    for index, part in enumerate(parts):
        if index % 2:
            text += f"<at>{html.escape(part, quote=False)}</at>"
            rich += f"\x00{len(mentions)}\x00"
            mentions.append({"type": "mention", "mentioned": known[part], "text": f"<at>{part}</at>"})
            continue
        after_mention = index > 0 and part.startswith(" ")
        text += ("&nbsp;" if after_mention else "") + html.escape(part[1:] if after_mention else part, quote=False)
        rich += ("\x01" if after_mention else "") + (part[1:] if after_mention else part)
    return text, _rich(rich, mentions), mentions


def _rich(text: str, mentions: list[Json]) -> str:
    blocks, items = [], []
    for line in [*text.split("\n"), None]:
        if line is not None and line.startswith("- "):
            items.append(f"<li>{_inline(line[2:], mentions)}</li>")
            continue
        if items:
            blocks.append(f"<ul>{''.join(items)}</ul>")
            items = []
        if line is not None:
            blocks.append(f"<p>{_inline(line, mentions) or '&nbsp;'}</p>")
    return "".join(blocks)


def _inline(line: str, mentions: list[Json]) -> str:
    def formatted(found: re.Match[str]) -> str:
        word = found[0]
        match found.lastgroup:
            case "code":
                return f"<code>{html.escape(word[1:-1])}</code>"
            case "bold":
                return f"<strong>{html.escape(word[2:-2])}</strong>"
            case "italic":
                return f"<em>{html.escape(word[1:-1])}</em>"
        address = html.escape(word)
        return f'<a href="{address}" rel="noreferrer noopener" title="{address}" target="_blank">{address}</a>'

    shown, at = "", 0
    for found in _INLINE.finditer(line):
        shown += html.escape(line[at : found.start()]) + formatted(found)
        at = found.end()
    shown += html.escape(line[at:])
    shown = shown.replace("\x01", "&nbsp;")
    return re.sub(
        "\x00(\\d+)\x00",
        lambda m: _SPAN.format(number=m[1], name=html.escape(mentions[int(m[1])]["mentioned"]["name"])),
        shown,
    )
