"""Starting, reconnecting and polling, tokens on the way in, errors on the way out: over real HTTP."""

import asyncio
from dataclasses import replace

import jwt
import pytest

from bridge.events import CustomerOpened
from bridge.fakes.widget import FakeState
from bridge.ids import ConversationId, mint
from tests.adapters.directline.server import SECRET, SETTINGS, WallClock, running

DAY_S = 86_400


async def test_a_secret_buys_a_token_that_starts_nothing() -> None:
    """The company's server gets a token with its customer's id in it; the conversation begins when a page opens it."""
    async with running() as bridge:
        body = {"User": {"Id": "cust-7", "Name": "Mia Wong"}, "trustedOrigins": ["https://shop.example"]}
        status, document, _ = await bridge.call("POST", "/tokens/generate", token=SECRET, body=body)

        claims = jwt.decode(document["token"], options={"verify_signature": False})
        assert status == 200
        assert document["expires_in"] == 7 * DAY_S
        assert claims["user"] == "cust-7"
        assert claims["conv"] == document["conversationId"]
        assert bridge.receive.events == []


@pytest.mark.parametrize("bearer", ["wrong", "eyJhbGciOiJub25lIn0.e30.", SECRET + "x"])
async def test_only_the_secret_buys_tokens(bearer: str) -> None:
    """Neither a guess nor an unsigned token makes a token."""
    async with running() as bridge:
        assert (await bridge.call("POST", "/tokens/generate", token=bearer))[0] == 403


async def test_without_a_secret_in_the_settings_nobody_buys_tokens() -> None:
    """A server without a Direct Line secret has no word that opens it, the empty one included."""
    async with running(replace(SETTINGS, secret=None)) as bridge:
        assert (await bridge.call("POST", "/tokens/generate", token="None"))[0] == 403
        assert (await bridge.call("POST", "/tokens/generate", headers={"Authorization": "Bearer "}))[0] == 401


async def test_starting_answers_201_then_200_with_the_same_conversation() -> None:
    """A page that is loaded again finds its conversation, and the core is told once."""
    async with running() as bridge:
        token = str(bridge.server.issue("cust-1", "Mia")["token"])
        first_status, first, _ = await bridge.call("POST", "/conversations", token=token, body={"user": {}})
        again_status, again, _ = await bridge.call("POST", "/conversations", token=token)

        assert (first_status, again_status) == (201, 200)
        assert first["conversationId"] == again["conversationId"]
        assert first["streamUrl"].startswith(bridge.base.replace("http", "ws") + "/v3/directline/conversations/")
        assert {event.source for event in bridge.receive.events} == {f"directline:open:{first['conversationId']}"}


async def test_the_token_says_who_the_customer_is_and_the_page_only_claims() -> None:
    """A verified customer keeps id and name whatever the page sends; the page's locale is taken as a claim."""
    async with running() as bridge:
        chat = await bridge.chat("cust-1", "Mia", user={"id": "dl_admin", "name": "Mallory"}, locale="de-DE")

        customer = bridge.receive.customer(chat.id)
        assert (customer.id, customer.name, customer.verified, customer.locale) == ("cust-1", "Mia", True, "de-DE")


async def test_a_page_with_the_secret_itself_has_an_unverified_customer() -> None:
    """A secret in a page proves nothing about who sits before it."""
    async with running() as bridge:
        body = {"user": {"id": "u1", "name": "Max"}}
        status, document, _ = await bridge.call("POST", "/conversations", token=SECRET, body=body)

        customer = bridge.receive.customer(ConversationId(document["conversationId"]))
        assert (status, customer.id, customer.name, customer.verified) == (201, "u1", "Max", False)


