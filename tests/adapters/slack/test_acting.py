"""Buttons, the slash command, shortcuts and modals, as people use them."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.sandbox.client import Json, State
from adapters.sandbox.slack.people import BILLING, DANA, GUEST, LEE, SAM, SUPPORT
from adapters.slack import dialogs, modals
from bridge import refusals
from bridge.capabilities import Part
from bridge.conversation import Author, EntryKind, Handoff, HandoffState, Role, Standing
from bridge.envelope import ReturnOutcome
from bridge.events import (
    Echoed,
    Event,
    OperatorClosed,
    OperatorForwarded,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorTook,
    OperatorTransferred,
)
from bridge.ids import ChannelId, HandoffId, SiteId
from bridge.outcomes import Delivered
from tests.adapters.slack.conftest import Stage, root_ts
from tests.adapters.slack.rig import key, owner, person


@pytest.fixture
def stage(by_http: Stage) -> Stage:
    """These stories go over HTTP, where each click is answered before the sandbox goes on."""
    return by_http


def acted(stage: Stage) -> list[Event]:
    return [event for event in stage.door.events if not isinstance(event, Echoed)]


def whispered(state: State, user: str) -> str:
    return " | ".join(str(each.get("text")) for each in state.ephemerals(user))


async def told(stage: Stage, user: str, words: str) -> None:
    """Wait until somebody is told this."""
    await stage.slack.wait_for(lambda state: words in whispered(state, user))


BUTTONS: list[tuple[str, HandoffState, type[Event]]] = [
    ("bridge_take", HandoffState.WAITING, OperatorTook),
    ("bridge_close", HandoffState.WAITING, OperatorClosed),
    ("bridge_release", HandoffState.HUMAN, OperatorReleased),
    ("bridge_reopen", HandoffState.RETURNED, OperatorReopened),
]


@pytest.mark.parametrize("action, state, kind", BUTTONS, ids=[button[0] for button in BUTTONS])
async def test_each_button_of_the_card_does_what_it_says(
    stage: Stage, action: str, state: HandoffState, kind: type[Event]
) -> None:
    """The card's buttons carry the handoff, and who pressed."""
    one = await stage.opened(state=state)
    await stage.slack.click(SAM, action, root_ts(one))

    event = acted(stage)[0]
    assert type(event) is kind
    assert getattr(event, "handoff", None) == one.id
    operator = getattr(event, "operator", None)
    assert operator is not None
    assert (operator.id, operator.standing) == (person(SAM), Standing.SUPERVISOR)


async def notice(stage: Stage, one: Handoff, *actions: str) -> str:
    part = Part(
        n=7, kind=EntryKind.NOTICE, author=Author(role=Role.BRIDGE), text="Kept.", plain=False, quiet=True,
        actions=actions, target=6, handoff=one.id,
    )  # fmt: skip
    outcome = await stage.parts.desk.post(one.thread, [part], key())
    assert isinstance(outcome, Delivered)
    return str(outcome.ref).partition(":")[2]


@pytest.mark.parametrize("action, take", [("send_to_customer", False), ("take_and_send", True)])
async def test_a_kept_message_is_sent_after_all(stage: Stage, action: str, take: bool) -> None:
    """The button under a notice names the entry and the thread."""
    one = await stage.opened()
    ts = await notice(stage, one, action)
    await stage.slack.click(DANA, f"bridge_{action}", ts)

    (sent,) = stage.door.of(OperatorForwarded)
    assert (sent.root, sent.n, sent.remote, sent.take) == (one.thread.root, 6, None, take)


async def test_take_it_back_under_a_notice_reopens(stage: Stage) -> None:
    """The button under the notice of a return works as the card's."""
    one = await stage.opened(state=HandoffState.RETURNED)
    await stage.slack.click(DANA, "bridge_take_back", await notice(stage, one, "take_back"))

    assert [event.handoff for event in stage.door.of(OperatorReopened)] == [one.id]


