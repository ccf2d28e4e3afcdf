"""From a body that arrives in pieces to the texts of its events: server-sent events and newline-delimited JSON."""

import codecs
from collections.abc import AsyncIterator, Iterator

from bridge.errors import AgentFailed

MAX_LINE_CHARS = 300_000
"""An envelope at its limit fits in one line."""


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield lines without their ends (LF, CRLF or CR). Raises AgentFailed if it is no UTF-8 or has no line ends."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    after_cr = False
    async for chunk in chunks:
        text = _decoded(decoder, chunk)
        if after_cr and text:
            text = text.removeprefix("\n")
            after_cr = False
        after_cr = text.endswith("\r") or (after_cr and not text)
        *whole, rest = _split(rest + text)
        for line in whole:
            yield line
        if len(rest) > MAX_LINE_CHARS:
            raise AgentFailed("too_large", f"a line of the answer is over {MAX_LINE_CHARS} characters")
    rest += _decoded(decoder, b"", final=True)
    if rest:
        yield rest


def _decoded(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> str:
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        raise AgentFailed("unreadable", "the agent's answer is not UTF-8") from error


def _split(text: str) -> Iterator[str]:
    """Split at LF, CRLF and CR only: JSON may hold the other line ends that `str.splitlines` knows."""
    yield from text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


async def server_sent(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the data of each event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Event names and ids are of no use here; `[DONE]`, which some servers send last, is left out.
    """
    data: list[str] = []
    async for line in lines(chunks):
        if line:
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
        elif data:
            text, data = "\n".join(data), []
            if text.strip() and text.strip() != "[DONE]":
                yield text
    # The standard drops an event without its closing blank line; an agent that forgets the last one is understood.
    if data and (text := "\n".join(data)).strip() not in {"", "[DONE]"}:
        yield text


async def newline_delimited(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield each line that holds something."""
    async for line in lines(chunks):
        if line.strip():
            yield line
