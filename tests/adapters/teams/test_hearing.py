"""Messages, edits and deletions in the team's channels, as people make them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.sandbox.teams.people import BILLING, BOT_NAME, DANA, GUEST, LEE, OTHER_TENANT, SAM, SUPPORT, TEAM
from adapters.teams import known
from adapters.teams.hearing import FILES_STAY
from adapters.teams.refs import remote_ref, split_ref
from bridge.conversation import Handoff, Standing
from bridge.events import (
    CardStale,
    OperatorDeleted,
    OperatorEdited,
    OperatorReturned,
    OperatorSaid,
    OperatorTransferred,
)
from bridge.facts import DeskFacts
from tests.adapters.teams.in_rig import DESK, SITE, Stage, nothing_known, person, root, staged, until
from tests.adapters.teams.out_rig import shown_card

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A desk and its team."""
    async with staged() as one:
        yield one


async def test_a_reply_in_a_thread_of_ours_is_heard(stage: Stage) -> None:
    """With who said it, where, and its formatting; Teams has its answer only when it is kept."""
    one = await stage.opened()
    said = await stage.teams.say(DANA, "Hello **Kim**", root=root(one))

    heard = await stage.door.first(OperatorSaid)
    assert heard.text == "Hello **Kim**"
    assert heard.operator.id == person(DANA)
    assert (heard.operator.standing, heard.operator.name) == (Standing.ALLOWED, "Dana Ruiz")
    assert one.thread.root is not None
    assert (heard.root, heard.remote) == (one.thread.root, remote_ref(split_ref(one.thread.root)[0], said))
    assert heard.hints == frozenset()
    assert [each["status"] for each in await stage.teams.delivered("message", 1)] == [200]


async def test_what_could_not_be_kept_comes_again(stage: Stage) -> None:
    """While the store is away Teams is answered 503; what it then delivers again is heard once."""
    one = await stage.opened()
    await stage.facts.put(**{known.heard_all(TEAM): known.YES})
    stage.door.failures = 1
    await stage.teams.say(DANA, "Hello", root=root(one))

    await stage.door.first(OperatorSaid)
    statuses = [each["status"] for each in await stage.teams.delivered("message", 2)]
    assert statuses == [503, 200]
    assert len(stage.door.of(OperatorSaid)) == 1


async def test_the_same_activity_twice_is_one_message(stage: Stage) -> None:
    """Teams may deliver again what we have already."""
    one = await stage.opened()
    said = await stage.teams.say(DANA, "Hello", root=root(one))
    await stage.door.first(OperatorSaid)
    await stage.teams.act(DANA, "again", message=said)
    await stage.teams.delivered("message", 2)

    assert len(stage.door.of(OperatorSaid)) == 1


async def test_other_threads_are_nobodys_business(stage: Stage) -> None:
    """With the right to read all, everything in the team reaches us; what is not ours leaves no trace."""
    await stage.opened()
    post = await stage.teams.say(LEE, "Lunch?", channel=BILLING)
    await stage.teams.say(DANA, "Yes", channel=BILLING, root=post)
    await stage.teams.mention(DANA, "return this", channel=BILLING, root=post)
    await stage.teams.delivered("message", 3)

    assert not [event for event in stage.door.events if not isinstance(event, CardStale)]


async def test_a_reply_faster_than_our_own_post_is_kept(stage: Stage) -> None:
    """Somebody answers before Teams has told us the card's id: heard as soon as that is known."""
    one = await stage.opened()
    waiting = stage.book.change(one, thread=replace(one.thread, root=None), opened_at=int(root(one)) - 5)
    await stage.teams.say(DANA, "Quick", root=root(one))
    await asyncio.sleep(0.3)
    assert not stage.door.of(OperatorSaid)
    stage.book.change(waiting, thread=one.thread)

    assert (await stage.door.first(OperatorSaid)).text == "Quick"


# --- what the admin granted


async def test_the_first_unmentioned_message_proves_the_grant() -> None:
    """From then on the cards no longer ask for a mention; nothing is asked of Microsoft for that."""
    async with staged(knows=nothing_known) as stage:
        await stage.teams.mention(DANA, "hello", channel=SUPPORT)
        await stage.teams.delivered("message", 1)
        one = await stage.opened()
        assert known.heard_all(TEAM) not in await stage.facts.all()
        assert "Only messages that mention me" in str(await stage.thread(one))
        await stage.teams.say(DANA, "without a mention", root=root(one))

        assert (await stage.door.first(CardStale)).handoff == one.id
        assert (await stage.facts.all())[known.heard_all(TEAM)] == known.YES
        await stage.teams.say(DANA, "again", root=root(one))
        await until(lambda: len(stage.door.of(OperatorSaid)) == 2)
        assert len(stage.door.of(CardStale)) == 1
        assert "Only messages that mention me" not in str(stage.parts.desk.card(SUPPORT, shown_card(one)))


