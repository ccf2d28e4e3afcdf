"""The doctor's echo through Slack: a test thread is posted, heard by the bridge, read back, and removed."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp

from adapters.doctor.findings import Finding
from adapters.doctor.slack import Slack, refused
from bridge.settings import Settings

TEXTS = (
    "Test message of handoff-bridge doctor. It removes itself; nobody has to do anything.",
    "Test reply of handoff-bridge doctor.",
)
"""The root of the thread, and what is said in it."""
AGE = "handoff_slack_last_event_age_seconds"
LOOK_EVERY_S = 0.25


async def findings(settings: Settings, http: aiohttp.ClientSession, *, within_s: float) -> AsyncIterator[Finding]:
    """Post into the first queue's channel, and remove all of it again whatever is found."""
    channel = next((queue.channels[0] for queue in settings.queues if queue.desk == "slack"), None)
    if channel is None:
        return
    slack, posted, began = Slack(http, settings), list[str](), time.monotonic()
    try:
        async for finding in _post(slack, channel, posted):
            yield finding
        if len(posted) == len(TEXTS):
            yield await _read_back(slack, channel, posted)
            yield await _heard(settings, http, began, within_s)
    finally:
        left = [ts for ts in reversed(posted) if not await _removed(slack, channel, ts)]
    if left:
        remedy = f"Delete it by hand in {channel}."
        yield Finding(verdict="warn", subject="Slack post", detail="the test message is still there", remedy=remedy)


async def _removed(slack: Slack, channel: str, ts: str) -> bool:
    answer, _ = await slack.call("chat.delete", fields={"channel": channel, "ts": ts})
    return bool(answer.get("ok"))


async def _post(slack: Slack, channel: str, posted: list[str]) -> AsyncIterator[Finding]:
    """Post a root and a reply, and keep what was posted in `posted`."""
    for text in TEXTS:
        fields = {"channel": channel, "text": text, **({"thread_ts": posted[0]} if posted else {})}
        answer, _ = await slack.call("chat.postMessage", fields=fields)
        if not answer.get("ok"):
            yield refused("Slack post", str(answer.get("error")))
            return
        posted.append(str(answer.get("ts")))
    yield Finding(verdict="good", subject="Slack post", detail=f"a thread in {channel}")


async def _read_back(slack: Slack, channel: str, posted: list[str]) -> Finding:
    answer, _ = await slack.call("conversations.replies", fields={"channel": channel, "ts": posted[0]})
    if not answer.get("ok"):
        return refused("Slack read-back", str(answer.get("error")))
    there = {str(message.get("ts")) for message in answer.get("messages") or []}
    if set(posted) <= there:
        return Finding(verdict="good", subject="Slack read-back", detail="the thread can be read")
    remedy = "Run this again in a minute; then look whether the app may read the channel's history."
    return Finding(
        verdict="bad", subject="Slack read-back", detail="what was posted is not in the thread", remedy=remedy
    )


async def _heard(settings: Settings, http: aiohttp.ClientSession, began: float, within_s: float) -> Finding:
    """Wait until the bridge has had an event of Slack that is younger than our post."""
    age: float | None = None
    problem = ""
    while time.monotonic() - began < within_s:
        asked = time.monotonic()
        age, problem = await _age(settings, http)
        if problem:
            break
        if age is not None and age < asked - began:
            return Finding(verdict="good", subject="Slack echo", detail="Slack told the bridge of the test message")
        await asyncio.sleep(LOOK_EVERY_S)
    if problem:
        return Finding(verdict="warn", subject="Slack echo", detail=f"not proven: {problem}", remedy=_REMEDIES[problem])
    way = "connections:write and Socket Mode" if settings.slack.mode == "socket" else "the Request URL"
    remedy = (
        f"In the app's page look at Event Subscriptions and {way}; another bridge with the same app takes events away."
    )
    return Finding(verdict="bad", subject="Slack echo", detail="the bridge heard nothing of it", remedy=remedy)


_NO_KEY = "/metrics wants an admin key"
_NOT_THERE = "/metrics does not answer"
_REMEDIES = {
    _NO_KEY: "Put a key of role admin into HANDOFF_API_KEYS; the doctor uses it.",
    _NOT_THERE: "Start handoff-bridge serve, and let this machine reach its /metrics.",
}


async def _age(settings: Settings, http: aiohttp.ClientSession) -> tuple[float | None, str]:
    """Return how long ago the bridge last heard Slack, or what keeps us from knowing."""
    key = next((each.key.get_secret_value() for each in settings.api_keys if each.role == "admin"), "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with http.get(f"{settings.public_url}/metrics", headers=headers) as answer:
            if answer.status in {401, 403}:
                return None, _NO_KEY
            text = await answer.text() if answer.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None, _NOT_THERE
    if not text:
        return None, _NOT_THERE
    line = next((line for line in text.splitlines() if line.startswith(f"{AGE} ")), "")
    return (float(line.split()[1]) if line else None), ""
