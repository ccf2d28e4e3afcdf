"""Signatures, judged by the public library."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from adapters.agents.signing import BadSignature, key_of, sign, verify
from bridge.errors import SettingsError
from tests.adapters.agents.server import SECRET

NOW_S = int(datetime.now(UTC).timestamp())
KEY = key_of(SECRET)


@given(st.text(max_size=200))
def test_the_public_library_accepts_what_we_sign(text: str) -> None:
    """Any receiver with a Standard Webhooks library can verify a turn."""
    body = f'{{"text": "{text}"}}'.encode()
    headers = sign(KEY, "t_1_1", NOW_S, body)
    theirs = Webhook(SECRET).sign("t_1_1", datetime.fromtimestamp(NOW_S, tz=UTC), body.decode())

    assert headers["webhook-signature"] == theirs
    assert verify([KEY], headers, body, NOW_S) == "t_1_1"


def test_a_rotation_accepts_old_and_new() -> None:
    """During a rotation either key verifies, whichever side changed first."""
    other = key_of("whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=")
    headers = sign(KEY, "t_1", NOW_S, b"{}")

    assert verify([other, KEY], headers, b"{}", NOW_S) == "t_1"
    both = {**headers, "webhook-signature": "v1,AAAA " + headers["webhook-signature"]}
    assert verify([KEY], both, b"{}", NOW_S) == "t_1"


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,not base64 at all!"},
        {"webhook-signature": "v1,\u00e9\u00e9"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-id": "another"},
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "\u0661\u0662"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": str(NOW_S - 301)},
        {"webhook-timestamp": str(NOW_S + 301)},
    ],
)
def test_what_is_not_signed_so_is_refused(changes: dict[str, str]) -> None:
    """Every malformed or foreign header ends in BadSignature, and in nothing else."""
    headers = {**sign(KEY, "t_1", NOW_S, b"{}"), **changes}

    with pytest.raises(BadSignature):
        verify([KEY], headers, b"{}", NOW_S)


def test_another_body_is_refused() -> None:
    """The signature covers each byte, also of a body that is no text."""
    headers = sign(KEY, "t_1", NOW_S, b"\xff\xfe")

    assert verify([KEY], headers, b"\xff\xfe", NOW_S) == "t_1"
    with pytest.raises(BadSignature):
        verify([KEY], headers, b"\xff\xff", NOW_S)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_short", "plain words", "whsec_!!!!", "QUJDREVGR0hJSktMTU5P"])
def test_a_weak_secret_stops_the_start(secret: str) -> None:
    """A secret that is none is one line that says how to make one, and does not show the secret."""
    with pytest.raises(SettingsError, match=r"^agent\.secret: .*openssl rand") as caught:
        key_of(secret)

    assert len(secret) < 8 or secret not in str(caught.value)
