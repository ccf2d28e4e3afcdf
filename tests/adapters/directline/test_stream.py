"""The stream: what open windows are sent, in which order, and what happens when they go, come back or misbehave."""

import asyncio
import json
import socket
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from bridge.conversation import Audience, EntryKind, Role
from bridge.fakes.widget import FakeState
from bridge.ids import TurnId
from tests.adapters.directline.server import SECRET, SETTINGS, Bridge, Page, WallClock, running
from tests.contracts.widget_contract import becomes

TURN = TurnId("turn-1")


def by_agent(**more: Any) -> dict[str, Any]:
    return {"role": Role.AGENT, "author": "agent", **more}


async def test_a_new_window_is_shown_everything_and_one_with_a_watermark_the_rest() -> None:
    """The watermark is the number of the last entry shown; an unknown one shows everything again."""
    async with running() as bridge:
        chat = await bridge.chat()
        for text in ("one", "two", "three"):
            await chat.post(text)
        for watermark, texts in {
            None: ["one", "two", "three"],
            "": ["one", "two", "three"],
            "2": ["three"],
            "nonsense": ["one", "two", "three"],
            "4": ["one", "two", "three"],
        }.items():
            async with chat.window(watermark) as page:
                await page.seen(len(texts))
                assert page.texts == texts
                assert page.watermarks[-1] == "3"


async def test_ids_and_times_are_the_same_on_every_replay() -> None:
    """The client drops repeats by id and sorts by time, so both are the log's and never change."""
    async with running() as bridge:
        chat = await bridge.chat()
        await chat.post("one", made="a1")
        bridge.state.say(chat.id, "two", name="Dana Ruiz", named=True)
        replays = []
        for _ in range(2):
            async with chat.window() as page:
                replays.append(await page.seen(2))

        assert replays[0] == replays[1]
        times = [activity["timestamp"] for activity in replays[0]]
        assert times == sorted(set(times))


async def test_a_long_log_is_shown_in_frames_and_in_order() -> None:
    """A thousand entries arrive in order, and only a frame that ends a batch carries a watermark."""
    async with running() as bridge:
        chat = await bridge.chat()
        for i in range(1000):
            bridge.state.say(chat.id, f"line {i}", name="Dana Ruiz")
        async with chat.window() as page:
            await page.seen(1000)

        assert page.texts == [f"line {i}" for i in range(1000)]
        assert page.watermarks[-1] == "1000"


async def test_what_was_deleted_is_never_sent_again() -> None:
    """A page that is loaded after an edit or a deletion gets no trace of the earlier words."""
    async with running() as bridge:
        chat = await bridge.chat()
        wrong = bridge.state.say(chat.id, "wrong customer's data", name="Dana Ruiz", named=True)
        typo = bridge.state.say(chat.id, "helo", name="Dana Ruiz")
        bridge.state.say(chat.id, kind=EntryKind.DELETE, target=wrong.n, name="Dana Ruiz")
        bridge.state.say(chat.id, "hello", kind=EntryKind.EDIT, target=typo.n, name="Dana Ruiz")
        bridge.state.say(chat.id, "last", name="Dana Ruiz")
        async with chat.window() as page:
            await page.until(lambda page: "last" in page.texts)

        assert page.texts == ["", "hello", "last"]
        assert page.watermarks == ["5"]


