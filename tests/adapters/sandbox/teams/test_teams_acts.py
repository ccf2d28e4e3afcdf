"""What people do reaches the bot as Teams sends it, and only what it may hear."""

import base64

import pytest

from adapters.sandbox.teams.client import SandboxRefusal, TeamsClient
from adapters.sandbox.teams.people import (
    BILLING,
    BOT,
    BOT_NAME,
    DANA,
    GENERAL,
    LEE,
    OTHER_TENANT,
    OUTSIDER,
    SAM,
    SUPPORT,
    TEAM,
    TENANT,
)
from adapters.sandbox.teams.sandbox import Sandbox
from tests.adapters.sandbox.teams.rig import Bot

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


async def test_a_reply_says_who_where_and_what(bot: Bot, teams: TeamsClient, root: str) -> None:
    """A reply carries its thread, its author's object id, the tenant, and the text in two forms."""
    said = await teams.say(DANA, "a < b & **c**", root=root)
    await teams.delivered("message", 1)
    heard = bot.heard[0]
    assert (heard["id"], heard["conversation"]["id"]) == (said, f"{SUPPORT};messageid={root}")
    assert (heard["from"]["aadObjectId"], heard["channelData"]["tenant"]["id"]) == (DANA, TENANT)
    assert (heard["channelData"]["team"]["id"], heard["channelData"]["channel"]["id"]) == (TEAM, SUPPORT)
    assert heard["text"] == "a &lt; b &amp; **c**"
    assert heard["attachments"] == [{"contentType": "text/html", "content": "<p>a &lt; b &amp; <strong>c</strong></p>"}]
    assert [each["type"] for each in heard["entities"]] == ["clientInfo"]


async def test_a_mention_is_a_tag_an_entity_and_a_hard_space(bot: Bot, teams: TeamsClient, root: str) -> None:
    """The bot's name once more in the text is no second mention, and a person can be mentioned too."""
    await teams.mention(DANA, "the Support Bridge is down, @Lee Park", root=root)
    await teams.delivered("message", 1)
    heard = bot.heard[0]
    assert heard["text"] == f"<at>{BOT_NAME}</at>&nbsp;the Support Bridge is down, <at>Lee Park</at>"
    mentions = [each["mentioned"] for each in heard["entities"] if each["type"] == "mention"]
    assert mentions[0]["id"] == BOT
    assert mentions[1]["aadObjectId"] == LEE
    assert 'itemid="1">Lee Park</span></p>' in heard["attachments"][0]["content"]


async def test_without_consent_only_mentions_are_heard(bot: Bot, teams: TeamsClient, root: str) -> None:
    """With the consent of RSC every message arrives, without it only those that mention the bot, edits likewise."""
    await teams.rules(rsc=False)
    quiet = await teams.say(DANA, "quiet", root=root)
    await teams.edit(DANA, quiet, "still quiet")
    await teams.mention(DANA, "loud", root=root)
    await teams.rules(rsc=True)
    await teams.say(DANA, "all", root=root)
    await teams.delivered("message", 2)
    assert [each["text"] for each in bot.heard] == [f"<at>{BOT_NAME}</at>&nbsp;loud", "all"]


async def test_edits_deletes_and_their_undoing_arrive(bot: Bot, teams: TeamsClient, root: str) -> None:
    """Each names the same message; a delete says nothing of its words."""
    said = await teams.say(DANA, "one", root=root)
    await teams.delivered("message", 1)
    await teams.edit(DANA, said, "two")
    await teams.delivered("messageUpdate", 1)
    await teams.delete(DANA, said)
    await teams.delivered("messageDelete", 1)
    await teams.undelete(DANA, said)
    await teams.delivered("messageUpdate", 2)
    assert [(each["channelData"].get("eventType"), each.get("text")) for each in bot.heard] == [
        (None, "one"), ("editMessage", "two"), ("softDeleteMessage", None), ("undeleteMessage", "two"),
    ]  # fmt: skip
    assert {each["id"] for each in bot.heard} == {said}
    with pytest.raises(SandboxRefusal, match="not_yours"):
        await teams.edit(LEE, said, "mine")
    await teams.rules(edit_events="none")
    await teams.edit(DANA, said, "three")
    await teams.say(DANA, "after", root=root)
    await teams.delivered("message", 2)
    assert len(bot.heard) == 5


