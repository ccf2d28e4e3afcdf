"""Where a handoff goes, and what the customer is told about when people are there."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation import Conversation, Customer
from bridge.envelope import HandoffEnvelope
from bridge.ids import ChannelId, ConversationId, CustomerId, DeskName, Millis, OperatorId, QueueName, SiteId
from bridge.routing import (
    Directory,
    Hours,
    Queue,
    Rule,
    choose_channel,
    is_open,
    next_opening,
    opens_words,
    route,
)
from bridge.storage import Store
from tests.bridge import stories

WEEK = tuple(range(5))
OFFICE = Hours(zone="Europe/Berlin", spans={day: ((time(9), time(12)), (time(13), time(17))) for day in WEEK})


def millis(text: str) -> Millis:
    return Millis(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000))


def queue(name: str, *, channels: tuple[str, ...] = ("C000001",), hours: Hours | None = None) -> Queue:
    return Queue(
        name=QueueName(name),
        label=name.title(),
        desk=DeskName("slack"),
        channels=tuple(ChannelId(channel) for channel in channels),
        hours=hours,
    )


def conversation(cid: str = "cnv_1", *, sticky: str | None = None, locale: str = "") -> Conversation:
    return Conversation(
        site=SiteId("main"),
        id=ConversationId(cid),
        widget="directline",
        customer=Customer(id=CustomerId("u1"), locale=locale),
        sticky=OperatorId(sticky) if sticky else None,
    )


def envelope(**fields: object) -> HandoffEnvelope:
    return HandoffEnvelope.model_validate(
        {
            "id": "e1",
            "conversation_id": "cnv_1",
            "created_at": "2026-11-22T10:00:00Z",
            "reason": "customer_request",
            "summary": "Wants a person.",
            "agent": {"id": "a"},
            **fields,
        }
    )


HOUSE = Directory(
    queues=(queue("support"), queue("billing"), queue("german"), queue("vip")),
    rules=(
        Rule(queue=QueueName("vip"), priority="urgent"),
        Rule(queue=QueueName("billing"), reason="policy"),
        Rule(queue=QueueName("billing"), suggested="invoices"),
        Rule(queue=QueueName("billing"), team="finance", topic="refund"),
        Rule(queue=QueueName("german"), language="de"),
        Rule(queue=QueueName("gone"), reason="sentiment"),
    ),
)


@pytest.mark.parametrize(
    "fields,name,why",
    [
        ({}, "support", "This is the default queue"),
        ({"queue": "billing"}, "billing", "The escalation asked for this queue"),
        ({"routing": {"team": "billing"}}, "billing", "The escalation asked for this queue"),
        (
            {"queue": "nowhere"},
            "support",
            "This is the default queue; the agent suggested nowhere, which is no queue here",
        ),
        ({"queue": "support", "reason": "policy"}, "billing", "Rule 2 sends reason policy here"),
        ({"queue": "invoices"}, "billing", "Rule 3 sends suggested invoices here"),
        (
            {"routing": {"team": "finance"}, "topics": ["a", "refund"]},
            "billing",
            "Rule 4 sends team finance, topic refund here",
        ),
        ({"routing": {"language": "de"}}, "german", "Rule 5 sends language de here"),
        ({"customer": {"locale": "de_AT"}}, "german", "Rule 5 sends language de here"),
        ({"customer": {"locale": "den"}}, "support", "This is the default queue"),
        ({"customer": {"locale": "de-DE"}, "routing": {"language": "en"}}, "support", "This is the default queue"),
        ({"reason": "policy", "routing": {"priority": "urgent"}}, "vip", "Rule 1 sends priority urgent here"),
        ({"reason": "sentiment"}, "support", "This is the default queue"),
    ],
)
def test_rules_come_first_then_the_suggestion_then_the_default(fields: dict[str, object], name: str, why: str) -> None:
    """The first rule that fits decides, an unknown suggestion never loses a customer, and the card says why."""
    chosen = route(envelope(**fields), conversation(), HOUSE, millis("2026-11-22T10:00"))

    assert (chosen.queue.name, chosen.why) == (name, why)


def test_the_last_operator_is_asked_first() -> None:
    """Who helped this customer last time is preferred, and the card says so."""
    chosen = route(envelope(), conversation(sticky="slack:T1:U1"), HOUSE, millis("2026-11-22T10:00"))

    assert chosen.preferred == "slack:T1:U1"
    assert chosen.why == "This is the default queue; who helped this customer last time is asked first"


@pytest.mark.parametrize(
    "now,is_staffed,words",
    [
        ("2026-11-20T07:59:59", False, "today at 09:00 (Berlin time)"),
        ("2026-11-20T08:00", True, ""),
        ("2026-11-20T11:00", False, "today at 13:00 (Berlin time)"),
        ("2026-11-20T15:59:59", True, ""),
        ("2026-11-20T16:00", False, "on Monday at 09:00 (Berlin time)"),
        ("2026-11-22T10:00", False, "tomorrow at 09:00 (Berlin time)"),
        # Saturday in Berlin, still Friday in UTC.
        ("2026-11-20T23:30", False, "on Monday at 09:00 (Berlin time)"),
        # Summer time: nine o'clock is 07:00 UTC.
        ("2026-07-20T07:00", True, ""),
    ],
)
def test_hours_are_the_queues_own(now: str, is_staffed: bool, words: str) -> None:
    """A queue is open by the clock of its own zone, and the words name the next opening."""
    assert is_open(OFFICE, millis(now)) is is_staffed
    assert opens_words(OFFICE, millis(now)) == words


def test_the_customers_clock_is_used_where_it_is_known() -> None:
    """Nobody has to know where the support people live; an unknown zone falls back to the queue's."""
    now = millis("2026-11-20T16:00")

    assert opens_words(OFFICE, now, zone="America/New_York") == "on Monday at 03:00"
    assert opens_words(OFFICE, now, zone="Mars/Base") == "on Monday at 09:00 (Berlin time)"
    assert opens_words(OFFICE, now, zone="Asia/Tokyo", language="de") == "am Montag um 17:00 Uhr"


