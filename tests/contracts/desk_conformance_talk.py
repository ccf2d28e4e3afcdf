"""One conversation of the desk conformance suite: its customer, its thread in the room, what the bridge keeps of it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bridge.capabilities import Capabilities
from bridge.conversation import Conversation, Entry, Handoff
from tests.contracts.desk_conformance_house import BACKEND_KEY, SITE, Chat, House, Json, until
from tests.contracts.desk_conformance_room import OWNER, Person, Post, Room

SUMMARY = "Kim was charged twice for order 4711."


class Talk:
    """One conversation: its customer, and its newest thread in the room."""

    def __init__(self, house: House, room: Room, chat: Chat) -> None:
        """Take the window and the room; nobody has been called yet."""
        self.house, self.room, self.chat = house, room, chat
        self.queue, self.root, self.ticket = "support", "", ""
        self._heard = {person: len(room.told(person)) for person in Person}

    # --- the way in

    async def escalate(self, **envelope: Any) -> Json:
        """Let the agent hand over, by the control API. Returns the answer."""
        body = {"reason": "policy", "summary": SUMMARY, "queue": self.queue, **envelope}
        return await self.house.control(f"{self.chat.conversation}/handoffs", body)

    async def take_over(self, person: str) -> Json:
        """Let the company's backend name who takes it over, by an operator's id. Returns the answer."""
        body = {"reason": "operator_takeover", "summary": SUMMARY, "routing": {"assignee_hint": person}}
        return await self.house.control(f"{self.chat.conversation}/handoffs", body, key=BACKEND_KEY)

    async def opened(self, queue: str = "support", **envelope: Any) -> Post:
        """Let the agent hand over, and wait for the card and for what follows it."""
        self.queue = queue
        self.ticket = str((await self.escalate(**envelope))["ticket"])
        return await self.follow()

    async def follow(self, queue: str = "", ticket: str = "") -> Post:
        """Find the card of a new thread of this conversation, and go on there."""
        self.queue, self.ticket = queue or self.queue, ticket or self.ticket
        before = self.root

        async def card() -> Post | None:
            found = [post for post in self.room.roots(self.queue, self.ticket) if post.ref != before]
            return found[-1] if found else None

        found = await until(card, what=f"no card of {self.ticket} in {self.queue}")
        self.root = found.ref
        await self.house.quiet()
        return self.card

    async def taken(self, queue: str = "support", **envelope: Any) -> None:
        """Do the same, and let the owner take it."""
        await self.opened(queue, **envelope)
        await self.take()

    async def take(self, person: Person = OWNER) -> None:
        """Take it, and wait until the thread says so."""
        await self.press(person, "Take it")
        await self.sees(f"{person} took this conversation")

    # --- what people do, and what they see

    async def press(self, person: Person, title: str, post: Post | None = None) -> None:
        """Press a button of the card, or of another message, once it is there."""
        ref = post.ref if post else self.root

        async def there() -> bool:
            return any(each.ref == ref and title in each.buttons for each in (post, *self.thread) if each)

        await until(there, what=f"no button {title!r} in {self.thread}")
        await self.room.press(person, ref, title)

    async def say(self, person: Person, text: str) -> str:
        """Let somebody write in the thread."""
        return await self.room.say(person, text, self.root)

    @property
    def thread(self) -> list[Post]:
        """Everything that the thread shows."""
        return self.room.thread(self.root)

    @property
    def card(self) -> Post:
        """The card as it stands."""
        return self.thread[0]

    @property
    def notes(self) -> str:
        """The whole thread as text, as it would be read aloud."""
        return "\n".join(post.text for post in self.thread)

    async def sees(self, words: str, root: str = "") -> Post:
        """Wait until the thread shows these words below its card; return the newest such message."""

        async def look() -> Post | None:
            found = [post for post in self.room.thread(root or self.root)[1:] if words in post.text]
            return found[-1] if found else None

        try:
            return await until(look)
        except AssertionError:
            there = [post.text for post in self.room.thread(root or self.root)]
            raise AssertionError(f"the thread does not show {words!r}; there is: {there}") from None

    async def card_says(self, words: str, root: str = "") -> Post:
        """Wait until the card shows these words."""

        async def look() -> Post | None:
            post = self.room.thread(root or self.root)[0]
            return post if words in post.text else None

        try:
            return await until(look)
        except AssertionError:
            raise AssertionError(f"the card does not show {words!r}; it shows: {self.card.text}") from None

    async def card_says_no(self, words: str) -> None:
        """Wait until the card no longer shows these words."""

        async def look() -> bool:
            return words not in self.card.text

        await until(look, what=f"the card still shows {words!r}")

    async def hears(self, person: Person, words: str) -> None:
        """Wait until the client has told this person alone these words, since this conversation began."""

        async def look() -> bool:
            return any(words in told for told in self.room.told(person)[self._heard[person] :])

        try:
            await until(look)
        except AssertionError:
            raise AssertionError(f"{person} is not told {words!r}; but: {self.room.told(person)}") from None

    async def shows_typing(self, words: str) -> None:
        """Wait until the thread shows that the customer types."""

        async def look() -> bool:
            return words in self.room.typing(self.root)

        await until(look, what=f"the thread shows {self.room.typing(self.root)!r}, not {words!r}")

    async def file(self, name: str) -> bytes:
        """Wait until the thread shows a file; return its bytes."""

        async def look() -> Post | None:
            return next((post for post in self.thread if name in post.files), None)

        return await self.room.read(await until(look, what=f"no file {name} in {self.thread}"), name)

    def times(self, words: str) -> int:
        """Return how often the thread shows these words."""
        return sum(words in post.text for post in self.thread[1:])

    # --- what the bridge keeps

    @property
    def capabilities(self) -> Capabilities:
        """What the bridge says that this desk can do."""
        return self.house.bridge.engine.showing.desks[self.room.desk].capabilities

    async def conversation(self) -> Conversation:
        """Return who owns it."""
        found = await self.house.bridge.engine.lookup.conversation(SITE, self.chat.conversation)
        assert found is not None
        return found

    async def handoff(self) -> Handoff:
        """Return the newest handoff."""
        one = (await self.conversation()).handoff
        assert one is not None
        found = await self.house.bridge.engine.lookup.handoff(SITE, one)
        assert found is not None
        return found

    async def log(self) -> list[Entry]:
        """Return the conversation's log."""
        return await self.house.bridge.store.read(lambda tx: list(tx.entries(SITE, self.chat.conversation)))

    async def owned_by(self, state: str, person: Person | None = None) -> None:
        """Wait until the conversation is in this state, and this person's."""

        async def look() -> bool:
            now = await self.conversation()
            return now.state.value == state and (now.operator.name if now.operator else None) == person

        try:
            await until(look)
        except AssertionError:
            raise AssertionError(f"not {state} of {person}: {await self.conversation()}") from None

    def briefing(self) -> Mapping[str, Any]:
        """Return what the agent was told when it got the conversation back last."""
        told = [turn.briefing for turn in self.house.agent.turns[self.chat.conversation] if turn.briefing]
        assert told, "the agent was told nothing"
        return told[-1]

    @contextlib.asynccontextmanager
    async def shut(self) -> AsyncIterator[None]:
        """Let the desk take nothing in the meantime."""
        await self.house.quiet()
        await self.room.shut()
        try:
            yield
        finally:
            await self.room.reopen()

    async def refused(self) -> None:
        """Wait until the desk has just refused another message."""
        before = await self.room.refusals()

        async def look() -> bool:
            return await self.room.refusals() > before

        await until(look, what="the desk refused nothing")


async def new_talk(house: House, room: Room) -> Talk:
    """Let a new customer open the chat."""
    return Talk(house, room, await house.customer())
