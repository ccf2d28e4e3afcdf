"""The tokens that the bot's calls bear."""

from dataclasses import dataclass, field

from aiohttp import web

from adapters.sandbox.teams.records import TeamsError

CONNECTOR_AUDIENCE = "https://api.botframework.com"
GRAPH_AUDIENCE = "https://graph.microsoft.com"


@dataclass(kw_only=True, slots=True)
class Grant:
    """What an issued token is good for."""

    audience: str
    expires_at: float


@dataclass(kw_only=True, slots=True)
class Grants:
    """The tokens that were issued."""

    tokens: dict[str, Grant] = field(default_factory=dict)

    def check(self, request: web.Request, audience: str, now: float) -> None:
        """Raise TeamsError 401 unless the request bears a token for this audience that is still good."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None or grant.audience != audience:
            raise TeamsError(401, "Unauthorized", "Authorization has been denied for this request.")
        if grant.expires_at <= now:
            raise TeamsError(401, "TokenExpired", "The token has expired.")
