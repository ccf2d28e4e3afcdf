"""Who people in Slack are: `ports.Roster`. Facts come from Slack and are kept for `roster_max_age_s` at most.

An allowed operator is a full member of the home workspace (no guest, no bot, nobody from elsewhere), in one of the
queue's channels, and in the queue's list or user group if it has one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapters.slack import rich
from adapters.slack.calls import Json, SlackCalls
from adapters.slack.errors import CallFailed
from adapters.slack.refs import operator_id, user_of
from bridge import log as logs
from bridge.conversation import Operator, Standing
from bridge.ids import Millis, OperatorId
from bridge.ports import Clock
from bridge.routing import Queue

log = logs.get("slack.roster")
MEMBER_PAGES = 20


class _NotAllowed(Exception):
    """What stands against a person, in one sentence."""


class SlackRoster:
    """Answers who somebody is. One question to Slack at a time per person or channel."""

    def __init__(self, *, calls: SlackCalls, queues: Mapping[str, Queue], clock: Clock) -> None:
        """Take the way out, the queues, the time."""
        self._calls = calls
        self._queues = queues
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[Millis, Any]] = {}
        self._asking: dict[tuple[str, str], asyncio.Lock] = {}

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        name, user = "", user_of(person)
        try:
            if user is None:
                raise _NotAllowed("This person is not from Slack.")
            info = await self._user(user)
            name = public_name(info)
            identity = await self._calls.identity()
            _check_person(info, identity.team)
            queue = self._queues.get(handoff_queue)
            if queue is None:
                raise _NotAllowed(f"There is no queue {handoff_queue} any more.")
            await self._check_member(user, queue)
            if _listed(queue.supervisors, user, identity.team, info):
                return Operator(id=operator_id(identity.team, user), name=name, standing=Standing.SUPERVISOR)
            await self._check_listed(user, queue, info, identity.team)
            return Operator(id=operator_id(identity.team, user), name=name, standing=Standing.ALLOWED)
        except _NotAllowed as reason:
            return Operator(id=person, name=name, why=str(reason))
        except CallFailed as failed:
            log.warning("person_not_verified", method=failed.method, reason=failed.code)
            why = f"Slack could not be asked who this is ({failed.code}). Try again in a moment."
            return Operator(id=person, name=name, why=why)

    async def names(self, users: frozenset[str]) -> Mapping[str, str]:
        """Return public names by Slack id; people whom Slack does not tell us are left out. Never raises."""
        found: dict[str, str] = {}
        for user in sorted(users):
            if user[:1] in {"U", "W"}:
                try:
                    found[user] = public_name(await self._user(user))
                except CallFailed:
                    continue
        return found

    def forget(self, *, user: str = "", channel: str = "") -> None:
        """Ask Slack anew about this person or channel: something about them has just changed."""
        self._kept.pop(("user", user), None)
        self._kept.pop(("members", channel), None)

    # --- facts

    async def _fresh(self, kind: str, name: str, ask: Callable[[str], Awaitable[Any]]) -> Any:
        key = (kind, name)
        async with self._asking.setdefault(key, asyncio.Lock()):
            kept, now = self._kept.get(key), self._clock.now()
            max_age_ms = self._calls.settings.roster_max_age_s * 1000
            if kept is not None and 0 <= now - kept[0] < max_age_ms:
                return kept[1]
            answer = await ask(name)
            self._kept[key] = (now, answer)
            return answer

    async def _user(self, user: str) -> Json:
        answer: Json = await self._fresh("user", user, self._ask_user)
        return answer

    async def _ask_user(self, user: str) -> Json:
        try:
            answer = await self._calls.read("users.info", user=user)
        except CallFailed as failed:
            if failed.code in {"user_not_found", "user_not_visible"}:
                return {}
            raise
        info = answer.get("user")
        return info if isinstance(info, dict) else {}

    async def _members(self, channel: str) -> frozenset[str]:
        members: frozenset[str] = await self._fresh("members", channel, self._ask_members)
        return members

    async def _ask_members(self, channel: str) -> frozenset[str]:
        found: set[str] = set()
        cursor = ""
        for _ in range(MEMBER_PAGES):
            more = {"cursor": cursor} if cursor else {}
            answer = await self._calls.read("conversations.members", channel=channel, limit=1000, **more)
            found.update(str(member) for member in answer.get("members") or [])
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return frozenset(found)

    async def _ask_group(self, group: str) -> frozenset[str]:
        answer = await self._calls.read("usergroups.users.list", usergroup=group)
        return frozenset(str(user) for user in answer.get("users") or [])

    # --- rules

    async def _check_member(self, user: str, queue: Queue) -> None:
        for channel in queue.channels:
            if user in await self._members(channel):
                return
        raise _NotAllowed(f"Only members of the channel of {queue.label} may do this.")

    async def _check_listed(self, user: str, queue: Queue, info: Json, team: str) -> None:
        if queue.operators and _listed(queue.operators, user, team, info):
            return
        if queue.user_group:
            if user in await self._fresh("group", queue.user_group, self._ask_group):
                return
            raise _NotAllowed(f"Only members of the user group of {queue.label} may do this.")
        if queue.operators:
            raise _NotAllowed(f"Only the operators listed for {queue.label} may do this.")


def public_name(info: Mapping[str, Any]) -> str:
    """Return the name that customers see: the real one. A display name is often a nickname among colleagues, so it only
    stands in where no real name is given.
    """
    profile = info.get("profile") or {}
    candidates = (profile.get("real_name"), info.get("real_name"), profile.get("display_name"), info.get("name"))
    name = next((text for value in candidates if (text := str(value or "").strip())), "")
    return rich.label(name, 80)


def _check_person(info: Mapping[str, Any], team: str) -> None:
    """Raise _NotAllowed for whoever is not a full member here. Shape: docs.slack.dev/reference/objects/user-object."""
    if not info:
        raise _NotAllowed("Slack does not know this person.")
    if info.get("is_bot") or info.get("id") == "USLACKBOT" or info.get("is_workflow_bot"):
        raise _NotAllowed("Apps and bots may not act on conversations.")
    if info.get("deleted"):
        raise _NotAllowed("This account is deactivated.")
    if info.get("is_stranger") or (info.get("team_id") and info["team_id"] != team):
        enterprise = info.get("enterprise_user") or {}
        if info.get("is_stranger") or team not in (enterprise.get("teams") or []):
            raise _NotAllowed("Only members of this workspace may do this, not people of other organisations.")
    if info.get("is_restricted") or info.get("is_ultra_restricted"):
        raise _NotAllowed("Guests may not act on conversations.")


def _listed(people: frozenset[str], user: str, team: str, info: Mapping[str, Any]) -> bool:
    email = str((info.get("profile") or {}).get("email") or "").casefold()
    wanted = {entry.casefold() for entry in people}
    return bool({user.casefold(), str(operator_id(team, user)).casefold()} & wanted) or bool(email and email in wanted)
