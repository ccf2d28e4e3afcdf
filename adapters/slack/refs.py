"""Our ids for Slack's things: `C1:1700000000.000100` for a message, `slack:T1:U1` for a person. Pure."""

import re

from bridge.ids import ChannelId, Millis, OperatorId, RemoteRef, SourceId


def remote_ref(channel: str, ts: str) -> RemoteRef:
    """Return the reference of a message."""
    return RemoteRef(f"{channel}:{ts}")


def split_ref(ref: RemoteRef) -> tuple[ChannelId, str]:
    """Return (channel, ts) of a reference made by `remote_ref`."""
    channel, _, ts = ref.partition(":")
    return ChannelId(channel), ts


def permalink(workspace: str, ref: RemoteRef) -> str:
    """Return the address of a message, or "" where the workspace's own (`url` of auth.test) is not known or strange.

    The form is that of https://docs.slack.dev/reference/methods/chat.getPermalink.
    """
    channel, ts = split_ref(ref)
    if not re.fullmatch(r"https?://[A-Za-z0-9.:-]+/", workspace) or not channel.isalnum():
        return ""
    return f"{workspace}archives/{channel}/p{ts.replace('.', '')}"


def operator_id(team: str, user: str) -> OperatorId:
    """Return the id of a person."""
    return OperatorId(f"slack:{team}:{user}")


def user_of(operator: str) -> str | None:
    """Return Slack's id of a person from an `OperatorId`; None if that is another desk's."""
    kind, _, rest = operator.partition(":")
    _, _, user = rest.partition(":")
    return user if kind == "slack" and user else None


def source_id(team: str, *parts: str) -> SourceId:
    """Return the key by which a repeat is recognised: Slack may deliver one thing twice under different event ids."""
    return SourceId(":".join(("slack", team, *parts)))


def millis(ts: str) -> Millis:
    """Return a message's `ts` as time. Raises ValueError for what is none."""
    seconds, _, fraction = ts.partition(".")
    return Millis(int(seconds) * 1000 + int((fraction or "0")[:3].ljust(3, "0")))


def stamp(at: Millis) -> str:
    """Return a time as Slack's `oldest` and `latest` take it."""
    return f"{at // 1000}.{at % 1000:03d}000"
