"""How strict the workspace is, as long as it is told to be: what Slack may do to any app on any day.

Unlike faults, rules do not count down. They are set by ``PUT /sandbox/rules`` and end with ``DELETE``.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from adapters.sandbox.slack.records import Json, SlackError

METADATA = ("full", "type-only", "none")
TOKEN_ERRORS = ("", "invalid_auth", "token_revoked", "token_expired", "account_inactive")
READS = frozenset({"conversations.replies", "conversations.history"})
READS_PER_MINUTE = 1
READ_ITEMS = 15
"""For commercially distributed apps outside the Marketplace: https://docs.slack.dev/apis/web-api/rate-limits."""

PER_MINUTE: Mapping[str, int] = {
    **dict.fromkeys(("conversations.list", "usergroups.list", "usergroups.users.list", "users.list"), 20),
    **dict.fromkeys(
        (
            "bots.info", "chat.delete", "chat.update", "conversations.history", "conversations.info",
            "conversations.join", "conversations.replies", "reactions.add", "users.getPresence", "users.lookupByEmail",
        ),
        50,
    ),
    **dict.fromkeys(
        (
            "chat.postEphemeral", "conversations.members", "files.completeUploadExternal",
            "files.getUploadURLExternal", "files.info", "users.info", "views.open", "views.push", "views.update",
        ),
        100,
    ),
}  # fmt: skip
"""Tiers 2, 3 and 4, as each method's page names its own. Slack allows a little more, and does not say how much."""


@dataclass(kw_only=True, slots=True)
class Rules:
    """The switches. ``metadata_in_events``: what of a message's metadata its events carry, one of ``METADATA``.

    ``new_id_on_retry``: an event that was not acknowledged comes again under a new ``event_id``. ``token_error``: every
    call of the bot token ends so. ``method_tiers``: methods have their limits per minute. ``rationed_reads``: threads
    and channels can be read once a minute, 15 items at a time. ``minute_s``: how long a minute lasts for those two.
    """

    metadata_in_events: str = "full"
    new_id_on_retry: bool = False
    token_error: str = ""
    method_tiers: bool = False
    rationed_reads: bool = False
    minute_s: float = 60.0

    def update(self, body: Json) -> None:
        """Take over what a JSON body names, or nothing. Raises ``SlackError("invalid_rule")`` with what is wrong."""
        known = {name: type(value) for name, value in Rules().as_json().items()}
        for name, value in body.items():
            if name not in known:
                raise SlackError("invalid_rule", detail=f"no rule {name!r}; there are: {', '.join(known)}")
            numeric = known[name] is float and type(value) is int
            if type(value) is not known[name] and not numeric:
                raise SlackError("invalid_rule", detail=f"{name} must be of type {known[name].__name__}")
        for name, allowed in (("metadata_in_events", METADATA), ("token_error", TOKEN_ERRORS)):
            if name in body and body[name] not in allowed:
                raise SlackError("invalid_rule", detail=f"{name} must be one of: {', '.join(allowed)}")
        if body.get("minute_s", 1) <= 0:
            raise SlackError("invalid_rule", detail="minute_s must be over 0")
        for name, value in body.items():
            setattr(self, name, known[name](value))

    def reset(self) -> None:
        """Be as lenient as at the start."""
        self.update(Rules().as_json())

    def as_json(self) -> Json:
        """Return them as ``GET /sandbox/rules`` shows them."""
        return asdict(self)

    def in_event(self, event: Json) -> Json:
        """Return the event with as much metadata as events carry now, wherever a message stands in it."""
        if self.metadata_in_events == "full":
            return event
        shown = dict(event)
        for name in ("message", "previous_message", "root"):
            if isinstance(shown.get(name), dict):
                shown[name] = self.in_event(shown[name])
        metadata = shown.pop("metadata", None)
        if metadata and self.metadata_in_events == "type-only":
            shown["metadata"] = {"event_type": metadata["event_type"]}
        return shown


@dataclass(kw_only=True, slots=True)
class MethodBudget:
    """How often each method was called within the last minute."""

    rules: Rules
    now: Callable[[], float]
    _taken: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, method: str) -> int | None:
        """Spend one call. Returns ``None``, or the ``Retry-After`` in whole seconds if there was none left."""
        limit = self._limit(method)
        if limit is None:
            return None
        now, taken = self.now(), self._taken.setdefault(method, deque())
        while taken and taken[0] <= now - self.rules.minute_s:
            taken.popleft()
        if len(taken) >= limit:
            return max(1, math.ceil(taken[0] + self.rules.minute_s - now))
        taken.append(now)
        return None

    def forget(self) -> None:
        """Start counting anew."""
        self._taken.clear()

    def _limit(self, method: str) -> int | None:
        if self.rules.rationed_reads and method in READS:
            return READS_PER_MINUTE
        return PER_MINUTE.get(method) if self.rules.method_tiers else None
