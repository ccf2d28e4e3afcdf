"""Which of a lane's waiting things leave together in the next post, and how long a channel rests afterwards. Pure.

Slack takes about one post a second per channel (https://docs.slack.dev/apis/web-api/rate-limits), so what waits in one
lane leaves as
one post: one part per line, in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.capabilities import Capabilities, Part
from bridge.effects import OutKind
from bridge.storage import Out, OutState


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """A channel's budget: the pause after each post, in milliseconds."""

    post_every_ms: int = 1000


def posts(kind: OutKind, *, thread_is_open: bool) -> bool:
    """Tell whether this makes a new message, and so uses the channel's budget."""
    return kind in (OutKind.POST, OutKind.TRANSCRIPT) or (kind is OutKind.CARD and not thread_is_open)


def together(outs: Sequence[Out], parts: Sequence[Sequence[Part]], capabilities: Capabilities) -> int:
    """Return how many of a lane's next outs leave in one post, at least one. `parts[i]` are those of `outs[i]` (empty
    for other kinds).

    Only POSTs join. One whose files follow it ends its post, one with buttons stands alone; a post that was already
    handed to the vendor is
    frozen: exactly the outs with its key.
    """
    head = outs[0]
    if head.state is OutState.SENDING:
        return sum(1 for out in outs if out.state is OutState.SENDING and out.key == head.key)
    if head.kind is not OutKind.POST:
        return 1
    taken, chars, blocks = 0, 0, 0
    for out, pieces in zip(outs, parts, strict=True):
        chars += sum(len(part.text) for part in pieces)
        blocks += len(pieces)
        alone = bool(out.actions)
        full = chars > capabilities.post_max_chars or blocks > capabilities.post_max_parts
        if out.kind is not OutKind.POST or out.state is not OutState.NEW or (taken and (alone or full)):
            break
        taken += 1
        if alone or any(part.files for part in pieces):
            break
    return max(taken, 1)
