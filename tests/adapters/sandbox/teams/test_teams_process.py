"""The sandbox as a process of its own, the way other tests and the demo start it."""

import asyncio
import json
import sys

import aiohttp

from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.people import DANA, SUPPORT


async def test_it_says_where_it_listens_and_stops_when_told() -> None:
    """The process prints what a bot must be told as one JSON line, serves there, and ends quietly on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters.sandbox", "teams", "--port", "0", "--no-limits",
        "--endpoint", "http://127.0.0.1:9/api/messages",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(20):
        told = json.loads(await process.stdout.readline())
    assert told["service_url"] == f"{told['url']}/amer/"
    assert {"app_id", "app_password", "tenant_id", "metadata_url", "authority_url", "graph_url"} <= set(told)
    async with TeamsClient(told["url"]) as teams:
        await teams.say(DANA, "hello")
        assert [message["text"] for message in (await teams.state()).messages(SUPPORT)] == ["hello"]
    process.terminate()
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, errors) == (0, b"")


async def test_the_page_is_served_with_a_policy_and_nothing_beside_it(teams: TeamsClient) -> None:
    """The page may run its own scripts only; no file outside its folder can be had, nor a picture without its key."""
    async with aiohttp.ClientSession() as session:
        async with session.get(teams.url + "/") as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        for name, status in [("main.js", 200), ("dom.js", 200), ("style.css", 200), ("..%2fserver.py", 404)]:
            async with session.get(f"{teams.url}/page/{name}") as answer:
                assert (name, answer.status) == (name, status)
        said = await teams.paste(DANA, b"\x89PNG", "look")
        key = (await teams.state()).messages(SUPPORT)[-1]["files"][0]["image"]
        assert said
        async with session.get(f"{teams.url}/pictures/{key}") as answer:
            assert answer.status == 404


async def test_other_origins_may_not_act_or_listen(teams: TeamsClient) -> None:
    """A page of another origin can neither act nor open the live socket."""
    async with aiohttp.ClientSession() as session:
        body = json.dumps({"user": DANA, "kind": "message", "text": "hi", "channel": SUPPORT})
        async with session.post(
            f"{teams.url}/sandbox/act", data=body, headers={"Content-Type": "text/plain"}
        ) as answer:
            assert answer.status == 400
        async with session.get(f"{teams.url}/sandbox/live", headers={"Origin": "https://evil.example"}) as answer:
            assert answer.status == 403
    assert (await teams.state()).messages(SUPPORT) == []
