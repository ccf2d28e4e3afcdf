"""The Web API answers as Slack's does, good calls and bad ones alike."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.api import METHODS
from adapters.sandbox.slack.people import (
    APP_ID,
    BILLING_TEAM,
    BOT_ID,
    BOT_USER,
    DANA,
    GUEST,
    LEE,
    OUTSIDER,
    PARTNERS,
    RANDOM,
    SAM,
    SUPPORT,
    TEAM_ID,
)
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.settings import APP_TOKEN

PROMISED = {
    "api.test", "auth.test", "apps.connections.open", "bots.info", "chat.postMessage", "chat.update", "chat.delete",
    "chat.postEphemeral", "chat.getPermalink", "conversations.info", "conversations.list", "conversations.members",
    "conversations.replies", "conversations.history", "conversations.join", "users.info", "users.list",
    "users.lookupByEmail", "users.getPresence", "usergroups.list", "usergroups.users.list", "views.open",
    "views.update", "views.push", "reactions.add", "assistant.threads.setStatus", "files.getUploadURLExternal",
    "files.completeUploadExternal", "files.info",
}  # fmt: skip


async def refusal(call: Any) -> str:
    """The error code with which a call fails."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


def section(text: str, **extra: object) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **extra}


def test_every_promised_method_is_there() -> None:
    """The methods that the bridge may call all exist."""
    assert set(METHODS) >= PROMISED


async def test_a_post_is_kept_and_read_back_with_its_metadata(web_client: AsyncWebClient) -> None:
    """What is posted comes back from replies and history, with metadata only where it is asked for."""
    metadata = {"event_type": "handoff_line", "event_payload": {"key": "k-1"}}
    root = (await web_client.chat_postMessage(channel="#support", text="root", metadata=metadata))["ts"]
    await web_client.chat_postMessage(channel=SUPPORT, text="reply", thread_ts=root, blocks=[section("reply")])
    bare = (await web_client.conversations_replies(channel=SUPPORT, ts=root))["messages"]
    full = (await web_client.conversations_replies(channel=SUPPORT, ts=root, include_all_metadata=True))["messages"]
    history = (await web_client.conversations_history(channel=SUPPORT, include_all_metadata=True))["messages"]
    assert [message["text"] for message in bare] == ["root", "reply"]
    assert "metadata" not in bare[0]
    assert full[0]["metadata"] == metadata
    assert full[0]["reply_count"] == 1
    assert full[0]["bot_id"] == BOT_ID
    assert full[0]["app_id"] == APP_ID
    assert full[1]["parent_user_id"] == BOT_USER
    assert full[1]["blocks"][0]["block_id"]
    assert [message["text"] for message in history] == ["root"]


async def test_updating_with_text_alone_removes_the_blocks(web_client: AsyncWebClient) -> None:
    """chat.update with text only takes the blocks away and marks the message as edited; with blocks it does not."""
    ts = (await web_client.chat_postMessage(channel=SUPPORT, text="a", blocks=[section("a")]))["ts"]
    changed = (await web_client.chat_update(channel=SUPPORT, ts=ts, text="b", blocks=[section("b")]))["message"]
    assert "edited" not in changed
    changed = (await web_client.chat_update(channel=SUPPORT, ts=ts, text="c"))["message"]
    assert "blocks" not in changed
    assert changed["edited"]["user"] == BOT_USER


async def test_an_update_keeps_metadata_unless_told_otherwise(web_client: AsyncWebClient) -> None:
    """Metadata survives an update that does not name it, and an empty object clears it."""
    metadata = {"event_type": "card", "event_payload": {"h": "1"}}
    ts = (await web_client.chat_postMessage(channel=SUPPORT, text="a", metadata=metadata))["ts"]
    assert (await web_client.chat_update(channel=SUPPORT, ts=ts, text="b"))["message"]["metadata"] == metadata
    cleared = await web_client.api_call("chat.update", json={"channel": SUPPORT, "ts": ts, "text": "c", "metadata": {}})
    assert "metadata" not in cleared["message"]


