"""Our exceptions. Each docstring says what to do.

BridgeError
├── SettingsError          the process refuses to start
├── EnvelopeError          an envelope that no conversation can be told from
├── StoreUnavailable       nothing was kept: answer 503, the sender will try again
├── NotFound               no such conversation, handoff or file
├── TooLarge               over a stated limit
├── AgentFailed            the agent did not answer as agreed
└── ThreadUnreadable       a desk cannot read a thread back now
"""


class BridgeError(Exception):
    """Something that the bridge itself can name. Catch the narrower classes."""


class SettingsError(BridgeError):
    """A setting is missing, unknown or contradictory; the message is one line that names it and the remedy."""


class EnvelopeError(BridgeError):
    """No conversation can be told from this envelope. Answer 422 with `problems`.

    `problems` is a tuple of (path, message): where in the document, and what is wrong there.
    """

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        """Keep the problems beside a one-line message."""
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = problems


class StoreUnavailable(BridgeError):
    """Nothing of this unit of work was kept. Answer 503 (or 500 to a vendor) and let the sender repeat it."""


class NotFound(BridgeError):
    """The conversation, handoff or file that was named does not exist here. Answer 404."""


class TooLarge(BridgeError):
    """The input is over a limit that the message states. Answer 413; nothing was kept."""


class AgentFailed(BridgeError):
    """The agent broke its contract: refused, timed out, or sent what cannot be read.

    `code` is one of `timeout_first_byte`, `timeout_total`, `too_large`, `unreadable`, `unreachable`, `refused`,
    `crashed`.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep a constant code beside the words."""
        super().__init__(message)
        self.code = code


class ThreadUnreadable(BridgeError):
    """A desk cannot read this thread now (scope missing, rationed, down). Try later, or tell the operator.

    `after_s` is the vendor's wish, or None.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        """Keep the vendor's wish for when to come again."""
        super().__init__(message)
        self.after_s = after_s
