"""The demo page in a real browser: the customer's half is our plain page, the strip follows the store."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import FrameLocator, Locator, Page, expect

from adapters import directline
from adapters.agents.demo import DemoAgent
from adapters.clock import SystemClock
from adapters.web import demo, webchat_bundle
from bridge.conversation import Handoff, Operator, Standing
from bridge.engine import Engine, EngineParts
from bridge.envelope import ReturnNote
from bridge.events import AgentSaid, OperatorReturned, OperatorTook, OperatorTransferred
from bridge.fakes.store import MemoryStore
from bridge.ids import ChannelId, ConversationId, DeskName, Millis, OperatorId, QueueName, SiteId, SourceId, TurnId
from bridge.judging import House
from bridge.routing import Directory, Queue
from bridge.triggers import PolicyRule, Triggers
from tests.adapters.web.test_files import OneFile
from tests.settings import CACHE

SITE = SiteId("main")
DANA = Operator(id=OperatorId("slack:T1:U1"), name="Dana Ruiz", standing=Standing.SUPERVISOR)
SUPPORT, DELIVERY = QueueName("support"), QueueName("delivery")
QUEUES = (
    Queue(name=SUPPORT, label="Support", desk=DeskName("slack"), channels=(ChannelId("C000001"),)),
    Queue(name=DELIVERY, label="Delivery", desk=DeskName("teams"), channels=(ChannelId("19:d@thread.tacv2"),)),
)
NO_TEAMS = "Microsoft's libraries are not installed."
WHY = "there is no npm on this machine"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A bridge without a desk, and the demo page in front of it."""

    url: str
    engine: Engine
    store: MemoryStore

    async def handoff(self) -> Handoff:
        """The one open handoff."""
        [found] = await self.store.read(lambda tx: tx.open_handoffs(SITE))
        return found

    async def speak_too_late(self, conversation: ConversationId, text: str) -> None:
        """An agent's words from before the handoff arrive now."""
        late = AgentSaid(
            site=SITE,
            source=SourceId(f"late:{text}"),
            at=SystemClock().now(),
            conversation=conversation,
            turn=TurnId("t_old"),
            epoch=1,
            attempt=1,
            text=text,
        )
        assert (await self.engine.receive(late)).status == "fenced"


class LateClock(SystemClock):
    """Shows what was committed 50 ms ago, as a busy process does."""

    def now(self) -> Millis:
        return Millis(super().now() + 50)


async def a_desk(request: web.Request) -> web.Response:
    return web.Response(text=f"<h1>{request.match_info['desk']}, the team's half</h1>", content_type="text/html")


async def no_faults(_request: web.Request) -> web.Response:
    return web.json_response({"faults": []})


@contextlib.asynccontextmanager
async def stand_ins(names: Sequence[str]) -> AsyncIterator[list[demo.DeskTab]]:
    """Pages of another origin where the desks would be, and Teams as absent if it is not named."""
    app = web.Application()
    app.router.add_get("/{desk}/", a_desk)
    app.router.add_get("/{desk}/sandbox/faults", no_faults)
    server = TestServer(app)
    await server.start_server()
    places = {queue.desk: [(str(queue.name), f"#{queue.name}")] for queue in QUEUES}
    tabs = [
        demo.DeskTab(name=name, label=name.capitalize(), url=str(server.make_url(f"/{name}")), queues=places[name])
        for name in (DeskName(name) for name in names)
    ]
    if "teams" not in names:
        tabs.append(demo.DeskTab(name="teams", label="Teams", why=NO_TEAMS))
    yield tabs
    await server.close()


@contextlib.asynccontextmanager
async def staged(
    web_chat: Path | None = None, triggers: Triggers | None = None, desks: Sequence[str] = ("slack", "teams")
) -> AsyncIterator[Stage]:
    store, clock, app = MemoryStore(), SystemClock(), web.Application()
    house = House(directory=Directory(queues=QUEUES), triggers=triggers or Triggers(), agent_name="Assistant")
    engine = Engine(EngineParts(store=store, clock=clock, house=house, agent=DemoAgent(name="Assistant")))
    widget = directline.create(
        directline.DirectLineSettings(signing_secrets=("k" * 40,), agent_name="Assistant"),
        site=SITE,
        receive=engine.receive,
        feed=engine.showing,
        lookup=engine.lookup,
        files=OneFile(),
        link=lambda file: f"/{file.id}",
        clock=LateClock(),
    )
    app.add_routes(widget.routes)

    async with stand_ins(desks) as tabs:
        demo.add_routes(
            app,
            demo.Demo(
                site=SITE,
                store=store,
                desks=tabs,
                issue=widget.issue,
                web_chat=web_chat,
                why="" if web_chat else WHY,
            ),
        )
        engine.start([])
        server = TestServer(app)
        await server.start_server()
        try:
            yield Stage(url=str(server.make_url("/")), engine=engine, store=store)
        finally:
            await widget.close()
            await server.close()
            await engine.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made