async def test_tokens_are_asked_for_and_told_apart(sandbox: Sandbox) -> None:
    """No token, a wrong one and the other kind of token are three different errors."""
    url = f"{sandbox.workspace.base_url}/api/"
    assert await refusal(AsyncWebClient(base_url=url).auth_test()) == "not_authed"
    assert await refusal(AsyncWebClient(base_url=url, token="xoxb-no").auth_test()) == "invalid_auth"
    assert await refusal(AsyncWebClient(base_url=url, token=APP_TOKEN).auth_test()) == "not_allowed_token_type"
    opened = await AsyncWebClient(base_url=url).apps_connections_open(app_token=APP_TOKEN)
    assert str(opened["url"]).startswith("ws://127.0.0.1:")


async def test_a_missing_scope_says_which(web_client: AsyncWebClient, slack: Workspace) -> None:
    """Without a scope the call fails with what is needed and provided, and every answer lists the scopes."""
    await slack.configure(scopes=["chat:write", "users:read"])
    with pytest.raises(SlackApiError) as caught:
        await web_client.conversations_history(channel=SUPPORT)
    assert caught.value.response["error"] == "missing_scope"
    assert caught.value.response["needed"] == "channels:history"
    assert caught.value.response["provided"] == "chat:write,users:read"
    assert (await web_client.auth_test()).headers["x-oauth-scopes"] == "chat:write,users:read"
    assert await refusal(web_client.chat_postMessage(channel=SUPPORT, text="x", username="Eve")) == "missing_scope"


async def test_a_post_to_the_wrong_place_is_refused(web_client: AsyncWebClient, slack: Workspace) -> None:
    """Unknown, foreign and archived channels are refused, each by its own name."""
    assert await refusal(web_client.chat_postMessage(channel="C0NOWHERE", text="x")) == "channel_not_found"
    assert await refusal(web_client.chat_postMessage(channel=RANDOM, text="x")) == "not_in_channel"
    await web_client.conversations_join(channel=RANDOM)
    await web_client.chat_postMessage(channel=RANDOM, text="x")
    await slack.act(SAM, "archive", channel=RANDOM)
    assert await refusal(web_client.chat_postMessage(channel=RANDOM, text="x")) == "is_archived"
    assert await refusal(web_client.api_call("chat.postMessage", json={"channel": SUPPORT})) == "no_text"


async def test_only_own_messages_can_be_changed(web_client: AsyncWebClient, slack: Workspace) -> None:
    """An app changes and deletes only its own messages, and no update grows past 4,000 characters."""
    theirs = await slack.say(DANA, "mine")
    own = (await web_client.chat_postMessage(channel=SUPPORT, text="own"))["ts"]
    assert await refusal(web_client.chat_update(channel=SUPPORT, ts=theirs, text="x")) == "cant_update_message"
    assert await refusal(web_client.chat_delete(channel=SUPPORT, ts=theirs)) == "cant_delete_message"
    assert await refusal(web_client.chat_update(channel=SUPPORT, ts="1.000000", text="x")) == "message_not_found"
    assert await refusal(web_client.chat_update(channel=SUPPORT, ts=own, text="x" * 4001)) == "msg_too_long"
    assert await refusal(web_client.conversations_replies(channel=SUPPORT, ts="1.000000")) == "thread_not_found"


