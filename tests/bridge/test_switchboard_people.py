"""Journeys through the front door while people own the conversation, and back to the agent."""

from typing import Any

import pytest

from bridge import grounding
from bridge.conversation import Audience, EntryKind, HandoffState, Role, State, TurnKind, TurnState
from bridge.effects import OutKind
from bridge.ids import Millis, RemoteRef
from bridge.storage import Store
from tests.bridge.stories import BEN, DANA, DESK, GUEST, SITE, SUE, TEAMS, Story, fence, without_standing
from tests.bridge.test_switchboard import taken, waiting

# --- relay and notes


async def test_the_owner_and_the_customer_talk(store: Store) -> None:
    """The customer's lines go to the thread, the owner's to the widget, once and in order; the agent hears none."""
    story = await taken(store)
    await story.card_arrives()

    await story.says("are you there?")
    await story.types("Yes, I am")
    await story.says("great")

    assert (await story.screen())[-3:] == ["are you there?", "Yes, I am", "great"]
    log = {entry.n: entry.text for entry in await story.log()}
    posts = [log[out.n] for out in await story.unsent() if out.kind is OutKind.POST and out.n is not None]
    assert posts == ["are you there?", "great"]
    assert await story.turn() is None


async def test_a_new_speaker_is_named_once(store: Store) -> None:
    """The first line of another speaker carries the name, the following ones do not."""
    story = await taken(store)
    await story.types("one")
    await story.types("two")
    await story.takes(SUE)
    await story.types("three", SUE)

    named = [e.named for e in await story.log() if e.text in {"one", "two", "three"}]
    assert named == [True, False, True]


@pytest.mark.parametrize(
    "text, operator, more, notice",
    [
        ("// he lies", DANA, {}, None),
        ("/return done", DANA, {}, "kept_command"),
        ("Ben, look", DANA, {"hints": frozenset({"mentions_person"})}, "kept_mentions_person"),
        ("@bridge retrun", DANA, {"hints": frozenset({"mentions_bridge"})}, "kept_mentions_bridge"),
        ("I think he lies", BEN, {}, "kept_not_owner"),
        ("hello from the outside", GUEST, {}, "kept_outsider"),
    ],
    ids=["note", "command", "mention", "bridge", "colleague", "guest"],
)
async def test_what_is_not_for_the_customer_stays_in_the_thread(
    store: Store, text: str, operator: Any, more: dict[str, Any], notice: str | None
) -> None:
    """Each kind of slip is kept for colleagues, and the thread is told why, if that is not plain."""
    story = await taken(store)
    before = await story.screen()

    await story.types(text, operator, **more)

    assert await story.screen() == before
    kept = [e for e in await story.log() if e.text == text]
    assert [e.audience for e in kept] == [Audience.COLLEAGUES]
    told = (await story.notices())[1:]
    assert told == ([notice] if notice else [])


async def test_bots_are_neither_heard_nor_kept(store: Store) -> None:
    """A bot's message in the thread is nobody's line."""
    story = await taken(store)
    before = (await story.log())[-1].n

    await story.types("Build 17 is green", BEN, hints=frozenset({"is_bot"}))

    assert (await story.log())[-1].n == before


async def test_a_colleague_is_told_once_that_the_customer_does_not_hear(store: Store) -> None:
    """Each person is told once per handoff, not at every message."""
    story = await taken(store)
    for text in ("one", "two"):
        await story.types(text, BEN)
    await story.types("three", GUEST)
    await story.types("four", GUEST)

    assert (await story.notices())[1:] == ["kept_not_owner", "kept_outsider"]


