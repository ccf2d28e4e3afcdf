"""The Teams desk against a strict local Teams: threads, texts, files, and what Teams does when things go wrong."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from adapters.sandbox.teams.people import SUPPORT
from adapters.teams import known, render
from adapters.teams.desk import TeamsDesk
from adapters.teams.refs import operator_id, split_ref
from bridge.briefing import Card, Transcript
from bridge.capabilities import Support, fit
from bridge.conversation import EntryKind, FileRef, HandoffState, Role, Thread
from bridge.errors import ThreadUnreadable
from bridge.ids import FileId, Millis, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused, RetryLater, Unknown
from tests.adapters.teams.out_rig import Outside, WallClock, key, outside, shown_card, thread, words
from tests.contracts.desk_contract import DeskContract, line
from tests.contracts.desk_contract import Room as RoomOfAll


@pytest.fixture
async def out() -> AsyncIterator[Outside]:
    """A desk that cannot read back."""
    async with outside() as one:
        yield one


@pytest.fixture
async def reader() -> AsyncIterator[Outside]:
    """A desk to which Graph is granted."""
    async with outside(graph=True) as one:
        yield one


@dataclass
class TeamsRoom:
    """The Teams desk as the contract sees it."""

    out: Outside

    @property
    def desk(self) -> TeamsDesk:
        return self.out.desk

    def card(self, summary: str) -> Card:
        return shown_card(summary=summary)

    def thread(self, root: RemoteRef | None = None) -> Thread:
        return thread(root)

    async def seen(self, ref: RemoteRef) -> str | None:
        wanted = split_ref(ref)[1]
        found = [one for one in await self.out.messages() if one["id"] == wanted and not one["is_deleted"]]
        return _words(found[0]) if found else None

    async def all_seen(self) -> Sequence[str]:
        return [_words(one) for one in await self.out.messages() if not one["is_deleted"]]

    async def lose(self, root: RemoteRef) -> None:
        await self.out.calls.delete(*split_ref(root))

    def keep(self, name: str) -> FileRef:
        return FileRef(id=FileId(name), name=name, media_type="application/octet-stream", size_bytes=4)

    async def files(self) -> Sequence[str]:
        return [name for one in await self.out.messages() for name in _linked(one)]

    def now(self) -> Millis:
        return WallClock().now()


def _words(shown: dict[str, Any]) -> str:
    return words({"text": shown["text"], "attachments": shown["cards"]})


def _linked(shown: dict[str, Any]) -> list[str]:
    return [text.split(" ")[1] for text in _words(shown).splitlines() if text.startswith(("📎 ", "📄 "))]


class TestTeamsDesk(DeskContract):
    """The contract, where Graph can look. Files are links in the post itself, so nothing can follow it later."""

    async def test_what_should_have_followed_a_post_is_brought_once(self, room: RoomOfAll) -> None:
        """A post holds the links to its files, those of the same name too: there is nothing to bring."""
        opened, parts = await self.opened(room), self.with_files(room, "image.png", "image.png", "bill.pdf")
        outcome = await room.desk.post(opened, parts, key())
        assert isinstance(outcome, Delivered)
        assert outcome.ref is not None

        for _ in range(2):
            assert isinstance(await room.desk.complete(opened, parts, outcome.ref), Delivered)
            assert list(await room.files()) == ["image.png", "image.png", "bill.pdf"]

    async def test_files_of_an_earlier_post_do_not_count_for_a_later_one(self, room: RoomOfAll) -> None:
        """Each post has its own links."""
        opened, parts = await self.opened(room), self.with_files(room, "image.png")
        for _ in range(2):
            await room.desk.post(opened, parts, key())
        assert list(await room.files()) == ["image.png", "image.png"]

    async def test_a_transcript_gets_the_file_that_it_lost(self, room: RoomOfAll) -> None:
        """The whole transcript is linked where there is more than the message shows; a short one has no file."""
        opened = await self.opened(room)
        whole = Transcript(lines=(line("said"),), earlier=0, file_name="transcript-H-1.txt", file_text="said")
        await room.desk.post_transcript(opened, whole, key())
        assert list(await room.files()) == []

        await room.desk.post_transcript(opened, replace(whole, earlier=40), key())
        assert list(await room.files()) == ["transcript-H-1.txt"]

    @pytest.fixture
    def room(self, reader: Outside) -> RoomOfAll:
        """The sandbox's Support."""
        return TeamsRoom(reader)


