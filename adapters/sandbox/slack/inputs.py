"""What people put into the elements of blocks, in the words of ``state.values`` and ``actions``. Pure.

Shape: https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload#view_submission_fields
"""

from collections.abc import Iterator
from typing import Any

from adapters.sandbox.slack.records import Json, SlackError

REQUIRED = "Please complete this required field."


def elements_of(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield every interactive element with its block."""
    for block in blocks:
        candidates = [*(block.get("elements") or []), block.get("element"), block.get("accessory")]
        for element in candidates:
            if isinstance(element, dict) and "type" in element and block.get("type") in {"actions", "input", "section"}:
                yield block, element


def find_element(blocks: list[Json], action_id: str, block_id: str | None) -> tuple[Json, str]:
    """Return an element and its block's id. Raises ``no_such_action`` naming those that exist."""
    for block, element in elements_of(blocks):
        if element.get("action_id") == action_id and block_id in {None, block.get("block_id")}:
            return element, str(block.get("block_id", ""))
    there = ", ".join(str(element.get("action_id")) for _, element in elements_of(blocks)) or "none"
    raise SlackError("no_such_action", detail=f"no element {action_id!r}; there are: {there}")


def state_of(element: Json, value: Any) -> Json:
    """Return what Slack says of an element that holds ``value`` (a string, or a list of them where many may be chosen).

    Raises ``no_such_option`` naming those that exist.
    """
    kind = element["type"]
    if kind in {"static_select", "radio_buttons", "overflow", "external_select"}:
        return {"selected_option": _option(element, value) if value not in {None, ""} else None}
    if kind in {"multi_static_select", "checkboxes", "multi_external_select"}:
        return {"selected_options": [_option(element, each) for each in value or []]}
    for suffix, name in (("users", "user"), ("conversations", "conversation"), ("channels", "channel")):
        if kind == f"{suffix}_select":
            return {f"selected_{name}": value or None}
        if kind == f"multi_{suffix}_select":
            return {f"selected_{name}s": list(value or [])}
    picked = {"datepicker": "selected_date", "timepicker": "selected_time", "datetimepicker": "selected_date_time"}
    return {picked.get(kind, "value"): value if value != "" else None}


def _option(element: Json, value: Any) -> Json:
    if element["type"].endswith("external_select"):
        return {"text": {"type": "plain_text", "text": str(value)}, "value": str(value)}
    groups = element.get("option_groups") or [{"options": element.get("options", [])}]
    options = [option for group in groups for option in group["options"]]
    for option in options:
        if option.get("value") == value:
            return dict(option)
    there = ", ".join(str(option.get("value")) for option in options)
    raise SlackError("no_such_option", detail=f"no option {value!r}; there are: {there}")


def initial_state(blocks: list[Json]) -> Json:
    """Return the state of elements that nobody has touched."""
    values: Json = {}
    for block, element in elements_of(blocks):
        if element["type"] in {"button", "overflow", "workflow_button"} or "action_id" not in element:
            continue
        state = {"type": element["type"], **state_of(element, _initial_value(element))}
        values.setdefault(block.get("block_id", ""), {})[element["action_id"]] = state
    return values


def _initial_value(element: Json) -> Any:
    if "initial_options" in element:
        return [option["value"] for option in element["initial_options"]]
    if "initial_option" in element:
        return element["initial_option"]["value"]
    for name, value in element.items():
        if name.startswith("initial_"):
            return value
    return None


def states_from(blocks: list[Json], given: Json, before: Json) -> Json:
    """Return the state of a modal: its initial values, then what was there ``before``, then what is ``given`` now.

    ``given`` maps action ids, or block ids to maps of action ids, to plain values. Raises ``no_such_action`` for an
    unknown one.
    """
    state = initial_state(blocks)
    for block_id, actions in before.items():
        for action_id, value in actions.items():
            if action_id in state.get(block_id, {}):
                state[block_id][action_id] = value
    for name, value in given.items():
        pairs = value.items() if isinstance(value, dict) else [(name, value)]
        for action_id, plain in pairs:
            element, found = find_element(blocks, action_id, name if isinstance(value, dict) else None)
            state[found][action_id] = {"type": element["type"], **state_of(element, plain)}
    return state


def missing_inputs(blocks: list[Json], state: Json) -> dict[str, str]:
    """Return the complaints of Slack's own client, by block id: required fields left empty, texts of a wrong length."""
    complaints: dict[str, str] = {}
    for block, element in elements_of(blocks):
        if block["type"] != "input":
            continue
        held = state.get(block["block_id"], {}).get(element.get("action_id"), {})
        filled = [value for name, value in held.items() if name != "type" and value not in (None, [], "")]
        if not filled and not block.get("optional"):
            complaints[block["block_id"]] = REQUIRED
        elif filled and isinstance(filled[0], str):
            if len(filled[0]) > element.get("max_length", 3000):
                complaints[block["block_id"]] = f"Enter at most {element.get('max_length', 3000)} characters."
            elif len(filled[0]) < element.get("min_length", 0):
                complaints[block["block_id"]] = f"Enter at least {element['min_length']} characters."
    return complaints