async def test_edits_and_deletions_carry_the_first_id_and_time() -> None:
    """An open window replaces the very bubble: same id, same time, the name line kept, no new kind of activity."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            line = bridge.state.say(chat.id, "helo", name="Dana Ruiz", named=True)
            (first,) = await page.seen(1)
            bridge.state.say(chat.id, "hello", kind=EntryKind.EDIT, target=line.n, name="Dana Ruiz")
            edited = (await page.seen(2))[1]
            bridge.state.say(chat.id, kind=EntryKind.DELETE, target=line.n, name="Dana Ruiz")
            deleted = (await page.seen(3))[2]

        assert edited == {**first, "text": "**Dana Ruiz** · Acme support\n\nhello"}
        assert deleted == {**first, "text": ""}
        assert page.watermarks == ["1", "2", "3"]


async def test_what_only_colleagues_see_is_neither_shown_nor_missed() -> None:
    """Entries for colleagues leave gaps in the numbers and nothing else."""
    async with running() as bridge:
        chat = await bridge.chat()
        bridge.state.say(chat.id, "secret note", audience=Audience.COLLEAGUES)
        bridge.state.say(chat.id, "too late", audience=Audience.SUPPRESSED, **by_agent())
        bridge.state.say(chat.id, "for you", name="Dana Ruiz")
        async with chat.window() as page:
            await page.seen(1)
        assert (page.texts, page.watermarks) == (["for you"], ["3"])


# --- names


async def test_it_is_always_said_whether_a_person_or_the_ai_speaks() -> None:
    """Web Chat shows no names, so the text starts with one when the speaker changes, and says which kind it is."""
    async with running() as bridge:
        chat = await bridge.chat()
        bridge.state.say(chat.id, "Hi!", named=True, **by_agent())
        bridge.state.say(chat.id, "More.", **by_agent())
        bridge.state.say(chat.id, "Hello", name="Dana *Ruiz* <b>", named=True)
        bridge.state.say(chat.id, "I'm bringing in a colleague.", role=Role.BRIDGE, kind=EntryKind.NOTICE)
        async with chat.window() as page:
            activities = await page.seen(4)

        assert page.texts == [
            "**Ava** · AI\n\nHi!",
            "More.",
            "**Dana \\*Ruiz\\* \\<b\\>** · Acme support\n\nHello",
            "I'm bringing in a colleague.",
        ]
        assert [a["from"]["role"] for a in activities] == ["bot"] * 4
        assert [a["from"]["name"] for a in activities] == ["Ava", "Ava", "Dana *Ruiz* <b>", "Notice"]


async def test_a_persons_typing_hint_belongs_to_the_persons_lines() -> None:
    """The hint has the sender's id of the lines, so that a line ends it, a time behind everything, and no watermark."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            bridge.state.say(chat.id, "Hello", name="Dana Ruiz")
            await page.seen(1)
            await bridge.feed.operator_typing(chat.id, "Dana Ruiz")
            line, hint = await page.seen(2)

        assert hint["type"] == "typing"
        assert hint["from"] == line["from"] == {**hint["from"], "name": "Dana Ruiz", "role": "bot"}
        assert hint["timestamp"] > line["timestamp"]
        assert page.watermarks == ["1"]


# --- streams


async def test_a_stream_is_chunks_under_one_id_and_a_final_message() -> None:
    """Cumulative text under the id of the first chunk, growing sequence numbers, and a final that names the stream."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            for text in ("It", "It is", "It is on"):
                bridge.state.stream(chat.id, TURN, text)
                await page.until(lambda page, text=text: page.texts[-1:] == [f"**Ava** · AI\n\n{text}"])  # type: ignore[misc]
            bridge.state.say(chat.id, "It is on its way.", turn=TURN, named=True, **by_agent())
            *chunks, final = await page.seen(4)

        stream_id = chunks[0]["id"]
        assert {chunk["type"] for chunk in chunks} == {"typing"}
        assert {chunk["channelData"]["streamId"] for chunk in chunks} == {stream_id}
        assert [chunk["channelData"]["streamSequence"] for chunk in chunks] == [1, 2, 3]
        assert len({chunk["id"] for chunk in chunks}) == 3
        assert final["type"] == "message"
        assert final["channelData"] == {"streamType": "final", "streamId": stream_id}
        assert page.watermarks == ["1"]


async def test_a_window_that_returns_in_mid_stream_goes_on_with_it() -> None:
    """The stream's id is the same on the new socket, also for the second stream of a turn, so no half text is left."""
    async with running() as bridge:
        chat = await bridge.chat()
        await chat.post("hello")
        bridge.state.stream(chat.id, TURN, "First")
        bridge.state.say(chat.id, "First.", turn=TURN, **by_agent())
        async with chat.window() as page:
            bridge.state.stream(chat.id, TURN, "Second")
            await page.until(lambda page: "Second" in page.texts)
            before = page.activities[-1]
        bridge.state.stream(chat.id, TURN, "Second one")
        async with chat.window("2") as again:
            during = (await again.seen(1))[0]
            bridge.state.say(chat.id, "Second one.", turn=TURN, **by_agent())
            _, end, line = await again.seen(3)
        async with chat.window("2") as late:
            alone = await late.seen(2)

        assert before["id"] == during["id"] == during["channelData"]["streamId"]
        assert before["channelData"]["streamSequence"] < during["channelData"]["streamSequence"]
        assert (end["type"], end["text"], end["channelData"]["streamId"]) == ("message", "", before["id"])
        assert line["text"] == "Second one."
        assert alone == [end, line]


