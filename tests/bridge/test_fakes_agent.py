"""The public fake keeps the contract that the real agents keep."""

import pytest

from bridge.fakes.agent import FakeAgent
from bridge.fakes.clock import ManualClock
from tests.contracts.agent_contract import AgentContract


class TestFakeAgent(AgentContract):
    """The suite, run by the fake."""

    @pytest.fixture
    def agent(self) -> FakeAgent:
        return FakeAgent(ManualClock())
