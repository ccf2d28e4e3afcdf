"""From the document that an agent hands over to an envelope: the bridge fills what the agent cannot know. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.envelope import ReadEnvelope, read_envelope
from bridge.ids import Millis
from bridge.ports import AgentTurn

_NOT_ID = re.compile(r"[^A-Za-z0-9._:|@-]+")


def envelope_from(raw: Mapping[str, Any], asked: AgentTurn, *, agent_name: str, now: Millis) -> ReadEnvelope:
    """Read an agent's document for the conversation of its turn.

    Who the customer is, and whether that is proven, comes from the turn and overrides what the document claims. Without
    an id of its own the turn and the tool call make one, so that a repeated run hands over once.
    """
    document = dict(raw)
    if not isinstance(document.get("agent"), Mapping):
        document["agent"] = {"id": _slug(agent_name) or "agent", "name": agent_name[:80] or None}
    claims = document.get("customer")
    proven = {"id": asked.customer.get("id"), "verified": bool(asked.customer.get("verified"))}
    known = {name: asked.customer.get(name) for name in ("name", "locale") if asked.customer.get(name)}
    document["customer"] = {**known, **(claims if isinstance(claims, Mapping) else {}), **proven}
    return read_envelope(
        document,
        conversation_id=asked.conversation,
        envelope_id=f"{asked.turn}:{_call_id(document) or 'handoff'}",
        now=datetime.fromtimestamp(now / 1000, tz=UTC),
    )


def _call_id(document: Mapping[str, Any]) -> str:
    resume = document.get("resume")
    call_id = resume.get("tool_call_id") if isinstance(resume, Mapping) else None
    return _slug(call_id) if isinstance(call_id, str) else ""


def _slug(text: str) -> str:
    return _NOT_ID.sub("-", text).strip("-")[:60]
