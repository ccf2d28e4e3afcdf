"""`python -m tests.bench._load`: the world around a relay, in a process and on a core of its own.

It is Slack's Web API and a widget's server, both answering at once; it holds the customers' windows; and it is the
people, who speak in a closed loop: each of `workers` sends a line, waits until it was acknowledged and arrived
wherever it must, and sends the next. What is measured is processor time per line, not how long Slack takes.

First line on standard output: where the two servers are. Then one job as JSON on standard input, one result on
standard output.

Operators' messages are dated `HEARD_AFTER_S` back: the bridge lets each rest until it is 0.4 s old by Slack's clock, so
that two of them keep their order. That is a wait by design, not work.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import uvloop

from tests.bench._wire import Caller, Stub, open_windows

Json = dict[str, Any]
TEAM, APP, BOT_USER, BOT_ID, OPERATOR = "T0BENCH", "A0BENCH", "U0BOT", "B0BOT", "U0DANA"
LINE = re.compile(rb"line(\d{8})end")
_CHANNEL = re.compile(rb'"channel": ?"(\w+)"')
_THREAD = re.compile(rb'"thread_ts": ?"([\d.]+)"')
HEARD_AFTER_S = 2.0
LINE_WITHIN_S = 20.0
QUIET_S = 0.5
Place = Literal["slack", "widget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """One conversation that a person has taken: where its thread is, and what its customer's page holds."""

    id: str
    channel: str
    root_ts: str
    token: str = ""
    stream_path: str = ""
    """Empty: the relay posts to the widget's server instead of showing lines on a socket."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be said to whom. `both`: each line is an operator's, and must reach Slack and the widget. `halves`:
    half are operators' lines, which must reach the widget, half are customers', which must reach Slack.
    """

    relay: str
    shape: Literal["both", "halves"]
    signing_secret: str
    chats: tuple[Chat, ...]
    relay_pid: int
    workers: int = 50
    warm_s: float = 2.0
    measured_s: float = 5.0
    profiled: bool = False
    """Whether the relay is `tests.bench._profiled`, which is told when to begin and to end."""


@dataclass(slots=True, eq=False)
class _Line:
    missing: set[Place]
    arrived: asyncio.Future[None]


@dataclass(slots=True)
class Board:
    """Which lines are under way, and where they still have to arrive."""

    under_way: dict[int, _Line] = field(default_factory=dict)
    calls: int = 0
    last_call_at: float = 0.0

    def seen(self, place: Place, body: bytes) -> None:
        for found in LINE.findall(body):
            line = self.under_way.get(int(found))
            if line is not None:
                line.missing.discard(place)
                if not line.missing and not line.arrived.done():
                    line.arrived.set_result(None)


