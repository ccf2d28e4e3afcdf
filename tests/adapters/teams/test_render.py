"""Lines, notices and transcripts as Teams gets them: the right form, whole, inert and small enough."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.teams import pictures, render
from adapters.teams.refs import root_ref
from bridge.briefing import Transcript
from bridge.capabilities import REHEARSED, Part, fit
from bridge.conversation import EntryKind, FileRef, Role
from bridge.ids import DeskName, FileId, OperatorId, RemoteRef
from tests.adapters.teams.out_rig import link, texts, words
from tests.contracts.desk_contract import line

AROUND = render.Surroundings(link=link, tenant="t1", group="g1")


def parts(*said: tuple[Role, str], **changes: Any) -> list[Part]:
    """Return lines as the core hands them over."""
    return [
        replace(part, **changes)
        for n, (role, text) in enumerate(said, start=4)
        for part in fit(
            replace(line(text, n, role), kind=EntryKind.NOTICE if role is Role.BRIDGE else EntryKind.LINE),
            render.CAPABILITIES,
        )
    ]


def file(name: str, media_type: str = "application/pdf", size: int = 2048) -> FileRef:
    """Return a file."""
    return FileRef(id=FileId(name), name=name, media_type=media_type, size_bytes=size)


def card_of(activity: dict[str, Any]) -> dict[str, Any]:
    """Return the card of a message that has nothing else."""
    assert not activity.get("text")
    (attachment,) = activity["attachments"]
    assert attachment["contentType"] == render.CARD_TYPE
    content: dict[str, Any] = attachment["content"]
    return content


def test_customers_lines_together_are_one_plain_message() -> None:
    """The name stands once, every line is whole, and nothing is read as markup."""
    made = render.post(parts((Role.CUSTOMER, "one *x*"), (Role.CUSTOMER, "two\n<b>")), AROUND)
    assert made["textFormat"] == "plain"
    assert made["text"] == "👤 Kim · customer\none *x*\ntwo\n<b>"
    assert made["summary"] == "Kim · customer: one *x*"


def test_notices_are_markdown_with_real_mentions() -> None:
    """Whom a notice is for is mentioned by the id that Teams gave; without one the words stand alone."""
    dana = OperatorId("teams:t:dana")
    around = replace(AROUND, people={dana: ("29:dana", "Dana <b>")})
    made = render.post(parts((Role.BRIDGE, "**Dana** took it & goes on."), mentions=(dana, OperatorId("x"))), around)
    assert made["text"] == "<at>Dana b</at> **Dana** took it &amp; goes on."
    assert made["entities"] == [
        {"type": "mention", "text": "<at>Dana b</at>", "mentioned": {"id": "29:dana", "name": "Dana b"}}
    ]


@pytest.mark.parametrize("role", [Role.AGENT, Role.OPERATOR])
def test_different_speakers_are_told_apart_in_a_card(role: Role) -> None:
    """Customers' and others' words never share a message that reads markup."""
    made = render.post(parts((Role.CUSTOMER, "**mine**"), (role, "**theirs**"), (Role.BRIDGE, "a notice")), AROUND)
    runs = [run for block in card_of(made)["body"] for run in block.get("inlines", [])]
    assert [run["text"] for run in runs if "mine" in run["text"] or "theirs" in run["text"]] == ["**mine**", "theirs"]
    assert words(made).index("customer") < words(made).index("mine") < words(made).index("theirs")


def test_what_the_agent_rehearses_says_who_does_not_see_it() -> None:
    """Beside the speaker of each part and in the notification."""
    made = render.post(parts((Role.AGENT, "Your money"), (Role.AGENT, "is on its way"), remark=REHEARSED), AROUND)

    assert str(card_of(made)).count(f"AI agent · {REHEARSED}") == 2
    assert f"AI agent ({REHEARSED}): Your money" in made["summary"]


def test_files_are_links_and_small_pictures_are_seen() -> None:
    """Every file is named and linked; a picture that Teams can show stands above its link."""
    (part,) = parts((Role.CUSTOMER, "look"))
    part = replace(part, files=(file("a.png", "image/png"), file("b.pdf"), file("c.png", "image/png")))
    card = card_of(render.post([part], replace(AROUND, pictures=frozenset({"a.png"}))))
    assert [block["url"] for block in card["body"] if block["type"] == "Image"] == [link(file("a.png"))]
    linked = [
        run["selectAction"]["url"]
        for block in card["body"]
        for run in block.get("inlines", [])
        if "selectAction" in run
    ]
    assert linked == [link(file("a.png")), link(file("b.pdf")), link(file("c.png"))]
    assert "📎 b.pdf (2 KB)" in texts(card)


def test_a_picture_is_only_shown_where_teams_can_fetch_it() -> None:
    """Teams fetches over https; on this machine it stays a link."""
    (part,) = parts((Role.CUSTOMER, "look"))
    near = replace(AROUND, link=lambda one: f"http://127.0.0.1/{one.id}", pictures=frozenset({"a.png"}))
    card = card_of(render.post([replace(part, files=(file("a.png", "image/png"),))], near))
    assert not [block for block in card["body"] if block["type"] == "Image"]


def test_where_marks_are_wanted_everything_is_a_card_with_its_key() -> None:
    """Only a card has a place for a mark."""
    for said in ((Role.CUSTOMER, "x"), (Role.BRIDGE, "x"), (Role.AGENT, "x")):
        card = card_of(render.post(parts(said), replace(AROUND, mark="o_1")))
        assert card["body"][0]["id"] == "o_1"


@pytest.mark.parametrize("char", ["a", "é", "字", "😀", "*", "<", '"', "\n", "\\"])
@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.AGENT, Role.BRIDGE])
@pytest.mark.parametrize("mark", ["", "o_1"])
def test_the_longest_post_stays_under_the_limit(char: str, role: Role, mark: str) -> None:
    """Whatever it is made of, a post that fits the capabilities is under 25 KB, and whole."""
    limits = render.CAPABILITIES
    text = (char * limits.text_max_chars)[: limits.text_max_chars - 1] + "."
    said = parts((role, text), (role, text[: limits.post_max_chars - limits.text_max_chars]))
    made = render.post(said, replace(AROUND, mark=mark))
    assert render.size(made) <= render.MAX_BYTES
    if char == "字":
        assert words(made).count(char) == sum(part.text.count(char) for part in said)


def test_many_short_lines_stay_under_the_limit() -> None:
    """As many parts as fit a post, each by somebody else, with buttons."""
    said = parts(
        *[(Role.CUSTOMER if n % 2 else Role.AGENT, "字" * 440) for n in range(render.CAPABILITIES.post_max_parts)]
    )
    said[-1] = replace(said[-1], actions=("retry_send", "it_arrived"), handoff="h_1", target=3)
    assert render.size(render.post(said, replace(AROUND, mark="o_1"))) <= render.MAX_BYTES


def test_a_line_tells_how_it_came() -> None:
    """Late, in parts, edited, sent again: each is said beside the name."""
    (part,) = parts((Role.CUSTOMER, "x"))
    made = render.post([replace(part, late_ms=65_000, index=2, total=3, again=True)], AROUND, remark="edited")
    assert made["text"].startswith(f"👤 Kim · customer · part 2 of 3 · written 65 s ago · {render.AGAIN} · edited\n")


def test_a_notice_links_to_another_thread() -> None:
    """By Teams' own form of address, where the tenant is known."""
    root = root_ref("19:a@thread.tacv2", "17")
    made = render.post(parts((Role.BRIDGE, "It goes on elsewhere."), link=root), AROUND)
    address = "https://teams.microsoft.com/l/message/19%3Aa%40thread.tacv2/17?tenantId=t1&groupId=g1&parentMessageId=17"
    assert f"[Open its thread]({address})" in made["text"]
    assert "Open" not in render.post(parts((Role.BRIDGE, "x"), link=root), replace(AROUND, tenant=""))["text"]


