"""Activities as Teams sends them to a bot in a channel.

Sources:
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-messages-for-bots-and-agents
and https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/subscribe-to-conversation-events
"""

import uuid

from adapters.sandbox.teams.people import BOT, BOT_NAME, TEAM, TEAM_GROUP, Person
from adapters.sandbox.teams.records import Channel, Json, Message, iso
from adapters.sandbox.teams.team import Team

_IMAGE_KIND = "image/*"


def envelope(team: Team, person: Person, kind: str, *, channel: str, root: str = "") -> Json:
    """Return what every activity has: who, where, when, and by which service."""
    at_ms = team.next_ms()
    conversation = f"{channel};messageid={root}" if root else channel
    return {
        "type": kind,
        "id": str(at_ms),
        "timestamp": iso(at_ms),
        "localTimestamp": iso(at_ms)[:-1] + "+00:00",
        "channelId": "msteams",
        "serviceUrl": team.service_url,
        "from": person.account(),
        "conversation": {
            "isGroup": True, "conversationType": "channel", "tenantId": person.tenant, "id": conversation,
        },
        "recipient": {"id": BOT, "name": BOT_NAME},
        "channelData": {
            "teamsChannelId": channel, "teamsTeamId": TEAM, "channel": {"id": channel}, "team": {"id": TEAM},
            "tenant": {"id": person.tenant},
        },
    }  # fmt: skip


def message(team: Team, person: Person, said: Message) -> Json:
    """Return a message that the bot hears."""
    body = envelope(team, person, "message", channel=said.channel, root=said.root)
    body |= _content(said) | {"id": said.id, "timestamp": iso(said.at_ms)}
    if said.root != said.id:
        body["replyToId"] = said.root
    if said.targeted_to:
        body["recipient"] |= {"isTargeted": True}
    return body


def _content(said: Message) -> Json:
    pictures = [each for each in said.attachments if each.get("contentType") == _IMAGE_KIND]
    client = {"type": "clientInfo", "locale": "en-GB", "country": "GB", "platform": "Web", "timezone": "Europe/London"}
    return {
        "textFormat": "plain",
        "text": said.text,
        "attachments": [*pictures, {"contentType": "text/html", "content": said.html}],
        "entities": [*said.entities, client],
        "locale": "en-GB",
        "localTimezone": "Europe/London",
    }


def edited(team: Team, person: Person, said: Message, event: str) -> Json:
    """Return `messageUpdate` with `editMessage` or `undeleteMessage`."""
    body = envelope(team, person, "messageUpdate", channel=said.channel, root=said.root)
    body |= _content(said) | {"id": said.id}
    body["channelData"]["eventType"] = event
    return body


def deleted(team: Team, person: Person, said: Message) -> Json:
    """Return `messageDelete`: it does not say what was deleted, only which."""
    body = envelope(team, person, "messageDelete", channel=said.channel, root=said.root) | {"id": said.id}
    body["channelData"]["eventType"] = "softDeleteMessage"
    return body


def reacted(team: Team, person: Person, said: Message, name: str, *, is_added: bool) -> Json:
    """Return `messageReaction`."""
    body = envelope(team, person, "messageReaction", channel=said.channel, root=said.root)
    changed = "reactionsAdded" if is_added else "reactionsRemoved"
    return body | {"id": f"f:{uuid.uuid4()}", "replyToId": said.id, changed: [{"type": name}]}


def installation(team: Team, person: Person, action: str, selected: Channel | None) -> Json:
    """Return `installationUpdate`: `add`, `add-upgrade`, `remove` or `remove-upgrade`."""
    body = envelope(team, person, "installationUpdate", channel=TEAM) | {"action": action}
    body["channelData"] |= {
        "team": {"id": TEAM, "name": team.name, "aadGroupId": TEAM_GROUP}, "source": {"name": "message"},
    }  # fmt: skip
    if selected is not None:
        body["channelData"]["settings"] = {"selectedChannel": {"id": selected.id, "name": selected.name}}
    return body


def team_event(
    team: Team, person: Person, event: str, *, channel: Channel | None = None, added: list[Json] | None = None,
    removed: list[Json] | None = None,
) -> Json:  # fmt: skip
    """Return `conversationUpdate` with an event: `channelRenamed`, `teamRenamed`, `teamMemberRemoved`, ..."""
    body = envelope(team, person, "conversationUpdate", channel=TEAM) | {"id": f"f:{uuid.uuid4()}"}
    del body["channelData"]["teamsChannelId"], body["channelData"]["channel"]
    body["channelData"] |= {"eventType": event, "team": {"id": TEAM, "name": team.name, "aadGroupId": TEAM_GROUP}}
    if channel is not None:
        body["channelData"]["channel"] = {"id": channel.id, "name": channel.name}
    if added is not None:
        body["membersAdded"] = added
    if removed is not None:
        body["membersRemoved"] = removed
    return body


def invoke(team: Team, person: Person, name: str, value: Json, *, channel: str, root: str, reply_to: str = "") -> Json:
    """Return an invoke: the bot's answer to it is waited for."""
    body = envelope(team, person, "invoke", channel=channel, root=root)
    body |= {"id": f"f:{uuid.uuid4()}", "name": name, "value": value, "locale": "en-GB"}
    body["channelData"]["source"] = {"name": "message"}
    return body | ({"replyToId": reply_to} if reply_to else {})


def submitted(team: Team, person: Person, said: Message, value: Json) -> Json:
    """Return the message without text by which a client without Action.Execute tells of a click."""
    body = envelope(team, person, "message", channel=said.channel, root=said.root)
    return body | {"value": value, "replyToId": said.id, "locale": "en-GB"}
