"""Waiting for what a server does."""

import asyncio
from collections.abc import Callable

SOON_S = 30.0


async def soon(holds: Callable[[], bool]) -> None:
    """Wait until this holds, for at most half a minute."""
    async with asyncio.timeout(SOON_S):
        while not holds():  # noqa: ASYNC110 -- it changes behind a server
            await asyncio.sleep(0.01)
