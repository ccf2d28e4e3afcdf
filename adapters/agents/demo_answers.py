"""What the demo's agent says to what: intents by pattern, in order. Pure; the same turn gives the same answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.conversation import TurnKind
from bridge.envelope import Reason
from bridge.ports import AgentError, AgentReply, AgentTurn, Collected, Delta, Done, HandOff, Message, ToolCall

SHOP = "Northwind Outfitters"
REFUND_LIMIT = 100
SURE, UNSURE = 0.9, 0.3

_STATES = (
    "is packed and leaves our warehouse tomorrow morning",
    "is on its way and should be with you in two days",
    "was delivered yesterday afternoon",
)
_ASKED_ORDER = "What is your order number?"
_ASKED_AMOUNT = "Which amount should be refunded?"
_LOGIN_HELP = "Please open the log-in page, choose *Forgot password* and follow the link in the e-mail."
_BILLING = re.compile(r"invoice|\bbill|charge|payment|\bvat\b|refund", re.IGNORECASE)
_DELIVERY = re.compile(r"parcel|package|deliver|courier|carrier|shipp(?:ed|ing|ment)", re.IGNORECASE)
_AMOUNT = re.compile(r"(?<![\w#.,])[$€£]?\s?(\d{1,6}(?:[.,]\d{1,2})?)(?![\w])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The turn, what the customer wrote since anybody last answered, and the agent's last words."""

    turn: AgentTurn
    text: str
    last: str
    name: str


Answer = tuple[AgentReply, ...]


def answer(turn: AgentTurn, name: str) -> Answer:
    """Return everything that the agent does in this turn."""
    context = _context(turn, name)
    if turn.briefing is not None:
        return _back(context, turn.briefing)
    if turn.kind is TurnKind.OPENED:
        text = (
            f"Hello! I am {name}, the AI assistant of {SHOP}. I can help with orders, invoices, refunds and parcels, "
            "and I bring in a person whenever you like."
        )
        return Message(text=text), Done(confidence=SURE)
    return _intent(context)(context)


def _context(turn: AgentTurn, name: str) -> Context:
    pending: list[str] = []
    last = ""
    for message in turn.messages:
        if message.role == "customer":
            pending.append(message.text)
        else:
            pending = []
            last = message.text if message.role == "agent" else last
    return Context(turn=turn, text="\n".join(pending), last=last, name=name)


def _intent(context: Context) -> Callable[[Context], Answer]:
    for pattern, act in _INTENTS:
        if pattern.search(context.text):
            return act
    if context.last.endswith(_ASKED_AMOUNT) and _AMOUNT.search(context.text):
        return _refund
    if context.last.endswith(_ASKED_ORDER) and re.search(r"\d", context.text):
        return _order
    return _unknown


def _say(text: str, confidence: float = SURE) -> Answer:
    return Message(text=text, confidence=confidence), Done(confidence=confidence)


# --- what it can do itself


def _hello(context: Context) -> Answer:
    return _say(f"Hello! I am {context.name}, an AI assistant. What can I do for you?")


def _thanks(_: Context) -> Answer:
    return _say("You are welcome! Is there anything else I can do for you?")


def _bye(_: Context) -> Answer:
    return Message(text="Thank you for your visit. Goodbye!"), Done(confidence=SURE, close=True)


def _order(context: Context) -> Answer:
    found = re.search(r"\d{3,10}", context.text) or re.search(r"\d+", context.text)
    if found is None:
        return _say(f"I will look it up. {_ASKED_ORDER}")
    number = found.group()
    state = _STATES[int(number) % len(_STATES)]
    return (
        ToolCall(name="look_up_order", arguments={"order": number}),
        Collected(values={"order_id": number}),
        *_say(f"Your order **{number}** {state}."),
    )


def _billing(context: Context) -> Answer:
    if re.search(r"twice|double|wrong|dispute|too much|mistake", context.text, re.IGNORECASE):
        said = "I may read invoices but not change them, so I am asking a colleague in billing."
        return _hand_over(
            context,
            Reason.OUT_OF_SCOPE,
            what="disputes an invoice",
            question="Is the invoice wrong, and is it to be corrected?",
            said=said,
            tried=(("Looked up the last invoice: R-2031, 84.50", "succeeded"),),
        )
    return (
        Collected(values={"invoice": "R-2031"}),
        *_say("Your last invoice is **R-2031** over 84.50, due on the 30th. I can send it to you by e-mail."),
    )


