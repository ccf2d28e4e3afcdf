"""Journeys through the front door: from the agent to people."""

import dataclasses
from typing import Any

import pytest

from bridge.conversation import Audience, EntryKind, HandoffState, State, TurnKind, TurnState
from bridge.effects import OutKind
from bridge.envelope import Reason
from bridge.errors import NotFound
from bridge.events import CustomerSaid, Echoed, OperatorTook, RungDue
from bridge.ids import ConversationId, HandoffId, Millis, OutKey, RemoteRef, SourceId, TurnId
from bridge.storage import Store
from bridge.switchboard import Switchboard
from tests.bridge.stories import BEN, C1, DANA, DESK, GUEST, SITE, SUE, Story, a_file


async def waiting(store: Store, **changes: Any) -> Story:
    """Tell the story up to the escalation."""
    story = Story(store=store, **changes)
    await story.opens()
    await story.agent_says("Hello, how can I help?")
    await story.agent_finishes()
    await story.says("my parcel is late")
    await story.agent_escalates()
    return story


async def taken(store: Store, **changes: Any) -> Story:
    """Tell the story up to the take, with its card in the channel."""
    story = await waiting(store, **changes)
    await story.card_arrives()
    await story.takes()
    return story


# --- the agent's turns


async def test_a_chat_that_opens_is_greeted_once(store: Store) -> None:
    """The first opening queues the agent's greeting; a reload does not."""
    story = Story(store=store)

    await story.opens()
    await story.opens()
    turn = await story.turn()
    assert turn is not None
    assert (turn.kind, turn.upto_n, turn.epoch) == (TurnKind.OPENED, 0, 1)
    await story.agent_says("Hello")
    await story.agent_finishes()
    await story.opens()

    assert await story.turn() is None
    assert await story.screen() == ["Hello"]


async def test_lines_that_arrive_during_a_turn_go_to_the_next_one_together(store: Store) -> None:
    """One turn lives at a time; what came meanwhile is one next turn."""
    story = Story(store=store)
    await story.says("one")
    first = await story.turn()

    await story.says("two")
    await story.says("three")
    assert await story.turn() == first
    await story.agent_finishes()

    turn = await story.turn()
    assert turn is not None
    assert (turn.kind, turn.upto_n) == (TurnKind.MESSAGE, 3)
    await story.agent_finishes()
    assert await story.turn() is None


async def test_a_stream_is_cumulative_and_completed_by_its_message(store: Store) -> None:
    """Chunks are shown as they grow; the message that completes them names their turn, and closes them."""
    story = Story(store=store)
    await story.says("hi")
    run = await story.run()

    await story.agent_streams("Hel")
    await story.agent_streams("Hello")
    stream = await story.look(lambda tx: tx.stream(SITE, C1))
    assert stream is not None
    assert (stream.text, stream.seq, stream.open) == ("Hello", 2, True)
    await story.agent_says("Hello!")

    assert await story.look(lambda tx: tx.stream(SITE, C1)) is None
    assert (await story.log())[-1].turn == run["turn"]


@pytest.mark.parametrize(
    "change", [{"epoch": 99}, {"attempt": 2}, {"turn": TurnId("t99")}], ids=["epoch", "attempt", "turn"]
)
async def test_only_the_live_attempt_of_the_live_turn_speaks(store: Store, change: dict[str, Any]) -> None:
    """Text from another epoch, attempt or turn is kept as suppressed, and the run is told to stop."""
    story = Story(store=store)
    await story.says("hi")
    run = {**await story.run(), **change}

    said = await story.agent_says("I am late", run=run)
    streamed = await story.agent_streams("I am", run=run)
    acted = await story.agent_acts(run=run, collected={"a": 1})
    finished = await story.agent_finishes(run=run)
    broke = await story.agent_breaks(run=run)
    escalated = await story.agent_escalates(run=run)

    assert {r.status for r in (said, streamed, acted, finished, broke, escalated)} == {"fenced"}
    assert (await story.log())[-1].audience is Audience.SUPPRESSED
    assert await story.screen() == ["hi"]
    assert (await story.row()).state is State.AGENT
    assert (await story.row()).collected == {}


async def test_a_run_of_a_closed_conversation_opens_no_handoff(store: Store) -> None:
    """An escalation that comes after the close is fenced like any other word of the agent."""
    story = Story(store=store)
    await story.says("bye")
    run = await story.run()
    await story.agent_finishes(close=True)
    assert (await story.row()).state is State.CLOSED

    receipt = await story.agent_escalates(run=run)

    assert receipt.status == "fenced"
    assert (await story.row()).handoff is None


