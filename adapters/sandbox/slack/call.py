"""One call of the Web API: its arguments, read the forgiving way Slack reads them."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from adapters.sandbox.slack.records import Json, SlackError

if TYPE_CHECKING:
    from adapters.sandbox.slack.sandbox import Sandbox

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """The sandbox, and what the app passed. Numbers and flags may come as strings (form bodies)."""

    sandbox: "Sandbox"
    args: Json

    def text(self, name: str, default: str = "") -> str:
        """Return a string; ``default`` where it is missing."""
        value = self.args.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """Return a string. Raises ``invalid_arguments`` naming the missing one."""
        value = self.text(name)
        if not value:
            message = f"[ERROR] missing required field: {name}"
            raise SlackError("invalid_arguments", response_metadata={"messages": [message]})
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean; ``1`` and ``true`` mean yes."""
        return str(self.args.get(name, "")).lower() in {"1", "true"}

    def number(self, name: str, default: int) -> int:
        """Return an integer. Raises ``invalid_arguments``."""
        try:
            return int(self.text(name) or default)
        except ValueError as error:
            raise SlackError("invalid_arguments") from error

    def structure(self, name: str, error: str) -> object:
        """Return a list or object, which form bodies carry as JSON text. Raises ``error`` where it is not JSON."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError as cause:
            raise SlackError(error) from cause


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A Web API method: what runs, and what it asks of the token. ``any_scope``: one of them is enough."""

    run: Callable[[Call], Json | Awaitable[Json]]
    any_scope: tuple[str, ...] = ()
    is_app_level: bool = False
    needs_token: bool = True


def page_of(call: Call, items: list[Item], *, limit: int, most: int = 1000) -> tuple[list[Item], Json]:
    """Return a page of at most ``most`` items and its ``response_metadata``; the cursor is opaque to callers."""
    size = max(1, min(call.number("limit", limit), most))
    cursor = call.text("cursor")
    if cursor and not (cursor.startswith("dXNlcjpV") and cursor[8:].isdigit()):
        raise SlackError("invalid_cursor")
    start = int(cursor[8:]) if cursor else 0
    rest = start + size < len(items)
    return items[start : start + size], {"next_cursor": f"dXNlcjpV{start + size}" if rest else ""}
