"""What customers post: activities and files. Every POST answers as soon as it is kept, never after the agent."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.directline import wire
from adapters.directline.door import PIECE_BYTES, WIDGET, Door, customer
from adapters.directline.errors import bad, too_large
from adapters.directline.tokens import Session
from bridge.conversation import FileRef
from bridge.effects import Receipt
from bridge.events import CustomerSaid
from bridge.ids import SourceId, mint


async def post(door: Door, request: web.Request) -> web.Response:
    """Take one activity: a message is kept, hints and events are echoed to the open windows."""
    session = door.session(request)
    door.spend(session)
    activity = wire.parse_activity(await door.body(request))
    if activity.type == "message":
        files = [await _inline_file(door, attachment) for attachment in activity.attachments or ()]
        return web.json_response({"id": await _say(door, session, activity, tuple(files))})
    if activity.type == "typing":
        await door.feed.typed(door.site, session.conversation)
    elif activity.type in ("event", "conversationUpdate"):
        await _event(door, session, activity)
    return web.json_response({"id": _echo(door, session, activity)})


async def upload(door: Door, request: web.Request) -> web.Response:
    """Take files, with or without an activity. `userId` in the address is the page's claim and is ignored."""
    session = door.session(request)
    door.spend(session)
    activity = wire.PostedActivity(type="message")
    files: list[FileRef] = []
    if request.content_type.startswith("multipart/"):
        activity, files = await _multipart(door, request)
    else:
        disposition = request.headers.get("Content-Disposition", "")
        name = _file_name(disposition) or "file"
        pieces = request.content.iter_chunked(PIECE_BYTES)
        files.append(await _keep(door, pieces, name=name, claimed_type=request.content_type))
    if not files and not activity.said():
        raise bad("The upload holds neither a file nor a text.")
    return web.json_response({"id": await _say(door, session, activity, tuple(files))})


async def _say(door: Door, session: Session, activity: wire.PostedActivity, files: tuple[FileRef, ...]) -> str:
    text = activity.said()
    if not text and not files:
        raise bad("The message holds neither text, value nor files.")
    data: dict[str, Any] = {"activity": activity.kept()}
    if not activity.text and text:
        data["value_only"] = True
    made = activity.client_activity_id or mint("p")
    source = SourceId(f"{WIDGET}:said:{session.conversation}:{made}")
    event = CustomerSaid(
        site=door.site,
        source=source,
        at=door.clock.now(),
        conversation=session.conversation,
        widget=WIDGET,
        customer=customer(session),
        text=text,
        files=files,
        data=data,
    )
    receipt = await door.receive(event)
    n = receipt.n if receipt.n is not None else await _earlier(door, session, source, receipt)
    return wire.activity_id(session.conversation, n)


async def _earlier(door: Door, session: Session, source: SourceId, receipt: Receipt) -> int:
    """Return the number of the line that a repeated POST had become; 0 if that was too long ago to find."""
    known = await door.lookup.conversation(door.site, session.conversation)
    if receipt.status == "duplicate" and known is not None:
        shown = await door.feed.read(door.site, session.conversation, max(0, known.next_n - 200))
        for entry in shown.entries if shown else ():
            if entry.remote is not None and str(entry.remote) == str(source):
                return entry.n
    return 0


async def _event(door: Door, session: Session, activity: wire.PostedActivity) -> None:
    await door.ensure(session)
    locale = wire.one_line(activity.raw.get("locale"), 35)
    attributes = activity.attributes if activity.name == "pvaSetContext" else {}
    if not attributes and not locale:
        return
    known = await door.lookup.conversation(door.site, session.conversation)
    before = known.customer if known is not None else customer(session)
    if attributes.items() <= before.attributes.items() and locale in ("", before.locale):
        return
    await door.receive(
        door.opened(
            session,
            f"context:{session.conversation}:{mint('x')}",
            locale=locale or before.locale,
            attributes={**before.attributes, **attributes},
        )
    )


def _echo(door: Door, session: Session, activity: wire.PostedActivity) -> str:
    """Show what is not kept to the windows of this process: the page waits for the echo of everything it posts."""
    made = f"{session.conversation}|{mint('e')}"
    door.windows.hint(
        session.conversation,
        {
            **activity.kept(),
            "type": activity.type,
            "id": made,
            "timestamp": wire.timestamp(door.clock.now()),
            "channelId": WIDGET,
            "conversation": {"id": session.conversation},
            "from": {"id": session.user, "name": session.name, "role": "user"},
        },
    )
    return made


# --- files


async def _multipart(door: Door, request: web.Request) -> tuple[wire.PostedActivity, list[FileRef]]:
    activity = wire.PostedActivity(type="message")
    files: list[FileRef] = []
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, MultipartReader):
                raise bad("A part of the upload is itself multipart.")
            if part.name == "activity" or part.headers.get("Content-Type", "").startswith(
                "application/vnd.microsoft.activity"
            ):
                activity = wire.parse_activity(await _small_part(part, door.settings.max_activity_bytes))
                continue
            if len(files) >= door.settings.max_upload_files:
                raise too_large(f"More than {door.settings.max_upload_files} files in one upload.")
            claimed = part.headers.get("Content-Type", "application/octet-stream")
            files.append(await _keep(door, _pieces(part), name=part.filename or "file", claimed_type=claimed))
    except (ValueError, AssertionError, LookupError, HttpProcessingError) as error:
        raise bad("The upload is no well-formed multipart/form-data.") from error
    return activity, files


async def _small_part(part: BodyPartReader, max_bytes: int) -> bytes:
    body = bytearray()
    async for piece in _pieces(part):
        body += piece
        if len(body) > max_bytes:
            raise too_large(f"The activity is over {max_bytes} bytes.")
    return bytes(body)


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(PIECE_BYTES):
        yield piece


async def _keep(door: Door, pieces: AsyncIterator[bytes], *, name: str, claimed_type: str) -> FileRef:
    max_bytes = door.settings.max_upload_bytes
    return await door.files.put(pieces, name=name, claimed_type=claimed_type, max_bytes=max_bytes)


async def _inline_file(door: Door, attachment: wire.PostedAttachment) -> FileRef:
    head, comma, rest = attachment.content_url.partition(",")
    if not head.startswith("data:") or not comma:
        raise bad("Send files by upload; the server fetches no addresses.")
    try:
        content = base64.b64decode(rest, validate=True) if head.endswith(";base64") else unquote_to_bytes(rest)
    except (ValueError, binascii.Error):
        raise bad("A file inside the activity is not well-formed base64.") from None
    claimed = attachment.content_type or head.removeprefix("data:").partition(";")[0]
    return await _keep(door, _once(content), name=attachment.name or "file", claimed_type=claimed)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _file_name(disposition: str) -> str:
    _, _, tail = disposition.partition("filename=")
    return wire.one_line(tail.split(";")[0].strip().strip('"'), 200)
