"""Files of the team's SharePoint: where the way to them leads, and where it must not."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from adapters.teams.calls import TeamsCalls
from adapters.teams.downloads import Downloads, NotTaken, Shared
from bridge.fakes.files import MemoryFiles
from tests.adapters.teams.out_rig import outside, remembered

ASKED: list[str] = []


@pytest.fixture
async def downloads() -> AsyncIterator[Downloads]:
    """A Graph that sends us to the address that a file's name says."""
    ASKED.clear()

    async def content(request: web.Request) -> web.Response:
        ASKED.append(request.headers.get("Authorization", ""))
        return web.Response(status=302, headers={"Location": place})

    async def elsewhere(request: web.Request) -> web.Response:
        ASKED.append("elsewhere")
        return web.Response(text="stolen")

    app = web.Application()
    app.add_routes([web.get("/v1.0/shares/{share}/driveItem/content", content), web.get("/elsewhere", elsewhere)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    place = f"http://{host}:{port}/elsewhere"
    async with outside(graph=True) as out:
        assert out.settings.local is not None
        local = replace(out.settings.local, graph_url=f"http://{host}:{port}")
        calls = TeamsCalls(replace(out.settings, local=local), await remembered())
        yield Downloads(calls, MemoryFiles())
        await calls.stop()
    await runner.cleanup()


async def test_a_redirect_is_followed_to_microsofts_file_hosts_alone(downloads: Downloads) -> None:
    """Anywhere else nothing is asked, and nothing is passed on."""
    with pytest.raises(NotTaken, match="does not lie with Teams"):
        await downloads.fetch_shared(Shared(name="plan.pdf", address="https://northwind.sharepoint.com/plan.pdf"))

    assert [asked[:7] for asked in ASKED] == ["Bearer "]
