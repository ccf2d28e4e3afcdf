"""`doctor --post` against a local Slack and a real bridge in this process: posted, heard, read back, removed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from adapters.app import serving as serving_bridge
from adapters.doctor import echo
from adapters.doctor.findings import Finding
from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import SUPPORT
from adapters.sandbox.slack.server import serving as serving_slack
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SandboxSettings
from bridge.settings import Settings, load
from tests.journeys.world import free_port

KEY = "admin-key-of-thirty-two-characters"


@pytest.fixture
async def slack() -> AsyncIterator[Workspace]:
    async with (
        serving_slack(SandboxSettings()) as sandbox,
        Workspace(sandbox.workspace.base_url) as client,
    ):
        yield client


def settings(slack: Workspace, folder: Path, **changes: str) -> Settings:
    file = folder / "any.toml"
    file.write_text(f'[[queues]]\nname = "support"\nchannels = ["{SUPPORT}"]\n', encoding="utf-8")
    environment = {
        "HANDOFF_SECRET_KEY": "k" * 32,
        "HANDOFF_SLACK__BOT_TOKEN": BOT_TOKEN,
        "HANDOFF_SLACK__APP_TOKEN": APP_TOKEN,
        "HANDOFF_SLACK__API_URL": f"{slack.url}/api/",
        "HANDOFF_AGENT__KIND": "demo",
        "HANDOFF_API_KEYS": f"admin:{KEY}",
        "HANDOFF_DATABASE_URL": f"sqlite:///{folder}/any.db",
        "HANDOFF_PORT": str(free_port()),
        **changes,
    }
    return load(environment, file)


@asynccontextmanager
async def examined(settings: Settings, within_s: float) -> AsyncIterator[dict[str, Finding]]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        yield {found.subject: found async for found in echo.findings(settings, http, within_s=within_s)}


async def test_a_test_thread_goes_all_the_way_round(slack: Workspace, tmp_path: Path) -> None:
    """Posted, told to the bridge by Slack, read back and gone again; nobody's conversation was touched."""
    told = settings(slack, tmp_path)
    async with serving_bridge(told), examined(told, within_s=15) as found:
        pass
    state = await slack.state()

    assert {subject: finding.verdict for subject, finding in found.items()} == {
        "Slack post": "good",
        "Slack read-back": "good",
        "Slack echo": "good",
    }
    assert state.roots(SUPPORT) == []


async def test_a_bridge_that_hears_nothing_is_found_out(slack: Workspace, tmp_path: Path) -> None:
    """Slack delivers no event: the echo is bad and says where to look, and the test thread is gone all the same."""
    told = settings(slack, tmp_path)
    async with serving_bridge(told):
        await slack.fault("events", "lose", times=1000)
        async with examined(told, within_s=1) as found:
            pass
    state = await slack.state()

    assert found["Slack echo"].verdict == "bad"
    assert "Event Subscriptions" in found["Slack echo"].remedy
    assert state.roots(SUPPORT) == []


async def test_without_a_bridge_the_echo_is_not_proven(slack: Workspace, tmp_path: Path) -> None:
    """Nobody listens at the address: said as such, with what to start."""
    async with examined(settings(slack, tmp_path), within_s=1) as found:
        pass

    assert found["Slack read-back"].verdict == "good"
    assert found["Slack echo"].verdict == "warn"
    assert "handoff-bridge serve" in found["Slack echo"].remedy


async def test_a_post_that_slack_refuses_is_told(slack: Workspace, tmp_path: Path) -> None:
    """A missing scope stops it at once, and nothing stays behind."""
    await slack.configure(scopes=["channels:read"])
    async with examined(settings(slack, tmp_path), within_s=1) as found:
        pass

    assert list(found) == ["Slack post"]
    assert (found["Slack post"].verdict, found["Slack post"].detail) == ("bad", "missing_scope")