def customer(page: Page) -> FrameLocator:
    return page.frame_locator("#chat")


async def test_the_strip_tells_who_owns_the_conversation(stage: Stage, page: Page, screenshots: Path) -> None:
    """Agent, waiting, the person by name and the agent again; late words of the agent are counted and never shown."""
    await page.goto(stage.url)
    lines = customer(page).get_by_role("log")
    await expect(page.locator("#owner")).to_have_text("The AI agent answers")
    await expect(lines).to_contain_text("whenever you like.")
    await expect(page.frame_locator("#slack").get_by_role("heading")).to_have_text("slack, the team's half")

    await page.get_by_role("button", name="Can I talk to a person?").click()
    await expect(page.locator("#owner")).to_have_text("Waiting for a person")
    await expect(page.locator("#ticket")).to_have_text("H-1001")
    await expect(page.locator("#queue")).to_have_text("support")
    await expect(lines).to_contain_text("Your ticket is H-1001")

    handoff = await stage.handoff()
    took = OperatorTook(site=SITE, source=SourceId("take"), at=SystemClock().now(), operator=DANA, handoff=handoff.id)
    await stage.engine.receive(took)
    await expect(page.locator("#owner")).to_have_text("Dana Ruiz answers")
    await expect(page.locator("#epoch")).to_have_text("3")
    await expect(page.get_by_role("button", name="Kept from the customer: 0")).to_be_disabled()

    await stage.speak_too_late(handoff.conversation, "Your refund <b>has</b> been approved")
    await page.get_by_role("button", name="Kept from the customer: 1").click()
    await expect(page.locator("#kept-list li")).to_have_text("Your refund <b>has</b> been approved")
    await expect(lines).not_to_contain_text("approved")
    await page.screenshot(path=screenshots / "demo-human.png")

    back = OperatorReturned(
        site=SITE,
        source=SourceId("return"),
        at=SystemClock().now(),
        operator=DANA,
        handoff=handoff.id,
        note=ReturnNote(note="Solved."),
    )
    await stage.engine.receive(back)
    await expect(page.locator("#owner")).to_have_text("The AI agent answers")
    await expect(page.locator("#queue")).to_have_text("none")


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name)


async def test_the_tab_follows_the_conversation(stage: Stage, page: Page) -> None:
    """Escalated to a queue in Teams its tab is shown, transferred to one in Slack that one; a reload stays there."""
    await page.goto(stage.url)
    await expect(tab(page, "Slack")).to_have_attribute("aria-selected", "true")
    await customer(page).get_by_label("Your message").fill("The parcel is late, this is ridiculous")
    await customer(page).get_by_role("button", name="Send").click()

    await expect(tab(page, "Teams")).to_have_attribute("aria-selected", "true")
    await expect(page.locator("#queue")).to_have_text("delivery")
    await expect(page.get_by_role("tabpanel", name="Teams")).to_be_visible()
    await expect(page.get_by_role("group", name="What goes wrong in Teams")).to_be_visible()
    await page.reload()
    await expect(tab(page, "Teams")).to_have_attribute("aria-selected", "true")

    handoff = await stage.handoff()
    at = SystemClock().now()
    took = OperatorTook(site=SITE, source=SourceId("take"), at=at, operator=DANA, handoff=handoff.id)
    await stage.engine.receive(took)
    await expect(page.locator("#owner")).to_have_text("Dana Ruiz answers")
    moved = OperatorTransferred(
        site=SITE, source=SourceId("move"), at=at, operator=DANA, handoff=handoff.id, to_queue=SUPPORT
    )
    await stage.engine.receive(moved)
    await expect(tab(page, "Slack")).to_have_attribute("aria-selected", "true")
    await expect(page.locator("#queue")).to_have_text("support")


