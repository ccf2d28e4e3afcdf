"""Operators' pictures and files, into our own keeping: a customer never gets an address of Microsoft's.

Pasted pictures come with the message. Other files of a channel never reach a bot
(https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4): they lie in the team's SharePoint, where
Graph finds them if the admin has granted that.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from adapters.teams.errors import CallFailed
from bridge.conversation import FileRef
from bridge.errors import TooLarge
from bridge.media import HEAD_BYTES, sniff
from bridge.ports import Files

MAX_BYTES = 20 * 1024 * 1024


class Bytes(Protocol):
    """Where bytes are fetched (`TeamsCalls`): with the token, from trusted hosts."""

    async def get_bytes(self, url: str, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Return what lies there. Raises CallFailed, TooLarge."""
        ...

    async def graph(self, path: str) -> dict[str, Any]:
        """Return what Graph answers. Raises CallFailed."""
        ...

    async def shared_file(self, address: str, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Return a file of the team's SharePoint. Raises CallFailed, TooLarge."""
        ...


class NotTaken(Exception):
    """A picture or file could not be fetched; the message says why, in words for the thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """A file that a message refers to."""

    name: str
    address: str


class Downloads:
    """Fetches pictures and files."""

    def __init__(self, calls: Bytes, files: Files) -> None:
        """Take the way out, and where the bytes go."""
        self._calls, self._files = calls, files

    async def fetch(self, url: str, name: str) -> FileRef:
        """Fetch a picture and keep it. Raises NotTaken; StoreUnavailable if it could not be kept."""
        content = await self._fetched(self._calls.get_bytes(url, max_bytes=MAX_BYTES))
        kind = sniff(content[:HEAD_BYTES], "")
        if not kind.startswith("image/"):
            raise NotTaken("it is no picture")

        ending = kind.removeprefix("image/").replace("jpeg", "jpg")
        return await self._keep(content, name if "." in name else f"{name}.{ending}", kind)

    async def shared(self, group: str, channel: str, root: str, message: str, files: Sequence[str]) -> list[Shared]:
        """Ask Graph for the files of a message, by the ids that it refers to. Raises NotTaken."""
        path = f"teams/{quote(group, safe='')}/channels/{quote(channel, safe='')}/messages/{root}"
        path += f"/replies/{message}" if message != root else ""
        try:
            told = await self._calls.graph(path)
        except CallFailed as failed:
            raise NotTaken(f"Graph did not tell where it is ({failed.code})") from None
        return [
            Shared(name=str(one.get("name") or "file"), address=str(one["contentUrl"]))
            for one in told.get("attachments") or []
            if one.get("id") in files and one.get("contentType") == "reference" and one.get("contentUrl")
        ]

    async def fetch_shared(self, file: Shared) -> FileRef:
        """Fetch a file and keep it. Raises NotTaken; StoreUnavailable if it could not be kept."""
        content = await self._fetched(self._calls.shared_file(file.address, max_bytes=MAX_BYTES))
        return await self._keep(content, file.name, "application/octet-stream")

    async def _fetched(self, bytes_of: Awaitable[bytes]) -> bytes:
        try:
            return await bytes_of
        except TooLarge:
            raise NotTaken(f"it is over the limit of {MAX_BYTES // 1024 // 1024} MB") from None
        except CallFailed as failed:
            if failed.code == "foreign_address":
                raise NotTaken("it does not lie with Teams") from None
            raise NotTaken(f"Teams did not hand it out ({failed.code})") from None

    async def _keep(self, content: bytes, name: str, claimed: str) -> FileRef:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        return await self._files.put(pieces(), name=name, claimed_type=claimed, max_bytes=MAX_BYTES)
