"""Slack's clicks, commands, shortcuts and submitted modals -> what somebody wants. Pure.

Shapes: https://docs.slack.dev/reference/interaction-payloads.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Json = Mapping[str, Any]

_TICKET = re.compile(r"(?i)\A\s*(H-\d{1,12})\b[\s:,-]*(.*)\Z", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Click:
    """A button of ours: `action` is its constant name, `handoff` and `target` are from its value."""

    user: str
    channel: str
    message_ts: str
    root_ts: str
    action: str
    handoff: str
    target: int | None
    trigger: str
    stamp: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """The slash command. Slack offers none inside threads, and its payload names no thread."""

    user: str
    channel: str
    ticket: str
    note: str
    trigger: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortcut:
    """A message shortcut, used on the message `ts` in the thread `root_ts`."""

    user: str
    callback: str
    channel: str
    ts: str
    root_ts: str
    trigger: str
    stamp: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A modal that was sent off. `values` holds each input's state by its block id."""

    user: str
    callback: str
    view: str
    stamp: str
    handoff: str
    channel: str
    root_ts: str
    values: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True, slots=True)
class Press:
    """A button of ours within a modal. `form` is what the modal held then, with the press's own stamp; `shown` is the
    modal as it stands, in the state `state`.
    """

    action: str
    form: Submission
    shown: Json
    state: str


def _dict(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def read_click(body: Json) -> Click | None:
    """Return the click of a `block_actions` payload on a message; None for anything else, such as a link button."""
    action = _action(body)
    container, message = _dict(body.get("container")), _dict(body.get("message"))
    channel = _dict(body.get("channel")).get("id") or container.get("channel_id")
    name, value = str(action.get("action_id") or ""), str(action.get("value") or "")
    ts = str(container.get("message_ts") or message.get("ts") or "")
    if not name.startswith("bridge_") or not value or not channel or not ts:
        return None
    handoff, _, target = value.partition("|")
    return Click(
        user=str(_dict(body.get("user")).get("id") or ""),
        channel=str(channel),
        message_ts=ts,
        root_ts=str(container.get("thread_ts") or message.get("thread_ts") or ts),
        action=name.removeprefix("bridge_"),
        handoff=handoff,
        target=int(target) if target.isdecimal() else None,
        trigger=str(body.get("trigger_id") or ""),
        stamp=str(action.get("action_ts") or body.get("trigger_id") or ""),
    )


def read_press(body: Json) -> Press | None:
    """Return the press of a `block_actions` payload within a modal of ours; None for one on a message. Such a payload
    names no channel: the modal's private metadata does.
    """
    form, view = read_submission(body), _dict(body.get("view"))
    action = _action(body)
    name = str(action.get("action_id") or "")
    if form is None or not form.view or not name.startswith("bridge_"):
        return None
    return Press(
        action=name.removeprefix("bridge_"),
        form=replace(form, stamp=str(action.get("action_ts") or form.stamp)),
        shown=view,
        state=str(view.get("hash") or ""),
    )


def _action(body: Json) -> Json:
    actions = body.get("actions")
    return _dict(actions[0]) if isinstance(actions, list) and actions else {}


def read_command(body: Json) -> Command:
    """Return the slash command with the ticket, if its text begins with one, taken apart from the note."""
    text = str(body.get("text") or "").strip()
    match = _TICKET.match(text)
    return Command(
        user=str(body.get("user_id") or ""),
        channel=str(body.get("channel_id") or ""),
        ticket=match.group(1).upper() if match else "",
        note=(match.group(2) if match else text).strip(),
        trigger=str(body.get("trigger_id") or ""),
    )


def read_shortcut(body: Json) -> Shortcut | None:
    """Return a message shortcut; None for a global one."""
    message, channel = _dict(body.get("message")), _dict(body.get("channel")).get("id")
    ts = str(message.get("ts") or body.get("message_ts") or "")
    if body.get("type") != "message_action" or not channel or not ts:
        return None
    return Shortcut(
        user=str(_dict(body.get("user")).get("id") or ""),
        callback=str(body.get("callback_id") or ""),
        channel=str(channel),
        ts=ts,
        root_ts=str(message.get("thread_ts") or ts),
        trigger=str(body.get("trigger_id") or ""),
        stamp=str(body.get("action_ts") or body.get("trigger_id") or ""),
    )


def read_submission(body: Json) -> Submission | None:
    """Return a submitted modal of ours, with what its private metadata says."""
    view = _dict(body.get("view"))
    callback = str(view.get("callback_id") or "")
    if not callback.startswith("bridge_"):
        return None
    try:
        kept = _dict(json.loads(str(view.get("private_metadata") or "{}")))
    except json.JSONDecodeError:
        return None
    values = _dict(_dict(view.get("state")).get("values"))
    return Submission(
        user=str(_dict(body.get("user")).get("id") or ""),
        callback=callback,
        view=str(view.get("id") or ""),
        stamp=str(body.get("trigger_id") or view.get("hash") or ""),
        handoff=str(kept.get("handoff") or ""),
        channel=str(kept.get("channel") or ""),
        root_ts=str(kept.get("root") or ""),
        values={str(block): _first(_dict(inputs)) for block, inputs in values.items()},
    )


def _first(inputs: Json) -> Json:
    return next((_dict(state) for state in inputs.values()), {})
