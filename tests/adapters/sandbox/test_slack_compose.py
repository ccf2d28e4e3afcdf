"""What a person types becomes the text and rich text that Slack's clients send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.slack.compose import Directory, compose, escape, mentioned

NAMES = Directory(users={"dana": "U1", "sam": "U2"}, groups={"billing-team": "S1"}, channels={"support": "C1"})


@pytest.mark.parametrize(
    "typed,text",
    [
        ("plain", "plain"),
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("@dana and @nobody", "<@U1> and @nobody"),
        ("<@U1> <@U9> <!channel>", "<@U1> &lt;@U9&gt; &lt;!channel&gt;"),
        ("@billing-team, @here", "<!subteam^S1>, <!here>"),
        ("in #support or #nowhere", "in <#C1> or #nowhere"),
        ("see https://a.example/x?y=1&z=2.", "see <https://a.example/x?y=1&amp;z=2>."),
        ("*b* _i_ ~s~ `c`", "*b* _i_ ~s~ `c`"),
        ("2*3*4 snake_case_name", "2*3*4 snake_case_name"),
        ("mail dana@example.com", "mail dana@example.com"),
        (":tada: 10:30:45", ":tada: 10:30:45"),
        ("- a\n- b", "• a\n• b"),
        ("1. a\n2. b", "1. a\n2. b"),
        ("> said\nme", "&gt; said\nme"),
        ("```\na < b\n```", "```a &lt; b```"),
    ],
)
def test_typed_text_is_sent_as_slack_would(typed: str, text: str) -> None:
    """Escapes, mentions, links and styles come out in Slack's notation; unknown names stay words."""
    assert compose(typed, NAMES)[0] == text


def test_mentions_are_found_in_order_wherever_they_stand() -> None:
    """Mentions in lists, quotes and bold text count; those in code do not."""
    _, blocks = compose("- *@sam*\n> @dana\n`@sam`", NAMES)
    assert mentioned(blocks) == ["U2", "U1"]


@given(st.text(max_size=200))
def test_nothing_typed_is_lost_or_becomes_a_token(typed: str) -> None:
    """Whatever is typed without names, no control sequence appears but links, and plain words survive escaping."""
    text, _ = compose(typed, Directory())
    bare = text.replace("<http", "").replace("<!here>", "").replace("<!channel>", "").replace("<!everyone>", "")
    assert "<" not in bare
    if typed.isalnum():
        assert text == escape(typed)
