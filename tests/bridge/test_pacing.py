"""Which lines leave together, and what uses a channel's budget."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.capabilities import Capabilities, Part
from bridge.conversation import Author, EntryKind, FileRef, Role
from bridge.effects import OutKind
from bridge.ids import ConversationId, FileId, HandoffId, Millis, OutKey, SiteId
from bridge.pacing import NEW_IN_A_ROW, Pace, Urgency, choose, offered, posts, together, urgency
from bridge.storage import Out, OutState

LIMITS = Capabilities(text_max_chars=10, post_max_parts=4, post_max_chars=30)
FILE = FileRef(id=FileId("f1"), name="a", media_type="x/y", size_bytes=1)


def out(k: int, kind: OutKind = OutKind.POST, **changes: object) -> Out:
    made = Out(
        site=SiteId("s"),
        conversation=ConversationId("c"),
        handoff=HandoffId("h"),
        ordinal=1,
        k=k,
        kind=kind,
        key=OutKey(f"o{k}"),
        n=k,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def part(text: str = "x", files: tuple[FileRef, ...] = ()) -> Part:
    author = Author(role=Role.CUSTOMER)
    return Part(n=1, kind=EntryKind.LINE, author=author, text=text, plain=True, files=files)


LANES = st.lists(
    st.tuples(
        st.sampled_from([OutKind.POST] * 6 + [OutKind.CARD, OutKind.EDIT, OutKind.TRANSCRIPT]),
        st.lists(st.integers(0, 10), min_size=1, max_size=3),
        st.booleans(),
        st.sampled_from([(), (), (), ("take",)]),
    ),
    min_size=1,
    max_size=12,
)


@given(lane=LANES)
def test_what_leaves_together_is_one_post_that_fits(
    lane: list[tuple[OutKind, list[int], bool, tuple[str, ...]]],
) -> None:
    """Always at least one; several only if all are cards (one update shows the newest state), or posts within the
    limits, buttons alone and files last.
    """
    outs = [out(k, kind, actions=actions) for k, (kind, _, _, actions) in enumerate(lane, start=1)]
    parts = [
        [part("x" * size, (FILE,) if files and i == len(sizes) - 1 else ()) for i, size in enumerate(sizes)]
        if kind is OutKind.POST
        else []
        for kind, sizes, files, _ in lane
    ]

    leaving = together(outs, parts, LIMITS)
    if outs[0].kind is OutKind.CARD:
        assert leaving == [i for i, one in enumerate(outs) if one.kind is OutKind.CARD]
        return
    count = len(leaving)

    assert leaving == list(range(count)) != []
    taken = [piece for pieces in parts[:count] for piece in pieces]
    if count > 1:
        assert {o.kind for o in outs[:count]} == {OutKind.POST}
        assert len(taken) <= LIMITS.post_max_parts
        assert sum(len(piece.text) for piece in taken) <= LIMITS.post_max_chars
        assert not any(o.actions for o in outs[:count])
        assert not any(piece.files for piece in taken[:-1])


@given(frozen=st.integers(1, 5), others=st.integers(0, 3), fresh=st.integers(0, 3))
def test_a_post_that_was_handed_over_stays_as_it_was(frozen: int, others: int, fresh: int) -> None:
    """Exactly the outs with its key, whatever waits behind them and however small the limits have become."""
    key = OutKey("frozen")
    outs = [out(k, state=OutState.SENDING, key=key) for k in range(frozen)]
    outs += [out(frozen + k, state=OutState.SENDING, key=OutKey("other")) for k in range(others)]
    outs += [out(frozen + others + k) for k in range(fresh)]
    small = replace(LIMITS, post_max_parts=1, post_max_chars=1)

    assert together(outs, [[part("long text")] for _ in outs], small) == list(range(frozen))


def test_a_line_over_the_limits_leaves_alone() -> None:
    """It makes several posts of its own; nothing joins it."""
    outs, parts = [out(1), out(2)], [[part("x" * 10)] * 5, [part()]]

    assert together(outs, parts, LIMITS) == [0]


@pytest.mark.parametrize(
    "kind, open_, uses",
    [
        (OutKind.POST, True, True),
        (OutKind.TRANSCRIPT, True, True),
        (OutKind.CARD, False, True),
        (OutKind.CARD, True, False),
        (OutKind.EDIT, True, False),
        (OutKind.DELETE, True, False),
    ],
)
def test_only_new_messages_use_the_channels_budget(kind: OutKind, open_: bool, uses: bool) -> None:
    """Changes of what is there cost no post."""
    assert posts(kind, thread_is_open=open_) is uses


@pytest.mark.parametrize(
    "kind, opened, told, rank",
    [
        (OutKind.CARD, False, False, Urgency.NEW),
        (OutKind.POST, False, False, Urgency.HELD),
        (OutKind.EDIT, False, False, Urgency.HELD),
        (OutKind.TRANSCRIPT, True, False, Urgency.NEW),
        (OutKind.POST, True, False, Urgency.NEW),
        (OutKind.POST, True, True, Urgency.LINE),
        (OutKind.CARD, True, False, Urgency.COSMETIC),
        (OutKind.DELETE, True, True, Urgency.COSMETIC),
    ],
)
def test_a_thread_is_new_until_something_was_said_in_it(kind: OutKind, opened: bool, told: bool, rank: Urgency) -> None:
    """Its card and the first post below it; changes are never urgent."""
    assert urgency(kind, opened=opened, told=told) is rank


@given(arrivals=st.lists(st.sets(st.sampled_from([Urgency.NEW, Urgency.LINE]), min_size=1), max_size=40))
def test_a_waiting_line_is_passed_three_times_at_most(arrivals: list[set[Urgency]]) -> None:
    """However many new ones come: of any four choices with a line waiting, one is a line; without one, none counts."""
    in_a_row, passed = 0, 0
    for waiting in arrivals:
        chosen, in_a_row = choose(waiting, in_a_row)
        assert chosen in waiting
        passed = passed + 1 if chosen is Urgency.NEW and Urgency.LINE in waiting else 0
        assert passed == in_a_row <= NEW_IN_A_ROW


def test_new_ones_leave_first() -> None:
    """Unless three have just passed the line that waits."""
    both = (Urgency.NEW, Urgency.LINE)
    assert choose(both, 0) == (Urgency.NEW, 1)
    assert choose(both, 2) == (Urgency.NEW, 3)
    assert choose(both, 3) == (Urgency.LINE, 0)
    assert choose((Urgency.NEW,), 3) == (Urgency.NEW, 0)


def test_what_is_said_is_offered_before_changes() -> None:
    """Before the thread is open only its card; then all that is said, in order; then changes, in order."""
    lane = [out(1, OutKind.CARD), out(2), out(3, OutKind.EDIT), out(4), out(5, OutKind.CARD)]

    assert [o.k for o in offered(lane, opened=False)] == [1]
    assert [o.k for o in offered(lane, opened=True)] == [2, 4]
    assert [o.k for o in offered([o for o in lane if o.kind is not OutKind.POST], opened=True)] == [1, 3, 5]
    assert offered([out(1)], opened=False) == []


@given(steps_ms=st.lists(st.integers(0, 20_000), max_size=200), posts_=st.booleans())
def test_no_minute_takes_more_than_the_vendor(steps_ms: list[int], posts_: bool) -> None:
    """Whenever it is used as soon as it is free, a budget gives no more than 60 posts or 50 changes in a minute."""
    pace, now, free_at, used = Pace(), 100_000, Millis(0), []
    for step in steps_ms:
        now = max(now + step, free_at)
        free_at = pace.free_at(posts=posts_, was_free_at=free_at, now=Millis(now))
        used.append(now)

    most = 60 if posts_ else 50
    assert all(used[i + most] - used[i] >= 60_000 for i in range(len(used) - most))


def test_ten_changes_may_leave_at_once_after_a_rest() -> None:
    """Then one in one and a half seconds."""
    pace, free_at, waits = Pace(), Millis(0), []
    for _ in range(12):
        waits.append(max(0, free_at - 1_000_000))
        free_at = pace.free_at(posts=False, was_free_at=free_at, now=Millis(max(1_000_000, free_at)))

    assert waits == [0] * 10 + [1500, 3000]
