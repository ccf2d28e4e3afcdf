"""``conversations.*``, ``users.*``, ``usergroups.*``, ``bots.*``, ``auth.*``, ``api.*``, ``apps.*``.

Pages: https://docs.slack.dev/reference/methods
"""

from adapters.sandbox.slack import payloads
from adapters.sandbox.slack.call import Call, Method, page_of
from adapters.sandbox.slack.people import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_ID,
    TEAM_NAME,
    Person,
    UserGroup,
)
from adapters.sandbox.slack.records import Channel, Json, Message, SlackError
from adapters.sandbox.slack.rules import READ_ITEMS
from adapters.sandbox.slack.workspace import channel_object


def api_test(call: Call) -> Json:
    """Answer, with the arguments given back."""
    if call.text("error"):
        raise SlackError(call.text("error"), args=call.args)
    return {"args": call.args}


def auth_test(call: Call) -> Json:
    """Say whose token this is."""
    bot = call.sandbox.workspace.people[BOT_USER]
    return {
        "url": f"{call.sandbox.workspace.base_url}/",
        "team": TEAM_NAME,
        "team_id": TEAM_ID,
        "user": bot.name,
        "user_id": bot.id,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def connections_open(call: Call) -> Json:
    """Hand out a Socket Mode address."""
    host = call.sandbox.workspace.base_url.removeprefix("http://")
    return {"url": f"ws://{host}/link?ticket={call.sandbox.hub.ticket()}&app_id={APP_ID}"}


def bots_info(call: Call) -> Json:
    """Describe a bot."""
    wanted = call.text("bot", BOT_ID)
    for person in call.sandbox.workspace.people.values():
        if person.bot_id == wanted:
            body = {"id": person.bot_id, "deleted": False, "name": person.real_name, "updated": 0}
            return {"bot": body | {"app_id": person.app_id, "user_id": person.id, "icons": {}}}
    raise SlackError("bot_not_found")


def _channel(call: Call, scope: str = "read") -> Channel:
    """Find the channel, whose kind decides which scope it takes."""
    channel = call.sandbox.workspace.channel(call.required("channel"), seen_by=BOT_USER)
    call.sandbox.need_scope((f"{'groups' if channel.is_private else 'channels'}:{scope}",))
    return channel


def conversations_info(call: Call) -> Json:
    """Describe a channel."""
    body = channel_object(_channel(call), seen_by=BOT_USER)
    del body["members"]
    if not call.flag("include_num_members"):
        del body["num_members"]
    return {"channel": body}


def conversations_list(call: Call) -> Json:
    """List the channels that the app can see."""
    types = set(call.text("types", "public_channel").split(","))
    hide_archived = call.flag("exclude_archived")
    visible = [
        channel
        for channel in call.sandbox.workspace.channels.values()
        if ("private_channel" if channel.is_private else "public_channel") in types
        and (not channel.is_private or BOT_USER in channel.members)
        and not (hide_archived and channel.is_archived)
    ]
    page, cursor = page_of(call, visible, limit=100)
    channels = [channel_object(channel, seen_by=BOT_USER) for channel in page]
    for body in channels:
        del body["members"]
    return {"channels": channels, "response_metadata": cursor}


def conversations_members(call: Call) -> Json:
    """List the members of a channel."""
    page, cursor = page_of(call, _channel(call).members, limit=100)
    return {"members": page, "response_metadata": cursor}


def conversations_join(call: Call) -> Json:
    """Let the app join a public channel."""
    channel = call.sandbox.workspace.channel(call.required("channel"), seen_by=BOT_USER)
    if channel.is_archived:
        raise SlackError("is_archived")
    call.sandbox.workspace.join(channel, BOT_USER)
    return {"channel": channel_object(channel, seen_by=BOT_USER)}


def _readable(call: Call) -> Channel:
    channel = _channel(call, "history")
    if BOT_USER not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _most(call: Call) -> int:
    return READ_ITEMS if call.sandbox.rules.rationed_reads else 1000


def _within(call: Call, messages: list[Message]) -> list[Message]:
    oldest, latest = call.text("oldest", "0"), call.text("latest") or "9999999999.999999"
    if call.flag("inclusive"):
        return [message for message in messages if float(oldest) <= float(message.ts) <= float(latest)]
    return [message for message in messages if float(oldest) < float(message.ts) < float(latest)]


def conversations_history(call: Call) -> Json:
    """List a channel's root messages and broadcasts, newest first."""
    channel = _readable(call)
    roots = [m for m in channel.messages.values() if not m.is_reply or m.subtype == "thread_broadcast"]
    found = list(reversed(_within(call, roots)))
    page, cursor = page_of(call, found, limit=100, most=_most(call))
    metadata = call.flag("include_all_metadata")
    return {
        "messages": [channel.rendered(message, metadata=metadata) for message in page],
        "has_more": bool(cursor["next_cursor"]),
        "pin_count": 0,
        "response_metadata": cursor,
    }


def conversations_replies(call: Call) -> Json:
    """List a thread, its root first, then the replies from the oldest on."""
    channel = _readable(call)
    root = channel.messages.get(call.required("ts"))
    if root is not None and root.is_reply:
        root = channel.messages.get(root.thread_ts or "")
    if root is None:
        raise SlackError("thread_not_found")
    replies = _within(call, channel.replies(root.ts))
    page, cursor = page_of(call, replies, limit=1000, most=_most(call))
    metadata = call.flag("include_all_metadata")
    return {
        "messages": [channel.rendered(message, metadata=metadata) for message in [root, *page]],
        "has_more": bool(cursor["next_cursor"]),
        "response_metadata": cursor,
    }


def _shown(call: Call, person: Person) -> Json:
    user = payloads.user_object(person, call.sandbox.workspace.base_url)
    if "users:read.email" not in call.sandbox.app.scopes:
        user["profile"].pop("email", None)
    return user


def users_info(call: Call) -> Json:
    """Describe a person."""
    return {"user": _shown(call, call.sandbox.workspace.person(call.required("user")))}


def users_list(call: Call) -> Json:
    """List everybody of the workspace."""
    everybody = [person for person in call.sandbox.workspace.people.values() if person.team_id == TEAM_ID]
    page, cursor = page_of(call, everybody, limit=200)
    members = [_shown(call, person) for person in page]
    return {"members": members, "cache_ts": int(call.sandbox.workspace.now()), "response_metadata": cursor}


def users_lookup_by_email(call: Call) -> Json:
    """Find a person by address."""
    wanted = call.required("email").lower()
    for person in call.sandbox.workspace.people.values():
        if person.email.lower() == wanted and not person.deleted:
            return {"user": _shown(call, person)}
    raise SlackError("users_not_found")


def users_get_presence(call: Call) -> Json:
    """Say whether somebody is there."""
    return {"presence": call.sandbox.workspace.person(call.required("user")).presence}


def _group(call: Call, group: UserGroup) -> Json:
    body = {"id": group.id, "team_id": TEAM_ID, "is_usergroup": True, "name": group.name, "handle": group.handle}
    if call.flag("include_users"):
        body["users"] = list(group.members)
    if call.flag("include_count"):
        body["user_count"] = len(group.members)
    return body | {"is_external": False, "date_delete": 0, "prefs": {"channels": [], "groups": []}}


def usergroups_list(call: Call) -> Json:
    """List the user groups."""
    return {"usergroups": [_group(call, group) for group in call.sandbox.workspace.groups.values()]}


def usergroups_users_list(call: Call) -> Json:
    """List a user group's people."""
    group = call.sandbox.workspace.groups.get(call.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.members)}


