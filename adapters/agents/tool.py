"""The tool that an agent gets so that it can hand over: one text and one schema for every framework."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bridge.envelope import Reason

HAND_OFF = "hand_off_to_human"

DESCRIPTION = (
    "Transfer this conversation to a human operator. Call it when the customer asks for a person, when you are not "
    "sure, when policy requires approval, or after two failed attempts. After calling it, stop: do not answer the "
    "customer again until you are told that the conversation came back."
)

# Only a person can take over unasked.
_REASONS = [reason.value for reason in Reason if reason is not Reason.OPERATOR_TAKEOVER]


class HandOffArguments(BaseModel):
    """What a model writes when it calls the tool. The bridge fills the rest of the envelope."""

    model_config = ConfigDict(extra="allow")

    reason: Annotated[str, Field(json_schema_extra={"enum": _REASONS})]
    summary: Annotated[
        str,
        StringConstraints(min_length=1, max_length=2000),
        Field(description="What the customer wants, what you did, what is still open. Facts only."),
    ]
    question: Annotated[str, StringConstraints(max_length=1000)] | None = None
    customer_message: Annotated[str, StringConstraints(max_length=1000)] | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    queue: Annotated[str, StringConstraints(max_length=80)] | None = None
    collected: dict[str, str | int | float | bool | None] | None = None


def hand_off_tool() -> dict[str, Any]:
    """Return the tool as an OpenAI-style function (https://platform.openai.com/docs/guides/function-calling).

    Register it non-strict: `collected` is an open map and most fields are optional.
    """
    properties = HandOffArguments.model_json_schema()["properties"]
    for schema in properties.values():
        schema.pop("title", None)
        schema.pop("default", None)
        # A model leaves out what it does not know, rather than writing null.
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        if kinds:
            schema.update(kinds[0])
    return {
        "type": "function",
        "function": {
            "name": HAND_OFF,
            "description": DESCRIPTION,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": ["reason", "summary"],
                "additionalProperties": False,
            },
        },
    }


def envelope_of_call(arguments: dict[str, Any], call_id: str) -> dict[str, Any]:
    """Return the envelope document that a call of the tool means; `call_id` makes a repeated call the same handoff."""
    document = {name: value for name, value in arguments.items() if value is not None}
    routing = {
        "priority": document.pop("priority", None),
        "team": document.pop("team", None),
    }
    if any(routing.values()):
        document["routing"] = {name: value for name, value in routing.items() if value}
    if call_id:
        document["resume"] = {"mode": "tool_result", "tool_call_id": call_id[:128]}
    return document
