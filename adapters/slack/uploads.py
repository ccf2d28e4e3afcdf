"""Files into a thread. Source: https://docs.slack.dev/messaging/working-with-files#uploading_files."""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp

from adapters.slack.calls import SlackCalls
from adapters.slack.errors import CallFailed, call_failed
from bridge.conversation import FileRef
from bridge.errors import BridgeError
from bridge.outcomes import Refused
from bridge.ports import Files

SLACK_HOSTS = ("slack.com", "slack-edge.com", "slack-files.com", "slack-gov.com")


def is_slack(url: str, sandbox_origin: str | None) -> bool:
    """Tell whether an address is Slack's own, so that the token or a customer's bytes may go there."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if sandbox_origin is not None and parts.netloc == sandbox_origin:
        return parts.scheme in {"http", "https"}
    return parts.scheme == "https" and any(host == own or host.endswith(f".{own}") for own in SLACK_HOSTS)


class Uploads:
    """Puts files into threads, one at a time."""

    def __init__(self, calls: SlackCalls, files: Files) -> None:
        """Take the way out, and where the bytes lie."""
        self._calls = calls
        self._files = files

    async def file(self, channel: str, root_ts: str, file: FileRef, max_bytes: int) -> str:
        """Put a file of ours into a thread. Returns "" when it is there, else why not, in words for the thread."""
        if file.size_bytes > max_bytes:
            return f"it is over the limit of {max_bytes // 1024 // 1024} MB"
        if file.size_bytes == 0:
            return "it is empty"
        try:
            content = await self._files.read(file.id)
            await self._share(channel, root_ts, file.name, file.size_bytes, content)
        except CallFailed as failed:
            remedy = failed.outcome.remedy if isinstance(failed.outcome, Refused) else "Ask for it again."
            return f"Slack did not take it ({failed.code}). {remedy}"
        except BridgeError:
            return "the bridge could not read it"
        return ""

    async def text(self, channel: str, root_ts: str, name: str, text: str) -> str:
        """Put a text file into a thread. Returns as `file` does."""
        content = text.encode("utf-8", "replace")

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        try:
            await self._share(channel, root_ts, name, len(content), pieces())
        except CallFailed as failed:
            return f"Slack did not take it ({failed.code})"
        return ""

    async def _share(self, channel: str, root_ts: str, name: str, size: int, content: AsyncIterator[bytes]) -> None:
        place = await self._calls.read("files.getUploadURLExternal", filename=name, length=size)
        await self._send(str(place.get("upload_url") or ""), size, content)
        await self._calls.read(
            "files.completeUploadExternal",
            files=json.dumps([{"id": place.get("file_id"), "title": name}]),
            channel_id=channel,
            thread_ts=root_ts,
        )

    async def _send(self, url: str, size: int, content: AsyncIterator[bytes]) -> None:
        method = "upload"
        if not is_slack(url, self._calls.settings.sandbox_origin):
            raise CallFailed(method, "foreign_upload_address", Refused(reason="foreign_upload_address", remedy=""))
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        patience = aiohttp.ClientTimeout(total=3 * self._calls.settings.call_timeout_s)
        try:
            async with self._calls.session().post(
                url, data=content, headers=headers, allow_redirects=False, timeout=patience
            ) as answer:
                if answer.status != 200:
                    refused = Refused(reason=f"http_{answer.status}", remedy="Ask for the file again.")
                    raise CallFailed(method, f"http_{answer.status}", refused)
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 -- network trouble and a source that breaks off look alike here
            raise call_failed(method, error) from None
