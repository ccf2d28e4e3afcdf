"""Who may hear what an operator typed: the customer, or colleagues only. Safe by default. Pure.

A slip must not reach a customer, so whatever looks like talk among colleagues stays there, with one button to send it
all the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.conversation import HandoffState, Standing

# Zero-width characters and marks of direction: nobody sees them, so they change no verdict.
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Desks hand over Markdown, in which what merely looks like markup is escaped: "[internal]" arrives as "\[internal\]".
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_LEAD = r"^\s*"
_MARKUP = r"(?:[-•*]\s+)?[*_~`>(\[{<#|]*\s*"
_COMMAND = re.compile(_LEAD + r"[*_~`]*[/!／！]\s*\w")
_SLASHES = re.compile(_LEAD + _MARKUP + r"(/\s*/|／\s*／|;;|\\\\)")
_LABEL = re.compile(
    _LEAD
    + _MARKUP
    + r"((internal|private)( (notes?|only|comment|info))?|notes?( (to|for) \w+)?|colleagues|fyi team|(team|staff) only"
    r"|(nur )?intern(e notiz)?|notiz(en)?|nota( interna)?|solo interno|note interne)"
    r"(\s*[:\])}>|]|[*_]+(\s|:)|\s+[-–—]\s)",
    re.IGNORECASE,
)
_FIRST_WORD = re.compile(_LEAD + _MARKUP + r"(\w{3,9})\s?[:\])}]")
_LABEL_WORDS = ("note", "notes", "internal", "private", "intern", "notiz")
_AT = re.compile(_LEAD + r"[*_~`(]*[@＠]\w|<(@|!(here|channel|everyone|subteam))")
_QUOTE = re.compile(r"^\s*>+\s?(.*)$", re.MULTILINE)
_PREFIX = re.compile(_SLASHES.pattern + "|" + _LABEL.pattern, re.IGNORECASE)
_MIN_QUOTED = 8
_MIN_PASTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Hearing:
    """The verdict. `why` is a constant name; `takes` says that this reply takes the conversation first (a queue's own
    setting).
    """

    to_customer: bool
    why: str
    takes: bool = False


SENTENCES = {
    "command": "That looks like a command, so the customer did not get it.",
    "note": "",
    "mentions_person": "It mentions a colleague, so the customer did not get it.",
    "mentions_bridge": "It mentions me and I know no such command, so it stays a note. The customer did not get it.",
    "quoted_note": "It repeats a note of colleagues, so the customer did not get it.",
    "not_owner": "Only {owner}'s replies go to the customer; this stays among colleagues.",
    "not_taken": "Nobody has taken this conversation yet, so the customer did not get it.",
    "outsider": "{why} The customer did not get it.",
    "button": "Replies in this queue stay among colleagues until you send them.",
    "ended": "This conversation is not with people any more, so the customer did not get it.",
}
"""What the thread is told about a message that was kept, by the constant name of the reason."""


def _flat(text: str) -> str:
    return " ".join(_ESCAPED.sub(r"\1", _INVISIBLE.sub("", text)).casefold().split())


def _slips(word: str) -> set[str]:
    """Return how a hurried hand types a word: two letters swapped, one left out, one typed twice."""
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    dropped = {word[:i] + word[i + 1 :] for i in range(len(word))}
    doubled = {word[: i + 1] + word[i:] for i in range(len(word))}
    return swapped | dropped | doubled


_SLIPS = frozenset(slip for word in _LABEL_WORDS for slip in _slips(word)) - {"not"}


def _is_note(text: str) -> bool:
    first = _FIRST_WORD.match(text)
    slipped = first is not None and first.group(1).casefold() in _SLIPS
    return bool(_SLASHES.match(text) or _LABEL.match(text)) or slipped


def repeats_note(text: str, notes: Sequence[str]) -> bool:
    """Tell whether the text quotes or pastes a line of one of the notes, without the prefix that made it one."""
    quoted = [flat for line in _QUOTE.findall(text) if len(flat := _flat(_PREFIX.sub("", line))) >= _MIN_QUOTED]
    whole = _flat(text)
    for note in notes:
        lines = [_flat(_PREFIX.sub("", line)) for line in note.splitlines()]
        flat = " ".join(lines)
        if any(line in flat or (len(flat) >= _MIN_QUOTED and flat in line) for line in quoted):
            return True
        if any(len(line) >= _MIN_PASTED and line in whole for line in (*lines, flat)):
            return True
    return False


def own_words(text: str, hints: frozenset[str], notes: Sequence[str] = ()) -> str:
    """Return why these words are talk among colleagues whoever says them, or ""."""
    text = _INVISIBLE.sub("", text)
    bare = _ESCAPED.sub(r"\1", text)
    if "mentions_bridge" in hints:
        return "mentions_bridge"
    if _is_note(text) or _is_note(bare):
        return "note"
    if _COMMAND.match(text) or _COMMAND.match(bare):
        return "command"
    if hints & {"mentions_person", "is_broadcast_mention"} or _AT.search(bare):
        return "mentions_person"
    if "is_quote" in hints or repeats_note(text, notes) or repeats_note(bare, notes):
        return "quoted_note"
    return ""


def hear(
    *,
    text: str,
    hints: frozenset[str],
    standing: Standing,
    is_owner: bool,
    state: HandoffState,
    rule: str = "owner",
    first_reply: str = "note",
    notes: Sequence[str] = (),
) -> Hearing:
    """Decide who hears a message in a handoff's thread.

    `rule` is the queue's `audience`, `first_reply` what a reply does before anybody has taken the conversation, `notes`
    what colleagues wrote
    among themselves in this thread.
    """
    if "is_bot" in hints:
        return Hearing(to_customer=False, why="bot")
    if standing is Standing.NONE:
        return Hearing(to_customer=False, why="outsider")
    if why := own_words(text, hints, notes):
        return Hearing(to_customer=False, why=why)
    if state is HandoffState.WAITING:
        takes = first_reply == "takes" and rule != "button"
        return Hearing(to_customer=takes, why="takes" if takes else "not_taken", takes=takes)
    if state is not HandoffState.HUMAN:
        return Hearing(to_customer=False, why="ended")
    if rule == "button":
        return Hearing(to_customer=False, why="button")
    if is_owner or rule == "anyone-in-queue":
        return Hearing(to_customer=True, why="owner" if is_owner else "in_queue")
    return Hearing(to_customer=False, why="not_owner")
