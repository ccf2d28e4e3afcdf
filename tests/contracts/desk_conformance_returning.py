"""Cases of the desk conformance suite: back to the agent, to nobody, and back to people."""

from collections.abc import Awaitable, Callable

import pytest

from bridge.envelope import ReturnNote, ReturnOutcome
from bridge.ports import Done, Message
from tests.contracts.desk_conformance_house import House
from tests.contracts.desk_conformance_room import COLLEAGUE, GUEST, OWNER, SUPERVISOR, Room
from tests.contracts.desk_conformance_talk import Talk, new_talk

NOTE = ReturnNote(
    outcome=ReturnOutcome.RESOLVED,
    note="The invoice was corrected.\nTwo lines of it.",
    facts=("Kim paid once.", "R-2031 is void."),
    promises=("A new invoice by Friday.",),
    do_not_repeat=("Do not ask for the number again.",),
    continue_now=True,
)


async def _by_form(talk: Talk, note: str) -> None:
    await talk.room.give_back(OWNER, talk.root, ReturnNote(note=note))


async def _by_message(talk: Talk, note: str) -> None:
    said = await talk.sees("Let me look.")
    await talk.room.give_back_by_message(OWNER, said.ref, ReturnNote(note=note))


async def _by_command(talk: Talk, note: str) -> None:
    await talk.room.give_back_by_command(OWNER, talk.ticket, note, talk.root)


async def _by_mention(talk: Talk, note: str) -> None:
    await talk.room.ask(OWNER, f"return {note}", talk.root)


WAYS = {"form": _by_form, "message": _by_message, "command": _by_command, "mention": _by_mention}


