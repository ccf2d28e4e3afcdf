"""The local Teams' page, in a real browser: what a person sees, and what their clicks and keys send."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import BOT_NAME, DANA, LEE, SUPPORT
from adapters.sandbox.teams.server import serving
from adapters.sandbox.teams.settings import SandboxSettings
from tests.adapters.sandbox.teams.rig import Bot, card, listening

HOSTILE = '<img src=x onerror=alert(1)><b>bold</b> [click](javascript:alert(1)) <script>document.title="pwned"</script>'


def button(title: str, verb: str) -> dict[str, Any]:
    return {"type": "Action.Execute", "title": title, "verb": verb, "data": {"handoff": "H-1"}}


NOTE = {"type": "Input.Text", "id": "note", "label": "Note", "isRequired": True, "errorMessage": "Write a note."}
RETURN = {
    "type": "Action.ShowCard",
    "title": "Return to AI",
    "card": {"type": "AdaptiveCard", "body": [NOTE], "actions": [button("Return", "return")]},
}


@pytest_asyncio.fixture(loop_scope="session")
async def teams() -> AsyncIterator[TeamsClient]:
    """A sandbox without limits."""
    async with serving(SandboxSettings()) as sandbox, TeamsClient(sandbox.team.base_url) as client:
        await client.rules(limits=False)
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def bot(teams: TeamsClient) -> AsyncIterator[Bot]:
    """A bot that listens."""
    async with listening(teams) as calling:
        yield calling


async def opened(bot: Bot, page: Page, teams: TeamsClient, who: str = "dana") -> str:
    """Open a thread with a card, and its page as somebody. Returns the root's id."""
    attachment = card(button("Take it", "take"), RETURN, body=[{"type": "TextBlock", "text": "**H-1** Maria"}])
    _, answer = await bot.open({"type": "message", "attachments": [attachment]})
    await page.goto(f"{teams.url}/?channel=support&thread={answer['activityId']}&as={who}")
    await expect(page.get_by_role("button", name="Take it")).to_be_visible()
    return str(answer["activityId"])


async def menu(message: Locator) -> None:
    """Open a message's menu; its buttons are there while the pointer is over the message."""
    await message.hover()
    await message.get_by_role("button", name="More options").click()


async def test_a_reply_with_a_mention_is_typed_and_sent(bot: Bot, page: Page, teams: TeamsClient) -> None:
    """ "@" offers names, Enter picks one and then sends, and the bot hears a true mention in the thread."""
    root = await opened(bot, page, teams)
    await page.get_by_label("Reply", exact=True).click()
    await page.keyboard.type("@Supp")
    await expect(page.get_by_role("option", name=BOT_NAME)).to_be_visible()
    await page.keyboard.press("Enter")
    await page.keyboard.type("status")
    await page.keyboard.press("Enter")
    await teams.delivered("message", 1)
    assert bot.heard[0]["text"] == f"<at>{BOT_NAME}</at>&nbsp;status"
    assert bot.heard[0]["conversation"]["id"] == f"{SUPPORT};messageid={root}"
    await expect(page.locator(".message .mention", has_text=BOT_NAME)).to_be_visible()


