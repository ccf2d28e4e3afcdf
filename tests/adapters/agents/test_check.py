"""`agent check`: what it finds in good agents and in bad ones."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from adapters.agents.check import Finding, Verdict, check
from adapters.agents.demo import DemoAgent
from bridge.ports import AgentReply, AgentTurn, Done, HandOff, Message
from tests.adapters.agents.server import SECRET, Company, listening

NAMES = [
    "answers a message",
    "answers in time",
    "streams",
    "hands over on request",
    "is idempotent by turn id",
    "goes on from the operator's note",
    "verifies signatures",
]


async def findings(handler: Any, secret: str = SECRET) -> dict[str, Finding]:
    """All findings, by name."""
    async with listening(handler) as url:
        return {finding.name: finding async for finding in check(url, secret)}


async def test_a_good_agent_passes_everything() -> None:
    """An agent that keeps the contract passes all checks, in the order of need, with nothing to be done."""
    found = await findings(Company(DemoAgent(pause_s=0)).turns)

    assert list(found) == NAMES
    assert {name: finding.verdict for name, finding in found.items()} == dict.fromkeys(NAMES, Verdict.PASSED)
    assert {finding.remedy for finding in found.values()} == {""}


class Forgetful:
    """Never the same answer, no stream, no ear for persons or notes."""

    name = "Forgetful"

    def __init__(self) -> None:
        self.calls = 0

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        self.calls += 1
        yield Message(text=f"Answer number {self.calls}")
        yield Done()


async def test_a_careless_agent_is_told_what_to_do() -> None:
    """Each breach is found by its own check, with a remedy."""
    found = await findings(Company(Forgetful(), verify=False).turns)

    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert verdicts == {
        "answers a message": Verdict.PASSED,
        "answers in time": Verdict.PASSED,
        "streams": Verdict.WARNED,
        "hands over on request": Verdict.WARNED,
        "is idempotent by turn id": Verdict.WARNED,
        "goes on from the operator's note": Verdict.FAILED,
        "verifies signatures": Verdict.FAILED,
    }
    assert all(finding.remedy for finding in found.values() if finding.verdict is not Verdict.PASSED)
    assert "no signature" in found["verifies signatures"].detail


class Loop:
    """Hands over again and again, with an envelope that has faults."""

    name = "Loop"

    async def respond(self, turn: AgentTurn) -> AsyncIterator[AgentReply]:
        yield HandOff(envelope={"reason": "policy", "summary": "x", "confidence": 7})


async def test_a_handoff_loop_and_a_faulty_envelope_are_found() -> None:
    """An agent that hands over again right after a return is named as such; a faulty envelope by its field."""
    found = await findings(Company(Loop()).turns)

    assert "handed over again" in found["goes on from the operator's note"].detail
    assert "confidence" in found["hands over on request"].detail


@pytest.mark.parametrize("status, words", [(404, "404"), (401, "agent.secret")])
async def test_an_agent_that_cannot_be_reached_ends_the_check(status: int, words: str) -> None:
    """Without an answer there is nothing more to find."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status)

    found = await findings(handler)

    assert list(found) == NAMES[:1]
    assert found[NAMES[0]].verdict is Verdict.FAILED
    assert words in found[NAMES[0]].detail


async def test_without_a_secret_the_check_says_so() -> None:
    """An unsigned agent on this machine passes with a warning."""
    found = await findings(Company(DemoAgent(pause_s=0), verify=False).turns, secret="")

    assert found["verifies signatures"].verdict is Verdict.WARNED
