"""A decision in the making: the rows write on it, one effect after the other."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.conversation import (
    CUSTOMER_SEES,
    Audience,
    Author,
    Entry,
    EntryKind,
    FileRef,
    Handoff,
    HandoffState,
    Operator,
    Role,
    Situation,
    State,
    Turn,
    TurnKind,
    TurnState,
)
from bridge.effects import (
    Append,
    ClearTimers,
    CloseStream,
    Decision,
    Effect,
    EndTurn,
    OutKind,
    QueueTurn,
    Receipt,
    Send,
    SetTimer,
)
from bridge.envelope import HandoffEnvelope, ReturnNote
from bridge.ids import Millis, RemoteRef, TurnId
from bridge.notices import Words, harmless, thread
from bridge.ownership.verdicts import Verdicts
from bridge.routing import Queue

BRIDGE = Author(role=Role.BRIDGE)
DELIVERY_CHECK_MS = 60_000
"""When the customer is told that the desk could not be reached yet."""
DELIVERY_RUNG = "delivery"
IDLE_RUNG = "idle"


class Draft:
    """Collects effects while keeping numbers, times and the epoch right."""

    def __init__(self, situation: Situation, verdicts: Verdicts) -> None:
        """Start from what is."""
        self.conversation = situation.conversation
        self.handoff = situation.handoff
        self.turn = situation.turn
        self.stream_open = situation.stream_open
        self.verdicts = verdicts
        self.effects: list[Effect] = []

    @property
    def state(self) -> State:
        """Who owns the conversation now."""
        return self.conversation.state

    @property
    def words(self) -> Words:
        """The customer's language."""
        return self.verdicts.words

    @property
    def open_handoff(self) -> Handoff:
        """The open handoff. Only for rows in WAITING or HUMAN, where there always is one."""
        if self.handoff is None:
            raise LookupError(f"{self.conversation.id} is {self.state} without a handoff")
        return self.handoff

    # --- the log

    def append(
        self,
        *,
        kind: EntryKind = EntryKind.LINE,
        author: Author,
        audience: Audience,
        text: str = "",
        files: tuple[FileRef, ...] = (),
        target: int | None = None,
        turn: TurnId | None = None,
        remote: RemoteRef | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> int:
        """Write an entry; return its n. The speaker's name goes with it when it is another one than before."""
        c = self.conversation
        at = Millis(max(self.verdicts.now, c.last_at + 1))
        seen = kind is EntryKind.LINE and audience in CUSTOMER_SEES
        speaker = f"{author.role}:{author.id}"
        others = author.role in (Role.AGENT, Role.OPERATOR)
        named = seen and others and speaker != c.last_speaker
        if named and author.role is Role.OPERATOR:
            # A conversation may move from queue to queue: the label is that of the time.
            data = {**(data or {}), "label": self.public_label()}
        text = whole(text)
        entry = Entry(
            n=c.next_n,
            kind=kind,
            author=author,
            audience=audience,
            at=at,
            epoch=c.epoch,
            text=text,
            files=files,
            target=target,
            turn=turn,
            handoff=self.handoff.id if self.handoff else None,
            named=named,
            remote=remote,
            data=data or {},
        )
        self.effects.append(Append(entry=entry))
        self.conversation = replace(
            c,
            next_n=c.next_n + 1,
            last_at=at,
            last_speaker=speaker if seen and others else c.last_speaker,
            last_role=author.role.value if seen else c.last_role,
            last_customer_n=c.next_n if seen and author.role is Role.CUSTOMER else c.last_customer_n,
        )
        return entry.n

    def tell_customer(self, name: str, /, **values: str) -> int:
        """Say something of the bridge's own to the customer."""
        return self.tell_customer_words(self.words.customer(name, **values), notice=name)

    def tell_customer_words(self, text: str, notice: str = "custom") -> int:
        """Say these words to the customer, as the bridge."""
        return self.append(
            kind=EntryKind.NOTICE, author=BRIDGE, audience=Audience.CUSTOMER, text=text, data={"notice": notice}
        )

    def tell_thread(
        self,
        text: str,
        *,
        notice: str,
        actions: tuple[str, ...] = (),
        target: int | None = None,
        mention: Operator | None = None,
        handoff: Handoff | None = None,
        ordinal: int | None = None,
        envelope: str = "",
        points_to: Handoff | None = None,
    ) -> int:
        """Say something of the bridge's own in a thread: the newest of the open handoff, unless another is named.
        `envelope` is the id of the one that this answers, so that it is known when it comes again.
        """
        place = handoff or self.open_handoff
        data: dict[str, Any] = {"notice": notice}
        if envelope:
            data["envelope"] = envelope
        if points_to is not None:
            data["points_to"] = points_to.id
        if mention is not None:
            data["mentions"] = [mention.id]
        n = self.append(
            kind=EntryKind.NOTICE, author=BRIDGE, audience=Audience.COLLEAGUES, text=text, target=target, data=data
        )
        self.effects.append(Send(handoff=place.id, kind=OutKind.POST, n=n, ordinal=ordinal, actions=actions))
        return n

    def show_in_thread(self, n: int) -> None:
        """Post an entry in the open handoff's thread."""
        self.effects.append(Send(handoff=self.open_handoff.id, kind=OutKind.POST, n=n))

    def card(self) -> None:
        """Bring the card up to date."""
        self.effects.append(Send(handoff=self.open_handoff.id, kind=OutKind.CARD))

    # --- the owner

    def change_owner(self, state: State, operator: Operator | None = None) -> None:
        """Move the conversation: a new epoch, the agent's run over, its half-written text taken back."""
        if self.stream_open and self.turn is not None:
            self.append(
                kind=EntryKind.RETRACTION,
                author=BRIDGE,
                audience=Audience.EVERYONE,
                turn=self.turn.id,
                data={"notice": "retracted"},
            )
        self.end_turn(TurnState.CANCELLED)
        self.conversation = replace(
            self.conversation,
            state=state,
            operator=operator,
            epoch=self.conversation.epoch + 1,
            sticky=operator.id if operator else self.conversation.sticky,
            unsure_turns=0,
        )

    def end_turn(self, state: TurnState) -> None:
        """End the live turn, if there is one. What it read is dealt with: answered, handed over, or given up."""
        if self.turn is None:
            return
        read_n = max(self.conversation.read_n, self.turn.upto_n)
        self.conversation = replace(self.conversation, read_n=read_n)
        if self.stream_open:
            self.effects.append(CloseStream(turn=self.turn.id))
            self.stream_open = False
        self.effects.append(EndTurn(turn=self.turn.id, state=state))
        self.turn = None

    def queue_turn(self, kind: TurnKind, note: ReturnNote | None = None) -> None:
        """Let the agent run, reading the log up to here. A rehearsal does not count as the live turn."""
        turn = Turn(
            site=self.conversation.site,
            id=self.verdicts.new_turn,
            conversation=self.conversation.id,
            epoch=self.conversation.epoch,
            kind=kind,
            upto_n=self.conversation.next_n - 1,
            handoff=self.handoff.id if self.handoff and kind is not TurnKind.OPENED else None,
            note=note,
        )
        self.effects.append(QueueTurn(turn=turn))
        if kind is not TurnKind.REHEARSAL:
            self.turn = turn

    # --- the handoff

    def start_ladder(self) -> None:
        """Set the timers of a handoff that began to wait."""
        handoff = self.open_handoff
        now, queue = self.verdicts.now, self._queue()
        self.effects.append(SetTimer(handoff=handoff.id, rung=DELIVERY_RUNG, due_at=Millis(now + DELIVERY_CHECK_MS)))
        for rung in queue.ladder if queue else ():
            self.effects.append(SetTimer(handoff=handoff.id, rung=rung.name, due_at=Millis(now + rung.after_s * 1000)))
        self.rest_idle()

    def stop_ladder(self) -> None:
        """Forget the timers: somebody has it, or nobody needs it any more."""
        self.effects.append(ClearTimers(handoff=self.open_handoff.id))

    def rest_idle(self) -> None:
        """Move the idle timer of an open handoff: somebody said something."""
        queue = self._queue()
        open_now = self.state in (State.WAITING, State.HUMAN)
        if queue is not None and queue.idle_close_s and self.handoff is not None and open_now:
            due = Millis(self.verdicts.now + queue.idle_close_s * 1000)
            self.effects.append(SetTimer(handoff=self.handoff.id, rung=IDLE_RUNG, due_at=due))

    def _queue(self) -> Queue | None:
        handoff, verdicts = self.handoff, self.verdicts
        if verdicts.route is not None and handoff is not None and verdicts.route.queue.name == handoff.queue:
            return verdicts.route.queue
        return verdicts.queue

    def public_label(self) -> str:
        """What customers read behind an operator's name."""
        queue = self._queue()
        return queue.public_label if queue else "support"

    def open(
        self, envelope: HandoffEnvelope, problems: tuple[tuple[str, str], ...], operator: Operator | None
    ) -> Handoff:
        """Open a handoff where the route says: waiting, or at once with this operator. The customer is told first."""
        verdicts, route, ticket = self.verdicts, self.verdicts.route, self.verdicts.ticket
        if route is None or ticket is None:
            raise LookupError("a handoff needs a route and a ticket")
        before = self.handoff
        self.change_owner(State.HUMAN if operator else State.WAITING, operator)
        handoff = Handoff(
            site=self.conversation.site,
            id=verdicts.new_handoff,
            conversation=self.conversation.id,
            ticket=ticket,
            envelope=envelope,
            problems=problems,
            queue=route.queue.name,
            thread=route.thread(),
            why_here=route.why,
            state=HandoffState.HUMAN if operator else HandoffState.WAITING,
            opened_at=verdicts.now,
            first_n=self.conversation.next_n,
            taken_at=verdicts.now if operator else None,
            operator=operator,
            previous=before.id if before else None,
            preferred=route.preferred,
            audience_rule=route.queue.audience,
            first_reply=route.queue.first_reply,
        )
        self.handoff = handoff
        self.conversation = replace(self.conversation, handoff=handoff.id)
        return handoff

    def announce(self) -> None:
        """Send the card and what was said before it, and start the clock."""
        handoff = self.open_handoff
        self.effects.append(Send(handoff=handoff.id, kind=OutKind.CARD))
        self.effects.append(Send(handoff=handoff.id, kind=OutKind.TRANSCRIPT, n=handoff.first_n))
        if handoff.state is HandoffState.WAITING:
            self.start_ladder()
        else:
            self.rest_idle()

    def set_handoff(self, state: HandoffState, **changes: Any) -> None:
        """Move the handoff on. One that ends keeps its last operator."""
        ended = state not in (HandoffState.WAITING, HandoffState.HUMAN)
        if ended:
            changes.setdefault("ended_at", self.verdicts.now)
        self.handoff = replace(self.open_handoff, state=state, **changes)

    def joined(self, operator: Operator) -> None:
        """Tell the customer who speaks from here on. Whoever speaks next is named, the agent too."""
        self.conversation = replace(self.conversation, last_speaker="")
        self.tell_customer("joined", name=harmless(operator.name), label=self.public_label())

    def taken(self, operator: Operator, other: Operator | None = None, *, envelope: str = "") -> None:
        """Say in the thread who has it. The mention makes the vendor notify that person of what follows."""
        values = {"name": harmless(operator.name)}
        text = thread("taken_over", **values, other=harmless(other.name)) if other else thread("taken", **values)
        self.tell_thread(text, notice="taken", mention=operator, envelope=envelope)

    # --- the answer

    def done(self, n: int | None = None, **answer: Any) -> Decision:
        """Finish."""
        return self._decision(Receipt(status="done", n=n, **self._names(), **answer))

    def refuse(self, sentence: str) -> Decision:
        """Finish: it was not done, and why."""
        return self._decision(Receipt(status="refused", sentence=sentence, **self._names()))

    def fenced(self, n: int | None = None) -> Decision:
        """Finish: the agent came too late."""
        return self._decision(Receipt(status="fenced", n=n, **self._names()))

    def _names(self) -> dict[str, Any]:
        return {
            "conversation": self.conversation.id,
            "at": self.conversation.last_at,
            "handoff": self.handoff.id if self.handoff else None,
            "ticket": self.handoff.ticket if self.handoff else None,
            "epoch": self.conversation.epoch,
        }

    def _decision(self, receipt: Receipt) -> Decision:
        situation = Situation(
            conversation=self.conversation, handoff=self.handoff, turn=self.turn, stream_open=self.stream_open
        )
        return Decision(situation=situation, effects=tuple(self.effects), receipt=receipt)


def whole(text: str) -> str:
    """Return text that every store and vendor can hold: half of a surrogate pair, as JSON may carry, is replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def may_answer(operator: Operator) -> bool:
    """Tell whether this person may act in the queue at all."""
    return operator.standing.value != "none"


def is_supervisor(operator: Operator) -> bool:
    """Tell whether this person may act on others' conversations."""
    return operator.standing.value == "supervisor"
