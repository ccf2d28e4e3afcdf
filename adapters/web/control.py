"""The control API: where a conversation stands, hand it over, speak within a turn, give it back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapters.web.answers import Access, answer, error, guarded, read_json
from adapters.web.documents import (
    ConversationView,
    HandoffAccepted,
    HandoffView,
    MessageAccepted,
    Problem,
    Returned,
    ReturnRequest,
    TurnMessage,
)
from bridge.conversation import OPEN_STATES, Conversation, Handoff, Operator, Standing, State
from bridge.envelope import MAX_ENVELOPE_BYTES, HandoffEnvelope, Reason, ReturnNote, read_envelope
from bridge.errors import NotFound
from bridge.events import AgentSaid, Escalated, OperatorReturned
from bridge.ids import ConversationId, OperatorId, SiteId, SourceId, TurnId, mint
from bridge.ports import Clock, Lookup, Receive, Roster

M = TypeVar("M", bound=BaseModel)

ROLES: Mapping[str, frozenset[str]] = {
    "read": frozenset({"agent", "backend", "admin"}),
    "handoff": frozenset({"agent", "backend", "admin"}),
    "message": frozenset({"agent", "admin"}),
    "return": frozenset({"backend", "admin"}),
}
TAKEOVER_ROLES = frozenset({"backend", "admin"})
CONVERSATION = "/v1/conversations/{conversation}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """The four operations over one site. `queue_for` names the queue whose people an envelope concerns."""

    site: SiteId
    receive: Receive
    lookup: Lookup
    clock: Clock
    roster: Roster | None = None
    queue_for: Callable[[HandoffEnvelope], str] = lambda envelope: envelope.queue or ""

    async def show(self, request: web.Request, role: str) -> web.Response:
        """GET: where the conversation stands."""
        conversation = await self._conversation(request)
        handoff = await self._newest(conversation)
        return answer(_view(conversation, handoff).model_dump(mode="json"))

    async def hand_over(self, request: web.Request, role: str) -> web.Response:
        """POST .../handoffs: an envelope. A field that does not fit is left out and told, never a reason to refuse."""
        conversation = await self._conversation(request)
        try:
            raw = await read_json(request, MAX_ENVELOPE_BYTES)
        except ValueError:
            raw = None
        # Each call is one of its own; the same envelope is known by its id, and is answered with its ticket.
        key = request.headers.get("Idempotency-Key") or mint("env")
        now = datetime.fromtimestamp(self.clock.now() / 1000, tz=UTC)
        read = read_envelope(raw, conversation_id=conversation.id, envelope_id=key[:128], now=now)
        event = Escalated(
            site=self.site,
            source=SourceId(mint("api")),
            at=self.clock.now(),
            conversation=conversation.id,
            envelope=_proven(read.envelope, conversation),
            problems=read.problems,
        )
        if read.envelope.reason is Reason.OPERATOR_TAKEOVER:
            operator = await self._named_operator(read.envelope, role)
            if isinstance(operator, web.Response):
                return operator
            event = replace(event, operator=operator)
        receipt = await self.receive(event)
        if receipt.status == "refused" or receipt.handoff is None or receipt.ticket is None or receipt.epoch is None:
            return error(409, "refused", receipt.sentence or "This conversation takes no handoff now.")
        known = receipt.status == "duplicate"
        opened = conversation.state in {State.AGENT, State.CLOSED}
        accepted = HandoffAccepted(
            status="known" if known else "queued" if opened else "noted",
            handoff_id=receipt.handoff,
            ticket=receipt.ticket,
            epoch=receipt.epoch,
            problems=tuple(Problem(path=path, message=message) for path, message in read.problems),
        )
        return answer(accepted.model_dump(mode="json"), 200 if known else 202)

    async def speak(self, request: web.Request, role: str) -> web.Response:
        """POST .../messages: the agent speaks within its live turn; the fence decides, as for every word of it."""
        conversation = ConversationId(request.match_info["conversation"])
        message = await _read(request, TurnMessage)
        if isinstance(message, web.Response):
            return message
        receipt = await self.receive(
            AgentSaid(
                site=self.site,
                source=SourceId(f"api:{message.turn}:{message.id}"),
                at=self.clock.now(),
                conversation=conversation,
                turn=TurnId(message.turn),
                epoch=message.epoch,
                attempt=message.attempt,
                text=message.text,
                confidence=message.confidence,
            )
        )
        if receipt.status == "fenced":
            sentence = "This turn no longer speaks for the conversation; the message was kept from the customer."
            return error(409, "ownership_moved", sentence, epoch=receipt.epoch)
        if receipt.status == "refused":
            return error(409, "refused", receipt.sentence)
        return answer(MessageAccepted(n=receipt.n, epoch=receipt.epoch).model_dump(), 202)

    async def give_back(self, request: web.Request, role: str) -> web.Response:
        """POST .../return: the company's backend ends the human stretch."""
        conversation = await self._conversation(request)
        wish = await _read(request, ReturnRequest)
        if isinstance(wish, web.Response):
            return wish
        handoff = await self._newest(conversation)
        if handoff is None or handoff.state not in OPEN_STATES:
            return error(409, "not_handed_over", "No person has this conversation; there is nothing to return.")
        receipt = await self.receive(
            OperatorReturned(
                site=self.site,
                source=SourceId(mint("api")),
                at=self.clock.now(),
                operator=Operator(id=OperatorId(f"api:{role}"), name=wish.by, standing=Standing.SUPERVISOR),
                handoff=handoff.id,
                note=ReturnNote.model_validate(wish.model_dump(exclude={"by"})),
            )
        )
        if receipt.status == "refused":
            return error(409, "refused", receipt.sentence)
        return answer(Returned(ticket=handoff.ticket, epoch=receipt.epoch or conversation.epoch + 1).model_dump())

    async def _conversation(self, request: web.Request) -> Conversation:
        named = ConversationId(request.match_info["conversation"])
        found = await self.lookup.conversation(self.site, named)
        if found is None:
            raise NotFound("There is no such conversation.")
        return found

    async def _newest(self, conversation: Conversation) -> Handoff | None:
        return await self.lookup.handoff(self.site, conversation.handoff) if conversation.handoff else None

    async def _named_operator(self, envelope: HandoffEnvelope, role: str) -> Operator | web.Response | None:
        """The person who takes over unasked, if one is named and may; nobody named: the queue is asked as usual."""
        hint = envelope.routing.assignee_hint
        if not hint:
            return None
        if role not in TAKEOVER_ROLES or self.roster is None:
            return error(403, "forbidden", "An agent's key cannot make a named person take over.")
        operator = await self.roster.operator(OperatorId(hint), self.queue_for(envelope))
        if operator.standing is Standing.NONE:
            return error(409, "not_an_operator", operator.why or "This person may not answer in this queue.")
        return operator


