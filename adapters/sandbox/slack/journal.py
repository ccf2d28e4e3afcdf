"""What the sandbox did and saw: every Web API call and every delivery, for tests and for the curious."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.sandbox.slack.records import Json

LENGTH = 20_000


@dataclass(kw_only=True, slots=True)
class Journal:
    """The last calls and deliveries, oldest first."""

    now: Callable[[], float]
    calls: deque[Json] = field(default_factory=lambda: deque(maxlen=LENGTH))
    deliveries: deque[Json] = field(default_factory=lambda: deque(maxlen=LENGTH))

    def called(self, method: str, args: Json, *, error: str | None, status: int) -> None:
        """Note a Web API call; tokens are left out. ``error`` is ``None`` where Slack answered ``ok``."""
        shown = {key: value for key, value in args.items() if key != "token"}
        self.calls.append({"at": self.now(), "method": method, "args": shown, "error": error, "status": status})

    def delivered(self, body: Json, *, attempt: int, status: int, reason: str | None) -> None:
        """Note one attempt to deliver an event."""
        event = body["event"]
        self.deliveries.append(
            {
                "at": self.now(),
                "kind": "events_api",
                "event_id": body["event_id"],
                "type": event["type"],
                "subtype": event.get("subtype"),
                "attempt": attempt,
                "status": status,
                "reason": reason,
                "body": body,
            }
        )

    def asked(self, kind: str, payload: Json, *, status: int, reason: str | None) -> None:
        """Note one interaction."""
        shape = {"kind": kind, "type": payload.get("type", kind), "status": status, "reason": reason}
        self.deliveries.append({"at": self.now(), **shape, "body": payload})

    def as_json(self) -> Json:
        """Return both lists."""
        return {"calls": list(self.calls), "deliveries": list(self.deliveries)}
