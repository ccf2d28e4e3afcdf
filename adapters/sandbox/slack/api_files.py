"""``files.*``, the upload address and the downloads. Source: https://docs.slack.dev/messaging/working-with-files."""

import mimetypes
import secrets
from urllib.parse import quote

from aiohttp import BodyPartReader, web

from adapters.sandbox.slack.api_chat import read_blocks
from adapters.sandbox.slack.call import Call, Method
from adapters.sandbox.slack.people import BOT_USER, TEAM_ID
from adapters.sandbox.slack.records import Json, SlackError, StoredFile
from adapters.sandbox.slack.sandbox import SANDBOX, Sandbox
from adapters.sandbox.slack.workspace import Draft

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Slack</title></head><body>Sign in to your workspace</body></html>"
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Slack allows 1 GB; the sandbox keeps files in memory."""


def new_file(sandbox: Sandbox, *, name: str, user: str, mimetype: str = "", expected_bytes: int = 0) -> StoredFile:
    """Reserve a file of this workspace; its bytes come later."""
    workspace = sandbox.workspace
    file_id = f"F{secrets.token_hex(5).upper()}"
    guessed = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
    file = StoredFile(
        id=file_id,
        name=name,
        title=name,
        mimetype=guessed,
        user=user,
        created=int(workspace.now()),
        url=f"{workspace.base_url}/files-pri/{TEAM_ID}-{file_id}/{quote(name, safe='')}",
        permalink=f"{workspace.base_url}/files/{user}/{file_id}/{quote(name, safe='')}",
        expected_bytes=expected_bytes,
    )
    workspace.files[file_id] = file
    return file


def get_upload_url(call: Call) -> Json:
    """Reserve a file and say where its bytes go."""
    length = call.number("length", 0)
    if length <= 0:
        raise SlackError("missing_argument")
    if length > MAX_FILE_BYTES:
        raise SlackError("file_upload_size_restricted")
    name = call.required("filename")
    file = new_file(call.sandbox, name=name, user=BOT_USER, expected_bytes=length)
    return {"upload_url": f"{call.sandbox.workspace.base_url}/upload/v1/{file.id}", "file_id": file.id}


def complete_upload(call: Call) -> Json:
    """Share uploaded files in a channel. Without a channel they stay private."""
    wanted = call.structure("files", "invalid_arguments")
    if not isinstance(wanted, list) or not wanted:
        raise SlackError("invalid_arguments")
    files: list[StoredFile] = []
    for item in wanted:
        file = call.sandbox.workspace.files.get(str(item.get("id")))
        if file is None or file.content is None or file.completed:
            raise SlackError("file_not_found")
        file.title = item.get("title") or file.name
        files.append(file)
    target = call.text("channel_id") or call.text("channels").split(",")[0]
    if target:
        channel = call.sandbox.workspace.channel(target, seen_by=BOT_USER)
        comment = call.text("initial_comment")
        draft = Draft(text=comment, thread_ts=call.text("thread_ts") or None, files=files)
        draft.blocks = [] if comment else read_blocks(call)
        call.sandbox.workspace.post(channel, BOT_USER, draft)
    for file in files:
        file.completed = True
    return {"files": [file.as_json() for file in files]}


def files_info(call: Call) -> Json:
    """Describe a file and where it was shared."""
    file = call.sandbox.workspace.files.get(call.required("file"))
    if file is None:
        raise SlackError("file_not_found")
    shares = {"public": file.shares} if file.shares else {}
    return {"file": file.as_json() | {"shares": shares, "channels": list(file.shares)}}


async def upload(request: web.Request) -> web.Response:
    """Take the bytes of a reserved file, raw or as a multipart form. The address itself is the permission."""
    file = request.app[SANDBOX].workspace.files.get(request.match_info["file_id"])
    if file is None or file.completed:
        return web.Response(status=404, text="no such upload")
    content = await _body(request)
    if len(content) != file.expected_bytes:
        return web.Response(status=400, text=f"expected {file.expected_bytes} bytes, got {len(content)}")
    file.content = content
    return web.Response(text=f"OK - {len(content)}")


async def _body(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader):
            return bytes(await part.read(decode=True))
    return b""


async def download(request: web.Request) -> web.Response:
    """Give the bytes to the app's token or to the page. Anybody else gets Slack's login page, with status 200."""
    sandbox = request.app[SANDBOX]
    file_id = request.match_info["key"].rpartition("-")[2]
    file = sandbox.workspace.files.get(file_id)
    is_alive = not sandbox.rules.token_error
    is_app = is_alive and request.headers.get("Authorization") == f"Bearer {sandbox.settings.bot_token}"
    may_read = (is_app and "files:read" in sandbox.app.scopes) or request.query.get("page") == sandbox.page_key
    if not may_read:
        return web.Response(text=LOGIN_PAGE, content_type="text/html")
    if file is None or file.content is None:
        return web.Response(status=404, text="no such file")
    is_image = file.mimetype.startswith("image/") and file.mimetype != "image/svg+xml"
    disposition = "inline" if is_image and "download" not in request.query else "attachment"
    headers = {
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Type": file.mimetype,
    }
    return web.Response(body=file.content, headers=headers)


METHODS = {
    "files.getUploadURLExternal": Method(run=get_upload_url, any_scope=("files:write",)),
    "files.completeUploadExternal": Method(run=complete_upload, any_scope=("files:write",)),
    "files.info": Method(run=files_info, any_scope=("files:read",)),
}
