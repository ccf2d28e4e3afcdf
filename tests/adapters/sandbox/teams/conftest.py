"""A sandbox team in this process, people in it, and a bot that calls and listens."""

from collections.abc import AsyncIterator

import pytest

from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.sandbox import Sandbox
from adapters.sandbox.teams.server import serving
from adapters.sandbox.teams.settings import SandboxSettings
from tests.adapters.sandbox.teams.rig import Bot, listening, with_card


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A running sandbox, whose redeliveries hardly wait."""
    settings = SandboxSettings(retry_after_s=(0.01, 0.01), answer_timeout_s=1.0, invoke_timeout_s=1.0)
    async with serving(settings) as running:
        yield running


@pytest.fixture
async def teams(sandbox: Sandbox) -> AsyncIterator[TeamsClient]:
    """People in that sandbox."""
    async with TeamsClient(sandbox.team.base_url) as client:
        yield client


@pytest.fixture
async def bot(teams: TeamsClient) -> AsyncIterator[Bot]:
    """A bot that is signed in and listens."""
    async with listening(teams) as calling:
        yield calling


@pytest.fixture
async def root(bot: Bot) -> str:
    """The id of a thread that the bot opened in Support with a card."""
    _, answer = await bot.open(with_card())
    return str(answer["activityId"])
