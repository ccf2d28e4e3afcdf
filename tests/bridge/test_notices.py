"""What the bridge itself says: every text exists in every language, and no name can become markup."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audience import SENTENCES
from bridge.notices import CUSTOMER_TEXTS, THREAD_TEXTS, Words, harmless, thread

VALUES = {"ticket": "H-1001", "name": "Dana", "label": "support", "opens": "on Monday"}


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("language", sorted(CUSTOMER_TEXTS))
def test_every_language_says_everything_with_the_same_values(language: str) -> None:
    """No text is missing, none asks for a value that the others do not have, none is empty."""
    english = CUSTOMER_TEXTS["en"]
    texts = CUSTOMER_TEXTS[language]

    assert {name: fields(text) for name, text in texts.items()} == {n: fields(t) for n, t in english.items()}
    for name in texts:
        assert "{" not in Words(language=language).customer(name, **VALUES)
        assert texts[name].strip()


@pytest.mark.parametrize(
    "language, expected",
    [("de", "Ich hole"), ("de-AT", "Ich hole"), ("DE", "Ich hole"), ("fr", "I'm bringing"), ("", "I'm bringing")],
)
def test_a_customer_is_spoken_to_in_the_own_language_or_in_english(language: str, expected: str) -> None:
    """A region is its language; an unknown one is English."""
    assert Words(language=language).customer("escalated", **VALUES).startswith(expected)


def test_a_site_may_use_its_own_words() -> None:
    """They win over ours, for their language; in others too if that language has none of its own."""
    words = {"en": {"escalated": "Hold on ({ticket})."}}

    assert Words(language="en-GB", custom=words).customer("escalated", **VALUES) == "Hold on (H-1001)."
    assert Words(language="en", custom=words).customer("closed") == CUSTOMER_TEXTS["en"]["closed"]


def test_an_unknown_text_is_an_error_of_the_caller() -> None:
    """A mistyped name does not end in silence."""
    with pytest.raises(KeyError):
        Words().customer("no-such-text")
    with pytest.raises(KeyError):
        thread("no-such-text")


def test_the_threads_texts_can_all_be_said() -> None:
    """Each has a form without a gap."""
    for name, template in THREAD_TEXTS.items():
        assert "{" not in thread(name, **dict.fromkeys(fields(template), "x"))
    for sentence in SENTENCES.values():
        assert "{" not in sentence.format(owner="Dana", why="Because.")


@given(name=st.text(max_size=200))
def test_a_name_is_never_more_than_a_name(name: str) -> None:
    """No markup, mention, link, line break or emptiness comes through, and what is left is short."""
    shown = harmless(name)

    assert 0 < len(shown) <= 80
    assert not set(shown) & set('*_~`<>@&|[](){}#!\\/\n\r\t:;"\u202e\u200b')
    assert shown == " ".join(shown.split())
    assert harmless(shown) == shown


@pytest.mark.parametrize("name", ["Dana Ruiz", "O'Neill", "Jean-Luc", "José Ñ.", "李雷", "Ana · Support"])
def test_real_names_stay_as_they_are(name: str) -> None:
    """Letters of all scripts, apostrophes and hyphens belong to names."""
    assert harmless(name) == name
