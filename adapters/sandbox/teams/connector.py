"""The Bot Connector: conversations, activities, members and the team, as strict as Teams is.

Sources: https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference and
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages
"""

import json

from aiohttp import web

from adapters.sandbox.teams.call import Answer, serve
from adapters.sandbox.teams.people import BOT, TEAM, TEAM_GROUP, Person
from adapters.sandbox.teams.records import Json, TeamsError
from adapters.sandbox.teams.sandbox import Sandbox
from adapters.sandbox.teams.team import split_conversation

MAX_UTF16_BYTES = 80 * 1024
MIN_PAGE, MAX_PAGE = 50, 500


def routes() -> list[web.RouteDef]:
    """Return the routes, below each region's address and below none."""
    found = []
    for start in ("", "/{region:amer|emea|apac|teams}"):
        at, activity = f"{start}/v3/conversations", "/{conversation}/activities"
        found += [
            web.post(at, serve("create", create)),
            web.post(f"{at}{activity}", serve("send", send)),
            web.post(f"{at}{activity}/{{activity}}", serve("send", send)),
            web.put(f"{at}{activity}/{{activity}}", serve("update", update)),
            web.delete(f"{at}{activity}/{{activity}}", serve("delete", delete)),
            web.get(f"{at}/{{conversation}}/members", serve("members", members)),
            web.get(f"{at}/{{conversation}}/members/{{member}}", serve("members", member)),
            web.get(f"{at}/{{conversation}}/pagedmembers", serve("members", paged_members)),
            web.get(f"{start}/v3/teams/{{team}}", serve("team", team_details)),
            web.get(f"{start}/v3/teams/{{team}}/conversations", serve("team", team_channels)),
            web.get(f"{start}/v3/attachments/{{image}}/views/{{view}}", serve("attachment", image)),
        ]
    return found


def _may_write(sandbox: Sandbox, activity: Json) -> None:
    sandbox.team.need_bot()
    if sandbox.rules.writes_blocked or sandbox.team.is_archived:
        raise TeamsError(403, "MessageWritesBlocked", "Writing is blocked in this conversation.")
    size = len(json.dumps(activity, ensure_ascii=False).encode("utf-16-le"))
    if size > MAX_UTF16_BYTES:
        raise TeamsError(413, "MessageSizeTooBig", f"The message is {size} bytes; at most {MAX_UTF16_BYTES}.")
    if activity.get("type", "message") != "message":
        raise TeamsError(
            400, "BadSyntax", f"Activities of type {activity.get('type')!r} cannot be posted to a channel."
        )


def create(sandbox: Sandbox, _: web.Request, body: Json) -> Answer:
    """Open a thread in a channel by its first message."""
    data = body.get("channelData")
    channel = data.get("channel") if isinstance(data, dict) else None
    channel_id = str(channel.get("id", "")) if isinstance(channel, dict) else ""
    activity = body.get("activity")
    if not channel_id or not body.get("isGroup"):
        raise TeamsError(400, "BadSyntax", "Bad format of conversation: isGroup and channelData.channel.id are needed.")
    if not isinstance(activity, dict):
        raise TeamsError(400, "BadSyntax", "A thread in a channel needs an activity to begin with.")
    found, _root = sandbox.team.find_channel(channel_id)
    _may_write(sandbox, activity)
    before = set(found.messages)
    posted = sandbox.team.post(found, "", activity)
    root = posted or next(each for each in found.messages if each not in before)
    answer = {"id": f"{channel_id};messageid={root}"}
    return 201, answer | ({"activityId": posted} if posted else {})


def send(sandbox: Sandbox, request: web.Request, body: Json) -> Answer:
    """Post into the thread that the conversation id names. Without a thread it is a new post of the channel.

    What is targeted is seen by its recipient alone:
    https://learn.microsoft.com/microsoftteams/platform/agents-in-teams/targeted-messages
    """
    found, root = sandbox.team.find_channel(request.match_info["conversation"])
    _may_write(sandbox, body)
    only_for = _recipient(sandbox, body) if request.query.get("isTargetedActivity") == "true" else ""
    posted = sandbox.team.post(found, root, body, only_for=only_for)
    return 201, {"id": posted} if posted else {}


