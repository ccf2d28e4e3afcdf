"""A sandbox Slack as a test or a demo script drives it: people act, and what they see can be awaited.

async with Workspace(url) as slack:
    root = await slack.say(DANA, "Hello", channel=SUPPORT)
    reply = await slack.wait_for(lambda state: state.thread(SUPPORT, root)[1:], timeout_s=5)
"""

import asyncio
import base64
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from adapters.sandbox.slack.people import SUPPORT

Json = dict[str, Any]
Found = TypeVar("Found")


class SandboxRefusal(Exception):
    """The sandbox did not do it. ``code`` is Slack's word, the message says more."""

    def __init__(self, body: Json) -> None:
        super().__init__(f"{body.get('error')}: {body.get('detail', body)}")
        self.code = str(body.get("error"))
        self.body = body


class State(Json):
    """A snapshot of the workspace, as ``GET /sandbox/state`` returns it, with the questions tests ask."""

    def messages(self, channel: str = SUPPORT) -> list[Json]:
        """Return everything in a channel, replies included, oldest first."""
        return next(list(each["messages"]) for each in self["channels"] if each["id"] == channel)

    def roots(self, channel: str = SUPPORT) -> list[Json]:
        """Return the messages that start threads or could."""
        return [m for m in self.messages(channel) if m.get("thread_ts", m["ts"]) == m["ts"]]

    def thread(self, channel: str, root_ts: str) -> list[Json]:
        """Return a thread, its root first."""
        return [m for m in self.messages(channel) if root_ts in {m["ts"], m.get("thread_ts")}]

    def views(self, user: str) -> list[Json]:
        """Return the modals a person has open, the topmost last; each has ``view`` and ``errors``."""
        return [each for each in self["views"] if each["user"] == user]

    def ephemerals(self, user: str) -> list[Json]:
        """Return what only this person sees."""
        return [each for each in self["ephemerals"] if each["user"] == user]

    def status(self, channel: str, root_ts: str) -> str:
        """Return what the app says it is doing in a thread."""
        for each in self["statuses"]:
            if (each["channel"], each["thread_ts"]) == (channel, root_ts):
                return str(each["status"])
        return ""


