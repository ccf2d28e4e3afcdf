"""The browser that the other tests rely on: found, driven, and strict."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page

from adapters.web import webchat_bundle
from tests.browser import chromium
from tests.settings import CACHE, TestSettings


async def test_a_page_runs_and_can_be_looked_at(page: Page, screenshots: Path) -> None:
    """The page fixture is a real browser: scripts run, and a picture is taken of what they drew."""
    await page.set_content("<h1></h1><script>document.querySelector('h1').textContent = 6 * 7</script>")

    picture = screenshots / "chromium.png"
    await page.screenshot(path=picture)

    assert await page.inner_text("h1") == "42"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.xdist_group("webchat")
async def test_the_pinned_web_chat_is_the_whole_widget(page: Page) -> None:
    """The one file that is fetched draws the real widget without any other file."""
    script = await webchat_bundle.fetch(CACHE / "webchat", webchat_bundle.find_npm())
    await page.set_content("<div id='chat' style='height: 400px'></div>")
    await page.add_script_tag(path=script)

    await page.evaluate(
        """() => {
            const domain = 'http://127.0.0.1:9/v3/directline'
            const directLine = window.WebChat.createDirectLine({ token: 'none', domain })
            window.WebChat.renderWebChat({ directLine }, document.getElementById('chat'))
        }""",
    )

    await page.get_by_placeholder("Type your message").wait_for(timeout=60_000)


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    """CHROMIUM that leads nowhere is an error with that path, not a silent choice of another browser."""
    with pytest.raises(chromium.NoBrowserError, match="no-browser"):
        chromium.find(TestSettings(chromium=tmp_path / "no-browser"))


async def test_the_module_tells_the_path() -> None:
    """What `make browser` asks is answered with an executable file."""
    found = await asyncio.to_thread(chromium.find, TestSettings())

    assert found.stat().st_mode & 0o111