async def test_a_reply_before_anybody_took_it_waits_with_a_button(store: Store) -> None:
    """It stays among colleagues; *Take it and send this* takes the conversation and sends it, once."""
    story = await waiting(store)
    await story.card_arrives()
    remote = await story.types("Hello, I'm Dana and will help you")
    assert "Hello, I'm Dana and will help you" not in await story.screen()
    offer = (await story.unsent())[-1]
    assert offer.actions == ("take_and_send",)

    refused = await story.forwards(remote=RemoteRef(remote))
    sent = await story.forwards(n=(await story.log())[-1].target, take=True)
    again = await story.forwards(remote=RemoteRef(remote), take=True)

    assert (refused.status, sent.status, again.status) == ("refused", "done", "refused")
    assert (await story.row()).operator == DANA
    assert (await story.screen())[-2:] == ["(joined)", "Hello, I'm Dana and will help you"]


async def test_a_queue_may_let_the_first_reply_take_the_conversation(store: Store) -> None:
    """With `first_reply = takes` the reply takes it and goes out; a note or a stranger's words do not."""
    story = Story(store=store)
    await story.says("help")
    await story.escalates(queue="eager")
    await story.card_arrives()

    await story.types("// who is this?", BEN)
    await story.types("I'll take it", GUEST)
    assert (await story.row()).state is State.WAITING
    await story.types("Hello", BEN)

    assert (await story.row()).operator == BEN
    assert (await story.screen())[-2:] == ["(joined)", "Hello"]


async def test_queues_choose_who_is_heard(store: Store) -> None:
    """`anyone-in-queue` lets colleagues answer, `button` lets nobody without pressing."""
    everybody = await _in_queue(store, "everybody")
    await everybody.types("Me too", BEN)
    await everybody.types("not me", GUEST)
    assert (await everybody.screen())[-1] == "Me too"

    await everybody.closes(SUE)
    await everybody.escalates("e2", queue="buttons")
    await everybody.card_arrives()
    await everybody.takes()
    remote = await everybody.types("Sent by button")
    assert (await everybody.screen())[-1] == "(joined)"
    await everybody.forwards(remote=RemoteRef(remote))
    assert (await everybody.screen())[-1] == "Sent by button"


async def _in_queue(store: Store, queue: str) -> Story:
    story = Story(store=store)
    await story.says("help")
    await story.escalates(queue=queue)
    await story.card_arrives()
    await story.takes()
    return story


async def test_an_owner_may_say_again_what_nobody_heard(store: Store) -> None:
    """Pasting one's own reply of before the take is no slip; pasting a note is."""
    story = await waiting(store)
    await story.card_arrives()
    await story.types("Hello Kim, I am looking into this for you")
    await story.types("// she is on the fraud watch list", BEN)
    await story.takes()

    await story.types("Hello Kim, I am looking into this for you")
    await story.types("she is on the fraud watch list")

    assert (await story.screen())[-1] == "Hello Kim, I am looking into this for you"
    assert (await story.notices())[-1] == "kept_quoted_note"


async def test_a_note_is_known_however_much_was_said_before_it(store: Store) -> None:
    """In a stretch of over a thousand lines, the newest note cannot be sent to the customer as a quote either."""
    story = await waiting(store)
    await story.card_arrives()
    await story.takes()
    for n in range(1010):
        await story.types(f"We have looked into matter number {n}")
    await story.types("// she is on the fraud watch list")

    await story.types("she is on the fraud watch list")

    assert (await story.notices())[-1] == "kept_quoted_note"


# --- forwarding


async def test_the_owner_sends_a_colleagues_words_in_the_own_name(store: Store) -> None:
    """*Send to the customer* is the owner's, works once, and never for what strangers or the bridge wrote."""
    story = await taken(store)
    remote = RemoteRef(await story.types("The part is out of stock until May", BEN))

    by_author = await story.forwards(BEN, remote=remote)
    by_owner = await story.forwards(DANA, remote=remote)
    again = await story.forwards(DANA, remote=remote)
    of_a_notice = await story.forwards(DANA, n=(await story.log())[2].n)

    assert [r.status for r in (by_author, by_owner, again, of_a_notice)] == ["refused", "done", "refused", "refused"]
    sent = (await story.log())[-1]
    assert (sent.text, sent.author.name, sent.audience) == (
        "The part is out of stock until May",
        "Dana",
        Audience.EVERYONE,
    )


