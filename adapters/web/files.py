"""Signed links to files. Whoever has one may fetch the file until it ends; a browser runs nothing of it."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from aiohttp import web

from adapters.web.answers import error
from bridge.conversation import FileRef
from bridge.errors import NotFound, StoreUnavailable
from bridge.ids import FileId, SiteId
from bridge.ports import Clock, Files
from bridge.storage import Store

DAY_MS = 86_400_000
SAFE_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Shown in place. Anything else is downloaded: SVG and HTML would run scripts under our address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Makes and checks links. The first key signs, all are accepted (rotation)."""

    site: SiteId
    base_url: str
    keys: tuple[str, ...]
    clock: Clock
    valid_ms: int = 7 * DAY_MS

    def link(self, file: FileRef) -> str:
        """Return an address under which this file can be fetched for `valid_ms`, and up to a day longer.

        The end is rounded up to whole days, so that a browser's cache knows the picture again.
        """
        ends_ms = -(-(self.clock.now() + self.valid_ms) // DAY_MS) * DAY_MS
        query = urlencode({"e": ends_ms, "s": self._sign(self.keys[0], file.id, str(ends_ms))})
        return f"{self.base_url}/v1/files/{quote(file.id, safe='')}?{query}"

    def allows(self, file: str, ends_ms: str, signature: str) -> bool:
        """Tell whether this is a link of ours that has not ended."""
        genuine = [
            hmac.compare_digest(self._sign(key, file, ends_ms).encode(), signature.encode(errors="surrogateescape"))
            for key in self.keys
        ]
        return any(genuine) and ends_ms.isascii() and ends_ms.isdigit() and int(ends_ms) > self.clock.now()

    def _sign(self, key: str, file: str, ends_ms: str) -> str:
        # A purpose in front: the same key signs other things elsewhere.
        message = f"handoff-bridge file link\n{self.site}\n{file}\n{ends_ms}"
        return hmac.new(key.encode(), message.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()


def add_routes(app: web.Application, *, links: Links, files: Files, store: Store) -> Callable[[FileRef], str]:
    """Add `/v1/files/{id}` and return the function that makes links to it."""

    async def fetch(request: web.Request) -> web.StreamResponse:
        named = request.match_info["file"]
        if not links.allows(named, request.query.get("e", ""), request.query.get("s", "")):
            return error(403, "link_ended", "This link is not valid or has ended; load the chat again for a new one.")
        try:
            found = await store.read(lambda tx: tx.file(links.site, FileId(named)))
            if found is None:
                raise NotFound("There is no such file.")
            content = await files.read(FileId(named))
        except NotFound:
            return error(404, "not_found", "There is no such file.")
        except StoreUnavailable:
            return error(503, "unavailable", "Try again in a moment.", headers={"Retry-After": "1"})
        ref = found[0]
        response = web.StreamResponse(headers=headers_for(ref))
        response.content_length = ref.size_bytes
        await response.prepare(request)
        if request.method != "HEAD":
            async for piece in content:
                await response.write(piece)
        await response.write_eof()
        return response

    app.router.add_get("/v1/files/{file}", fetch)
    return links.link


def headers_for(file: FileRef) -> dict[str, str]:
    """Return headers that keep a browser from running or guessing anything.

    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy/sandbox
    """
    inline = file.media_type in SAFE_IMAGES
    return {
        "Content-Type": file.media_type if inline else "application/octet-stream",
        "Content-Disposition": f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(file.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "cross-origin",
        # The address itself is the right to read; the customer's page is on another origin.
        "Access-Control-Allow-Origin": "*",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, max-age=86400, immutable",
    }
