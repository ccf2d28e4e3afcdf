"""What is among colleagues never reaches a widget: every internal field carries a word of its own, and every byte that
a window is sent is searched for it.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from adapters import directline
from adapters.store.opening import open_store
from bridge.conversation import FileRef, Standing, Turn
from bridge.events import DeliveryFailed, Escalated
from bridge.grounding import agent_turn
from bridge.ids import ConversationId, FileId, OperatorId
from bridge.lookup import StoreLookup
from bridge.showing import Showing
from bridge.storage import Tx
from bridge.triggers import Triggers
from tests.adapters.directline.server import SETTINGS, FilesInMemory
from tests.bridge.stories import BEN, DANA, SITE, SUE, Story, envelope, fence, house, queue

PUBLIC = ("hello there", "let me look", "I am Dana and here to help", "thanks a lot", "back with you", "bye for now")


@dataclass
class Canaries:
    """Words that stand in one place each."""

    words: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        """Return the word of a place."""
        return self.words.setdefault(place, f"canary{len(self.words):03d}x{place.replace(' ', '')}")


@dataclass
class Stage:
    """A real door, a real feed and a real Direct Line server over one store, and a story told on it."""

    story: Story
    base: str
    token: str
    stream_url: str
    http: aiohttp.ClientSession

    async def everything_shown(self, last: str) -> str:
        """Return all bytes that a window gets which opens now, and all that a page gets which polls."""
        frames: list[str] = []
        async with asyncio.timeout(10), self.http.ws_connect(self.stream_url) as window:
            while not any(last in frame for frame in frames):
                frames.append(str((await window.receive()).data))
        path = f"{self.base}/v3/directline/conversations/{self.story.conversation}/activities"
        async with self.http.get(path, headers={"Authorization": f"Bearer {self.token}"}) as answer:
            polled = await answer.text()
        assert last in polled
        return "".join(frames) + polled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    store = await open_store("sqlite+memory://")
    rooms = house(
        queue("support", label="the inner name of the queue", public_label="Support team"),
        queue("second", label="the inner name of another queue", public_label="Second team"),
        triggers=Triggers(),
    )
    story = Story(store=store, house=rooms)
    showing = Showing(store=store, clock=story.clock)
    reader = asyncio.create_task(showing.run())
    bound = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"
    server = directline.create(
        SETTINGS,
        site=SITE,
        receive=story.door.receive,
        feed=showing,
        lookup=StoreLookup(store, rooms.directory, story.clock),
        files=FilesInMemory(),
        link=lambda file: f"{base}/files/{file.id}",
        clock=story.clock,
    )
    app = web.Application()
    app.add_routes(server.routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    async with aiohttp.ClientSession() as http:
        token = str(server.issue("dl_kim", "Kim Doe")["token"])
        address = f"{base}/v3/directline/conversations"
        async with http.post(address, headers={"Authorization": f"Bearer {token}"}) as answer:
            opened = await answer.json()
        story.conversation = ConversationId(opened["conversationId"])
        yield Stage(story=story, base=base, token=opened["token"], stream_url=opened["streamUrl"], http=http)
    await server.close()
    await runner.cleanup()
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader
    await store.close()


def full_envelope(canary: Canaries, conversation: str) -> dict[str, Any]:
    """Return every field of an envelope that people or machines behind the bridge read."""
    return {
        "conversation_id": conversation,
        "reason": "policy",
        "reason_detail": canary("reason detail"),
        "summary": canary("summary"),
        "question": canary("question"),
        "intent": canary("intent"),
        "topics": (canary("topic"),),
        "ticket": {"id": canary("company ticket"), "url": f"https://tickets.example/{canary('ticket url')}"},
        "agent": {"id": "bot", "run_id": canary("run id"), "framework": "none"},
        "customer": {"email": f"{canary('email')}@example.org", "attributes": {"tier": canary("attribute")}},
        "routing": {"team": canary("team"), "skills": (canary("skill"),)},
        "collected": {"order": canary("collected")},
        "metadata": {"trace": canary("metadata")},
        "attempts": ({"action": canary("attempt"), "outcome": "failed", "detail": canary("attempt detail")},),
        "suggested_replies": (canary("suggested reply"),),
        "citations": ({"title": canary("citation")},),
        "transcript": ({"role": "tool", "text": canary("transcript")},),
        "resume": {"token": canary("resume token")},
        "ext": {"acme": {"k": canary("ext")}},
    }


def people(canary: Canaries) -> tuple[Any, Any, Any]:
    """Return Dana, Ben and Sue with ids that nobody outside may see."""
    ids = [OperatorId(f"slack:T1:{canary(f'operator id {n}')}") for n in range(3)]
    return tuple(replace(person, id=one) for person, one in zip((DANA, BEN, SUE), ids, strict=True))  # type: ignore[return-value]


async def escalate(story: Story, canary: Canaries) -> None:
    """Let the agent hand over, and go on talking too late."""
    await story.says(PUBLIC[0])
    run = await story.run()
    await story.agent_says(PUBLIC[1], run=run)
    await story.agent_acts(run=run, collected={"card": canary("collected by a tool")}, tool=canary("tool"))
    document = envelope("e1", **full_envelope(canary, story.conversation))
    problems = ((canary("problem path"), canary("problem")),)
    await story.bring(Escalated(**story.head(), **run, envelope=document, problems=problems))
    await story.agent_streams(canary("suppressed stream"), run=run)
    await story.agent_says(canary("suppressed"), run=run)
    await story.escalates("e2", summary=canary("second request"))
    await story.card_arrives(canary("thread root"))


async def talk(story: Story, canary: Canaries, dana: Any, ben: Any, sue: Any) -> None:
    """Let people talk among themselves in every way that there is, and once to the customer."""
    await story.types(canary("before anybody took it"), ben)
    await story.takes(dana)
    await story.types(PUBLIC[2], dana)
    await story.types(f"// {canary('slashes')}", dana)
    name = FileRef(id=FileId("f1"), name=canary("file of a note"), media_type="text/plain", size_bytes=1)
    await story.types(f"internal: {canary('label')}", dana, files=(name,))
    await story.types(f"/close {canary('command')}", dana)
    await story.types(f"ask {canary('mention')}", dana, hints=frozenset({"mentions_person"}))
    await story.types(f"retrun {canary('mistyped')}", dana, hints=frozenset({"mentions_bridge"}))
    await story.types(canary("colleague"), ben)
    await story.types(canary("bot"), ben, hints=frozenset({"is_bot"}))
    stranger = replace(ben, standing=Standing.NONE, why=canary("why not"))
    await story.types(canary("stranger"), stranger)
    answer = await story.types("for a moment an answer", dana)
    await story.edits(answer, f"// {canary('edit')}", dana)
    note = await story.types(f"// {canary('note before its edit')}", dana)
    await story.edits(note, canary("note after its edit"), dana)
    await story.rehearses(dana, note=canary("rehearsed note"))
    rehearsal = await story.store.run(lambda tx: tx.claim_turn("w", story.clock.now(), 60_000))
    assert rehearsal is not None
    await story.agent_says(canary("rehearsed words"), run=fence(rehearsal))
    await story.transfers(dana, to_operator=ben, note=canary("transfer to a colleague"))
    await story.transfers(sue, to_queue="second", note=canary("transfer to a queue"))
    await story.card_arrives()
    await story.takes(dana)
    handoff = (await story.handoff()).id
    reason, remedy = canary("delivery reason"), canary("delivery remedy")
    await story.bring(DeliveryFailed(**story.head(), handoff=handoff, n=1, reason=reason, remedy=remedy))
    await story.says(PUBLIC[3])


async def test_nothing_internal_ever_reaches_a_widget(stage: Stage) -> None:
    """Envelope, notes, talk, suppressed and rehearsed words, ids and reasons of the inner world: of each a word of its
    own is in the store, and none in any byte that a window or a polling page is sent. What the operator noted on return
    reaches the agent, and nobody else.
    """
    story, canary = stage.story, Canaries()
    dana, ben, sue = people(canary)
    await escalate(story, canary)
    await talk(story, canary, dana, ben, sue)
    noted: dict[str, Any] = {
        "note": canary("return note"),
        "facts": (canary("fact"),),
        "promises": (canary("promise"),),
        "do_not_repeat": (canary("do not repeat"),),
    }
    await story.returns(dana, **noted)
    await story.types(canary("after the return"), dana)
    turn = await story.turn()
    assert turn is not None
    read = await read_by_agent(story, turn)
    await story.agent_says(PUBLIC[4])
    await story.reopens(sue)
    await story.card_arrives()
    await story.types(PUBLIC[5], sue)
    await story.closes(sue)

    shown = await stage.everything_shown(PUBLIC[5])

    stored = await everything_stored(story)
    assert [place for place, word in canary.words.items() if word not in stored and place not in NOT_KEPT] == []
    assert [place for place, word in canary.words.items() if word in shown] == []
    assert [words for words in PUBLIC if words not in shown] == []
    assert "inner name" not in shown
    assert (await story.handoff()).why_here not in shown
    assert all(canary.words[place] in read for place in ("return note", "fact", "promise", "do not repeat"))
    internal = set(canary.words) - {"return note", "fact", "promise", "do not repeat", *READ_BY_AGENT}
    assert [place for place in internal if canary.words[place] in read] == []


NOT_KEPT = {"suppressed stream", "bot", "tool", "why not", "thread root"}
"""What leaves no trace in the log and the handoffs: dropped, or kept in rows of turns and lanes."""

READ_BY_AGENT = {"resume token", "collected by a tool"}
"""What is the agent's own, and goes back to it."""


async def read_by_agent(story: Story, turn: Turn) -> str:
    """Return all that the agent's next run is given."""
    return repr(await story.look(lambda tx: agent_turn(tx, turn)))


async def everything_stored(story: Story) -> str:
    """Return the log and the handoffs as text."""

    def unit(tx: Tx) -> list[Any]:
        row = tx.conversation(SITE, story.conversation, lock=False)
        found: list[Any] = [tx.entries(SITE, story.conversation), row]
        wanted = row.handoff if row is not None else None
        while wanted is not None and (handoff := tx.handoff(SITE, wanted)) is not None:
            found.append(handoff)
            wanted = handoff.previous
        return found

    return repr(await story.look(unit))
