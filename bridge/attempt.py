"""One attempt at one turn: reads the agent, gathers its words, brings each to the front door under the turn's fence.

Everything that can happen to an attempt (a reply, a deadline, the lease that is gone) becomes a signal in one queue, so
that one task decides, in one order. Time comes from the clock port.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge import log as logs
from bridge import plain
from bridge.conversation import FileRef, Turn, TurnKind
from bridge.effects import Receipt
from bridge.envelope import MAX_ENVELOPE_BYTES
from bridge.errors import AgentFailed, StoreUnavailable
from bridge.events import AgentActed, AgentFinished, AgentSaid, AgentStreamed, Escalated, Event
from bridge.handing_over import envelope_from
from bridge.ids import SourceId
from bridge.ports import (
    Agent,
    AgentError,
    AgentReply,
    AgentTurn,
    Clock,
    Collected,
    Delta,
    Done,
    HandOff,
    Message,
    Receive,
    ToolCall,
)
from bridge.storage import Store

log = logs.get(__name__)

STORE_RETRIES_S = (0.1, 0.5, 2.0, 5.0)
CLOSE_S = 5.0
"""How long an agent may take to let go after it was told to stop, in real seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnLimits:
    """What one run may take. Seconds and bytes; `attempts` counts the first; `at_once` is per process."""

    first_byte_s: float = 15.0
    total_s: float = 120.0
    max_bytes: int = 64 * 1024
    lease_s: float = 15.0
    renew_every_s: float = 5.0
    commit_every_s: float = 0.25
    attempts: int = 2
    retry_after_s: float = 0.5
    at_once: int = 64
    sweep_every_s: float = 1.0


class Ending(StrEnum):
    """How an attempt ended: as agreed; told to stop (the conversation is not the agent's any more); or the store was
    away for too long, and the lease is left to run out.
    """

    FINISHED = "finished"
    STOPPED = "stopped"
    ABANDONED = "abandoned"


