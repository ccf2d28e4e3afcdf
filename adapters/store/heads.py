"""What is next on a lane: the head_* columns that choosing a lane reads, kept true after every change of its outs."""

from sqlalchemy import BigInteger, and_, case, cast, func, insert, literal_column, or_, select, text, tuple_, update
from sqlalchemy import bindparam as b
from sqlalchemy.sql.elements import ColumnElement

from adapters.store import rows
from adapters.store.prepared import Cursor, PerDialect, Row, Session, Statements
from adapters.store.tables import CHANNEL, LANE, OUT, UNSENT
from bridge.conversation import Handoff
from bridge.effects import OutKind
from bridge.ids import DeskName, Millis
from bridge.pacing import CHANGES, SAYS, Urgency, urgency
from bridge.storage import Out

CARD = OutKind.CARD.value
WHOLE_DESK = ""
"""The channel under whose name a desk's budget for changes is kept."""

_L, _O = LANE.c, OUT.c
LANE_IS = (_L.site == b("w_site"), _L.handoff == b("w_handoff"), _L.ordinal == b("w_ordinal"))
OUT_IN_LANE = (_O.site == b("w_site"), _O.handoff == b("w_handoff"), _O.ordinal == b("w_ordinal"))
ONE: ColumnElement[int] = literal_column("1")
_ZERO: ColumnElement[int] = literal_column("0")

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

_root = func.coalesce(_L.root, b("v_root"))
_told = case((_L.told == ONE, ONE), else_=cast(b("v_told"), BigInteger))
# As `pacing.urgency` has it.
_rank = case(
    (_root.is_(None), constant(Urgency.NEW)),
    (kinds(CHANGES), _COSMETIC),
    (_told == ONE, constant(Urgency.LINE)),
    else_=constant(Urgency.NEW),
)
_UNSENT_HERE = (*OUT_IN_LANE, _O.k > _L.sent_k, text(UNSENT))
# What is said passes changes; before the thread is open, only the card that opens it may leave.
_NEXT_OUT = (
    select(_O.k, _O.queued_at, _O.not_before, _rank)
    .where(*_UNSENT_HERE, or_(_root.is_not(None), kinds((OutKind.CARD,))))
    .order_by(case((kinds(SAYS), _ZERO), else_=ONE), _O.k)
    .limit(ONE)
    .correlate(LANE)
)
_FIRST_UNSENT = select(func.min(_O.k)).where(*_UNSENT_HERE).correlate(LANE).scalar_subquery()
NEXT_HEAD = (
    update(LANE)
    .values(
        {
            tuple_(_L.head_k, _L.head_at, _L.head_not_before, _L.head_urgency): _NEXT_OUT.scalar_subquery(),
            _L.root: _root,
            _L.opened: case((_root.is_(None), _ZERO), else_=ONE),
            _L.told: _told,
            _L.sent_k: case((_root.is_(None), _L.sent_k), else_=func.coalesce(_FIRST_UNSENT, _L.next_k) - ONE),
        }
    )
    .where(*LANE_IS)
)
_OPENED_NOW = NEXT_HEAD.where(_L.root.is_(None))
LANE_LOCKED = select(_L.root).where(*LANE_IS).with_for_update()


class LaneHeads(Session):
    """A lane, and what is next on it.

    `_ready` is what a claim has read ahead, None if lanes were changed since: then it is read again.
    """

    __slots__ = ("_all_ready", "_ready", "_ready_for")

    def __init__(self, cursor: Cursor, statements: Statements) -> None:
        """Use this cursor; nothing was read ahead."""
        super().__init__(cursor, statements)
        self._ready: list[Row] | None = None
        self._ready_for: tuple[DeskName, Millis] | None = None
        self._all_ready = False

    def _open_lane(self, handoff: Handoff) -> None:
        """Make sure that the handoff's thread has a lane, and that a root which the caller knows is on it."""
        self._ready = None
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
            where = {"w_site": handoff.site, "w_handoff": handoff.id, "w_ordinal": thread.ordinal}
            self._lock(LANE_LOCKED, **where)
            self._write(_OPENED_NOW, **where, v_root=thread.root, v_told=0)

    def enqueue(self, out: Out) -> int:
        self._ready = None
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
