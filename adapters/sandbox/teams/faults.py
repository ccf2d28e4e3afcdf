"""Switches that make the sandbox misbehave the way the real thing does: per call, and for deliveries.

A fault is set by `POST /sandbox/faults` and counts down `times`; `times = -1` stays until it is cleared. `before` kinds
act before the call has any effect, `after` kinds once it has been applied: the caller cannot tell.
"""

import random
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from adapters.sandbox.teams.records import ActRefused, Json

EVENTS = "events"
"""The target that stands for deliveries to the bot."""

SIGN_IN = "token"
"""The target that stands for signing in: another service, so it has faults of its own."""

CALLS = ("create", "send", "update", "delete", "members", "team", "attachment", "graph", SIGN_IN)


class FaultKind(StrEnum):
    """What goes wrong."""

    RATE_LIMITED = "rate_limited"
    HTTP_BEFORE = "http_before"
    HTTP_AFTER = "http_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DELAY = "delay"
    DELAY_AFTER = "delay_after"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    LOSE = "lose"


EVENT_KINDS = frozenset({FaultKind.DELAY, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.LOSE})
CALL_KINDS = (frozenset(FaultKind) - EVENT_KINDS) | {FaultKind.DELAY}


@dataclass(kw_only=True, slots=True)
class Fault:
    """One switch. `target` is one of `CALLS`, `"*"` for every call but signing in, or `"events"`.

    `status` and `code` are what the HTTP kinds answer. With a `channel` it hits only what concerns that channel.
    """

    target: str
    kind: FaultKind
    times: int = 1
    probability: float = 1.0
    after_s: float = 1.0
    status: int = 500
    code: str = "ServiceError"
    channel: str = ""

    def as_json(self) -> Json:
        """Return it as `GET /sandbox/faults` shows it."""
        return asdict(self)


@dataclass(kw_only=True, slots=True)
class FaultTable:
    """The switches that are on."""

    faults: list[Fault] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - not a secret, only repeatable

    def set(self, body: Json) -> Fault:
        """Add a switch from a JSON body. Raises `ActRefused("invalid_fault")` with what is wrong."""
        known = {
            name: body[name]
            for name in ("times", "probability", "after_s", "status", "code", "channel")
            if name in body
        }
        try:
            fault = Fault(target=str(body.get("target", "*")), kind=FaultKind(body.get("kind", "")), **known)
        except ValueError as error:
            raise ActRefused("invalid_fault", f"{error}; kinds: {', '.join(FaultKind)}") from error
        if fault.target not in {*CALLS, "*", EVENTS}:
            raise ActRefused("invalid_fault", f"target must be one of: *, {EVENTS}, {', '.join(CALLS)}")
        allowed = EVENT_KINDS if fault.target == EVENTS else CALL_KINDS
        if fault.kind not in allowed:
            raise ActRefused("invalid_fault", f"{fault.target} takes only: {', '.join(sorted(allowed))}")
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch everything off."""
        self.faults.clear()

    def take(self, target: str, channel: str = "") -> Fault | None:
        """Return the fault that hits this call or delivery, counting it down; None if it goes through."""
        for fault in self.faults:
            if fault.channel and fault.channel != channel:
                continue
            if fault.target != target and (fault.target != "*" or target in {EVENTS, SIGN_IN}):
                continue
            if self.chance.random() >= fault.probability:
                continue
            if fault.times > 0:
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
            return fault
        return None