# --- ways to people


async def test_the_agent_escalates(store: Store) -> None:
    """One transaction: a new epoch, a ticket, the notice, the card with what was said before, and no live turn."""
    story = await waiting(store)
    row, handoff = await story.row(), await story.handoff()

    assert (row.state, row.epoch, row.operator) == (State.WAITING, 2, None)
    assert (handoff.state, handoff.ticket, handoff.queue) == (HandoffState.WAITING, "H-1001", "support")
    assert await story.turn() is None
    assert await story.screen() == ["Hello, how can I help?", "my parcel is late", "(escalated)"]
    assert "H-1001" in (await story.log())[-1].text
    root = await story.unsent()
    assert [out.kind for out in root] == [OutKind.CARD]
    await story.card_arrives()
    assert (await story.handoff()).thread.root is not None


@pytest.mark.parametrize(
    "name, reason",
    [
        ("customer", Reason.CUSTOMER_REQUEST),
        ("never_say", Reason.POLICY),
        ("policy", Reason.POLICY),
        ("tool", Reason.TOOL_FAILURE),
        ("unsure", Reason.LOW_CONFIDENCE),
        ("broken", Reason.ERROR),
        ("api", Reason.CUSTOMER_REQUEST),
    ],
)
async def test_each_trigger_calls_a_person(store: Store, name: str, reason: Reason) -> None:
    """The customer's wish, a forbidden word, a policy, a failed tool, doubt and failure each end in one handoff."""
    story = Story(store=store)
    await story.says("hello")
    match name:
        case "customer":
            await story.says("I want to talk to a human")
        case "never_say":
            receipt = await story.agent_says("I guarantee that it works")
            assert receipt.status == "fenced"
        case "policy":
            await story.agent_acts(tool="refund", collected={"refund_amount": 250})
        case "tool":
            await story.agent_acts(tool="lookup", failed=True)
        case "unsure":
            await story.agent_finishes(confidence=0.1)
            await story.says("what?")
            await story.agent_finishes(confidence=0.1)
        case "broken":
            await story.agent_breaks()
        case _:
            await story.escalates()

    handoff = await story.handoff()
    assert handoff.envelope.reason is reason
    assert (await story.row()).state is State.WAITING
    assert await story.turn() is None
    assert not any("guarantee" in text for text in await story.screen())
    assert (await story.screen())[-1] == "(escalated)"


async def test_half_written_text_is_taken_back_at_the_handoff(store: Store) -> None:
    """A stream that was open when people came is retracted for the customer, and its turn is over."""
    story = Story(store=store)
    await story.says("hello")
    run = await story.run()
    await story.agent_streams("I think you should")

    await story.escalates()

    log = await story.log()
    assert [e.turn for e in log if e.kind is EntryKind.RETRACTION] == [run["turn"]]
    assert await story.look(lambda tx: tx.stream(SITE, C1)) is None
    turn = await story.look(lambda tx: tx.turn(SITE, run["turn"]))
    assert turn is not None
    assert turn.state is TurnState.CANCELLED
    assert (await story.agent_says("I think you should sue", run=run)).status == "fenced"
    assert not any("sue" in text for text in await story.screen())


async def test_the_same_envelope_is_the_same_ticket(store: Store) -> None:
    """An envelope id that comes again, from the same source or another, answers with the ticket it became."""
    story = Story(store=store)
    await story.says("hello")
    first = await story.escalates("e7")
    before = await story.fingerprint()

    repeats = [await story.again(), await story.escalates("e7")]
    await story.card_arrives()
    await story.takes()
    await story.closes()
    repeats.append(await story.escalates("e7"))

    assert first.ticket == "H-1001"
    assert {(r.status, r.ticket, r.handoff) for r in repeats} == {("duplicate", "H-1001", first.handoff)}
    assert before[0].state is State.WAITING


async def test_an_envelope_that_was_only_noted_is_known_too(store: Store) -> None:
    """An envelope that came while people had the conversation is told once, and calls nobody anew after the return."""
    story = Story(store=store)
    await story.opens()
    first = await story.escalates("e1")
    await story.escalates("e2")
    again = await story.escalates("e2")
    assert (again.status, again.ticket) == ("duplicate", first.ticket)
    assert (await story.notices()).count("escalated_again") == 1
    await story.returns()

    late = await story.escalates("e2")

    assert (late.status, late.ticket) == ("duplicate", first.ticket)
    assert (await story.row()).state is State.AGENT


