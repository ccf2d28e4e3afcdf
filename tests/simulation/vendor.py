"""A vendor's thread store, as bad as a real one: it limits, fails before and after it did the work, loses answers,
applies late, shows late what it has, echoes late, twice or never, and deduplicates nothing.

It outlives every process of the bridge: a request that is under way is served even if the process that sent it dies.
"""

import asyncio
import contextvars
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bridge.briefing import Card, Transcript
from bridge.capabilities import Capabilities, Part
from bridge.conversation import Entry, EntryKind, Role, Thread
from bridge.effects import OutKind
from bridge.errors import ThreadUnreadable
from bridge.ids import ChannelId, Millis, OperatorId, OutKey, RemoteRef
from bridge.outcomes import Delivered, Outcome, Refused, RetryLater, Unknown
from bridge.ports import Clock
from tests.simulation.crash import Host
from tests.simulation.scale import CALL_TIMEOUT_S, DESK, PACE_S, READ_LAG_S

LIMITS = Capabilities(text_max_chars=400, post_max_parts=6, post_max_chars=900, file_max_bytes=1024)
POISON = "vendor-refuses-this"
MAX_UNCLEAR = 3
"""Unclear answers to one thing: people are asked after one more, and then a dead letter would be right."""


class Fate(StrEnum):
    """What becomes of a call."""

    FINE = "fine"
    LIMITED = "limited"
    FAILS_BEFORE = "fails before"
    FAILS_AFTER = "fails after"
    DROPS_BEFORE = "drops before"
    DROPS_AFTER = "drops after"
    LATE = "applied late"
    RAISES = "raises"


WEIGHTS = {
    Fate.FINE: 70,
    Fate.LIMITED: 6,
    Fate.FAILS_BEFORE: 4,
    Fate.FAILS_AFTER: 5,
    Fate.DROPS_BEFORE: 4,
    Fate.DROPS_AFTER: 5,
    Fate.LATE: 4,
    Fate.RAISES: 2,
}


@dataclass(kw_only=True)
class Held:
    """A message as the vendor holds it. `lines` are the numbers of the entries that it shows."""

    ref: RemoteRef
    kind: OutKind
    channel: ChannelId
    root: RemoteRef | None
    key: OutKey
    at: Millis
    shown_from: float
    card: Card | None = None
    parts: tuple[Part, ...] = ()
    recap: tuple[Entry, ...] = ()


