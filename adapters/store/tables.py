"""The tables, all keyed by site. Columns are text, integers and floats only, so that no driver needs to convert them
(the bytes of files apart).

JSON is kept as text; "" stands for an empty one. Times are UTC milliseconds given by the caller. A change here needs a
new revision in `migrations/versions`; a test compares the two.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()

UNSENT = "state IN ('new', 'sending')"
"""Written into statements as it is, never as parameters: only then may SQLite use the partial indexes.
See https://www.sqlite.org/partialindex.html#queries_using_partial_indexes.
"""
IN_FLIGHT = "state = 'sending'"
DEAD = "state = 'dead'"
OPEN = "state IN ('waiting', 'human')"
LIVE = "state IN ('queued', 'running')"
SUPPRESSED = "audience = 'suppressed'"
UNREAD = "state = 'agent' AND last_role = 'customer' AND last_customer_n > read_n"
"""The customer waits for the agent. Few: a row is here from a customer's line to the end of the turn that reads it."""


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


INBOX = Table(
    "inbox",
    METADATA,
    _text("site"),
    _text("source"),
    _number("at"),
    PrimaryKeyConstraint("site", "source"),
    Index("inbox_at", "at"),
    sqlite_with_rowid=False,
)

CONVERSATION = Table(
    "conversation",
    METADATA,
    _text("site"),
    _text("id"),
    _text("widget"),
    _text("customer"),
    _text("state"),
    _text("operator"),
    _number("epoch"),
    _number("next_n"),
    _number("last_at"),
    _text("handoff", null=True),
    _text("sticky", null=True),
    _text("last_speaker"),
    _text("last_role"),
    _number("last_customer_n"),
    _number("read_n"),
    _number("unsure_turns"),
    _text("collected"),
    PrimaryKeyConstraint("site", "id"),
    Index("conversation_unread", "last_at", **_where(UNREAD)),
    sqlite_with_rowid=False,
)

ENTRY = Table(
    "entry",
    METADATA,
    _text("site"),
    _text("conversation"),
    _number("n"),
    _text("kind"),
    _text("role"),
    _text("author_id"),
    _text("author_name"),
    _text("audience"),
    _number("at"),
    _number("epoch"),
    _text("text"),
    _text("files"),
    _number("target", null=True),
    _text("turn", null=True),
    _text("handoff", null=True),
    _number("named"),
    _text("remote", null=True),
    _text("data"),
    PrimaryKeyConstraint("site", "conversation", "n"),
    Index("entry_remote", "site", "remote", **_where("remote IS NOT NULL")),
    Index("entry_suppressed", "site", **_where(SUPPRESSED)),
    sqlite_with_rowid=False,
)

TICKET = Table("ticket", METADATA, _text("site"), _number("last"), PrimaryKeyConstraint("site"))

# Desk, channel and root are the lane's: see LANE.
HANDOFF = Table(
    "handoff",
    METADATA,
    _text("site"),
    _text("id"),
    _text("conversation"),
    _text("ticket"),
    _text("envelope_id"),
    _text("envelope"),
    _text("problems"),
    _text("queue"),
    _number("ordinal"),
    _text("why_here"),
    _text("state"),
    _number("opened_at"),
    _number("first_n"),
    _number("taken_at", null=True),
    _number("ended_at", null=True),
    _text("operator_id", null=True),
    _text("operator"),
    _text("previous", null=True),
    _number("rung"),
    _text("note"),
    _text("preferred", null=True),
    _text("audience_rule"),
    _text("first_reply"),
    _text("told"),
    PrimaryKeyConstraint("site", "id"),
    UniqueConstraint("site", "conversation", "envelope_id", name="handoff_envelope"),
    UniqueConstraint("site", "ticket", name="handoff_ticket"),
    Index("handoff_one_open", "site", "conversation", unique=True, **_where(OPEN)),
    Index("handoff_open", "site", "opened_at", **_where(OPEN)),
)

LEAVING = ("head_urgency", "head_at", "handoff", "ordinal")

