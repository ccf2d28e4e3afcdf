"""The part of the store's port that processes share their work by. See `storage.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.ids import ChannelId, ConversationId, DeskName, Millis, SiteId, TurnId


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Where a conversation stands: enough to tell whether a window on it has anything new to show. `stream` is the open
    one's turn, attempt and seq.
    """

    next_n: int
    epoch: int
    stream: tuple[TurnId, int, int] | None = None


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