async def test_the_arrow_keys_change_the_tab(stage: Stage, page: Page) -> None:
    """As in any list of tabs: one stop for the Tab key, arrows between them, and the desk that is left is not there."""
    await page.goto(stage.url)
    await tab(page, "Slack").focus()
    await page.keyboard.press("ArrowRight")
    await expect(tab(page, "Teams")).to_be_focused()
    await expect(page.get_by_role("tabpanel", name="Slack")).to_be_hidden()
    await expect(page.frame_locator("#teams").get_by_role("heading")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(tab(page, "Slack")).to_be_focused()
    await expect(tab(page, "Teams")).to_have_attribute("tabindex", "-1")


async def test_without_teams_its_tab_says_why(page: Page, screenshots: Path) -> None:
    """Where Microsoft's libraries are not installed the tab holds one line, and nothing to switch."""
    async with staged(desks=["slack"]) as stage:
        await page.goto(stage.url)
        await expect(page.get_by_role("group", name="What goes wrong in Slack")).to_be_visible()
        await tab(page, "Teams").click()
        await expect(page.get_by_role("tabpanel", name="Teams")).to_have_text(NO_TEAMS)
        await expect(page.locator("#faults")).to_be_hidden()
        await page.screenshot(path=screenshots / "demo-no-teams.png")
        await page.goto("about:blank")


async def test_a_reload_shows_everything_again_and_a_new_customer_nothing(stage: Stage, page: Page) -> None:
    """The page comes back to the same conversation; *New customer* begins another one."""
    await page.goto(stage.url)
    lines = customer(page).get_by_role("log")
    await customer(page).get_by_label("Your message").fill("Can I talk to a person?")
    await customer(page).get_by_label("Your message").press("Enter")
    await expect(lines).to_contain_text("Your ticket is H-1001")

    await page.reload()
    await expect(lines).to_contain_text("Your ticket is H-1001")
    await expect(lines.get_by_text("Can I talk to a person?")).to_have_count(1)
    await expect(page.locator("#owner")).to_have_text("Waiting for a person")

    await page.get_by_role("button", name="New customer").click()
    await expect(page.locator("#owner")).to_have_text("The AI agent answers")
    await expect(page.locator("#ticket")).to_have_text("none")
    await expect(lines).not_to_contain_text("H-1001")


async def test_what_a_customer_writes_stays_text(stage: Stage, page: Page) -> None:
    """Markup in a message is shown and not run, in the chat of the plain page as anywhere."""
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    await page.goto(stage.url)
    await customer(page).get_by_label("Your message").fill(hostile)
    await customer(page).get_by_role("button", name="Send").click()

    await expect(customer(page).locator(".mine")).to_have_text(hostile)
    assert await customer(page).locator("img").count() == 0
    assert await page.title() == "handoff-bridge demo"


async def test_the_plain_page_says_what_it_is(stage: Stage, page: Page) -> None:
    """Nobody takes our fallback for the real Web Chat: both the half and the page say so, and why."""
    await page.goto(stage.url)

    await expect(page.locator("#widget-name")).to_have_text("a plain page of ours")
    await expect(customer(page).locator(".plain-note")).to_have_text(f"A plain page of ours: {WHY}")


async def test_the_keyboard_is_enough(stage: Stage, page: Page) -> None:
    """Tab reaches the help, Enter opens it, Escape closes it."""
    await page.goto(stage.url)
    await expect(page.locator("#owner")).to_have_text("The AI agent answers")
    await page.locator("body").press("Tab")
    await expect(page.get_by_role("button", name="How to play")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#guide")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#guide")).to_be_hidden()


@pytest.mark.parametrize("width,scheme", [(390, "light"), (820, "dark"), (1024, "light"), (1280, "dark")])
async def test_it_fits_every_width(stage: Stage, page: Page, screenshots: Path, width: int, scheme: str) -> None:
    """From a telephone to a desk, light and dark: nothing has to be scrolled sideways, and beside each other the halves
    have the whole height but one line.
    """
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(stage.url)
    await expect(page.locator("#owner")).to_have_text("The AI agent answers")
    await page.screenshot(path=screenshots / f"demo-{width}-{scheme}.png", full_page=True)

    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    if width > 900:
        assert await page.evaluate("document.querySelector('.strip').offsetHeight") < 60
        await expect(page.get_by_role("group", name="What goes wrong in Slack")).to_be_visible()
        assert await page.evaluate("document.querySelector('#faults').offsetHeight") < 45


async def test_the_real_web_chat_never_keeps_what_a_policy_stopped(page: Page, screenshots: Path) -> None:
    """The agent begins to write, the policy calls a person: the half-written words are gone from the customer's screen,
    each time, and stand in the strip.
    """
    script = await webchat_bundle.fetch(CACHE / "webchat", webchat_bundle.find_npm())
    policy = Triggers(policy=(PolicyRule(name="large-refund", when="refund_amount > 100"),))
    async with staged(script, policy) as stage:
        await page.goto(stage.url)
        await expect(page.locator("#widget-name")).to_have_text("Bot Framework Web Chat, unmodified")
        for _ in range(3):
            await expect(customer(page).locator("p", has_text="whenever you like.")).to_be_visible()
            await page.get_by_role("button", name="I want a refund of 250 euros").click()
            await expect(customer(page).locator("p", has_text="bringing in a colleague")).to_be_visible()
            await expect(page.get_by_role("button", name="Kept from the customer: 1")).to_be_enabled()
            await expect(customer(page).locator("p", has_text="Let me look into")).to_have_count(0)
            await page.screenshot(path=screenshots / "demo-webchat.png")
            await page.get_by_role("button", name="New customer").click()
            await expect(page.locator("#ticket")).to_have_text("none")
        await page.goto("about:blank")
