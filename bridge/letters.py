"""Dead letters: what could not be delivered, and what people decide about it."""

from collections.abc import Callable

from bridge.ids import HandoffId, SiteId
from bridge.ports import Changed, Clock, Out, Store, Tx


class DeadLetters:
    """Answers the buttons *Send again* and *It arrived*, and the command line."""

    def __init__(self, store: Store, clock: Clock, on_change: Callable[[Changed], None]) -> None:
        """Take the ports; `on_change` wakes the courier."""
        self._store, self._clock, self._on_change = store, clock, on_change

    async def send_again(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Queue it again. Returns a sentence for who decided; pressing twice sends once."""
        found = await self._decide(site, handoff, n, again=True)
        return "It is sent again." if found else "Somebody has decided about this one already."

    async def arrived(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Forget it: people saw that it is there."""
        found = await self._decide(site, handoff, n, again=False)
        return "Noted: it arrived." if found else "Somebody has decided about this one already."

    async def _decide(self, site: SiteId, handoff: HandoffId, n: int | None, *, again: bool) -> bool:
        now = self._clock.now()

        def unit(tx: Tx) -> list[Out]:
            dead = [out for out in tx.dead_outs(site, limit=1000) if out.handoff == handoff and out.n == n]
            for out in dead:
                if again:
                    tx.revive(out, now)
                else:
                    tx.drop_dead(out)
            return dead

        found = await self._store.run(unit)
        if found and again:
            self._on_change(Changed(site=site, conversation=found[0].conversation))
        return bool(found)
