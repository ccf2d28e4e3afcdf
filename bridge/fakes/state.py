"""What the memory store holds, and how a unit's changes are taken back."""

import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bridge.conversation import Conversation, Entry, FileRef, Handoff, Stream, Turn, TurnState
from bridge.errors import StoreUnavailable
from bridge.ids import RemoteRef
from bridge.pacing import offered
from bridge.sharing import Presence
from bridge.storage import Out, OutState

K = TypeVar("K")
V = TypeVar("V")

LIVE = frozenset({TurnState.QUEUED, TurnState.RUNNING})
UNSENT = frozenset({OutState.NEW, OutState.SENDING})
LaneKey = tuple[str, str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """The thread of a handoff as a stream of outs, and who may send now."""

    site: str
    handoff: str
    ordinal: int
    conversation: str
    desk: str
    channel: str
    root: RemoteRef | None
    told: bool = False
    """Whether anything was said in it."""
    next_k: int = 1
    lease_epoch: int = 0
    lease_until: int = 0
    lease_ms: int = 0

    @property
    def key(self) -> LaneKey:
        """What it is found by."""
        return self.site, self.handoff, self.ordinal


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """When a channel may take the next post, and how many new ones have passed a waiting line there."""

    next_free_at: int = 0
    blocked_until: int = 0
    new_in_a_row: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A turn, and who runs it until when. `seq` is the order of queueing."""

    seq: int
    turn: Turn
    lease_until: int = 0


@dataclass(kw_only=True, slots=True)
class Tables:
    """Everything kept. The values are frozen; only the mappings change."""

    inbox: dict[tuple[str, str], int] = field(default_factory=dict)
    conversations: dict[tuple[str, str], Conversation] = field(default_factory=dict)
    logs: dict[tuple[str, str], dict[int, Entry]] = field(default_factory=dict)
    tickets: dict[str, int] = field(default_factory=dict)
    handoffs: dict[tuple[str, str], Handoff] = field(default_factory=dict)
    lanes: dict[LaneKey, Lane] = field(default_factory=dict)
    outs: dict[LaneKey, dict[int, Out]] = field(default_factory=dict)
    unsent: dict[LaneKey, dict[int, None]] = field(default_factory=dict)
    channels: dict[tuple[str, str, str], Channel] = field(default_factory=dict)
    changes_free_at: dict[tuple[str, str], int] = field(default_factory=dict)
    """By site and desk."""
    runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    live: dict[tuple[str, str], None] = field(default_factory=dict)
    streams: dict[tuple[str, str], Stream] = field(default_factory=dict)
    timers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    files: dict[tuple[str, str], tuple[FileRef, str]] = field(default_factory=dict)
    leases: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    presences: dict[tuple[str, str], Presence] = field(default_factory=dict)
    desk_facts: dict[tuple[str, str, str], str] = field(default_factory=dict)


class Journal:
    """The changes of one unit, with what it takes to undo them."""

    def __init__(self, tables: Tables, *, read_only: bool) -> None:
        """Start with no change."""
        self.tables = tables
        self._read_only = read_only
        self._over = False
        self._undo: list[Callable[[], None]] = []

    def put(self, mapping: MutableMapping[K, V], key: K, value: V) -> None:
        """Set, remembering what was there."""
        self._writing()
        if key in mapping:
            before = mapping[key]
            self._undo.append(lambda: mapping.__setitem__(key, before))
        else:
            self._undo.append(lambda: mapping.__delitem__(key))
        mapping[key] = value

    def drop(self, mapping: MutableMapping[K, V], key: K) -> None:
        """Remove what may be there, remembering it."""
        self._writing()
        if key in mapping:
            before = mapping.pop(key)
            self._undo.append(lambda: mapping.__setitem__(key, before))

    def under(self, mapping: MutableMapping[K, dict[int, V]], key: K) -> dict[int, V]:
        """Return the inner mapping, making it if need be."""
        if key not in mapping:
            self.put(mapping, key, {})
        return mapping[key]

    def roll_back(self) -> None:
        """Take every change back, the newest first."""
        while self._undo:
            self._undo.pop()()

    def end(self) -> None:
        """Refuse what comes later: the unit has returned."""
        self._over = True

    def _writing(self) -> None:
        if self._over:
            raise RuntimeError("the unit of work has returned: its Tx must not be kept")
        if self._read_only:
            raise StoreUnavailable("a unit that only reads must not write: attempt to write to a read-only store")

    def put_out(self, out: Out) -> None:
        """Keep an out."""
        key = (out.site, out.handoff, out.ordinal)
        self.put(self.under(self.tables.outs, key), out.k, out)
        waiting = self.under(self.tables.unsent, key)
        if out.state in UNSENT:
            self.put(waiting, out.k, None)
        else:
            self.drop(waiting, out.k)

    def put_run(self, run: Run) -> None:
        """Keep a turn."""
        key = (run.turn.site, run.turn.id)
        self.put(self.tables.runs, key, run)
        if run.turn.state in LIVE:
            self.put(self.tables.live, key, None)
        else:
            self.drop(self.tables.live, key)

    def offered(self, lane: Lane) -> list[Out]:
        """Return what may leave next from this lane, in order."""
        outs = self.tables.outs.get(lane.key, {})
        waiting = [outs[k] for k in sorted(self.tables.unsent.get(lane.key, ()))]
        return offered(waiting, opened=lane.root is not None)


def stored(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a mapping as it comes back from a database. Raises TypeError for what JSON cannot hold."""
    kept: Mapping[str, Any] = json.loads(json.dumps(dict(document))) if document else {}
    return kept


def check_text(text: str) -> None:
    """Raise UnicodeEncodeError (a ValueError) for text that no database can keep: half of a surrogate pair."""
    text.encode()


def stored_entry(entry: Entry) -> Entry:
    """Return an entry as it comes back from a database."""
    check_text(entry.text)
    return replace(entry, data=stored(entry.data)) if entry.data else entry
