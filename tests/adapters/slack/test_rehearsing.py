"""The agent's rehearsal, asked for in the return modal or by name in the thread."""

import copy
from typing import Any

import pytest

from adapters.sandbox.client import Json
from adapters.sandbox.slack.people import BILLING, DANA, GUEST, LEE
from adapters.slack import interactions, modals
from bridge import refusals
from bridge.conversation import Handoff, HandoffState, Standing
from bridge.envelope import ReturnOutcome
from bridge.events import OperatorRehearsed, OperatorReturned, OperatorSaid
from bridge.notices import REHEARSING
from tests.adapters.slack.conftest import Stage, root_ts
from tests.adapters.slack.rig import owner, person


@pytest.fixture
def stage(by_http: Stage) -> Stage:
    """These stories go over HTTP, where each press is answered before the sandbox goes on."""
    return by_http


async def asked(stage: Stage, user: str = DANA, **fields: Any) -> tuple[Handoff, Json]:
    """Open a conversation's return modal; return both."""
    one = await stage.opened(**({"state": HandoffState.HUMAN, "operator": owner(DANA)} | fields))
    await stage.slack.click(user, "bridge_return", root_ts(one))
    await stage.slack.wait_for(lambda state: one.ticket in str([each["view"]["title"] for each in state.views(user)]))
    return one, await stage.slack.view_of(user)


async def press(stage: Stage, user: str, view: Json, **typed: Any) -> Json:
    """Press the button with this typed so far; return the modal as it stands then."""
    given = {"view_id": view["id"], "action_id": modals.REHEARSE, "values": typed}
    assert "failed" not in await stage.slack.act(user, "click", **given)
    return await stage.slack.view_of(user)


def line(view: Json) -> str:
    """Return what stands under the button."""
    at = next(i for i, block in enumerate(view["blocks"]) if block["block_id"] == modals.REHEARSE)
    (under,) = view["blocks"][at + 1 :]
    text = under.get("text") or under["elements"][0]
    return str(text["text"])


async def test_the_draft_note_goes_to_the_agent_and_the_dialog_stays(stage: Stage) -> None:
    """Every field as it stands in the form, for who pressed; the modal says what comes, and keeps what was typed."""
    one, view = await asked(stage)
    assert line(view) == modals.REHEARSE_HINT
    typed = {"note": "All paid.", "outcome": "resolved", "facts": "one\n\ntwo", "continue_now": ["yes"]}
    shown = await press(stage, DANA, view, **typed)

    (event,) = stage.door.of(OperatorRehearsed)
    assert (event.handoff, event.operator.id, event.operator.standing) == (one.id, person(DANA), Standing.ALLOWED)
    note = event.note
    assert (note.note, note.outcome, note.facts) == ("All paid.", ReturnOutcome.RESOLVED, ("one", "two"))
    assert line(shown) == REHEARSING
    assert shown["state"]["values"]["note"]["note"]["value"] == "All paid."
    assert shown["title"] == view["title"]
    update = (await stage.slack.calls("views.update"))[-1]["args"]
    assert (update["view_id"], update["hash"]) == (view["id"], view["hash"])

    assert not (await stage.slack.submit(DANA, view["id"])).get("errors")
    (returned,) = stage.door.of(OperatorReturned)
    assert returned.note == note


async def test_mistakes_are_told_and_nothing_is_lost(stage: Stage) -> None:
    """What has to be mended is named under the button; the agent is not asked."""
    _, view = await asked(stage)
    shown = await press(stage, DANA, view, promises="\n".join(["line"] * 21))

    assert line(shown) == "Promises made: At most 20 lines; these are 21."
    assert "line\nline" in shown["state"]["values"]["promises"]["promises"]["value"]
    assert stage.door.of(OperatorRehearsed) == []


async def test_a_refusal_stands_under_the_button(stage: Stage) -> None:
    """What the core refuses, what could not be kept, what is gone: a sentence, and the next press may work."""
    one, view = await asked(stage)
    stage.door.refusals[OperatorRehearsed] = "Lee has this conversation."
    view = await press(stage, DANA, view)
    assert line(view) == "Lee has this conversation."
    stage.door.refusals.clear()
    stage.door.failures = 1
    view = await press(stage, DANA, view)
    assert line(view) == refusals.NOT_KEPT
    view = await press(stage, DANA, view)
    assert line(view) == REHEARSING
    stage.book.handoffs.remove(one)
    assert line(await press(stage, DANA, view)) == refusals.GONE


async def test_a_conversation_that_moved_is_not_rehearsed_from_its_old_modal(stage: Stage) -> None:
    """The modal belongs to a channel: in another one the handoff is somebody else's."""
    one, view = await asked(stage)
    stage.book.change(one, thread=(await stage.opened(channel=BILLING)).thread)

    assert line(await press(stage, DANA, view)) == refusals.ELSEWHERE
    assert stage.door.of(OperatorRehearsed) == []


