"""The plain path, over both ways in: a card, a reply, a take, a return."""

import pytest

from adapters.sandbox.slack.people import DANA, SUPPORT
from bridge.capabilities import Part
from bridge.conversation import Author, EntryKind, Role, Standing
from bridge.envelope import ReturnOutcome
from bridge.events import Echoed, OperatorReturned, OperatorSaid, OperatorTook
from bridge.outcomes import Delivered
from tests.adapters.slack.conftest import Stage, root_ts
from tests.adapters.slack.rig import key, person


@pytest.fixture(params=["by_socket", "by_http"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """The same stories over Socket Mode and over HTTP."""
    one: Stage = request.getfixturevalue(request.param)
    return one


async def test_a_reply_in_the_thread_comes_in_once(stage: Stage) -> None:
    """What an operator writes in a thread of ours arrives as Markdown, with who said it, where and when."""
    one = await stage.opened()
    ts = await stage.slack.say(DANA, "We *found* it, see https://track.example/7 :tada:", thread_ts=root_ts(one))

    said = await stage.door.first(OperatorSaid)
    assert said.text == "We **found** it, see <https://track.example/7> 🎉"
    assert (said.root, said.remote) == (one.thread.root, f"{SUPPORT}:{ts}")
    assert (said.operator.id, said.operator.name, said.operator.standing) == (
        person(DANA),
        "Dana Ruiz",
        Standing.ALLOWED,
    )
    assert said.hints == frozenset()


async def test_our_own_post_comes_back_as_an_echo(stage: Stage) -> None:
    """A post of ours is recognised by its key, and nothing else is made of it."""
    one = await stage.opened()
    part = Part(n=4, kind=EntryKind.LINE, author=Author(role=Role.CUSTOMER, name="Kim"), text="Hello?", plain=True)
    mark = key()
    outcome = await stage.parts.desk.post(one.thread, [part], mark)

    assert isinstance(outcome, Delivered)
    stage.door.events.clear()
    echo = await stage.door.first(Echoed)
    while echo.key != mark:
        stage.door.events.remove(echo)
        echo = await stage.door.first(Echoed)
    assert echo.ref == outcome.ref
    assert stage.door.of(OperatorSaid) == []


async def test_the_take_button_takes(stage: Stage) -> None:
    """The card's first button says who wants the conversation, and which one."""
    one = await stage.opened()
    await stage.slack.click(DANA, "bridge_take", root_ts(one))

    took = await stage.door.first(OperatorTook)
    assert (took.handoff, took.operator.id, took.operator.standing) == (one.id, person(DANA), Standing.ALLOWED)


async def test_the_return_button_asks_and_then_returns(stage: Stage) -> None:
    """The return button opens a modal, and its submission carries every field of the note."""
    one = await stage.opened()
    await stage.slack.click(DANA, "bridge_return", root_ts(one))
    view = await stage.slack.view_of(DANA)
    assert view["title"]["text"] == f"Return {one.ticket}"

    answers = {
        "outcome": "resolved",
        "note": "Refund of 40 EUR is on its way.",
        "facts": "Parcel 7 is lost\n\n Refund approved ",
        "promises": "An e-mail within two days",
        "do_not_repeat": "",
        "continue_now": ["yes"],
    }
    done = await stage.slack.submit(DANA, view["id"], answers)

    assert not done.get("errors")
    note = (await stage.door.first(OperatorReturned)).note
    assert (note.outcome, note.note) == (ReturnOutcome.RESOLVED, "Refund of 40 EUR is on its way.")
    assert note.facts == ("Parcel 7 is lost", "Refund approved")
    assert (note.promises, note.do_not_repeat) == (("An e-mail within two days",), ())
    assert note.continue_now is True
