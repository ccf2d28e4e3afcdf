"""The modals: built, and read again when they are sent off. Pure.

Limits: a title has 24 characters, an input 3,000, a select 100 options of 75 (https://docs.slack.dev/surfaces/modals).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from adapters.slack import blocks, rich
from bridge.envelope import ReturnNote, ReturnOutcome

Json = dict[str, Any]
Values = Mapping[str, Mapping[str, Any]]

RETURN = "bridge_return"
TRANSFER = "bridge_transfer"
REHEARSE = "bridge_rehearse"
REHEARSE_WORDS = "Show me what it would say"
REHEARSE_HINT = "It tries this note in the thread. The customer does not see it."
MAX_LINES = 20
MAX_LINE_CHARS = 500
MAX_NOTE_CHARS = 3_000
MAX_OPTIONS = 100

OUTCOMES: Mapping[ReturnOutcome, str] = {
    ReturnOutcome.ANSWERED: "Answered",
    ReturnOutcome.RESOLVED: "Resolved",
    ReturnOutcome.NEEDS_AGENT: "The AI agent should go on",
    ReturnOutcome.UNANSWERED: "Not answered",
    ReturnOutcome.OTHER: "Something else",
}
_LISTS = {
    "facts": ("Facts established", "One per line. The AI agent takes them as true."),
    "promises": ("Promises made", "One per line. The AI agent keeps to them."),
    "do_not_repeat": ("Do not repeat", "One per line: what was settled, or what annoyed the customer."),
}

_SENT = ("type", "callback_id", "title", "submit", "close", "private_metadata")
"""What of a view may be sent back; the rest is Slack's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A handoff to choose from in a picker."""

    handoff: str
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """What a transfer modal says: exactly one of `user` and `queue` is set."""

    user: str
    queue: str
    note: str


class Mistakes(Exception):
    """What somebody has to mend in a modal: a sentence per block id."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """Keep the sentences."""
        named = (f"{_LISTS[block][0]}: {words}" if block in _LISTS else words for block, words in errors.items())
        super().__init__(" ".join(named))
        self.errors = dict(errors)


def _view(callback: str, title: str, submit: str, body: Sequence[Json], kept: Mapping[str, str]) -> Json:
    return {
        "type": "modal",
        "callback_id": callback,
        "title": {"type": "plain_text", "text": blocks.cut(title, 24)},
        "submit": {"type": "plain_text", "text": blocks.cut(submit, 24)},
        "close": {"type": "plain_text", "text": "Cancel"},
        "private_metadata": json.dumps(dict(kept), separators=(",", ":")),
        "blocks": list(body),
    }


def sentence(title: str, text: str) -> Json:
    """Return a modal that only says something."""
    return {
        "type": "modal",
        "title": {"type": "plain_text", "text": blocks.cut(title, 24)},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": [blocks.section(blocks.plain(text, blocks.MAX_SECTION_CHARS))],
    }


def loading(title: str) -> Json:
    """Return the modal that stands there until the right one is ready: Slack's trigger lives three seconds."""
    return sentence(title, "One moment…")


def _input(block: str, label: str, element: Json, *, hint: str = "", optional: bool = False) -> Json:
    return {
        "type": "input",
        "block_id": block,
        "optional": optional,
        "label": {"type": "plain_text", "text": label},
        **({"hint": {"type": "plain_text", "text": hint}} if hint else {}),
        "element": {**element, "action_id": block},
    }


def _option(label: str, value: str) -> Json:
    return {"text": {"type": "plain_text", "text": blocks.cut(rich.label(label, 75), 75) or "–"}, "value": value}


def _lines_input(name: str) -> Json:
    label, hint = _LISTS[name]
    element = {"type": "plain_text_input", "multiline": True, "max_length": MAX_NOTE_CHARS}
    return _input(name, label, element, hint=hint, optional=True)


