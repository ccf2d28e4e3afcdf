"""Links to files: only whom they were made for, only as long as was said, and nothing a browser would run."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.web.files import DAY_MS, Links, add_routes, headers_for
from bridge.conversation import FileRef
from bridge.errors import NotFound
from bridge.fakes.clock import ManualClock
from bridge.fakes.store import MemoryStore
from bridge.ids import FileId, SiteId

SITE = SiteId("main")
CONTENT = b"PNG" * 70_000
PICTURE = FileRef(id=FileId("f_1"), name="receipt.png", media_type="image/png", size_bytes=len(CONTENT))
Client = TestClient[web.Request, web.Application]


class OneFile:
    """A `ports.Files` that holds CONTENT for every id that the store knows."""

    async def put(self, content: AsyncIterator[bytes], *, name: str, claimed_type: str, max_bytes: int) -> FileRef:
        raise NotImplementedError

    async def ref(self, file: FileId) -> FileRef:
        return replace(PICTURE, id=file)

    async def read(self, file: FileId) -> AsyncIterator[bytes]:
        if file == "f_lost":
            raise NotFound("its bytes are gone")

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(CONTENT), 65_536):
                yield CONTENT[start : start + 65_536]

        return pieces()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def links(clock: ManualClock) -> Links:
    return Links(site=SITE, base_url="", keys=("new-key", "old-key"), clock=clock)


@pytest.fixture
async def client(links: Links) -> AsyncIterator[Client]:
    store = MemoryStore()
    for ref in (PICTURE, replace(PICTURE, id=FileId("f_lost")), replace(PICTURE, id=FileId("f_2"))):
        await store.run(lambda tx, ref=ref: tx.put_file(SITE, ref, "digest"))  # type: ignore[misc]
    app = web.Application()
    add_routes(app, links=links, files=OneFile(), store=store)
    async with TestClient(TestServer(app)) as made:
        yield made


async def test_a_link_fetches_the_file(client: Client, links: Links) -> None:
    """The whole content with its length, and by HEAD only the headers."""
    async with client.get(links.link(PICTURE)) as response:
        assert (response.status, response.content_length) == (200, len(CONTENT))
        assert await response.read() == CONTENT
    async with client.head(links.link(PICTURE)) as response:
        assert (response.status, response.content_length) == (200, len(CONTENT))


async def test_a_link_ends(client: Client, links: Links, clock: ManualClock) -> None:
    """It is good for seven days, at most eight, and then answers 403; for a day it is the same, so caches work."""
    address = links.link(PICTURE)
    await clock.advance(7 * DAY_MS / 1000 - 1)
    assert (await client.get(address)).status == 200
    await clock.advance(DAY_MS / 1000 + 1)
    async with client.get(address) as response:
        assert response.status == 403
        assert (await response.json())["error"]["code"] == "link_ended"


Change = Callable[[dict[str, str]], dict[str, str]]


@pytest.mark.parametrize(
    "path,change",
    [
        ("f_2", lambda query: query),
        ("f_1", lambda query: {**query, "e": str(int(query["e"]) + DAY_MS)}),
        ("f_1", lambda query: {**query, "s": query["s"][:-1] + ("0" if query["s"][-1] != "0" else "1")}),
        ("f_1", lambda query: {**query, "s": ""}),
        ("f_1", lambda query: {"e": query["e"]}),
        ("f_1", lambda query: {"s": query["s"]}),
        ("f_1", lambda query: {**query, "e": "soon"}),
        ("f_1", lambda query: {**query, "s": "é"}),
        ("f_1", lambda _: {}),
    ],
)
async def test_a_changed_link_opens_nothing(client: Client, links: Links, path: str, change: Change) -> None:
    """Another file, a later end, a guessed signature: 403, and no word on whether the file exists."""
    query = change(dict(parse_qsl(urlsplit(links.link(PICTURE)).query)))
    async with client.get(f"/v1/files/{path}?{urlencode(query)}") as response:
        assert response.status == 403


async def test_links_of_other_sites_and_unknown_keys_open_nothing(client: Client, links: Links) -> None:
    """A signature counts for one site and for the keys of the settings, old ones included."""
    for other, status in (
        (replace(links, site=SiteId("other")), 403),
        (replace(links, keys=("stolen",)), 403),
        (replace(links, keys=("old-key",)), 200),
    ):
        assert (await client.get(other.link(PICTURE))).status == status


@pytest.mark.parametrize("file", ["f_unknown", "f_lost"])
async def test_a_file_that_is_gone_is_404(client: Client, links: Links, file: str) -> None:
    """A right link to a file that is no more is told as such."""
    assert (await client.get(links.link(replace(PICTURE, id=FileId(file))))).status == 404


@pytest.mark.parametrize(
    "name,media_type,content_type,disposition",
    [
        ("a.png", "image/png", "image/png", "inline; filename*=UTF-8''a.png"),
        ("a.webp", "image/webp", "image/webp", "inline; filename*=UTF-8''a.webp"),
        ("x.svg", "image/svg+xml", "application/octet-stream", "attachment; filename*=UTF-8''x.svg"),
        ("x.html", "text/html", "application/octet-stream", "attachment; filename*=UTF-8''x.html"),
        ("x.pdf", "application/pdf", "application/octet-stream", "attachment; filename*=UTF-8''x.pdf"),
        (
            'ä"\r\nSet-Cookie: x/..;.exe',
            "application/x-msdownload",
            "application/octet-stream",
            "attachment; filename*=UTF-8''%C3%A4%22%0D%0ASet-Cookie%3A%20x%2F..%3B.exe",
        ),
    ],
)
def test_a_browser_runs_and_guesses_nothing(name: str, media_type: str, content_type: str, disposition: str) -> None:
    """Four kinds of pictures are shown, all else is downloaded; names cannot break out of their header."""
    headers = headers_for(replace(PICTURE, name=name, media_type=media_type))

    assert (headers["Content-Type"], headers["Content-Disposition"]) == (content_type, disposition)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
