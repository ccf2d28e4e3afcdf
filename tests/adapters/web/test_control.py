"""The control API over a real socket, the real switchboard and a store in memory."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.web import control
from adapters.web.answers import Access
from bridge.conversation import Audience, Conversation, Customer, Operator, Standing, State, Turn
from bridge.envelope import MAX_ENVELOPE_BYTES
from bridge.events import CustomerSaid, OperatorTook
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import ChannelId, ConversationId, CustomerId, DeskName, OperatorId, QueueName, SiteId, SourceId
from bridge.judging import House
from bridge.lookup import StoreLookup
from bridge.routing import Directory, Hours, Queue
from bridge.switchboard import Switchboard
from bridge.triggers import Triggers

SITE = SiteId("main")
CNV = ConversationId("cnv_1")
KEYS = {role: f"{role}-key-0123456789abcdef0123456789" for role in ("agent", "backend", "admin")}
DANA = OperatorId("slack:T1:U1")
ENVELOPE = {
    "spec": "handoff/1",
    "id": "env-1",
    "conversation_id": CNV,
    "created_at": "2026-11-22T10:00:00Z",
    "reason": "policy",
    "summary": "Wants 200 back.",
    "agent": {"id": "a"},
}


class Roster:
    """People of one queue: Dana, and nobody else."""

    async def operator(self, person: OperatorId, handoff_queue: str) -> Operator:
        if person == DANA and handoff_queue == "support":
            return Operator(id=DANA, name="Dana Ruiz", standing=Standing.ALLOWED)
        return Operator(id=person, name="?", why="This person is not in the queue's channel.")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """One conversation with one line of a customer, and the API in front of it."""

    client: TestClient[web.Request, web.Application]
    switchboard: Switchboard
    store: MemoryStore
    clock: ManualClock

    async def call(
        self, method: str, path: str = "", body: object = None, *, role: str = "admin", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one call about the conversation."""
        data = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {KEYS[role]}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        address = path if path.startswith("/v1") else f"/v1/conversations/{CNV}{path}"
        async with self.client.request(method, address, data=data, headers=headers) as response:
            assert response.headers["Cache-Control"] == "no-store"
            return response.status, await response.json()

    async def turn(self) -> Turn:
        """The live turn, claimed as a worker does."""
        turn = await self.store.run(lambda tx: tx.claim_turn("w", self.clock.now(), 30_000))
        assert turn is not None
        return turn

    async def conversation(self) -> Conversation:
        found = await self.store.read(lambda tx: tx.conversation(SITE, CNV, lock=False))
        assert found is not None
        return found

    async def take(self, handoff: str) -> None:
        """Dana takes it."""
        dana = Operator(id=DANA, name="Dana Ruiz", standing=Standing.ALLOWED)
        event = OperatorTook(
            site=SITE,
            source=SourceId("take"),
            at=self.clock.now(),
            operator=dana,
            handoff=handoff,  # type: ignore[arg-type]
        )
        await self.switchboard.receive(event)


QUEUE = Queue(name=QueueName("support"), label="Support", desk=DeskName("slack"), channels=(ChannelId("C000001"),))


async def build(queue: Queue = QUEUE) -> AsyncIterator[World]:
    store, clock = MemoryStore(), ManualClock()
    directory = Directory(queues=(queue,))
    switchboard = Switchboard(store=store, clock=clock, house=House(directory=directory, triggers=Triggers()))
    app = web.Application()
    made = control.Control(
        site=SITE,
        receive=switchboard.receive,
        lookup=StoreLookup(store, directory, clock),
        clock=clock,
        roster=Roster(),
        queue_for=lambda envelope: envelope.queue or "support",
    )
    control.add_routes(app, made, Access([*KEYS.items()]))
    async with TestClient(TestServer(app)) as client:
        await switchboard.receive(
            CustomerSaid(
                site=SITE,
                source=SourceId("c1"),
                at=clock.now(),
                conversation=CNV,
                widget="directline",
                customer=Customer(id=CustomerId("u1"), name="Kim", verified=False),
                text="I want my money back",
            )
        )
        yield World(client=client, switchboard=switchboard, store=store, clock=clock)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async for made in build():
        yield made


@pytest.fixture
async def closed_world() -> AsyncIterator[World]:
    async for made in build(replace(QUEUE, hours=Hours(), when_closed="stay")):
        yield made


