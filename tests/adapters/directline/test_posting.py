"""What customers post: activities, repeats, files, and everything that is refused."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from bridge.events import CustomerSaid
from tests.adapters.directline.server import SETTINGS, Chat, running

WEB_CHAT_MESSAGE = {
    "attachments": [],
    "channelData": {"attachmentSizes": [], "clientActivityID": "orwt0tw2zqp", "own": {"deep": [1, None, "ü"]}},
    "text": "Where is my order 1042?",
    "textFormat": "plain",
    "type": "message",
    "channelId": "webchat",
    "from": {"id": "dl_cust1", "name": "", "role": "user"},
    "locale": "en-US",
    "localTimestamp": "2026-11-22T06:25:47.151Z",
    "localTimezone": "UTC",
    "entities": [{"type": "ClientCapabilities", "requiresBotState": True}],
}


async def post(chat: Chat, body: Any, **options: Any) -> tuple[int, Any, Any]:
    return await chat.bridge.call("POST", f"{chat.path}/activities", token=chat.token, body=body, **options)


async def test_a_message_is_echoed_once_with_its_channel_data_as_it_was() -> None:
    """Web Chat finds its own message again by channelData and the id that the POST answered, or shows it twice."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            status, document, _ = await post(chat, WEB_CHAT_MESSAGE)
            (echo,) = await page.seen(1)

        assert status == 200
        assert echo["id"] == document["id"] == f"{chat.id}|0000001"
        for key in ("channelData", "text", "textFormat", "locale", "localTimestamp", "entities"):
            assert echo[key] == WEB_CHAT_MESSAGE[key]
        assert echo["conversation"] == {"id": chat.id}
        assert page.watermarks == ["1"]


async def test_who_speaks_is_said_by_the_token_never_by_the_page() -> None:
    """A page that writes a name, an id or the role of a bot into `from` is overruled in echo and event."""
    async with running() as bridge:
        chat = await bridge.chat("cust-1", "Mia")
        async with chat.window() as page:
            await post(chat, {"type": "message", "text": "x", "from": {"id": "op", "name": "Mallory", "role": "bot"}})
            (echo,) = await page.seen(1)

        assert echo["from"] == {"id": "cust-1", "name": "Mia", "role": "user"}
        (said,) = [event for event in bridge.receive.events if isinstance(event, CustomerSaid)]
        assert (said.customer.id, said.customer.name) == ("cust-1", "Mia")


async def test_the_post_waits_for_the_commit_and_for_nothing_else() -> None:
    """It is answered after the line is kept, not before, and without waiting for any answer to it."""
    async with running() as bridge:
        chat = await bridge.chat()
        bridge.receive.gate = asyncio.Event()
        posting = asyncio.create_task(chat.post("hello"))
        done, _ = await asyncio.wait({posting}, timeout=0.1)
        assert not done
        bridge.receive.gate.set()
        status, _, _ = await posting
        assert status == 200
        assert [entry.text for entry in bridge.state.logs[chat.id].entries] == ["hello"]


async def test_the_same_client_activity_id_answers_the_same_id() -> None:
    """A POST that a proxy repeats is one message with one id; a customer's retry, which has a new id, is another."""
    async with running() as bridge:
        chat = await bridge.chat()
        first = (await chat.post("hello", made="a1"))[1]
        again = (await chat.post("hello", made="a1"))[1]
        retried = (await chat.post("hello", made="a2"))[1]
        other = await bridge.chat()

        assert first == again
        assert retried["id"] == f"{chat.id}|0000002"
        assert (await other.post("hello", made="a1"))[1]["id"] == f"{other.id}|0000001"


async def test_posts_without_a_client_id_are_each_their_own() -> None:
    """Two equal messages of a plain client are two messages."""
    async with running() as bridge:
        chat = await bridge.chat()
        await post(chat, {"type": "message", "text": "hi"})
        await post(chat, {"type": "message", "text": "hi"})
        assert len(bridge.state.logs[chat.id].entries) == 2


async def test_a_cards_button_is_readable_for_people_and_echoed_as_it_was() -> None:
    """A submit with a value and no text arrives as its fields, and the page sees what it sent."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            await post(chat, {"type": "message", "value": {"size": "L", "gift": True}})
            (echo,) = await page.seen(1)

        assert bridge.state.logs[chat.id].entries[0].text == "size: L\ngift: true"
        assert echo["value"] == {"size": "L", "gift": True}
        assert "text" not in echo


# --- hints and events


async def test_typing_is_a_hint_echoed_and_not_kept() -> None:
    """Typing reaches the feed and the open windows, and no log."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            await asyncio.sleep(0)
            status, document, _ = await post(chat, {"type": "typing", "channelData": {"clientActivityID": "t1"}})
            (echo,) = await page.seen(1)

        assert status == 200
        assert (echo["type"], echo["id"], echo["channelData"]) == ("typing", document["id"], {"clientActivityID": "t1"})
        assert bridge.feed.typed_in == [chat.id]
        assert bridge.state.logs[chat.id].entries == []
        assert page.watermarks == []


