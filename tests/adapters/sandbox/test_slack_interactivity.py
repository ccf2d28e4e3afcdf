"""Buttons, modals, shortcuts and response URLs: what is sent, what the answers do, and what runs out."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from slack_events.validation import validate_payload
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Json, SandboxRefusal, Workspace
from adapters.sandbox.slack.modals import Modals
from adapters.sandbox.slack.people import DANA, GUEST, LEE, OUTSIDER, PARTNERS, SAM, SUPPORT
from adapters.sandbox.slack.records import Change, SlackError
from adapters.sandbox.slack.sandbox import Sandbox
from tests.adapters.sandbox.conftest import Listener


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def option(value: str) -> Json:
    return {"text": plain(value.title()), "value": value}


CARD: list[Json] = [
    {
        "type": "actions",
        "block_id": "buttons",
        "elements": [
            {"type": "button", "action_id": "take", "text": plain("Take it"), "value": "h-1"},
            {"type": "static_select", "action_id": "transfer", "options": [option("dana"), option("billing")]},
        ],
    }
]


def modal(title: str = "Return", **extra: object) -> Json:
    blocks: list[Json] = [
        {
            "type": "input",
            "block_id": "outcome",
            "label": plain("Outcome"),
            "element": {"type": "static_select", "action_id": "outcome", "options": [option("solved"), option("open")]},
        },
        {
            "type": "input",
            "block_id": "note",
            "optional": True,
            "label": plain("Note"),
            "element": {
                "type": "plain_text_input",
                "action_id": "note",
                "initial_value": "as before",
                "max_length": 20,
            },
        },
        {
            "type": "input",
            "block_id": "flags",
            "optional": True,
            "label": plain("Flags"),
            "element": {"type": "checkboxes", "action_id": "flags", "options": [option("continue"), option("tell")]},
        },
        {
            "type": "actions",
            "block_id": "more",
            "elements": [{"type": "button", "action_id": "more", "text": plain("More")}],
        },
    ]
    base: Json = {
        "type": "modal",
        "callback_id": "back",
        "title": plain(title),
        "submit": plain("Go"),
        "blocks": blocks,
    }
    return base | extra


async def last_payload(listener: Listener) -> Json:
    form = parse_qs(listener.requests[-1][1].decode())
    payload: Json = json.loads(form["payload"][0])
    return payload


@pytest.fixture(autouse=True)
async def no_events(slack: Workspace) -> None:
    """Only interactions reach the listener, so the last request is the one a test looks at."""
    await slack.configure(bot_events=[])


@pytest.fixture
async def card(web_client: AsyncWebClient, listener: Listener) -> str:
    """A message with a button and a select."""
    return str((await web_client.chat_postMessage(channel=SUPPORT, text="card", blocks=CARD))["ts"])


async def open_view(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str, view: Json | None = None
) -> str:
    """Click the card's button and open a modal with the trigger; its id."""
    await slack.click(DANA, "take", card)
    trigger_id = (await last_payload(listener))["trigger_id"]
    return str((await web_client.views_open(trigger_id=trigger_id, view=view or modal()))["view"]["id"])


async def test_a_click_carries_what_slack_sends(slack: Workspace, listener: Listener, card: str) -> None:
    """A button's payload names the person, message, container, value and trigger, and fits the published type."""
    await slack.click(SAM, "take", card)
    payload = await last_payload(listener)
    validate_payload("block_actions", None, payload)
    assert payload["actions"][0]["value"] == "h-1"
    assert payload["actions"][0]["block_id"] == "buttons"
    assert (payload["user"]["id"], payload["channel"]["id"]) == (SAM, SUPPORT)
    assert payload["container"] == {
        "type": "message", "message_ts": card, "channel_id": SUPPORT, "is_ephemeral": False,
    }  # fmt: skip
    assert payload["message"]["ts"] == card
    assert payload["response_url"].startswith("http://127.0.0.1")
    await slack.click(SAM, "transfer", card, value="billing")
    assert (await last_payload(listener))["actions"][0]["selected_option"] == option("billing")


async def test_clicking_what_is_not_there_says_what_is(slack: Workspace, card: str) -> None:
    """An unknown action or option is refused with the names of those that exist."""
    with pytest.raises(SandboxRefusal, match="take, transfer"):
        await slack.click(DANA, "tkae", card)
    with pytest.raises(SandboxRefusal, match="dana, billing"):
        await slack.click(DANA, "transfer", card, value="nobody")


