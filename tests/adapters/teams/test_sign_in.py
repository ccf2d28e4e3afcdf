"""What /readyz tells of the bot's sign-in, and how it comes back by itself."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.teams.calls import TeamsCalls
from adapters.teams.config import Local, TeamsSettings
from adapters.teams.errors import CallFailed
from adapters.web.operations import sign_in_trouble, teams_trouble
from tests.adapters.slack.rig import WallClock
from tests.adapters.teams.in_rig import Stage, staged
from tests.adapters.teams.out_rig import remembered

WORDS = {
    "expired": "The bot's client secret has expired. Make a new one in Entra",
    "invalid": "The bot's client secret is wrong. Put the secret's value, not its id",
}


class Quick(WallClock):
    """The machine's time, in which nobody rests for long."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 50)


async def told(stage: Stage, question: Callable[[str], bool]) -> str:
    """Wait until what /readyz tells of Teams answers the question; return it."""
    found = ""
    for _ in range(500):
        if question(found := teams_trouble(await stage.parts.health())):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within 10 s; it says {found!r}")


@pytest.mark.parametrize("secret", WORDS)
async def test_a_refused_sign_in_is_told_and_mended_without_a_restart(secret: str) -> None:
    """An expired or wrong secret is told in plain words with the remedy, and no longer once Entra takes it."""
    async with staged() as stage:
        stage.parts.clock = Quick()
        assert teams_trouble(await stage.parts.health()) == ""
        await stage.teams.rules(secret=secret)
        await stage.parts.start()
        found = await told(stage, bool)
        assert found.startswith("the bot cannot sign in to Teams, so posts wait: ")
        assert WORDS[secret] in found
        assert stage.settings.app_password not in found
        await stage.teams.rules(secret="valid")
        await told(stage, lambda words: not words)


async def test_a_secret_that_expires_while_nothing_is_sent_is_told() -> None:
    """The token is renewed when it runs out, so the next customer is not who finds out."""
    async with staged() as stage:
        stage.parts.clock = Quick()
        await stage.teams.rules(token_life_s=1)
        await stage.parts.start()
        await stage.parts.calls.tokens.get()
        await stage.teams.rules(secret="expired")
        assert "has expired" in await told(stage, bool)


async def test_a_sign_in_that_cannot_be_reached_is_no_wrong_secret() -> None:
    """A network that is away is told as such."""
    here = "http://127.0.0.1:9"
    local = Local(service_url=here, metadata_url=f"{here}/meta", authority_url=here)
    calls = TeamsCalls(TeamsSettings(app_id="a", app_password="s", tenant_id="t", local=local), await remembered())
    with pytest.raises(CallFailed):
        await calls.tokens.get()
    await calls.stop()
    assert "sign-in cannot be reached" in sign_in_trouble({"sign_in": calls.tokens.trouble})


async def test_where_nothing_is_signed_no_token_is_asked_for() -> None:
    """The playground gets none, and /readyz says that this is for trying out only."""
    local = Local(service_url="http://127.0.0.1:9", metadata_url="", authority_url="", unsigned=True)
    calls = TeamsCalls(TeamsSettings(app_id="a", tenant_id="t", local=local), await remembered())
    assert await calls.tokens.get() == "none"
    await calls.stop()
    assert calls.tokens.trouble == ""
    assert "for trying out" in teams_trouble({"is_unsigned": calls.settings.is_unsigned})
