"""The agent's wire, `turn/1`: a turn as JSON, and the events of an answer. Pure; no HTTP here."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from adapters.agents.tool import HAND_OFF, envelope_of_call
from bridge.conversation import FileRef, TurnKind
from bridge.errors import AgentFailed
from bridge.ports import (
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


class Document(BaseModel):
    """Common ground: what a newer version adds is ignored."""

    model_config = ConfigDict(extra="ignore", defer_build=True)


# --- the turn


class TurnFile(Document):
    """A file in the conversation. `url` is signed and expires."""

    id: str
    name: str
    media_type: str
    size_bytes: int
    url: str | None = None


class TurnMessage(Document):
    """One line. `role`: customer, agent (you), operator (a person, by `name`), note (what a person noted for you)."""

    n: int
    role: Literal["customer", "agent", "operator", "note"]
    name: str
    text: str
    at: datetime
    files: list[TurnFile] = Field(default_factory=list)


class TurnDocument(Document):
    """What the agent is asked to answer.

    `messages` stand in reading order: an answer right after what it answered, and last what nobody has answered yet.
    `turn_id` is the idempotency key: a later `attempt` with the same one must have no second effect, and must not
    repeat what stands in `committed`, which the customer has read. `briefing` is set at the first turn after a person
    gave the conversation back, and in a rehearsal, whose words only operators see.
    """

    spec: Literal["turn/1"] = "turn/1"
    site: str
    conversation_id: str
    turn_id: str
    epoch: int
    attempt: int
    kind: TurnKind
    messages: list[TurnMessage]
    customer: dict[str, Any]
    collected: dict[str, Any]
    briefing: dict[str, Any] | None = None
    committed: list[str] = Field(default_factory=list)


def _nothing(_: FileRef) -> str | None:
    return None


def turn_body(turn: AgentTurn, link: Callable[[FileRef], str | None] = _nothing) -> bytes:
    """Return the turn as the JSON that is posted, UTF-8."""
    document = TurnDocument(
        site=turn.site,
        conversation_id=turn.conversation,
        turn_id=turn.turn,
        epoch=turn.epoch,
        attempt=turn.attempt,
        kind=turn.kind,
        messages=[_message(message, link) for message in turn.messages],
        customer=dict(turn.customer),
        collected=dict(turn.collected),
        briefing=dict(turn.briefing) if turn.briefing is not None else None,
        committed=list(turn.committed),
    )
    return document.model_dump_json().encode()


def _message(message: AgentMessage, link: Callable[[FileRef], str | None]) -> TurnMessage:
    files = [
        TurnFile(id=f.id, name=f.name, media_type=f.media_type, size_bytes=f.size_bytes, url=link(f))
        for f in message.files
    ]
    at = datetime.fromtimestamp(message.at / 1000, tz=UTC)
    return TurnMessage.model_validate(
        {"n": message.n, "role": message.role, "name": message.name, "text": message.text, "at": at, "files": files}
    )


def turn_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a turn."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TurnDocument.model_json_schema()}


# --- the answer


class DeltaEvent(Document):
    """More of the text that is being written."""

    type: Literal["delta"]
    text: str


class Link(Document):
    """A file that the customer may fetch."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s()<>]+$")]


class MessageEvent(Document):
    """A whole message, Markdown; it replaces the deltas since the last one. `files` become links below it."""

    type: Literal["message"]
    text: str = ""
    files: Annotated[list[Link], Field(max_length=10)] = Field(default_factory=list)
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None


class TypingEvent(Document):
    """Still at work."""

    type: Literal["typing"]


class ToolCallEvent(Document):
    """A tool is being called, or failed. A call of `hand_off_to_human` hands over, `id` being its idempotency key."""

    type: Literal["tool_call"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    arguments: dict[str, Any] = Field(default_factory=dict)
    failed: bool = False
    id: str = ""


class CollectedEvent(Document):
    """Values that are established now, by name; the site's policies read them."""

    type: Literal["collected"]
    values: dict[str, Any]


class HandoffEvent(Document):
    """Call a person. `envelope` as in the schema of envelopes; reason and summary are enough. Ends the answer."""

    type: Literal["handoff"]
    envelope: dict[str, Any]


class DoneEvent(Document):
    """The answer is complete. `close`: so is the conversation."""

    type: Literal["done"]
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    close: bool = False


class ErrorEvent(Document):
    """The agent failed. The turn comes once more; then a person is called. Ends the answer."""

    type: Literal["error"]
    code: Annotated[str, Field(max_length=100)]
    message: Annotated[str, Field(max_length=500)] = ""


ReplyEvent = Annotated[
    DeltaEvent | MessageEvent | TypingEvent | ToolCallEvent | CollectedEvent | HandoffEvent | DoneEvent | ErrorEvent,
    Field(discriminator="type"),
]
_EVENT: TypeAdapter[ReplyEvent] = TypeAdapter(ReplyEvent, config=ConfigDict(defer_build=True))


def replies_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event of an answer."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Event", **_EVENT.json_schema()}


def read_event(text: str | bytes) -> AgentReply:
    """Read one event from its JSON. Raises AgentFailed `unreadable`, naming the place."""
    return _reply(_loads(text))


def read_answer(body: bytes) -> list[AgentReply]:
    """Read a whole answer: a list of events, `{"events": [...]}`, or a single event. Adds the end if it is left out.

    Raises AgentFailed `unreadable`.
    """
    raw = _loads(body)
    if isinstance(raw, dict) and "events" in raw:
        raw = raw["events"]
    items = raw if isinstance(raw, list) else [raw]
    replies: list[AgentReply] = []
    for item in items:
        replies.append(_reply(item))
        if is_end(replies[-1]):
            return replies
    return [*replies, Done()]


def is_end(reply: AgentReply) -> bool:
    """Tell whether nothing may follow."""
    return isinstance(reply, Done | HandOff | AgentError)


def _loads(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AgentFailed("unreadable", f"the agent's answer is not JSON: {type(error).__name__}") from error


def _reply(raw: Any) -> AgentReply:
    try:
        event = _EVENT.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "event"
        raise AgentFailed("unreadable", f"{place}: {first['msg']}"[:300]) from error
    return _from_event(event)


def _from_event(event: ReplyEvent) -> AgentReply:
    match event:
        case DeltaEvent(text=text):
            return Delta(text=text)
        case MessageEvent():
            links = [f"[{_inert(link.name)}]({link.url})" for link in event.files]
            return Message(text="\n".join(part for part in (event.text, *links) if part), confidence=event.confidence)
        case TypingEvent():
            return Typing()
        case ToolCallEvent(name=name) if name == HAND_OFF and not event.failed:
            return HandOff(envelope=envelope_of_call(event.arguments, event.id))
        case ToolCallEvent():
            return ToolCall(name=event.name, arguments=event.arguments, failed=event.failed)
        case CollectedEvent(values=values):
            return Collected(values=values)
        case HandoffEvent(envelope=envelope):
            return HandOff(envelope=envelope)
        case DoneEvent():
            return Done(confidence=event.confidence, close=event.close)
        case ErrorEvent():
            return AgentError(code=event.code, message=event.message)


def _inert(name: str) -> str:
    return "".join(f"\\{char}" if char in "\\[]()<>*_`!" else char for char in name if char.isprintable())
