"""Ports with a meter on them: the same store and desk, whose calls are told to whoever keeps figures."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from bridge import log as logs
from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, Part
from bridge.conversation import Thread
from bridge.errors import StoreUnavailable
from bridge.ids import DeskName, Millis, OperatorId, OutKey, RemoteRef
from bridge.outcomes import Outcome
from bridge.ports import Desk
from bridge.storage import Store, Tx

log = logs.get(__name__)
T = TypeVar("T")
FRESH_S = 5.0
"""How long a failure of the store counts: some units work on a full disk, so one that works proves little."""


class StoreMeter(Protocol):
    """Told of each unit: `kind` is run or read, `took_s` counts from the call to the answer, the wait included."""

    def __call__(self, kind: str, took_s: float, *, failed: bool) -> None: ...


class MeteredStore:
    """A `Store` that tells how long units take, and remembers whether they fail."""

    def __init__(
        self,
        store: Store,
        meter: StoreMeter,
        *,
        on_failure: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Pass every unit on to `store`. `on_failure` is called for each that found it away."""
        self._store, self._meter, self._on_failure, self._monotonic = store, meter, on_failure, monotonic
        self._failed_at = float("-inf")
        self._reason = ""

    async def run(self, unit: Callable[[Tx], T]) -> T:
        return await self._timed("run", self._store.run(unit))

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self._timed("read", self._store.read(unit))

    async def close(self) -> None:
        await self._store.close()

    async def _timed(self, kind: str, work: Awaitable[T]) -> T:
        began = self._monotonic()
        failed = False
        try:
            return await work
        except StoreUnavailable as error:
            failed = True
            self._remember(error)
            raise
        finally:
            self._meter(kind, self._monotonic() - began, failed=failed)
            if self._reason and not failed:
                self._forget()

    def _remember(self, error: StoreUnavailable) -> None:
        reason = str(error).partition("\n")[0][:200]
        self._failed_at = self._monotonic()
        self._on_failure()
        if reason != self._reason:
            self._reason = reason
            log.error("store_fails", reason=reason)

    def _forget(self) -> None:
        if self._monotonic() - self._failed_at > FRESH_S:
            log.info("store_works_again", after=self._reason)
            self._reason = ""

    @property
    def trouble(self) -> str:
        """Whether units failed within the last seconds, in a sentence, or "".

        What the database says goes to the log alone: it may name hosts and conversations, and a page of health is for
        everybody.
        """
        if self._monotonic() - self._failed_at > FRESH_S:
            return ""
        if "full" in self._reason:
            return "the database or its disk is full: nothing new is kept until there is space"
        return "the database is away, or refuses to work: see store_fails in the log"


class DeskMeter(Protocol):
    """Told of each sending call to a desk: which one, what came of it, and how many seconds it took."""

    def __call__(self, desk: DeskName, call: str, outcome: Outcome, took_s: float) -> None: ...


class MeteredDesk:
    """A `Desk` whose sends are told. Reading back and best-effort hints are not sends."""

    def __init__(self, desk: Desk, meter: DeskMeter, *, monotonic: Callable[[], float] = time.perf_counter) -> None:
        """Pass every call on to `desk`."""
        self._desk, self._meter, self._monotonic = desk, meter, monotonic

    @property
    def name(self) -> DeskName:
        return self._desk.name

    @property
    def capabilities(self) -> Capabilities:
        return self._desk.capabilities

    async def open(self, thread: Thread, card: Card, key: OutKey) -> Outcome:
        return await self._told("open", self._desk.open(thread, card, key))

    async def refresh(self, thread: Thread, card: Card) -> Outcome:
        return await self._told("refresh", self._desk.refresh(thread, card))

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        return await self._told("post", self._desk.post(thread, parts, key))

    async def post_transcript(self, thread: Thread, transcript: Transcript, key: OutKey) -> Outcome:
        return await self._told("transcript", self._desk.post_transcript(thread, transcript, key))

    async def complete(self, thread: Thread, posted: Sequence[Part] | Transcript, ref: RemoteRef) -> Outcome:
        return await self._told("complete", self._desk.complete(thread, posted, ref))

    async def edit(self, thread: Thread, ref: RemoteRef, part: Part) -> Outcome:
        return await self._told("edit", self._desk.edit(thread, ref, part))

    async def delete(self, thread: Thread, ref: RemoteRef) -> Outcome:
        return await self._told("delete", self._desk.delete(thread, ref))

    async def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        return await self._desk.find(thread, key, since)

    def address(self, root: RemoteRef) -> str:
        return self._desk.address(root)

    async def whisper(self, thread: Thread, operator: OperatorId, sentence: str) -> None:
        await self._desk.whisper(thread, operator, sentence)

    async def typing(self, thread: Thread, name: str) -> None:
        await self._desk.typing(thread, name)

    async def _told(self, call: str, sending: Awaitable[Outcome]) -> Outcome:
        began = self._monotonic()
        outcome = await sending
        self._meter(self._desk.name, call, outcome, self._monotonic() - began)
        return outcome
