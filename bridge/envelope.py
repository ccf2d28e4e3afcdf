"""The two documents of the product: what the agent hands over (`HandoffEnvelope`), and what comes back (`ReturnNote`).

`read_envelope` is the lenient door: an envelope that names a live conversation is never refused, for a customer is
waiting.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from bridge.errors import EnvelopeError

MAX_ENVELOPE_BYTES = 256 * 1024
MAX_CONVERSATION_ID_CHARS = 128
_ID = r"^[A-Za-z0-9][A-Za-z0-9._:|@-]{0,127}$"
_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
MAX_SCALARS = 50
MAX_SCALAR_CHARS = 1024

Scalar = str | int | float | bool | None
Scalars = dict[str, Scalar]


def _text(limit: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=limit)


class Reason(StrEnum):
    """Why a conversation leaves the agent. An unknown word is kept as `other`, with the word in `reason_detail`."""

    CUSTOMER_REQUEST = "customer_request"
    LOW_CONFIDENCE = "low_confidence"
    POLICY = "policy"
    TOOL_FAILURE = "tool_failure"
    REPEATED_FAILURE = "repeated_failure"
    SENTIMENT = "sentiment"
    APPROVAL_REQUIRED = "approval_required"
    OUT_OF_SCOPE = "out_of_scope"
    OPERATOR_TAKEOVER = "operator_takeover"
    ERROR = "error"
    OTHER = "other"


class Model(BaseModel):
    """Common ground of the documents: immutable; fields from a newer version of the spec are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _check_scalars(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    if len(value) > MAX_SCALARS:
        raise ValueError(f"at most {MAX_SCALARS} keys, got {len(value)}")
    for key, item in value.items():
        if not isinstance(key, str) or not _KEY.match(key):
            raise ValueError(f"key {str(key)[:70]!r} must match [A-Za-z_][A-Za-z0-9_.-]{{0,63}}")
        if isinstance(item, str) and len(item) > MAX_SCALAR_CHARS:
            raise ValueError(f"value of {key!r} is over {MAX_SCALAR_CHARS} characters")
        if not isinstance(item, str | int | float | bool | type(None)):
            raise ValueError(f"value of {key!r} must be a string, number, boolean or null")  # noqa: TRY004 -- pydantic reports ValueError
    return value


class CompanyTicket(Model):
    """The company's own ticket, if it has one. `H-1042` is ours and is minted by the bridge."""

    id: Annotated[str, _text(128)]
    url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://")] | None = None


class AgentInfo(Model):
    """Which agent hands over."""

    id: Annotated[str, _text(128)]
    name: Annotated[str, _text(80)] | None = None
    version: Annotated[str, _text(64)] | None = None
    run_id: Annotated[str, _text(128)] | None = None
    framework: Annotated[str, _text(32)] | None = None


class CustomerInfo(Model):
    """Claims about the customer. `id` and `verified` are overridden by what the widget's token proves."""

    id: Annotated[str, _text(128)] | None = None
    name: Annotated[str, _text(120)] | None = None
    email: Annotated[str, _text(254)] | None = None
    phone: Annotated[str, _text(32)] | None = None
    verified: bool = False
    locale: Annotated[str, _text(35)] | None = None
    timezone: Annotated[str, _text(64)] | None = None
    tier: Annotated[str, _text(40)] | None = None
    attributes: Scalars = Field(default_factory=dict)

    _scalars = field_validator("attributes", mode="before")(_check_scalars)


class Routing(Model):
    """Wishes for the routing; the queue's own rules decide."""

    team: Annotated[str, _text(80)] | None = None
    skills: Annotated[tuple[Annotated[str, _text(64)], ...], Field(max_length=20)] = ()
    priority: Literal["low", "normal", "high", "urgent"] = "normal"
    language: Annotated[str, _text(35)] | None = None
    sla_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = None
    assignee_hint: Annotated[str, _text(128)] | None = None


class Attempt(Model):
    """Something that the agent already did."""

    action: Annotated[str, _text(200)]
    outcome: Literal["succeeded", "failed", "refused", "unknown"] = "unknown"
    detail: Annotated[str, _text(500)] | None = None
    at: AwareDatetime | None = None


class Citation(Model):
    """A source for the operator."""

    title: Annotated[str, _text(200)]
    url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://")] | None = None


class TranscriptLine(Model):
    """A line from before the bridge knew the conversation. The bridge's own log wins where it has one."""

    id: Annotated[str, _text(128)] | None = None
    role: Literal["customer", "agent", "human", "tool", "system"]
    name: Annotated[str, _text(120)] | None = None
    text: Annotated[str, StringConstraints(max_length=8000)]
    at: AwareDatetime | None = None
    attachments: Annotated[tuple[str, ...], Field(max_length=10)] = ()


class Resume(Model):
    """How the agent's framework wants to be woken; kept and given back untouched."""

    mode: Literal["tool_result", "interrupt", "message", "none"] = "message"
    token: Annotated[str, StringConstraints(max_length=2048)] | None = None
    tool_call_id: Annotated[str, _text(128)] | None = None
    response_schema: dict[str, Any] | None = None
    expires_at: AwareDatetime | None = None


class HandoffEnvelope(Model):
    """What the agent hands over, `handoff/1`. `id` is the idempotency key: the same id is the same handoff."""

    spec: Literal["handoff/1"] = "handoff/1"
    id: Annotated[str, StringConstraints(pattern=_ID)]
    conversation_id: Annotated[str, _text(128)]
    created_at: AwareDatetime
    reason: Reason
    reason_detail: Annotated[str, _text(500)] | None = None
    summary: Annotated[str, _text(2000)]
    question: Annotated[str, _text(1000)] | None = None
    customer_message: Annotated[str, _text(1000)] | None = None
    queue: Annotated[str, _text(80)] | None = None
    ticket: CompanyTicket | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    sentiment: Literal["negative", "neutral", "positive"] | None = None
    intent: Annotated[str, _text(120)] | None = None
    topics: Annotated[tuple[Annotated[str, _text(120)], ...], Field(max_length=20)] = ()
    agent: AgentInfo
    customer: CustomerInfo = Field(default_factory=CustomerInfo)
    routing: Routing = Field(default_factory=Routing)
    collected: Scalars = Field(default_factory=dict)
    metadata: Scalars = Field(default_factory=dict)
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=20)] = ()
    suggested_replies: Annotated[tuple[Annotated[str, _text(2000)], ...], Field(max_length=3)] = ()
    citations: Annotated[tuple[Citation, ...], Field(max_length=10)] = ()
    transcript: Annotated[tuple[TranscriptLine, ...], Field(max_length=200)] = ()
    transcript_truncated: bool = False
    resume: Resume | None = None
    ext: Annotated[dict[str, dict[str, Any]], Field(max_length=10)] = Field(default_factory=dict)

    _scalars = field_validator("collected", "metadata", mode="before")(_check_scalars)