class Servers:
    """Slack's Web API, as far as a relay needs it, and the server behind a plain widget."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._posted = itertools.count(1)

    def slack(self, path: bytes, body: bytes) -> bytes:
        self._board.calls += 1
        self._board.last_call_at = time.monotonic()
        method = path.rpartition(b"/")[2].partition(b"?")[0].decode()
        if method == "chat.postMessage":
            self._board.seen("slack", body)
            return self._posted_in(body)
        return json.dumps({"ok": True, **self._told(method, body)}).encode()

    def widget(self, path: bytes, body: bytes) -> bytes:
        self._board.seen("widget", body)
        return b'{"ok":true}'

    def _posted_in(self, body: bytes) -> bytes:
        channel, thread = _CHANNEL.search(body), _THREAD.search(body)
        number = next(self._posted)
        return b'{"ok":true,"channel":"%b","ts":"1700000000.%06d","message":{"type":"message","thread_ts":"%b"}}' % (
            channel[1] if channel else b"",
            number % 10**6,
            thread[1] if thread else b"",
        )

    def _told(self, method: str, body: bytes) -> Json:
        match method:
            case "auth.test":
                return {"url": "https://bench.slack.com/", "team_id": TEAM, "user_id": BOT_USER, "bot_id": BOT_ID}
            case "users.info":
                user = parse_qs(body.decode()).get("user", [OPERATOR])[0]
                profile = {"real_name": "Dana Ruiz"}
                return {"user": {"id": user, "team_id": TEAM, "name": "dana", "deleted": False, "profile": profile}}
            case "conversations.members":
                return {"members": [OPERATOR]}
            case "conversations.replies" | "conversations.history":
                return {"messages": []}
            case _:
                return {}


class People:
    """The closed loop of one job."""

    def __init__(self, job: Job, board: Board) -> None:
        self._job, self._board = job, board
        parts = urlsplit(job.relay)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._numbers = itertools.count(1)
        self._took_s: list[float] = []
        self._acknowledged_s: list[float] = []
        self._measuring = False
        self._over = False

    async def run(self) -> Json:
        """Open the windows, warm up, measure; return the figures."""
        loop = asyncio.get_running_loop()
        paths = [chat.stream_path for chat in self._job.chats if chat.stream_path]
        windows = await open_windows(self._job.relay, paths, lambda text: self._board.seen("widget", text))
        callers = [(await loop.create_connection(Caller, self._host, self._port))[1] for _ in range(self._job.workers)]
        await self._quiet()
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(self._work(caller))
            await asyncio.sleep(self._job.warm_s)
            self._tell_profiler(signal.SIGUSR1)
            self._measuring, began = True, time.perf_counter()
            own_s, relay_s = time.process_time(), cpu_s(self._job.relay_pid)
            await asyncio.sleep(self._job.measured_s)
            self._measuring, took_s = False, time.perf_counter() - began
            own_s, relay_s = time.process_time() - own_s, cpu_s(self._job.relay_pid) - relay_s
            self._tell_profiler(signal.SIGUSR2)
            self._over = True
        for window in windows:
            window.close()
        for caller in callers:
            caller.close()
        return {
            "lines_per_s": len(self._took_s) / took_s,
            "p50_ms": _at(self._took_s, 0.5),
            "p99_ms": _at(self._took_s, 0.99),
            "ack_p99_ms": _at(self._acknowledged_s, 0.99),
            "cpu_ms_each": relay_s * 1000 / max(1, len(self._took_s)),
            "load_cpu_share": own_s / took_s,
        }

    def _tell_profiler(self, what: signal.Signals) -> None:
        if self._job.profiled:
            os.kill(self._job.relay_pid, what)

    async def _quiet(self) -> None:
        """Wait until the relay has asked Slack what it wanted to know at its start."""
        async with asyncio.timeout(60):
            while time.monotonic() - self._board.last_call_at < QUIET_S:  # noqa: ASYNC110 -- silence is no event
                await asyncio.sleep(0.05)

    async def _work(self, caller: Caller) -> None:
        chats = self._job.chats
        while not self._over:
            number = next(self._numbers)
            turn, place = divmod(number, len(chats))
            by_operator = self._job.shape == "both" or (turn + place) % 2 == 0
            await self._say(caller, number, chats[place], by_operator=by_operator)

    async def _say(self, caller: Caller, number: int, chat: Chat, *, by_operator: bool) -> None:
        request = self._reply(number, chat) if by_operator else self._line(number, chat)
        missing: set[Place] = (
            {"slack", "widget"} if self._job.shape == "both" else {"widget" if by_operator else "slack"}
        )
        line = self._board.under_way[number] = _Line(missing, asyncio.get_running_loop().create_future())
        began = time.perf_counter()
        try:
            async with asyncio.timeout(LINE_WITHIN_S):
                status, answer = await caller.call(request)
                acknowledged = time.perf_counter()
                if status != 200:
                    raise RuntimeError(f"answered {status}: {answer[:300]!r}")
                await line.arrived
        except TimeoutError:
            who = "an operator" if by_operator else "a customer"
            raise RuntimeError(f"line {number} of {who} in {chat.id} did not reach {line.missing}") from None
        finally:
            del self._board.under_way[number]
        if self._measuring:
            self._took_s.append(time.perf_counter() - began)
            self._acknowledged_s.append(acknowledged - began)

    def _reply(self, number: int, chat: Chat) -> bytes:
        """An operator's reply, as Slack delivers it: https://docs.slack.dev/apis/events-api/using-http-request-urls."""
        text = f"It is on its way, line{number:08}end."
        now = time.time()
        ts = f"{int(now - HEARD_AFTER_S)}.{number % 10**6:06}"
        words = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
        event = {
            "type": "message",
            "user": OPERATOR,
            "text": text,
            "ts": ts,
            "client_msg_id": f"m-{number}",
            "team": TEAM,
            "thread_ts": chat.root_ts,
            "parent_user_id": BOT_USER,
            "channel": chat.channel,
            "channel_type": "channel",
            "event_ts": ts,
            "blocks": [{"type": "rich_text", "block_id": f"b{number}", "elements": [words]}],
        }
        bot = {"team_id": TEAM, "user_id": BOT_USER, "is_bot": True, "is_enterprise_install": False}
        body = json.dumps(
            {
                "token": "x",
                "team_id": TEAM,
                "api_app_id": APP,
                "type": "event_callback",
                "event_id": f"Ev{number:09}",
                "event_time": int(now),
                "authorizations": [bot],
                "is_ext_shared_channel": False,
                "event": event,
            }
        ).encode()
        stamp = str(int(now))
        signed = hmac.new(self._job.signing_secret.encode(), b"v0:%b:%b" % (stamp.encode(), body), hashlib.sha256)
        signature = f"X-Slack-Request-Timestamp: {stamp}\r\nX-Slack-Signature: v0={signed.hexdigest()}\r\n"
        return self._post("/slack/events", body, signature)

    def _line(self, number: int, chat: Chat) -> bytes:
        """A customer's line, as a Direct Line client posts it."""
        activity = {
            "type": "message",
            "text": f"Where is my parcel? line{number:08}end",
            "textFormat": "plain",
            "locale": "en-US",
            "from": {"id": f"dl_{chat.id}", "name": "Kim", "role": "user"},
            "channelData": {"clientActivityID": f"{chat.id}-{number}"},
        }
        path = f"/v3/directline/conversations/{chat.id}/activities"
        return self._post(path, json.dumps(activity).encode(), f"Authorization: Bearer {chat.token}\r\n")

    def _post(self, path: str, body: bytes, headers: str) -> bytes:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
            f"{headers}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def cpu_s(pid: int) -> float:
    """Return a process's processor time in user and system mode: fields 14 and 15 of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _at(waits_s: list[float], share: float) -> float:
    """Return this percentile in milliseconds; 0 if nothing was measured."""
    ordered = sorted(waits_s)
    return ordered[int(len(ordered) * share)] * 1000 if ordered else 0.0


def job_from(text: str) -> Job:
    """Read a job as `dataclasses.asdict` writes it."""
    read = json.loads(text)
    return Job(**{**read, "chats": tuple(Chat(**chat) for chat in read["chats"])})


async def serve_and_work() -> None:
    """Serve, and do the one job."""
    loop, board = asyncio.get_running_loop(), Board()
    servers = Servers(board)
    there: Json = {}
    running = []
    for name, answer in (("slack", servers.slack), ("widget", servers.widget)):
        server = await loop.create_server(partial(Stub, answer), "127.0.0.1", 0)
        running.append(server)
        there[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    say(there)
    text = await loop.run_in_executor(None, sys.stdin.readline)
    if text:
        say(await People(job_from(text), board).run())


def say(found: Json) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    uvloop.run(serve_and_work())
