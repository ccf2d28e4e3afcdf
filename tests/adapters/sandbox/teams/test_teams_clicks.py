"""Cards, message actions and dialogs do in the sandbox what they do in Teams."""

from typing import Any

import pytest

from adapters.sandbox.teams.client import SandboxRefusal, TeamsClient
from adapters.sandbox.teams.people import DANA, LEE, SUPPORT
from tests.adapters.sandbox.teams.rig import Bot, card, with_card

CARD = "application/vnd.microsoft.card.adaptive"
TAKE = {
    "type": "Action.Execute", "title": "Take it", "verb": "take", "data": {"handoff": "H-1"},
    "fallback": {"type": "Action.Submit", "title": "Take it", "data": {"verb": "take", "handoff": "H-1"}},
}  # fmt: skip
RETURN = {
    "type": "Action.ShowCard",
    "title": "Return",
    "card": {
        "type": "AdaptiveCard",
        "body": [
            {"type": "Input.Text", "id": "note", "isRequired": True, "errorMessage": "Write a note.", "maxLength": 20},
            {"type": "Input.Toggle", "id": "now", "title": "Now"},
            {"type": "Input.ChoiceSet", "id": "how", "value": "a", "choices": [{"title": "A", "value": "a"}]},
        ],
        "actions": [{"type": "Action.Execute", "title": "Return it", "verb": "return", "data": {"handoff": "H-1"}}],
    },
}


async def test_a_click_tells_who_and_shows_the_answer_to_that_person_alone(bot: Bot, teams: TeamsClient) -> None:
    """The invoke names the card, its thread and the verb; the card that comes back is the clicker's own view."""
    _, opened = await bot.open(with_card(TAKE, RETURN))
    root = opened["activityId"]
    bot.answers = [{"statusCode": 200, "type": CARD, "value": card(body=[])["content"]}]
    answer = await teams.click(DANA, root, "take")
    heard = bot.heard[0]
    assert (heard["type"], heard["name"], heard["replyToId"]) == ("invoke", "adaptiveCard/action", root)
    assert heard["conversation"]["id"] == f"{SUPPORT};messageid={root}"
    assert heard["value"] == {
        "action": {"type": "Action.Execute", "title": "Take it", "verb": "take", "data": {"handoff": "H-1"}},
        "trigger": "manual",
    }
    assert answer["card"]["body"] == []
    state = await teams.state()
    assert state.card(DANA, state.posts()[0])["body"] == []
    assert state.card(LEE, state.posts()[0])["body"] != []
    await bot.call("PUT", f"v3/conversations/{SUPPORT};messageid={root}/activities/{root}", with_card(TAKE))
    assert (await teams.state()).posts()[0]["views"] == {}


