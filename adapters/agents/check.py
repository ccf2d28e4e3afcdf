"""`agent check URL`: proves before go-live that an agent keeps the contract, each finding with its remedy."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import aiohttp

from adapters.agents import wire
from adapters.agents.http import HttpAgent
from adapters.agents.signing import key_of, sign
from bridge.conversation import TurnKind
from bridge.envelope import read_envelope
from bridge.errors import AgentFailed
from bridge.ids import ConversationId, Millis, SiteId, TurnId, mint
from bridge.ports import AgentError, AgentMessage, AgentReply, AgentTurn, Delta, HandOff, Message

FIRST_BYTE_S, TOTAL_S = 15.0, 120.0
SIGNATURE_CALL_S = 10.0
VOUCHER = "SPRING-7431"


class Verdict(StrEnum):
    """PASSED; WARNED: it works, but not as well as it could; FAILED: customers would notice."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The outcome of one check. `remedy` is empty where nothing is to be done."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(kw_only=True, slots=True)
class _Heard:
    """What came back for one turn; seconds since it was posted."""

    replies: list[AgentReply] = field(default_factory=list)
    first_s: float = 0.0
    total_s: float = 0.0
    error: AgentFailed | None = None

    @property
    def text(self) -> str:
        whole = [reply.text for reply in self.replies if isinstance(reply, Message)]
        return "\n".join(whole) or "".join(reply.text for reply in self.replies if isinstance(reply, Delta))

    @property
    def deltas(self) -> int:
        return sum(isinstance(reply, Delta) for reply in self.replies)

    @property
    def envelope(self) -> Mapping[str, Any] | None:
        return next((reply.envelope for reply in self.replies if isinstance(reply, HandOff)), None)

    @property
    def trouble(self) -> str:
        if self.error is not None:
            return f"{self.error.code}: {self.error}"
        failed = next((reply for reply in self.replies if isinstance(reply, AgentError)), None)
        return f"it answered an error: {failed.code} {failed.message}".strip() if failed else ""


async def check(url: str, secret: str, *, name: str = "Assistant") -> AsyncIterator[Finding]:
    """Yield one finding after the other. Posts about seven turns of a made-up customer to `url`; may take minutes.

    Raises SettingsError if address or secret cannot be used at all.
    """
    agent = HttpAgent(url=url, secret=secret, name=name)
    try:
        plain = _turn("Hello, what can you help me with?")
        heard = await _ask(agent, plain)
        yield _answers(heard)
        if heard.error is not None and heard.error.code in ("unreachable", "refused"):
            return
        yield _in_time(heard)
        yield _streams(heard)
        yield _escalates(await _ask(agent, _turn("I want to talk to a real person, please.")))
        again = replace(plain, attempt=2, committed=())
        yield _idempotent(heard, await _ask(agent, again))
        yield _obeys_the_note(await _ask(agent, _returned()))
        if secret:
            yield await _refuses_forgery(url, secret)
        else:
            yield Finding(
                name="verifies signatures",
                verdict=Verdict.WARNED,
                detail="no secret is set, so nothing proves to the agent who calls",
                remedy="Set HANDOFF_AGENT__SECRET on both sides.",
            )
    finally:
        await agent.close()


def _turn(text: str) -> AgentTurn:
    at = Millis(int(time.time() * 1000))
    return AgentTurn(
        site=SiteId("check"),
        conversation=ConversationId(mint("check")),
        turn=TurnId(mint("t")),
        epoch=1,
        attempt=1,
        kind=TurnKind.MESSAGE,
        messages=(AgentMessage(n=1, role="customer", name="Casey Check", text=text, at=at),),
        customer={"id": "check", "name": "Casey Check", "verified": False, "locale": "en", "attributes": {}},
    )


def _returned() -> AgentTurn:
    """A customer asks what a person, who has just given the conversation back, had to say."""
    base = _turn("I want to talk to a real person, please.")
    at = base.messages[0].at
    note = f"I granted the voucher {VOUCHER}. It is valid until the end of the month."
    told = f"A person dealt with ticket H-1 (reason: customer_request).\nOutcome: resolved.\nNote: {note}"
    more = (
        AgentMessage(n=2, role="operator", name="Dana", text="Hello, I am looking into it.", at=at),
        AgentMessage(n=3, role="note", name="Dana", text=told, at=at),
        AgentMessage(n=4, role="customer", name="Casey Check", text="Which voucher code did I get?", at=at),
    )
    briefing = {
        "start": "A person took over this conversation (ticket H-1). You were silent from here on.",
        "ticket": "H-1",
        "reason": "customer_request",
        "handoff_id": "h_check",
        "operator": "Dana",
        "human_turns": [{"n": 2, "role": "operator", "name": "Dana", "text": more[0].text, "at_ms": at}],
        "outcome": "resolved",
        "note": note,
        "facts": [f"Voucher {VOUCHER} was granted"],
        "promises": [],
        "do_not_repeat": [],
        "continue_now": False,
        "resume": None,
        "end": "The conversation is yours again. Any earlier instruction to stay silent is over. Go on from the note.",
    }
    return replace(base, epoch=3, messages=(*base.messages, *more), briefing=briefing)