async def test_where_only_mentions_are_heard_a_mention_speaks_to_the_customer() -> None:
    """It is how one answers there; before what looks like a command it stays a note."""
    async with staged(knows=nothing_known) as stage:
        await stage.teams.rules(rsc=False)
        one = await stage.opened()
        await stage.teams.say(DANA, "nobody hears this", root=root(one))
        await stage.teams.mention(DANA, "your parcel is here", root=root(one))
        await until(lambda: stage.door.of(OperatorSaid))
        await stage.teams.mention(DANA, "retrun it is done", root=root(one))
        await until(lambda: len(stage.door.of(OperatorSaid)) == 2)

        first, slip = stage.door.of(OperatorSaid)
        assert (first.text, first.hints) == ("your parcel is here", frozenset())
        assert slip.hints == {"mentions_bridge"}


async def test_where_all_is_heard_a_mention_is_meant_for_the_bridge(stage: Stage) -> None:
    """Then nobody needs it to speak to the customer."""
    one = await stage.opened()
    await stage.teams.say(DANA, "first", root=root(one))
    await until(lambda: stage.door.of(OperatorSaid))
    await stage.teams.mention(DANA, "what is up?", root=root(one))
    await until(lambda: len(stage.door.of(OperatorSaid)) == 2)

    assert stage.door.of(OperatorSaid)[1].hints == {"mentions_bridge"}


async def test_what_another_process_heard_counts_here_too(stage: Stage) -> None:
    """A mention is no answer to a customer once any process knows that all is heard."""
    one = await stage.opened()
    other = DeskFacts(stage.facts._store, SITE, DESK)
    await stage.teams.mention(DANA, "first", root=root(one))
    await until(lambda: stage.door.of(OperatorSaid))
    await other.put(**{known.heard_all(TEAM): known.YES})
    await stage.teams.mention(DANA, "second", root=root(one))
    await until(lambda: len(stage.door.of(OperatorSaid)) == 2)

    assert [event.hints for event in stage.door.of(OperatorSaid)] == [frozenset(), frozenset({"mentions_bridge"})]


# --- who hears it


async def test_own_mentions_go_and_the_name_stays(stage: Stage) -> None:
    """The bot's name in a sentence is the operator's own word."""
    one = await stage.opened()
    await stage.teams.mention(DANA, f"the {BOT_NAME} is down, {BOT_NAME}!", root=root(one))

    assert (await stage.door.first(OperatorSaid)).text == f"the {BOT_NAME} is down, {BOT_NAME}!"


async def test_mentions_of_colleagues_are_seen(stage: Stage) -> None:
    """A message to a colleague is told as such; by name, for who reads it later."""
    one = await stage.opened()
    await stage.teams.say(DANA, "@Lee Park what do you think?", root=root(one))

    heard = await stage.door.first(OperatorSaid)
    assert "mentions_person" in heard.hints
    assert "Lee" in heard.text
    assert "29:" not in heard.text


async def test_notes_keep_their_slashes(stage: Stage) -> None:
    """What begins with `//` arrives as it was typed: the core keeps it among colleagues."""
    one = await stage.opened()
    await stage.teams.say(DANA, "// ask billing first", root=root(one))

    assert (await stage.door.first(OperatorSaid)).text.startswith("// ask")


async def test_guests_and_outsiders_have_no_standing(stage: Stage) -> None:
    """Their words are brought to the core with what stands against them."""
    one = await stage.opened()
    await stage.teams.say(GUEST, "I am a guest", root=root(one))
    heard = await stage.door.first(OperatorSaid)

    assert heard.operator.standing is Standing.NONE
    assert "Guests" in heard.operator.why


async def test_people_of_another_tenant_are_not_heard_at_all(stage: Stage) -> None:
    """Their activities carry a tenant that is not on the list."""
    one = await stage.opened()
    sent = await _delivered(stage, one)
    foreign = {**sent, "id": "1", "channelData": {**sent["channelData"], "tenant": {"id": OTHER_TENANT}}}

    assert (await stage.teams.deliver(foreign, token="valid"))[0] == 403


