"""A model of what Web Chat shows; the tests in the browser try the same on the real one."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Screen:
    """Activities by id, sorted by time. Those of one stream are one bubble: the last one, where the first one is.

    An activity belongs to a stream if it names the id of an activity that the page has met.
    """

    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    watermark: str = ""

    def take(self, frame: str) -> None:
        """Receive a frame."""
        document = json.loads(frame)
        for activity in document["activities"]:
            self.by_id.pop(activity["id"], None)
            self.by_id[activity["id"]] = activity
        self.watermark = document.get("watermark", self.watermark)

    def shown(self) -> list[str]:
        """The texts on the page, top to bottom."""
        bubbles: dict[str, dict[str, Any]] = {}
        for activity in sorted(self.by_id.values(), key=lambda a: str(a["timestamp"])):
            stream = activity.get("channelData", {}).get("streamId", "")
            bubble = stream if stream in self.by_id else activity["id"]
            bubbles[bubble] = activity
        return [activity["text"] for activity in bubbles.values() if activity.get("text")]
