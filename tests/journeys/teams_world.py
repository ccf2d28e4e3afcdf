"""The same world with Teams as its desk: a sandbox team, as `handoff-bridge sandbox teams` runs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.sandbox.teams.client import Json, State, TeamsClient
from adapters.sandbox.teams.people import BILLING, SAM, SUPPORT
from tests.journeys.world import World

TOML = f"""
public_label = "Northwind support"

[[queues]]
name = "support"
label = "Support"
desk = "teams"
channels = ["{SUPPORT}"]
supervisors = ["{SAM}"]

[[queues]]
name = "billing"
label = "Billing"
desk = "teams"
channels = ["{BILLING}"]

[[triggers.policy]]
name = "large-refund"
when = "refund_amount > 100"
"""
COMMAND = ("-m", "adapters.sandbox", "teams", "--port", "0", "--retry-after-s", "1", "5", "10", "20", "40")
"""It tries for longer than its default: a bridge that was killed may take a while to start beside other tests, and
without Graph what is said meanwhile comes no other way.
"""


class TeamsWorld(World):
    """One sandbox team, one bridge or several, as many customers as a story needs. Use it as a context manager."""

    def __init__(self, folder: Path, *, sandbox: Sequence[str] = COMMAND, toml: str = TOML, **how: Any) -> None:
        """Describe the world. `sandbox` is how the sandbox is started; it is told where the bridge listens."""
        super().__init__(folder, toml=toml, **how)
        self._command = sandbox
        self._told: Json = {}
        self.teams: TeamsClient

    async def start_desk(self) -> None:
        """Start where operators sit: a sandbox team, in which the app is installed once the bridge listens."""
        self._told = await self.start_sandbox(*self._command, "--endpoint", f"{self.url}/api/messages")
        self.teams = TeamsClient(self.sandbox_url)

    async def leave_desk(self) -> None:
        """Let go of the sandbox's control interface."""
        await self.teams.close()

    def desk_environment(self) -> dict[str, str]:
        """Return what the bridge must be told of the bot, as the sandbox's first line tells it."""
        named = {key: value for key, value in self._told.items() if key not in {"url", "endpoint"}}
        return {f"HANDOFF_TEAMS__{key.upper()}": str(value) for key, value in named.items()}

    async def install(self) -> None:
        """Add the app to the team, and wait until the bridge has heard of it."""
        await self.teams.act(SAM, "install", channel=SUPPORT)
        await self.teams.delivered("installationUpdate", 1)
        await self.teams.delivered("conversationUpdate", 1)

    async def card_with(self, ticket: str) -> tuple[str, str]:
        """Wait for the card of a ticket. Returns (its channel, its id)."""

        def look(state: State) -> tuple[str, str] | None:
            for channel in (SUPPORT, BILLING):
                for post in state.posts(channel):
                    if ticket in str(post["cards"]):
                        return channel, str(post["id"])
            return None

        found = await self.teams.wait_for(look, timeout_s=60)
        assert found is not None
        return found

    async def in_thread(self, where: tuple[str, str], *words: str) -> Json:
        """Wait until a message of the thread, the card excepted, holds these words."""

        def look(state: State) -> Json | None:
            found = state.thread(*where)[1:]
            return next((each for each in found if all(word in str(each) for word in words)), None)

        answer = await self.teams.wait_for(look, timeout_s=60)
        assert answer is not None
        return answer
