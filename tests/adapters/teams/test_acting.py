"""Buttons, forms, the message extension, as people use them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.sandbox.teams.people import BILLING, DANA, GUEST, LEE, SAM, SUPPORT
from adapters.teams import inputs
from adapters.teams.acting import UNKNOWN
from adapters.teams.forms import Mistake, read_return, read_transfer
from bridge import refusals
from bridge.conversation import HandoffState, Standing
from bridge.envelope import ReturnOutcome
from bridge.events import (
    CardStale,
    Event,
    OperatorClosed,
    OperatorForwarded,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorTook,
    OperatorTransferred,
)
from bridge.ids import HandoffId
from tests.adapters.teams.in_rig import Stage, owned, person, root, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A desk and its team."""
    async with staged() as one:
        yield one


def acted(stage: Stage) -> list[Event]:
    return [event for event in stage.door.events if not isinstance(event, CardStale)]


BUTTONS: list[tuple[str, dict[str, Any], type[Event]]] = [
    ("take", {}, OperatorTook),
    ("close", {}, OperatorClosed),
    ("release", owned(DANA), OperatorReleased),
    ("reopen", {"state": HandoffState.RETURNED}, OperatorReopened),
]


@pytest.mark.parametrize("verb, fields, kind", BUTTONS, ids=[button[0] for button in BUTTONS])
@pytest.mark.parametrize("old_client", [False, True])
async def test_each_button_of_the_card_does_what_it_says(
    stage: Stage, verb: str, fields: dict[str, Any], kind: type[Event], old_client: bool
) -> None:
    """For who pressed, with the handoff's id; on clients that know no Action.Execute too."""
    await stage.teams.rules(old_client=old_client)
    one = await stage.opened(**fields)
    await stage.teams.click(SAM, root(one), verb)
    event = await stage.door.first(kind)

    assert (getattr(event, "handoff", None), len(acted(stage))) == (one.id, 1)
    operator = getattr(event, "operator", None)
    assert operator is not None
    assert (operator.id, operator.standing) == (person(SAM), Standing.SUPERVISOR)


async def test_who_pressed_sees_the_new_card_at_once(stage: Stage) -> None:
    """The answer to the press is the card as it is now; everybody else gets it from the desk."""
    one = await stage.opened()
    changed = stage.book.change(one, **owned(DANA))
    await stage.teams.click(DANA, root(one), "take")

    seen = (await stage.teams.state()).card(DANA, (await stage.thread(one))[0])
    assert "Taken by" in str(seen)
    assert changed.ticket in str(seen)
    assert "Taken by" not in str((await stage.teams.state()).card(LEE, (await stage.thread(one))[0]))


async def test_a_refused_press_is_explained_and_changes_nothing(stage: Stage) -> None:
    """Whoever comes second reads why, on the card, and nobody else is bothered."""
    one = await stage.opened()
    stage.door.refusals[OperatorTook] = "Lee has it already."
    await stage.teams.click(DANA, root(one), "take")

    assert (await stage.teams.state()).notices(DANA) == ["Lee has it already."]
    assert len(await stage.thread(one)) == 1


async def test_a_refusal_on_an_old_client_is_said_in_the_thread(stage: Stage) -> None:
    """It waits for no answer, so the sentence is a message."""
    await stage.teams.rules(old_client=True)
    one = await stage.opened()
    stage.door.refusals[OperatorTook] = "Lee has it already."
    await stage.teams.click(DANA, root(one), "take")

    await stage.told(one, "Lee has it already.")


async def test_a_press_that_teams_delivers_twice_acts_once(stage: Stage) -> None:
    """The same invoke again is the same event again."""
    one = await stage.opened()
    await stage.teams.click(DANA, root(one), "take")
    sent = (await stage.teams.deliveries("adaptiveCard/action"))[0]["activity"]
    status, _ = await stage.teams.deliver(sent, token="valid")

    assert (status, len(stage.door.of(OperatorTook))) == (200, 1)


