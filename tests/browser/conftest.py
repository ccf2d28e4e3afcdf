"""A real Chromium for the tests of pages. A missing browser is an error that names the remedy, never a skip."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.settings import CACHE, TestSettings


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of its own, so that one test's crash is no other test's."""
    async with chromium.launched(TestSettings()) as started:
        yield started


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page, 1280 by 800; errors that its scripts throw fail the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    opened = await context.new_page()
    thrown: list[str] = []
    opened.on("pageerror", lambda error: thrown.append(error.stack or error.message))
    yield opened
    await context.close()
    assert thrown == [], "the page's scripts threw errors"


@pytest.fixture
def screenshots() -> Path:
    """The folder for pictures that a person may want to look at."""
    folder = CACHE / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