async def test_a_line_that_was_overtaken_in_mid_stream_stands_where_the_log_has_it() -> None:
    """If the customer spoke while the answer was written, its bubble is taken away and the line comes anew, below."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            bridge.state.stream(chat.id, TURN, "It is")
            (chunk,) = await page.seen(1)
            await chat.post("hello?")
            await page.seen(2)
            bridge.state.say(chat.id, "It is on its way.", turn=TURN, **by_agent())
            *_, end, line = await page.seen(4)

        assert (end["text"], end["channelData"]["streamId"]) == ("", chunk["id"])
        assert line["text"] == "It is on its way."
        assert "channelData" not in line


async def test_the_streams_of_one_turn_are_told_apart() -> None:
    """What ended is not written on: after a final or a retraction the same turn's next chunk opens another stream."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            ids = []
            for ending in ("final", "retraction", "final"):
                bridge.state.stream(chat.id, TURN, "words")
                before = len(page.activities)
                await page.seen(before + 1)
                ids.append(page.activities[-1]["channelData"]["streamId"])
                if ending == "final":
                    bridge.state.say(chat.id, "words.", turn=TURN, **by_agent())
                else:
                    bridge.state.say(chat.id, kind=EntryKind.RETRACTION, role=Role.BRIDGE, turn=TURN)
                await page.seen(before + 2)
                assert page.activities[-1]["channelData"] == {"streamType": "final", "streamId": ids[-1]}
        assert len(set(ids)) == 3


async def test_a_retraction_is_an_empty_final() -> None:
    """That is what makes Web Chat remove a half-written text."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            bridge.state.stream(chat.id, TURN, "Your refund of $250 has been app")
            await page.seen(1)
            bridge.state.say(chat.id, kind=EntryKind.RETRACTION, role=Role.BRIDGE, turn=TURN)
            chunk, final = await page.seen(2)

        assert (final["type"], final["text"]) == ("message", "")
        assert final["channelData"]["streamId"] == chunk["channelData"]["streamId"]
        assert final["from"] == chunk["from"]


# --- windows


async def test_two_windows_of_one_conversation_show_the_same() -> None:
    """A second tab is no collision: both get everything, and echoes of what either posts."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as first, chat.window() as second:
            await chat.post("from the first tab", made="a1")
            bridge.state.say(chat.id, "to both", name="Dana Ruiz")
            assert await first.seen(2) == await second.seen(2)


async def test_pings_are_ignored_and_floods_closed() -> None:
    """Empty text frames mean nothing; a frame over the limit costs the socket, not the conversation."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            for _ in range(3):
                await page.stream.send_str("")
            await chat.post("after the pings")
            await page.seen(1)
            await page.stream.send_str("x" * 100_000)
            closed = await page.stream.receive(timeout=5)
            assert closed.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        async with chat.window() as page:
            await page.seen(1)


async def test_the_number_of_windows_is_limited() -> None:
    """One customer cannot open sockets without end; closing one makes room."""
    async with running(replace(SETTINGS, max_sockets_per_conversation=2)) as bridge:
        chat = await bridge.chat()
        async with chat.window(), chat.window():
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await bridge.http.ws_connect(chat.opened["streamUrl"])
            assert refused.value.status == 429
        async with asyncio.timeout(5):
            while True:
                try:
                    async with chat.window():
                        break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.01)


async def _origin_status(bridge: Bridge, address: str, origin: str | None) -> int:
    headers = {"Origin": origin} if origin is not None else {}
    try:
        async with bridge.http.ws_connect(address, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def test_only_trusted_origins_may_open_a_stream() -> None:
    """Other origins do not get in with a stolen address: exact match, since no preflight guards a WebSocket."""
    trusted = "https://shop.example"
    async with running() as bridge:
        body = {"trustedOrigins": [trusted]}
        _, issued, _ = await bridge.call("POST", "/tokens/generate", token=SECRET, body=body)
        _, opened, _ = await bridge.call("POST", "/conversations", token=issued["token"])
        hostile = (
            "null",
            "http://shop.example",
            "https://shop.example:444",
            "https://shop.example.evil.example",
            "https://evilshop.example",
            "https://shop.example/",
            "https://SHOP.example@evil.example",
            "file://",
            "",
        )
        for origin in hostile:
            assert await _origin_status(bridge, opened["streamUrl"], origin) == 403, origin
        assert await _origin_status(bridge, opened["streamUrl"], trusted) == 101
        assert await _origin_status(bridge, opened["streamUrl"], None) == 101


async def test_a_streams_address_opens_only_its_stream_and_only_soon() -> None:
    """The token in the address is for this stream and for two minutes; the page's own token is not for streams."""
    async with running() as bridge:
        chat, other = await bridge.chat(), await bridge.chat()
        address = chat.opened["streamUrl"]
        assert await _origin_status(bridge, address.replace(chat.id, other.id), None) == 403
        assert await _origin_status(bridge, address.split("t=")[0] + "t=" + chat.token, None) == 403
        assert await _origin_status(bridge, address.split("?")[0], None) == 403
        bridge.clock.move(seconds=121)
        assert await _origin_status(bridge, address, None) == 401


