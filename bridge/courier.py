"""The back door. A courier claims a lane, makes what waits there fit, sends it once, and settles what came of it.

An unclear send is never repeated blindly: the post keeps its key, rests for G (`grace_ms`), is looked for in the
thread, and only if it is certainly not there is it sent again; where nobody can look, once and labelled. Our own echo
may settle it sooner. Steps in the order of a crash: `begin_send` commits before the vendor is called, so that a process
that dies in between leaves a post that is looked for, not forgotten.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from itertools import islice
from types import MappingProxyType

from bridge import log as logs
from bridge import looking, outcomes
from bridge.conversation import EntryKind
from bridge.effects import OutKind
from bridge.errors import StoreUnavailable, ThreadUnreadable
from bridge.events import DeliveryFailed, ThreadGone
from bridge.grouping import Runs
from bridge.ids import DeskName, HandoffId, Millis, SourceId
from bridge.outcomes import Delivered, GiveUp, LookAt, Next, Outcome, Refused, RetryLater, Settled, TryAt, Unknown
from bridge.pacing import Pace
from bridge.parcels import Parcel, pack
from bridge.ports import Clock, Desk, Receive
from bridge.storage import CLAIMS_PER_UNIT, Changed, OutState, Store, Tx

log = logs.get(__name__)
SEND_WITHIN_GRACES = 3
"""How many times G the posts of one long line may take while the desk makes them wait."""
SWEEP_S = 1.0
REST_GRACES = 2
"""How many times G to rest where a thread cannot be read, or where nothing can be sent until somebody mends it."""
LINK_AGAIN_MS = 500
OPEN_AGAIN_MS = 60_000
"""When a card that the desk refused is tried again: without it nobody hears of the customer."""


class Courier:
    """Carries for one desk: one loop claims, up to `at_once` sends are under way. One per process is enough."""

    def __init__(
        self,
        *,
        store: Store,
        desk: Desk,
        clock: Clock,
        receive: Receive,
        queue_labels: Mapping[str, str],
        worker: str,
        pace: Pace | None = None,
        grace_ms: int = 15_000,
        at_once: int = 32,
        others: Mapping[DeskName, Desk] = MappingProxyType({}),
        settlements: Runs | None = None,
    ) -> None:
        """Take the ports. `others` are all desks, for notices that speak of another one's thread. `grace_ms` is G and
        must be longer than the desk's call timeout plus its read lag. `settlements` runs the units that settle sends,
        by default the store.

        It is the lease of a lane too: what a process had under way when it died is looked for G later, not sooner and
        not much later.
        """
        self._store, self._desk, self._clock, self._receive = store, desk, clock, receive
        self._settlements = settlements or store
        self._labels, self._others = queue_labels, others
        self._worker = worker
        self._pace = pace or Pace()
        self._grace_ms = grace_ms
        self._rest_s = REST_GRACES * grace_ms / 1000
        self._at_once = at_once
        self._under_way = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._gone: set[tuple[HandoffId, int]] = set()

    def changed(self, change: Changed) -> None:
        """Hint that something may wait."""
        if change.desk is None or change.desk == self._desk.name:
            self._wake.set()

    async def run(self) -> None:
        """Carry until `stop`. What fails is logged and tried again; only cancellation ends it and its sends early."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopping:
                if not await self._tried(self._round(sends)):
                    await self._clock.sleep(SWEEP_S)

    async def stop(self) -> None:
        """Finish what is under way, then end `run`."""
        self._stopping = True
        self._wake.set()

    async def _round(self, sends: asyncio.TaskGroup) -> None:
        """Begin to send what may leave now; then rest, unless there may be more."""
        room = min(self._at_once - self._under_way, CLAIMS_PER_UNIT)
        if not room:
            await self._wake.wait()
            self._wake.clear()
            return
        parcels, due = await self._store.run(lambda tx: self._claim_some(tx, room))
        self._under_way += len(parcels)
        for parcel in parcels:
            sends.create_task(self._carry_apart(parcel))
        if len(parcels) < room and not self._stopping:
            await self._rest(due)

    async def _carry_apart(self, parcel: Parcel) -> None:
        try:
            await self._tried(self._carry(parcel))
        finally:
            self._under_way -= 1
            self._wake.set()

    @staticmethod
    async def _tried(work: Awaitable[None]) -> bool:
        try:
            await work
        except StoreUnavailable:
            log.warning("store_unavailable")
        except Exception:
            log.exception("courier_step_failed")
        else:
            return True
        return False

    async def _rest(self, due: Millis | None) -> None:
        wait_s = SWEEP_S if due is None else min(SWEEP_S, max(0.01, (due - self._clock.now()) / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        self._wake.clear()

    async def step(self) -> bool:
        """Carry one parcel, if one may leave now. Returns whether there was one."""
        parcel = await self._store.run(lambda tx: self._claim(tx, self._clock.now()))
        if parcel is None:
            return False
        await self._carry(parcel)
        return True

    async def _carry(self, parcel: Parcel) -> None:
        claim = parcel.claim
        if (claim.handoff, claim.thread.ordinal) in self._gone:
            await self._conclude(parcel, Settled(), Delivered())
        elif parcel.head.state is OutState.SENDING:
            await self._look(parcel)
        else:
            await self._send(parcel)

    # --- claim and fit

    def _claim_some(self, tx: Tx, room: int) -> tuple[list[Parcel], Millis | None]:
        """Claim what may leave now, so many at most, and tell when the next may where these are all."""
        now = self._clock.now()
        parcels = list(islice(iter(lambda: self._claim(tx, now), None), room))
        return parcels, tx.next_due(self._desk.name) if len(parcels) < room else None

    def _claim(self, tx: Tx, now: Millis) -> Parcel | None:
        while True:
            claim = tx.claim_lane(self._desk.name, self._worker, now, self._grace_ms)
            if claim is None:
                return None
            parcel = pack(tx, claim, self._desk.capabilities, now)
            if not parcel.too_early:
                break
            later = Millis(now + LINK_AGAIN_MS)
            tx.postpone(claim, [parcel.head.k], not_before=later, reason="the thread that it points to is not open")
        if parcel.head.state is OutState.NEW:
            tx.begin_send(claim, parcel.ks, parcel.head.key, now, self._free_at(parcel, now))
            parcel = parcel.frozen(now)
        return parcel

    def _free_at(self, parcel: Parcel, now: Millis) -> Millis:
        """Return until when the budget rests that this uses."""
        return self._pace.free_at(posts=parcel.makes_message, was_free_at=parcel.claim.free_at, now=now)

    # --- send

    async def _send(self, parcel: Parcel, *, done: int = 0) -> None:
        head = parcel.head
        try:
            outcome = await self._call(parcel, done)
        except Exception as error:
            log.exception("desk_call_failed", handoff=head.handoff, k=head.k)
            outcome = Unknown(reason=type(error).__name__)
        log.info("sent", handoff=head.handoff, k=head.k, kind=head.kind.value, outcome=type(outcome).__name__)
        await self._settle(parcel, outcome)

    async def _call(self, parcel: Parcel, done: int) -> Outcome:
        head, thread, desk = parcel.head, parcel.claim.thread, self._desk
        match head.kind:
            case OutKind.CARD:
                card = parcel.card(self._labels)
                if thread.root is None:
                    return await desk.open(thread, card, head.key)
                return await desk.refresh(thread, card)
            case OutKind.TRANSCRIPT if parcel.transcript is not None:
                if not parcel.transcript.lines:
                    return Delivered()
                return await desk.post_transcript(thread, parcel.transcript, head.key)
            case OutKind.POST if parcel.parts:
                return await self._post(looking.addressed(parcel, self._others), done=done)
            case OutKind.EDIT if parcel.target is not None and parcel.parts:
                return await desk.edit(thread, parcel.target, parcel.parts[0])
            case OutKind.DELETE if parcel.target is not None:
                return await desk.delete(thread, parcel.target)
            case _:
                return Refused(reason="nothing_to_send", remedy="It was never posted in this thread.")

    async def _post(self, parcel: Parcel, *, done: int) -> Outcome:
        """Post what is left of a parcel, of which so many posts are there. Nearly always it is one post."""
        began = self._clock.now()
        outcome: Outcome = Unknown(reason="nothing was left to post")
        for number, (key, parts) in enumerate(parcel.posts(self._desk.capabilities)):
            if number < done:
                continue
            if number > done and not await self._still_mine(parcel, self._pace.post_every_ms / 1000):
                return Unknown(reason="another process goes on with it")
            outcome = await self._desk.post(parcel.claim.thread, parts, key)
            while number and isinstance(outcome, RetryLater) and self._may_wait(began, outcome):
                if not await self._still_mine(parcel, max(outcome.after_s, 0.1)):
                    return Unknown(reason="another process goes on with it")
                outcome = await self._desk.post(parcel.claim.thread, parts, key)
            if number and (isinstance(outcome, RetryLater) or outcomes.held(outcome)):
                # What was sent before must not be sent again: only a look can tell where to go on.
                return Unknown(reason=f"a part of it was sent, then: {outcome.reason}")
            if not isinstance(outcome, Delivered) or outcome.landed_elsewhere:
                return outcome
        return outcome

    async def _still_mine(self, parcel: Parcel, after_s: float) -> bool:
        """Rest, then freeze the parcel anew for its next post: the lease lasts for one."""
        await self._clock.sleep(after_s)
        return await self._store.run(lambda tx: self._freeze(tx, parcel)) is not None

    def _freeze(self, tx: Tx, parcel: Parcel) -> Millis | None:
        """Freeze it for a send that begins now, as the transaction sees it: a lease that began to run while it waited
        for the store would be over too soon. Returns when, or None if the lane is no longer ours.
        """
        now = self._clock.now()
        frozen = tx.begin_send(parcel.claim, parcel.ks, parcel.head.key, now, self._free_at(parcel, now))
        return now if frozen else None

    def _may_wait(self, began: Millis, outcome: RetryLater) -> bool:
        return self._clock.now() + outcome.after_s * 1000 < began + SEND_WITHIN_GRACES * self._grace_ms

    # --- settle

    async def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        head, now = parcel.head, self._clock.now()
        following = outcomes.after(
            outcome,
            attempts=head.attempts,
            looks=head.looks,
            # Of several posts the last one was begun later than the first: G counts from there.
            attempt_at=now if len(parcel.posts(self._desk.capabilities)) > 1 else head.attempt_at or now,
            now=now,
            grace_ms=self._grace_ms,
            max_looks=outcomes.MAX_BLIND_TRIES if parcel.is_blind else outcomes.MAX_LOOKS,
        )
        if isinstance(outcome, Delivered) and outcome.landed_elsewhere:
            await self._tell_gone(parcel)
        elif outcomes.held(outcome):
            log.error("desk_must_be_mended", handoff=head.handoff, reason=outcome.reason, remedy=outcome.remedy)
            following = TryAt(at=Millis(now + int(self._rest_s * 1000)))
        elif isinstance(following, GiveUp) and parcel.opens_thread:
            log.error("thread_not_opened", handoff=head.handoff, reason=following.reason, remedy=following.remedy)
            again_at = Millis(now + OPEN_AGAIN_MS)
            following = LookAt(at=again_at) if following.maybe_sent else TryAt(at=again_at)
        elif isinstance(following, GiveUp):
            # Said before it is settled: a crash in between repeats a notice at worst, and never loses one.
            await self._report(parcel, following)
        await self._conclude(parcel, following, outcome)

    async def _conclude(self, parcel: Parcel, following: Next, outcome: Outcome) -> None:
        now = self._clock.now()
        ref = outcome.ref if isinstance(outcome, Delivered) else None
        wide = (isinstance(outcome, RetryLater) and outcome.channel_wide) or outcomes.held(outcome)
        reason = "" if isinstance(outcome, Delivered) else outcome.reason

        def unit(tx: Tx) -> None:
            claim, ks = parcel.claim, parcel.ks
            match following:
                case Settled():
                    tx.delivered(claim, ks, ref, now)
                case TryAt(at=at):
                    blocked = at if wide else None
                    tx.postpone(claim, ks, not_before=at, reason=reason, channel_blocked_until=blocked)
                case LookAt(at=at):
                    tx.unclear(claim, ks, look_at=at, reason=reason)
                case GiveUp(maybe_sent=maybe):
                    tx.bury(claim, ks, reason=reason, maybe_sent=maybe)

        await self._settlements.run(unit)

    async def _tell_gone(self, parcel: Parcel) -> None:
        """The thread is gone: what was said is told anew in the one that takes its place."""
        head, ordinal = parcel.head, parcel.claim.thread.ordinal
        log.warning("thread_gone", handoff=head.handoff, ordinal=ordinal)
        source = SourceId(f"gone:{head.handoff}:{ordinal}")
        await self._receive(
            ThreadGone(site=head.site, source=source, at=self._clock.now(), handoff=head.handoff, ordinal=ordinal)
        )
        self._gone.add((head.handoff, ordinal))

    async def _report(self, parcel: Parcel, given_up: GiveUp) -> None:
        """Say in the thread what could not be sent: a dead letter is never silent. A notice about a notice would be."""
        for out in parcel.outs:
            log.error("dead_letter", handoff=out.handoff, k=out.k, kind=out.kind.value, reason=given_up.reason)
            entry = parcel.entries.get(out.n or 0)
            if entry is not None and entry.kind is EntryKind.NOTICE:
                continue
            await self._receive(
                DeliveryFailed(
                    site=out.site,
                    source=SourceId(f"dead:{out.key}:{out.k}"),
                    at=self._clock.now(),
                    handoff=out.handoff,
                    n=out.n,
                    reason=given_up.reason,
                    remedy=given_up.remedy,
                    maybe_sent=given_up.maybe_sent,
                )
            )

    # --- look before sending again

    async def _look(self, parcel: Parcel) -> None:
        head = parcel.head
        if not parcel.makes_message:
            await self._again(parcel, "repeatable", done=0)
            return
        if parcel.is_blind:
            if head.looks > outcomes.MAX_BLIND_TRIES and not parcel.opens_thread:
                await self._settle(parcel, Unknown(reason="interrupted"))
            else:
                await self._again(parcel, "nobody can look", done=0)
            return
        try:
            found, done = await looking.find(self._desk, parcel, self._clock.now())
            outcome = None if found is None else await looking.complete(self._desk, parcel, found)
        except ThreadUnreadable as error:
            await self._still_unclear(parcel, str(error), error.after_s or self._rest_s)
            return
        except Exception as error:
            log.exception("desk_call_failed", handoff=head.handoff, k=head.k)
            await self._still_unclear(parcel, type(error).__name__, self._rest_s)
            return
        log.info("read_back", handoff=head.handoff, k=head.k, found=found is not None, done=done)
        if found is None:
            await self._again(parcel, "read back: not there", done=done)
            return
        if outcome is not None and not isinstance(outcome, Delivered):
            after_s = outcome.after_s if isinstance(outcome, RetryLater) else 0.0
            await self._still_unclear(parcel, outcome.reason, after_s or self._rest_s)
            return
        await self._conclude(parcel, Settled(), Delivered(ref=found))

    async def _still_unclear(self, parcel: Parcel, reason: str, after_s: float) -> None:
        log.warning("read_back_refused", handoff=parcel.head.handoff, k=parcel.head.k, reason=reason)
        unclear = Unknown(reason=reason)
        if parcel.head.looks >= outcomes.MAX_LOOKS:
            await self._settle(parcel, unclear)
        else:
            look_at = Millis(self._clock.now() + int(after_s * 1000))
            await self._conclude(parcel, LookAt(at=look_at), unclear)

    async def _again(self, parcel: Parcel, reason: str, *, done: int) -> None:
        """Send again, or what is left of it, with the same key: it is certainly not there, or labelled and counted."""

        def unit(tx: Tx) -> Millis | None:
            if parcel.is_blind:
                tx.unclear(parcel.claim, parcel.ks, look_at=self._clock.now(), reason=reason)
            frozen_at = self._freeze(tx, parcel)
            if frozen_at is None:
                tx.release(parcel.claim)
            return frozen_at

        if (now := await self._store.run(unit)) is None:
            return
        log.info("sent_again", handoff=parcel.head.handoff, k=parcel.head.k, reason=reason)
        await self._send(parcel.frozen(now, looked=parcel.is_blind), done=done)
