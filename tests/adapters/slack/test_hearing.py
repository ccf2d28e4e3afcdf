"""What people do in a thread, and what of it reaches the bridge."""

import asyncio

import pytest

from adapters.sandbox.slack.people import BILLING, DANA, GUEST, LEE, OTHER_BOT, SAM, SUPPORT
from bridge.conversation import Standing
from bridge.events import Echoed, Event, OperatorDeleted, OperatorEdited, OperatorLeft, OperatorReturned, OperatorSaid
from tests.adapters.slack.conftest import Stage, root_ts
from tests.adapters.slack.rig import owner, person, until


@pytest.fixture
def stage(by_http: Stage) -> Stage:
    """These stories go over HTTP: a delivery has been answered when the sandbox says so."""
    return by_http


async def only(stage: Stage, *kinds: type[Event]) -> None:
    """Assert that nothing but these came in, and the desk's own echoes."""
    assert [type(event) for event in stage.door.events if not isinstance(event, Echoed)] == list(kinds)


async def said_after(stage: Stage, one_root: str, marker: str = "the end") -> list[OperatorSaid]:
    """Say one more thing, wait for it, and return what was said before it."""
    await stage.slack.say(SAM, marker, thread_ts=one_root)
    await until(lambda: [event for event in stage.door.of(OperatorSaid) if event.text == marker])
    return [event for event in stage.door.of(OperatorSaid) if event.text != marker]


async def test_a_mention_of_a_colleague_is_seen(stage: Stage) -> None:
    """A message to a colleague carries the hint, and the colleague's name instead of an id."""
    one = await stage.opened()
    await stage.slack.say(DANA, "@lee do you know?", thread_ts=root_ts(one))

    said = await stage.door.first(OperatorSaid)
    assert said.hints == {"mentions_person"}
    assert said.text == "Lee Park do you know?"


@pytest.mark.parametrize("text", ["@here help", "@channel help", "@billing-team help"])
async def test_calls_to_many_are_seen(stage: Stage, text: str) -> None:
    """Whatever calls colleagues is talk among colleagues."""
    one = await stage.opened()
    await stage.slack.say(DANA, text, thread_ts=root_ts(one))

    assert "mentions_person" in (await stage.door.first(OperatorSaid)).hints


async def test_a_mention_of_the_bridge_happens_once(stage: Stage) -> None:
    """Slack sends two events for one such message; it comes in once, as a note."""
    one = await stage.opened()
    await stage.slack.mention(DANA, "retrun please", thread_ts=root_ts(one))

    said = await stage.door.first(OperatorSaid)
    assert said.hints == {"mentions_bridge"}
    assert await said_after(stage, root_ts(one)) == [said]
    deliveries = await stage.slack.deliveries("app_mention")
    assert deliveries


@pytest.mark.parametrize(
    "text, note",
    [
        ("return", ""),
        ("return Refund is on its way", "Refund is on its way"),
        ("Return: call @lee if *urgent*", "call Lee Park if urgent"),
        ("RETURN\nsecond line", "second line"),
    ],
)
async def test_the_bridge_is_told_to_return(stage: Stage, text: str, note: str) -> None:
    """`@bridge return` with a note gives the conversation back, once."""
    one = await stage.opened()
    await stage.slack.mention(DANA, text, thread_ts=root_ts(one))

    returned = await stage.door.first(OperatorReturned)
    assert (returned.handoff, returned.operator.id, returned.note.note) == (one.id, person(DANA), note)
    assert await said_after(stage, root_ts(one)) == []
    assert len(stage.door.of(OperatorReturned)) == 1


@pytest.mark.parametrize("text", ["returned parcel?", "please return", "retrun", "return-policy"])
async def test_what_is_no_return_stays_a_note(stage: Stage, text: str) -> None:
    """Only the word itself, first, returns... and a hyphenated or misspelt one does not."""
    one = await stage.opened()
    await stage.slack.mention(DANA, text, thread_ts=root_ts(one))

    assert (await stage.door.first(OperatorSaid)).hints >= {"mentions_bridge"}
    await only(stage, OperatorSaid)


