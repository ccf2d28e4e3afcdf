"""The keys that stand in for Microsoft's: what signs activities to the bot, and what tokens for calls are made of.

Source of the claims: https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from adapters.sandbox.teams.records import ActRefused, Json

ISSUER = "https://api.botframework.com"
ENDORSEMENTS = ("msteams", "webchat", "directline", "skype")
TOKEN_KINDS = (
    "valid", "none", "not-bearer", "garbage", "expired", "expired-within-leeway", "not-yet", "wrong-audience",
    "wrong-issuer", "wrong-service-url", "no-service-url", "hs256", "unsigned", "unknown-key", "unpublished-key",
    "unendorsed",
)  # fmt: skip
"""What `POST /sandbox/deliver` can put into the Authorization header."""


@dataclass(kw_only=True, slots=True)
class Key:
    """One RSA key. `endorsements` are the channels that it may sign for."""

    kid: str
    private: rsa.RSAPrivateKey
    endorsements: tuple[str, ...] = ENDORSEMENTS

    def as_jwk(self) -> Json:
        """Return the public half as the key list shows it."""
        jwk = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return dict(jwk) | {"kid": self.kid, "use": "sig", "x5t": self.kid, "endorsements": list(self.endorsements)}


def _new_key(endorsements: tuple[str, ...] = ENDORSEMENTS) -> Key:
    kid = base64.urlsafe_b64encode(secrets.token_bytes(20)).decode().rstrip("=")
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Key(kid=kid, private=private, endorsements=endorsements)


@cache
def _first_keys() -> tuple[Key, Key]:
    """Return the keys that every sandbox of this process begins with: making them takes longer than the rest of it."""
    return _new_key(), _new_key(("emulator",))


@dataclass(kw_only=True, slots=True)
class Keys:
    """The sandbox's keys: one that signs, one that is endorsed for another channel only."""

    now: Callable[[], float]
    signing: Key = field(default_factory=lambda: _first_keys()[0])
    unendorsed: Key = field(default_factory=lambda: _first_keys()[1])

    def roll(self) -> None:
        """Sign with a new key from now on and forget the old one, as after a key rollover at Microsoft."""
        self.signing = _new_key()

    def as_jwks(self) -> Json:
        """Return the key list."""
        return {"keys": [self.signing.as_jwk(), self.unendorsed.as_jwk()]}

    def header(self, kind: str, *, audience: str, service_url: str) -> str | None:
        """Return an Authorization header for an activity to the bot: a good one, or one broken as `kind` says.

        None: send none. Raises ActRefused for a kind that is not in `TOKEN_KINDS`.
        """
        if kind not in TOKEN_KINDS:
            raise ActRefused("invalid_token", f"token must be one of: {', '.join(TOKEN_KINDS)}")
        plain = {"none": None, "not-bearer": "Basic dXNlcjpwYXNz", "garbage": "Bearer not.a.token"}
        if kind in plain:
            return plain[kind]
        claims = self._claims(kind, audience, service_url)
        if kind == "hs256":
            modulus = str(self.signing.as_jwk()["n"])
            return "Bearer " + jwt.encode(claims, modulus, algorithm="HS256", headers={"kid": self.signing.kid})
        if kind == "unsigned":
            return "Bearer " + jwt.encode(claims, "", algorithm="none", headers={"kid": self.signing.kid})
        key = self.unendorsed if kind == "unendorsed" else self.signing
        private = _new_key().private if kind in {"unknown-key", "unpublished-key"} else key.private
        kid = "not-in-the-list" if kind == "unknown-key" else key.kid
        return "Bearer " + jwt.encode(claims, private, algorithm="RS256", headers={"kid": kid})

    def _claims(self, kind: str, audience: str, service_url: str) -> Json:
        now = int(self.now())
        claims: Json = {
            "iss": ISSUER, "aud": audience, "nbf": now - 300, "exp": now + 3600, "serviceurl": service_url,
        }  # fmt: skip
        changes: dict[str, Json] = {
            "expired": {"nbf": now - 4200, "exp": now - 600},
            "expired-within-leeway": {"nbf": now - 4200, "exp": now - 120},
            "not-yet": {"nbf": now + 3600, "exp": now + 7200},
            "wrong-audience": {"aud": "00000000-1111-4222-8333-444444444444"},
            "wrong-issuer": {"iss": "https://sts.windows.net/somebody/"},
            "wrong-service-url": {"serviceurl": "https://smba.example/elsewhere/"},
        }
        claims |= changes.get(kind, {})
        if kind == "no-service-url":
            del claims["serviceurl"]
        return claims

    def issue(self, *, app_id: str, tenant: str, audience: str, life_s: float, issuer: str) -> str:
        """Return an access token for calls."""
        now = self.now()
        claims = {
            "aud": audience, "iss": issuer, "iat": int(now), "nbf": int(now), "exp": now + life_s, "appid": app_id,
            "azp": app_id, "tid": tenant, "ver": "1.0", "jti": secrets.token_hex(8),
        }  # fmt: skip
        return jwt.encode(claims, self.signing.private, algorithm="RS256", headers={"kid": "calls"})