class Ledger:
    """Implements acting.DeadLetters."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, HandoffId, int | None]] = []

    async def send_again(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        self.asked.append(("again", handoff, n))
        return "It is on its way again."

    async def arrived(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        self.asked.append(("arrived", handoff, n))
        return ""


@pytest.mark.parametrize("action, asked", [("retry_send", "again"), ("it_arrived", "arrived")])
async def test_people_decide_about_an_unclear_post(stage: Stage, action: str, asked: str) -> None:
    """The two buttons of an unclear post reach whoever keeps the dead letters; strangers may not press them."""
    one = await stage.opened()
    ledger = Ledger()
    stage.parts.acting._dead_letters = ledger
    ts = await notice(stage, one, action)
    await stage.slack.click(DANA, f"bridge_{action}", ts)
    await stage.slack.click(GUEST, f"bridge_{action}", ts)

    assert ledger.asked == [(asked, one.id, 6)]
    await told(stage, GUEST, "Guests may not")


async def test_a_refused_click_is_explained_to_who_clicked(stage: Stage) -> None:
    """Whoever comes second reads why."""
    one = await stage.opened()
    stage.door.refusals[OperatorTook] = "Lee has it already."
    await stage.slack.click(DANA, "bridge_take", root_ts(one))

    await told(stage, DANA, "Lee has it already.")


async def test_a_click_that_could_not_be_kept_says_so(stage: Stage) -> None:
    """Nothing has changed, and the one who clicked knows."""
    one = await stage.opened()
    stage.door.failures = 1
    await stage.slack.click(DANA, "bridge_take", root_ts(one))

    await told(stage, DANA, refusals.NOT_KEPT)


async def test_a_button_of_another_channel_is_refused(stage: Stage) -> None:
    """A card that was left behind in another channel acts on nothing."""
    one = await stage.opened()
    stage.book.change(one, thread=replace(one.thread, channel=ChannelId(BILLING)))
    await stage.slack.click(DANA, "bridge_take", root_ts(one))

    await told(stage, DANA, refusals.ELSEWHERE)
    assert acted(stage) == []


async def test_a_button_of_a_forgotten_conversation_says_so(stage: Stage) -> None:
    """A card that outlived its conversation is explained."""
    one = await stage.opened()
    stage.book.handoffs.remove(one)
    await stage.slack.click(DANA, "bridge_take", root_ts(one))

    await told(stage, DANA, refusals.GONE)


async def view(stage: Stage, user: str, title: str) -> Json:
    """Wait for a modal of this title."""

    def found(state: State) -> list[Json]:
        return [
            each["view"]
            for each in state.views(user)
            if each["view"]["title"]["text"] == title and each["view"].get("blocks")
        ]

    return (await stage.slack.wait_for(found))[-1]


async def test_the_command_with_a_ticket_asks_about_it(stage: Stage) -> None:
    """`/return H-2001 note` opens that conversation's modal with the note filled in."""
    one = await stage.opened(number=2001, operator=owner(DANA))
    await stage.slack.command(DANA, "/return", "h-2001 Refund is on its way")
    asked = await view(stage, DANA, "Return H-2001")

    assert not (await stage.slack.submit(DANA, asked["id"], {})).get("errors")
    (returned,) = stage.door.of(OperatorReturned)
    assert (returned.handoff, returned.note.note) == (one.id, "Refund is on its way")
    assert returned.note.outcome is ReturnOutcome.ANSWERED


async def test_the_command_without_a_ticket_lets_choose(stage: Stage) -> None:
    """With several open conversations the modal offers them; the chosen one is returned."""
    await stage.opened(number=2002, operator=owner(DANA))
    second = await stage.opened(number=2003, operator=owner(DANA))
    await stage.opened(number=2004, operator=owner(LEE))
    await stage.slack.command(DANA, "/return", "all fine")
    asked = await view(stage, DANA, "Return to AI")
    options = next(block for block in asked["blocks"] if block.get("block_id") == "handoff")["element"]["options"]

    assert [option["text"]["text"].split(" ")[0] for option in options] == ["H-2002", "H-2003"]
    await stage.slack.submit(DANA, asked["id"], {"handoff": str(second.id)})
    assert [(event.handoff, event.note.note) for event in stage.door.of(OperatorReturned)] == [(second.id, "all fine")]


async def test_the_command_finds_the_only_open_one(stage: Stage) -> None:
    """With one open conversation there is nothing to choose."""
    await stage.opened(number=2005, operator=owner(DANA))
    await stage.slack.command(DANA, "/return")

    await view(stage, DANA, "Return H-2005")


