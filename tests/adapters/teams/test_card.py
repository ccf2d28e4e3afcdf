"""The handoff's card in Teams: what stands on it, what can be done, and that it always fits."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.sandbox.teams.cards import card_flags
from adapters.teams import card, inputs, render
from bridge.briefing import AWAY_LINE, HERE_LINE
from bridge.conversation import HandoffState
from bridge.ids import Millis
from tests.adapters.teams.out_rig import QUEUES, shown_card, texts

MANY = tuple((f"name {n}", "value " * 60) for n in range(200))
HOSTILE = "**x** [l](javascript:alert(1)) <at>Dana</at> {{DATE(2026-01-01T00:00:00Z)}} ${x} \u202e"


def nodes(value: object) -> Iterator[dict[str, Any]]:
    """Yield every object in a card."""
    if isinstance(value, list):
        for item in value:
            yield from nodes(item)
    elif isinstance(value, dict):
        yield value
        for item in value.values():
            yield from nodes(item)


def size(made: dict[str, Any]) -> int:
    """Return how long the message with this card is."""
    return render.size(render.message(made, "x" * 200))


def test_it_says_who_why_and_what() -> None:
    """Who it is, why a person is needed, what was tried and asked, and who hears a reply."""
    shown = shown_card(question="Refund?", tried=(("look up", "failed: down"),), last_words="Hello? *anyone*")
    said = "\n".join(texts(card.card(shown, hears_all=True)))
    for part in (
        "H-1042 · Kim Vale",
        "Waiting for somebody to take it",
        "Why: The customer asked for a person",
        "Parcel 7 is lost",
        "Refund?",
        "Hello? *anyone*",
        "look up: failed: down",
        "Customer: Kim Vale (verified)",
        "kim@vale.example",
        "queue Support",
        shown.audience_line,
    ):
        assert part in said
    assert "mention me" not in said
    assert "{{TIME(2027-01-15T08:00:00Z)}}" in said


def test_it_says_whether_the_customer_is_there() -> None:
    """In words, with the time in the reader's own zone for one who left; nothing where it is not known."""
    here = "\n".join(texts(card.card(shown_card(presence_line=HERE_LINE))))
    away = "\n".join(texts(card.card(shown_card(presence_line=AWAY_LINE, away_since=Millis(1_800_000_000_000)))))

    assert HERE_LINE in here
    assert f"{AWAY_LINE} {{{{DATE(2027-01-15T08:00:00Z,SHORT)}}}} {{{{TIME(2027-01-15T08:00:00Z)}}}}" in away
    assert not any(sign in "\n".join(texts(card.card(shown_card()))) for sign in "👀💤")


def test_until_all_is_heard_it_says_how_to_be_heard() -> None:
    """As long as the conversation is open; what is over needs no hint."""
    assert "mention me" in "\n".join(texts(card.card(shown_card())))
    over = shown_card(state=HandoffState.RETURNED, actions=("reopen",))
    assert "mention me" not in "\n".join(texts(card.card(over)))


@pytest.mark.parametrize(
    "actions",
    [("take", "return", "transfer", "close"), ("return", "transfer", "release", "close"), ("reopen",), ()],
)
def test_each_action_is_there_for_new_and_old_clients(actions: tuple[str, ...]) -> None:
    """Each button is an Execute with its verb, and a Submit that says the verb in its data; nothing else is in it."""
    made = card.card(shown_card(actions=actions, handoff="h_7"), queues=QUEUES)
    found = [node for node in nodes(made) if node.get("type") == "Action.Execute"]
    beside = {"return": ("return", "rehearse")}
    assert [node["verb"] for node in found] == [verb for name in actions for verb in beside.get(name, (name,))]
    for node in found:
        assert node["data"] == {inputs.HANDOFF: "h_7"}
        assert node["fallback"]["data"] == {inputs.HANDOFF: "h_7", inputs.VERB: node["verb"]}
        assert node["fallback"]["type"] == "Action.Submit"
    assert [action["title"] for action in made.get("actions", [])] == [render.BUTTONS[name] for name in actions]


def test_the_forms_ask_what_the_note_holds() -> None:
    """Return: outcome, note, facts, promises, what not to repeat, whether to go on now. Transfer: whom, or which queue,
    and a note.
    """
    made = card.card(shown_card(actions=("return", "transfer")), queues=QUEUES)
    returning, transferring = (
        {item["id"]: item for item in action["card"]["body"] if "id" in item} for action in made["actions"]
    )
    assert list(returning) == [
        inputs.OUTCOME,
        inputs.NOTE,
        inputs.FACTS,
        inputs.PROMISES,
        inputs.DO_NOT_REPEAT,
        inputs.CONTINUE_NOW,
    ]
    assert list(transferring) == [inputs.PERSON, inputs.QUEUE, inputs.TRANSFER_NOTE]
    assert [choice["value"] for choice in transferring[inputs.QUEUE]["choices"]] == ["support", "billing"]


