"""A real Chromium for the tests of pages. A missing browser is an error that names the remedy, never a skip."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import chromium
from tests.settings import CACHE, TestSettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests here in one loop, since the browser that they share lives in it."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of this process, each in contexts of its own: half their time would go into starts."""
    expect.set_options(timeout=chromium.WITHIN_MS)
    async with chromium.launched(TestSettings()) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page, 1280 by 800."""
    async with chromium.window(browser, 1280, 800) as opened:
        yield opened


@pytest.fixture
def screenshots() -> Path:
    """The folder for pictures that a person may want to look at."""
    folder = CACHE / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