def test_the_words_follow_the_customers_language() -> None:
    """The route speaks German to a German page, and English where it has no words."""
    directory = Directory(queues=(queue("support", hours=OFFICE),))
    at = millis("2026-11-20T16:00")

    german = route(envelope(), conversation(locale="de-DE"), directory, at)
    thai = route(envelope(), conversation(locale="th"), directory, at)

    assert (german.open, german.opens) == (False, "am Montag um 09:00 Uhr (Zeit in Berlin)")
    assert thai.opens == "on Monday at 09:00 (Berlin time)"


def test_a_week_is_said_to_be_a_week() -> None:
    """A queue that opened once today and next week on the same day does not promise today."""
    mondays = Hours(zone="UTC", spans={0: ((time(9), time(10)),)})

    assert opens_words(mondays, millis("2026-11-23T11:00")) == "on Monday in a week at 09:00 (UTC time)"


def test_a_start_inside_the_gap_of_summer_time_still_comes() -> None:
    """On the night when 02:30 does not exist, the opening is a moment that does."""
    night = Hours(zone="Europe/Berlin", spans={6: ((time(2, 30), time(4)),)})
    at = next_opening(night, millis("2026-03-28T23:30"))

    assert at is not None
    assert is_open(night, at)


def test_a_queue_without_hours_is_always_open_and_one_without_spans_never() -> None:
    """No hours means always; hours that hold nothing mean never, and no false promise is made."""
    never = Hours(zone="UTC", spans={})

    assert is_open(None, Millis(0))
    assert next_opening(None, Millis(5)) == 5
    assert not is_open(never, Millis(0))
    assert next_opening(never, Millis(0)) is None
    assert opens_words(never, Millis(0)) == ""


spans = st.lists(
    st.tuples(st.integers(0, 22), st.integers(1, 23)).filter(lambda s: s[0] < s[1]), min_size=0, max_size=3
).map(lambda items: tuple((time(a), time(b)) for a, b in items))


