"""How the web side of the bridge reads and answers: sizes, keys, errors, always JSON."""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from bridge.errors import NotFound, StoreUnavailable, TooLarge

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KeyedHandler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
"""Takes the caller's role beside the request."""

RETRY_AFTER_S = 1


class Access:
    """Who may call: keys of the control API with their roles."""

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        """Take (role, key) pairs. Without any, nobody may call."""
        self._keys = [(role, key.encode()) for role, key in keys]

    @property
    def is_configured(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys)

    def role(self, request: web.Request) -> str | None:
        """Return the role of the caller's bearer key, or None. Takes the same time for every wrong key."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = None
        for role, key in self._keys:
            if hmac.compare_digest(key, given.strip().encode(errors="surrogateescape")):
                found = role
        return found


def answer(document: Mapping[str, Any], status: int = 200, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON answer that no cache keeps."""
    return web.json_response(dict(document), status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def error(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> web.Response:
    """Return an error: a constant `code` for programs, a sentence for people."""
    return answer({"error": {"code": code, "message": message, **more}}, status, headers=headers)


async def read_json(request: web.Request, max_bytes: int) -> Any:
    """Return the body as JSON. Raises TooLarge, and ValueError for what is no JSON."""
    if (request.content_length or 0) > max_bytes:
        raise TooLarge(f"the body is over {max_bytes} bytes")
    body = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"the body is over {max_bytes} bytes")
    return json.loads(bytes(body))


def guarded(handler: KeyedHandler, access: Access, roles: frozenset[str]) -> Handler:
    """Return the handler behind its keys; our exceptions become their statuses."""

    async def guard(request: web.Request) -> web.StreamResponse:
        role = access.role(request)
        if role is None:
            wanted = {"WWW-Authenticate": 'Bearer realm="handoff-bridge"'}
            message = "Send one of HANDOFF_API_KEYS as: Authorization: Bearer KEY"
            return error(401, "unauthorized", message, headers=wanted)
        if role not in roles:
            return error(403, "forbidden", f"This key's role is {role}; this needs one of: {', '.join(sorted(roles))}.")
        try:
            return await handler(request, role)
        except NotFound as missing:
            return error(404, "not_found", str(missing))
        except TooLarge as large:
            return error(413, "too_large", str(large))
        except StoreUnavailable:
            message = "Nothing was kept; send it again."
            return error(503, "unavailable", message, headers={"Retry-After": str(RETRY_AFTER_S)})

    return guard