async def test_a_refused_return_is_told_to_who_asked(stage: Stage) -> None:
    """The sentence of a refusal reaches the one who acted, and nobody else."""
    one = await stage.opened()
    stage.door.refusals[OperatorReturned] = "Only its owner may return it: Lee has it."
    await stage.slack.mention(DANA, "return", thread_ts=root_ts(one))

    told = await stage.slack.wait_for(lambda state: state.ephemerals(DANA))
    assert "Lee has it" in str(told[-1])


async def test_messages_elsewhere_are_not_ours(stage: Stage) -> None:
    """What is said in the channel, or in other people's threads, never comes in."""
    one = await stage.opened()
    other = await stage.slack.say(DANA, "lunch?", channel=SUPPORT)
    await stage.slack.say(LEE, "yes", channel=SUPPORT, thread_ts=other)
    await stage.slack.say(LEE, "hm", channel=BILLING)

    assert await said_after(stage, root_ts(one)) == []


async def test_also_sent_to_the_channel_is_still_a_reply(stage: Stage) -> None:
    """A reply that its author also sent to the channel is not lost."""
    one = await stage.opened()
    await stage.slack.say(DANA, "for all", thread_ts=root_ts(one), broadcast=True)

    said = await stage.door.first(OperatorSaid)
    assert said.text == "for all"
    assert said.hints == {"is_broadcast"}


@pytest.mark.parametrize("user, why", [(GUEST, "Guests"), (OTHER_BOT, "bots")])
async def test_others_have_no_standing(stage: Stage, user: str, why: str) -> None:
    """Guests and bots are heard by colleagues only, and the event says why."""
    one = await stage.opened()
    await stage.slack.say(user, "hello", thread_ts=root_ts(one))

    said = await stage.door.first(OperatorSaid)
    assert said.operator.standing is Standing.NONE
    assert why in said.operator.why
    assert ("is_bot" in said.hints) == (user == OTHER_BOT)


async def test_an_edit_comes_in_as_one(stage: Stage) -> None:
    """An edited message keeps its reference and says how it reads now; a second edit counts too."""
    one = await stage.opened()
    ts = await stage.slack.say(DANA, "Mnday", thread_ts=root_ts(one))
    await stage.slack.edit(DANA, ts, "Monday")
    await stage.slack.edit(DANA, ts, "Tuesday")

    edits = await until(lambda: stage.door.of(OperatorEdited)[:2] if len(stage.door.of(OperatorEdited)) > 1 else [])
    assert [edit.text for edit in edits] == ["Monday", "Tuesday"]
    assert {edit.remote for edit in edits} == {f"{SUPPORT}:{ts}"}
    assert {edit.root for edit in edits} == {one.thread.root}


async def test_an_unfurled_link_is_no_edit(stage: Stage) -> None:
    """Slack says `message_changed` when it adds a preview; the words are the same, so nothing happens."""
    one = await stage.opened()
    ts = await stage.slack.say(DANA, "see https://x.example", thread_ts=root_ts(one))
    await stage.slack.act(DANA, "unfurl", ts=ts, channel=SUPPORT)

    await said_after(stage, root_ts(one))
    assert await stage.slack.deliveries("message")
    assert stage.door.of(OperatorEdited) == []


async def test_a_deleted_message_comes_in(stage: Stage) -> None:
    """A deletion names the message and its author."""
    one = await stage.opened()
    ts = await stage.slack.say(DANA, "oops", thread_ts=root_ts(one))
    await stage.slack.delete(DANA, ts)

    deleted = await stage.door.first(OperatorDeleted)
    assert (deleted.remote, deleted.root, deleted.operator.id) == (f"{SUPPORT}:{ts}", one.thread.root, person(DANA))


