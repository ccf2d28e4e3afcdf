"""What a real process tells Prometheus moves with what happens: in a conversation, and while Slack takes nothing."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.sandbox.slack.people import DANA
from tests.journeys.test_main_job import in_thread, where
from tests.journeys.world import ADMIN_KEY, World

pytestmark = pytest.mark.xdist_group("journeys")
Figures = Mapping[str, float]


async def scraped(world: World) -> Figures:
    """Return every sample by its name and labels, as `name{a=b}`."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with world.http.get(f"{world.url}/metrics", headers=headers) as answer:
        assert answer.status == 200
        text = await answer.text()
    return {
        sample.name + "{" + ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items())) + "}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def in_all(found: Figures, name: str) -> float:
    """Return the sum over all labels; `name` is without `handoff_`."""
    return sum(value for key, value in found.items() if key.startswith(f"handoff_{name}{{"))


async def until(world: World, holds: Callable[[Figures], bool]) -> Figures:
    """Scrape until this holds."""
    async with asyncio.timeout(15):
        while not holds(found := await scraped(world)):  # noqa: ASYNC110 -- it is another process
            await asyncio.sleep(0.05)
    return found


async def test_a_journey_moves_the_figures(tmp_path: Path) -> None:
    """From a greeting to a return: runs, sends, units, a handoff, the time until it was taken and answered, its end."""
    async with World(tmp_path) as world:
        before = await scraped(world)
        assert before["handoff_widget_sockets{}"] == 0
        assert before["handoff_slack_connections{}"] == 2
        customer = await world.customer()
        await customer.sees("help")
        await customer.say("I want to talk to a human about my invoice, please")
        await customer.sees("ticket is H-1001")
        channel = await where(world)
        root = await world.root_with("H-1001", channel)
        waiting = await until(world, lambda found: in_all(found, "open_handoffs") == 1)
        await world.slack.click(DANA, "bridge_take", root["ts"], channel=channel)
        await customer.sees("Dana Ruiz")
        await world.slack.say(DANA, "Hello, this is Dana", channel=channel, thread_ts=root["ts"])
        await customer.sees("this is Dana")
        await customer.say("Hello, this is Ann")
        await in_thread(world, root, "this is Ann", channel=channel)
        owned = await scraped(world)
        await world.slack.mention(DANA, "return All is settled", channel=channel, thread_ts=root["ts"])
        after = await until(world, lambda found: in_all(found, "handoffs_ended_total") == 1)

        [queue] = [k.partition("queue=")[2][:-1] for k in after if k.startswith("handoff_time_to_take_seconds_count")]
        assert waiting["handoff_open_handoffs{state=waiting}"] == 1
        assert waiting["handoff_oldest_waiting_handoff_age_seconds{}"] > 0
        assert owned["handoff_open_handoffs{state=human}"] == 1
        assert owned["handoff_open_handoffs{state=waiting}"] == 0
        assert owned["handoff_widget_sockets{}"] == 1
        assert after[f"handoff_handoffs_total{{queue={queue},reason=customer_request}}"] == 1
        assert after[f"handoff_time_to_take_seconds_count{{queue={queue}}}"] == 1
        assert after[f"handoff_time_to_first_word_seconds_count{{queue={queue}}}"] == 1
        took = after[f"handoff_time_to_take_seconds_sum{{queue={queue}}}"]
        assert 0 < took < after[f"handoff_time_to_first_word_seconds_sum{{queue={queue}}}"] < 30
        assert after[f"handoff_handoffs_ended_total{{how=returned,outcome=answered,queue={queue}}}"] == 1
        assert after["handoff_turn_duration_seconds_count{ending=finished}"] >= 1
        assert after["handoff_sends_total{call=open,desk=slack,outcome=delivered}"] == 1
        assert after["handoff_sends_total{call=post,desk=slack,outcome=delivered}"] >= 1
        assert after["handoff_events_total{kind=CustomerSaid,status=done}"] == 2
        assert after["handoff_store_unit_duration_seconds_count{kind=run}"] > 10
        assert after["handoff_slack_last_event_age_seconds{}"] < 30
        assert "Ann Lee" not in str(after)
        assert customer.conversation not in str(after)


async def test_what_waits_is_seen_by_its_age(tmp_path: Path) -> None:
    """While Slack asks for patience, the new thread's age grows and its channel is told to rest; then all is at 0."""
    async with World(tmp_path) as world:
        customer = await world.customer()
        await customer.sees("help")
        await world.slack.fault("chat.postMessage", "rate_limited", times=-1, after_s=2)
        await customer.say("I want to talk to a human about my invoice, please")
        await customer.sees("ticket is H-1001")
        held = await until(
            world,
            lambda found: (
                in_all(found, "channel_rest_seconds") > 0.5 and in_all(found, "oldest_unsent_age_seconds") > 0.5
            ),
        )
        await world.slack.clear_faults()
        await where(world)
        found = await until(world, lambda found: in_all(found, "unsent_posts") == 0)

        assert held["handoff_oldest_unsent_age_seconds{lane=new_thread}"] >= 0.5
        assert held["handoff_oldest_unsent_age_seconds{lane=line}"] == 0
        assert [v for k, v in held.items() if "channel_rest_seconds" in k and "reason=vendor" in k if v > 0.5]
        assert held["handoff_sends_total{call=open,desk=slack,outcome=retrylater}"] >= 1
        assert found["handoff_oldest_unsent_age_seconds{lane=new_thread}"] == 0
        assert found["handoff_unsettled_posts{}"] == 0
