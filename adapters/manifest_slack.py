"""Makes the Slack app manifest: least scopes, only the events that the desk reads, and the names of its command and
shortcuts. Pure.

Fields and limits: https://docs.slack.dev/reference/app-manifest
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import yaml

from bridge.errors import SettingsError

SHORTCUTS: Mapping[str, tuple[str, str]] = {
    "bridge_return_message": (
        "Return to AI agent",
        "Give this thread's conversation back to the AI agent, with a note",
    ),
    "bridge_send_message": ("Send to the customer", "Send a message of yours that was kept for colleagues"),
}
"""Message shortcuts: callback id -> (name, description)."""

SCOPES: Mapping[str, str] = {
    "app_mentions:read": "`@bridge return <note>` and `@bridge rehearse <note>` in a thread",
    "channels:history": "read what operators write in the threads of public queue channels",
    "channels:read": "know who is in a queue's channel, and whether it is shared with another organisation",
    "chat:write": "post and update the cards and the customers' lines",
    "commands": "the slash command and the message shortcuts",
    "files:read": "fetch files that operators send to customers",
    "files:write": "upload customers' files and long transcripts to the thread",
    "users:read": "operators' names; guests, bots and people of other organisations never answer customers",
}
"""Scopes that the desk cannot do without, each with what for."""

OPTIONAL_SCOPES: Mapping[str, str] = {
    "groups:history": "the same in private queue channels",
    "groups:read": "the same in private queue channels",
    "usergroups:read": "queues whose people are a user group",
    "users:read.email": "queues whose people are listed by e-mail address",
}
"""Scopes that the admin may decline: https://docs.slack.dev/changelog/2026/03/16/optional-scopes"""

EVENTS: Mapping[str, tuple[str, ...]] = {
    "app_mention": ("app_mentions:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "user_change": ("users:read",),
}
"""Bot events, each with the scopes of which it needs one: https://docs.slack.dev/reference/events"""

EVENTS_PATH = "/slack/events"

Mode = Literal["socket", "http"]


def manifest(
    *, mode: Mode, base_url: str = "", command: str = "/return", name: str = "Handoff bridge"
) -> dict[str, Any]:
    """Return the manifest as a JSON object.

    `socket` needs no address, `http` an https one that Slack can reach. Raises SettingsError where that is missing.
    """
    base = base_url.rstrip("/")
    if mode == "http" and not base.startswith("https://"):
        raise SettingsError("--base-url: HTTP mode needs the https:// address at which Slack reaches the bridge")
    # Slack takes one address for all three: https://docs.slack.dev/apis/events-api/using-http-request-urls
    url = {"url": f"{base}{EVENTS_PATH}"} if mode == "http" else {}
    request_url = {"request_url": f"{base}{EVENTS_PATH}"} if mode == "http" else {}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": name,
            "description": "Moves web chats from the AI agent to your team in Slack threads, and back.",
            "background_color": "#1f2937",
        },
        "features": {
            "app_home": {"home_tab_enabled": False, "messages_tab_enabled": False},
            "bot_user": {"display_name": "bridge", "always_online": True},
            "slash_commands": [
                {
                    "command": command,
                    **url,
                    "description": "Give a conversation back to the AI agent",
                    "usage_hint": "[ticket] [note for the agent]",
                    "should_escape": True,
                }
            ],
            "shortcuts": [
                {"name": label, "type": "message", "callback_id": callback, "description": description}
                for callback, (label, description) in SHORTCUTS.items()
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES), "bot_optional": sorted(OPTIONAL_SCOPES)}},
        "settings": {
            "event_subscriptions": {**request_url, "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, **request_url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }


def dump(document: Mapping[str, Any], form: Literal["yaml", "json"]) -> str:
    """Return the text to paste at https://api.slack.com/apps ("From a manifest")."""
    if form == "json":
        return json.dumps(document, indent=2) + "\n"
    return yaml.safe_dump(dict(document), sort_keys=False, width=110, allow_unicode=True)