async def test_a_file_is_fetched_and_kept(stage: Stage) -> None:
    """An operator's file is in our keeping before the message comes in."""
    one = await stage.opened()
    await stage.slack.upload(DANA, "label.pdf", b"%PDF-1.7 label", thread_ts=root_ts(one), text="your label")

    said = await stage.door.first(OperatorSaid)
    assert said.text == "your label"
    assert [(file.name, file.size_bytes) for file in said.files] == [("label.pdf", 14)]
    assert stage.shelf.kept[said.files[0].id][1] == b"%PDF-1.7 label"


async def test_a_file_behind_a_login_page_is_not_passed_on(stage: Stage) -> None:
    """Without files:read Slack answers with its login page; the thread is told, and no page reaches a customer."""
    one = await stage.opened()
    scopes = (await stage.slack.request("GET", "/sandbox/app"))["scopes"]
    await stage.slack.configure(scopes=[scope for scope in scopes if scope != "files:read"])
    await stage.slack.upload(DANA, "label.pdf", b"%PDF-1.7 label", thread_ts=root_ts(one), text="your label")

    said = await stage.door.first(OperatorSaid)
    await stage.slack.configure(scopes=scopes)
    assert said.files == ()
    texts = [message["text"] for message in await stage.thread(one)]
    assert any("label.pdf cannot be passed on: Slack showed its login page" in text for text in texts)


async def test_a_message_delivered_again_under_another_id_comes_in_once(stage: Stage) -> None:
    """Slack has delivered one message many times under different event ids."""
    one = await stage.opened()
    await stage.slack.fault("events", "duplicate_new_id", times=3)
    await stage.slack.say(DANA, "once", thread_ts=root_ts(one))

    assert len(await said_after(stage, root_ts(one))) == 1


async def test_what_the_store_could_not_keep_comes_again(stage: Stage) -> None:
    """No ack without a commit: Slack delivers again, and it is kept once."""
    one = await stage.opened()
    stage.door.failures = 1
    await stage.slack.say(DANA, "keep me", thread_ts=root_ts(one))

    assert (await stage.door.first(OperatorSaid)).text == "keep me"
    tries = [d for d in await stage.slack.deliveries("message") if "500" in str(d)]
    assert tries


async def test_a_slow_file_does_not_let_the_next_message_overtake(stage: Stage) -> None:
    """A message whose file takes long is still taken before the one that was written after it."""
    one = await stage.opened()
    stage.shelf.gate = asyncio.Event()
    slow = asyncio.create_task(stage.slack.upload(DANA, "a.bin", b"x", thread_ts=root_ts(one), text="first"))
    await until(lambda: stage.parts.hearing.busy)
    quick = asyncio.create_task(stage.slack.say(LEE, "second", thread_ts=root_ts(one)))
    await stage.slack.wait_for(lambda state: "second" in str(state.messages()))
    stage.shelf.gate.set()
    await asyncio.gather(slow, quick)

    assert [event.text for event in await said_after(stage, root_ts(one))] == ["first", "second"]


async def test_an_owner_who_leaves_the_channel_is_reported(stage: Stage) -> None:
    """Their open handoffs of that channel go back, others do not."""
    mine = await stage.opened(operator=owner(DANA))
    await stage.opened(operator=owner(LEE))
    await stage.slack.act(DANA, "leave", channel=SUPPORT)

    left = await stage.door.first(OperatorLeft)
    await stage.slack.act(DANA, "join", channel=SUPPORT)
    assert (left.handoff, left.operator.id) == (mine.id, person(DANA))
    assert len(stage.door.of(OperatorLeft)) == 1


async def test_a_deactivated_owner_is_reported(stage: Stage) -> None:
    """A deactivated account owns nothing any more."""
    mine = await stage.opened(operator=owner(LEE, "Lee"))
    await stage.slack.act(LEE, "deactivate")

    left = await stage.door.first(OperatorLeft)
    await stage.slack.act(LEE, "reactivate")
    assert left.handoff == mine.id
