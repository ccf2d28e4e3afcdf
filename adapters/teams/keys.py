"""The keys that sign what Teams sends, fetched from Microsoft's OpenID metadata and kept for a day.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication. The library would
fetch
them within the event loop and without a time limit, and fail on a key that it does not know yet, until its copy is a
day
old: after a change of keys nothing would be heard.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from jwt import PyJWK, PyJWTError

from bridge import log as logs
from bridge.ids import Millis
from bridge.ports import Clock

log = logs.get("teams.keys")
MAX_AGE_MS = 24 * 60 * 60 * 1000
AGAIN_AFTER_MS = 60 * 1000
"""How soon keys are fetched again for one that is not known: anybody can name such a key."""
FETCH_WITHIN_S = 10.0
MAX_BYTES = 1024 * 1024


class KeysUnavailable(Exception):
    """No keys could be had: nobody can be told from anybody. Answer 503, so that Teams delivers again."""


class UnknownKey(Exception):
    """A token names a key that Microsoft does not publish, or not for any channel."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as the library wants it."""

    public_key: Any
    endorsements: list[str]


class SigningKeys:
    """Stands in for the library's own store of keys."""

    def __init__(self, metadata_url: str, clock: Clock) -> None:
        """Fetch nothing yet."""
        self._url, self._clock = metadata_url, clock
        self._keys: dict[str, SigningKey] = {}
        self._fetched_at: Millis | None = None
        self._tried_at: Millis | None = None
        self._fetching = asyncio.Lock()

    async def get(self, key_id: str | None) -> SigningKey:
        """Return a key. May block on the network for 10 s. Raises UnknownKey, KeysUnavailable."""
        if self._is_old() or key_id not in self._keys:
            async with self._fetching:
                if self._is_old() or (key_id not in self._keys and self._may_ask_again()):
                    await self._fetch()
        if not self._keys:
            raise KeysUnavailable(self._url)
        found = self._keys.get(key_id or "")
        if found is None or not found.endorsements:
            # The library lets a key that is endorsed for no channel speak for each of them.
            raise UnknownKey
        return found

    def _is_old(self) -> bool:
        if self._fetched_at is None:
            return self._may_ask_again(soon=True)
        return self._clock.now() - self._fetched_at > MAX_AGE_MS and self._may_ask_again()

    def _may_ask_again(self, *, soon: bool = False) -> bool:
        wait_ms = 1000 if soon else AGAIN_AFTER_MS
        return self._tried_at is None or abs(self._clock.now() - self._tried_at) >= wait_ms

    async def _fetch(self) -> None:
        self._tried_at = self._clock.now()
        try:
            async with asyncio.timeout(FETCH_WITHIN_S), aiohttp.ClientSession() as session:
                metadata = await _document(session, self._url)
                found = (await _document(session, str(metadata["jwks_uri"])))["keys"]
            keys = {str(one["kid"]): _key(one) for one in found if one.get("kid") and one.get("kty") == "RSA"}
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError, PyJWTError) as error:
            # Those that are there stay: Microsoft publishes new keys long before it drops the old ones.
            log.warning("signing_keys_not_fetched", url=self._url, reason=type(error).__name__)
            return
        self._keys, self._fetched_at = keys, self._clock.now()
        log.info("signing_keys_fetched", keys=len(keys))


def _key(jwk: dict[str, Any]) -> SigningKey:
    return SigningKey(PyJWK.from_dict(jwk, algorithm="RS256").key, [str(one) for one in jwk.get("endorsements") or []])


async def _document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as answer:
        answer.raise_for_status()
        raw = await answer.content.read(MAX_BYTES + 1)
        while not answer.content.at_eof() and len(raw) <= MAX_BYTES:
            raw += await answer.content.read(MAX_BYTES + 1 - len(raw))
    document = json.loads(raw)
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document