CALLS = [("GET", ""), ("POST", "/handoffs"), ("POST", "/messages"), ("POST", "/return")]


@pytest.mark.parametrize("method,path", CALLS)
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEYS['admin']}", f"Bearer {KEYS['admin']}x", "Bearer \udcff"],
)
async def test_nothing_happens_without_a_key(world: World, method: str, path: str, header: str) -> None:
    """Each call needs a right bearer key, and is told how to send it."""
    headers = {"Authorization": header} if header else {}
    if "\udcff" in header:
        headers = {"Authorization": "Bearer ÿ"}
    async with world.client.request(method, f"/v1/conversations/{CNV}{path}", headers=headers, data="{}") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await response.json())["error"]["code"] == "unauthorized"
    assert (await world.conversation()).state is State.AGENT


@pytest.mark.parametrize("role,path", [("agent", "/return"), ("backend", "/messages")])
async def test_a_role_does_only_what_it_may(world: World, role: str, path: str) -> None:
    """An agent does not return by itself, and a backend does not speak as the agent."""
    status, body = await world.call("POST", path, {}, role=role)

    assert (status, body["error"]["code"]) == (403, "forbidden")


async def test_without_keys_nobody_may() -> None:
    """An installation without API keys has no open door."""
    access = Access([])

    assert not access.is_configured


async def test_it_tells_who_owns_the_conversation(world: World) -> None:
    """A tool asks before it acts: first the agent may speak, after the handoff it may not."""
    status, body = await world.call("GET", role="agent")
    assert (status, body["state"], body["agent_may_speak"], body["handoff"]) == (200, "agent", True, None)

    _, accepted = await world.call("POST", "/handoffs", ENVELOPE, role="agent")
    await world.take(accepted["handoff_id"])
    _, body = await world.call("GET", role="agent")

    assert (body["state"], body["agent_may_speak"], body["operator"]) == ("human", False, "Dana Ruiz")
    assert body["handoff"]["ticket"] == accepted["ticket"]
    assert body["handoff"]["reason"] == "policy"
    assert body["epoch"] == accepted["epoch"] + 1


@pytest.mark.parametrize("method,path", CALLS)
async def test_an_unknown_conversation_is_404(world: World, method: str, path: str) -> None:
    """No call makes a conversation that no widget opened."""
    message = {"turn": "t", "epoch": 1, "id": "m", "text": "x"}
    status, body = await world.call(method, f"/v1/conversations/cnv_nowhere{path}", message)

    assert (status, body["error"]["code"]) == (404, "not_found")


async def test_an_envelope_hands_over_once(world: World) -> None:
    """202 with the ticket, 200 with the same ticket for the same id, and one handoff in the store."""
    first = await world.call("POST", "/handoffs", ENVELOPE)
    again = await world.call("POST", "/handoffs", ENVELOPE)

    assert first == (
        202,
        {
            "status": "queued",
            "handoff_id": first[1]["handoff_id"],
            "ticket": "H-1001",
            "epoch": 2,
            "say_nothing_more": True,
            "problems": [],
        },
    )
    assert again == (200, {**first[1], "status": "known"})
    assert len(await world.store.read(lambda tx: tx.open_handoffs(SITE))) == 1
    assert (await world.conversation()).state is State.WAITING


async def test_another_envelope_is_noted(world: World) -> None:
    """People who have the conversation already are told; nothing is opened twice."""
    _, first = await world.call("POST", "/handoffs", ENVELOPE)
    status, second = await world.call("POST", "/handoffs", {**ENVELOPE, "id": "env-2"})

    assert (status, second["status"], second["ticket"]) == (202, "noted", first["ticket"])


@pytest.mark.parametrize(
    "body,paths",
    [
        ({**ENVELOPE, "confidence": 7, "customer": {"email": 5}}, {"confidence", "customer.email"}),
        ({"reason": "mood"}, {"summary", "agent"}),
        ([1, 2], {"(document)"}),
        ("not json", {"(document)"}),
        (b"\xff\xfe", {"(document)"}),
        ("", {"(document)"}),
    ],
)
async def test_a_customer_never_waits_for_a_tidy_document(world: World, body: object, paths: set[str]) -> None:
    """Whatever an agent sends about a live conversation opens the handoff; what did not fit is listed."""
    status, accepted = await world.call("POST", "/handoffs", body)

    assert status == 202
    assert {problem["path"] for problem in accepted["problems"]} == paths
    assert (await world.conversation()).state is State.WAITING


