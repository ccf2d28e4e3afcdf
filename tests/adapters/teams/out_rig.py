"""What the tests of the way out to Teams share: a desk against a sandbox team in this process, and a card to post."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import SUPPORT, TEAM, TEAM_GROUP, TENANT
from adapters.sandbox.teams.sandbox import Sandbox
from adapters.sandbox.teams.server import serving
from adapters.sandbox.teams.settings import SandboxSettings
from adapters.teams import known
from adapters.teams.calls import TeamsCalls
from adapters.teams.config import Local, TeamsSettings
from adapters.teams.desk import TeamsDesk
from bridge.briefing import Card, card
from bridge.conversation import Conversation, Customer, FileRef, Handoff, Thread
from bridge.envelope import HandoffEnvelope
from bridge.facts import DeskFacts
from bridge.fakes.files import MemoryFiles
from bridge.fakes.store import MemoryStore
from bridge.ids import (
    ChannelId,
    ConversationId,
    CustomerId,
    DeskName,
    HandoffId,
    Millis,
    OutKey,
    QueueName,
    RemoteRef,
    SiteId,
    Ticket,
    mint,
)

SITE = SiteId("default")
DESK = DeskName("teams")
QUEUES = (("support", "Support"), ("billing", "Billing & refunds"))


class WallClock:
    """Implements `ports.Clock` by the machine's time."""

    def now(self) -> Millis:
        return Millis(int(time.time() * 1000))

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the way out never rests")


def key() -> OutKey:
    """Return a fresh key of an out."""
    return OutKey(mint("o"))


def thread(root: RemoteRef | None = None, channel: str = SUPPORT) -> Thread:
    """Return a thread in Support."""
    return Thread(desk=DESK, channel=ChannelId(channel), root=root)


def handoff(**fields: Any) -> Handoff:
    """Return an open handoff that waits in Support."""
    envelope = HandoffEnvelope.model_validate(
        {
            "id": mint("env"),
            "conversation_id": "c1",
            "created_at": datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
            "reason": "customer_request",
            "summary": "Parcel 7 is lost; the customer wants a refund.",
            "agent": {"id": "aria", "name": "Aria"},
            "customer": {"name": "Kim Vale", "email": "kim@vale.example"},
        }
    )
    given: dict[str, Any] = {
        "site": SITE,
        "id": HandoffId(mint("h")),
        "conversation": ConversationId("c1"),
        "ticket": Ticket("H-1042"),
        "envelope": envelope,
        "queue": QueueName("support"),
        "thread": thread(),
        "opened_at": Millis(1_800_000_000_000),
        "first_n": 3,
    }
    return Handoff(**(given | fields))


def shown_card(one: Handoff | None = None, **changes: Any) -> Card:
    """Return the card of a handoff, with any field replaced."""
    shown = one or handoff()
    customer = Customer(id=CustomerId("kim"), name="Kim Vale", verified=True)
    talk = Conversation(site=SITE, id=shown.conversation, widget="test", customer=customer)
    return replace(card(shown, talk, queue_label="Support"), **changes)


def texts(value: object) -> list[str]:
    """Return what people read in a card, in order."""
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    if isinstance(value, dict):
        own = "".join(str(run["text"]) for run in value["inlines"]) if "inlines" in value else value.get("text")
        inner = [item for name, item in value.items() if name in {"body", "items", "columns", "card", "content"}]
        return [*([str(own)] if own else []), *texts(inner)]
    return []


def words(activity: dict[str, Any]) -> str:
    """Return what people read in a message."""
    return "\n".join([str(activity.get("text") or ""), *texts(activity.get("attachments") or [])]).strip()


@dataclass
class Outside:
    """A desk whose way out leads to a sandbox."""

    sandbox: Sandbox
    teams: TeamsClient
    settings: TeamsSettings
    facts: DeskFacts
    calls: TeamsCalls
    desk: TeamsDesk
    files: MemoryFiles = field(default_factory=MemoryFiles)

    async def opened(self, **changes: Any) -> Thread:
        """Post a card; return its thread."""
        outcome = await self.desk.open(thread(), shown_card(**changes), key())
        ref = getattr(outcome, "ref", None)
        assert ref is not None, outcome
        return thread(ref)

    async def messages(self) -> Sequence[dict[str, Any]]:
        """Return what stands in Support."""
        return (await self.teams.state()).messages(SUPPORT)

    async def requests(self, method: str) -> int:
        """Return how many calls of this kind there were."""
        return len(await self.teams.calls(method))


def link(file: FileRef) -> str:
    """Return an address of a file, as the web adapter's signed links look."""
    return f"https://bridge.example/v1/files/{file.id}?e=1900000000000&s=abc"


async def remembered(**facts: str) -> DeskFacts:
    """Return facts as an installation leaves them."""
    kept = DeskFacts(MemoryStore(), SITE, DESK)
    await kept.put(
        **{
            known.TENANT: TENANT,
            known.team_of(SUPPORT): TEAM,
            known.aad_group(TEAM): TEAM_GROUP,
            **facts,
        }
    )
    return kept


@asynccontextmanager
async def outside(*, graph: bool = False, limits: bool = False, **changes: Any) -> AsyncIterator[Outside]:
    """Run a sandbox and a desk in front of it."""
    async with serving(SandboxSettings()) as sandbox, TeamsClient(sandbox.team.base_url) as teams:
        app = await teams.app()
        await teams.rules(limits=limits, graph=graph)
        settings = TeamsSettings(
            **{
                "app_id": app["app_id"],
                "app_password": app["app_password"],
                "tenant_id": app["tenant_id"],
                "graph": graph,
                "call_timeout_s": 3.0,
                "local": Local(
                    service_url=app["service_url"],
                    metadata_url=app["metadata_url"],
                    authority_url=app["authority_url"],
                    graph_url=app["graph_url"],
                ),
                **changes,
            }
        )
        facts, files = await remembered(), MemoryFiles()
        calls = TeamsCalls(settings, facts)
        desk = TeamsDesk(calls=calls, files=files, clock=WallClock(), facts=facts, link=link, queues=lambda: QUEUES)
        yield Outside(sandbox=sandbox, teams=teams, settings=settings, facts=facts, calls=calls, desk=desk, files=files)
        await calls.stop()
