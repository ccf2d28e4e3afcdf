"""Cases of the desk conformance suite: what people see when the vendor fails, repeats itself, or loses a thread."""

from collections.abc import Mapping
from typing import ClassVar

from bridge.capabilities import Capabilities, Support
from tests.contracts.desk_conformance_house import House
from tests.contracts.desk_conformance_room import OWNER, SUPERVISOR, Room
from tests.contracts.desk_conformance_talk import new_talk


class Trouble:
    """Dead letters, unclear posts, repeats, lost threads. `can` is what the desk must say that it can do."""

    can: ClassVar[Mapping[str, Support]]

    async def test_the_desk_says_what_it_can_do(self, house: House, room: Room) -> None:
        """Its capabilities are the ones that the cases go by, and none of them loses anything without a word."""
        talk = await new_talk(house, room)
        told = {name: getattr(talk.capabilities, name) for name in self.can}
        assert told == self.can
        levels = {name for name, kind in Capabilities.__annotations__.items() if kind in {Support, "Support"}}
        assert levels == self.can.keys()
        assert Support.DROPPED not in told.values()

    async def test_a_dead_letter_is_shown_with_a_way_out(self, house: House, room: Room) -> None:
        """What the vendor refuses for good is told in the thread, with the reason; *Send again* sends it, once."""
        talk = await new_talk(house, room)
        await talk.taken()
        await house.quiet()
        await room.refuse_a_post()
        await talk.chat.say("Please read this.")
        dead = await talk.sees("This could not be delivered here:")
        assert dead.buttons == ("Send again",)
        assert "Please read this." not in talk.notes
        await talk.press(OWNER, "Send again", dead)
        await talk.sees("Please read this.")
        await house.quiet()
        await talk.press(OWNER, "Send again", dead)
        await talk.hears(OWNER, "Somebody has decided about this one already.")
        await house.quiet()
        assert talk.times("Please read this.") == 1

    async def test_a_post_without_an_answer_is_looked_for_or_labelled(self, house: House, room: Room) -> None:
        """Where the thread can be read back the line stands there once; where not, a second time, and says so."""
        talk = await new_talk(house, room)
        await talk.taken()
        await house.quiet()
        await room.lose_an_answer()
        await talk.chat.say("Did you get this?")
        await talk.sees("Did you get this?")
        await talk.chat.say("And this?")
        await talk.sees("And this?")
        await house.quiet()
        found = [post.text for post in talk.thread if "Did you get this?" in post.text]
        if talk.capabilities.read_back is Support.FULL:
            assert len(found) == 1
            assert "sent again" not in found[0]
        else:
            assert talk.capabilities.read_back is Support.REJECTED
            assert ["sent again after an interruption" in text for text in found] == [False, True]

    async def test_what_is_delivered_twice_happens_once(self, house: House, room: Room) -> None:
        """A vendor that tells the same reply twice has it shown to the customer once."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.repeat_an_event()
        await talk.say(OWNER, "Only once, please.")
        await talk.say(OWNER, "And then this.")
        await talk.chat.sees("And then this.")
        assert sum("Only once, please." in text for text in talk.chat.texts) == 1

    async def test_a_thread_that_was_deleted_goes_on_in_another(self, house: House, room: Room) -> None:
        """An administrator deletes the card: the next line opens a new thread with all that was said before."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(OWNER, "Before it happened.")
        await talk.chat.sees("Before it happened.")
        await room.lose_thread(SUPERVISOR, talk.root)
        await talk.chat.say("Still there?")
        await talk.follow()
        await talk.sees("The thread of this handoff was deleted, so it goes on here.")
        assert "Before it happened." in talk.notes
        assert "Still there?" in talk.notes
        await talk.say(OWNER, "Yes, here.")
        await talk.chat.sees("Yes, here.")
        await talk.owned_by("human", OWNER)
