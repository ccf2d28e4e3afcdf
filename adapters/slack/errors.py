"""Slack's errors, and what they mean for us: one table. Vendor errors stop here.

Codes: https://docs.slack.dev/reference/methods/chat.postMessage#errors and the pages of the other methods.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bridge.outcomes import Outcome, Refused, RetryLater, Unknown

DEFAULT_RETRY_AFTER_S = 30.0

UNCLEAR = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
LATER = {"ratelimited": 0.0, "rate_limited": 0.0, "accesslimited": 60.0, "message_limit_exceeded": 60.0}

_REINSTALL = "Install the Slack app again and put its new bot token into the settings."
_INVITE = "Invite the app into the channel: /invite @<the app's name> in that channel."
_REOPEN = "The message is gone in Slack; the bridge goes on without it."
_OURS = "Report this with the handoff's id: the bridge built a message that Slack does not take."

REMEDIES: Mapping[str, str] = {
    "not_authed": _REINSTALL,
    "invalid_auth": _REINSTALL,
    "account_inactive": _REINSTALL,
    "token_revoked": _REINSTALL,
    "token_expired": _REINSTALL,
    "not_allowed_token_type": "Use the bot token (xoxb-...), not a user or app-level token.",
    "team_access_not_granted": "An organisation admin has to add the app to this workspace.",
    "org_login_required": "The workspace is being moved into an organisation. Try again later.",
    "ekm_access_denied": "An administrator has suspended the app's access to messages.",
    "access_denied": "A workspace administrator has to allow the app to do this.",
    "missing_scope": "Add the missing scope to the app, then install it again.",
    "no_permission": "A workspace administrator has to allow the app to do this.",
    "not_in_channel": _INVITE,
    "user_not_in_channel": "The person is not in the channel.",
    "channel_not_found": "Check the queue's channel id in the settings, and invite the app into that channel.",
    "is_archived": "Unarchive the channel, or give the queue another one in the settings.",
    "restricted_action": "A workspace preference keeps the app from posting in this channel.",
    "restricted_action_read_only_channel": "The channel is read-only for the app. Allow it to post there.",
    "restricted_action_thread_only_channel": "The channel allows only threads. Give the queue another channel.",
    "restricted_action_non_threadable_channel": "The channel allows no threads. Give the queue another channel.",
    "restricted_action_thread_locked": "The thread was locked. Unlock it, or take the conversation back in a new one.",
    "cannot_reply_to_message": "This message takes no replies. Take the conversation back in a new thread.",
    "thread_not_found": "The thread is gone. Take the conversation back in a new one.",
    "message_not_found": _REOPEN,
    "cant_update_message": _REOPEN,
    "cant_delete_message": "Slack lets the app delete only its own messages.",
    "edit_window_closed": "The workspace's settings allow no edits this late. Allow editing at any time.",
    "blocked_file_type": "The workspace does not allow files of this type.",
    "file_uploads_disabled": "File uploads are switched off in this workspace.",
    "storage_limit_reached": "The workspace has no storage left for files.",
    "msg_too_long": _OURS,
    "msg_blocks_too_long": _OURS,
    "invalid_blocks": _OURS,
    "invalid_blocks_format": _OURS,
    "invalid_arguments": _OURS,
    "metadata_too_large": _OURS,
    "no_text": _OURS,
}


UNTIL_MENDED = frozenset({
    "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
    "team_access_not_granted", "org_login_required", "ekm_access_denied", "access_denied", "missing_scope",
    "no_permission", "not_in_channel", "channel_not_found", "is_archived", "restricted_action",
    "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
    "restricted_action_non_threadable_channel",
})  # fmt: skip
"""What keeps everything from its place, not this message alone."""


class CallFailed(Exception):
    """A call to Slack did not do what it should. `outcome` says what is known; `code` is Slack's, or ours in words.

    `outcome` is never Delivered.
    """

    def __init__(self, method: str, code: str, outcome: RetryLater | Refused | Unknown) -> None:
        """Keep what is known, and never the request, which holds a token."""
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code
        self.outcome = outcome


def call_failed(method: str, error: Exception) -> CallFailed:
    """Translate what the SDK raised."""
    if isinstance(error, SlackApiError):
        return _answered(method, error.response)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return CallFailed(method, "unreachable", RetryLater(after_s=0.0, reason="unreachable"))
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return CallFailed(method, "timeout", Unknown(reason="timeout"))
    if isinstance(error, aiohttp.ClientError | OSError):
        return CallFailed(method, "connection_broke", Unknown(reason="connection_broke"))
    return CallFailed(method, "unreadable_answer", Unknown(reason="unreadable_answer"))


def _answered(method: str, response: Any) -> CallFailed:
    status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)
    data = getattr(response, "data", None)
    body: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    code = str(body.get("error") or f"http_{status}")
    return CallFailed(method, code, outcome(method, status, code, getattr(response, "headers", None) or {}, body))


def outcome(
    method: str, status: int, code: str, headers: Mapping[str, str], body: Mapping[str, Any]
) -> RetryLater | Refused | Unknown:
    """Return what an answer other than `ok: true` means for the message that was sent. Pure."""
    if status == 429 or code in LATER:
        wait_s = _retry_after_s(headers) or LATER.get(code) or DEFAULT_RETRY_AFTER_S
        return RetryLater(after_s=wait_s, reason=code, channel_wide=method == "chat.postMessage")
    if status >= 500 or code in UNCLEAR or (status == 200 and code == "http_200"):
        return Unknown(reason=code)
    remedy = REMEDIES.get(code, f"Look up {code} on Slack's page of {method}.")
    if code == "missing_scope" and body.get("needed"):
        remedy = f"Add the scope {body['needed']} to the app, then install it again."
    return Refused(reason=code, remedy=remedy, until_mended=code in UNTIL_MENDED)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        return max(float(given), 0.0) if given is not None else None
    except ValueError:
        return None


def repeatable(failed: Outcome) -> Outcome:
    """Return the outcome for an operation that may safely be done twice: what is unclear is simply done again."""
    return RetryLater(after_s=0.0, reason=failed.reason) if isinstance(failed, Unknown) else failed
