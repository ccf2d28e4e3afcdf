"""From an envelope to a queue, from a queue to a channel; hours, the sticky operator, the ladder. Pure."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.conversation import Conversation, Thread
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
    """Send envelopes that match to `queue`. Every field that is set must match exactly; `language` also matches its
    regions (`de` matches `de-AT`), and is the customer's locale where the envelope wishes for none.
    """

    queue: QueueName
    suggested: str = ""
    reason: str = ""
    team: str = ""
    language: str = ""
    topic: str = ""
    priority: str = ""

    def matches(self, envelope: HandoffEnvelope) -> bool:
        """Tell whether every field that is set fits the envelope. A rule without any fits all."""
        language = (envelope.routing.language or envelope.customer.locale or "").lower().replace("_", "-")
        wanted = self.language.lower().replace("_", "-")
        return (
            self.suggested in {"", envelope.queue}
            and self.reason in {"", envelope.reason.value}
            and self.team in {"", envelope.routing.team}
            and self.priority in {"", envelope.routing.priority}
            and (not self.topic or self.topic in envelope.topics)
            and (not wanted or language == wanted or language.startswith(f"{wanted}-"))
        )

    def __str__(self) -> str:
        fields = ("suggested", "reason", "team", "language", "topic", "priority")
        return ", ".join(f"{name} {getattr(self, name)}" for name in fields if getattr(self, name)) or "everything"


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

    def thread(self, ordinal: int = 1) -> Thread:
        """Return the thread-to-be there."""
        return Thread(desk=self.queue.desk, channel=self.channel, ordinal=ordinal)


_DAYS: Mapping[str, tuple[str, ...]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
}
_OPENS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "today": "today at {time}",
        "tomorrow": "tomorrow at {time}",
        "weekday": "on {day} at {time}",
        "next": "on {day} in a week at {time}",
        "zone": "{words} ({zone} time)",
    },
    "de": {
        "today": "heute um {time} Uhr",
        "tomorrow": "morgen um {time} Uhr",
        "weekday": "am {day} um {time} Uhr",
        "next": "am {day} in einer Woche um {time} Uhr",
        "zone": "{words} (Zeit in {zone})",
    },
}


def is_open(hours: Hours | None, now: Millis) -> bool:
    """Tell whether people are there. Without hours always; a span holds its start and not its end."""
    if hours is None:
        return True
    local = _local(now, ZoneInfo(hours.zone))
    return any(start <= local.time() < end for start, end in hours.spans.get(local.weekday(), ()))


def next_opening(hours: Hours | None, now: Millis) -> Millis | None:
    """Return when people are there next: `now` if they are, None if never. A start that the change to summer time
    skips is moved behind it.
    """
    if is_open(hours, now) or hours is None:
        return now
    zone = ZoneInfo(hours.zone)
    today = _local(now, zone).date()
    # Eight days: the span of today may be over, and the next one a week away.
    for day in (today + timedelta(days=i) for i in range(8)):
        for start, _ in sorted(hours.spans.get(day.weekday(), ())):
            at = int(datetime.combine(day, start, tzinfo=zone).timestamp() * 1000)
            if at > now:
                return Millis(at)
    return None


def opens_words(hours: Hours | None, now: Millis, *, zone: str = "", language: str = "en") -> str:
    """Return when people are there next, in words: `on Monday at 09:00`; "" when they are there, or never.

    The clock is the customer's if `zone` is known; else the queue's, which the words then name. `language` is one that
    the bridge speaks, else English is used.
    """
    at = next_opening(hours, now)
    if hours is None or at is None or at == now:
        return ""
    theirs = _zone(zone)
    here = theirs or ZoneInfo(hours.zone)
    words = _OPENS.get(language, _OPENS["en"])
    when, today = _local(at, here), _local(now, here)
    days = (when.date() - today.date()).days
    kind = {0: "today", 1: "tomorrow"}.get(days, "weekday" if days < 7 else "next")
    day = _DAYS.get(language, _DAYS["en"])[when.weekday()]
    text = words[kind].format(day=day, time=when.strftime("%H:%M"))
    city = hours.zone.rsplit("/", 1)[-1].replace("_", " ")
    return text if theirs else words["zone"].format(words=text, zone=city)


def _local(at: Millis, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, tz=UTC).astimezone(zone)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


Loads = Callable[[DeskName], Mapping[ChannelId, int]]
"""How many open handoffs each channel of a desk has (`storage.Tx.channel_loads`)."""


def nobody_there(_desk: DeskName) -> Mapping[ChannelId, int]:
    """Know of no load."""
    return {}


def choose_channel(queue: Queue, conversation: Conversation, loads: Loads = nobody_there) -> ChannelId:
    """Return the queue's channel with the fewest open handoffs, as each channel has a rate limit of its own. Among
    equals the conversation decides, alike in every process, so that those who choose at once spread as well.
    """
    if len(queue.channels) == 1:
        return queue.channels[0]
    load = loads(queue.desk)
    fewest = min(load.get(channel, 0) for channel in queue.channels)
    equal = [channel for channel in queue.channels if load.get(channel, 0) == fewest]
    return equal[zlib.crc32(conversation.id.encode()) % len(equal)]


def _choose_queue(envelope: HandoffEnvelope, directory: Directory) -> tuple[Queue, str]:
    """Rules in their order, then what the agent suggested, then the default queue."""
    unknown = ""
    for number, rule in enumerate(directory.rules, start=1):
        if rule.matches(envelope) and (queue := directory.queue(rule.queue)):
            return queue, f"Rule {number} sends {rule} here"
    suggestion = envelope.queue or envelope.routing.team or ""
    if suggestion and (queue := directory.queue(suggestion)):
        return queue, "The escalation asked for this queue"
    if suggestion:
        unknown = f"; the agent suggested {suggestion}, which is no queue here"
    return directory.queues[0], f"This is the default queue{unknown}"


def route(
    envelope: HandoffEnvelope,
    conversation: Conversation,
    directory: Directory,
    now: Millis,
    *,
    loads: Loads = nobody_there,
) -> Route:
    """Choose queue and channel. Always finds one: an unknown suggestion falls back to the rules, then to the default
    queue, and says so. The same input gives the same answer in every process. `loads` is asked where a queue has
    several channels.
    """
    queue, why = _choose_queue(envelope, directory)
    preferred = conversation.sticky
    if preferred:
        why += "; who helped this customer last time is asked first"
    language = (
        (conversation.customer.locale or envelope.customer.locale or "en").replace("_", "-").split("-")[0].lower()
    )
    return Route(
        queue=queue,
        channel=choose_channel(queue, conversation, loads),
        open=is_open(queue.hours, now),
        opens=opens_words(queue.hours, now, zone=envelope.customer.timezone or "", language=language),
        why=why,
        preferred=preferred,
    )
