"""From an envelope to a queue, from a queue to a channel; hours, the sticky operator, the ladder. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from bridge.conversation import Conversation
from bridge.envelope import HandoffEnvelope
from bridge.ids import ChannelId, DeskName, Millis, OperatorId, QueueName


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """When a queue is staffed: for each weekday (0 = Monday) the open spans, in the queue's time zone."""

    zone: str = "UTC"
    spans: Mapping[int, tuple[tuple[time, time], ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One step of the ladder, `after_s` seconds after the handoff began to wait.

    `action`: `mention` (ask again in the thread, naming `text`), `tell_customer` (say `text`, or the standard words, to
    the customer),
    `queue` (move to the queue `text`), `return` (give the conversation back to the agent; the customer is told).
    """

    name: str
    after_s: int
    action: str
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A named group on one desk."""

    name: QueueName
    label: str
    desk: DeskName
    channels: tuple[ChannelId, ...]
    public_label: str = "support"
    operators: frozenset[str] = frozenset()
    """People by desk id or e-mail; empty: every full member of the channel."""
    user_group: str = ""
    supervisors: frozenset[str] = frozenset()
    audience: str = "owner"
    first_reply: str = "note"
    """`note`: a reply before anybody has taken it stays among colleagues. `takes`: it takes the conversation, then goes
    to the customer.
    """
    hours: Hours | None = None
    when_closed: str = "wait"
    """`wait`: the handoff opens and the customer is told when. `contact`: the same, and is asked how to be reached.
    `stay`: no handoff.
    """
    ladder: tuple[Rung, ...] = ()
    idle_close_s: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Send envelopes that match to `queue`. Every field that is set must match; `reason`, `team`, `language`, `topic`
    compare exactly.
    """

    queue: QueueName
    suggested: str = ""
    reason: str = ""
    team: str = ""
    language: str = ""
    topic: str = ""
    priority: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """All queues of a site; the first one is the default."""

    queues: Sequence[Queue]
    rules: Sequence[Rule] = ()

    def queue(self, name: str) -> Queue | None:
        """Return the queue of that name."""
        return next((queue for queue in self.queues if queue.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where a handoff goes, and why in one sentence (for the card)."""

    queue: Queue
    channel: ChannelId
    open: bool
    opens: str
    """When it opens next, as words for the customer; "" when open or unknown."""
    why: str
    preferred: OperatorId | None = None


def route(envelope: HandoffEnvelope, conversation: Conversation, directory: Directory, now: Millis) -> Route:
    """Choose queue and channel. Always finds one: an unknown suggestion falls back to the rules, then to the default
    queue, and says so.
    """
    queue, why = directory.queues[0], "default queue"
    suggestion = envelope.queue or envelope.routing.team or ""
    if suggestion and (suggested := directory.queue(suggestion)):
        queue, why = suggested, "the agent suggested this queue"
    local = datetime.fromtimestamp(now / 1000, tz=UTC).astimezone(ZoneInfo(queue.hours.zone if queue.hours else "UTC"))
    spans = queue.hours.spans.get(local.weekday(), ()) if queue.hours else ()
    is_open = queue.hours is None or any(start <= local.time() < end for start, end in spans)
    channel = queue.channels[hash(conversation.id) % len(queue.channels)]
    return Route(queue=queue, channel=channel, open=is_open, opens="", why=why, preferred=conversation.sticky)