class Returning:
    """Return, close, reopen."""

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
    async def test_four_ways_back_to_the_agent(
        self, house: House, room: Room, way: Callable[[Talk, str], Awaitable[None]]
    ) -> None:
        """Button and form, a message's menu, the slash command, a mention: the same effect and the same note."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(OWNER, "Let me look.")
        await talk.chat.sees("Let me look.")
        await way(talk, "the invoice was corrected")
        returned = await talk.sees(f"{OWNER} gave this conversation back to the AI agent")
        assert "the invoice was corrected" in returned.text
        assert returned.buttons == ("Take it back",)
        await talk.chat.sees(f"**{OWNER}** left the chat. You are talking with our AI assistant again.")
        assert (await talk.card_says(f"Returned to the AI agent by {OWNER}")).buttons == ("Take it back",)
        await talk.owned_by("agent")
        await talk.chat.say("So, is it done?")
        await talk.chat.sees("Ada is back. the invoice was corrected")

    async def test_a_command_that_cannot_be_done_is_answered(self, house: House, room: Room) -> None:
        """Who has nothing to return, or may not, reads that where the command was typed, and nobody else does."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.command_in_channel(GUEST, "support")
        await talk.hears(GUEST, "You have no open conversation to return.")
        await room.give_back_by_command(COLLEAGUE, talk.ticket, "I think so", talk.root)
        words = f"{OWNER} has this conversation. Only its owner or a supervisor can do that."
        await talk.hears(COLLEAGUE, words)
        assert words not in talk.notes
        await talk.owned_by("human", OWNER)

    async def test_the_agent_is_told_all_that_people_did(self, house: House, room: Room) -> None:
        """Every field of the form, every line between people and customer, by name, are in what the agent reads; no
        note among colleagues is. Told to go on now, it speaks at once.
        """
        talk = await new_talk(house, room)
        await talk.taken(resume={"mode": "tool_result", "tool_call_id": "call-7"})
        await talk.say(OWNER, "// a canary for colleagues")
        await talk.say(OWNER, "Hello, Kim.")
        await talk.chat.sees("Hello, Kim.")
        await talk.chat.say("Hello Dana.")
        await talk.sees("Hello Dana.")
        await talk.say(OWNER, "I corrected it.")
        await talk.chat.sees("I corrected it.")
        await room.give_back(OWNER, talk.root, NOTE)
        await talk.chat.sees("Ada is back. The invoice was corrected.")

        told = talk.briefing()
        assert (told["outcome"], told["note"], told["continue_now"]) == ("resolved", NOTE.note, True)
        assert (tuple(told["facts"]), tuple(told["promises"])) == (NOTE.facts, NOTE.promises)
        assert tuple(told["do_not_repeat"]) == NOTE.do_not_repeat
        assert (told["operator"], told["ticket"], told["reason"]) == (OWNER, talk.ticket, "policy")
        assert told["resume"]["tool_call_id"] == "call-7"
        spoken = [
            (turn["role"], turn["name"], turn["text"]) for turn in told["human_turns"] if turn["role"] != "bridge"
        ]
        assert spoken == [
            ("operator", OWNER, "Hello, Kim."),
            ("customer", "Kim Vale", "Hello Dana."),
            ("operator", OWNER, "I corrected it."),
        ]
        assert "canary" not in str(told)
        shown = await talk.sees("(resolved).")
        for words in ("Two lines of it.", "Facts: Kim paid once.", "Promised: A new invoice", "Not to be repeated: Do"):
            assert words in shown.text

    async def test_what_has_not_left_yet_is_told_the_agent(self, house: House, room: Room) -> None:
        """The desk takes nothing for a while: a line that waits for it is in the briefing all the same."""
        talk = await new_talk(house, room)
        await talk.taken()
        async with talk.shut():
            await talk.chat.say("I found the receipt.")
            await talk.refused()
            await room.give_back(OWNER, talk.root, ReturnNote(note="Go on."))
            await talk.owned_by("agent")
            await talk.chat.sees("Ada is back. Go on.")
        told = talk.briefing()["human_turns"]
        assert [turn["text"] for turn in told if turn["role"] == "customer"] == ["I found the receipt."]
        await talk.sees("I found the receipt.")
        await talk.sees(f"{OWNER} gave this conversation back to the AI agent")

    async def test_a_reply_just_before_the_return_is_sent(self, house: House, room: Room) -> None:
        """What its owner typed before pressing *Return* is the owner's, however late it arrives here."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(OWNER, "All the best!")
        await room.give_back(OWNER, talk.root, ReturnNote(note="Done."))
        await talk.chat.sees("All the best!")
        await talk.owned_by("agent")
        await house.quiet()
        assert "the customer did not get it" not in talk.notes

    async def test_while_it_waits_any_operator_returns_it(self, house: House, room: Room) -> None:
        """Nobody has taken it: a colleague gives it back, and the customer reads that it is the agent again."""
        talk = await new_talk(house, room)
        await talk.opened()
        await room.give_back(COLLEAGUE, talk.root, ReturnNote(note="Ada can do this."))
        await talk.sees(f"{COLLEAGUE} gave this conversation back to the AI agent")
        await talk.chat.sees("You are talking with our AI assistant again.")
        await talk.owned_by("agent")

    async def test_only_its_owner_or_a_supervisor_returns_it(self, house: House, room: Room) -> None:
        """A colleague's form is refused with the owner's name; a supervisor's is done."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.give_back(COLLEAGUE, talk.root, ReturnNote(note="canary"))
        await talk.hears(COLLEAGUE, f"{OWNER} has this conversation. Only its owner or a supervisor can do that.")
        await talk.owned_by("human", OWNER)
        await room.give_back(SUPERVISOR, talk.root, ReturnNote(note="Done."))
        await talk.sees(f"{SUPERVISOR} gave this conversation back to the AI agent")
        await talk.owned_by("agent")

    async def test_after_the_return_nobody_is_heard_by_accident(self, house: House, room: Room) -> None:
        """A reply is not sent and the thread says so; *Take it back* goes on in a new handoff, linked from there."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.give_back(OWNER, talk.root, ReturnNote())
        await talk.owned_by("agent")
        await talk.say(OWNER, "one more canary")
        kept = await talk.sees("This conversation is not with people any more, so the customer did not get it.")
        assert kept.buttons == ("Take it back",)
        old, ticket = talk.root, talk.ticket
        await talk.press(OWNER, "Take it back", kept)
        await talk.owned_by("human", OWNER)
        card = await talk.follow(ticket=(await talk.handoff()).ticket)
        assert f"earlier: {ticket}" in card.text
        link = await talk.sees(f"{OWNER} took this conversation back. It goes on as {talk.ticket}.", old)
        assert room.links(link) == [talk.root]
        await talk.chat.sees(f"**{OWNER}** (Northwind support) joined the chat.")

        await room.say(OWNER, "a canary in the old thread", old)
        stray = await talk.sees(f"The conversation goes on in {talk.ticket}; the customer did not get this.", old)
        assert room.links(stray) == [talk.root]
        await talk.say(OWNER, "Here I am again.")
        await talk.chat.sees("Here I am again.")
        assert not talk.chat.ever_saw("canary")

    async def test_the_agent_calls_the_same_person_again(self, house: House, room: Room) -> None:
        """A later escalation is a new handoff; who helped before is asked first, by a mention."""
        talk = await new_talk(house, room)
        await talk.taken()
        ticket = talk.ticket
        await room.give_back(OWNER, talk.root, ReturnNote())
        await talk.owned_by("agent")
        talk.ticket = str((await talk.escalate(summary="It is wrong again."))["ticket"])
        card = await talk.follow()
        assert "It is wrong again." in card.text
        assert f"earlier: {ticket}" in card.text
        asked = await talk.sees("You talked with this customer before: please take it if you can.")
        assert room.mentioned(asked) == {OWNER}

    async def test_closed_and_written_to_again(self, house: House, room: Room) -> None:
        """Both sides read that it is closed; the customer's next line is the agent's, on a new page of the story."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.press(OWNER, "Close")
        closed = await talk.sees(f"{OWNER} closed this conversation.")
        assert closed.buttons == ("Take it back",)
        assert (await talk.card_says(f"Closed by {OWNER}")).buttons == ("Take it back",)
        await talk.chat.sees("This conversation was closed. Write again at any time.")
        await talk.owned_by("closed")
        await talk.say(OWNER, "a canary behind the door")
        kept = await talk.sees("This conversation is not with people any more, so the customer did not get it.")
        assert kept.buttons == ("Take it back",)
        await talk.chat.say("One more thing")
        await talk.chat.sees("Ada is back.")
        await talk.owned_by("agent")
        assert not talk.chat.ever_saw("canary")

    async def test_closed_and_reopened(self, house: House, room: Room) -> None:
        """*Take it back* on the card opens a new handoff, linked to the one before, at once with who pressed."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.press(OWNER, "Close")
        await talk.card_says(f"Closed by {OWNER}")
        old, ticket = talk.root, talk.ticket
        await talk.press(COLLEAGUE, "Take it back")
        await talk.owned_by("human", COLLEAGUE)
        card = await talk.follow(ticket=(await talk.handoff()).ticket)
        assert talk.ticket != ticket
        assert f"earlier: {ticket}" in card.text
        assert room.links(await talk.sees(f"It goes on as {talk.ticket}.", old)) == [talk.root]
        await talk.say(COLLEAGUE, "Reopened.")
        await talk.chat.sees("Reopened.")

    async def test_silence_closes_it_where_the_queue_says_so(self, house: House, room: Room) -> None:
        """After the queue's idle time both sides read that it is closed."""
        talk = await new_talk(house, room)
        await talk.taken("hasty")
        await house.leap(61)
        await talk.sees("Nothing was said for a long time, so the conversation was closed.")
        await talk.chat.sees("This conversation was closed. Write again at any time.")
        await talk.owned_by("closed")

    async def test_the_agent_closes_what_is_its_own(self, house: House, room: Room) -> None:
        """After a return the agent may end the conversation; the customer reads it, and people are not called."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.give_back(OWNER, talk.root, ReturnNote())
        await talk.owned_by("agent")
        house.agent.script(talk.chat.conversation, Message(text="Goodbye!"), Done(close=True))
        await talk.chat.say("Bye")
        await talk.chat.sees("Goodbye!")
        await talk.chat.sees("This conversation was closed. Write again at any time.")
        await talk.owned_by("closed")
