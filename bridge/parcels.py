"""What one claim carries to a desk: the outs that leave together, and all that is needed to show them.

Reads a transaction, writes nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bridge import briefing
from bridge.capabilities import Capabilities, Part, Support, fit
from bridge.conversation import Conversation, Entry, EntryKind, Handoff, Thread
from bridge.effects import OutKind
from bridge.ids import HandoffId, Millis, OutKey, RemoteRef, Ticket
from bridge.pacing import posts, together
from bridge.storage import Claim, Out, OutState, Tx

LOOK_BACK = 20
"""So many entries before a handoff may hold the customer's last words."""
LINK_WITHIN_MS = 5000
"""How long a notice waits for the thread that it points to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """What a card tells besides its handoff: the ticket before it, what the customer said last before it, and when they
    had the chat on the screen, as far as that is known.
    """

    previous: Ticket | None = None
    last_words: str = ""
    on_screen: bool | None = None
    seen_at: Millis | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """`parts` are those of all POSTs; `target` is the post that an EDIT or DELETE changes."""

    claim: Claim
    outs: tuple[Out, ...]
    handoff: Handoff
    conversation: Conversation
    entries: Mapping[int, Entry]
    parts: tuple[Part, ...] = ()
    target: RemoteRef | None = None
    transcript: briefing.Transcript | None = None
    around: Around = Around()
    """Of a CARD."""
    is_blind: bool = False
    """Whether it makes a message that nobody can look for."""
    too_early: bool = False
    """Whether it would point to a thread that is about to be opened, and not be a link."""

    @property
    def head(self) -> Out:
        """The first of them, which decides the kind."""
        return self.outs[0]

    @property
    def ks(self) -> tuple[int, ...]:
        """Their numbers in the lane."""
        return tuple(out.k for out in self.outs)

    @property
    def makes_message(self) -> bool:
        """Whether it makes a new message on the desk, and so uses the channel's budget and must not go out twice."""
        return posts(self.head.kind, thread_is_open=self.claim.thread.root is not None)

    @property
    def opens_thread(self) -> bool:
        """Whether it is the card that the thread hangs on."""
        return self.head.kind is OutKind.CARD and self.claim.thread.root is None

    def frozen(self, at: Millis, *, looked: bool = False) -> "Parcel":
        """Return it as it stands when its send begins. `looked`: a look was used up for that."""
        key, looks = self.head.key, int(looked)
        outs = (replace(out, key=key, attempt_at=at, looks=out.looks + looks) for out in self.outs)
        return replace(self, outs=tuple(outs))

    def card(self, labels: Mapping[str, str]) -> briefing.Card:
        """Return the card as it is now, or what becomes of it in a thread that the handoff has left."""
        label = labels.get(self.handoff.queue, self.handoff.queue)
        card = _card(self.handoff, self.conversation, label, self.around)
        card = replace(card, again=self.is_blind and _may_be_there(self.head))
        here = self.handoff.thread.ordinal == self.claim.thread.ordinal
        return card if here else briefing.moved(card, label)

    def posts(self, limits: Capabilities) -> list[tuple[OutKey, tuple[Part, ...]]]:
        """Return the posts that this makes, in order, each with its key: one, or more for a line over a post's limits.

        The last one has the key of the outs: where it is, those before it are.
        """
        groups = list(_groups(self.parts, limits))
        key = self.head.key
        return [
            (key if i == len(groups) else OutKey(f"{key}.{i}"), tuple(group)) for i, group in enumerate(groups, start=1)
        ]


def _groups(parts: tuple[Part, ...], limits: Capabilities) -> Iterator[list[Part]]:
    group: list[Part] = []
    chars = 0
    for part in parts:
        over = len(group) == limits.post_max_parts or chars + len(part.text) > limits.post_max_chars
        if group and over:
            yield group
            group, chars = [], 0
        group.append(part)
        chars += len(part.text)
    if group:
        yield group


def pack(tx: Tx, claim: Claim, limits: Capabilities, now: Millis) -> Parcel:
    """Make the next parcel of a claimed lane. Raises LookupError for a lane without its handoff, which cannot be."""
    handoff = tx.handoff(claim.site, claim.handoff)
    conversation = tx.conversation(claim.site, claim.conversation, lock=False)
    if handoff is None or conversation is None:
        raise LookupError(f"lane of {claim.handoff} without its handoff")
    entries = _entries(tx, claim)
    pieces = [_linked(tx, claim, entries.get(out.n or 0), _fit(out, entries, limits, now)) for out in claim.outs]
    early = {i for i, out in enumerate(claim.outs) if _too_early(tx, claim, out, entries, now)}
    leaving = together(claim.outs, pieces, limits)
    parcel = Parcel(
        claim=claim,
        outs=tuple(claim.outs[i] for i in leaving),
        handoff=handoff,
        conversation=conversation,
        entries=entries,
        parts=tuple(part for i in leaving for part in pieces[i]),
        too_early=not early.isdisjoint(leaving),
    )
    blind = limits.read_back is Support.REJECTED
    parcel = replace(parcel, is_blind=blind and parcel.makes_message)
    head = parcel.head
    if head.kind is OutKind.TRANSCRIPT and head.n is not None:
        before = tx.entries(claim.site, claim.conversation, upto_n=head.n - 1, limit=100_000)
        told = briefing.transcript(before, handoff.ticket)
        return replace(parcel, transcript=replace(told, again=blind and _may_be_there(head)))
    if head.kind in (OutKind.EDIT, OutKind.DELETE) and head.n is not None:
        return replace(parcel, target=_posted_as(tx, claim, entries.get(head.n)))
    if head.kind is OutKind.CARD:
        return replace(parcel, around=_around(tx, handoff, now))
    return parcel


