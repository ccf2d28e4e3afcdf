"""A sandbox Slack as a `Room` of the desk conformance suite: the bridge reaches it over its sockets, people act in it
directly.
"""

import base64
import contextlib
import html
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from adapters.sandbox.slack import acts, people
from adapters.sandbox.slack.records import Message, View
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.server import serving
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SandboxSettings
from adapters.slack import modals
from bridge.envelope import ReturnNote
from bridge.ids import DeskName
from tests.contracts.desk_conformance_house import Json, LeapingClock, until
from tests.contracts.desk_conformance_room import QUEUES, Person, Post, queue_tables

WHO = {
    Person.OWNER: people.DANA,
    Person.COLLEAGUE: people.LEE,
    Person.SUPERVISOR: people.SAM,
    Person.GUEST: people.GUEST,
    Person.OUTSIDER: people.OUTSIDER,
    Person.BOT: people.OTHER_BOT,
}
NAMES = {user: person for person, user in WHO.items()}
SHUT = "not_in_channel"
LOADING = "One moment…"


def channels() -> dict[str, str]:
    """Return the channel of each queue."""
    more = iter(range(1, 100))
    known = {"support": people.SUPPORT, "billing": people.BILLING}
    return {queue: known.get(queue) or people.more_channel(next(more)) for queue in QUEUES}


