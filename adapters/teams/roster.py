"""Who people in Teams are: `ports.Roster`. Facts come from Teams and are kept for `roster_max_age_s` at most.

An allowed operator is a full member of an allowed tenant (no guest, no bot), a member of the team of one of the queue's
channels, and in the queue's list if it has one: by Entra's object id, e-mail address or user principal name.
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/get-teams-context.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from adapters.teams import known, text
from adapters.teams.config import TeamsSettings
from adapters.teams.errors import CallFailed, is_gone
from adapters.teams.refs import operator_id, person_of
from bridge import log as logs
from bridge.conversation import Operator, Standing
from bridge.facts import DeskFacts
from bridge.ids import Millis, OperatorId
from bridge.ports import Clock
from bridge.routing import Queue

log = logs.get("teams.roster")
NO_MEMBER = frozenset({"MemberNotFoundInConversation", "MemberNotFound", "NotFound"})
MAX_KEPT = 10_000
Json = Mapping[str, Any]


class Members(Protocol):
    """Who can be asked about a team (`TeamsCalls`)."""

    async def member(self, team: str, person: str) -> dict[str, Any]:
        """Return a member of a team. Raises CallFailed."""
        ...


class _NotAllowed(Exception):
    """What stands against a person, in one sentence."""


class TeamsRoster:
    """Answers who somebody is. One question to Teams at a time per person and team."""

    def __init__(
        self, *, settings: TeamsSettings, calls: Members, facts: DeskFacts, queues: Mapping[str, Queue], clock: Clock
    ) -> None:
        """Take the way out, the queues, the time."""
        self._settings, self._calls, self._facts = settings, calls, facts
        self._queues, self._clock = queues, clock
        self._kept: dict[tuple[str, str], tuple[Millis, dict[str, Any]]] = {}
        self._asking: dict[tuple[str, str], asyncio.Lock] = {}

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        name, who = "", person_of(person)
        try:
            if who is None:
                raise _NotAllowed("This person is not from Teams.")
            tenant = person.split(":")[1]
            if tenant not in self._settings.allowed_tenants:
                raise _NotAllowed("Only members of this organisation may do this.")
            queue = self._queues.get(handoff_queue)
            if queue is None:
                raise _NotAllowed(f"There is no queue {handoff_queue} any more.")
            info = await self._found(who, queue)
            name = public_name(info)
            _check_person(info, tenant)
            standing = _standing(queue, who, tenant, info)
            return Operator(id=operator_id(tenant, who), name=name, standing=standing)
        except _NotAllowed as reason:
            return Operator(id=person, name=name, why=str(reason))
        except CallFailed as failed:
            log.warning("person_not_verified", method=failed.method, reason=failed.code)
            why = f"Teams could not be asked who this is ({failed.code}). Try again in a moment."
            return Operator(id=person, name=name, why=why)

    async def entra_id(self, team: str, account: str) -> str:
        """Return Entra's id of a member of a team whom Teams names otherwise (`29:...`); "" if that cannot be told."""
        try:
            info = await self._member(team, account)
        except CallFailed as failed:
            log.warning("person_not_verified", method=failed.method, reason=failed.code)
            return ""
        return str(info.get("aadObjectId") or info.get("objectId") or "")

    def forget(self, person: str) -> None:
        """Ask Teams anew about this person: something about them has just changed."""
        for key in [key for key in self._kept if key[1] == person]:
            del self._kept[key]

    # --- facts

    async def _found(self, who: str, queue: Queue) -> Json:
        """Return a member of one of the teams that the queue's channels are in."""
        facts = self._facts.known or await self._facts.all()
        teams = dict.fromkeys(team for one in queue.channels if (team := facts.get(known.team_of(one))))
        if not teams:
            raise _NotAllowed(f"Teams has not told yet which team the channel of {queue.label} is in.")
        for team in teams:
            if info := await self._member(team, who):
                return info
        raise _NotAllowed(f"Only members of the team of {queue.label} may do this.")

    async def _member(self, team: str, who: str) -> dict[str, Any]:
        key = (team, who)
        async with self._asking.setdefault(key, asyncio.Lock()):
            kept, now = self._kept.get(key), self._clock.now()
            if kept is not None and 0 <= now - kept[0] < self._settings.roster_max_age_s * 1000:
                return kept[1]
            try:
                info = await self._calls.member(team, who)
            except CallFailed as failed:
                if not is_gone(failed) and failed.code not in NO_MEMBER:
                    raise
                info = {}
            if len(self._kept) > MAX_KEPT:
                self._kept.clear()
                self._asking.clear()
            self._kept[key] = (now, info)
            return info


def public_name(info: Json) -> str:
    """Return the name that customers see, without a note in brackets such as `Dana Ruiz (Contoso)`."""
    full = f"{info.get('givenName') or ''} {info.get('surname') or ''}".strip()
    return text.label(full or str(info.get("name") or ""), 80)


def _check_person(info: Json, tenant: str) -> None:
    """Raise _NotAllowed for whoever is no full member."""
    role = str(info.get("userRole") or "").lower()
    if str(info.get("id") or "").startswith("28:") or role == "bot":
        raise _NotAllowed("Apps and bots may not act on conversations.")
    principal = str(info.get("userPrincipalName") or "")
    if role in {"guest", "anonymous"} or "#ext#" in principal.casefold():
        raise _NotAllowed("Guests may not act on conversations.")
    if (home := str(info.get("tenantId") or "")) and home != tenant:
        raise _NotAllowed("Only members of this organisation may do this, not people of other organisations.")


def _standing(queue: Queue, who: str, tenant: str, info: Json) -> Standing:
    names = {who, str(operator_id(tenant, who)), str(info.get("email") or ""), str(info.get("userPrincipalName") or "")}
    names = {name.casefold() for name in names if name}
    if names & {entry.casefold() for entry in queue.supervisors}:
        return Standing.SUPERVISOR
    if queue.user_group:
        raise _NotAllowed(
            f"{queue.label} asks for a user group, which Teams does not have: list its operators instead."
        )
    if queue.operators and not names & {entry.casefold() for entry in queue.operators}:
        raise _NotAllowed(f"Only the operators listed for {queue.label} may do this.")
    return Standing.ALLOWED
