"""Teams' limits of calls, per bot and channel and per app and tenant.

Source: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adapters.sandbox.teams.rules import Rules

Window = tuple[int, float]
"""So many calls within so many seconds."""

SENDS: tuple[Window, ...] = ((7, 1.0), (8, 2.0), (60, 30.0), (1800, 3600.0))
READS: tuple[Window, ...] = ((14, 1.0), (16, 2.0), (120, 30.0), (3600, 3600.0))
TENANT: tuple[Window, ...] = ((50, 1.0),)
WINDOWS: Mapping[str, tuple[Window, ...]] = {"send": SENDS, "create": SENDS, "members": READS, "team": READS}


@dataclass(kw_only=True, slots=True)
class Budget:
    """What was spent lately. Threads of a channel share what the channel has."""

    rules: Rules
    now: Callable[[], float]
    _spent: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def take(self, operation: str, channel: str) -> int | None:
        """Spend one call. Returns None, or after how many whole seconds there is room again."""
        if operation == "update":
            operation = "send" if self.rules.updates_count else ""
        if not self.rules.limits or operation not in WINDOWS:
            return None
        lists = [((operation, channel), WINDOWS[operation]), (("tenant", ""), TENANT)]
        waits = [self._wait(key, windows) for key, windows in lists]
        if max(waits) > 0:
            return math.ceil(max(waits))
        for key, _ in lists:
            self._spent[key].append(self.now())
        return None

    def forget(self) -> None:
        """Start counting anew."""
        self._spent.clear()

    def _wait(self, key: tuple[str, str], windows: tuple[Window, ...]) -> float:
        spent, now, scale = self._spent.setdefault(key, deque()), self.now(), self.rules.window_scale
        while spent and spent[0] <= now - windows[-1][1] * scale:
            spent.popleft()
        wait_s = 0.0
        for count, within_s in windows:
            if len(spent) >= count:
                wait_s = max(wait_s, spent[-count] + within_s * scale - now)
        return wait_s
