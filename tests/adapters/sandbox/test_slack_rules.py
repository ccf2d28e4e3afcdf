"""Rules make the sandbox as strict as Slack can be on a bad day, and last until they are lifted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Json, SandboxRefusal, Workspace
from adapters.sandbox.slack.api import METHODS
from adapters.sandbox.slack.people import BILLING, BOT_USER, DANA, LEE, PARTNERS, SAM, SUPPORT
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, DEFAULT_SCOPES
from tests.adapters.sandbox.conftest import MORE_SCOPES, Listener

MARK = {"event_type": "line", "event_payload": {"k": "1"}}
BLOCKS = [{"type": "section", "block_id": "k1", "text": {"type": "plain_text", "text": "hello"}}]


async def refusal(call: Any) -> Any:
    """The answer of a call that fails."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response


async def events(slack: Workspace, count: int) -> list[Json]:
    """The message events delivered so far, once there are so many."""
    return [delivery["body"]["event"] for delivery in await slack.delivered("message", count)]


@pytest.mark.parametrize("kind,shown", [("full", MARK), ("type-only", {"event_type": "line"}), ("none", None)])
async def test_events_carry_as_much_metadata_as_told(
    web_client: AsyncWebClient, slack: Workspace, listener: Listener, kind: str, shown: Json | None
) -> None:
    """Echoes lose the payload or all of it, new or changed; the block ids and what a reader gets stay whole."""
    await slack.rules(metadata_in_events=kind)
    root = (await web_client.chat_postMessage(channel=SUPPORT, text="x", blocks=BLOCKS, metadata=MARK))["ts"]
    await web_client.chat_update(channel=SUPPORT, ts=root, text="y")
    posted, changed = await events(slack, 2)
    assert posted.get("metadata") == changed["message"].get("metadata") == shown
    assert changed["previous_message"].get("metadata") == shown
    assert posted["blocks"][0]["block_id"] == "k1"
    history = await web_client.conversations_history(channel=SUPPORT, include_all_metadata=True)
    assert history["messages"][0]["metadata"] == MARK


@pytest.mark.parametrize("new", [False, True])
async def test_a_retry_may_have_a_new_id(slack: Workspace, listener: Listener, new: bool) -> None:
    """What was not acknowledged over HTTP comes again, under the same event id or another one."""
    await slack.rules(new_id_on_retry=new)
    listener.statuses = [500]
    await slack.say(DANA, "a")
    first, second = await slack.delivered("message", 2)
    assert first["body"]["event"] == second["body"]["event"]
    assert (first["event_id"] != second["event_id"]) is new


@pytest.mark.parametrize("new", [False, True])
async def test_an_unacknowledged_envelope_may_have_a_new_event_id(
    slack: Workspace, web_client: AsyncWebClient, new: bool
) -> None:
    """The same holds for Socket Mode, where the app acknowledges nothing at first."""
    tries: list[str] = []
    app = AsyncApp(token=BOT_TOKEN, client=web_client)

    @app.middleware
    async def fail_once(body: Json, next: Callable[[], Awaitable[None]]) -> None:  # noqa: A002 -- Bolt's own name
        tries.append(body["event_id"])
        if len(tries) == 1:
            raise RuntimeError("not yet")
        await next()

    @app.event("message")
    async def on_message() -> None:
        """Take it."""

    await slack.rules(new_id_on_retry=new)
    handler = AsyncSocketModeHandler(app, APP_TOKEN, ping_interval=1)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # untyped in slack-bolt
    await slack.say(DANA, "a")
    deliveries = await slack.delivered("message", 2)
    await handler.client.close()  # type: ignore[no-untyped-call]  # untyped in slack-sdk
    await handler.client.aiohttp_client_session.close()
    assert [each["status"] for each in deliveries] == [0, 200]
    assert (tries[0] != tries[1]) is new


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "token_expired", "account_inactive"])
async def test_a_token_can_die_in_the_middle(web_client: AsyncWebClient, slack: Workspace, error: str) -> None:
    """Every call of the bot token ends the same way until it is healed; the app-level token lives on."""
    await web_client.auth_test()
    await slack.rules(token_error=error)
    assert (await refusal(web_client.auth_test()))["error"] == error
    assert (await refusal(web_client.chat_postMessage(channel=SUPPORT, text="x")))["error"] == error
    assert (await web_client.apps_connections_open(app_token=APP_TOKEN))["ok"]
    await slack.rules(token_error="")
    await web_client.chat_postMessage(channel=SUPPORT, text="x")


async def test_methods_have_their_tiers(web_client: AsyncWebClient, slack: Workspace) -> None:
    """The 51st update and the 101st look at a person within a minute are 429, and other methods go on."""
    await slack.rules(method_tiers=True)
    ts = (await web_client.chat_postMessage(channel=SUPPORT, text="0"))["ts"]
    for number in range(50):
        await web_client.chat_update(channel=SUPPORT, ts=ts, text=f"{number}")
    limited = await refusal(web_client.chat_update(channel=SUPPORT, ts=ts, text="over"))
    assert limited.status_code == 429
    assert 1 <= int(limited.headers["Retry-After"]) <= 60
    for _ in range(100):
        await web_client.users_info(user=DANA)
    assert (await refusal(web_client.users_info(user=DANA))).status_code == 429
    assert (await web_client.users_getPresence(user=DANA))["ok"]


async def test_a_tier_is_free_again_after_its_minute(web_client: AsyncWebClient, slack: Workspace) -> None:
    """Retry-After is when a call goes through again."""
    await slack.rules(rationed_reads=True, minute_s=1)
    await web_client.conversations_history(channel=SUPPORT)
    limited = await refusal(web_client.conversations_history(channel=SUPPORT))
    assert limited.headers["Retry-After"] == "1"
    await asyncio.sleep(1)
    assert (await web_client.conversations_history(channel=SUPPORT))["ok"]


