"""Makes the Teams app package: manifest and icons in a zip, with the least rights that the desk works with. Pure.

Fields and limits: https://learn.microsoft.com/microsoft-365/extensibility/schema
"""

import io
import json
import uuid
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from adapters.icons import ACCENT, color_png, outline_png
from bridge.errors import SettingsError

MANIFEST_VERSION = "1.29"
"""The first with slash commands: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/
agents-in-teams/agent-slash-commands.
"""
SCHEMA_URL = f"https://developer.microsoft.com/json-schemas/teams/v{MANIFEST_VERSION}/MicrosoftTeams.schema.json"

PERMISSIONS: Mapping[str, str] = {
    "ChannelMessage.Read.Group": "hear what operators write in the threads of this team without being mentioned",
}
"""Resource-specific permissions, each with what for. A team's owner grants them for that team only:
https://learn.microsoft.com/microsoftteams/platform/graph-api/rsc/resource-specific-consent."""

COMMANDS: Mapping[str, str] = {
    "return": "Give this thread's conversation back to the AI agent, with a note",
    "rehearse": "See here what the AI agent would say with a note; the customer does not see it",
}
"""What the bot's menu offers after a mention."""

ACTIONS: Mapping[str, str] = {"returnToAgent": "Return to AI agent", "sendToCustomer": "Send to the customer"}
"""Message extension actions: id -> name in the menu of a message."""

DESCRIPTION: Mapping[str, str] = {
    "short": "Moves web chats from the AI agent to your team's threads, and back.",
    "full": (
        "When a customer in the web chat needs a person, a card opens a thread in this team's channel. "
        "Whoever takes it answers there, and the customer reads it in the chat.\n\n"
        "What the app does with messages: those in its own threads are kept with the conversation, and what "
        "the person who took it writes is passed on to the customer. All other messages of this team's "
        "channels are dropped, and nothing is kept of them."
    ),
}

PLACEHOLDER_ID = "00000000-0000-0000-0000-000000000000"
_FIXED_TIME = (2020, 1, 1, 0, 0, 0)  # the same input gives the same bytes


def manifest(
    *,
    app_id: str,
    slash: bool = False,
    version: str = "1.0.0",
    company: str = "Handoff bridge",
    website: str = "https://example.com",
) -> dict[str, Any]:
    """Return the manifest as a JSON object.

    `app_id` is the Microsoft App ID of the Azure Bot. `slash` offers the command in the `/` menu too, where the tenant
    has that. `website` stands for the company's page, privacy and terms alike. Raises SettingsError for what Teams
    would refuse.
    """
    _check(app_id, version, company, website)
    commands = [{"title": name, "description": words} for name, words in COMMANDS.items()]
    triggers = {"triggers": ["mention", "slash"]} if slash else {}
    return {
        "$schema": SCHEMA_URL,
        "manifestVersion": MANIFEST_VERSION,
        "version": version,
        # An id of its own, and always the same one for a bot, so that an upload updates the app.
        "id": str(uuid.uuid5(uuid.UUID(app_id), "handoff-bridge")),
        "developer": {"name": company, "websiteUrl": website, "privacyUrl": website, "termsOfUseUrl": website},
        "name": {"short": "Bridge", "full": "Handoff bridge"},
        "description": dict(DESCRIPTION),
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": ACCENT,
        "defaultInstallScope": "team",
        "defaultGroupCapability": {"team": "bot"},
        "bots": [
            {
                "botId": app_id,
                "scopes": ["team"],
                "needsChannelSelector": True,
                "isNotificationOnly": False,
                "supportsFiles": False,
                **({"supportsTargetedMessages": True} if slash else {}),
                "commandLists": [{"scopes": ["team"], **triggers, "commands": commands}],
            }
        ],
        "composeExtensions": [
            {
                "botId": app_id,
                "commands": [
                    {"id": key, "type": "action", "title": title, "context": ["message"], "fetchTask": True}
                    for key, title in ACTIONS.items()
                ],
            }
        ],
        # Teams wants any resource that is not empty where no single sign-on is used.
        "webApplicationInfo": {"id": app_id, "resource": "https://handoff-bridge.invalid"},
        "authorization": {
            "permissions": {"resourceSpecific": [{"name": name, "type": "Application"} for name in PERMISSIONS]}
        },
    }


def package(document: Mapping[str, Any]) -> bytes:
    """Return the zip to upload: the manifest and its two icons, all at the root, as Teams wants it."""
    held = io.BytesIO()
    files = {"manifest.json": dump(document).encode(), "color.png": color_png(), "outline.png": outline_png()}
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return held.getvalue()


def dump(document: Mapping[str, Any]) -> str:
    """Return the manifest as it stands in the package."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _check(app_id: str, version: str, company: str, website: str) -> None:
    try:
        right = str(uuid.UUID(app_id)) == app_id.lower()
    except ValueError:
        right = False
    if not right:
        raise SettingsError(
            "HANDOFF_TEAMS__APP_ID (or --app-id): must be the Microsoft App ID of your Azure Bot, as in "
            f"{PLACEHOLDER_ID}; it stands under Configuration"
        )
    numbers = version.split(".")
    if len(numbers) != 3 or not all(part.isascii() and part.isdigit() for part in numbers):
        raise SettingsError("--version: must be three numbers with dots between, as in 1.0.1")
    if not 1 <= len(company) <= 32:
        raise SettingsError("--company: must have 1 to 32 characters")
    parts = urlsplit(website)
    if parts.scheme != "https" or not parts.hostname:
        raise SettingsError("--website: must be an address that starts with https://")
