"""A sandbox Teams as a `Room` of the desk conformance suite: the bridge reaches it over its sockets, people act in it
directly.
"""

import base64
import contextlib
import html
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp

from adapters.sandbox.teams import activities, acts, people
from adapters.sandbox.teams.control import app_json
from adapters.sandbox.teams.records import Message
from adapters.sandbox.teams.sandbox import Sandbox
from adapters.sandbox.teams.server import serving
from adapters.sandbox.teams.settings import SandboxSettings
from adapters.teams import inputs
from bridge.envelope import ReturnNote
from bridge.ids import DeskName
from tests.contracts.desk_conformance_house import House, Json, LeapingClock, house_at, until
from tests.contracts.desk_conformance_room import LADDERS, QUEUES, Person, Post, queue_tables

WHO = {
    Person.OWNER: people.DANA,
    Person.COLLEAGUE: people.LEE,
    Person.SUPERVISOR: people.SAM,
    Person.GUEST: people.GUEST,
    Person.OUTSIDER: people.OUTSIDER,
    Person.BOT: "28:another-bot",
}
NAMES = {user: person for person, user in WHO.items()}
SHUT = "MessageWritesBlocked"
SURE = {"Close": "Close it"}
"""Buttons that open a form first, and the one in it."""
_FILE = re.compile(r"^(?:📎|📄) (.*?)(?: \([\d.]+ [KM]?B\))?$")
_LINK = re.compile(r"teams\.microsoft\.com/l/message/([^/]+)/(\d+)\?")


def channels() -> dict[str, str]:
    """Return the channel of each queue."""
    more = iter(range(1, 100))
    known = {"support": people.SUPPORT, "billing": people.BILLING}
    return {queue: known.get(queue) or people.more_channel(next(more)) for queue in QUEUES}


