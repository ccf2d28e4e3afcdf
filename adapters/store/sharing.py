"""Units' calls on what processes share: named leases, and where many conversations stand."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam as b
from sqlalchemy import cast, delete, func, literal_column, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from adapters.store.prepared import PerDialect, PerName, Row, Session
from adapters.store.tables import CONVERSATION, DESK_FACT, HANDOFF, INBOX, LANE, LEASE, STREAM
from bridge.ids import ChannelId, ConversationId, DeskName, HandoffId, Millis, SiteId, TurnId
from bridge.sharing import HERE, Head, Presence

_L = LEASE.c
_HOLD = PerDialect(
    lambda insert: (
        insert(LEASE)
        .values(site=b("site"), name=b("name"), owner=b("owner"), until=b("until"))
        .on_conflict_do_update(
            index_elements=["site", "name"],
            set_={"owner": insert(LEASE).excluded.owner, "until": insert(LEASE).excluded.until},
            where=or_(_L.owner == insert(LEASE).excluded.owner, _L.until <= b("now")),
        )
    )
)
_DROP = delete(LEASE).where(_L.site == b("site"), _L.name == b("name"), _L.owner == b("owner"))

# A list of any length as one parameter, so that the statement stays the same.
_IDS = {
    "sqlite": select(func.json_each(b("ids")).table_valued("value").c.value),
    "postgresql": select(func.jsonb_array_elements_text(cast(b("ids"), JSONB)).column_valued()),
}
# Whoever shows a chat to its customer holds a lease of this name on the open handoff; several processes may. Its owner
# is what the handoff's card was told of it.
_WINDOW = "window:"
_IS_WINDOW = text(f"lease.name LIKE '{_WINDOW}%'")
_KEEP = PerDialect(
    lambda insert: (
        insert(LEASE)
        .values(site=b("site"), name=b("name"), owner=b("owner"), until=b("until"))
        .on_conflict_do_update(
            index_elements=["site", "name"],
            set_={"until": insert(LEASE).excluded.until},
            where=_L.until < insert(LEASE).excluded.until,
        )
    )
)
_PROLONG = PerName(
    **{
        name: update(LEASE)
        .values(until=b("v_until"))
        .where(_L.site == b("w_site"), _L.name.in_(names), _L.until < b("v_until"))
        for name, names in _IDS.items()
    }
)
_PRESENCE = (_L.site, _L.name, _L.owner, _L.until)
_PRESENCES = PerName(
    **{name: select(*_PRESENCE).where(_L.site == b("site"), _L.name.in_(names)) for name, names in _IDS.items()}
)
_UNTOLD = PerName(
    **{
        name: select(*_PRESENCE)
        .where(_L.site == b("site"), _L.name.in_(names), text(f"lease.owner <> '{HERE}'"))
        .order_by(_L.name)
        for name, names in _IDS.items()
    }
)
_LAPSED = (
    select(*_PRESENCE)
    .where(_IS_WINDOW, text(f"lease.owner = '{HERE}'"), _L.until < b("now"))
    .order_by(_L.until)
    .limit(b("most"))
)
_NOTE = update(LEASE).values(owner=b("v_owner")).where(_L.site == b("w_site"), _L.name == b("w_name"))
_FORGET_WINDOWS = delete(LEASE).where(_IS_WINDOW, _L.until < b("before"))

_C, _S = CONVERSATION.c, STREAM.c
_HEADS = {
    name: select(_C.id, _C.next_n, _C.epoch, _S.turn, _S.attempt, _S.seq)
    .join_from(CONVERSATION, STREAM, (_S.site == _C.site) & (_S.conversation == _C.id), isouter=True)
    .where(_C.site == b("site"), _C.id.in_(ids))
    for name, ids in _IDS.items()
}
_HEADS_OF = PerName(**_HEADS)

_ITS_LANE = (LANE.c.site == HANDOFF.c.site) & (LANE.c.handoff == HANDOFF.c.id) & (LANE.c.ordinal == HANDOFF.c.ordinal)
_LOADS = (
    select(LANE.c.channel, literal_column("count(*)"))
    .join_from(HANDOFF, LANE, _ITS_LANE)
    .where(text("handoff.state IN ('waiting', 'human')"), HANDOFF.c.site == b("site"), LANE.c.desk == b("desk"))
    .group_by(LANE.c.channel)
)

_I = INBOX.c
_OLD = select(_I.site, _I.source).where(_I.at < b("before")).limit(b("most")).subquery()
_FORGET = delete(INBOX).where(
    _I.at < b("before"), select(_OLD).where(_OLD.c.site == _I.site, _OLD.c.source == _I.source).exists()
)

_F = DESK_FACT.c
_PUT_FACT = PerDialect(
    lambda insert: insert(DESK_FACT).on_conflict_do_update(
        index_elements=["site", "desk", "name"], set_={"value": insert(DESK_FACT).excluded.value}
    )
)
_DROP_FACT = delete(DESK_FACT).where(_F.site == b("site"), _F.desk == b("desk"), _F.name == b("name"))
_FACTS = select(_F.name, _F.value).where(_F.site == b("site"), _F.desk == b("desk")).order_by(_F.name)


class SharingUnits(Session):
    """See `bridge.storage.Tx`: processes."""

    __slots__ = ()

    def hold_lease(self, site: SiteId, name: str, worker: str, now: Millis, lease_ms: int) -> bool:
        return self._change(_HOLD, site=site, name=name, owner=worker, until=now + lease_ms, now=now) == 1

    def drop_lease(self, site: SiteId, name: str, worker: str) -> None:
        self._write(_DROP, site=site, name=name, owner=worker)

    def heads(self, site: SiteId, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        found = self._all(_HEADS_OF, site=site, ids=json.dumps(list(conversations)))
        return {
            ConversationId(row[0]): Head(
                next_n=row[1],
                epoch=row[2],
                stream=None if row[3] is None else (TurnId(row[3]), int(row[4]), int(row[5])),
            )
            for row in found
        }

    def keep_presence(self, site: SiteId, handoffs: Sequence[HandoffId], until: Millis) -> None:
        # In one order in all processes: two that lock the same rows in another one would deadlock.
        names = sorted(f"{_WINDOW}{handoff}" for handoff in handoffs)
        # Nearly always all are known: then one statement does, however many they are.
        if names and self._change(_PROLONG, w_site=site, ids=json.dumps(names), v_until=until) < len(names):
            self._change_each(_KEEP, [{"site": site, "name": name, "owner": "", "until": until} for name in names])

    def presences(self, site: SiteId, handoffs: Sequence[HandoffId]) -> Mapping[HandoffId, Presence]:
        names = json.dumps([f"{_WINDOW}{handoff}" for handoff in handoffs])
        return {found.handoff: found for found in map(_presence, self._all(_PRESENCES, site=site, ids=names))}

    def untold_presences(self, site: SiteId, handoffs: Sequence[HandoffId]) -> Sequence[Presence]:
        names = json.dumps([f"{_WINDOW}{handoff}" for handoff in handoffs])
        return [_presence(row) for row in self._all(_UNTOLD, site=site, ids=names)]

    def note_presence(self, site: SiteId, handoff: HandoffId, told: str) -> None:
        self._write(_NOTE, w_site=site, w_name=f"{_WINDOW}{handoff}", v_owner=told)

    def lapsed_presences(self, now: Millis, limit: int = 100) -> Sequence[Presence]:
        return [_presence(row) for row in self._all(_LAPSED, now=now, most=limit)]

    def forget_presences(self, before: Millis) -> int:
        return self._change(_FORGET_WINDOWS, before=before)

    def channel_loads(self, site: SiteId, desk: DeskName) -> Mapping[ChannelId, int]:
        return {ChannelId(row[0]): int(row[1]) for row in self._all(_LOADS, site=site, desk=desk)}

    def forget_sources(self, before: Millis, limit: int = 1000) -> int:
        return self._change(_FORGET, before=before, most=limit)

    def put_desk_fact(self, site: SiteId, desk: DeskName, name: str, value: str) -> None:
        if value:
            self._change(_PUT_FACT, site=site, desk=desk, name=name, value=value)
        else:
            self._change(_DROP_FACT, site=site, desk=desk, name=name)

    def desk_facts(self, site: SiteId, desk: DeskName) -> Mapping[str, str]:
        return {str(row[0]): str(row[1]) for row in self._all(_FACTS, site=site, desk=desk)}


def _presence(row: Row) -> Presence:
    site, name, told, until = row
    handoff = HandoffId(name.removeprefix(_WINDOW))
    return Presence(site=SiteId(site), handoff=handoff, until=Millis(until), told=told)
