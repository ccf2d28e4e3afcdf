"""Bridges that are wrong on purpose, as data: each breaks one promise, and the simulation must notice.

A simulation that finds nothing proves nothing until it has found these.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bridge.conversation import Audience, Author, Entry, EntryKind, Role, State, Turn
from bridge.courier import Courier
from bridge.effects import Receipt
from bridge.errors import StoreUnavailable
from bridge.events import AgentSaid, CustomerSaid, Event, OperatorSaid
from bridge.fakes.state import Lane
from bridge.fakes.store import MemoryTx
from bridge.ids import ConversationId, Millis, RemoteRef, SiteId, SourceId, TurnId
from bridge.outcomes import Delivered, GiveUp, Settled
from bridge.parcels import Parcel, pack
from bridge.ports import Receive
from bridge.showing import Showing
from bridge.storage import Changed, Claim, DueTimer, OutState, Store, Tx
from bridge.switchboard import Switchboard, _Kept
from bridge.timers import Timers
from tests.simulation.process import Made, Process

T = TypeVar("T")


class BlindCourier(Courier):
    """Sends what is unclear again, without a look."""

    async def _look(self, parcel: Parcel) -> None:
        await self._again(parcel, "blindly", done=0)


class HopefulCourier(Courier):
    """Takes what is unclear for delivered."""

    async def _look(self, parcel: Parcel) -> None:
        await self._conclude(parcel, Settled(), Delivered(ref=RemoteRef(f"hoped:{parcel.head.key}")))


class EagerCourier(Courier):
    """Calls the vendor before it has frozen what it sends."""

    def _claim(self, tx: Tx, now: Millis) -> Parcel | None:
        claim = tx.claim_lane(self._desk.name, self._worker, now, self._grace_ms)
        return None if claim is None else pack(tx, claim, self._desk.capabilities, now)


class SilentCourier(Courier):
    """Lets dead letters go without a word."""

    async def _report(self, parcel: Parcel, given_up: GiveUp) -> None:
        """Say nothing."""


class _Over:
    """A transaction with one of its calls replaced."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


@dataclass(frozen=True, slots=True)
class OverStore:
    """A store whose transactions are seen through `over`."""

    store: Store
    over: Callable[[Tx], Any]

    async def run(self, unit: Callable[[Tx], T]) -> T:
        return await self.store.run(self._through(unit))

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self.store.read(self._through(unit))

    async def close(self) -> None:
        await self.store.close()

    def _through(self, unit: Callable[[Tx], T]) -> Callable[[Tx], T]:
        over = self.over

        def through(tx: Tx) -> T:
            return unit(over(tx))

        through.__qualname__ = unit.__qualname__
        return through


class Forgetful(_Over):
    """Remembers no event."""

    def remember(self, site: SiteId, source: SourceId, now: Millis) -> bool:
        return True


class Leaseless(MemoryTx):
    """Settles whatever anybody brings, whoever holds the lane now."""

    def _held(self, claim: Claim) -> Lane | None:
        return self._tables.lanes.get((claim.site, claim.handoff, claim.thread.ordinal))


def leaseless(tx: Tx) -> Leaseless:
    """See a transaction of the store in memory so."""
    assert isinstance(tx, MemoryTx)
    return Leaseless(tx._journal)


class Disordered(_Over):
    """Hands out the second waiting thing before the first."""

    def claim_lane(self, desk: Any, worker: str, now: Millis, lease_ms: int) -> Claim | None:
        claim = self._tx.claim_lane(desk, worker, now, lease_ms)
        if claim is None or len(claim.outs) < 2 or any(out.state is OutState.SENDING for out in claim.outs):
            return claim
        return Claim(
            site=claim.site, conversation=claim.conversation, handoff=claim.handoff, thread=claim.thread,
            lease_epoch=claim.lease_epoch, lease_until=claim.lease_until, outs=claim.outs[1:],
        )  # fmt: skip


class Stopwatchless(_Over):
    """Never takes over a run whose process died."""

    def claim_turn(self, worker: str, now: Millis, lease_ms: int) -> Turn | None:
        return self._tx.claim_turn(worker, now, 10**9)


class Stubborn(_Over):
    """Never tells a run that it is over. Not wrong by itself: the fence must hold all the same."""

    def renew_turn(self, site: SiteId, turn: TurnId, attempt: int, now: Millis, lease_ms: int) -> bool:
        self._tx.renew_turn(site, turn, attempt, now, lease_ms)
        return True


class UnfencedSwitchboard(Switchboard):
    """Lets the agent speak whoever owns the conversation."""

    def _unit(self, tx: Tx, event: Event) -> _Kept:
        row = tx.conversation(event.site, event.conversation) if isinstance(event, AgentSaid) else None
        if not isinstance(event, AgentSaid) or row is None or row.state is State.AGENT:
            return super()._unit(tx, event)
        return _say(tx, event, row.next_n, row.epoch, row.last_at)


