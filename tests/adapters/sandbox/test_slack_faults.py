"""Faults make the sandbox fail the way Slack does, and count down."""

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import SandboxRefusal, Workspace
from adapters.sandbox.slack.people import DANA, SUPPORT
from tests.adapters.sandbox.conftest import Listener


@pytest.mark.parametrize("kind,applied", [("http_500_before", False), ("http_500_after", True)])
async def test_a_server_error_may_come_before_or_after_the_effect(
    web_client: AsyncWebClient, slack: Workspace, kind: str, applied: bool
) -> None:
    """Both 500s look alike to the caller; only one of them has posted. The next call goes through."""
    await slack.fault("chat.postMessage", kind)
    with pytest.raises(SlackApiError) as caught:
        await web_client.chat_postMessage(channel=SUPPORT, text="once")
    assert caught.value.response.status_code == 500
    assert bool(await slack.messages()) is applied
    await web_client.chat_postMessage(channel=SUPPORT, text="twice")


@pytest.mark.parametrize("kind,applied", [("drop_before", False), ("drop_after", True)])
async def test_a_dropped_connection_may_come_before_or_after_the_effect(
    web_client: AsyncWebClient, slack: Workspace, kind: str, applied: bool
) -> None:
    """A connection cut in the middle of a call leaves the caller in doubt, with the message there or not."""
    await slack.fault("*", kind)
    with pytest.raises(aiohttp.ClientConnectionError):
        await web_client.chat_postMessage(channel=SUPPORT, text="once")
    assert bool(await slack.messages()) is applied


async def test_a_rate_limit_and_an_error_can_be_ordered(web_client: AsyncWebClient, slack: Workspace) -> None:
    """A 429 carries the wanted Retry-After, and any of Slack's errors can be had, even after the effect."""
    await slack.fault("chat.postMessage", "rate_limited", after_s=7)
    with pytest.raises(SlackApiError) as caught:
        await web_client.chat_postMessage(channel=SUPPORT, text="x")
    assert caught.value.response.headers["Retry-After"] == "7"
    await slack.fault("chat.postMessage", "error_after", error="internal_error")
    with pytest.raises(SlackApiError) as caught:
        await web_client.chat_postMessage(channel=SUPPORT, text="x")
    assert caught.value.response["error"] == "internal_error"
    assert len(await slack.messages()) == 1


async def test_faults_last_as_long_as_ordered(web_client: AsyncWebClient, slack: Workspace) -> None:
    """times=-1 stays until it is cleared."""
    await slack.fault("auth.test", "error_before", error="account_inactive", times=-1)
    for _ in range(3):
        with pytest.raises(SlackApiError):
            await web_client.auth_test()
    await slack.clear_faults()
    assert (await web_client.auth_test())["ok"]


@pytest.mark.parametrize("target,kind", [("events", "http_500_after"), ("chat.update", "reorder"), ("x", "nonsense")])
async def test_a_fault_that_makes_no_sense_is_refused(slack: Workspace, target: str, kind: str) -> None:
    """A fault that could never happen is an error that names those that can."""
    with pytest.raises(SandboxRefusal, match=r"kinds|takes only"):
        await slack.fault(target, kind)


async def arrived(slack: Workspace, count: int) -> list[tuple[str, str]]:
    """(text, event id) of the first deliveries, once there are so many."""
    deliveries = await slack.delivered("message", count)
    return [(each["body"]["event"]["text"], each["event_id"]) for each in deliveries]


async def test_an_event_can_come_twice(slack: Workspace, listener: Listener) -> None:
    """A duplicate has the same event id, or another one where that is asked for."""
    await slack.fault("events", "duplicate")
    await slack.say(DANA, "a")
    first, second = await arrived(slack, 2)
    assert first == second
    await slack.fault("events", "duplicate_new_id")
    await slack.say(DANA, "b")
    third, fourth = (await arrived(slack, 4))[2:]
    assert third[0] == fourth[0] == "b"
    assert third[1] != fourth[1]


async def test_events_can_swap_places(slack: Workspace, listener: Listener) -> None:
    """A reordered event arrives after the one that followed it."""
    await slack.fault("events", "reorder", after_s=5)
    await slack.say(DANA, "first")
    await slack.say(DANA, "second")
    assert [text for text, _ in await arrived(slack, 2)] == ["second", "first"]


async def test_a_held_event_comes_even_if_nothing_follows(slack: Workspace, listener: Listener) -> None:
    """A reordered event with no successor is only late, never lost; a lost one is lost."""
    await slack.fault("events", "lose")
    await slack.say(DANA, "lost")
    await slack.fault("events", "reorder", after_s=0.05)
    await slack.say(DANA, "late")
    assert [text for text, _ in await arrived(slack, 1)] == ["late"]
