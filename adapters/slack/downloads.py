"""Operators' files out of Slack, into our own keeping: a customer never gets an address of Slack's.

Source: https://docs.slack.dev/reference/objects/file-object, https://docs.slack.dev/messaging/working-with-files.
"""

from collections.abc import AsyncIterator
from urllib.parse import urljoin

import aiohttp

from adapters.slack.calls import SlackCalls
from adapters.slack.errors import CallFailed
from adapters.slack.uploads import is_slack
from adapters.slack.wire import SlackFile
from bridge.conversation import FileRef
from bridge.errors import TooLarge
from bridge.ports import Files

NO_BYTES = frozenset({"external", "tombstone", "hidden_by_limit"})
MAX_REDIRECTS = 3
TIMEOUT = aiohttp.ClientTimeout(total=120, sock_read=20)


class NotTaken(Exception):
    """A file could not be fetched; the message says why, in words for the thread."""


class Downloads:
    """Fetches files with the app's token, from Slack's own hosts only."""

    def __init__(self, calls: SlackCalls, files: Files) -> None:
        """Take the way out, and where the bytes go."""
        self._calls = calls
        self._files = files

    async def fetch(self, file: SlackFile) -> FileRef:
        """Fetch a file and keep it. Raises NotTaken; StoreUnavailable if it could not be kept."""
        file = await self._described(file)
        if file.mode in NO_BYTES:
            raise NotTaken("Slack does not hold its content")
        limit = self._calls.settings.file_max_bytes
        if (file.size or 0) > limit:
            raise NotTaken(f"it is over the limit of {limit // 1024 // 1024} MB")
        url = file.url_private_download or file.url_private or ""
        try:
            return await self._get(url, file, limit)
        except TooLarge:
            raise NotTaken(f"it is over the limit of {limit // 1024 // 1024} MB") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotTaken(f"Slack did not hand it out ({type(error).__name__})") from None

    async def _described(self, file: SlackFile) -> SlackFile:
        if file.file_access != "check_file_info" and file.mode != "file_access":
            return file
        try:
            answer = await self._calls.read("files.info", file=file.id)
        except CallFailed as failed:
            raise NotTaken(f"Slack did not describe it ({failed.code})") from None
        return SlackFile.model_validate(answer.get("file") or {"id": file.id, "mode": "tombstone"})

    async def _get(self, url: str, file: SlackFile, limit: int) -> FileRef:
        for _ in range(MAX_REDIRECTS + 1):
            if not is_slack(url, self._calls.settings.sandbox_origin):
                raise NotTaken("its address is not Slack's")
            headers = {"Authorization": f"Bearer {self._calls.settings.bot_token}"}
            session = self._calls.session()
            async with session.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT) as answer:
                if answer.status in {301, 302, 303, 307, 308}:
                    url = urljoin(url, answer.headers.get("Location", ""))
                    continue
                if answer.status != 200:
                    raise NotTaken(f"Slack answered {answer.status}")
                return await self._keep(answer, file, limit)
        raise NotTaken("Slack sent us from one address to the next")

    async def _keep(self, answer: aiohttp.ClientResponse, file: SlackFile, limit: int) -> FileRef:
        first = await answer.content.readany()
        is_page = answer.content_type == "text/html" or first.lstrip()[:14].lower() == b"<!doctype html"
        if is_page and "html" not in (file.mimetype or ""):
            # Without the scope files:read, or when the token got lost, Slack answers 200 with its login page.
            raise NotTaken("Slack showed its login page instead; the app needs the scope files:read")

        async def pieces() -> AsyncIterator[bytes]:
            if first:
                yield first
            async for piece in answer.content.iter_any():
                yield piece

        name = file.name or file.title or "file"
        claimed = file.mimetype or answer.content_type or "application/octet-stream"
        return await self._files.put(pieces(), name=name, claimed_type=claimed, max_bytes=limit)