@pytest.mark.parametrize(
    "blocks,error",
    [
        ([section("x")] * 51, "invalid_blocks"),
        ([section("")], "invalid_blocks"),
        ([section("x" * 3001)], "invalid_blocks"),
        ([section("x", block_id="same"), section("y", block_id="same")], "invalid_blocks"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "invalid_blocks"),
        ([{"type": "actions", "elements": []}], "invalid_blocks"),
        ([{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}], "invalid_blocks"),
        ([{"type": "nonsense"}], "invalid_blocks"),
        ([section("x" * 2900)] * 5, "msg_blocks_too_long"),
        ("nonsense", "invalid_blocks_format"),
    ],
)
async def test_blocks_that_slack_refuses_are_refused(web_client: AsyncWebClient, blocks: Any, error: str) -> None:
    """Blocks beyond Slack's limits are not posted, and the answer says where the fault is."""
    unique = blocks
    if isinstance(blocks, list) and error == "msg_blocks_too_long":
        unique = [{**block, "block_id": f"b{index}"} for index, block in enumerate(blocks)]
    with pytest.raises(SlackApiError) as caught:
        await web_client.chat_postMessage(channel=SUPPORT, text="x", blocks=unique)
    assert caught.value.response["error"] == error
    if error == "invalid_blocks":
        assert "json-pointer:/blocks" in caught.value.response["response_metadata"]["messages"][0]


async def test_a_channel_takes_about_one_post_a_second(web_client: AsyncWebClient) -> None:
    """After a small burst the channel answers 429 with Retry-After, while other channels and updates go on."""
    posted = [await web_client.chat_postMessage(channel=SUPPORT, text=str(number)) for number in range(4)]
    with pytest.raises(SlackApiError) as caught:
        await web_client.chat_postMessage(channel=SUPPORT, text="too many")
    assert caught.value.response.status_code == 429
    assert caught.value.response["error"] == "ratelimited"
    assert int(caught.value.response.headers["Retry-After"]) >= 1
    await web_client.chat_postMessage(channel=PARTNERS, text="elsewhere")
    await web_client.chat_update(channel=SUPPORT, ts=posted[0]["ts"], text="changed")