class ReturnOutcome(StrEnum):
    """How a stretch of human ownership ended."""

    RESOLVED = "resolved"
    ANSWERED = "answered"
    NEEDS_AGENT = "needs_agent"
    UNANSWERED = "unanswered"
    WITHDRAWN = "withdrawn"
    OTHER = "other"


class ReturnNote(Model):
    """What a person tells the agent when giving a conversation back. Every list holds at most 20 lines of 500
    characters.
    """

    outcome: ReturnOutcome = ReturnOutcome.ANSWERED
    note: Annotated[str, StringConstraints(max_length=3000)] = ""
    facts: Annotated[tuple[Annotated[str, _text(500)], ...], Field(max_length=20)] = ()
    promises: Annotated[tuple[Annotated[str, _text(500)], ...], Field(max_length=20)] = ()
    do_not_repeat: Annotated[tuple[Annotated[str, _text(500)], ...], Field(max_length=20)] = ()
    continue_now: bool = False


class ReadEnvelope(Model):
    """An envelope as it can be used, and what was wrong with it as (path, message)."""

    envelope: HandoffEnvelope
    problems: tuple[tuple[str, str], ...] = ()


def _problems(error: ValidationError) -> tuple[tuple[str, str], ...]:
    return tuple((".".join(str(part) for part in item["loc"]) or "(document)", item["msg"]) for item in error.errors())


