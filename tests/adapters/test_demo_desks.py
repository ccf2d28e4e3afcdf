"""What the demo tells the bridge of its desks, with Teams and without."""

from pathlib import Path

import pytest

from adapters import wiring
from adapters.demo_desks import NO_TEAMS, LocalDesks, Teams, settings
from adapters.sandbox.teams.people import SUPPORT, TENANT
from adapters.web.demo import SAYS, Demo
from bridge.fakes.store import MemoryStore
from bridge.ids import SiteId

URL = "http://127.0.0.1:9"
TEAMS = Teams(
    url=URL,
    channel=SUPPORT,
    told={
        "app_id": "4f1d6c2e-7b3a-4e8f-9c5d-0a1b2c3d4e5f",
        "app_password": "local",
        "tenant_id": TENANT,
        "service_url": f"{URL}/amer/",
        "metadata_url": f"{URL}/v1/.well-known/openidconfiguration",
        "authority_url": URL,
        "graph_url": URL,
    },
)


@pytest.mark.parametrize("teams", [TEAMS, None])
def test_each_queue_is_where_the_page_says(tmp_path: Path, teams: Teams | None) -> None:
    """The desk that the page names for a queue is the one that the bridge is told; without Teams all are in Slack."""
    desks = LocalDesks(slack_url=URL, teams=teams)
    told = settings(tmp_path, desks, port=0, agent_url="")
    queues = {str(queue.name): queue.desk for queue in wiring.directory(told).queues}

    assert {queue: tab.name for tab in desks.tabs for queue, _ in tab.queues} == queues
    assert queues["delivery"] == ("slack" if teams is None else "teams")
    assert bool(told.teams.app_id) is (teams is not None)
    assert desks.tabs[1].why == (NO_TEAMS if teams is None else "")


@pytest.mark.parametrize("teams", [TEAMS, None])
def test_every_sentence_says_where_it_leads(teams: Teams | None) -> None:
    """A newcomer reads behind each sentence which desk and channel it leads to, or that the agent answers."""
    demo = Demo(site=SiteId("demo"), store=MemoryStore(), desks=LocalDesks(slack_url=URL, teams=teams).tabs, issue=dict)
    says = {say["text"]: say["to"] for say in demo.config()["says"]}

    assert says == {
        "Where is my order 1042?": "",
        "Can I talk to a person?": "Slack · #support",
        "I want a refund of 250 euros": "Slack · #billing",
        "My invoice is wrong": "Slack · #billing",
        "Track my parcel": "Slack · #support" if teams is None else "Teams · Delivery",
    }
    assert len(says) == len(SAYS)