async def test_a_takeover_that_was_done_is_not_done_again(store: Store) -> None:
    """A request to take over that comes again after the return changes nothing: its operator gave it back."""
    story = Story(store=store)
    await story.opens()
    await story.escalates("e1")
    first = await story.escalates("e2", operator=DANA, reason=Reason.OPERATOR_TAKEOVER)
    assert (await story.row()).operator == DANA
    await story.returns()

    late = await story.escalates("e2", operator=DANA, reason=Reason.OPERATOR_TAKEOVER)

    assert (late.status, late.ticket) == ("duplicate", first.ticket)
    assert (await story.row()).state is State.AGENT


async def test_another_escalation_of_an_open_handoff_is_a_notice(store: Store) -> None:
    """While people own it a second envelope makes no second card."""
    story = await taken(store)
    before = await story.handoff()

    receipt = await story.escalates("e2", summary="It is urgent.")

    assert receipt.ticket == before.ticket
    assert (await story.notices())[-1] == "escalated_again"
    assert await story.handoff() == before


async def test_an_operator_takes_over_unasked(store: Store) -> None:
    """A person of the queue may take a conversation from the agent; a stranger may not."""
    story = Story(store=store)
    await story.says("hello")

    refused = await story.escalates("e1", operator=GUEST, reason=Reason.OPERATOR_TAKEOVER)
    assert (refused.status, refused.sentence) == ("refused", "Gus is a guest.")
    assert (await story.row()).state is State.AGENT

    await story.escalates("e2", operator=DANA, reason=Reason.OPERATOR_TAKEOVER)
    row = await story.row()
    assert (row.state, row.operator, row.epoch) == (State.HUMAN, DANA, 2)
    assert await story.screen() == ["hello", "(joined)"]

    await story.escalates("e3", operator=SUE, reason=Reason.OPERATOR_TAKEOVER)
    assert (await story.row()).operator == SUE
    refused = await story.escalates("e4", operator=BEN, reason=Reason.OPERATOR_TAKEOVER)
    assert (refused.status, (await story.row()).operator) == ("refused", SUE)


@pytest.mark.parametrize("queue, notice", [("night-wait", "escalated_closed"), ("night-contact", "escalated_contact")])
async def test_a_closed_queue_takes_the_handoff_and_says_when_it_opens(store: Store, queue: str, notice: str) -> None:
    """`wait` and `contact` open the handoff; the customer is told the truth for the hour."""
    story = Story(store=store)
    await story.says("hello")

    await story.escalates(queue=queue)

    assert (await story.row()).state is State.WAITING
    assert (await story.screen())[-1] == f"({notice})"


async def test_a_closed_queue_that_stays_leaves_the_conversation_to_the_agent(store: Store) -> None:
    """`stay`: no handoff, the customer and the asker are told, and no line of the customer stays unanswered."""
    story = Story(store=store)
    await story.says("hello")
    await story.says("anybody?")

    receipt = await story.agent_escalates(queue="night-stay")

    assert receipt.status == "refused"
    row = await story.row()
    assert (row.state, row.epoch, row.handoff) == (State.AGENT, 1, None)
    assert (await story.screen())[-1] == "(stays)"
    turn = await story.turn()
    assert turn is not None
    assert turn.upto_n >= 2

    again = await story.agent_escalates(id="e2", queue="night-stay")
    assert again.status == "refused"
    assert await story.turn() is None
    assert (await story.screen()).count("(stays)") == 1


async def test_a_wish_for_a_person_at_a_closed_queue_is_answered_by_the_agent(store: Store) -> None:
    """Where the queue stays closed, the customer's own line still gets a turn, and a live turn goes on."""
    story = Story(store=store)
    story.house = dataclasses.replace(
        story.house, directory=dataclasses.replace(story.house.directory, queues=[_night(story)])
    )
    story = Story(store=store, house=story.house)

    await story.says("I want to talk to a human")
    turn = await story.turn()
    assert turn is not None
    await story.says("I want to talk to a human now")

    assert await story.turn() == turn
    await story.agent_says("I am all there is.")
    await story.agent_finishes()
    assert (await story.turn()) is not None
    assert (await story.row()).state is State.AGENT


def _night(story: Story) -> Any:
    return story.house.directory.queue("night-stay")