async def _delivered(stage: Stage, one: Handoff) -> dict[str, Any]:
    await stage.teams.say(DANA, "Hello", root=root(one))
    found: dict[str, Any] = (await stage.teams.delivered("message", 1))[0]["activity"]
    await stage.door.first(OperatorSaid)
    return found


async def test_bots_are_marked_as_such(stage: Stage) -> None:
    """A message without a person behind it is nobody's answer."""
    one = await stage.opened()
    sent = await _delivered(stage, one)
    robot = {**sent, "id": "1", "from": {"id": "28:other", "name": "Other bot"}}
    await stage.teams.deliver(robot, token="valid")

    assert "is_bot" in stage.door.of(OperatorSaid)[-1].hints


# --- commands


@pytest.mark.parametrize("text, note", [("return all is paid", "all is paid"), ("return", ""), ("Return: x", "x")])
async def test_a_mention_with_return_gives_it_back(stage: Stage, text: str, note: str) -> None:
    """`@bridge return <note>` in the thread."""
    one = await stage.opened()
    await stage.teams.mention(DANA, text, root=root(one))

    returned = await stage.door.first(OperatorReturned)
    assert (returned.handoff, returned.note.note, returned.operator.id) == (one.id, note, person(DANA))
    assert not stage.door.of(OperatorSaid)


async def test_a_typed_slash_return_gives_it_back(stage: Stage) -> None:
    """As plain text, where all is heard; a word that only begins so does not."""
    one = await stage.opened()
    await stage.teams.say(DANA, "/returning soon", root=root(one))
    await stage.door.first(OperatorSaid)
    await stage.teams.say(DANA, "/return done", root=root(one))

    assert (await stage.door.first(OperatorReturned)).note.note == "done"


async def test_a_mention_with_transfer_passes_it_on(stage: Stage) -> None:
    """To a colleague whom it mentions, or to a queue by its name; with a note, and never to the customer."""
    one = await stage.opened()
    await stage.teams.mention(DANA, "transfer @Lee Park please refund", root=root(one))
    await stage.teams.mention(DANA, "transfer to Billing: please refund", root=root(one))
    await until(lambda: len(stage.door.of(OperatorTransferred)) == 2)

    person_, queue = stage.door.of(OperatorTransferred)
    assert person_.to_operator is not None
    assert (person_.to_operator.id, person_.to_queue, person_.note) == (person(LEE), None, "please refund")
    assert (queue.to_operator, queue.to_queue, queue.note) == (None, "billing", "please refund")
    assert not stage.door.of(OperatorSaid)


@pytest.mark.parametrize(
    "text", ["transfer", "transfer to nowhere", "transfer @Noa Levi x", "transfer @Lee Park @Dana Ruiz"]
)
async def test_a_transfer_to_nowhere_stays_a_note(stage: Stage, text: str) -> None:
    """Also where a mention is how one speaks to the customer."""
    one = await stage.opened()
    await stage.teams.mention(DANA, text, root=root(one))

    assert "mentions_bridge" in (await stage.door.first(OperatorSaid)).hints
    assert not stage.door.of(OperatorTransferred)


async def test_a_refused_return_is_said_in_the_thread(stage: Stage) -> None:
    """To the one who typed it, by name."""
    one = await stage.opened()
    stage.door.refusals[OperatorReturned] = "Lee has it."
    await stage.teams.mention(DANA, "return x", root=root(one))

    await stage.told(one, "Dana Ruiz: Lee has it.")


@pytest.mark.parametrize("slash", [False, True])
async def test_a_private_message_to_the_bot_never_reaches_a_customer(slash: bool) -> None:
    """Whatever it says: with slash commands switched on `return` works, anything else is answered."""
    async with staged(slash=slash) as stage:
        await stage.teams.rules(slash=True)
        one = await stage.opened()
        await stage.teams.act(DANA, "targeted", text="the customer is a pain", channel=SUPPORT, root=root(one))
        await stage.teams.act(DANA, "targeted", text="/return all good", channel=SUPPORT, root=root(one))
        await stage.teams.delivered("message", 2)

        assert not stage.door.of(OperatorSaid)
        assert [event.note.note for event in stage.door.of(OperatorReturned)] == (["all good"] if slash else [])
        assert "pain" not in str([each for each in await stage.thread(one) if each["from"] != DANA])


