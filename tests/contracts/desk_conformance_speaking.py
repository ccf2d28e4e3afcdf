"""Cases of the desk conformance suite: who of those that write in the thread is heard by the customer, and how."""

import html
import re

from bridge.capabilities import Support
from tests.contracts.desk_conformance_house import House
from tests.contracts.desk_conformance_room import BOT, COLLEAGUE, GUEST, OUTSIDER, OWNER, SUPERVISOR, Room
from tests.contracts.desk_conformance_talk import new_talk

AMONG_US = (
    ("// canary one", ""),
    ("internal: canary two", ""),
    ("/canary three", "That looks like a command, so the customer did not get it."),
    ("!canary four", "That looks like a command, so the customer did not get it."),
)
"""What an owner may write that is not meant for customers, and what the thread says of it."""


class Speaking:
    """Replies, notes, edits, deletions, files, hints."""

    async def test_the_owner_is_heard_by_name(self, house: House, room: Room) -> None:
        """What its owner writes reaches the customer: once, in order, formatted, the name above the first line."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(OWNER, f"Good morning, I am {room.bold('Dana')}.")
        await talk.say(OWNER, "I am looking.")
        await talk.chat.sees("I am looking.")
        said = [text for text in talk.chat.texts if "Dana" in text or "looking" in text]
        assert said[-2:] == [f"**{OWNER}** · Northwind support\n\nGood morning, I am **Dana**.", "I am looking."]

    async def test_words_arrive_as_they_were_meant(self, house: House, room: Room) -> None:
        """Signs, addresses, lines and length: the page shows what the owner typed, and the thread what the customer
        did.
        """
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(OWNER, "See https://northwind.example/track?id=4711&lang=en now")
        assert "https://northwind.example/track?id=4711&lang=en" in await talk.chat.sees("track?id=4711")
        await talk.say(OWNER, "2 < 3 & 5 > 4, été 😀\nsecond line")
        said = await talk.chat.sees("second line")
        assert " ".join(html.unescape(said.replace("\\", "")).split()) == "2 < 3 & 5 > 4, été 😀 second line"
        words = [f"word{number:03}" for number in range(450)]
        await talk.say(OWNER, " ".join(words))
        assert re.findall(r"word\d{3}", await talk.chat.sees("word449")) == words

    async def test_what_comes_quickly_comes_in_order(self, house: House, room: Room) -> None:
        """Lines of both sides that follow one another closely arrive once each, in their order."""
        talk = await new_talk(house, room)
        await talk.taken()
        for number in range(6):
            await talk.chat.say(f"mine {number}")
            await talk.say(OWNER, f"yours {number}")
        await talk.sees("mine 5")
        await talk.chat.sees("yours 5")
        thread = "\n".join(post.text for post in talk.thread if post.by == "bridge")
        assert re.findall(r"mine (\d)", thread) == list("012345")
        assert re.findall(r"yours (\d)", "\n".join(talk.chat.texts)) == list("012345")

    async def test_a_colleague_is_heard_by_colleagues(self, house: House, room: Room) -> None:
        """Whoever does not own it writes to colleagues. The thread says so once; the owner can send it after all."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(COLLEAGUE, "Try turning it off and on.")
        kept = await talk.sees(f"Only {OWNER}'s replies go to the customer; this stays among colleagues.")
        assert kept.buttons == ("Send to the customer",)
        await talk.press(COLLEAGUE, "Send to the customer", kept)
        await talk.hears(COLLEAGUE, f"{OWNER} has this conversation: only its owner can send this.")
        await talk.say(COLLEAGUE, "a canary")
        await talk.press(OWNER, "Send to the customer", kept)
        text = await talk.chat.sees("Try turning it off and on.")
        assert str(COLLEAGUE) not in text, "it is sent in the name of who answers for it"
        await talk.press(OWNER, "Send to the customer", kept)
        await talk.hears(OWNER, "The customer has it already.")
        assert talk.times("this stays among colleagues") == 1
        assert not talk.chat.ever_saw("canary")

    async def test_a_message_is_sent_from_its_menu(self, house: House, room: Room) -> None:
        """*Send to the customer* in the menu of a message that was kept sends it; of anything else it says why not."""
        talk = await new_talk(house, room)
        await talk.taken()
        kept = await talk.say(COLLEAGUE, "The parcel left on Monday.")
        await talk.sees("this stays among colleagues")
        await room.send_to_customer(OWNER, kept)
        await talk.chat.sees("The parcel left on Monday.")
        await talk.hears(OWNER, "Sent to the customer.")
        await room.send_to_customer(OWNER, talk.root)
        await talk.hears(OWNER, "Only what operators wrote in this thread can be sent to the customer.")

    async def test_talk_among_colleagues_stays_there(self, house: House, room: Room) -> None:
        """Notes, commands and mentions of a colleague stay in the thread, which says so where it was not meant."""
        talk = await new_talk(house, room)
        await talk.taken()
        for text, _ in AMONG_US:
            await talk.say(OWNER, text)
        await talk.say(OWNER, f"{room.at(COLLEAGUE)} canary five, what do you think?")
        kept = await talk.sees("It mentions a colleague, so the customer did not get it.")
        assert kept.buttons == ("Send to the customer",)
        await talk.say(OWNER, "One moment please.")
        await talk.chat.sees("One moment please.")
        for notice in {notice for _, notice in AMONG_US if notice}:
            assert talk.times(notice) == sum(notice == each for _, each in AMONG_US)
        assert not talk.chat.ever_saw("canary")

    async def test_a_mistyped_command_is_a_note(self, house: House, room: Room) -> None:
        """What is said to the bridge by name and is no command of its own never reaches a customer."""
        talk = await new_talk(house, room)
        await talk.taken()
        await room.ask(OWNER, "retrun the canary was fed", talk.root)
        await talk.sees("It mentions me and I know no such command, so it stays a note.")
        await talk.owned_by("human", OWNER)
        assert not talk.chat.ever_saw("canary")

    async def test_a_note_that_is_repeated_stays_a_note(self, house: House, room: Room) -> None:
        """Who pastes a colleague's note without its mark does not send it by accident."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(COLLEAGUE, "// this canary has not paid its bills for years")
        await talk.say(OWNER, "this canary has not paid its bills for years")
        kept = await talk.sees("It repeats a note of colleagues, so the customer did not get it.")
        assert kept.buttons == ("Send to the customer",)
        assert not talk.chat.ever_saw("canary")

    async def test_guests_outsiders_and_bots_are_never_heard(self, house: House, room: Room) -> None:
        """Whoever is no operator of the queue speaks to nobody's customer, before and after somebody took it."""
        talk = await new_talk(house, room)
        await talk.opened()
        for person in (GUEST, OUTSIDER, BOT):
            await talk.say(person, f"an early canary of {person.name}")
        await talk.take()
        for person in (GUEST, OUTSIDER, BOT):
            await talk.say(person, f"a canary of {person.name}")
        await talk.sees("Guests may not act on conversations. The customer did not get it.")
        await talk.say(OWNER, "Only I speak.")
        await talk.chat.sees("Only I speak.")
        await talk.owned_by("human", OWNER)
        assert not talk.chat.ever_saw("canary")

    async def test_where_the_whole_queue_answers(self, house: House, room: Room) -> None:
        """In a queue that wants it so, a colleague's reply goes to the customer under the colleague's name."""
        talk = await new_talk(house, room)
        await talk.taken("shared")
        assert "Replies of every operator of this queue go to the customer." in talk.card.text
        await talk.say(COLLEAGUE, "I can answer that.")
        assert str(COLLEAGUE) in await talk.chat.sees("I can answer that.")

    async def test_where_each_reply_needs_a_button(self, house: House, room: Room) -> None:
        """In a queue that wants it so, even the owner's reply waits for *Send to the customer*."""
        talk = await new_talk(house, room)
        await talk.taken("guarded")
        await talk.say(OWNER, "This is approved.")
        kept = await talk.sees("Replies in this queue stay among colleagues until you send them.")
        assert not talk.chat.ever_saw("This is approved.")
        await talk.press(OWNER, "Send to the customer", kept)
        await talk.chat.sees("This is approved.")

    async def test_edits_are_heard_again(self, house: House, room: Room) -> None:
        """Still an answer: corrected on the page. Now a note: gone from the page, and the thread says so."""
        talk = await new_talk(house, room)
        await talk.taken()
        said = await talk.say(OWNER, "It costs 21 euros.")
        await talk.chat.sees("It costs 21 euros.")
        await room.edit(OWNER, said, "It costs 12 euros.")
        await talk.chat.sees("It costs 12 euros.")
        assert not any("21 euros" in text for text in talk.chat.texts)
        await room.edit(OWNER, said, "// it costs us nothing, says the canary")
        await talk.sees("After your edit this is a note, so it was removed from the customer's chat.")
        await talk.chat.sees_no("euros")
        assert not talk.chat.ever_saw("canary")

    async def test_a_note_that_is_edited_stays_a_note(self, house: House, room: Room) -> None:
        """A note that becomes an answer is not sent by that; the thread offers to send it."""
        talk = await new_talk(house, room)
        await talk.taken()
        noted = await talk.say(OWNER, "// ask the warehouse")
        await talk.say(OWNER, "One moment.")
        await talk.chat.sees("One moment.")
        await room.edit(OWNER, noted, "I asked the warehouse.")
        kept = await talk.sees("It was a note before your edit and stays one.")
        assert not talk.chat.ever_saw("warehouse")
        await talk.press(OWNER, "Send to the customer", kept)
        await talk.chat.sees("I asked the warehouse.")

    async def test_what_is_deleted_is_gone_on_both_sides(self, house: House, room: Room) -> None:
        """An owner's deleted reply leaves the customer's page; nothing else does."""
        talk = await new_talk(house, room)
        await talk.taken()
        said = await talk.say(OWNER, "Wrong window, sorry.")
        await talk.say(OWNER, "It is on its way.")
        await talk.chat.sees("Wrong window, sorry.")
        await talk.chat.sees("It is on its way.")
        await room.delete(OWNER, said)
        await talk.chat.sees_no("Wrong window")
        await talk.chat.sees("It is on its way.")

    async def test_a_customers_file_reaches_people(self, house: House, room: Room) -> None:
        """What a customer sends can be opened in the thread: as a file of the desk, or as a link where it has none."""
        talk = await new_talk(house, room)
        await talk.taken()
        content = b"invoice;amount\nR-2031;84.50\n"
        await talk.chat.upload("invoice.csv", content, "text/csv")
        assert await talk.file("invoice.csv") == content
        named = await talk.sees("invoice.csv")
        assert "📎" in named.text
        uploaded = talk.capabilities.files is Support.FULL
        assert talk.capabilities.files in {Support.FULL, Support.FALLBACK}
        assert room.has_links(named) is not uploaded

    async def test_a_file_of_people_reaches_the_customer_or_says_why_not(self, house: House, room: Room) -> None:
        """A file in the thread stands on the page; where the desk gives none out, the thread says so, and the words
        beside it arrive all the same.
        """
        talk = await new_talk(house, room)
        await talk.taken()
        content = b"%PDF-1.4 a manual"
        await room.attach(OWNER, "manual.pdf", content, "Here is the manual.", talk.root)
        await talk.chat.sees("Here is the manual.")
        if talk.capabilities.files is Support.FULL:
            assert await talk.chat.file("manual.pdf") == content
        else:
            await talk.sees("Files in channels do not reach me, so the customer did not get yours.")
            assert not talk.chat.ever_saw("manual.pdf")

    async def test_a_customer_who_types_is_seen_or_not(self, house: House, room: Room) -> None:
        """Where the desk can show it, the thread shows that the customer types; where not, nothing is posted for it."""
        talk = await new_talk(house, room)
        await talk.taken()
        before = len(talk.thread)
        await talk.chat.type()
        if talk.capabilities.typing is Support.FULL:
            await talk.shows_typing("Kim Vale is typing")
        else:
            assert talk.capabilities.typing is Support.REJECTED
        await talk.say(OWNER, "Take your time.")
        await talk.chat.sees("Take your time.")
        assert len(talk.thread) == before + 1
        if talk.capabilities.typing is Support.REJECTED:
            assert room.typing(talk.root) == ""

    async def test_who_is_refused_in_the_thread_is_told(self, house: House, room: Room) -> None:
        """A command by mention that is not allowed is answered: to that person alone where the desk can whisper, else
        in the thread, by name.
        """
        talk = await new_talk(house, room)
        await talk.taken()
        await room.ask(COLLEAGUE, "return I think so", talk.root)
        words = f"{OWNER} has this conversation. Only its owner or a supervisor can do that."
        if talk.capabilities.whisper > Support.FALLBACK:
            await talk.hears(COLLEAGUE, words)
            assert words not in talk.notes
        else:
            assert talk.capabilities.whisper is Support.REJECTED
            await talk.sees(f"{COLLEAGUE}: {words}")
        await talk.owned_by("human", OWNER)

    async def test_a_supervisor_beside_the_owner_is_a_colleague(self, house: House, room: Room) -> None:
        """To supervise is not to speak: a supervisor's words stay in the thread, and can be sent by the supervisor."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.say(SUPERVISOR, "We will refund you.")
        kept = await talk.sees("this stays among colleagues")
        assert not talk.chat.ever_saw("We will refund you.")
        await talk.press(SUPERVISOR, "Send to the customer", kept)
        assert str(SUPERVISOR) in await talk.chat.sees("We will refund you.")
