"""Socket Mode: two connections, gaps, catch-up, health."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import DANA, LEE
from bridge.effects import Receipt
from bridge.events import Event, OperatorReturned, OperatorSaid
from bridge.fakes.store import MemoryStore
from bridge.ids import Millis
from bridge.leases import Lease
from bridge.retention import SOURCES_KEPT_MS
from tests.adapters.slack.conftest import Stage, connected, root_ts, settings_for, staged
from tests.adapters.slack.rig import SITE, WallClock, handoff, until


class Later(WallClock):
    """The wall clock, so many milliseconds later."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now(self) -> Millis:
        return Millis(super().now() + self._ms)


async def test_a_refresh_loses_nothing(by_socket: Stage) -> None:
    """Slack renews connections every few hours; what is said meanwhile comes in, once."""
    one = await by_socket.opened()
    await by_socket.slack.disconnect(only_one=True)
    for n in range(5):
        await by_socket.slack.say(DANA, f"{n}", thread_ts=root_ts(one))
    await connected(by_socket)

    said = await until(lambda: by_socket.door.of(OperatorSaid)[:5] if len(by_socket.door.of(OperatorSaid)) > 4 else [])
    assert sorted(event.text for event in said) == ["0", "1", "2", "3", "4"]


async def test_both_connections_come_back(by_socket: Stage) -> None:
    """Cut off abruptly, both are up again and hear."""
    one = await by_socket.opened()
    await by_socket.slack.disconnect(abrupt=True)
    await by_socket.slack.say(DANA, "still there?", thread_ts=root_ts(one))
    await connected(by_socket)

    assert (await by_socket.door.first(OperatorSaid)).text == "still there?"


async def test_what_is_not_acknowledged_comes_again(by_socket: Stage) -> None:
    """While the store is down nothing is acknowledged, and Slack delivers again."""
    one = await by_socket.opened()
    by_socket.door.failures = 1
    await by_socket.slack.say(DANA, "keep me", thread_ts=root_ts(one))

    assert (await by_socket.door.first(OperatorSaid)).text == "keep me"


async def test_health_tells_what_is_up(by_socket: Stage) -> None:
    """Readiness knows the mode, the connections and the age of the last event."""
    one = await by_socket.opened()
    await by_socket.slack.say(DANA, "hi", thread_ts=root_ts(one))
    await by_socket.door.first(OperatorSaid)
    health = await by_socket.parts.health()

    assert (health["mode"], health["connections"]) == ("socket", 2)
    age_s = health["last_event_age_s"]
    assert isinstance(age_s, float)
    assert 0 <= age_s < 10


@pytest.fixture
async def asleep(slack: Workspace) -> AsyncIterator[Stage]:
    """A desk in Socket Mode that is not started yet, in a workspace that loses what nobody hears."""
    await slack.configure(request_url=None)
    one = staged(slack, settings_for(slack.url))
    yield one
    await one.parts.stop()


async def test_what_was_said_while_nobody_listened_is_read_after_the_start(asleep: Stage) -> None:
    """Open threads are read again at the start; what was heard already is not heard twice."""
    one = await asleep.opened(opened_at=0)
    await asleep.slack.fault("events", "lose", times=-1)
    await asleep.slack.say(DANA, "anybody?", thread_ts=root_ts(one))
    await asleep.slack.mention(LEE, "return all done", thread_ts=root_ts(one))
    await asyncio.sleep(0)
    await asleep.slack.clear_faults()
    await asleep.parts.start()

    assert (await asleep.door.first(OperatorSaid)).text == "anybody?"
    assert (await asleep.door.first(OperatorReturned)).note.note == "all done"
    asleep.parts.catching_up.begin()
    await until(lambda: asleep.parts.catching_up._task is not None and asleep.parts.catching_up._task.done())
    assert len(asleep.door.of(OperatorSaid)) == 1


