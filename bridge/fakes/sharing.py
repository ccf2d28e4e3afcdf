"""What processes share, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bridge.conversation import OPEN_STATES
from bridge.fakes.lanes import LaneUnits
from bridge.ids import ChannelId, ConversationId, DeskName, HandoffId, Millis, SiteId
from bridge.sharing import HERE, Head, Presence


class SharingUnits(LaneUnits):
    """See `bridge.storage.Tx`: processes."""

    def hold_lease(self, site: SiteId, name: str, worker: str, now: Millis, lease_ms: int) -> bool:
        owner, until = self._tables.leases.get((site, name), (worker, 0))
        if owner != worker and until > now:
            return False
        self._journal.put(self._tables.leases, (site, name), (worker, now + lease_ms))
        return True

    def drop_lease(self, site: SiteId, name: str, worker: str) -> None:
        if self._tables.leases.get((site, name), ("", 0))[0] == worker:
            self._journal.drop(self._tables.leases, (site, name))

    def heads(self, site: SiteId, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        found = {}
        for conversation in conversations:
            row = self._tables.conversations.get((site, conversation))
            stream = self._tables.streams.get((site, conversation))
            if row is not None:
                mark = None if stream is None else (stream.turn, stream.attempt, stream.seq)
                found[conversation] = Head(next_n=row.next_n, epoch=row.epoch, stream=mark)
        return found

    def keep_presence(self, site: SiteId, handoffs: Sequence[HandoffId], until: Millis) -> None:
        for handoff in handoffs:
            was = self._tables.presences.get((site, handoff), Presence(site=site, handoff=handoff, until=until))
            now = replace(was, until=max(was.until, until))
            self._journal.put(self._tables.presences, (site, handoff), now)

    def presences(self, site: SiteId, handoffs: Sequence[HandoffId]) -> Mapping[HandoffId, Presence]:
        known = self._tables.presences
        return {handoff: known[site, handoff] for handoff in handoffs if (site, handoff) in known}

    def untold_presences(self, site: SiteId, handoffs: Sequence[HandoffId]) -> Sequence[Presence]:
        found = self.presences(site, handoffs).values()
        return sorted((one for one in found if one.told != HERE), key=lambda one: one.handoff)

    def note_presence(self, site: SiteId, handoff: HandoffId, told: str) -> None:
        was = self._tables.presences.get((site, handoff))
        if was is not None:
            self._journal.put(self._tables.presences, (site, handoff), replace(was, told=told))

    def lapsed_presences(self, now: Millis, limit: int = 100) -> Sequence[Presence]:
        over = [one for one in self._tables.presences.values() if one.told == HERE and one.until < now]
        return sorted(over, key=lambda one: one.until)[:limit]

    def forget_presences(self, before: Millis) -> int:
        old = [key for key, one in self._tables.presences.items() if one.until < before]
        for key in old:
            self._journal.drop(self._tables.presences, key)
        return len(old)

    def channel_loads(self, site: SiteId, desk: DeskName) -> Mapping[ChannelId, int]:
        loads: dict[ChannelId, int] = {}
        for handoff in self._tables.handoffs.values():
            if handoff.site == site and handoff.state in OPEN_STATES and handoff.thread.desk == desk:
                loads[handoff.thread.channel] = loads.get(handoff.thread.channel, 0) + 1
        return loads

    def forget_sources(self, before: Millis, limit: int = 1000) -> int:
        old = [key for key, at in self._tables.inbox.items() if at < before][:limit]
        for key in old:
            self._journal.drop(self._tables.inbox, key)
        return len(old)

    def put_desk_fact(self, site: SiteId, desk: DeskName, name: str, value: str) -> None:
        if value:
            self._journal.put(self._tables.desk_facts, (site, desk, name), value)
        else:
            self._journal.drop(self._tables.desk_facts, (site, desk, name))

    def desk_facts(self, site: SiteId, desk: DeskName) -> Mapping[str, str]:
        found = {key[2]: value for key, value in self._tables.desk_facts.items() if key[:2] == (site, desk)}
        return dict(sorted(found.items()))
