"""What came of a send, and what to do next."""

from dataclasses import dataclass
from typing import TypeGuard

from bridge.ids import Millis, RemoteRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """The vendor has it. `ref` names it there (None where the operation makes nothing, as an update)."""

    ref: RemoteRef | None = None
    also: tuple[RemoteRef, ...] = ()
    """Further messages that the same send made (a long line split in two)."""
    landed_elsewhere: bool = False
    """The vendor put it outside the intended thread (a deleted root): the thread is gone and must be opened anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryLater:
    """Certainly not applied; may be sent again after `after_s` seconds. `channel_wide`: the whole channel rests."""

    after_s: float
    reason: str
    channel_wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Certainly not applied, and never will be as it stands. `remedy` is a sentence for the one who can mend it."""

    reason: str
    remedy: str
    until_mended: bool = False
    """Nothing is wrong with the message: nothing at all can be sent there until somebody mends it (a dead token, an
    archived channel). It waits in its order instead of being given up.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """The vendor may or may not have applied it: look before sending again."""

    reason: str


Outcome = Delivered | RetryLater | Refused | Unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """Nothing more to do: keep the ref."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TryAt:
    """Send again, not before `at`."""

    at: Millis


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAt:
    """Read the thread back, not before `at`, and only then decide."""

    at: Millis


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """A dead letter: tell people, with `reason` and `remedy`. `maybe_sent`: it may have arrived all the same."""

    reason: str
    remedy: str
    maybe_sent: bool = False


Next = Settled | TryAt | LookAt | GiveUp

MAX_LOOKS = 3
"""Rounds of reading back before people are asked."""
MAX_BLIND_TRIES = 1
"""Further tries, labelled as such, before people are asked where nobody can read back."""

BACKOFF_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)


def held(outcome: Outcome) -> TypeGuard[Refused]:
    """Tell whether nothing at all can be sent there until somebody mends it."""
    return isinstance(outcome, Refused) and outcome.until_mended


def after(
    outcome: Outcome,
    *,
    attempts: int,
    looks: int,
    attempt_at: Millis,
    now: Millis,
    grace_ms: int,
    max_looks: int = MAX_LOOKS,
) -> Next:
    """Return what follows from an outcome.

    `attempts` counts the sends that failed for certain before this one, `looks` the unclear rounds before this one; a
    vendor's "come later" uses up nothing (a 429 is not a failure of the message). `grace_ms` is G: how long an unclear
    send rests before the thread is read back, counted from `attempt_at`.
    """
    match outcome:
        case Delivered():
            return Settled()
        case RetryLater(after_s=after_s):
            wait_s = max(after_s, 0.0 if after_s > 0 else BACKOFF_S[min(attempts, len(BACKOFF_S) - 1)])
            return TryAt(at=Millis(now + int(wait_s * 1000)))
        case Refused(reason=reason, remedy=remedy):
            return GiveUp(reason=reason, remedy=remedy)
        case Unknown(reason=reason):
            if looks >= max_looks:
                remedy = "Look in the thread, then choose: send again, or it arrived."
                return GiveUp(reason=reason, remedy=remedy, maybe_sent=True)
            return LookAt(at=Millis(attempt_at + grace_ms))
