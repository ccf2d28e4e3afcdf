"""What `handoff-bridge queues` shows: the queues, and where one envelope goes and why."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.conversation import Conversation, Customer
from bridge.envelope import read_envelope
from bridge.errors import EnvelopeError, SettingsError
from bridge.ids import ConversationId, CustomerId, Millis, SiteId
from bridge.routing import Directory, is_open, opens_words, route
from bridge.settings import variables_by_name

SAMPLE = {
    "conversation_id": "cnv_sample",
    "reason": "customer_request",
    "summary": "The customer asked for a person.",
    "agent": {"id": "sample"},
}


def settings_table() -> str:
    """Return every environment variable with its default and meaning, as a Markdown table: the one of the README."""
    lines = ["| variable | default | what for |", "|---|---|---|"]
    for name, field in variables_by_name().items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = (
            "" if default in (None, "", ()) else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def moment(text: str) -> Millis:
    """Read a time with its zone; empty means now. Raises SettingsError."""
    try:
        at = datetime.fromisoformat(text) if text else datetime.now(tz=UTC)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise SettingsError("--at: must be a time with its zone, as in 2026-11-23T09:00+01:00")
    return Millis(int(at.timestamp() * 1000))


def show(directory: Directory, raw: Any, now: Millis) -> None:
    """Print the queues and the way of this envelope. Raises SettingsError where there is nothing to choose from."""
    if not directory.queues:
        raise SettingsError(
            'queues: there is none; add to handoff.toml: [[queues]] name = "support" channels = ["C0123456789"]'
        )
    try:
        read = read_envelope(
            raw, conversation_id=None, envelope_id="sample", now=datetime.fromtimestamp(now / 1000, UTC)
        )
    except EnvelopeError as error:
        raise SettingsError(f"the envelope: {error}") from None
    conversation = Conversation(
        site=SiteId("main"),
        id=ConversationId(read.envelope.conversation_id),
        widget="directline",
        customer=Customer(id=CustomerId("sample")),
    )
    chosen = route(read.envelope, conversation, directory, now)
    console = Console(highlight=False, markup=False)
    table = Table("queue", "label", "channels", "now", "when closed", "ladder")
    for queue in directory.queues:
        state = "open" if is_open(queue.hours, now) else f"closed, opens {opens_words(queue.hours, now) or 'never'}"
        ladder = ", ".join(f"{rung.action} after {rung.after_s} s" for rung in queue.ladder)
        mark = " (default)" if queue is directory.queues[0] else ""
        table.add_row(
            queue.name + mark, queue.label, " ".join(queue.channels), state, queue.when_closed, ladder or "none"
        )
    console.print(table)
    for path, message in read.problems:
        console.print(f"the envelope's {path}: {message}")
    console.print(f"{read.envelope.reason.value} -> {chosen.queue.name}, {chosen.channel}: {chosen.why}.")
    if not chosen.open:
        console.print(f"It is closed and opens {chosen.opens or 'never'}; rule: {chosen.queue.when_closed}.")
