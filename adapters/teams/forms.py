"""What people put into the card's forms -> what they want. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from adapters.teams import inputs
from bridge.envelope import ReturnNote, ReturnOutcome

MAX_LINES = 20
MAX_LINE_CHARS = 500
MAX_NOTE_CHARS = 3_000
_LISTS = {
    inputs.FACTS: "Facts established",
    inputs.PROMISES: "Promises made",
    inputs.DO_NOT_REPEAT: "Do not repeat",
}


class Mistake(Exception):
    """Something that somebody has to mend in a form, in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """Where a conversation goes: exactly one of `person` and `queue` is set."""

    person: str
    queue: str
    note: str


def read_return(values: Mapping[str, str]) -> ReturnNote:
    """Return the note of a return form. Raises Mistake."""
    note = values.get(inputs.NOTE, "").strip()
    if len(note) > MAX_NOTE_CHARS:
        raise Mistake(f"The note may have {MAX_NOTE_CHARS} characters; it has {len(note)}.")
    outcome = values.get(inputs.OUTCOME) or ReturnOutcome.ANSWERED
    lists = {name: _lines(values.get(name, ""), label) for name, label in _LISTS.items()}
    try:
        return ReturnNote(
            outcome=ReturnOutcome(outcome),
            note=note,
            facts=lists[inputs.FACTS],
            promises=lists[inputs.PROMISES],
            do_not_repeat=lists[inputs.DO_NOT_REPEAT],
            continue_now=values.get(inputs.CONTINUE_NOW, "").strip().lower() == "true",
        )
    except (ValidationError, ValueError):
        raise Mistake("Choose how it ended.") from None


def _lines(text: str, label: str) -> tuple[str, ...]:
    lines = tuple(line for raw in text.splitlines() if (line := raw.strip()))
    if len(lines) > MAX_LINES:
        raise Mistake(f"{label}: at most {MAX_LINES} lines; these are {len(lines)}.")
    if any(len(line) > MAX_LINE_CHARS for line in lines):
        raise Mistake(f"{label}: a line may have {MAX_LINE_CHARS} characters. Break the long one in two.")
    return lines


def read_transfer(values: Mapping[str, str]) -> Transfer:
    """Return where a transfer goes. Raises Mistake unless it is exactly one place."""
    person, queue = values.get(inputs.PERSON, "").strip(), values.get(inputs.QUEUE, "").strip()
    if bool(person) == bool(queue):
        choose = "Choose a colleague or a queue." if not person else "Choose a colleague or a queue, not both."
        raise Mistake(choose)
    note = values.get(inputs.TRANSFER_NOTE, "").strip()
    if len(note) > MAX_NOTE_CHARS:
        raise Mistake(f"The note may have {MAX_NOTE_CHARS} characters; it has {len(note)}.")
    return Transfer(person=person, queue=queue, note=note)
