"""From settings to what the core works with. Imports no adapter: `app.py` builds those."""

from collections.abc import Iterator, Mapping
from datetime import time
from string import Formatter
from urllib.parse import urlsplit

from bridge.errors import SettingsError
from bridge.ids import ChannelId, DeskName, QueueName
from bridge.judging import House
from bridge.notices import CUSTOMER_TEXTS
from bridge.routing import Directory, Hours, Queue, Rule, Rung
from bridge.sections import HoursSection, QueueSection, read_hours
from bridge.settings import Settings
from bridge.triggers import PolicyRule, Triggers

STANDARD_LADDER = (
    Rung(name="ask-1", after_s=120, action="mention"),
    Rung(name="tell", after_s=300, action="tell_customer"),
    Rung(name="ask-2", after_s=900, action="mention"),
)
"""Asks the channel again after two and fifteen minutes, tells the customer the truth after five, and never gives the
conversation back by itself.
"""


def house(settings: Settings, *, rules_later: bool = False) -> House:
    """Return all that the core reads of the settings. Raises SettingsError for a rule or text that cannot work.

    `rules_later`: the rules are read when `triggers.read_rules` is called, and raise then, or at their first use.
    """
    return House(
        directory=directory(settings),
        triggers=triggers(settings, rules_later=rules_later),
        custom_words=words(settings.notices),
        agent_name=settings.agent.name,
    )


def triggers(settings: Settings, *, rules_later: bool = False) -> Triggers:
    """Return the triggers; what is not set is as `Triggers` has it. Raises SettingsError, naming the rule."""
    section = settings.triggers
    chosen = {
        name: value
        for name in ("low_confidence", "low_confidence_turns", "tool_failures")
        if (value := getattr(section, name)) is not None
    }
    return Triggers(
        phrases=section.phrases,
        withdraw=section.withdraw,
        never_say=section.never_say,
        policy=tuple(PolicyRule(**rule.model_dump()) for rule in section.policy),
        rules_later=rules_later,
        **chosen,
    )


def words(notices: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return the company's own texts by language and name. Raises SettingsError for one that nobody would ever read, or
    that asks for a value that its notice does not have.
    """
    known = CUSTOMER_TEXTS["en"]
    for language, texts in notices.items():
        for name, text in texts.items():
            where = f"notices.{language}.{name}"
            if name not in known:
                raise SettingsError(f"{where}: there is no such text; known are: {', '.join(known)}")
            if unknown := _values(text, where) - _values(known[name], where):
                allowed = ", ".join(f"{{{value}}}" for value in sorted(_values(known[name], where)))
                raise SettingsError(f"{where}: {{{unknown.pop()}}} is not known here; known are: {allowed or 'none'}")
    return {language: dict(texts) for language, texts in notices.items()}


def _values(text: str, where: str) -> set[str]:
    try:
        return {value for _, value, _, _ in Formatter().parse(text) if value is not None}
    except ValueError:
        raise SettingsError(f"{where}: a brace stands alone; write a plain one twice, as in {{{{") from None


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
        desk=DeskName(queue.desk),
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


def keys(settings: Settings) -> tuple[str, ...]:
    """Return the keys that sign tokens and links; the first one signs."""
    return tuple(key.get_secret_value() for key in settings.secret_key)


def secrets(settings: Settings) -> list[str]:
    """Return every secret, for whoever keeps them out of the log."""
    slack = settings.slack
    given = [
        slack.bot_token,
        slack.app_token,
        slack.signing_secret,
        settings.teams.app_password,
        settings.directline.secret,
        settings.agent.secret,
    ]
    return [
        *keys(settings),
        *(key.key.get_secret_value() for key in settings.api_keys),
        *(secret.get_secret_value() for secret in given if secret is not None),
        urlsplit(settings.database_url).password or "",
    ]


def is_shared(database_url: str) -> bool:
    """Whether several processes may work on this database: one in a server, not in a file."""
    return not database_url.startswith("sqlite")
