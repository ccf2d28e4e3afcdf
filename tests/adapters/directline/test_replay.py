"""Whatever happens, and however often a window comes and goes, it ends up showing the log."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.directline import screen, sockets, wire
from bridge.conversation import Audience, Author, Entry, EntryKind, Role, Stream
from bridge.ids import ConversationId, Millis, TurnId
from bridge.ports import Shown
from tests.adapters.directline.client import Screen

CONVERSATION = ConversationId("c_1")
AUTHORS = {
    "customer": Author(role=Role.CUSTOMER, id="cust-1", name="Mia"),
    "agent": Author(role=Role.AGENT, id="agent", name="Ava"),
    "operator": Author(role=Role.OPERATOR, id="slack:T1:U1", name="Dana Ruiz"),
    "bridge": Author(role=Role.BRIDGE),
}
STEPS = ("say", "say", "edit", "delete", "chunk", "chunk", "final", "retract", "look", "look", "drop", "reload")
steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.sampled_from(sorted(AUTHORS)), st.integers(0, 30)), min_size=8, max_size=60
)


BEGIN = 1_800_000_000_000
NOW = Millis(BEGIN + 30_000)
"""Behind every commit: a chunk may be shown late."""


class World:
    """A log with one agent's turn, and one window that watches it as sockets.Window does."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.stream: Stream | None = None
        self.page = Screen()
        self.connect(again=False)

    def connect(self, *, again: bool = True) -> None:
        self.window = screen.Screen(
            conversation=CONVERSATION,
            link=lambda file: f"https://bridge.example/{file.id}",
            agent_name="Ava",
            public_label="support",
            bridge_name="Notice",
        )
        self.after_n = wire.parse_watermark(self.page.watermark)
        self.window.resumed = again or self.after_n > 0
        for entry in self.log[max(0, self.after_n - sockets.LOOK_BACK) : self.after_n]:
            self.window.note(entry)

    def look(self) -> None:
        """Show what is new, in one batch."""
        fresh = wire.fold(self.log[self.after_n :])
        originals = {n: self.log[n - 1] for n in wire.targets(fresh)}
        streams = (self.stream,) if self.stream else ()
        made = sockets.activities(self.window, Shown(entries=tuple(fresh), streams=streams), originals, NOW)
        self.after_n = len(self.log)
        self.page.take(wire.frame(made, self.after_n if fresh else None))

    def append(self, kind: EntryKind, author: Author, text: str = "", **more: Any) -> None:
        entry = Entry(
            n=len(self.log) + 1,
            kind=kind,
            author=author,
            audience=Audience.EVERYONE,
            at=Millis(BEGIN + len(self.log)),
            epoch=1,
            text=text,
        )
        self.log.append(replace(entry, **more))

    def step(self, what: str, author: Author, pick: int) -> None:
        turn = TurnId("t1")
        lines = [e for e in self.log if e.kind is EntryKind.LINE and e.author.role is not Role.CUSTOMER]
        text = f"text {len(self.log)}.{pick}"
        if what == "say":
            self.append(EntryKind.LINE, author, text)
        elif what in ("edit", "delete") and lines:
            target = lines[pick % len(lines)]
            changed = text if what == "edit" else ""
            self.append(EntryKind(what), target.author, changed, target=target.n)
        elif what == "chunk":
            seq = self.stream.seq + 1 if self.stream else 1
            self.stream = Stream(turn=turn, attempt=1, seq=seq, text=f"half {seq} of {len(self.log)}")
        elif what == "final":
            self.append(EntryKind.LINE, AUTHORS["agent"], text, turn=turn)
            self.stream = None
        elif what == "retract" and self.stream:
            self.append(EntryKind.RETRACTION, AUTHORS["bridge"], turn=turn)
            self.stream = None
        elif what == "look":
            self.look()
        elif what == "drop":
            self.connect()
        elif what == "reload":
            self.page = Screen()
            self.connect(again=False)

    def expected(self) -> list[str]:
        texts = {e.n: e.text for e in self.log if e.kind is EntryKind.LINE}
        for entry in self.log:
            if entry.target is not None:
                texts[entry.target] = entry.text
        return [text for _, text in sorted(texts.items()) if text]


@settings(max_examples=300)
@given(steps)
def test_a_window_ends_up_showing_the_log(taken: list[tuple[str, str, int]]) -> None:
    """After any mix of lines, changes, streams, drops and reloads: the log's lines, once, in order, no half text."""
    world = World()
    for what, author, pick in taken:
        world.step(what, AUTHORS[author], pick)
    if world.stream:
        world.step("retract", AUTHORS["bridge"], 0)
    world.look()

    assert world.page.shown() == world.expected()
