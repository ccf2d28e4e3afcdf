"""What the tests of the way in from Teams share: a whole desk, and a sandbox team whose bot it is."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from adapters.sandbox.teams.client import Json, TeamsClient
from adapters.sandbox.teams.people import BILLING, LEE, SAM, SUPPORT, TENANT
from adapters.sandbox.teams.sandbox import Sandbox
from adapters.sandbox.teams.server import serving
from adapters.sandbox.teams.settings import SandboxSettings
from adapters.teams.config import Local, TeamsSettings
from adapters.teams.parts import TeamsParts, create
from adapters.teams.refs import operator_id, split_ref, split_thread
from bridge.briefing import Card
from bridge.capabilities import Part
from bridge.conversation import Author, EntryKind, Handoff, HandoffState, Operator, Role
from bridge.facts import DeskFacts
from bridge.fakes.files import MemoryFiles
from bridge.fakes.store import MemoryStore
from bridge.ids import ChannelId, HandoffId, OperatorId, QueueName, SiteId
from bridge.outcomes import Delivered
from bridge.routing import Queue
from tests.adapters.slack.rig import Book as SlackBook
from tests.adapters.slack.rig import Door, WallClock, until
from tests.adapters.teams.out_rig import DESK, SITE, handoff, key, link, remembered, shown_card, thread

__all__ = ["DESK", "SITE", "Door", "handoff", "until"]

QUEUES = {
    "support": Queue(
        name=QueueName("support"),
        label="Support",
        desk=DESK,
        channels=(ChannelId(SUPPORT),),
        supervisors=frozenset({SAM}),
    ),
    "billing": Queue(
        name=QueueName("billing"),
        label="Billing & refunds",
        desk=DESK,
        channels=(ChannelId(BILLING),),
        operators=frozenset({LEE}),
    ),
}


class Book(SlackBook):
    """The queues of this desk, and cards of its handoffs."""

    async def card(self, site: SiteId, handoff: HandoffId) -> Card | None:
        found = await self.handoff(site, handoff)
        return shown_card(found) if found else None

    def queues(self) -> Sequence[tuple[str, str]]:
        return [(queue.name, queue.label) for queue in QUEUES.values()]


class Ledger:
    """Implements acting.DeadLetters."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, HandoffId, int | None]] = []

    async def send_again(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        self.asked.append(("again", handoff, n))
        return "It is sent again."

    async def arrived(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        self.asked.append(("arrived", handoff, n))
        return ""


@dataclass
class Stage:
    """A running desk, and what stands behind it."""

    sandbox: Sandbox
    teams: TeamsClient
    settings: TeamsSettings
    parts: TeamsParts
    door: Door
    book: Book
    facts: DeskFacts
    files: MemoryFiles
    url: str
    ledger: Ledger = field(default_factory=Ledger)

    async def opened(self, **fields: Any) -> Handoff:
        """Post a card, and return its handoff with the thread's root."""
        one = handoff(**fields)
        outcome = await self.parts.desk.open(one.thread, shown_card(one), key())
        ref = getattr(outcome, "ref", None)
        assert ref is not None, outcome
        one = replace(one, thread=replace(one.thread, root=ref))
        self.book.handoffs.append(one)
        return one

    async def notice(self, one: Handoff, *actions: str, target: int = 6) -> str:
        """Post a notice with buttons below a card; return its id."""
        part = Part(
            n=7, kind=EntryKind.NOTICE, author=Author(role=Role.BRIDGE), text="Kept.", plain=False, quiet=True,
            actions=actions, target=target, handoff=one.id,
        )  # fmt: skip
        outcome = await self.parts.desk.post(one.thread, [part], key())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None
        return split_ref(outcome.ref)[1]

    async def thread(self, one: Handoff) -> list[Json]:
        """Return what people see in a handoff's thread."""
        return await self.teams.thread(one.thread.channel, root(one))

    async def told(self, one: Handoff, words: str) -> Json:
        """Wait until the thread says this."""

        def said(state: Any) -> Json | None:
            found = state.thread(one.thread.channel, root(one))
            return next((each for each in found if words in str(each)), None)

        answer = await self.teams.wait_for(said)
        assert answer is not None
        return answer


def root(one: Handoff) -> str:
    """Return the id of a handoff's card."""
    assert one.thread.root is not None
    return split_thread(split_ref(one.thread.root)[0])[1]


def person(aad: str) -> OperatorId:
    """Return the id of somebody in the sandbox."""
    return operator_id(TENANT, aad)


def owned(aad: str, name: str = "Dana Ruiz") -> dict[str, Any]:
    """Return what a handoff that somebody has taken has beside the rest."""
    return {"state": HandoffState.HUMAN, "operator": Operator(id=person(aad), name=name)}


def unknown_thread(channel: str = SUPPORT) -> Handoff:
    """Return a handoff whose card is on its way."""
    return handoff(thread=thread(None, channel))


@asynccontextmanager
async def staged(*, knows: Callable[[], Any] = remembered, **changes: Any) -> AsyncIterator[Stage]:
    """Run a sandbox and the desk that is its bot. `knows` makes the facts that the desk begins with."""
    settings = SandboxSettings(retry_after_s=(0.05, 0.05))
    async with serving(settings) as sandbox, TeamsClient(sandbox.team.base_url) as teams:
        app = await teams.app()
        await teams.rules(limits=False)
        ours = TeamsSettings(
            **{
                "app_id": app["app_id"],
                "app_password": app["app_password"],
                "tenant_id": app["tenant_id"],
                "call_timeout_s": 3.0,
                "roster_max_age_s": 0.0,
                "reorder_window_s": 0.0,
                "local": Local(
                    service_url=app["service_url"],
                    metadata_url=app["metadata_url"],
                    authority_url=app["authority_url"],
                    graph_url=app["graph_url"],
                ),
                **changes,
            }
        )
        facts, files, door, book, ledger = await knows(), MemoryFiles(), Door(), Book(), Ledger()
        parts = create(
            ours, site=SITE, receive=door, lookup=book, files=files, link=link, queues=QUEUES, clock=WallClock(),
            facts=facts, dead_letters=ledger,
        )  # fmt: skip
        application = web.Application()
        application.add_routes(parts.routes)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        url = f"http://{host}:{port}/api/messages"
        await teams.configure(endpoint=url)
        try:
            yield Stage(sandbox, teams, ours, parts, door, book, facts, files, url, ledger)
        finally:
            await runner.cleanup()
            await parts.stop()


async def nothing_known() -> DeskFacts:
    """Return the facts of an installation that has heard nothing yet."""
    return DeskFacts(MemoryStore(), SITE, DESK)