def returning(
    *, ticket: str = "", handoff: str = "", channel: str = "", note: str = "", choices: Sequence[Choice] = ()
) -> Json:
    """Return the modal that gives a conversation back to the agent: of one handoff, or of one among `choices`."""
    outcomes = [_option(words, outcome.value) for outcome, words in OUTCOMES.items()]
    note_input: Json = {"type": "plain_text_input", "multiline": True, "max_length": MAX_NOTE_CHARS}
    if note:
        note_input["initial_value"] = blocks.cut(rich.clean(note), MAX_NOTE_CHARS)
    body: list[Json] = []
    if choices:
        options = [_option(choice.label, choice.handoff) for choice in choices[:MAX_OPTIONS]]
        element = {"type": "static_select", "options": options, "initial_option": options[0]}
        body.append(_input("handoff", "Which conversation?", element))
    body += [
        _input(
            "outcome", "How did it end?", {"type": "static_select", "options": outcomes, "initial_option": outcomes[0]}
        ),
        _input("note", "Note for the AI agent", note_input, hint="The customer does not see it.", optional=True),
        *(_lines_input(name) for name in _LISTS),
        _input(
            "continue_now",
            "When the AI agent speaks",
            {
                "type": "checkboxes",
                "options": [_option("Let the AI continue now, without waiting for the customer", "yes")],
            },
            optional=True,
        ),
    ]
    body += [
        {**blocks.actions([blocks.button(REHEARSE_WORDS, REHEARSE, handoff or "choice")]), "block_id": REHEARSE},
        blocks.context([blocks.plain(REHEARSE_HINT, blocks.MAX_CONTEXT_CHARS)]),
    ]
    title = f"Return {ticket}" if ticket else "Return to AI"
    return _view(RETURN, title, "Return to AI", body, {"handoff": handoff, "channel": channel})


def with_answer(view: Mapping[str, Any], words: str) -> Json:
    """Return a return modal as Slack says that it stands, with these words under the button. What has been typed stays:
    the inputs are the same (https://docs.slack.dev/reference/views/modal-views).
    """
    kept = {name: view[name] for name in _SENT if view.get(name)}
    shown = list(view.get("blocks") or [])
    at = next((i for i, block in enumerate(shown) if block.get("block_id") == REHEARSE), len(shown) - 1)
    shown[at + 1 : at + 2] = [blocks.section(blocks.plain(words, blocks.MAX_SECTION_CHARS))]
    return {**kept, "blocks": shown}


def transferring(*, ticket: str, handoff: str, channel: str, queues: Sequence[tuple[str, str]]) -> Json:
    """Return the modal that passes a conversation on, to a colleague or to a queue."""
    body = [
        _input(
            "user",
            "To a colleague",
            {"type": "users_select", "placeholder": {"type": "plain_text", "text": "Choose a person"}},
            optional=True,
        )
    ]
    if queues:
        options = [_option(label, name) for name, label in queues[:MAX_OPTIONS]]
        placeholder = {"type": "plain_text", "text": "Choose a queue"}
        element = {"type": "static_select", "options": options, "placeholder": placeholder}
        body.append(_input("queue", "Or to a queue", element, optional=True))
    note = {"type": "plain_text_input", "multiline": True, "max_length": MAX_NOTE_CHARS}
    body.append(_input("note", "Note for them", note, hint="The customer does not see it.", optional=True))
    return _view(TRANSFER, f"Transfer {ticket}", "Transfer", body, {"handoff": handoff, "channel": channel})


def _typed(values: Values, block: str) -> str:
    return str(values.get(block, {}).get("value") or "").strip()


def _chosen(values: Values, block: str) -> str:
    option = values.get(block, {}).get("selected_option")
    return str(option.get("value") or "") if isinstance(option, Mapping) else ""


def read_return(values: Values) -> ReturnNote:
    """Return the note of a return modal. Raises Mistakes with a sentence at each input that has to be mended."""
    errors: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for name in _LISTS:
        lines = tuple(line for line in (raw.strip() for raw in _typed(values, name).splitlines()) if line)
        lists[name] = lines
        if len(lines) > MAX_LINES:
            errors[name] = f"At most {MAX_LINES} lines; these are {len(lines)}."
        elif any(len(line) > MAX_LINE_CHARS for line in lines):
            errors[name] = f"A line may have {MAX_LINE_CHARS} characters. Break the long one in two."
    if len(_typed(values, "note")) > MAX_NOTE_CHARS:
        errors["note"] = f"At most {MAX_NOTE_CHARS} characters."
    if errors:
        raise Mistakes(errors)
    try:
        return ReturnNote(
            outcome=ReturnOutcome(_chosen(values, "outcome") or ReturnOutcome.ANSWERED),
            note=_typed(values, "note"),
            **lists,
            continue_now=bool(values.get("continue_now", {}).get("selected_options")),
        )
    except (ValidationError, ValueError):
        raise Mistakes({"outcome": "Choose how it ended."}) from None


def read_choice(values: Values) -> str:
    """Return the handoff that was picked, or ""."""
    return _chosen(values, "handoff")


def read_transfer(values: Values) -> Transfer:
    """Return where a transfer goes. Raises Mistakes unless it is exactly one place."""
    user, queue = str(values.get("user", {}).get("selected_user") or ""), _chosen(values, "queue")
    if bool(user) == bool(queue):
        words = "Choose a colleague or a queue." if not user else "Choose a colleague or a queue, not both."
        raise Mistakes({"user": words})
    return Transfer(user=user, queue=queue, note=_typed(values, "note"))