class TeamsRoom:
    """Implements `Room`. A ref is a channel and a message's id."""

    desk = DeskName("teams")

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession, channels: Mapping[str, str]) -> None:
        """Look into this team; `channels` are those of the queues."""
        self.sandbox, self._http, self._channels = sandbox, http, channels
        self._told: dict[Person, list[str]] = defaultdict(list)
        self._noted: set[str] = set()

    def environment(self) -> dict[str, str]:
        """Return what a bridge is told."""
        told = app_json(self.sandbox)
        keys = {f"HANDOFF_TEAMS__{name.upper()}": str(told[name]) for name in told if name != "endpoint"}
        return {**keys, "HANDOFF_TEAMS__SLASH": "true"}

    async def join(self, port: int) -> None:
        """Install the app, and let somebody write in every channel: from then on all is heard."""
        self.sandbox.settings.endpoint = f"http://127.0.0.1:{port}/api/messages"
        await self._act(Person.SUPERVISOR, "install", channel=people.SUPPORT)
        for channel in self._channels.values():
            await self._act(Person.SUPERVISOR, "message", text="Good morning", channel=channel)
        wanted = len(self._channels) + 2

        async def taken() -> bool:
            return bool(sum(200 <= each["status"] < 300 for each in self.sandbox.journal.deliveries) >= wanted)

        await until(taken, what="the bridge does not answer Teams")

    # --- what is there

    def roots(self, queue: str, words: str) -> list[Post]:
        there = self.sandbox.team.channels[self._channels[queue]].messages.values()
        found = [message for message in there if message.root == message.id and words in message.summary]
        return [_post(message) for message in found]

    def thread(self, root: str) -> list[Post]:
        channel, message_id = root.split("|")
        there = self.sandbox.team.channels[channel].thread(message_id)
        public = [message for message in there if not message.targeted_to]
        return [_post(message) for message in public if not message.is_deleted or message.id == message_id]

    def card(self, root: str, person: Person) -> Post:
        message = self.sandbox.team.channels[root.split("|", maxsplit=1)[0]].messages[root.split("|")[1]]
        return _post(message, [message.views[WHO[person]]] if WHO[person] in message.views else message.cards)

    async def read(self, post: Post, name: str) -> bytes:
        urls = {found: url for run in _runs(post.raw["cards"]) for found, url in _named(run)}
        async with self._http.get(urls[name]) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    def told(self, person: Person) -> list[str]:
        for channel in self.sandbox.team.channels.values():
            for message in channel.messages.values():
                if message.sender == people.BOT and message.targeted_to == WHO[person]:
                    self._note(person, message.id, message.text)
        for notice in self.sandbox.team.notices:
            if notice.user == WHO[person]:
                self._note(person, notice.id, notice.text)
        return self._told[person]

    def _note(self, person: Person, key: str, words: str) -> None:
        if key not in self._noted:
            self._noted.add(key)
            self._told[person].append(words)

    def typing(self, root: str) -> str:
        return ""

    def mentioned(self, post: Post) -> set[Person]:
        cards = [card.get("msteams", {}).get("entities", []) for card in post.raw["cards"]]
        entities = [*post.raw["entities"], *(entity for found in cards for entity in found)]
        by_id = {person.id: NAMES[person.aad] for person in self.sandbox.team.people.values()}
        by_id |= {person.aad: NAMES[person.aad] for person in self.sandbox.team.people.values()}
        return {by_id[each["mentioned"]["id"]] for each in entities if each["text"] in post.text}

    def links(self, post: Post) -> list[str]:
        runs = [str(run["selectAction"]["url"]) for run in _runs(post.raw["cards"]) if "selectAction" in run]
        urls = [*runs, *re.findall(r"\]\((https://[^)\s]+)\)", str(post.raw["text"]))]
        found = [_LINK.search(unquote(url)) for url in urls]
        return [f"{match[1]}|{match[2]}" for match in found if match]

    def has_links(self, post: Post) -> bool:
        return any("selectAction" in run for run in _runs(post.raw["cards"]))

    def live_markup(self, post: Post) -> list[str]:
        raw = post.raw
        if raw["text"] and raw["text_format"] != "plain":
            return [raw["text"]]
        styled = [str(run) for run in _runs(raw["cards"]) if run.keys() & {"selectAction", "weight", "italic"}]
        return [*styled, *map(str, raw["entities"]), *raw["flags"], *re.findall(r"<at>.*?</at>", post.text)]

    def at(self, person: Person) -> str:
        return f"@{self.sandbox.team.person(WHO[person]).name}"

    def bold(self, text: str) -> str:
        return f"**{text}**"

    # --- what people do

    async def _act(self, person: Person, kind: str, **details: Any) -> Json:
        return await acts.perform(self.sandbox, {"user": WHO[person], "kind": kind, **details})

    async def say(self, person: Person, text: str, root: str) -> str:
        channel, message_id = root.split("|")
        if person is Person.BOT:
            return self._another_bot_says(text, channel, message_id)
        return f"{channel}|{(await self._act(person, 'message', text=text, channel=channel, root=message_id))['id']}"

    def _another_bot_says(self, text: str, channel: str, root: str) -> str:
        """Nobody acts as a bot in the sandbox: Teams tells of one by its id, and of no person."""
        team = self.sandbox.team
        at_ms = team.next_ms()
        said = Message(
            id=str(at_ms), channel=channel, root=root, sender=WHO[Person.BOT], at_ms=at_ms, text=text,
            text_format="plain", html=f"<p>{html.escape(text)}</p>",
        )  # fmt: skip
        team.add(said)
        sent = activities.message(team, team.people[people.DANA], said)
        self.sandbox.delivery.publish({**sent, "from": {"id": WHO[Person.BOT], "name": "Deploy Bot"}})
        return f"{channel}|{said.id}"

    async def ask(self, person: Person, text: str, root: str) -> str:
        channel, message_id = root.split("|")
        return f"{channel}|{(await self._act(person, 'mention', text=text, channel=channel, root=message_id))['id']}"

    async def edit(self, person: Person, ref: str, text: str) -> None:
        await self._act(person, "edit", message=ref.split("|")[1], text=text)

    async def delete(self, person: Person, ref: str) -> None:
        await self._act(person, "delete", message=ref.split("|")[1])

    async def press(self, person: Person, ref: str, title: str) -> None:
        await self._click(person, ref, SURE.get(title, title), {})

    async def _click(self, person: Person, ref: str, title: str, given: Json) -> None:
        answer = await self._act(person, "click", message=ref.split("|")[1], title=title, inputs=given)
        # People of other tenants are kept out at the door, and their client says that something went wrong.
        assert answer.keys() <= {"card", "message"} or (person is Person.OUTSIDER and answer["failed"] == 403), answer

    async def give_back(self, person: Person, ref: str, note: ReturnNote) -> None:
        await self._click(person, ref, "Return to AI", _return_inputs(note))

    async def rehearse(self, person: Person, ref: str, note: ReturnNote, *, presses: int = 1) -> None:
        views = self.sandbox.team.locate(ref.split("|")[1]).views
        for _ in range(presses):
            before = views.get(WHO[person])
            await self._click(person, ref, "Show me what it would say", _return_inputs(note))
            assert views.get(WHO[person]) in (before, None), "a card shown anew holds nothing of what was typed"

    async def give_back_by_message(self, person: Person, ref: str, note: ReturnNote) -> None:
        found = await self._act(person, "message_action", message=ref.split("|")[1], command="returnToAgent")
        if not any(str(each.get("type", "")).startswith("Input.") for each in found["card"]["body"]):
            self._told[person].append(_words(found["card"]["body"]))
            return
        answer = await self._act(person, "submit_dialog", dialog=found["dialog"], inputs=_return_inputs(note))
        if not answer.get("closed"):
            self._told[person].append(_words(answer["card"]["body"]))

    async def give_back_by_command(self, person: Person, ticket: str, note: str, root: str) -> None:
        channel, message_id = root.split("|")
        await self._act(person, "targeted", text=f"return {note}", channel=channel, root=message_id)

    async def command_in_channel(self, person: Person, queue: str) -> None:
        """What is typed outside threads names none, whatever the tenant tells of others."""
        self.sandbox.rules.slash = False
        await self._act(person, "targeted", text="return", channel=self._channels[queue])
        self.sandbox.rules.slash = True

    async def transfer(
        self, person: Person, ref: str, *, to: Person | None = None, queue: str = "", note: str = ""
    ) -> None:
        given = {
            inputs.PERSON: WHO[to] if to else "",
            inputs.QUEUE: queue,
            inputs.TRANSFER_NOTE: note,
        }
        await self._click(person, ref, "Transfer", {name: value for name, value in given.items() if value})

    async def send_to_customer(self, person: Person, ref: str) -> None:
        found = await self._act(person, "message_action", message=ref.split("|")[1], command="sendToCustomer")
        self._told[person].append(_words(found["card"]["body"]))

    async def attach(self, person: Person, name: str, content: bytes, text: str, root: str) -> None:
        channel, message_id = root.split("|")
        encoded = base64.b64encode(content).decode()
        place = {"channel": channel, "root": message_id, "filename": name, "text": text}
        await self._act(person, "file", content_base64=encoded, **place)

    async def paste(self, person: Person, content: bytes, text: str, root: str) -> None:
        """Paste a picture into a message."""
        channel, message_id = root.split("|")
        encoded = base64.b64encode(content).decode()
        await self._act(person, "image", content_base64=encoded, channel=channel, root=message_id, text=text)

    async def restore(self, person: Person, ref: str) -> None:
        """Bring a deleted message back."""
        await self._act(person, "undelete", message=ref.split("|")[1])

    async def forbid_hearing_all(self) -> None:
        """Install the app anew, in a team whose owner has not consented to its hearing all."""
        self.sandbox.rules.rsc = False
        before = len(self.sandbox.journal.deliveries)
        await self._act(Person.SUPERVISOR, "install", channel=people.SUPPORT)

        async def heard() -> bool:
            return len(self.sandbox.journal.deliveries) >= before + 2

        await until(heard, what="the bridge does not hear of its installation")

    async def allow_hearing_all(self) -> None:
        """Let the team's owner consent."""
        self.sandbox.rules.rsc = True

    async def leave(self, person: Person, root: str) -> None:
        await self._act(person, "leave")

    async def come_back(self, person: Person, root: str) -> None:
        await self._act(person, "join")

    # --- bad days

    async def refuse_a_post(self) -> None:
        self.sandbox.faults.set({"target": "send", "kind": "http_before", "status": 400, "code": "BadSyntax"})

    async def lose_thread(self, person: Person, root: str) -> None:
        await self._act(person, "delete", message=root.split("|")[1])

    async def repeat_an_event(self) -> None:
        self.sandbox.faults.set({"target": "events", "kind": "duplicate"})

    async def lose_an_answer(self) -> None:
        self.sandbox.faults.set({"target": "send", "kind": "drop_after"})

    async def shut(self) -> None:
        for call in ("create", "send"):
            self.sandbox.faults.set({"target": call, "kind": "http_before", "status": 403, "code": SHUT, "times": -1})

    async def refusals(self) -> int:
        return sum(call["status"] == 403 for call in self.sandbox.journal.calls)

    async def reopen(self) -> None:
        self.sandbox.faults.clear()

    def complaints(self) -> list[str]:
        """Return what of the bridge's messages a real client would not show as it was meant."""
        there = (message for channel in self.sandbox.team.channels.values() for message in channel.messages.values())
        return [f"{flag}: {_post(message).text[:80]}" for message in there for flag in message.flags]


