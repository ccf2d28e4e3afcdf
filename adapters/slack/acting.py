"""Buttons, the slash command, shortcuts and modals -> the bridge's one door; refusals go to the one who acted."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from adapters.slack import interactions, modals
from adapters.slack.calls import Json, SlackCalls
from adapters.slack.desk import SlackDesk
from adapters.slack.dialogs import Built, Dialogs, View
from adapters.slack.errors import CallFailed
from adapters.slack.refs import operator_id, remote_ref, source_id
from adapters.slack.roster import SlackRoster
from bridge import log as logs
from bridge.conversation import OPEN_STATES, Handoff, Operator, Standing
from bridge.envelope import ReturnNote
from bridge.errors import NotFound, StoreUnavailable
from bridge.events import (
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
from bridge.ids import HandoffId, QueueName, SiteId, Ticket
from bridge.notices import REHEARSING
from bridge.ports import Clock, Lookup, Receive
from bridge.refusals import ELSEWHERE, ENDED, GONE, NONE_OPEN, NOT_KEPT, NOT_OURS, REFUSED

log = logs.get("slack.acting")

_PLAIN: dict[str, type[OperatorTook | OperatorReleased | OperatorClosed | OperatorReopened]] = {
    "take": OperatorTook,
    "release": OperatorReleased,
    "close": OperatorClosed,
    "reopen": OperatorReopened,
    "take_back": OperatorReopened,
}


class DeadLetters(Protocol):
    """What people decide about a post that may not have arrived. Each returns a sentence for who decided, or ""."""

    async def send_again(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Queue it again."""
        ...

    async def arrived(self, site: SiteId, handoff: HandoffId, n: int | None) -> str:
        """Forget it: people saw that it is there."""
        ...


