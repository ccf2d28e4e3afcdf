"""The whole demo in a real browser: two local desks, each a process of its own, and one conversation between them."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio
from playwright.async_api import FrameLocator, Locator, Page, expect

from adapters.demo import showing
from adapters.sandbox.teams.client import State, TeamsClient
from adapters.sandbox.teams.people import DANA
from adapters.teams import inputs

WITHIN_MS = 60_000
"""Three processes start and talk to each other, on a machine that does more than that."""


@pytest_asyncio.fixture(loop_scope="session")
async def demo(page: Page) -> AsyncIterator[Page]:
    """The page of a demo of its own."""
    async with showing(port=0) as address:
        await page.goto(address)
        await expect(page.locator("#owner")).to_have_text("The AI agent answers", timeout=WITHIN_MS)
        yield page
        await page.goto("about:blank")


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=re.compile(name))


async def shows(page: Page, name: str) -> None:
    """Wait until this desk's tab is the one that is shown."""
    await expect(tab(page, name)).to_have_attribute("aria-selected", "true", timeout=WITHIN_MS)


async def say(page: Page, words: str) -> None:
    """Click a sentence below the chat."""
    await page.get_by_role("button", name=words).click()


async def taken(page: Page, desk: FrameLocator) -> None:
    """Take the conversation by its card."""
    await desk.get_by_role("button", name="Take it").last.click()
    await expect(page.locator("#owner")).to_have_text("Dana Ruiz answers", timeout=WITHIN_MS)


async def test_a_conversation_goes_from_slack_to_teams_and_back(demo: Page) -> None:
    """By its queue to Slack, by *Transfer* to Teams and back: the tab follows, each new card can be taken, the old
    thread says where it went, and the tab that was left is marked until it is looked at.
    """
    slack, teams = demo.frame_locator("#slack"), demo.frame_locator("#teams")
    await say(demo, "I want a refund of 250 euros")
    await expect(demo.locator("#queue")).to_have_text("billing", timeout=WITHIN_MS)
    await shows(demo, "Slack")
    await taken(demo, slack)

    await slack.get_by_role("button", name="Transfer").last.click()
    await slack.get_by_label("Or to a queue").select_option("delivery")
    await slack.get_by_label("Note for them").fill("It was the parcel.")
    await slack.get_by_role("dialog").get_by_role("button", name="Transfer").click()
    await shows(demo, "Teams")
    await expect(
        teams.get_by_text("moved this conversation here from Billing (Slack). Note: It was the parcel.")
    ).to_be_visible(timeout=WITHIN_MS)
    await expect(tab(demo, "Slack, something new")).to_be_visible(timeout=WITHIN_MS)
    await tab(demo, "Slack").click()
    await expect(slack.get_by_text("moved this conversation to the queue Delivery (Teams)")).to_be_visible(
        timeout=WITHIN_MS
    )
    await expect(demo.get_by_role("tab", name="Slack", exact=True)).to_be_visible(timeout=WITHIN_MS)

    await tab(demo, "Teams").click()
    await taken(demo, teams)
    await teams.get_by_role("button", name="Transfer").first.click()
    await teams.get_by_label("Or to a queue").select_option("support")
    await teams.get_by_role("button", name="Transfer").last.click()
    await shows(demo, "Slack")
    await expect(demo.locator("#queue")).to_have_text("support", timeout=WITHIN_MS)
    await taken(demo, slack)
    await tab(demo, "Teams").click()
    await expect(teams.get_by_text("Moved to Support (Slack)")).to_be_visible(timeout=WITHIN_MS)
    await expect(teams.get_by_role("button", name="Take it")).to_have_count(0, timeout=WITHIN_MS)


async def test_nobody_is_cut_off_while_typing(demo: Page) -> None:
    """A colleague moves the conversation while somebody types in Teams: the words, the focus and the tab stay, and the
    other tab is marked.
    """
    teams = demo.frame_locator("#teams")
    await say(demo, "Track my parcel")
    await shows(demo, "Teams")
    await expect(teams.get_by_role("button", name="Take it")).to_be_visible(timeout=WITHIN_MS)
    await teams.get_by_label("Reply", exact=True).click()
    await demo.keyboard.type("Let me see wh")
    async with aiohttp.ClientSession() as http, http.get(f"{demo.url}config") as answer:
        [_, there] = (await answer.json())["desks"]
    async with TeamsClient(there["url"]) as colleague:
        root = await colleague.wait_for(card, timeout_s=WITHIN_MS / 1000)
        await colleague.click(DANA, root, "take")
        await expect(demo.locator("#owner")).to_have_text("Dana Ruiz answers", timeout=WITHIN_MS)
        await colleague.click(DANA, root, "transfer", inputs={inputs.QUEUE: "support"})
    await expect(demo.locator("#queue")).to_have_text("support", timeout=WITHIN_MS)
    await expect(tab(demo, "Slack, something new")).to_be_visible(timeout=WITHIN_MS)
    await shows(demo, "Teams")
    await demo.keyboard.type("at I can do")

    await expect(teams.get_by_label("Reply", exact=True)).to_have_value("Let me see what I can do")


def card(state: State) -> str:
    """Return the id of the newest card."""
    posts = [post for channel in state["channels"] for post in state.posts(channel["id"]) if post["cards"]]
    return str(posts[-1]["id"]) if posts else ""


async def test_the_customer_sees_nothing_of_what_goes_wrong(demo: Page) -> None:
    """With events doubled and posts cut off at the desk that is shown, a reply reaches the customer once."""
    slack, chat = demo.frame_locator("#slack"), demo.frame_locator("#chat")
    await say(demo, "Can I talk to a person?")
    await taken(demo, slack)
    for name in ("Twice", "Cut off"):
        await demo.get_by_role("button", name=name).click()
        await expect(demo.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    await slack.get_by_label("Reply…").fill("Good morning, Ann")
    await slack.get_by_label("Reply…").press("Enter")
    await expect(chat.get_by_text("Good morning, Ann").first).to_be_visible(timeout=WITHIN_MS)
    await say(demo, "Where is my order 1042?")
    await expect(slack.locator("#replies").get_by_text("Where is my order 1042?")).to_have_count(1, timeout=WITHIN_MS)
    await expect(chat.locator("p", has_text="Good morning, Ann")).to_have_count(1, timeout=WITHIN_MS)
