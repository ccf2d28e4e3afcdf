"""A sandbox team as a test or a demo script drives it: people act, and what they see can be awaited.

async with TeamsClient(url) as teams:
    root = await teams.say(DANA, "Hello", channel=SUPPORT)
    reply = await teams.wait_for(lambda state: state.thread(SUPPORT, root)[1:], timeout_s=5)
"""

import asyncio
import base64
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from adapters.sandbox.teams.people import SUPPORT

Json = dict[str, Any]
Found = TypeVar("Found")


class SandboxRefusal(Exception):
    """The sandbox did not do it. `code` is a word for why, the message says more."""

    def __init__(self, body: Json) -> None:
        super().__init__(f"{body.get('error')}: {body.get('detail', body)}")
        self.code = str(body.get("error"))
        self.body = body


class State(Json):
    """A snapshot of the team, as `GET /sandbox/state` returns it, with the questions tests ask."""

    def messages(self, channel: str = SUPPORT) -> list[Json]:
        """Return everything in a channel, replies included, oldest first."""
        return next(list(each["messages"]) for each in self["channels"] if each["id"] == channel)

    def posts(self, channel: str = SUPPORT) -> list[Json]:
        """Return what stands in the channel itself, without replies."""
        return [message for message in self.messages(channel) if message["root"] == message["id"]]

    def thread(self, channel: str, root: str) -> list[Json]:
        """Return a thread, its post first."""
        return [message for message in self.messages(channel) if message["root"] == root]

    def card(self, user: str, message: Json) -> Json:
        """Return the card that a person sees in a message."""
        found = message["views"].get(user) or message["cards"][0]
        return dict(found)

    def notices(self, user: str) -> list[str]:
        """Return what the client told a person beside the messages, oldest first."""
        return [each["text"] for each in self["notices"] if each["user"] == user]


