"""What makes the bridge itself call a person."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation import Audience, Author, Conversation, Customer, Entry, EntryKind, Role
from bridge.envelope import HandoffEnvelope, Reason
from bridge.errors import SettingsError
from bridge.ids import ConversationId, CustomerId, Millis, SiteId
from bridge.triggers import (
    PolicyRule,
    Trigger,
    Triggers,
    asked_for_person,
    envelope_for,
    on_agent_act,
    on_agent_text,
    unsure,
    withdrew,
)

PLAIN = Triggers()

ASKS = [
    ("en", "I want to talk to a human"),
    ("en", "Can I speak with a real person, please?"),
    ("en", "HUMAN PLEASE"),
    ("en", "agent"),
    ("en", "let me talk to someone"),
    ("en", "Transfer me to an agent"),
    ("en", "please connect me with customer service"),
    ("en", "get me a manager right now"),
    ("en", "Is there a human I can talk to?"),
    ("en", "Don’t you have a real person I can talk to?"),
    ("en", "I don't want to talk to a bot"),
    ("en", "I do not want a bot, I want a human"),
    ("en", "Why can't I talk to a person?"),
    ("en", "My order 1042 is late. I need a person to look at this."),
    ("en", "I'd like to speak\nto a representative"),
    ("en", "could you put me through to a colleague"),
    ("en", "I need a human."),
    ("en", "can I get a live agent here"),
    ("en", "stop talking to this bot, real person now please"),
    ("de", "Ich möchte mit einem Menschen sprechen"),
    ("de", "Kann ich bitte mit einem Mitarbeiter reden?"),
    ("de", "Verbinden Sie mich bitte mit einer echten Person"),
    ("de", "Mensch bitte"),
    ("de", "Ich brauche einen Menschen"),
    ("de", "Kann ich nicht mit einem Menschen sprechen?"),
    ("de", "Ich will nicht mit einem Bot reden, sondern mit einem Mitarbeiter sprechen"),
    ("fr", "Je voudrais parler à un humain"),
    ("fr", "Puis-je parler à un conseiller ?"),
    ("fr", "Passez-moi un conseiller s'il vous plaît"),
    ("fr", "J’ai besoin d’un conseiller"),
    ("fr", "Je veux parler à quelqu'un"),
    ("es", "Quiero hablar con una persona"),
    ("es", "¿Puedo hablar con un agente humano?"),
    ("es", "Pásame con un operador, por favor"),
    ("es", "Necesito una persona real"),
    ("es", "¿Por qué no puedo hablar con alguien?"),
    ("it", "Vorrei parlare con un operatore"),
    ("it", "Posso parlare con una persona?"),
    ("it", "Mi passi un operatore per favore"),
    ("it", "operatore"),
    ("pt", "Quero falar com uma pessoa"),
    ("pt", "Posso falar com um atendente?"),
    ("pt", "Preciso de um humano"),
    ("pt", "me transfere para um atendente"),
    ("nl", "Ik wil met een mens praten"),
    ("nl", "Kan ik een medewerker spreken?"),
    ("nl", "Verbind me door met een medewerker"),
    ("nl", "Ik wil graag een medewerker spreken"),
    ("en-US", "Ich möchte mit einem Menschen sprechen"),
    ("", "quiero hablar con una persona"),
]

ASKS_NOT = [
    ("en", "I don't want a human"),
    ("en", "I don't want to talk to a person"),
    ("en", "I do not need to speak to an agent."),
    ("en", "No need to connect me with a human"),
    ("en", "no human please"),
    ("en", "I'd rather not talk to a person"),
    ("en", "please don't transfer me to an agent"),
    ("en", "Can I sort this out without talking to a person?"),
    ("en", "Are you a human?"),
    ("en", "The delivery person was rude"),
    ("en", "My travel agent told me to ask you"),
    ("en", "I spoke to a person yesterday and they promised a refund"),
    ("en", "How do I reach human resources at your company?"),
    ("en", "Can a person under 18 open an account?"),
    ("en", "Where is my order 1042?"),
    ("en", "I want a personal discount"),
    ("en", "What does the operator manual say?"),
    ("en", "Which agent do I use to clean the pan?"),
    ("en", ""),
    ("de", "Ich möchte nicht mit einem Menschen sprechen"),
    ("de", "Ich brauche keinen Menschen"),
    ("de", "Bitte ohne mit einem Mitarbeiter zu sprechen"),
    ("de", "Wo ist meine Bestellung?"),
    ("de", "Ihr Mitarbeiter war gestern sehr nett"),
    ("fr", "Je ne veux pas parler à un humain"),
    ("fr", "Je n'ai pas besoin d'un conseiller"),
    ("fr", "Où est ma commande ?"),
    ("fr", "Pas besoin de parler à un humain"),
    ("es", "No quiero hablar con una persona"),
    ("es", "No necesito una persona"),
    ("es", "¿Dónde está mi pedido?"),
    ("it", "Non voglio parlare con un operatore"),
    ("it", "Dov'è il mio ordine?"),
    ("it", "Non ho bisogno di parlare con una persona"),
    ("pt", "Não quero falar com uma pessoa"),
    ("pt", "Onde está o meu pedido?"),
    ("nl", "Ik wil niet met een mens praten"),
    ("nl", "Waar is mijn bestelling?"),
]

WITHDRAWALS = [
    ("en", "Never mind, no person needed"),
    ("en", "nevermind"),
    ("en", "Never mind, I don't need a person any more, thanks"),
    ("en", "forget it"),
    ("en", "I changed my mind"),
    ("en", "ok I solved it, thank you"),
    ("de", "Schon gut, danke"),
    ("de", "Hat sich erledigt!"),
    ("fr", "Laissez tomber, merci"),
    ("es", "ya no necesito una persona, gracias"),
    ("it", "Lascia stare, grazie"),
    ("pt", "Deixa pra lá, obrigado"),
    ("nl", "Laat maar, bedankt"),
]

WITHDRAWALS_NOT = [
    ("en", "I found it broken"),
    ("en", "Never mind the colour, the size is wrong too"),
    ("en", "never mind the bot, get me a human"),
    ("en", "hello? is anybody there?"),
    ("en", "Please cancel my order"),
    ("de", "Ich habe es im Keller gefunden, aber es ist kaputt"),
    ("fr", "J'ai trouvé une erreur dans la facture"),
    ("es", "no importa el precio, quiero el azul"),
]


@pytest.mark.parametrize("locale, text", ASKS)
def test_an_explicit_request_for_a_person_is_heard(locale: str, text: str) -> None:
    """Whoever asks for a person in so many words gets one, whatever the browser's locale says."""
    found = asked_for_person(PLAIN, text, locale)

    assert found is not None
    assert found.reason is Reason.CUSTOMER_REQUEST