async def test_what_is_forwarded_is_what_stands_there_now(store: Store) -> None:
    """An edit before the button counts; a deleted message cannot be sent."""
    story = await taken(store)
    edited = RemoteRef(await story.types("// it is 5 euros"))
    await story.edits(edited, "It is 6 euros")
    assert (await story.notices())[-1] == "edit_kept"
    await story.forwards(remote=edited)
    assert (await story.screen())[-1] == "It is 6 euros"

    gone = RemoteRef(await story.types("// forget this"))
    await story.deletes(gone)
    assert (await story.forwards(remote=gone)).status == "refused"
    assert (await story.screen())[-1] == "It is 6 euros"


# --- edits and deletes


async def test_edits_and_deletes_of_a_reply_reach_the_customer(store: Store) -> None:
    """A changed reply is changed on the screen, a deleted one goes away."""
    story = await taken(store)
    first = await story.types("It costs 5 euros")
    second = await story.types("and 1 for the post")

    await story.edits(first, "It costs 6 euros")
    await story.deletes(second)

    assert (await story.screen())[-1] == "It costs 6 euros"


async def test_a_reply_edited_into_a_note_is_removed_and_stays_a_note(store: Store) -> None:
    """What turns into a note leaves the screen; turned back it comes again only by the button."""
    story = await taken(store)
    remote = RemoteRef(await story.types("He is right"))

    await story.edits(remote, "// he is right, sadly")
    assert "He is right" not in await story.screen()
    assert (await story.notices())[-1] == "edit_removed"
    await story.edits(remote, "You are right")
    assert "You are right" not in await story.screen()
    assert (await story.notices())[-1] == "edit_kept"
    await story.forwards(remote=remote)

    assert (await story.screen())[-1] == "You are right"
    assert (await story.forwards(remote=remote)).status == "refused"


async def test_a_forwarded_message_is_changed_by_its_author_only(store: Store) -> None:
    """One's own forwarded words follow one's edits; a colleague cannot change what went out in the owner's name."""
    story = await taken(store)
    mine = RemoteRef(await story.types("Ben, I tell her 5 euros", hints=frozenset({"mentions_person"})))
    theirs = RemoteRef(await story.types("It is 5 euros", BEN))
    await story.forwards(remote=mine)
    await story.forwards(remote=theirs)

    await story.edits(mine, "I tell her 6 euros")
    await story.edits(theirs, "It is 0 euros, you fool", BEN)
    assert (await story.screen())[-2:] == ["I tell her 6 euros", "It is 5 euros"]
    await story.deletes(theirs, BEN)
    await story.deletes(mine)

    assert (await story.screen())[-1] == "It is 5 euros"


async def test_nobody_edits_anothers_line(store: Store) -> None:
    """An edit that does not come from the author changes nothing."""
    story = await taken(store)
    remote = await story.types("It costs 5 euros")

    await story.edits(remote, "It is free", BEN)

    assert (await story.screen())[-1] == "It costs 5 euros"


async def test_edits_after_the_return_are_mirrored(store: Store) -> None:
    """The line stays its author's after the conversation went back to the agent."""
    story = await taken(store)
    remote = await story.types("It costs 5 euros")
    await story.returns()

    await story.edits(remote, "It costs 6 euros")

    assert "It costs 6 euros" in await story.screen()


# --- return


