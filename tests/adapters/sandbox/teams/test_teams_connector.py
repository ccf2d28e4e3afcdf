"""The connector refuses what Teams refuses, and does to messages what Teams does."""

import aiohttp
import pytest

from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import BOT, DANA, GENERAL, GUEST, SUPPORT, TEAM, TEAM_GROUP
from tests.adapters.sandbox.teams.rig import Bot, card, with_card


async def test_a_card_opens_a_thread_and_words_go_into_it(bot: Bot, teams: TeamsClient) -> None:
    """A post with a card gets a thread's id and its own; replies to the thread's id hang below it."""
    status, answer = await bot.open(with_card())
    assert status == 201
    assert answer["id"] == f"{SUPPORT};messageid={answer['activityId']}"
    status, reply = await bot.say(answer["id"], "hello")
    assert status == 201
    thread = await teams.thread(SUPPORT, answer["activityId"])
    assert [(each["id"], each["text"], each["from"]) for each in thread[1:]] == [(reply["id"], "hello", BOT)]


async def test_text_with_a_card_becomes_two_messages_without_an_id(bot: Bot, teams: TeamsClient, root: str) -> None:
    """Text and attachments are split, both at a new thread and in one, and no id comes back."""
    thread = f"{SUPPORT};messageid={root}"
    assert await bot.say(thread, "both", attachments=[card()]) == (201, {})
    status, answer = await bot.open(with_card() | {"text": "both"})
    assert (status, list(answer)) == (201, ["id"])
    state = await teams.state()
    assert [(each["text"], len(each["cards"])) for each in state.thread(SUPPORT, root)[1:]] == [("both", 0), ("", 1)]
    assert len(state.posts()) == 3


async def test_a_lost_thread_id_becomes_a_post_for_all_to_see(bot: Bot, teams: TeamsClient, root: str) -> None:
    """Sending to the channel's id is no error: it opens a new post."""
    status, answer = await bot.say(SUPPORT, "oops")
    assert status == 201
    assert [each["id"] for each in (await teams.state()).posts()] == [root, answer["id"]]


async def test_own_messages_can_be_changed_and_deleted(bot: Bot, teams: TeamsClient, root: str) -> None:
    """PUT replaces, DELETE removes; afterwards it is gone for the bot, and a deleted root ends the thread."""
    thread = f"{SUPPORT};messageid={root}"
    path = f"v3/conversations/{thread}/activities/{root}"
    assert (await bot.call("PUT", path, {"type": "message", "text": "new"}))[0] == 200
    assert [each["text"] for each in await teams.thread(SUPPORT, root)] == ["new"]
    assert (await bot.call("DELETE", path))[0] == 200
    status, answer = await bot.call("PUT", path, {"type": "message", "text": "newer"})
    assert (status, answer["error"]["code"]) == (404, "ActivityNotFoundInConversation")
    status, answer = await bot.say(thread, "anybody?")
    assert (status, answer["error"]["code"]) == (404, "ConversationNotFound")


async def test_another_s_message_stays_as_it_is(bot: Bot, teams: TeamsClient, root: str) -> None:
    """The bot may not change what a person said."""
    said = await teams.say(DANA, "mine", root=root)
    path = f"v3/conversations/{SUPPORT};messageid={root}/activities/{said}"
    assert (await bot.call("PUT", path, {"type": "message", "text": "yours"}))[0] == 403
    assert (await bot.call("DELETE", path))[0] == 403
    assert (await teams.thread(SUPPORT, root))[1]["text"] == "mine"


@pytest.mark.parametrize(
    "channel,activity,code",
    [
        ("", with_card(), "BadSyntax"),
        ("19:nowhere@thread.tacv2", with_card(), "ConversationNotFound"),
        (SUPPORT, {"type": "typing"}, "BadSyntax"),
        (SUPPORT, {"type": "message"}, "BadSyntax"),
        (SUPPORT, {"type": "message", "attachments": [{"contentType": "text/html"}]}, "BadArgument"),
        (SUPPORT, with_card(version="nine"), "BadArgument"),
        (SUPPORT, {"type": "message", "text": "é" * 41_000}, "MessageSizeTooBig"),
    ],
)
async def test_bad_posts_are_refused(
    bot: Bot, teams: TeamsClient, channel: str, activity: dict[str, object], code: str
) -> None:
    """What Teams refuses is refused with its code, and nothing is posted."""
    status, answer = await bot.open(activity, channel)
    assert (status >= 400, answer["error"]["code"]) == (True, code)
    assert not (await teams.state()).posts()