class Workspace:
    """A running sandbox, reached over its control interface. Use it as an async context manager."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet. ``url`` is what the sandbox printed."""
        self.url = url.rstrip("/")
        self.api_url = f"{self.url}/api/"
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
        """Call the control interface. Raises ``SandboxRefusal``."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.request(method, self.url + path, json=body) as response:
            answer: Json = await response.json()
        if answer.get("ok") is False:
            raise SandboxRefusal(answer)
        return answer

    async def act(self, user: str, kind: str, **details: object) -> Json:
        """Do anything that ``POST /sandbox/act`` knows."""
        given = {name: value for name, value in details.items() if value is not None}
        return await self.request("POST", "/sandbox/act", {"user": user, "kind": kind, **given})

    async def say(
        self, user: str, text: str, *, channel: str = SUPPORT, thread_ts: str | None = None, broadcast: bool = False
    ) -> str:
        """Write a message; ``@handle``, ``#channel``, ``*bold*`` and the like are understood. Returns its ts."""
        answer = await self.act(
            user, "message", text=text, channel=channel, thread_ts=thread_ts, broadcast=broadcast or None
        )
        return str(answer["ts"])

    async def mention(self, user: str, text: str, *, channel: str = SUPPORT, thread_ts: str | None = None) -> str:
        """Write a message to the app by name. Returns its ts."""
        return str((await self.act(user, "mention", text=text, channel=channel, thread_ts=thread_ts))["ts"])

    async def edit(self, user: str, ts: str, text: str, *, channel: str = SUPPORT) -> None:
        """Change one's message."""
        await self.act(user, "edit", ts=ts, text=text, channel=channel)

    async def delete(self, user: str, ts: str, *, channel: str = SUPPORT) -> None:
        """Delete one's message."""
        await self.act(user, "delete", ts=ts, channel=channel)

    async def upload(
        self, user: str, filename: str, content: bytes, *, channel: str = SUPPORT, thread_ts: str | None = None,
        text: str = "", mimetype: str | None = None,
    ) -> Json:  # fmt: skip
        """Share a file. Returns ``ts`` and ``file_id``."""
        encoded = base64.b64encode(content).decode()
        place = {"channel": channel, "thread_ts": thread_ts, "mimetype": mimetype}
        return await self.act(user, "upload", filename=filename, content_base64=encoded, text=text, **place)

    async def react(self, user: str, ts: str, name: str, *, channel: str = SUPPORT) -> None:
        """React with an emoji, or take that reaction back."""
        await self.act(user, "react", ts=ts, name=name, channel=channel)

    async def click(
        self,
        user: str,
        action_id: str,
        ts: str,
        *,
        channel: str = SUPPORT,
        value: object = None,
        block_id: str | None = None,
    ) -> Json:
        """Use a button or another element of a message. Returns once the app has answered."""
        return await self.act(
            user, "click", action_id=action_id, ts=ts, channel=channel, value=value, block_id=block_id
        )

    async def click_in_view(self, user: str, action_id: str, view_id: str, *, value: object = None) -> Json:
        """Use an element of a modal."""
        return await self.act(user, "click", action_id=action_id, view_id=view_id, value=value)

    async def command(
        self, user: str, command: str, text: str = "", channel: str = SUPPORT, *, thread_ts: str | None = None
    ) -> Json:
        """Use a slash command. ``refused`` in the answer is what Slack's client said instead."""
        return await self.act(user, "command", command=command, text=text, channel=channel, thread_ts=thread_ts)

    async def shortcut(self, user: str, callback_id: str, *, ts: str | None = None, channel: str = SUPPORT) -> Json:
        """Use a shortcut: a message's where ``ts`` is given, else a global one."""
        return await self.act(user, "shortcut", callback_id=callback_id, ts=ts, channel=channel if ts else None)

    async def submit(self, user: str, view_id: str, values: Json | None = None) -> Json:
        """Submit a modal; ``values`` maps action ids to what was typed or chosen. ``errors`` in the answer: refused."""
        return await self.act(user, "submit", view_id=view_id, values=values or {})

    async def close_view(self, user: str, view_id: str) -> None:
        """Close a modal without submitting."""
        await self.act(user, "close_view", view_id=view_id)

    async def state(self, *, after: int | None = None, wait_s: float = 0.0) -> State:
        """Return the workspace now, or once it is newer than ``after``."""
        query = f"?after={after}&wait_s={wait_s}" if after is not None else ""
        return State(await self.request("GET", f"/sandbox/state{query}"))

    async def messages(self, channel: str = SUPPORT) -> list[Json]:
        """Return everything in a channel now."""
        return (await self.state()).messages(channel)

    async def thread(self, channel: str, root_ts: str) -> list[Json]:
        """Return a thread now, its root first."""
        return (await self.state()).thread(channel, root_ts)

    async def wait_for(self, question: Callable[[State], Found], *, timeout_s: float = 30.0) -> Found:
        """Return the first truthy answer to a question about the state. Raises ``TimeoutError`` with what was there."""
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

    async def view_of(self, user: str, *, timeout_s: float = 30.0) -> Json:
        """Return a person's topmost modal as soon as there is one."""
        found = await self.wait_for(lambda state: state.views(user), timeout_s=timeout_s)
        return dict(found[-1]["view"])

    async def fault(self, target: str, kind: str, **details: object) -> None:
        """Switch a fault on: ``target`` is a method, ``*`` or ``events``."""
        await self.request("POST", "/sandbox/faults", {"target": target, "kind": kind, **details})

    async def clear_faults(self) -> None:
        """Switch every fault off."""
        await self.request("DELETE", "/sandbox/faults")

    async def rules(self, **rules: object) -> Json:
        """Make Slack as strict as it may be: ``metadata_in_events``, ``token_error``, ``rationed_reads``, ..."""
        return await self.request("PUT", "/sandbox/rules", rules)

    async def reset_rules(self) -> None:
        """Make Slack lenient again."""
        await self.request("DELETE", "/sandbox/rules")

    async def configure(self, **configuration: object) -> Json:
        """Change the app's configuration: ``request_url``, ``manifest``, ``scopes``, ``bot_events``, ..."""
        return await self.request("PUT", "/sandbox/app", configuration)

    async def disconnect(
        self, reason: str = "refresh_requested", *, abrupt: bool = False, only_one: bool = False
    ) -> int:
        """Ask the app's sockets to be renewed, or cut them. Returns how many."""
        body = {"reason": reason, "abrupt": abrupt, "only_one": only_one}
        return int((await self.request("POST", "/sandbox/disconnect", body))["connections"])

    async def calls(self, method: str | None = None) -> list[Json]:
        """Return the Web API calls so far."""
        everything = (await self.request("GET", "/sandbox/log"))["calls"]
        return [call for call in everything if method in {None, call["method"]}]

    async def deliveries(self, kind: str | None = None) -> list[Json]:
        """Return the events and interactions sent so far, every attempt."""
        everything = (await self.request("GET", "/sandbox/log"))["deliveries"]
        return [delivery for delivery in everything if kind in {None, delivery["kind"], delivery["type"]}]

    async def delivered(self, kind: str, count: int, *, timeout_s: float = 30.0) -> list[Json]:
        """Return the deliveries of a kind once there are ``count``. Raises ``TimeoutError`` with what there was."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = await self.deliveries(kind)
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                there = [(each["type"], each["status"], each["reason"]) for each in await self.deliveries()]
                raise TimeoutError(f"{len(found)} of {count} {kind} within {timeout_s} s; there were: {there}")
            await asyncio.sleep(0.01)

    async def until_up(self, *, timeout_s: float = 10.0) -> None:
        """Wait until the sandbox answers. Raises ``TimeoutError``."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                await self.request("GET", "/sandbox/app")
            except aiohttp.ClientConnectionError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.url} does not answer") from None
                await asyncio.sleep(0.02)
            else:
                return


def _summary(state: State) -> str:
    lines = [
        f"#{channel['name']}: {message.get('user') or message.get('username')}: {message['text'][:80]!r}"
        for channel in state["channels"]
        for message in channel["messages"]
    ]
    return "; ".join(lines) or "nothing"
