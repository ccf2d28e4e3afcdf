"""Cases of the desk conformance suite: the agent tries, for the thread's eyes only, before anything is returned."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bridge.capabilities import REHEARSED
from bridge.conversation import TurnKind
from bridge.envelope import ReturnNote, ReturnOutcome
from bridge.notices import REHEARSING
from bridge.ports import AgentError, Done, HandOff, Message
from tests.contracts.desk_conformance_house import House, until
from tests.contracts.desk_conformance_room import COLLEAGUE, GUEST, OUTSIDER, OWNER, SUPERVISOR, Person, Room
from tests.contracts.desk_conformance_talk import Talk, new_talk

NOTE = ReturnNote(
    outcome=ReturnOutcome.RESOLVED,
    note="All paid.\nNothing is open.",
    facts=("Kim paid once.",),
    promises=("A new invoice by Friday.",),
    do_not_repeat=("Do not ask for the number again.",),
)


async def _by_form(talk: Talk, note: str) -> None:
    await talk.room.rehearse(OWNER, talk.root, ReturnNote(note=note))
    await talk.hears(OWNER, REHEARSING)


async def _by_mention(talk: Talk, note: str) -> None:
    await talk.room.ask(OWNER, f"rehearse {note}", talk.root)


WAYS = {"form": _by_form, "mention": _by_mention}


def tries(talk: Talk) -> int:
    """Return how often the agent was let rehearse."""
    turns = talk.house.agent.turns[talk.chat.conversation]
    return sum(turn.kind is TurnKind.REHEARSAL for turn in turns)


async def refused(talk: Talk, person: Person, words: str) -> None:
    """Wait until somebody is told this where they typed: alone, or by name where the desk cannot whisper."""

    async def look() -> bool:
        return f"{person}: {words}" in talk.notes or any(words in told for told in talk.room.told(person))

    await until(look, what=f"{person} is not told {words!r}; there is: {talk.notes}")


class Rehearsing:
    """Show me what it would say."""

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
    async def test_two_ways_to_hear_what_the_agent_would_say(
        self, house: House, room: Room, way: Callable[[Talk, str], Awaitable[None]]
    ) -> None:
        """Form and mention: the thread shows who asked, the draft note and the agent's words, which say that the
        customer does not see them; no page is ever sent any of it, and the conversation stays where it is.
        """
        talk = await new_talk(house, room)
        await talk.taken()
        await way(talk, "the invoice is a canary")
        begun = await talk.sees(f"{OWNER} asked the AI agent what it would say next.")
        assert "the customer does not see it" in begun.text
        assert "the invoice is a canary" in begun.text
        said = await talk.sees("Ada is back. the invoice is a canary")
        assert f"Ada · AI agent · {REHEARSED}" in said.text
        assert talk.briefing()["note"] == "the invoice is a canary"
        await talk.owned_by("human", OWNER)
        await talk.say(OWNER, "All is paid.")
        await talk.chat.sees("All is paid.")
        assert not talk.chat.ever_saw("canary")
        assert "does not see" not in str(talk.chat.everything)
        assert tries(talk) == 1

    async def test_the_agent_reads_the_draft_note_whole(self, house: House, room: Room) -> None:
        """Every field of the form as it stands is in what the agent reads; the same form still returns it then."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.rehearse(OWNER, talk.root, NOTE)
        await talk.sees("Ada is back. All paid.")
        told = talk.briefing()
        assert (told["outcome"], told["note"]) == ("resolved", NOTE.note)
        assert (tuple(told["facts"]), tuple(told["promises"])) == (NOTE.facts, NOTE.promises)
        assert tuple(told["do_not_repeat"]) == NOTE.do_not_repeat
        await room.give_back(OWNER, talk.root, NOTE)
        await talk.owned_by("agent")
        await talk.chat.say("Is it done?")
        await talk.chat.sees("Ada is back. All paid.")

    async def test_each_press_is_one_try(self, house: House, room: Room) -> None:
        """A press that the vendor tells twice is one try; two presses are two."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.rehearse(OWNER, talk.root, ReturnNote(note="Paid."), presses=2)
        await house.quiet()
        assert (tries(talk), talk.notes.count("asked the AI agent what it would say")) == (2, 2)
        await room.repeat_an_event()
        await room.ask(OWNER, "rehearse once more", talk.root)
        await talk.sees("Ada is back. once more")
        await house.quiet()
        assert (tries(talk), talk.notes.count("Ada is back. once more")) == (3, 1)

    async def test_only_who_may_return_it_may_rehearse_it(self, house: House, room: Room) -> None:
        """A colleague is refused with the owner's name, a guest with why, an outsider in whatever words; a supervisor
        may, and while it waits every operator.
        """
        talk = await new_talk(house, room)
        await talk.opened()
        await room.rehearse(COLLEAGUE, talk.root, ReturnNote(note="Ada can do this."))
        await talk.sees("Ada is back. Ada can do this.")
        await talk.take()
        for person, why in ((COLLEAGUE, f"{OWNER} has this conversation."), (GUEST, "Guests may not"), (OUTSIDER, "")):
            await room.rehearse(person, talk.root, ReturnNote(note="canary"))
            await talk.hears(person, why)
        await room.rehearse(SUPERVISOR, talk.root, ReturnNote(note="Sam looks in."))
        await talk.sees("Ada is back. Sam looks in.")
        await house.quiet()
        assert "canary" not in talk.notes
        assert tries(talk) == 2

    async def test_a_command_of_others_is_refused_in_words(self, house: House, room: Room) -> None:
        """Typed by a colleague who does not have it, it asks nobody anything; mistyped by its owner it is a note."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.ask(COLLEAGUE, "rehearse all fine", talk.root)
        words = f"{OWNER} has this conversation. Only its owner or a supervisor can do that."
        await refused(talk, COLLEAGUE, words)
        await room.ask(OWNER, "reherse a canary", talk.root)
        await talk.sees("reherse a canary")
        await house.quiet()
        assert tries(talk) == 0
        assert not talk.chat.ever_saw("canary")

    async def test_after_the_return_nothing_is_rehearsed(self, house: House, room: Room) -> None:
        """The command in the thread is refused in words, and a try that is under way says nothing any more."""
        talk = await new_talk(house, room)
        await talk.taken()
        goes_on = asyncio.Event()
        house.agent.script(talk.chat.conversation, goes_on, Message(text="a late canary"), Done())
        await room.rehearse(OWNER, talk.root, ReturnNote(note="Paid."))
        await talk.sees("asked the AI agent what it would say")
        await room.give_back(OWNER, talk.root, ReturnNote(note="Paid."))
        await talk.owned_by("agent")
        goes_on.set()
        await room.ask(OWNER, "rehearse again", talk.root)
        await refused(talk, OWNER, f"{talk.ticket} is with the AI agent again.")
        await house.quiet()
        assert tries(talk) == 1
        assert "canary" not in talk.notes
        assert not talk.chat.ever_saw("canary")

    async def test_how_a_rehearsal_ends_is_said(self, house: House, room: Room) -> None:
        """A failure, another handover, silence, and a change of owner meanwhile: the thread says each, and nothing
        else comes of it.
        """
        talk = await new_talk(house, room)
        await talk.taken()
        wants = {"reason": "policy", "summary": "Needs approval."}
        ends = (
            ((AgentError(code="overloaded"),), "The rehearsal failed: the AI agent did not answer as it should."),
            ((HandOff(envelope=wants),), "(I would hand over again: Needs approval.)"),
            ((Done(),), "(I would say nothing.)"),
        )
        for steps, words in ends:
            house.agent.script(talk.chat.conversation, *steps)
            await room.rehearse(OWNER, talk.root, ReturnNote(note="Paid."))
            await talk.sees(words)
        await talk.owned_by("human", OWNER)
        goes_on = asyncio.Event()
        house.agent.script(talk.chat.conversation, goes_on, Message(text="a late canary"), Done())
        await room.rehearse(OWNER, talk.root, ReturnNote(note="Paid."))
        await room.transfer(OWNER, talk.root, to=COLLEAGUE)
        await talk.owned_by("human", COLLEAGUE)
        goes_on.set()
        await talk.sees("The rehearsal was stopped, because this conversation changed hands.")
        await house.quiet()
        assert "canary" not in talk.notes
        assert not talk.chat.ever_saw("Needs approval")
