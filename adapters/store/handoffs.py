"""Units' calls on handoffs, tickets and timers."""

from sqlalchemy import bindparam as b
from sqlalchemy import delete, insert, literal_column, or_, select, text, update

from adapters.store import rows
from adapters.store.lanes import LaneUnits
from adapters.store.prepared import PerDialect
from adapters.store.tables import HANDOFF, LANE, TICKET, TIMER
from bridge.conversation import Handoff
from bridge.ids import ChannelId, ConversationId, DeskName, HandoffId, Millis, OperatorId, RemoteRef, SiteId, Ticket
from bridge.storage import DueTimer, ThreadPlace

_FIRST_TICKET = 1001
_TAKE_TICKET = PerDialect(
    lambda insert: (
        insert(TICKET)
        .values(site=b("site"), last=literal_column(str(_FIRST_TICKET)))
        .on_conflict_do_update(index_elements=["site"], set_={"last": TICKET.c.last + literal_column("1")})
        .returning(TICKET.c.last)
    )
)

_H, _L = HANDOFF.c, LANE.c
_ITS_LANE = (_L.site == _H.site) & (_L.handoff == _H.id) & (_L.ordinal == _H.ordinal)
_SELECT = select(HANDOFF, _L.desk, _L.channel, _L.root).join_from(HANDOFF, LANE, _ITS_LANE).where(_H.site == b("site"))
_HANDOFF = _SELECT.where(_H.id == b("id"))
_BY_TICKET = _SELECT.where(_H.ticket == b("ticket"))
_BY_ENVELOPE = _SELECT.where(_H.conversation == b("conversation"), _H.envelope_id == b("envelope"))
_THREAD_AT = select(_L.conversation, _L.handoff, _L.ordinal).where(
    _L.site == b("site"), _L.desk == b("desk"), _L.root == b("root")
)
_OPEN = (
    _SELECT.where(
        text("handoff.state IN ('waiting', 'human')"),
        or_(b("operator") == literal_column("''"), _H.operator_id == b("operator")),
    )
    .order_by(_H.opened_at, _H.id)
    .limit(b("most"))
)
_INSERT = insert(HANDOFF)
_SAVE = (
    update(HANDOFF)
    .values({c.name: b(f"v_{c.name}") for c in HANDOFF.c if c.name not in {"site", "id"}})
    .where(_H.site == b("v_site"), _H.id == b("v_id"))
)
_CHANNELS = (
    select(_L.channel)
    .distinct()
    .join_from(HANDOFF, LANE, _ITS_LANE)
    .where(text("handoff.state IN ('waiting', 'human')"), _L.desk == b("desk"))
    .order_by(_L.channel)
)

_T = TIMER.c
_SET_TIMER = PerDialect(
    lambda insert: insert(TIMER).on_conflict_do_update(
        index_elements=["site", "handoff", "rung"], set_={"due_at": insert(TIMER).excluded.due_at}
    )
)
_CLEAR_TIMERS = delete(TIMER).where(_T.site == b("site"), _T.handoff == b("handoff"))
_DROP_TIMER = _CLEAR_TIMERS.where(_T.rung == b("rung"))
_DUE = select(TIMER).where(_T.due_at <= b("now")).order_by(_T.due_at, _T.handoff, _T.rung).limit(b("most"))


class HandoffUnits(LaneUnits):
    """See `bridge.storage.Tx`: handoffs and timers."""

    __slots__ = ()

    def take_ticket(self, site: SiteId) -> Ticket:
        row = self._one(_TAKE_TICKET, site=site)
        assert row is not None  # noqa: S101 -- RETURNING always answers
        return Ticket(f"H-{row[0]}")

    def handoff(self, site: SiteId, handoff: HandoffId) -> Handoff | None:
        row = self._one(_HANDOFF, site=site, id=handoff)
        return None if row is None else rows.handoff_of(row)

    def handoff_by_ticket(self, site: SiteId, ticket: Ticket) -> Handoff | None:
        row = self._one(_BY_TICKET, site=site, ticket=ticket)
        return None if row is None else rows.handoff_of(row)

    def handoff_by_envelope(self, site: SiteId, conversation: ConversationId, envelope: str) -> Handoff | None:
        row = self._one(_BY_ENVELOPE, site=site, conversation=conversation, envelope=envelope)
        return None if row is None else rows.handoff_of(row)

    def thread_at(self, site: SiteId, desk: DeskName, root: RemoteRef) -> ThreadPlace | None:
        row = self._one(_THREAD_AT, site=site, desk=desk, root=root)
        return None if row is None else ThreadPlace(conversation=row[0], handoff=row[1], ordinal=row[2])

    def open_handoffs(self, site: SiteId, *, operator: OperatorId | None = None, limit: int = 100) -> list[Handoff]:
        return [rows.handoff_of(row) for row in self._all(_OPEN, site=site, operator=operator or "", most=limit)]

    def insert_handoff(self, handoff: Handoff) -> None:
        self._write(_INSERT, **rows.handoff_row(handoff))
        self._open_lane(handoff)

    def save_handoff(self, handoff: Handoff) -> None:
        values = {f"v_{name}": value for name, value in rows.handoff_row(handoff).items()}
        if self._change(_SAVE, **values) != 1:
            raise ValueError(f"handoff {handoff.id} was never inserted")
        self._open_lane(handoff)

    def channels(self, desk: DeskName) -> list[ChannelId]:
        return [ChannelId(row[0]) for row in self._all(_CHANNELS, desk=desk)]

    def set_timer(self, site: SiteId, handoff: HandoffId, rung: str, due_at: Millis) -> None:
        self._write(_SET_TIMER, site=site, handoff=handoff, rung=rung, due_at=due_at)

    def clear_timers(self, site: SiteId, handoff: HandoffId) -> None:
        self._write(_CLEAR_TIMERS, site=site, handoff=handoff)

    def drop_timer(self, site: SiteId, handoff: HandoffId, rung: str) -> None:
        self._write(_DROP_TIMER, site=site, handoff=handoff, rung=rung)

    def due_timers(self, now: Millis, limit: int = 50) -> list[DueTimer]:
        found = self._all(_DUE, now=now, most=limit)
        return [DueTimer(site=site, handoff=handoff, rung=rung, due_at=due_at) for site, handoff, rung, due_at in found]