_TEXT_LIMITS = {"summary": 2000, "question": 1000, "customer_message": 1000, "reason_detail": 500}
_MAX_LINE_CHARS = 8000


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _tidy(raw: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """Map unknown reasons to `other`, cut texts that are too long at their end, and a transcript at its old end.

    Half a summary is better than none: what was cut is told as a problem.
    """
    document = dict(raw)
    problems = []
    for name, limit in _TEXT_LIMITS.items():
        text = document.get(name)
        if isinstance(text, str) and len(text) > limit:
            document[name] = _cut(text, limit)
            problems.append((name, f"was cut to {limit} characters"))
    reason = document.get("reason")
    if isinstance(reason, str) and reason not in set(Reason):
        detail = document.get("reason_detail")
        document["reason_detail"] = (f"{reason}: {detail}" if isinstance(detail, str) and detail else reason)[:500]
        document["reason"] = Reason.OTHER.value
    transcript = document.get("transcript")
    if isinstance(transcript, list) and len(transcript) > 200:
        document["transcript"] = transcript = transcript[-200:]
        document["transcript_truncated"] = True
    if isinstance(transcript, list):
        document["transcript"] = [_shorter(line) for line in transcript]
    return document, tuple(problems)


def _shorter(line: object) -> object:
    text = line.get("text") if isinstance(line, Mapping) else None
    if not isinstance(line, Mapping) or not isinstance(text, str):
        return line
    return {**line, "text": _cut(text, _MAX_LINE_CHARS)}


def read_envelope(raw: object, *, conversation_id: str | None, envelope_id: str, now: datetime) -> ReadEnvelope:
    """Read what an agent sent as an envelope, keeping every field that can be kept.

    `conversation_id` is the live conversation that the way in already names (a turn, a URL), or None; it wins over the
    document's own.
    `envelope_id` stands in where the document has none. Fields that do not fit are left out and listed in `problems`; a
    missing
    summary or reason is filled with words that say so. Pure; does not read the size (the door does:
    `MAX_ENVELOPE_BYTES`).

    Raises EnvelopeError when no conversation can be told from it.
    """
    if not isinstance(raw, Mapping):
        if conversation_id is None:
            raise EnvelopeError((("(document)", "must be a JSON object"),))
        return ReadEnvelope(
            envelope=_minimal({}, conversation_id, envelope_id, now),
            problems=(("(document)", "must be a JSON object"),),
        )
    document, cut = _tidy(raw)
    named = document.get("conversation_id")
    conversation = conversation_id or (named if isinstance(named, str) and named else None)
    if conversation is None:
        raise EnvelopeError((("conversation_id", "is missing or not a string"),))
    if len(conversation) > MAX_CONVERSATION_ID_CHARS:
        raise EnvelopeError((("conversation_id", f"is over {MAX_CONVERSATION_ID_CHARS} characters"),))
    document["conversation_id"] = conversation
    document.setdefault("spec", "handoff/1")
    document.setdefault("id", envelope_id)
    document.setdefault("created_at", now)
    try:
        return ReadEnvelope(envelope=HandoffEnvelope.model_validate(document), problems=cut)
    except ValidationError as error:
        problems = _problems(error)
    return ReadEnvelope(envelope=_minimal(document, conversation, envelope_id, now), problems=(*cut, *problems))


def _minimal(document: Mapping[str, Any], conversation: str, envelope_id: str, now: datetime) -> HandoffEnvelope:
    """Keep each top-level field that is valid by itself; fill the rest."""
    base: dict[str, Any] = {
        "spec": "handoff/1",
        "id": envelope_id,
        "conversation_id": conversation,
        "created_at": now.astimezone(UTC),
        "reason": Reason.OTHER,
        "summary": "(the agent gave no readable summary: read the transcript)",
        "agent": {"id": "unknown"},
    }
    for name in HandoffEnvelope.model_fields:
        if name in document and name not in {"spec", "conversation_id"}:
            try:
                HandoffEnvelope.model_validate({**base, name: document[name]})
            except ValidationError:
                continue
            base[name] = document[name]
    return HandoffEnvelope.model_validate(base)
