"""Cases of the desk conformance suite: a conversation goes to people, and waits for them."""

import asyncio
import re
from typing import Any

from bridge.briefing import REASONS
from bridge.conversation import Audience
from bridge.envelope import Reason
from bridge.ports import AgentError, HandOff, Message
from tests.contracts.desk_conformance_house import House
from tests.contracts.desk_conformance_room import CLOSED, COLLEAGUE, OWNER, Room
from tests.contracts.desk_conformance_talk import SUMMARY, new_talk

FULL: dict[str, Any] = {
    "reason": "policy",
    "reason_detail": "Refunds over 100 need a person.",
    "summary": SUMMARY,
    "question": "May I refund 120.50?",
    "attempts": [{"action": "Looked up the invoice", "outcome": "succeeded", "detail": "R-2031"}],
    "collected": {"order_id": "4711"},
    "customer": {"email": "kim@customer.example", "tier": "gold"},
    "routing": {"priority": "urgent"},
    "ticket": {"id": "CRM-88", "url": "https://crm.example/88"},
    "suggested_replies": ["I have refunded it."],
}
CARD = (
    "Kim Vale", "A policy needs a person", "Refunds over 100 need a person.", SUMMARY, "May I refund 120.50?",
    "Looked up the invoice", "succeeded: R-2031", "order_id: 4711", "kim@customer.example", "gold", "(verified)",
    "queue Support", "priority 🔴 urgent", "CRM-88", "I have refunded it.", "Waiting for somebody to take it",
    "Only the owner's replies in this thread go to the customer.", "since ",
)  # fmt: skip


def _words(stem: str, chars: int) -> str:
    """Return so many characters in which none could go missing unseen."""
    return " ".join(f"{stem}{number:03}" for number in range(chars))[:chars].rstrip()


