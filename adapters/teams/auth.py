"""Who may speak to `/api/messages`: Microsoft's library checks the token, the rest is checked here.

The token proves that Bot Framework sent the request to this app. It proves neither the tenant nor, by itself, the
address
to answer to (https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication). The
library raises many things for a bad token; whatever it raises is a refusal.
"""

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
        if local is not None and not all(_is_here(url) for url in (local.service_url, local.metadata_url) if url):
            raise SettingsError("HANDOFF_TEAMS: a local Teams has to be on this machine, at 127.0.0.1 or localhost")
        self._settings = settings
        self._signs = local is None or bool(local.metadata_url)
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

    def check_header(self, header: str) -> None:
        """Raise NotAdmitted for a request that cannot be right, before a byte of it is read."""
        if not header and not self._signs:
            return
        scheme, _, token = header.partition(" ")
        if scheme != "Bearer" or token.count(".") != 2:
            raise NotAdmitted(401, "no_bearer_token")

    async def check(self, header: str, activity: Activity, remote: str | None) -> None:
        """Raise NotAdmitted for whoever may not speak to us. May block on the network for the keys."""
        if header or self._signs:
            await self._check_token(header, activity)
        elif not _is_loopback(remote):
            raise NotAdmitted(401, "not_local")
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
    host = urlsplit(url).hostname or ""
    return host == "localhost" or _is_loopback(host)


def _is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False