@pytest.mark.parametrize("prefix", ["/v3/directline", "//v3/directline"])
async def test_the_address_works_with_a_doubled_slash(prefix: str) -> None:
    """Pages that put an address with a slash at its end together by hand still find every call."""
    async with running() as bridge:
        chat = await bridge.chat()
        headers = {"Authorization": f"Bearer {chat.token}"}
        async with bridge.http.get(f"{bridge.base}{prefix}{chat.path}", headers=headers) as answer:
            assert answer.status == 200
        body = {"type": "message", "text": "hi"}
        async with bridge.http.post(
            f"{bridge.base}{prefix}{chat.path}/activities", headers=headers, json=body
        ) as answer:
            assert answer.status == 200
        address = chat.opened["streamUrl"].replace("/v3/directline", prefix)
        async with bridge.http.ws_connect(address) as stream:
            assert "hi" in (await stream.receive_str(timeout=5))


async def test_reconnecting_gives_a_fresh_token_and_an_address_with_the_watermark() -> None:
    """A window that lost its socket gets all it needs to go on where it was."""
    async with running() as bridge:
        chat = await bridge.chat()
        await chat.post("one")
        bridge.clock.move(seconds=3600)
        status, document, _ = await bridge.call("GET", f"{chat.path}?watermark=1", token=chat.token)
        _, plain, _ = await bridge.call("GET", f"{chat.path}?watermark=", token=chat.token)

        assert status == 200
        assert document["token"] != chat.token
        assert document["streamUrl"].endswith("&watermark=1&again=1")
        assert "watermark" not in plain["streamUrl"]


async def test_a_conversation_that_the_store_lost_is_made_again() -> None:
    """A valid token for an unknown conversation never meets a 404, which would leave the chat silently dead."""
    async with running() as bridge:
        chat = await bridge.chat("cust-1", "Mia")
        bridge.state.logs.clear()
        bridge.state.seen.clear()

        assert (await bridge.call("GET", f"{chat.path}?watermark=9", token=chat.token))[0] == 200
        assert (await chat.post("still here"))[0] == 200
        assert bridge.receive.customer(chat.id).id == "cust-1"


async def test_polling_answers_what_came_after_the_watermark() -> None:
    """A page without sockets reads the log in steps, and an empty, odd or future watermark reads it all."""
    async with running() as bridge:
        chat = await bridge.chat()
        await chat.post("one")
        bridge.state.say(chat.id, "two", name="Dana Ruiz")

        async def poll(watermark: str) -> tuple[list[str], str]:
            path = f"{chat.path}/activities?watermark={watermark}"
            _, document, _ = await bridge.call("GET", path, token=chat.token)
            return [activity["text"] for activity in document["activities"]], document["watermark"]

        assert await poll("1") == (["two"], "2")
        assert await poll("2") == ([], "2")
        for everything in ("", "garbage", "99", "-1", "1.5", "²"):
            assert await poll(everything) == (["one", "two"], "2")


async def test_polling_step_by_step_reads_the_whole_log_once() -> None:
    """A page without sockets that follows the watermark gets every line once and in order, however long the log is."""
    async with running() as bridge:
        chat = await bridge.chat()
        for i in range(700):
            bridge.state.say(chat.id, f"line {i}", name="Dana Ruiz")
        texts: list[str] = []
        watermark, more = "", True
        while more:
            path = f"{chat.path}/activities?watermark={watermark}"
            _, document, _ = await bridge.call("GET", path, token=chat.token)
            texts += [activity["text"] for activity in document["activities"]]
            more = document["watermark"] != watermark
            watermark = document["watermark"]
        assert texts == [f"line {i}" for i in range(700)]


# --- tokens


async def test_403_is_only_for_forged_and_foreign_tokens() -> None:
    """A token signed elsewhere, altered, of another site or conversation, or of another purpose gets 403."""
    async with running() as bridge, running(replace(SETTINGS, signing_secrets=("another",))) as other:
        chat, mine = await bridge.chat(), await bridge.chat()
        foreign = await other.chat()
        stream_token = chat.opened["streamUrl"].split("t=")[1]
        unsigned = jwt.encode(jwt.decode(chat.token, options={"verify_signature": False}), "", algorithm="none")
        for bad in (foreign.token, chat.token[:-4] + "AAAA", "garbage", mine.token, stream_token, unsigned):
            status, document, _ = await bridge.call("GET", chat.path, token=bad)
            assert (status, document["error"]["code"]) == (403, "BadToken")
        assert (await bridge.call("GET", chat.path))[0] == 401