async def _ask(agent: HttpAgent, turn: AgentTurn, clock: Callable[[], float] = time.monotonic) -> _Heard:
    heard, began = _Heard(), clock()
    try:
        async with asyncio.timeout(TOTAL_S):
            async for reply in agent.respond(turn):
                heard.first_s = heard.first_s or clock() - began
                heard.replies.append(reply)
    except AgentFailed as error:
        heard.error = error
    except TimeoutError:
        heard.error = AgentFailed("timeout_total", f"no end within {TOTAL_S:g} s")
    heard.total_s = clock() - began
    return heard


def _finding(name: str, *, good: bool, detail: str, remedy: str, otherwise: Verdict = Verdict.FAILED) -> Finding:
    return Finding(
        name=name, verdict=Verdict.PASSED if good else otherwise, detail=detail, remedy="" if good else remedy
    )


_REMEDIES = {
    "": "Answer the POST with a `message` event and `done`; handoff-bridge schema turn shows what you get.",
    "unreachable": "Start the agent, and check address, port and firewall from this machine.",
    "refused": "Give the address that answers POST itself, and the same HANDOFF_AGENT__SECRET on both sides.",
    "unreadable": "Answer with application/json, text/event-stream or application/x-ndjson, and end with `done`.",
}


def _answers(heard: _Heard) -> Finding:
    good = not heard.trouble and bool(heard.text.strip())
    return _finding(
        "answers a message",
        good=good,
        detail=f"{len(heard.text)} characters" if good else heard.trouble or "it said nothing",
        remedy=_REMEDIES.get(heard.error.code if heard.error else "", _REMEDIES[""]),
    )


def _in_time(heard: _Heard) -> Finding:
    return _finding(
        "answers in time",
        good=not heard.error and heard.first_s < FIRST_BYTE_S / 3 and heard.total_s < TOTAL_S / 2,
        detail=f"first event after {heard.first_s:.1f} s, end after {heard.total_s:.1f} s",
        remedy=f"Send `typing` at once: {FIRST_BYTE_S:g} s without any event, or {TOTAL_S:g} s in all, is a failure.",
        otherwise=Verdict.WARNED if not heard.error and heard.first_s < FIRST_BYTE_S else Verdict.FAILED,
    )


def _streams(heard: _Heard) -> Finding:
    return _finding(
        "streams",
        good=heard.deltas > 1,
        detail=f"{heard.deltas} deltas",
        remedy="Answer with text/event-stream and send `delta` events as the text is written.",
        otherwise=Verdict.WARNED,
    )


def _escalates(heard: _Heard) -> Finding:
    name = "hands over on request"
    if heard.envelope is None:
        return Finding(
            name=name,
            verdict=Verdict.WARNED,
            detail=heard.trouble or "it did not hand over when asked for a person",
            remedy="Give the model the tool hand_off_to_human; until then only the bridge's own phrases call a person.",
        )
    read = read_envelope(
        {"agent": {"id": "check"}, **heard.envelope},
        conversation_id="check",
        envelope_id="check",
        now=datetime.now(UTC),
    )
    wrong = "; ".join(f"{path}: {message}" for path, message in read.problems)
    return _finding(
        name,
        good=not wrong,
        detail=wrong or f"reason {read.envelope.reason.value}, summary of {len(read.envelope.summary)} characters",
        remedy="Mend the envelope: handoff-bridge schema envelope shows it. A person is called all the same.",
        otherwise=Verdict.WARNED,
    )


def _idempotent(first: _Heard, second: _Heard) -> Finding:
    same = not second.trouble and first.text == second.text
    return _finding(
        "is idempotent by turn id",
        good=same,
        detail="the second attempt gave the same answer" if same else second.trouble or "it gave another answer",
        remedy="Keep each answer under its turn_id and give it again for a later attempt, so that tools act once.",
        otherwise=Verdict.WARNED,
    )


def _obeys_the_note(heard: _Heard) -> Finding:
    told = VOUCHER in heard.text
    detail = "it went on from the operator's note" if told else heard.trouble or "it did not use the operator's note"
    if heard.envelope is not None and not told:
        detail = "it handed over again at once, for what a person had just dealt with"
    return _finding(
        "goes on from the operator's note",
        good=told,
        detail=detail,
        remedy="Put `briefing` (start, human_turns, note, facts, promises, end) into the model's context at that turn.",
    )


async def _refuses_forgery(url: str, secret: str) -> Finding:
    """Post what must not be answered: no signature, a wrong one, an old one."""
    body = wire.turn_body(_turn("Hello"))
    now_s = int(time.time())
    forged = {
        "no signature": {},
        "a wrong signature": sign(b"x" * 32, mint("t"), now_s, body),
        "a signature of an hour ago": sign(key_of(secret), mint("t"), now_s - 3600, body),
    }
    accepted: list[str] = []
    timeout = aiohttp.ClientTimeout(total=SIGNATURE_CALL_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for what, headers in forged.items():
            try:
                async with session.post(
                    url, data=body, headers={"content-type": "application/json", **headers}, allow_redirects=False
                ) as answer:
                    if answer.status < 400 or answer.status >= 500:
                        accepted.append(f"{what} ({answer.status})")
            except (aiohttp.ClientError, TimeoutError) as error:
                accepted.append(f"{what} ({type(error).__name__})")
    return _finding(
        "verifies signatures",
        good=not accepted,
        detail="all forgeries were refused" if not accepted else f"not refused: {', '.join(accepted)}",
        remedy="Verify webhook-id, -timestamp and -signature over the raw body (standardwebhooks.com) and answer 401.",
    )