def test_closing_asks_first() -> None:
    """One press shows what it means, the second does it."""
    (action,) = card.card(shown_card(actions=("close",)))["actions"]
    assert action["type"] == "Action.ShowCard"
    assert "can write again" in "\n".join(texts(action["card"]))


def test_who_took_it_is_mentioned() -> None:
    """With an entity that says the same; somebody of another desk is only named."""
    taken: dict[str, Any] = {
        "state": HandoffState.HUMAN,
        "state_line": "Taken by Dana <Ruiz>",
        "operator_name": "Dana <Ruiz>",
        "actions": ("return",),
    }
    made = card.card(shown_card(**taken, operator_id="teams:t:aad-1"))
    (entity,) = made["msteams"]["entities"]
    assert entity["mentioned"] == {"id": "aad-1", "name": "Dana Ruiz"}
    assert any(entity["text"] in text for text in texts(made))
    assert card_flags(made) == []

    elsewhere = card.card(shown_card(**taken, operator_id="slack:T1:U1"))
    assert "entities" not in elsewhere["msteams"]
    assert "🟢 Taken by Dana <Ruiz>" in texts(elsewhere)


def test_foreign_words_stand_only_where_nothing_is_read_as_markup() -> None:
    """No TextBlock holds a word of customers or agents, and no link of theirs is other than it says."""
    hostile = shown_card(
        title=HOSTILE,
        summary=HOSTILE,
        question=HOSTILE,
        reason_detail=HOSTILE,
        last_words=HOSTILE,
        customer_name=HOSTILE,
        customer_facts=((HOSTILE, HOSTILE),),
        collected=((HOSTILE, HOSTILE),),
        tried=((HOSTILE, HOSTILE),),
        suggested_replies=(HOSTILE,),
        company_ticket=(HOSTILE, "javascript:alert(1)"),
        problems=((HOSTILE, HOSTILE),),
        why_here=HOSTILE,
        queue=HOSTILE,
        priority=HOSTILE,
    )
    made = card.card(hostile, queues=[("q", HOSTILE)])
    blocks = [node["text"] for node in nodes(made) if node.get("type") == "TextBlock"]
    assert blocks == [f"since {render.clock(Millis(1_800_000_000_000))}"]
    assert "javascript" not in json.dumps([node["url"] for node in nodes(made) if "url" in node])
    assert "<at>" not in json.dumps(made)
    assert "\u202e" not in json.dumps(made, ensure_ascii=False)


@pytest.mark.parametrize("char", ["a", "字", "😀", '"', "\n"])
def test_it_always_fits(char: str) -> None:
    """However much there is: under 25 KB, summary and question whole, and what is left out is counted."""
    big = shown_card(
        summary="S" + char * 1_998 + "S",
        question="Q" + char * 998 + "Q",
        reason_detail=char * 500,
        last_words=char * 3_000,
        customer_facts=tuple((name, value + char * 200) for name, value in MANY),
        collected=MANY,
        tried=MANY,
        suggested_replies=tuple(char * 600 + str(n) for n in range(30)),
        problems=MANY,
        why_here=char * 900,
    )
    made = card.card(big, queues=[(f"queue-{n}", char * 200) for n in range(200)], mark="o_1")
    assert size(made) <= render.MAX_BYTES
    said = "\n".join(texts(made))
    assert "more not shown" in said
    if char.strip():
        assert big.summary in said
        assert big.question in said


def test_what_there_is_room_for_is_shown() -> None:
    """An ordinary card leaves nothing out."""
    said = "\n".join(texts(card.card(shown_card(collected=(("order", "7"),), suggested_replies=("Sorry!",)))))
    assert "more not shown" not in said
    assert "“Sorry!”" in said
    assert "order: 7" in said


def test_it_uses_nothing_that_phones_do_not_show() -> None:
    """Elements and versions are those of Adaptive Cards 1.4, and the strict sandbox has nothing to remark."""
    made = card.card(shown_card(), queues=QUEUES)
    assert made["version"] == "1.4"
    assert card_flags(made) == []


def test_it_is_found_again_by_its_mark() -> None:
    """The key is the id of the element around all others, and each press brings it along."""
    made = card.card(shown_card(), mark="o_9")
    assert made["body"][0]["id"] == "o_9"
    assert {node["data"][inputs.KEY] for node in nodes(made) if node.get("type") == "Action.Execute"} == {"o_9"}


def test_no_button_carries_a_name_that_microsofts_renderer_takes_for_its_own() -> None:
    """Its objects have a `key` of their own: a button with such a value was dead in Microsoft's playground."""
    made = card.card(shown_card(), queues=QUEUES, mark="o_9")
    buttons = [node for node in nodes(made) if node.get("type") in {"Action.Execute", "Action.Submit"}]
    assert buttons
    for button in buttons:
        assert not {"key", "msteams", "msTeams"} & set(button["data"])
    assert card_flags(made) == []
    buttons[0]["data"]["key"] = "o_9"
    assert "reserved-name: key in data of Action.Execute" in card_flags(made)
