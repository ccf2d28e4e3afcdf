"""What the desk conformance suite asks of a vendor: a `Room`, in which people act and whose threads can be read."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from bridge.envelope import ReturnNote
from bridge.ids import DeskName, Millis


class Person(StrEnum):
    """Who is in the room, by the part that they play."""

    OWNER = "Dana Ruiz"
    COLLEAGUE = "Lee Park"
    SUPERVISOR = "Sam Okafor"
    GUEST = "a guest of the organisation"
    OUTSIDER = "somebody of another organisation"
    BOT = "another bot"


OWNER, COLLEAGUE, SUPERVISOR = Person.OWNER, Person.COLLEAGUE, Person.SUPERVISOR
GUEST, OUTSIDER, BOT = Person.GUEST, Person.OUTSIDER, Person.BOT

QUEUES: Mapping[str, str] = {
    "support": "",
    "billing": 'label = "Billing"\n',
    "eager": 'first_reply = "takes"\n',
    "shared": 'audience = "anyone-in-queue"\n',
    "guarded": 'audience = "button"\n',
    "hasty": 'ladder = "hasty"\nidle_close_s = 60\n',
    "wait": 'when_closed = "wait"\n',
    "contact": 'when_closed = "contact"\n',
    "stay": 'when_closed = "stay"\n',
}
"""The queues of every room, and what is special about each. The last three are closed."""
CLOSED = ("wait", "contact", "stay")
LADDERS = """
[[ladders.hasty]]
after_s = 20
action = "mention"

[[ladders.hasty]]
after_s = 25
action = "tell_customer"

[[ladders.hasty]]
after_s = 30
action = "return"
"""


def queue_tables(desk: str, channels: Mapping[str, str], supervisor: str, now: Millis, *, suffix: str = "") -> str:
    """Return the settings of a room's queues: each has a channel of its own."""
    then = dt.datetime.fromtimestamp(now / 1000, tz=dt.UTC) + dt.timedelta(days=3)
    hours = f'hours = {{ open = ["{then:%a} 09:00-10:00"] }}\n'
    return "".join(
        f'[[queues]]\nname = "{name}{suffix}"\ndesk = "{desk}"\nchannels = ["{channels[name]}"]\n'
        f'supervisors = ["{supervisor}"]\n'
        + ("" if "ladder" in special else 'ladder = "none"\n')
        + (hours if name in CLOSED else "")
        + special
        for name, special in QUEUES.items()
        if name in channels
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A message as people read it. `files` are names; `raw` is what the vendor keeps of it."""

    ref: str
    by: str
    text: str
    buttons: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    deleted: bool = False
    raw: Any = None


class Room(Protocol):
    """A vendor's desk with its people. A `ref` names a message, whatever the vendor needs for that."""

    @property
    def desk(self) -> DeskName:
        """Its name in the settings."""
        ...

    def roots(self, queue: str, words: str) -> list[Post]:
        """Return the cards in a queue's channel that hold these words, the oldest first."""
        ...

    def thread(self, root: str) -> list[Post]:
        """Return a thread as everybody reads it, its card first."""
        ...

    def card(self, root: str, person: Person) -> Post:
        """Return a thread's card as this person sees it."""
        ...

    def at(self, person: Person) -> str:
        """Return what is typed to mention somebody."""
        ...

    def bold(self, text: str) -> str:
        """Return what is typed to have these words in bold."""
        ...

    async def say(self, person: Person, text: str, root: str) -> str:
        """Let somebody write in a thread. Returns the message's ref."""
        ...

    async def ask(self, person: Person, text: str, root: str) -> str:
        """Let somebody write to the bridge by name, in a thread. Returns the message's ref."""
        ...

    async def edit(self, person: Person, ref: str, text: str) -> None:
        """Let somebody change what they wrote."""
        ...

    async def delete(self, person: Person, ref: str) -> None:
        """Let somebody delete what they wrote."""
        ...

    async def lose_thread(self, person: Person, root: str) -> None:
        """Let an administrator delete a card, so that its thread takes no message any more."""
        ...

    async def press(self, person: Person, ref: str, title: str) -> None:
        """Press a button; what it asks for before it acts is confirmed."""
        ...

    async def give_back(self, person: Person, ref: str, note: ReturnNote) -> None:
        """Press *Return to AI* on a card and send its form off; a refusal is kept for `told`."""
        ...

    async def rehearse(self, person: Person, ref: str, note: ReturnNote, *, presses: int = 1) -> None:
        """Press *Return to AI* on a card, fill its form in and let the agent rehearse from it, so often; then leave the
        form. What the client answers is kept for `told`, and the form must still hold what was typed.
        """
        ...

    async def give_back_by_message(self, person: Person, ref: str, note: ReturnNote) -> None:
        """Do the same from a message's own menu."""
        ...

    async def give_back_by_command(self, person: Person, ticket: str, note: str, root: str) -> None:
        """Do the same by the slash command."""
        ...

    async def command_in_channel(self, person: Person, queue: str) -> None:
        """Type the slash command in a queue's channel, outside threads and with nothing behind it; the answer is kept
        for `told`.
        """
        ...

    async def transfer(
        self, person: Person, ref: str, *, to: Person | None = None, queue: str = "", note: str = ""
    ) -> None:
        """Press *Transfer* on a card and send its form off; a refusal is kept for `told`."""
        ...

    async def send_to_customer(self, person: Person, ref: str) -> None:
        """Choose *Send to the customer* in a message's menu; the answer is kept for `told`."""
        ...

    async def attach(self, person: Person, name: str, content: bytes, text: str, root: str) -> None:
        """Share a file in a thread."""
        ...

    async def read(self, post: Post, name: str) -> bytes:
        """Return the bytes of a file in a post, as people get them."""
        ...

    def told(self, person: Person) -> list[str]:
        """Return what the client told this person alone, the oldest first."""
        ...

    def typing(self, root: str) -> str:
        """Return what the thread shows of the customer's typing, or ""."""
        ...

    def mentioned(self, post: Post) -> set[Person]:
        """Return whom a message reaches by a mention that the vendor takes for one."""
        ...

    def links(self, post: Post) -> list[str]:
        """Return the roots of threads that a message links to."""
        ...

    def has_links(self, post: Post) -> bool:
        """Whether there is anything in a message that opens an address."""
        ...

    def live_markup(self, post: Post) -> list[str]:
        """Return what in a message the vendor would not show as mere words: mentions, links, styles."""
        ...

    async def leave(self, person: Person, root: str) -> None:
        """Let somebody leave where this thread is."""
        ...

    async def come_back(self, person: Person, root: str) -> None:
        """Let somebody join there again."""
        ...

    async def refuse_a_post(self) -> None:
        """Refuse the next message of the bridge for good."""
        ...

    async def repeat_an_event(self) -> None:
        """Tell the bridge the next thing that happens twice."""
        ...

    async def lose_an_answer(self) -> None:
        """Take the next message of the bridge, and break the connection before the answer."""
        ...

    async def shut(self) -> None:
        """Take no message of the bridge until `reopen`."""
        ...

    async def refusals(self) -> int:
        """Return how many messages of the bridge were refused so far."""
        ...

    async def reopen(self) -> None:
        """Take messages again."""
        ...
