"""Signatures after Standard Webhooks: HMAC-SHA256 over the raw bytes of `id.timestamp.body`.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

from bridge.errors import BridgeError, SettingsError

PREFIX = "whsec_"
TOLERANCE_S = 300
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


class BadSignature(BridgeError):
    """The request is not from who it says it is, or is too old. Answer 401 and read nothing of it."""


def key_of(secret: str) -> bytes:
    """Return the key that a secret `whsec_<base64>` stands for. Raises SettingsError."""
    mend = "make one with: echo whsec_$(openssl rand -base64 32)"
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SettingsError(f"agent.secret: is not whsec_ and base64; {mend}") from error
    if not secret.startswith(PREFIX) or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise SettingsError(f"agent.secret: is not whsec_ and the base64 of 24 to 64 random bytes; {mend}")
    return key


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a signed message. `message_id` holds no dot."""
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp_s),
        SIGNATURE: f"v1,{_mac(key, message_id, str(timestamp_s), body)}",
    }


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_s: int) -> str:
    """Return the message's id if one of the keys signed it within five minutes of `now_s`. Raises BadSignature.

    `headers` are looked up in lower case. Several keys allow a rotation. A repeat verifies again: remember the id for
    ten minutes to notice one.
    """
    message_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not message_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise BadSignature("webhook-id or webhook-timestamp is missing or no number")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise BadSignature("webhook-timestamp is more than five minutes off: is a clock wrong, or is it a replay?")
    given = [part[3:] for part in headers.get(SIGNATURE, "").split(" ") if part.startswith("v1,")]
    wanted = [_mac(key, message_id, timestamp, body) for key in keys]
    # All are compared, so that the time taken tells nothing.
    matches = [hmac.compare_digest(a.encode(), b.encode()) for a in given for b in wanted]
    if not any(matches):
        raise BadSignature("no signature fits: is the secret the same on both sides?")
    return message_id


def _mac(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, sha256).digest()
    return base64.b64encode(digest).decode()
