"""Pictures that operators paste into their messages, into our own keeping: a customer never gets an address of Teams'.

https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4#receive-files-in-channels: other files of a
channel never reach a bot; they lie in the team's SharePoint.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from adapters.teams.errors import CallFailed
from bridge.conversation import FileRef
from bridge.errors import TooLarge
from bridge.media import HEAD_BYTES, sniff
from bridge.ports import Files

MAX_BYTES = 20 * 1024 * 1024


class Bytes(Protocol):
    """Where pictures are fetched (`TeamsCalls`): with the token, from trusted hosts, without redirects."""

    async def get_bytes(self, url: str, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Return what lies there. Raises CallFailed, TooLarge."""
        ...


class NotTaken(Exception):
    """A picture could not be fetched; the message says why, in words for the thread."""


class Downloads:
    """Fetches pictures."""

    def __init__(self, calls: Bytes, files: Files) -> None:
        """Take the way out, and where the bytes go."""
        self._calls, self._files = calls, files

    async def fetch(self, url: str, name: str) -> FileRef:
        """Fetch one and keep it. Raises NotTaken; StoreUnavailable if it could not be kept."""
        try:
            content = await self._calls.get_bytes(url, max_bytes=MAX_BYTES)
        except TooLarge:
            raise NotTaken(f"it is over the limit of {MAX_BYTES // 1024 // 1024} MB") from None
        except CallFailed as failed:
            raise NotTaken(f"Teams did not hand it out ({failed.code})") from None
        kind = sniff(content[:HEAD_BYTES], "")
        if not kind.startswith("image/"):
            raise NotTaken("it is no picture")

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        ending = kind.removeprefix("image/").replace("jpeg", "jpg")
        named = name if "." in name else f"{name}.{ending}"
        return await self._files.put(pieces(), name=named, claimed_type=kind, max_bytes=MAX_BYTES)
