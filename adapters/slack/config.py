"""What the Slack desk needs to be told. The composition root fills it from the bridge's settings."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from bridge.errors import SettingsError
from bridge.ids import DeskName

SLACK_API_URL = "https://slack.com/api/"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackSettings:
    """One Slack workspace. Tokens never show in `repr`.

    `mode` is `socket` (no public address; needs `app_token`) or `http` (Slack calls `/slack/events`; needs
    `signing_secret`). `api_url` is other than Slack's only for a sandbox; the bot token goes there. Raises
    SettingsError.
    """

    bot_token: str = field(repr=False)
    app_token: str | None = field(default=None, repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    mode: Literal["socket", "http"] = "socket"
    api_url: str = SLACK_API_URL
    desk: DeskName = DeskName("slack")
    command: str = "/return"
    call_timeout_s: float = 10.0
    roster_max_age_s: float = 30.0
    connections: int = 2
    """Socket Mode connections; Slack allows ten per app."""
    socket_ping_s: float = 10.0
    modal_patience_s: float = 0.8
    """How long a modal may wait for the store before a "loading" one is opened (Slack's trigger lives 3 s)."""
    reorder_window_s: float = 0.4
    """Messages of a thread that reach us within this time of each other are taken in the order of Slack's `ts`."""
    file_max_bytes: int = 50 * 1024 * 1024
    files_per_message: int = 10

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.bot_token:
            raise SettingsError("Slack: the bot token is empty. Copy it from the app's page, Install App (xoxb-...).")
        if self.mode == "socket" and not self.app_token:
            raise SettingsError("Slack: Socket Mode needs an app-level token with connections:write (xapp-...).")
        if self.mode == "http" and not self.signing_secret:
            raise SettingsError("Slack: HTTP mode needs the signing secret from the app's page, Basic Information.")

    @property
    def base_url(self) -> str:
        """The API's address, ending in a slash, as the SDK wants it."""
        return self.api_url if self.api_url.endswith("/") else f"{self.api_url}/"

    @property
    def sandbox_origin(self) -> str | None:
        """`host:port` of a sandbox on this machine, or None for Slack itself."""
        parts = urlsplit(self.api_url)
        return parts.netloc if parts.hostname in LOOPBACK else None
