"""`python -m tests.bench._rivals NAME --port N --slack URL --widget URL`: relays to compare with, each written as its
documentation has it. They keep no log, know no owner and look nobody up: the comparison is strict on us.

`bolt`: a plain slack-bolt relay that stores nothing. An operator's message is posted to Slack and to the widget's
server, as a bot that answers does (https://docs.slack.dev/tools/bolt-python/getting-started).
`bolt-halves`: the same app with our load: an operator's message goes to the widget's server, a customer's POST to
Slack.
`aiohttp-sqlite`: what can be had without Bolt: bare aiohttp on uvloop, one shared session, each event committed to
SQLite with fsync, many per commit, before it is acknowledged; then as `bolt`.
"""

import argparse
import asyncio
import hashlib
import hmac
import os
import sqlite3
import tempfile
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

TOKEN, SIGNING_SECRET = "xoxb-bench", "a-signing-secret-of-the-bench"
MAX_GROUP = 64
CUSTOMERS_PATH = "/v3/directline/conversations/{chat}/activities"


def root_ts(number: int) -> str:
    """Return which thread is the conversation's of this number, without a table."""
    return f"{1_600_000_000 + number}.000100"


def bolt(port: int, slack: str, widget: str, *, halves: bool) -> None:
    """Run the plain relay. Blocks."""
    client = AsyncWebClient(token=TOKEN, base_url=f"{slack}/api/")
    app = AsyncApp(client=client, signing_secret=SIGNING_SECRET)
    session: list[aiohttp.ClientSession] = []

    @app.event("message")
    async def said(event: dict[str, Any], client: AsyncWebClient) -> None:
        if not halves:
            await client.chat_postMessage(channel=event["channel"], thread_ts=event["thread_ts"], text=event["text"])
        async with session[0].post(widget, json={"text": event["text"]}) as answer:
            await answer.read()

    async def customer(request: web.Request) -> web.Response:
        number = int(request.match_info["chat"][1:])
        text = (await request.json())["text"]
        await client.chat_postMessage(channel=f"C{number:07}", thread_ts=root_ts(number), text=text)
        return web.json_response({"id": "1"})

    async def opened(_: web.Application) -> None:
        session.append(aiohttp.ClientSession())

    server = app.server(port=port, host="127.0.0.1")
    server.web_app.on_startup.append(opened)
    server.web_app.router.add_post(CUSTOMERS_PATH, customer)
    server.start()


class GroupCommit:
    """One thread writes rows: those that wait together share a commit."""

    def __init__(self, path: Path) -> None:
        self._queue: SimpleQueue[tuple[str, bytes, asyncio.Future[None]]] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE inbox (id TEXT PRIMARY KEY, body BLOB)")
        Thread(target=self._write, daemon=True).start()

    async def keep(self, key: str, body: bytes) -> None:
        """Return when the row is on the disk."""
        kept: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((key, body, kept))
        await kept

    def _write(self) -> None:
        while True:
            group = [self._queue.get()]
            while len(group) < MAX_GROUP and not self._queue.empty():
                group.append(self._queue.get())
            self._database.execute("BEGIN IMMEDIATE")
            rows = [(key, body) for key, body, _ in group]
            self._database.executemany("INSERT OR IGNORE INTO inbox VALUES (?, ?)", rows)
            self._database.execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, [kept for _, _, kept in group])


def _tell(group: list[asyncio.Future[None]]) -> None:
    for kept in group:
        kept.set_result(None)


class AiohttpSqlite:
    """The least that is durable."""

    def __init__(self, slack: str, widget: str, path: Path) -> None:
        self._slack, self._widget = f"{slack}/api/chat.postMessage", widget
        self._inbox = GroupCommit(path)
        self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})
        self._relaying: set[asyncio.Task[None]] = set()

    async def said(self, request: web.Request) -> web.Response:
        raw = await request.read()
        stamp = request.headers["X-Slack-Request-Timestamp"].encode()
        wanted = "v0=" + hmac.new(SIGNING_SECRET.encode(), b"v0:%b:%b" % (stamp, raw), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, request.headers["X-Slack-Signature"]):
            return web.Response(status=401)
        body = await request.json()
        await self._inbox.keep(body["event_id"], raw)
        task = asyncio.create_task(self._relay(body["event"]))
        self._relaying.add(task)
        task.add_done_callback(self._relaying.discard)
        return web.Response()

    async def _relay(self, event: dict[str, Any]) -> None:
        post = {"channel": event["channel"], "thread_ts": event["thread_ts"], "text": event["text"]}
        async with self._http.post(self._slack, json=post) as answer:
            await answer.read()
        async with self._http.post(self._widget, json={"text": event["text"]}) as answer:
            await answer.read()


async def aiohttp_sqlite(port: int, slack: str, widget: str) -> None:
    """Run the durable relay until it is killed."""
    with tempfile.TemporaryDirectory() as folder:
        relay = AiohttpSqlite(slack, widget, Path(folder) / "inbox.db")
        app = web.Application()
        app.router.add_post("/slack/events", relay.said)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench._rivals", description=__doc__)
    parser.add_argument("name", choices=["bolt", "bolt-halves", "aiohttp-sqlite"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slack", required=True)
    parser.add_argument("--widget", required=True)
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if given.name == "aiohttp-sqlite":
        uvloop.run(aiohttp_sqlite(given.port, given.slack, given.widget))
    else:
        bolt(given.port, given.slack, given.widget, halves=given.name == "bolt-halves")


if __name__ == "__main__":
    main()