async def test_reading_can_be_rationed(web_client: AsyncWebClient, slack: Workspace) -> None:
    """A thread can be read once a minute, fifteen replies at a time, with a cursor for the rest."""
    root = await slack.say(DANA, "root")
    for number in range(20):
        await slack.say(LEE, f"{number}", thread_ts=root)
    await slack.rules(rationed_reads=True)
    page = await web_client.conversations_replies(channel=SUPPORT, ts=root, limit=200)
    assert [message["text"] for message in page["messages"]] == ["root", *(f"{number}" for number in range(15))]
    assert page["response_metadata"]["next_cursor"]
    assert (await refusal(web_client.conversations_replies(channel=SUPPORT, ts=root))).status_code == 429


async def test_a_rule_that_makes_no_sense_is_refused_whole(slack: Workspace) -> None:
    """A wrong name, type or value changes nothing and says what there is."""
    for wrong in ({"nonsense": 1}, {"method_tiers": 1}, {"metadata_in_events": "half"}, {"minute_s": 0}):
        with pytest.raises(SandboxRefusal, match=r"there are|must be"):
            await slack.rules(**({"rationed_reads": True} | wrong))
    assert (await slack.request("GET", "/sandbox/rules"))["rationed_reads"] is False
    await slack.rules(rationed_reads=True, minute_s=2)
    await slack.reset_rules()
    assert (await slack.request("GET", "/sandbox/rules"))["minute_s"] == 60


async def test_a_fault_may_hit_one_channel_only(web_client: AsyncWebClient, slack: Workspace) -> None:
    """A channel can be limited while the others and their events go on."""
    await slack.fault("chat.postMessage", "rate_limited", channel=SUPPORT, after_s=9, times=-1)
    await web_client.chat_postMessage(channel=BILLING, text="x")
    assert (await refusal(web_client.chat_postMessage(channel=SUPPORT, text="x"))).headers["Retry-After"] == "9"
    await web_client.chat_postMessage(channel=PARTNERS, text="x")


async def test_an_answer_may_be_late_after_the_effect(web_client: AsyncWebClient, slack: Workspace) -> None:
    """A client that gives up waiting has posted all the same."""
    await slack.fault("chat.postMessage", "delay_after", after_s=5)
    hasty = AsyncWebClient(token=BOT_TOKEN, base_url=web_client.base_url, timeout=1, retry_handlers=[])
    with pytest.raises(TimeoutError):
        await hasty.chat_postMessage(channel=SUPPORT, text="late")
    assert [message["text"] for message in await slack.messages()] == ["late"]


SCOPED = sorted(name for name, method in METHODS.items() if method.any_scope)
ARGUMENTS = {
    "channel": SUPPORT, "channel_id": SUPPORT, "user": DANA, "ts": "1.0", "timestamp": "1.0", "thread_ts": "1.0",
    "text": "x", "name": "eyes", "email": "x@example.com", "usergroup": "S0BILLING", "file": "F1",
}  # fmt: skip


@pytest.mark.parametrize("name", SCOPED)
async def test_each_method_asks_for_its_scope(web_client: AsyncWebClient, slack: Workspace, name: str) -> None:
    """With every scope but its own a method is refused, naming the one that it needs."""
    wanted = METHODS[name].any_scope
    await slack.configure(scopes=[scope for scope in (*DEFAULT_SCOPES, *MORE_SCOPES) if scope not in wanted])
    answer = await refusal(web_client.api_call(name, params=ARGUMENTS))
    assert (answer["error"], answer["needed"]) == ("missing_scope", wanted[0])


@pytest.mark.parametrize("private,needed", [(False, "channels:history"), (True, "groups:history")])
async def test_private_channels_have_scopes_of_their_own(
    web_client: AsyncWebClient, slack: Workspace, sandbox: Sandbox, private: bool, needed: str
) -> None:
    """Reading a channel takes the scope of its kind; the other kind's does not help."""
    sandbox.workspace.channels[SUPPORT].is_private = private
    await slack.configure(scopes=["channels:history" if private else "groups:history", "chat:write"])
    answer = await refusal(web_client.conversations_history(channel=SUPPORT))
    assert (answer["error"], answer["needed"]) == ("missing_scope", needed)


async def test_events_need_their_scope(slack: Workspace, listener: Listener) -> None:
    """Without the scope of an event it is not sent, although the app subscribed to it."""
    scopes = (await slack.request("GET", "/sandbox/app"))["scopes"]
    await slack.configure(scopes=[scope for scope in scopes if scope != "channels:history"])
    await slack.mention(DANA, "hello")
    await slack.delivered("app_mention", 1)
    await slack.configure(scopes=scopes)
    await slack.say(DANA, "now")
    assert [event["text"] for event in await events(slack, 1)] == ["now"]


async def test_the_app_can_be_removed_from_a_channel(web_client: AsyncWebClient, slack: Workspace) -> None:
    """Once it is no member it can neither post, update nor read there, and hears nothing more."""
    ts = (await web_client.chat_postMessage(channel=SUPPORT, text="x"))["ts"]
    await slack.act(BOT_USER, "leave", channel=SUPPORT)
    for call in (
        web_client.chat_postMessage(channel=SUPPORT, text="y"),
        web_client.chat_update(channel=SUPPORT, ts=ts, text="y"),
        web_client.conversations_replies(channel=SUPPORT, ts=ts),
    ):
        assert (await refusal(call))["error"] == "not_in_channel"
    await slack.act(SAM, "archive", channel=BILLING)
    assert (await refusal(web_client.chat_postMessage(channel=BILLING, text="y")))["error"] == "is_archived"
