"""What operators write in Teams -> Markdown for customers."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.teams.html import Mention, Reading, images, name_of, read

BOT = "28:bridge"
BRIDGE = Mention(id=BOT, name="Bridge")
DANA = Mention(id="29:dana", name="Dana Ruiz")


def heard(html: str | None, *mentions: Mention, text: str = "") -> Reading:
    return read(html=html, text=text, mentions=mentions, bot=BOT)


FORMS = {
    "<p>Hi<br>there</p>": "Hi  \nthere",
    "<div><div>one</div><div>two</div></div>": "one\n\ntwo",
    "<p>a <b>bold</b>, <i>thin</i>, <s>gone</s></p>": "a **bold**, _thin_, ~~gone~~",
    "<p><b><i>both</i></b></p>": "**_both_**",
    "<p><b> spaced </b>out</p>": "**spaced** out",
    "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>": "- a\n- b\n    - c",
    '<ol start="3"><li>x</li><li>y</li></ol>': "3. x\n4. y",
    "<blockquote><p>said</p></blockquote><p>new</p>": "> said\n\nnew",
    "<pre>a\n  b</pre>": "```\na\n  b\n```",
    "<codeblock><code>x<br>y</code></codeblock>": "```\nx\ny\n```",
    "<p>run <code>a`b</code></p>": "run ``a`b``",
    "<h2>Head</h2><p>text</p>": "**Head**\n\ntext",
    "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>": "1 · 2  \n3",
    "<p>a&nbsp;b&nbsp;&nbsp;c</p>": "a b c",
    '<p>fine <emoji alt="😀" title="Grin"></emoji></p>': "fine 😀",
    "<p>5 &lt; 6 &amp; *no* _mark_ `x`</p>": "5 \\< 6 & \\*no\\* \\_mark\\_ \\`x\\`",
    "<hr>": "---",
    "": "",
}


@pytest.mark.parametrize("html, markdown", FORMS.items())
def test_formatting_becomes_markdown(html: str, markdown: str) -> None:
    """What Markdown knows is kept, the rest keeps its words."""
    assert heard(html).markdown == markdown


INERT = {
    '<a href="javascript:alert(1)">click</a>': "click",
    '<a href=" javascript:x">click</a>': "click",
    '<a href="data:text/html,x">click</a>': "click",
    '<a href="https://a.example/b(c)">ok</a>': "[ok](https://a.example/b%28c%29)",
    '<a href="mailto:a@b.example">a@b.example</a>': "<mailto:a@b.example>",
    "<script>alert(1)</script><style>p{}</style>words": "words",
    "<svg><a href='https://x.example'>y</a></svg>z": "z",
    "<blink onclick='x()'>w</blink>": "w",
    "<p>[a]<b></b>(javascript:alert(1))</p>": "[a\\](javascript:alert(1))",
    "<p>!<i></i>[x](https://t.example/pixel)</p>": "\\![x\\](https://t.example/pixel)",
    "<p><u><span>[a]</span></u>(javascript:alert(1))</p>": "[a\\](javascript:alert(1))",
    "<p>wow!<a href='https://a.example'>see</a></p>": "wow\\![see](https://a.example)",
    "<p>&lt;img src=x onerror=y&gt;</p>": "\\<img src=x onerror=y\\>",
    '<img src="https://tracker.example/x.png" alt="see">': "",
    "<p># no heading</p><p>- no list</p>": "\\# no heading\n\n\\- no list",
}


@pytest.mark.parametrize("html, markdown", INERT.items())
def test_nothing_harmful_gets_through(html: str, markdown: str) -> None:
    """Addresses are http, https or mailto; scripts are gone; what only looks like Markdown stays words."""
    assert heard(html).markdown == markdown


def test_only_the_mention_is_taken_out_and_never_the_name() -> None:
    """An operator who writes the bot's name is quoted as they wrote it."""
    html = '<p><at id="0">Bridge</at>&nbsp;the Bridge is <b>down</b>, Bridge!</p>'

    found = heard(html, BRIDGE)

    assert found.markdown == "the Bridge is **down**, Bridge!"
    assert (found.bridge, found.after_mention) == (True, "the Bridge is down, Bridge!")
    spans = html.replace('<at id="0">', '<span itemtype="http://schema.skype.com/Mention" itemid="0">')
    assert heard(spans.replace("</at>", "</span>"), BRIDGE).markdown == found.markdown