class SlackRoom:
    """Implements `Room`. A ref is a channel and a `ts`."""

    desk = DeskName("slack")

    def __init__(self, sandbox: Sandbox, channels: Mapping[str, str]) -> None:
        """Look into this workspace; `channels` are those of the queues."""
        self.sandbox, self._channels = sandbox, channels
        self._told: dict[Person, list[str]] = defaultdict(list)
        self._noted: set[str] = set()

    def environment(self) -> dict[str, str]:
        """Return what a bridge is told."""
        return {
            "HANDOFF_SLACK__MODE": "socket",
            "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
            "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
            "HANDOFF_SLACK__API_URL": f"{self.sandbox.workspace.base_url}/api/",
        }

    async def join(self) -> None:
        """Wait until the bridge listens."""

        async def connected() -> bool:
            return self.sandbox.hub.connections == 2

        await until(connected, what="the bridge does not connect to Slack")

    # --- what is there

    def roots(self, queue: str, words: str) -> list[Post]:
        channel = self.sandbox.workspace.channel(self._channels[queue])
        found = [each for each in channel.messages.values() if not each.is_reply and words in each.text]
        return [self._post(channel.id, message) for message in found]

    def thread(self, root: str) -> list[Post]:
        channel_id, ts = root.split("|")
        channel = self.sandbox.workspace.channel(channel_id)
        there = [*([channel.messages[ts]] if ts in channel.messages else []), *channel.replies(ts)]
        return [self._post(channel_id, message) for message in there]

    def _post(self, channel: str, message: Message) -> Post:
        raw = message.as_json(metadata=True)
        blocks = raw.get("blocks") or []
        person = NAMES.get(message.user or "")
        spoken = "\n".join(words for block in blocks if (words := _words(block).strip()))
        return Post(
            ref=f"{channel}|{message.ts}",
            by=person or "bridge",
            text=spoken if spoken and person is None else html.unescape(message.text),
            buttons=tuple(element["text"]["text"] for element in _buttons(blocks)),
            files=tuple(file.title or file.name for file in message.files),
            raw=raw,
        )

    def card(self, root: str, person: Person) -> Post:
        return self.thread(root)[0]

    async def read(self, post: Post, name: str) -> bytes:
        files = self.sandbox.workspace.files.values()
        named = {file["id"] for file in post.raw["files"] if name in {file["title"], file["name"]}}
        return next(file.content or b"" for file in files if file.id in named)

    def told(self, person: Person) -> list[str]:
        for ephemeral in self.sandbox.workspace.ephemerals:
            self._note(person, ephemeral.user, f"{ephemeral.user}:{ephemeral.ts}", html.unescape(ephemeral.text))
        for view in self.sandbox.modals.of(WHO[person]):
            words = "\n".join(_words(block) for block in view.body["blocks"])
            if not view.body.get("callback_id") and words != LOADING:
                self._note(person, view.user, f"{view.id}:{view.hash}", words)
        return self._told[person]

    def _note(self, person: Person, user: str, key: str, words: str) -> None:
        if user == WHO[person] and key not in self._noted:
            self._noted.add(key)
            self._told[person].append(words)

    def typing(self, root: str) -> str:
        channel, ts = root.split("|")
        return self.sandbox.workspace.statuses.get((channel, ts), "")

    def mentioned(self, post: Post) -> set[Person]:
        return {NAMES[user] for user in re.findall(r"<@(\w+)>", json.dumps(post.raw["blocks"])) if user in NAMES}

    def links(self, post: Post) -> list[str]:
        found = re.findall(r"<[^|>]*/archives/(\w+)/p(\d+)(\d{6})[^|>]*\|", json.dumps(post.raw["blocks"]))
        return [f"{channel}|{seconds}.{rest}" for channel, seconds, rest in found]

    def has_links(self, post: Post) -> bool:
        return "http" in json.dumps(post.raw["blocks"])

    def live_markup(self, post: Post) -> list[str]:
        styled = [
            str(leaf)
            for leaf in _leaves(post.raw["blocks"])
            if leaf["type"] not in {"text", "plain_text"} or leaf.get("style")
        ]
        return styled + re.findall(r"<[!@#h][^>]*>", str(post.raw["text"]))

    def at(self, person: Person) -> str:
        return f"@{self.sandbox.workspace.person(WHO[person]).name}"

    def bold(self, text: str) -> str:
        return f"*{text}*"

    # --- what people do

    async def _act(self, person: Person, kind: str, **details: Any) -> Json:
        return await acts.perform(self.sandbox, {"user": WHO[person], "kind": kind, **details})

    async def say(self, person: Person, text: str, root: str) -> str:
        channel, ts = root.split("|")
        await self._let_in(person, channel)
        return f"{channel}|{(await self._act(person, 'message', text=text, channel=channel, thread_ts=ts))['ts']}"

    async def _let_in(self, person: Person, channel: str) -> None:
        """People of other organisations are in a channel only where it is shared with them."""
        if person is Person.OUTSIDER:
            await self._act(person, "join", channel=channel)

    async def ask(self, person: Person, text: str, root: str) -> str:
        channel, ts = root.split("|")
        return f"{channel}|{(await self._act(person, 'mention', text=text, channel=channel, thread_ts=ts))['ts']}"

    async def edit(self, person: Person, ref: str, text: str) -> None:
        channel, ts = ref.split("|")
        await self._act(person, "edit", channel=channel, ts=ts, text=text)

    async def delete(self, person: Person, ref: str) -> None:
        channel, ts = ref.split("|")
        await self._act(person, "delete", channel=channel, ts=ts)

    async def press(self, person: Person, ref: str, title: str) -> None:
        channel, ts = ref.split("|")
        await self._let_in(person, channel)
        message = self.sandbox.workspace.message(self.sandbox.workspace.channel(channel), ts)
        found = [element for element in _buttons(message.blocks) if element["text"]["text"] == title]
        assert found, f"no button {title!r}; there are {[each['text']['text'] for each in _buttons(message.blocks)]}"
        assert await self._act(person, "click", channel=channel, ts=ts, action_id=found[0]["action_id"]) == {}

    async def give_back(self, person: Person, ref: str, note: ReturnNote) -> None:
        before = self._before(person)
        await self.press(person, ref, "Return to AI")
        await self._send_off(person, before, _return_values(note))

    async def rehearse(self, person: Person, ref: str, note: ReturnNote, *, presses: int = 1) -> None:
        before = self._before(person)
        await self.press(person, ref, "Return to AI")
        view = await self._opened(person, before)
        typed = _return_values(note)
        for _ in range(presses if view else 0):
            assert view is not None
            place = {"view_id": view.id, "action_id": modals.REHEARSE}
            assert await self._act(person, "click", **place, values=typed) == {}
            held, typed = view.state["note"]["note"]["value"], {}
            assert (held or "") == note.note
            self._told[person].append(_words(view.body["blocks"][-1]))
        if view is not None:
            await self._act(person, "close_view", view_id=view.id)

    async def give_back_by_message(self, person: Person, ref: str, note: ReturnNote) -> None:
        channel, ts = ref.split("|")
        before = self._before(person)
        await self._act(person, "shortcut", callback_id="bridge_return_message", channel=channel, ts=ts)
        await self._send_off(person, before, _return_values(note))

    async def give_back_by_command(self, person: Person, ticket: str, note: str, root: str) -> None:
        channel, _ = root.split("|")
        before = self._before(person)
        await self._act(person, "command", command="/return", text=f"{ticket} {note}", channel=channel)
        await self._send_off(person, before, {})

    async def command_in_channel(self, person: Person, queue: str) -> None:
        await self._act(person, "command", command="/return", channel=self._channels[queue])

    async def pick(self, person: Person, queue: str, handoff: str, note: str) -> list[str]:
        """Type the slash command, and choose a handoff in the dialog that opens. Returns what there was to choose."""
        before = self._before(person)
        await self.command_in_channel(person, queue)
        await self._send_off(person, before, {"handoff": handoff, "note": note})
        calls = [call["args"] for call in self.sandbox.journal.calls if call["method"] == "views.open"]
        blocks = calls[-1]["view"]["blocks"]
        return [option["text"]["text"] for option in blocks[0]["element"]["options"]]

    async def transfer(
        self, person: Person, ref: str, *, to: Person | None = None, queue: str = "", note: str = ""
    ) -> None:
        before = self._before(person)
        await self.press(person, ref, "Transfer")
        values = {"user": WHO[to] if to else None, "queue": queue or None, "note": note}
        await self._send_off(person, before, {name: value for name, value in values.items() if value})

    async def send_to_customer(self, person: Person, ref: str) -> None:
        channel, ts = ref.split("|")
        await self._act(person, "shortcut", callback_id="bridge_send_message", channel=channel, ts=ts)

    def _before(self, person: Person) -> tuple[set[str], int]:
        return {view.id for view in self.sandbox.modals.of(WHO[person])}, len(self.told(person))

    async def _send_off(self, person: Person, before: tuple[set[str], int], values: Json) -> None:
        """Submit the dialog that opened since; none may have, if the person was told why."""
        view = await self._opened(person, before)
        if view is None:
            return
        answer = await self._act(person, "submit", view_id=view.id, values=values)
        assert "failed" not in answer, answer
        if errors := answer.get("errors"):
            self._told[person] += errors.values()
            await self._act(person, "close_view", view_id=view.id)

    async def _opened(self, person: Person, before: tuple[set[str], int]) -> View | None:
        """Return the dialog that opened since; None: the person was told why there is none."""
        old, told = before
        opened: list[View] = []

        async def answered() -> bool:
            there = self.sandbox.modals.of(WHO[person])
            opened.extend(view for view in there if view.id not in old and view.body.get("callback_id"))
            return bool(opened) or len(self.told(person)) > told

        await until(answered, what="no dialog opened")
        return opened[0] if opened else None

    async def attach(self, person: Person, name: str, content: bytes, text: str, root: str) -> None:
        channel, ts = root.split("|")
        draft = base64.b64encode(content).decode()
        place = {"channel": channel, "thread_ts": ts, "filename": name, "text": text}
        await self._act(person, "upload", content_base64=draft, **place)

    async def leave(self, person: Person, root: str) -> None:
        await self._act(person, "leave", channel=root.split("|", maxsplit=1)[0])

    async def come_back(self, person: Person, root: str) -> None:
        await self._act(person, "join", channel=root.split("|", maxsplit=1)[0])

    # --- bad days

    async def refuse_a_post(self) -> None:
        self.sandbox.faults.set({"target": "chat.postMessage", "kind": "error_before", "error": "invalid_blocks"})

    async def lose_thread(self, person: Person, root: str) -> None:
        """Slack forgets a thread only once its replies are gone too."""
        for post in reversed(self.thread(root)):
            channel, ts = post.ref.split("|")
            workspace = self.sandbox.workspace
            workspace.delete(workspace.channel(channel), workspace.message(workspace.channel(channel), ts))

    async def repeat_an_event(self) -> None:
        self.sandbox.faults.set({"target": "events", "kind": "duplicate"})

    async def lose_an_answer(self) -> None:
        self.sandbox.faults.set({"target": "chat.postMessage", "kind": "drop_after"})

    async def shut(self) -> None:
        self.sandbox.faults.set({"target": "chat.postMessage", "kind": "error_before", "error": SHUT, "times": -1})

    async def refusals(self) -> int:
        return sum(call["error"] == SHUT for call in self.sandbox.journal.calls)

    async def reopen(self) -> None:
        self.sandbox.faults.clear()


