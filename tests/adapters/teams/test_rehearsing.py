"""The agent's rehearsal, asked for in the card's form or by name in the thread."""

from collections.abc import AsyncIterator

import pytest

from adapters.sandbox.teams.people import DANA, GUEST, LEE, SUPPORT
from adapters.teams import card, inputs
from bridge import refusals
from bridge.conversation import Standing
from bridge.envelope import ReturnOutcome
from bridge.events import OperatorRehearsed, OperatorReturned, OperatorSaid
from bridge.notices import REHEARSING
from tests.adapters.teams.in_rig import Stage, owned, person, root, staged, until
from tests.adapters.teams.out_rig import shown_card

TYPED = {inputs.NOTE: "All paid.", inputs.OUTCOME: "resolved", inputs.FACTS: "one\n\ntwo", inputs.CONTINUE_NOW: "true"}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A desk and its team."""
    async with staged() as one:
        yield one


def test_the_form_offers_it_beside_the_return() -> None:
    """Second to the button that gives the conversation back, which alone stands out."""
    (shown,) = card.card(shown_card(actions=("return",)))["actions"]
    buttons = shown["card"]["actions"]

    assert [(each["verb"], each.get("style")) for each in buttons] == [("return", "positive"), ("rehearse", None)]
    assert buttons[1]["title"] == "Show me what it would say"


async def test_the_draft_note_goes_to_the_agent_and_the_card_stays(stage: Stage) -> None:
    """Every field as it stands in the form, for who pressed; a sentence says what comes, and no card is put in the
    place of the one that is being filled in.
    """
    one = await stage.opened(**owned(DANA))
    shown = await stage.teams.click(DANA, root(one), "rehearse", inputs=TYPED)

    event = await stage.door.first(OperatorRehearsed)
    assert (event.handoff, event.operator.id, event.operator.standing) == (one.id, person(DANA), Standing.ALLOWED)
    note = event.note
    assert (note.note, note.outcome, note.facts) == ("All paid.", ReturnOutcome.RESOLVED, ("one", "two"))
    assert shown["message"] == REHEARSING
    assert (await stage.thread(one))[0]["views"] == {}
    await stage.teams.click(DANA, root(one), "return", inputs=TYPED)
    assert (await stage.door.first(OperatorReturned)).note == note


async def test_old_clients_rehearse_too(stage: Stage) -> None:
    """They wait for no answer; what went wrong is said in the thread."""
    await stage.teams.rules(old_client=True)
    one = await stage.opened(**owned(DANA))
    await stage.teams.click(DANA, root(one), "rehearse", inputs=TYPED)
    assert (await stage.door.first(OperatorRehearsed)).note.note == "All paid."
    stage.door.refusals[OperatorRehearsed] = "Lee has this conversation."
    await stage.teams.click(DANA, root(one), "rehearse")

    await stage.told(one, "Lee has this conversation.")


async def test_what_is_in_the_way_is_told_to_who_pressed(stage: Stage) -> None:
    """A mistake in the form, a refusal, a store that is away: a sentence, and nothing has happened."""
    one = await stage.opened(**owned(DANA))
    await stage.teams.click(DANA, root(one), "rehearse", inputs={inputs.PROMISES: "x\n" * 21})
    stage.door.failures = 1
    await stage.teams.click(DANA, root(one), "rehearse")
    assert stage.door.of(OperatorRehearsed) == []
    stage.door.refusals[OperatorRehearsed] = "Lee has this conversation."
    await stage.teams.click(DANA, root(one), "rehearse")

    assert (await stage.teams.state()).notices(DANA) == [
        "Promises made: at most 20 lines; these are 21.",
        refusals.NOT_KEPT,
        "Lee has this conversation.",
    ]


async def test_each_press_counts_once(stage: Stage) -> None:
    """Two presses are two tries; one that Teams delivers again is none."""
    one = await stage.opened(**owned(DANA))
    for _ in range(2):
        await stage.teams.click(DANA, root(one), "rehearse")
    sent = (await stage.teams.deliveries("adaptiveCard/action"))[0]["activity"]
    status, text = await stage.teams.deliver(sent, token="valid")

    assert (status, REHEARSING in text, len(stage.door.of(OperatorRehearsed))) == (200, True, 2)


@pytest.mark.parametrize("text, note", [("rehearse", ""), ("/Rehearse: all\npaid", "all\npaid")])
async def test_the_bridge_is_asked_by_name_to_rehearse(stage: Stage, text: str, note: str) -> None:
    """`@bridge rehearse` with a note in the thread does the same as the button."""
    one = await stage.opened(**owned(DANA))
    await stage.teams.mention(DANA, text, root=root(one))

    event = await stage.door.first(OperatorRehearsed)
    assert (event.handoff, event.operator.id, event.note.note) == (one.id, person(DANA), note)
    assert stage.door.of(OperatorSaid) == []


@pytest.mark.parametrize("text", ["rehearsed", "rehearse-now", "reherse this", "rehearsal: all paid"])
async def test_what_is_no_command_stays_a_note(text: str) -> None:
    """Only the word itself, first; what was meant for it is no answer, even where a mention is how one answers."""
    async with staged() as stage:
        await stage.facts.put(**dict.fromkeys(stage.facts.known, "no"))
        one = await stage.opened(**owned(DANA))
        await stage.teams.mention(DANA, text, root=root(one))

        await until(lambda: stage.door.of(OperatorSaid))
        assert stage.door.of(OperatorSaid)[0].hints == {"mentions_bridge"}
        assert stage.door.of(OperatorRehearsed) == []


async def test_a_refused_command_is_said_by_name(stage: Stage) -> None:
    """Teams shows nothing to one person alone, so the thread says who is meant."""
    one = await stage.opened()
    stage.door.refusals[OperatorRehearsed] = "Lee has this conversation."
    await stage.teams.mention(LEE, "rehearse all paid", root=root(one))

    await stage.told(one, "Lee Park: Lee has this conversation.")


async def test_the_private_command_rehearses_as_it_returns() -> None:
    """Typed in the thread, where the tenant has it; another word is answered by the two that there are."""
    async with staged(slash=True) as stage:
        one = await stage.opened(**owned(DANA))
        place = {"channel": SUPPORT, "root": root(one)}
        await stage.teams.act(DANA, "targeted", text="rehearse all paid", **place)
        assert (await stage.door.first(OperatorRehearsed)).note.note == "all paid"
        await stage.teams.act(DANA, "targeted", text="rehears", **place)

        await stage.teams.wait_for(lambda state: "return and rehearse" in str(state))


async def test_a_guest_is_known_as_one(stage: Stage) -> None:
    """The core is told what stands against them."""
    one = await stage.opened()
    await stage.teams.click(GUEST, root(one), "rehearse")

    assert stage.door.of(OperatorRehearsed)[0].operator.standing is Standing.NONE
