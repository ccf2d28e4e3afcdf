"""Units' calls that say how much waits: read by each scrape of the figures, so none of them reads a whole table."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, case, literal_column, select, text
from sqlalchemy import bindparam as b

from adapters.store.prepared import Session
from adapters.store.tables import (  # fmt: skip
    CHANNEL,
    DEAD,
    ENTRY,
    HANDOFF,
    IN_FLIGHT,
    LANE,
    LIVE,
    OPEN,
    OUT,
    SUPPRESSED,
    TURN,
    UNSENT,
)
from bridge.ids import ChannelId, DeskName, Millis
from bridge.storage import Store, Tx

_COUNT: Any = literal_column("count(*)")
_COUNTS: dict[str, Select[Any]] = {
    "sending_outs": select(_COUNT).select_from(OUT).where(text(IN_FLIGHT)),
    "dead_outs": select(_COUNT).select_from(OUT).where(text(DEAD)),
    "live_turns": select(_COUNT).select_from(TURN).where(text(LIVE)),
    "suppressed": select(_COUNT).select_from(ENTRY).where(text(SUPPRESSED)),
}
_HANDOFFS: Select[Any] = (
    select(HANDOFF.c.state, _COUNT, literal_column("min(opened_at)")).where(text(OPEN)).group_by(HANDOFF.c.state)
)
_KIND: Any = literal_column(
    "CASE WHEN lane.opened = 0 THEN 'new' WHEN out.kind IN ('card', 'edit', 'delete') THEN 'cosmetic' ELSE 'line' END"
)
_UNSENT_BY_KIND: Select[Any] = (
    select(_KIND, _COUNT, literal_column("min(out.queued_at)"))
    .select_from(OUT)
    .join(LANE, (LANE.c.site == OUT.c.site) & (LANE.c.handoff == OUT.c.handoff) & (LANE.c.ordinal == OUT.c.ordinal))
    .where(text(UNSENT))
    .group_by(_KIND)
)
_H = CHANNEL.c
_LATER = case((_H.blocked_until > _H.next_free_at, _H.blocked_until), else_=_H.next_free_at)
_RESTS = (
    select(_H.desk, _H.channel, _H.next_free_at, _H.blocked_until)
    .where(_H.channel != literal_column("''"))
    .order_by(_LATER.desc(), _H.desk, _H.channel)
    .limit(b("most"))
)
_SCHEMA = text(
    "SELECT version_num, serves_from FROM alembic_version LEFT JOIN schema_info ON revision = version_num LIMIT 1"
)


async def schema_of(store: Store) -> tuple[str, str]:
    """Return the schema's revision and from which one on code may serve it, as they are now. Raises StoreUnavailable.

    Another process may have brought the database further since this one opened it.
    """

    def unit(tx: Tx) -> tuple[str, str]:
        return tx.schema() if isinstance(tx, GaugeUnits) else ("", "")

    return await store.read(unit)


class GaugeUnits(Session):
    """See `bridge.storage.Tx`: gauges."""

    __slots__ = ()

    def counts(self, now: Millis) -> dict[str, int]:
        gauges = {name: int((self._one(statement) or (0,))[0]) for name, statement in _COUNTS.items()}
        handoffs = {row[0]: (int(row[1]), max(0, now - row[2])) for row in self._all(_HANDOFFS)}
        waiting, waits_ms = handoffs.get("waiting", (0, 0))
        human = handoffs.get("human", (0, 0))[0]
        gauges |= {"waiting_handoffs": waiting, "human_handoffs": human, "oldest_waiting_ms": waits_ms}
        unsent = {row[0]: (int(row[1]), max(0, now - row[2])) for row in self._all(_UNSENT_BY_KIND)}
        for kind in ("new", "line", "cosmetic"):
            gauges[f"unsent_{kind}"], gauges[f"oldest_{kind}_ms"] = unsent.get(kind, (0, 0))
        return gauges | {"open_handoffs": waiting + human, "unsent_outs": sum(count for count, _ in unsent.values())}

    def channel_rests(self, now: Millis, limit: int = 50) -> Mapping[tuple[DeskName, ChannelId], tuple[int, int]]:
        found = self._all(_RESTS, most=limit)
        return {(DeskName(row[0]), ChannelId(row[1])): (max(0, row[2] - now), max(0, row[3] - now)) for row in found}

    def schema(self) -> tuple[str, str]:
        """Return what `schema_of` does; not of the port, since a store in memory has none."""
        found = self._one(_SCHEMA)
        return ("", "") if found is None else (str(found[0]), str(found[1] or found[0]))