async def test_what_the_door_may_have_forgotten_is_not_read_again(asleep: Stage) -> None:
    """In a thread that is open for longer than sources are kept, a message from before is not heard a second time."""
    one = await asleep.opened(opened_at=0)
    await asleep.slack.fault("events", "lose", times=-1)
    await asleep.slack.say(DANA, "as I said last week", thread_ts=root_ts(one))
    asleep.parts.catching_up._clock = Later(SOURCES_KEPT_MS)
    await asleep.parts.catching_up.first(5)
    assert asleep.door.of(OperatorSaid) == []
    asleep.parts.catching_up._clock = WallClock()
    asleep.parts.catching_up._seen.clear()
    await asleep.parts.catching_up.first(5)

    assert [event.text for event in asleep.door.of(OperatorSaid)] == ["as I said last week"]


async def test_what_was_lost_in_a_gap_is_read_afterwards(by_socket: Stage) -> None:
    """After both connections were down, open threads are read again by themselves."""
    one = await by_socket.opened(opened_at=0)
    await by_socket.slack.fault("apps.connections.open", "error_before", times=4, error="internal_error")
    await by_socket.slack.fault("events", "lose", times=-1)
    await by_socket.slack.disconnect(abrupt=True)
    await by_socket.slack.say(DANA, "lost?", thread_ts=root_ts(one))
    await connected(by_socket, 0)
    await by_socket.slack.clear_faults()

    assert (await by_socket.door.first(OperatorSaid, timeout_s=15)).text == "lost?"


async def test_rationed_reading_is_tried_again_in_time(asleep: Stage) -> None:
    """Where Slack limits reading, the catch-up waits as long as Slack says."""
    one = await asleep.opened(opened_at=0)
    await asleep.slack.fault("events", "lose", times=-1)
    await asleep.slack.say(DANA, "patience", thread_ts=root_ts(one))
    await asleep.slack.clear_faults()
    await asleep.slack.fault("conversations.replies", "rate_limited", after_s=1)
    await asleep.parts.start()

    assert (await asleep.door.first(OperatorSaid)).text == "patience"


async def test_a_thread_that_cannot_be_read_does_not_stop_the_others(asleep: Stage) -> None:
    """One broken thread is logged, the next is read."""
    asleep.book.handoffs.append(handoff(root="1.000001", channel="C0NOWHERE", opened_at=0))
    one = await asleep.opened(opened_at=0)
    await asleep.slack.fault("events", "lose", times=-1)
    await asleep.slack.say(DANA, "over here", thread_ts=root_ts(one))
    await asleep.slack.clear_faults()
    await asleep.parts.start()

    assert (await asleep.door.first(OperatorSaid)).text == "over here"


async def test_a_start_without_slack_succeeds_later(slack: Workspace) -> None:
    """The process starts and serves customers while Slack is away; the sockets come up when it is back."""
    await slack.configure(request_url=None)
    await slack.fault("apps.connections.open", "error_before", times=3, error="internal_error")
    await slack.fault("auth.test", "error_before", times=2, error="internal_error")
    one = staged(slack, settings_for(slack.url, socket_ping_s=0.2))
    await one.parts.start()
    await connected(one)
    await one.parts.stop()

    assert len(await slack.calls("apps.connections.open")) >= 5


async def test_a_connection_that_is_dead_without_knowing_it_is_replaced(slack: Workspace) -> None:
    """When the SDK's own tasks are gone nobody would reconnect; the watchdog does."""
    await slack.configure(request_url=None)
    one = staged(slack, settings_for(slack.url, socket_ping_s=0.2))
    await one.parts.start()
    await connected(one)
    assert one.parts.sockets is not None
    dead = one.parts.sockets._connections[0].client
    for task in (dead.current_session_monitor, dead.message_receiver):
        assert task is not None
        task.cancel()
    assert dead.current_session is not None
    await dead.current_session.close()
    await until(lambda: one.parts.sockets is not None and one.parts.sockets._connections[0].client is not dead)
    await connected(one)
    root = await one.opened()
    for n in range(4):
        await slack.say(DANA, f"{n}", thread_ts=root_ts(root))
    await until(lambda: len(one.door.of(OperatorSaid)) == 4)
    await one.parts.stop()


