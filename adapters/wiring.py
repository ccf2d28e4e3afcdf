"""From settings to what the core works with. Imports no adapter: `app.py` builds those."""

from collections.abc import Iterator
from datetime import time

from bridge.ids import ChannelId, DeskName, QueueName
from bridge.routing import Directory, Hours, Queue, Rule, Rung
from bridge.sections import HoursSection, QueueSection, read_hours
from bridge.settings import Settings

SLACK = DeskName("slack")
STANDARD_LADDER = (
    Rung(name="ask-1", after_s=120, action="mention"),
    Rung(name="tell", after_s=300, action="tell_customer"),
    Rung(name="ask-2", after_s=900, action="mention"),
)
"""Asks the channel again after two and fifteen minutes, tells the customer the truth after five, and never gives the
conversation back by itself.
"""


def directory(settings: Settings) -> Directory:
    """Return queues and rules. The settings were checked by `load`: every name exists."""
    ladders = {"standard": STANDARD_LADDER, "none": ()}
    for name, rungs in settings.ladders.items():
        ladders[name] = tuple(
            Rung(name=f"{name}-{number}", after_s=rung.after_s, action=rung.action, text=rung.text)
            for number, rung in enumerate(rungs, start=1)
        )
    return Directory(
        queues=tuple(_queue(queue, ladders, settings.public_label) for queue in settings.queues),
        rules=tuple(Rule(**{**rule.model_dump(), "queue": QueueName(rule.queue)}) for rule in settings.routes),
    )


def _queue(queue: QueueSection, ladders: dict[str, tuple[Rung, ...]], public_label: str) -> Queue:
    return Queue(
        name=QueueName(queue.name),
        label=queue.label or queue.name.replace("-", " ").replace("_", " ").capitalize(),
        desk=SLACK,
        channels=tuple(ChannelId(channel) for channel in queue.channels),
        public_label=queue.public_label or public_label,
        operators=frozenset(queue.operators),
        user_group=queue.user_group,
        supervisors=frozenset(queue.supervisors),
        audience=queue.audience,
        first_reply=queue.first_reply,
        hours=None if queue.hours is None else hours(queue.hours),
        when_closed=queue.when_closed,
        ladder=ladders[queue.ladder],
        idle_close_s=queue.idle_close_s,
    )


def hours(section: HoursSection) -> Hours:
    """Return the spans by weekday; one that passes midnight becomes two, for `[start, end)` of one day is all that the
    core compares.
    """
    spans: dict[int, list[tuple[time, time]]] = {}
    for day, start, end in (piece for text in section.open for piece in _pieces(text)):
        spans.setdefault(day, []).append((_time(start), _time(end)))
    return Hours(zone=section.zone, spans={day: tuple(sorted(found)) for day, found in spans.items()})


def _pieces(text: str) -> Iterator[tuple[int, int, int]]:
    days, start, end = read_hours(text)
    for day in days:
        if end > start:
            yield day, start, end
        else:
            yield day, start, 24 * 60
            if end:
                yield (day + 1) % 7, 0, end


def _time(minutes: int) -> time:
    return time.max if minutes == 24 * 60 else time(minutes // 60, minutes % 60)