@pytest.mark.parametrize("locale, text", ASKS_NOT)
def test_a_refusal_or_another_matter_calls_nobody(locale: str, text: str) -> None:
    """Words such as "person" or "agent" alone, and requests that are refused, call nobody."""
    assert asked_for_person(PLAIN, text, locale) is None


@pytest.mark.parametrize("locale, text", WITHDRAWALS)
def test_never_mind_withdraws(locale: str, text: str) -> None:
    """A waiting customer who says that no person is needed is understood."""
    assert withdrew(PLAIN, text, locale)


@pytest.mark.parametrize("locale, text", WITHDRAWALS_NOT)
def test_what_only_sounds_like_never_mind_keeps_the_place_in_the_queue(locale: str, text: str) -> None:
    """Nobody loses their place in the queue over half a sentence."""
    assert not withdrew(PLAIN, text, locale)


def test_a_site_adds_its_own_phrases() -> None:
    """Phrases from the settings count beside the known ones, as plain text, also in languages that the bridge lacks."""
    triggers = Triggers(
        phrases={"en": ("get me the boss (now)",), "sv": ("prata med en människa",)}, withdraw={"sv": ("glöm det",)}
    )

    assert asked_for_person(triggers, "Get me the  BOSS (now)", "en")
    assert asked_for_person(triggers, "Kan jag prata med en människa?", "sv-SE")
    assert asked_for_person(triggers, "I want to talk to a human", "sv")
    assert withdrew(triggers, "Glöm det!", "sv")
    assert not asked_for_person(PLAIN, "Kan jag prata med en människa?", "sv-SE")


@given(st.text(max_size=6000))
def test_no_text_breaks_the_phrases(text: str) -> None:
    """Whatever a customer types is judged without an error, and asking twice gives the same verdict."""
    assert asked_for_person(PLAIN, text, "en") == asked_for_person(PLAIN, text, "en")
    assert withdrew(PLAIN, text, "de") in (True, False)


REFUND = Triggers(
    policy=(
        PolicyRule(
            name="big-refund", when="refund_amount > 100", queue="billing", detail="Refunds over 100 need approval"
        ),
        PolicyRule(name="refund-tool", when='tool == "refund" and arguments.amount > 100'),
        PolicyRule(name="vip", when='refund_amount > 50 or tier == "gold"'),
        PolicyRule(name="guarantee", when='message =~~ "(?i)we guarantee"'),
    )
)


