"""Dead letters: what could not be delivered, and what people decide about it, by a button or on the command line."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from bridge.briefing import clock as as_time
from bridge.errors import NotFound
from bridge.ids import HandoffId, OutKey, SiteId
from bridge.ports import Clock
from bridge.storage import Changed, Out, Store, Tx

LIST_LIMIT = 1000
EVERY = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A post that was given up. What was said stays in the store: it is not for a terminal's scrollback."""

    key: str
    ticket: str
    kind: str
    since: str
    reason: str
    maybe_sent: bool


class DeadLetters:
    """Shows them, sends them again at the end of their threads, or forgets them. Each decision is one transaction, and
    deciding twice changes nothing. All calls raise StoreUnavailable.
    """

    def __init__(self, store: Store, clock: Clock, on_change: Callable[[Changed], None] = lambda _: None) -> None:
        """Take the ports; `on_change` wakes the courier, where there is one in this process."""
        self._store, self._clock, self._on_change = store, clock, on_change

    async def oldest(self, site: SiteId) -> list[Letter]:
        """Return the oldest thousand, one for each post."""

        def unit(tx: Tx) -> list[Letter]:
            posts: dict[OutKey, Out] = {}
            for out in tx.dead_outs(site, limit=LIST_LIMIT):
                posts.setdefault(out.key, out)
            return [_letter(tx, out) for out in posts.values()]

        return await self._store.read(unit)

    async def send_again(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Queue it again. Returns a sentence for who decided; pressing twice sends once."""
        found = await self._decide(site, lambda out: (out.handoff, out.n) == (handoff, n), again=True)
        return "It is sent again." if found else "Somebody has decided about this one already."

    async def arrived(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Forget it: people saw that it is there."""
        found = await self._decide(site, lambda out: (out.handoff, out.n) == (handoff, n), again=False)
        return "Noted: it arrived." if found else "Somebody has decided about this one already."

    async def retry(self, site: SiteId, keys: Collection[str]) -> int:
        """Send these posts again; no key means all. Returns how many there were.

        Raises NotFound for a key that is not there, and then nothing is changed.
        """
        return await self._decide(site, lambda out: not keys or out.key in keys, again=True, keys=keys)

    async def drop(self, site: SiteId, keys: Collection[str]) -> int:
        """Forget these posts; otherwise as `retry`."""
        return await self._decide(site, lambda out: not keys or out.key in keys, again=False, keys=keys)

    async def _decide(
        self, site: SiteId, fits: Callable[[Out], bool], *, again: bool, keys: Collection[str] = ()
    ) -> int:
        now = self._clock.now()

        def unit(tx: Tx) -> list[Out]:
            dead = tx.dead_outs(site, limit=EVERY)
            if unknown := set(keys) - {out.key for out in dead}:
                raise NotFound(f"{min(unknown)}: there is no such dead letter")
            chosen = [out for out in dead if fits(out)]
            for out in chosen:
                if again:
                    tx.revive(out, now)
                else:
                    tx.drop_dead(out)
            return chosen

        chosen = await self._store.run(unit)
        for conversation in {out.conversation for out in chosen} if again else ():
            self._on_change(Changed(site=site, conversation=conversation))
        return len({out.key for out in chosen})


def _letter(tx: Tx, out: Out) -> Letter:
    handoff = tx.handoff(out.site, out.handoff)
    return Letter(
        key=out.key,
        ticket=handoff.ticket if handoff else "?",
        kind=out.kind.value,
        since=as_time(out.queued_at),
        reason=out.reason,
        maybe_sent=out.maybe_sent,
    )