async def test_limits_count_per_channel(bot: Bot, teams: TeamsClient, root: str) -> None:
    """The eighth post within a second is refused in that channel only; the header comes by rule; switched off, none."""
    thread = f"{SUPPORT};messageid={root}"
    await teams.rules(window_scale=30.0)
    assert [(await bot.say(thread, str(number)))[0] for number in range(8)] == [201] * 7 + [429]
    assert "Retry-After" not in bot.last_headers
    assert (await bot.say(GENERAL, "elsewhere"))[0] == 201
    await teams.rules(retry_after=True)
    assert [(await bot.say(thread, str(number)))[0] for number in range(8)] == [201] * 7 + [429]
    assert 1 <= int(bot.last_headers["Retry-After"]) <= 30
    await teams.rules(limits=False)
    assert [(await bot.say(thread, str(number)))[0] for number in range(20)] == [201] * 20


async def test_a_removed_app_may_not_write(bot: Bot, teams: TeamsClient, root: str) -> None:
    """After an uninstall every call fails with Teams' code; a block of writing and an archived team have their own."""
    thread = f"{SUPPORT};messageid={root}"
    await teams.rules(writes_blocked=True)
    status, answer = await bot.say(thread, "hello")
    assert (status, answer["error"]["code"]) == (403, "MessageWritesBlocked")
    await teams.reset_rules()
    await teams.act(DANA, "archive_team")
    assert (await bot.say(thread, "hello"))[0] == 403
    await teams.act(DANA, "unarchive_team")
    await teams.act(DANA, "uninstall")
    status, answer = await bot.say(thread, "hello")
    assert (status, answer["error"]["code"]) == (403, "BotNotInConversationRoster")
    assert (await bot.call("GET", f"v3/conversations/{TEAM}/members"))[0] == 403
    await teams.act(DANA, "install")
    assert (await bot.say(thread, "hello"))[0] == 201


async def test_members_and_the_team_can_be_read(bot: Bot) -> None:
    """Members come one, all or paged, with their role; channels with the General one's name left out."""
    status, person = await bot.call("GET", f"v3/conversations/{TEAM}/members/{GUEST}")
    assert (status, person["userRole"], person["aadObjectId"]) == (200, "guest", GUEST)
    status, answer = await bot.call("GET", f"v3/conversations/{TEAM}/members/nobody")
    assert (status, answer["error"]["code"]) == (404, "MemberNotFoundInConversation")
    _, page = await bot.call("GET", f"v3/conversations/{TEAM}/pagedmembers?pageSize=1")
    assert len(page["members"]) == len((await bot.call("GET", f"v3/conversations/{SUPPORT}/members"))[1]) == 4
    _, team = await bot.call("GET", f"v3/teams/{TEAM}")
    assert (team["aadGroupId"], team["memberCount"]) == (TEAM_GROUP, 5)
    _, channels = await bot.call("GET", f"v3/teams/{TEAM}/conversations")
    assert [each["name"] for each in channels["conversations"]] == [None, "Billing", "Support"]


async def test_faults_strike_before_and_after(bot: Bot, teams: TeamsClient, root: str) -> None:
    """Before means that nothing happened, after that it did and the caller cannot know; counts run down."""
    thread = f"{SUPPORT};messageid={root}"
    await teams.fault("send", "http_before", status=502)
    assert (await bot.say(thread, "a"))[0] == 502
    await teams.fault("send", "http_after", status=504)
    assert (await bot.say(thread, "b"))[0] == 504
    await teams.fault("send", "rate_limited", channel=GENERAL)
    assert (await bot.say(thread, "c"))[0] == 201
    assert (await bot.say(GENERAL, "d"))[0] == 429
    await teams.fault("send", "drop_after")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bot.say(thread, "e")
    await teams.fault("*", "http_before", status=503, times=-1)
    assert [(await bot.say(thread, "f"))[0] for _ in range(3)] == [503] * 3
    await teams.clear_faults()
    assert [each["text"] for each in (await teams.thread(SUPPORT, root))[1:]] == ["b", "c", "e"]


async def test_cards_and_mentions_are_judged(bot: Bot, teams: TeamsClient) -> None:
    """What a client would not show as meant stands in the state's flags; a good card has none."""
    bad = with_card(
        {"type": "Action.Execute", "title": "Go", "verb": "go", "tooltip": "now"},
        body=[{"type": "Table"}, {"type": "TextBlock", "text": "<at>Dana</at>"}, {"type": "Input.Text"}],
        version="1.2",
    )
    await bot.open(bad)
    await bot.open(with_card({"type": "Action.Execute", "title": "Go", "verb": "go"}))
    await bot.open({"type": "message", "text": "<at>Lee Park</at> look"})
    first, second, third = [each["flags"] for each in (await teams.state()).posts()]
    assert set(first) == {
        "unknown-element: Table", "at-without-entity: Dana", "input-without-id: Input.Text",
        "newer-than-1.4: tooltip of Action.Execute", "version: Action.Execute needs 1.4",
    }  # fmt: skip
    assert (second, third) == ([], ["at-without-entity: Lee Park"])