async def test_a_plain_get_of_the_stream_is_400() -> None:
    """Who opens the address in a browser's tab is told what it is for."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with bridge.http.get(chat.opened["streamUrl"].replace("ws://", "http://")) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["code"] == "BadArgument"


async def test_a_restarted_server_goes_on_where_windows_were() -> None:
    """The old process closes its sockets; with the same state and secret the same tokens and watermarks go on."""
    state = FakeState(clock=WallClock())
    async with running(state=state) as bridge:
        chat = await bridge.chat()
        await chat.post("one")
        async with chat.window() as page:
            await page.seen(1)
            await bridge.server.close()
            closed = await page.stream.receive(timeout=5)
            assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1012)
    state.say(chat.id, "said meanwhile", name="Dana Ruiz")
    async with running(state=state) as restarted:
        status, document, _ = await restarted.call("GET", f"{chat.path}?watermark=1", token=chat.token)
        assert status == 200
        async with restarted.http.ws_connect(document["streamUrl"]) as stream:
            page = Page(stream)
            await page.seen(1)
        assert page.texts == ["said meanwhile"]


async def test_a_window_that_does_not_read_is_dropped_and_holds_nobody_up() -> None:
    """A stalled page costs neither the others their lines nor the server its memory, and misses nothing later."""
    async with running(replace(SETTINGS, max_pending_bytes=200_000, send_timeout_s=60)) as bridge:
        chat = await bridge.chat()
        host, port = "127.0.0.1", int(bridge.base.rsplit(":", 1)[1])
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect((host, port))
        target = chat.opened["streamUrl"].split(str(port), 1)[1]
        upgrade = (
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        stalled.sendall(upgrade.encode())
        await becomes(lambda: len(bridge.feed.viewers) == 1)
        async with chat.window() as page:
            for i in range(400):
                bridge.state.say(chat.id, f"{i} " + "x" * 20_000, name="Dana Ruiz")
                await page.seen(i + 1)
            await becomes(lambda: len(bridge.feed.viewers) == 1)
        stalled.close()


async def test_a_feed_that_fails_closes_the_window_so_that_it_comes_back() -> None:
    """A window is never left open and deaf: when its feed breaks, the socket says so."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with chat.window() as page:
            await becomes(lambda: len(bridge.feed.viewers) == 1)
            log = bridge.state.logs.pop(chat.id)
            log.changed.set()
            closed = await page.stream.receive(timeout=5)
            assert closed.type is aiohttp.WSMsgType.CLOSE


async def test_what_spoils_one_window_leaves_the_feed_alone() -> None:
    """An entry that cannot be shown costs its own window; the feed is told that the window is gone, nothing worse."""
    async with running() as bridge:
        chat, other = await bridge.chat(), await bridge.chat()
        async with chat.window() as page, other.window() as elsewhere:
            await becomes(lambda: len(bridge.feed.viewers) == 2)
            bridge.state.say(chat.id, "half a pair: \ud83d", name="Dana Ruiz")
            closed = await page.stream.receive(timeout=5)
            assert closed.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
            bridge.state.say(other.id, "fine", name="Dana Ruiz")
            await elsewhere.seen(1)


async def test_a_frame_is_one_json_object_in_utf_8() -> None:
    """Line separators and emoji of a message do not break a frame."""
    async with running() as bridge:
        chat = await bridge.chat()
        text = "a\u2028b 👩‍👩‍👧 \u202e"
        async with chat.window() as page:
            await chat.post(text)
            raw = await page.stream.receive_str(timeout=5)
        assert json.loads(raw)["activities"][0]["text"] == text