async def test_a_return_brings_the_agent_back_with_a_briefing(store: Store) -> None:
    """The agent hears everything of the human stretch, the note, and that it may speak; the operator waits for none."""
    story = await taken(store)
    await story.says("is it you?")
    await story.types("Yes. You get a refund of 10 euros.")
    await story.types("// she was nice")
    await story.says("thank you")

    await story.returns(outcome="resolved", note="Refunded.", promises=("10 euros by Friday",))

    row, handoff, turn = await story.row(), await story.handoff(), await story.turn()
    assert (row.state, row.operator, row.epoch) == (State.AGENT, None, 4)
    assert handoff.state is HandoffState.RETURNED
    assert turn is not None
    assert (turn.kind, turn.epoch) == (TurnKind.RESUMED, 4)
    asked = await story.look(lambda tx: grounding.agent_turn(tx, turn))
    assert asked.briefing is not None
    told = [(t["role"], t["text"]) for t in asked.briefing["human_turns"]]
    assert ("customer", "is it you?") in told
    assert ("operator", "Yes. You get a refund of 10 euros.") in told
    assert ("customer", "thank you") in told
    assert not any("nice" in text for _, text in told)
    assert (asked.briefing["note"], asked.briefing["promises"]) == ("Refunded.", ["10 euros by Friday"])
    assert not any("nice" in message.text for message in asked.messages)
    assert (await story.agent_says("I see that Dana refunded you.")).status == "done"


@pytest.mark.parametrize("continue_now, speaks", [(False, False), (True, True)])
async def test_after_the_operators_last_word_the_agent_waits(store: Store, continue_now: bool, speaks: bool) -> None:
    """If the operator spoke last, the agent waits for the customer unless it is told to go on."""
    story = await taken(store)
    await story.types("All done!")
    await story.returns(continue_now=continue_now)

    assert (await story.turn() is not None) is speaks
    if not speaks:
        await story.says("one more thing")
        turn = await story.turn()
        assert turn is not None
        asked = await story.look(lambda tx: grounding.agent_turn(tx, turn))
        assert asked.briefing is not None


async def test_no_agent_word_passes_between_take_and_return(store: Store) -> None:
    """A run from before the handoff is fenced while people own it, and after the return as well."""
    story = Story(store=store)
    await story.says("hello")
    run = await story.run()
    await story.escalates()
    await story.card_arrives()
    receipts = [await story.agent_says("early", run=run)]
    await story.takes()
    receipts.append(await story.agent_says("late", run=run))
    await story.returns()
    receipts.append(await story.agent_says("too late", run=run))
    receipts.append(await story.agent_streams("too l", run=run))

    assert {r.status for r in receipts} == {"fenced"}
    assert not {"early", "late", "too late"} & set(await story.screen())
    kept = [e.text for e in await story.log() if e.audience is Audience.SUPPRESSED]
    assert kept == ["early", "late", "too late"]


async def test_a_reply_typed_before_the_return_counts_even_if_it_arrives_after(store: Store) -> None:
    """By the vendor's clock it belongs to the human stretch; one typed later is not sent."""
    story = await taken(store)
    typed_at = Millis(story.clock.now() + 100)
    await story.returns(SUE)

    await story.types("One last thing: keep the box", at=typed_at)
    await story.types("and this is too late", at=Millis(story.clock.now() + 5000))
    await story.types("me too", BEN, at=typed_at)

    assert (await story.screen())[-1] == "One last thing: keep the box"
    assert (await story.notices())[-2:] == ["kept_ended", "kept_ended"]
    assert (await story.unsent())[-1].actions == ("take_back",)


async def test_while_waiting_any_operator_may_return_it(store: Store) -> None:
    """Nobody need take it first; a customer who waits gets a turn at once."""
    story = await waiting(store)
    await story.card_arrives()
    await story.returns(BEN, note="No need.")

    assert (await story.row()).state is State.AGENT
    turn = await story.turn()
    assert turn is not None
    assert turn.kind is TurnKind.RESUMED


# --- withdraw, release, leave


