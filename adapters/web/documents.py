"""What the control API takes and gives, as models: they check, and they are the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bridge.envelope import ReturnNote

MAX_MESSAGE_CHARS = 65_536


class Document(BaseModel):
    """Common ground: immutable; unknown fields of a newer caller are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class HandoffView(Document):
    """The newest handoff of a conversation."""

    id: str
    ticket: str
    state: Literal["waiting", "human", "returned", "withdrawn", "closed"]
    queue: str
    reason: str
    opened_at_ms: int
    taken_at_ms: int | None
    ended_at_ms: int | None


class ConversationView(Document):
    """Who owns a conversation now. `agent_may_speak` is what a tool with side effects should ask first."""

    id: str
    state: Literal["agent", "waiting", "human", "closed"]
    agent_may_speak: bool
    operator: str | None = Field(description="public name of the person who owns it")
    epoch: int
    handoff: HandoffView | None


class Problem(Document):
    """A field of an envelope that was left out, and why."""

    path: str
    message: str


class HandoffAccepted(Document):
    """The handoff stands. The agent says nothing more: whatever it says is kept from the customer."""

    status: Literal["queued", "known", "noted"] = Field(
        description="`queued`: opened; `known`: this envelope id was opened before; `noted`: people have the "
        "conversation already and were told"
    )
    handoff_id: str
    ticket: str
    epoch: int
    say_nothing_more: Literal[True] = True
    problems: tuple[Problem, ...] = ()


class TurnMessage(Document):
    """A message that the agent sends within a live turn of its own, beside what it answers to the turn's request."""

    turn: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    epoch: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1)] = 1
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] = Field(
        description="chosen by the agent; the same id is the same message"
    )
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE_CHARS)]
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None


class MessageAccepted(Document):
    """The customer is shown the message. `n` is its number in the log (null for a repeat)."""

    n: int | None
    epoch: int | None


class ReturnRequest(ReturnNote):
    """A return that no person on a desk made."""

    by: Annotated[str, StringConstraints(min_length=1, max_length=80)] = Field(
        "The backend", description="who returns it, as operators read it"
    )


class Returned(Document):
    """The agent owns the conversation again."""

    ticket: str
    epoch: int


class ErrorBody(Document):
    """What went wrong."""

    code: str
    message: str
    problems: tuple[Problem, ...] = ()
    epoch: int | None = None


class Failure(Document):
    """Every answer that is no success."""

    error: ErrorBody
