"""The real Bot Framework Web Chat against our Direct Line server, in a real browser, from another origin.

What it does with each answer is nowhere written down in full, so each promise is tried on the widget itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, FilePayload, Page, Request, expect

from adapters.web import webchat_bundle
from bridge.conversation import EntryKind, Role
from bridge.fakes.widget import FakeState
from bridge.ids import ConversationId, TurnId
from tests.adapters.directline.server import SETTINGS, Bridge, WallClock, running
from tests.browser.chromium import window
from tests.contracts.widget_contract import becomes
from tests.settings import CACHE

TURN = TurnId("turn-1")
COPILOT = replace(SETTINGS, anonymous_tokens=True)

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A shop</title>
<style>html, body, #chat { height: 100%; margin: 0 }</style><div id="chat" role="main"></div>
<script src="/webchat.js"></script>"""

# As the widget's documentation has it; only `domain` is ours. A lost socket is tried again after 3 to 15 seconds, drawn
# when the client is made: here the shortest is drawn.
CHAT = (
    HEAD
    + """<script>
const given = new URLSearchParams(location.search);
const random = Math.random;
Math.random = () => 0;
const directLine = WebChat.createDirectLine({ token: given.get('token'), domain: given.get('domain') });
Math.random = random;
directLine.connectionStatus$.subscribe(status => { document.body.dataset.status = status; });
WebChat.renderWebChat({ directLine, userID: 'page-user', username: 'Mallory', sendTypingIndicator: true },
  document.getElementById('chat'));
</script>"""
)

# In the shape of Copilot Studio's published "custom canvas" page: one URL is all that it knows.
# https://learn.microsoft.com/microsoft-copilot-studio/customize-default-canvas
COPILOT_PAGE = (
    HEAD
    + """<script>(async () => {
const tokenEndpointURL = new URL(new URLSearchParams(location.search).get('endpoint'));
const locale = document.documentElement.lang || 'en';
const apiVersion = tokenEndpointURL.searchParams.get('api-version');
const settingsURL = new URL(`/powervirtualagents/regionalchannelsettings?api-version=${apiVersion}`, tokenEndpointURL);
const [directLineURL, token] = await Promise.all([
  fetch(settingsURL).then(response => response.json()).then(settings => settings.channelUrlsById.directline),
  fetch(tokenEndpointURL).then(response => response.json()).then(issued => issued.token)
]);
const directLine = WebChat.createDirectLine({ domain: new URL('v3/directline', directLineURL), token });
const subscription = directLine.connectionStatus$.subscribe({ next(value) {
  if (value === 2) {
    directLine.postActivity({ localTimezone: 'UTC', locale, name: 'startConversation', type: 'event' }).subscribe();
    subscription.unsubscribe();
  }
} });
WebChat.renderWebChat({ directLine, locale }, document.getElementById('chat'));
})();</script>"""
)

BUBBLES = """() => [...document.querySelectorAll('.webchat__basic-transcript__activity')].map(
  activity => [...activity.querySelectorAll('.webchat__bubble__content')].map(e => e.innerText.trim()).join(' | '))"""


@dataclass
class Shop:
    """The company's page, on an origin of its own."""

    origin: str
    page: Page

    async def open(self, bridge: Bridge, token: str, page: Page | None = None) -> "Widget":
        widget = Widget(page or self.page)
        await widget.page.goto(f"{self.origin}/chat?token={token}&domain={bridge.api}")
        return widget