@pytest.mark.parametrize("by_words", [True, False])
async def test_a_customer_who_changes_their_mind_gets_the_agent_back(store: Store, by_words: bool) -> None:
    """ "Never mind" withdraws while nobody has taken it, and only then."""
    story = await waiting(store)
    await story.card_arrives()

    if by_words:
        await story.says("never mind")
    else:
        await story.withdraws()

    assert (await story.row()).state is State.AGENT
    assert (await story.handoff()).state is HandoffState.WITHDRAWN
    assert (await story.screen())[-1] == "(withdrawn)"
    assert (await story.notices())[-1] == "withdrawn"
    assert await story.turn() is not None
    assert (await story.takes()).status == "refused"
    assert (await story.withdraws()).status == "refused"


async def test_never_mind_is_a_line_like_any_other_once_taken(store: Store) -> None:
    """A person who answers is not sent away by a word."""
    story = await taken(store)
    await story.says("never mind")
    refused = await story.withdraws()

    assert (await story.row()).operator == DANA
    assert refused.status == "refused"


@pytest.mark.parametrize("how", ["release", "leave"])
async def test_a_released_conversation_waits_again(store: Store, how: str) -> None:
    """Back in the queue by its owner, or because the owner can answer no more: customer and thread are told."""
    story = await taken(store)
    if how == "release":
        await story.releases()
    else:
        await story.leaves(without_standing(DANA))

    row = await story.row()
    assert (row.state, row.operator, row.epoch) == (State.WAITING, None, 4)
    assert (await story.screen())[-1] == "(released)"
    assert (await story.takes(BEN)).status == "done"
    assert (await story.leaves(without_standing(DANA))).status == "done"
    assert (await story.row()).operator == BEN


# --- transfer


async def test_a_transfer_to_a_colleague_stays_in_the_thread(store: Store) -> None:
    """The colleague owns it at once, in the same thread; one who may not answer cannot get it."""
    story = await taken(store)
    root = await story.root()

    refused = await story.transfers(to_operator=GUEST)
    same = await story.transfers(to_operator=DANA)
    done = await story.transfers(to_operator=BEN, note="knows the product")

    assert [r.status for r in (refused, same, done)] == ["refused", "refused", "done"]
    row = await story.row()
    assert (row.operator, row.epoch, await story.root()) == (BEN, 4, root)
    assert "knows the product" in (await story.log())[-1].text
    await story.types("Hi, Ben here", BEN)
    assert (await story.screen())[-2:] == ["(joined)", "Hi, Ben here"]


@pytest.mark.parametrize("name, desk", [("billing", DESK), ("teams-desk", TEAMS)])
async def test_a_transfer_to_a_queue_opens_a_new_thread(store: Store, name: str, desk: str) -> None:
    """The same ticket gets a new card with a recap there; the old thread says so, and answers nobody any more."""
    story = await taken(store)
    old_root = await story.root()
    old = await story.handoff()

    await story.transfers(to_queue=name, note="it is about money")
    await story.card_arrives()

    handoff = await story.handoff()
    assert (handoff.id, handoff.ticket, handoff.queue) == (old.id, old.ticket, name)
    assert (handoff.thread.desk, handoff.thread.ordinal) == (desk, 2)
    assert handoff.thread.root not in {None, old_root}
    assert (await story.row()).state is State.WAITING
    await story.types("hello?", root=old_root)
    assert (await story.notices())[-1] == "earlier"
    notice = (await story.unsent())[-1]
    assert (notice.ordinal, notice.actions) == (1, ())
    assert "hello?" not in await story.screen()


async def test_customers_read_which_team_a_person_is_of(store: Store) -> None:
    """The first line after a transfer to a colleague is headed by that person's name and the queue's own label."""
    story = await taken(store)
    await story.types("Dana here")
    await story.transfers(to_queue="billing")
    await story.card_arrives()
    await story.takes(BEN)
    await story.types("Ben here", BEN)
    await story.types("and more", BEN)

    lines = [e for e in await story.log() if e.author.role is Role.OPERATOR and e.kind is EntryKind.LINE]
    assert [(e.text, e.named, e.data.get("label")) for e in lines] == [
        ("Dana here", True, "support team"),
        ("Ben here", True, "billing team"),
        ("and more", False, None),
    ]


