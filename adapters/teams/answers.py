"""What an invoke is answered with. Pure.

https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/
work-with-universal-actions-for-adaptive-cards#response-format and, for the message extension,
https://learn.microsoft.com/microsoftteams/platform/messaging-extensions/how-to/action-commands/respond-to-task-module-submit.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

CARD_TYPE = "application/vnd.microsoft.card.adaptive"


def card(content: Json) -> Json:
    """Show this card to the one who pressed, in place of the one that they pressed."""
    return {"statusCode": 200, "type": CARD_TYPE, "value": content}


def message(words: str) -> Json:
    """Tell the one who pressed a sentence; the card stays as it is."""
    return {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": words}


def error(code: str, words: str) -> Json:
    """Tell the one who pressed that this was no request that could be read."""
    return {"statusCode": 400, "type": "application/vnd.microsoft.error", "value": {"code": code, "message": words}}


def form(title: str, body: Sequence[Json], data: Json) -> Json:
    """Open a dialog with these inputs; `data` comes back with what is typed."""
    content = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": list(body),
        "actions": [{"type": "Action.Submit", "title": "Return to AI", "data": data}],
    }
    return _dialog(title, content)


def sentence(title: str, words: str) -> Json:
    """Open a dialog that only says something."""
    text = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": words}]}
    return _dialog(title, {"type": "AdaptiveCard", "version": "1.4", "body": [text]})


def _dialog(title: str, content: Json) -> Json:
    shown = {"contentType": CARD_TYPE, "content": content}
    return {
        "task": {"type": "continue", "value": {"title": title, "height": "medium", "width": "medium", "card": shown}}
    }


def closed() -> Json:
    """Close the dialog: all is done."""
    return {}