def test_a_notice_links_to_a_thread_on_another_desk() -> None:
    """By the address that the other desk tells; in a notice with buttons too."""
    address = "https://harbour.slack.com/archives/C1/p2"
    said = parts(
        (Role.BRIDGE, "It goes on elsewhere."), link=RemoteRef("C1:2"), link_desk=DeskName("slack"), address=address
    )
    assert f"[Open its thread]({address})" in render.post(said, AROUND)["text"]
    with_button = [replace(said[0], actions=("take_back",), handoff="h1")]
    assert address in json.dumps(render.post(with_button, AROUND))


def test_an_empty_line_is_not_nothing() -> None:
    """A message without words or files says so."""
    assert "(empty message)" in words(render.post(parts((Role.CUSTOMER, "")), AROUND))
    assert "(empty message)" in words(render.post(parts((Role.AGENT, " ")), AROUND))


@pytest.mark.parametrize("char", ["a", "字", "😀", '"'])
def test_a_transcript_shows_the_newest_lines_and_names_the_rest(char: str) -> None:
    """It is under the limit, in order, and what is left out is in the linked whole."""
    lines = tuple(line(f"{n}:" + char * 2_500, n) for n in range(1, 11))
    told = Transcript(lines=lines, earlier=5, file_name="t.txt", file_text="")
    found = render.excerpt(told)
    assert found.needs_file
    made = render.transcript(told, "https://bridge.example/t", AROUND)
    assert render.size(made) <= render.MAX_BYTES
    shown = words(made)
    assert f"{found.hidden} earlier ones" in shown
    assert found.hidden + len(found.lines) == 15
    positions = [shown.find(f"{entry.n}:{char}") for entry in found.lines]
    assert positions == sorted(positions)
    assert positions[0] > 0
    assert "📄 t.txt" in shown


def test_a_short_transcript_needs_no_file() -> None:
    """All of it stands there."""
    told = Transcript(lines=(line("hello"), line("hi", 5, Role.AGENT)), earlier=0, file_name="t.txt", file_text="")
    assert not render.excerpt(told).needs_file
    assert "t.txt" not in words(render.transcript(told, "", AROUND))


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    "head, found",
    [
        (PNG + (640).to_bytes(4, "big") + (480).to_bytes(4, "big"), (640, 480)),
        (b"GIF89a" + (10).to_bytes(2, "little") + (20).to_bytes(2, "little"), (10, 20)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x01\xe0\x02\x80", (640, 480)),
        (b"\xff\xd8\xff\xe0\x00", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"hello", None),
        (b"", None),
    ],
)
def test_a_pictures_size_is_read_from_its_head(head: bytes, found: tuple[int, int] | None) -> None:
    """PNG, GIF and JPEG tell it; whatever else it is, it is a link."""
    assert pictures.dimensions(head) == found


def test_only_pictures_that_teams_shows_are_shown() -> None:
    """At most 1 MB and 1024 pixels either way."""
    assert pictures.may_show(file("a", "image/png", 1024 * 1024))
    assert not pictures.may_show(file("a", "image/png", 1024 * 1024 + 1))
    assert not pictures.may_show(file("a", "image/svg+xml", 10))
    assert pictures.shows(PNG + (1024).to_bytes(4, "big") + (1).to_bytes(4, "big"))
    assert not pictures.shows(PNG + (1).to_bytes(4, "big") + (1025).to_bytes(4, "big"))