async def test_the_old_card_is_brought_up_to_date_by_a_transfer(store: Store) -> None:
    """Its buttons would still work, so the old thread's card is shown anew as well."""
    story = await taken(store)
    await story.card_arrives()
    await story.transfers(to_queue="billing")

    outs = await story.unsent()
    assert [(o.ordinal, o.kind) for o in outs if o.kind is OutKind.CARD] == [(2, OutKind.CARD), (1, OutKind.CARD)]


@pytest.mark.parametrize("name", ["no-such-queue", "support"])
async def test_a_transfer_that_goes_nowhere_is_refused(store: Store, name: str) -> None:
    """An unknown queue, or the one it is in already, changes nothing."""
    story = await taken(store)
    before = await story.fingerprint()

    assert (await story.transfers(to_queue=name)).status == "refused"
    assert await story.fingerprint() == before


# --- close, reopen, old cards


async def test_closing_ends_it_until_somebody_speaks(store: Store) -> None:
    """Nobody owns a closed conversation: buttons are stale, and the customer's next line starts anew with the agent."""
    story = await taken(store)
    refused = await story.closes(BEN)
    await story.closes()

    assert refused.status == "refused"
    assert (await story.row()).state is State.CLOSED
    assert (await story.screen())[-1] == "(closed)"
    for receipt in (await story.takes(BEN), await story.releases(), await story.returns(), await story.closes()):
        assert receipt.status == "refused"
        assert "closed" in receipt.sentence
    await story.types("one more thing")
    assert (await story.notices())[-1] == "kept_ended"

    await story.says("hello again")
    row = await story.row()
    assert (row.state, row.epoch, row.sticky) == (State.AGENT, 5, DANA.id)
    assert await story.turn() is not None


async def test_who_helped_last_time_is_asked_first(store: Store) -> None:
    """The next handoff is a new ticket, linked to the last, and mentions the last operator."""
    story = await taken(store)
    await story.closes()
    before = await story.handoff()
    await story.says("hello again")
    await story.escalates("e2")

    handoff = await story.handoff()
    assert (handoff.ticket, handoff.previous, handoff.preferred) == ("H-1002", before.id, DANA.id)
    asked = (await story.log())[-1]
    assert (asked.data["notice"], asked.data["mentions"]) == ("sticky", [DANA.id])


@pytest.mark.parametrize("ended", ["return", "close"])
async def test_taking_it_back_is_a_new_linked_handoff(store: Store, ended: str) -> None:
    """*Take it back* works from the agent and from closed: a new ticket in a new thread, at once with this person."""
    story = await taken(store)
    before = await story.handoff()
    await (story.returns() if ended == "return" else story.closes())
    turn = await story.turn()

    assert (await story.reopens(GUEST, of=before.id)).status == "refused"
    await story.reopens(BEN, of=before.id)
    await story.card_arrives()

    row, handoff = await story.row(), await story.handoff()
    assert (row.state, row.operator) == (State.HUMAN, BEN)
    assert (handoff.previous, handoff.state) == (before.id, HandoffState.HUMAN)
    assert handoff.ticket != before.ticket
    assert handoff.thread.root != before.thread.root
    if turn is not None:
        assert (await story.agent_says("I was about to", run=fence(turn))).status == "fenced"
    assert (await story.takes(BEN, of=before.id)).sentence.endswith(f"The conversation went on as {handoff.ticket}.")
    again = await story.reopens(DANA, of=before.id)
    assert again.status == "refused"


