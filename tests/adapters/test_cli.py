"""The command line as people meet it: the real process."""

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import jsonschema
import pytest

from adapters.store.opening import open_store
from bridge.conversation import Customer
from bridge.envelope import HandoffEnvelope
from bridge.events import CustomerSaid, Escalated
from bridge.fakes.clock import ManualClock
from bridge.ids import ChannelId, ConversationId, CustomerId, DeskName, OutKey, QueueName, SiteId, SourceId
from bridge.judging import House
from bridge.routing import Directory, Queue
from bridge.storage import Tx
from bridge.switchboard import Switchboard
from bridge.triggers import Triggers

PROGRAM = Path(sys.executable).parent / "handoff-bridge"
SITE = SiteId("main")
DESK = DeskName("slack")
FILE = """
[[queues]]
name = "support"
channels = ["C0123456789"]
hours = { zone = "Europe/Berlin", open = ["Mon-Fri 09:00-17:00"] }

[[queues]]
name = "billing"
channels = ["C0123456780"]
when_closed = "stay"

[[routes]]
queue = "billing"
reason = "policy"
"""


def run(folder: Path, *words: str, status: int = 0, given: str | None = None) -> str:
    """Standard output of one call, or standard error where another status than 0 is wanted."""
    done = subprocess.run(
        [str(PROGRAM), *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "200", "TERM": "dumb"},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "handoff.toml").write_text(FILE, encoding="utf-8")
    return tmp_path