async def test_an_ended_token_can_be_refreshed_for_a_time_of_grace() -> None:
    """A laptop that slept over the token's end comes back: refresh and reconnect work, a POST is told to refresh."""
    async with running() as bridge:
        chat = await bridge.chat()
        bridge.clock.move(seconds=8 * DAY_S)

        assert (await chat.post("late"))[0] == 401
        status, refreshed, _ = await bridge.call("POST", "/tokens/refresh", token=chat.token)
        assert status == 200
        assert (await bridge.call("GET", chat.path, token=chat.token))[0] == 200
        chat.opened["token"] = refreshed["token"]
        assert (await chat.post("now"))[0] == 200


async def test_a_token_that_slides_lives_on_and_a_forgotten_one_ends() -> None:
    """Refreshing weekly keeps a chat for months; one that nobody refreshed is refused in the end."""
    async with running() as bridge:
        chat = await bridge.chat()
        token = chat.token
        for _ in range(10):
            bridge.clock.move(seconds=6 * DAY_S)
            _, document, _ = await bridge.call("POST", "/tokens/refresh", token=token)
            token = document["token"]
        assert (await bridge.call("GET", chat.path, token=token))[0] == 200
        bridge.clock.move(seconds=60 * DAY_S)
        status, document, _ = await bridge.call("POST", "/tokens/refresh", token=token)
        assert (status, document["error"]["code"]) == (403, "TokenExpired")


async def test_secrets_can_be_rotated_without_ending_a_chat() -> None:
    """A token of the older secret is taken as long as that secret is listed, and is renewed with the newer one."""
    state = FakeState(clock=WallClock())
    old, new = "the older secret", "the newer secret"
    async with running(replace(SETTINGS, signing_secrets=(old,)), state=state) as bridge:
        chat = await bridge.chat()
    async with running(replace(SETTINGS, signing_secrets=(new, old)), state=state) as bridge:
        status, refreshed, _ = await bridge.call("POST", "/tokens/refresh", token=chat.token)
        assert status == 200
    async with running(replace(SETTINGS, signing_secrets=(new,)), state=state) as bridge:
        assert (await bridge.call("GET", chat.path, token=refreshed["token"]))[0] == 200
        assert (await bridge.call("GET", chat.path, token=chat.token))[0] == 403


# --- errors, other origins


@pytest.mark.parametrize(
    "method, path", [("POST", "/conversations"), ("GET", "/conversations/c1"), ("GET", "/session/getsessionid")]
)
async def test_errors_have_a_body_and_can_be_read_from_another_origin(method: str, path: str) -> None:
    """Without the header on errors too, a page would take a refusal for a broken network."""
    async with running() as bridge:
        status, document, headers = await bridge.call(method, path, headers={"Origin": "https://shop.example"})

        assert status in (401, 404)
        assert set(document["error"]) == {"code", "message"}
        assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/conversations", "/tokens/refresh", "/conversations/c1/upload", "/anything/else"])
async def test_every_path_answers_a_preflight(path: str) -> None:
    """A browser may ask before each call; the answer allows the headers that Web Chat sends, without a token."""
    async with running() as bridge:
        asked = "authorization,content-type,x-ms-bot-agent,x-requested-with"
        headers = {"Origin": "https://shop.example", "Access-Control-Request-Headers": asked}
        status, _, answered = await bridge.call("OPTIONS", path, headers=headers)

        assert status == 204
        assert set(asked.split(",")) <= set(answered["Access-Control-Allow-Headers"].split(","))


async def test_with_trusted_origins_only_those_pages_may_read() -> None:
    """A listed origin is named back; another one gets no permission from the server."""
    async with running(replace(SETTINGS, trusted_origins=("https://shop.example",))) as bridge:
        allowed = {}
        for origin in ("https://shop.example", "https://evil.example", "https://shop.example.evil.example", "null"):
            _, _, headers = await bridge.call("POST", "/conversations", headers={"Origin": origin})
            allowed[origin] = headers.get("Access-Control-Allow-Origin")
            assert "Origin" in headers["Vary"]

        assert {origin for origin, named in allowed.items() if named} == {"https://shop.example"}
        assert allowed["https://shop.example"] == "https://shop.example"


