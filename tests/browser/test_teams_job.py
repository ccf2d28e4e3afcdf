"""The main job with Teams as people see it: the unmodified Web Chat on a company's page, the team's channel on another,
the bridge as `handoff-bridge serve` runs it in between.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from adapters.sandbox.teams.people import BOT_NAME
from adapters.web import webchat_bundle
from tests.browser.chromium import window
from tests.browser.test_main_job import ASKED, BACK, DANA_SAYS, GREETING, LEFT, ORDER, UNTIL_TAKEN
from tests.browser.test_webchat import Widget, serving
from tests.journeys.teams_world import TeamsWorld
from tests.journeys.world import ADMIN_KEY, DIRECTLINE_SECRET
from tests.settings import CACHE

pytestmark = pytest.mark.xdist_group("pages")
NOTE = "A new parcel left today."


@dataclass
class Team:
    """The team's channel on a page, worked as an operator works it."""

    page: Page

    @property
    def card(self) -> Locator:
        """The card of the conversation, on top of its thread."""
        return self.page.locator(".message.root")

    async def open_thread(self) -> None:
        """Open the card's thread from the channel."""
        post = self.page.locator(".post", has_text="H-1001")
        await post.get_by_role("button", name="Reply", exact=True).click()
        await expect(self.page.get_by_role("button", name="Back to all posts")).to_be_visible()

    async def press(self, name: str) -> None:
        """Press a button of the card."""
        await self.card.locator(".ac-actions").first.get_by_role("button", name=name, exact=True).click()

    async def reply(self, text: str) -> None:
        """Write in the thread; an `@` offers names, of which the first is taken."""
        box = self.page.get_by_label("Reply", exact=True)
        await box.click()
        if text.startswith("@"):
            name, _, text = text.partition(" ")
            await self.page.keyboard.type(name)
            await expect(self.page.get_by_role("listbox", name="People").get_by_role("option").first).to_be_visible()
            await self.page.keyboard.press("Enter")
        await self.page.keyboard.type(text)
        await self.page.keyboard.press("Enter")
        await expect(box).to_have_value("")

    async def act_as(self, name: str) -> None:
        """Be somebody else of the team."""
        await self.page.locator("#acting-as").select_option(label=name)

    async def has_once(self, *lines: str) -> None:
        """Wait for the last of these lines; then each stands in the thread once, in this order."""
        replies = self.page.locator(".message:not(.root) .body")
        await expect(replies.filter(has_text=lines[-1])).to_have_count(1)
        text = "\n".join(await replies.all_inner_texts())
        assert [text.count(line) for line in lines] == [1] * len(lines), text
        places = [text.index(line) for line in lines]
        assert places == sorted(places), text


@dataclass
class Scene:
    """Both pages, and what is between them."""

    world: TeamsWorld
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

    async def settled(self) -> None:
        """Wait until the bridge has noted of each post that it arrived: what is unclear at a kill is sent once more,
        labelled, since nobody may read the thread back here.
        """
        key = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with asyncio.timeout(15):
            while True:
                async with self.world.http.get(f"{self.world.url}/metrics", headers=key) as answer:
                    lines = (await answer.text()).splitlines()
                figures = [
                    line for line in lines if line.startswith(("handoff_unsent_posts", "handoff_unsettled_posts"))
                ]
                if figures and all(float(line.split()[-1]) == 0 for line in figures):
                    return
                await asyncio.sleep(0.1)

    async def take(self) -> None:
        """The same, and Dana takes it."""
        await self.escalate()
        await self.team.press("Take it")
        await self.widget.until(*UNTIL_TAKEN)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(browser: Browser, tmp_path: Path) -> AsyncIterator[Scene]:
    """A sandbox team with the app in it, the bridge, a company's page with a token from its server, the team's page."""
    script = await webchat_bundle.fetch(CACHE / "webchat", webchat_bundle.find_npm())
    async with (
        TeamsWorld(tmp_path, extra={"HANDOFF_AGENT__NAME": "Ada"}) as world,
        serving(script) as shop,
        window(browser, 620, 860) as customer,
        window(browser, 1280, 860) as team,
    ):
        await world.install()
        # As the company's server does: the secret never reaches the page.
        body = {"user": {"id": "dl_ann", "name": "Ann Lee"}}
        secret = {"Authorization": f"Bearer {DIRECTLINE_SECRET}"}
        address = f"{world.url}/v3/directline"
        async with world.http.post(f"{address}/tokens/generate", json=body, headers=secret) as answer:
            token = (await answer.json())["token"]
        await team.goto(f"{world.sandbox_url}/?as=dana&channel=support")
        await customer.goto(f"{shop}/chat?token={token}&domain={address}")
        yield Scene(world=world, widget=Widget(customer), team=Team(team))