async def _pressed(stage: Stage, **changes: Any) -> tuple[int, str]:
    """Press *Take it* as Teams would tell it, with something changed."""
    one = stage.book.handoffs[-1]
    await stage.teams.click(DANA, root(one), "take")
    sent = (await stage.teams.deliveries("adaptiveCard/action"))[0]["activity"]
    stage.door.events.clear()
    return await stage.teams.deliver({**sent, "id": "f-2", **changes}, token="valid")


async def test_a_forwarded_card_does_nothing(stage: Stage) -> None:
    """The conversation must be the handoff's own thread: a copy elsewhere is refused in a sentence."""
    one = await stage.opened()
    for place in (f"{BILLING};messageid={root(one)}", f"{SUPPORT};messageid=1", SUPPORT):
        stage.door.seen.clear()
        status, text = await _pressed(stage, conversation={"id": place})
        assert (status, refusals.ELSEWHERE in text, acted(stage)) == (200, True, [])


async def test_the_card_is_not_believed_who_acts(stage: Stage) -> None:
    """Whatever its data say, the one whom Teams names acts; an unknown handoff is told as gone."""
    one = await stage.opened()
    action = {"type": "Action.Execute", "verb": "take", "data": {"handoff": one.id, "operator": person(SAM)}}
    await _pressed(stage, value={"action": action})
    assert stage.door.of(OperatorTook)[0].operator.id == person(DANA)
    gone = {"type": "Action.Execute", "verb": "take", "data": {"handoff": "h_none"}}
    _, text = await _pressed(stage, value={"action": gone})
    assert refusals.GONE in text


@pytest.mark.parametrize(
    "value",
    [
        {"action": {"type": "Action.Execute", "verb": "drop_all", "data": {}}},
        {"action": {"type": "Action.Execute", "verb": 7}},
        {"action": "take"},
        {},
        None,
        "x",
    ],
)
async def test_unknown_buttons_do_nothing(stage: Stage, value: object) -> None:
    """A verb that is none is answered as such; nothing is kept, nothing fails."""
    await stage.opened()
    status, text = await _pressed(stage, value=value)

    assert status in {200, 501}
    assert UNKNOWN in text or status == 501
    assert acted(stage) == []


async def test_an_unknown_button_of_an_old_client_is_told_in_the_thread(stage: Stage) -> None:
    """It waits for no answer; in threads that are not ours nothing is said."""
    one = await stage.opened()
    await stage.teams.rules(old_client=True)
    await stage.teams.click(DANA, root(one), "take")
    sent = (await stage.teams.delivered("message", 1))[0]["activity"]
    stage.door.events.clear()
    for place in (sent["conversation"], {"id": f"{BILLING};messageid=7"}):
        odd = {**sent, "id": "f-9", "conversation": place, "value": {**sent["value"], "verb": "drop_all"}}
        assert (await stage.teams.deliver(odd, token="valid"))[0] == 200

    await stage.told(one, "knows no such button")
    assert acted(stage) == []


async def test_guests_may_not_press(stage: Stage) -> None:
    """The core is told what stands against them, and people who decide about a post need standing."""
    one = await stage.opened()
    await stage.teams.click(GUEST, root(one), "take")
    assert stage.door.of(OperatorTook)[0].operator.standing is Standing.NONE
    notice = await stage.notice(one, "retry_send")
    await stage.teams.click(GUEST, notice, "retry_send")
    assert stage.ledger.asked == []
    assert "Guests" in str((await stage.teams.state()).notices(GUEST))


async def test_while_the_store_is_away_nothing_has_changed(stage: Stage) -> None:
    """Who pressed is told to try again."""
    one = await stage.opened()
    stage.door.failures = 1
    await stage.teams.click(DANA, root(one), "take")

    assert (await stage.teams.state()).notices(DANA) == [refusals.NOT_KEPT]


# --- notices