def _post(message: Message, view: list[Json] | None = None) -> Post:
    person, cards = NAMES.get(message.sender), message.cards if view is None else view
    if cards:
        text = "\n".join(_words(card.get("body", [])) for card in cards)
    else:
        text = html.unescape(message.text) if message.text_format == "markdown" else message.text
    return Post(
        ref=f"{message.channel}|{message.id}",
        by=person or "bridge",
        text=text,
        buttons=tuple(action["title"] for card in cards for action in card.get("actions", [])),
        files=tuple(name for run in _runs(cards) for name, _ in _named(run)),
        deleted=message.is_deleted,
        raw=message.as_json(),
    )


def _return_inputs(note: ReturnNote) -> Json:
    lists = {inputs.FACTS: note.facts, inputs.PROMISES: note.promises, inputs.DO_NOT_REPEAT: note.do_not_repeat}
    return {
        inputs.OUTCOME: note.outcome.value,
        inputs.NOTE: note.note,
        **{name: "\n".join(lines) for name, lines in lists.items()},
        inputs.CONTINUE_NOW: "true" if note.continue_now else "false",
    }


def _words(items: list[Json]) -> str:
    """Return what people read of a card's body."""
    lines = []
    for item in items:
        match item["type"]:
            case "TextBlock":
                lines.append(str(item["text"]))
            case "RichTextBlock":
                lines.append("".join(str(run["text"]) for run in item["inlines"]))
            case "Container":
                lines.append(_words(item["items"]))
    return "\n".join(lines)