async def test_copilots_start_event_opens_the_conversation_and_sets_the_locale() -> None:
    """The published page's event has neither `from` nor channelData; it is answered and echoed all the same."""
    async with running() as bridge:
        chat = await bridge.chat()
        event = {"type": "event", "name": "startConversation", "locale": "de", "localTimezone": "UTC"}
        async with chat.window() as page:
            assert (await post(chat, event))[0] == 200
            (echo,) = await page.seen(1)

        assert (echo["type"], echo["name"]) == ("event", "startConversation")
        assert bridge.receive.customer(chat.id).locale == "de"


async def test_what_the_page_claims_in_pva_set_context_becomes_unverified_attributes() -> None:
    """Values of the page go to the customer's attributes, limited and scalar, beside earlier ones; never to the id."""
    async with running() as bridge:
        chat = await bridge.chat("cust-1", "Mia", locale="en-GB")
        value = {"plan": "gold", "age": 3, "id": "admin", "deep": {"x": 1}, "long": "x" * 5000}
        await post(chat, {"type": "event", "name": "pvaSetContext", "value": value})
        await post(chat, {"type": "event", "name": "pvaSetContext", "value": {"cart": 12.5}})

        customer = bridge.receive.customer(chat.id)
        assert customer.id == "cust-1"
        assert customer.locale == "en-GB"
        assert customer.attributes == {"plan": "gold", "age": 3, "id": "admin", "long": "x" * 1024, "cart": 12.5}


# --- what is refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"type": 5}',
        b'{"type": ""}',
        b'{"text": "no type"}',
        b'{"type": "message"}',
        b'{"type": "message", "text": ["x"]}',
        b'{"type": "message", "text": "\\ud800"}',
        b'{"type": "message", "text": "x", "channelData": {"n": 1e999}}',
        b'{"type": "message", "text": "x", "value": NaN}',
        b'{"type": "message", "text": "x", "attachments": "none"}',
        b'{"type": "message", "text": "x", "attachments": [{"contentUrl": "https://evil.example/x.png"}]}',
        b'{"type": "message", "text": "x", "attachments": [{"contentUrl": "data:image/png;base64,###"}]}',
        b'{"type": "message", "value": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
async def test_what_cannot_be_read_is_refused_and_the_chat_lives_on(body: bytes) -> None:
    """Anything malformed gets 400 with a reason, keeps nothing, and the next message works."""
    async with running() as bridge:
        chat = await bridge.chat()
        status, document, _ = await post(chat, body)

        assert (status, document["error"]["code"]) == (400, "BadArgument")
        assert bridge.state.logs[chat.id].entries == []
        assert (await chat.post("fine"))[0] == 200


@pytest.mark.parametrize("says_its_length", [True, False])
async def test_a_message_over_the_limit_is_413(*, says_its_length: bool) -> None:
    """Too large is told as such, whether the client says the length before or not; just fitting is taken."""
    async with running(replace(SETTINGS, max_activity_bytes=2000)) as bridge:
        chat = await bridge.chat()
        large = json.dumps({"type": "message", "text": "x" * 2000}).encode()

        async def pieces() -> Any:
            for start in range(0, len(large), 500):
                yield large[start : start + 500]

        headers = {"Authorization": f"Bearer {chat.token}", "Content-Type": "application/json"}
        address = f"{bridge.api}{chat.path}/activities"
        data = large if says_its_length else pieces()
        async with bridge.http.post(address, headers=headers, data=data) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "MessageSizeTooBig"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert (await chat.post("x" * 1800))[0] == 200


async def test_a_flood_is_429_and_only_for_the_one_who_floods() -> None:
    """One conversation cannot post without end, others are not touched, and after a rest it may again."""
    async with running(replace(SETTINGS, post_burst=5, posts_per_second=1)) as bridge:
        chat, other = await bridge.chat(), await bridge.chat()
        answers = [await chat.post(f"line {i}") for i in range(8)]

        assert [status for status, _, _ in answers][:5] == [200] * 5
        status, document, headers = answers[-1]
        assert (status, document["error"]["code"]) == (429, "TooManyRequests")
        assert (await other.post("hello"))[0] == 200
        bridge.clock.move(seconds=int(headers["Retry-After"]))
        assert (await chat.post("again"))[0] == 200


# --- files