# The thread of a handoff, and the order of what goes there. Everything up to `sent_k` is settled. The head_* columns
# repeat what is next, so that choosing a lane reads nothing else; they are null while nothing may leave. `opened` is 1
# once the root is known, `told` once something was said in it.
LANE = Table(
    "lane",
    METADATA,
    _text("site"),
    _text("handoff"),
    _number("ordinal"),
    _text("conversation"),
    _text("desk"),
    _text("channel"),
    _text("root", null=True),
    _number("opened"),
    _number("told"),
    _number("next_k"),
    _number("sent_k"),
    _number("head_k", null=True),
    _number("head_at", null=True),
    _number("head_not_before", null=True),
    _number("head_urgency", null=True),
    _text("lease_owner"),
    _number("lease_epoch"),
    _number("lease_until"),
    _number("lease_ms"),
    PrimaryKeyConstraint("site", "handoff", "ordinal"),
    # In the whole order in which lanes leave: PostgreSQL else sorts the first 32 that wait, for each claim anew.
    Index("lane_waiting", "desk", *LEAVING, **_where("head_at IS NOT NULL")),
    Index("lane_in_channel", "site", "desk", "channel", *LEAVING, **_where("head_at IS NOT NULL")),
    Index("lane_root", "site", "desk", "root", **_where("root IS NOT NULL")),
    Index("lane_conversation", "site", "conversation"),
    sqlite_with_rowid=False,
)

OUT = Table(
    "out",
    METADATA,
    _text("site"),
    _text("handoff"),
    _number("ordinal"),
    _number("k"),
    _text("conversation"),
    _text("kind"),
    _text("key"),
    _number("n", null=True),
    _text("actions"),
    _text("state"),
    _number("attempts"),
    _number("looks"),
    _number("attempt_at", null=True),
    _number("not_before"),
    _number("queued_at"),
    _text("remote", null=True),
    _text("reason"),
    _number("maybe_sent"),
    PrimaryKeyConstraint("site", "handoff", "ordinal", "k"),
    Index("out_unsent", "queued_at", **_where(UNSENT)),
    Index("out_in_flight", "site", "key", **_where(IN_FLIGHT)),
    Index("out_dead", "site", "queued_at", **_where(DEAD)),
    sqlite_with_rowid=False,
)

# The channel "" is the whole desk: of its row only `cosmetic_free_at` counts, and of all others everything else.
CHANNEL = Table(
    "channel",
    METADATA,
    _text("site"),
    _text("desk"),
    _text("channel"),
    _number("next_free_at"),
    _number("blocked_until"),
    _number("cosmetic_free_at"),
    _number("new_in_a_row"),
    PrimaryKeyConstraint("site", "desk", "channel"),
    sqlite_with_rowid=False,
)

# What one process at a time does for all of them; and `window:<handoff>`, by which processes know of each other that
# they show a chat to its customer (see `sharing.py`).
LEASE = Table(
    "lease",
    METADATA,
    _text("site"),
    _text("name"),
    _text("owner"),
    _number("until"),
    PrimaryKeyConstraint("site", "name"),
    sqlite_with_rowid=False,
)

# `seq` is the order of queueing, across sites.
TURN = Table(
    "turn",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _text("site"),
    _text("id"),
    _text("conversation"),
    _number("epoch"),
    _text("kind"),
    _number("upto_n"),
    _number("attempt"),
    _text("state"),
    _text("handoff", null=True),
    _text("note"),
    _text("lease_owner"),
    _number("lease_until"),
    UniqueConstraint("site", "id", name="turn_id"),
    Index("turn_one_live", "site", "conversation", unique=True, **_where(f"{LIVE} AND kind <> 'rehearsal'")),
    Index("turn_live", "seq", **_where(LIVE)),
)

STREAM = Table(
    "stream",
    METADATA,
    _text("site"),
    _text("conversation"),
    _text("turn"),
    _number("attempt"),
    _number("seq"),
    _text("text"),
    PrimaryKeyConstraint("site", "conversation"),
    sqlite_with_rowid=False,
)

TIMER = Table(
    "timer",
    METADATA,
    _text("site"),
    _text("handoff"),
    _text("rung"),
    _number("due_at"),
    PrimaryKeyConstraint("site", "handoff", "rung"),
    Index("timer_due", "due_at"),
    sqlite_with_rowid=False,
)

FILE = Table(
    "file",
    METADATA,
    _text("site"),
    _text("id"),
    _text("name"),
    _text("media_type"),
    _number("size_bytes"),
    _text("digest"),
    PrimaryKeyConstraint("site", "id"),
)

# What a desk has to remember of its vendor: addresses, ids, what was granted.
DESK_FACT = Table(
    "desk_fact",
    METADATA,
    _text("site"),
    _text("desk"),
    _text("name"),
    _text("value"),
    PrimaryKeyConstraint("site", "desk", "name"),
    sqlite_with_rowid=False,
)

# The bytes of files where the processes share no folder, in pieces so that none of them is held whole in memory.
FILE_PIECE = Table(
    "file_piece",
    METADATA,
    _text("site"),
    _text("digest"),
    _number("number"),
    Column("bytes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("site", "digest", "number"),
)
