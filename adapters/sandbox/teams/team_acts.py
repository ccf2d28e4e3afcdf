"""What happens to the team as a whole: the app comes and goes, channels and people too."""

from collections.abc import Awaitable, Callable, Mapping

from adapters.sandbox.teams import activities
from adapters.sandbox.teams.people import BOT, BOT_NAME, TEAM, Person
from adapters.sandbox.teams.records import ActRefused, Channel, Json, TeamsError
from adapters.sandbox.teams.sandbox import Sandbox


def _channel(sandbox: Sandbox, body: Json) -> Channel:
    try:
        return sandbox.team.find_channel(str(body.get("channel", "")))[0]
    except TeamsError as error:
        raise ActRefused("unknown_channel", f"there is no channel {body.get('channel')!r}") from error


async def install(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Add the app to the team, with the `channel` that the installer chose; `action` may be `add-upgrade`."""
    team, action = sandbox.team, str(body.get("action") or "add")
    selected = _channel(sandbox, body) if body.get("channel") else None
    if action not in {"add", "add-upgrade"}:
        raise ActRefused("invalid_arguments", "action must be add or add-upgrade")
    team.is_installed = True
    team.touched()
    sandbox.delivery.publish(activities.installation(team, person, action, selected))
    if action == "add":
        added = [{"id": BOT, "name": BOT_NAME}]
        sandbox.delivery.publish(activities.team_event(team, person, "teamMemberAdded", added=added))
    return {}


async def uninstall(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Remove the app from the team; `action` may be `remove-upgrade`."""
    action = str(body.get("action") or "remove")
    sandbox.team.is_installed = action == "remove-upgrade"
    sandbox.team.touched()
    if action == "remove":
        removed = [{"id": BOT, "name": BOT_NAME}]
        gone = activities.team_event(sandbox.team, person, "teamMemberRemoved", removed=removed)
        sandbox.delivery.publish(gone)
    sandbox.delivery.publish(activities.installation(sandbox.team, person, action, None))
    return {}


def _tell(sandbox: Sandbox, activity: Json) -> None:
    sandbox.team.touched()
    if sandbox.team.is_installed:
        sandbox.delivery.publish(activity)


async def create_channel(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Make a channel with a `name`."""
    name = str(body.get("name") or "New channel")
    channel = Channel(id=f"19:{sandbox.team.next_ms():032x}@thread.tacv2", name=name)
    sandbox.team.channels[channel.id] = channel
    _tell(sandbox, activities.team_event(sandbox.team, person, "channelCreated", channel=channel))
    return {"channel": channel.id}


async def rename_channel(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Give a `channel` another `name`."""
    channel = _channel(sandbox, body)
    channel.name = str(body.get("name") or "Renamed")
    _tell(sandbox, activities.team_event(sandbox.team, person, "channelRenamed", channel=channel))
    return {}


async def delete_channel(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Delete a `channel`; General stays."""
    channel = _channel(sandbox, body)
    if channel.id == TEAM:
        raise ActRefused("not_allowed", "the General channel cannot be deleted")
    channel.is_deleted = True
    _tell(sandbox, activities.team_event(sandbox.team, person, "channelDeleted", channel=channel))
    return {}


async def restore_channel(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Bring a deleted `channel` back."""
    channel = sandbox.team.channels.get(str(body.get("channel", "")))
    if channel is None or not channel.is_deleted:
        raise ActRefused("unknown_channel", "there is no such deleted channel")
    channel.is_deleted = False
    _tell(sandbox, activities.team_event(sandbox.team, person, "channelRestored", channel=channel))
    return {}


async def rename_team(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Give the team another `name`."""
    sandbox.team.name = str(body.get("name") or "Renamed team")
    _tell(sandbox, activities.team_event(sandbox.team, person, "teamRenamed"))
    return {}


async def archive_team(sandbox: Sandbox, person: Person, _: Json) -> Json:
    """Archive the team: nobody writes in it any more."""
    sandbox.team.is_archived = True
    _tell(sandbox, activities.team_event(sandbox.team, person, "teamArchived"))
    return {}


async def unarchive_team(sandbox: Sandbox, person: Person, _: Json) -> Json:
    """Bring the team back into use."""
    sandbox.team.is_archived = False
    _tell(sandbox, activities.team_event(sandbox.team, person, "teamUnarchived"))
    return {}


async def leave(sandbox: Sandbox, person: Person, _: Json) -> Json:
    """Leave the team."""
    if person.aad in sandbox.team.members:
        sandbox.team.members.remove(person.aad)
        removed = [{"id": person.id, "aadObjectId": person.aad}]
        _tell(sandbox, activities.team_event(sandbox.team, person, "teamMemberRemoved", removed=removed))
    return {}


async def join(sandbox: Sandbox, person: Person, _: Json) -> Json:
    """Join the team."""
    if person.aad not in sandbox.team.members:
        sandbox.team.members.append(person.aad)
        added = [{"id": person.id, "aadObjectId": person.aad}]
        _tell(sandbox, activities.team_event(sandbox.team, person, "teamMemberAdded", added=added))
    return {}


async def move(sandbox: Sandbox, _: Person, body: Json) -> Json:
    """Have the connector speak from another `region`: what Teams calls the service URL changes."""
    region = str(body.get("region", "emea"))
    if region not in {"amer", "emea", "apac", "teams"}:
        raise ActRefused("invalid_arguments", "region must be amer, emea, apac or teams")
    sandbox.team.region = region
    return {"service_url": sandbox.team.service_url}


async def roll_keys(sandbox: Sandbox, _: Person, __: Json) -> Json:
    """Sign what the bot receives with a new key from now on; the old one is no longer published."""
    sandbox.keys.roll()
    return {}


async def revoke_tokens(sandbox: Sandbox, _: Person, __: Json) -> Json:
    """End every token that the bot was given."""
    sandbox.grants.tokens.clear()
    return {}


ACTS: Mapping[str, Callable[[Sandbox, Person, Json], Awaitable[Json]]] = {
    "install": install,
    "uninstall": uninstall,
    "create_channel": create_channel,
    "rename_channel": rename_channel,
    "delete_channel": delete_channel,
    "restore_channel": restore_channel,
    "rename_team": rename_team,
    "archive_team": archive_team,
    "unarchive_team": unarchive_team,
    "leave": leave,
    "join": join,
    "move": move,
    "roll_keys": roll_keys,
    "revoke_tokens": revoke_tokens,
}
