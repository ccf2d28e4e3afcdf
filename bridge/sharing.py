"""The part of the store's port that processes share their work by. See `storage.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.ids import ChannelId, ConversationId, DeskName, HandoffId, Millis, SiteId, TurnId


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Where a conversation stands: enough to tell whether a window on it has anything new to show. `stream` is the open
    one's turn, attempt and seq.
    """

    next_n: int
    epoch: int
    stream: tuple[TurnId, int, int] | None = None


HERE, AWAY = "here", "away"
PRESENCE_MS = 30_000
"""So long a customer who was seen on a screen counts as there: a page that is loaded anew, a phone that changes its
network, a process that is replaced are no absence.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """Until when the customer of a handoff counts as having the chat on the screen: `PRESENCE_MS` after they were seen
    last. `told` is what the card was last brought up to date with: HERE, AWAY, or "" for nothing yet.
    """

    site: SiteId
    handoff: HandoffId
    until: Millis
    told: str = ""

    @property
    def seen_at(self) -> Millis:
        """When they were seen last."""
        return Millis(self.until - PRESENCE_MS)


class SharedTx(Protocol):
    """What a transaction says of leases, of many conversations at once, and of desks."""

    def hold_lease(self, site: SiteId, name: str, worker: str, now: Millis, lease_ms: int) -> bool:
        """Take the named lease, or keep it, until now + lease_ms. False: another worker holds it."""
        ...

    def drop_lease(self, site: SiteId, name: str, worker: str) -> None:
        """Give it back early. Dropping what this worker does not hold changes nothing."""
        ...

    def heads(self, site: SiteId, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return where these stand, in one statement; those that do not exist are left out."""
        ...

    def keep_presence(self, site: SiteId, handoffs: Sequence[HandoffId], until: Millis) -> None:
        """The customers of these have the chat on the screen, at least until then. Never shortens what is known."""
        ...

    def presences(self, site: SiteId, handoffs: Sequence[HandoffId]) -> Mapping[HandoffId, Presence]:
        """Return what is known of these; one whose customer was never seen on a screen is left out."""
        ...

    def untold_presences(self, site: SiteId, handoffs: Sequence[HandoffId]) -> Sequence[Presence]:
        """Return those of these that were not told as here, by their handoffs' ids."""
        ...

    def note_presence(self, site: SiteId, handoff: HandoffId, told: str) -> None:
        """Keep what the card was brought up to date with. Nothing is kept of one that is not known."""
        ...

    def lapsed_presences(self, now: Millis, limit: int = 100) -> Sequence[Presence]:
        """Return those of all sites that were told as here and are over, the longest first."""
        ...

    def forget_presences(self, before: Millis) -> int:
        """Forget those that were over by then; return how many."""
        ...

    def channel_loads(self, site: SiteId, desk: DeskName) -> Mapping[ChannelId, int]:
        """Return how many open handoffs each channel of the desk has; channels without any are left out."""
        ...

    def forget_sources(self, before: Millis, limit: int = 1000) -> int:
        """Forget source ids remembered before then, at most `limit`; return how many."""
        ...

    def put_desk_fact(self, site: SiteId, desk: DeskName, name: str, value: str) -> None:
        """Remember this of the desk's vendor, instead of what was remembered by this name; "" forgets it."""
        ...

    def desk_facts(self, site: SiteId, desk: DeskName) -> Mapping[str, str]:
        """Return all that is remembered of the desk's vendor, by name."""
        ...
