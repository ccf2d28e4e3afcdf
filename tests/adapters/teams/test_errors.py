"""What Teams' and Microsoft's answers mean for what was sent."""

import pytest

from adapters.teams.errors import BACKOFF_S, CallFailed, answered, is_gone, not_signed_in, outcome, repeatable
from bridge.outcomes import Refused, RetryLater, Unknown

POSTS = ("create", "send")


@pytest.mark.parametrize("method", ["create", "send", "update", "delete", "member"])
@pytest.mark.parametrize("status", [429, 412])
def test_come_again_is_certainly_not_applied(method: str, status: int) -> None:
    """Both rest the channel where something was to be posted."""
    assert outcome(method, status, "x") == RetryLater(after_s=BACKOFF_S, reason="x", channel_wide=method in POSTS)


@pytest.mark.parametrize(
    "given, after_s", [("7", 7.0), ("0", 0.1), ("soon", BACKOFF_S), ("", BACKOFF_S), (None, BACKOFF_S)]
)
def test_a_stated_time_is_kept(given: str | None, after_s: float) -> None:
    """Retry-After counts where it is a number; without one the channel rests all the same."""
    found = outcome("send", 429, "x", given)
    assert isinstance(found, RetryLater)
    assert found.after_s == after_s


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 301, 204])
def test_what_stands_before_or_behind_the_act_is_unclear(status: int) -> None:
    """Nobody knows whether it was stored."""
    assert outcome("send", status, "x") == Unknown(reason="x")


@pytest.mark.parametrize(
    "method, status, code, is_held, words",
    [
        ("send", 401, "Unauthorized", True, "HANDOFF_TEAMS__APP_ID"),
        ("send", 403, "BotNotInConversationRoster", True, "Add the app to the team again"),
        ("send", 403, "MessageWritesBlocked", True, "unarchive"),
        ("create", 403, "BotDisabledByAdmin", True, "admin center"),
        ("create", 404, "ConversationNotFound", True, "channel id"),
        ("create", 404, "http_404", True, "channel id"),
        ("update", 404, "ActivityNotFoundInConversation", False, "gone"),
        ("update", 403, "NotYours", False, "unblock"),
        ("send", 413, "MessageSizeTooBig", False, "Report"),
        ("send", 400, "BadSyntax", False, "Report"),
        ("send", 418, "x", False, "Report"),
    ],
)
def test_a_refusal_is_held_where_everything_there_would_be_refused(
    method: str, status: int, code: str, is_held: bool, words: str
) -> None:
    """What can be mended holds its place and says how; what is wrong with one message alone is given up."""
    found = outcome(method, status, code)
    assert isinstance(found, Refused)
    assert found.until_mended is is_held
    assert words in found.remedy


def test_a_strange_code_is_not_repeated() -> None:
    """Only what looks like a code of Teams' is kept; an answer's words could hold anything."""
    assert answered("send", 500, "<b>oh</b> token=1").code == "http_500"
    assert answered("send", 403, "MessageWritesBlocked").code == "MessageWritesBlocked"


@pytest.mark.parametrize(
    "code, gone",
    [
        ("ConversationNotFound", True),
        ("ActivityNotFoundInConversation", True),
        ("http_404", True),
        ("MessageWritesBlocked", False),
    ],
)
def test_a_thread_that_is_gone_is_known(code: str, gone: bool) -> None:
    """So that what was to be said there is said elsewhere."""
    assert is_gone(CallFailed("send", code, Unknown(reason=code))) is gone


@pytest.mark.parametrize("code", ["AADSTS7000222", "AADSTS7000215", "AADSTS700016", "AADSTS90002", "AADSTS53003"])
def test_a_sign_in_that_is_refused_has_its_remedy(code: str) -> None:
    """The words tell what to do and hold nothing of what Entra said."""
    failed = not_signed_in(
        f"invalid_client {code}: The provided client secret keys for app 'x' are expired. Trace ID: 1"
    )
    assert failed.code == code
    assert isinstance(failed.outcome, Refused)
    assert failed.outcome.until_mended
    assert "Trace" not in failed.outcome.remedy
    assert "login.microsoftonline.com/error" not in failed.outcome.remedy


def test_an_unknown_sign_in_error_says_where_to_look() -> None:
    """There are hundreds of codes."""
    failed = not_signed_in("invalid_grant AADSTS99999: something")
    assert isinstance(failed.outcome, Refused)
    assert "AADSTS99999" in failed.outcome.remedy
    assert not_signed_in("no code at all").code == "sign_in_refused"


def test_what_may_be_done_twice_is_never_unclear() -> None:
    """It is simply done again."""
    assert repeatable(Unknown(reason="x")) == RetryLater(after_s=0.0, reason="x")
    assert repeatable(Refused(reason="x", remedy="y")) == Refused(reason="x", remedy="y")
