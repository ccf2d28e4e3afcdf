"""Where the app is, and what became of it: installed, removed, renamed, deleted, brought back. Kept as facts of the
desk.

https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/subscribe-to-conversation-events
"""

from typing import Protocol

from adapters.teams import known, wire
from adapters.teams.activity import Activity
from adapters.teams.cards import Cards
from adapters.teams.refs import operator_id, source_id
from adapters.teams.roster import TeamsRoster
from bridge import log as logs
from bridge.conversation import Handoff, Operator, Thread
from bridge.events import OperatorLeft
from bridge.facts import DeskFacts
from bridge.ids import DeskName, SiteId
from bridge.ports import Lookup, Receive

log = logs.get("teams.installs")
_INSTALLED = frozenset({"install/add", "install/add-upgrade"})
_REMOVED = frozenset({"install/remove", "install/remove-upgrade"})
_TEAM_GONE = frozenset({"teamDeleted", "teamHardDeleted", "teamArchived"})
_TEAM_BACK = frozenset({"teamRestored", "teamUnarchived"})
INSTALL_AGAIN = "Install the app in the team again: Teams, Apps, Manage your apps; what waits is then sent."
CHANNEL_DELETED = "Restore the channel in Teams, or transfer the conversation to another queue."
BACK = "The app had been removed from this team and is back. What was said meanwhile follows."
TEAM_BACK = "This team could not be written to, and is back. What was said meanwhile follows."
CHANNEL_BACK = "This channel was deleted and is back. What was said meanwhile follows."
TEAM_DELETED = "Restore the team in Teams, or transfer the conversation to another queue."


class Voice(Protocol):
    """What is needed of the desk."""

    async def remark(self, thread: Thread, sentence: str) -> None:
        """Say something in the thread that everybody there must see; best effort, never raises."""
        ...


class Installs:
    """Keeps the desk's facts true."""

    def __init__(
        self,
        *,
        site: SiteId,
        desk: DeskName,
        voice: Voice,
        cards: Cards,
        facts: DeskFacts,
        roster: TeamsRoster,
        receive: Receive,
        lookup: Lookup,
    ) -> None:
        """Take the ports; nothing is read yet."""
        self._site, self._desk, self._facts = site, desk, facts
        self._voice, self._cards = voice, cards
        self._roster, self._receive, self._lookup = roster, receive, lookup

    async def seen(self, activity: Activity) -> None:
        """Take what every activity tells: the newest address of the connector, the bot's id, which team a channel is
        in. Costs nothing where it is known. Raises StoreUnavailable.
        """
        if not self._facts.known:
            await self._facts.all()
        data = activity.channel_data
        facts = {known.SERVICE_URL: activity.service_url, known.TENANT: activity.tenant}
        if activity.recipient.id and activity.type in {"message", "installationUpdate", "conversationUpdate"}:
            facts[known.BOT_ID] = activity.recipient.id
        if activity.recipient.name:
            facts[known.BOT_NAME] = activity.recipient.name
        team = data.team if data else None
        channel = data.channel if data else None
        if team and team.id:
            facts[known.TEAM] = team.id
            if team.name:
                facts[known.team_name(team.id)] = team.name
            if team.aad_group_id:
                facts[known.aad_group(team.id)] = team.aad_group_id
            if channel and channel.id:
                facts[known.team_of(channel.id)] = team.id
                if channel.name:
                    facts[known.channel_name(channel.id)] = channel.name
        await self._facts.put(**facts)

    async def moved(self, moved: wire.Moved) -> None:
        """Handle one event about the installation. May be called again with the same. Raises StoreUnavailable."""
        event = moved.event
        if event in _INSTALLED or (event == "teamMemberAdded" and moved.is_us):
            await self._installed(moved)
        elif event in _REMOVED or (event == "teamMemberRemoved" and moved.is_us):
            await self._gone(moved, moved.team, "app_removed", INSTALL_AGAIN)
        elif event in _TEAM_GONE:
            await self._gone(moved, moved.team, "team_gone", TEAM_DELETED)
        elif event == "channelDeleted":
            await self._gone(moved, moved.channel, "channel_gone", CHANNEL_DELETED)
        elif event in _TEAM_BACK:
            await self._facts.put(**{known.removed(moved.team): ""})
            log.info("team_back", team=moved.team)
            await self._say(moved.team, TEAM_BACK)
        elif event == "channelRestored":
            await self._facts.put(**{known.removed(moved.channel): ""})
            log.info("channel_back", channel=moved.channel)
            await self._say(moved.channel, CHANNEL_BACK)
        elif event in {"teamRenamed", "channelRenamed"}:
            log.info("renamed", event_name=event, team=moved.team, channel=moved.channel)
        elif event == "teamMemberRemoved":
            await self._left(moved)
        elif event == "teamMemberAdded":
            for person in moved.members:
                self._roster.forget(person)

    async def _installed(self, moved: wire.Moved) -> None:
        """Begin anew: whether every message is heard has to prove itself once more. Who waits is told."""
        was_gone = self._facts.known.get(known.removed(moved.team)) == known.YES
        facts = {known.removed(moved.team): "", known.heard_all(moved.team): ""}
        if moved.selected_channel:
            facts[known.team_of(moved.selected_channel)] = moved.team
            if moved.selected_name:
                facts[known.channel_name(moved.selected_channel)] = moved.selected_name
        await self._facts.put(**facts)
        log.info("app_installed", team=moved.team, channel=moved.selected_channel or moved.channel)
        if was_gone:
            await self._say(moved.team, BACK)
        self._cards.refresh_all()

    async def _gone(self, moved: wire.Moved, place: str, reason: str, remedy: str) -> None:
        """Remember it, and say in the log what waits there: in the thread itself nothing can be said any more."""
        if not place:
            return
        facts = {known.removed(place): known.YES}
        if reason == "app_removed":
            facts[known.heard_all(place)] = ""
        await self._facts.put(**facts)
        stranded = await self._here(place)
        log.error(reason, place=place, remedy=remedy, waiting=[str(one.ticket) for one in stranded])

    async def _say(self, place: str, sentence: str) -> None:
        for one in await self._here(place):
            if one.thread.root is not None:
                await self._voice.remark(one.thread, sentence)

    async def _left(self, moved: wire.Moved) -> None:
        for person in moved.members:
            self._roster.forget(person)
            who = operator_id(moved.tenant, person)
            for one in await self._lookup.open_handoffs(self._site, who):
                if one.thread.desk != self._desk or self._team_of(one) != moved.team:
                    continue
                await self._receive(
                    OperatorLeft(
                        site=self._site,
                        source=source_id(moved.source, person, str(one.id)),
                        at=moved.at,
                        operator=one.operator or Operator(id=who, name=""),
                        handoff=one.id,
                    )
                )

    async def _here(self, place: str) -> list[Handoff]:
        """Return the open handoffs in a team or channel."""
        found = [one for one in await self._lookup.open_handoffs(self._site) if one.thread.desk == self._desk]
        return [one for one in found if place and place in {one.thread.channel, self._team_of(one)}]

    def _team_of(self, handoff: Handoff) -> str:
        return self._facts.known.get(known.team_of(handoff.thread.channel), "")
