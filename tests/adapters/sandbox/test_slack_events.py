"""Events over HTTP: the shapes that Slack's types prescribe, signed, and sent again until they are taken."""

import json

import pytest
from slack_events.payloads import Authorization
from slack_events.validation import get_adapter, payload_type_for, validate_payload
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Json, SandboxRefusal, Workspace
from adapters.sandbox.slack.people import BOT_USER, DANA, LEE, OTHER_BOT, RANDOM, SAM, SUPPORT
from adapters.sandbox.slack.settings import SIGNING_SECRET
from tests.adapters.sandbox.conftest import Listener

WIDE = [
    "message.channels", "app_mention", "member_left_channel", "member_joined_channel", "channel_archive",
    "channel_unarchive", "channel_shared", "user_change", "file_shared", "reaction_added", "reaction_removed",
    "tokens_revoked", "app_uninstalled",
]  # fmt: skip


ENVELOPE = {
    "token", "team_id", "api_app_id", "event", "type", "event_id", "event_time", "authorizations",
    "is_ext_shared_channel", "event_context",
}  # fmt: skip


def without_tombstone(event: Json) -> Json:
    """The event, its tombstone as an ordinary message: the published types do not know that subtype."""
    message = event.get("message", {})
    if message.get("subtype") != "tombstone":
        return event
    return event | {"message": {key: value for key, value in message.items() if key != "subtype"}}


async def events(slack: Workspace, count: int) -> list[Json]:
    """The events delivered so far, once there are so many."""
    return [delivery["body"]["event"] for delivery in await slack.delivered("events_api", count)]


async def test_everything_sent_fits_slacks_types(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient
) -> None:
    """Every kind of event and its envelope passes the published types, and every kind was sent."""
    await slack.configure(bot_events=WIDE)
    root = await slack.mention(DANA, "please :eyes: *look* at https://example.com", thread_ts=None)
    await slack.say(LEE, "a reply", thread_ts=root)
    await slack.say(LEE, "for all", thread_ts=root, broadcast=True)
    own = (await web_client.chat_postMessage(channel=SUPPORT, text="own", thread_ts=root))["ts"]
    await web_client.chat_postMessage(channel=SUPPORT, text="hi", username="Maria", icon_emoji=":wave:")
    await slack.say(OTHER_BOT, "deployed")
    await web_client.chat_update(channel=SUPPORT, ts=own, text="own, changed")
    await web_client.chat_delete(channel=SUPPORT, ts=own)
    await slack.edit(DANA, root, "please look again")
    await slack.upload(LEE, "a.png", b"\x89PNG", thread_ts=root)
    await slack.react(SAM, root, "eyes")
    await slack.react(SAM, root, "eyes")
    await slack.delete(DANA, root)
    await slack.act(LEE, "leave", channel=SUPPORT)
    await slack.act(LEE, "join", channel=SUPPORT)
    await slack.act(SAM, "share", channel=SUPPORT)
    await slack.act(SAM, "deactivate", target=LEE)
    await slack.act(SAM, "archive", channel=SUPPORT)
    await slack.act(SAM, "unarchive", channel=SUPPORT)
    await slack.act(SAM, "uninstall")
    sent = await events(slack, 23)
    kinds = {(event["type"], event.get("subtype")) for event in sent}
    assert kinds == {
        ("message", None), ("message", "thread_broadcast"), ("message", "bot_message"), ("message", "message_changed"),
        ("message", "message_deleted"), ("message", "file_share"), ("app_mention", None), ("file_shared", None),
        ("reaction_added", None), ("reaction_removed", None), ("member_left_channel", None),
        ("member_joined_channel", None), ("channel_shared", None), ("user_change", None), ("channel_archive", None),
        ("channel_unarchive", None), ("tokens_revoked", None), ("app_uninstalled", None),
    }  # fmt: skip
    for delivery in await slack.deliveries("events_api"):
        event = delivery["body"]["event"]
        assert payload_type_for(event["type"], event.get("subtype")) is not None
        validate_payload(event["type"], event.get("subtype"), without_tombstone(event))
        assert set(delivery["body"]) >= ENVELOPE
        get_adapter(list[Authorization]).validate_python(delivery["body"]["authorizations"])


async def test_a_persons_message_looks_as_slack_sends_it(slack: Workspace, listener: Listener) -> None:
    """Text is escaped, rich text is typed, and the ids of thread, channel and team are there."""
    root = await slack.say(DANA, "root")
    await slack.say(LEE, "*bold* <script> & @dana in #billing :tada: @here", thread_ts=root)
    event = (await events(slack, 2))[1]
    assert event["text"] == f"*bold* &lt;script&gt; &amp; <@{DANA}> in <#C0BILLING> :tada: <!here>"
    leaves = event["blocks"][0]["elements"][0]["elements"]
    assert {"type": "user", "user_id": DANA} in leaves
    assert {"type": "broadcast", "range": "here"} in leaves
    assert {"type": "text", "text": "bold", "style": {"bold": True}} in leaves
    assert (event["thread_ts"], event["parent_user_id"], event["channel_type"]) == (root, DANA, "channel")
    assert len(event["client_msg_id"]) == 36


