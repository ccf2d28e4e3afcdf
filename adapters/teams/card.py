"""The card -> an Adaptive Card: what the operator reads first, and where they act. Pure.

Elements and features of version 1.4 at most, which phones show too (https://learn.microsoft.com/microsoftteams/platform/
task-modules-and-cards/cards/design-effective-cards). The summary and the question are always whole; lists give way
first, and say how much is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.teams import inputs, render, text
from adapters.teams.refs import person_of
from adapters.teams.text import Leaf
from bridge.briefing import Card
from bridge.conversation import OPEN_STATES, HandoffState
from bridge.envelope import ReturnOutcome

Json = dict[str, Any]

SUMMARY_CHARS = 2_000
QUESTION_CHARS = 1_000
VALUE_CHARS = 300
REPLY_CHARS = 600
NOTE_CHARS = 3_000

OUTCOMES: Mapping[ReturnOutcome, str] = {
    ReturnOutcome.ANSWERED: "Answered",
    ReturnOutcome.RESOLVED: "Resolved",
    ReturnOutcome.NEEDS_AGENT: "The AI agent should go on",
    ReturnOutcome.UNANSWERED: "Not answered",
    ReturnOutcome.OTHER: "Something else",
}
_LISTS = (
    (inputs.FACTS, "Facts established", "One per line. The AI agent takes them as true."),
    (inputs.PROMISES, "Promises made", "One per line. The AI agent keeps to them."),
    (inputs.DO_NOT_REPEAT, "Do not repeat", "One per line: what was settled, or what annoyed the customer."),
)
_ROOMS = ((3_500, 600, 60, 75), (1_800, 600, 60, 60), (900, 400, 60, 40), (300, 200, 40, 30), (0, 100, 30, 24))
"""Characters of all lists together, of detail and last words each, queues to choose from and characters of each one's
name: the first that makes the whole card short enough.
"""
PEOPLE = "graph.microsoft.com/users?scope=currentContext"
"""Members of the channel, as Teams itself offers them:
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/people-picker.
"""
MENTION_ONLY = (
    "Only messages that mention me are heard here: begin a reply with @ and my name, or use the buttons. A team owner "
    "can let me hear all replies of the team's channels."
)
"""Where `ChannelMessage.Read.Group` has not been seen to work yet."""


class _Room:
    """The characters that are left for lists, and how long what is less than the summary may be."""

    def __init__(self, lists: int, aside: int, choices: int, choice: int) -> None:
        self.left, self.aside, self.choices, self.choice = lists, aside, choices, choice

    def take(self, lines: Sequence[tuple[str, str]], share: int) -> tuple[list[tuple[str, str]], int]:
        """Return the lines that fit into this share of the room, and how many do not."""
        budget, shown = min(share, self.left), []
        for name, value in lines:
            short = (text.label(name, 200), text.cut(text.clean(value), VALUE_CHARS))
            cost = len(short[0]) + len(short[1]) + 4
            if cost > budget:
                break
            budget -= cost
            self.left -= cost
            shown.append(short)
        return shown, len(lines) - len(shown)


def card(
    shown: Card, *, queues: Sequence[tuple[str, str]] = (), hears_all: bool = False, mark: str = "", remark: str = ""
) -> Json:
    """Return the Adaptive Card of a handoff, under `render.MAX_BYTES` as a message.

    `queues` are (name, label) of those that it may be transferred to; `hears_all`: unmentioned replies are heard here.
    """
    made: Json = {}
    for room in _ROOMS:
        made = _card(shown, _Room(*room), queues, hears_all=hears_all, mark=mark, remark=remark)
        if render.size(render.message(made, summary(shown))) <= render.MAX_BYTES:
            break
    return made


def summary(shown: Card) -> str:
    """Return what a notification shows of it."""
    return f"{text.label(shown.title)} · {shown.reason}: {shown.summary}"


def _card(
    shown: Card, room: _Room, queues: Sequence[tuple[str, str]], *, hears_all: bool, mark: str, remark: str
) -> Json:
    entities: list[Json] = []
    title = [Leaf(text.label(shown.title, 150), bold=True)]
    body = [text.rich(title, size="Large"), *_state(shown, entities, hears_all=hears_all)]
    if remark:
        body.append(text.rich([Leaf(f"({remark})", italic=True)], size="Small"))
    body += _story(shown, room)
    body += _list("Tried so far", shown.tried, room, 1_500)
    body += _list(_customer_heading(shown), shown.customer_facts, room, 1_200, always=True)
    body += _list("Collected by the agent", shown.collected, room, 1_000)
    body += [*_replies(shown, room), *_problems(shown, room), *_small_print(shown, room)]
    actions = [_action(name, shown, queues, mark, room) for name in shown.actions]
    return render.adaptive(body, actions, mark=mark, entities=entities)


def _state(shown: Card, entities: list[Json], *, hears_all: bool) -> list[Json]:
    mark = {"waiting": "🟠", "human": "🟢"}.get(shown.state.value, "⚪")
    person = person_of(shown.operator_id)
    if shown.state is HandoffState.HUMAN and person and shown.actions:
        words, entity = render.mention(shown.operator_name, person)
        entities.append(entity)
        out: list[Json] = [{"type": "TextBlock", "text": f"{mark} **Taken by {words}**", "wrap": True}]
    else:
        out = [text.rich([Leaf(f"{mark} "), Leaf(text.label(shown.state_line, 300), bold=True)])]
    if shown.state in OPEN_STATES:
        out.append(text.rich([Leaf(shown.audience_line)], isSubtle=True, size="Small"))
        if shown.presence_line:
            out.append(_presence(shown))
        if not hears_all and shown.actions:
            out.append(text.rich([Leaf(f"@ {MENTION_ONLY}")], isSubtle=True, size="Small"))
    return out


def _presence(shown: Card) -> Json:
    since = f" {render.clock(shown.away_since)}" if shown.away_since is not None else ""
    sign = "👀" if shown.away_since is None else "💤"
    words = f"{sign} {shown.presence_line}{since}"
    return {"type": "TextBlock", "text": words, "wrap": True, "isSubtle": True, "size": "Small"}


def _story(shown: Card, room: _Room) -> list[Json]:
    reason = text.label(shown.reason, 200)
    detail = text.clean(text.cut(shown.reason_detail, room.aside)).strip()
    why = Leaf(f"{reason}: {detail}" if detail else reason)
    out = [{**text.rich([Leaf("Why: ", bold=True), why]), "separator": True}]
    told = [
        ("Summary", text.shown(text.cut(shown.summary, SUMMARY_CHARS))),
        ("Asked of you", text.shown(text.cut(shown.question, QUESTION_CHARS))),
        ("The customer's last words", text.said(text.cut(shown.last_words, room.aside))),
    ]
    for heading, body in told:
        if body:
            out += [text.rich([Leaf(heading, bold=True)]), {**body[0], "spacing": "Small"}, *body[1:]]
    if shown.company_ticket:
        ticket, url = shown.company_ticket
        name = text.label(ticket) or "–"
        out.append(text.rich([Leaf("Your ticket: ", bold=True), *(text.link(url, name) if url else [Leaf(name)])]))
    return out


def _customer_heading(shown: Card) -> str:
    proof = "verified" if shown.customer_verified else "not verified: do not rely on who they say they are"
    return f"Customer: {text.label(shown.customer_name)} ({proof})"


def _list(
    heading: str, lines: Sequence[tuple[str, str]], room: _Room, share: int, *, always: bool = False
) -> list[Json]:
    if not lines and not always:
        return []
    found, more = room.take(lines, share)
    out = [text.rich([Leaf(heading, bold=True)])]
    for name, value in found:
        item = text.rich([Leaf(f"• {name or '–'}: ", bold=True), Leaf(value or "–")])
        out.append({**item, "spacing": "None"})
    if more:
        out.append({**text.rich([Leaf(f"+ {more} more not shown")], isSubtle=True), "spacing": "None"})
    return out


def _replies(shown: Card, room: _Room) -> list[Json]:
    out: list[Json] = []
    for reply in shown.suggested_replies:
        words = text.cut(text.clean(reply).strip(), REPLY_CHARS)
        if words and len(words) <= room.left:
            room.left -= len(words)
            out.append({**text.rich([Leaf(f"“{words}”")]), "spacing": "Small"})
    more = len(shown.suggested_replies) - len(out)
    if more:
        out.append({**text.rich([Leaf(f"+ {more} more not shown")], isSubtle=True), "spacing": "None"})
    return [text.rich([Leaf("Suggested by the agent", bold=True)]), *out] if shown.suggested_replies else []


def _problems(shown: Card, room: _Room) -> list[Json]:
    if not shown.problems:
        return []
    lines, more = room.take(shown.problems, 800)
    words = "; ".join(f"{path}: {said}" for path, said in lines) + (f"; + {more} more" if more else "")
    return [text.rich([Leaf(f"⚠ The agent's envelope was not as agreed: {words}")], isSubtle=True, size="Small")]


def _small_print(shown: Card, room: _Room) -> list[Json]:
    urgent = {"urgent": "🔴 urgent", "high": "🟠 high"}.get(shown.priority, shown.priority)
    words = [f"{shown.ticket} · queue {text.label(shown.queue)} · priority {text.label(urgent, 40)}"]
    words += [f"earlier: {shown.previous}"] if shown.previous else []
    words += [f"here because: {text.label(shown.why_here, room.aside)}"] if shown.why_here else []
    since = {"type": "TextBlock", "text": f"since {render.clock(shown.opened_at)}", "wrap": True}
    return [
        {**text.rich([Leaf(" · ".join(words))], isSubtle=True, size="Small"), "separator": True},
        {**since, "isSubtle": True, "size": "Small", "spacing": "None"},
    ]


# --- what people can do


def _action(name: str, shown: Card, queues: Sequence[tuple[str, str]], mark: str, room: _Room) -> Json:
    title = render.BUTTONS.get(name, name)
    do = {"close": "Close it"}.get(name, title)
    match name:
        case "return":
            body = return_form()
        case "transfer":
            body = _transfer_form(queues, room)
        case "close":
            words = "Nobody owns it any more. The customer is told, and can write again at any time."
            body = [text.rich([Leaf(words)])]
        case _:
            return render.button(name, shown.handoff, key=mark)
    buttons = [render.execute(name, do, shown.handoff, key=mark, primary=name != "close")]
    if name == "return":
        buttons.append(render.button("rehearse", shown.handoff, key=mark))
    form = {"type": "AdaptiveCard", "version": render.VERSION, "body": body, "actions": buttons}
    return {"type": "Action.ShowCard", "title": title, "card": form}


def return_form(note: str = "") -> list[Json]:
    """Return the inputs of what goes back to the agent; `note` stands there already."""
    outcomes = [{"title": words, "value": outcome.value} for outcome, words in OUTCOMES.items()]
    return [
        {
            "type": "Input.ChoiceSet",
            "id": inputs.OUTCOME,
            "label": "How did it end?",
            "style": "compact",
            "value": outcomes[0]["value"],
            "choices": outcomes,
        },
        _lines(inputs.NOTE, "Note for the AI agent", "The customer does not see it.", text.cut(note, NOTE_CHARS)),
        *(_lines(name, words, hint) for name, words, hint in _LISTS),
        {
            "type": "Input.Toggle",
            "id": inputs.CONTINUE_NOW,
            "title": "Let the AI continue now, without waiting for the customer",
            "wrap": True,
            "value": "false",
        },
    ]


def _transfer_form(queues: Sequence[tuple[str, str]], room: _Room) -> list[Json]:
    choices = [
        {"title": text.label(words, room.choice) or "–", "value": name} for name, words in queues[: room.choices]
    ]
    some = f" (the first {room.choices} of {len(queues)})" if len(queues) > room.choices else ""
    body: list[Json] = [
        {
            "type": "Input.ChoiceSet",
            "id": inputs.PERSON,
            "label": "To a colleague",
            "style": "compact",
            "placeholder": "Search for a person",
            "choices": [],
            "choices.data": {"type": "Data.Query", "dataset": PEOPLE},
        }
    ]
    if choices:
        body.append(
            {
                "type": "Input.ChoiceSet",
                "id": inputs.QUEUE,
                "label": f"Or to a queue{some}",
                "style": "compact",
                "placeholder": "Choose a queue",
                "choices": choices,
            }
        )
    return [*body, _lines(inputs.TRANSFER_NOTE, "Note for them", "The customer does not see it.")]


def _lines(name: str, words: str, hint: str, value: str = "") -> Json:
    return {
        "type": "Input.Text",
        "id": name,
        "label": words,
        "placeholder": hint,
        "isMultiline": True,
        "maxLength": NOTE_CHARS,
        **({"value": value} if value else {}),
    }