@pytest.mark.parametrize("text, words", [("", refusals.NONE_OPEN), ("H-9999", "There is no ticket H-9999.")])
async def test_the_command_says_when_there_is_nothing(stage: Stage, text: str, words: str) -> None:
    """No modal opens for nothing; a plain sentence answers."""
    await stage.slack.command(LEE, "/return", text)

    await told(stage, LEE, words)


async def test_the_command_is_refused_to_outsiders(stage: Stage) -> None:
    """Who may not act gets a reason, not a form."""
    await stage.opened(number=2006)
    await stage.slack.command(GUEST, "/return", "H-2006")

    await told(stage, GUEST, "Guests may not")


async def test_a_shortcut_on_any_message_of_the_thread_returns(stage: Stage) -> None:
    """*Return to AI agent* works on a reply as on the card."""
    one = await stage.opened(number=2007)
    ts = await stage.slack.say(DANA, "done", thread_ts=root_ts(one))
    await stage.slack.shortcut(DANA, "bridge_return_message", ts=ts)

    await view(stage, DANA, "Return H-2007")


async def test_a_shortcut_sends_a_message_to_the_customer(stage: Stage) -> None:
    """*Send to the customer* names the message."""
    one = await stage.opened()
    ts = await stage.slack.say(DANA, "// for them", thread_ts=root_ts(one))
    await stage.slack.shortcut(SAM, "bridge_send_message", ts=ts)

    (sent,) = stage.door.of(OperatorForwarded)
    assert (sent.remote, sent.n, sent.root, sent.operator.id) == (f"{SUPPORT}:{ts}", None, one.thread.root, person(SAM))
    await told(stage, SAM, "Sent to the customer.")


@pytest.mark.parametrize("callback", ["bridge_send_message", "bridge_return_message"])
async def test_a_shortcut_elsewhere_is_explained(stage: Stage, callback: str) -> None:
    """On a message that is none of ours, a sentence says so."""
    ts = await stage.slack.say(DANA, "lunch?")
    await stage.slack.shortcut(DANA, callback, ts=ts)

    def found(state: State) -> bool:
        return refusals.NOT_OURS in whispered(state, DANA) or refusals.NOT_OURS in str(state.views(DANA))

    await stage.slack.wait_for(found)
    assert stage.door.of(OperatorForwarded) == []


async def test_a_transfer_goes_to_a_colleague(stage: Stage) -> None:
    """A chosen person arrives with name and standing."""
    one = await stage.opened(state=HandoffState.HUMAN, operator=owner(DANA))
    await stage.slack.click(DANA, "bridge_transfer", root_ts(one))
    asked = await view(stage, DANA, f"Transfer {one.ticket}")
    await stage.slack.submit(DANA, asked["id"], {"user": LEE, "note": "knows parcels"})

    (moved,) = stage.door.of(OperatorTransferred)
    assert moved.to_operator is not None
    assert (moved.to_operator.id, moved.to_operator.name, moved.to_queue, moved.note) == (
        person(LEE),
        "Lee Park",
        None,
        "knows parcels",
    )


async def test_a_transfer_goes_to_a_queue(stage: Stage) -> None:
    """Every other queue can be chosen."""
    one = await stage.opened(state=HandoffState.HUMAN, operator=owner(DANA))
    await stage.slack.click(DANA, "bridge_transfer", root_ts(one))
    asked = await view(stage, DANA, f"Transfer {one.ticket}")
    await stage.slack.submit(DANA, asked["id"], {"queue": "billing"})

    (moved,) = stage.door.of(OperatorTransferred)
    assert (moved.to_operator, moved.to_queue) == (None, "billing")


@pytest.mark.parametrize(
    "values, words",
    [
        ({}, "Choose a colleague or a queue."),
        ({"user": LEE, "queue": "billing"}, "not both"),
        ({"user": GUEST}, "Guests may not"),
    ],
)
async def test_a_transfer_goes_to_exactly_one_allowed_place(stage: Stage, values: Json, words: str) -> None:
    """The modal says what to mend, and nothing has happened."""
    one = await stage.opened(state=HandoffState.HUMAN, operator=owner(DANA))
    await stage.slack.click(DANA, "bridge_transfer", root_ts(one))
    asked = await view(stage, DANA, f"Transfer {one.ticket}")
    answer = await stage.slack.submit(DANA, asked["id"], values)

    assert words in str(answer.get("errors"))
    assert acted(stage) == []