@dataclass(kw_only=True)
class Vendor:
    """See above. `faults` switches all of them; `echo` is told of every post of ours, with the vendor's delay."""

    chance: random.Random
    clock: Clock
    loop: asyncio.AbstractEventLoop
    echo: Callable[[Held], None]
    faults: bool = True
    messages: list[Held] = field(default_factory=list)
    refused: Counter[OutKey] = field(default_factory=Counter)
    unclear: Counter[OutKey] = field(default_factory=Counter)
    happened: Counter[Fate] = field(default_factory=Counter)
    _free_at: dict[str, float] = field(default_factory=dict)
    _under_way: set["asyncio.Task[Any]"] = field(default_factory=set)

    # --- calls

    async def send(self, key: OutKey, channel: ChannelId, poison: bool, apply: Callable[[], Outcome]) -> Outcome:
        """Serve a call in a task of the vendor's own."""
        task = self.loop.create_task(self._serve(key, channel, poison, apply), context=contextvars.Context())
        self._under_way.add(task)
        task.add_done_callback(self._served)
        return await asyncio.shield(task)

    def _served(self, task: "asyncio.Task[Outcome]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Whoever asked may be gone: nobody else wants to know.
            task.exception()

    @property
    def busy(self) -> bool:
        """Whether something is still under way."""
        return bool(self._under_way)

    def _fate(self, key: OutKey) -> Fate:
        if not self.faults:
            return Fate.FINE
        fate = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if fate in (Fate.FINE, Fate.LIMITED):
            return fate
        return fate if self._may_be_unclear(key) else Fate.FINE

    def _may_be_unclear(self, key: OutKey) -> bool:
        """Count one unclear answer more, if there may be one. The posts of one long line count as one."""
        whole = OutKey(key.partition(".")[0])
        if self.unclear[whole] >= MAX_UNCLEAR:
            return False
        self.unclear[whole] += 1
        return True

    async def _serve(self, key: OutKey, channel: ChannelId, poison: bool, apply: Callable[[], Outcome]) -> Outcome:
        await asyncio.sleep(self.chance.uniform(0.02, 0.25))
        if poison:
            self.refused[key] += 1
            return Refused(reason="restricted_action", remedy="Ask an admin.")
        fate = self._fate(key)
        self.happened[fate] += 1
        now = self.loop.time()
        if now < self._free_at.get(channel, 0.0) and fate is Fate.FINE:
            fate = Fate.LIMITED
        match fate:
            case Fate.LIMITED:
                wide = self.chance.random() < 0.5
                return RetryLater(after_s=self.chance.choice([0.5, 1.0, 2.0]), reason="ratelimited", channel_wide=wide)
            case Fate.FAILS_BEFORE:
                return Unknown(reason="internal_error")
            case Fate.DROPS_BEFORE:
                return Unknown(reason="reset")
            case Fate.LATE:
                await self._lose(apply, self.chance.uniform(0.1, CALL_TIMEOUT_S - 0.3))
                return Unknown(reason="timeout")
        self._free_at[channel] = now + PACE_S * 0.9
        outcome = apply()
        if fate is Fate.FAILS_AFTER:
            return Unknown(reason="fatal_error")
        if fate is Fate.DROPS_AFTER:
            return Unknown(reason="timeout")
        if fate is Fate.RAISES:
            raise OSError("a connection that broke in a way nobody had thought of")
        return outcome

    async def _lose(self, apply: Callable[[], Outcome], after_s: float) -> None:
        """The answer is lost at once, or the client waits in vain; the vendor does it later all the same."""

        async def later() -> None:
            await asyncio.sleep(after_s)
            apply()

        task = self.loop.create_task(later(), context=contextvars.Context())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        if self.chance.random() < 0.5:
            await asyncio.sleep(CALL_TIMEOUT_S - 0.3)

    # --- what it holds

    def post(self, kind: OutKind, thread: Thread, key: OutKey, **shows: Any) -> Outcome:
        """Keep a new message; a root that is not there takes none."""
        if kind is not OutKind.CARD and all(held.ref != thread.root for held in self.messages):
            return Delivered(landed_elsewhere=True)
        lag_s = self.chance.uniform(0, READ_LAG_S) if self.faults else 0.0
        held = Held(
            ref=RemoteRef(f"{thread.channel}:{len(self.messages) + 1}"),
            kind=kind,
            channel=thread.channel,
            root=None if kind is OutKind.CARD else thread.root,
            key=key,
            at=self.clock.now(),
            shown_from=self.loop.time() + lag_s,
            **shows,
        )
        self.messages.append(held)
        self.echo(held)
        return Delivered(ref=held.ref)

    def change(self, ref: RemoteRef | None, **shows: Any) -> Outcome:
        """Change a message of ours."""
        for held in self.messages:
            if held.ref == ref:
                for name, value in shows.items():
                    setattr(held, name, value)
                return Delivered()
        return Refused(reason="message_not_found", remedy="It is gone.")

    def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        """Return what a reader sees now."""
        if self.faults and self.chance.random() < 0.05 and self._may_be_unclear(key):
            raise ThreadUnreadable("ratelimited", after_s=0.7)
        for held in self.messages:
            seen = held.shown_from <= self.loop.time() and held.at >= since and held.channel == thread.channel
            if seen and held.key == key and held.root == thread.root:
                return held.ref
        return None

    def thread(self, root: RemoteRef) -> list[Held]:
        """Return the replies below a root, in order."""
        return [held for held in self.messages if held.root == root]

    def cards(self) -> list[Held]:
        """Return the roots that people can see."""
        return [held for held in self.messages if held.kind is OutKind.CARD]


class SimDesk:
    """The desk adapter of one process: `ports.Desk` over the vendor, with a crash point on either side of each call."""

    name = DESK
    capabilities = LIMITS

    def __init__(self, vendor: Vendor, host: Host) -> None:
        self._vendor, self._host = vendor, host

    async def _call(self, label: str, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        await self._host.point(f"desk.{label}.before")
        outcome = await work()
        await self._host.point(f"desk.{label}.after")
        return outcome

    async def open(self, thread: Thread, card: Card, key: OutKey) -> Outcome:
        vendor = self._vendor

        def apply() -> Outcome:
            return vendor.post(OutKind.CARD, thread, key, card=card)

        return await self._call("open", lambda: vendor.send(key, thread.channel, False, apply))

    async def refresh(self, thread: Thread, card: Card) -> Outcome:
        vendor, key = self._vendor, OutKey(f"refresh:{thread.root}")

        def apply() -> Outcome:
            return vendor.change(thread.root, card=card)

        return await self._call("refresh", lambda: vendor.send(key, ChannelId("refresh"), False, apply))

    async def post(self, thread: Thread, parts: Sequence[Part], key: OutKey) -> Outcome:
        assert parts
        assert len(parts) <= LIMITS.post_max_parts
        assert all(len(part.text) <= LIMITS.text_max_chars for part in parts)
        vendor, poison = self._vendor, any(POISON in part.text for part in parts)
        poison = poison and all(part.kind is EntryKind.LINE for part in parts)

        def apply() -> Outcome:
            return vendor.post(OutKind.POST, thread, key, parts=tuple(parts))

        return await self._call("post", lambda: vendor.send(key, thread.channel, poison, apply))

    async def post_transcript(self, thread: Thread, transcript: Transcript, key: OutKey) -> Outcome:
        vendor = self._vendor

        def apply() -> Outcome:
            return vendor.post(OutKind.TRANSCRIPT, thread, key, recap=transcript.lines)

        return await self._call("post_transcript", lambda: vendor.send(key, thread.channel, False, apply))

    async def complete(self, thread: Thread, posted: Sequence[Part] | Transcript, ref: RemoteRef) -> Outcome:
        return Delivered(ref=ref)

    async def edit(self, thread: Thread, ref: RemoteRef, part: Part) -> Outcome:
        raise AssertionError("nothing of ours is edited")

    async def delete(self, thread: Thread, ref: RemoteRef) -> Outcome:
        raise AssertionError("nothing of ours is deleted")

    async def find(self, thread: Thread, key: OutKey, since: Millis) -> RemoteRef | None:
        await self._host.point("desk.find.before")
        await asyncio.sleep(0.05)
        found = self._vendor.find(thread, key, since)
        await self._host.point("desk.find.after")
        return found

    def address(self, root: RemoteRef) -> str:
        """Nobody opens it."""
        return ""

    async def whisper(self, thread: Thread, operator: OperatorId, sentence: str) -> None:
        """Nothing that matters."""

    async def typing(self, thread: Thread, name: str) -> None:
        """Nothing that matters."""


def customers_lines(held: Held) -> list[int]:
    """Return the numbers of the customer's lines in a post, one for each part that ends one."""
    return [part.n for part in held.parts if part.author.role is Role.CUSTOMER and part.index == part.total]
