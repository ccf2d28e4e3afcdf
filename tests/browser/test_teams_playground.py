"""The main job on the page of Microsoft's Agents Playground: what its renderer makes of our cards and buttons."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.journeys import playground

pytestmark = pytest.mark.xdist_group("pages")


async def reply(page: Page, post: Locator, text: str) -> None:
    """Mention the bot in the thread's box. Its suggestion has to be clicked; Enter does not take it."""
    await post.get_by_role("textbox").last.click()
    await page.keyboard.type(f"@{playground.BOT['name'][:4]}")
    await page.get_by_role("menuitem", name=playground.BOT["name"]).click()
    await page.keyboard.type(text)
    await page.keyboard.press("Enter")


async def test_the_main_job_is_done_by_the_playgrounds_own_buttons(
    page: Page, tmp_path: Path, screenshots: Path
) -> None:
    """Take it, a mention, the return form and Take it back, each pressed where Microsoft draws it."""
    page.set_default_timeout(60_000)
    await page.set_viewport_size({"width": 1400, "height": 1700})
    async with playground.PlaygroundWorld(tmp_path) as world:
        await page.goto(world.playground.url)
        # Opening the channel is what adds the app to the team here.
        await page.get_by_role("treeitem", name="Northwind Support - Support").click()
        await page.get_by_role("button", name="Hide log panel").click()
        customer = await world.customer()
        await customer.sees("help")
        await customer.say("Where is my order 1042?")
        await customer.sees("on its way")
        await customer.say("Can I talk to a person?")
        await customer.sees("ticket is H-1001")
        post = page.get_by_role("group").filter(has_text="H-1001 · ")
        await expect(post).to_contain_text("Waiting for somebody to take it")
        await expect(post).to_contain_text("The conversation before the handoff")
        await page.screenshot(path=screenshots / "teams-playground-waiting.png")

        await post.get_by_role("button", name="Take it", exact=True).click()
        await customer.sees("Dana Ruiz")
        await expect(post).to_contain_text("Taken by Dana Ruiz")
        await reply(page, post, "Hello Ann, I have sent it again.")
        assert playground.BOT["name"] not in await customer.sees("I have sent it again.")
        await customer.say("Thank you <b>so</b> much")
        await expect(post).to_contain_text("<b>so</b>")

        await post.get_by_role("button", name="Return to AI", exact=True).click()
        await post.get_by_label("Note for the AI agent").fill("A new parcel left today.")
        await page.screenshot(path=screenshots / "teams-playground-form.png")
        await post.get_by_role("button", name="Return to AI", exact=True).nth(1).click()
        await customer.sees("AI assistant again")
        await customer.say("So, is it done?")
        await customer.sees("Dana Ruiz answered you: A new parcel left today.")
        await expect(post).to_contain_text("Returned to the AI agent by Dana Ruiz")
        await page.screenshot(path=screenshots / "teams-playground-returned.png")

        await post.get_by_role("button", name="Take it back", exact=True).first.click()
        await expect(page.get_by_role("group").filter(has_text="H-1002 · ")).to_contain_text("Taken by Dana Ruiz")