async def test_an_earlier_card_can_take_it_back_too(store: Store) -> None:
    """Where no handoff is open, *Take it back* under an old thread works as under the newest."""
    story = await taken(store)
    first = await story.handoff()
    await story.closes()
    await story.says("hello again")
    await story.escalates("e2")
    await story.card_arrives()
    await story.takes(BEN)
    await story.types("anybody here?", root=first.thread.root)
    assert (await story.notices())[-1] == "earlier"
    assert "H-1002" in (await story.log())[-1].text
    await story.closes(BEN)

    await story.types("still me", root=first.thread.root)
    offer = next(out for out in await story.unsent() if out.actions == ("take_back",) and out.handoff == first.id)
    await story.reopens(DANA, of=offer.handoff)

    assert (await story.row()).operator == DANA
    assert (await story.handoff()).ticket == "H-1003"
    assert "still me" not in await story.screen()


async def test_buttons_of_an_earlier_handoff_are_stale(store: Store) -> None:
    """A card of an ended handoff changes nothing of the open one, and names it."""
    story = await taken(store)
    first = (await story.handoff()).id
    await story.returns()
    await story.escalates("e2")
    await story.card_arrives()
    await story.takes(BEN)
    before = await story.fingerprint()

    receipts = [
        await story.takes(SUE, of=first),
        await story.releases(BEN, of=first),
        await story.transfers(BEN, of=first, to_queue="billing"),
        await story.returns(BEN, of=first),
        await story.closes(BEN, of=first),
        await story.reopens(SUE, of=first),
        await story.rehearses(BEN, of=first),
    ]

    assert {r.status for r in receipts} == {"refused"}
    assert all("H-1002" in r.sentence for r in receipts)
    assert await story.fingerprint() == before


async def test_a_button_outlives_changes_of_the_epoch(store: Store) -> None:
    """It carries the handoff, not the epoch: after a release and another take it still works for the owner."""
    story = await taken(store)
    handoff = (await story.handoff()).id
    await story.releases()
    await story.takes(BEN)

    assert (await story.returns(BEN, of=handoff)).status == "done"


# --- rehearsal


async def test_a_rehearsal_is_for_the_thread_only(store: Store) -> None:
    """The agent tries with the draft note while a person owns it; its words reach no widget, and ownership stays."""
    story = await taken(store)
    await story.rehearses(note="She gets 10 euros.")
    turn = await store.run(lambda tx: tx.claim_turn("w", story.clock.now(), 60_000))
    assert turn is not None
    assert turn.kind is TurnKind.REHEARSAL
    asked = await story.look(lambda tx: grounding.agent_turn(tx, turn))
    assert asked.briefing is not None
    assert asked.briefing["note"] == "She gets 10 euros."
    before = await story.screen()

    said = await story.agent_says("Dana gave you 10 euros.", run=fence(turn))
    await story.agent_finishes(run=fence(turn))

    assert said.status == "done"
    assert await story.screen() == before
    log = await story.log()
    assert [(e.audience, e.kind) for e in log if e.text == "Dana gave you 10 euros."] == [
        (Audience.COLLEAGUES, EntryKind.LINE)
    ]
    assert (await story.unsent())[-1].n == log[-1].n
    ended = await story.look(lambda tx: tx.turn(SITE, turn.id))
    assert ended is not None
    assert ended.state is TurnState.DONE


async def test_a_rehearsal_that_comes_after_the_return_says_nothing(store: Store) -> None:
    """Once the owner changed, a rehearsal's words are dropped and its run is over."""
    story = await taken(store)
    await story.rehearses(note="x")
    turn = await store.run(lambda tx: tx.claim_turn("w", story.clock.now(), 60_000))
    assert turn is not None
    await story.returns()
    before = await story.log()

    said = await story.agent_says("Dana gave you 10 euros.", run=fence(turn))

    assert said.status == "fenced"
    assert await story.log() == before
    ended = await story.look(lambda tx: tx.turn(SITE, turn.id))
    assert ended is not None
    assert ended.state is TurnState.CANCELLED
