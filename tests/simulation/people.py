"""Customers with strict widgets, and operators who do what operators do, at random."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.conversation import Customer, Entry, Handoff, HandoffState, Operator
from bridge.envelope import ReturnNote
from bridge.events import (
    CustomerOpened,
    CustomerSaid,
    CustomerWithdrew,
    Event,
    OperatorClosed,
    OperatorDeleted,
    OperatorEdited,
    OperatorForwarded,
    OperatorRehearsed,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorSaid,
    OperatorTook,
    OperatorTransferred,
)
from bridge.ids import ConversationId, HandoffId, RemoteRef, SourceId
from bridge.ports import Shown
from tests.simulation.process import Process, epoch_said
from tests.simulation.scale import BILLING, DESK, OPERATORS, SITE, SUPPORT
from tests.simulation.vendor import POISON

if TYPE_CHECKING:
    from tests.simulation.world import World

CANARY = "for-colleagues-only"


class Window:
    """A socket of one process to one customer's page."""

    def __init__(self, world: "World", client: "Client", process: Process) -> None:
        self._world, self._client, self._process = world, client, process
        self.connected = True

    async def show(self, shown: Shown) -> None:
        host, chance = self._process.host, self._world.chance
        await host.point("viewer.show.before")
        if not self.connected or (self._world.faults and chance.random() < 0.03):
            raise ConnectionError
        self._client.paint(shown)
        if self._world.faults and chance.random() < 0.1:
            await asyncio.sleep(chance.uniform(0.01, 0.6))
        await host.point("viewer.show.after")
        if self._world.faults and chance.random() < 0.03:
            raise ConnectionError

    async def typing(self, name: str) -> None:
        """Nothing that matters."""


@dataclass(kw_only=True)
class Client:
    """A page: keeps what it was shown by id, comes back with its watermark, sends again what was not acknowledged."""

    world: "World"
    conversation: ConversationId
    customer: Customer
    lines: int
    watermark: int = 0
    screen: dict[int, Entry] = field(default_factory=dict)
    accepted: list[tuple[str, int]] = field(default_factory=list)
    finished: bool = False

    def paint(self, shown: Shown) -> None:
        """Show these. What was shown before must be the same again."""
        for stream in shown.streams:
            epoch = epoch_said(stream.text)
            if epoch and not self.world.may_stream(self.conversation, epoch):
                self.world.fail(f"I1: the stream of epoch {epoch} was shown in {self.conversation} after a takeover")
        for entry in shown.entries:
            if CANARY in entry.text:
                self.world.fail(f"I12: what was for colleagues only was shown in {self.conversation} as {entry.n}")
            if entry.n in self.screen and self.screen[entry.n] != entry:
                self.world.fail(f"entry {entry.n} of {self.conversation} changed under its id")
            if entry.n <= self.watermark and entry.n not in self.screen:
                self.world.fail(f"I10: entry {entry.n} of {self.conversation} came after {self.watermark}")
            self.screen[entry.n] = entry
            self.watermark = max(self.watermark, entry.n)

    async def watch(self) -> None:
        """Hold a socket, to whichever process is there."""
        while True:
            process = await self.world.serving()
            window = Window(self.world, self, process)
            work = process.host.spawn(process.showing.watch(SITE, self.conversation, max(0, self.watermark), window))
            while not work.done() and process is self.world.process:
                await asyncio.wait({work}, timeout=0.5)
            window.connected = False
            if not work.done():
                work.cancel()
            await asyncio.sleep(self.world.chance.uniform(0.05, 0.4))

    async def talk(self) -> None:
        """Open the chat, say everything, each line until it is acknowledged."""
        chance, world = self.world.chance, self.world
        head: dict[str, Any] = {"site": SITE, "conversation": self.conversation}
        opened: dict[str, Any] = {"widget": "sim", "customer": self.customer}
        await self._until_kept(
            lambda: CustomerOpened(**head, **opened, source=SourceId(f"{self.conversation}:open"), at=world.clock.now())
        )
        for number in range(1, self.lines + 1):
            await asyncio.sleep(chance.choice([0.1, 0.5, 1.5, 4.0]))
            text = f"line {number} of {self.conversation}"
            if chance.random() < 0.12:
                text = f"Can I talk to a human? {text}"
            elif chance.random() < 0.04:
                text += f" {POISON}"
            elif chance.random() < 0.06:
                text += " and so on" * 120
            said = CustomerSaid(
                **head, **opened, source=SourceId(f"{self.conversation}:{number}"), at=world.clock.now(), text=text
            )
            n = await self._until_kept(lambda said=said: said)  # type: ignore[misc]
            self.accepted.append((text, n))
            if chance.random() < (0.3 if "human" in text else 0.03):
                await asyncio.sleep(chance.uniform(0.0, 1.5))
                withdrew = CustomerWithdrew(
                    **head, source=SourceId(f"{self.conversation}:{number}:w"), at=world.clock.now()
                )
                await self._until_kept(lambda withdrew=withdrew: withdrew)  # type: ignore[misc]
        self.finished = True

    async def _until_kept(self, event: Callable[[], Event]) -> int:
        made = event()
        while True:
            try:
                receipt = await self.world.request(made)
            except ConnectionError:
                await asyncio.sleep(self.world.chance.uniform(0.1, 0.5))
            else:
                return receipt.n or 0