async def test_a_modal_submitted_too_late_says_so_and_may_be_sent_again(stage: Stage) -> None:
    """A refusal stands in the modal; after the reason is gone, the same modal works."""
    one = await stage.opened(operator=owner(DANA))
    await stage.slack.click(DANA, "bridge_return", root_ts(one))
    asked = await view(stage, DANA, f"Return {one.ticket}")
    stage.door.refusals[OperatorReturned] = "It was closed in the meantime."
    late = await stage.slack.submit(DANA, asked["id"], {"note": "x"})
    stage.door.refusals.clear()
    again = await stage.slack.submit(DANA, asked["id"], {"note": "x"})

    assert late["errors"] == {"note": "It was closed in the meantime."}
    assert not again.get("errors")
    assert len(stage.door.of(OperatorReturned)) == 2


async def test_a_modal_whose_store_is_down_says_so(stage: Stage) -> None:
    """The typed note is not lost: the modal stays."""
    one = await stage.opened(operator=owner(DANA))
    await stage.slack.click(DANA, "bridge_return", root_ts(one))
    asked = await view(stage, DANA, f"Return {one.ticket}")
    stage.door.failures = 1

    assert (await stage.slack.submit(DANA, asked["id"], {"note": "x"}))["errors"] == {"note": refusals.NOT_KEPT}


async def test_an_ended_conversation_is_not_returned(stage: Stage) -> None:
    """The modal says that it ended instead of asking."""
    one = await stage.opened(state=HandoffState.CLOSED, number=2008)
    await stage.slack.shortcut(DANA, "bridge_return_message", ts=root_ts(one))

    await stage.slack.wait_for(lambda state: refusals.ENDED in str(state.views(DANA)))


async def test_a_slow_store_shows_a_waiting_modal_first(stage: Stage) -> None:
    """Slack's trigger lives three seconds, so a modal opens at once and is filled later."""
    one = await stage.opened(number=2009)
    stage.book.slow_s = 1.5
    await stage.slack.click(DANA, "bridge_return", root_ts(one))

    assert await stage.slack.calls("views.open")
    await view(stage, DANA, "Return H-2009")
    assert await stage.slack.calls("views.update")


async def test_a_modal_that_slack_refuses_is_explained(stage: Stage) -> None:
    """Nobody presses a button that does nothing."""
    one = await stage.opened()
    await stage.slack.fault("views.open", "error_before", error="expired_trigger_id")
    await stage.slack.click(DANA, "bridge_return", root_ts(one))

    await told(stage, DANA, dialogs.SLOW)


def test_return_values_are_read_strictly() -> None:
    """Too many or too long lines are named where they stand."""
    values: dict[str, Any] = {
        "facts": {"value": "\n".join(["fact"] * 21)},
        "promises": {"value": "p" * 501},
        "do_not_repeat": {"value": None},
    }
    with pytest.raises(modals.Mistakes) as caught:
        modals.read_return(values)

    assert set(caught.value.errors) == {"facts", "promises"}
    assert "21" in caught.value.errors["facts"]


def test_an_empty_modal_is_a_plain_return() -> None:
    """Nothing has to be filled in."""
    note = modals.read_return({})

    assert (note.outcome, note.note, note.facts, note.continue_now) == (ReturnOutcome.ANSWERED, "", (), False)


async def test_a_redelivered_click_counts_once(stage: Stage) -> None:
    """Socket Mode delivers an unacknowledged click again: same stamp, same source."""
    one = await stage.opened()
    body = {
        "type": "block_actions",
        "team": {"id": "T0HARBOUR"},
        "user": {"id": DANA},
        "container": {"type": "message", "message_ts": root_ts(one), "channel_id": SUPPORT},
        "channel": {"id": SUPPORT},
        "message": {"ts": root_ts(one)},
        "trigger_id": "t",
        "actions": [
            {"action_id": "bridge_take", "type": "button", "value": one.id, "action_ts": "1.2", "block_id": "x"}
        ],
    }
    for _ in range(2):
        assert (await stage.parts.door.dispatch(body)).status == 200

    assert len(stage.door.of(OperatorTook)) == 1