class _Stopped(Exception):
    """The fence is closed."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: AgentFailed


class _Mark(StrEnum):
    LOST = "lost"
    RESTED = "rested"


_Signal = AgentReply | _Failed | _Mark


class Attempt:
    """Runs once. `whole`: bring whole messages only. `failures`: so many failed tool calls count as a failure."""

    def __init__(
        self,
        *,
        turn: Turn,
        asked: AgentTurn,
        store: Store,
        agent: Agent,
        receive: Receive,
        clock: Clock,
        limits: TurnLimits,
        whole: bool = False,
        failures: int = 1,
    ) -> None:
        """Take the ports; nothing happens before `go`."""
        self.turn = turn
        self._asked, self._store, self._agent, self._receive = asked, store, agent, receive
        self._clock, self._limits = clock, limits
        self._rehearsal = turn.kind is TurnKind.REHEARSAL
        self._streams = not whole and not self._rehearsal
        self._failures_left = failures
        self._signals: asyncio.Queue[_Signal] = asyncio.Queue(maxsize=200)
        self._look = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._committing = False
        self._sources = 0
        self._text = ""
        self._shown = ""
        self._resting = False
        self._bytes = 0
        self._spoke = False
        self._confidence: float | None = None

    def look(self) -> None:
        """Hint that the conversation changed: ask at once whether the turn is still ours. Own commits are no news."""
        if not self._committing:
            self._look.set()

    async def go(self) -> Ending:
        """Run to the end. Raises AgentFailed; what was committed before stays committed."""
        reader = asyncio.create_task(self._read())
        first_byte = self._spawn(self._fail_after(self._limits.first_byte_s, "timeout_first_byte", "no answer"))
        self._spawn(self._fail_after(self._limits.total_s, "timeout_total", "the answer did not end"))
        self._spawn(self._keep_lease())
        try:
            while True:
                signal = await self._signals.get()
                if not isinstance(signal, _Failed | _Mark):
                    first_byte.cancel()
                if await self._handle(signal):
                    return Ending.FINISHED
        except _Stopped:
            await self._keep_late_words()
            return Ending.STOPPED
        except StoreUnavailable:
            log.warning("turn_abandoned", turn=self.turn.id, attempt=self.turn.attempt)
            return Ending.ABANDONED
        finally:
            await self._close(reader)

    # --- signals

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _fail_after(self, seconds: float, code: str, what: str) -> None:
        await self._clock.sleep(seconds)
        await self._signals.put(_Failed(AgentFailed(code, f"{what} within {seconds:g} s")))

    async def _rest(self) -> None:
        await self._clock.sleep(self._limits.commit_every_s)
        await self._signals.put(_Mark.RESTED)

    async def _keep_lease(self) -> None:
        while True:
            nap = asyncio.ensure_future(self._clock.sleep(self._limits.renew_every_s))
            hint = asyncio.ensure_future(self._look.wait())
            try:
                await asyncio.wait({nap, hint}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                nap.cancel()
                hint.cancel()
            self._look.clear()
            if not await self._renewed():
                await self._signals.put(_Mark.LOST)
                return

    async def _renewed(self) -> bool:
        turn, now, lease_ms = self.turn, self._clock.now(), int(self._limits.lease_s * 1000)
        try:
            return await self._store.run(lambda tx: tx.renew_turn(turn.site, turn.id, turn.attempt, now, lease_ms))
        except StoreUnavailable:
            # The fence is in the store as well: while it is away, nothing can be shown.
            return True

    async def _read(self) -> None:
        """Bring replies one by one; a full queue holds the agent back."""
        replies: AsyncIterator[AgentReply] | None = None
        try:
            replies = self._agent.respond(self._asked)
            async for reply in replies:
                await self._signals.put(reply)
                if isinstance(reply, Done | HandOff | AgentError):
                    return
            await self._signals.put(_Failed(AgentFailed("unreadable", "the answer broke off before its end")))
        except AgentFailed as error:
            await self._signals.put(_Failed(error))
        except Exception as error:  # noqa: BLE001 -- the agent is somebody else's code: whatever it raises is its failure
            log.warning("agent_crashed", turn=self.turn.id, attempt=self.turn.attempt, error=type(error).__name__)
            await self._signals.put(_Failed(AgentFailed("crashed", f"the agent raised {type(error).__name__}")))
        finally:
            if (aclose := getattr(replies, "aclose", None)) is not None:
                with contextlib.suppress(Exception):
                    await aclose()

    async def _close(self, reader: asyncio.Task[None]) -> None:
        tasks = {reader, *self._tasks}
        for task in tasks:
            task.cancel()
        _, stuck = await asyncio.wait(tasks, timeout=CLOSE_S)
        if stuck:
            log.warning("agent_does_not_let_go", turn=self.turn.id, attempt=self.turn.attempt)

    # --- what the agent says and does

    async def _handle(self, signal: _Signal) -> bool:
        """Act on one signal; True ends the attempt as agreed."""
        match signal:
            case _Failed(error=error):
                raise error
            case _Mark.LOST:
                raise _Stopped
            case _Mark.RESTED:
                self._resting = False
                await self._show()
            case Delta(text=text):
                self._count(text)
                self._text += text
                await self._show()
            case Message():
                self._count(signal.text)
                self._text = ""
                self._doubt(signal.confidence)
                await self._say(signal.text, signal.files, _sound(signal.confidence))
            case ToolCall() | Collected():
                await self._act(signal)
            case HandOff(envelope=raw):
                await self._say_pending()
                await self._hand_off(raw)
                return True
            case Done():
                await self._say_pending()
                if self._rehearsal and not self._spoke:
                    await self._say("(I would say nothing.)")
                confidence = self._confidence if _sound(signal.confidence) is None else _sound(signal.confidence)
                await self._bring(AgentFinished(**self._fence(), confidence=confidence, close=signal.close))
                return True
            case AgentError(code=code, message=message):
                raise AgentFailed("crashed", plain.text(f"{code}: {message}")[:500])
            case _:
                pass
        return False

    def _count(self, text: str) -> None:
        self._bytes += len(text.encode("utf-8", "surrogatepass"))
        if self._bytes > self._limits.max_bytes:
            raise AgentFailed("too_large", f"the answer is over {self._limits.max_bytes} bytes")

    def _doubt(self, confidence: float | None) -> None:
        """A run is as sure as its least sure message, unless it says so itself at the end."""
        sound = _sound(confidence)
        if sound is not None:
            self._confidence = sound if self._confidence is None else min(self._confidence, sound)

    async def _show(self) -> None:
        text = plain.text_so_far(self._text)
        if not self._streams or self._resting or text in ("", self._shown):
            return
        self._resting = True
        self._shown = text
        self._spawn(self._rest())
        await self._bring(AgentStreamed(**self._fence(), text=text))

    async def _say_pending(self) -> None:
        text, self._text = self._text, ""
        await self._say(text)

    async def _say(self, text: str, files: tuple[FileRef, ...] = (), confidence: float | None = None) -> None:
        self._shown = ""
        if text.strip() or files:
            self._spoke = True
            said = AgentSaid(**self._fence(), text=plain.text(text), files=files, confidence=confidence)
            await self._bring(said)

    async def _act(self, reply: ToolCall | Collected) -> None:
        if self._rehearsal:
            return
        if isinstance(reply, Collected):
            await self._bring(AgentActed(**self._fence(), collected=_plain(reply.values)))
            return
        self._failures_left -= int(reply.failed)
        await self._bring(
            AgentActed(
                **self._fence(),
                tool=plain.text(reply.name)[:200],
                arguments=_plain(reply.arguments),
                failed=reply.failed and self._failures_left <= 0,
            )
        )

    async def _hand_off(self, raw: Mapping[str, Any]) -> None:
        now = self._clock.now()
        read = envelope_from(_plain(raw), self._asked, agent_name=self._agent.name, now=now)
        if self._rehearsal:
            await self._say(f"(I would hand over again: {read.envelope.summary})")
            await self._bring(AgentFinished(**self._fence()))
            return
        receipt = await self._escalate(read.envelope, read.problems)
        if receipt.status == "duplicate":
            # An id that an earlier handoff used already: this is another one, and the customer is waiting.
            again = read.envelope.model_copy(update={"id": f"{self.turn.id}:{self.turn.attempt}:again"})
            await self._escalate(again, (*read.problems, ("id", "was used by an earlier handoff")))

    async def _escalate(self, envelope: Any, problems: tuple[tuple[str, str], ...]) -> Receipt:
        fence = self._fence()
        return await self._bring(Escalated(**fence, envelope=envelope, problems=problems))

    async def _keep_late_words(self) -> None:
        """Bring the text that the customer will not see: operators may want to know what was about to be said."""
        if self._text.strip() and not self._rehearsal:
            with contextlib.suppress(_Stopped, StoreUnavailable):
                await self._bring(AgentSaid(**self._fence(), text=plain.text(self._text)))

    # --- the front door

    def _fence(self) -> dict[str, Any]:
        """Return what every event of this attempt carries; the source counts, so that a repeat has one effect."""
        self._sources += 1
        turn = self.turn
        return {
            "site": turn.site,
            "source": SourceId(f"{turn.id}:{turn.attempt}:{self._sources}"),
            "at": self._clock.now(),
            "conversation": turn.conversation,
            "turn": turn.id,
            "epoch": turn.epoch,
            "attempt": turn.attempt,
        }

    async def _bring(self, event: Event) -> Receipt:
        self._committing = True
        try:
            receipt = await bring(self._receive, event, self._clock)
        finally:
            self._committing = False
        if receipt.status == "fenced":
            raise _Stopped
        return receipt


async def bring(receive: Receive, event: Event, clock: Clock) -> Receipt:
    """Bring an event to the front door, again while nothing was kept. Raises StoreUnavailable after eight seconds."""
    for wait_s in STORE_RETRIES_S:
        try:
            return await receive(event)
        except StoreUnavailable:
            await clock.sleep(wait_s)
    return await receive(event)


def _sound(confidence: float | None) -> float | None:
    """Return a confidence that means something, in 0..1."""
    return confidence if confidence is not None and 0 <= confidence <= 1 else None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the store can keep them, within the measure of an envelope."""
    try:
        kept = plain.values(values)
    except (ValueError, RecursionError) as error:
        raise AgentFailed("unreadable", "a tool call or document contains itself") from error
    if len(json.dumps(kept, ensure_ascii=False).encode()) > MAX_ENVELOPE_BYTES:
        raise AgentFailed("too_large", f"a tool call or document is over {MAX_ENVELOPE_BYTES} bytes")
    return kept