async def test_inputs_go_along_and_are_checked_first(bot: Bot, teams: TeamsClient) -> None:
    """Fields of the form are in the data, defaults too; an empty needed one or a strange choice is not sent."""
    _, opened = await bot.open(with_card(TAKE, RETURN))
    root = opened["activityId"]
    refused: list[tuple[dict[str, str], str]] = [
        ({}, "Write a note"),
        ({"note": "n" * 21}, "too_long"),
        ({"note": "n", "how": "z"}, "no_choice"),
        ({"note": "n", "colour": "red"}, "no_input"),
    ]
    for inputs, code in refused:
        with pytest.raises(SandboxRefusal, match=code):
            await teams.click(DANA, root, "return", inputs=inputs)
    assert bot.heard == []
    bot.answers = [{"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "Returned."}]
    await teams.click(DANA, root, "return", inputs={"note": "done", "now": True})
    assert bot.heard[0]["value"]["action"]["data"] == {"handoff": "H-1", "note": "done", "now": "true", "how": "a"}
    assert (await teams.state()).notices(DANA) == ["Returned."]


@pytest.mark.parametrize(
    "status,answer,told",
    [
        (200, {"statusCode": 400, "type": "application/vnd.microsoft.error",
               "value": {"code": "Taken", "message": "Lee has it."}}, "Lee has it."),
        (200, {}, "Something went wrong. Please try again."),
        (500, {}, "Something went wrong. Please try again."),
    ],
)  # fmt: skip
async def test_a_failed_click_tells_the_person(
    bot: Bot, teams: TeamsClient, status: int, answer: dict[str, Any], told: str
) -> None:
    """The bot's error is shown to the clicker, else Teams' own words; invokes do not come again."""
    _, opened = await bot.open(with_card(TAKE))
    bot.statuses, bot.answers = [status], [answer]
    await teams.click(DANA, opened["activityId"], "take")
    assert (await teams.state()).notices(DANA) == [told]
    assert len(bot.heard) == 1


async def test_an_old_client_uses_the_fallback(bot: Bot, teams: TeamsClient) -> None:
    """Without Action.Execute the click is a message with a value and no text; without a fallback there is no button."""
    await teams.rules(old_client=True)
    _, opened = await bot.open(with_card(TAKE, RETURN))
    await teams.click(DANA, opened["activityId"], "take")
    await teams.delivered("message", 1)
    heard = bot.heard[0]
    assert (heard["value"], heard["replyToId"]) == ({"verb": "take", "handoff": "H-1"}, opened["activityId"])
    assert "text" not in heard
    with pytest.raises(SandboxRefusal, match="no_fallback"):
        await teams.click(DANA, opened["activityId"], "return", inputs={"note": "x"})


async def test_a_card_that_is_too_old_stops_working(bot: Bot, teams: TeamsClient) -> None:
    """Action.Execute below version 1.4 does nothing, as in Teams; an unknown verb names what there is."""
    _, opened = await bot.open(with_card(TAKE, version="1.3"))
    with pytest.raises(SandboxRefusal, match="card_too_old"):
        await teams.click(DANA, opened["activityId"], "take")
    with pytest.raises(SandboxRefusal, match="take \\(Take it\\)"):
        await teams.click(DANA, opened["activityId"], "dance")


def _dialog(*actions: dict[str, Any]) -> dict[str, Any]:
    form = card(*actions, body=[{"type": "Input.Text", "id": "note"}])
    return {"task": {"type": "continue", "value": {"title": "Return", "card": form}}}


async def test_a_message_action_opens_a_dialog_and_its_form_is_sent(bot: Bot, teams: TeamsClient, root: str) -> None:
    """The bot is asked for a form about the chosen message, gets what was filled in, and the dialog closes."""
    said = await teams.say(LEE, "please return", root=root)
    await teams.delivered("message", 1)
    bot.answers = [_dialog({"type": "Action.Submit", "title": "Return", "data": {"handoff": "H-1"}}), {}]
    opened = await teams.message_action(DANA, said)
    fetch = bot.heard[1]
    assert (fetch["name"], fetch["value"]["commandId"]) == ("composeExtension/fetchTask", "returnToAgent")
    assert fetch["value"]["messagePayload"]["id"] == said
    assert fetch["value"]["messagePayload"]["from"]["user"]["id"] == LEE
    assert fetch["conversation"]["id"] == f"{SUPPORT};messageid={root}"
    assert (await teams.submit_dialog(DANA, opened["dialog"], {"note": "done"}))["closed"] is True
    submit = bot.heard[2]
    assert (submit["name"], submit["value"]["data"]) == (
        "composeExtension/submitAction", {"handoff": "H-1", "note": "done"},
    )  # fmt: skip
    assert (await teams.state())["dialogs"] == []


async def test_a_button_can_ask_for_a_dialog(bot: Bot, teams: TeamsClient) -> None:
    """Action.Submit with `task/fetch` fetches a form; the bot may answer with words instead of another."""
    ask = {"type": "Action.Submit", "title": "Transfer", "data": {"handoff": "H-1", "msteams": {"type": "task/fetch"}}}
    _, posted = await bot.open(with_card(ask))
    bot.answers = [
        _dialog({"type": "Action.Submit", "title": "Go"}), {"task": {"type": "message", "value": "Transferred."}},
    ]  # fmt: skip
    opened = await teams.click(DANA, posted["activityId"], title="Transfer")
    await teams.submit_dialog(DANA, opened["dialog"], {"note": "for you"})
    assert [each["name"] for each in bot.heard] == ["task/fetch", "task/submit"]
    assert bot.heard[1]["value"]["data"] == {"note": "for you"}
    assert (await teams.state()).notices(DANA) == ["Transferred."]