def _runs(items: Any) -> Iterator[Json]:
    if isinstance(items, list):
        for item in items:
            yield from _runs(item)
    elif isinstance(items, dict):
        if items.get("type") == "TextRun":
            yield items
        yield from _runs([value for value in items.values() if isinstance(value, list)])


def _named(run: Json) -> Iterator[tuple[str, str]]:
    found, link = _FILE.match(run["text"]), run.get("selectAction")
    if found and link:
        yield found[1], link["url"]


@contextlib.asynccontextmanager
async def teams_room(clock: LeapingClock, *only: str) -> AsyncIterator[TeamsRoom]:
    """Run a team whose time is this clock's; the bridge has queues in it, or `only` these."""
    cast = people.default_cast(len(QUEUES))
    async with (
        aiohttp.ClientSession() as http,
        serving(SandboxSettings(), cast=cast, now=clock.seconds) as sandbox,
    ):
        sandbox.rules.limits, sandbox.rules.slash = False, True
        chosen = {name: channel for name, channel in channels().items() if not only or name in only}
        yield TeamsRoom(sandbox, http, chosen)


def teams_queues(clock: LeapingClock, *only: str, suffix: str = "") -> str:
    """Return the settings of the room's queues."""
    chosen = {name: channel for name, channel in channels().items() if not only or name in only}
    return queue_tables("teams", chosen, people.SAM, clock.now(), suffix=suffix)


Stage = tuple[House, TeamsRoom]


@contextlib.asynccontextmanager
async def staged(folder: Path, *queues: str, **more: str) -> AsyncIterator[Stage]:
    """Run a bridge and a Teams with these queues, or all, and `more` settings."""
    clock = LeapingClock()
    async with teams_room(clock, *queues) as room:
        toml = teams_queues(clock, *queues) + LADDERS
        async with house_at(folder, room.environment() | more, toml, clock) as house:
            await room.join(house.bridge.port)
            yield house, room
