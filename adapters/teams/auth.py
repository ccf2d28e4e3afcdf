"""Who may speak to `/api/messages`: Microsoft's library checks the token, the rest is checked here.

The token proves that Bot Framework sent the request to this app. It proves neither the tenant nor, by itself, where to
answer (https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication). The library
raises many things for a bad token; whatever it raises is a refusal.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from botframework.connector.auth import (
    AuthenticationConstants,
    ChannelValidation,
    GovernmentChannelValidation,
    GovernmentConstants,
    JwtTokenExtractor,
    SimpleCredentialProvider,
)

from adapters.teams.activity import Activity
from adapters.teams.config import TeamsSettings
from adapters.teams.keys import KeysUnavailable, SigningKeys
from bridge import log as logs
from bridge.errors import SettingsError
from bridge.ports import Clock

log = logs.get("teams.auth")
CHANNEL = "msteams"
FROM_ELSEWHERE = (
    "Forwarded", "Via", "Origin", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "X-Original-Host",
    "CF-Connecting-IP", "True-Client-IP",
)  # fmt: skip
"""What a proxy, a tunnel or a page in a browser of this machine adds to what it passes on for somebody else."""


class NotAdmitted(Exception):
    """A request that is not let in. `status` is what to answer; `reason` is a constant name, and no secret."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Auth:
    """Lets in what Teams sends from the tenants that the settings name."""

    def __init__(self, settings: TeamsSettings, clock: Clock) -> None:
        """Fetch nothing yet. Raises SettingsError where nobody, or everybody, could come in."""
        if not settings.allowed_tenants:
            raise SettingsError("HANDOFF_TEAMS__TENANTS: is not set; name the tenants whose people may use the bot")
        local = settings.local
        addresses = (local.service_url, local.metadata_url, local.authority_url, local.graph_url) if local else ()
        if not all(_is_here(url) for url in addresses if url):
            raise SettingsError("HANDOFF_TEAMS: a local Teams has to be on this machine, at 127.0.0.1 or localhost")
        if local is not None and local.unsigned == bool(local.metadata_url):
            raise SettingsError("HANDOFF_TEAMS: a local Teams has signing keys or is unsigned, one of the two")
        self._settings = settings
        us_government = (urlsplit(settings.service_url).hostname or "").endswith(".us") and local is None
        constants = GovernmentConstants if us_government else AuthenticationConstants
        url = local.metadata_url if local is not None else constants.TO_BOT_FROM_CHANNEL_OPENID_METADATA_URL
        self._validation = GovernmentChannelValidation if us_government else ChannelValidation
        self._credentials = SimpleCredentialProvider(settings.app_id, settings.app_password)
        self._extractor = JwtTokenExtractor(
            self._validation.TO_BOT_FROM_CHANNEL_TOKEN_VALIDATION_PARAMETERS,
            url,
            AuthenticationConstants.ALLOWED_SIGNING_ALGORITHMS,
        )
        self.keys = SigningKeys(url, clock)
        self._extractor.open_id_metadata = self.keys

    def check_head(self, headers: Mapping[str, str], remote: str | None) -> None:
        """Raise NotAdmitted for a request that cannot be right, before a byte of it is read. `headers` are found in any
        case; `remote` is the address that the connection comes from.
        """
        header = headers.get("Authorization", "")
        if self._settings.is_unsigned:
            self._check_unsigned(headers, remote)
            return
        scheme, _, token = header.partition(" ")
        if scheme != "Bearer" or token.count(".") != 2:
            raise NotAdmitted(401, "no_bearer_token")

    def _check_unsigned(self, headers: Mapping[str, str], remote: str | None) -> None:
        """Where nothing is signed, the connection must begin on this machine and be meant for it."""
        if headers.get("Authorization"):
            raise NotAdmitted(401, "token_not_expected")  # nobody here could check it
        passed_on = any(name in headers for name in FROM_ELSEWHERE)
        if not _is_loopback(remote) or passed_on or not _is_here(f"http://{headers.get('Host', '')}"):
            raise NotAdmitted(401, "not_local")

    async def check(self, headers: Mapping[str, str], activity: Activity, remote: str | None) -> None:
        """Raise NotAdmitted for whoever may not speak to us. May block on the network for the keys."""
        self.check_head(headers, remote)
        if not self._settings.is_unsigned:
            await self._check_token(headers["Authorization"], activity)
        if activity.channel_id != CHANNEL:
            raise NotAdmitted(403, "not_teams")
        if activity.tenant not in self._settings.allowed_tenants:
            raise NotAdmitted(403, "foreign_tenant")
        if not self._settings.trusts(activity.service_url):
            raise NotAdmitted(403, "service_url_not_trusted")

    async def _check_token(self, header: str, activity: Activity) -> None:
        try:
            identity = await self._extractor.get_identity_from_auth_header(header, activity.channel_id)
            identity = await self._validation.validate_identity(identity, self._credentials)
        except KeysUnavailable:
            raise NotAdmitted(503, "no_signing_keys") from None
        except Exception as error:  # noqa: BLE001 -- see above
            # Anything else is a token that the library could not make sense of or refused.
            log.info("token_refused", reason=type(error).__name__)
            raise NotAdmitted(401, "token_refused") from None
        if identity.get_claim_value("exp") is None:
            raise NotAdmitted(401, "token_never_expires")
        # The library asks this only of activities that name an address, and compares nothing else with the body.
        if identity.get_claim_value(ChannelValidation.SERVICE_URL_CLAIM) != activity.service_url:
            raise NotAdmitted(401, "service_url_not_in_token")


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or _is_loopback(host)


def _is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False