def _proven(envelope: HandoffEnvelope, conversation: Conversation) -> HandoffEnvelope:
    """Who the customer is comes from the widget's token, whatever the envelope claims."""
    customer = conversation.customer
    proven = {"id": str(customer.id)[:128] or None, "verified": customer.verified}
    if not envelope.customer.name and customer.name:
        proven["name"] = customer.name[:120]
    return envelope.model_copy(update={"customer": envelope.customer.model_copy(update=proven)})


def _view(conversation: Conversation, handoff: Handoff | None) -> ConversationView:
    return ConversationView(
        id=conversation.id,
        state=conversation.state.value,
        agent_may_speak=conversation.state is State.AGENT,
        operator=conversation.operator.name if conversation.operator else None,
        epoch=conversation.epoch,
        handoff=HandoffView(
            id=handoff.id,
            ticket=handoff.ticket,
            state=handoff.state.value,
            queue=handoff.queue,
            reason=handoff.envelope.reason.value,
            opened_at_ms=handoff.opened_at,
            taken_at_ms=handoff.taken_at,
            ended_at_ms=handoff.ended_at,
        )
        if handoff
        else None,
    )


async def _read(request: web.Request, model: type[M]) -> M | web.Response:
    try:
        raw: Any = await read_json(request, MAX_ENVELOPE_BYTES)
    except ValueError:
        return error(400, "not_json", "The body must be a JSON object.")
    try:
        return model.model_validate(raw)
    except ValidationError as wrong:
        problems = [
            {"path": ".".join(str(part) for part in item["loc"]) or "(document)", "message": item["msg"]}
            for item in wrong.errors()
        ]
        return error(422, "invalid", "Some fields do not fit.", problems=problems)


def add_routes(app: web.Application, control: Control, access: Access) -> None:
    """Add the control API. Every call needs a bearer key of a role that may."""
    for method, path, handler, needed in (
        ("GET", CONVERSATION, control.show, "read"),
        ("POST", f"{CONVERSATION}/handoffs", control.hand_over, "handoff"),
        ("POST", f"{CONVERSATION}/messages", control.speak, "message"),
        ("POST", f"{CONVERSATION}/return", control.give_back, "return"),
    ):
        app.router.add_route(method, path, guarded(handler, access, ROLES[needed]))