async def test_reactions_are_heard_on_the_bot_s_messages_only(bot: Bot, teams: TeamsClient, root: str) -> None:
    """A like of the card arrives and so does its end; a like of a person's words does not."""
    said = await teams.say(DANA, "words", root=root)
    await teams.act(LEE, "react", message=said)
    await teams.act(LEE, "react", message=root)
    await teams.delivered("messageReaction", 1)
    await teams.act(LEE, "react", message=root)
    await teams.delivered("messageReaction", 2)
    reactions = [each for each in bot.heard if each["type"] == "messageReaction"]
    assert [each["replyToId"] for each in reactions] == [root, root]
    assert [("reactionsAdded" in each, "reactionsRemoved" in each) for each in reactions] == [
        (True, False), (False, True),
    ]  # fmt: skip


async def test_pictures_can_be_fetched_and_files_cannot(bot: Bot, teams: TeamsClient, root: str) -> None:
    """A pasted picture has an address that wants the bot's token; of a file the bot sees no more than that it is."""
    await teams.paste(DANA, PNG, "look", root=root)
    await teams.attach(DANA, "plan.pdf", b"%PDF", "and this", root=root)
    await teams.delivered("message", 2)
    by_text = {each["text"]: each["attachments"] for each in bot.heard}
    picture = by_text["look"][0]
    assert picture["contentType"] == "image/*"
    assert await bot.call("GET", picture["contentUrl"]) == (200, PNG)
    bot.token = "another"
    assert (await bot.call("GET", picture["contentUrl"]))[0] == 401
    assert [each["contentType"] for each in by_text["and this"]] == ["text/html"]
    assert "<attachment id=" in by_text["and this"][0]["content"]


async def test_a_targeted_message_is_marked_and_has_no_thread(bot: Bot, teams: TeamsClient, root: str) -> None:
    """What a person tells the bot alone says so; by rule it keeps the thread."""
    await teams.act(DANA, "targeted", text="return done", channel=SUPPORT, root=root)
    await teams.rules(slash=True)
    await teams.act(DANA, "targeted", text="return done", channel=SUPPORT, root=root)
    await teams.delivered("message", 2)
    assert [each["recipient"]["isTargeted"] for each in bot.heard] == [True, True]
    assert [each["conversation"]["id"] for each in bot.heard] == [SUPPORT, f"{SUPPORT};messageid={root}"]


async def test_an_outsider_comes_from_another_tenant(bot: Bot, teams: TeamsClient, root: str) -> None:
    """What somebody of another organisation says names that organisation."""
    await teams.say(OUTSIDER, "hello", root=root)
    await teams.delivered("message", 1)
    assert bot.heard[0]["channelData"]["tenant"]["id"] == OTHER_TENANT


async def test_the_app_comes_and_goes(bot: Bot, teams: TeamsClient) -> None:
    """Adding, upgrading and removing tell the team, the chosen channel, and that the bot is a member."""
    await teams.act(SAM, "uninstall")
    await teams.say(SAM, "unheard")
    await teams.act(SAM, "install", channel=BILLING)
    await teams.act(SAM, "install", action="add-upgrade")
    await teams.delivered("installationUpdate", 3)
    await teams.delivered("conversationUpdate", 2)
    updates = [each for each in bot.heard if each["type"] == "installationUpdate"]
    assert {each["action"] for each in updates} == {"remove", "add", "add-upgrade"}
    added = next(each for each in updates if each["action"] == "add")
    assert added["channelData"]["settings"]["selectedChannel"]["id"] == BILLING
    assert not [each for each in bot.heard if each["type"] == "message"]


