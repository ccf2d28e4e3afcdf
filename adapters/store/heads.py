"""What is next on a lane: the head_* columns that choosing a lane reads, kept true after every change of its outs."""

from sqlalchemy import BigInteger, and_, case, cast, func, insert, literal_column, or_, select, text, update
from sqlalchemy import bindparam as b
from sqlalchemy.sql.elements import ColumnElement

from adapters.store import rows
from adapters.store.prepared import PerDialect, Row, Session
from adapters.store.tables import CHANNEL, LANE, OUT, UNSENT
from bridge.conversation import Handoff
from bridge.effects import OutKind
from bridge.ids import RemoteRef
from bridge.pacing import SAYS, Urgency, urgency
from bridge.storage import Out

CARD = OutKind.CARD.value
WHOLE_DESK = ""
"""The channel under whose name a desk's budget for changes is kept."""

_L, _O = LANE.c, OUT.c
LANE_IS = (_L.site == b("w_site"), _L.handoff == b("w_handoff"), _L.ordinal == b("w_ordinal"))
OUT_IN_LANE = (_O.site == b("w_site"), _O.handoff == b("w_handoff"), _O.ordinal == b("w_ordinal"))
ONE: ColumnElement[int] = literal_column("1")

_KNOW_CHANNEL = PerDialect(lambda insert: insert(CHANNEL).on_conflict_do_nothing())
_KNOW_LANE = PerDialect(lambda insert: insert(LANE).on_conflict_do_nothing())


def constant(rank: Urgency) -> ColumnElement[int]:
    """An urgency, written into the statement."""
    return literal_column(str(rank.value))


def kinds(which: tuple[OutKind, ...]) -> ColumnElement[bool]:
    """Whether an out is of one of these kinds."""
    return _O.kind.in_([literal_column(f"'{kind.value}'") for kind in which])


_COSMETIC = constant(Urgency.COSMETIC)
# Their type is said aloud, as PostgreSQL cannot know it from a choice between parameters.
_its_urgency: ColumnElement[int] = case(
    (_L.opened != ONE, cast(b("before_open"), BigInteger)),
    (_L.told != ONE, cast(b("before_told"), BigInteger)),
    else_=cast(b("after"), BigInteger),
)
_ENQUEUED = or_(
    and_(_L.head_k.is_(None), _its_urgency < constant(Urgency.HELD)),
    and_(_L.head_urgency == _COSMETIC, _its_urgency < _COSMETIC),
)


def _if_next(column: ColumnElement[int], value: ColumnElement[int]) -> ColumnElement[int]:
    """The value where the new out becomes the head, else what the column holds."""
    return case((_ENQUEUED, value), else_=column)


_NUMBER_OUT = (
    update(LANE)
    .values(
        next_k=_L.next_k + ONE,
        head_k=_if_next(_L.head_k, _L.next_k),
        head_at=_if_next(_L.head_at, b("queued_at")),
        head_not_before=_if_next(_L.head_not_before, b("not_before")),
        head_urgency=_if_next(_L.head_urgency, _its_urgency),
    )
    .where(*LANE_IS)
    .returning(_L.next_k)
)
_INSERT_OUT = insert(OUT)

_NEXT = select(_O.k, _O.kind, _O.queued_at, _O.not_before).where(*OUT_IN_LANE, _O.k > b("sent_k"), text(UNSENT))
_FIRST = select(func.min(_O.k)).where(*OUT_IN_LANE, _O.k > b("sent_k"), text(UNSENT)).correlate(None)
# With the first that is unsent at all: what is said passes changes.
_HEAD = _NEXT.add_columns(_FIRST.scalar_subquery()).order_by(case((kinds(SAYS), 0), else_=ONE), _O.k).limit(ONE)
_HEAD_CARD = _NEXT.add_columns(_O.k).where(kinds((OutKind.CARD,))).order_by(_O.k).limit(ONE)
_SET_HEAD = (
    update(LANE)
    .values(
        root=b("v_root"),
        opened=b("v_opened"),
        told=b("v_told"),
        sent_k=b("v_sent_k"),
        head_k=b("v_head_k"),
        head_at=b("v_head_at"),
        head_not_before=b("v_head_not_before"),
        head_urgency=b("v_head_urgency"),
    )
    .where(*LANE_IS)
)
LANE_NOW = (
    select(_L.site, _L.handoff, _L.ordinal, _L.lease_epoch, _L.root, _L.next_k, _L.sent_k, _L.told)
    .where(*LANE_IS)
    .with_for_update()
)