async def test_a_reply_to_a_deleted_thread_lands_in_the_channel(web_client: AsyncWebClient) -> None:
    """A thread_ts whose message is gone makes a new root message, without an error."""
    root = (await web_client.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    await web_client.chat_delete(channel=SUPPORT, ts=root)
    lost = await web_client.chat_postMessage(channel=SUPPORT, text="lost", thread_ts=root)
    assert "thread_ts" not in lost["message"]


async def test_a_deleted_root_with_replies_stays_as_a_tombstone(web_client: AsyncWebClient, slack: Workspace) -> None:
    """Deleting a root that has replies keeps the thread, and it still takes replies."""
    root = (await web_client.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    await slack.say(DANA, "reply", thread_ts=root)
    await web_client.chat_delete(channel=SUPPORT, ts=root)
    await web_client.chat_postMessage(channel=SUPPORT, text="more", thread_ts=root)
    thread = (await web_client.conversations_replies(channel=SUPPORT, ts=root))["messages"]
    assert [message["text"] for message in thread] == ["This message was deleted.", "reply", "more"]
    assert thread[0]["subtype"] == "tombstone"


async def test_people_and_groups_are_described(web_client: AsyncWebClient) -> None:
    """Users, presence, membership and groups answer with what routing needs: guest, bot, team, admin."""
    guest = (await web_client.users_info(user=GUEST))["user"]
    outsider = (await web_client.users_info(user=OUTSIDER))["user"]
    sam = (await web_client.users_lookupByEmail(email="sam@northwind.example"))["user"]
    assert guest["is_restricted"] is True
    assert outsider["team_id"] != TEAM_ID
    assert outsider["is_stranger"] is True
    assert (sam["id"], sam["is_admin"]) == (SAM, True)
    assert (await web_client.users_getPresence(user=LEE))["presence"] == "active"
    assert LEE in (await web_client.conversations_members(channel=SUPPORT))["members"]
    assert (await web_client.usergroups_list())["usergroups"][0]["id"] == BILLING_TEAM
    assert (await web_client.usergroups_users_list(usergroup=BILLING_TEAM))["users"] == [SAM, LEE]
    assert (await web_client.bots_info(bot=BOT_ID))["bot"]["user_id"] == BOT_USER
    assert OUTSIDER not in {user["id"] for user in (await web_client.users_list())["members"]}
    assert await refusal(web_client.users_info(user="U0NOBODY")) == "user_not_found"


async def test_channels_are_described(web_client: AsyncWebClient) -> None:
    """conversations.info and .list say whether the app is a member and whether a channel is shared."""
    info = (await web_client.conversations_info(channel=PARTNERS, include_num_members=True))["channel"]
    assert info["is_ext_shared"] is True
    assert info["num_members"] == 3
    first = await web_client.conversations_list(limit=3)
    rest = await web_client.conversations_list(limit=3, cursor=first["response_metadata"]["next_cursor"])
    members = {channel["name"]: channel["is_member"] for channel in [*first["channels"], *rest["channels"]]}
    assert members == {"support": True, "billing": True, "random": False, "partners": True}


async def test_an_ephemeral_message_is_for_one_person_only(web_client: AsyncWebClient, slack: Workspace) -> None:
    """chat.postEphemeral is seen by its reader, is not in the history, and needs the reader in the channel."""
    await web_client.chat_postEphemeral(channel=SUPPORT, user=DANA, text="psst")
    state = await slack.state()
    assert [each["text"] for each in state.ephemerals(DANA)] == ["psst"]
    assert state.ephemerals(LEE) == []
    assert (await web_client.conversations_history(channel=SUPPORT))["messages"] == []
    outside = web_client.chat_postEphemeral(channel=SUPPORT, user=OUTSIDER, text="psst")
    assert await refusal(outside) == "user_not_in_channel"


async def test_the_status_of_a_thread_ends_with_the_next_post(web_client: AsyncWebClient, slack: Workspace) -> None:
    """assistant.threads.setStatus shows in the thread until the app posts there."""
    root = (await web_client.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    await web_client.assistant_threads_setStatus(channel_id=SUPPORT, thread_ts=root, status="is typing…")
    assert (await slack.state()).status(SUPPORT, root) == "is typing…"
    await web_client.chat_postMessage(channel=SUPPORT, text="here", thread_ts=root)
    assert (await slack.state()).status(SUPPORT, root) == ""


async def test_a_permalink_opens_the_page_at_the_message(web_client: AsyncWebClient, slack: Workspace) -> None:
    """The permalink of a reply leads to the page with its thread open."""
    root = await slack.say(DANA, "root")
    reply = await slack.say(DANA, "reply", thread_ts=root)
    link = (await web_client.chat_getPermalink(channel=SUPPORT, message_ts=reply))["permalink"]
    async with aiohttp.ClientSession() as session, session.get(link) as answer:
        assert answer.status == 200
        assert dict(answer.url.query) == {"channel": SUPPORT, "thread": root}


async def test_an_unknown_method_and_bad_json_have_names(web_client: AsyncWebClient, sandbox: Sandbox) -> None:
    """Calls that are no calls are answered in Slack's words, not with a server error."""
    assert await refusal(web_client.api_call("chat.postMesage")) == "unknown_method"
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{sandbox.workspace.base_url}/api/auth.test", data=b"{", headers={"Content-Type": "application/json"}
        ) as answer,
    ):
        assert (await answer.json())["error"] == "invalid_json"


async def test_other_websites_cannot_act_here(sandbox: Sandbox) -> None:
    """A form posted by a foreign page does nothing, and a foreign page cannot listen to the workspace."""
    url = sandbox.workspace.base_url
    act = '{"user": "U0DANARUIZ", "kind": "message", "channel": "support", "text": "x"}'
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/sandbox/act", data=act, headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 400
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{url}/sandbox/live", origin="https://evil.example")
    assert caught.value.status == 403
    assert sandbox.workspace.channels[SUPPORT].messages == {}
