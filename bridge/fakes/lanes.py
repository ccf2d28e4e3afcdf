"""Lanes in memory: the same contract as in a database, said in the plainest way."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.conversation import Handoff, Thread
from bridge.effects import OutKind
from bridge.fakes.state import UNSENT, Channel, Journal, Lane
from bridge.ids import ChannelId, ConversationId, DeskName, HandoffId, Millis, OutKey, RemoteRef, SiteId, mint
from bridge.pacing import SAYS, Urgency, changes_only, choose, urgency
from bridge.storage import Claim, Out, OutState

MAX_CLAIMED = 50


class LaneUnits:
    """See `bridge.storage.Tx`: lanes."""

    def __init__(self, journal: Journal) -> None:
        """Work on these tables, through this journal."""
        self._journal = journal
        self._tables = journal.tables

    def _open_lane(self, handoff: Handoff) -> None:
        thread = handoff.thread
        channel = (handoff.site, thread.desk, thread.channel)
        if channel not in self._tables.channels:
            self._journal.put(self._tables.channels, channel, Channel())
        lane = self._tables.lanes.get((handoff.site, handoff.id, thread.ordinal))
        if lane is None:
            self._keep(
                Lane(
                    site=handoff.site,
                    handoff=handoff.id,
                    ordinal=thread.ordinal,
                    conversation=handoff.conversation,
                    desk=thread.desk,
                    channel=thread.channel,
                    root=thread.root,
                )
            )
        elif lane.root is None and thread.root is not None:
            self._keep(replace(lane, root=thread.root))

    def _keep(self, lane: Lane) -> None:
        self._journal.put(self._tables.lanes, lane.key, lane)

    def _channel(self, lane: Lane) -> Channel:
        return self._tables.channels[lane.site, lane.desk, lane.channel]

    def enqueue(self, out: Out) -> int:
        lane = self._tables.lanes.get((out.site, out.handoff, out.ordinal))
        if lane is None:
            raise ValueError(f"handoff {out.handoff} has no thread {out.ordinal} to send to")
        self._keep(replace(lane, next_k=lane.next_k + 1))
        self._journal.put_out(replace(out, k=lane.next_k))
        return lane.next_k

    def _urgency(self, lane: Lane, out: Out) -> Urgency:
        return urgency(out.kind, opened=lane.root is not None, told=lane.told)

    def _free_at(self, lane: Lane, head: Out) -> int:
        if self._urgency(lane, head) is Urgency.COSMETIC:
            return self._tables.changes_free_at.get((lane.site, lane.desk), 0)
        return self._channel(lane).next_free_at

    def _ready_at(self, lane: Lane, head: Out) -> int:
        blocked_until = self._channel(lane).blocked_until
        return max(head.not_before, lane.lease_until, blocked_until, self._free_at(lane, head))

    def _next_lane(self, desk: DeskName, now: Millis) -> Lane | None:
        ready = sorted(
            (
                (self._urgency(lane, head[0]), head[0].queued_at, lane.handoff, lane.ordinal, lane)
                for lane in self._tables.lanes.values()
                if lane.desk == desk and (head := self._journal.offered(lane)) and self._ready_at(lane, head[0]) <= now
            ),
            key=lambda found: found[:4],
        )
        if not ready or ready[0][0] is Urgency.COSMETIC:
            return ready[0][4] if ready else None
        first = ready[0][4]
        key = (first.site, first.desk, first.channel)
        oldest: dict[Urgency, Lane] = {}
        for rank, *_, lane in ready:
            if (lane.site, lane.desk, lane.channel) == key and rank is not Urgency.COSMETIC:
                oldest.setdefault(rank, lane)
        channel = self._channel(first)
        chosen, in_a_row = choose(oldest, channel.new_in_a_row)
        self._journal.put(self._tables.channels, key, replace(channel, new_in_a_row=in_a_row))
        return oldest[chosen]

    def claim_lane(self, desk: DeskName, worker: str, now: Millis, lease_ms: int) -> Claim | None:
        lane = self._next_lane(desk, now)
        if lane is None:
            return None
        outs = self._journal.offered(lane)[:MAX_CLAIMED]
        ready = next((i for i, out in enumerate(outs) if out.not_before > now), len(outs))
        claimed = replace(lane, lease_epoch=lane.lease_epoch + 1, lease_until=now + lease_ms, lease_ms=lease_ms)
        self._keep(claimed)
        return Claim(
            site=SiteId(lane.site),
            conversation=ConversationId(lane.conversation),
            handoff=HandoffId(lane.handoff),
            thread=Thread(desk=desk, channel=ChannelId(lane.channel), root=lane.root, ordinal=lane.ordinal),
            lease_epoch=claimed.lease_epoch,
            lease_until=Millis(claimed.lease_until),
            outs=tuple(outs[:ready]),
            free_at=Millis(self._free_at(lane, outs[0])),
        )

    def next_due(self, desk: DeskName) -> Millis | None:
        times = [
            self._ready_at(lane, head[0])
            for lane in self._tables.lanes.values()
            if lane.desk == desk and (head := self._journal.offered(lane))
        ]
        return Millis(min(times)) if times else None

    def _held(self, claim: Claim) -> Lane | None:
        lane = self._tables.lanes.get((claim.site, claim.handoff, claim.thread.ordinal))
        return lane if lane is not None and lane.lease_epoch == claim.lease_epoch else None

    def begin_send(self, claim: Claim, ks: Sequence[int], key: OutKey, now: Millis, channel_free_at: Millis) -> bool:
        lane = self._held(claim)
        if lane is None:
            return False
        outs = [out for k in ks if (out := self._tables.outs[lane.key].get(k)) and out.state in UNSENT]
        if len(outs) < len(ks):
            return False
        until = now + lane.lease_ms
        for out in outs:
            frozen = replace(out, state=OutState.SENDING, key=key, attempt_at=now, not_before=Millis(until))
            self._journal.put_out(frozen)
        self._keep(replace(lane, lease_until=until))
        if channel_free_at <= claim.free_at:
            return True
        if changes_only(claim):
            self._rest_changes(lane, channel_free_at)
        else:
            channel = self._channel(lane)
            rested = replace(channel, next_free_at=max(channel.next_free_at, channel_free_at))
            self._journal.put(self._tables.channels, (lane.site, lane.desk, lane.channel), rested)
        return True

    def _rest_changes(self, lane: Lane, until: int) -> None:
        key = (lane.site, lane.desk)
        free_at = self._tables.changes_free_at
        self._journal.put(free_at, key, max(free_at.get(key, 0), until))

    def _settle(self, claim: Claim, ks: Sequence[int], change: Callable[[Out], Out]) -> bool:
        lane = self._held(claim)
        if lane is None:
            return False
        for k in ks:
            out = self._tables.outs[lane.key].get(k)
            if out is not None and out.state in UNSENT:
                self._journal.put_out(change(out))
        self._keep(replace(lane, lease_until=0))
        return True

    def delivered(self, claim: Claim, ks: Sequence[int], ref: RemoteRef | None, now: Millis) -> bool:
        opens = claim.thread.root is None and any(out.k in ks and out.kind is OutKind.CARD for out in claim.outs)
        held = self._settle(claim, ks, lambda out: replace(out, state=OutState.DELIVERED, remote=ref, reason=""))
        lane = self._held(claim)
        if held and opens and lane is not None and lane.root is None:
            self._keep(replace(lane, root=ref))
        elif held and lane is not None and any(out.k in ks and out.kind in SAYS for out in claim.outs):
            self._keep(replace(lane, told=True))
        return held

    def postpone(
        self,
        claim: Claim,
        ks: Sequence[int],
        *,
        not_before: Millis,
        reason: str,
        channel_blocked_until: Millis | None = None,
    ) -> bool:
        lane = self._held(claim)
        if lane is not None and channel_blocked_until is not None:
            self._block(lane, claim, channel_blocked_until)
        return self._settle(
            claim,
            ks,
            lambda out: replace(
                out, state=OutState.NEW, attempts=out.attempts + 1, not_before=not_before, reason=reason
            ),
        )

    def _block(self, lane: Lane, claim: Claim, until: Millis) -> None:
        if changes_only(claim):
            self._rest_changes(lane, until)
        else:
            channel = self._channel(lane)
            blocked = replace(channel, blocked_until=max(channel.blocked_until, until))
            self._journal.put(self._tables.channels, (lane.site, lane.desk, lane.channel), blocked)

    def unclear(self, claim: Claim, ks: Sequence[int], *, look_at: Millis, reason: str) -> bool:
        return self._settle(claim, ks, lambda out: replace(out, looks=out.looks + 1, not_before=look_at, reason=reason))

    def bury(self, claim: Claim, ks: Sequence[int], *, reason: str, maybe_sent: bool) -> bool:
        return self._settle(
            claim, ks, lambda out: replace(out, state=OutState.DEAD, reason=reason, maybe_sent=maybe_sent)
        )

    def release(self, claim: Claim) -> None:
        lane = self._held(claim)
        if lane is not None:
            self._keep(replace(lane, lease_until=0))

    def settle_echo(self, site: SiteId, desk: DeskName, key: OutKey, ref: RemoteRef, now: Millis) -> bool:
        found = False
        for lane in [lane for lane in self._tables.lanes.values() if (lane.site, lane.desk) == (site, desk)]:
            for k in list(self._tables.unsent.get(lane.key, ())):
                out = self._tables.outs[lane.key][k]
                if out.state is OutState.SENDING and out.key == key:
                    found = True
                    self._journal.put_out(replace(out, state=OutState.DELIVERED, remote=ref, reason=""))
                    now_at = self._tables.lanes[lane.key]
                    if out.kind is OutKind.CARD and now_at.root is None:
                        self._keep(replace(now_at, root=ref))
                    elif out.kind in SAYS:
                        self._keep(replace(now_at, told=True))
        return found

    def out_for(self, site: SiteId, handoff: HandoffId, n: int) -> list[Out]:
        return [
            out
            for key in sorted(self._tables.outs)
            if key[:2] == (site, handoff)
            for _, out in sorted(self._tables.outs[key].items())
            if out.n == n and out.kind is OutKind.POST
        ]

    def dead_outs(self, site: SiteId, limit: int = 100) -> list[Out]:
        dead = [
            out
            for key, outs in self._tables.outs.items()
            if key[0] == site
            for out in outs.values()
            if out.state is OutState.DEAD
        ]
        return sorted(dead, key=lambda out: (out.queued_at, out.handoff, out.ordinal, out.k))[:limit]

    def revive(self, out: Out, now: Millis) -> None:
        if self._drop(out):
            self.enqueue(
                Out(
                    site=out.site,
                    conversation=out.conversation,
                    handoff=out.handoff,
                    ordinal=out.ordinal,
                    k=out.k,
                    kind=out.kind,
                    key=OutKey(mint("out")),
                    n=out.n,
                    actions=out.actions,
                    not_before=now,
                    queued_at=now,
                )
            )

    def drop_dead(self, out: Out) -> None:
        self._drop(out)

    def _drop(self, out: Out) -> bool:
        outs = self._tables.outs.get((out.site, out.handoff, out.ordinal), {})
        found = outs.get(out.k)
        if found is None or found.state is not OutState.DEAD:
            return False
        self._journal.drop(outs, out.k)
        return True
