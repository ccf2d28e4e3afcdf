"""The agent's runs: claims a queued turn, lets the agent answer behind the fence, and tries again or calls a person
when it fails. Several processes may run turns; a lease says whose it is, and one that ran out makes the next attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bridge import grounding
from bridge import log as logs
from bridge.attempt import Attempt, Ending, TurnLimits, bring
from bridge.conversation import Conversation, Turn, TurnKind, TurnState
from bridge.errors import AgentFailed, NotFound, StoreUnavailable
from bridge.events import AgentBroke, Overlooked
from bridge.ids import Millis, SourceId
from bridge.meters import Meter, TurnEnded, TurnFailed, unmetered
from bridge.ports import Agent, Clock, Receive
from bridge.storage import Changed, Store
from bridge.triggers import Triggers

log = logs.get(__name__)

FINAL_CODES = frozenset({"timeout_total", "too_large", "refused"})
"""Failures that a second attempt would only repeat, while the customer waits."""
PICK_UP_AT_ONCE = 100


class Turns:
    """Runs the turns of one store with one agent."""

    def __init__(
        self,
        store: Store,
        agent: Agent,
        receive: Receive,
        clock: Clock,
        *,
        worker: str,
        triggers: Triggers,
        limits: TurnLimits | None = None,
        meter: Meter = unmetered,
        on_change: Callable[[Changed], None] = lambda _: None,
    ) -> None:
        """Take the ports. `worker` names this process in leases and must be its own. `on_change` is told of turns that
        are given back.
        """
        self._store, self._agent, self._receive, self._clock = store, agent, receive, clock
        self._worker, self._triggers, self._limits = worker, triggers, limits or TurnLimits()
        self._meter = meter
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: dict[asyncio.Task[None], Turn] = {}
        self._attempts: dict[tuple[str, int], Attempt] = {}

    def wake(self, changed: Changed) -> None:
        """Hint that a conversation changed: a turn may wait, or a running one may have lost its conversation."""
        if changed.turn:
            self._wake.set()
        for attempt in self._attempts.values():
            if attempt.turn.conversation == changed.conversation:
                attempt.look()

    async def run(self) -> None:
        """Pick up what was left lying, then run turns until `stop`, several conversations at once."""
        picked_up = False
        while not self._stopping:
            try:
                picked_up = picked_up or await self.pick_up() >= 0
                busy = len(self._running) < self._limits.at_once and await self._start()
            except StoreUnavailable:
                log.warning("store_unavailable")
                busy = False
            if not busy and not self._stopping:
                await self._rest()

    async def pick_up(self) -> int:
        """Give a turn to every conversation whose customer nobody has answered or is about to; return how many.

        Such a line is the trace of a fault: each queues its turn in its own transaction. Several processes may look at
        once. Raises StoreUnavailable.
        """
        seen: set[tuple[str, str]] = set()
        while True:
            rows = await self._store.read(lambda tx: tx.unanswered(PICK_UP_AT_ONCE))
            fresh = [row for row in rows if (row.site, row.id) not in seen]
            for row in fresh:
                await self._answer_late(row)
            seen |= {(row.site, row.id) for row in fresh}
            if not fresh or len(rows) < PICK_UP_AT_ONCE:
                return len(seen)

    async def _answer_late(self, row: Conversation) -> None:
        event = Overlooked(
            site=row.site,
            source=SourceId(f"overlooked:{self._worker}:{row.id}:{row.last_customer_n}"),
            at=self._clock.now(),
            conversation=row.id,
        )
        receipt = await self._receive(event)
        log.warning("overlooked", conversation=row.id, n=row.last_customer_n, status=receipt.status)

    async def step(self) -> bool:
        """Run one turn to its end, if one waits. Returns whether there was one."""
        turn = await self._claim()
        if turn is None:
            return False
        await self._serve(turn)
        return True

    async def stop(self, grace_s: float = 10.0) -> None:
        """Start nothing more, let running turns finish for at most `grace_s`, then give them back to others. May be
        called twice.
        """
        self._stopping = True
        self._wake.set()
        if self._running:
            await self._first(self._all_over(), self._clock.sleep(grace_s))
        unfinished = {task: turn for task, turn in self._running.items() if not task.done()}
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        for turn in unfinished.values():
            await self._leave(turn)

    async def _all_over(self) -> None:
        while self._running:
            await asyncio.wait(set(self._running))

    async def _leave(self, turn: Turn) -> None:
        """Give a turn back at the end of this process, and tell the others. Nobody's if the store is away: its lease
        runs out.
        """
        try:
            await self._give_back(turn)
        except StoreUnavailable:
            log.warning("store_unavailable")
            return
        log.info("turn_given_back", turn=turn.id, conversation=turn.conversation, attempt=turn.attempt)
        self._on_change(Changed(site=turn.site, conversation=turn.conversation, turn=True))

    # --- claiming

    async def _claim(self) -> Turn | None:
        now, lease_ms = self._clock.now(), int(self._limits.lease_s * 1000)
        return await self._store.run(lambda tx: tx.claim_turn(self._worker, now, lease_ms))

    async def _start(self) -> bool:
        turn = await self._claim()
        if turn is None:
            return False
        if self._stopping:
            await self._leave(turn)
            return False
        task = asyncio.create_task(self._serve(turn))
        self._running[task] = turn
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wake.set()

    async def _rest(self) -> None:
        await self._first(self._wake.wait(), self._clock.sleep(self._limits.sweep_every_s))
        self._wake.clear()

    @staticmethod
    async def _first(*works: Awaitable[Any]) -> None:
        futures = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in futures:
                future.cancel()

    # --- one turn

    async def _serve(self, turn: Turn) -> None:
        """Run one claimed attempt. What goes wrong on our side is logged, and the lease is left to run out."""
        log.info("turn_started", turn=turn.id, conversation=turn.conversation, kind=turn.kind, attempt=turn.attempt)
        try:
            if turn.attempt > self._limits.attempts:
                await self._break(turn, AgentFailed("crashed", f"the run was lost {turn.attempt - 1} times"))
            else:
                await self._try(turn)
        except (StoreUnavailable, NotFound) as error:
            log.warning("turn_not_settled", turn=turn.id, attempt=turn.attempt, error=type(error).__name__)
        except Exception:
            log.exception("turn_failed", turn=turn.id, attempt=turn.attempt)

    async def _try(self, turn: Turn) -> None:
        asked = await self._store.read(lambda tx: grounding.agent_turn(tx, turn))
        attempt = Attempt(
            turn=turn,
            asked=asked,
            store=self._store,
            agent=self._agent,
            receive=self._receive,
            clock=self._clock,
            limits=self._limits,
            whole=self._triggers.has_text_rules,
            failures=self._triggers.tool_failures or 1,
        )
        key = (turn.id, turn.attempt)
        self._attempts[key] = attempt
        began = self._clock.now()
        try:
            ending = await attempt.go()
        except AgentFailed as error:
            self._took("failed", began)
            await self._again_or_break(turn, error)
        else:
            self._took(ending.value, began)
            log.info("turn_ended", turn=turn.id, attempt=turn.attempt, ending=ending.value)
            if ending is not Ending.ABANDONED:
                await self._end_rehearsal(turn, TurnState.DONE)
        finally:
            self._attempts.pop(key, None)

    def _took(self, ending: str, began: Millis) -> None:
        self._meter(TurnEnded(ending=ending, took_s=max(0, self._clock.now() - began) / 1000))

    async def _again_or_break(self, turn: Turn, error: AgentFailed) -> None:
        self._meter(TurnFailed(code=error.code))
        log.warning("agent_failed", turn=turn.id, attempt=turn.attempt, code=error.code)
        final = error.code in FINAL_CODES or turn.kind is TurnKind.REHEARSAL
        if final or turn.attempt >= self._limits.attempts:
            await self._break(turn, error)
            return
        await self._clock.sleep(self._limits.retry_after_s)
        await self._give_back(turn)
        self._wake.set()

    async def _give_back(self, turn: Turn) -> None:
        """Let the lease run out now: whoever claims the turn next makes the next attempt, here or elsewhere."""
        now = self._clock.now()
        await self._store.run(lambda tx: tx.renew_turn(turn.site, turn.id, turn.attempt, now, -1))

    async def _break(self, turn: Turn, error: AgentFailed) -> None:
        event = AgentBroke(
            site=turn.site,
            source=SourceId(f"{turn.id}:{turn.attempt}:broke"),
            at=self._clock.now(),
            conversation=turn.conversation,
            turn=turn.id,
            epoch=turn.epoch,
            attempt=turn.attempt,
            code=error.code,
            message=str(error)[:400],
        )
        receipt = await bring(self._receive, event, self._clock)
        log.warning("turn_broke", turn=turn.id, attempt=turn.attempt, code=error.code, status=receipt.status)
        await self._end_rehearsal(turn, TurnState.FAILED)

    async def _end_rehearsal(self, turn: Turn, state: TurnState) -> None:
        """A rehearsal changes nothing about its conversation, so nobody else ends its row."""
        if turn.kind is TurnKind.REHEARSAL:
            await self._store.run(lambda tx: tx.end_turn(turn.site, turn.id, state))
