"""The main job as people see it: the unmodified Web Chat on a company's page, the team's Slack on another, the bridge
as `handoff-bridge serve` runs it in between.
"""

import html
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from adapters.sandbox.slack.people import DANA, SUPPORT
from adapters.web import webchat_bundle
from tests.browser.chromium import window
from tests.browser.network import Network
from tests.browser.test_webchat import Widget, serving
from tests.journeys.world import DIRECTLINE_SECRET, World
from tests.settings import CACHE

pytestmark = pytest.mark.xdist_group("pages")

GREETING = (
    "Ada · AI\n\nHello! I am Ada, the AI assistant of Northwind Outfitters. I can help with orders, invoices, refunds "
    "and parcels, and I bring in a person whenever you like."
)
ORDER = ("Where is my order 1042?", "Your order 1042 is on its way and should be with you in two days.")
ASKED = ("Can I talk to a person?", "I’m bringing in a colleague. Your ticket is H-1001.")
JOINED = "Dana Ruiz (Northwind support) joined the chat."
DANA_SAYS = "Dana Ruiz · Northwind support\n\n"
BACK = (
    "Ada · AI\n\nI am back. Dana Ruiz answered you: A new parcel left today.\n\n"
    "Is there anything else I can do for you?"
)
LEFT = "Dana Ruiz left the chat. You are talking with our AI assistant again."
UNTIL_TAKEN = (GREETING, *ORDER, *ASKED, JOINED)


@dataclass
class Team:
    """The team's Slack on a page, worked as an operator works it."""

    page: Page

    @property
    def thread(self) -> Locator:
        """The open thread."""
        return self.page.locator("#thread")

    async def open_thread(self) -> None:
        """Open the card's thread."""
        card = self.page.locator("#messages .message", has_text="H-1001")
        await card.get_by_role("button", name="1 reply").click()
        await expect(self.thread).to_be_visible()

    async def press(self, name: str) -> None:
        """Press a button in the thread."""
        await self.thread.get_by_role("button", name=name, exact=True).first.click()

    async def reply(self, text: str) -> None:
        """Write in the thread."""
        box = self.page.get_by_role("textbox", name="Reply…")
        await box.fill(text)
        await box.press("Enter")
        await expect(box).to_have_value("")

    async def fill_return(self, note: str) -> None:
        """Write the note into the modal and send it off."""
        dialog = self.page.get_by_role("dialog", name="Return H-1001")
        await dialog.get_by_label("Note for the AI agent").fill(note)
        await dialog.get_by_role("button", name="Return to AI", exact=True).click()
        await expect(dialog).to_be_hidden()


@dataclass
class Scene:
    """Both pages, and what is between them."""

    world: World
    network: Network
    widget: Widget
    team: Team

    async def escalate(self) -> None:
        """Ask the agent, then for a person, until the card is there."""
        await self.widget.until(GREETING)
        await self.widget.say(ORDER[0])
        await self.widget.until(GREETING, *ORDER)
        await self.widget.say(ASKED[0])
        await self.widget.until(GREETING, *ORDER, *ASKED)
        await self.team.open_thread()

    async def take(self) -> None:
        """The same, and Dana takes it."""
        await self.escalate()
        await self.team.press("Take it")
        await self.widget.until(*UNTIL_TAKEN)

    async def in_thread(self) -> list[str]:
        """What the thread says as notifications and screen readers have it, without the card."""
        [root] = (await self.world.slack.state()).roots(SUPPORT)
        return [message["text"] for message in (await self.world.slack.thread(SUPPORT, root["ts"]))[1:]]

    async def thread_has_once(self, *lines: str) -> None:
        """Wait for the last of these lines; then each stands there once, in this order."""
        await expect(self.team.page.locator("#replies")).to_contain_text(lines[-1])
        text = html.unescape("\n".join(await self.in_thread()))
        assert [text.count(line) for line in lines] == [1] * len(lines), text
        places = [text.index(line) for line in lines]
        assert places == sorted(places), text


