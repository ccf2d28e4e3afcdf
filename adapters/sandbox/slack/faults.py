"""Switches that make the sandbox misbehave the way the real thing does: per Web API method, and for events.

A fault is set by ``POST /sandbox/faults`` and counts down ``times``; ``times = -1`` stays until it is cleared.
``before`` kinds act before the call has any effect, ``after`` kinds once it has been applied: the caller cannot tell.
"""

import random
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from adapters.sandbox.slack.records import Json, SlackError

EVENTS = "events"
"""The target that stands for deliveries to the app, as opposed to a Web API method."""


class FaultKind(StrEnum):
    """What goes wrong."""

    RATE_LIMITED = "rate_limited"
    HTTP_500_BEFORE = "http_500_before"
    HTTP_500_AFTER = "http_500_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    DELAY = "delay"
    DELAY_AFTER = "delay_after"
    DUPLICATE = "duplicate"
    DUPLICATE_NEW_ID = "duplicate_new_id"
    REORDER = "reorder"
    LOSE = "lose"


EVENT_KINDS = frozenset(
    {FaultKind.DELAY, FaultKind.DUPLICATE, FaultKind.DUPLICATE_NEW_ID, FaultKind.REORDER, FaultKind.LOSE}
)
CALL_KINDS = (frozenset(FaultKind) - EVENT_KINDS) | {FaultKind.DELAY}


@dataclass(kw_only=True, slots=True)
class Fault:
    """One switch. ``target`` is a method name, ``"*"`` for every method, or ``"events"``.

    With a ``channel`` it hits only what concerns that channel.
    """

    target: str
    kind: FaultKind
    times: int = 1
    probability: float = 1.0
    after_s: float = 1.0
    error: str = "internal_error"
    channel: str = ""

    def as_json(self) -> Json:
        """Return it as ``GET /sandbox/faults`` shows it."""
        return asdict(self)


@dataclass(kw_only=True, slots=True)
class FaultTable:
    """The switches that are on."""

    faults: list[Fault] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - not a secret, only repeatable

    def set(self, body: Json) -> Fault:
        """Add a switch from a JSON body. Raises ``SlackError("invalid_fault")`` with what is wrong."""
        known = {name: body[name] for name in ("times", "probability", "after_s", "error", "channel") if name in body}
        try:
            fault = Fault(target=str(body.get("target", "*")), kind=FaultKind(body.get("kind", "")), **known)
        except ValueError as error:
            raise SlackError("invalid_fault", detail=f"{error}; kinds: {', '.join(FaultKind)}") from error
        allowed = EVENT_KINDS if fault.target == EVENTS else CALL_KINDS
        if fault.kind not in allowed:
            raise SlackError("invalid_fault", detail=f"{fault.target} takes only: {', '.join(sorted(allowed))}")
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch everything off."""
        self.faults.clear()

    def take(self, target: str, channel: str = "") -> Fault | None:
        """Return the fault that hits this call or event, counting it down; ``None`` if it goes through."""
        for fault in self.faults:
            if fault.channel and fault.channel != channel:
                continue
            if fault.target != target and (fault.target != "*" or target == EVENTS):
                continue
            if self.chance.random() >= fault.probability:
                continue
            if fault.times > 0:
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
            return fault
        return None