def test_whom_words_mean_is_told_by_entities_alone() -> None:
    """A typed `<at>` is mere words; a second one by that name means somebody else only if Teams says so."""
    typed = heard("<p><at>Bridge</at> return</p>")
    assert (typed.bridge, typed.after_mention, typed.markdown) == (False, None, "Bridge return")
    twice = heard("<p><at>Bridge</at> tell <at>Bridge</at></p>", BRIDGE)
    assert (twice.markdown, twice.after_mention) == ("tell Bridge", "tell Bridge")
    namesake = Mention(id="29:other", name="Bridge")
    other = heard("<p><at>Bridge</at> x</p>", namesake)
    assert (other.bridge, other.people, other.markdown) == (False, frozenset({"29:other"}), "Bridge x")


def test_colleagues_channels_and_tags_are_told_apart() -> None:
    """A person, a channel, a tag; nested in other formatting too."""
    html = "<p><b>Ask <i><at>Dana Ruiz</at></i></b> in <at>General</at></p>"
    channel = Mention(id="19:abc@thread.tacv2", name="General")

    found = heard(html, DANA, channel)

    assert (found.people, found.everyone, found.bridge) == (frozenset({"29:dana"}), True, False)
    assert "Dana Ruiz" in found.markdown


def test_plain_text_is_read_where_no_rich_form_came() -> None:
    """Its only markup is `<at>`; everything else is what people see."""
    text = "<at>Bridge</at>&nbsp;return 5 < 6 &amp; <b>x</b>\nnext"

    found = heard(None, BRIDGE, text=text)

    assert found.after_mention == "return 5 < 6 & <b>x</b>\nnext"
    assert found.markdown == "return 5 \\< 6 & \\<b\\>x\\</b\\>  \nnext"
    assert heard(None, text="one\n\ntwo").markdown == "one\n\ntwo"


def test_a_mention_that_does_not_open_the_message_commands_nothing() -> None:
    """Only what stands behind an opening mention is a command."""
    assert heard("<p>Do not <at>Bridge</at> return</p>", BRIDGE).after_mention is None
    assert heard("<p>&nbsp;</p><p><at>Bridge</at></p><p>return now</p>", BRIDGE).after_mention == "return now"


def test_quotes_files_and_pictures_are_seen() -> None:
    """A reply that repeats an earlier message says so; so do files and pictures within the text."""
    quote = '<blockquote itemtype="http://schema.skype.com/Reply" itemid="1"><p>x</p></blockquote><p>y</p>'
    assert heard(quote).quotes
    assert not heard("<blockquote>x</blockquote>").quotes
    assert heard('<attachment id="f1"></attachment><p>see</p>').files == ("f1",)
    assert images('<p><img src="https://a.example/1"><img></p>') == ("https://a.example/1",)
    assert name_of("<at>Dana &amp; Co</at>") == "Dana & Co"


HUGE = ["<div>" * 30_000 + "x", "<b>x " * 20_000, "<at>" * 40_000, "</at>" * 40_000, "<p>x</p>" * 20_000, "<" * 200_000]


@pytest.mark.parametrize("html", HUGE, ids=range(len(HUGE)))
def test_no_message_takes_long_to_read(html: str) -> None:
    """Neither depth nor length is paid for more than once."""
    began = time.process_time()
    heard(html, BRIDGE)
    heard(None, BRIDGE, text=html)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "odd", ["<![:>", "<![", "<![if !x]>", "<![endif]>", "<![CDATA[x]]>", "<!:>", "<!>", "<?x>", "</:>"]
)
def test_declarations_are_passed_over(odd: str) -> None:
    """What no browser shows is not shown, whatever it is called, and the words after it are read."""
    assert "after" in heard(f"<p>before</p>{odd}<p>after</p>", BRIDGE).markdown


@example("<![:")
@given(st.text(alphabet="<>/abp \"'=&;atiul[](){}!*_`#-\n:", max_size=120))
def test_whatever_is_typed_can_be_read(html: str) -> None:
    """Broken markup is read, and leaves no tag of its own behind."""
    found = heard(html, BRIDGE)
    assert "<at" not in found.markdown.replace("\\<", "")
    assert "](javascript:" not in found.markdown
    heard(None, BRIDGE, text=html)
