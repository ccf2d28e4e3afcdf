"""Socket Mode on the wire: hello, envelopes, acknowledgements, redelivery, disconnects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import APP_ID, DANA
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.settings import APP_TOKEN

Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[Socket]:
    """A connection that has been greeted."""
    client = AsyncWebClient(base_url=f"{sandbox.workspace.base_url}/api/")
    url = (await client.apps_connections_open(app_token=APP_TOKEN))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(str(url)) as socket:
        hello = await socket.receive_json(timeout=2)
        assert (hello["type"], hello["connection_info"]["app_id"]) == ("hello", APP_ID)
        yield socket


async def received(socket: Socket) -> dict[str, Any]:
    body: dict[str, Any] = await socket.receive_json(timeout=3)
    return body


async def test_an_event_is_acknowledged_by_its_envelope(sandbox: Sandbox, slack: Workspace) -> None:
    """An event comes as an events_api envelope, and is over once its id has been sent back."""
    async with connected(sandbox) as socket:
        await slack.say(DANA, "hello")
        envelope = await received(socket)
        assert envelope["type"] == "events_api"
        assert envelope["accepts_response_payload"] is False
        assert envelope["payload"]["event"]["text"] == "hello"
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        assert [each["status"] for each in await slack.delivered("events_api", 1)] == [200]


async def test_an_unacknowledged_event_comes_again(sandbox: Sandbox, slack: Workspace) -> None:
    """Silence brings the same envelope again, numbered, with the reason."""
    async with connected(sandbox) as socket:
        await slack.say(DANA, "hello")
        first, second = await received(socket), await received(socket)
        assert first["envelope_id"] == second["envelope_id"]
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        assert (first["retry_attempt"], second["retry_attempt"]) == (0, 1)
        assert second["retry_reason"] == "timeout"


async def test_a_lost_connections_events_go_to_the_next(sandbox: Sandbox, slack: Workspace) -> None:
    """What one connection took without acknowledging is sent to another as soon as it is gone."""
    async with connected(sandbox) as first:
        await slack.say(DANA, "hello")
        lost = await received(first)
    async with connected(sandbox) as second:
        again = await received(second)
    assert again["envelope_id"] == lost["envelope_id"]


async def test_events_wait_for_a_connection(sandbox: Sandbox, slack: Workspace) -> None:
    """What happened while no connection was open is sent to the first one that opens."""
    await slack.say(DANA, "early")
    async with connected(sandbox) as socket:
        assert (await received(socket))["payload"]["event"]["text"] == "early"


async def test_a_command_is_answered_in_its_acknowledgement(sandbox: Sandbox, slack: Workspace) -> None:
    """A slash command's acknowledgement may carry words, which its author then sees."""
    async with connected(sandbox) as socket:
        running = asyncio.create_task(slack.command(DANA, "/return", "H-1"))
        envelope = await received(socket)
        assert envelope["type"] == "slash_commands"
        assert envelope["accepts_response_payload"] is True
        assert envelope["payload"]["text"] == "H-1"
        await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "Returned."}})
        await running
    assert (await slack.state()).ephemerals(DANA)[0]["text"] == "Returned."


async def test_nobody_there_is_said_to_the_person(sandbox: Sandbox, slack: Workspace) -> None:
    """Without a connection a command fails in Slack's words; unanswered, it times out."""
    assert (await slack.command(DANA, "/return"))["failed"] == "dispatch_failed"
    async with connected(sandbox):
        assert (await slack.command(DANA, "/return"))["failed"] == "operation_timeout"
    texts = [each["text"] for each in (await slack.state()).ephemerals(DANA)]
    assert "/return failed with the error “operation_timeout”" in texts


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_a_disconnect_is_announced(sandbox: Sandbox, slack: Workspace, reason: str) -> None:
    """refresh_requested closes the connection after saying so; a warning leaves it open."""
    async with connected(sandbox) as socket:
        assert await slack.disconnect(reason) == 1
        assert (await received(socket))["reason"] == reason
        if reason == "refresh_requested":
            assert (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE
        else:
            await slack.say(DANA, "still here")
            assert (await received(socket))["type"] == "events_api"


async def test_a_cut_line_is_cut(sandbox: Sandbox, slack: Workspace) -> None:
    """An abrupt disconnect says nothing: the connection is gone."""
    async with connected(sandbox) as socket:
        await slack.disconnect(abrupt=True)
        ended = (await socket.receive(timeout=2)).type
    assert ended in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_a_connection_url_opens_once(sandbox: Sandbox) -> None:
    """The address from apps.connections.open is good for a single connection."""
    url = f"{sandbox.workspace.base_url}/link?ticket={sandbox.hub.ticket()}"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await socket.receive_json(timeout=2)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url)
    assert caught.value.status == 401


async def test_an_eleventh_connection_is_refused(sandbox: Sandbox) -> None:
    """Slack allows ten connections per app; the next is told so and closed."""
    async with aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(11):
            socket = await session.ws_connect(f"{sandbox.workspace.base_url}/link?ticket={sandbox.hub.ticket()}")
            sockets.append((socket, await socket.receive_json(timeout=2)))
        assert [first["type"] for _, first in sockets] == ["hello"] * 10 + ["disconnect"]
        assert sockets[-1][1]["reason"] == "too_many_websockets"
        for socket, _ in sockets:
            await socket.close()


async def test_http_mode_ends_socket_mode(sandbox: Sandbox, slack: Workspace) -> None:
    """Saving a request URL tells the connections that the link is disabled, and later ones too."""
    async with connected(sandbox) as socket:
        await slack.configure(request_url="http://127.0.0.1:9/slack/events", verify=False)
        assert (await received(socket))["reason"] == "link_disabled"
    async with aiohttp.ClientSession() as session:
        url = f"{sandbox.workspace.base_url}/link?ticket={sandbox.hub.ticket()}"
        async with session.ws_connect(url) as late:
            assert (await late.receive_json(timeout=2))["reason"] == "link_disabled"