@pytest_asyncio.fixture(loop_scope="session")
async def scene(browser: Browser, tmp_path: Path) -> AsyncIterator[Scene]:
    """A sandbox, the bridge, a company's page with a token from its server, and the team's page."""
    script = await webchat_bundle.fetch(CACHE / "webchat", webchat_bundle.find_npm())
    async with (
        World(tmp_path, extra={"HANDOFF_AGENT__NAME": "Ada"}) as world,
        serving(script) as shop,
        Network.to(world.port) as network,
        window(browser, 620, 860) as customer,
        window(browser, 1280, 860) as team,
    ):
        # As the company's server does: the secret never reaches the page.
        body = {"user": {"id": "dl_ann", "name": "Ann Lee"}}
        secret = {"Authorization": f"Bearer {DIRECTLINE_SECRET}"}
        address = f"{network.url}/v3/directline"
        async with world.http.post(f"{address}/tokens/generate", json=body, headers=secret) as answer:
            token = (await answer.json())["token"]
        await team.goto(f"{world.sandbox_url}/?as={DANA}&channel={SUPPORT}")
        await customer.goto(f"{shop}/chat?token={token}&domain={address}")
        yield Scene(world=world, network=network, widget=Widget(customer), team=Team(team))


async def by_button(scene: Scene, note: str) -> None:
    """The button on the card, and its modal."""
    await scene.team.press("Return to AI")
    await scene.team.fill_return(note)


async def by_shortcut(scene: Scene, note: str) -> None:
    """The menu of a message in the thread, and the modal."""
    message = scene.team.page.locator("#replies .message").last
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await scene.team.page.get_by_role("menuitem", name="Return to AI agent").click()
    await scene.team.fill_return(note)


async def by_command(scene: Scene, note: str) -> None:
    """`/return` in the channel, and the modal, which has the note already."""
    box = scene.team.page.get_by_role("textbox", name="Message #support")
    await box.fill(f"/return H-1001 {note}")
    await box.press("Enter")
    dialog = scene.team.page.get_by_role("dialog", name="Return H-1001")
    await expect(dialog.get_by_label("Note for the AI agent")).to_have_value(note)
    await dialog.get_by_role("button", name="Return to AI", exact=True).click()


async def by_mention(scene: Scene, note: str) -> None:
    """`@bridge return <note>` in the thread."""
    await scene.team.reply(f"@bridge return {note}")


WAYS = [by_button, by_shortcut, by_command, by_mention]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_chat_goes_to_a_person_and_comes_back(
    scene: Scene, way: Callable[[Scene, str], Awaitable[None]], screenshots: Path
) -> None:
    """A customer asks the agent, gets a person by name, and the agent goes on from that person's note."""
    await scene.escalate()
    card = scene.team.page.locator("#replies .message").first
    for words in ("H-1001 · Ann Lee", "Waiting", "Where is my order 1042?", "queue Support"):
        await expect(card).to_contain_text(words)
    await scene.team.press("Take it")
    await expect(card).to_contain_text("Taken by Dana Ruiz")

    await scene.widget.say("It never came! <b>& so on</b>")
    await scene.thread_has_once("It never came! <b>& so on</b>")
    await scene.team.reply("Hello Ann, I have sent it again.")
    said: tuple[str, ...] = (
        *UNTIL_TAKEN,
        "It never came! <b>& so on</b>",
        f"{DANA_SAYS}Hello Ann, I have sent it again.",
    )
    await scene.widget.until(*said)

    await way(scene, "A new parcel left today.")
    await scene.widget.until(*said, LEFT)
    await expect(card).to_contain_text("Returned")
    await scene.widget.say("So, is it done?")
    said = (*said, LEFT, "So, is it done?", BACK)
    await scene.widget.until(*said)
    await scene.widget.stays(*said)
    await scene.widget.page.screenshot(path=screenshots / f"main-job-{way.__name__}-customer.png")
    await scene.team.page.screenshot(path=screenshots / f"main-job-{way.__name__}-team.png")