def test_a_policy_reads_what_was_collected() -> None:
    """A rule that holds over collected values calls a person, and says which rule, why and where to."""
    found = on_agent_act(REFUND, "", {}, False, {"refund_amount": 250})

    assert found == Trigger(
        reason=Reason.POLICY, detail="Refunds over 100 need approval (rule big-refund)", queue="billing"
    )
    assert on_agent_act(REFUND, "", {}, False, {"refund_amount": 40}) is None


def test_a_policy_reads_tool_calls() -> None:
    """A tool call is judged by its name and arguments before the customer hears of it."""
    assert on_agent_act(REFUND, "refund", {"amount": 100.5}, False, {}) is not None
    assert on_agent_act(REFUND, "refund", {"amount": 99}, False, {}) is None
    assert on_agent_act(REFUND, "search", {"amount": 5000}, False, {}) is None
    assert on_agent_act(REFUND, "refund", {}, False, {}) is None


def test_a_value_nobody_gave_yet_decides_nothing() -> None:
    """The half of a rule that is known can still hold, and what is unknown alone never does."""
    assert on_agent_act(REFUND, "", {}, False, {"tier": "gold"}) is not None
    assert on_agent_act(REFUND, "", {}, False, {"tier": "silver"}) is None


@pytest.mark.parametrize("amount", ["250", "a lot", True, [250], {"value": 250}])
def test_a_wrong_type_cannot_slip_past_a_policy(amount: object) -> None:
    """An amount that cannot be compared calls a person rather than passing unseen."""
    assert on_agent_act(REFUND, "", {}, False, {"refund_amount": amount}) is not None


def test_what_a_person_dealt_with_is_no_news() -> None:
    """A policy that has called a person is not asked again over the same values, but it is over changed ones."""
    before = {"refund_amount": 250}

    assert on_agent_act(REFUND, "", {}, False, {"refund_amount": 250}, before=before) is None
    assert on_agent_act(REFUND, "search", {}, False, before, before=before) is None
    assert on_agent_act(REFUND, "", {}, False, {"refund_amount": 300}, before=before) is not None
    assert on_agent_act(REFUND, "refund", {"amount": 250}, False, before, before=before) is not None


def test_collected_values_cannot_pose_as_a_tool_call() -> None:
    """A collected value named like a reserved word neither makes nor hides a tool call."""
    assert on_agent_act(REFUND, "", {}, False, {"tool": "refund", "arguments": {"amount": 500}}) is None
    assert on_agent_act(REFUND, "refund", {"amount": 500}, False, {"tool": "search"}) is not None


def test_the_agents_words_are_judged() -> None:
    """Words on the never-say list and policies over `message` stop a message before anybody reads it."""
    triggers = Triggers(never_say=(r"legal(ly)? binding", r"\bcompetitor\b"), policy=REFUND.policy)

    assert on_agent_text(triggers, "This offer is LEGALLY binding.", {}) is not None
    assert on_agent_text(triggers, "We guarantee delivery.", {}) is not None
    assert on_agent_text(triggers, "Your parcel is on its way.", {}) is None
    assert on_agent_text(triggers, "Your refund is noted.", {"refund_amount": 250}) is None


def test_only_rules_on_words_cost_a_site_its_streaming() -> None:
    """A site gets whole messages exactly when some rule reads the agent's words."""
    assert not PLAIN.has_text_rules
    assert not Triggers(policy=REFUND.policy[:3]).has_text_rules
    assert Triggers(policy=REFUND.policy).has_text_rules
    assert Triggers(never_say=("x",)).has_text_rules


@pytest.mark.parametrize("when", ["refund_amount >", "", "a ==== b", 'message =~ "["', "1 > 'a'"])
def test_a_rule_that_cannot_be_read_stops_the_start(when: str) -> None:
    """A mistake in a rule is one line at start that names the rule, not a surprise in a conversation."""
    with pytest.raises(SettingsError, match=r"triggers\.policy\.broken-one: .*refund_amount > 100") as caught:
        Triggers(policy=(PolicyRule(name="broken-one", when=when),))

    assert "\n" not in str(caught.value)


def test_rules_that_are_read_later_hold_from_the_first_word() -> None:
    """Whoever asks first waits for them; a mistake is told when they are read."""
    late = Triggers(policy=REFUND.policy, rules_later=True)
    broken = Triggers(policy=(PolicyRule(name="broken-one", when="refund_amount >"),), rules_later=True)

    assert late == REFUND
    assert on_agent_text(late, "We guarantee delivery.", {}) is not None
    with pytest.raises(SettingsError, match="broken-one"):
        broken.read_rules()
    with pytest.raises(SettingsError, match="broken-one"):
        on_agent_text(broken, "Hello.", {})