async def by_button(scene: Scene) -> None:
    """The form on the card."""
    await scene.team.press("Return to AI")
    form = scene.team.card.locator(".ac-shown")
    await form.get_by_label("Note for the AI agent").fill(NOTE)
    await scene.team.page.screenshot(path=CACHE / "screenshots" / "teams-job-form.png")
    await form.get_by_role("button", name="Return to AI", exact=True).click()


async def by_message_action(scene: Scene) -> None:
    """The menu of a message in the thread, and the dialog."""
    message = scene.team.page.locator(".message:not(.root)").last
    await message.hover()
    await message.get_by_role("button", name="More options").click()
    await scene.team.page.get_by_role("menuitem", name="Return to AI agent").click()
    dialog = scene.team.page.get_by_role("dialog")
    await dialog.get_by_label("Note for the AI agent").fill(NOTE)
    await scene.team.page.screenshot(path=CACHE / "screenshots" / "teams-job-dialog.png")
    await dialog.get_by_role("button", name="Return to AI", exact=True).click()
    await expect(dialog).to_be_hidden()


async def by_mention(scene: Scene) -> None:
    """`@Support Bridge return <note>` in the thread."""
    await scene.team.reply(f"@{BOT_NAME.split()[0]} return {NOTE}")


@pytest.mark.parametrize("way", [by_button, by_message_action, by_mention], ids=lambda way: way.__name__)
async def test_a_chat_goes_to_a_team_and_comes_back(
    scene: Scene, way: Callable[[Scene], Awaitable[None]], screenshots: Path
) -> None:
    """A customer asks the agent, gets a person by name, and the agent goes on from that person's note."""
    shot = f"teams-job-{way.__name__}"
    await scene.escalate()
    card = scene.team.card
    for words in ("H-1001 · Ann Lee", "Waiting", "Where is my order 1042?", "queue Support"):
        await expect(card).to_contain_text(words)
    await scene.team.page.screenshot(path=screenshots / f"{shot}-waiting.png")
    await scene.team.press("Take it")
    await expect(card).to_contain_text("Taken by Dana Ruiz")

    await scene.widget.say("It never came! <b>& so on</b>")
    await scene.team.has_once("It never came! <b>& so on</b>")
    await scene.team.reply("// she sounds upset")
    await scene.team.reply("Hello Ann, I have sent it again.")
    said: tuple[str, ...] = (
        *UNTIL_TAKEN,
        "It never came! <b>& so on</b>",
        f"{DANA_SAYS}Hello Ann, I have sent it again.",
    )
    await scene.widget.until(*said)
    await scene.team.page.screenshot(path=screenshots / f"{shot}-taken.png")

    await way(scene)
    await scene.widget.until(*said, LEFT)
    await expect(card).to_contain_text("Returned")
    await scene.widget.say("So, is it done?")
    said = (*said, LEFT, "So, is it done?", BACK)
    await scene.widget.until(*said)
    await scene.widget.stays(*said)
    await scene.widget.page.screenshot(path=screenshots / f"{shot}-customer.png")
    await scene.team.page.screenshot(path=screenshots / f"{shot}-team.png")


async def test_the_customer_reads_only_what_the_owner_means_for_them(scene: Scene) -> None:
    """Words before anybody took it, notes, mentions and colleagues' words stay in the thread, which says so."""
    await scene.escalate()
    replies = scene.team.page.locator("#posts")
    await scene.team.reply("canary before")
    await expect(replies).to_contain_text("Nobody has taken")
    await scene.team.press("Take it")
    await scene.widget.until(*UNTIL_TAKEN)
    await scene.team.reply("// canary note")
    await scene.team.reply("@Sam canary mention")
    await expect(replies).to_contain_text("It mentions a colleague")
    await scene.team.act_as("Lee Park")
    await scene.team.reply("canary of a colleague")
    await expect(replies).to_contain_text("Only Dana Ruiz")
    await scene.team.act_as("Dana Ruiz")
    await scene.team.reply("For you.")
    await scene.widget.until(*UNTIL_TAKEN, f"{DANA_SAYS}For you.")


async def test_a_power_cut_loses_nothing_in_teams(scene: Scene) -> None:
    """After kill -9 and a restart both sides have every line once, what was typed in the meantime included."""
    await scene.take()
    await scene.team.reply("line one")
    said: tuple[str, ...] = (*UNTIL_TAKEN, f"{DANA_SAYS}line one")
    await scene.widget.until(*said)
    await scene.widget.say("line two")
    await scene.team.has_once("line two")
    await scene.settled()
    await scene.world.bridge.kill()
    await scene.team.reply("typed while it was down")
    await scene.world.start_bridge()
    said = (*said, "line two", "typed while it was down")
    await scene.widget.until(*said, timeout_s=90)
    await scene.widget.say("line three")
    await scene.team.has_once("line one", "line two", "line three")