@pytest.mark.parametrize("verb, take", [("send_to_customer", False), ("take_and_send", True)])
async def test_a_kept_message_is_sent_after_all(stage: Stage, verb: str, take: bool) -> None:
    """The button under a notice names the entry and the thread; the notice stays what it is."""
    one = await stage.opened()
    notice = await stage.notice(one, verb)
    await stage.teams.click(DANA, notice, verb)

    sent = await stage.door.first(OperatorForwarded)
    assert (sent.root, sent.n, sent.remote, sent.take) == (one.thread.root, 6, None, take)
    posted = next(each for each in await stage.thread(one) if each["id"] == notice)
    assert posted["views"] == {}


async def test_take_it_back_under_a_notice_reopens(stage: Stage) -> None:
    """The button under the notice of a return works as the card's."""
    one = await stage.opened(state=HandoffState.RETURNED)
    await stage.teams.click(DANA, await stage.notice(one, "take_back"), "take_back")

    assert [event.handoff for event in stage.door.of(OperatorReopened)] == [one.id]


@pytest.mark.parametrize("verb, asked", [("retry_send", "again"), ("it_arrived", "arrived")])
async def test_people_decide_about_an_unclear_post(stage: Stage, verb: str, asked: str) -> None:
    """The two buttons of an unclear post reach whoever keeps the dead letters."""
    one = await stage.opened()
    await stage.teams.click(DANA, await stage.notice(one, verb), verb)

    assert stage.ledger.asked == [(asked, HandoffId(one.id), 6)]


# --- forms


async def test_a_return_carries_all_that_was_put_into_the_form(stage: Stage) -> None:
    """Outcome, note, lists by line, and whether the agent goes on at once."""
    one = await stage.opened(**owned(DANA))
    typed = {
        inputs.OUTCOME: "resolved",
        inputs.NOTE: "All paid.",
        inputs.FACTS: "order 7 is paid\n\n refund sent ",
        inputs.PROMISES: "a call on Monday",
        inputs.DO_NOT_REPEAT: "",
        inputs.CONTINUE_NOW: "true",
    }
    await stage.teams.click(DANA, root(one), "return", inputs=typed)

    note = (await stage.door.first(OperatorReturned)).note
    assert (note.outcome, note.note, note.continue_now) == (ReturnOutcome.RESOLVED, "All paid.", True)
    assert (note.facts, note.promises, note.do_not_repeat) == (
        ("order 7 is paid", "refund sent"),
        ("a call on Monday",),
        (),
    )


def test_what_has_to_be_mended_in_a_form_is_said() -> None:
    """Too many lines, too long ones, an outcome that is none, no place to go, two places."""
    for values, words in (
        ({inputs.FACTS: "x\n" * 21}, "Facts established: at most 20 lines; these are 21."),
        ({inputs.PROMISES: "x" * 501}, "Promises made: a line may have 500 characters"),
        ({inputs.NOTE: "x" * 3001}, "The note may have 3000 characters"),
        ({inputs.OUTCOME: "brilliant"}, "Choose how it ended."),
    ):
        with pytest.raises(Mistake, match=words):
            read_return(values)
    for values in ({}, {inputs.PERSON: "p", inputs.QUEUE: "q"}):
        with pytest.raises(Mistake, match="Choose a"):
            read_transfer(values)
    assert read_return({}).outcome is ReturnOutcome.ANSWERED


async def test_a_mistake_in_a_form_is_told_on_the_card(stage: Stage) -> None:
    """Nothing is returned, and who pressed knows what to mend."""
    one = await stage.opened(**owned(DANA))
    await stage.teams.click(DANA, root(one), "return", inputs={inputs.FACTS: "x\n" * 21})

    assert acted(stage) == []
    assert "at most 20 lines" in (await stage.teams.state()).notices(DANA)[0]


async def test_a_transfer_goes_to_a_queue(stage: Stage) -> None:
    """Chosen in the card's form, with a note."""
    one = await stage.opened(**owned(DANA))
    typed = {inputs.QUEUE: "billing", inputs.TRANSFER_NOTE: "Please refund"}
    await stage.teams.click(DANA, root(one), "transfer", inputs=typed)

    moved = await stage.door.first(OperatorTransferred)
    assert (moved.to_queue, moved.to_operator, moved.note) == ("billing", None, "Please refund")


