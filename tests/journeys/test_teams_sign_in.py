"""A Teams whose door is shut to the bot, in real processes: `/readyz` says why, and the rest goes on by itself."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from adapters.sandbox.teams.people import DANA
from tests.journeys.teams_world import TeamsWorld

pytestmark = pytest.mark.xdist_group("journeys")


class ShutWorld(TeamsWorld):
    """A world whose bot has a secret that expired before it started."""

    async def start_desk(self) -> None:
        """Start the sandbox, and let the secret expire."""
        await super().start_desk()
        await self.teams.rules(secret="expired")

    async def until_ready(self, number: int = 0) -> None:
        """Wait only until the bridge answers and says what is wrong: it is not ready in its first half minute."""
        await self.until_told(lambda said: "sign in" in said)

    async def until_told(self, question: Callable[[str], bool]) -> None:
        """Wait until what /readyz has against Teams answers the question."""
        said = "nothing yet"
        for _ in range(400):
            with contextlib.suppress(aiohttp.ClientError):
                _, body = await self.told()
                said = str(body["reasons"].get("teams") or body["warnings"].get("teams") or "")
                if question(said):
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"it says: {said}")


async def test_an_expired_secret_is_told_and_its_renewal_needs_no_restart(tmp_path: Path) -> None:
    """The page names the secret and the remedy, a customer is served meanwhile; once the secret is taken again the page
    is quiet and conversations go to the team.
    """
    async with ShutWorld(tmp_path) as world:
        status, body = await world.told()
        assert (status, body["ready"]) == (503, False)
        said = body["reasons"]["teams"]
        assert "The bot's client secret has expired. Make a new one in Entra" in said
        assert "AADSTS7000222" in said
        customer = await world.customer()
        await customer.sees("help")
        await world.teams.rules(secret="valid")
        await world.until_told(lambda said: not said)
        assert (await world.told())[0] == 200
        await world.install()
        await customer.say("I want to talk to a human, please")
        _, root = await world.card_with("H-1001")
        await world.teams.click(DANA, root, "take")
        await customer.sees("Dana Ruiz")