async def test_of_several_conversations_the_chosen_one_rehearses(stage: Stage) -> None:
    """In the slash command's modal the choice counts as it does when it is sent off."""
    await stage.opened(number=3001, operator=owner(DANA))
    second = await stage.opened(number=3002, operator=owner(DANA))
    await stage.slack.command(DANA, "/return", "all fine")
    view = await stage.slack.view_of(DANA)
    await press(stage, DANA, view, handoff=str(second.id))

    assert [(event.handoff, event.note.note) for event in stage.door.of(OperatorRehearsed)] == [(second.id, "all fine")]


async def test_each_press_counts_once(stage: Stage) -> None:
    """Two presses are two tries; one that Slack delivers again is none, and puts no older line over a newer one."""
    _, view = await asked(stage)
    view = await press(stage, DANA, view)
    view = await press(stage, DANA, view)
    first, second = [each["body"] for each in await _presses(stage)]
    assert first["actions"][0]["action_ts"] != second["actions"][0]["action_ts"]
    for _ in range(2):
        assert (await stage.parts.door.dispatch(copy.deepcopy(first))).status == 200

    assert len(stage.door.of(OperatorRehearsed)) == 2
    assert (await stage.slack.view_of(DANA))["hash"] == view["hash"]
    assert [call["error"] for call in (await stage.slack.calls("views.update"))[-2:]] == ["hash_conflict"] * 2


async def _presses(stage: Stage) -> list[Json]:
    """Return what Slack sent for the last two presses in a modal."""
    sent = await stage.slack.deliveries("block_actions")
    return [each for each in sent if each["body"].get("view")][-2:]


async def test_a_modal_that_was_closed_meanwhile_stays_closed(stage: Stage) -> None:
    """Who pressed and left gets the agent's words in the thread all the same."""
    _, view = await asked(stage)
    body = {
        "type": "block_actions",
        "team": {"id": "T0HARBOUR"},
        "user": {"id": DANA},
        "container": {"type": "view", "view_id": view["id"]},
        "view": view,
        "trigger_id": "t",
        "actions": [{"action_id": modals.REHEARSE, "type": "button", "action_ts": "9.1", "block_id": modals.REHEARSE}],
    }
    await stage.slack.close_view(DANA, view["id"])

    assert (await stage.parts.door.dispatch(body)).status == 200
    assert len(stage.door.of(OperatorRehearsed)) == 1


def test_presses_of_others_modals_mean_nothing() -> None:
    """A button without a modal of ours, or a name that is none of ours, is not read."""
    view = {"id": "V1", "callback_id": "bridge_return", "private_metadata": "{}", "state": {"values": {}}}
    ours = {"view": view, "actions": [{"action_id": modals.REHEARSE, "action_ts": "1.2"}]}
    assert interactions.read_press(ours) is not None
    assert interactions.read_press({**ours, "actions": [{"action_id": "other"}]}) is None
    assert interactions.read_press({**ours, "actions": "x"}) is None
    assert interactions.read_press({**ours, "view": {**view, "callback_id": "x"}}) is None
    assert interactions.read_press({**ours, "view": {**view, "private_metadata": "{"}}) is None
    assert interactions.read_press({"actions": ours["actions"], "message": {"ts": "1.1"}}) is None


@pytest.mark.parametrize(
    "text, note", [("rehearse", ""), ("Rehearse: call @lee\nif *urgent*", "call Lee Park\nif urgent")]
)
async def test_the_bridge_is_asked_by_name_to_rehearse(stage: Stage, text: str, note: str) -> None:
    """`@bridge rehearse` with a note in the thread does the same as the button."""
    one = await stage.opened()
    await stage.slack.mention(DANA, text, thread_ts=root_ts(one))

    event = await stage.door.first(OperatorRehearsed)
    assert (event.handoff, event.operator.id, event.note.note) == (one.id, person(DANA), note)
    assert stage.door.of(OperatorSaid) == []


@pytest.mark.parametrize("text", ["rehearsed", "please rehearse", "rehearse-now", "reherse this"])
async def test_what_is_no_command_stays_a_note(stage: Stage, text: str) -> None:
    """Only the word itself, first; the rest is kept for colleagues."""
    one = await stage.opened()
    await stage.slack.mention(DANA, text, thread_ts=root_ts(one))

    assert (await stage.door.first(OperatorSaid)).hints >= {"mentions_bridge"}
    assert stage.door.of(OperatorRehearsed) == []


async def test_a_refused_command_is_told_to_who_typed_it(stage: Stage) -> None:
    """An outsider reads why, alone."""
    one = await stage.opened()
    stage.door.refusals[OperatorRehearsed] = "Guests may not act on conversations."
    await stage.slack.mention(GUEST, "rehearse all fine", thread_ts=root_ts(one))

    told = await stage.slack.wait_for(lambda state: state.ephemerals(GUEST))
    assert "Guests may not" in str(told[-1])
    assert (await stage.slack.state()).ephemerals(LEE) == []