_READ_ROOMS = ("channels:read", "groups:read")
_READ_HISTORY = ("channels:history", "groups:history")

METHODS = {
    "api.test": Method(run=api_test, needs_token=False),
    "auth.test": Method(run=auth_test),
    "apps.connections.open": Method(run=connections_open, is_app_level=True),
    "bots.info": Method(run=bots_info, any_scope=("users:read",)),
    "conversations.info": Method(run=conversations_info, any_scope=_READ_ROOMS),
    "conversations.list": Method(run=conversations_list, any_scope=_READ_ROOMS),
    "conversations.members": Method(run=conversations_members, any_scope=_READ_ROOMS),
    "conversations.join": Method(run=conversations_join, any_scope=("channels:join",)),
    "conversations.history": Method(run=conversations_history, any_scope=_READ_HISTORY),
    "conversations.replies": Method(run=conversations_replies, any_scope=_READ_HISTORY),
    "users.info": Method(run=users_info, any_scope=("users:read",)),
    "users.list": Method(run=users_list, any_scope=("users:read",)),
    "users.lookupByEmail": Method(run=users_lookup_by_email, any_scope=("users:read.email",)),
    "users.getPresence": Method(run=users_get_presence, any_scope=("users:read",)),
    "usergroups.list": Method(run=usergroups_list, any_scope=("usergroups:read",)),
    "usergroups.users.list": Method(run=usergroups_users_list, any_scope=("usergroups:read",)),
}
