"""What a sandbox can be told: tokens, the app's configuration, limits and clocks."""

from dataclasses import dataclass, field

from adapters.sandbox.slack.records import Json, SlackError

SIGNING_SECRET = "sandbox-signing-secret"  # noqa: S105 - the sandbox's own, on loopback only
BOT_TOKEN = "xoxb-sandbox-bot-token"  # noqa: S105
APP_TOKEN = "xapp-sandbox-app-token"  # noqa: S105

DEFAULT_SCOPES = (
    "app_mentions:read", "channels:history", "channels:read", "chat:write", "commands", "files:read", "files:write",
    "users:read", "groups:history", "groups:read", "usergroups:read", "users:read.email",
)  # fmt: skip
"""What the app's own manifest asks for; whatever needs more fails here as it would in a real workspace."""
DEFAULT_EVENTS = (
    "app_mention",
    "member_joined_channel",
    "member_left_channel",
    "message.channels",
    "message.groups",
    "user_change",
)


def default_commands() -> list[Json]:
    """Return a fresh copy of the manifest's slash commands."""
    return [
        {
            "command": "/return",
            "description": "Give a conversation back to the AI agent",
            "usage_hint": "[ticket] [note for the agent]",
            "should_escape": True,
        }
    ]


def default_shortcuts() -> list[Json]:
    """Return a fresh copy of the manifest's shortcuts."""
    return [
        {
            "name": "Return to AI agent",
            "type": "message",
            "callback_id": "bridge_return_message",
            "description": "Give this thread's conversation back to the AI agent, with a note",
        },
        {
            "name": "Send to the customer",
            "type": "message",
            "callback_id": "bridge_send_message",
            "description": "Send a message of yours that was kept for colleagues",
        },
    ]


@dataclass(kw_only=True, slots=True)
class AppConfiguration:
    """What the app's admin page holds. Without a ``request_url`` the app is in Socket Mode."""

    request_url: str | None = None
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    bot_events: tuple[str, ...] = DEFAULT_EVENTS
    commands: list[Json] = field(default_factory=default_commands)
    shortcuts: list[Json] = field(default_factory=default_shortcuts)

    def update(self, body: Json) -> None:
        """Take over what a JSON body names: single fields, or a whole app ``manifest``, as Slack's admin page does."""
        manifest = body.get("manifest")
        if manifest is not None:
            self._take_manifest(manifest)
        if "request_url" in body:
            self.request_url = body["request_url"]
        if "scopes" in body:
            self.scopes = tuple(body["scopes"])
        if "bot_events" in body:
            self.bot_events = tuple(body["bot_events"])
        if "commands" in body:
            self.commands = list(body["commands"])
        if "shortcuts" in body:
            self.shortcuts = list(body["shortcuts"])

    def _take_manifest(self, manifest: Json) -> None:
        if not isinstance(manifest, dict):
            raise SlackError("invalid_manifest", detail="manifest must be an object")
        features, settings = manifest.get("features", {}), manifest.get("settings", {})
        scopes = manifest.get("oauth_config", {}).get("scopes", {})
        subscriptions = settings.get("event_subscriptions", {})
        self.commands = list(features.get("slash_commands", []))
        self.shortcuts = list(features.get("shortcuts", []))
        self.scopes = (*scopes.get("bot", []), *scopes.get("bot_optional", []))
        self.bot_events = tuple(subscriptions.get("bot_events", []))
        self.request_url = None if settings.get("socket_mode_enabled") else subscriptions.get("request_url")

    def as_json(self) -> Json:
        """Return it as ``GET /sandbox/app`` shows it."""
        return {
            "request_url": self.request_url,
            "socket_mode": self.request_url is None,
            "scopes": list(self.scopes),
            "bot_events": list(self.bot_events),
            "commands": self.commands,
            "shortcuts": self.shortcuts,
        }


@dataclass(kw_only=True, slots=True)
class SandboxSettings:
    """Everything fixed at the start of a sandbox.

    ``retry_scale`` multiplies Slack's waits before it sends an event again (0, 60 and 300 s). ``answer_timeout_s`` is
    how long an answer to an event or interaction may take. ``socket_ack_s`` is how long an envelope may stay
    unacknowledged before it is sent again. ``socket_hold_s`` is how long events wait while no connection is open.
    """

    host: str = "127.0.0.1"
    port: int = 0
    bot_token: str = BOT_TOKEN
    app_token: str = APP_TOKEN
    signing_secret: str = SIGNING_SECRET
    app: AppConfiguration = field(default_factory=AppConfiguration)
    posts_per_s: float = 1.0
    post_burst: int = 4
    retry_scale: float = 1.0
    answer_timeout_s: float = 3.0
    socket_ack_s: float = 3.0
    socket_hold_s: float = 60.0
    socket_ping_s: float = 10.0
