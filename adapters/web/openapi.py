"""The OpenAPI 3.1 document of the bridge's own HTTP interface, and the JSON Schemas of its documents.

https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from adapters.web.answers import error
from adapters.web.control import CONVERSATION, ROLES
from adapters.web.documents import (
    ConversationView,
    Failure,
    HandoffAccepted,
    MessageAccepted,
    Returned,
    ReturnRequest,
    TurnMessage,
)
from bridge.envelope import HandoffEnvelope, ReturnNote

Answers = Mapping[int, tuple[type[BaseModel] | str | None, str]]
"""Status -> (model, or a media type, or None for no body, what it means)."""

WRONG: Answers = {
    401: (Failure, "No key, or a wrong one."),
    403: (Failure, "This key's role may not do this."),
    404: (Failure, "There is no such conversation."),
    503: (Failure, "Nothing was kept; send it again after Retry-After seconds."),
}
TOO_LARGE: Answers = {413: (Failure, "The body is over 256 KiB.")}
INVALID: Answers = {
    400: (Failure, "The body is not JSON."),
    422: (Failure, "Some fields do not fit; `problems` says which."),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path, as the document tells it."""

    method: str
    path: str
    name: str
    summary: str
    answers: Answers
    body: type[BaseModel] | None = None
    keyed: str = ""
    """Which of `control.ROLES` may; empty: no key is asked for."""
    query: tuple[str, ...] = ()


OPERATIONS: Sequence[Operation] = (
    Operation(
        method="get",
        path=CONVERSATION,
        name="showConversation",
        summary="Who owns the conversation now. A tool with side effects asks this first.",
        answers={200: (ConversationView, "Where it stands."), **WRONG},
        keyed="read",
    ),
    Operation(
        method="post",
        path=f"{CONVERSATION}/handoffs",
        name="handOver",
        summary="Hand the conversation over to a person. The same envelope id is the same handoff. With the reason "
        "operator_takeover and routing.assignee_hint, the person named there takes it unasked.",
        body=HandoffEnvelope,
        answers={
            200: (HandoffAccepted, "This envelope was known already."),
            202: (HandoffAccepted, "It stands. Fields that do not fit were left out and are listed in `problems`."),
            409: (
                Failure,
                "Not done, and why: a closed queue whose rule is that the agent stays, or a person who may not.",
            ),
            **TOO_LARGE,
            **WRONG,
        },
        keyed="handoff",
    ),
    Operation(
        method="post",
        path=f"{CONVERSATION}/messages",
        name="speak",
        summary="Say something within a live turn of the agent. The fence decides, as for every word of the agent.",
        body=TurnMessage,
        answers={
            202: (MessageAccepted, "The customer is shown it."),
            409: (Failure, "`ownership_moved`: the turn no longer speaks for the conversation."),
            **INVALID,
            **TOO_LARGE,
            **WRONG,
        },
        keyed="message",
    ),
    Operation(
        method="post",
        path=f"{CONVERSATION}/return",
        name="giveBack",
        summary="Give the conversation back to the agent, with a note.",
        body=ReturnRequest,
        answers={
            200: (Returned, "The agent owns it again."),
            409: (Failure, "No person has it, or it was refused; the message says which."),
            **INVALID,
            **TOO_LARGE,
            **WRONG,
        },
        keyed="return",
    ),
    Operation(
        method="get",
        path="/v1/files/{file}",
        name="fetchFile",
        summary="Fetch a file by a signed link.",
        query=("e", "s"),
        answers={
            200: ("application/octet-stream", "Its bytes; four kinds of pictures have their own media type."),
            403: (Failure, "The link has ended or is none of ours."),
            404: (Failure, "There is no such file."),
            503: (Failure, "Try again in a moment."),
        },
    ),
    Operation(
        method="get",
        path="/v1/openapi.json",
        name="describe",
        summary="This document.",
        answers={200: ("application/json", "OpenAPI 3.1.")},
    ),
    Operation(
        method="get",
        path="/v1/schemas/{name}.json",
        name="showSchema",
        summary="The JSON Schema of a document: envelope, return, turn.",
        answers={200: ("application/schema+json", "JSON Schema 2020-12."), 404: (Failure, "No document of that name.")},
    ),
)


def document(base_url: str, operations: Sequence[Operation] = OPERATIONS) -> dict[str, Any]:
    """Return the OpenAPI document. Pure."""
    models: set[type[BaseModel]] = {Failure}
    for operation in operations:
        models |= {model for model, _ in operation.answers.values() if isinstance(model, type)}
        models |= {operation.body} if operation.body else set()
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "handoff-bridge",
            "version": version("handoff-bridge"),
            "summary": "Moves a customer conversation from an AI agent to a person and back.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "One of HANDOFF_API_KEYS."}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = [part[1:].split("}")[0] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path]
    parameters += [
        {"name": name, "in": "query", "required": True, "schema": {"type": "string"}} for name in operation.query
    ]
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            str(status): {"description": meaning, **_content(model)}
            for status, (model, meaning) in sorted(operation.answers.items())
        },
    }
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = {"required": True, **_content(operation.body)}
    if operation.keyed:
        found["security"] = [{"key": []}]
        found["description"] = f"For keys of the roles: {', '.join(sorted(ROLES[operation.keyed]))}."
    return found


def _content(model: type[BaseModel] | str | None) -> dict[str, Any]:
    if model is None:
        return {}
    if isinstance(model, str):
        return {"content": {model: {}}}
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}}


def schemas(**more: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the JSON Schemas by name: envelope, return, and whatever else is given (turn)."""
    return {"envelope": HandoffEnvelope.model_json_schema(), "return": ReturnNote.model_json_schema(), **more}


def add_routes(
    app: web.Application, *, base_url: str, documents: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> None:
    """Add `/v1/openapi.json` and `/v1/schemas/{name}.json`. `documents` returns what `schemas` makes.

    They are made when somebody asks first, for hardly anybody does, and a restart would wait for them.
    """
    described, known = cache(partial(document, base_url)), cache(documents)

    async def describe(_request: web.Request) -> web.Response:
        return web.json_response(described(), headers={"Access-Control-Allow-Origin": "*"})

    async def show(request: web.Request) -> web.Response:
        found = known().get(request.match_info["name"])
        if found is None:
            return error(404, "not_found", f"Known documents are: {', '.join(sorted(known()))}.")
        return web.json_response(dict(found), content_type="application/schema+json")

    app.router.add_get("/v1/openapi.json", describe)
    app.router.add_get("/v1/schemas/{name}.json", show)
