"""What programs hand us, as every store can keep it: text of whole characters, values that JSON knows. Pure."""

import json
from collections.abc import Mapping
from typing import Any

_UNKNOWN = "\ufffd"


def text(raw: str) -> str:
    """Return the text with torn surrogate pairs joined, lone halves replaced by U+FFFD, and without NUL.

    Programs that count in UTF-16 tear an emoji in two when they stream; PostgreSQL refuses NUL
    (https://www.postgresql.org/docs/current/datatype-character.html).
    """
    whole = raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", "")


def text_so_far(raw: str) -> str:
    """Return `text` of what is still being written: half a character at its end is left for the next piece."""
    return text(raw[:-1] if raw and "\ud800" <= raw[-1] <= "\udbff" else raw)


def values(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON has them; what JSON does not know becomes its text, what is no number (NaN) null.

    Raises ValueError for a document that contains itself.
    """
    kept: dict[str, Any] = json.loads(json.dumps(dict(raw), default=str), parse_constant=lambda _: None)
    return {text(name): _value(value) for name, value in kept.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, dict):
        return {text(name): _value(item) for name, item in value.items()}
    return value
