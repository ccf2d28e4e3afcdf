"""What goes wrong at this door, as Direct Line says it: a status, and `{"error": {"code", "message"}}`.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-direct-line-3-0-api-reference

The client looks at the status alone. 403 ends a chat for good, so only a forged, foreign or long dead token gets it.
404 on a reconnect leaves the chat silently dead, so a conversation that a valid token names is made anew instead.
503 is retried.
"""

from bridge.errors import BridgeError, NotFound, StoreUnavailable, TooLarge


class DirectLineError(BridgeError):
    """Answer this status with this body. The message is for the developer of the page; it never quotes a token."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        """Keep what the answer needs; `retry_after_s` becomes the Retry-After header."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, dict[str, str]]:
        """Return the JSON document of the answer."""
        return {"error": {"code": self.code, "message": self.message}}


def bad(message: str) -> DirectLineError:
    """Make the answer to a request that cannot be read or makes no sense: 400."""
    return DirectLineError(400, "BadArgument", message)


def too_large(message: str) -> DirectLineError:
    """Make the answer to a request over a stated limit: 413."""
    return DirectLineError(413, "MessageSizeTooBig", message)


def forged() -> DirectLineError:
    """Make the answer to a token that was not made here, or not for this: 403."""
    return DirectLineError(403, "BadToken", "This token was not issued here, or not for this conversation.")


def unavailable() -> DirectLineError:
    """Make the answer while the store is away, or the process starts or stops: 503, come again."""
    return DirectLineError(503, "ServiceUnavailable", "Not ready now; nothing was kept. Try again.", retry_after_s=5)


def from_bridge(error: BridgeError) -> DirectLineError:
    """Say one of the core's errors in Direct Line's words."""
    match error:
        case DirectLineError():
            return error
        case StoreUnavailable():
            return unavailable()
        case TooLarge():
            return too_large(str(error))
        case NotFound():
            return DirectLineError(404, "NotFound", str(error) or "There is no such thing here.")
        case _:
            return DirectLineError(500, "ServiceError", "The bridge failed; the log of the server says more.")