async def test_a_closed_conversation_is_not_woken_by_an_escalation_that_goes_nowhere(store: Store) -> None:
    """An API escalation to a queue that stays closed changes nothing in a conversation that is over."""
    story = Story(store=store)
    await story.says("bye")
    await story.agent_finishes(close=True)
    before = await story.row()

    receipt = await story.escalates(queue="night-stay")

    assert receipt.status == "refused"
    assert await story.row() == before


# --- taking


async def test_the_first_take_wins_and_the_second_is_told_by_whom(store: Store) -> None:
    """Two people press at once: one owns it, the other reads the name, and the epoch moved once."""
    story = await waiting(store)
    await story.card_arrives()

    won, lost = await story.takes(DANA), await story.takes(BEN)

    assert (won.status, lost.status) == ("done", "refused")
    assert "Dana" in lost.sentence
    row = await story.row()
    assert (row.state, row.operator, row.epoch) == (State.HUMAN, DANA, 3)
    assert (await story.screen())[-1] == "(joined)"
    assert (await story.notices()) == ["taken"]


async def test_an_owner_who_takes_again_changes_nothing(store: Store) -> None:
    """A second press of the owner's own is no change of owner."""
    story = await taken(store)
    before = await story.row()

    receipt = await story.takes(DANA)

    assert receipt.status == "done"
    assert await story.row() == before


async def test_a_supervisor_may_take_it_over(store: Store) -> None:
    """A supervisor takes a colleague's conversation: a new epoch, and both sides are told."""
    story = await taken(store)

    await story.takes(SUE)

    row = await story.row()
    assert (row.operator, row.epoch) == (SUE, 4)
    assert (await story.screen())[-1] == "(joined)"
    taken_over = (await story.log())[-1]
    assert "Dana" in taken_over.text
    assert taken_over.data["mentions"] == [SUE.id]


async def test_strangers_can_press_nothing(store: Store) -> None:
    """Whoever has no standing in the queue is refused, with the reason, whatever the button."""
    story = await waiting(store)
    await story.card_arrives()
    kept = await story.types("// look", BEN)
    before = await story.fingerprint()

    receipts = [
        await story.takes(GUEST),
        await story.releases(GUEST),
        await story.transfers(GUEST, to_queue="billing"),
        await story.returns(GUEST),
        await story.closes(GUEST),
        await story.reopens(GUEST),
        await story.rehearses(GUEST),
        await story.forwards(GUEST, remote=RemoteRef(kept), take=True),
    ]

    assert {(r.status, r.sentence) for r in receipts} == {("refused", "Gus is a guest.")}
    assert await story.fingerprint() == before


async def test_colleagues_cannot_act_on_anothers_conversation(store: Store) -> None:
    """Release, transfer, return, close and rehearse are the owner's or a supervisor's."""
    story = await taken(store)
    before = await story.fingerprint()

    receipts = [
        await story.releases(BEN),
        await story.transfers(BEN, to_queue="billing"),
        await story.returns(BEN),
        await story.closes(BEN),
        await story.rehearses(BEN),
    ]

    assert {r.status for r in receipts} == {"refused"}
    assert all("Dana" in r.sentence for r in receipts)
    assert await story.fingerprint() == before


# --- the door itself


async def test_unknown_names_leave_no_trace(store: Store) -> None:
    """A conversation, handoff or thread that is not there raises NotFound, and the event may come again."""
    story = Story(store=store)
    head = story.head()
    button = OperatorTook(**head, operator=DANA, handoff=HandoffId("h99"))
    with pytest.raises(NotFound):
        await story.bring(button)
    with pytest.raises(NotFound):
        await story.again()
    with pytest.raises(NotFound):
        await story.withdraws()
    with pytest.raises(NotFound):
        await story.types("hello", root=RemoteRef("nowhere"))
    with pytest.raises(NotFound):
        await story.escalates()
    with pytest.raises(NotFound):
        await story.bring(RungDue(**story.head(), handoff=HandoffId("h99"), rung="ask"))


async def test_a_repeated_line_answers_as_the_first_time(store: Store) -> None:
    """A widget that sends a line again reads under which number and time it is kept."""
    story = Story(store=store)
    first = await story.says("hello")
    await story.says("more")
    story.events.pop()

    repeat = await story.again()

    assert repeat.status == "duplicate"
    assert (repeat.n, repeat.at, repeat.epoch) == (first.n, first.at, 1)
    assert [entry.text for entry in await story.log()] == ["hello", "more"]


