"""What leaves the sandbox for the bot's messaging endpoint, and what goes wrong on the way."""

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any

import aiohttp

from adapters.sandbox.teams.faults import EVENTS, FaultKind, FaultTable
from adapters.sandbox.teams.journal import Journal
from adapters.sandbox.teams.keys import Keys
from adapters.sandbox.teams.records import Json
from adapters.sandbox.teams.rules import Rules
from adapters.sandbox.teams.settings import SandboxSettings
from adapters.sandbox.teams.team import Team, split_conversation


class Delivery:
    """Sends activities signed with the sandbox's key, again where the bot does not take them."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        rules: Rules,
        keys: Keys,
        faults: FaultTable,
        journal: Journal,
        team: Team,
        session: aiohttp.ClientSession,
    ) -> None:
        """Send nothing yet."""
        self._settings = settings
        self._rules = rules
        self._keys = keys
        self._faults = faults
        self._journal = journal
        self._team = team
        self._session = session
        self._running: set[asyncio.Task[None]] = set()
        self._held: list[Json] = []

    def publish(self, activity: Json) -> None:
        """Send an activity, and again if it is not taken. Returns at once; without an endpoint nobody hears it."""
        if not self._settings.endpoint:
            return
        fault = self._faults.take(EVENTS, split_conversation(activity["conversation"]["id"])[0])
        kind = fault.kind if fault is not None else None
        after_s = fault.after_s if fault is not None else 0.0
        if kind == FaultKind.REORDER:
            self._held.append(activity)
            self.start(self._release_later(activity, after_s))
            return
        if kind != FaultKind.LOSE:
            self.start(self._send(activity, after_s=after_s if kind == FaultKind.DELAY else 0.0))
        if kind == FaultKind.DUPLICATE:
            self.start(self._send(activity))
        held, self._held = self._held, []
        for late in held:
            self.start(self._send(late, after_s=0.05))

    async def ask(self, activity: Json) -> tuple[int, Any]:
        """Send an invoke and return (HTTP status, JSON body or None); the status is 0 if no answer came in time."""
        status, body, _ = await self._attempt(activity, 1, self._settings.invoke_timeout_s)
        return status, body

    async def raw(self, activity: object, token: str) -> tuple[int, str]:
        """Send anything, with an Authorization header broken as `token` says. Returns (status, the answer's text)."""
        header = self._header(token)
        payload = activity if isinstance(activity, str) else json.dumps(activity)
        headers = {"Content-Type": "application/json"} | ({"Authorization": header} if header else {})
        async with self._session.post(self._settings.endpoint, data=payload.encode(), headers=headers) as response:
            text = await response.text()
            noted = activity if isinstance(activity, dict) else {"type": "raw"}
            self._journal.delivered(noted, attempt=1, status=response.status, reason=token)
            return response.status, text

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run something beside everything else until it ends or the sandbox stops."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Cancel what still runs. May be called twice."""
        running = list(self._running)
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _header(self, kind: str) -> str | None:
        return self._keys.header(kind, audience=self._settings.app_id, service_url=self._team.service_url)

    async def _release_later(self, activity: Json, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if activity in self._held:
            self._held.remove(activity)
            await self._send(activity)

    async def _send(self, activity: Json, *, after_s: float = 0.0) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        for attempt, wait_s in enumerate((0.0, *self._settings.retry_after_s), start=1):
            await asyncio.sleep(wait_s)
            status, _, _ = await self._attempt(activity, attempt, self._settings.answer_timeout_s)
            if 0 < status < 500 or not self._rules.redeliver:
                return

    async def _attempt(self, activity: Json, attempt: int, timeout_s: float) -> tuple[int, Any, str]:
        body: Any = None
        headers = {"Authorization": self._header("valid") or "", "User-Agent": "Microsoft-SkypeBotApi (sandbox)"}
        try:
            async with self._session.post(
                self._settings.endpoint,
                json=activity,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                text = await response.text()
                status, reason = response.status, ""
                with contextlib.suppress(ValueError):
                    body = json.loads(text) if text else None
        except TimeoutError:
            status, reason = 0, "timeout"
        except aiohttp.ClientError as error:
            status, reason = 0, type(error).__name__
        self._journal.delivered(activity, attempt=attempt, status=status, reason=reason)
        return status, body, reason