def _around(tx: Tx, handoff: Handoff, now: Millis) -> Around:
    """Read what a card tells besides its handoff."""
    before = tx.last_entries(handoff.site, handoff.conversation, before_n=handoff.first_n, limit=LOOK_BACK)
    previous = tx.handoff(handoff.site, handoff.previous) if handoff.previous else None
    seen = tx.presences(handoff.site, [handoff.id]).get(handoff.id)
    return Around(
        previous=previous.ticket if previous else None,
        last_words=briefing.last_words(before),
        on_screen=seen.until >= now if seen else None,
        seen_at=seen.seen_at if seen else None,
    )


def card_of(tx: Tx, handoff: Handoff, conversation: Conversation, queue_label: str, now: Millis) -> briefing.Card:
    """Return the card of a handoff as it stands now."""
    return _card(handoff, conversation, queue_label, _around(tx, handoff, now))


def _card(handoff: Handoff, conversation: Conversation, queue_label: str, around: Around) -> briefing.Card:
    return briefing.card(
        handoff,
        conversation,
        queue_label=queue_label,
        previous=around.previous,
        last_words=around.last_words,
        on_screen=around.on_screen,
        seen_at=around.seen_at,
    )


def _entries(tx: Tx, claim: Claim) -> dict[int, Entry]:
    """Return the entries that the outs speak of, read at once."""
    wanted = {out.n for out in claim.outs if out.n is not None and out.kind is not OutKind.TRANSCRIPT}
    if not wanted:
        return {}
    first, last = min(wanted), max(wanted)
    found = tx.entries(claim.site, claim.conversation, after_n=first - 1, upto_n=last, limit=last - first + 1)
    return {entry.n: entry for entry in found if entry.n in wanted}


def _fit(out: Out, entries: Mapping[int, Entry], limits: Capabilities, now: Millis) -> tuple[Part, ...]:
    if out.kind not in (OutKind.POST, OutKind.EDIT) or out.n is None or out.n not in entries:
        return ()
    parts = fit(entries[out.n], limits, now_ms=now)
    if out.kind is OutKind.POST and limits.read_back is Support.REJECTED and _may_be_there(out):
        parts = tuple(replace(part, again=True) for part in parts)
    return (*parts[:-1], replace(parts[-1], actions=out.actions, handoff=out.handoff))


def _may_be_there(out: Out) -> bool:
    """Tell whether it left once already, and nobody knows whether it arrived."""
    return out.state is OutState.SENDING or out.looks > 0


def _linked(tx: Tx, claim: Claim, entry: Entry | None, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Add the root of the thread that a notice points to, if it is open by now."""
    there = _points_to(tx, claim, entry) if parts else None
    if there is None:
        return parts
    elsewhere = there.desk if there.desk != claim.thread.desk else None
    return (*parts[:-1], replace(parts[-1], link=there.root, link_desk=elsewhere if there.root else None))


def _points_to(tx: Tx, claim: Claim, entry: Entry | None) -> Thread | None:
    wanted = entry.data.get("points_to") if entry is not None and entry.kind is EntryKind.NOTICE else None
    there = tx.handoff(claim.site, HandoffId(wanted)) if wanted else None
    if there is None or there.thread.root == claim.thread.root:
        return None
    return there.thread


def _too_early(tx: Tx, claim: Claim, out: Out, entries: Mapping[int, Entry], now: Millis) -> bool:
    if out.kind is not OutKind.POST or out.state is not OutState.NEW or now >= out.queued_at + LINK_WITHIN_MS:
        return False
    there = _points_to(tx, claim, entries.get(out.n or 0))
    return there is not None and there.root is None


def _posted_as(tx: Tx, claim: Claim, change: Entry | None) -> RemoteRef | None:
    if change is None or change.target is None:
        return None
    outs = tx.out_for(claim.site, claim.handoff, change.target)
    posted = [out.remote for out in outs if out.remote is not None and out.ordinal == claim.thread.ordinal]
    return posted[-1] if posted else None
