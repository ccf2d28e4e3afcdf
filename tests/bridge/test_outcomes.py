"""What follows from each outcome of a send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ids import Millis, RemoteRef
from bridge.outcomes import (
    BACKOFF_S,
    MAX_LOOKS,
    Delivered,
    GiveUp,
    LookAt,
    Next,
    Outcome,
    Refused,
    RetryLater,
    Settled,
    TryAt,
    Unknown,
    after,
)

NOW, SENT, GRACE_MS = Millis(1_000_000), Millis(990_000), 15_000
LATER = RetryLater(after_s=7, reason="ratelimited")
SOON = RetryLater(after_s=0, reason="not_now")
ASK = "Look in the thread, then choose: send again, or it arrived."

TABLE: list[tuple[str, Outcome, int, int, Next]] = [
    ("delivered", Delivered(ref=RemoteRef("r")), 0, 0, Settled()),
    ("delivered without a name", Delivered(), 5, 3, Settled()),
    ("the vendor says when", LATER, 0, 0, TryAt(at=Millis(NOW + 7000))),
    ("the vendor says when, for the 100th time", LATER, 100, 0, TryAt(at=Millis(NOW + 7000))),
    ("the vendor does not say when", SOON, 0, 0, TryAt(at=Millis(NOW + 1000))),
    ("nor the second time", SOON, 1, 0, TryAt(at=Millis(NOW + 2000))),
    ("nor the 100th", SOON, 100, 0, TryAt(at=Millis(NOW + 300_000))),
    ("refused", Refused(reason="r", remedy="m"), 0, 0, GiveUp(reason="r", remedy="m")),
    ("unclear", Unknown(reason="timeout"), 0, 0, LookAt(at=Millis(SENT + GRACE_MS))),
    ("unclear after two looks", Unknown(reason="timeout"), 0, 2, LookAt(at=Millis(SENT + GRACE_MS))),
    ("unclear after three looks", Unknown(reason="t"), 0, 3, GiveUp(reason="t", remedy=ASK, maybe_sent=True)),
]


@pytest.mark.parametrize("name, outcome, attempts, looks, expected", TABLE, ids=[row[0] for row in TABLE])
def test_each_outcome_has_its_consequence(
    name: str, outcome: Outcome, attempts: int, looks: int, expected: Next
) -> None:
    """Certain failures are retried or given up; what is unclear is looked for after G, and never sent blindly."""
    found = after(outcome, attempts=attempts, looks=looks, attempt_at=SENT, now=NOW, grace_ms=GRACE_MS)

    assert found == expected


@given(
    outcome=st.builds(Delivered)
    | st.builds(RetryLater, after_s=st.floats(0, 10_000), reason=st.just("r"))
    | st.builds(Refused, reason=st.just("r"), remedy=st.just("m"))
    | st.builds(Unknown, reason=st.just("r")),
    attempts=st.integers(0, 1000),
    looks=st.integers(0, 10),
)
def test_what_is_unclear_is_never_simply_sent_again(outcome: Outcome, attempts: int, looks: int) -> None:
    """Only a certain failure leads to another send, never in the past; only a third look in vain asks people."""
    found = after(outcome, attempts=attempts, looks=looks, attempt_at=SENT, now=NOW, grace_ms=GRACE_MS)

    if isinstance(found, TryAt):
        assert isinstance(outcome, RetryLater)
        assert found.at >= NOW
    if isinstance(found, GiveUp):
        assert found.maybe_sent is isinstance(outcome, Unknown)
        assert not found.maybe_sent or looks >= MAX_LOOKS


def test_the_pauses_grow() -> None:
    """Each further failure waits longer than the one before."""
    assert list(BACKOFF_S) == sorted(set(BACKOFF_S))