def _return_values(note: ReturnNote) -> Json:
    lists = {"facts": note.facts, "promises": note.promises, "do_not_repeat": note.do_not_repeat}
    return {
        "outcome": note.outcome.value,
        "note": note.note,
        **{name: "\n".join(lines) for name, lines in lists.items()},
        "continue_now": ["yes"] if note.continue_now else [],
    }


def _buttons(blocks: list[Json]) -> Iterator[Json]:
    for block in blocks:
        if block["type"] == "actions":
            yield from (element for element in block["elements"] if element["type"] == "button")


def _leaves(nodes: list[Json]) -> Iterator[Json]:
    for node in nodes:
        if "elements" in node:
            yield from _leaves(node["elements"])
        else:
            yield node


def _words(node: Json) -> str:
    """Return what people read of a block."""
    kind, text = node["type"], node.get("text")
    if kind == "actions":
        return ""
    if kind in {"link", "user"}:
        return str(text or node.get("url") or f"@{node.get('user_id')}")
    if isinstance(text, dict):
        return _words(text)
    if isinstance(text, str):
        return html.unescape(text) if kind == "mrkdwn" else text
    apart = "\n" if kind in {"context", "rich_text", "rich_text_list"} else ""
    return apart.join(map(_words, node["elements"]))


@contextlib.asynccontextmanager
async def slack_room(clock: LeapingClock) -> AsyncIterator[SlackRoom]:
    """Run a workspace whose time is this clock's."""
    settings = SandboxSettings(posts_per_s=0)
    async with serving(settings, cast=people.default_cast(len(QUEUES)), now=clock.seconds) as sandbox:
        yield SlackRoom(sandbox, channels())


def slack_queues(clock: LeapingClock, *only: str, suffix: str = "") -> str:
    """Return the settings of the room's queues."""
    chosen = {name: channel for name, channel in channels().items() if not only or name in only}
    return queue_tables("slack", chosen, people.SAM, clock.now(), suffix=suffix)