def form(*files: tuple[str, bytes, str], text: str | None = "look", made: str = "u1") -> aiohttp.MultipartWriter:
    """An upload as directlinejs writes it: the activity first, then the files in its attachments' order."""
    writer = aiohttp.MultipartWriter("form-data")
    if text is not None:
        activity = {
            "type": "message",
            "text": text,
            "channelData": {"clientActivityID": made, "attachmentSizes": [len(body) for _, body, _ in files]},
            "attachments": [{"contentType": kind, "name": name} for name, _, kind in files],
            "from": {"id": "dl_x", "role": "user"},
        }
        part = writer.append(json.dumps(activity), {"Content-Type": "application/vnd.microsoft.activity"})
        part.set_content_disposition("form-data", name="activity", filename="blob")
    for name, body, kind in files:
        part = writer.append(body, {"Content-Type": kind})
        part.set_content_disposition("form-data", quote_fields=False, name="file", filename=name)
    return writer


async def upload(chat: Chat, data: Any, **headers: str) -> tuple[int, Any]:
    address = f"{chat.bridge.api}{chat.path}/upload?userId=somebody-else"
    headers = {"Authorization": f"Bearer {chat.token}", **headers}
    async with chat.bridge.http.post(address, headers=headers, data=data) as answer:
        return answer.status, await answer.json()


async def test_files_arrive_with_the_message_and_come_back_as_signed_links() -> None:
    """An upload is one message: its text, its files in order, its channelData; the links work without a token."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            status, document = await upload(
                chat,
                form(("photo.png", b"\x89PNG-bytes", "image/png"), ("ü bill.pdf", b"%PDF-bytes", "application/pdf")),
            )
            (echo,) = await page.seen(1)

        assert (status, document["id"]) == (200, echo["id"])
        assert echo["text"] == "look"
        assert echo["channelData"] == {"clientActivityID": "u1", "attachmentSizes": [10, 10]}
        assert [(a["name"], a["contentType"]) for a in echo["attachments"]] == [
            ("photo.png", "image/png"),
            ("ü bill.pdf", "application/pdf"),
        ]
        async with bridge.http.get(echo["attachments"][1]["contentUrl"]) as answer:
            assert await answer.read() == b"%PDF-bytes"
        (said,) = [event for event in bridge.receive.events if isinstance(event, CustomerSaid)]
        assert said.customer.id == "dl_cust1"


async def test_a_single_raw_file_is_a_message_of_its_own() -> None:
    """The second form of the upload call: the body is the file, its name in the header."""
    async with running() as bridge:
        chat = await bridge.chat()
        headers = {"Content-Type": "image/jpeg", "Content-Disposition": 'name="file"; filename="cat.jpg"'}
        status, _ = await upload(chat, b"jpeg-bytes", **headers)

        (entry,) = bridge.state.logs[chat.id].entries
        assert status == 200
        assert [(file.name, file.media_type) for file in entry.files] == [("cat.jpg", "image/jpeg")]


async def test_a_file_inside_the_activity_is_kept_too() -> None:
    """A client that embeds small files as data: addresses loses nothing."""
    async with running() as bridge:
        chat = await bridge.chat()
        attachment = {"contentType": "text/plain", "contentUrl": "data:text/plain;base64,aGVsbG8=", "name": "a.txt"}
        assert (await chat.post("see", attachments=[attachment]))[0] == 200

        (entry,) = bridge.state.logs[chat.id].entries
        assert bridge.files.kept[entry.files[0].id][1] == b"hello"


@pytest.mark.parametrize(
    "parts, status",
    [
        ([("big.bin", b"x" * 5001, "application/octet-stream")], 413),
        ([(f"{i}.txt", b"x", "text/plain") for i in range(4)], 413),
        ([("fits.bin", b"x" * 5000, "application/octet-stream")], 200),
    ],
)
async def test_files_over_the_limits_are_413(parts: list[tuple[str, bytes, str]], status: int) -> None:
    """Size and number of files are limited, and a refused upload leaves no message."""
    async with running(replace(SETTINGS, max_upload_bytes=5000, max_upload_files=3)) as bridge:
        chat = await bridge.chat()
        assert (await upload(chat, form(*parts)))[0] == status
        assert len(bridge.state.logs[chat.id].entries) == (status == 200)


@pytest.mark.parametrize(
    "body, kind",
    [
        (b"no boundary in here", "multipart/form-data"),
        (b"--b\r\nbroken", "multipart/form-data; boundary=b"),
        (b"--b--\r\n", "multipart/form-data; boundary=b"),
        (b"", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="activity"\r\n\r\n{"type":\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
    ],
)
async def test_a_broken_upload_is_400(body: bytes, kind: str) -> None:
    """An upload that is no form, or is cut off, is refused with a reason and keeps no message."""
    async with running() as bridge:
        chat = await bridge.chat()
        status, document = await upload(chat, body, **{"Content-Type": kind})

        assert (status, document["error"]["code"]) == (400, "BadArgument")
        assert bridge.state.logs[chat.id].entries == []
