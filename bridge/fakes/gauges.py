"""What waits, counted in memory."""

from collections.abc import Mapping

from bridge.conversation import Audience, HandoffState
from bridge.fakes.lanes import LaneUnits
from bridge.ids import ChannelId, DeskName, Millis
from bridge.pacing import CHANGES
from bridge.storage import OutState


class GaugeUnits(LaneUnits):
    """See `bridge.storage.Tx`: gauges."""

    def counts(self, now: Millis) -> dict[str, int]:
        tables = self._tables
        waiting = [one.opened_at for one in tables.handoffs.values() if one.state is HandoffState.WAITING]
        human = sum(one.state is HandoffState.HUMAN for one in tables.handoffs.values())
        unsent: dict[str, list[int]] = {"new": [], "line": [], "cosmetic": []}
        for key, ks in tables.unsent.items():
            for k in ks:
                out = tables.outs[key][k]
                changes = "cosmetic" if out.kind in CHANGES else "line"
                unsent["new" if tables.lanes[key].root is None else changes].append(out.queued_at)
        outs = [out for lane in tables.outs.values() for out in lane.values()]
        entries = [entry for log in tables.logs.values() for entry in log.values()]
        return {
            "open_handoffs": len(waiting) + human,
            "waiting_handoffs": len(waiting),
            "human_handoffs": human,
            "oldest_waiting_ms": max(0, now - min(waiting, default=now)),
            "unsent_outs": sum(len(found) for found in unsent.values()),
            **{f"unsent_{kind}": len(found) for kind, found in unsent.items()},
            **{f"oldest_{kind}_ms": max(0, now - min(found, default=now)) for kind, found in unsent.items()},
            "sending_outs": sum(out.state is OutState.SENDING for out in outs),
            "dead_outs": sum(out.state is OutState.DEAD for out in outs),
            "live_turns": len(tables.live),
            "suppressed": sum(entry.audience is Audience.SUPPRESSED for entry in entries),
        }

    def channel_rests(self, now: Millis, limit: int = 50) -> Mapping[tuple[DeskName, ChannelId], tuple[int, int]]:
        rows = [
            (-max(row.next_free_at, row.blocked_until), desk, channel, row)
            for (_, desk, channel), row in self._tables.channels.items()
        ]
        return {
            (DeskName(desk), ChannelId(channel)): (max(0, row.next_free_at - now), max(0, row.blocked_until - now))
            for _, desk, channel, row in sorted(rows, key=lambda found: found[:3])[:limit]
        }
