"""Threads that are read again: to their end, as Slack lets it be done, and before anything new from them is heard."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.sandbox.client import Json, Workspace
from adapters.sandbox.slack.people import DANA, LEE
from adapters.slack import catching_up
from bridge.conversation import Handoff
from bridge.events import OperatorSaid
from tests.adapters.slack.conftest import Stage, root_ts, settings_for, staged
from tests.adapters.slack.rig import sandbox_process, until

MANY = 1_500
FAILURES = 5


@pytest.fixture
async def asleep(slack: Workspace) -> AsyncIterator[Stage]:
    """A desk that is not started yet and asks who people are as seldom as a real one."""
    await slack.reset_rules()
    await slack.configure(request_url=None)
    one = staged(slack, settings_for(slack.url, roster_max_age_s=30.0))
    yield one
    await one.parts.stop()
    await slack.reset_rules()


@pytest.fixture
async def stage(by_http: Stage) -> Stage:
    """A desk behind HTTP, with one open thread that was there before the last gap."""
    by_http.parts.catching_up.begin()
    await until(lambda: by_http.parts.catching_up._task is not None and by_http.parts.catching_up._task.done())
    return by_http


def texts(stage: Stage) -> list[str]:
    """Return what operators said, as it came in."""
    return [event.text for event in stage.door.of(OperatorSaid)]


async def unheard(stage: Stage, one: Handoff, *said: str) -> None:
    """Let Dana say these while every event is lost."""
    await stage.slack.fault("events", "lose", times=-1)
    for text in said:
        await stage.slack.say(DANA, text, thread_ts=root_ts(one))
    await stage.slack.clear_faults()


async def test_a_long_thread_is_read_to_its_end(asleep: Stage) -> None:
    """1,500 replies that nobody heard come in once, in their order; limits and errors on the way cost no page."""
    one = await asleep.opened(opened_at=0)
    said = [f"line {number}" for number in range(MANY)]
    await unheard(asleep, one, *said)
    for kind in ("delay", "http_500_before", "rate_limited", "drop_before"):
        await asleep.slack.fault("conversations.replies", kind, after_s=0.05 if kind == "delay" else 1)
    await asleep.parts.start()

    await until(lambda: len(texts(asleep)) >= MANY, timeout_s=60)
    assert texts(asleep) == said
    read = [call for call in await asleep.slack.calls("conversations.replies") if call["args"]["ts"] == root_ts(one)]
    pages = [call["args"].get("cursor", "") for call in read if call["error"] is None and call["status"] == 200]
    first_round = pages[: pages.index("", 1)] if "" in pages[1:] else pages
    assert len(first_round) <= MANY // catching_up.PAGE + 3


async def test_a_ration_is_used_page_by_page(asleep: Stage) -> None:
    """Where Slack shows 15 messages a minute, a thread of forty comes in all the same, and from the next page on."""
    one = await asleep.opened(opened_at=0)
    said = [f"rationed {number}" for number in range(40)]
    await unheard(asleep, one, *said)
    await asleep.slack.rules(rationed_reads=True, minute_s=0.3)
    await asleep.parts.start()

    await until(lambda: len(texts(asleep)) >= len(said), timeout_s=20)
    assert texts(asleep) == said


async def test_threads_take_turns(asleep: Stage) -> None:
    """A short thread does not wait for the end of a long one."""
    long = await asleep.opened(opened_at=0)
    short = await asleep.opened(opened_at=0, number=1043)
    await unheard(asleep, long, *(f"long {number}" for number in range(3 * catching_up.PAGE)))
    await unheard(asleep, short, "short")
    await asleep.parts.start()

    await until(lambda: len(texts(asleep)) > 3 * catching_up.PAGE, timeout_s=30)
    assert texts(asleep).index("short") <= catching_up.PAGE


async def test_after_a_gap_a_thread_is_read_before_its_news(stage: Stage) -> None:
    """What was lost in the gap comes before what is said after it, however slowly Slack reads."""
    one = await stage.opened(opened_at=0)
    await unheard(stage, one, "in the gap")
    await stage.slack.fault("conversations.replies", "delay", after_s=1.0)
    stage.parts.catching_up.begin()
    await stage.slack.say(DANA, "after the gap", thread_ts=root_ts(one))
    await stage.slack.say(DANA, "and later", thread_ts=root_ts(one))

    await until(lambda: len(texts(stage)) == 3)
    assert texts(stage) == ["in the gap", "after the gap", "and later"]


async def test_in_doubt_only_a_thread_with_news_is_read(stage: Stage) -> None:
    """What another process heard and did not keep comes before what is said after it; quiet threads are not read."""
    one = await stage.opened(opened_at=0)
    quiet = await stage.opened(opened_at=0, number=2_000)
    await unheard(stage, one, "to another process")
    stage.parts.catching_up.doubt()
    await stage.slack.say(DANA, "to this one", thread_ts=root_ts(one))
    await stage.slack.say(DANA, "and this", thread_ts=root_ts(one))

    await until(lambda: len(texts(stage)) == 3)
    assert texts(stage) == ["to another process", "to this one", "and this"]
    read = [call["args"]["ts"] for call in await stage.slack.calls("conversations.replies")]
    assert root_ts(one) in read
    assert root_ts(quiet) not in read


async def test_who_learns_of_a_loss_by_its_own_question_heeds_it(stage: Stage) -> None:
    """A process that slept through a short outage is told when it asks the store for the thread of the next message:
    what
    another one heard and could not keep still comes first.
    """
    one = await stage.opened(opened_at=0)
    await unheard(stage, one, "to another process")
    stage.book.when_asked = stage.parts.catching_up.doubt
    await stage.slack.say(DANA, "to this one", thread_ts=root_ts(one))
    await until(lambda: texts(stage))
    stage.book.when_asked = lambda: None

    await until(lambda: len(texts(stage)) == 2)
    assert texts(stage) == ["to another process", "to this one"]


async def test_what_is_read_but_not_kept_yet_is_not_overtaken(stage: Stage) -> None:
    """However long it takes to keep what was read of a thread, news wait for it; and they wait together, so that the
    later of two that came first stays the later.
    """
    one = await stage.opened(opened_at=0)
    missed = [f"in the gap {number}" for number in range(40)]
    await unheard(stage, one, *missed)
    stage.door.takes_s = 2 * catching_up.HOLD_S / len(missed)
    stage.parts.catching_up.begin()
    await until(lambda: texts(stage))
    await stage.slack.fault("events", "delay", after_s=0.5)
    for text in ("after the gap", "and later"):
        await stage.slack.say(DANA, text, thread_ts=root_ts(one))

    await until(lambda: len(texts(stage)) == len(missed) + 2, timeout_s=20)
    assert texts(stage) == [*missed, "after the gap", "and later"]


async def test_news_do_not_pass_while_what_was_read_cannot_be_kept(patient: Stage) -> None:
    """However long the store is away while a thread is read, its news wait; what comes back first keeps its place."""
    one = await patient.opened(opened_at=0)
    await unheard(patient, one, "in the gap")
    patient.door.failures = FAILURES
    patient.parts.catching_up.begin()
    await until(lambda: patient.door.failures < FAILURES)
    await patient.slack.say(DANA, "after the gap", thread_ts=root_ts(one))

    await until(lambda: len(texts(patient)) == 2, timeout_s=40)
    assert texts(patient) == ["in the gap", "after the gap"]


async def test_a_thread_that_somebody_waits_for_is_read_next(stage: Stage) -> None:
    """News from one of many threads does not wait for all the others to be read."""
    many = [await stage.opened(opened_at=0, number=number) for number in range(2_000, 2_012)]
    await unheard(stage, many[-1], "in the gap")
    await stage.slack.fault("conversations.replies", "delay", after_s=0.3, times=-1)
    stage.parts.catching_up.begin()
    began = time.monotonic()
    await stage.slack.say(DANA, "after the gap", thread_ts=root_ts(many[-1]))

    await until(lambda: len(texts(stage)) == 2)
    assert time.monotonic() - began < 11 * 0.3
    assert texts(stage) == ["in the gap", "after the gap"]


@pytest.mark.parametrize(
    "kind, details",
    [
        ("delay", {"after_s": 8.0}),
        ("error_before", {"error": "missing_scope"}),
        ("rate_limited", {"after_s": 30}),
        ("rate_limited", {"after_s": 600}),
        ("http_500_before", {}),
    ],
    ids=["silent", "forbidden", "rationed", "rationed-long", "broken"],
)
async def test_news_do_not_wait_for_what_cannot_be_read(stage: Stage, kind: str, details: dict[str, float]) -> None:
    """A reply is acknowledged within Slack's three seconds even where its thread cannot be read, and so is the next."""
    one = await stage.opened(opened_at=0)
    await stage.slack.fault("conversations.replies", kind, times=-1, **details)
    stage.parts.catching_up.begin()
    for text in ("first", "second"):
        await stage.slack.say(LEE, text, thread_ts=root_ts(one))
        await until(lambda text=text: text in texts(stage))  # type: ignore[misc]
    assert [d["attempt"] for d in await stage.slack.deliveries("message") if _is(d["body"], one, "first")] == [0]


