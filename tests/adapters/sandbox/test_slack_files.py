"""Files: the three-step upload, downloads with the token, and Slack's login page without it."""

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import BOT_USER, LEE, SUPPORT
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.settings import BOT_TOKEN


async def fetch(url: str, token: str | None) -> tuple[int, str, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


async def test_the_app_shares_a_file_in_a_thread(web_client: AsyncWebClient, slack: Workspace) -> None:
    """slack_sdk's files_upload_v2 works; the file is in the thread, and files.info says where it was shared."""
    root = await slack.say(LEE, "root")
    done = await web_client.files_upload_v2(
        channel=SUPPORT,
        thread_ts=root,
        content="one\ntwo",
        filename="transcript.txt",
        initial_comment="The talk so far",
    )
    reply = (await slack.thread(SUPPORT, root))[1]
    assert (reply["subtype"], reply["text"], reply["user"]) == ("file_share", "The talk so far", BOT_USER)
    assert reply["files"][0]["name"] == "transcript.txt"
    info = (await web_client.files_info(file=done["files"][0]["id"]))["file"]
    assert info["shares"]["public"][SUPPORT][0]["ts"] == reply["ts"]
    assert (await fetch(info["url_private"], BOT_TOKEN))[2] == b"one\ntwo"


async def test_a_download_without_the_token_is_a_login_page(web_client: AsyncWebClient, slack: Workspace) -> None:
    """No token, a wrong one, or a missing scope give HTML with status 200, as Slack does."""
    shared = await slack.upload(LEE, "invoice.pdf", b"%PDF-1.7")
    file = (await web_client.files_info(file=shared["file_id"]))["file"]
    assert await fetch(file["url_private_download"], BOT_TOKEN) == (200, "application/pdf", b"%PDF-1.7")
    for token in (None, "xoxb-other"):
        status, kind, body = await fetch(file["url_private"], token)
        assert (status, kind) == (200, "text/html")
        assert body.lower().startswith(b"<!doctype")
    await slack.configure(scopes=["chat:write"])
    assert (await fetch(file["url_private"], BOT_TOKEN))[1] == "text/html"


async def test_an_upload_must_keep_its_promises(web_client: AsyncWebClient, sandbox: Sandbox) -> None:
    """Bytes of another length are refused, and a file is completed once, and only when it has bytes."""
    ticket = await web_client.files_getUploadURLExternal(filename="a.txt", length=3)
    with pytest.raises(SlackApiError, match="file_not_found"):
        await web_client.files_completeUploadExternal(files=[{"id": ticket["file_id"], "title": "a"}])
    async with aiohttp.ClientSession() as session:
        async with session.post(str(ticket["upload_url"]), data=b"four") as answer:
            assert answer.status == 400
        async with session.post(str(ticket["upload_url"]), data=b"abc") as answer:
            assert answer.status == 200
    await web_client.files_completeUploadExternal(files=[{"id": ticket["file_id"], "title": "a"}])
    with pytest.raises(SlackApiError, match="file_not_found"):
        await web_client.files_completeUploadExternal(files=[{"id": ticket["file_id"], "title": "a"}])


async def test_a_hostile_name_stays_a_name(web_client: AsyncWebClient, slack: Workspace) -> None:
    """Slashes, quotes and line breaks in a file's name neither leave its folder nor break a header."""
    shared = await slack.upload(LEE, '../"x"\r\nSet-Cookie: a=b.txt', b"hi", mimetype="text/plain")
    file = (await web_client.files_info(file=shared["file_id"]))["file"]
    assert (await fetch(file["url_private"], BOT_TOKEN))[::2] == (200, b"hi")