def test_a_pattern_that_cannot_be_read_stops_the_start() -> None:
    """A mistake on the never-say list is one line at start that quotes it."""
    with pytest.raises(SettingsError, match=r"triggers\.never_say: '\('"):
        Triggers(never_say=("(",))


def test_a_failing_tool_calls_a_person_where_the_site_says_so() -> None:
    """A failed tool is a reason only with a limit in the settings."""
    found = on_agent_act(Triggers(tool_failures=1), "track_parcel", {}, True, {})

    assert found is not None
    assert found.reason is Reason.TOOL_FAILURE
    assert "track_parcel" in found.detail
    assert on_agent_act(PLAIN, "track_parcel", {}, True, {}) is None
    assert on_agent_act(Triggers(tool_failures=1), "track_parcel", {}, False, {}) is None


def test_doubt_counts_in_a_row() -> None:
    """Only turns in a row below the threshold call a person; a sure one starts the count anew."""
    triggers = Triggers(low_confidence=0.5, low_confidence_turns=2)

    assert unsure(triggers, 0.3, 0) == (1, None)
    assert unsure(triggers, None, 1) == (1, None)
    assert unsure(triggers, 0.5, 1) == (0, None)
    count, found = unsure(triggers, 0.3, 1)
    assert count == 0
    assert found is not None
    assert found.reason is Reason.LOW_CONFIDENCE
    assert unsure(PLAIN, 0.0, 7) == (7, None)


def _line(n: int, role: Role, text: str, audience: Audience = Audience.EVERYONE) -> Entry:
    return Entry(
        n=n, kind=EntryKind.LINE, author=Author(role=role), audience=audience, at=Millis(1000 + n), epoch=1, text=text
    )


def _conversation(**collected: object) -> Conversation:
    customer = Customer(id=CustomerId("c-1"), name="Sam Lee", verified=True, locale="de-AT")
    return Conversation(
        site=SiteId("main"), id=ConversationId("conv_1"), widget="directline", customer=customer, collected=collected
    )


def test_a_greeting_is_no_answer() -> None:
    """What the agent said before the customer's first words stands in no summary."""
    recent = [_line(1, Role.AGENT, "Hello!"), _line(2, Role.CUSTOMER, "A person, please")]
    trigger = Trigger(reason=Reason.CUSTOMER_REQUEST, detail="asked")

    made = envelope_for(trigger, _conversation(), recent, envelope_id="e", now_ms=1_700_000_000_000, agent_id="demo")

    assert made.summary == 'The customer wrote: "A person, please"'


def test_the_bridge_writes_a_real_envelope() -> None:
    """An operator reads in the summary what the customer said and what is known, though no agent wrote it."""
    recent = [
        _line(1, Role.AGENT, "Hello!"),
        _line(2, Role.CUSTOMER, "My invoice is wrong"),
        _line(3, Role.AGENT, "Which one?"),
        _line(4, Role.AGENT, "never seen", Audience.SUPPRESSED),
        _line(5, Role.CUSTOMER, "I want to\ntalk to a human"),
    ]
    trigger = Trigger(reason=Reason.CUSTOMER_REQUEST, detail="asked", queue="billing")

    envelope = envelope_for(
        trigger,
        _conversation(invoice="R-77"),
        recent,
        envelope_id="turn_1:trigger",
        now_ms=1_700_000_000_000,
        agent_id="demo",
    )

    assert envelope.summary == (
        'The customer wrote: "My invoice is wrong" / "I want to talk to a human"\n'
        'The agent\'s last answer: "Which one?"\nCollected: invoice: R-77.'
    )
    assert (envelope.reason, envelope.queue, envelope.agent.id) == (Reason.CUSTOMER_REQUEST, "billing", "demo")
    assert (envelope.customer.id, envelope.customer.verified, envelope.routing.language) == ("c-1", True, "de")
    assert envelope.created_at == datetime.fromtimestamp(1_700_000_000, tz=UTC)


@given(
    texts=st.lists(st.text(max_size=3000), max_size=5),
    collected=st.dictionaries(
        st.text(max_size=80), st.one_of(st.text(max_size=2000), st.integers(), st.lists(st.text())), max_size=60
    ),
)
def test_an_envelope_can_always_be_written(texts: list[str], collected: dict[str, object]) -> None:
    """Whatever was said and collected, the envelope keeps its own limits."""
    recent = [_line(i, Role.CUSTOMER, text) for i, text in enumerate(texts, 1)]
    trigger = Trigger(reason=Reason.OTHER, detail="x" * 900)

    envelope = envelope_for(
        trigger, _conversation(**collected), recent, envelope_id="e", now_ms=1_700_000_000_000, agent_id="a" * 300
    )

    assert HandoffEnvelope.model_validate(envelope.model_dump()) == envelope