class TeamsClient:
    """A running sandbox, reached over its control interface. Use it as an async context manager."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet. `url` is what the sandbox printed."""
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. May be called twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """Call the control interface. Raises `SandboxRefusal`."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.request(method, self.url + path, json=body) as response:
            answer: Json = await response.json()
        if answer.get("ok") is False:
            raise SandboxRefusal(answer)
        return answer

    async def act(self, user: str, kind: str, **details: object) -> Json:
        """Do anything that `POST /sandbox/act` knows."""
        given = {name: value for name, value in details.items() if value is not None}
        return await self.request("POST", "/sandbox/act", {"user": user, "kind": kind, **given})

    async def say(self, user: str, text: str, *, channel: str = SUPPORT, root: str | None = None) -> str:
        """Write a message; `@Name` mentions, `**bold**` and the like are understood. Returns its id."""
        return str((await self.act(user, "message", text=text, channel=channel, root=root))["id"])

    async def mention(self, user: str, text: str, *, channel: str = SUPPORT, root: str | None = None) -> str:
        """Write a message to the bot by name. Returns its id."""
        return str((await self.act(user, "mention", text=text, channel=channel, root=root))["id"])

    async def paste(
        self, user: str, content: bytes, text: str = "", *, channel: str = SUPPORT, root: str | None = None
    ) -> str:
        """Write a message with a picture in it. Returns its id."""
        encoded = base64.b64encode(content).decode()
        return str((await self.act(user, "image", content_base64=encoded, text=text, channel=channel, root=root))["id"])

    async def attach(
        self, user: str, filename: str, content: bytes, text: str = "", *, channel: str = SUPPORT,
        root: str | None = None,
    ) -> str:  # fmt: skip
        """Write a message with a file. Returns its id."""
        encoded = base64.b64encode(content).decode()
        place = {"filename": filename, "text": text, "channel": channel, "root": root}
        return str((await self.act(user, "file", content_base64=encoded, **place))["id"])

    async def edit(self, user: str, message: str, text: str) -> None:
        """Change one's message."""
        await self.act(user, "edit", message=message, text=text)

    async def delete(self, user: str, message: str) -> None:
        """Delete one's message."""
        await self.act(user, "delete", message=message)

    async def undelete(self, user: str, message: str) -> None:
        """Bring one's deleted message back."""
        await self.act(user, "undelete", message=message)

    async def click(
        self, user: str, message: str, verb: str | None = None, *, title: str | None = None, inputs: Json | None = None
    ) -> Json:
        """Press a button of a card. Returns once the bot has answered, with what the person got to see."""
        return await self.act(user, "click", message=message, verb=verb, title=title, inputs=inputs)

    async def message_action(self, user: str, message: str, command: str = "returnToAgent") -> Json:
        """Use the bot's action in the menu of a message. Returns the `dialog` that opened, or what else happened."""
        return await self.act(user, "message_action", message=message, command=command)

    async def submit_dialog(
        self, user: str, dialog: str, inputs: Json | None = None, *, title: str | None = None
    ) -> Json:
        """Press a dialog's button."""
        return await self.act(user, "submit_dialog", dialog=dialog, inputs=inputs, title=title)

    async def deliver(self, activity: Json | str, *, token: str) -> tuple[int, str]:
        """Send the bot any activity, with a `token` that is `valid` or broken in one of the ways of `keys.TOKEN_KINDS`.
        Returns (HTTP status, text).
        """
        answer = await self.request("POST", "/sandbox/deliver", {"activity": activity, "token": token})
        return int(answer["status"]), str(answer["text"])

    async def state(self, *, after: int | None = None, wait_s: float = 0.0) -> State:
        """Return the team now, or once it is newer than `after`."""
        query = f"?after={after}&wait_s={wait_s}" if after is not None else ""
        return State(await self.request("GET", f"/sandbox/state{query}"))

    async def thread(self, channel: str, root: str) -> list[Json]:
        """Return a thread now, its post first."""
        return (await self.state()).thread(channel, root)

    async def wait_for(self, question: Callable[[State], Found], *, timeout_s: float = 5.0) -> Found:
        """Return the first truthy answer to a question about the state. Raises `TimeoutError` with what was there."""
        deadline = time.monotonic() + timeout_s
        state = await self.state()
        while True:
            answer = question(state)
            if answer:
                return answer
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"not within {timeout_s} s; the channels hold: {_summary(state)}")
            state = await self.state(after=state["seq"], wait_s=min(left_s, 5.0))

    async def fault(self, target: str, kind: str, **details: object) -> None:
        """Switch a fault on: `target` is a call, `*` or `events`."""
        await self.request("POST", "/sandbox/faults", {"target": target, "kind": kind, **details})

    async def clear_faults(self) -> None:
        """Switch every fault off."""
        await self.request("DELETE", "/sandbox/faults")

    async def rules(self, **rules: object) -> Json:
        """Set the tenant up otherwise: `rsc`, `graph`, `limits`, `secret`, `old_client`, ..."""
        return await self.request("PUT", "/sandbox/rules", rules)

    async def reset_rules(self) -> None:
        """Set the tenant up as at the start."""
        await self.request("DELETE", "/sandbox/rules")

    async def app(self) -> Json:
        """Return what a bot must be told: `app_id`, `app_password`, `tenant_id`, `service_url` and three more."""
        return await self.request("GET", "/sandbox/app")

    async def configure(self, *, endpoint: str) -> Json:
        """Tell where the bot listens."""
        return await self.request("PUT", "/sandbox/app", {"endpoint": endpoint})

    async def calls(self, target: str | None = None) -> list[Json]:
        """Return the bot's calls so far."""
        everything = (await self.request("GET", "/sandbox/log"))["calls"]
        return [call for call in everything if target in {None, call["method"]}]

    async def deliveries(self, kind: str | None = None) -> list[Json]:
        """Return what was sent to the bot so far, every attempt."""
        everything = (await self.request("GET", "/sandbox/log"))["deliveries"]
        return [delivery for delivery in everything if kind in {None, delivery["kind"]}]

    async def delivered(self, kind: str, count: int, *, timeout_s: float = 5.0) -> list[Json]:
        """Return the deliveries of a kind once there are `count`. Raises `TimeoutError` with what there was."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = await self.deliveries(kind)
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                there = [(each["kind"], each["status"], each["reason"]) for each in await self.deliveries()]
                raise TimeoutError(f"{len(found)} of {count} {kind} within {timeout_s} s; there were: {there}")
            await asyncio.sleep(0.01)


def _summary(state: State) -> str:
    lines = [
        f"{channel['name']}: {message['from']}: {message['text'][:80]!r} {len(message['cards'])} cards"
        for channel in state["channels"]
        for message in channel["messages"]
    ]
    return "; ".join(lines) or "nothing"