@pytest.mark.parametrize("who, queue, words", [(GUEST, "", "Guests"), ("", "no-such", "no such queue")])
async def test_a_transfer_goes_nowhere_else(stage: Stage, who: str, queue: str, words: str) -> None:
    """Not to people without standing, not to queues that are gone."""
    one = await stage.opened(**owned(DANA))
    data = {"handoff": one.id, inputs.PERSON: who, inputs.QUEUE: queue}
    status, text = await _returned_as(stage, one.id, {"action": {"verb": "transfer", "data": data}})

    assert (status, words in text, acted(stage)) == (200, True, [])


async def _returned_as(stage: Stage, handoff: str, value: dict[str, Any]) -> tuple[int, str]:
    one = next(each for each in stage.book.handoffs if each.id == handoff)
    await stage.teams.click(DANA, root(one), "release")
    sent = (await stage.teams.deliveries("adaptiveCard/action"))[0]["activity"]
    stage.door.events.clear()
    return await stage.teams.deliver({**sent, "id": "f-3", "value": value}, token="valid")


async def test_a_colleague_of_the_team_can_be_chosen(stage: Stage) -> None:
    """By Entra's object id, with their standing."""
    one = await stage.opened(**owned(DANA))
    data = {"handoff": one.id, inputs.PERSON: LEE}
    await _returned_as(stage, one.id, {"action": {"verb": "transfer", "data": data}})

    to = stage.door.of(OperatorTransferred)[0].to_operator
    assert to is not None
    assert (to.id, to.standing) == (person(LEE), Standing.ALLOWED)


# --- the message extension


async def test_a_message_of_the_thread_can_give_it_back(stage: Stage) -> None:
    """*Return to AI agent* in the menu of any message opens the form; sent off, it is a return."""
    one = await stage.opened(**owned(DANA))
    said = await stage.teams.say(DANA, "// done", root=root(one))
    opened = await stage.teams.message_action(DANA, said)
    assert one.ticket in opened["title"]
    closed = await stage.teams.submit_dialog(DANA, opened["dialog"], {inputs.NOTE: "Over to you"})

    returned = await stage.door.first(OperatorReturned)
    assert (returned.handoff, returned.note.note) == (one.id, "Over to you")
    assert closed["closed"]


async def test_a_note_can_be_sent_from_its_menu(stage: Stage) -> None:
    """*Send to the customer* names the message itself; a refusal is said where it was pressed."""
    one = await stage.opened(**owned(DANA))
    said = await stage.teams.say(DANA, "// your parcel is here", root=root(one))
    shown = await stage.teams.message_action(DANA, said, "sendToCustomer")
    assert "Sent to the customer." in str(shown)
    sent = await stage.door.first(OperatorForwarded)
    assert one.thread.root is not None
    assert (sent.root, sent.n, sent.take) == (one.thread.root, None, False)
    assert str(sent.remote) == f"{str(one.thread.root).rpartition('#')[0]}#{said}"
    stage.door.refusals[OperatorForwarded] = "That one was sent already."
    again = await stage.teams.message_action(DANA, said, "sendToCustomer")
    assert "sent already" in str(again)
    assert UNKNOWN in str(await stage.teams.message_action(DANA, said, "noSuchThing"))


async def test_the_extension_says_where_it_cannot(stage: Stage) -> None:
    """On a message of another thread, for strangers, on what has ended, and when the return is refused."""
    one = await stage.opened()
    ended = await stage.opened(state=HandoffState.RETURNED)
    other = await stage.teams.say(DANA, "Lunch?", channel=BILLING)

    assert refusals.NOT_OURS in str(await stage.teams.message_action(DANA, other))
    assert refusals.ENDED in str(await stage.teams.message_action(DANA, root(ended)))
    assert "Guests" in str(await stage.teams.message_action(GUEST, root(one)))
    stage.door.refusals[OperatorReturned] = "Lee has it."
    opened = await stage.teams.message_action(DANA, root(one))
    assert "Lee has it." in str(await stage.teams.submit_dialog(DANA, opened["dialog"], {}))