async def test_the_key_of_the_call_stands_in_for_the_envelopes_id(world: World) -> None:
    """An envelope without an id is known by the Idempotency-Key."""
    body = {key: value for key, value in ENVELOPE.items() if key != "id"}
    first = await world.call("POST", "/handoffs", body, Idempotency_Key="k-1")
    again = await world.call("POST", "/handoffs", body, Idempotency_Key="k-1")

    assert (first[0], again[0]) == (202, 200)
    assert first[1]["ticket"] == again[1]["ticket"]


async def test_the_address_wins_over_the_document(world: World) -> None:
    """An envelope about another conversation does not reach it."""
    status, _ = await world.call("POST", "/handoffs", {**ENVELOPE, "conversation_id": "cnv_other"})
    [handoff] = await world.store.read(lambda tx: tx.open_handoffs(SITE))

    assert status == 202
    assert (handoff.conversation, handoff.envelope.conversation_id) == (CNV, CNV)


async def test_nobody_becomes_verified_by_claiming_it(world: World) -> None:
    """Who the customer is comes from the widget's token."""
    await world.call("POST", "/handoffs", {**ENVELOPE, "customer": {"id": "boss", "verified": True, "tier": "gold"}})
    [handoff] = await world.store.read(lambda tx: tx.open_handoffs(SITE))
    customer = handoff.envelope.customer

    assert (customer.id, customer.verified, customer.name, customer.tier) == ("u1", False, "Kim", "gold")


