"""When the bridge itself calls a person: the customer asks for one, the agent is unsure, a policy says so, a tool
fails, or the agent says what it must not. Pure: it gives verdicts, the switchboard hands them to `decide`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge.conversation import CUSTOMER_SEES, Conversation, Entry, EntryKind, Role
from bridge.envelope import MAX_SCALAR_CHARS, MAX_SCALARS, HandoffEnvelope, Reason
from bridge.errors import SettingsError
from bridge.phrases import DEFAULT, FILLERS, Phrases, normal

if TYPE_CHECKING:
    from bridge.rules import Rule

RESERVED = frozenset({"tool", "arguments", "message"})
"""Names that a policy rule reads from the act itself; a collected value of that name is hidden by them."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_CLAUSE = re.compile(r"[.!?;:,\n]| but | aber | sondern | mais | pero | sino | ma | mas | maar ")
_WORD = re.compile(r"\w+")
_MAX_GAP_WORDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """Why the bridge calls a person. `detail` is for the operator; `queue` is a wish that routing may follow."""

    reason: Reason
    detail: str
    queue: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRule:
    """A person is needed where `when` holds: an expression of the rule-engine language, as in `refund_amount > 100` or
    `tool == "refund" and arguments.amount > 100`.

    It reads what the agent collected by name, `tool` and `arguments` of a tool call, and `message`, the agent's own
    text (https://zerosteiner.github.io/rule-engine/syntax.html). A part that names a value nobody has given yet does
    not hold. A part that cannot be evaluated on the value that is there (text where a number is meant) holds, so that a
    wrong type cannot slip past a policy.
    """

    name: str
    when: str
    queue: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Triggers:
    """What makes the bridge escalate.

    `phrases` and `withdraw` add plain phrases by language ("de": ("gib mir die Chefin",)) to those that the bridge
    knows. `low_confidence` in 0..1: the agent is unsure below it; after `low_confidence_turns` such turns in a row a
    person is called (None: never). `tool_failures`: so many failed calls in one run (None: never). `never_say`: regular
    expressions, any case, that the agent's own words must not match.

    Raises SettingsError, naming the rule, for an expression or pattern that cannot be read.
    """

    phrases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    withdraw: Mapping[str, Sequence[str]] = field(default_factory=dict)
    low_confidence: float | None = None
    low_confidence_turns: int = 2
    tool_failures: int | None = None
    never_say: Sequence[str] = ()
    policy: Sequence[PolicyRule] = ()
    rules_later: bool = field(default=False, repr=False, compare=False)
    """Read `policy` at its first use or by `read_rules`, not at once: for a process that has to answer before that."""
    _asks: "tuple[_Language, ...]" = field(init=False, repr=False, compare=False)
    _forbidden: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile everything once, so that a mistake shows at start and not in a conversation."""
        codes = dict.fromkeys([*DEFAULT, *self.phrases, *self.withdraw])
        languages = tuple(_language(code, self.phrases.get(code, ()), self.withdraw.get(code, ())) for code in codes)
        object.__setattr__(self, "_asks", languages)
        if not self.rules_later:
            self.read_rules()
        object.__setattr__(self, "_forbidden", tuple(_pattern(pattern) for pattern in self.never_say))

    @cached_property
    def _rules(self) -> "tuple[tuple[PolicyRule, Rule], ...]":
        return _compiled(self.policy)

    def read_rules(self) -> None:
        """Read `policy` now, in a quarter of a second the first time. Raises SettingsError, naming the rule."""
        _ = self._rules

    @property
    def has_text_rules(self) -> bool:
        """Whether the agent's words are judged before anybody sees them: such a site gets whole messages, no deltas."""
        return bool(self._forbidden) or any("message" in rule.names for _, rule in self._rules)


def asked_for_person(triggers: Triggers, text: str, locale: str) -> Trigger | None:
    """Tell whether the customer asks for a person in so many words.

    The locale's language is read first, then all others: a browser's locale is often not the language people write in.
    """
    clean = normal(text)
    for language in _ordered(triggers, locale):
        said = language.alone.fullmatch(clean.strip(" .!?,"))
        if said is None:
            said = next((m for m in language.asks.finditer(clean) if not language.refused(clean[: m.start()])), None)
        if said is not None:
            return Trigger(reason=Reason.CUSTOMER_REQUEST, detail=f'The customer wrote "{said.group()[:200]}".')
    return None


