"""A card's actions and inputs: which button is meant, what is in the fields, what must be filled in.

Source: https://adaptivecards.io/explorer/Action.Execute.html (`associatedInputs`) and Input.* there.
"""

from collections.abc import Iterator

from adapters.sandbox.teams.records import ActRefused, Json

INPUTS = "__inputs__"
"""Where the inputs are beside an action's own data until it is sent."""


def pick(cards: list[Json], body: Json) -> tuple[Json, Json]:
    """Return (action, its data with the inputs) that `verb` or `title` of a body mean; the only one needs neither.

    Raises ActRefused: there is none, several fit, or a field that must be filled in is empty.
    """
    found = [(action, fields) for card in cards for action, fields in _actions(card, [])]
    verb, title = body.get("verb"), body.get("title")
    fitting = [
        (action, fields)
        for action, fields in found
        if (verb is None or _verb(action) == verb) and (title is None or action.get("title") == title)
    ]
    if not fitting:
        there = ", ".join(f"{_verb(action) or '-'} ({action.get('title', '')})" for action, _ in found)
        raise ActRefused("no_action", f"no action {verb or title!r}; there are: {there or 'none'}")
    if len(fitting) > 1 and verb is None and title is None:
        raise ActRefused("no_action", "there are several actions: name one by verb or title")
    action, fields = fitting[0]
    given = body.get("inputs") or {}
    values = _values(fields, given) if action.get("associatedInputs") != "none" else {}
    return action, data_of(action, values)


def data_of(action: Json, values: Json) -> Json:
    """Return an action's data with the inputs in it; the action's own values win over nothing but an absent input."""
    own = action.get("data")
    base = dict(own) if isinstance(own, dict) else {}
    return base | values | {INPUTS: values}


def without_marks(data: Json) -> Json:
    """Return data as it is sent."""
    return {name: value for name, value in data.items() if name != INPUTS}


def _verb(action: Json) -> str | None:
    data = action.get("data")
    found = action.get("verb") or (data.get("verb") if isinstance(data, dict) else None)
    return str(found) if found else None


def _actions(card: Json, outer: list[Json]) -> Iterator[tuple[Json, list[Json]]]:
    """Yield every action of a card that can be pressed, with the inputs of its card and of the cards around it."""
    fields = [*outer, *_inputs(card.get("body", []))]
    for action in [*card.get("actions", []), *_body_actions(card.get("body", []))]:
        if action.get("type") == "Action.ShowCard":
            yield from _actions(action.get("card", {}), fields)
        elif action.get("type") in {"Action.Execute", "Action.Submit"}:
            yield action, fields


def _body_actions(items: list[Json]) -> Iterator[Json]:
    for item in items:
        if item.get("type") == "ActionSet":
            yield from item.get("actions", [])
        if isinstance(item.get("selectAction"), dict):
            yield item["selectAction"]
        yield from _body_actions([*item.get("items", []), *item.get("columns", [])])


def _inputs(items: list[Json]) -> Iterator[Json]:
    for item in items:
        if str(item.get("type", "")).startswith("Input."):
            yield item
        yield from _inputs([*item.get("items", []), *item.get("columns", [])])


def _values(fields: list[Json], given: Json) -> Json:
    values: Json = {}
    for field in fields:
        name = str(field.get("id", ""))
        value = given.get(name, field.get("value", ""))
        if field["type"] == "Input.Toggle":
            on, off = field.get("valueOn", "true"), field.get("valueOff", "false")
            value = value if value in {on, off} else (on if value is True else off)
        if field["type"] == "Input.ChoiceSet":
            _check_choice(field, value)
        if field["type"] == "Input.Text" and "maxLength" in field and len(str(value)) > field["maxLength"]:
            raise ActRefused("too_long", f"{name}: at most {field['maxLength']} characters")
        if field.get("isRequired") and value in {"", None}:
            raise ActRefused("required", str(field.get("errorMessage") or f"{name} must be filled in"))
        if value not in {"", None} or name in given:
            values[name] = value
    unknown = set(given) - {str(field.get("id", "")) for field in fields}
    if unknown:
        raise ActRefused("no_input", f"the card has no input {', '.join(sorted(unknown))} for this action")
    return values


def _check_choice(field: Json, value: object) -> None:
    allowed = {choice.get("value") for choice in field.get("choices", [])}
    chosen = str(value).split(",") if field.get("isMultiSelect") else [value]
    is_searched = "choices.data" in field  # Teams finds the choices itself, people of the channel
    if value and not is_searched and not set(chosen) <= allowed:
        raise ActRefused("no_choice", f"{field.get('id')}: {value!r} is none of {sorted(map(str, allowed))}")
