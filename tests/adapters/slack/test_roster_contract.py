"""The roster of Slack keeps the promises of the fake one, against a Slack in a process of its own."""

from collections.abc import AsyncIterator

import pytest

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import DANA, GUEST, PARTNERS, SAM, SUPPORT
from adapters.slack.calls import SlackCalls
from adapters.slack.refs import user_of
from adapters.slack.roster import SlackRoster
from bridge.fakes.clock import ManualClock
from bridge.ids import ChannelId, OperatorId, QueueName
from bridge.routing import Queue
from tests.adapters.slack.conftest import settings_for
from tests.adapters.slack.rig import DESK, person
from tests.contracts.roster_contract import RosterContract

MAX_AGE_S = 30.0


def queue(name: str, channel: str) -> Queue:
    return Queue(
        name=QueueName(name),
        label=name.title(),
        desk=DESK,
        channels=(ChannelId(channel),),
        supervisors=frozenset({SAM}),
    )


class Harbour:
    """The sandbox's company; Dana is in #support and not in the partners' channel."""

    queue, other_queue = "support", "partners"
    member, supervisor, stranger = person(DANA), person(SAM), person(GUEST)

    def __init__(self, slack: Workspace) -> None:
        self.slack = slack
        self.clock = ManualClock()
        self.calls = SlackCalls(settings_for(slack.url, roster_max_age_s=MAX_AGE_S))
        queues = {"support": queue("support", SUPPORT), "partners": queue("partners", PARTNERS)}
        self.roster = SlackRoster(calls=self.calls, queues=queues, clock=self.clock)

    async def leaves(self, person: OperatorId) -> None:
        await self.slack.act(user_of(person) or "", "deactivate")
        self._age()

    async def silent(self) -> None:
        for method in ("users.info", "conversations.members"):
            await self.slack.fault(method, "error_before", error="internal_error", times=50)
        self._age()

    def _age(self) -> None:
        self.clock.set(self.clock.now() + int(MAX_AGE_S * 1000) + 1)


class TestSlackRoster(RosterContract):
    """`adapters.slack.roster.SlackRoster`."""

    @pytest.fixture
    async def office(self, slack: Workspace) -> AsyncIterator[Harbour]:
        """Everybody is back afterwards."""
        harbour = Harbour(slack)
        yield harbour
        await slack.clear_faults()
        await slack.act(DANA, "reactivate")
        await harbour.calls.stop()