@dataclass
class Widget:
    """Web Chat on a page, as a customer sees it."""

    page: Page

    async def bubbles(self) -> list[str]:
        """The texts of the bubbles, top to bottom, without the screen readers' prefix."""
        shown = await self.page.evaluate(BUBBLES)
        # Web Chat puts zero-width spaces around links.
        return [
            text.replace("\u200b", "").removeprefix("Bot said:").removeprefix("You said:").strip() for text in shown
        ]

    async def until(self, *texts: str, timeout_s: float = 60) -> None:
        """Wait until exactly these bubbles are shown."""
        shown: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while (shown := await self.bubbles()) != list(texts):
                    await self.page.wait_for_timeout(20)
        except TimeoutError:
            assert shown == list(texts)

    async def has(self, *texts: str) -> None:
        """Wait until these bubbles are shown, in whatever order."""
        shown: list[str] = []
        try:
            async with asyncio.timeout(15):
                while sorted(shown := await self.bubbles()) != sorted(texts):
                    await self.page.wait_for_timeout(20)
        except TimeoutError:
            assert sorted(shown) == sorted(texts)

    async def stays(self, *texts: str) -> None:
        """The bubbles do not change for as long as a late repeat would take."""
        await self.page.wait_for_timeout(400)
        assert await self.bubbles() == list(texts)

    async def say(self, text: str) -> None:
        """Type and send; return when the server has answered, since the widget draws the bubble before."""
        box = self.page.locator('[data-id="webchat-sendbox-input"]')
        await box.fill(text)
        async with self.page.expect_response(lambda answer: is_message(answer.request)):
            await box.press("Enter")

    async def connected(self) -> None:
        await expect(self.page.locator("body[data-status='2']")).to_be_attached(timeout=60_000)


def is_message(request: Request) -> bool:
    """Tell a message that is posted from typing hints, events and preflights."""
    if request.method != "POST":
        return False
    return request.url.partition("?")[0].endswith("/upload") or '"type":"message"' in (request.post_data or "")


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page, small as a chat's."""
    async with window(browser, 800, 700) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def shop(page: Page) -> AsyncIterator[Shop]:
    script = await webchat_bundle.fetch(CACHE / "webchat", webchat_bundle.find_npm())
    async with serving(script) as origin:
        yield Shop(origin, page)