def _login(context: Context) -> Answer:
    if any(message.text == _LOGIN_HELP for message in context.turn.messages if message.role == "agent"):
        return _hand_over(
            context,
            Reason.REPEATED_FAILURE,
            what="still cannot log in",
            question="Please set a new password for this customer.",
            said="That should have worked. I am bringing in a colleague.",
            tried=(("Sent the customer through Forgot password", "failed"),),
        )
    return _say(_LOGIN_HELP)


def _unknown(_: Context) -> Answer:
    return _say("I am not sure about that. Could you put it differently?", UNSURE)


# --- what needs a person


def _person(context: Context) -> Answer:
    said = "Of course, I am bringing in a colleague."
    matter = {"billing": " about an invoice or a payment", "delivery": " about a delivery"}.get(_queue(context), "")
    return _hand_over(context, Reason.CUSTOMER_REQUEST, what=f"asks for a person{matter}", said=said)


def _crash(_: Context) -> Answer:
    return (AgentError(code="demo_crash", message="the customer asked for it"),)


def _upset(context: Context) -> Answer:
    said = "I am sorry about this. A colleague will look into it."
    return _hand_over(
        context, Reason.SENTIMENT, what="is upset", said=said, more={"sentiment": "negative"}, priority="high"
    )


def _approval(context: Context) -> Answer:
    return _hand_over(
        context,
        Reason.APPROVAL_REQUIRED,
        what="wants an account to be closed or data to be deleted",
        question="May I do this?",
        said="A colleague has to approve this. One moment please.",
        more={"resume": {"mode": "tool_result", "tool_call_id": f"close-{context.turn.turn}"[:128]}},
    )


def _legal(context: Context) -> Answer:
    said = "I must not advise on that. I am asking a colleague."
    return _hand_over(context, Reason.OUT_OF_SCOPE, what="raises a legal or medical matter", said=said)


def _track(context: Context) -> Answer:
    found = re.search(r"\d{3,10}", context.text)
    arguments = {"parcel": found.group()} if found else {}
    return (
        ToolCall(name="track_parcel", arguments=arguments, failed=True),
        ToolCall(name="track_parcel", arguments=arguments, failed=True),
        *_say("The carrier does not answer right now. Please try again in a few minutes.", UNSURE),
    )


def _refund(context: Context) -> Answer:
    amounts = [float(found.replace(",", ".")) for found in _AMOUNT.findall(context.text)]
    if not amounts:
        return _say(f"I can help with that. {_ASKED_AMOUNT}")
    most = max(amounts)
    amount = int(most) if most.is_integer() else most
    if amount <= REFUND_LIMIT:
        return Collected(values={"refund_amount": amount}), *_say(f"Your refund of {amount:.2f} is on its way.")
    if context.turn.collected.get("refund_amount") == amount and (note := _last_note(context.turn)):
        return _say(f"A colleague has dealt with your refund of {amount:.2f} already.\n\n{note}")
    # The site's own policy usually calls a person at `Collected`; the handoff is for a site without one.
    return (
        Delta(text=f"Let me look into a refund of {amount:.2f} for you. "),
        Collected(values={"refund_amount": amount}),
        *_hand_over(
            context,
            Reason.POLICY,
            what=f"wants a refund of {amount:.2f}",
            question=f"May I refund {amount:.2f}?",
            more={"collected": {**_scalars(context.turn.collected), "refund_amount": amount}},
        ),
    )


def _hand_over(
    context: Context,
    reason: Reason,
    *,
    what: str,
    question: str = "",
    said: str = "",
    tried: Sequence[tuple[str, str]] = (),
    priority: str = "normal",
    more: dict[str, Any] | None = None,
) -> Answer:
    turn, queue = context.turn, _queue(context)
    who = turn.customer.get("name") or "The customer"
    envelope: dict[str, Any] = {
        "reason": reason.value,
        "summary": f"{who} {what}. {_story(context)}",
        "queue": queue,
        "topics": ["general" if queue == "support" else queue],
        "agent": {"id": "demo", "name": context.name, "framework": "scripted"},
        "routing": {"priority": priority},
        "collected": _scalars(turn.collected),
        "attempts": [{"action": action, "outcome": outcome} for action, outcome in tried],
        "suggested_replies": [f"Hello, I have read your chat with {context.name} and will take care of it."],
        **({"question": question} if question else {}),
        **({"customer_message": said} if said else {}),
        **(more or {}),
    }
    return (*((Message(text=said),) if said else ()), HandOff(envelope=envelope))


