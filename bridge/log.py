"""The log: constant event names, ids as fields, never what people wrote and never a secret.

`log.info("handoff_opened", conversation=..., ticket=...)`. Names are lower-case words joined by underscores, so
that they can be counted; whatever varies is a field.
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, TextIO, cast

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, FilteringBoundLogger, Processor

REDACTED = "[redacted]"
LEFT_OUT = "[left out]"

# Fields that hold what people or vendors wrote. `text_chars` and the like are welcome.
PROSE = frozenset(
    {"text", "texts", "body", "message", "messages", "summary", "note", "question", "content", "payload", "briefing"}
    | {"transcript", "blocks", "customer_name", "email", "phone", "arguments", "collected", "data", "envelope"}
)
_SECRET_NAME = re.compile(r"(token|secret|password|authorization|cookie|signature|api_?key)$", re.IGNORECASE)

# What tokens look like: https://docs.slack.dev/authentication/tokens , https://www.rfc-editor.org/rfc/rfc7519 and
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
_SECRET_VALUE = re.compile(
    r"""
      xox[a-z](?:[.-][A-Za-z0-9.-]+)+                   # Slack's tokens, also rotated ones: xoxe.xoxb-...
    | xapp-[A-Za-z0-9-]+
    | whsec_[A-Za-z0-9+/=_-]+
    | eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?  # JSON Web Tokens
    | \bsk-[A-Za-z0-9_-]{16,}                           # keys of model vendors
    | (?<=\bBearer[ ])\S+
    | (?<=\bBasic[ ])[A-Za-z0-9+/=]{8,}
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)                    # name and password in an address
    | (?<=hooks\.slack\.com)/\S+                        # a response_url is a right to post
    | (?<=[?&](?:code|sig_))[^&\s]+
    | (?<=[?&]token=)[^&\s]+ | (?<=[?&]ticket=)[^&\s]+ | (?<=[?&]t=)[^&\s]+ | (?<=[?&]secret=)[^&\s]+
    """,
    re.VERBOSE,
)
_SIGN = re.compile(r"xox|xapp-|whsec_|eyJ|sk-|Bearer |Basic |://|hooks\.slack\.com/|[?&]")
"""Without one of these no alternative above can match, and looking for them takes a tenth of the time."""
_MAX_CHARS = 2000
_PLAIN = frozenset({str, int, float, bool, type(None)})


@lru_cache(maxsize=256)
def _is_secret(key: str) -> bool:
    return _SECRET_NAME.search(key) is not None


@lru_cache(maxsize=1024)
def _are_ids(keys: tuple[str, ...]) -> bool:
    return not any(key in PROSE or _is_secret(key) for key in keys)


class Redaction:
    """A processor that drops prose and everything that looks like a secret, or that is one of `secrets`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know these secrets by heart; shorter ones than eight characters would blacken common words."""
        known = sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        if self._is_harmless(event):
            return event
        return {key: self._field(str(key), value) for key, value in event.items()}

    def _is_harmless(self, event: EventDict) -> bool:
        """Tell what nearly every line is, names and ids, in two looks for all fields together."""
        if not _are_ids(tuple(event)):
            return False
        words = "\n".join([value for value in event.values() if type(value) is str])
        if len(words) > _MAX_CHARS or not all(type(value) in _PLAIN for value in event.values()):
            return False
        return _SIGN.search(words) is None and (self._known is None or self._known.search(words) is None)

    def text(self, value: str) -> str:
        """Return the text without secrets, at most 2000 characters."""
        value = self.line(value)
        return value if len(value) <= _MAX_CHARS else f"{value[:_MAX_CHARS]}..."

    def line(self, value: str) -> str:
        """Return the text without secrets, however long."""
        if self._known is not None:
            value = self._known.sub(REDACTED, value)
        return _SECRET_VALUE.sub(REDACTED, value) if _SIGN.search(value) is not None else value

    def _field(self, key: str, value: Any) -> Any:
        if key in PROSE and value not in (None, ""):
            return LEFT_OUT
        if _is_secret(key) and value not in (None, ""):
            return REDACTED
        # Standard names of structlog and logging.
        if key.startswith("_") or key in {"exc_info", "stack_info"}:
            return value
        return self._value(value)

    def _value(self, value: Any) -> Any:
        # First what nearly every field is.
        if isinstance(value, str):
            return self.text(str(value))
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item) for item in value]
        return self.text(str(value))


class _LastRedaction:
    """Goes over the finished line once more: tracebacks quote values that no field shows."""

    def __init__(self, renderer: Processor, redaction: Redaction) -> None:
        self._renderer = renderer
        self._redaction = redaction

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        return self._redaction.line(str(self._renderer(logger, method, event)))


def configure(
    *, level: str = "info", form: str = "auto", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Set the log up for this process. May be called again; the last call counts.

    Args:
        level: debug, info, warning or error. Vendors' libraries stay at warning: their debug lines hold bodies.
        form: `json`, `console`, or `auto` (console on a terminal).
        secrets: values that must never appear, whatever they look like.
        stream: where to write; None means standard error.
    """
    out = stream or sys.stderr
    redaction = Redaction(secrets)
    as_console = form == "console" or (form == "auto" and out.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if as_console
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [] if as_console else [structlog.processors.format_exc_info]
    last.append(_LastRedaction(renderer, redaction))
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, redaction],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # Our own lines go straight to the stream: by way of the standard library each takes three times as long.
    structlog.configure(
        processors=[*shared, _name, redaction, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *name: _Named(out, *name),
        cache_logger_on_first_use=False,
    )


class _Named(structlog.WriteLogger):
    """Writes to a stream, and knows whose lines it writes."""

    def __init__(self, out: TextIO, name: str = "") -> None:
        super().__init__(out)
        self.name = name


def _name(logger: object, _method: str, event: EventDict) -> EventDict:
    event["logger"] = getattr(logger, "name", "")
    return event


def _json(event: object, **_given: object) -> str:
    return to_json(event, fallback=str, inf_nan_mode="strings").decode()


def get(name: str) -> FilteringBoundLogger:
    """Return the logger of a module (`__name__`). Costs nothing until it is used; follows a later `configure`."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))