async def test_the_sdks_own_environment_changes_nothing(slack: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that Bolt or the SDK would read by themselves neither redirect nor reconfigure the desk."""
    for name in (
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_APP_TOKEN",
    ):
        monkeypatch.setenv(name, "from-the-environment")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await slack.configure(request_url=None)
    one = staged(slack, settings_for(slack.url))
    await one.parts.start()
    await connected(one)
    root = await one.opened()
    await slack.say(DANA, "hello", thread_ts=root_ts(root))

    assert (await one.door.first(OperatorSaid)).text == "hello"
    await one.parts.stop()


LEASE_S = 0.6


def fleet(slack: Workspace, names: str) -> list[Stage]:
    """Desks of several processes on one store, with short leases."""
    store = MemoryStore()

    def stage(worker: str) -> Stage:
        def lease(name: str) -> Lease:
            return Lease(name, site=SITE, worker=worker, clock=WallClock(), store=store, lease_s=LEASE_S)

        return staged(slack, settings_for(slack.url), lease=lease)

    return [stage(worker) for worker in names]


async def up(stages: list[Stage]) -> list[int]:
    return [await stage.parts.sockets.connected() for stage in stages if stage.parts.sockets is not None]


async def settled(stages: list[Stage], *wanted: int) -> None:
    """Wait until the processes have so many connections, the most first."""
    deadline = time.monotonic() + 8
    while sorted(await up(stages), reverse=True) != list(wanted):
        assert time.monotonic() < deadline, await up(stages)
        await asyncio.sleep(0.02)


async def test_three_processes_have_two_connections_in_all(slack: Workspace) -> None:
    """Whoever comes first listens, and reads the threads once; when it stops another does; a process without a
    connection knows that it needs none.
    """
    await slack.configure(request_url=None)
    stages = fleet(slack, "abc")
    root = await stages[0].opened(opened_at=0)
    for stage in stages:
        stage.book.handoffs[:] = [root]
    await stages[0].parts.start()
    await settled(stages, 2, 0, 0)
    for stage in stages[1:]:
        await stage.parts.start()
    await asyncio.sleep(3 * LEASE_S)
    assert await up(stages) == [2, 0, 0]
    assert [(await stage.parts.health())["is_listener"] for stage in stages] == [True, False, False]
    reads = len(await slack.calls("conversations.replies"))

    await stages[0].parts.stop()
    await slack.say(DANA, "who hears me?", thread_ts=root_ts(root))
    await until(lambda: any(stage.door.of(OperatorSaid) for stage in stages[1:]))
    deadline = time.monotonic() + 8
    while sum(await up(stages)) != 2:
        assert time.monotonic() < deadline, await up(stages)
        await asyncio.sleep(0.02)
    for stage in stages[1:]:
        await stage.parts.stop()
    assert await up(stages) == [0, 0, 0]
    assert reads >= 1


async def test_who_loses_its_lease_closes_its_connection(slack: Workspace) -> None:
    """A process whose store does not answer any more closes its connections within the lease, and opens them again when
    it has the lease again.
    """
    await slack.configure(request_url=None)
    [stage] = fleet(slack, "a")
    await stage.parts.start()
    await connected(stage)
    store = stage.parts.first_reading._store
    assert isinstance(store, MemoryStore)
    store.fail_next(1_000_000)
    began = time.monotonic()
    await connected(stage, 0)
    assert time.monotonic() - began < LEASE_S + 2
    store.fail_next(0)
    await connected(stage)
    await stage.parts.stop()


async def test_a_stop_acknowledges_what_is_being_handled(slack: Workspace) -> None:
    """What was being kept when the stop came is acknowledged before the connections close, and not delivered again."""
    await slack.configure(request_url=None)
    [stage] = fleet(slack, "a")
    root = await stage.opened()
    await stage.parts.start()
    await connected(stage)
    began, go_on = asyncio.Event(), asyncio.Event()
    keep = stage.door.__call__

    async def slowly(event: Event) -> Receipt:
        if isinstance(event, OperatorSaid):
            began.set()
            await go_on.wait()
        return await keep(event)

    stage.parts.hearing._receive = slowly
    await slack.say(DANA, "in the last moment", thread_ts=root_ts(root))
    await asyncio.wait_for(began.wait(), 5)
    stopping = asyncio.create_task(stage.parts.stop())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    go_on.set()
    await asyncio.wait_for(stopping, 5)

    assert len(stage.door.of(OperatorSaid)) == 1
    tried = [delivery for delivery in await slack.deliveries() if "in the last moment" in str(delivery)]
    assert [delivery["status"] for delivery in tried] == [200]