async def test_a_customer_who_waits_for_an_answer_gets_it_at_once(scene: Scene) -> None:
    """Where the customer had the last word, the agent goes on from the note without being asked again."""
    await scene.take()
    await scene.team.reply("Let me see.")
    await scene.widget.until(*UNTIL_TAKEN, f"{DANA_SAYS}Let me see.")
    await scene.widget.say("Is it sent?")
    await scene.thread_has_once("Let me see.", "Is it sent?")
    await by_button(scene, "A new parcel left today.")
    said = (*UNTIL_TAKEN, f"{DANA_SAYS}Let me see.", "Is it sent?", LEFT, BACK)
    await scene.widget.until(*said)
    await scene.widget.stays(*said)


async def test_the_customer_reads_only_what_the_owner_means_for_them(scene: Scene) -> None:
    """Words before anybody took it, notes, mentions and colleagues' words stay in the thread, which says so."""
    await scene.escalate()
    page, replies = scene.team.page, scene.team.page.locator("#replies")
    await scene.team.reply("canary before")
    await expect(replies).to_contain_text("Nobody has taken")
    await scene.team.press("Take it")
    await scene.widget.until(*UNTIL_TAKEN)
    await scene.team.reply("// canary note")
    await scene.team.reply("@sam canary mention")
    await expect(replies).to_contain_text("It mentions a colleague")
    await page.locator("#acting-as").select_option(label="Lee Park")
    await scene.team.reply("canary of a colleague")
    await expect(replies).to_contain_text("Only Dana Ruiz")
    await page.locator("#acting-as").select_option(label="Dana Ruiz")
    await scene.team.reply("For you.")
    await scene.widget.until(*UNTIL_TAKEN, f"{DANA_SAYS}For you.")


async def test_a_lost_connection_and_a_reload_lose_nothing(scene: Scene) -> None:
    """What the operator said while the customer's network was gone is there afterwards, once; after a reload, too."""
    await scene.take()
    await scene.team.reply("before the cut")
    said: tuple[str, ...] = (*UNTIL_TAKEN, f"{DANA_SAYS}before the cut")
    await scene.widget.until(*said)
    scene.network.cut()
    await scene.team.reply("while away, one")
    await scene.team.reply("while away, two")
    await scene.thread_has_once("while away, one", "while away, two")
    scene.network.mend()
    said = (*said, "while away, one", "while away, two")
    await scene.widget.until(*said, timeout_s=90)
    await scene.widget.say("here again")
    await scene.widget.until(*said, "here again")

    await scene.widget.page.reload()
    await scene.widget.until(*said, "here again")
    await scene.widget.say("after the reload")
    await scene.team.reply("I see you")
    await scene.widget.has(*said, "here again", "after the reload", "I see you")
    await scene.thread_has_once(
        "before the cut", "while away, one", "while away, two", "here again", "after the reload"
    )


async def test_a_power_cut_loses_nothing(scene: Scene) -> None:
    """After kill -9 and a restart both sides have every line once, what was typed in the meantime included."""
    await scene.take()
    await scene.team.reply("line one")
    said: tuple[str, ...] = (*UNTIL_TAKEN, f"{DANA_SAYS}line one")
    await scene.widget.until(*said)
    for line in ("line two", "line three"):
        await scene.widget.say(line)
    await scene.world.bridge.kill()
    await scene.team.reply("typed while it was down")
    await scene.world.start_bridge()
    said = (*said, "line two", "line three", "typed while it was down")
    await scene.widget.until(*said, timeout_s=90)
    await scene.widget.say("line four")
    await scene.team.reply("line five")
    await scene.widget.has(*said, "line four", "line five")
    await scene.thread_has_once("line two", "line three", "line four")
    await scene.thread_has_once("typed while it was down", "line five")