async def test_conversations_do_not_meet(store: Store) -> None:
    """A reply in one conversation's thread, or a message named from another's, never reaches another customer."""
    one = await taken(store)
    two = Story(store=store, conversation=ConversationId("c2"), mint=one.mint)
    await two.says("hi")
    await two.escalates(conversation_id="c2")
    await two.card_arrives()
    two.clock.set(one.clock.now())
    await two.takes(BEN)
    note = await one.types("// secret of one")
    said = await one.types("for one only")

    before = await two.fingerprint()
    by_shortcut = await two.forwards(BEN, remote=RemoteRef(note))
    edit = await two.edits(said, "changed", DANA)
    delete = await two.deletes(said)

    assert by_shortcut.status == "refused"
    assert (edit.status, delete.status) == ("done", "done")
    assert await two.fingerprint() == before
    assert "for one only" in await one.screen()
    assert not any("one" in text for text in await two.screen())


async def test_hints_follow_each_commit(store: Store) -> None:
    """Whoever has work is told after the commit: the desk of a post, the runner of a turn; a repeat tells nobody."""
    story = Story(store=store)
    told: list[Any] = []
    story.door = Switchboard(store=store, clock=story.clock, house=story.house, mint=story.mint, on_change=told.append)

    await story.says("hello")
    await story.again()
    assert [(c.conversation, c.turn, c.desk) for c in told] == [(C1, True, None)]
    await story.escalates()

    assert told[-1].desk == DESK


async def test_an_echo_settles_what_was_unclear_once(store: Store) -> None:
    """Our own post, seen in the channel, settles a send; an unknown or repeated echo is a duplicate."""
    story = await waiting(store)
    claim = await store.run(lambda tx: tx.claim_lane(DESK, "w", story.clock.now(), 1000))
    assert claim is not None
    key, now = claim.outs[0].key, story.clock.now()
    await store.run(lambda tx: tx.begin_send(claim, [claim.outs[0].k], key, now, now))

    def echo(key: str, source: str) -> Echoed:
        return Echoed(
            site=SITE, source=SourceId(source), at=now, desk=DESK, key=OutKey(key), ref=RemoteRef("root-seen")
        )

    first = await story.bring(echo(key, "s1"))
    again = await story.bring(echo(key, "s2"))
    other = await story.bring(echo("no-such-key", "s3"))

    assert (first.status, again.status, other.status) == ("done", "duplicate", "duplicate")
    assert await story.root() == "root-seen"


async def test_times_grow_even_if_the_clock_goes_back(store: Store) -> None:
    """Entries are stamped in order though the process's clock was set back by an hour."""
    story = await taken(store)
    story.clock.set(story.clock.now() - 3_600_000)
    await story.says("still here")
    await story.types("me too")

    times = [entry.at for entry in await story.log()]
    assert times == sorted(set(times))
    assert [entry.n for entry in await story.log()] == list(range(1, len(times) + 1))


async def test_a_line_of_files_only_is_a_line(store: Store) -> None:
    """Files travel both ways without text."""
    story = await taken(store)
    await story.says("", files=(a_file("photo.jpg"),))
    await story.types("", files=(a_file(),))

    log = await story.log()
    lines = [entry for entry in log if entry.kind is EntryKind.LINE and entry.files]
    assert [(e.author.role.value, e.files[0].name, e.audience) for e in lines] == [
        ("customer", "photo.jpg", Audience.EVERYONE),
        ("operator", "bill.pdf", Audience.EVERYONE),
    ]


async def test_the_widget_gets_back_what_it_sent_along(store: Store) -> None:
    """The data of a customer's line is kept verbatim."""
    story = Story(store=store)
    await story.says("hello", data={"clientActivityID": "x1", "deep": {"a": [1, 2]}})

    assert (await story.log())[0].data == {"clientActivityID": "x1", "deep": {"a": [1, 2]}}


async def test_a_conversation_that_only_a_token_proves_is_made_by_its_first_line(store: Store) -> None:
    """A line for a conversation that the store has not yet makes it."""
    story = Story(store=store)
    receipt = await story.says("hello")
    row = await story.row()

    assert (receipt.conversation, receipt.n) == (C1, 1)
    assert (row.widget, row.customer.name, row.epoch) == ("web", "Kim Doe", 1)
    assert isinstance(story.events[0], CustomerSaid)
    assert receipt.at == Millis(row.last_at)
