"""Token buckets."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.directline.limits import MAX_KEYS, Buckets
from bridge.ids import Millis


@given(st.lists(st.integers(0, 3000), max_size=60), st.integers(1, 5))
def test_no_more_than_burst_and_rate_in_any_stretch(gaps_ms: list[int], burst: int) -> None:
    """However the calls come, a stretch of time never holds more than the burst and what flowed in meanwhile."""
    buckets = Buckets(per_second=2, burst=burst)
    now, taken = Millis(0), []
    for gap in gaps_ms:
        now = Millis(now + gap)
        if not buckets.wait_s("k", now):
            taken.append(now)
    for i, first in enumerate(taken):
        for j, last in enumerate(taken[i:], start=1):
            assert j <= burst + (last - first) / 1000 * 2 + 1e-6


def test_waiting_as_long_as_told_is_enough() -> None:
    """Who comes again after the stated seconds is let in."""
    buckets = Buckets(per_second=0.1, burst=1)
    assert buckets.wait_s("k", Millis(0)) == 0
    wait_s = buckets.wait_s("k", Millis(0))
    assert wait_s > 0
    assert buckets.wait_s("k", Millis(wait_s * 1000)) == 0


def test_keys_do_not_share_and_do_not_pile_up() -> None:
    """One key's flood is not another's, and memory stays bounded however many keys come."""
    buckets = Buckets(per_second=0.001, burst=1)
    for key in range(MAX_KEYS + 50):
        assert buckets.wait_s(str(key), Millis(0)) == 0
    assert buckets.wait_s(str(MAX_KEYS + 49), Millis(0)) > 0
    assert len(buckets._buckets) == MAX_KEYS


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    """A correction of the time neither fills nor empties a bucket."""
    buckets = Buckets(per_second=1, burst=2)
    assert buckets.wait_s("k", Millis(10_000)) == 0
    assert buckets.wait_s("k", Millis(0)) == 0
    assert buckets.wait_s("k", Millis(0)) == 1