def withdrew(triggers: Triggers, text: str, locale: str) -> bool:
    """Tell whether a waiting customer no longer wants a person. Ask only while nobody has taken the conversation.

    The whole message must say so, thanks and the like apart: "I found it broken" and "never mind the colour, the size
    is wrong" still want an answer, and a person who comes once too often does less harm than one who never comes.
    """
    clean = normal(text)
    for language in _ordered(triggers, locale):
        rest, found = language.withdrawals.subn(" ", clean)
        if found and not set(_WORD.findall(rest)) - FILLERS:
            return True
    return False


def on_agent_text(triggers: Triggers, text: str, collected: Mapping[str, Any]) -> Trigger | None:
    """Judge a whole message of the agent before it is committed: `never_say`, and policy rules that read `message`."""
    for pattern in triggers._forbidden:  # noqa: SLF001 -- the compiled half of the same file's dataclass
        if found := pattern.search(text):
            detail = f'The agent was about to say "{found.group()[:200]}", which it must not.'
            return Trigger(reason=Reason.POLICY, detail=detail)
    return _policy(triggers, {**collected, "message": text}, frozenset({"message"}))


def on_agent_act(
    triggers: Triggers,
    tool: str,
    arguments: Mapping[str, Any],
    failed: bool,  # noqa: FBT001 -- the fields of AgentActed, in their order
    collected: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None = None,
) -> Trigger | None:
    """Judge what the agent did. `failed` says that tool calls failed as often as the site's limit allows.

    `collected` is all that is known with this act, `before` what was known without it. A policy rule is asked only if
    it reads something new (a changed value, or this tool call): a refund that a person has dealt with must not call a
    person again at every later step. Without `before` everything counts as new.
    """
    known = {} if before is None else before
    news = {name for name, value in collected.items() if name not in known or known[name] != value}
    act: dict[str, Any] = {name: value for name, value in collected.items() if name not in RESERVED}
    if tool:
        act |= {"tool": tool, "arguments": arguments}
        news |= {"tool", "arguments"}
    if found := _policy(triggers, act, frozenset(news)):
        return found
    if failed and triggers.tool_failures is not None:
        detail = f'The agent\'s tool "{tool[:100]}" failed.'
        return Trigger(reason=Reason.TOOL_FAILURE, detail=detail)
    return None


def unsure(triggers: Triggers, confidence: float | None, unsure_turns: int) -> tuple[int, Trigger | None]:
    """Count turns in a row below the threshold, and call a person at the limit; the count then starts again.

    A turn without a confidence changes nothing.
    """
    if triggers.low_confidence is None or confidence is None:
        return unsure_turns, None
    if confidence >= triggers.low_confidence:
        return 0, None
    count = unsure_turns + 1
    if count < triggers.low_confidence_turns:
        return count, None
    turns = "once" if count == 1 else f"{count} times in a row"
    detail = f"Confidence {confidence:.2f}, below {triggers.low_confidence:.2f} {turns}."
    return 0, Trigger(reason=Reason.LOW_CONFIDENCE, detail=detail)


_QUESTIONS = {
    Reason.CUSTOMER_REQUEST: "The customer wants to talk to a person: please take over.",
    Reason.LOW_CONFIDENCE: "What is the right answer to the customer's last message?",
    Reason.POLICY: "May this be done, and how is the customer to be answered?",
    Reason.TOOL_FAILURE: "Please do by hand what the tool could not, or tell the customer when it will work.",
    Reason.ERROR: "The agent gave no answer: please answer the customer.",
}


def envelope_for(
    trigger: Trigger,
    conversation: Conversation,
    recent: Sequence[Entry],
    *,
    envelope_id: str,
    now_ms: int,
    agent_id: str,
) -> HandoffEnvelope:
    """Write the envelope that the agent did not: its summary is made of the customer's last lines and what is known.

    `recent` are the newest entries, ascending. `envelope_id` is the idempotency key. Every field keeps the limits of
    the envelope.
    """
    customer = conversation.customer
    collected = _scalars(conversation.collected)
    return HandoffEnvelope.model_validate(
        {
            "id": envelope_id,
            "conversation_id": conversation.id,
            "created_at": datetime.fromtimestamp(now_ms / 1000, tz=UTC),
            "reason": trigger.reason,
            "reason_detail": trigger.detail[:500] or None,
            "summary": _summary(recent, collected),
            "question": _QUESTIONS.get(trigger.reason),
            "queue": trigger.queue[:80] or None,
            "agent": {"id": agent_id[:128] or "agent"},
            "customer": {
                "id": customer.id[:128] or None,
                "name": customer.name[:120] or None,
                "verified": customer.verified,
                "locale": customer.locale[:35] or None,
            },
            "routing": {"language": customer.locale.split("-")[0][:35] or None},
            "collected": collected,
        }
    )


