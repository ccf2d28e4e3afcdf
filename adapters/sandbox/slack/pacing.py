"""How fast Slack lets an app post: about one message a second and channel, with a small burst.

Source: https://docs.slack.dev/apis/web-api/rate-limits ("special tier"). The burst is not documented.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class PostBudget:
    """A token bucket for each channel. ``per_s = 0`` switches the limit off."""

    now: Callable[[], float]
    per_s: float = 1.0
    burst: int = 4
    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, channel: str) -> int | None:
        """Spend one post. Returns ``None``, or the ``Retry-After`` in whole seconds if there was none left."""
        if self.per_s <= 0:
            return None
        now = self.now()
        level, since = self._levels.get(channel, (float(self.burst), now))
        level = min(float(self.burst), level + (now - since) * self.per_s)
        if level < 1:
            self._levels[channel] = level, now
            return max(1, math.ceil((1 - level) / self.per_s))
        self._levels[channel] = level - 1, now
        return None
