"""The company's AI, whatever its stack. Start reading at `create`."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from adapters.agents.demo import DemoAgent
from adapters.agents.tool import hand_off_tool
from adapters.agents.wire import replies_schema, turn_schema
from bridge.conversation import FileRef
from bridge.errors import SettingsError
from bridge.ports import Agent

__all__ = ["create", "hand_off_tool", "replies_schema", "turn_schema"]


def create(
    kind: str,
    *,
    url: str = "",
    secret: str = "",
    name: str = "Assistant",
    link: Callable[[FileRef], str] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    now_s: Callable[[], float] = time.time,
) -> Agent:
    """Make the agent of this kind: `demo` is the scripted one, `http` the company's own at `url`.

    `secret` (`whsec_...`) signs each turn; without one only a `url` on this machine is called. `link` returns the
    signed address of a customer's file. `now_s` is the time that signatures bear, in UTC seconds. An `http` agent holds
    connections: `await agent.close()` at the end. Raises SettingsError.
    """
    if kind == "demo":
        return DemoAgent(name=name, sleep=sleep)
    if kind == "http":
        from adapters.agents.http import HttpAgent

        return HttpAgent(url=url, secret=secret, name=name, link=link, now_s=now_s)
    raise SettingsError(f"agent.kind: {kind!r} is unknown; choose http or demo")
