"""Errors of Teams' connector and of Microsoft's sign-in, and what they mean for us: one table. Pure.

Status codes:
https://learn.microsoft.com/microsoftteams/platform/bots/build-conversational-capability#status-code-responses
and https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit. Codes of the sign-in:
https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

import re
from collections.abc import Mapping

from bridge.outcomes import Outcome, Refused, RetryLater, Unknown

LATER = frozenset({412, 429})
"""Certainly not applied; the connector asks to come again."""
BACKOFF_S = 5.0
"""How long a channel rests after a 429 that does not say how long: its shortest windows are one and two seconds."""

_REINSTALL = "Add the app to the team again, in Teams under Apps; the conversation then goes on by itself."
_UNBLOCK = "Let the app write in this team again: unarchive the team or the channel, or unblock the app."
_CHANNEL = "Check the queue's channel id in the settings, and that the app is in the channel's team."
_GONE = "The message is gone in Teams; the bridge goes on without it."
_OURS = "Report this with the handoff's id: the bridge built a message that Teams does not take."
_BOT = (
    "Teams did not accept the bot's token. Check that HANDOFF_TEAMS__APP_ID is the Azure Bot's, that its Teams channel "
    "is switched on, and HANDOFF_TEAMS__APP_TYPE and __TENANT_ID."
)

REMEDIES: Mapping[str, str] = {
    "BotNotInConversationRoster": _REINSTALL,
    "BotDisabledByAdmin": "An administrator has switched the app off in the Teams admin center: switch it on again.",
    "MessageWritesBlocked": _UNBLOCK,
    "ConversationBlockedByUser": _UNBLOCK,
    "ConversationNotFound": _CHANNEL,
    "ActivityNotFoundInConversation": _GONE,
    "MessageSizeTooBig": _OURS,
    "BadSyntax": _OURS,
    "BadArgument": _OURS,
}
MENDABLE = frozenset({"BotNotInConversationRoster", "BotDisabledByAdmin", "MessageWritesBlocked"})
"""What keeps everything from its place, not this message alone."""
GONE = frozenset({"ConversationNotFound", "ActivityNotFoundInConversation", "MemberNotFoundInConversation"})

SIGN_IN: Mapping[str, str] = {
    "AADSTS7000222": (
        "The bot's client secret has expired. Make a new one in Entra, under the app registration's Certificates & "
        "secrets, and put its value into HANDOFF_TEAMS__APP_PASSWORD."
    ),
    "AADSTS7000215": (
        "The bot's client secret is wrong. Put the secret's value, not its id, into HANDOFF_TEAMS__APP_PASSWORD; Entra "
        "shows the value only once, so make a new secret if it is lost."
    ),
    "AADSTS700016": (
        "Entra knows no such app in this tenant. Check HANDOFF_TEAMS__APP_ID, __TENANT_ID, and that __APP_TYPE says "
        "what the Azure Bot says (SingleTenant, UserAssignedMsi or MultiTenant)."
    ),
    "AADSTS90002": "Entra knows no such tenant. Check HANDOFF_TEAMS__TENANT_ID.",
    "AADSTS900023": "HANDOFF_TEAMS__TENANT_ID is no tenant's id. Copy it from the Azure Bot.",
    "AADSTS7000112": "The app registration is switched off in Entra. An administrator has to enable it.",
    "AADSTS53003": "A conditional access rule of Entra keeps the bot out. An administrator has to allow it.",
}
ELSEWHERE = frozenset({"AADSTS700016", "AADSTS90002"})
"""The app may be known to the other authority: one tenant's, or the one for bots of many tenants."""


class CallFailed(Exception):
    """A call to Teams did not do what it should. `outcome` says what is known; `code` is Teams', or ours in words.

    `outcome` is never Delivered.
    """

    def __init__(self, method: str, code: str, outcome: RetryLater | Refused | Unknown) -> None:
        """Keep what is known, and never the request, which holds a token."""
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code
        self.outcome = outcome


def answered(method: str, status: int, code: str, retry_after: str | None = None) -> CallFailed:
    """Translate an answer that is no success. Pure."""
    code = code if re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", code) else f"http_{status}"
    return CallFailed(method, code, outcome(method, status, code, retry_after))


def outcome(method: str, status: int, code: str, retry_after: str | None = None) -> RetryLater | Refused | Unknown:
    """Return what an answer means for what was asked. `method` is "create", "send", "update", "delete" or a reading.

    A 5xx may stand before or behind a message that was stored: nobody can tell.
    """
    if status in LATER:
        return RetryLater(after_s=_seconds(retry_after), reason=code, channel_wide=method in {"create", "send"})
    if status >= 500 or status == 408 or status < 400:
        return Unknown(reason=code)
    if status == 401:
        return Refused(reason=code, remedy=_BOT, until_mended=True)
    if status == 413:
        return Refused(reason=code, remedy=_OURS)
    missing_place = method == "create" and status == 404
    held = code in MENDABLE or missing_place or (status == 403 and method in {"create", "send"})
    fallback = {403: _UNBLOCK, 404: _CHANNEL if missing_place else _GONE}.get(status, _OURS)
    return Refused(reason=code, remedy=REMEDIES.get(code, fallback), until_mended=held)


def _seconds(retry_after: str | None) -> float:
    try:
        return max(float(retry_after), 0.1) if retry_after else BACKOFF_S
    except ValueError:
        return BACKOFF_S


def is_gone(failed: CallFailed) -> bool:
    """Tell whether the thread, or the message, is no longer there."""
    return failed.code in GONE or failed.code == "http_404"


def sign_in_code(words: str) -> str:
    """Return Entra's code in its words, or "" if there is none."""
    found = re.search(r"AADSTS\d{5,8}", words)
    return found.group() if found else ""


def not_signed_in(words: str) -> CallFailed:
    """Translate a sign-in that Entra refused. Nothing was sent, and nothing will be until somebody mends it."""
    code = sign_in_code(words)
    remedy = SIGN_IN.get(code, f"Look up {code or 'the error'} at https://login.microsoftonline.com/error and mend it.")
    return CallFailed(
        "sign_in",
        code or "sign_in_refused",
        Refused(reason=code or "sign_in_refused", remedy=remedy, until_mended=True),
    )


def unreachable(method: str, code: str = "unreachable") -> CallFailed:
    """Translate a connection that was never made: certainly nothing was sent."""
    return CallFailed(method, code, RetryLater(after_s=0.0, reason=code))


def unclear(method: str, code: str) -> CallFailed:
    """Translate a connection that broke while something was under way."""
    return CallFailed(method, code, Unknown(reason=code))


def repeatable(failed: Outcome) -> Outcome:
    """Return the outcome for an operation that may safely be done twice: what is unclear is simply done again."""
    return RetryLater(after_s=0.0, reason=failed.reason) if isinstance(failed, Unknown) else failed
