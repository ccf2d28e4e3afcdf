"""The company's own agent behind an HTTP address: each turn is one signed POST, and the answer its events."""

import contextlib
import ipaddress
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from urllib.parse import urlsplit

import aiohttp

from adapters.agents import streams, wire
from adapters.agents.errors import from_exception, from_status
from adapters.agents.signing import key_of, sign
from bridge.conversation import FileRef
from bridge.errors import AgentFailed, SettingsError
from bridge.ports import AgentReply, AgentTurn

MAX_BODY_BYTES = 1024 * 1024
CONNECT_S = 5.0
KEEP_ALIVE_S = 4.0
"""Shorter than common servers keep it (uvicorn, Node: 5 s), so that no turn meets a connection that is closing."""
ACCEPT = "text/event-stream, application/x-ndjson, application/json"

_STREAMS = {
    "text/event-stream": streams.server_sent,
    "application/x-ndjson": streams.newline_delimited,
    "application/jsonl": streams.newline_delimited,
}


class HttpAgent:
    """A `ports.Agent`. Redirects are refused, so that a turn goes only where the settings say.

    How long an answer may take is for the caller to limit; only connecting is limited here.
    """

    def __init__(
        self,
        *,
        url: str,
        secret: str,
        name: str = "Assistant",
        link: Callable[[FileRef], str] | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Check address and secret. Raises SettingsError. Opens nothing."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError("agent.url: must be an address like https://agent.example.com/turns")
        if not secret and not _on_this_machine(parts.hostname):
            raise SettingsError(
                "agent.secret: is needed, since agent.url is not on this machine; set HANDOFF_AGENT__SECRET"
            )
        self._url = url
        self._key = key_of(secret) if secret else None
        self._name = name
        self._link = link
        self._now_s = now_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        return self._name

    async def close(self) -> None:
        """Close its connections. May be called twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        body = wire.turn_body(turn, self._link) if self._link is not None else wire.turn_body(turn)
        headers = {"content-type": "application/json", "accept": ACCEPT, "accept-encoding": "identity"}
        if self._key is not None:
            # A later attempt is another message with another body; the turn's id stays the idempotency key.
            headers |= sign(self._key, f"{turn.turn}_{turn.attempt}", int(self._now_s()), body)
        try:
            async with self._open().post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                if (failure := from_status(answer.status)) is not None:
                    raise failure
                async with contextlib.aclosing(_replies(answer)) as replies:
                    async for reply in replies:
                        yield reply
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise from_exception(error) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=CONNECT_S),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


async def _replies(answer: aiohttp.ClientResponse) -> AsyncGenerator[AgentReply]:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise AgentFailed("unreadable", "the agent's answer is compressed, though that was not asked for")
    split = _STREAMS.get(answer.content_type)
    if split is not None:
        async for text in split(_limited(answer)):
            reply = wire.read_event(text)
            yield reply
            if wire.is_end(reply):
                return
        raise AgentFailed("unreadable", "the agent's stream ended without done, handoff or error")
    if answer.content_type != "application/json":
        raise AgentFailed("unreadable", f"the agent answered {answer.content_type[:60]}; it may answer {ACCEPT}")
    body = b"".join([chunk async for chunk in _limited(answer)])
    for reply in wire.read_answer(body):
        yield reply


async def _limited(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise AgentFailed("too_large", f"the agent's answer is over {MAX_BODY_BYTES} bytes")
        yield chunk


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
