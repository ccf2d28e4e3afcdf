"""Who leaves next where a vendor takes only so much, and what leaves together. Pure: both stores, the courier and the
bench's virtual time ask here.

Slack takes about one post a second per channel, and about fifty changes of posts a minute per workspace
(https://docs.slack.dev/apis/web-api/rate-limits). So a channel's posts take turns: a new conversation's card and what
was said first go before lines that waited longer, so that nobody waits unseen; what waits in one thread leaves as one
post, one part per line, in order. Changes of what is there have a budget of their own, which no line waits for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bridge.capabilities import Capabilities, Part
from bridge.effects import OutKind
from bridge.ids import Millis
from bridge.storage import Claim, Out, OutState

SAYS = (OutKind.POST, OutKind.TRANSCRIPT)
"""Kinds that say something in a thread."""
CHANGES = (OutKind.CARD, OutKind.EDIT, OutKind.DELETE)
"""Kinds that change what is there already. A card does so once its thread is open; before, it opens it."""
NEW_IN_A_ROW = 3
"""So many new ones pass one that waits, then it is its turn: else a rush of new conversations would stop all others."""


class Urgency(IntEnum):
    """What the next out of a lane is to its channel."""

    NEW = 0
    """The card that opens the thread, or the first that is said in it."""
    LINE = 1
    COSMETIC = 2
    HELD = 3
    """It may not leave before its thread is open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What a desk takes. Posts are counted per channel; changes for the whole desk, as Slack counts them per workspace:
    shares per channel would let a busy channel wait while others use nothing.
    """

    post_every_ms: int = 1000
    posts_at_once: int = 1
    change_every_ms: int = 1500
    changes_at_once: int = 10
    """Ten and then one in 1.5 s are never more than 50 in a minute; somebody who takes a conversation sees it at once.
    """

    def free_at(self, *, posts: bool, was_free_at: Millis, now: Millis) -> Millis:
        """Return when a budget that was free at `was_free_at` is free again after this use of it.

        Where several may leave at once this may lie in the past; the next use counts from there all the same.
        """
        every_ms, at_once = (
            (self.post_every_ms, self.posts_at_once) if posts else (self.change_every_ms, self.changes_at_once)
        )
        return Millis(max(was_free_at, now - (at_once - 1) * every_ms) + every_ms) if every_ms else was_free_at


def posts(kind: OutKind, *, thread_is_open: bool) -> bool:
    """Tell whether this makes a new message, and so uses the channel's budget."""
    return kind in SAYS or (kind is OutKind.CARD and not thread_is_open)


def changes_only(claim: Claim) -> bool:
    """Tell whether a claim's outs change what is there already, and so use the desk's budget for that."""
    return not posts(claim.outs[0].kind, thread_is_open=claim.thread.root is not None)


def urgency(kind: OutKind, *, opened: bool, told: bool) -> Urgency:
    """Rank an out of a lane whose thread is open, or not yet, and in which something was said, or nothing yet."""
    if not opened:
        return Urgency.NEW if kind is OutKind.CARD else Urgency.HELD
    if kind in CHANGES:
        return Urgency.COSMETIC
    return Urgency.LINE if told else Urgency.NEW


def offered(waiting: Sequence[Out], *, opened: bool) -> list[Out]:
    """Return what may leave next from a lane, in order: the card until the thread is open, then what is said, then
    changes. A line never waits for a change; a change waits for the lines, one of which it may change.
    """
    if not opened:
        return [out for out in waiting if out.kind is OutKind.CARD][:1]
    return [out for out in waiting if out.kind in SAYS] or list(waiting)


def choose(waiting: Collection[Urgency], new_in_a_row: int) -> tuple[Urgency, int]:
    """Choose between the oldest new one and the oldest line of a channel, as far as there are any. Return which leaves,
    and how many new ones have then passed a waiting line in a row.
    """
    passes = Urgency.LINE in waiting
    if Urgency.NEW in waiting and not (passes and new_in_a_row >= NEW_IN_A_ROW):
        return Urgency.NEW, new_in_a_row + 1 if passes else 0
    return Urgency.LINE, 0


def together(outs: Sequence[Out], parts: Sequence[Sequence[Part]], capabilities: Capabilities) -> list[int]:
    """Return which of a lane's next outs leave at once, by their position; the first one always. `parts[i]` are those
    of `outs[i]` (empty for other kinds).

    POSTs join as one post: one whose files follow it ends its post, one with buttons stands alone. CARDs join, as one
    update shows the newest state. What was already handed to the vendor is frozen: exactly the outs with its key.
    """
    head = outs[0]
    if head.state is OutState.SENDING:
        return [i for i, out in enumerate(outs) if out.state is OutState.SENDING and out.key == head.key]
    if head.kind is OutKind.CARD:
        return [i for i, out in enumerate(outs) if out.kind is OutKind.CARD and out.state is OutState.NEW]
    return list(range(_joined(outs, parts, capabilities))) if head.kind is OutKind.POST else [0]


def _joined(outs: Sequence[Out], parts: Sequence[Sequence[Part]], capabilities: Capabilities) -> int:
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
    return taken