def _say(tx: Tx, event: AgentSaid, n: int, epoch: int, last_at: Millis) -> _Kept:
    entry = Entry(
        n=n, kind=EntryKind.LINE, author=Author(role=Role.AGENT), audience=Audience.EVERYONE,
        at=Millis(last_at + 1), epoch=epoch, text=event.text,
    )  # fmt: skip
    tx.append(event.site, event.conversation, entry)
    row = tx.conversation(event.site, event.conversation)
    assert row is not None
    tx.save_conversation(replace(row, next_n=n + 1, last_at=entry.at), was_epoch=row.epoch)
    changed = Changed(site=event.site, conversation=event.conversation)
    return _Kept(receipt=Receipt(n=n), changes=[changed])


class EpochlessSwitchboard(Switchboard):
    """Looks at who owns the conversation, but not since when: a run of before the human stretch goes on after it."""

    def _unit(self, tx: Tx, event: Event) -> _Kept:
        row = tx.conversation(event.site, event.conversation) if isinstance(event, AgentSaid) else None
        if not isinstance(event, AgentSaid) or row is None or row.state is not State.AGENT or row.epoch == event.epoch:
            return super()._unit(tx, event)
        return _say(tx, event, row.next_n, row.epoch, row.last_at)


class LoudSwitchboard(Switchboard):
    """Sends every operator's every word to the customer."""

    def _unit(self, tx: Tx, event: Event) -> _Kept:
        return super()._unit(_Loud(tx) if isinstance(event, OperatorSaid) else tx, event)


class _Loud(_Over):
    def append(self, site: SiteId, conversation: ConversationId, entry: Entry) -> None:
        self._tx.append(site, conversation, replace(entry, audience=Audience.EVERYONE))


class LossyShowing(Showing):
    """Starts each window at the end of the log instead of at its watermark."""

    async def watch(self, site: SiteId, conversation: ConversationId, after_n: int, viewer: Any) -> None:
        row = await self._store.read(lambda tx: tx.conversation(site, conversation, lock=False))
        await super().watch(site, conversation, row.next_n - 1 if row and after_n else after_n, viewer)


class CarelessTimers(Timers):
    """Drops a timer before it has fired."""

    async def _fire(self, timer: DueTimer) -> None:
        await self._store.run(lambda tx: tx.drop_timer(timer.site, timer.handoff, timer.rung))


async def early_answer(process: Process, receive: Receive, event: Event) -> Receipt:
    """Say yes to the customer before it is kept."""
    if not isinstance(event, CustomerSaid):
        return await receive(event)
    work = asyncio.ensure_future(receive(event))
    done, _ = await asyncio.wait({work}, timeout=0.001)
    if done and work.exception() is not None and not isinstance(work.exception(), StoreUnavailable):
        raise work.exception() or AssertionError
    return work.result() if done and work.exception() is None else Receipt(n=0)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """What is wrong with it, and the words by which an oracle complains, within so many worlds from the first."""

    made: Made
    caught_by: str
    first: int = 1
    worlds: int = 12
    freezes: float = 0.12


MUTANTS = {
    "sends again blindly": Mutant(made=Made(courier=BlindCourier), caught_by="I11|I5|twice"),
    "takes unclear for delivered": Mutant(made=Made(courier=HopefulCourier), caught_by="I11|I5|card"),
    "sends before it freezes": Mutant(made=Made(courier=EagerCourier), caught_by="I11|I5"),
    "buries in silence": Mutant(made=Made(courier=SilentCourier), caught_by="nobody was told"),
    "looks too soon": Mutant(made=Made(grace_s=0.1), caught_by="I11|I5"),
    "forgets what it saw": Mutant(made=Made(store=lambda s: OverStore(s, Forgetful)), caught_by="doubled|I7"),
    "settles without its lease": Mutant(
        made=Made(store=lambda s: OverStore(s, leaseless)), caught_by="I10|I11|I5", first=50, worlds=60, freezes=0.7
    ),
    "sends out of order": Mutant(made=Made(store=lambda s: OverStore(s, Disordered)), caught_by="I10|I11|I13"),
    "leaves lost runs alone": Mutant(made=Made(store=lambda s: OverStore(s, Stopwatchless)), caught_by="I13"),
    "has no fence": Mutant(made=Made(switchboard=UnfencedSwitchboard), caught_by="I1"),
    "has a fence without an epoch": Mutant(
        made=Made(switchboard=EpochlessSwitchboard, store=lambda s: OverStore(s, Stubborn)),
        caught_by="I1",
        first=33,
        worlds=80,
    ),
    "lets everybody speak": Mutant(made=Made(switchboard=LoudSwitchboard), caught_by="I8|I12"),
    "forgets where a window was": Mutant(made=Made(showing=LossyShowing), caught_by="I10|I13"),
    "answers before it keeps": Mutant(made=Made(deliver=early_answer), caught_by="not what was acknowledged"),
}