def _summary(recent: Sequence[Entry], collected: Mapping[str, Any]) -> str:
    seen = [e for e in recent if e.kind is EntryKind.LINE and e.audience in CUSTOMER_SEES]
    asked = [e for e in seen if e.author.role is Role.CUSTOMER][-3:]
    # A greeting answers nothing.
    since = next((i for i, e in enumerate(seen) if e.author.role is Role.CUSTOMER), 0)
    answer = next((e for e in reversed(seen[since:]) if e.author.role is Role.AGENT and e.text.strip()), None)
    parts = (
        ["The customer wrote: " + " / ".join(_quoted(e, 350) for e in asked)]
        if asked
        else ["No line of the customer yet."]
    )
    if answer is not None:
        parts.append("The agent's last answer: " + _quoted(answer, 350))
    if collected:
        known = ", ".join(f"{name}: {str(value)[:60]}" for name, value in list(collected.items())[:8])
        parts.append(f"Collected: {known}.")
    return "\n".join(parts)[:2000]


def _quoted(entry: Entry, limit: int) -> str:
    text = re.sub(r"\s+", " ", entry.text).strip()
    if not text:
        return f"({len(entry.files)} file{'s' if len(entry.files) != 1 else ''})"
    return f'"{text}"' if len(text) <= limit else f'"{text[: limit - 1]}…"'


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what an envelope may hold; what is nested becomes its text, what is long is cut."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if len(kept) < MAX_SCALARS and _KEY.fullmatch(name):
            plain = value if isinstance(value, bool | int | float | type(None)) else str(value)[:MAX_SCALAR_CHARS]
            kept[name] = plain
    return kept


# --- compiled


@dataclass(frozen=True, kw_only=True, slots=True)
class _Language:
    code: str
    asks: re.Pattern[str]
    alone: re.Pattern[str]
    withdrawals: re.Pattern[str]
    refusals: re.Pattern[str]

    def refused(self, ahead: str) -> bool:
        """Tell whether the clause that leads up to a request refuses it."""
        clause = _CLAUSE.split(ahead)[-1].strip()
        return any(len(clause[no.end() :].split()) <= _MAX_GAP_WORDS for no in self.refusals.finditer(clause))


def _ordered(triggers: Triggers, locale: str) -> list[_Language]:
    first = locale.replace("_", "-").split("-")[0].lower()
    return sorted(triggers._asks, key=lambda language: language.code != first)  # noqa: SLF001 -- as above


def _language(code: str, phrases: Sequence[str], withdraw: Sequence[str]) -> _Language:
    known = DEFAULT.get(code, Phrases())
    return _Language(
        code=code,
        asks=_any([*known.patterns(known.asks), *(re.escape(normal(phrase)) for phrase in phrases)]),
        alone=_any(known.patterns(known.alone)),
        withdrawals=_any([*known.patterns(known.withdrawals), *(re.escape(normal(phrase)) for phrase in withdraw)]),
        refusals=_any(known.patterns(known.refusals)),
    )


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    choices = [f"(?:{pattern})" for pattern in patterns if pattern]
    return re.compile(rf"(?<!\w)(?:{'|'.join(choices)})(?!\w)" if choices else r"(?!)")


def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise SettingsError(f"triggers.never_say: {pattern!r} is no regular expression ({error}); mend it") from error


def _compiled(policy: Sequence[PolicyRule]) -> "tuple[tuple[PolicyRule, Rule], ...]":
    if not policy:
        return ()
    # Its library takes a third of a second to load, which a restart has to spare where nobody wrote a rule.
    from bridge.rules import Rule

    return tuple((rule, Rule(rule.when, place=f"triggers.policy.{rule.name}")) for rule in policy)


def _policy(triggers: Triggers, facts: Mapping[str, Any], news: frozenset[str]) -> Trigger | None:
    for rule, compiled in triggers._rules:  # noqa: SLF001 -- as above
        if compiled.names & news and compiled.holds(facts):
            detail = f"{rule.detail or rule.when} (rule {rule.name})"
            return Trigger(reason=Reason.POLICY, detail=detail[:500], queue=rule.queue)
    return None
