"""Units' calls on lanes: who may send what now, and what came of it.

A lane's lease is a fence: each claim gets a new `lease_epoch`, and whoever holds an older one changes nothing.

Who waits for locks does so in the order conversation, lane, channel. A claim goes the other way round, so it waits for
none: what somebody else has locked is not there for it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam as b
from sqlalchemy import case, delete, exists, func, literal_column, select, text, update

from adapters.store import rows
from adapters.store.heads import (
    CARD,
    LANE_IS,
    LANE_LOCKED,
    NEXT_HEAD,
    ONE,
    OUT_IN_LANE,
    WHOLE_DESK,
    LaneHeads,
    constant,
    kinds,
)
from adapters.store.prepared import Cursor, Row, Statements
from adapters.store.tables import CHANNEL, DEAD, IN_FLIGHT, LANE, OUT, UNSENT
from bridge.conversation import Thread
from bridge.effects import OutKind
from bridge.ids import ConversationId, DeskName, HandoffId, Millis, OutKey, RemoteRef, SiteId, mint
from bridge.pacing import CHANGES, SAYS, Urgency, changes_only, choose
from bridge.storage import CLAIMS_PER_UNIT, Claim, Out, OutState

MAX_CLAIMED = 50

_DESK = CHANNEL.alias("whole_desk")
_L, _O, _C, _D = LANE.c, OUT.c, CHANNEL.c, _DESK.c
_ITS_CHANNEL = (_C.site == _L.site) & (_C.desk == _L.desk) & (_C.channel == _L.channel)
_ITS_DESK = (_D.site == _L.site) & (_D.desk == _L.desk) & (_D.channel == literal_column(f"'{WHOLE_DESK}'"))
_WAITS = text("lane.head_at IS NOT NULL")
_COSMETIC = constant(Urgency.COSMETIC)

_READY = (
    select(_L.site, _L.handoff, _L.ordinal, _L.conversation, _L.channel, _L.root, _L.lease_epoch, _L.sent_k)
    .add_columns(_L.head_urgency)
    .where(_L.desk == b("desk"), _WAITS, _L.head_not_before <= b("now"), _L.lease_until <= b("now"))
    .order_by(_L.head_urgency, _L.head_at, _L.handoff, _L.ordinal)
    .limit(ONE)
)
_FIRST_POSTS = (
    _READY.add_columns(_C.next_free_at, _C.new_in_a_row)
    .join_from(LANE, CHANNEL, _ITS_CHANNEL)
    .where(_L.head_urgency < _COSMETIC, _C.next_free_at <= b("now"), _C.blocked_until <= b("now"))
    .limit(literal_column(str(CLAIMS_PER_UNIT)))
    .with_for_update(skip_locked=True)
)
_BESIDE = _READY.where(
    _L.site == b("site"), _L.channel == b("channel"), _L.head_urgency == b("urgency")
).with_for_update(skip_locked=True)
_OLDEST_CHANGE = (
    _READY.add_columns(_D.cosmetic_free_at)
    .join_from(LANE, CHANNEL, _ITS_CHANNEL)
    .join(_DESK, _ITS_DESK)
    .where(_L.head_urgency == _COSMETIC, _D.cosmetic_free_at <= b("now"), _C.blocked_until <= b("now"))
    .with_for_update(skip_locked=True, of=(LANE, _DESK))
)
_LEASE = (
    update(LANE)
    .values(lease_owner=b("worker"), lease_epoch=b("epoch"), lease_until=b("until"), lease_ms=b("length"))
    .where(*LANE_IS)
)
_OUTS = select(OUT).where(*OUT_IN_LANE, _O.k > b("sent_k"), text(UNSENT)).order_by(_O.k)
_SAID = _OUTS.where(kinds(SAYS)).limit(literal_column(str(MAX_CLAIMED)))
_CHANGES = _OUTS.where(kinds(CHANGES)).limit(literal_column(str(MAX_CLAIMED)))
_OPENING = _OUTS.where(kinds((OutKind.CARD,))).limit(ONE)


def _later(one: Any, other: Any) -> Any:
    """The greater of two; SQLite and PostgreSQL have different names for it."""
    return case((one > other, one), else_=other)


_READY_AT = _later(_later(_L.head_not_before, _L.lease_until), _C.blocked_until)
_FREE_AT = case((_L.head_urgency == _COSMETIC, _D.cosmetic_free_at), else_=_C.next_free_at)
_NEXT_DUE = (
    select(func.min(_later(_READY_AT, _FREE_AT)))
    .join_from(LANE, CHANNEL, _ITS_CHANNEL)
    .join(_DESK, _ITS_DESK)
    .where(_L.desk == b("desk"), _WAITS)
)

_HELD = (*LANE_IS, _L.lease_epoch == b("w_epoch"))
_STILL_UNSENT = (
    select(literal_column("count(*)"))
    .select_from(OUT)
    .where(*OUT_IN_LANE, _O.k >= b("first"), _O.k <= b("last"), text(UNSENT))
    .scalar_subquery()
)
_HOLD = (
    update(LANE).values(lease_until=b("v_now") + _L.lease_ms, head_not_before=b("v_now") + _L.lease_ms).where(*_HELD)
)
_HOLD_IF_UNSENT = _HOLD.where(b("many") <= _STILL_UNSENT).returning(_L.lease_until)
_EACH = (*OUT_IN_LANE, _O.k == b("w_k"), text(UNSENT))
_FREEZE = (
    update(OUT)
    .values(
        state=literal_column(f"'{OutState.SENDING}'"),
        key=b("v_key"),
        attempt_at=b("v_now"),
        not_before=b("v_not_before"),
    )
    .where(*_EACH)
)
_CHANNEL_IS = (_C.site == b("w_site"), _C.desk == b("w_desk"), _C.channel == b("w_channel"))
_REST = update(CHANNEL).values(next_free_at=_later(_C.next_free_at, b("v_until"))).where(*_CHANNEL_IS)
_REST_CHANGES = update(CHANNEL).values(cosmetic_free_at=_later(_C.cosmetic_free_at, b("v_until"))).where(*_CHANNEL_IS)
_BLOCK = update(CHANNEL).values(blocked_until=_later(_C.blocked_until, b("v_until"))).where(*_CHANNEL_IS)
_COUNT_NEW = update(CHANNEL).values(new_in_a_row=b("v_count")).where(*_CHANNEL_IS)
_ECHOED = (
    update(OUT)
    .values(state=literal_column(f"'{OutState.DELIVERED}'"), remote=b("v_remote"), reason=literal_column("''"))
    .where(*_EACH)
)
_IF_HELD = exists().where(*_HELD)
_DELIVER = _ECHOED.where(_IF_HELD)
_POSTPONE = (
    update(OUT)
    .values(
        state=literal_column(f"'{OutState.NEW}'"),
        attempts=_O.attempts + ONE,
        not_before=b("v_not_before"),
        reason=b("v_reason"),
    )
    .where(*_EACH, _IF_HELD)
)
_UNCLEAR = (
    update(OUT).values(looks=_O.looks + ONE, not_before=b("v_not_before"), reason=b("v_reason")).where(*_EACH, _IF_HELD)
)
_BURY = (
    update(OUT)
    .values(state=literal_column(f"'{OutState.DEAD}'"), reason=b("v_reason"), maybe_sent=b("v_maybe_sent"))
    .where(*_EACH, _IF_HELD)
)
_GIVEN_BACK: dict[str, Any] = {"lease_owner": literal_column("''"), "lease_until": literal_column("0")}
_MOVE_ON = NEXT_HEAD.values(_GIVEN_BACK).where(_L.lease_epoch == b("w_epoch"))
_RELEASE = update(LANE).values(_GIVEN_BACK).where(*_HELD)

_IN_FLIGHT = (
    select(_O.handoff, _O.ordinal, _O.k, _O.kind)
    .join_from(OUT, LANE, (_L.site == _O.site) & (_L.handoff == _O.handoff) & (_L.ordinal == _O.ordinal))
    .where(_O.site == b("site"), _O.key == b("key"), text(f"out.{IN_FLIGHT}"), _L.desk == b("desk"))
    .order_by(_O.handoff, _O.ordinal, _O.k)
)
_OUT_FOR = (
    select(OUT)
    .where(_O.site == b("site"), _O.handoff == b("handoff"), _O.n == b("n"))
    .where(_O.kind == literal_column(f"'{OutKind.POST}'"))
    .order_by(_O.ordinal, _O.k)
)
_DEAD_OUTS = (
    select(OUT)
    .where(_O.site == b("site"), text(DEAD))
    .order_by(_O.queued_at, _O.handoff, _O.ordinal, _O.k)
    .limit(b("most"))
)
_DROP_DEAD = delete(OUT).where(*OUT_IN_LANE, _O.k == b("w_k"), text(DEAD))


def _where(claim: Claim) -> dict[str, Any]:
    return {"w_site": claim.site, "w_handoff": claim.handoff, "w_ordinal": claim.thread.ordinal}


class LaneUnits(LaneHeads):
    """See `bridge.storage.Tx`: lanes."""

    __slots__ = ("_claimed", "_used")

    def __init__(self, cursor: Cursor, statements: Statements) -> None:
        """Use this cursor; nothing is claimed yet."""
        super().__init__(cursor, statements)
        self._claimed: dict[tuple[str, str, int, int], int] = {}
        self._used: set[tuple[DeskName, str, str]] = set()

    def claim_lane(self, desk: DeskName, worker: str, now: Millis, lease_ms: int) -> Claim | None:
        found = self._next_lane(desk, now)
        if found is None:
            return None
        (site, handoff, ordinal, conversation, channel, root, epoch, sent_k, rank), free_at = found
        where = {"w_site": site, "w_handoff": handoff, "w_ordinal": ordinal}
        until = Millis(now + lease_ms)
        self._write(_LEASE, **where, worker=worker, epoch=epoch + 1, until=until, length=lease_ms)
        which = _OPENING if root is None else _CHANGES if rank == Urgency.COSMETIC else _SAID
        outs = [rows.out_of(row) for row in self._all(which, **where, sent_k=sent_k)]
        ready = next((i for i, out in enumerate(outs) if out.not_before > now), len(outs))
        self._claimed[site, handoff, ordinal, epoch + 1] = lease_ms
        return Claim(
            site=site,
            conversation=ConversationId(conversation),
            handoff=HandoffId(handoff),
            thread=Thread(desk=desk, channel=channel, root=root, ordinal=ordinal),
            lease_epoch=epoch + 1,
            lease_until=until,
            outs=tuple(outs[:ready]),
            free_at=Millis(free_at),
        )

    def _next_lane(self, desk: DeskName, now: Millis) -> tuple[Row, int] | None:
        """Return the lane that leaves now, and since when the budget is free that it uses; both are locked."""
        row = self._first_post(desk, now)
        if row is None:
            change = self._one(_OLDEST_CHANGE, desk=desk, now=now)
            return None if change is None else (change[:9], change[9])
        *first, free_at, in_a_row = row
        site, channel, rank = first[0], first[4], Urgency(first[8])
        lanes: dict[Urgency, Row] = {rank: first}
        # New ones come first in that order, so beside a line there is none.
        if rank is Urgency.NEW:
            beside = self._one(_BESIDE, desk=desk, now=now, site=site, channel=channel, urgency=Urgency.LINE.value)
            lanes |= {} if beside is None else {Urgency.LINE: beside}
        self._used.add((desk, site, channel))
        chosen, count = choose(lanes, in_a_row)
        if count != in_a_row:
            self._write(_COUNT_NEW, w_site=site, w_desk=desk, w_channel=channel, v_count=count)
        return lanes[chosen], free_at

    def _first_post(self, desk: DeskName, now: Millis) -> Row | None:
        """Return the first lane that may post now. Those behind it are read with it, for the claims that follow in this
        transaction: they are locked, and what a claim uses up is the budget of its own channel alone.
        """
        while True:
            if self._ready is None or self._ready_for != (desk, now):
                self._ready = list(reversed(self._all(_FIRST_POSTS, desk=desk, now=now)))
                self._ready_for, self._all_ready = (desk, now), len(self._ready) < CLAIMS_PER_UNIT
                self._used.clear()
            while self._ready:
                row = self._ready.pop()
                if (desk, row[0], row[4]) not in self._used:
                    return row
                self._all_ready = False
            if self._all_ready:
                return None
            self._ready = None

    def next_due(self, desk: DeskName) -> Millis | None:
        row = self._one(_NEXT_DUE, desk=desk)
        return None if row is None or row[0] is None else Millis(row[0])

    def begin_send(self, claim: Claim, ks: Sequence[int], key: OutKey, now: Millis, channel_free_at: Millis) -> bool:
        until = self._held_until(claim, ks, now)
        if until is None:
            return False
        frozen = _where(claim) | {"v_key": key, "v_now": now, "v_not_before": until}
        if self._is_fresh(claim, ks):
            for k in ks:
                self._write(_FREEZE, **frozen, w_k=k)
        elif self._change_each(_FREEZE, [frozen | {"w_k": k} for k in ks]) != len(ks):
            raise ValueError(f"outs {list(ks)} of handoff {claim.handoff} are not all unsent")
        # Also a time that is past: where several may leave at once, it tells how many still may.
        if channel_free_at > claim.free_at:
            self._channel(_REST_CHANGES if changes_only(claim) else _REST, claim, channel_free_at)
        return True

    def _is_fresh(self, claim: Claim, ks: Sequence[int]) -> bool:
        """Tell whether this transaction has claimed the lane, which is locked since, and read these outs after that."""
        key = (claim.site, claim.handoff, claim.thread.ordinal, claim.lease_epoch)
        return key in self._claimed and {out.k for out in claim.outs}.issuperset(ks)

    def _held_until(self, claim: Claim, ks: Sequence[int], now: Millis) -> int | None:
        """Hold the lane for a send that begins now; return until when, or None if it is no longer the claim's, or not
        all of these outs are unsent still.
        """
        where = _where(claim) | {"w_epoch": claim.lease_epoch}
        if self._is_fresh(claim, ks):
            self._write(_HOLD, **where, v_now=now)
            return now + self._claimed[claim.site, claim.handoff, claim.thread.ordinal, claim.lease_epoch]
        # In a statement of its own: PostgreSQL would count in the state before the wait for the lane, where an echo
        # that was faster has not settled anything yet.
        self._lock(LANE_LOCKED, **_where(claim))
        held = self._one(_HOLD_IF_UNSENT, **where, v_now=now, first=min(ks), last=max(ks), many=len(ks))
        return None if held is None else int(held[0])

    def delivered(self, claim: Claim, ks: Sequence[int], ref: RemoteRef | None, now: Millis) -> bool:
        opens = claim.thread.root is None and any(out.k in ks and out.kind is OutKind.CARD for out in claim.outs)
        tells = any(out.k in ks and out.kind in SAYS for out in claim.outs)
        return self._settle(claim, ks, _DELIVER, root=ref if opens else None, tells=tells, v_remote=ref)

    def postpone(
        self,
        claim: Claim,
        ks: Sequence[int],
        *,
        not_before: Millis,
        reason: str,
        channel_blocked_until: Millis | None = None,
    ) -> bool:
        held = self._settle(claim, ks, _POSTPONE, v_not_before=not_before, v_reason=reason)
        if held and channel_blocked_until is not None:
            self._channel(_REST_CHANGES if changes_only(claim) else _BLOCK, claim, channel_blocked_until)
        return held

    def unclear(self, claim: Claim, ks: Sequence[int], *, look_at: Millis, reason: str) -> bool:
        return self._settle(claim, ks, _UNCLEAR, v_not_before=look_at, v_reason=reason)

    def bury(self, claim: Claim, ks: Sequence[int], *, reason: str, maybe_sent: bool) -> bool:
        return self._settle(claim, ks, _BURY, v_reason=reason, v_maybe_sent=int(maybe_sent))

    def release(self, claim: Claim) -> None:
        self._forget()
        self._write(_RELEASE, **_where(claim), w_epoch=claim.lease_epoch)

    def settle_echo(self, site: SiteId, desk: DeskName, key: OutKey, ref: RemoteRef, now: Millis) -> bool:
        self._forget()
        found = self._all(_IN_FLIGHT, site=site, key=key, desk=desk)
        for handoff, ordinal in dict.fromkeys((row[0], row[1]) for row in found):
            where = {"w_site": site, "w_handoff": handoff, "w_ordinal": ordinal}
            mine = [row for row in found if (row[0], row[1]) == (handoff, ordinal)]
            self._lock(LANE_LOCKED, **where)
            for row in mine:
                self._write(_ECHOED, **where, w_k=row[2], v_remote=ref)
            opens = any(row[3] == CARD for row in mine)
            tells = any(OutKind(row[3]) in SAYS for row in mine)
            self._write(NEXT_HEAD, **where, v_root=ref if opens else None, v_told=int(tells))
        return bool(found)

    def out_for(self, site: SiteId, handoff: HandoffId, n: int) -> list[Out]:
        return [rows.out_of(row) for row in self._all(_OUT_FOR, site=site, handoff=handoff, n=n)]

    def dead_outs(self, site: SiteId, limit: int = 100) -> list[Out]:
        return [rows.out_of(row) for row in self._all(_DEAD_OUTS, site=site, most=limit)]

    def revive(self, out: Out, now: Millis) -> None:
        if self._drop(out):
            self.enqueue(
                replace(
                    out,
                    key=OutKey(mint("out")),
                    state=OutState.NEW,
                    attempts=0,
                    looks=0,
                    attempt_at=None,
                    not_before=now,
                    queued_at=now,
                    remote=None,
                    reason="",
                    maybe_sent=False,
                )
            )

    def drop_dead(self, out: Out) -> None:
        self._drop(out)

    def _drop(self, out: Out) -> bool:
        where = {"w_site": out.site, "w_handoff": out.handoff, "w_ordinal": out.ordinal}
        return self._change(_DROP_DEAD, **where, w_k=out.k) == 1

    def _settle(
        self,
        claim: Claim,
        ks: Sequence[int],
        change: Any,
        *,
        root: RemoteRef | None = None,
        tells: bool = False,
        **values: Any,
    ) -> bool:
        """Change these outs as far as they are unsent still (an echo may have been faster), and move the lane on."""
        self._forget()
        where = _where(claim) | {"w_epoch": claim.lease_epoch}
        self._lock(LANE_LOCKED, **_where(claim))
        for k in ks:
            self._write(change, **where, **values, w_k=k)
        return self._change(_MOVE_ON, **where, v_root=root, v_told=int(tells)) == 1

    def _forget(self) -> None:
        """Trust nothing that claims of this transaction have read: outs or leases are about to change."""
        self._ready = None
        self._claimed.clear()

    def _channel(self, change: Any, claim: Claim, until: Millis) -> None:
        channel = WHOLE_DESK if changes_only(claim) else claim.thread.channel
        self._write(change, w_site=claim.site, w_desk=claim.thread.desk, w_channel=channel, v_until=until)
