"""Microsoft Graph's part: messages of a channel, and files by their sharing address. Granted by rule, else 403.

Sources: https://learn.microsoft.com/graph/api/chatmessage-list-replies,
https://learn.microsoft.com/graph/api/shares-get
"""

import base64
import html
import json
import uuid

from aiohttp import web

from adapters.sandbox.teams.call import Answer, serve
from adapters.sandbox.teams.grants import GRAPH_AUDIENCE
from adapters.sandbox.teams.people import BOT, BOT_NAME, TEAM_GROUP
from adapters.sandbox.teams.records import Json, Message, TeamsError, iso
from adapters.sandbox.teams.sandbox import Sandbox

MAX_PAGE = 50
NEEDED = "'ChannelMessage.Read.Group, ChannelMessage.Read.All, Group.Read.All, Group.ReadWrite.All'"


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    posted = "/v1.0/teams/{team}/channels/{channel}/messages"
    at = f"{posted}/{{message}}"
    found = [(posted, posts), (at, root), (f"{at}/replies", replies), (f"{at}/replies/{{reply}}", reply),
             ("/v1.0/shares/{share}/driveItem/content", content)]  # fmt: skip
    return [web.get(path, serve("graph", call, audience=GRAPH_AUDIENCE)) for path, call in found]


def _thread(sandbox: Sandbox, request: web.Request) -> list[Message]:
    _need_grant(sandbox)
    team, channel_id = request.match_info["team"], request.match_info["channel"]
    channel = sandbox.team.channels.get(channel_id)
    if team != TEAM_GROUP or channel is None or channel.is_deleted:
        raise TeamsError(404, "NotFound", "Not Found")
    thread = [each for each in channel.thread(request.match_info["message"]) if not each.targeted_to]
    if not thread:
        raise TeamsError(404, "NotFound", "Message not found")
    return thread


def _need_grant(sandbox: Sandbox) -> None:
    if not sandbox.rules.graph:
        missing = f"Missing role permissions on the request. API requires one of {NEEDED}."
        raise TeamsError(403, "Forbidden", missing)


def posts(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return a page of a channel's posts without their replies, the newest first."""
    _need_grant(sandbox)
    channel = sandbox.team.channels.get(request.match_info["channel"])
    if request.match_info["team"] != TEAM_GROUP or channel is None or channel.is_deleted:
        raise TeamsError(404, "NotFound", "Not Found")
    return _page(sandbox, request, [each for each in channel.messages.values() if each.root == each.id])


def root(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return a post."""
    thread = _thread(sandbox, request)
    return 200, chat_message(sandbox, thread[0])


def reply(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return one reply."""
    thread = _thread(sandbox, request)
    for each in thread[1:]:
        if each.id == request.match_info["reply"]:
            return 200, chat_message(sandbox, each)
    raise TeamsError(404, "NotFound", "Message not found")


def replies(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return a page of a thread's replies, the newest first."""
    return _page(sandbox, request, _thread(sandbox, request)[1:])


def _page(sandbox: Sandbox, request: web.Request, found: list[Message]) -> Answer:
    try:
        size, start = int(request.query.get("$top", 20)), int(request.query.get("$skiptoken", 0))
    except ValueError as error:
        raise TeamsError(400, "BadRequest", "$top must be a number") from error
    if not 1 <= size <= MAX_PAGE:
        raise TeamsError(400, "BadRequest", f"The limit of '{MAX_PAGE}' for Top query has been exceeded.")
    newest = [each for each in reversed(found) if not each.targeted_to]
    answer: Json = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#replies",
        "value": [chat_message(sandbox, each) for each in newest[start : start + size]],
    }
    if start + size < len(newest):
        answer["@odata.nextLink"] = f"{sandbox.team.base_url}{request.path}?$top={size}&$skiptoken={start + size}"
    return 200, answer | {"@odata.count": len(answer["value"])}


def content(sandbox: Sandbox, request: web.Request, _: Json) -> Answer:
    """Return a shared file's bytes: `u!` and the address in base64 without padding."""
    _need_grant(sandbox)
    share = request.match_info["share"].removeprefix("u!")
    try:
        url = base64.urlsafe_b64decode(share + "=" * (-len(share) % 4)).decode()
    except ValueError as error:
        raise TeamsError(400, "invalidRequest", "The sharing address is malformed") from error
    for key, document in sandbox.team.documents.items():
        if f"/{key}/" in url:
            return 200, document
    raise TeamsError(404, "itemNotFound", "The file does not exist")


def chat_message(sandbox: Sandbox, said: Message) -> Json:
    """Return a message as Graph shows it."""
    attached, body = (
        _attached(said),
        said.html or (said.text if said.text_format == "plain" else html.escape(said.text, quote=False)),
    )
    marks = "".join(f'<attachment id="{each["id"]}"></attachment>' for each in attached)
    is_html = bool(said.html or marks or said.text_format != "plain")
    shown = {"contentType": "html" if is_html else "text", "content": body + ("" if said.html else marks)}
    return {
        "id": said.id,
        "replyToId": None if said.root == said.id else said.root,
        "etag": str(said.edited_ms or said.at_ms),
        "messageType": "message",
        "createdDateTime": iso(said.at_ms),
        "lastModifiedDateTime": iso(said.edited_ms or said.at_ms),
        "lastEditedDateTime": iso(said.edited_ms) if said.edited_ms and not said.is_deleted else None,
        "deletedDateTime": iso(said.edited_ms or said.at_ms) if said.is_deleted else None,
        "subject": None,
        "summary": said.summary or None,
        "importance": said.importance or "normal",
        "locale": "en-us",
        "from": _author(sandbox, said),
        "body": {"contentType": "html", "content": ""} if said.is_deleted else shown,
        "channelIdentity": {"teamId": TEAM_GROUP, "channelId": said.channel},
        "attachments": [] if said.is_deleted else attached,
        "mentions": [_mentioned(number, each) for number, each in enumerate(said.entities)],
        "reactions": [],
    }


def _author(sandbox: Sandbox, said: Message) -> Json:
    person = sandbox.team.people.get(said.sender)
    if person is None:
        bot = {"id": sandbox.settings.app_id, "displayName": BOT_NAME, "applicationIdentityType": "bot"}
        return {"application": bot, "device": None, "user": None}
    user = {
        "id": person.aad, "displayName": person.name, "userIdentityType": "aadUser", "tenantId": person.tenant,
    }  # fmt: skip
    return {"application": None, "device": None, "user": user}


def _attached(said: Message) -> list[Json]:
    cards = [
        {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{said.id}/{number}")), "contentType": each["contentType"],
         "contentUrl": None, "content": json.dumps(each["content"]), "name": None}
        for number, each in enumerate(said.attachments) if "content" in each
    ]  # fmt: skip
    files = [
        {"id": each["document"], "contentType": "reference", "contentUrl": each["url"], "content": None,
         "name": each["name"]}
        for each in said.files if "document" in each
    ]  # fmt: skip
    return cards + files


def _mentioned(number: int, entity: Json) -> Json:
    mentioned = entity.get("mentioned", {})
    user = {"id": mentioned.get("aadObjectId"), "displayName": mentioned.get("name")}
    is_bot = mentioned.get("id") == BOT
    return {
        "id": number,
        "mentionText": mentioned.get("name"),
        "mentioned": {"application": {"id": mentioned.get("id"), "displayName": BOT_NAME} if is_bot else None,
                      "user": None if is_bot else user},
    }  # fmt: skip
