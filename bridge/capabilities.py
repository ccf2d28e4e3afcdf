"""What a destination can do, as data: levels, limits, and `fit`, which makes an entry fit them. Nobody asks which
vendor it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from bridge.conversation import Audience, Author, Entry, EntryKind, FileRef, Role
from bridge.ids import DeskName, RemoteRef


class Support(IntEnum):
    """How much of a feature survives the trip. REJECTED tells the sender; DROPPED loses it silently and is never
    wanted.
    """

    REJECTED = -2
    DROPPED = -1
    FALLBACK = 0
    PARTIAL = 1
    FULL = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """One destination's features and limits. Characters are Unicode code points as the vendor counts them."""

    text_max_chars: int
    """Per part (a block of a post)."""
    post_max_parts: int = 1
    post_max_chars: int
    """Per post, all parts together."""
    file_max_bytes: int = 0
    markdown: Support = Support.FULL
    names: Support = Support.FULL
    """FALLBACK: the name goes into the text."""
    typing: Support = Support.FULL
    stream: Support = Support.REJECTED
    retract: Support = Support.REJECTED
    edit: Support = Support.FULL
    delete: Support = Support.FULL
    files: Support = Support.FULL
    read_back: Support = Support.FULL
    """REJECTED: nobody can look whether an unclear post arrived, so it is sent once more, labelled as such."""
    whisper: Support = Support.FULL
    """A sentence for one person only; never used for what matters."""


REHEARSED = "rehearsal: the customer does not see this"
"""Stands beside the agent wherever its words are for colleagues only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of an entry that fits: `index` of `total`. `plain` text is shown as it is, other text is Markdown."""

    n: int
    kind: EntryKind
    author: Author
    text: str
    plain: bool
    index: int = 1
    total: int = 1
    files: tuple[FileRef, ...] = ()
    said_at_ms: int = 0
    late_ms: int = 0
    """How long it waited, if that is worth telling (over 5 s); else 0."""
    quiet: bool = False
    """A notice of the bridge: shown smaller than what people say."""
    remark: str = ""
    """What has to stand beside the speaker, in each of the parts."""
    actions: tuple[str, ...] = ()
    """Buttons, by constant name; each carries `handoff` and, if set, `target` (an entry's n) as its value."""
    target: int | None = None
    """The entry that a notice speaks of."""
    handoff: str = ""
    mentions: tuple[str, ...] = ()
    """Operator ids that a notice is to reach: the desk puts a real mention of each before the text."""
    again: bool = False
    """It may stand there already: it is sent once more where nobody can look (see `Capabilities.read_back`)."""
    link: RemoteRef | None = None
    """The root of another thread that a notice speaks of, if it is there by now: the desk links to it."""
    link_desk: DeskName | None = None
    """The other desk on which `link` is; None: on this one. Then `address` is where people open it, "" if unknown."""
    address: str = ""


def _pieces(text: str, limit: int) -> Iterator[str]:
    """Cut at a paragraph, line, sentence or word boundary near the limit; never drop a character but the boundary's
    blanks.
    """
    rest = text
    while len(rest) > limit:
        window = rest[:limit]
        cut = -1
        for mark in ("\n\n", "\n", ". ", " "):
            cut = window.rfind(mark, limit // 2)
            if cut > 0:
                cut += len(mark)
                break
        if cut <= 0:
            cut = limit
            while cut > 1 and _joins(rest, cut):
                cut -= 1
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


def _joins(text: str, at: int) -> bool:
    """Tell whether a cut here would tear what is drawn as one character (accents, emoji joined by U+200D)."""
    return text[at] in "\u200d\ufe0f" or text[at - 1] == "\u200d" or "\u0300" <= text[at] <= "\u036f"


def fit(entry: Entry, capabilities: Capabilities, *, now_ms: int = 0, late_after_ms: int = 5000) -> tuple[Part, ...]:
    """Split an entry into parts that the destination takes: text in order, nothing cut; files on the last part.

    An empty text with files gives one part. Pure. Joining the parts' texts gives the entry's text.
    """
    texts = list(_pieces(entry.text, capabilities.text_max_chars))
    waited = now_ms - entry.at if now_ms else 0
    rehearsed = entry.author.role is Role.AGENT and entry.audience is Audience.COLLEAGUES
    return tuple(
        Part(
            n=entry.n,
            kind=entry.kind,
            author=entry.author,
            text=text,
            plain=entry.author.role is Role.CUSTOMER,
            index=i,
            total=len(texts),
            files=entry.files if i == len(texts) else (),
            said_at_ms=entry.at,
            late_ms=waited if waited > late_after_ms else 0,
            quiet=entry.kind is EntryKind.NOTICE,
            remark=REHEARSED if rehearsed else "",
            target=entry.target,
            handoff=entry.handoff or "",
            mentions=tuple(entry.data.get("mentions", ())) if entry.kind is EntryKind.NOTICE else (),
        )
        for i, text in enumerate(texts, start=1)
    )
