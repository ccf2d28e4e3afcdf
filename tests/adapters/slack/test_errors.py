"""Slack's errors as outcomes: the whole table."""

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.slack.errors import REMEDIES, CallFailed, call_failed, outcome, repeatable
from bridge.outcomes import Delivered, Refused, RetryLater, Unknown

ANSWERS = [
    (429, "ratelimited", {"Retry-After": "12"}, RetryLater(after_s=12.0, reason="ratelimited", channel_wide=True)),
    (429, "ratelimited", {"retry-after": "0.5"}, RetryLater(after_s=0.5, reason="ratelimited", channel_wide=True)),
    (429, "http_429", {}, RetryLater(after_s=30.0, reason="http_429", channel_wide=True)),
    (429, "ratelimited", {"Retry-After": "soon"}, RetryLater(after_s=30.0, reason="ratelimited", channel_wide=True)),
    (200, "rate_limited", {}, RetryLater(after_s=30.0, reason="rate_limited", channel_wide=True)),
    (200, "message_limit_exceeded", {}, RetryLater(after_s=60.0, reason="message_limit_exceeded", channel_wide=True)),
    (200, "internal_error", {}, Unknown(reason="internal_error")),
    (200, "fatal_error", {}, Unknown(reason="fatal_error")),
    (200, "request_timeout", {}, Unknown(reason="request_timeout")),
    (200, "service_unavailable", {}, Unknown(reason="service_unavailable")),
    (500, "http_500", {}, Unknown(reason="http_500")),
    (502, "http_502", {}, Unknown(reason="http_502")),
    (503, "ratelimit", {}, Unknown(reason="ratelimit")),
    (200, "http_200", {}, Unknown(reason="http_200")),
]


@pytest.mark.parametrize("status, code, headers, expected", ANSWERS)
def test_what_may_pass_is_told_from_what_may_have_been_done(
    status: int, code: str, headers: dict[str, str], expected: RetryLater | Unknown
) -> None:
    """A rate limit was not applied; an inner error may have been."""
    assert outcome("chat.postMessage", status, code, headers, {}) == expected


def test_only_posts_rest_the_channel() -> None:
    """Slack limits each method by itself."""
    limited = outcome("chat.update", 429, "ratelimited", {"Retry-After": "3"}, {})

    assert limited == RetryLater(after_s=3.0, reason="ratelimited", channel_wide=False)


@pytest.mark.parametrize("code", [*REMEDIES, "something_new"])
def test_every_refusal_has_a_remedy(code: str) -> None:
    """What will never work says in a sentence what to do."""
    refused = outcome("chat.postMessage", 200, code, {}, {})

    assert isinstance(refused, Refused)
    assert refused.remedy.endswith(".")


def test_a_missing_scope_is_named() -> None:
    """The remedy names the scope."""
    refused = outcome("users.info", 200, "missing_scope", {}, {"needed": "users:read"})

    assert isinstance(refused, Refused)
    assert "users:read" in refused.remedy


RAISED = [
    (TimeoutError(), Unknown(reason="timeout")),
    (aiohttp.ServerDisconnectedError(), Unknown(reason="connection_broke")),
    (aiohttp.ClientOSError(104, "reset"), Unknown(reason="connection_broke")),
    (aiohttp.ClientPayloadError(), Unknown(reason="connection_broke")),
    (aiohttp.ServerTimeoutError(), Unknown(reason="timeout")),
    (aiohttp.ConnectionTimeoutError(), RetryLater(after_s=0.0, reason="unreachable")),
    (AttributeError("'str' object has no attribute 'get'"), Unknown(reason="unreadable_answer")),
]


@pytest.mark.parametrize("error, expected", RAISED, ids=[type(error).__name__ for error, _ in RAISED])
def test_broken_connections_are_unclear(error: Exception, expected: RetryLater | Unknown) -> None:
    """Only a connection that never stood is known not to have done anything."""
    assert call_failed("chat.postMessage", error).outcome == expected


def test_an_sdk_error_holds_no_token() -> None:
    """The request, with its Authorization header, does not travel on with the failure."""
    response = AsyncSlackResponse(
        client=None,
        http_verb="POST",
        api_url="https://slack.com/api/chat.postMessage",
        req_args={"headers": {"Authorization": "Bearer xoxb-canary"}},
        data={"ok": False, "error": "not_in_channel"},
        headers={},
        status_code=200,
    )
    error = SlackApiError("no", response)  # type: ignore[no-untyped-call]  # the SDK has no annotations here
    failed = call_failed("chat.postMessage", error)

    assert isinstance(failed, CallFailed)
    assert failed.code == "not_in_channel"
    assert "canary" not in repr(failed) + str(failed) + repr(vars(failed))


def test_what_may_be_repeated_is_repeated() -> None:
    """Unclear becomes later where doing it twice is no harm; all else stays."""
    refused = Refused(reason="x", remedy="y.")

    assert repeatable(Unknown(reason="timeout")) == RetryLater(after_s=0.0, reason="timeout")
    assert repeatable(refused) is refused
    assert repeatable(Delivered()) == Delivered()