async def test_an_app_that_fails_is_noticed(slack: Workspace, listener: Listener, card: str) -> None:
    """A click that the app answers with an error is reported as failed."""
    listener.statuses = [500]
    assert (await slack.click(DANA, "take", card))["failed"] == "dispatch_failed"


async def test_an_outsider_can_click_in_a_shared_channel(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient
) -> None:
    """A click from another organisation arrives, with that organisation's team on the user only."""
    ts = (await web_client.chat_postMessage(channel=PARTNERS, text="card", blocks=CARD))["ts"]
    await slack.click(OUTSIDER, "take", str(ts), channel=PARTNERS)
    payload = await last_payload(listener)
    assert payload["user"]["team_id"] != payload["team"]["id"]


async def test_a_submission_carries_initial_and_chosen_values(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """view_submission holds every input, untouched ones with their initial value; an empty answer closes the modal."""
    view_id = await open_view(slack, listener, web_client, card, modal(private_metadata="h-1"))
    await slack.submit(DANA, view_id, {"outcome": "solved", "flags": ["tell"]})
    payload = await last_payload(listener)
    validate_payload("view_submission", None, payload)
    assert payload["view"]["private_metadata"] == "h-1"
    assert payload["view"]["state"]["values"] == {
        "outcome": {"outcome": {"type": "static_select", "selected_option": option("solved")}},
        "note": {"note": {"type": "plain_text_input", "value": "as before"}},
        "flags": {"flags": {"type": "checkboxes", "selected_options": [option("tell")]}},
    }
    assert (await slack.state()).views(DANA) == []


async def test_slacks_client_checks_a_form_before_the_app_does(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """Missing and overlong fields are complained about without asking the app."""
    view_id = await open_view(slack, listener, web_client, card)
    sent = len(listener.requests)
    assert set((await slack.submit(DANA, view_id))["errors"]) == {"outcome"}
    answer = await slack.submit(DANA, view_id, {"outcome": "open", "note": "x" * 21})
    assert answer["errors"] == {"note": "Enter at most 20 characters."}
    assert len(listener.requests) == sent


async def test_an_app_answers_a_submission_in_four_ways(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """errors, update, push and clear each do to the modal what Slack does."""
    view_id = await open_view(slack, listener, web_client, card)
    given = {"outcome": "solved"}
    listener.answers = [{"response_action": "errors", "errors": {"note": "Say more"}}]
    assert (await slack.submit(DANA, view_id, given))["errors"] == {"note": "Say more"}
    assert (await slack.state()).views(DANA)[0]["errors"] == {"note": "Say more"}
    listener.answers = [{"response_action": "update", "view": modal("Really?")}]
    await slack.submit(DANA, view_id, given)
    updated = (await slack.state()).views(DANA)[0]
    assert (updated["view"]["title"]["text"], updated["errors"]) == ("Really?", {})
    listener.answers = [{"response_action": "push", "view": modal("On top")}]
    await slack.submit(DANA, view_id, given)
    stack = (await slack.state()).views(DANA)
    assert [each["view"]["title"]["text"] for each in stack] == ["Really?", "On top"]
    assert stack[1]["view"]["previous_view_id"] == view_id
    listener.answers = [{"response_action": "clear"}]
    await slack.submit(DANA, stack[1]["view"]["id"], given)
    assert (await slack.state()).views(DANA) == []


async def test_an_answer_that_makes_no_sense_is_shown_as_trouble(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """Errors for blocks that do not exist, bad views and server errors leave the modal open with Slack's apology."""
    view_id = await open_view(slack, listener, web_client, card)
    given = {"outcome": "solved"}
    bad_view = {"response_action": "update", "view": {"type": "modal"}}
    for answer in ({"response_action": "errors", "errors": {"nope": "x"}}, bad_view):
        listener.answers = [answer]
        assert "failed" in await slack.submit(DANA, view_id, given)
        assert "trouble" in (await slack.state()).views(DANA)[0]["errors"][""]
    listener.statuses = [500]
    assert (await slack.submit(DANA, view_id, given))["failed"] == "dispatch_failed"


async def test_closing_is_told_only_to_those_who_asked(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """view_closed is sent for notify_on_close only."""
    await slack.close_view(DANA, await open_view(slack, listener, web_client, card))
    assert await slack.deliveries("view_closed") == []
    view_id = await open_view(slack, listener, web_client, card, modal(notify_on_close=True))
    await slack.close_view(DANA, view_id)
    payload = await last_payload(listener)
    validate_payload("view_closed", None, payload)
    assert (payload["view"]["id"], payload["is_cleared"]) == (view_id, False)


async def test_a_button_in_a_modal_keeps_what_was_typed(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """block_actions from a modal carry the state so far, and views.update keeps it; a stale hash conflicts."""
    view_id = await open_view(slack, listener, web_client, card)
    await slack.act(DANA, "click", view_id=view_id, action_id="more", values={"note": "typed"})
    payload = await last_payload(listener)
    assert payload["container"] == {"type": "view", "view_id": view_id}
    assert payload["view"]["state"]["values"]["note"]["note"]["value"] == "typed"
    old = payload["view"]["hash"]
    pushed = await web_client.views_push(trigger_id=payload["trigger_id"], view=modal("Second"))
    assert pushed["view"]["root_view_id"] == view_id
    await slack.close_view(DANA, pushed["view"]["id"])
    await web_client.views_update(view_id=view_id, hash=old, view=modal("Changed"))
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await web_client.views_update(view_id=view_id, hash=old, view=modal("Late"))
    await slack.submit(DANA, view_id, {"outcome": "open"})
    assert (await last_payload(listener))["view"]["state"]["values"]["note"]["note"]["value"] == "typed"


async def test_what_slack_adds_to_a_modal_is_not_taken_back(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """A view as a payload shows it has fields that views.update refuses by name; without them it is good."""
    view_id = await open_view(slack, listener, web_client, card)
    await slack.act(DANA, "click", view_id=view_id, action_id="more")
    payload = await last_payload(listener)
    validate_payload("block_actions", None, payload)
    shown = payload["view"]
    with pytest.raises(SlackApiError) as refused:
        await web_client.views_update(view_id=view_id, view=shown)
    told = str(refused.value.response["response_metadata"]["messages"])
    assert all(f"invalid additional property: {name} " in told for name in ("id", "hash", "state", "submit_disabled"))
    mine = {name: shown[name] for name in ("type", "callback_id", "title", "submit", "blocks")}
    await web_client.views_update(view_id=view_id, view=mine)


async def test_a_trigger_is_good_once(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, card: str
) -> None:
    """A used trigger and an invented one open nothing, and a bad view does not use it up."""
    await slack.click(DANA, "take", card)
    trigger_id = (await last_payload(listener))["trigger_id"]
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await web_client.views_open(
            trigger_id=trigger_id, view={"type": "modal", "title": plain("x" * 25), "blocks": []}
        )
    with pytest.raises(SlackApiError, match="view_too_large"):
        await web_client.views_open(trigger_id=trigger_id, view=modal(private_metadata="x" * 250_001))
    await web_client.views_open(trigger_id=trigger_id, view=modal())
    with pytest.raises(SlackApiError, match="trigger_exchanged"):
        await web_client.views_open(trigger_id=trigger_id, view=modal())
    with pytest.raises(SlackApiError, match="invalid_trigger_id"):
        await web_client.views_open(trigger_id="1.2.3", view=modal())


def test_triggers_and_response_urls_run_out() -> None:
    """A trigger expires after three seconds, a response URL after thirty minutes or five uses."""
    clock = [1000.0]
    changes: list[Change] = []
    modals = Modals(now=lambda: clock[0], on_change=changes.append, triggers={}, views={}, response_urls={})
    in_time, late = modals.trigger(DANA), modals.trigger(DANA)
    clock[0] += 2.9
    modals.open(in_time, modal())
    clock[0] += 0.2
    with pytest.raises(SlackError, match="trigger_expired"):
        modals.open(late, modal())
    token = modals.response_url("", modals.permission(SUPPORT, DANA)).rpartition("/")[2]
    for _ in range(5):
        modals.use_response_url(token)
    with pytest.raises(SlackError, match="used_url"):
        modals.use_response_url(token)
    fresh = modals.response_url("", modals.permission(SUPPORT, DANA)).rpartition("/")[2]
    clock[0] += 30 * 60 + 1
    with pytest.raises(SlackError, match="expired_url"):
        modals.use_response_url(fresh)


async def test_a_command_is_a_form_with_slacks_fields(slack: Workspace, listener: Listener) -> None:
    """A slash command arrives as a form without any message or thread, and fits the published type."""
    listener.answers = [{"response_type": "in_channel", "text": "Done, H-1 is back."}]
    await slack.command(GUEST, "/return", "H-1 payload & more")
    form = {name: values[0] for name, values in parse_qs(listener.requests[-1][1].decode()).items()}
    validate_payload("slash_command", None, form)
    assert form["text"] == "H-1 payload &amp; more"
    assert not {"thread_ts", "message_ts", "payload"} & set(form)
    assert (await slack.messages())[-1]["text"] == "Done, H-1 is back."
    assert "refused" in await slack.command(DANA, "/nonsense")


async def test_a_command_that_asks_for_it_gets_escaped_text(slack: Workspace, listener: Listener) -> None:
    """With should_escape names become ids and markup is escaped; without it the words arrive as typed."""
    texts = []
    for should_escape in (True, False):
        await slack.configure(commands=[{"command": "/return", "should_escape": should_escape}])
        await slack.command(DANA, "/return", "ask @lee <now>")
        texts.append(parse_qs(listener.requests[-1][1].decode())["text"][0])
    assert texts == [f"ask <@{LEE}> &lt;now&gt;", "ask @lee <now>"]


async def test_shortcuts_know_their_message(slack: Workspace, listener: Listener) -> None:
    """A message shortcut names the message in its thread; a global one has no channel and no response_url."""
    root = await slack.say(DANA, "root")
    reply = await slack.say(LEE, "reply", thread_ts=root)
    await slack.shortcut(DANA, "bridge_return_message", ts=reply)
    payload = await last_payload(listener)
    assert (payload["type"], payload["message"]["thread_ts"], payload["message_ts"]) == ("message_action", root, reply)
    assert payload["response_url"]
    await slack.shortcut(DANA, "return_any")
    payload = await last_payload(listener)
    assert payload["type"] == "shortcut"
    assert not {"channel", "response_url", "message"} & set(payload)
    with pytest.raises(SandboxRefusal, match="no global shortcut"):
        await slack.shortcut(DANA, "bridge_return_message")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A bare HTTP client."""
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_a_response_url_answers_five_times(
    slack: Workspace, listener: Listener, card: str, session: aiohttp.ClientSession
) -> None:
    """A response URL whispers, posts, replaces and deletes; the sixth use is refused."""
    await slack.click(DANA, "take", card)
    url = (await last_payload(listener))["response_url"]

    async def answer(body: dict[str, Any]) -> int:
        async with session.post(url, json=body) as response:
            return response.status

    assert await answer({"text": "only you"}) == 200
    in_thread = {"text": "all", "response_type": "in_channel", "thread_ts": card, "replace_original": False}
    assert await answer(in_thread) == 200
    assert await answer({"text": "new card", "replace_original": True}) == 200
    state = await slack.state()
    assert [each["text"] for each in state.ephemerals(DANA)] == ["only you"]
    assert [each["text"] for each in state.thread(SUPPORT, card)] == ["new card", "all"]
    assert await answer({"text": ""}) == 400
    assert await answer({"delete_original": True}) == 200
    assert await answer({"text": "once more"}) == 404


async def test_an_ephemeral_message_has_working_buttons(
    slack: Workspace, listener: Listener, web_client: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    """A button of an ephemeral message reaches the app, and only its response_url can replace the message."""
    sent = await web_client.chat_postEphemeral(channel=SUPPORT, user=DANA, text="send?", blocks=CARD)
    await slack.click(DANA, "take", sent["message_ts"])
    payload = await last_payload(listener)
    assert payload["container"]["is_ephemeral"] is True
    async with session.post(payload["response_url"], json={"replace_original": True, "text": "sent"}) as answer:
        assert answer.status == 200
    assert [each["text"] for each in (await slack.state()).ephemerals(DANA)] == ["sent"]
    with pytest.raises(SlackApiError, match="message_not_found"):
        await web_client.chat_update(channel=SUPPORT, ts=sent["message_ts"], text="x")


async def test_people_cannot_act_on_others_behalf(slack: Workspace, sandbox: Sandbox) -> None:
    """Nobody edits another's message, and a deactivated account does nothing."""
    ts = await slack.say(DANA, "mine")
    with pytest.raises(SandboxRefusal, match="cant_update_message"):
        await slack.edit(LEE, ts, "yours")
    await slack.act(SAM, "deactivate", target=LEE)
    with pytest.raises(SandboxRefusal, match="account_inactive"):
        await slack.say(LEE, "still here")