def _is(body: Json, one: Handoff, text: str) -> bool:
    event = body["event"]
    return (event.get("thread_ts"), event.get("text")) == (root_ts(one), text)


@pytest.fixture
async def patient() -> AsyncIterator[Stage]:
    """A desk before a Slack that waits a whole minute before it delivers again."""
    with sandbox_process("--posts-per-s", "0", "--retry-scale", "1") as url:
        async with Workspace(url) as slack:
            one = staged(slack, settings_for(url, mode="http", app_token=None))
            app = web.Application()
            app.add_routes(one.parts.routes)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            await slack.configure(request_url=f"http://{host}:{port}/slack/events")
            yield one
            await runner.cleanup()
            await one.parts.stop()


async def test_what_could_not_be_kept_is_not_overtaken(patient: Stage) -> None:
    """A reply that met a store without room comes before the next one, not a minute later when Slack sends it again."""
    one = await patient.opened(opened_at=0)
    await asyncio.sleep(catching_up.CLOCKS_DIFFER_MS / 1000)
    patient.door.failures = 2
    await patient.slack.say(DANA, "the disk is full", thread_ts=root_ts(one))
    await until(lambda: patient.door.failures == 0)
    await patient.slack.say(DANA, "there is room again", thread_ts=root_ts(one))

    await until(lambda: len(texts(patient)) == 2)
    assert texts(patient) == ["the disk is full", "there is room again"]
