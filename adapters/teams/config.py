"""What the Teams desk is told at its construction. No environment is read here."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from bridge.errors import SettingsError
from bridge.ids import DeskName

AppType = Literal["SingleTenant", "UserAssignedMsi", "MultiTenant"]

GLOBAL_SERVICE_URL = "https://smba.trafficmanager.net/teams/"
"""Where to begin before Teams has told its own address:
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages.
"""

SERVICE_HOSTS = frozenset(
    {
        "smba.trafficmanager.net",
        "smba.infra.gcc.teams.microsoft.com",
        "smba.infra.gov.teams.microsoft.us",
        "smba.infra.dod.teams.microsoft.us",
    }
)
"""Hosts that may be given the bot's token: the connectors of the public cloud, GCC, GCC High and DoD."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Local:
    """Where a local Teams stands in for Microsoft. Every address must be of this machine.

    `unsigned`: it signs nothing and wants no tokens, as Microsoft's Agents Playground. Then it has neither of the next
    two addresses, and whoever calls has to be on this machine too.
    """

    service_url: str
    metadata_url: str
    """OpenID metadata with the keys that sign what comes in."""
    authority_url: str
    """Where tokens for what goes out come from, instead of https://login.microsoftonline.com."""
    graph_url: str = ""
    unsigned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamsSettings:
    """One team's bot. `tenants` may speak to it; the bot's own tenant always may.

    `graph`: the admin has granted it to read channel messages and files through Graph. `slash`: the manifest offers
    slash commands. `roster_max_age_s`: how old what is known of a person may be.
    """

    app_id: str
    app_password: str = field(default="", repr=False)
    app_type: AppType = "SingleTenant"
    tenant_id: str = ""
    tenants: frozenset[str] = frozenset()
    service_url: str = GLOBAL_SERVICE_URL
    graph: bool = False
    slash: bool = False
    desk: DeskName = DeskName("teams")
    call_timeout_s: float = 10.0
    roster_max_age_s: float = 30.0
    reorder_window_s: float = 0.4
    max_body_bytes: int = 256 * 1024
    local: Local | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError, in one line, for what cannot work: an empty app id would switch all checks off."""
        if not self.app_id:
            raise SettingsError("HANDOFF_TEAMS__APP_ID: is not set; copy the Microsoft App ID of your Azure Bot")
        if self.app_type != "MultiTenant" and not self.tenant_id:
            raise SettingsError("HANDOFF_TEAMS__TENANT_ID: is not set; copy the tenant ID of your Azure Bot")
        if self.app_type != "UserAssignedMsi" and not self.app_password and not self.is_unsigned:
            raise SettingsError("HANDOFF_TEAMS__APP_PASSWORD: is not set; make a client secret for your Azure Bot")

    @property
    def is_unsigned(self) -> bool:
        """Whether nothing is signed on either way: a local Teams for trying things out, and nothing else."""
        return self.local is not None and self.local.unsigned

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """Tenants whose people may speak to the bot."""
        return self.tenants | ({self.tenant_id} if self.tenant_id else frozenset())

    def trusts(self, service_url: str) -> bool:
        """Tell whether the bot's token may be sent to this address."""
        parts = urlsplit(service_url)
        if self.local is not None:
            local = urlsplit(self.local.service_url)
            return (parts.scheme, parts.netloc) == (local.scheme, local.netloc)
        return parts.scheme == "https" and parts.username is None and (parts.hostname or "") in SERVICE_HOSTS
