"""Teams' budget, as the courier spends it: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit."""

import random

import pytest

from adapters.desks import PACES, TEAMS
from bridge.ids import Millis

WINDOWS = ((7, 1_000), (8, 2_000), (60, 30_000), (1_800, 3_600_000))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rest_ms", [0, 1_500, 20_000])
def test_no_window_of_a_channel_is_overspent(seed: int, rest_ms: int) -> None:
    """However posts come, in a rush after a rest or without end, no window has more than Teams takes."""
    chance, pace = random.Random(seed), PACES[TEAMS]
    now, free_at, used = 10_000_000, Millis(0), []
    for _ in range(4_000):
        now = max(now + (chance.randrange(rest_ms) if rest_ms else 0), free_at)
        free_at = pace.free_at(posts=True, was_free_at=free_at, now=Millis(now))
        used.append(now)

    for most, window_ms in WINDOWS:
        assert all(used[i + most] - used[i] >= window_ms for i in range(len(used) - most))


def test_a_rush_is_seen_at_once() -> None:
    """The first six posts after a rest wait for nothing."""
    pace, free_at = PACES[TEAMS], Millis(0)
    for _ in range(5):
        free_at = pace.free_at(posts=True, was_free_at=free_at, now=Millis(1_000_000))
        assert free_at <= 1_000_000
