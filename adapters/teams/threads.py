"""Which handoff a thread is of."""

from adapters.teams import wire
from adapters.teams.refs import root_ref
from bridge import log as logs
from bridge.conversation import Handoff
from bridge.ids import DeskName, RemoteRef, SiteId
from bridge.ports import Clock, Lookup

log = logs.get("teams.threads")
MAX_FOREIGN = 10_000
"""Threads that are known not to be ours; looked at again when there are more."""
UNSETTLED_FOR_S = 3.0
UNSETTLED_STEP_S = 0.2
EARLY_MS = 60_000
"""How far Teams' clock, by which a root is numbered, may be behind ours."""


class Threads:
    """Finds handoffs by where somebody wrote or pressed."""

    def __init__(self, *, site: SiteId, desk: DeskName, lookup: Lookup, clock: Clock) -> None:
        """Take the ports."""
        self._site, self._desk = site, desk
        self._lookup, self._clock = lookup, clock
        self._foreign: set[RemoteRef] = set()

    async def known(self, where: wire.Where) -> Handoff | None:
        """Return the handoff of this thread, as far as the store knows now. Raises StoreUnavailable."""
        if not where.root:
            return None
        return await self._lookup.handoff_at(self._site, self._desk, root_ref(where.channel, where.root))

    async def at(self, where: wire.Where) -> Handoff | None:
        """Return the handoff of this thread, or None if it is not ours. Raises StoreUnavailable.

        People can be faster than the answer to our own post, so this waits, for 3 s at most, where a card is on its
        way to this channel.
        """
        found = await self.known(where)
        root = root_ref(where.channel, where.root)
        if found is not None or not where.root or root in self._foreign:
            return found
        if await self._may_be_ours(where):
            for _ in range(round(UNSETTLED_FOR_S / UNSETTLED_STEP_S)):
                await self._clock.sleep(UNSETTLED_STEP_S)
                if (found := await self.known(where)) is not None:
                    return found
            log.warning("thread_unknown", root=root)
        self._foreign.add(root)
        if len(self._foreign) > MAX_FOREIGN:
            self._foreign.clear()
        return None

    async def _may_be_ours(self, where: wire.Where) -> bool:
        """Tell whether a card is on its way to this channel that may be this root, which is numbered by its time."""
        posted_at = int(where.root) if where.root.isdigit() else 0
        return any(
            one.thread.root is None
            and one.thread.desk == self._desk
            and one.thread.channel == where.channel
            and one.opened_at <= posted_at + EARLY_MS
            for one in await self._lookup.open_handoffs(self._site)
        )