def _queue(context: Context) -> str:
    if _BILLING.search(context.text):
        return "billing"
    return "delivery" if _DELIVERY.search(context.text) else "support"


def _story(context: Context) -> str:
    """Tell what came before the last words, which the operator reads anyway."""
    asked = [(n, message) for n, message in enumerate(context.turn.messages) if message.role == "customer"]
    answered = [n for n, message in enumerate(context.turn.messages) if message.role == "agent"]
    earlier = [(n, message.text) for n, message in asked if any(later > n for later in answered)]
    if not earlier:
        return "Nothing else has been said so far."
    n, question = earlier[-1]
    answer = next(message.text for message in context.turn.messages[n + 1 :] if message.role == "agent")
    return f"Before that: {_short(question)} {context.name} answered: {_short(answer)}"


def _short(text: str) -> str:
    flat = re.sub(r"\s+", " ", text).strip()
    return f'"{flat}"' if len(flat) <= 300 else f'"{flat[:299]}…"'


def _scalars(values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, str | int | float | bool)}


# --- coming back

_OPENINGS = {
    "resolved": "I am back. {who} has settled this: {note}",
    "answered": "I am back. {who} answered you: {note}",
    "needs_agent": "I am back. {who} asked me to go on: {note}",
    "unanswered": "I am back. I am sorry that nobody was free. {note}",
    "withdrawn": "Then I will go on helping you. {note}",
    "other": "I am back. {who} noted: {note}",
}


def _back(context: Context, briefing: Any) -> Answer:
    """Go on from the note. The reason that a person has just dealt with is no reason to call one again."""
    who = briefing.get("operator") or "My colleague"
    outcome = briefing.get("outcome", "")
    note = briefing.get("note") or ("" if outcome in ("unanswered", "withdrawn") else "nothing further.")
    parts = [_OPENINGS.get(outcome, _OPENINGS["other"]).format(who=who, note=note).strip()]
    parts += [f"What we know now: {'; '.join(briefing['facts'])}."] if briefing.get("facts") else []
    parts += [f"{who} promised: {'; '.join(briefing['promises'])}."] if briefing.get("promises") else []
    told = "\n\n".join(parts)
    if context.text and context.turn.kind is TurnKind.MESSAGE:
        following = _intent(context)(context)
        reasons = [reply.envelope["reason"] for reply in following if isinstance(reply, HandOff)]
        news = _intent(context) not in (_unknown, _thanks, _hello) and briefing.get("reason") not in reasons
        asks_again = _intent(context) is _person
        if news or asks_again:
            return Message(text=told, confidence=SURE), *following
    return _say(f"{told}\n\nIs there anything else I can do for you?")


def _last_note(turn: AgentTurn) -> str:
    return next((message.text for message in reversed(turn.messages) if message.role == "note"), "")


def _i(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _recall(context: Context) -> Answer:
    note = _last_note(context.turn)
    return _say(note) if note else _unknown(context)


_INTENTS: tuple[tuple[re.Pattern[str], Callable[[Context], Answer]], ...] = (
    (_i(r"\b(?:a|an|real|live) (?:human|person|operator|manager|representative|supervisor|colleague)\b"), _person),
    (_i(r"\b(?:talk|speak|chat) (?:to|with) (?:some|any)(?:one|body)\b"), _person),
    (_i(r"what did .*(?:say|tell|promise|note)"), _recall),
    (_i(r"\bplease crash\b"), _crash),
    (_i(r"\b(?:cancel|close|delete) my (?:account|contract|data)\b"), _approval),
    (_i(r"\b(?:lawyer|legal|sue|court|allerg\w+|medical)\b"), _legal),
    (_i(r"ridiculous|terrible|furious|\bangry\b|\bworst\b|unacceptable|\bscam\b"), _upset),
    (_i(r"\b(?:track|tracking|parcel|package|carrier|courier)\b"), _track),
    (_i(r"refund|money back"), _refund),
    (_i(r"invoice|\bbill(?:ing)?\b|charged|payment|\bvat\b"), _billing),
    (_i(r"password|\blog ?in\b"), _login),
    (_i(r"\border\b"), _order),
    (_i(r"\b(?:bye|goodbye)\b"), _bye),
    (_i(r"\bthank(?:s| you)\b|^(?:great|perfect|ok|okay)\b"), _thanks),
    (_i(r"^\s*(?:hi|hello|hey|good (?:morning|afternoon|evening))\b"), _hello),
)
