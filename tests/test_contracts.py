"""Every port has a suite, and every suite judges a fake and a real implementation."""

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.settings import ROOT

TESTS = ROOT / "tests"


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """Where a port's promises are tested: contract classes, and who subclasses them, each as `module:class`."""

    contracts: tuple[str, ...]
    fake: tuple[str, ...]
    real: tuple[str, ...]


# A store is judged by what its transactions do. A window has no public fake but the one that the feeds are shown on.
STORE = Suite(
    contracts=("store_contract:StoreContract", "store_contract:LaneContract", "sharing_contract:SharingContract"),
    fake=tuple(f"bridge.test_fakes_store:Test{part}" for part in ("Store", "Lanes", "Sharing")),
    real=tuple(
        f"adapters.store.test_{place}:Test{part}"
        for place in ("sqlite_inline", "sqlite_writer", "postgres")
        for part in ("Store", "Lanes", "Sharing")
    ),
)
PORTS = {
    "Agent": Suite(
        contracts=("agent_contract:AgentContract",),
        fake=("bridge.test_fakes_agent:TestFakeAgent",),
        real=("adapters.agents.test_http:TestHttpAgent", "adapters.agents.test_demo:TestDemoAgent"),
    ),
    "Clock": Suite(
        contracts=("clock_contract:ClockContract",),
        fake=("bridge.test_fakes_clock:TestManualClock",),
        real=("adapters.test_clock:TestSystemClock",),
    ),
    "Desk": Suite(
        contracts=("desk_contract:DeskContract",),
        fake=("bridge.test_fake_desk:TestFakeDesk",),
        real=("adapters.slack.test_desk:TestSlackDesk",),
    ),
    "Feed": Suite(
        contracts=("feed_contract:FeedContract",),
        fake=("bridge.test_feeds:TestFakeFeed",),
        real=("bridge.test_feeds:TestShowing",),
    ),
    "Files": Suite(
        contracts=("files_contract:FilesContract",),
        fake=("bridge.test_fakes_files:TestFiles",),
        real=("adapters.store.test_files:TestFiles", "adapters.store.test_pieces:TestFiles"),
    ),
    "Lookup": Suite(
        contracts=("lookup_contract:LookupContract",),
        fake=("bridge.test_lookups:TestFakeLookup",),
        real=("bridge.test_lookups:TestStoreLookup",),
    ),
    "Receive": Suite(
        contracts=("receive_contract:ReceiveContract",),
        fake=("bridge.test_receives:TestFakeReceive",),
        real=("bridge.test_receives:TestSwitchboard",),
    ),
    "Roster": Suite(
        contracts=("roster_contract:RosterContract",),
        fake=("bridge.test_fake_roster:TestFakeRoster",),
        real=("adapters.slack.test_roster_contract:TestSlackRoster",),
    ),
    "Store": STORE,
    "Tx": STORE,
    "Viewer": Suite(
        contracts=("viewer_contract:ViewerContract",),
        fake=("bridge.test_feeds:TestRecordingViewer",),
        real=("adapters.directline.test_viewer:TestWindow",),
    ),
}
# A widget adapter implements no port of the core: it brings events, shows on viewers, and is judged as a whole.
WHOLE_WIDGETS = "widget_contract:WidgetContract"


def named(place: str, package: str = "tests") -> type:
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(f"{package}.{module}"), name)
    assert isinstance(found, type)
    return found


def test_every_port_has_a_suite() -> None:
    """A new Protocol of the core needs a contract, or this fails."""
    files = [ROOT / "bridge" / name for name in ("ports.py", "storage.py")]
    protocols = {
        node.name
        for node in (node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body)
        if isinstance(node, ast.ClassDef) and "Protocol" in {ast.unparse(base) for base in node.bases}
    }

    assert len(protocols) > 8
    assert protocols == set(PORTS)


@pytest.mark.parametrize("port", PORTS)
def test_every_suite_judges_a_fake_and_a_real_one(port: str) -> None:
    """Each of a port's contracts is subclassed by both, adds to what it inherits nothing that switches a test off."""
    suite = PORTS[port]
    contracts = [named(place, "tests.contracts") for place in suite.contracts]
    for contract in contracts:
        promises = [name for name in vars(contract) if name.startswith("test_")]
        assert len(promises) >= 3, contract
        for kind, places in (("fake", suite.fake), ("real", suite.real)):
            judged = [found for place in places if issubclass(found := named(place), contract)]
            assert judged, f"no {kind} implementation of {port} is judged by {contract.__name__}"
            overridden = [(found, name) for found in judged for name in promises if name in vars(found)]
            assert overridden == []


def test_no_suite_is_forgotten() -> None:
    """Every contract class that there is belongs to a port here."""
    known = {place for suite in PORTS.values() for place in suite.contracts} | {WHOLE_WIDGETS}
    there = {
        f"{file.stem}:{node.name}"
        for file in sorted((TESTS / "contracts").glob("*_contract.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Contract")
    }

    assert there == known


def test_every_judge_is_found_by_the_runner() -> None:
    """The classes named here live in files, and under names, that the tests collect."""
    places = {place for suite in PORTS.values() for place in (*suite.fake, *suite.real)}
    files = {Path(*place.partition(":")[0].split(".")).name for place in places}

    assert [name for name in files if not name.startswith("test_")] == []
    assert [place for place in places if not place.partition(":")[2].startswith("Test")] == []
