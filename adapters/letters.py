"""What `handoff-bridge dead-letters` does: show what could not be delivered, send it again, or forget it."""

from dataclasses import dataclass
from typing import Literal

from bridge.briefing import clock as as_time
from bridge.errors import SettingsError
from bridge.ids import Millis, SiteId
from bridge.ports import Out, Store, Tx

LIMIT = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A post that was given up. What was said stays in the store: it is not for a terminal's scrollback."""

    key: str
    ticket: str
    kind: str
    since: str
    reason: str
    maybe_sent: bool


async def dead(store: Store, site: SiteId) -> list[Letter]:
    """Return the oldest thousand, one for each post."""

    def unit(tx: Tx) -> list[Letter]:
        found: dict[str, Letter] = {}
        for out in tx.dead_outs(site, limit=LIMIT):
            handoff = tx.handoff(site, out.handoff)
            found.setdefault(
                out.key,
                Letter(
                    key=out.key,
                    ticket=handoff.ticket if handoff else "?",
                    kind=out.kind.value,
                    since=as_time(out.queued_at),
                    reason=out.reason,
                    maybe_sent=out.maybe_sent,
                ),
            )
        return list(found.values())

    return await store.read(unit)


async def decide(store: Store, site: SiteId, keys: list[str], now: Millis, *, what: Literal["retry", "drop"]) -> int:
    """Send these posts again, or forget them; no key means all. Returns how many there were. In one transaction.

    Raises SettingsError for a key that is not there, and then nothing is changed.
    """

    def unit(tx: Tx) -> int:
        outs = tx.dead_outs(site, limit=LIMIT)
        if unknown := set(keys) - {out.key for out in outs}:
            raise SettingsError(f"{min(unknown)}: there is no such dead letter; see: handoff-bridge dead-letters list")
        chosen: list[Out] = [out for out in outs if not keys or out.key in keys]
        for out in chosen:
            if what == "retry":
                tx.revive(out, now)
            else:
                tx.drop_dead(out)
        return len({out.key for out in chosen})

    return await store.run(unit)