def _recipient(sandbox: Sandbox, body: Json) -> str:
    given = body.get("recipient")
    wanted = given.get("id") if isinstance(given, dict) else None
    for aad in sandbox.team.members:
        if wanted and wanted in {aad, sandbox.team.people[aad].id}:
            return aad
    raise TeamsError(400, "BadArgument", "A targeted message needs a recipient who is a member of the conversation.")


def update(sandbox: Sandbox, request: web.Request, body: Json) -> Answer:
    """Replace one of the bot's messages."""
    found, _ = sandbox.team.find_channel(request.match_info["conversation"])
    _may_write(sandbox, body)
    message = sandbox.team.own(found, request.match_info["activity"])
    sandbox.team.update(message, body)
    return 200, {"id": message.id}


def delete(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Delete one of the bot's messages."""
    found, _root = sandbox.team.find_channel(request.match_info["conversation"])
    sandbox.team.need_bot()
    sandbox.team.delete(sandbox.team.own(found, request.match_info["activity"]))
    return 200, None


def _roster(sandbox: Sandbox, request: web.Request) -> list[Person]:
    sandbox.team.need_bot()
    sandbox.team.find_channel(request.match_info["conversation"])
    return [sandbox.team.people[aad] for aad in sandbox.team.members]


def _member(person: Person) -> Json:
    given, _, surname = person.name.partition(" ")
    return {
        "id": person.id, "name": person.name, "aadObjectId": person.aad, "objectId": person.aad, "givenName": given,
        "surname": surname, "email": person.email, "tenantId": person.tenant,
        "userPrincipalName": person.email.replace("@", "_") + "#EXT#@northwind.example" if person.is_guest
        else person.email, "userRole": "guest" if person.is_guest else "user",
    }  # fmt: skip


def members(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return everybody in the team at once, as Teams still does for small ones."""
    people: list[Json] = [_member(person) for person in _roster(sandbox, request)]
    return 200, people


def member(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return one person by object id or bot user id."""
    wanted = request.match_info["member"]
    for person in _roster(sandbox, request):
        if wanted in {person.aad, person.id, person.email}:
            return 200, _member(person)
    raise TeamsError(404, "MemberNotFoundInConversation", "The member is not in the conversation.")


def paged_members(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return a page of the people in the team, at least 50 a page."""
    people, query = _roster(sandbox, request), request.query
    try:
        size = min(max(int(query.get("pageSize") or MAX_PAGE), MIN_PAGE), MAX_PAGE)
        start = int(query.get("continuationToken") or 0)
    except ValueError as error:
        raise TeamsError(400, "BadArgument", "pageSize or continuationToken is invalid.") from error
    page: Json = {"members": [_member(person) for person in people[start : start + size]]}
    return 200, page | ({"continuationToken": str(start + size)} if start + size < len(people) else {})


def team_details(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return the team's name and group."""
    _need_team(sandbox, request)
    channels = [each for each in sandbox.team.channels.values() if not each.is_deleted]
    return 200, {
        "id": TEAM, "name": sandbox.team.name, "aadGroupId": TEAM_GROUP, "type": "standard",
        "channelCount": len(channels), "memberCount": len(sandbox.team.members) + 1,
    }  # fmt: skip


def team_channels(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return the team's channels. General has no name, so that clients can translate it."""
    _need_team(sandbox, request)
    channels = [each for each in sandbox.team.channels.values() if not each.is_deleted]
    return 200, {
        "conversations": [{"id": each.id, "name": None if each.id == TEAM else each.name, "type": "standard"}
                          for each in channels]
    }  # fmt: skip


def _need_team(sandbox: Sandbox, request: web.Request) -> None:
    if split_conversation(request.match_info["team"])[0] != TEAM:
        raise TeamsError(404, "ConversationNotFound", "Team not found.")
    sandbox.team.need_bot()


def image(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return a picture that somebody pasted into a message."""
    found = sandbox.team.images.get(request.match_info["image"])
    if found is None:
        raise TeamsError(404, "AttachmentNotFound", f"{BOT} has no such attachment.")
    return 200, found[1]
