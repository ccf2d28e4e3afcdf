"""What clicks on cards, message actions and dialogs send to the bot, and what its answers do.

Sources:
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/work-with-universal-actions-for-adaptive-cards
and
https://learn.microsoft.com/microsoftteams/platform/messaging-extensions/how-to/action-commands/define-action-command
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapters.sandbox.teams import activities, cards, forms
from adapters.sandbox.teams.people import BOT, Person
from adapters.sandbox.teams.records import CARD_TYPE, ActRefused, Dialog, Json, Message, iso
from adapters.sandbox.teams.sandbox import Sandbox

TROUBLE = "Something went wrong. Please try again."
MESSAGE_TYPE = "application/vnd.microsoft.activity.message"
ERROR_TYPE = "application/vnd.microsoft.error"


async def click(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Use an action of the card of a `message`: by its `verb` or `title`, with `inputs` by id.

    Returns what the person got to see: `card`, `message` or `error`, or `dialog` with its id.
    """
    said = sandbox.team.locate(str(body.get("message", "")))
    if said.sender != BOT or said.is_deleted:
        raise ActRefused("no_card", "there is no card of the bot")
    shown = [said.views[person.aad]] if person.aad in said.views else said.cards
    action, data = forms.pick(shown, body)
    if action["type"] == "Action.Execute" and not sandbox.rules.old_client:
        if all((cards.version_of(card) or (0, 0)) < cards.EXECUTE_SINCE for card in shown):
            raise ActRefused("card_too_old", "a card with Action.Execute needs version 1.4")
        return await _execute(sandbox, person, said, _executed(action, data, str(body.get("trigger", "manual"))))
    if action["type"] == "Action.Execute":
        fallback = action.get("fallback")
        if not isinstance(fallback, dict) or fallback.get("type") != "Action.Submit":
            raise ActRefused("no_fallback", "an old client shows no button: the action has no Action.Submit fallback")
        data = forms.data_of(fallback, data[forms.INPUTS])
    return await _submit(sandbox, person, said, data)


def _executed(action: Json, data: Json, trigger: str) -> Json:
    sent = {name: action[name] for name in ("type", "id", "title", "verb") if name in action}
    return {"action": sent | {"data": forms.without_marks(data)}, "trigger": trigger}


async def _execute(sandbox: Sandbox, person: Person, said: Message, value: Json) -> Json:
    activity = activities.invoke(
        sandbox.team, person, "adaptiveCard/action", value, channel=said.channel, root=said.root, reply_to=said.id
    )
    status, answer = await sandbox.delivery.ask(activity)
    return _obey(sandbox, person, said, status, answer)


def _obey(sandbox: Sandbox, person: Person, said: Message, status: int, answer: Any) -> Json:
    """Do what the answer to Action.Execute says: a card is for this person's eyes only."""
    kind = answer.get("type") if isinstance(answer, dict) else None
    value = answer.get("value") if isinstance(answer, dict) else None
    code = answer.get("statusCode") if isinstance(answer, dict) else None
    if status == 200 and code == 200 and kind == CARD_TYPE and isinstance(value, dict):
        said.views[person.aad] = value
        said.flags = list(dict.fromkeys([*said.flags, *cards.card_flags(value)]))
        sandbox.team.changed(said)
        return {"card": value}
    if status == 200 and code == 200 and kind == MESSAGE_TYPE and isinstance(value, str):
        sandbox.team.tell(person.aad, value, message=said.id)
        return {"message": value}
    if status == 200 and kind == ERROR_TYPE and isinstance(value, dict):
        text = str(value.get("message") or TROUBLE)
        sandbox.team.tell(person.aad, text, is_error=True, message=said.id)
        return {"error": text, "code": value.get("code")}
    sandbox.team.tell(person.aad, TROUBLE, is_error=True, message=said.id)
    return {"failed": status, "answer": answer}


async def _submit(sandbox: Sandbox, person: Person, said: Message, data: Json) -> Json:
    special = data.get("msteams")
    value = forms.without_marks(data)
    if isinstance(special, dict) and special.get("type") == "task/fetch":
        sent = {"data": value, "context": {"theme": "default"}}
        dialog = _dialog(person, said, "task", sent, message=said.id)
        return await _ask_dialog(sandbox, person, dialog, "task/fetch", sent)
    sandbox.delivery.publish(activities.submitted(sandbox.team, person, said, value))
    return {}


def _dialog(person: Person, said: Message, origin: str, value: Json, *, message: str) -> Dialog:
    return Dialog(
        id=uuid.uuid4().hex[:8], user=person.aad, title="", card={}, origin=origin, value=value, channel=said.channel,
        root=said.root, message=message,
    )  # fmt: skip


