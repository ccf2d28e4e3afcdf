"""A company's agent: an HTTP server on this machine that checks signatures with the public library, not with ours."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from adapters.agents.wire import TurnDocument
from bridge.ids import ConversationId, Millis, SiteId, TurnId
from bridge.ports import (
    Agent,
    AgentError,
    AgentMessage,
    AgentReply,
    AgentTurn,
    Collected,
    Delta,
    Done,
    HandOff,
    Message,
    ToolCall,
    Typing,
)

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY="
STYLES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "json": "application/json"}

_TYPES = {
    Delta: "delta",
    Message: "message",
    Typing: "typing",
    ToolCall: "tool_call",
    Collected: "collected",
    HandOff: "handoff",
    Done: "done",
    AgentError: "error",
}


def as_event(reply: AgentReply) -> dict[str, Any]:
    """A reply as a company would write it."""
    fields = {name: value for name, value in asdict(reply).items() if value not in (None, ())}
    return {"type": _TYPES[type(reply)], **fields}


def as_turn(body: bytes) -> AgentTurn:
    """The turn that was posted, as the port has it."""
    document = TurnDocument.model_validate_json(body)
    return AgentTurn(
        site=SiteId(document.site),
        conversation=ConversationId(document.conversation_id),
        turn=TurnId(document.turn_id),
        epoch=document.epoch,
        attempt=document.attempt,
        kind=document.kind,
        messages=tuple(
            AgentMessage(n=m.n, role=m.role, name=m.name, text=m.text, at=Millis(int(m.at.timestamp() * 1000)))
            for m in document.messages
        ),
        customer=document.customer,
        collected=document.collected,
        briefing=document.briefing,
        committed=tuple(document.committed),
    )


@dataclass
class Company:
    """Answers turns with an agent. `style` as in STYLES; `verify` off is a careless company."""

    agent: Agent
    style: str = "sse"
    verify: bool = True
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def turns(self, request: web.Request) -> web.StreamResponse:
        """The one address."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self.verify:
            try:
                Webhook(SECRET).verify(body, headers)
            except Exception:  # noqa: BLE001 -- the library raises four kinds of errors for bad input
                return web.json_response({"error": "bad signature"}, status=401)
        self.bodies.append(body)
        self.headers.append(headers)
        events = self.agent.respond(as_turn(body))
        if self.style == "json":
            return web.json_response({"events": [as_event(reply) async for reply in events]})
        answer = web.StreamResponse(headers={"content-type": STYLES[self.style]})
        await answer.prepare(request)
        async for reply in events:
            text = json.dumps(as_event(reply))
            await answer.write((f"data: {text}\n\n" if self.style == "sse" else f"{text}\n").encode())
        return answer


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[str]:
    """Serve `handler` on this machine; yields its address."""
    app = web.Application()
    app.router.add_post("/turns", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/turns"))