FAULTS: list[tuple[str, dict[str, Any], type[Outcome]]] = [
    ("rate_limited", {}, RetryLater),
    ("http_before", {"status": 412, "code": "PreconditionFailed"}, RetryLater),
    ("http_before", {"status": 500}, Unknown),
    ("http_after", {"status": 502}, Unknown),
    ("http_after", {"status": 504}, Unknown),
    ("http_before", {"status": 503}, Unknown),
    ("drop_before", {}, Unknown),
    ("drop_after", {}, Unknown),
    ("http_before", {"status": 401, "code": "Unauthorized"}, Refused),
    ("http_before", {"status": 403, "code": "MessageWritesBlocked"}, Refused),
    ("http_before", {"status": 413, "code": "MessageSizeTooBig"}, Refused),
    ("http_before", {"status": 418, "code": "Teapot"}, Refused),
]


@pytest.mark.parametrize("kind, details, expected", FAULTS, ids=[f"{f[0]}-{f[1].get('status', '')}" for f in FAULTS])
async def test_each_fault_is_an_outcome(
    reader: Outside, kind: str, details: dict[str, Any], expected: type[Outcome]
) -> None:
    """Whatever goes wrong with a post is answered, never raised, and tried once."""
    one = await reader.opened()
    calls, mark, since = await reader.requests("send"), key(), WallClock().now()
    await reader.teams.fault("send", kind, times=-1, **details)
    outcome = await reader.desk.post(one, fit(line("hello"), reader.desk.capabilities), mark)
    await reader.teams.clear_faults()

    assert type(outcome) is expected
    assert await reader.requests("send") == calls + 1
    found = await reader.desk.find(one, mark, since)
    assert (found is not None) == kind.endswith("_after")


@pytest.mark.parametrize("method", ["update", "delete"])
async def test_what_may_be_done_twice_is_tried_once_and_then_again_later(out: Outside, method: str) -> None:
    """The library would try a PUT or DELETE again by itself; the courier does that, in its own time."""
    one = await out.opened()
    assert one.root is not None
    await out.teams.fault(method, "http_after", times=-1, status=502)
    if method == "update":
        outcome = await out.desk.refresh(one, shown_card(summary="new"))
    else:
        outcome = await out.desk.delete(one, one.root)

    assert isinstance(outcome, RetryLater)
    assert await out.requests(method) == 1


async def test_a_rate_limit_rests_the_channel_for_as_long_as_teams_says(out: Outside) -> None:
    """A 429 with Retry-After names its time; without it the channel rests for a few seconds."""
    one = await out.opened()
    parts = fit(line("hello"), out.desk.capabilities)
    await out.teams.rules(retry_after=True)
    await out.teams.fault("send", "rate_limited", after_s=7)
    outcome = await out.desk.post(one, parts, key())
    assert isinstance(outcome, RetryLater)
    assert (outcome.after_s, outcome.channel_wide) == (7.0, True)

    await out.teams.rules(retry_after=False)
    await out.teams.fault("send", "rate_limited", after_s=7)
    outcome = await out.desk.post(one, parts, key())
    assert isinstance(outcome, RetryLater)
    assert (outcome.after_s, outcome.channel_wide) == (5.0, True)


@pytest.mark.parametrize("asked", ["open", "post"])
async def test_an_uninstalled_app_is_held_until_somebody_mends_it(out: Outside, asked: str) -> None:
    """Nothing is given up, and the remedy is in plain words."""
    one = await out.opened()
    await out.teams.act("dana", "uninstall")
    if asked == "open":
        outcome = await out.desk.open(thread(), shown_card(), key())
    else:
        outcome = await out.desk.post(one, fit(line("hello"), out.desk.capabilities), key())

    assert isinstance(outcome, Refused)
    assert outcome.until_mended
    assert "Add the app to the team again" in outcome.remedy


async def test_a_channel_that_is_not_there_is_held_with_its_remedy(out: Outside) -> None:
    """A wrong or deleted channel stops its queue and nothing else, and says where to look."""
    outcome = await out.desk.open(thread(channel="19:0000@thread.tacv2"), shown_card(), key())

    assert isinstance(outcome, Refused)
    assert outcome.until_mended
    assert "channel id" in outcome.remedy


async def test_where_nobody_can_look_that_is_said(out: Outside, reader: Outside) -> None:
    """Without Graph the desk says before it is asked that it cannot read back; with it, what is refused is named."""
    one = await out.opened()
    assert out.desk.capabilities.read_back is Support.REJECTED
    with pytest.raises(ThreadUnreadable, match="not granted"):
        await out.desk.find(one, key(), Millis(0))

    assert reader.desk.capabilities.read_back is Support.PARTIAL
    two = await reader.opened()
    await reader.teams.rules(graph=False)
    with pytest.raises(ThreadUnreadable, match="Forbidden"):
        await reader.desk.find(two, key(), Millis(0))


async def test_customers_words_are_plain_text_in_the_thread(out: Outside) -> None:
    """What a customer writes is a message without markup, under a line that says who speaks."""
    one = await out.opened()
    await out.desk.post(one, fit(line("**hi** <b>you</b> <at>Dana</at>"), out.desk.capabilities), key())

    shown = (await out.messages())[-1]
    assert shown["text_format"] == "plain"
    assert shown["text"] == "👤 Kim · customer\n**hi** <b>you</b> ‹at›Dana‹/at›"
    assert not shown["flags"]
    assert not shown["cards"]


