"""Which lines leave together, and what uses a channel's budget."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.capabilities import Capabilities, Part
from bridge.conversation import Author, EntryKind, FileRef, Role
from bridge.effects import OutKind
from bridge.ids import ConversationId, FileId, HandoffId, OutKey, SiteId
from bridge.pacing import posts, together
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
    """Always at least one; several only if all are posts, within the limits, buttons alone and files last."""
    outs = [out(k, kind, actions=actions) for k, (kind, _, _, actions) in enumerate(lane, start=1)]
    parts = [
        [part("x" * size, (FILE,) if files and i == len(sizes) - 1 else ()) for i, size in enumerate(sizes)]
        if kind is OutKind.POST
        else []
        for kind, sizes, files, _ in lane
    ]

    count = together(outs, parts, LIMITS)

    assert 1 <= count <= len(outs)
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

    assert together(outs, [[part("long text")] for _ in outs], small) == frozen


def test_a_line_over_the_limits_leaves_alone() -> None:
    """It makes several posts of its own; nothing joins it."""
    outs, parts = [out(1), out(2)], [[part("x" * 10)] * 5, [part()]]

    assert together(outs, parts, LIMITS) == 1


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
