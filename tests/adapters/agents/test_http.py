"""The company's own agent over HTTP, against a real server on this machine."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from aiohttp import web

from adapters.agents import create
from adapters.agents.demo import DemoAgent
from adapters.agents.http import MAX_BODY_BYTES, HttpAgent
from bridge.errors import AgentFailed, SettingsError
from bridge.ports import Done, Message, Typing
from tests.adapters.agents.server import SECRET, STYLES, Company, listening
from tests.contracts.agent_contract import AgentContract, asked, replies, words


class TestHttpAgent(AgentContract):
    """The suite, over each of the three ways to answer."""

    @pytest.fixture(params=sorted(STYLES))
    async def agent(self, request: pytest.FixtureRequest) -> AsyncIterator[HttpAgent]:
        company = Company(DemoAgent(pause_s=0.001), style=request.param)
        async with listening(company.turns) as url:
            agent = HttpAgent(url=url, secret=SECRET)
            yield agent
            await agent.close()


async def answer_of(handler: Any, *, secret: str = SECRET) -> list[Any]:
    """What the adapter makes of this handler's answer."""
    async with listening(handler) as url:
        agent = HttpAgent(url=url, secret=secret)
        try:
            return await asyncio.wait_for(replies(agent, asked("hello")), timeout=20)
        finally:
            await agent.close()


async def failure_of(handler: Any) -> AgentFailed:
    """The failure that this handler's answer means."""
    with pytest.raises(AgentFailed) as caught:
        await answer_of(handler)
    return caught.value


async def test_a_turn_is_signed_and_each_attempt_is_a_message_of_its_own() -> None:
    """The public library verifies the call; the turn's id is the same in both attempts, the message's id is not."""
    company = Company(DemoAgent(pause_s=0))
    async with listening(company.turns) as url:
        agent = HttpAgent(url=url, secret=SECRET)
        await replies(agent, asked("hello"))
        await replies(agent, asked("hello", attempt=2))
        await agent.close()

    assert [headers["webhook-id"] for headers in company.headers] == ["t_1_1", "t_1_2"]
    assert {json.loads(body)["turn_id"] for body in company.bodies} == {"t_1"}


async def test_a_wrong_secret_is_told_as_such() -> None:
    """When the company refuses the signature, the failure says what to compare."""
    other = "whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
    with pytest.raises(AgentFailed, match=r"compare agent\.secret") as caught:
        await answer_of(Company(DemoAgent()).turns, secret=other)

    assert caught.value.code == "refused"


@pytest.mark.parametrize(
    "status, code",
    [
        (301, "refused"),
        (307, "refused"),
        (400, "refused"),
        (404, "refused"),
        (429, "unreachable"),
        (500, "crashed"),
        (502, "unreachable"),
        (503, "unreachable"),
    ],
)
async def test_each_status_has_its_meaning(status: int, code: str) -> None:
    """A refusal, a failure and an absence are told apart; a redirect is not followed."""
    visited: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        visited.append(request.path)
        return web.Response(status=status, headers={"location": str(request.url)}, text='{"type":"done"}')

    assert (await failure_of(handler)).code == code
    assert visited == ["/turns"]


@pytest.mark.parametrize(
    "body, content_type, code",
    [
        (b"<html>", "text/html", "unreadable"),
        (b"", "application/json", "unreadable"),
        (b"\xff", "application/json", "unreadable"),
        (b'data: {"type":"delta","text":"half"}\n\n', "text/event-stream", "unreadable"),
        (b'{"type":"delta","text":"half"}\n{"type":', "application/x-ndjson", "unreadable"),
        (b'["' + b"x" * MAX_BODY_BYTES + b'"]', "application/json", "too_large"),
        (b"data: x" * MAX_BODY_BYTES, "text/event-stream", "too_large"),
    ],
)
async def test_an_answer_that_breaks_the_contract_is_a_named_failure(body: bytes, content_type: str, code: str) -> None:
    """Half an answer, no answer, the wrong type and too much of it are failures, never a part taken for the whole."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type)

    assert (await failure_of(handler)).code == code


async def test_a_compressed_answer_cannot_blow_up() -> None:
    """Compression was not asked for, so a small body that unpacks to a huge one is refused unread."""

    async def handler(_: web.Request) -> web.Response:
        body = gzip.compress(b'{"type":"message","text":"' + b" " * 10_000_000 + b'"}')
        return web.Response(body=body, headers={"content-encoding": "gzip", "content-type": "application/json"})

    assert (await failure_of(handler)).code == "unreadable"


async def test_nobody_there_is_unreachable() -> None:
    """A closed port is told in words that hold no address."""
    async with listening(Company(DemoAgent()).turns) as url:
        pass
    agent = HttpAgent(url=url, secret=SECRET)
    with pytest.raises(AgentFailed) as caught:
        await replies(agent, asked("hello"))
    await agent.close()

    assert caught.value.code == "unreachable"
    assert "127.0.0.1" not in str(caught.value)


async def test_events_are_heard_as_they_come_and_letting_go_hangs_up() -> None:
    """The first event is there before the answer is complete, and a takeover closes the connection."""
    hung_up = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b'data: {"type":"typing"}\n\n')
        try:
            while True:
                await answer.write(b": still here\n\n")
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            hung_up.set()
            raise

    async with listening(handler) as url:
        agent = HttpAgent(url=url, secret=SECRET)
        async with aclosing(cast("Any", agent.respond(asked("hello")))) as running:
            assert await anext(running) == Typing()
        await asyncio.wait_for(hung_up.wait(), timeout=10)
        await agent.close()


async def test_what_follows_the_end_is_not_waited_for() -> None:
    """After `done` the answer is over, even if the connection stays open."""

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await answer.prepare(request)
        await answer.write(b'{"type":"message","text":"Hi"}\n{"type":"done"}\n')
        await asyncio.Event().wait()
        return answer

    assert await answer_of(handler) == [Message(text="Hi"), Done()]


@pytest.mark.parametrize(
    "url, secret, setting",
    [
        ("", SECRET, "agent.url"),
        ("agent.example.com", SECRET, "agent.url"),
        ("ftp://agent.example.com", SECRET, "agent.url"),
        ("https://agent.example.com/turns", "", "agent.secret"),
        ("https://127.0.0.1.example.com/turns", "", "agent.secret"),
        ("https://agent.example.com/turns", "hunter2", "agent.secret"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(url: str, secret: str, setting: str) -> None:
    """A missing address, and a company's agent without a signature, are one line at start."""
    with pytest.raises(SettingsError, match=f"^{setting}: ") as caught:
        create("http", url=url, secret=secret)

    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_kind_stops_the_start() -> None:
    """A kind that does not exist is told with those that do."""
    with pytest.raises(SettingsError, match="choose http or demo"):
        create("telepathy")


async def test_an_agent_on_this_machine_may_go_without_a_secret() -> None:
    """Whoever tries an own agent in the demo needs no secret first."""
    company = Company(DemoAgent(pause_s=0), verify=False)
    async with listening(company.turns) as url:
        agent = HttpAgent(url=url, secret="")
        assert words(await replies(agent, asked("hello")))
        await agent.close()

    assert "webhook-signature" not in company.headers[0]