async def test_a_notice_reaches_the_people_whom_it_names(out: Outside) -> None:
    """A mention has the person's own id, its entity says the same as the text, and Teams takes it for one."""
    one = await out.opened()
    taken = line("**Dana** took this conversation.", role=Role.BRIDGE)
    dana = next(person for person in out.sandbox.team.people.values() if person.name.startswith("Dana"))
    who = operator_id(dana.tenant, dana.aad)
    notice = replace(taken, kind=EntryKind.NOTICE, data={"mentions": [who]})
    await out.desk.post(one, fit(notice, out.desk.capabilities), key())

    shown = (await out.messages())[-1]
    assert shown["text"].startswith(f"<at>{dana.name}</at> **Dana** took")
    assert [entity["mentioned"]["id"] for entity in shown["entities"]] == [dana.id]
    assert not shown["flags"]


async def test_a_card_names_who_took_it_and_shows_nothing_that_teams_would_not(out: Outside) -> None:
    """The whole card, taken by somebody in Teams, raises no flag of the strict sandbox."""
    dana = next(person for person in out.sandbox.team.people.values() if person.name.startswith("Dana"))
    one = await out.opened()
    for card, words_there in (
        (shown_card(), "Waiting for somebody"),
        (_taken_by(dana.name, operator_id(dana.tenant, dana.aad)), f"<at>{dana.name}</at>"),
    ):
        assert isinstance(await out.desk.refresh(one, card), Delivered)
        shown = (await out.messages())[-1]
        assert shown["flags"] == []
        assert not shown["text"]
        assert words_there in _words(shown)


def _taken_by(name: str, who: str) -> Card:
    return shown_card(
        state=HandoffState.HUMAN,
        state_line=f"Taken by {name}",
        operator_id=who,
        operator_name=name,
        actions=("return", "transfer", "release", "close"),
    )


async def test_buttons_make_a_card_that_a_press_answers_for(out: Outside) -> None:
    """A notice with buttons is a card without text; each button carries the handoff and what it is about."""
    one = await out.opened()
    (part,) = fit(replace(line("It may have been sent.", role=Role.BRIDGE), kind=EntryKind.NOTICE), render.CAPABILITIES)
    part = replace(part, actions=("retry_send", "it_arrived"), handoff="h_1", target=7)
    await out.desk.post(one, [part], key())

    shown = (await out.messages())[-1]
    assert (shown["text"], shown["flags"]) == ("", [])
    assert [(action["verb"], action["data"]) for action in shown["cards"][0]["actions"]] == [
        ("retry_send", {"handoff": "h_1", "target": 7}),
        ("it_arrived", {"handoff": "h_1", "target": 7}),
    ]


async def test_a_second_try_is_labelled(out: Outside) -> None:
    """A line, a transcript and a card that may stand there already say so."""
    card = shown_card(again=True)
    opened = await out.desk.open(thread(), card, key())
    assert isinstance(opened, Delivered)
    one = thread(opened.ref)
    (part,) = fit(line("hello"), out.desk.capabilities)
    await out.desk.post(one, [replace(part, again=True)], key())
    told = Transcript(lines=(line("said"),), earlier=0, file_name="t.txt", file_text="said", again=True)
    await out.desk.post_transcript(one, told, key())

    first, second, third = [_words(shown) for shown in await out.messages()][-3:]
    assert "posted again after an interruption" in first
    assert all("sent again after an interruption" in text for text in (second, third))


async def test_the_whole_transcript_is_kept_and_linked(out: Outside) -> None:
    """The linked file holds everything that was said."""
    one = await out.opened()
    told = Transcript(lines=(line("last"),), earlier=40, file_name="transcript-H-1.txt", file_text="first … last")
    await out.desk.post_transcript(one, told, key())

    (card,) = (await out.messages())[-1]["cards"]
    url = card["body"][-1]["inlines"][0]["selectAction"]["url"]
    kept = await out.files.read(url.split("/files/")[1].split("?")[0])
    assert b"".join([piece async for piece in kept]).decode() == "first … last"
    assert "40 earlier ones" in _words({"text": "", "cards": [card]})


async def test_the_hint_to_mention_the_bot_goes_when_all_is_heard(out: Outside) -> None:
    """Until an unmentioned reply was heard in the team, the card says how to be heard."""
    one = await out.opened()
    assert "mention me" in _words((await out.messages())[-1])

    await out.facts.put(**{known.heard_all(out.facts.known[known.team_of(SUPPORT)]): known.YES})
    await out.desk.refresh(one, shown_card())
    assert "mention me" not in _words((await out.messages())[-1])
