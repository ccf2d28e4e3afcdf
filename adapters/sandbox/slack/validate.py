"""Whether Slack would take these blocks. Limits: https://docs.slack.dev/reference/block-kit/blocks and its subpages.

A block that only newer clients know passes unchecked beyond its type; a type that nobody knows is refused.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapters.sandbox.slack.records import Json, SlackError

MAX_MESSAGE_BLOCKS = 50
MAX_MODAL_BLOCKS = 100
MAX_MESSAGE_BLOCK_CHARS = 13_200
"""Undocumented: ``msg_blocks_too_long`` was measured at about this size (slackapi/bolt-js issue 2509)."""
MAX_VIEW_BYTES = 250_000
MAX_MARKDOWN_CHARS = 12_000
MAX_METADATA_BYTES = 16_000
"""Undocumented: Slack has ``metadata_too_large`` and does not say where it begins."""

_OTHER_BLOCKS = frozenset({
    "video", "call", "table", "data_table", "card", "carousel", "container", "alert", "context_actions", "plan",
    "task_card", "data_visualization",
})  # fmt: skip
_SELECTS = frozenset(
    f"{many}{kind}_select"
    for many in ("", "multi_")
    for kind in ("static", "external", "users", "conversations", "channels")
)
_INPUTS = _SELECTS | {
    "plain_text_input", "rich_text_input", "number_input", "email_text_input", "url_text_input", "datepicker",
    "timepicker", "datetimepicker", "checkboxes", "radio_buttons", "file_input",
}  # fmt: skip
_ACTIONS = _INPUTS - {"plain_text_input", "rich_text_input", "number_input", "email_text_input", "url_text_input"} | {
    "button", "overflow", "workflow_button",
}  # fmt: skip
_VIEW = frozenset({
    "type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "clear_on_close",
    "notify_on_close", "external_id",
})  # fmt: skip
"""What a modal may have (https://docs.slack.dev/reference/views/modal-views): what Slack itself adds is refused, too
(https://github.com/nicklambourne/slackblocks/issues/36).
"""
_RICH = frozenset({"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"})


def check_message(blocks: object) -> list[Json]:
    """Return the blocks of a message. Raises ``invalid_blocks``, ``invalid_blocks_format``, ``msg_blocks_too_long``."""
    checked = _check(blocks, limit=MAX_MESSAGE_BLOCKS, in_modal=False)
    if sum(_characters(block) for block in checked) > MAX_MESSAGE_BLOCK_CHARS:
        raise SlackError("msg_blocks_too_long")
    return checked


def check_view(view: object) -> Json:
    """Return a modal. Raises ``invalid_arguments`` with the places, or ``view_too_large``."""
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", response_metadata={"messages": ["[ERROR] view must be an object"]})
    if len(json.dumps(view).encode()) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    problems: list[str] = []
    if view.get("type") != "modal":
        problems.append("view type must be 'modal' [json-pointer:/view/type]")
    problems += [f"invalid additional property: {name} [json-pointer:/view]" for name in sorted(set(view) - _VIEW)]
    for name, required in (("title", True), ("submit", False), ("close", False)):
        if required or name in view:
            problems += _text(view.get(name), f"/view/{name}", 24, kinds=("plain_text",))
    for name, limit in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        if len(str(view.get(name) or "")) > limit:
            problems.append(f"must be at most {limit} characters [json-pointer:/view/{name}]")
    try:
        blocks = _check(view.get("blocks"), limit=MAX_MODAL_BLOCKS, in_modal=True)
    except SlackError as error:
        problems += error.fields.get("problems", [error.code])  # type: ignore[arg-type]  # a list of strings, see _refuse
        blocks = []
    if any(block["type"] == "input" for block in blocks) and not view.get("submit"):
        problems.append("submit is required where a view has an input block [json-pointer:/view/submit]")
    if problems:
        raise SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {p}" for p in problems]})
    return dict(view)


def _refuse(code: str, problems: list[str]) -> SlackError:
    messages = [f"[ERROR] {problem}" for problem in problems]
    return SlackError(code, errors=problems, problems=problems, response_metadata={"messages": messages})


def _check(blocks: object, *, limit: int, in_modal: bool) -> list[Json]:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise _refuse("invalid_blocks_format", ["blocks must be a list of objects [json-pointer:/blocks]"])
    problems: list[str] = []
    if len(blocks) > limit:
        problems.append(f"no more than {limit} items allowed [json-pointer:/blocks]")
    seen: set[str] = set()
    checked = [dict(block) for block in blocks]
    for index, block in enumerate(checked):
        where = f"/blocks/{index}"
        block_id = block.get("block_id")
        if block_id is not None and (not isinstance(block_id, str) or not 0 < len(block_id) <= 255):
            problems.append(f"block_id must be 1 to 255 characters [json-pointer:{where}/block_id]")
        elif block_id in seen:
            problems.append(f"block_id already exists: {block_id} [json-pointer:{where}/block_id]")
        seen.add(str(block_id))
        problems += _block(block, where, in_modal=in_modal)
    if problems:
        raise _refuse("invalid_blocks", problems)
    for block in checked:
        block.setdefault("block_id", secrets.token_urlsafe(4))
    return checked


def _block(block: Json, where: str, *, in_modal: bool) -> Iterator[str]:
    kind = str(block.get("type"))
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check(block, where)
    elif kind not in _OTHER_BLOCKS:
        yield f"unsupported type: {kind} [json-pointer:{where}/type]"
    if in_modal and kind in {"markdown", "file"}:
        yield f"unsupported type in a view: {kind} [json-pointer:{where}/type]"


def _header(block: Json, where: str) -> Iterator[str]:
    yield from _text(block.get("text"), f"{where}/text", 150, kinds=("plain_text",))


def _context(block: Json, where: str) -> Iterator[str]:
    yield from _count(block, "elements", where, 1, 10)
    for index, element in enumerate(block.get("elements") or []):
        at = f"{where}/elements/{index}"
        yield from _image(element, at) if element.get("type") == "image" else _text(element, at, 2000)


def _actions(block: Json, where: str) -> Iterator[str]:
    yield from _count(block, "elements", where, 1, 25)
    yield from _elements(block.get("elements") or [], where, _ACTIONS)


def _markdown(block: Json, where: str) -> Iterator[str]:
    yield from _length(block.get("text"), f"{where}/text", MAX_MARKDOWN_CHARS)


def _file(block: Json, where: str) -> Iterator[str]:
    if not block.get("external_id"):
        yield f"missing required field: external_id [json-pointer:{where}]"


def _divider(_: Json, __: str) -> Iterator[str]:
    yield from ()


def _section(block: Json, where: str) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield f"missing required field: text or fields [json-pointer:{where}]"
    if "text" in block:
        yield from _text(block["text"], f"{where}/text", 3000)
    if "fields" in block:
        yield from _count(block, "fields", where, 1, 10)
        for index, item in enumerate(block["fields"] or []):
            yield from _text(item, f"{where}/fields/{index}", 2000)
    if "accessory" in block:
        accessory = block["accessory"]
        if isinstance(accessory, dict) and accessory.get("type") == "image":
            yield from _image(accessory, f"{where}/accessory")
        else:
            yield from _element(accessory, f"{where}/accessory", _ACTIONS)


def _input(block: Json, where: str) -> Iterator[str]:
    yield from _text(block.get("label"), f"{where}/label", 2000, kinds=("plain_text",))
    if "hint" in block:
        yield from _text(block["hint"], f"{where}/hint", 2000, kinds=("plain_text",))
    yield from _element(block.get("element"), f"{where}/element", _INPUTS)


def _image(block: Json, where: str) -> Iterator[str]:
    if not block.get("image_url") and not block.get("slack_file"):
        yield f"missing required field: image_url or slack_file [json-pointer:{where}]"
    yield from _length(block.get("alt_text"), f"{where}/alt_text", 2000, allow_empty=True)


def _rich_text(block: Json, where: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list):
        yield f"missing required field: elements [json-pointer:{where}]"
        return
    for index, element in enumerate(elements):
        at = f"{where}/elements/{index}"
        if element.get("type") not in _RICH:
            yield f"unsupported type: {element.get('type')} [json-pointer:{at}/type]"
        elif element["type"] == "rich_text_list":
            yield from _rich_text({"elements": element.get("elements")}, at)
        else:
            for inner, leaf in enumerate(element.get("elements") or []):
                if leaf.get("type") == "text" and not leaf.get("text"):
                    yield f"must be more than 0 characters [json-pointer:{at}/elements/{inner}/text]"


def _elements(elements: list[Any], where: str, allowed: frozenset[str]) -> Iterator[str]:
    seen: set[str] = set()
    for index, element in enumerate(elements):
        at = f"{where}/elements/{index}"
        yield from _element(element, at, allowed)
        action_id = element.get("action_id") if isinstance(element, dict) else None
        if action_id in seen:
            yield f"action_id already exists: {action_id} [json-pointer:{at}/action_id]"
        if action_id:
            seen.add(action_id)


def _element(element: object, where: str, allowed: frozenset[str]) -> Iterator[str]:
    if not isinstance(element, dict) or element.get("type") not in allowed:
        kind = element.get("type") if isinstance(element, dict) else element
        yield f"unsupported type: {kind} [json-pointer:{where}]"
        return
    if len(element.get("action_id", "-")) not in range(1, 256):
        yield f"must be 1 to 255 characters [json-pointer:{where}/action_id]"
    if "placeholder" in element:
        yield from _text(element["placeholder"], f"{where}/placeholder", 150, kinds=("plain_text",))
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{where}/confirm")
    kind = str(element["type"])
    if kind == "button":
        yield from _button(element, where)
    elif kind in {"static_select", "multi_static_select", "checkboxes", "radio_buttons", "overflow"}:
        limit = {"checkboxes": 10, "radio_buttons": 10, "overflow": 5}.get(kind, 100)
        yield from _options(element, where, limit)
    elif kind == "plain_text_input":
        if not 1 <= int(element.get("max_length", 3000)) <= 3000:
            yield f"must be 1 to 3000 [json-pointer:{where}/max_length]"
        if len(element.get("initial_value") or "") > int(element.get("max_length", 3000)):
            yield f"must be at most max_length [json-pointer:{where}/initial_value]"


def _button(element: Json, where: str) -> Iterator[str]:
    yield from _text(element.get("text"), f"{where}/text", 75, kinds=("plain_text",))
    if "value" in element:
        yield from _length(element["value"], f"{where}/value", 2000, allow_empty=True)
    if "url" in element:
        yield from _length(element["url"], f"{where}/url", 3000)
    if "accessibility_label" in element:
        yield from _length(element["accessibility_label"], f"{where}/accessibility_label", 75)
    if element.get("style") not in {None, "primary", "danger"}:
        yield f"unknown style: {element['style']} [json-pointer:{where}/style]"


def _confirm(confirm: object, where: str) -> Iterator[str]:
    if not isinstance(confirm, dict):
        yield f"must be an object [json-pointer:{where}]"
        return
    for name, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        if name in confirm or name == "text":
            yield from _text(confirm.get(name), f"{where}/{name}", limit)


def _options(element: Json, where: str, limit: int) -> Iterator[str]:
    groups = element.get("option_groups")
    if groups:
        options = [option for group in groups for option in group.get("options", [])]
    else:
        options = element.get("options") or []
        if not 1 <= len(options) <= limit:
            yield f"must have 1 to {limit} items [json-pointer:{where}/options]"
    values: list[Json] = []
    for index, option in enumerate(options):
        at = f"{where}/options/{index}"
        yield from _text(option.get("text"), f"{at}/text", 75)
        yield from _length(option.get("value"), f"{at}/value", 150)
        if "description" in option:
            yield from _text(option["description"], f"{at}/description", 75)
        values.append(option.get("value"))
    initial = element.get("initial_options") or ([element["initial_option"]] if element.get("initial_option") else [])
    if any(option.get("value") not in values for option in initial):
        yield f"initial option must be one of the options [json-pointer:{where}/initial_option]"


def _count(block: Json, name: str, where: str, least: int, most: int) -> Iterator[str]:
    items = block.get(name)
    if not isinstance(items, list) or not least <= len(items) <= most:
        yield f"must have {least} to {most} items [json-pointer:{where}/{name}]"


def _text(text: object, where: str, limit: int, *, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"must be a text object of type {' or '.join(kinds)} [json-pointer:{where}]"
        return
    unknown = set(text) - {"type", "text", "emoji", "verbatim"}
    if unknown or ("verbatim" in text and text["type"] != "mrkdwn") or ("emoji" in text and text["type"] == "mrkdwn"):
        yield f"invalid additional property [json-pointer:{where}]"
    yield from _length(text.get("text"), f"{where}/text", limit)


def _length(text: object, where: str, limit: int, *, allow_empty: bool = False) -> Iterator[str]:
    if not isinstance(text, str) or (not text and not allow_empty):
        yield f"must be more than 0 characters [json-pointer:{where}]"
    elif len(text) > limit:
        yield f"must be less than {limit + 1} characters [json-pointer:{where}]"


def _characters(value: object) -> int:
    """Count what people read: the strings under ``text`` keys, wherever they are."""
    if isinstance(value, list):
        return sum(_characters(item) for item in value)
    if isinstance(value, dict):
        return sum(
            len(item) if key == "text" and isinstance(item, str) else _characters(item) for key, item in value.items()
        )
    return 0


_CHECKS: Mapping[str, Callable[[Json, str], Iterator[str]]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "image": _image,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "file": _file,
    "divider": _divider,
}
