"""What the card's buttons say and what its inputs are called: the card writes it, `acting` reads it. Pure.

A button is an `Action.Execute` with the constant name of the action as `verb` and `data(...)` as `data`; its fallback
for old clients is an `Action.Submit` with `{**data(...), VERB: name}`, since that one has no verb. Neither is trusted:
who pressed is told by Teams, and the conversation must be the handoff's own.
"""

from typing import Any

HANDOFF = "handoff"
TARGET = "target"
VERB = "verb"
KEY = "mark"
"""The mark of the post that the card is: a press proves that it arrived. Never call a value `key`: Microsoft's own
renderer of cards has a property of that name in each object, and where the card is read-only a press then fails in it
without a word (seen in https://www.npmjs.com/package/@microsoft/m365agentsplayground 0.2.28).
"""

# Input ids of the return form; lists have one line for each item.
OUTCOME = "outcome"
NOTE = "note"
FACTS = "facts"
PROMISES = "promises"
DO_NOT_REPEAT = "do_not_repeat"
CONTINUE_NOW = "continue_now"
"""An Input.Toggle: "true" or "false"."""

# Input ids of the transfer form.
QUEUE = "queue"
PERSON = "person"
"""Entra's object id of a colleague, where the form asks for one (https://learn.microsoft.com/microsoftteams/platform/
task-modules-and-cards/cards/people-picker).
"""
TRANSFER_NOTE = "transfer_note"


def data(handoff: str, target: int | None = None, key: str = "") -> dict[str, Any]:
    """Return what a button carries: an opaque handoff id, an entry's number, the mark of its post."""
    found: dict[str, Any] = {HANDOFF: handoff}
    if target is not None:
        found[TARGET] = target
    if key:
        found[KEY] = key
    return found
