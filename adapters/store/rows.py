"""Rows of the tables <-> the core's frozen data. The order of a row is the order of the columns in `tables.py`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from bridge.conversation import (
    Audience,
    Author,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    FileRef,
    Handoff,
    HandoffState,
    Operator,
    Role,
    Standing,
    State,
    Thread,
    Turn,
    TurnKind,
    TurnState,
)
from bridge.effects import OutKind
from bridge.envelope import HandoffEnvelope, ReturnNote
from bridge.storage import Out, OutState

Row = Sequence[Any]
MAX_KEPT = 256
_STANDING = {member.value: member for member in Standing}
_OUTSTATE = {member.value: member for member in OutState}
_OUTKIND = {member.value: member for member in OutKind}
_TURNSTATE = {member.value: member for member in TurnState}
_TURNKIND = {member.value: member for member in TurnKind}
_HANDOFFSTATE = {member.value: member for member in HandoffState}
_STATE = {member.value: member for member in State}
_AUDIENCE = {member.value: member for member in Audience}
_ROLE = {member.value: member for member in Role}
_ENTRYKIND = {member.value: member for member in EntryKind}


def to_json(value: Any) -> str:
    """Return JSON, or "" for what is empty. Raises TypeError for what JSON cannot hold."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else ""


def _mapping(text: str) -> Mapping[str, Any]:
    return json.loads(text) if text else {}


def _operator_json(operator: Operator | None) -> str:
    return "" if operator is None else to_json([operator.id, operator.name, operator.standing.value, operator.why])


# One line reads the same customer, operator and envelope several times over. They are frozen, and equal text means
# equal
# data, so the newest are kept.


@lru_cache(maxsize=MAX_KEPT)
def _operator(text: str) -> Operator | None:
    if not text:
        return None
    person, name, standing, why = json.loads(text)
    return Operator(id=person, name=name, standing=_STANDING[standing], why=why)


def _note(text: str) -> ReturnNote | None:
    return ReturnNote.model_validate_json(text) if text else None


@lru_cache(maxsize=MAX_KEPT)
def _customer(text: str) -> Customer:
    person, name, verified, locale, attributes = json.loads(text)
    return Customer(id=person, name=name, verified=verified, locale=locale, attributes=attributes)


@lru_cache(maxsize=MAX_KEPT)
def _envelope(text: str) -> HandoffEnvelope:
    return HandoffEnvelope.model_validate_json(text)


def conversation_row(conversation: Conversation) -> dict[str, Any]:
    """Return the row of a conversation."""
    person = conversation.customer
    return {
        "site": conversation.site,
        "id": conversation.id,
        "widget": conversation.widget,
        "customer": to_json([person.id, person.name, person.verified, person.locale, dict(person.attributes)]),
        "state": conversation.state.value,
        "operator": _operator_json(conversation.operator),
        "epoch": conversation.epoch,
        "next_n": conversation.next_n,
        "last_at": conversation.last_at,
        "handoff": conversation.handoff,
        "sticky": conversation.sticky,
        "last_speaker": conversation.last_speaker,
        "last_role": conversation.last_role,
        "last_customer_n": conversation.last_customer_n,
        "read_n": conversation.read_n,
        "unsure_turns": conversation.unsure_turns,
        "collected": to_json(dict(conversation.collected)),
    }


def conversation_of(row: Row) -> Conversation:
    """Read a row of `conversation`."""
    site, key, widget, customer, state, operator, epoch, next_n, last_at, handoff, sticky, *rest = row
    last_speaker, last_role, last_customer_n, read_n, unsure_turns, collected = rest
    return Conversation(
        site=site,
        id=key,
        widget=widget,
        customer=_customer(customer),
        state=_STATE[state],
        operator=_operator(operator),
        epoch=epoch,
        next_n=next_n,
        last_at=last_at,
        handoff=handoff,
        sticky=sticky,
        last_speaker=last_speaker,
        last_role=last_role,
        last_customer_n=last_customer_n,
        read_n=read_n,
        unsure_turns=unsure_turns,
        collected=_mapping(collected),
    )


def entry_row(site: str, conversation: str, entry: Entry) -> dict[str, Any]:
    """Return the row of an entry."""
    return {
        "site": site,
        "conversation": conversation,
        "n": entry.n,
        "kind": entry.kind.value,
        "role": entry.author.role.value,
        "author_id": entry.author.id,
        "author_name": entry.author.name,
        "audience": entry.audience.value,
        "at": entry.at,
        "epoch": entry.epoch,
        "text": entry.text,
        "files": to_json([asdict(file) for file in entry.files]),
        "target": entry.target,
        "turn": entry.turn,
        "handoff": entry.handoff,
        "named": int(entry.named),
        "remote": entry.remote,
        "data": to_json(dict(entry.data)),
    }


def entry_of(row: Row) -> Entry:
    """Read a row of `entry`."""
    _, _, n, kind, role, by, name, audience, at, epoch, text, files, target, turn, handoff, named, remote, data = row
    return Entry(
        n=n,
        kind=_ENTRYKIND[kind],
        author=Author(role=_ROLE[role], id=by, name=name),
        audience=_AUDIENCE[audience],
        at=at,
        epoch=epoch,
        text=text,
        files=tuple(FileRef(**file) for file in json.loads(files)) if files else (),
        target=target,
        turn=turn,
        handoff=handoff,
        named=bool(named),
        remote=remote,
        data=_mapping(data),
    )