async def test_channels_teams_and_members_change(bot: Bot, teams: TeamsClient) -> None:
    """Each change is a conversationUpdate with Teams' name for it."""
    made = (await teams.act(SAM, "create_channel", name="Returns"))["channel"]
    await teams.act(SAM, "rename_channel", channel=made, name="Refunds")
    await teams.act(SAM, "delete_channel", channel=made)
    await teams.act(SAM, "restore_channel", channel=made)
    await teams.act(SAM, "rename_team", name="Help desk")
    await teams.act(LEE, "leave")
    await teams.act(LEE, "join")
    await teams.delivered("conversationUpdate", 7)
    events = {each["channelData"]["eventType"]: each for each in bot.heard}
    assert set(events) == {
        "channelCreated", "channelRenamed", "channelDeleted", "channelRestored", "teamRenamed", "teamMemberRemoved",
        "teamMemberAdded",
    }  # fmt: skip
    assert events["teamMemberRemoved"]["membersRemoved"][0]["aadObjectId"] == LEE
    assert events["teamRenamed"]["channelData"]["team"]["name"] == "Help desk"
    with pytest.raises(SandboxRefusal, match="not_allowed"):
        await teams.act(SAM, "delete_channel", channel=GENERAL)


async def test_what_is_not_taken_comes_again(bot: Bot, teams: TeamsClient, root: str) -> None:
    """After a 5xx the same activity comes again, after a refusal it does not; one can be had twice on purpose."""
    bot.statuses = [500, 503]
    said = await teams.say(DANA, "hello", root=root)
    attempts = await teams.delivered("message", 3)
    assert [(each["id"], each["attempt"], each["status"]) for each in attempts] == [
        (said, 1, 500), (said, 2, 503), (said, 3, 200),
    ]  # fmt: skip
    bot.statuses = [403]
    await teams.say(DANA, "no", root=root)
    await teams.delivered("message", 4)
    await teams.act(DANA, "again", message=said)
    assert (await teams.delivered("message", 5))[-1]["id"] == said


async def test_deliveries_can_be_doubled_lost_and_turned_around(bot: Bot, teams: TeamsClient, root: str) -> None:
    """The faults of events do what they are called."""
    await teams.fault("events", "duplicate")
    await teams.say(DANA, "twice", root=root)
    await teams.delivered("message", 2)
    await teams.fault("events", "lose")
    await teams.say(DANA, "lost", root=root)
    await teams.fault("events", "reorder", after_s=5.0)
    await teams.say(DANA, "first", root=root)
    await teams.say(DANA, "second", root=root)
    await teams.delivered("message", 4)
    assert [each["text"] for each in bot.heard] == ["twice", "twice", "second", "first"]


async def test_anything_can_be_sent_with_any_token(bot: Bot, teams: TeamsClient) -> None:
    """A test can send what Teams never would, and sees the bot's answer."""
    bot.statuses = [401]
    assert (await teams.deliver({"type": "message"}, token="expired"))[0] == 401
    assert (await teams.deliver({"type": "message"}, token="none"))[0] == 200
    assert [each.split(" ")[0] for each in bot.headers] == ["Bearer", ""]
    with pytest.raises(SandboxRefusal, match="invalid_token"):
        await teams.deliver({"type": "message"}, token="golden")


async def test_wrong_acts_say_what_there_is(teams: TeamsClient) -> None:
    """An unknown act, person, channel or message is refused with a word for it."""
    for body, code in [
        ({"user": DANA, "kind": "dance"}, "unknown_act"),
        ({"user": "nobody", "kind": "message"}, "unknown_user"),
        ({"user": DANA, "kind": "message", "text": "a", "channel": "nowhere"}, "unknown_channel"),
        ({"user": DANA, "kind": "message", "channel": SUPPORT}, "no_text"),
        ({"user": DANA, "kind": "edit", "message": "1"}, "unknown_message"),
    ]:
        with pytest.raises(SandboxRefusal, match=code):
            await teams.request("POST", "/sandbox/act", body)
    with pytest.raises(SandboxRefusal, match="no rule 'speed'"):
        await teams.rules(speed=1)
    with pytest.raises(SandboxRefusal, match="invalid_fault"):
        await teams.fault("events", "http_after")


async def test_a_slow_bot_hears_it_again(sandbox: Sandbox, bot: Bot, teams: TeamsClient, root: str) -> None:
    """What is not answered in time counts as not delivered and comes again, the same."""
    sandbox.settings.answer_timeout_s = 0.05
    bot.rest_s = 0.2
    said = await teams.say(DANA, "hello", root=root)
    attempts = await teams.delivered("message", 2)
    assert [(each["id"], each["status"], each["reason"]) for each in attempts[:2]] == [(said, 0, "timeout")] * 2