@dataclass(kw_only=True)
class Spoken:
    """A message that an operator typed."""

    operator: Operator
    remote: RemoteRef
    root: RemoteRef
    text: str
    offered: bool = False
    """Somebody chose to send it to the customer: it is no longer for colleagues only."""


class Desk:
    """The operators of one desk. Each event they cause is delivered until it is acknowledged, some of them again."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.typed: dict[RemoteRef, Spoken] = {}
        self._number = 0

    async def work(self, operator: Operator) -> None:
        """Do something every now and then."""
        chance = self.world.chance
        while self.world.faults:
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            cards = [held for held in self.world.vendor.cards() if held.card is not None]
            if not cards:
                continue
            card = chance.choice(cards[-4:])
            assert card.card is not None
            handoff = await self._handoff(card.card.handoff)
            if handoff is not None:
                self._act(operator, handoff, card.ref)

    async def _handoff(self, handoff: HandoffId) -> Handoff | None:
        return await self.world.store.read(lambda tx: tx.handoff(SITE, handoff))

    def _act(self, operator: Operator, handoff: Handoff, root: RemoteRef) -> None:
        mine = handoff.operator is not None and handoff.operator.id == operator.id
        match handoff.state:
            case HandoffState.WAITING:
                deeds = {"take": 60, "note": 10, "reply": 12, "give_back": 4, "queue": 4}
            case HandoffState.HUMAN if mine:
                deeds = {"reply": 60, "note": 9, "release": 4, "colleague": 6, "queue": 3, "give_back": 18}
                deeds |= {"close": 3, "rehearse": 3, "edit": 5, "delete": 3, "forward": 5}
            case HandoffState.HUMAN:
                deeds = {"reply": 8, "take": 6, "forward": 1}
            case _:
                deeds = {"reply": 6, "reopen": 4, "take": 1, "nothing": 20}
        deed = self.world.chance.choices(list(deeds), list(deeds.values()))[0]
        self._number += 1
        head: dict[str, Any] = {
            "site": SITE,
            "source": SourceId(f"ev{self._number}"),
            "at": self.world.clock.now(),
            "operator": operator,
        }
        event = self._event(deed, head, operator, handoff, root)
        if event is not None:
            self.world.deliver(event)

    def _event(
        self, deed: str, head: dict[str, Any], operator: Operator, handoff: Handoff, root: RemoteRef
    ) -> Event | None:
        chance = self.world.chance
        about: dict[str, Any] = {"handoff": handoff.id}
        note = ReturnNote(note=f"{CANARY} {head['source']}", continue_now=chance.random() < 0.5)
        match deed:
            case "take":
                return OperatorTook(**head, **about)
            case "release":
                return OperatorReleased(**head, **about)
            case "colleague":
                return OperatorTransferred(**head, **about, to_operator=chance.choice(OPERATORS))
            case "queue":
                return OperatorTransferred(**head, **about, to_queue=chance.choice((SUPPORT, BILLING)))
            case "give_back":
                return OperatorReturned(**head, **about, note=note)
            case "close":
                return OperatorClosed(**head, **about)
            case "reopen":
                return OperatorReopened(**head, **about)
            case "rehearse":
                return OperatorRehearsed(**head, **about, note=note)
            case _:
                return self._speak(deed, head, operator, root)

    def _speak(self, deed: str, head: dict[str, Any], operator: Operator, root: RemoteRef) -> Event | None:
        where: dict[str, Any] = {"desk": DESK, "root": root}
        mine = [said for said in self.typed.values() if said.operator == operator and said.root == root]
        remote = RemoteRef(f"m{self._number}")
        match deed:
            case "reply" | "note":
                text = f"reply {remote} of {operator.name}" if deed == "reply" else f"// {CANARY} {remote}"
                self.typed[remote] = Spoken(operator=operator, remote=remote, root=root, text=text)
                return OperatorSaid(**head, **where, remote=remote, text=text)
            case "edit" if mine:
                said = self.world.chance.choice(mine)
                if said.text.startswith("//"):
                    return None
                hides = not said.offered and self.world.chance.random() < 0.2
                said.text = f"// {CANARY} now" if hides else f"{said.text.split(' (')[0]} (edited {remote})"
                return OperatorEdited(**head, **where, remote=said.remote, text=said.text)
            case "delete" if mine:
                return OperatorDeleted(**head, **where, remote=self.world.chance.choice(mine).remote)
            case "forward":
                plain = [said for said in self.typed.values() if said.root == root and CANARY not in said.text]
                if plain:
                    said = self.world.chance.choice(plain)
                    said.offered = True
                    return OperatorForwarded(**head, **where, remote=said.remote)
        return None