async def test_a_form_is_checked_kept_and_sent(bot: Bot, page: Page, teams: TeamsClient, screenshots: Path) -> None:
    """An empty needed field is named, a half-written note survives an update of the card, and the click carries it."""
    root = await opened(bot, page, teams)
    await page.get_by_role("button", name="Return to AI").click()
    await page.get_by_role("button", name="Return", exact=True).click()
    await expect(page.get_by_text("Write a note.")).to_be_visible()
    await page.get_by_label("Note").fill("Refunded")
    changed = card(button("Take it", "take"), RETURN, body=[{"type": "TextBlock", "text": "taken by Lee"}])
    path = f"v3/conversations/{SUPPORT};messageid={root}/activities/{root}"
    await bot.call("PUT", path, {"type": "message", "attachments": [changed]})
    await expect(page.get_by_text("taken by Lee")).to_be_visible()
    await expect(page.get_by_label("Note")).to_have_value("Refunded")
    await page.screenshot(path=screenshots / "sandbox-teams-form.png")
    bot.answers = [{"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "Returned."}]
    await page.get_by_role("button", name="Return", exact=True).click()
    await expect(page.get_by_text("Returned.")).to_be_visible()
    assert bot.heard[0]["value"]["action"]["data"] == {"handoff": "H-1", "note": "Refunded"}
    assert bot.heard[0]["from"]["aadObjectId"] == DANA


async def test_one_s_own_message_is_edited_deleted_and_brought_back(bot: Bot, page: Page, teams: TeamsClient) -> None:
    """The menu of one's own message changes and deletes it; undo brings it back; another's has neither."""
    root = await opened(bot, page, teams)
    await teams.say(DANA, "frist", root=root)
    await teams.say(LEE, "other", root=root)
    mine = page.get_by_role("article").filter(has_text="frist")
    await menu(mine)
    await page.get_by_role("menuitem", name="Edit").click()
    await page.get_by_label("Edit message").fill("first")
    await page.keyboard.press("Enter")
    mine = page.get_by_role("article").filter(has_text="first")
    await expect(mine.get_by_text("Edited")).to_be_visible()
    await menu(mine)
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("article").filter(has_text="first")).to_be_visible()
    await menu(page.get_by_role("article").filter(has_text="other"))
    await expect(page.get_by_role("menuitem", name="Edit")).to_have_count(0)


async def test_texts_are_inert_in_every_form(bot: Bot, page: Page, teams: TeamsClient) -> None:
    """Hostile words, as plain text, Markdown, HTML or on a card, run nothing, load nothing and link nowhere bad."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    root = await opened(bot, page, teams)
    thread = f"{SUPPORT};messageid={root}"
    for form in ("plain", "markdown", "xml"):
        await bot.say(thread, f"{form} {HOSTILE}", textFormat=form)
    await teams.act(DANA, "message", channel=SUPPORT, root=root, text="html", html=f"<p>html {HOSTILE}</p>")
    body: list[dict[str, Any]] = [{"type": "TextBlock", "text": f"block {HOSTILE}"},
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": f"run {HOSTILE}"}]},
            {"type": "Image", "url": "javascript:alert(1)", "altText": "no image"}]  # fmt: skip
    bad_link = {"type": "Action.OpenUrl", "title": "Open", "url": "javascript:alert(1)"}
    await bot.call("POST", f"v3/conversations/{thread}/activities", {
        "type": "message", "attachments": [card(bad_link, body=body)],
    })  # fmt: skip
    await expect(page.get_by_text("run <img")).to_be_visible()
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.locator(".message img:not(.avatar)")).to_have_count(0)
    await expect(page.locator("a[href^='javascript']")).to_have_count(0)
    assert "pwned" not in await page.title()
    assert {url.split("/")[2] for url in asked} == {teams.url.split("/")[2]}


async def test_a_dialog_opens_from_a_message_and_is_sent(bot: Bot, page: Page, teams: TeamsClient) -> None:
    """The bot's action in a message's menu opens its form; sending it closes it."""
    root = await opened(bot, page, teams)
    await teams.say(LEE, "done here", root=root)
    await teams.delivered("message", 1)
    form = card({"type": "Action.Submit", "title": "Send it"}, body=[NOTE])
    bot.answers = [{"task": {"type": "continue", "value": {"title": "Return to AI agent", "card": form}}}, {}]
    await menu(page.get_by_role("article").filter(has_text="done here"))
    await page.get_by_role("menuitem", name="Return to AI agent").click()
    await page.get_by_role("dialog").get_by_label("Note").fill("all good")
    await page.get_by_role("button", name="Send it").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert bot.heard[-1]["value"]["data"] == {"note": "all good"}


async def test_switches_and_widths(bot: Bot, page: Page, teams: TeamsClient, screenshots: Path) -> None:
    """Rules and faults can be switched on the page, and nothing runs out of it at three widths, light and dark."""
    await opened(bot, page, teams)
    await page.get_by_role("button", name="Switches").click()
    await page.get_by_label("The app hears every message").uncheck()
    await page.get_by_role("button", name="Outage until cleared").click()
    await expect(page.get_by_role("button", name="Clear all")).to_be_visible()
    state = await teams.state()
    assert (state["rules"]["rsc"], len(state["faults"])) == (False, 1)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for width in (1440, 1024, 390):
            await page.set_viewport_size({"width": width, "height": 800})
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
            await page.screenshot(path=screenshots / f"sandbox-teams-{scheme}-{width}.png")


async def test_in_a_frame_a_new_conversation_opens_by_itself(bot: Bot, page: Page, teams: TeamsClient) -> None:
    """Embedded, the page goes to a new card's thread; otherwise it only says that there is one."""
    await page.goto(f"{teams.url}/?embed=1&channel=general&as=dana")
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await bot.open({"type": "message", "attachments": [card(button("Take it", "take"))], "summary": "H-1"})
    await expect(page.get_by_role("button", name="Back to all posts")).to_be_visible()
    await page.goto(f"{teams.url}/?channel=general&as=dana")
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await bot.open({"type": "message", "attachments": [card(button("Take it", "take"))], "summary": "H-2"})
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_role("button", name="Take it")).to_be_visible()
