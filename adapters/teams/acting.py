"""Buttons, the message extension and slash commands -> the bridge's one door; refusals go to the one who acted.

Who acts is told by Teams, never by the card. A button works only in the thread of the handoff that it names: a card
that
somebody copied or forwarded does nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from adapters.teams import answers, card, forms, inputs, wire
from adapters.teams.config import TeamsSettings
from adapters.teams.errors import CallFailed
from adapters.teams.hearing import Voice
from adapters.teams.refs import operator_id, remote_ref, root_ref, source_id, split_ref
from adapters.teams.roster import TeamsRoster
from adapters.teams.threads import Threads
from bridge import log as logs
from bridge.briefing import Card
from bridge.conversation import OPEN_STATES, Handoff, Operator, Standing, Thread
from bridge.envelope import ReturnNote
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import (
    Echoed,
    Event,
    OperatorClosed,
    OperatorForwarded,
    OperatorRehearsed,
    OperatorReleased,
    OperatorReopened,
    OperatorReturned,
    OperatorTook,
    OperatorTransferred,
)
from bridge.ids import HandoffId, OutKey, QueueName, RemoteRef, SiteId
from bridge.notices import REHEARSING
from bridge.ports import Clock, Lookup, Receive
from bridge.refusals import ELSEWHERE, ENDED, GONE, NONE_OPEN, NOT_KEPT, NOT_OURS, REFUSED

log = logs.get("teams.acting")

Json = dict[str, Any]
UNKNOWN = "The bridge knows no such button. Reload the message, or use another one."
UNKNOWN_COMMAND = "I know two commands, each with a note for the AI agent behind it: return and rehearse."
SEVERAL = "You have several open conversations: use the button in the thread of the one that you mean."
TITLE = "Return to AI"
SEND_TITLE = "Send to the customer"

_PLAIN: dict[str, type[OperatorTook | OperatorReleased | OperatorClosed | OperatorReopened]] = {
    "take": OperatorTook,
    "release": OperatorReleased,
    "close": OperatorClosed,
    "reopen": OperatorReopened,
    "take_back": OperatorReopened,
}
_NOTED: dict[str, type[OperatorReturned | OperatorRehearsed]] = {
    "return": OperatorReturned,
    "rehearse": OperatorRehearsed,
}
_FORWARDS = frozenset({"send_to_customer", "take_and_send"})
_LETTERS = frozenset({"retry_send", "it_arrived"})
_KNOWN = _PLAIN.keys() | _NOTED.keys() | _FORWARDS | _LETTERS | {"transfer"}


class DeadLetters(Protocol):
    """What people decide about a post that may not have arrived. Each returns a sentence for who decided, or ""."""

    async def send_again(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Queue it again."""
        ...

    async def arrived(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Forget it: people saw that it is there."""
        ...


class Desk(Voice, Protocol):
    """What is needed of the desk (`TeamsDesk`)."""

    def card(self, place: str, shown: Card, key: str = "") -> Json:
        """Return the Adaptive Card of a handoff."""
        ...

    async def answer(self, conversation: str, person: str, message: str, sentence: str) -> bool:
        """Answer a private message, for its writer's eyes only; tell whether Teams took it. Never raises."""
        ...


class _Refusal(Exception):
    """Why nothing was done, in a sentence for who acted."""


class Acting:
    """Handles what people press and submit. The store's failures and Teams' are told, and never raised."""

    def __init__(
        self,
        *,
        site: SiteId,
        settings: TeamsSettings,
        desk: Desk,
        roster: TeamsRoster,
        threads: Threads,
        receive: Receive,
        lookup: Lookup,
        clock: Clock,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        """Take the ports and the rest of the desk."""
        self._site, self._settings, self._desk, self._roster = site, settings, desk, roster
        self._receive, self._lookup, self._clock = receive, lookup, clock
        self._threads, self._dead_letters = threads, dead_letters

    # --- buttons

    async def click(self, click: wire.Click) -> Json | None:
        """Handle a button. Returns what the invoke is answered with: the new card, or a sentence; None where nobody
        waits for an answer (an old client), and then a refusal is said in the thread.
        """
        if click.verb not in _KNOWN:
            log.warning("button_unknown", action=click.verb)
            if click.inline:
                return answers.error("BadRequest", UNKNOWN)
            await self._refusal(lambda: self._say(click, UNKNOWN))
            return None
        words = await self._refusal(lambda: self._act(click))
        if not click.inline:
            await self._refusal(lambda: self._say(click, words))
            return None
        if click.verb == "rehearse" and not words:
            # Teams would show a card anew with empty inputs, and the draft of the note would be lost.
            return answers.message(REHEARSING)
        if words or not (shown := await self._card_for(click)):
            return answers.message(words or "Done.")
        return answers.card(shown)

    async def _act(self, click: wire.Click) -> str:
        handoff = await self._own(click)
        operator = await self._operator(click, handoff)
        head: Json = {"site": self._site, "source": click.source, "at": self._clock.now(), "operator": operator}
        if kind := _PLAIN.get(click.verb):
            return await self._sentence(kind(**head, handoff=handoff.id))
        if noted := _NOTED.get(click.verb):
            note = forms.read_return(click.values)
            return await self._sentence(noted(**head, handoff=handoff.id, note=note))
        if click.verb == "transfer":
            return await self._transfer(click, handoff, head)
        if click.verb in _FORWARDS:
            root, take = root_ref(click.channel, click.root), click.verb == "take_and_send"
            forwarded = OperatorForwarded(**head, desk=self._desk.name, root=root, n=click.target, take=take)
            return await self._sentence(forwarded)
        return await self._about_dead_letter(click, operator, handoff)

    async def _transfer(self, click: wire.Click, handoff: Handoff, head: Json) -> str:
        transfer = forms.read_transfer(click.values)
        colleague = None
        if transfer.person:
            person = operator_id(click.tenant, transfer.person)
            colleague = await self._roster.operator(person, handoff.queue)
            if colleague.standing is Standing.NONE:
                return colleague.why or REFUSED
        elif transfer.queue not in {name for name, _ in self._lookup.queues()}:
            return "There is no such queue any more. Reload the message, and choose another one."
        return await self._sentence(
            OperatorTransferred(
                **head,
                handoff=handoff.id,
                to_operator=colleague,
                to_queue=QueueName(transfer.queue) if transfer.queue else None,
                note=transfer.note,
            )
        )

    async def _about_dead_letter(self, click: wire.Click, operator: Operator, handoff: Handoff) -> str:
        if operator.standing is Standing.NONE:
            return operator.why or REFUSED
        if self._dead_letters is None:
            return REFUSED
        if click.verb == "retry_send":
            return await self._dead_letters.send_again(self._site, handoff.id, click.target)
        return await self._dead_letters.arrived(self._site, handoff.id, click.target)

    async def _card_for(self, click: wire.Click) -> Json | None:
        """Return the card as it is now, if it is the card that was pressed and not a notice below it."""
        if click.card != click.root:
            return None
        try:
            shown = await self._lookup.card(self._site, HandoffId(click.handoff))
        except StoreUnavailable:
            return None
        return self._desk.card(click.conversation, shown, click.key) if shown is not None else None

    async def _say(self, where: wire.Where, words: str) -> str:
        """Say a refusal in the thread, for Teams shows nothing to one person alone; nothing where nobody knows it."""
        root = root_ref(where.channel, where.root)
        handoff = await self._threads.known(where)
        if handoff is not None and words:
            await self._desk.remark(Thread(desk=self._desk.name, channel=handoff.thread.channel, root=root), words)
        return ""

    # --- the message extension

    async def compose(self, compose: wire.Compose) -> Json:
        """Handle the entries of a message's menu: *Return to AI agent* has a form, *Send to the customer* none."""
        if compose.command == wire.SEND_COMMAND:
            words = await self._refusal(lambda: self._forwarded(compose))
            return answers.sentence(SEND_TITLE, words or "Sent to the customer.")
        if compose.command != wire.RETURN_COMMAND:
            return answers.sentence(TITLE, UNKNOWN)
        if not compose.submitted:
            return await self._form(compose)
        words = await self._refusal(lambda: self._returned(compose))
        return answers.sentence(TITLE, words) if words else answers.closed()

    async def _form(self, compose: wire.Compose) -> Json:
        found: list[Handoff] = []

        async def look() -> str:
            handoff = await self._at(compose)
            operator = await self._operator(compose, handoff)
            if operator.standing is Standing.NONE:
                return operator.why or REFUSED
            if handoff.state not in OPEN_STATES:
                return ENDED
            found.append(handoff)
            return ""

        if words := await self._refusal(look):
            return answers.sentence(TITLE, words)
        title = f"Return {found[0].ticket}"
        return answers.form(title, card.return_form(), inputs.data(found[0].id))

    async def _forwarded(self, compose: wire.Compose) -> str:
        handoff = await self._at(compose)
        operator = await self._operator(compose, handoff)
        return await self._sentence(
            OperatorForwarded(
                site=self._site,
                source=source_id(compose.source, "forward"),
                at=self._clock.now(),
                operator=operator,
                desk=self._desk.name,
                root=root_ref(compose.channel, compose.root),
                remote=remote_ref(compose.conversation, compose.message),
            )
        )

    async def _returned(self, compose: wire.Compose) -> str:
        handoff = await self._at(compose)
        if compose.handoff and compose.handoff != handoff.id:
            return ELSEWHERE
        return await self._bring("return", compose, handoff, forms.read_return(compose.values))

    # --- slash commands

    async def targeted(self, targeted: wire.Targeted) -> None:
        """Handle a private message to the bot. Nothing of it is ever shown to a customer, or kept. A refusal is
        answered where it was typed, privately; in the thread only if Teams does not take that.
        """
        if not self._settings.slash:
            log.info("private_message_ignored")
            return
        words = await self._refusal(lambda: self._commanded(targeted))
        if words:
            log.info("command_refused", why=words)
            if not await self._desk.answer(targeted.conversation, targeted.account, targeted.activity, words):
                await self._refusal(lambda: self._say(targeted, words))

    async def _commanded(self, targeted: wire.Targeted) -> str:
        if (command := targeted.command) is None:
            return UNKNOWN_COMMAND
        note = ReturnNote(note=command.note[: forms.MAX_NOTE_CHARS])
        if targeted.root:
            return await self._bring(command.name, targeted, await self._at(targeted), note)
        person = operator_id(targeted.tenant, targeted.person)
        mine = [
            one
            for one in await self._lookup.open_handoffs(self._site, person)
            if one.thread.desk == self._desk.name and one.thread.channel == targeted.channel
        ]
        if len(mine) != 1:
            return SEVERAL if mine else NONE_OPEN
        return await self._bring(command.name, targeted, mine[0], note)

    async def _bring(self, name: str, where: wire.Where, handoff: Handoff, note: ReturnNote) -> str:
        operator = await self._operator(where, handoff)
        return await self._sentence(
            _NOTED[name](
                site=self._site,
                source=source_id(where.source, name),
                at=self._clock.now(),
                operator=operator,
                handoff=handoff.id,
                note=note,
            )
        )

    # --- what they all need

    async def _own(self, click: wire.Click) -> Handoff:
        """Return the handoff of a button. Raises _Refusal unless it lives, or lived, in this very thread."""
        named = await self._lookup.handoff(self._site, HandoffId(click.handoff))
        if named is None:
            raise _Refusal(GONE)
        if click.key and self._awaits(named, click):
            await self._settle(click, root_ref(click.channel, click.root))
        here = await self._threads.at(click)
        if here is None or here.id != named.id:
            raise _Refusal(ELSEWHERE)
        return here

    def _awaits(self, named: Handoff, click: wire.Click) -> bool:
        return (named.thread.desk, named.thread.channel, named.thread.root) == (self._desk.name, click.channel, None)

    async def _settle(self, click: wire.Click, root: RemoteRef) -> None:
        """A press proves that the card arrived, whatever became of the answer to our post."""
        if click.card != click.root:
            return
        await self._receive(
            Echoed(
                site=self._site,
                source=source_id(click.tenant, split_ref(root)[0], "seen"),
                at=self._clock.now(),
                desk=self._desk.name,
                key=OutKey(click.key),
                ref=root,
            )
        )

    async def _at(self, where: wire.Where) -> Handoff:
        found = await self._threads.at(where)
        if found is None:
            raise _Refusal(NOT_OURS)
        return found

    async def _operator(self, where: wire.Where, handoff: Handoff) -> Operator:
        person = operator_id(where.tenant, where.person)
        return await self._roster.operator(person, handoff.queue)

    async def _sentence(self, event: Event) -> str:
        receipt = await self._receive(event)
        return (receipt.sentence or REFUSED) if receipt.status == "refused" else ""

    async def _refusal(self, act: Callable[[], Awaitable[str]]) -> str:
        """Return what the one who acted has to be told, or ""."""
        try:
            return await act()
        except StoreUnavailable:
            return NOT_KEPT
        except NotFound:
            return GONE
        except (_Refusal, forms.Mistake) as reason:
            return str(reason)
        except CallFailed as failed:
            log.warning("interaction_failed", method=failed.method, reason=failed.code)
            return f"Teams did not answer as it should ({failed.code}). Nothing has changed; try again."
