"""A notice leads to another thread by an address that Slack itself would give."""

from dataclasses import replace

import aiohttp
import pytest

from adapters.slack import render
from adapters.slack.refs import permalink
from bridge.capabilities import Part
from bridge.conversation import Author, EntryKind, Role
from bridge.ids import DeskName, RemoteRef
from tests.adapters.slack.conftest import Stage
from tests.adapters.slack.rig import key

TEAM = "https://harbour.slack.com/"
THERE = RemoteRef("C0BILLING:1795000100.000200")
ADDRESS = "https://harbour.slack.com/archives/C0BILLING/p1795000100000200"


def notice(text: str = "It goes on there.", link: RemoteRef | None = THERE) -> Part:
    return Part(
        n=1, kind=EntryKind.NOTICE, author=Author(role=Role.BRIDGE), text=text, plain=False, quiet=True, link=link
    )


def test_a_message_has_its_address() -> None:
    """Workspace, channel and the digits of its time."""
    assert permalink(TEAM, THERE) == ADDRESS


STRANGE = ["", "harbour.slack.com/", "https://harbour.slack.com", "https://a|b/", "https://a>b/", "javascript://x/"]


@pytest.mark.parametrize("workspace", STRANGE)
def test_without_a_sound_workspace_there_is_no_address(workspace: str) -> None:
    """What could break out of a link, or is no web address, makes none, and the notice stands alone."""
    assert permalink(workspace, THERE) == ""
    assert "<" not in str(render.post([notice()], workspace=workspace).blocks)


def test_a_notice_carries_the_link() -> None:
    """Behind its words; beside them where they are too long for small print; none where it points nowhere."""
    short = render.post([notice()], workspace=TEAM)
    long = render.post([notice("word " * 590)], workspace=TEAM)
    none = render.post([notice(link=None)], workspace=TEAM)

    assert f"It goes on there. <{ADDRESS}|Open its thread>" in str(short.blocks)
    assert str(long.blocks).count(f"<{ADDRESS}|") == 1
    assert "archives" not in str(none.blocks)


def test_a_thread_on_another_desk_is_linked_by_its_address() -> None:
    """As that desk tells it, with nothing in it that ends the link; none where it does not know."""
    elsewhere = replace(notice(), link_desk=DeskName("teams"), address="https://teams.microsoft.com/l/x?a=1&b=>2")
    shown = str(render.post([elsewhere], workspace=TEAM).blocks)

    assert "<https://teams.microsoft.com/l/x?a=1&amp;b=&gt;2|Open its thread>" in shown
    assert "archives" not in shown
    assert "Open" not in str(render.post([replace(elsewhere, address="")], workspace=TEAM).blocks)


async def test_the_link_of_a_posted_notice_opens_the_thread(stage: Stage) -> None:
    """What people click leads to the other card, in the workspace that the token is of."""
    old, new = await stage.opened(number=1), await stage.opened(number=2)
    await stage.parts.calls.identity()
    await stage.parts.desk.post(old.thread, [notice(link=new.thread.root)], key())
    shown = str((await stage.thread(old))[-1]["blocks"])
    address = shown.partition("<")[2].partition("|")[0]

    assert new.thread.root is not None
    assert address == permalink(f"{stage.slack.url}/", new.thread.root)
    async with aiohttp.ClientSession() as http, http.get(address) as page:
        assert page.status == 200
