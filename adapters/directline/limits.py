"""Token buckets: how often something may happen, by key. In memory, per process, bounded."""

import math
from collections import OrderedDict

from bridge.ids import Millis

MAX_KEYS = 20_000
_ROUNDING = 1e-9


class Buckets:
    """One bucket per key: `burst` at once, `per_second` in the long run."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        """Start with full buckets."""
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, Millis]] = OrderedDict()

    def wait_s(self, key: str, now: Millis) -> int:
        """Take one from the key's bucket and return 0; or take nothing and return the seconds until there is one."""
        level, at = self._buckets.pop(key, (float(self._burst), now))
        level = min(self._burst, level + max(0, now - at) / 1000 * self._per_second)
        taken = level >= 1 - _ROUNDING
        self._buckets[key] = (level - 1 if taken else level, now)
        if len(self._buckets) > MAX_KEYS:
            # The longest unused one is the fullest; it loses nothing by starting anew.
            self._buckets.popitem(last=False)
        return 0 if taken else max(1, math.ceil((1 - level) / self._per_second - _ROUNDING))