class LaneHeads(Session):
    """A lane, and what is next on it."""

    __slots__ = ()

    def _open_lane(self, handoff: Handoff) -> None:
        """Make sure that the handoff's thread has a lane, and that a root which the caller knows is on it."""
        thread = handoff.thread
        made = self._change(
            _KNOW_LANE,
            site=handoff.site,
            handoff=handoff.id,
            ordinal=thread.ordinal,
            conversation=handoff.conversation,
            desk=thread.desk,
            channel=thread.channel,
            root=thread.root,
            opened=int(thread.root is not None),
            told=0,
            next_k=1,
            sent_k=0,
            head_k=None,
            head_at=None,
            head_not_before=None,
            head_urgency=None,
            lease_owner="",
            lease_epoch=0,
            lease_until=0,
            lease_ms=0,
        )
        if made:
            budget = {"next_free_at": 0, "blocked_until": 0, "cosmetic_free_at": 0, "new_in_a_row": 0}
            for channel in (WHOLE_DESK, thread.channel):
                self._change(_KNOW_CHANNEL, site=handoff.site, desk=thread.desk, channel=channel, **budget)
        elif thread.root is not None:
            lane = self._lane(handoff.site, handoff.id, thread.ordinal)
            if lane is not None and lane[4] is None:
                self._find_head(lane, root=thread.root)

    def enqueue(self, out: Out) -> int:
        row = self._one(
            _NUMBER_OUT,
            w_site=out.site,
            w_handoff=out.handoff,
            w_ordinal=out.ordinal,
            before_open=urgency(out.kind, opened=False, told=False).value,
            before_told=urgency(out.kind, opened=True, told=False).value,
            after=urgency(out.kind, opened=True, told=True).value,
            queued_at=out.queued_at,
            not_before=out.not_before,
        )
        if row is None:
            raise ValueError(f"handoff {out.handoff} has no thread {out.ordinal} to send to")
        k = int(row[0]) - 1
        self._write(_INSERT_OUT, **rows.out_row(out, k))
        return k

    def _lane(self, site: str, handoff: str, ordinal: int) -> Row | None:
        """Return site, handoff, ordinal, lease_epoch, root, next_k, sent_k and told of a lane, locked."""
        return self._one(LANE_NOW, w_site=site, w_handoff=handoff, w_ordinal=ordinal)

    def _find_head(self, lane: Row, *, root: RemoteRef | None = None, tells: bool = False) -> None:
        """Look up what is next now. `root` is what became known just now, if anything did; `tells`: something was said
        just now.
        """
        site, handoff, ordinal, _, known, next_k, sent_k, told = lane
        known = known if known is not None else root
        told = told or int(tells)
        where = {"w_site": site, "w_handoff": handoff, "w_ordinal": ordinal}
        head = self._one(_HEAD_CARD if known is None else _HEAD, **where, sent_k=sent_k)
        if known is not None:
            sent_k = (next_k if head is None else head[4]) - 1
        k, kind, queued_at, not_before, _ = (None, None, None, None, None) if head is None else head
        rank = None if kind is None else urgency(OutKind(kind), opened=known is not None, told=bool(told)).value
        self._write(
            _SET_HEAD,
            **where,
            v_root=known,
            v_opened=int(known is not None),
            v_told=told,
            v_sent_k=sent_k,
            v_head_k=k,
            v_head_at=queued_at,
            v_head_not_before=not_before,
            v_head_urgency=rank,
        )