@pytest.mark.parametrize("path", ["/handoffs", "/messages", "/return"])
async def test_a_body_over_the_limit_is_refused(world: World, path: str) -> None:
    """256 KiB is the most; nothing of more is kept, whether or not its length was announced."""
    status, body = await world.call("POST", path, " " * (MAX_ENVELOPE_BYTES + 1))
    assert (status, body["error"]["code"]) == (413, "too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 65_536

    headers = {"Authorization": f"Bearer {KEYS['admin']}"}
    async with world.client.post(f"/v1/conversations/{CNV}{path}", data=pieces(), headers=headers) as response:
        assert response.status == 413
    assert (await world.conversation()).state is State.AGENT


async def test_a_closed_queue_whose_rule_is_stay_says_so(closed_world: World) -> None:
    """409 with a sentence: the agent keeps the conversation and can tell the customer."""
    status, body = await closed_world.call("POST", "/handoffs", ENVELOPE)

    assert (status, body["error"]["code"]) == (409, "refused")
    assert "closed" in body["error"]["message"]
    assert (await closed_world.conversation()).state is State.AGENT


async def test_a_named_operator_takes_over_unasked(world: World) -> None:
    """Reason operator_takeover with a person who may: the person owns it at once."""
    takeover = {**ENVELOPE, "reason": "operator_takeover", "routing": {"assignee_hint": DANA}}
    status, accepted = await world.call("POST", "/handoffs", takeover, role="backend")
    conversation = await world.conversation()

    assert (status, accepted["epoch"]) == (202, 2)
    assert conversation.state is State.HUMAN
    assert conversation.operator is not None
    assert conversation.operator.name == "Dana Ruiz"


@pytest.mark.parametrize(
    "role,person,code", [("agent", DANA, "forbidden"), ("admin", "slack:T1:U9", "not_an_operator")]
)
async def test_only_a_person_who_may_is_made_to_take_over(world: World, role: str, person: str, code: str) -> None:
    """An agent names nobody, and nobody outside the queue is named."""
    takeover = {**ENVELOPE, "reason": "operator_takeover", "routing": {"assignee_hint": person}}
    _, body = await world.call("POST", "/handoffs", takeover, role=role)

    assert body["error"]["code"] == code
    assert (await world.conversation()).state is State.AGENT


async def test_the_agent_speaks_within_its_turn_until_ownership_moves(world: World) -> None:
    """A message of the live turn is shown; after the handoff the same call gets 409 and its words are kept back."""
    turn = await world.turn()
    message = {"turn": turn.id, "epoch": turn.epoch, "attempt": turn.attempt, "id": "m1", "text": "One moment."}

    status, body = await world.call("POST", "/messages", message, role="agent")
    repeat, _ = await world.call("POST", "/messages", message, role="agent")
    await world.call("POST", "/handoffs", ENVELOPE)
    late, refusal = await world.call("POST", "/messages", {**message, "id": "m2", "text": "Too late."}, role="agent")

    entries = await world.store.read(lambda tx: tx.entries(SITE, CNV))
    said = {entry.text: entry.audience for entry in entries}
    assert (status, repeat) == (202, 202)
    assert body["n"] is not None
    assert (late, refusal["error"]["code"], refusal["error"]["epoch"]) == (409, "ownership_moved", 2)
    assert [entry.text for entry in entries].count("One moment.") == 1
    assert said["One moment."] is Audience.EVERYONE
    assert said["Too late."] is Audience.SUPPRESSED


@pytest.mark.parametrize("wrong", [{"epoch": 9}, {"turn": "t_other"}, {"attempt": 2}])
async def test_a_message_that_does_not_match_the_live_turn_is_fenced(world: World, wrong: dict[str, object]) -> None:
    """Epoch, turn and attempt must all be the live ones."""
    turn = await world.turn()
    message = {"turn": turn.id, "epoch": turn.epoch, "attempt": turn.attempt, "id": "m1", "text": "No.", **wrong}
    status, body = await world.call("POST", "/messages", message, role="agent")
    entries = await world.store.read(lambda tx: tx.entries(SITE, CNV))

    assert (status, body["error"]["code"]) == (409, "ownership_moved")
    assert all(entry.audience is not Audience.EVERYONE for entry in entries if entry.text == "No.")


@pytest.mark.parametrize(
    "path,body,status,where",
    [
        ("/messages", {"turn": "t", "epoch": 1, "id": "m"}, 422, ["text"]),
        ("/messages", {"turn": "t", "epoch": 0, "id": "m m", "text": "x"}, 422, ["epoch", "id"]),
        ("/messages", "nope", 400, []),
        ("/return", {"outcome": "great"}, 422, ["outcome"]),
        ("/return", [], 422, ["(document)"]),
        ("/return", "", 400, []),
    ],
)
async def test_what_does_not_fit_is_named(world: World, path: str, body: object, status: int, where: list[str]) -> None:
    """422 with the path of each field, 400 for what is no JSON."""
    got, answer = await world.call("POST", path, body)

    assert got == status
    assert sorted(problem["path"] for problem in answer["error"].get("problems", [])) == where


async def test_the_backend_gives_it_back_with_a_note(world: World) -> None:
    """The agent owns it again, a turn waits for it or for the customer, and the note is kept."""
    _, accepted = await world.call("POST", "/handoffs", ENVELOPE)
    note = {"outcome": "resolved", "note": "Refunded.", "facts": ["refund 4711"], "by": "Acme CRM"}
    status, body = await world.call("POST", "/return", note, role="backend")
    handoff = await world.store.read(lambda tx: tx.handoff(SITE, accepted["handoff_id"]))

    assert (status, body) == (200, {"ticket": accepted["ticket"], "epoch": accepted["epoch"] + 1})
    assert (await world.conversation()).state is State.AGENT
    assert handoff is not None
    assert handoff.note is not None
    assert (handoff.note.note, handoff.note.facts) == ("Refunded.", ("refund 4711",))


async def test_there_is_nothing_to_return_while_the_agent_has_it(world: World) -> None:
    """409, before the first handoff and after a return."""
    first, _ = await world.call("POST", "/return", {})
    await world.call("POST", "/handoffs", ENVELOPE)
    await world.call("POST", "/return", {})
    second, body = await world.call("POST", "/return", {})

    assert (first, second, body["error"]["code"]) == (409, 409, "not_handed_over")


@pytest.mark.parametrize("path", ["/handoffs", "/messages", "/return"])
async def test_a_store_that_cannot_keep_it_is_503(world: World, path: str) -> None:
    """Nothing is acknowledged that was not kept, and the caller is told to come again."""
    if path == "/return":
        await world.call("POST", "/handoffs", ENVELOPE)
    before = await world.conversation()
    world.store.fail_next(5)
    turn = {"turn": "t", "epoch": 1, "id": "m", "text": "x", **ENVELOPE}
    headers = {"Authorization": f"Bearer {KEYS['admin']}"}
    async with world.client.post(f"/v1/conversations/{CNV}{path}", data=json.dumps(turn), headers=headers) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
    assert await world.conversation() == before
