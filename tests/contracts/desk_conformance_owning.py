"""Cases of the desk conformance suite: who owns a conversation, and how it passes from one to another."""

import asyncio

from bridge.envelope import ReturnNote
from tests.contracts.desk_conformance_house import House
from tests.contracts.desk_conformance_room import COLLEAGUE, GUEST, OUTSIDER, OWNER, SUPERVISOR, Room
from tests.contracts.desk_conformance_talk import SUMMARY, new_talk


class Owning:
    """Take, take over, release, leave, transfer."""

    async def test_the_first_to_take_it_has_it(self, house: House, room: Room) -> None:
        """The card, the thread (by a mention, so that the client follows it) and the customer are told who has it."""
        talk = await new_talk(house, room)
        await talk.opened()
        await talk.press(OWNER, "Take it")
        taken = await talk.sees(f"{OWNER} took this conversation. What {OWNER} writes in this thread now goes to the")
        assert room.mentioned(taken) == {OWNER}
        card = await talk.card_says("Taken by")
        assert OWNER in card.text
        assert card.buttons == ("Return to AI", "Transfer", "Release", "Close")
        await talk.chat.sees(f"**{OWNER}** (Northwind support) joined the chat.")
        await talk.owned_by("human", OWNER)
        await house.quiet()
        for person in (OWNER, COLLEAGUE):
            assert room.card(talk.root, person).buttons == card.buttons

    async def test_the_second_one_is_told_who_has_it(self, house: House, room: Room) -> None:
        """Two press the same button: the second is refused, alone, with the owner's name; nothing else changes."""
        talk = await new_talk(house, room)
        await talk.opened("hasty")
        await house.leap(21)
        asks = await talk.sees("Still waiting for somebody to take it.")
        await talk.take()
        await talk.press(COLLEAGUE, "Take it", asks)
        await talk.hears(COLLEAGUE, f"{OWNER} has this conversation already.")
        await house.quiet()
        assert "has this conversation already" not in talk.notes
        await talk.owned_by("human", OWNER)

    async def test_of_two_at_once_one_has_it(self, house: House, room: Room) -> None:
        """Three presses at the same moment, two of one person: one owner, told once; the other reads who it is."""
        talk = await new_talk(house, room)
        await talk.opened()
        presses = (room.press(person, talk.root, "Take it") for person in (OWNER, COLLEAGUE, OWNER))
        await asyncio.gather(*presses)
        await talk.sees("took this conversation.")
        await house.quiet()
        owner = (await talk.conversation()).operator
        assert owner is not None
        other = COLLEAGUE if owner.name == OWNER else OWNER
        await talk.hears(other, f"{owner.name} has this conversation already.")
        assert talk.times("took this conversation") == 1
        assert sum("joined the chat" in text for text in talk.chat.texts) == 1

    async def test_a_supervisor_may_take_it_over(self, house: House, room: Room) -> None:
        """Both people read it in the thread, the customer reads who is there now, and only that one is heard."""
        talk = await new_talk(house, room)
        await talk.opened("hasty")
        await house.leap(21)
        asks = await talk.sees("Still waiting for somebody to take it.")
        await talk.take()
        await talk.press(SUPERVISOR, "Take it", asks)
        taken = await talk.sees(f"{SUPERVISOR} took this conversation over from {OWNER}.")
        assert SUPERVISOR in room.mentioned(taken)
        await talk.chat.sees(f"**{SUPERVISOR}** (Northwind support) joined the chat.")
        await talk.say(OWNER, "a canary of before")
        await talk.say(SUPERVISOR, "I go on.")
        await talk.chat.sees("I go on.")
        assert not talk.chat.ever_saw("canary")

    async def test_a_reply_before_anybody_took_it_stays(self, house: House, room: Room) -> None:
        """It is for colleagues; the thread says so, and one press takes the conversation and sends it after all."""
        talk = await new_talk(house, room)
        await talk.opened()
        await talk.say(OWNER, "I know this one.")
        kept = await talk.sees("Nobody has taken this conversation yet, so the customer did not get it.")
        assert kept.buttons == ("Take it and send this",)
        await talk.owned_by("waiting")
        assert not talk.chat.ever_saw("I know this one.")
        await talk.press(OWNER, "Take it and send this", kept)
        await talk.chat.sees("I know this one.")
        await talk.owned_by("human", OWNER)

    async def test_where_the_first_reply_takes_it(self, house: House, room: Room) -> None:
        """In a queue that wants it so, the first answer takes the conversation and is sent; a note is still a note."""
        talk = await new_talk(house, room)
        await talk.opened("eager")
        await talk.say(COLLEAGUE, "// a canary for us")
        await talk.say(OWNER, "Good morning.")
        await talk.chat.sees("Good morning.")
        await talk.owned_by("human", OWNER)
        assert not talk.chat.ever_saw("canary")

    async def test_released_it_waits_again(self, house: House, room: Room) -> None:
        """The thread offers it, the customer is told, the ladder starts anew, and a colleague can take it."""
        talk = await new_talk(house, room)
        await talk.taken("hasty")
        await talk.press(OWNER, "Release")
        offered = await talk.sees(f"{OWNER} gave this conversation back to the queue.")
        assert offered.buttons == ("Take it",)
        await talk.chat.sees(f"**{OWNER}** had to leave. A colleague will go on with you")
        await talk.card_says("Waiting for somebody to take it")
        await house.leap(21)
        await talk.sees("Still waiting for somebody to take it.")
        await talk.press(COLLEAGUE, "Take it", offered)
        await talk.owned_by("human", COLLEAGUE)

    async def test_only_its_owner_releases_it(self, house: House, room: Room) -> None:
        """A colleague who presses *Release* or *Close* is told, alone, who has it."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.press(COLLEAGUE, "Release")
        await talk.press(COLLEAGUE, "Close")
        await talk.hears(COLLEAGUE, f"{OWNER} has this conversation. Only its owner or a supervisor can do that.")
        await talk.owned_by("human", OWNER)

    async def test_an_owner_who_is_gone_owns_nothing(self, house: House, room: Room) -> None:
        """Whoever leaves the place where the thread is gives it back to the queue; thread and customer are told."""
        talk = await new_talk(house, room)
        await talk.opened()
        await talk.take(COLLEAGUE)
        try:
            await room.leave(COLLEAGUE, talk.root)
            await talk.sees(f"{COLLEAGUE} can no longer answer here, so the conversation is back in the queue.")
            await talk.chat.sees(f"**{COLLEAGUE}** had to leave.")
            await talk.owned_by("waiting")
        finally:
            await room.come_back(COLLEAGUE, talk.root)
        await talk.press(OWNER, "Take it")
        await talk.owned_by("human", OWNER)

    async def test_transferred_to_a_colleague(self, house: House, room: Room) -> None:
        """In the same thread: the colleague is mentioned with the note, the customer reads who joined."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.transfer(OWNER, talk.root, to=COLLEAGUE, note="You know invoices.")
        passed = await talk.sees(f"{OWNER} passed this conversation to {COLLEAGUE}. Note: You know invoices.")
        assert COLLEAGUE in room.mentioned(passed)
        await talk.owned_by("human", COLLEAGUE)
        await talk.chat.sees(f"**{COLLEAGUE}** (Northwind support) joined the chat.")
        await talk.say(COLLEAGUE, "I am Lee.")
        await talk.chat.sees("I am Lee.")
        assert not talk.chat.ever_saw("You know invoices.")

    async def test_nobody_can_pass_it_to_a_stranger(self, house: House, room: Room) -> None:
        """A guest cannot be given a conversation; the one who tried reads why."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.transfer(OWNER, talk.root, to=GUEST)
        await talk.hears(OWNER, "Guests may not act on conversations.")
        await talk.owned_by("human", OWNER)

    async def test_transferred_to_a_queue(self, house: House, room: Room) -> None:
        """A new card there, with the recap of all that was said; the old thread ends with a link to the new one."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(OWNER, "This is for billing.")
        await talk.chat.sees("This is for billing.")
        await talk.chat.say("Fine with me.")
        await talk.sees("Fine with me.")
        old = talk.root
        await room.transfer(OWNER, talk.root, queue="billing", note="Charged twice.")
        card = await talk.follow("billing")
        for words in (SUMMARY, "Waiting for somebody to take it", "queue Billing", f"{OWNER} moved it here"):
            assert words in card.text
        assert card.buttons == ("Take it", "Return to AI", "Transfer", "Close")
        recap = await talk.sees("This is for billing.")
        assert "Fine with me." in recap.text
        await talk.sees(f"{OWNER} moved this conversation here from Support. Note: Charged twice.")
        moved = await talk.sees("It goes on in a new thread. Note: Charged twice.", old)
        assert room.links(moved) == [talk.root]
        assert (await talk.card_says("Moved to", old)).buttons == ()
        await talk.chat.sees("I'm passing you on to Northwind support.")
        assert not talk.chat.ever_saw("Charged twice.")
        await room.say(OWNER, "a canary in the old thread", old)
        stray = await talk.sees("This is the thread of an earlier handoff.", old)
        assert room.links(stray) == [talk.root]
        await talk.take(COLLEAGUE)
        await talk.say(COLLEAGUE, "Billing here.")
        await talk.chat.sees("Billing here.")
        assert not talk.chat.ever_saw("canary")

    async def test_while_it_waits_any_operator_passes_it_on(self, house: House, room: Room) -> None:
        """Nobody has taken it: a colleague moves it to the queue where it belongs."""
        talk = await new_talk(house, room)
        await talk.opened()
        await room.transfer(COLLEAGUE, talk.root, queue="billing")
        card = await talk.follow("billing")
        assert f"{COLLEAGUE} moved it here" in card.text
        await talk.owned_by("waiting")

    async def test_a_button_of_a_thread_that_is_over_does_nothing(self, house: House, room: Room) -> None:
        """*Take it* under an old notice, after the conversation was closed and taken back, says where it went."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.press(OWNER, "Release")
        stale = await talk.sees(f"{OWNER} gave this conversation back to the queue.")
        await talk.take()
        await talk.press(OWNER, "Close")
        closed = await talk.sees(f"{OWNER} closed this conversation.")
        await talk.press(COLLEAGUE, "Take it", stale)
        await talk.hears(COLLEAGUE, f"{talk.ticket} is closed.")
        await talk.press(SUPERVISOR, "Take it back", closed)
        await talk.owned_by("human", SUPERVISOR)
        newest = (await talk.handoff()).ticket
        await talk.press(COLLEAGUE, "Take it", stale)
        await talk.hears(COLLEAGUE, f"This card is of an earlier handoff. The conversation went on as {newest}.")
        await talk.owned_by("human", SUPERVISOR)

    async def test_guests_and_outsiders_press_in_vain(self, house: House, room: Room) -> None:
        """Who is no operator takes, returns and closes nothing: a guest reads why, an outsider that it failed."""
        talk = await new_talk(house, room)
        await talk.opened()
        for person, why in ((GUEST, "Guests may not act on conversations."), (OUTSIDER, "")):
            await talk.press(person, "Take it")
            await talk.press(person, "Close")
            await talk.hears(person, why)
        await room.give_back(GUEST, talk.root, ReturnNote(note="canary"))
        await talk.owned_by("waiting")
        await talk.take()