async def test_while_the_store_is_down_everything_answers_503() -> None:
    """The client tries 503 again by itself; 403, 404 or 500 would cost the chat."""
    async with running() as bridge:
        chat = await bridge.chat()
        bridge.receive.down = True
        status, document, headers = await chat.post("hello")
        assert (status, document["error"]["code"]) == (503, "ServiceUnavailable")
        assert int(headers["Retry-After"]) > 0
        fresh = str(bridge.server.issue()["token"])
        assert (await bridge.call("POST", "/conversations", token=fresh))[0] == 503


async def test_while_the_process_drains_everything_answers_503() -> None:
    """After close() a client is sent to the next process, never away for good."""
    async with running() as bridge:
        chat = await bridge.chat()
        await bridge.server.close()

        assert (await chat.post("hello"))[0] == 503
        assert (await bridge.call("GET", chat.path, token=chat.token))[0] == 503
        assert (await bridge.call("POST", "/conversations", token=chat.token))[0] == 503


# --- Copilot Studio's page


async def test_copilot_studios_page_finds_its_two_addresses() -> None:
    """The published page asks where Direct Line is, then for a token, and can start with what it gets."""
    async with running(replace(SETTINGS, anonymous_tokens=True)) as bridge:
        settings = f"{bridge.base}/powervirtualagents/regionalchannelsettings?api-version=2022-03-01-preview"
        async with bridge.http.get(settings) as answer:
            where = (await answer.json())["channelUrlsById"]["directline"]
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        token = f"{bridge.base}/powervirtualagents/botsbyschema/acme/directline/token?api-version=2022-03-01-preview"
        async with bridge.http.get(token) as answer:
            issued = await answer.json()

        assert where == bridge.base + "/"
        assert set(issued) == {"token", "conversationId", "expires_in"}
        status, document, _ = await bridge.call("POST", "/conversations", token=issued["token"])
        assert (status, document["conversationId"]) == (201, issued["conversationId"])
        assert not bridge.receive.customer(issued["conversationId"]).verified


async def test_anonymous_tokens_are_off_limited_and_bound_to_origins() -> None:
    """Unknown pages get tokens only where the site allows it, from its origins, and not without end."""
    path = "/powervirtualagents/botsbyschema/acme/directline/token"
    async with running() as bridge, bridge.http.get(bridge.base + path) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (403, "AnonymousTokensOff")
    strict = replace(
        SETTINGS, anonymous_tokens=True, trusted_origins=("https://shop.example",), anonymous_tokens_per_minute=3
    )
    async with running(strict) as bridge:
        statuses = []
        for origin in ("https://evil.example", *["https://shop.example"] * 4):
            async with bridge.http.get(bridge.base + path, headers={"Origin": origin}) as answer:
                statuses.append(answer.status)
        assert statuses == [403, 200, 200, 200, 429]


async def test_ids_cannot_be_guessed_or_reused_across_conversations() -> None:
    """A made-up conversation id with somebody else's token is refused before anything is looked up."""
    async with running() as bridge:
        chat = await bridge.chat()
        made_up = mint("c")
        assert (await bridge.call("GET", f"/conversations/{made_up}", token=chat.token))[0] == 403
        assert set(bridge.state.logs) == {chat.id}
        assert all(isinstance(event, CustomerOpened) for event in bridge.receive.events)


async def test_many_pages_starting_one_conversation_at_once_make_one() -> None:
    """Tabs that a browser restores together open their conversation once."""
    async with running() as bridge:
        token = str(bridge.server.issue("cust-1")["token"])
        answers = await asyncio.gather(*(bridge.call("POST", "/conversations", token=token) for _ in range(8)))

        assert sorted(status for status, _, _ in answers) == [200] * 7 + [201]
        assert len(bridge.state.logs) == 1
