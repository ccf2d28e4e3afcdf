"""Direct Line tokens: JSON Web Tokens that bind site, conversation and customer, so that an id alone gives nothing.

The claim `user` must be a string: Web Chat takes it as `from.id` and ignores what the page says
(https://github.com/microsoft/BotFramework-DirectLineJS). The client refreshes on a fixed timer of 15 minutes whatever
the token's life, and a refused refresh ends the chat: hence days, and a time of grace.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import jwt

from adapters.directline.errors import DirectLineError, forged
from bridge.ids import ConversationId, Millis, SiteId

DAY_S = 86_400
LEEWAY_S = 60
MAX_KEPT = 4096
"""Tokens whose signature need not be checked again, about a kilobyte each: those of customers who are typing now. The
check is a twentieth of all that a line costs.
"""
_ALGORITHM = "HS256"


class Purpose(StrEnum):
    """What a token opens. A stream's token stands in an address, so it opens nothing else and ends soon."""

    TOKEN = "token"  # noqa: S105 -- the word, not a secret
    STREAM = "stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Whom a token speaks for. `verified`: the company's server vouched for `user`."""

    conversation: ConversationId
    user: str
    name: str = ""
    verified: bool = False
    trusted_origins: tuple[str, ...] = ()


class Tokens:
    """Issues and verifies tokens of one site."""

    def __init__(
        self,
        *,
        site: SiteId,
        signing_secrets: tuple[str, ...],
        token_days: float,
        grace_days: float,
        stream_token_s: int,
        now: Callable[[], Millis],
    ) -> None:
        """Derive one key per secret, so that the same secret may sign other things elsewhere."""
        self._site = site
        self._keys = [
            hmac.digest(s.encode(), b"handoff-bridge directline token", hashlib.sha256) for s in signing_secrets
        ]
        self.lifetime_s = int(token_days * DAY_S)
        self._grace_s = int(grace_days * DAY_S)
        self._stream_s = stream_token_s
        self._now = now
        self._proven_before = lru_cache(maxsize=MAX_KEPT)(self._proven)

    def issue(self, session: Session, purpose: Purpose = Purpose.TOKEN) -> str:
        """Return a token signed with the newest secret."""
        now_s = self._now() // 1000
        lifetime_s = self.lifetime_s if purpose is Purpose.TOKEN else self._stream_s
        claims: dict[str, Any] = {
            "site": self._site,
            "conv": session.conversation,
            "user": session.user,
            "pur": purpose.value,
            "iat": now_s,
            "exp": now_s + lifetime_s,
        }
        if session.name:
            claims["name"] = session.name
        if session.verified:
            claims["ver"] = True
        if session.trusted_origins:
            claims["origins"] = list(session.trusted_origins)
        return jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)

    def verify(
        self,
        token: str,
        *,
        purpose: Purpose = Purpose.TOKEN,
        conversation: str | None = None,
        grace: bool = False,
    ) -> Session:
        """Return whom the token speaks for.

        `conversation`, if given, must be the token's. `grace` also takes one that ended less than the grace time ago.
        Raises DirectLineError: 403 `BadToken` for a forged or foreign one, `TokenExpired` for an ended one (401 where a
        refresh would help, 403 after the time of grace).
        """
        # A page shows the same token with every request, a stream's once. What was refused is not kept.
        claims = (self._proven_before if purpose is Purpose.TOKEN else self._proven)(token)
        if claims.get("site") != self._site or claims.get("pur") != purpose.value:
            raise forged()
        if conversation is not None and claims.get("conv") != conversation:
            raise forged()
        over_s = self._now() // 1000 - claims["exp"]
        if purpose is Purpose.STREAM and over_s > 0:
            raise DirectLineError(401, "TokenExpired", "This stream address was not used in time; ask for a new one.")
        if over_s > self._grace_s:
            raise DirectLineError(403, "TokenExpired", "This token ended too long ago; start a new conversation.")
        if over_s > LEEWAY_S and not grace:
            raise DirectLineError(401, "TokenExpired", "This token has ended; refresh it.")
        return Session(
            conversation=ConversationId(claims["conv"]),
            user=claims["user"],
            name=claims.get("name", ""),
            verified=claims.get("ver", False) is True,
            trusted_origins=tuple(claims.get("origins", ())),
        )

    def _proven(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token that one of our keys signed, however old it is. Raises DirectLineError."""
        for key in self._keys:
            try:
                return dict(
                    jwt.decode(
                        token,
                        key,
                        algorithms=[_ALGORITHM],
                        # Time is ours to judge: there is a grace, and the clock is a parameter.
                        options={"require": ["exp", "iat"], "verify_exp": False, "verify_iat": False},
                    )
                )
            except jwt.PyJWTError:
                continue
        raise forged()