@given(
    spans=st.dictionaries(st.integers(0, 6), spans, max_size=7),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]),
    now=st.integers(1_700_000_000_000, 1_900_000_000_000),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    spans: dict[int, tuple[tuple[time, time], ...]], zone: str, now: int
) -> None:
    """Whatever the hours: at the promised moment people are there, and at no quarter of an hour before."""
    hours = Hours(zone=zone, spans=spans)
    at = next_opening(hours, Millis(now))
    if at is None:
        assert not any(spans.values())
        return
    assert at >= now
    assert is_open(hours, at)
    step = 15 * 60 * 1000
    assert not any(is_open(hours, Millis(moment)) for moment in range(now, at, step))


def test_channels_are_chosen_the_same_everywhere_and_evenly() -> None:
    """A conversation keeps its channel in every process, and six channels share the load."""
    six = queue("support", channels=tuple(f"C{i:06d}" for i in range(6)))
    chosen = [choose_channel(six, conversation(f"cnv_{i:032x}")) for i in range(6000)]

    # Known values: another process, or a later version, must agree.
    assert choose_channel(six, conversation("cnv_1")) == "C000001"
    assert all(850 < chosen.count(channel) < 1150 for channel in six.channels)


@given(
    loads=st.dictionaries(st.sampled_from([ChannelId(f"C{i}") for i in range(5)]), st.integers(0, 4)),
    cid=st.uuids(),
)
def test_a_handoff_goes_to_the_channel_with_the_fewest(loads: dict[ChannelId, int], cid: object) -> None:
    """A channel that nobody counted has none; other queues' channels on the desk do not matter."""
    three = queue("support", channels=("C1", "C2", "C3"))
    chosen = choose_channel(three, conversation(f"cnv_{cid}"), lambda _: loads)

    assert chosen in three.channels
    assert loads.get(chosen, 0) == min(loads.get(channel, 0) for channel in three.channels)


def test_equal_channels_are_told_apart_by_the_conversation() -> None:
    """Handoffs that are opened at the same moment, and so see the same loads, do not all go to the first channel."""
    four = queue("support", channels=("C1", "C2", "C3", "C4"))
    loads = {ChannelId("C1"): 5, ChannelId("C3"): 1}
    chosen = [choose_channel(four, conversation(f"cnv_{i:032x}"), lambda _: loads) for i in range(1000)]

    assert {channel: 400 < chosen.count(ChannelId(channel)) < 600 for channel in ("C2", "C4")} == {
        "C2": True,
        "C4": True,
    }
    assert set(chosen) == {"C2", "C4"}


async def test_new_and_moved_handoffs_spread_over_a_queues_channels(store: Store) -> None:
    """Three that escalate go to three channels, a fourth to the one that has become empty; so do those that are moved,
    and each keeps its channel until then.
    """
    queues = [stories.queue(name, channels=tuple(ChannelId(f"{name}-{i}") for i in range(3))) for name in ("a", "b")]
    story = stories.Story(store=store, house=stories.house(*queues))
    others = [
        stories.Story(
            store=store, house=story.house, clock=story.clock, mint=story.mint, conversation=ConversationId(key)
        )
        for key in ("c2", "c3", "c4")
    ]
    everybody = [story, *others]
    for one in everybody:
        await one.says("hello")
    for one in everybody[:3]:
        await one.escalates(conversation_id=one.conversation)
    there = [await _channel(one) for one in everybody[:3]]
    assert sorted(there) == ["a-0", "a-1", "a-2"]

    await everybody[1].takes()
    await everybody[1].returns()
    await everybody[3].escalates(conversation_id=everybody[3].conversation)
    assert await _channel(everybody[3]) == there[1]
    for one in (everybody[0], *everybody[2:]):
        await one.takes()
        await one.transfers(to_queue=QueueName("b"))
    assert sorted([await _channel(one) for one in (everybody[0], *everybody[2:])]) == ["b-0", "b-1", "b-2"]


async def _channel(story: stories.Story) -> str:
    handoff = await story.handoff()
    assert handoff is not None
    return handoff.thread.channel
