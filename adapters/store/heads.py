"""What is next on a lane: the head_* columns that choosing a lane reads, kept true after every change of its outs."""

from sqlalchemy import and_, case, insert, literal_column, or_, select, text, update
from sqlalchemy import bindparam as b
from sqlalchemy.sql.elements import ColumnElement

from adapters.store import rows
from adapters.store.prepared import PerDialect, Row, Session
from adapters.store.tables import CHANNEL, LANE, OUT, UNSENT
from bridge.conversation import Handoff
from bridge.effects import OutKind
from bridge.ids import RemoteRef
from bridge.storage import Out

CARD = OutKind.CARD.value
COSMETIC = frozenset({OutKind.CARD.value, OutKind.EDIT.value, OutKind.DELETE.value})
"""Kinds that change what is there already. A card does so once its thread is open; before, it opens it."""

_L, _O = LANE.c, OUT.c
LANE_IS = (_L.site == b("w_site"), _L.handoff == b("w_handoff"), _L.ordinal == b("w_ordinal"))
OUT_IN_LANE = (_O.site == b("w_site"), _O.handoff == b("w_handoff"), _O.ordinal == b("w_ordinal"))
ONE: ColumnElement[int] = literal_column("1")

_KNOW_CHANNEL = PerDialect(lambda insert: insert(CHANNEL).on_conflict_do_nothing())
_KNOW_LANE = PerDialect(lambda insert: insert(LANE).on_conflict_do_nothing())
_ENQUEUED = and_(_L.head_k.is_(None), or_(_L.opened == ONE, b("is_card") == ONE))


def _unless_waiting(column: ColumnElement[int], value: ColumnElement[int]) -> ColumnElement[int]:
    """The value where the new out becomes the head, else what the column holds."""
    return case((_ENQUEUED, value), else_=column)


_NUMBER_OUT = (
    update(LANE)
    .values(
        next_k=_L.next_k + ONE,
        head_k=_unless_waiting(_L.head_k, _L.next_k),
        head_at=_unless_waiting(_L.head_at, b("queued_at")),
        head_not_before=_unless_waiting(_L.head_not_before, b("not_before")),
        head_cosmetic=_unless_waiting(_L.head_cosmetic, case((_L.opened == ONE, b("changes")), else_=text("0"))),
    )
    .where(*LANE_IS)
    .returning(_L.next_k)
)
_INSERT_OUT = insert(OUT)

_NEXT = select(_O.k, _O.kind, _O.queued_at, _O.not_before).where(*OUT_IN_LANE, _O.k > b("sent_k"), text(UNSENT))
_HEAD = _NEXT.order_by(_O.k).limit(ONE)
_HEAD_CARD = _NEXT.where(_O.kind == literal_column(f"'{CARD}'")).order_by(_O.k).limit(ONE)
_SET_HEAD = (
    update(LANE)
    .values(
        root=b("v_root"),
        opened=b("v_opened"),
        sent_k=b("v_sent_k"),
        head_k=b("v_head_k"),
        head_at=b("v_head_at"),
        head_not_before=b("v_head_not_before"),
        head_cosmetic=b("v_head_cosmetic"),
    )
    .where(*LANE_IS)
)
_LANE_NOW = (
    select(_L.site, _L.handoff, _L.ordinal, _L.lease_epoch, _L.root, _L.next_k, _L.sent_k)
    .where(*LANE_IS)
    .with_for_update()
)


class LaneHeads(Session):
    """A lane, and what is next on it."""

    __slots__ = ()

    def _open_lane(self, handoff: Handoff) -> None:
        """Make sure that the handoff's thread has a lane, and that a root which the caller knows is on it."""
        thread = handoff.thread
        self._change(
            _KNOW_CHANNEL,
            site=handoff.site,
            desk=thread.desk,
            channel=thread.channel,
            next_free_at=0,
            blocked_until=0,
            cosmetic_free_at=0,
            new_in_a_row=0,
        )
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
            next_k=1,
            sent_k=0,
            head_k=None,
            head_at=None,
            head_not_before=None,
            head_cosmetic=None,
            lease_owner="",
            lease_epoch=0,
            lease_until=0,
            lease_ms=0,
        )
        if not made and thread.root is not None:
            lane = self._lane(handoff.site, handoff.id, thread.ordinal)
            if lane is not None and lane[4] is None:
                self._find_head(lane, root=thread.root)

    def enqueue(self, out: Out) -> int:
        row = self._one(
            _NUMBER_OUT,
            w_site=out.site,
            w_handoff=out.handoff,
            w_ordinal=out.ordinal,
            is_card=int(out.kind is OutKind.CARD),
            changes=int(out.kind.value in COSMETIC),
            queued_at=out.queued_at,
            not_before=out.not_before,
        )
        if row is None:
            raise ValueError(f"handoff {out.handoff} has no thread {out.ordinal} to send to")
        k = int(row[0]) - 1
        self._change(_INSERT_OUT, **rows.out_row(out, k))
        return k

    def _lane(self, site: str, handoff: str, ordinal: int) -> Row | None:
        """Return site, handoff, ordinal, lease_epoch, root, next_k and sent_k of a lane, locked."""
        return self._one(_LANE_NOW, w_site=site, w_handoff=handoff, w_ordinal=ordinal)

    def _find_head(self, lane: Row, *, root: RemoteRef | None = None) -> None:
        """Look up what is next now. `root` is what became known just now, if anything did."""
        site, handoff, ordinal, _, known, next_k, sent_k = lane
        known = known if known is not None else root
        where = {"w_site": site, "w_handoff": handoff, "w_ordinal": ordinal}
        head = self._one(_HEAD_CARD if known is None else _HEAD, **where, sent_k=sent_k)
        if known is not None:
            sent_k = (next_k if head is None else head[0]) - 1
        k, kind, queued_at, not_before = (None, None, None, None) if head is None else head
        self._change(
            _SET_HEAD,
            **where,
            v_root=known,
            v_opened=int(known is not None),
            v_sent_k=sent_k,
            v_head_k=k,
            v_head_at=queued_at,
            v_head_not_before=not_before,
            v_head_cosmetic=None if head is None else int(known is not None and kind in COSMETIC),
        )