async def test_the_apps_own_posts_come_back_marked(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient
) -> None:
    """An own post is echoed with bot id, app id and metadata; under another name it has no user at all."""
    metadata = {"event_type": "line", "event_payload": {"key": "k"}}
    await web_client.chat_postMessage(channel=SUPPORT, text="own", metadata=metadata)
    ts = (await web_client.chat_postMessage(channel=SUPPORT, text="as Maria", username="Maria"))["ts"]
    await web_client.chat_update(channel=SUPPORT, ts=ts, text="as Maria, changed")
    plain, named, changed = await events(slack, 3)
    assert (plain["user"], plain["bot_id"], plain["metadata"]) == (BOT_USER, "B0BRIDGE1", metadata)
    assert (named["subtype"], named["username"], named.get("user")) == ("bot_message", "Maria", None)
    assert changed["hidden"] is True
    assert "user" not in changed["message"]
    assert changed["previous_message"]["text"] == "as Maria"


async def test_a_link_preview_changes_no_words(slack: Workspace, listener: Listener) -> None:
    """An unfurl arrives as message_changed without edited, both texts alike."""
    ts = await slack.say(DANA, "see https://example.com")
    await slack.act(DANA, "unfurl", channel=SUPPORT, ts=ts)
    event = (await events(slack, 2))[1]
    assert event["message"]["text"] == event["previous_message"]["text"]
    assert "edited" not in event["message"]


async def test_events_are_signed(slack: Workspace, listener: Listener) -> None:
    """Slack's own verifier accepts the signature of what arrives, and not of anything else."""
    await slack.say(DANA, "hello")
    await events(slack, 1)
    headers, raw = listener.requests[0]
    verifier = SignatureVerifier(SIGNING_SECRET)
    assert verifier.is_valid_request(raw, headers)
    assert not verifier.is_valid_request(raw + b" ", headers)
    assert headers["Content-Type"] == "application/json"


async def test_an_event_is_sent_four_times_at_most(slack: Workspace, listener: Listener) -> None:
    """A failing URL gets the event again three times, numbered, with the reason and the same event id."""
    listener.statuses = [500, 500, 404, 503]
    await slack.say(DANA, "hello")
    await events(slack, 4)
    headers = [dict(each[0]) for each in listener.requests]
    assert [each.get("x-slack-retry-num") for each in headers] == [None, "1", "2", "3"]
    assert [each.get("x-slack-retry-reason") for each in headers] == [None, "http_error", "http_error", "http_error"]
    assert len({json.loads(raw)["event_id"] for _, raw in listener.requests}) == 1


async def test_an_app_may_stop_the_retries(slack: Workspace, listener: Listener) -> None:
    """x-slack-no-retry on a failure ends the matter; the next event is sent as ever."""
    listener.statuses, listener.answer_headers = [500], {"x-slack-no-retry": "1"}
    await slack.say(DANA, "one")
    await events(slack, 1)
    await slack.say(DANA, "two")
    assert [event["text"] for event in await events(slack, 2)] == ["one", "two"]


async def test_a_slow_or_absent_app_is_a_reason_too(slack: Workspace, listener: Listener) -> None:
    """Where nobody listens the reason is connection_failed, and the event is tried again."""
    await slack.configure(request_url="http://127.0.0.1:9/slack/events", verify=False)
    await slack.say(DANA, "hello")
    await events(slack, 4)
    assert {each["reason"] for each in await slack.deliveries("message")} == {"connection_failed"}


async def test_the_app_hears_only_what_it_asked_for_and_can_see(slack: Workspace, listener: Listener) -> None:
    """Neither other people's channels nor events without a subscription are delivered."""
    await slack.say(DANA, "not for the app", channel=RANDOM)
    await slack.react(DANA, await slack.say(DANA, "for the app"), "eyes")
    await slack.say(DANA, "last")
    assert [event.get("text") for event in await events(slack, 2)] == ["for the app", "last"]


async def test_a_url_that_cannot_answer_the_challenge_is_refused(slack: Workspace, listener: Listener) -> None:
    """Saving a request URL sends Slack's challenge, and a URL that does not return it is not saved."""
    with pytest.raises(SandboxRefusal, match="challenge"):
        await slack.configure(request_url=listener.url)
    listener.answers = [{"challenge": "sandbox-challenge"}]
    assert (await slack.configure(request_url=listener.url))["request_url"] == listener.url


async def test_outsiders_guests_and_bots_are_told_apart(slack: Workspace, listener: Listener) -> None:
    """A message from another organisation carries its team, a bot's its bot id, and a shared channel says so."""
    await slack.say("U0OUTIVERS", "from outside", channel="C0PARTNER")
    await slack.say(OTHER_BOT, "from a bot")
    outside, bot = await events(slack, 2)
    assert outside["team"] == outside["user_team"] == "T0FREIGHT"
    assert (bot["bot_id"], bot["subtype"]) == ("B0DEPLOYBT", "bot_message")
    shared = [each["body"]["is_ext_shared_channel"] for each in await slack.deliveries("message")]
    assert shared == [True, False]
