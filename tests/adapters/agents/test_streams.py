"""Bodies that arrive in pieces."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.agents.streams import lines, newline_delimited, server_sent
from bridge.errors import AgentFailed

SSE = (
    "\ufeff: a comment\r\n"
    'event: message\r\nid: 1\r\ndata: {"a": 1}\r\n\r\n'
    'data: {"b":\rdata:  2}\r\r'
    'data: {"\u00e9\u20ac\U0001f600\u2028\u0085": 3}\n\n'
    "retry: 10\n\n"
    "data\n\n"
    "data: [DONE]\n\n"
    'data: {"last": 4}'
).encode()
EVENTS = ['{"a": 1}', '{"b":\n 2}', '{"\u00e9\u20ac\U0001f600\u2028\u0085": 3}', '{"last": 4}']


async def pieces(body: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    """The body, cut at these places."""
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield body[start:end]


@given(st.lists(st.integers(min_value=0), max_size=40))
async def test_server_sent_events_survive_any_cut(cuts: list[int]) -> None:
    """Wherever the network cuts the bytes, in a character or a line end, the same events come out."""
    assert [text async for text in server_sent(pieces(SSE, cuts))] == EVENTS


async def test_every_single_byte_may_come_alone() -> None:
    """One byte at a time gives the same events."""
    assert [text async for text in server_sent(pieces(SSE, list(range(len(SSE)))))] == EVENTS


@given(st.lists(st.integers(min_value=0), max_size=20))
async def test_newline_delimited_lines_survive_any_cut(cuts: list[int]) -> None:
    """Blank lines are left out, and line separators inside JSON split nothing."""
    body = '{"a": "\u2028"}\r\n\n  \n{"b": 2}\n{"c": 3}'.encode()

    assert [text async for text in newline_delimited(pieces(body, cuts))] == ['{"a": "\u2028"}', '{"b": 2}', '{"c": 3}']


@pytest.mark.parametrize(
    "body, code", [(b"\xff\xfe", "unreadable"), (b"\xc3", "unreadable"), (b"x" * 400_000, "too_large")]
)
async def test_what_is_no_text_or_has_no_end_is_refused(body: bytes, code: str) -> None:
    """Bytes that are not UTF-8 and lines without an end are failures with a name."""
    with pytest.raises(AgentFailed) as caught:
        _ = [line async for line in lines(pieces(body, [1000, 350_000]))]

    assert caught.value.code == code