async def message_action(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Use the bot's message action `command` on a `message`: Teams asks the bot for a dialog."""
    said = sandbox.team.locate(str(body.get("message", "")))
    value = {
        "commandId": str(body.get("command") or "returnToAgent"),
        "commandContext": "message",
        "requestId": uuid.uuid4().hex,
        "context": {"theme": "default"},
        "messagePayload": _payload(sandbox, said),
    }
    dialog = _dialog(person, said, "composeExtension", value, message=said.id)
    return await _ask_dialog(sandbox, person, dialog, "composeExtension/fetchTask", value)


def _payload(sandbox: Sandbox, said: Message) -> Json:
    """Return the message that an action was used on, as Teams shows it to the bot."""
    author = sandbox.team.people.get(said.sender)
    user = {"id": said.sender, "displayName": sandbox.team.name_of(said.sender), "userIdentityType": "aadUser"}
    bot = {"id": sandbox.settings.app_id, "displayName": sandbox.team.name_of(BOT), "applicationIdentityType": "bot"}
    return {
        "id": said.id,
        "replyToId": None if said.root == said.id else said.root,
        "createdDateTime": iso(said.at_ms),
        "lastModifiedDateTime": iso(said.edited_ms) if said.edited_ms else None,
        "deleted": said.is_deleted,
        "subject": None,
        "importance": "normal",
        "locale": "en-GB",
        "from": {"user": user if author else None, "application": None if author else bot, "device": None},
        "body": {"contentType": "html", "content": said.html or said.text},
        "attachments": [],
        "mentions": [],
        "reactions": [],
    }


async def _ask_dialog(sandbox: Sandbox, person: Person, dialog: Dialog, name: str, value: Json) -> Json:
    activity = activities.invoke(
        sandbox.team, person, name, value, channel=dialog.channel, root=dialog.root, reply_to=dialog.message
    )
    status, answer = await sandbox.delivery.ask(activity)
    if status != 200:
        sandbox.team.tell(person.aad, TROUBLE, is_error=True)
        return {"failed": status, "answer": answer}
    task = answer.get("task") if isinstance(answer, dict) else None
    if not isinstance(task, dict):
        _close(sandbox, dialog)
        return {"closed": True}
    if task.get("type") == "message":
        _close(sandbox, dialog)
        sandbox.team.tell(person.aad, str(task.get("value", "")))
        return {"message": str(task.get("value", ""))}
    shown = task.get("value")
    shown = shown if isinstance(shown, dict) else {}
    card = shown.get("card", {}).get("content")
    if task.get("type") != "continue" or not isinstance(card, dict):
        sandbox.team.tell(person.aad, TROUBLE, is_error=True)
        return {"failed": status, "answer": answer}
    dialog.title, dialog.card = str(shown.get("title", "")), card
    sandbox.dialogs[dialog.id] = dialog
    sandbox.team.touched()
    return {"dialog": dialog.id, "title": dialog.title, "card": card}


def _close(sandbox: Sandbox, dialog: Dialog) -> None:
    sandbox.dialogs.pop(dialog.id, None)
    sandbox.team.touched()


def _open(sandbox: Sandbox, person: Person, body: Json) -> Dialog:
    dialog = sandbox.dialogs.get(str(body.get("dialog", "")))
    if dialog is None or dialog.user != person.aad:
        raise ActRefused("unknown_dialog", "this person has no such dialog open")
    return dialog


async def submit_dialog(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Press a button of a `dialog`, by `title` if there are several, with `inputs` by id."""
    dialog = _open(sandbox, person, body)
    action, data = forms.pick([dialog.card], body)
    if action["type"] not in {"Action.Submit", "Action.Execute"}:
        raise ActRefused("no_action", "only Action.Submit and Action.Execute end a dialog")
    data = forms.without_marks(data)
    if dialog.origin == "composeExtension":
        value = dialog.value | {"data": data, "botMessagePreviewAction": None}
        return await _ask_dialog(sandbox, person, dialog, "composeExtension/submitAction", value)
    return await _ask_dialog(sandbox, person, dialog, "task/submit", dialog.value | {"data": data})


async def close_dialog(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Close a `dialog`; the bot does not hear of it."""
    _close(sandbox, _open(sandbox, person, body))
    return {}


ACTS: Mapping[str, Callable[[Sandbox, Person, Json], Awaitable[Json]]] = {
    "click": click,
    "message_action": message_action,
    "submit_dialog": submit_dialog,
    "close_dialog": close_dialog,
}