class Acting:
    """Handles what people press, type and submit."""

    def __init__(
        self,
        *,
        site: SiteId,
        calls: SlackCalls,
        desk: SlackDesk,
        roster: SlackRoster,
        receive: Receive,
        lookup: Lookup,
        clock: Clock,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        """Take the ports and the rest of the desk."""
        self._site, self._calls, self._desk, self._roster = site, calls, desk, roster
        self._receive, self._lookup, self._clock = receive, lookup, clock
        self._dead_letters = dead_letters
        self._dialogs = Dialogs(calls)

    # --- what people do

    async def click(self, body: Json) -> None:
        """Handle a button under a message or in a modal. Never raises what the one who pressed can be told instead."""
        press = interactions.read_press(body)
        if press is not None:
            await self._pressed(press)
            return
        click = interactions.read_click(body)
        if click is None:
            return
        if click.action in {"return", "transfer"}:
            build = self._return_view if click.action == "return" else self._transfer_view
            title = "Return to AI" if click.action == "return" else "Transfer"
            words = await self._modal(click.trigger, title, lambda: build(click))
        else:
            words = await self._refusal(lambda: self._act(click))
        if words:
            await self._desk.tell(click.channel, click.root_ts, click.user, words)

    async def command(self, body: Json) -> str:
        """Handle the slash command. Returns a sentence for who typed it, or "" when a dialog opened."""
        command = interactions.read_command(body)
        return await self._modal(command.trigger, "Return to AI", lambda: self._command_view(command), may_say=True)

    async def shortcut(self, body: Json) -> None:
        """Handle a message shortcut."""
        shortcut = interactions.read_shortcut(body)
        if shortcut is None:
            return
        words = ""
        if shortcut.callback == "bridge_return_message":
            words = await self._modal(shortcut.trigger, "Return to AI", lambda: self._shortcut_view(shortcut))
        elif shortcut.callback == "bridge_send_message":
            words = await self._refusal(lambda: self._forward(shortcut)) or "Sent to the customer."
        if words:
            await self._desk.tell(shortcut.channel, shortcut.root_ts, shortcut.user, words)

    async def submission(self, body: Json) -> dict[str, str]:
        """Handle a submitted modal. Returns a sentence per block id for what has to be mended; empty: it is done."""
        submitted = interactions.read_submission(body)
        if submitted is None:
            return {}
        try:
            if submitted.callback == modals.RETURN:
                return await self._submit_return(submitted)
            if submitted.callback == modals.TRANSFER:
                return await self._submit_transfer(submitted)
        except modals.Mistakes as mistakes:
            return mistakes.errors
        return {}

    async def stop(self) -> None:
        """Finish dialogs that are being filled. May be called twice."""
        await self._dialogs.stop()

    # --- buttons

    async def _act(self, click: interactions.Click) -> str:
        handoff = await self._own(click.handoff, click.channel)
        operator = await self._operator(click.user, handoff)
        source = source_id(operator.id, "click", click.channel, click.message_ts, click.action, click.stamp)
        if kind := _PLAIN.get(click.action):
            event: Event = kind(
                site=self._site, source=source, at=self._clock.now(), operator=operator, handoff=handoff.id
            )
        elif click.action in {"send_to_customer", "take_and_send"}:
            event = OperatorForwarded(
                site=self._site,
                source=source,
                at=self._clock.now(),
                operator=operator,
                desk=self._desk.name,
                root=remote_ref(click.channel, click.root_ts),
                n=click.target,
                take=click.action == "take_and_send",
            )
        else:
            return await self._about_dead_letter(click, operator, handoff)
        return await self._sentence(event)

    async def _about_dead_letter(self, click: interactions.Click, operator: Operator, handoff: Handoff) -> str:
        if operator.standing is Standing.NONE:
            return operator.why
        if self._dead_letters is None or click.action not in {"retry_send", "it_arrived"}:
            log.warning("button_unknown", action=click.action)
            return REFUSED
        if click.action == "retry_send":
            return await self._dead_letters.send_again(self._site, handoff.id, click.target)
        return await self._dead_letters.arrived(self._site, handoff.id, click.target)

    async def _forward(self, shortcut: interactions.Shortcut) -> str:
        root = remote_ref(shortcut.channel, shortcut.root_ts)
        handoff = await self._lookup.handoff_at(self._site, self._desk.name, root)
        if handoff is None:
            return NOT_OURS
        operator = await self._operator(shortcut.user, handoff)
        return await self._sentence(
            OperatorForwarded(
                site=self._site,
                source=source_id(operator.id, "shortcut", shortcut.channel, shortcut.ts, shortcut.stamp),
                at=self._clock.now(),
                operator=operator,
                desk=self._desk.name,
                root=root,
                remote=remote_ref(shortcut.channel, shortcut.ts),
            )
        )

    # --- modals: what they show

    async def _return_view(self, click: interactions.Click) -> Built:
        return await self._view_of(await self._own(click.handoff, click.channel), click.user)

    async def _shortcut_view(self, shortcut: interactions.Shortcut) -> Built:
        root = remote_ref(shortcut.channel, shortcut.root_ts)
        handoff = await self._lookup.handoff_at(self._site, self._desk.name, root)
        return NOT_OURS if handoff is None else await self._view_of(handoff, shortcut.user)

    async def _command_view(self, command: interactions.Command) -> Built:
        if command.ticket:
            handoff = await self._lookup.handoff_by_ticket(self._site, Ticket(command.ticket))
            if handoff is None:
                return f"There is no ticket {command.ticket}."
            return await self._view_of(handoff, command.user, note=command.note)
        team = (await self._calls.identity()).team
        open_ones = await self._lookup.open_handoffs(self._site, operator_id(team, command.user))
        mine = [handoff for handoff in open_ones if handoff.thread.desk == self._desk.name]
        if not mine:
            return NONE_OPEN
        if len(mine) == 1:
            return await self._view_of(mine[0], command.user, note=command.note)
        choices = [modals.Choice(handoff=handoff.id, label=_choice_label(handoff)) for handoff in mine]
        return modals.returning(channel=command.channel, note=command.note, choices=choices)

    async def _view_of(self, handoff: Handoff, user: str, note: str = "") -> Built:
        operator = await self._operator(user, handoff)
        if operator.standing is Standing.NONE:
            return operator.why or REFUSED
        if handoff.state not in OPEN_STATES:
            return ENDED
        return modals.returning(ticket=handoff.ticket, handoff=handoff.id, channel=handoff.thread.channel, note=note)

    async def _transfer_view(self, click: interactions.Click) -> Built:
        handoff = await self._own(click.handoff, click.channel)
        operator = await self._operator(click.user, handoff)
        if operator.standing is Standing.NONE:
            return operator.why or REFUSED
        if handoff.state not in OPEN_STATES:
            return ENDED
        queues = [(name, label) for name, label in self._lookup.queues() if name != handoff.queue]
        return modals.transferring(
            ticket=handoff.ticket, handoff=handoff.id, channel=handoff.thread.channel, queues=queues
        )

    # --- modals: what they say

    async def _pressed(self, press: interactions.Press) -> None:
        """Do what a button in a modal says; the modal stays open and tells what came of it."""
        if press.action != "rehearse":
            log.warning("button_unknown", action=press.action)
            return
        try:
            note = modals.read_return(press.form.values)
        except modals.Mistakes as mistakes:
            words = str(mistakes)
        else:
            words = await self._refusal(lambda: self._noted(OperatorRehearsed, press.form, note))
        await self._dialogs.change(press.form.view, modals.with_answer(press.shown, words or REHEARSING), press.state)

    async def _submit_return(self, submitted: interactions.Submission) -> dict[str, str]:
        note = modals.read_return(submitted.values)
        words = await self._refusal(lambda: self._noted(OperatorReturned, submitted, note))
        place = "note" if submitted.handoff else "handoff"
        return {place: words} if words else {}

    async def _noted(
        self, kind: type[OperatorReturned | OperatorRehearsed], form: interactions.Submission, note: ReturnNote
    ) -> str:
        """Bring what a return modal asks for with its note: the return, or the agent's rehearsal of it."""
        chosen = form.handoff or modals.read_choice(form.values)
        handoff = await self._own(chosen, form.channel if form.handoff else "")
        operator = await self._operator(form.user, handoff)
        return await self._sentence(
            kind(
                site=self._site,
                source=source_id(operator.id, "view", form.view, form.stamp),
                at=self._clock.now(),
                operator=operator,
                handoff=handoff.id,
                note=note,
            )
        )

    async def _submit_transfer(self, submitted: interactions.Submission) -> dict[str, str]:
        transfer = modals.read_transfer(submitted.values)
        words = await self._refusal(lambda: self._transferred(submitted, transfer))
        return {"user" if transfer.user else "queue": words} if words else {}

    async def _transferred(self, submitted: interactions.Submission, transfer: modals.Transfer) -> str:
        handoff = await self._own(submitted.handoff, submitted.channel)
        operator = await self._operator(submitted.user, handoff)
        colleague = await self._operator(transfer.user, handoff) if transfer.user else None
        if colleague is not None and colleague.standing is Standing.NONE:
            return colleague.why or REFUSED
        return await self._sentence(
            OperatorTransferred(
                site=self._site,
                source=source_id(operator.id, "view", submitted.view, submitted.stamp),
                at=self._clock.now(),
                operator=operator,
                handoff=handoff.id,
                to_operator=colleague,
                to_queue=QueueName(transfer.queue) if transfer.queue else None,
                note=transfer.note,
            )
        )

    # --- what they all need

    async def _own(self, handoff: str, channel: str) -> Handoff:
        found = await self._lookup.handoff(self._site, HandoffId(handoff))
        if found is None:
            raise NotFound(GONE)
        if channel and found.thread.channel != channel:
            raise _Elsewhere
        return found

    async def _operator(self, user: str, handoff: Handoff) -> Operator:
        team = (await self._calls.identity()).team
        return await self._roster.operator(operator_id(team, user), handoff.queue)

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
        except _Elsewhere:
            return ELSEWHERE
        except CallFailed as failed:
            log.warning("interaction_failed", method=failed.method, reason=failed.code)
            return f"Slack did not answer as it should ({failed.code}). Nothing has changed; try again."

    async def _modal(
        self, trigger: str, title: str, build: Callable[[], Awaitable[Built]], *, may_say: bool = False
    ) -> str:
        return await self._dialogs.open(trigger, title, lambda: self._built(build), may_say=may_say)

    async def _built(self, build: Callable[[], Awaitable[Built]]) -> Built:
        result: list[View] = []

        async def act() -> str:
            built = await build()
            if isinstance(built, str):
                return built
            result.append(built)
            return ""

        words = await self._refusal(act)
        return words or result[0]


class _Elsewhere(Exception):
    """Somebody acted in another channel than the conversation's."""


def _choice_label(handoff: Handoff) -> str:
    about = handoff.envelope.customer.name or handoff.envelope.summary
    return f"{handoff.ticket} · {about}"
