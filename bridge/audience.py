"""Who may hear what an operator typed: the customer, or colleagues only. Safe by default. Pure.

A slip must not reach a customer, so whatever looks like talk among colleagues stays there, with one button to send it
all the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.conversation import HandoffState, Standing

_COMMAND = re.compile(r"^\s*[/!]\s*\w")
_NOTE = re.compile(
    r"^\s*(//|;;|\\\\"
    r"|[\[(<*_]*\s*(notes?|internal|private|colleagues|fyi team|(nur )?intern|notiz)\b[^\w\n]{0,3}[:\])>])",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"^\s*>\s?(.*)$", re.MULTILINE)
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
    return " ".join(text.casefold().split())


def repeats_note(text: str, notes: Sequence[str]) -> bool:
    """Tell whether the text quotes or pastes one of the notes: a quoted line found in a note, or a whole note inside
    the text.
    """
    quoted = [flat for line in _QUOTE.findall(text) if (flat := _flat(line))]
    whole = _flat(text)
    for note in notes:
        flat = _flat(note)
        if any(line in flat or flat in line for line in quoted):
            return True
        if len(flat) >= _MIN_PASTED and flat in whole:
            return True
    return False


def own_words(text: str, hints: frozenset[str], notes: Sequence[str] = ()) -> str:
    """Return why these words are talk among colleagues whoever says them, or ""."""
    if "mentions_bridge" in hints:
        return "mentions_bridge"
    if _COMMAND.match(text):
        return "command"
    if _NOTE.match(text):
        return "note"
    if "mentions_person" in hints or "is_broadcast_mention" in hints:
        return "mentions_person"
    if "is_quote" in hints or repeats_note(text, notes):
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
