"""The sandbox's page, in a real browser: what a person sees, and what their clicks and keys send."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import BILLING, DANA, LEE, SAM, SUPPORT
from adapters.sandbox.slack.server import serving
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, DEFAULT_SCOPES, AppConfiguration, SandboxSettings

HOSTILE = "<img src=x onerror=alert(1)><b>bold</b> & <!channel>"


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


CARD: list[dict[str, Any]] = [
    {"type": "header", "text": plain("H-1042 · Maria Lopez")},
    {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Queue*\nBilling"}, plain("second field")]},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "text": plain("Take it"), "action_id": "take", "style": "primary"},
            {"type": "button", "text": plain("Return to AI"), "action_id": "return"},
            {"type": "button", "text": plain("Transfer"), "action_id": "transfer"},
        ],
    },
]
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "give_back",
    "title": plain("Return to AI"),
    "submit": plain("Return"),
    "blocks": [
        {
            "type": "input",
            "block_id": "outcome",
            "label": plain("Outcome"),
            "element": {
                "type": "static_select",
                "action_id": "outcome",
                "options": [{"text": plain("Solved"), "value": "solved"}, {"text": plain("Open"), "value": "open"}],
            },
        },
        {
            "type": "input",
            "block_id": "note",
            "label": plain("Note"),
            "element": {"type": "plain_text_input", "action_id": "note", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "after",
            "optional": True,
            "label": plain("Afterwards"),
            "element": {
                "type": "checkboxes",
                "action_id": "after",
                "options": [{"text": plain("Let the AI continue now"), "value": "continue"}],
            },
        },
    ],
}


TRYING: dict[str, Any] = {
    **MODAL,
    "blocks": [
        *MODAL["blocks"],
        {
            "type": "input",
            "block_id": "facts",
            "optional": True,
            "label": plain("Facts"),
            "element": {"type": "plain_text_input", "action_id": "facts", "multiline": True},
        },
        {
            "type": "actions",
            "block_id": "try",
            "elements": [{"type": "button", "text": plain("Try"), "action_id": "try"}],
        },
        {"type": "context", "elements": [plain("Nothing was tried yet.")]},
    ],
}


@pytest_asyncio.fixture(loop_scope="session")
async def slack() -> AsyncIterator[Workspace]:
    """A sandbox without a posting limit."""
    async with (
        serving(
            SandboxSettings(posts_per_s=0, app=AppConfiguration(scopes=(*DEFAULT_SCOPES, "chat:write.customize")))
        ) as sandbox,
        Workspace(sandbox.workspace.base_url) as workspace,
    ):
        yield workspace


@pytest_asyncio.fixture(loop_scope="session")
async def client(slack: Workspace) -> AsyncIterator[AsyncWebClient]:
    """An app that answers the card's buttons, connected by Socket Mode."""
    web_client = AsyncWebClient(token=BOT_TOKEN, base_url=slack.api_url)
    app = AsyncApp(client=web_client)

    @app.event("message")
    async def on_message() -> None:
        """Hear everything, answer nothing."""

    @app.action("take")
    async def on_take(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        user, ts = body["user"]["id"], body["message"]["ts"]
        await client.chat_update(channel=SUPPORT, ts=ts, text=f"taken by <@{user}>")

    @app.action("return")
    async def on_return(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.action("transfer")
    async def on_transfer(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=TRYING)

    @app.action("try")
    async def on_try(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        view = body["view"]
        note = view["state"]["values"]["note"]["note"]["value"]
        under = {"type": "context", "elements": [plain(f"Tried with {note}.")]}
        shown = {**TRYING, "blocks": [*TRYING["blocks"][:-1], under]}
        await client.views_update(view_id=view["id"], hash=view["hash"], view=shown)

    @app.shortcut("bridge_return_message")
    async def on_shortcut(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view("give_back")
    async def on_submit(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        values = body["view"]["state"]["values"]
        note = values["note"]["note"]["value"]
        if len(note) < 5:
            await ack(response_action="errors", errors={"note": "Say a little more"})
            return
        await ack()
        outcome = values["outcome"]["outcome"]["selected_option"]["value"]
        after = [option["value"] for option in values["after"]["after"]["selected_options"]]
        await client.chat_postMessage(channel=SUPPORT, text=f"{outcome}/{note}/{after}")

    handler = AsyncSocketModeHandler(app, APP_TOKEN)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # untyped in slack-bolt
    yield web_client
    await handler.client.close()  # type: ignore[no-untyped-call]  # untyped in slack-sdk
    await handler.client.aiohttp_client_session.close()


@pytest_asyncio.fixture(loop_scope="session")
async def around(slack: Workspace) -> AsyncIterator[str]:
    """A page of another origin with a box to type in and the sandbox in a frame."""

    async def serve(_: web.Request) -> web.Response:
        frame = f'<iframe src="{slack.url}/?embed=1" width=700 height=700></iframe>'
        return web.Response(text=f"<!doctype html><input id=chat>{frame}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/"
    await runner.cleanup()


async def card(client: AsyncWebClient) -> str:
    posted = await client.chat_postMessage(channel=SUPPORT, text="H-1042 Maria Lopez", blocks=CARD)
    return str(posted["ts"])


async def test_a_person_works_through_a_thread_by_keyboard(
    page: Page, slack: Workspace, client: AsyncWebClient
) -> None:
    """A card opens as a thread; Enter sends a reply there, and Escape closes it again."""
    root = await card(client)
    await page.goto(slack.url)
    await page.get_by_role("button", name="Reply in thread").first.focus()
    await page.keyboard.press("Enter")
    box = page.get_by_role("textbox", name="Reply…")
    await expect(box).to_be_focused()
    await page.keyboard.type("On it, @sam")
    await page.keyboard.press("Escape")
    await page.keyboard.type(" now")
    await page.keyboard.press("Enter")
    reply = (await slack.wait_for(lambda state: state.thread(SUPPORT, root)[1:]))[0]
    assert reply["text"] == f"On it, <@{SAM}> now"
    await expect(page.locator("#replies")).to_contain_text("On it, @sam now")
    await page.locator("#replies").focus()
    await page.keyboard.press("Escape")
    await expect(page.locator("#thread")).to_be_hidden()
    await expect(page.get_by_role("button", name="1 reply")).to_be_focused()


async def test_what_people_write_stays_text(page: Page, slack: Workspace, client: AsyncWebClient) -> None:
    """Markup in anybody's words, names or files is shown as it was written, and runs nowhere."""
    await slack.say(LEE, HOSTILE)
    await client.chat_postMessage(channel=SUPPORT, text="x", blocks=[{"type": "section", "text": plain(HOSTILE)}])
    await client.chat_postMessage(channel=SUPPORT, text="x", blocks=[{"type": "markdown", "text": HOSTILE}])
    await client.chat_postMessage(channel=SUPPORT, username="<i>Eve</i>", text="[x](javascript:alert(1))")
    await slack.upload(LEE, "<b>x</b>.txt", b"words")
    await page.goto(slack.url)
    rows = page.locator("#messages .message")
    await expect(rows).to_have_count(5)
    for index in range(3):
        await expect(rows.nth(index)).to_contain_text(HOSTILE)
    await expect(rows.nth(3)).to_contain_text("<i>Eve</i>")
    await expect(rows.nth(4)).to_contain_text("<b>x</b>.txt")
    assert await page.locator("#messages img, #messages b, #messages i").count() == 0
    assert await page.locator("#messages a[href^='javascript']").count() == 0


async def test_a_button_reaches_the_app_and_its_update_shows(
    page: Page, slack: Workspace, client: AsyncWebClient
) -> None:
    """Pressing a button of the card runs the app, and the changed card replaces the old one on the page."""
    await card(client)
    await page.goto(f"{slack.url}/?as=sam")
    await page.get_by_role("button", name="Take it").click()
    await expect(page.locator("#messages .message")).to_contain_text("taken by @sam")
    await expect(page.get_by_role("button", name="Take it")).to_have_count(0)


async def test_a_modal_shows_errors_keeps_what_was_typed_and_closes(
    page: Page, slack: Workspace, client: AsyncWebClient, screenshots: Path
) -> None:
    """Missing fields, the app's own complaint and success each show what Slack shows, and typed text survives."""
    await card(client)
    await page.goto(slack.url)
    await page.get_by_role("button", name="Return to AI").click()
    dialog = page.get_by_role("dialog", name="Return to AI")
    await dialog.get_by_label("Note").fill("no")
    await dialog.get_by_role("button", name="Return", exact=True).click()
    await expect(dialog.get_by_role("alert").first).to_have_text("Please complete this required field.")
    await dialog.get_by_label("Outcome").select_option("solved")
    await dialog.get_by_role("button", name="Return", exact=True).click()
    await expect(dialog.locator("[data-block=note] [role=alert]")).to_have_text("Say a little more")
    await page.screenshot(path=screenshots / "sandbox-slack-modal.png")
    await expect(dialog.get_by_label("Note")).to_have_value("no")
    await dialog.get_by_label("Note").fill("refunded today")
    await dialog.get_by_label("Let the AI continue now").check()
    await dialog.get_by_role("button", name="Return", exact=True).click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#messages")).to_contain_text("solved/refunded today/['continue']")


async def test_a_modal_that_the_app_changes_stays_where_one_is(
    page: Page, slack: Workspace, client: AsyncWebClient
) -> None:
    """A button within it carries what was typed; after the update the words, the ticks, the place and the focus are as
    they were, and the next press works again.
    """
    await page.set_viewport_size({"width": 900, "height": 480})
    await card(client)
    await page.goto(slack.url)
    await page.get_by_role("button", name="Transfer").click()
    dialog = page.get_by_role("dialog", name="Return to AI")
    body = dialog.locator(".modal-body")
    await dialog.get_by_label("Let the AI continue now").check()
    for note in ("refunded", "refunded today"):
        await dialog.get_by_label("Note").fill(note)
        await dialog.get_by_label("Facts").fill("all paid")
        button = dialog.get_by_role("button", name="Try")
        await button.click()
        await expect(dialog.get_by_text(f"Tried with {note}.")).to_be_visible()
        await expect(button).to_be_focused()
        assert await body.evaluate("each => each.scrollTop") > 0
        await expect(button).to_be_in_viewport()
    await expect(dialog.get_by_label("Note")).to_have_value("refunded today")
    await expect(dialog.get_by_label("Facts")).to_have_value("all paid")
    await expect(dialog.get_by_label("Let the AI continue now")).to_be_checked()


async def test_escape_closes_a_modal_for_the_app_too(page: Page, slack: Workspace, client: AsyncWebClient) -> None:
    """Escape in a modal closes it in the workspace, not only on the screen."""
    await card(client)
    await page.goto(slack.url)
    await page.get_by_role("button", name="Return to AI").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await slack.wait_for(lambda state: not state.views(DANA))
    await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_a_command_in_a_thread_is_refused_in_slacks_words(
    page: Page, slack: Workspace, client: AsyncWebClient
) -> None:
    """A slash command typed in a thread shows Slack's sentence to its author only."""
    root = await card(client)
    await page.goto(f"{slack.url}/?channel=support&thread={root}")
    box = page.get_by_role("textbox", name="Reply…")
    await box.fill("/return H-1042 done")
    await box.press("Enter")
    await expect(page.locator("#replies .ephemeral")).to_contain_text("/return is not supported in threads. Sorry!")
    await page.locator("#acting-as").select_option(LEE)
    await expect(page.locator("#replies .ephemeral")).to_have_count(0)


async def test_one_edits_and_deletes_only_ones_own_words(page: Page, slack: Workspace) -> None:
    """The menu of one's own message edits and deletes it; another's offers neither."""
    await slack.say(LEE, "from Lee")
    await slack.say(DANA, "tpyo by @lee")
    await page.goto(f"{slack.url}/?as={DANA}")
    mine = page.locator("#messages .message", has_text="tpyo")
    await page.locator("#messages .message", has_text="from Lee").hover()
    await page.get_by_role("button", name="More actions").first.click()
    await expect(page.get_by_role("menuitem", name="Edit message")).to_have_count(0)
    await page.keyboard.press("Escape")
    await mine.hover()
    await mine.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Edit message").click()
    area = page.get_by_role("textbox", name="Edit message")
    await expect(area).to_have_value("tpyo by @lee")
    await area.fill("typo by @lee")
    await area.press("Enter")
    changed = page.locator("#messages .message", has_text="typo by @lee")
    await expect(changed).to_contain_text("(edited)")
    await changed.hover()
    await changed.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Delete message…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator("#messages .message")).to_have_count(1)


async def test_a_message_shortcut_opens_its_modal(page: Page, slack: Workspace, client: AsyncWebClient) -> None:
    """The message menu offers the app's shortcuts, by keyboard too."""
    await slack.say(DANA, "please give this back")
    await page.goto(slack.url)
    await page.get_by_role("button", name="More actions").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem", name="Return to AI agent")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Return to AI")).to_be_visible()


async def test_files_go_up_and_come_down(page: Page, slack: Workspace, tmp_path: Path) -> None:
    """A file attached on the page is shared with its words, and its link gives the same bytes back."""
    await page.goto(slack.url)
    await expect(page.get_by_role("textbox", name="Message #support")).to_be_visible()
    await page.locator("#composer input[type=file]").set_input_files(
        {"name": "rota.txt", "mimeType": "text/plain", "buffer": b"monday: dana"}
    )
    await expect(page.locator("#composer").get_by_text("rota.txt")).to_be_visible()
    await page.get_by_role("textbox", name="Message #support").fill("the rota")
    await page.get_by_role("textbox", name="Message #support").press("Enter")
    row = page.locator("#messages .message", has_text="the rota")
    async with page.expect_download() as download:
        await row.get_by_text("rota.txt").click()
    saved = tmp_path / "saved"
    await (await download.value).save_as(saved)
    assert saved.read_bytes() == b"monday: dana"


async def test_in_a_frame_a_new_conversation_opens_by_itself(
    page: Page, slack: Workspace, client: AsyncWebClient, around: str, screenshots: Path
) -> None:
    """Embedded at 700 pixels, a new card shows as an open thread, and the focus stays with the page around it."""
    await page.set_viewport_size({"width": 1400, "height": 760})
    await page.goto(around)
    frame = page.frame_locator("iframe")
    await expect(frame.get_by_role("textbox", name="Message #support")).to_be_visible()
    await page.locator("#chat").focus()
    root = await card(client)
    await client.assistant_threads_setStatus(channel_id=SUPPORT, thread_ts=root, status="is typing…")
    await expect(frame.locator("#thread")).to_contain_text("H-1042 · Maria Lopez")
    await expect(frame.locator("#thread-status")).to_have_text("Support Bridge is typing…")
    await expect(page.locator("#chat")).to_be_focused()
    await page.screenshot(path=screenshots / "sandbox-slack-embed.png")
    await frame.get_by_role("button", name="Back to the channel").click()
    await expect(frame.locator("#messages")).to_contain_text("H-1042 · Maria Lopez")


async def test_the_page_recovers_from_a_lost_connection(page: Page, slack: Workspace) -> None:
    """Messages that arrived while the page was offline are there when it is back."""
    await page.goto(slack.url)
    await expect(page.get_by_role("textbox", name="Message #support")).to_be_visible()
    await slack.say(LEE, "before")
    await expect(page.locator("#messages")).to_contain_text("before")
    await slack.request("POST", "/sandbox/disconnect", {"pages": True})
    await slack.say(LEE, "meanwhile")
    await expect(page.locator("#messages")).to_contain_text("meanwhile")


async def test_new_messages_do_not_move_what_one_reads(page: Page, slack: Workspace) -> None:
    """Somebody who has scrolled up stays where they are and is offered the way down."""
    for number in range(40):
        await slack.say(LEE if number % 2 else SAM, f"line {number}")
    await page.goto(slack.url)
    await expect(page.locator("#messages .message")).to_have_count(40)
    await page.locator("#messages").evaluate("list => { list.scrollTop = 0; }")
    await slack.say(SAM, "the newest")
    await page.get_by_role("button", name="New messages").click()
    await expect(page.get_by_text("the newest")).to_be_in_viewport()
    await expect(page.get_by_role("button", name="New messages")).to_have_count(0)


async def test_what_changed_elsewhere_shows_without_a_reload(page: Page, slack: Workspace) -> None:
    """A new message in another channel marks it, and leaving or archiving closes the message box."""
    await page.goto(slack.url)
    await expect(page.get_by_role("textbox", name="Message #support")).to_be_enabled()
    await slack.say(LEE, "invoice?", channel=BILLING)
    await expect(page.get_by_role("button", name="billing unread")).to_be_visible()
    await slack.act(DANA, "leave", channel=SUPPORT)
    await expect(page.get_by_role("textbox", name="Message #support")).to_be_disabled()
