"""The back door. A courier claims a lane, makes what waits there fit, sends it once, and settles what came of it.

An unclear send is never repeated blindly: the post keeps its key, rests for G (`grace_ms`), is looked for in the
thread, and only if it is
certainly not there is it sent again. Our own echo may settle it sooner. Steps in the order of a crash: `begin_send`
commits before the vendor
is called, so that a process that dies in between leaves a post that is looked for, not forgotten.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bridge import briefing, outcomes
from bridge import log as logs
from bridge.capabilities import Part, fit
from bridge.conversation import Conversation, DeliveryFailed, Entry, EntryKind, Handoff, OutKind
from bridge.errors import StoreUnavailable, ThreadUnreadable
from bridge.ids import Millis, OutKey, RemoteRef, SourceId, Ticket
from bridge.outcomes import Delivered, GiveUp, LookAt, Outcome, Refused, Settled, TryAt, Unknown
from bridge.pacing import Pace, posts, together
from bridge.ports import Changed, Claim, Clock, Desk, Out, OutState, Receive, Store, Tx

log = logs.get(__name__)
LEASE_MS = 60_000
SWEEP_S = 1.0
UNREADABLE_RETRY_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """What one claim carries: the outs that leave together, and all that is needed to show them."""

    claim: Claim
    outs: tuple[Out, ...]
    handoff: Handoff
    conversation: Conversation
    entries: Mapping[int, Entry]
    parts: tuple[Part, ...] = ()
    target: RemoteRef | None = None
    transcript: briefing.Transcript | None = None
    previous: str = ""

    @property
    def head(self) -> Out:
        """The first of them, which decides the kind."""
        return self.outs[0]

    @property
    def ks(self) -> tuple[int, ...]:
        """Their numbers in the lane."""
        return tuple(out.k for out in self.outs)


class Courier:
    """Carries for one desk. Several may run, in one process or in many."""

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
    ) -> None:
        """Take the ports. `grace_ms` is G and must be longer than the desk's call timeout plus its read lag."""
        self._store, self._desk, self._clock, self._receive = store, desk, clock, receive
        self._labels = queue_labels
        self._worker = worker
        self._pace = pace or Pace()
        self._grace_ms = grace_ms
        self._wake = asyncio.Event()
        self._stopping = False

    def changed(self, change: Changed) -> None:
        """Hint that something may wait."""
        if change.desk is None or change.desk == self._desk.name:
            self._wake.set()

    async def run(self) -> None:
        """Carry until `stop`. What fails is logged and tried again; only cancellation ends it early."""
        while not self._stopping:
            try:
                busy = await self.step()
            except StoreUnavailable:
                log.warning("store_unavailable")
                busy = False
                await self._clock.sleep(SWEEP_S)
            except Exception:
                log.exception("courier_step_failed")
                busy = False
                await self._clock.sleep(SWEEP_S)
            if not busy and not self._stopping:
                await self._rest()

    async def stop(self) -> None:
        """Finish the parcel at hand, then end `run`."""
        self._stopping = True
        self._wake.set()

    async def _rest(self) -> None:
        due = await self._store.read(lambda tx: tx.next_due(self._desk.name))
        wait_s = SWEEP_S if due is None else min(SWEEP_S, max(0.01, (due - self._clock.now()) / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        self._wake.clear()

    async def step(self) -> bool:
        """Carry one parcel, if one may leave now. Returns whether there was one."""
        parcel = await self._store.run(self._claim)
        if parcel is None:
            return False
        if parcel.head.state is OutState.SENDING:
            await self._look(parcel)
        else:
            await self._send(parcel)
        return True

    # --- claim and fit

    def _claim(self, tx: Tx) -> Parcel | None:
        now = self._clock.now()
        claim = tx.claim_lane(self._desk.name, self._worker, now, LEASE_MS)
        if claim is None:
            return None
        parcel = self._pack(tx, claim, now)
        if parcel.head.state is OutState.NEW:
            thread_is_open = claim.thread.root is not None
            rest = self._pace.post_every_ms if posts(parcel.head.kind, thread_is_open=thread_is_open) else 0
            tx.begin_send(claim, parcel.ks, parcel.head.key, now, Millis(now + rest))
            outs = tuple(replace(out, key=parcel.head.key, attempt_at=now) for out in parcel.outs)
            parcel = replace(parcel, outs=outs)
        return parcel

    def _pack(self, tx: Tx, claim: Claim, now: Millis) -> Parcel:
        handoff = tx.handoff(claim.site, claim.handoff)
        conversation = tx.conversation(claim.site, claim.conversation, lock=False)
        if handoff is None or conversation is None:
            raise LookupError(f"lane of {claim.handoff} without its handoff")
        entries = {
            out.n: entry
            for out in claim.outs
            if out.n is not None and out.kind is not OutKind.TRANSCRIPT
            for entry in tx.entries(claim.site, claim.conversation, after_n=out.n - 1, upto_n=out.n)
        }
        pieces = [self._fit(out, entries, now) for out in claim.outs]
        count = together(claim.outs, pieces, self._desk.capabilities)
        parcel = Parcel(
            claim=claim,
            outs=claim.outs[:count],
            handoff=handoff,
            conversation=conversation,
            entries=entries,
            parts=tuple(part for piece in pieces[:count] for part in piece),
        )
        head = parcel.head
        if head.kind is OutKind.TRANSCRIPT and head.n is not None:
            before = tx.entries(claim.site, claim.conversation, upto_n=head.n - 1, limit=100_000)
            return replace(parcel, transcript=briefing.transcript(before, handoff.ticket))
        if head.kind in (OutKind.EDIT, OutKind.DELETE) and head.n is not None:
            return replace(parcel, target=_posted_as(tx, claim, entries.get(head.n)))
        if handoff.previous is not None and (previous := tx.handoff(claim.site, handoff.previous)):
            return replace(parcel, previous=previous.ticket)
        return parcel

    def _fit(self, out: Out, entries: Mapping[int, Entry], now: Millis) -> tuple[Part, ...]:
        if out.kind not in (OutKind.POST, OutKind.EDIT) or out.n is None or out.n not in entries:
            return ()
        parts = fit(entries[out.n], self._desk.capabilities, now_ms=now)
        return (*parts[:-1], replace(parts[-1], actions=out.actions, handoff=out.handoff))

    # --- send

    async def _send(self, parcel: Parcel) -> None:
        head = parcel.head
        try:
            outcome = await self._call(parcel)
        except Exception as error:
            log.exception("desk_call_failed", handoff=head.handoff, k=head.k)
            outcome = Unknown(reason=type(error).__name__)
        log.info("sent", handoff=head.handoff, k=head.k, kind=head.kind.value, outcome=type(outcome).__name__)
        await self._settle(parcel, outcome)

    async def _call(self, parcel: Parcel) -> Outcome:
        head, thread, desk = parcel.head, parcel.claim.thread, self._desk
        match head.kind:
            case OutKind.CARD:
                card = briefing.card(
                    parcel.handoff,
                    parcel.conversation,
                    queue_label=self._labels.get(parcel.handoff.queue, parcel.handoff.queue),
                    previous=Ticket(parcel.previous) if parcel.previous else None,
                )
                if parcel.handoff.thread.ordinal != thread.ordinal:
                    card = briefing.moved(card, self._labels.get(parcel.handoff.queue, parcel.handoff.queue))
                if thread.root is None:
                    return await desk.open(thread, card, head.key)
                return await desk.refresh(thread, card)
            case OutKind.TRANSCRIPT if parcel.transcript is not None:
                if not parcel.transcript.lines:
                    return Delivered()
                return await desk.post_transcript(thread, parcel.transcript, head.key)
            case OutKind.POST if parcel.parts:
                return await desk.post(thread, parcel.parts, head.key)
            case OutKind.EDIT if parcel.target is not None and parcel.parts:
                return await desk.edit(thread, parcel.target, parcel.parts[0])
            case OutKind.DELETE if parcel.target is not None:
                return await desk.delete(thread, parcel.target)
            case _:
                return Refused(reason="nothing_to_send", remedy="It was never posted in this thread.")

    # --- settle

    async def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        head, now = parcel.head, self._clock.now()
        following = outcomes.after(
            outcome,
            attempts=head.attempts,
            looks=head.looks,
            attempt_at=head.attempt_at or now,
            now=now,
            grace_ms=self._grace_ms,
        )
        ref = outcome.ref if isinstance(outcome, Delivered) else None
        wide = isinstance(outcome, outcomes.RetryLater) and outcome.channel_wide
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
            tx.release(claim)

        await self._store.run(unit)
        if isinstance(following, GiveUp):
            await self._report(parcel, following)

    async def _report(self, parcel: Parcel, given_up: GiveUp) -> None:
        """Say in the thread what could not be sent: a dead letter is never silent."""
        head = parcel.head
        log.error("dead_letter", handoff=head.handoff, k=head.k, kind=head.kind.value, reason=given_up.reason)
        noticed = head.n is not None and head.n in parcel.entries and parcel.entries[head.n].kind is EntryKind.NOTICE
        if noticed or parcel.claim.thread.root is None:
            return
        await self._receive(
            DeliveryFailed(
                site=head.site,
                source=SourceId(f"dead:{head.key}:{head.k}"),
                at=self._clock.now(),
                handoff=head.handoff,
                n=head.n,
                reason=given_up.reason,
                remedy=given_up.remedy,
                maybe_sent=given_up.maybe_sent,
            )
        )

    # --- look before sending again

    async def _look(self, parcel: Parcel) -> None:
        head, now = parcel.head, self._clock.now()
        if not posts(head.kind, thread_is_open=parcel.claim.thread.root is not None):
            await self._again(parcel, "repeatable")
            return
        since = Millis((head.attempt_at or now) - 5_000)
        try:
            ref = await self._desk.find(parcel.claim.thread, OutKey(head.key), since)
        except ThreadUnreadable as error:
            after_s = error.after_s or UNREADABLE_RETRY_S
            log.warning("read_back_refused", handoff=head.handoff, k=head.k)
            await self._still_unclear(parcel, Millis(now + int(after_s * 1000)), str(error))
            return
        log.info("read_back", handoff=head.handoff, k=head.k, found=ref is not None)
        if ref is None:
            await self._again(parcel, "read back: not there")
            return

        def unit(tx: Tx) -> None:
            tx.delivered(parcel.claim, parcel.ks, ref, now)
            tx.release(parcel.claim)

        await self._store.run(unit)

    async def _still_unclear(self, parcel: Parcel, look_at: Millis, reason: str) -> None:
        if parcel.head.looks + 1 >= outcomes.MAX_LOOKS:
            await self._settle(parcel, Unknown(reason=reason))
            return

        def unit(tx: Tx) -> None:
            tx.unclear(parcel.claim, parcel.ks, look_at=look_at, reason=reason)
            tx.release(parcel.claim)

        await self._store.run(unit)

    async def _again(self, parcel: Parcel, reason: str) -> None:
        """Certainly not there: send it again, as the same post with the same key."""
        now = self._clock.now()
        rest = self._pace.post_every_ms
        key = parcel.head.key

        def unit(tx: Tx) -> bool:
            return tx.begin_send(parcel.claim, parcel.ks, key, now, Millis(now + rest))

        if not await self._store.run(unit):
            return
        log.info("sent_again", handoff=parcel.head.handoff, k=parcel.head.k, reason=reason)
        looked = tuple(replace(out, attempt_at=now, looks=out.looks + 1) for out in parcel.outs)
        await self._send(replace(parcel, outs=looked))


def _posted_as(tx: Tx, claim: Claim, change: Entry | None) -> RemoteRef | None:
    if change is None or change.target is None:
        return None
    outs: Sequence[Out] = tx.out_for(claim.site, claim.handoff, change.target)
    posted = [out.remote for out in outs if out.remote is not None and out.ordinal == claim.thread.ordinal]
    return posted[-1] if posted else None