class Opening:
    """How a conversation reaches people, and what happens until somebody takes it."""

    async def test_the_card_holds_all_that_the_agent_handed_over(self, house: House, room: Room) -> None:
        """Who, why, summary, tried, asked, facts, queue, priority, clock, state and who hears: all is on the card."""
        talk = await new_talk(house, room)
        card = await talk.opened(**FULL)
        missing = [words for words in (talk.ticket, *CARD) if words not in card.text]
        assert not missing, f"{missing} in {card.text}"
        assert card.buttons == ("Take it", "Return to AI", "Transfer", "Close")
        await talk.chat.sees(f"Your ticket is {talk.ticket}")
        await talk.owned_by("waiting")

    async def test_a_card_that_is_too_full_keeps_what_matters(self, house: House, room: Room) -> None:
        """Summary and question are whole, whatever else there is; what is left out is counted."""
        talk = await new_talk(house, room)
        summary, question = _words("summary", 2_000), _words("question", 1_000)
        card = await talk.opened(
            summary=summary,
            question=question,
            attempts=[{"action": f"Attempt {n} " + "a" * 180, "detail": "d" * 500} for n in range(20)],
            collected={f"key_{n}": "v" * 1_000 for n in range(50)},
            customer={"attributes": {f"fact_{n}": "f" * 1_000 for n in range(50)}},
            suggested_replies=["r" * 2_000] * 3,
            routing={"priority": "sky-high"},
        )
        for words in (summary, question, "Attempt 0", "fact_0", "more not shown", "The agent's envelope was not as"):
            assert words in card.text
        assert card.buttons == ("Take it", "Return to AI", "Transfer", "Close")
        await talk.take()

    async def test_the_card_says_whether_the_customer_is_there(self, house: House, room: Room) -> None:
        """On the customer's screen while the page is open; away, and since when, once it was closed for a while."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.card_says("On the customer's screen: what is sent shows at once.")
        await talk.chat.close()
        await house.deserted((await talk.handoff()).id)
        away = await talk.card_says("Customer away: what is sent shows when they come back. Last seen ")
        assert "On the customer's screen" not in away.text
        assert away.buttons == ("Return to AI", "Transfer", "Release", "Close")
        await talk.say(OWNER, "It is all settled.")
        await house.quiet()
        await talk.chat.come_back()
        await talk.chat.sees("It is all settled.")
        await talk.card_says("On the customer's screen")
        await talk.card_says_no("Customer away")
        await talk.press(OWNER, "Release")
        await talk.card_says("Waiting for somebody to take it")
        await talk.card_says("On the customer's screen")

    async def test_each_reason_stands_on_the_card_in_words(self, house: House, room: Room) -> None:
        """Whatever the reason, the operator reads it in words; one that nobody knows is shown as it was given."""
        named = [reason for reason in Reason if reason is not Reason.OPERATOR_TAKEOVER]
        talks = [await new_talk(house, room) for _ in named]
        cards = await asyncio.gather(
            *(talk.opened(reason=reason.value) for talk, reason in zip(talks, named, strict=True))
        )
        assert [REASONS[reason] in card.text for card, reason in zip(cards, named, strict=True)] == [True] * len(named)

        strange = await new_talk(house, room)
        assert "solar_flare" in (await strange.opened(reason="solar_flare")).text

    async def test_the_agent_hands_over_in_the_middle_of_its_run(self, house: House, room: Room) -> None:
        """The agent says that a colleague comes, hands over, and is silent from there on."""
        talk = await new_talk(house, room)
        envelope = {"reason": "out_of_scope", "summary": "Kim asks for legal advice.", "queue": "support"}
        house.agent.script(talk.chat.conversation, Message(text="Let me ask."), HandOff(envelope=envelope))
        await talk.chat.say("May I sue?")
        await talk.chat.sees("Your ticket is")
        card = await talk.follow(ticket=(await talk.handoff()).ticket)
        assert "Kim asks for legal advice." in card.text
        assert "May I sue?" in card.text, "the customer's last words"
        assert "Let me ask." in talk.notes

    async def test_a_customer_who_asks_gets_a_person(self, house: House, room: Room) -> None:
        """The words "talk to a person" are enough, whatever the agent makes of them."""
        talk = await new_talk(house, room)
        await talk.chat.say("I want to talk to a person about my invoice")
        await talk.chat.sees("Your ticket is")
        card = await talk.follow(ticket=(await talk.handoff()).ticket)
        assert REASONS[Reason.CUSTOMER_REQUEST] in card.text

    async def test_an_agent_that_fails_twice_becomes_a_handoff(self, house: House, room: Room) -> None:
        """A failure is never silence: after the second one people are called, and read why."""
        talk = await new_talk(house, room)
        for _ in range(2):
            house.agent.script(talk.chat.conversation, AgentError(code="no_model", message="out of memory"))
        await talk.chat.say("Where is my order?")
        await talk.chat.sees("Your ticket is")
        card = await talk.follow(ticket=(await talk.handoff()).ticket)
        assert REASONS[Reason.ERROR] in card.text
        assert "out of memory" in card.text

    async def test_the_transcript_follows_the_card(self, house: House, room: Room) -> None:
        """The last ten lines stand below the card, and everything in a file beside them, as the desk can have one."""
        talk = await new_talk(house, room)
        for number in range(8):
            await talk.chat.say(f"This is line {number}.")
            await talk.chat.sees(f"Ada heard: This is line {number}.")
        await talk.opened()
        post = await talk.sees("This is line 7.")
        assert "Kim Vale · customer" in post.text
        assert "Ada · AI agent" in post.text
        assert "This is line 3." in post.text
        assert "This is line 2." not in post.text
        whole = (await talk.file(f"transcript-{talk.ticket}.txt")).decode()
        assert re.findall(r"\nThis is line (\d)\.", whole) == [str(number) for number in range(8)]
        assert "Hello, I am Ada." in whole

    async def test_the_same_escalation_twice_is_one(self, house: House, room: Room) -> None:
        """The same envelope again is answered with the same ticket, and nobody reads of it twice."""
        talk = await new_talk(house, room)
        await talk.opened(id="envelope-of-kim")
        before = len(talk.thread)
        again = await talk.escalate(id="envelope-of-kim")
        await house.quiet()
        assert (again["status"], again["ticket"]) == ("known", talk.ticket)
        assert len(talk.thread) == before
        assert len(room.roots("support", talk.ticket)) == 1

    async def test_another_escalation_is_a_notice_in_the_thread(self, house: House, room: Room) -> None:
        """While people have it, a further wish for a person is told in their thread; the ticket stays."""
        talk = await new_talk(house, room)
        await talk.taken()
        again = await talk.escalate(reason="sentiment", summary="Kim is getting angry.")
        await talk.sees("The agent escalated again (sentiment): Kim is getting angry.")
        assert again["ticket"] == talk.ticket
        await talk.owned_by("human", OWNER)

    async def test_a_person_takes_over_unasked(self, house: House, room: Room) -> None:
        """A backend names who takes over: the card is born taken, and the customer reads who joined."""
        other, talk = await new_talk(house, room), await new_talk(house, room)
        await other.taken()
        operator = (await other.conversation()).operator
        assert operator is not None
        talk.ticket = str((await talk.take_over(operator.id))["ticket"])
        card = await talk.follow()
        assert "Taken by" in card.text
        assert OWNER in card.text
        await talk.chat.sees(f"**{OWNER}** (Northwind support) joined the chat.")
        await talk.owned_by("human", OWNER)

    async def test_a_closed_queue_says_when_people_are_back(self, house: House, room: Room) -> None:
        """Wait: the card is there and the customer reads when; contact: an address is asked for; stay: no handoff."""
        talks = {queue: await new_talk(house, room) for queue in CLOSED}
        for queue in ("wait", "contact"):
            await talks[queue].opened(queue)
            await talks[queue].owned_by("waiting")
            await talks[queue].chat.sees("who are back on")
        assert not any("e-mail" in text for text in talks["wait"].chat.texts)
        await talks["contact"].chat.sees("leave an e-mail address or a phone number")

        stays = talks["stay"]
        envelope = {"reason": "policy", "summary": SUMMARY, "queue": "stay"}
        house.agent.script(stays.chat.conversation, HandOff(envelope=envelope))
        await stays.chat.say("Please help")
        await stays.chat.sees("My colleagues are not available right now; they are back on")
        await stays.chat.sees("Ada heard: Please help")
        await stays.owned_by("agent")
        assert room.roots("stay", SUMMARY) == []

    async def test_what_the_agent_says_too_late_is_never_shown(self, house: House, room: Room) -> None:
        """An answer that was under way when people were called is kept for operators, and no page is ever sent it."""
        talk = await new_talk(house, room)
        house.agent.script(talk.chat.conversation, asyncio.Event())
        await talk.chat.say("Is it paid?")
        turn = await house.agent.asked(talk.chat.conversation, "Is it paid?")
        await talk.opened()
        late = {"id": "late", "turn": turn.turn, "epoch": turn.epoch, "attempt": turn.attempt, "text": "a late canary"}
        answer = await house.control(f"{talk.chat.conversation}/messages", late, status=409)
        assert answer["error"]["code"] == "ownership_moved"
        await talk.take()
        await talk.say(OWNER, "It is paid.")
        await talk.chat.sees("It is paid.")
        assert not talk.chat.ever_saw("canary")
        assert "canary" not in talk.notes
        assert [entry.audience for entry in await talk.log() if "canary" in entry.text] == [Audience.SUPPRESSED]

    async def test_what_customers_write_mentions_and_formats_nothing(self, house: House, room: Room) -> None:
        """A customer's words stand in the thread as they were typed; no vendor's markup in them does anything."""
        talk = await new_talk(house, room)
        await talk.taken()
        hostile = "<!channel> <@U0LEEPARK1> <at>Lee Park</at> *bold* _it_ `x` [bank](https://evil.example) &amp; <b>"
        await talk.chat.say(hostile)
        post = await talk.sees("[bank](https://evil.example)")
        for words in ("*bold* _it_ `x`", "&amp; <b>", "Lee Park"):
            assert words in post.text
        assert room.live_markup(post) == []

    async def test_a_long_line_arrives_whole(self, house: House, room: Room) -> None:
        """What is longer than one message arrives in several, in order, and not a word is lost."""
        talk = await new_talk(house, room)
        await talk.taken()
        words = [f"word{number:04}" for number in range(1_400)]
        await talk.chat.say(" ".join(words))
        await talk.sees("word1399")
        await house.quiet()
        assert re.findall(r"word\d{4}", talk.notes) == words
        assert "part 1 of" in talk.notes

    async def test_a_line_that_waited_says_how_long(self, house: House, room: Room) -> None:
        """What could not be posted for more than five seconds says so when it is."""
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.chat.say("Straight through")
        await talk.sees("Straight through")
        async with talk.shut():
            await talk.chat.say("Are you there?")
            await talk.refused()
            house.clock.leap(7)
        post = await talk.sees("Are you there?")
        assert re.search(r"written \d+ s ago", post.text)
        assert "ago" not in (await talk.sees("Straight through")).text

    async def test_a_customer_who_waits_is_heard_by_people_only(self, house: House, room: Room) -> None:
        """Lines of a waiting customer go to the thread; the agent is not asked."""
        talk = await new_talk(house, room)
        await talk.opened()
        asked = len(house.agent.turns[talk.chat.conversation])
        await talk.chat.say("Hello? Anybody?")
        post = await talk.sees("Hello? Anybody?")
        assert "Kim Vale · customer" in post.text
        await house.quiet()
        assert len(house.agent.turns[talk.chat.conversation]) == asked

    async def test_a_customer_may_withdraw(self, house: House, room: Room) -> None:
        """ "Never mind" gives the conversation back to the agent; the card says so, and so does the thread."""
        talk = await new_talk(house, room)
        await talk.opened()
        await talk.chat.say("Never mind")
        await talk.chat.sees("All right. You are talking with our AI assistant again.")
        await talk.sees("The customer no longer wants a person.")
        card = await talk.card_says("Withdrawn")
        assert card.buttons == ("Take it back",)
        await talk.owned_by("agent")

    async def test_the_ladder_climbs_and_tells_the_truth(self, house: House, room: Room) -> None:
        """Nobody comes: the thread is asked again, the customer is told; the last rung says so and gives it back."""
        talk = await new_talk(house, room)
        await talk.opened("hasty")
        await house.leap(21)
        assert (await talk.sees("Still waiting for somebody to take it.")).buttons == ("Take it",)
        await house.leap(5)
        await talk.chat.sees(f"Nobody was free yet; your ticket {talk.ticket} stays open")
        await talk.owned_by("waiting")
        await house.leap(5)
        await talk.chat.sees("Nobody was free to answer, I'm sorry.")
        await talk.sees("Nobody took it in time")
        await talk.card_says("Returned to the AI agent by the bridge")
        await talk.owned_by("agent")

    async def test_a_desk_that_cannot_be_reached_is_no_secret(self, house: House, room: Room) -> None:
        """The card does not arrive: the customer reads that; once the desk is back it stands there, once."""
        talk = await new_talk(house, room)
        async with talk.shut():
            talk.ticket = str((await talk.escalate())["ticket"])
            await talk.refused()
            house.clock.leap(61)
            await talk.chat.sees(f"I could not reach my colleagues yet and keep trying. Your ticket is {talk.ticket}.")
        await talk.follow()
        assert len(room.roots("support", talk.ticket)) == 1
        await talk.take(COLLEAGUE)