def handoff_row(handoff: Handoff) -> dict[str, Any]:
    """Return the row of a handoff; its thread is the lane's."""
    return {
        "site": handoff.site,
        "id": handoff.id,
        "conversation": handoff.conversation,
        "ticket": handoff.ticket,
        "envelope_id": handoff.envelope.id,
        "envelope": handoff.envelope.model_dump_json(),
        "problems": to_json(handoff.problems),
        "queue": handoff.queue,
        "ordinal": handoff.thread.ordinal,
        "why_here": handoff.why_here,
        "state": handoff.state.value,
        "opened_at": handoff.opened_at,
        "first_n": handoff.first_n,
        "taken_at": handoff.taken_at,
        "ended_at": handoff.ended_at,
        "operator_id": handoff.operator.id if handoff.operator else None,
        "operator": _operator_json(handoff.operator),
        "previous": handoff.previous,
        "rung": handoff.rung,
        "note": handoff.note.model_dump_json() if handoff.note else "",
        "preferred": handoff.preferred,
        "audience_rule": handoff.audience_rule,
        "first_reply": handoff.first_reply,
        "told": to_json(sorted(handoff.told)),
    }


def handoff_of(row: Row) -> Handoff:
    """Read a row of `handoff`, followed by desk, channel and root of its lane."""
    site, key, conversation, ticket, _, envelope, problems, queue, ordinal, why, state, opened_at, *rest = row
    first_n, taken_at, ended_at, _, operator, previous, rung, note, preferred, audience_rule, *rest = rest
    first_reply, told, desk, channel, root = rest
    return Handoff(
        site=site,
        id=key,
        conversation=conversation,
        ticket=ticket,
        envelope=_envelope(envelope),
        problems=tuple((path, message) for path, message in json.loads(problems)) if problems else (),
        queue=queue,
        thread=Thread(desk=desk, channel=channel, root=root, ordinal=ordinal),
        why_here=why,
        state=_HANDOFFSTATE[state],
        opened_at=opened_at,
        first_n=first_n,
        taken_at=taken_at,
        ended_at=ended_at,
        operator=_operator(operator),
        previous=previous,
        rung=rung,
        note=_note(note),
        preferred=preferred,
        audience_rule=audience_rule,
        first_reply=first_reply,
        told=frozenset(json.loads(told)) if told else frozenset(),
    )


def turn_row(turn: Turn) -> dict[str, Any]:
    """Return the row of a turn that nobody has claimed."""
    return {
        "site": turn.site,
        "id": turn.id,
        "conversation": turn.conversation,
        "epoch": turn.epoch,
        "kind": turn.kind.value,
        "upto_n": turn.upto_n,
        "attempt": turn.attempt,
        "state": turn.state.value,
        "handoff": turn.handoff,
        "note": turn.note.model_dump_json() if turn.note else "",
        "lease_owner": "",
        "lease_until": 0,
    }


def turn_of(row: Row) -> Turn:
    """Read a row of `turn`."""
    _, site, key, conversation, epoch, kind, upto_n, attempt, state, handoff, note, _, _ = row
    return Turn(
        site=site,
        id=key,
        conversation=conversation,
        epoch=epoch,
        kind=_TURNKIND[kind],
        upto_n=upto_n,
        attempt=attempt,
        state=_TURNSTATE[state],
        handoff=handoff,
        note=_note(note),
    )


def out_row(out: Out, k: int) -> dict[str, Any]:
    """Return the row of an out under this k."""
    return {
        "site": out.site,
        "handoff": out.handoff,
        "ordinal": out.ordinal,
        "k": k,
        "conversation": out.conversation,
        "kind": out.kind.value,
        "key": out.key,
        "n": out.n,
        "actions": to_json(out.actions),
        "state": out.state.value,
        "attempts": out.attempts,
        "looks": out.looks,
        "attempt_at": out.attempt_at,
        "not_before": out.not_before,
        "queued_at": out.queued_at,
        "remote": out.remote,
        "reason": out.reason,
        "maybe_sent": int(out.maybe_sent),
    }


def out_of(row: Row) -> Out:
    """Read a row of `out`."""
    site, handoff, ordinal, k, conversation, kind, key, n, actions, *rest = row
    state, attempts, looks, attempt_at, not_before, queued_at, remote, reason, maybe_sent = rest
    return Out(
        site=site,
        conversation=conversation,
        handoff=handoff,
        ordinal=ordinal,
        k=k,
        kind=_OUTKIND[kind],
        key=key,
        n=n,
        actions=tuple(json.loads(actions)) if actions else (),
        state=_OUTSTATE[state],
        attempts=attempts,
        looks=looks,
        attempt_at=attempt_at,
        not_before=not_before,
        queued_at=queued_at,
        remote=remote,
        reason=reason,
        maybe_sent=bool(maybe_sent),
    )
