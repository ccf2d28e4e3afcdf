"""What the sandbox did and saw: every call and every delivery, for tests and for the curious. No tokens."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.sandbox.teams.records import Json

LENGTH = 20_000


@dataclass(kw_only=True, slots=True)
class Journal:
    """The last calls and deliveries, oldest first."""

    now: Callable[[], float]
    calls: deque[Json] = field(default_factory=lambda: deque(maxlen=LENGTH))
    deliveries: deque[Json] = field(default_factory=lambda: deque(maxlen=LENGTH))

    def called(self, method: str, path: str, body: Json, *, status: int, error: str) -> None:
        """Note a call. `status` is 0 where the connection was cut, `error` "" where the call went well."""
        self.calls.append(
            {"at": self.now(), "method": method, "path": path, "body": body, "status": status, "error": error}
        )

    def delivered(self, activity: Json, *, attempt: int, status: int, reason: str) -> None:
        """Note one attempt to deliver an activity. `status` is 0 where the bot did not answer."""
        kind = str(activity.get("name") or activity.get("type", ""))
        self.deliveries.append(
            {"at": self.now(), "kind": kind, "id": activity.get("id"), "attempt": attempt, "status": status,
             "reason": reason, "activity": activity}
        )  # fmt: skip

    def as_json(self) -> Json:
        """Return both lists."""
        return {"calls": list(self.calls), "deliveries": list(self.deliveries)}
