"""Turns as JSON and answers as events."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.agents.tool import HandOffArguments, hand_off_tool
from adapters.agents.wire import read_answer, read_event, replies_schema, turn_body, turn_schema
from bridge.conversation import FileRef
from bridge.errors import AgentFailed
from bridge.handing_over import envelope_from
from bridge.ids import FileId
from bridge.ports import AgentError, Collected, Delta, Done, HandOff, Message, ToolCall, Typing
from tests.contracts.agent_contract import AT, asked, returned


def test_a_turn_fits_its_published_schema() -> None:
    """What is posted is what `schema turn` says, with files as signed links."""
    file = FileRef(id=FileId("f_1"), name="a.png", media_type="image/png", size_bytes=7)
    base = returned("Done.")
    turn = replace(base, messages=(*base.messages, replace(base.messages[0], n=5, files=(file,))), committed=("Hi",))
    document = json.loads(turn_body(turn, lambda ref: f"https://bridge.example/v1/files/{ref.id}?sig=x"))

    jsonschema.Draft202012Validator.check_schema(turn_schema())
    jsonschema.validate(document, turn_schema(), jsonschema.Draft202012Validator)
    assert document["spec"] == "turn/1"
    assert document["turn_id"] == "t_1"
    assert document["briefing"]["note"] == "Done."
    assert document["committed"] == ["Hi"]
    assert document["messages"][-1]["files"][0]["url"].startswith("https://bridge.example/v1/files/f_1")
    assert document["messages"][0]["at"] == "2023-11-14T22:13:20Z"


EVENTS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "delta", "text": "Hi"}, Delta(text="Hi")),
    ({"type": "message", "text": "Hi", "confidence": 0.5, "later": 1}, Message(text="Hi", confidence=0.5)),
    ({"type": "typing"}, Typing()),
    ({"type": "tool_call", "name": "x", "arguments": {"a": 1}}, ToolCall(name="x", arguments={"a": 1})),
    ({"type": "tool_call", "name": "x", "failed": True}, ToolCall(name="x", failed=True)),
    ({"type": "collected", "values": {"a": 1}}, Collected(values={"a": 1})),
    ({"type": "handoff", "envelope": {"reason": "policy"}}, HandOff(envelope={"reason": "policy"})),
    ({"type": "done", "close": True}, Done(close=True)),
    ({"type": "error", "code": "boom"}, AgentError(code="boom")),
]


@pytest.mark.parametrize("event, reply", EVENTS)
def test_each_event_is_read(event: dict[str, Any], reply: Any) -> None:
    """Each kind of event becomes its reply, fits the published schema, and what is unknown in it is ignored."""
    assert read_event(json.dumps(event)) == reply
    jsonschema.validate(event, replies_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"hello"',
        '{"type":"mesage","text":"typo"}',
        '{"type":"delta"}',
        '{"type":"message","confidence":7}',
        '{"type":"handoff","envelope":[]}',
        '{"type":"message","files":[{"name":"x","url":"javascript:alert(1)"}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_event_is_unreadable(text: str) -> None:
    """A typo is a clear failure, never silence."""
    with pytest.raises(AgentFailed) as caught:
        read_event(text)

    assert caught.value.code == "unreadable"


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever an agent sends, it is an event or unreadable."""
    failure = None
    try:
        read_event(text)
    except AgentFailed as error:
        failure = error.code

    assert failure in (None, "unreadable")


def test_an_answer_may_be_a_list_an_object_or_one_event() -> None:
    """The three shapes mean the same, and the end may be left out."""
    event = {"type": "message", "text": "Hi"}
    wanted = [Message(text="Hi"), Done()]

    for shape in ([event], {"events": [event]}, event, [event, {"type": "done"}], [event, {"type": "done"}, event]):
        assert read_answer(json.dumps(shape).encode()) == wanted


def test_files_of_an_agent_become_links_that_do_nothing_else() -> None:
    """A file's name cannot smuggle in Markdown, and only web addresses are linked."""
    event = {"type": "message", "text": "See:", "files": [{"name": "a](x) <b>", "url": "https://x.example/a.pdf"}]}

    reply = read_event(json.dumps(event))
    assert isinstance(reply, Message)
    assert reply.text == "See:\n[a\\]\\(x\\) \\<b\\>](https://x.example/a.pdf)"


def test_a_call_of_the_tool_is_a_handoff() -> None:
    """What a model writes into the tool becomes an envelope without a problem; the call's id makes it idempotent."""
    arguments = {
        "reason": "policy",
        "summary": "Wants 250 back.",
        "priority": "high",
        "queue": "billing",
        "question": None,
        "collected": {"refund_amount": 250},
    }
    parameters = hand_off_tool()["function"]["parameters"]
    jsonschema.Draft202012Validator.check_schema(parameters)
    jsonschema.validate({k: v for k, v in arguments.items() if v is not None}, parameters)
    reply = read_event(
        json.dumps({"type": "tool_call", "name": "hand_off_to_human", "arguments": arguments, "id": "call_1"})
    )

    assert isinstance(reply, HandOff)
    read = envelope_from(reply.envelope, asked("refund"), agent_name="Ada", now=AT)
    assert read.problems == ()
    assert read.envelope.id == "t_1:call_1"
    assert (read.envelope.routing.priority, read.envelope.queue) == ("high", "billing")


def test_the_tool_describes_what_the_bridge_reads() -> None:
    """The tool's parameters are those of the model that reads them, and a model may only give reasons that it has."""
    parameters = hand_off_tool()["function"]["parameters"]

    assert set(parameters["properties"]) == set(HandOffArguments.model_fields)
    assert parameters["required"] == ["reason", "summary"]
    assert "customer_request" in parameters["properties"]["reason"]["enum"]
    assert "operator_takeover" not in parameters["properties"]["reason"]["enum"]
    assert parameters["properties"]["question"] == {"maxLength": 1000, "type": "string"}