def test_help_is_there_at_once(folder: Path) -> None:
    """Help lists every command, and nothing heavy is imported for it."""
    page = run(folder, "--help")
    commands = "serve demo sandbox doctor queues manifest schema migrate dead-letters agent"
    program = (
        "import sys, adapters.cli; print(sorted({'pydantic', 'aiohttp', 'sqlalchemy', 'slack_sdk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [name for name in commands.split() if name not in page] == []
    assert done.stdout.strip() == "[]"


def test_queues_shows_where_a_sample_goes_and_why(folder: Path) -> None:
    """Every queue with its state at the time asked for, and the sample's way."""
    page = run(folder, "queues", "--at", "2026-11-21T12:00+01:00")

    assert "support (default)" in page
    assert "closed, opens on Monday at 09:00 (Berlin time)" in page
    assert "customer_request -> support, C0123456789: This is the default queue." in page
    assert "It is closed and opens on Monday at 09:00 (Berlin time); rule: wait." in page


def test_queues_explains_an_envelope_of_ones_own(folder: Path) -> None:
    """From a file or standard input; what does not fit is named."""
    envelope = json.dumps(
        {"conversation_id": "c", "reason": "policy", "summary": "x", "confidence": 3, "agent": {"id": "a"}}
    )
    (folder / "e.json").write_text(envelope, encoding="utf-8")

    for page in (run(folder, "queues", "e.json"), run(folder, "queues", "-", given=envelope)):
        assert "policy -> billing, C0123456780: Rule 1 sends reason policy here." in page
        assert "the envelope's confidence: " in page


@pytest.mark.parametrize(
    "words,given,line",
    [
        (["queues", "-"], "{", "-: is not JSON: "),
        (["queues", "nowhere.json"], None, "nowhere.json: cannot be read: No such file or directory"),
        (["queues", "-"], "{}", "the envelope: conversation_id: is missing or not a string"),
        (["queues", "--at", "noon"], None, "--at: must be a time with its zone, as in 2026-11-23T09:00+01:00"),
        (["manifest", "slack", "--output", "no/where.yaml"], None, "--output: no/where.yaml cannot be written: "),
        (["dead-letters", "retry"], None, "name the keys that `handoff-bridge dead-letters list` shows, or say --all"),
        (
            ["dead-letters", "drop", "o_1"],
            None,
            "o_1: there is no such dead letter; see: handoff-bridge dead-letters list",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(folder: Path, words: list[str], given: str | None, line: str) -> None:
    """Status 2 and one line that says what to do; no traceback."""
    said = run(folder, *words, status=2, given=given)

    assert said.startswith(line)
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("document", ["envelope", "return", "turn"])
def test_schemas_are_json_schema(folder: Path, document: str) -> None:
    """What is printed can be used to check documents."""
    schema = json.loads(run(folder, "schema", document))

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]


def test_migrate_makes_the_database_and_may_be_repeated(folder: Path) -> None:
    """Twice in a row, the second time with nothing to do."""
    for _ in range(2):
        assert run(folder, "migrate") == "sqlite:///handoff.db is up to date\n"
    assert (folder / "handoff.db").is_file()


async def bury_two(database: Path) -> None:
    """Leave the card and the transcript of one handoff as dead letters."""
    store, clock = await open_store(f"sqlite:///{database}"), ManualClock()
    queue = Queue(name=QueueName("support"), label="Support", desk=DESK, channels=(ChannelId("C0123456789"),))
    house = House(directory=Directory(queues=(queue,)), triggers=Triggers())
    switchboard = Switchboard(store=store, clock=clock, house=house)
    conversation = ConversationId("cnv_1")
    said = CustomerSaid(
        site=SITE,
        source=SourceId("c1"),
        at=clock.now(),
        conversation=conversation,
        widget="directline",
        customer=Customer(id=CustomerId("u1")),
        text="CANARY",
    )
    envelope = HandoffEnvelope.model_validate(
        {
            "id": "e1",
            "conversation_id": conversation,
            "created_at": "2026-11-22T10:00:00Z",
            "reason": "policy",
            "summary": "CANARY",
            "agent": {"id": "a"},
        }
    )
    await switchboard.receive(said)
    await switchboard.receive(
        Escalated(site=SITE, source=SourceId("e1"), at=clock.now(), conversation=conversation, envelope=envelope)
    )

    def bury(tx: Tx) -> None:
        claim = tx.claim_lane(DESK, "w", clock.now(), 30_000)
        assert claim is not None
        for out in claim.outs:
            assert tx.begin_send(claim, [out.k], OutKey(f"o_{out.k}"), clock.now(), clock.now())
            assert tx.bury(claim, [out.k], reason="channel_not_found", maybe_sent=False)
        tx.release(claim)

    await store.run(bury)
    await store.close()


def test_dead_letters_are_listed_retried_and_dropped(folder: Path) -> None:
    """Each is shown once with ticket and reason and never with its words; a decision takes effect once."""
    asyncio.run(bury_two(folder / "handoff.db"))

    page = run(folder, "dead-letters", "list")
    assert "CANARY" not in page
    keys = [word for word in page.split() if word.startswith("o_")]
    assert keys
    assert page.count("H-1001") == page.count("channel_not_found") == len(keys)

    assert run(folder, "dead-letters", "retry", keys[0]) == "1 will be sent again\n"
    run(folder, "dead-letters", "retry", keys[0], status=2)
    assert run(folder, "dead-letters", "drop", "--all") == f"{len(keys) - 1} forgotten\n"
    assert run(folder, "dead-letters", "list") == "There is none.\n"


def test_an_agent_that_is_not_there_fails_its_check(folder: Path) -> None:
    """Status 1, and the first finding says what is wrong and what to do."""
    command = [str(PROGRAM), "agent", "check", "http://127.0.0.1:9/turn"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    finding, remedy, *_ = done.stdout.splitlines()

    assert done.returncode == 1
    assert finding.startswith("failed  answers a message: unreachable")
    assert remedy.strip()
    assert done.stderr == ""


def test_the_sandbox_says_where_it_is(folder: Path) -> None:
    """The first line is JSON with the address; it answers there until it is stopped."""
    command = [str(PROGRAM), "sandbox", "slack", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/sandbox/state") as answer:
            assert json.load(answer)
        process.terminate()
        assert process.wait(15) == 0


def test_serve_names_what_it_passed_over_and_why_it_cannot_listen(folder: Path) -> None:
    """One line for what Kubernetes set, one for an address that somebody else has; no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {
            "HANDOFF_SECRET_KEY": "k" * 32,
            "HANDOFF_SLACK__BOT_TOKEN": "xoxb-x",
            "HANDOFF_SLACK__APP_TOKEN": "xapp-x",
            "HANDOFF_SLACK__API_URL": "http://127.0.0.1:9/api/",
            "HANDOFF_AGENT__KIND": "demo",
            "HANDOFF_PORT": str(taken.getsockname()[1]),
            "HANDOFF_SERVICE_HOST": "10.0.0.1",
        }
        done = subprocess.run(
            [str(PROGRAM), "serve"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert done.returncode == 2
    first, *_, last = done.stderr.splitlines()
    assert first == "passed over what Kubernetes set: HANDOFF_SERVICE_HOST"
    assert environment["HANDOFF_PORT"] in last
    assert "Traceback" not in done.stderr
