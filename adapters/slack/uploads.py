"""Files into a thread. Source: https://docs.slack.dev/messaging/working-with-files#uploading_files."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from adapters.slack.calls import SlackCalls
from adapters.slack.errors import CallFailed, call_failed
from bridge.conversation import FileRef
from bridge.errors import BridgeError
from bridge.outcomes import Refused, RetryLater, Unknown
from bridge.ports import Files

SLACK_HOSTS = ("slack.com", "slack-edge.com", "slack-files.com", "slack-gov.com")


def is_slack(url: str, sandbox_origin: str | None) -> bool:
    """Tell whether an address is Slack's own, so that the token or a customer's bytes may go there."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if sandbox_origin is not None and parts.netloc == sandbox_origin:
        return parts.scheme in {"http", "https"}
    return parts.scheme == "https" and any(host == own or host.endswith(f".{own}") for own in SLACK_HOSTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A file that is made here."""

    name: str
    content: bytes

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return len(self.content)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Return its bytes as `Files.read` does."""
        yield self.content


@dataclass(frozen=True, kw_only=True, slots=True)
class NotThere:
    """Why a file is not in the thread, in words for it. `trouble`: it may work, or turn out to be there, later."""

    why: str
    trouble: RetryLater | Unknown | None = None


class Uploads:
    """Puts files into threads, one at a time."""

    def __init__(self, calls: SlackCalls, files: Files) -> None:
        """Take the way out, and where the bytes lie."""
        self._calls = calls
        self._files = files

    async def put(self, channel: str, root_ts: str, file: FileRef | TextFile, max_bytes: int) -> NotThere | None:
        """Put a file into a thread. Returns None when it is there."""
        if file.size_bytes > max_bytes:
            return NotThere(why=f"it is over the limit of {max_bytes // 1024 // 1024} MB")
        if file.size_bytes == 0:
            return NotThere(why="it is empty")
        try:
            content = file.pieces() if isinstance(file, TextFile) else await self._files.read(file.id)
            await self._share(channel, root_ts, file.name, file.size_bytes, content)
        except CallFailed as failed:
            why = f"Slack did not take it ({failed.code})."
            if isinstance(failed.outcome, Refused):
                return NotThere(why=f"{why} {failed.outcome.remedy}")
            return NotThere(why=f"{why} Ask for it again.", trouble=failed.outcome)
        except BridgeError:
            return NotThere(why="the bridge could not read it")
        return None

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