@asynccontextmanager
async def serving(script: Path) -> AsyncIterator[str]:
    """A web server for the company's pages."""

    def html(text: str) -> Callable[[web.Request], Any]:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=text, content_type="text/html")

        return answer

    async def bundle(_: web.Request) -> web.FileResponse:
        return web.FileResponse(script)

    app = web.Application()
    app.router.add_get("/chat", html(CHAT))
    app.router.add_get("/copilot", html(COPILOT_PAGE))
    app.router.add_get("/webchat.js", bundle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def issued(bridge: Bridge, user: str = "cust-1") -> tuple[ConversationId, str]:
    document = bridge.server.issue(user, "Mia")
    return ConversationId(str(document["conversationId"])), str(document["token"])


async def test_a_message_is_shown_once_and_sent(shop: Shop) -> None:
    """The echo replaces the bubble that Web Chat drew itself: one bubble, and it is not still sending."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("Where is my order 1042?")
        await widget.until("Where is my order 1042?")
        await expect(shop.page.get_by_text("Just now")).to_have_count(1)
        await widget.stays("Where is my order 1042?")

        (entry,) = bridge.state.logs[chat].entries
        assert (entry.text, entry.author.id, entry.author.name) == ("Where is my order 1042?", "cust-1", "Mia")


async def test_names_order_and_notices(shop: Shop, screenshots: Path) -> None:
    """Agent, bridge and person stand in the log's order, each recognisable, Markdown rendered, images not loaded."""
    asked: list[str] = []
    shop.page.on("request", lambda request: asked.append(request.url))
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("I want a refund")
        await widget.until("I want a refund")
        bridge.state.say(chat, "Let me see.", role=Role.AGENT, author="agent", named=True)
        bridge.state.say(
            chat, "I'm bringing in a colleague. Your ticket is H-1042.", role=Role.BRIDGE, kind=EntryKind.NOTICE
        )
        bridge.state.say(chat, "Hi **Mia** ![x](https://tracker.example/x.png)", name="Dana Ruiz", named=True)
        await widget.say("thanks")
        await widget.until(
            "I want a refund",
            "Ava · AI\n\nLet me see.",
            "I’m bringing in a colleague. Your ticket is H-1042.",
            "Dana Ruiz · Acme support\n\nHi Mia x",
            "thanks",
        )
        assert [address for address in asked if "tracker" in address] == []
        assert await shop.page.locator(".webchat__bubble__content strong").all_inner_texts() == [
            "Ava",
            "Dana Ruiz",
            "Mia",
        ]
        await shop.page.screenshot(path=screenshots / "webchat-names.png")


async def test_a_person_typing_is_shown_until_they_speak(shop: Shop) -> None:
    """The hint draws the dots, and the same person's line takes them away."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("hello")
        await widget.until("hello")
        await bridge.feed.operator_typing(chat, "Dana Ruiz")
        dots = shop.page.locator(".webchat__typing-indicator")
        await expect(dots).to_have_count(1)
        bridge.state.say(chat, "Hi", name="Dana Ruiz")
        await widget.until("hello", "Hi")
        await expect(dots).to_have_count(0)


async def test_a_customer_typing_is_heard(shop: Shop) -> None:
    """Where the page shares it, a hint reaches the feed before anything is sent."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.connected()
        await shop.page.locator('[data-id="webchat-sendbox-input"]').press_sequentially("hel")
        await becomes(lambda: bridge.feed.typed_in == [chat])
        assert bridge.state.logs[chat].entries == []


async def test_edits_and_deletions_change_the_bubble(shop: Shop) -> None:
    """An edit replaces the text where it stands, a deletion takes the bubble away, and a reload shows the same."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.connected()
        first = bridge.state.say(chat, "helo", name="Dana Ruiz", named=True)
        second = bridge.state.say(chat, "for somebody else", name="Dana Ruiz")
        bridge.state.say(chat, "bye", name="Dana Ruiz")
        await widget.until("Dana Ruiz · Acme support\n\nhelo", "for somebody else", "bye")
        bridge.state.say(chat, "hello", kind=EntryKind.EDIT, target=first.n, name="Dana Ruiz")
        await widget.until("Dana Ruiz · Acme support\n\nhello", "for somebody else", "bye")
        bridge.state.say(chat, kind=EntryKind.DELETE, target=second.n, name="Dana Ruiz")
        await widget.until("Dana Ruiz · Acme support\n\nhello", "bye")
        await shop.page.reload()
        await widget.until("Dana Ruiz · Acme support\n\nhello", "bye")


async def test_a_stream_grows_in_one_bubble_and_a_takeover_removes_it(shop: Shop, screenshots: Path) -> None:
    """Half-written text of the agent grows in place, becomes the final line, or disappears when a person takes over."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.connected()
        for text in ("Your", "Your order", "Your order is"):
            bridge.state.stream(chat, TURN, text)
            await widget.until(f"Ava · AI\n\n{text}")
        bridge.state.say(chat, "Your order is on its way.", role=Role.AGENT, author="agent", turn=TURN, named=True)
        order = "Ava · AI\n\nYour order is on its way."
        await widget.until(order)

        bridge.state.stream(chat, TURN, "Your refund of $250 has been")
        await widget.until(order, "Your refund of $250 has been")
        bridge.state.stream(chat, TURN, "Your refund of $250 has been approved and will")
        await widget.until(order, "Your refund of $250 has been approved and will")
        await shop.page.screenshot(path=screenshots / "webchat-stream.png")
        bridge.state.say(chat, kind=EntryKind.RETRACTION, role=Role.BRIDGE, turn=TURN)
        await widget.until(order)
        bridge.state.say(chat, "Let me look at that.", name="Dana Ruiz", named=True)
        dana = "Dana Ruiz · Acme support\n\nLet me look at that."
        await widget.until(order, dana)
        await shop.page.screenshot(path=screenshots / "webchat-retracted.png")

        # The turn goes on after the return, at once and in pieces as fast as they come.
        for text in ("A", "A b", "A b c"):
            bridge.state.stream(chat, TURN, text)
        bridge.state.say(chat, "A b c d.", role=Role.AGENT, author="agent", turn=TURN, named=True)
        await widget.until(order, dana, "Ava · AI\n\nA b c d.")
        await widget.stays(order, dana, "Ava · AI\n\nA b c d.")
        await shop.page.reload()
        await widget.until(order, dana, "Ava · AI\n\nA b c d.")


async def test_a_line_stands_where_the_log_has_it_though_it_was_begun_before(shop: Shop) -> None:
    """What the customer says in mid-stream stands before the answer that ends after it, now and after a reload."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("hello")
        bridge.state.stream(chat, TURN, "It is")
        await widget.until("hello", "Ava · AI\n\nIt is")
        await widget.say("anybody?")
        await widget.until("hello", "Ava · AI\n\nIt is", "anybody?")
        bridge.state.stream(chat, TURN, "It is on")
        await widget.until("hello", "Ava · AI\n\nIt is on", "anybody?")
        bridge.state.say(chat, "It is on its way.", role=Role.AGENT, author="agent", turn=TURN)
        await widget.until("hello", "anybody?", "It is on its way.")
        await shop.page.reload()
        await widget.until("hello", "anybody?", "It is on its way.")


async def test_a_stream_cut_by_a_lost_socket_leaves_nothing_behind(shop: Shop) -> None:
    """When the socket drops in mid-stream and the text is retracted meanwhile, the half-written bubble goes."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("hello")
        await widget.until("hello")
        bridge.state.stream(chat, TURN, "Your refund has been")
        await widget.until("hello", "Ava · AI\n\nYour refund has been")
        await drop_sockets(bridge)
        bridge.state.say(chat, kind=EntryKind.RETRACTION, role=Role.BRIDGE, turn=TURN)
        bridge.state.say(chat, "Dana here.", name="Dana Ruiz")
        await widget.until("hello", "Dana here.")


async def drop_sockets(bridge: Bridge) -> None:
    """Break the TCP connections of all windows, as a lost network does."""
    for _, viewer in list(bridge.feed.viewers):
        transport = viewer._transport  # type: ignore[attr-defined]
        transport.abort()
    await becomes(lambda: not bridge.feed.viewers)


async def test_nothing_is_lost_when_the_socket_drops(shop: Shop) -> None:
    """What was said, edited and deleted meanwhile is there after the widget came back by itself; nothing is doubled."""
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("one")
        await widget.until("one")
        typo = bridge.state.say(chat, "tow", name="Dana Ruiz")
        await widget.until("one", "tow")
        await drop_sockets(bridge)
        bridge.state.say(chat, "two", kind=EntryKind.EDIT, target=typo.n, name="Dana Ruiz")
        bridge.state.say(chat, "three", name="Dana Ruiz")
        await widget.until("one", "two", "three")
        await widget.say("four")
        await widget.until("one", "two", "three", "four")
        await widget.stays("one", "two", "three", "four")


async def test_a_restart_of_the_server_goes_unnoticed(shop: Shop) -> None:
    """Another process on the same state and address: the open page goes on, with what was said in between."""
    state = FakeState(clock=WallClock())
    async with running(state=state) as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say("before")
        await widget.until("before")
        port = int(bridge.base.rsplit(":", 1)[1])
    state.say(chat, "said while it was down", name="Dana Ruiz")
    async with running(state=state, port=port) as bridge:
        await widget.until("before", "said while it was down")
        await widget.say("after")
        await widget.until("before", "said while it was down", "after")


async def test_two_tabs_show_the_same(shop: Shop, page: Page) -> None:
    """A second tab on the same conversation gets the history, and both get everything from then on."""
    async with running() as bridge:
        chat, token = issued(bridge)
        first = await shop.open(bridge, token)
        await first.say("from the first")
        await first.until("from the first")
        second = await shop.open(bridge, token, await page.context.new_page())
        await second.until("from the first")
        await second.say("from the second")
        bridge.state.say(chat, "to both", name="Dana Ruiz")
        for widget in (first, second):
            await widget.has("from the first", "from the second", "to both")
        assert await first.bubbles() == await second.bubbles()


async def test_files_go_up_and_come_back(shop: Shop, screenshots: Path) -> None:
    """A picture and a document, sent from the widget, arrive byte for byte, are shown, and can be fetched again."""
    picture = await shop.page.screenshot(type="png")
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.connected()
        lamp = FilePayload(name="broken lamp ü.png", mimeType="image/png", buffer=picture)
        bill = FilePayload(name="bill.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7 bill")
        await shop.page.set_input_files("input[type=file]", [lamp, bill])
        await expect(shop.page.locator(".webchat__attachment-icon--checked")).to_have_count(1)
        await widget.say("look at this")
        await becomes(lambda: len(bridge.state.logs[chat].entries) == 1)
        (entry,) = bridge.state.logs[chat].entries
        assert entry.text == "look at this"
        assert [file.name for file in entry.files] == ["broken lamp ü.png", "bill.pdf"]
        assert [bridge.files.kept[file.id][1] for file in entry.files] == [picture, b"%PDF-1.7 bill"]
        await expect(shop.page.get_by_text("bill.pdf").first).to_be_visible()
        source = f"{bridge.base}/v1/files/{entry.files[0].id}"
        await expect(shop.page.locator(f"img[src^='{source}']")).to_have_count(1)
        await expect(shop.page.get_by_text("look at this", exact=True)).to_have_count(1)
        await shop.page.screenshot(path=screenshots / "webchat-files.png")


async def test_a_refused_message_does_not_end_the_chat(shop: Shop) -> None:
    """Too large a message is marked as failed at once, and the chat goes on in both directions."""
    async with running(replace(SETTINGS, max_activity_bytes=2000)) as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.connected()
        await widget.say("x" * 3000)
        await expect(shop.page.get_by_text("Send failed. Retry.", exact=True)).to_be_visible()
        await widget.say("short")
        bridge.state.say(chat, "still here", name="Dana Ruiz")
        await widget.has("x" * 3000, "short", "still here")
        assert {entry.text for entry in bridge.state.logs[chat].entries} == {"short", "still here"}


async def test_a_forged_token_does_not_connect(shop: Shop) -> None:
    """A token that was not made here shows an error and opens nothing."""
    async with running() as bridge:
        _, token = issued(bridge)
        # The widget throws an error of its own besides showing it; the strict page would mind.
        page = await shop.page.context.new_page()
        await shop.open(bridge, token[:-6] + "AAAAAA", page)
        await expect(page.get_by_text("Unable to connect").first).to_be_visible(timeout=60_000)
        assert bridge.state.logs == {}


async def test_copilot_studios_page_works_with_one_address_changed(shop: Shop) -> None:
    """Its two lookups and its start event work from another origin; the customer is nobody verified."""
    async with running(COPILOT) as bridge:
        endpoint = f"{bridge.base}/powervirtualagents/botsbyschema/acme/directline/token?api-version=2022-03-01-preview"
        await shop.page.goto(f"{shop.origin}/copilot?endpoint={endpoint}")
        widget = Widget(shop.page)
        await widget.say("hello from Copilot's page")
        await widget.until("hello from Copilot's page")
        (chat,) = bridge.state.logs
        bridge.state.say(chat, "Hi, I am a person.", name="Dana Ruiz", named=True)
        await widget.until("hello from Copilot's page", "Dana Ruiz · Acme support\n\nHi, I am a person.")

        assert not bridge.receive.customer(chat).verified
        assert bridge.receive.customer(chat).locale == "en"


async def test_a_script_in_a_message_does_nothing(shop: Shop) -> None:
    """Markup of customers and operators is text on the page: no element of theirs, no link that runs."""
    attack = "<img src=x onerror=\"document.body.dataset.hit='1'\"> [a](javascript:document.body.dataset.hit='1')"
    async with running() as bridge:
        chat, token = issued(bridge)
        widget = await shop.open(bridge, token)
        await widget.say(attack)
        bridge.state.say(chat, attack, name="Dana <b>Ruiz</b>", named=True)
        await expect(shop.page.locator(".webchat__bubble__content")).to_have_count(2)
        await shop.page.wait_for_timeout(200)

        assert await shop.page.locator("body").get_attribute("data-hit") is None
        assert await shop.page.locator(".webchat__bubble__content :is(img, b, a)").count() == 0
