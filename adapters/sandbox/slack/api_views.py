"""``views.*``. Pages: https://docs.slack.dev/reference/methods/views.open."""

from adapters.sandbox.slack.call import Call, Method
from adapters.sandbox.slack.records import Json


def views_open(call: Call) -> Json:
    """Open a modal for the person who acted."""
    view = call.sandbox.modals.open(call.required("trigger_id"), call.structure("view", "invalid_arguments"))
    return {"view": call.sandbox.modals.as_json(view)}


def views_push(call: Call) -> Json:
    """Put a modal on top of the one in which somebody acted."""
    view = call.sandbox.modals.push(call.required("trigger_id"), call.structure("view", "invalid_arguments"))
    return {"view": call.sandbox.modals.as_json(view)}


def views_update(call: Call) -> Json:
    """Replace the content of an open modal."""
    modals = call.sandbox.modals
    view = modals.find(view_id=call.text("view_id") or None, external_id=call.text("external_id") or None)
    body = call.structure("view", "invalid_arguments")
    updated = modals.update(view, body, expected_hash=call.text("hash") or None)
    return {"view": modals.as_json(updated)}


METHODS = {
    "views.open": Method(run=views_open),
    "views.push": Method(run=views_push),
    "views.update": Method(run=views_update),
}