# --- edits, deletions


async def test_edits_deletions_and_their_undoing_follow(stage: Stage) -> None:
    """Each names the message; what is brought back is said anew."""
    one = await stage.opened()
    said = await stage.teams.say(DANA, "Helo", root=root(one))
    await stage.door.first(OperatorSaid)
    await stage.teams.edit(DANA, said, "Hello")
    edited = await stage.door.first(OperatorEdited)
    await stage.teams.delete(DANA, said)
    deleted = await stage.door.first(OperatorDeleted)
    await stage.teams.undelete(DANA, said)
    again = (await until(lambda: stage.door.of(OperatorSaid)[1:]))[0]

    assert edited.text == again.text == "Hello"
    assert edited.remote == deleted.remote == again.remote == stage.door.of(OperatorSaid)[0].remote
    assert deleted.operator.id == person(DANA)


async def test_reactions_mean_nothing(stage: Stage) -> None:
    """A thumb is no answer."""
    one = await stage.opened()
    await stage.teams.act(DANA, "react", message=root(one), name="like")
    await stage.teams.delivered("messageReaction", 1)

    assert stage.door.events == []


# --- pictures and files


async def test_a_pasted_picture_goes_along(stage: Stage) -> None:
    """Fetched with the bot's token, told by its bytes, kept by us."""
    one = await stage.opened()
    await stage.teams.paste(DANA, PNG, "see", root=root(one))

    heard = await stage.door.first(OperatorSaid)
    assert [(file.media_type, file.size_bytes) for file in heard.files] == [("image/png", len(PNG))]
    assert heard.text == "see"
    assert "http" not in heard.text


async def test_a_picture_that_is_none_is_named_and_the_words_go_on(stage: Stage) -> None:
    """What Teams calls an image is looked at first."""
    one = await stage.opened()
    await stage.teams.paste(DANA, b"<html>x</html>", "see", root=root(one))

    assert (await stage.door.first(OperatorSaid)).files == ()
    await stage.told(one, "it is no picture")


async def test_pictures_come_from_teams_alone(stage: Stage) -> None:
    """An address elsewhere is never asked, least of all with our token."""
    one = await stage.opened()
    sent = await _delivered(stage, one)
    away = {"contentType": "image/png", "contentUrl": "http://127.0.0.1:1/steal.png"}
    await stage.teams.deliver({**sent, "id": "1", "attachments": [away]}, token="valid")

    assert stage.door.of(OperatorSaid)[-1].files == ()
    await stage.told(one, "does not lie with Teams")


async def test_a_file_is_never_dropped_in_silence(stage: Stage) -> None:
    """A channel's files do not reach a bot: the thread is told, the words go to the customer."""
    one = await stage.opened()
    await stage.teams.attach(DANA, "plan.pdf", b"%PDF-1.7", "here is the plan", root=root(one))

    assert (await stage.door.first(OperatorSaid)).text == "here is the plan"
    await stage.told(one, FILES_STAY[:40])


async def test_where_graph_is_granted_files_go_along() -> None:
    """Found by Graph, fetched from the team's SharePoint, kept by us; nothing is said about staying behind."""
    async with staged(graph=True) as stage:
        await stage.teams.rules(graph=True)
        one = await stage.opened()
        await stage.teams.attach(DANA, "plan.pdf", b"%PDF-1.7 plan", "here is the plan", root=root(one))

        heard = await stage.door.first(OperatorSaid)
        assert [(file.name, file.media_type, file.size_bytes) for file in heard.files] == [
            ("plan.pdf", "application/pdf", 13)
        ]
        assert len(await stage.thread(one)) == 2


async def test_a_grant_that_is_not_there_is_told() -> None:
    """The settings say so, Graph says no: the words go on, the thread is told why the file does not."""
    async with staged(graph=True) as stage:
        one = await stage.opened()
        await stage.teams.attach(DANA, "plan.pdf", b"%PDF-1.7 plan", "here is the plan", root=root(one))

        assert (await stage.door.first(OperatorSaid)).files == ()
        await stage.told(one, "Graph did not tell where it is")


async def test_supervisors_are_told_from_members(stage: Stage) -> None:
    """By the list of the very queue."""
    one = await stage.opened()
    await stage.teams.say(SAM, "Supervisor here", root=root(one))

    assert (await stage.door.first(OperatorSaid)).operator.standing is Standing.SUPERVISOR
