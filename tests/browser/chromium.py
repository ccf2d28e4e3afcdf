"""Which Chromium the tests drive. Run as a module, it prints the path or says what to do."""

import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.settings import TestSettings

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOLDERS = (Path("/usr/bin"), Path("/usr/local/bin"), Path("/snap/bin"), Path("/opt/google/chrome"))
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")

# The background services of Chromium look up hosts of its maker at every start.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

WITHIN_MS = 60_000
"""How long a page may take to show what it should: it bounds a failure, and measures nothing."""


class NoBrowserError(Exception):
    """No Chromium on this machine. Install one (Debian: apt-get install chromium) or set CHROMIUM to its path."""


def find(settings: TestSettings) -> Path:
    """The browser's executable.

    Raises:
        NoBrowserError: if CHROMIUM names no file, or none is set and none is installed.
    """
    if settings.chromium is not None:
        if settings.chromium.is_file():
            return settings.chromium
        raise NoBrowserError(f"CHROMIUM is set to {settings.chromium}, which is no file.")
    on_path = (shutil.which(name) for name in NAMES)
    candidates = [Path(found) for found in on_path if found]
    candidates += [folder / name for folder in FOLDERS for name in NAMES]
    candidates.append(MAC)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise NoBrowserError(NoBrowserError.__doc__)


@contextlib.asynccontextmanager
async def launched(settings: TestSettings) -> AsyncIterator[Browser]:
    """Run one for as long as the context lasts. Raises NoBrowserError."""
    executable = find(settings)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield started
        await started.close()


@contextlib.asynccontextmanager
async def window(browser: Browser, width: int, height: int) -> AsyncIterator[Page]:
    """Open a window of its own person; errors that its scripts throw fail the test."""
    context = await browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(WITHIN_MS)
    opened = await context.new_page()
    thrown: list[str] = []
    opened.on("pageerror", lambda error: thrown.append(error.stack or error.message))
    yield opened
    await context.close()
    assert thrown == [], "the page's scripts threw errors"


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find(TestSettings())}\n")
    except NoBrowserError as error:
        sys.exit(str(error))
