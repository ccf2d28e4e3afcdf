"""What Teams makes of Adaptive Cards and mentions: refused, shown otherwise than meant, or good.

Source: https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
"""

import json
import re
from collections.abc import Iterator

from adapters.sandbox.teams.records import CARD_TYPE, Json, TeamsError

KNOWN_TYPES = frozenset({
    "AdaptiveCard", "TextBlock", "RichTextBlock", "TextRun", "Image", "ImageSet", "Container", "ColumnSet", "Column",
    "FactSet", "ActionSet", "Input.Text", "Input.Number", "Input.Date", "Input.Time", "Input.Toggle",
    "Input.ChoiceSet", "Action.Execute", "Action.Submit", "Action.ShowCard", "Action.OpenUrl",
    "Action.ToggleVisibility",
})  # fmt: skip
"""What version 1.4 has and Teams shows; `Media` it does not."""

LATER_PROPERTIES = frozenset({"tooltip", "isEnabled", "rtl", "mode", "labelPosition", "labelWidth", "inputStyle"})
"""Properties that came with version 1.5 or later."""

NEWEST_SAFE = (1, 4)
NEWEST = (1, 5)
EXECUTE_SINCE = (1, 4)
ADVISED_BYTES = 28 * 1024
MAX_ACTIONS = 6
_AT = re.compile(r"<at>(.*?)</at>", re.DOTALL)
_ATTACHMENTS = frozenset({
    CARD_TYPE, "application/vnd.microsoft.card.hero", "application/vnd.microsoft.card.thumbnail",
    "application/vnd.microsoft.teams.card.o365connector",
})  # fmt: skip


def check_attachments(attachments: list[Json]) -> None:
    """Raise TeamsError 400 for what Teams refuses to post."""
    for attachment in attachments:
        kind = str(attachment.get("contentType", ""))
        if kind.startswith("image/"):
            if not str(attachment.get("contentUrl", "")).startswith(("https://", "http://", "data:image/")):
                raise TeamsError(400, "BadArgument", "An image needs a contentUrl.")
        elif kind not in _ATTACHMENTS:
            raise TeamsError(400, "BadArgument", f"Unknown attachment type {kind!r}")
        elif kind == CARD_TYPE:
            _check_card(attachment.get("content"))


def _check_card(card: object) -> None:
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise TeamsError(400, "BadArgument", "The content of an Adaptive Card must be of type AdaptiveCard.")
    if version_of(card) is None:
        raise TeamsError(400, "BadArgument", "An Adaptive Card needs a version, as in 1.4.")
    if not isinstance(card.get("body", []), list) or not isinstance(card.get("actions", []), list):
        raise TeamsError(400, "BadArgument", "body and actions of an Adaptive Card must be lists.")


def version_of(card: Json) -> tuple[int, int] | None:
    """Return a card's version as numbers; None if it is none."""
    found = re.fullmatch(r"(\d+)\.(\d+)", str(card.get("version", "")))
    return (int(found[1]), int(found[2])) if found else None


def elements(node: object) -> Iterator[Json]:
    """Yield everything in a card that has a type, outermost first; of an unknown element its fallback too."""
    if isinstance(node, list):
        for each in node:
            yield from elements(each)
    elif isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        for name, value in node.items():
            if name not in {"data", "msteams", "fallback", "choices.data"}:
                yield from elements(value)


def flags_of(text: str, entities: list[Json], shown: list[Json]) -> list[str]:
    """Return what of a message a real client would not show as its sender meant it."""
    found = [f"at-without-entity: {name}" for name in unmentioned(text, entities)]
    for card in shown:
        found += card_flags(card)
    return found


def unmentioned(text: str, entities: list[Json]) -> list[str]:
    """Return names in `<at>` tags that no entity backs: they mention nobody."""
    backed = {str(each.get("text")) for each in entities if each.get("type") == "mention"}
    return [name for name in _AT.findall(text) if f"<at>{name}</at>" not in backed]


def card_flags(card: Json) -> list[str]:
    """Return what is wrong with a card for Teams' clients."""
    version, found = version_of(card) or (0, 0), []
    if version > NEWEST:
        found.append(f"version: {card.get('version')} is newer than Teams shows")
    size = len(json.dumps(card, ensure_ascii=False).encode())
    if size > ADVISED_BYTES:
        found.append(f"size: {size} bytes, over {ADVISED_BYTES}")
    known_ids: set[str] = set()
    backed = card.get("msteams", {}).get("entities", []) if isinstance(card.get("msteams"), dict) else []
    for element in elements(card):
        found += _element_flags(element, version, known_ids, backed)
    if len(card.get("actions", [])) > MAX_ACTIONS:
        found.append(f"actions: {len(card['actions'])}, Teams shows {MAX_ACTIONS}")
    return list(dict.fromkeys(found))


def _element_flags(element: Json, version: tuple[int, int], known_ids: set[str], backed: list[Json]) -> list[str]:
    kind, found = element["type"], []
    if kind not in KNOWN_TYPES:
        found.append(f"unknown-element: {kind}")
    found += [f"newer-than-1.4: {name} of {kind}" for name in sorted(LATER_PROPERTIES & set(element))]
    if kind == "Action.Execute" and version < EXECUTE_SINCE:
        found.append("version: Action.Execute needs 1.4")
    # Microsoft's renderer has a property `key` in each object that it reads, a button's data included. Where the card
    # is read-only, as in its Agents Playground 0.2.28, a press then fails without a word.
    data = element.get("data")
    if kind in {"Action.Execute", "Action.Submit"} and isinstance(data, dict) and "key" in data:
        found.append(f"reserved-name: key in data of {kind}")
    if kind.startswith("Input."):
        name = str(element.get("id", ""))
        if not name:
            found.append(f"input-without-id: {kind}")
        elif name in known_ids:
            found.append(f"input-id-twice: {name}")
        known_ids.add(name)
    if kind == "TextBlock":
        found += [f"at-without-entity: {name}" for name in unmentioned(str(element.get("text", "")), backed)]
    return found
