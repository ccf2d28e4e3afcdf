"""Hints between the processes on one PostgreSQL, by LISTEN and NOTIFY.

A NOTIFY makes the commits of all processes wait for each other, so none is sent in a unit's transaction: what was said
within 20 ms leaves together, in a transaction of its own. See
https://www.postgresql.org/docs/current/sql-notify.html (payloads under 8,000 bytes, one queue for the whole server).
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Iterator

import psycopg

from adapters.store.dialling import open_listener, reason
from adapters.store.postgres import PostgresStore
from bridge import log as logs
from bridge.errors import BridgeError
from bridge.ids import ConversationId, DeskName, SiteId, mint
from bridge.storage import Changed

log = logs.get(__name__)

CHANNEL = "handoff_bridge"
EVERY_S = 0.020
MAX_BYTES = 7800
MAX_WAITING = 5000
"""More than these are forgotten: the database has not answered for so long that sweeps are quicker."""
PROBE_EVERY_S = 30.0
PROBE_WITHIN_S = 5.0
DEAF = "hints between processes do not arrive (a pooler in transaction mode?): changes show up to a second later"


class PostgresHints:
    """`bridge.hints.Hints` over the database of a store, which must outlive it.

    Whether hints arrive is tried all the time, with one to itself. Where a pooler swallows them, or while the server is
    away, everything goes on by sweeps; `trouble` says so.
    """

    def __init__(
        self, store: PostgresStore, *, probe_every_s: float = PROBE_EVERY_S, probe_within_s: float = PROBE_WITHIN_S
    ) -> None:
        """Use this store to speak; `start` connects to listen."""
        self._store = store
        self._probe_every_s, self._probe_within_s = probe_every_s, probe_within_s
        self._me = mint("process")
        self._told: Callable[[Changed], None] = lambda _: None
        self._waiting: dict[tuple[str, str, str | None], bool] = {}
        self._speaking: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._heard_myself = asyncio.Event()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why hints do not arrive, for people; "" while they do."""
        return self._trouble

    def hear(self, told: Callable[[Changed], None]) -> None:
        self._told = told

    def say(self, change: Changed) -> None:
        key = (change.site, change.conversation, change.desk)
        if len(self._waiting) < MAX_WAITING:
            self._waiting[key] = self._waiting.get(key, False) or change.turn
        if self._speaking is None or self._speaking.done():
            self._speaking = asyncio.get_running_loop().create_task(self._speak())

    def start(self) -> None:
        """Begin to listen, in the running loop."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Stop. May be called twice."""
        tasks = [task for task in (self._listening, self._speaking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- speaking

    async def _speak(self) -> None:
        """Send what waits, and rest before more is sent."""
        while self._waiting:
            said: list[list[object]] = [[*key, int(turn)] for key, turn in self._waiting.items()]
            self._waiting.clear()
            # A hint may be lost: whoever has work to do looks for it by itself.
            with contextlib.suppress(BridgeError):
                await self._store.notify(CHANNEL, list(_payloads(self._me, said)))
            await asyncio.sleep(EVERY_S)

    # --- listening

    async def _listen(self) -> None:
        """Listen for ever, on one connection after another."""
        tries = 0
        while True:
            try:
                async with await open_listener(self._store.server, CHANNEL) as connection, asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._take_in(connection))
                    tasks.create_task(self._probe())
            except* (psycopg.Error, OSError, BridgeError) as errors:
                self._stumble(f"hints between processes do not arrive: {_first(errors)}")
            except* _DoNotArrive:
                self._stumble(DEAF)
            tries = 0 if self._heard_myself.is_set() else tries + 1
            self._heard_myself.clear()
            await asyncio.sleep(min(10.0, 0.1 * 2 ** min(tries, 10)) * random.uniform(0.5, 1))  # noqa: S311 -- not all at once

    def _stumble(self, why: str) -> None:
        if not self._trouble:
            log.warning("hints_do_not_arrive", why=why)
        self._trouble = why

    async def _probe(self) -> None:
        """Say something to ourselves again and again. Raises _DoNotArrive."""
        while True:
            self._heard_myself.clear()
            with contextlib.suppress(BridgeError):
                await self._store.notify(CHANNEL, [json.dumps([self._me])])
            try:
                async with asyncio.timeout(self._probe_within_s):
                    await self._heard_myself.wait()
            except TimeoutError:
                raise _DoNotArrive from None
            if self._trouble:
                log.info("hints_arrive")
            self._trouble = ""
            await asyncio.sleep(self._probe_every_s)

    async def _take_in(self, connection: "psycopg.AsyncConnection[object]") -> None:
        async for notice in connection.notifies():
            try:
                who, *changes = json.loads(notice.payload)
                read = [_change(*change) for change in changes]
            except (ValueError, TypeError):
                log.warning("hint_unreadable", bytes=len(notice.payload))
                continue
            if who == self._me:
                self._heard_myself.set()
                continue
            for change in read:
                self._told(change)


class _DoNotArrive(Exception):
    """What was said to ourselves did not come back."""


def _first(errors: BaseException) -> str:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return reason(errors)


def _change(site: str, conversation: str, desk: str | None, turn: int) -> Changed:
    return Changed(
        site=SiteId(site),
        conversation=ConversationId(conversation),
        desk=None if desk is None else DeskName(desk),
        turn=bool(turn),
    )


def _payloads(who: str, said: list[list[object]]) -> Iterator[str]:
    """Pack changes into payloads that are short enough; one that is too long by itself is left out."""
    parts, size = [json.dumps(who)], 0
    for item in said:
        part = json.dumps(item, separators=(",", ":"))
        if size + len(part) > MAX_BYTES - 100 and len(parts) > 1:
            yield f"[{','.join(parts)}]"
            parts, size = parts[:1], 0
        if len(part) <= MAX_BYTES - 100:
            parts.append(part)
            size += len(part) + 1
    if len(parts) > 1:
        yield f"[{','.join(parts)}]"
