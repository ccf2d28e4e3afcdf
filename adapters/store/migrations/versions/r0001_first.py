"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    "schema_info",
    "inbox",
    "conversation",
    "entry",
    "handoff",
    "ticket",
    "timer",
    "lane",
    "channel",
    "out",
    "turn",
    "stream",
    "file",
    "file_piece",
    "lease",
    "desk_fact",
)


def upgrade() -> None:
    _about()
    _conversations()
    _log()
    _handoffs()
    _tickets_and_timers()
    _lanes()
    _outs()
    _turns()
    _between_processes()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _about() -> None:
    info = op.create_table(
        "schema_info",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("serves_from", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision"),
    )
    op.bulk_insert(info, [{"revision": revision, "serves_from": revision}])


def _conversations() -> None:
    op.create_table(
        "conversation",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("widget", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("next_n", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("handoff", sa.Text(), nullable=True),
        sa.Column("sticky", sa.Text(), nullable=True),
        sa.Column("last_speaker", sa.Text(), nullable=False),
        sa.Column("last_role", sa.Text(), nullable=False),
        sa.Column("last_customer_n", sa.BigInteger(), nullable=False),
        sa.Column("read_n", sa.BigInteger(), nullable=False),
        sa.Column("unsure_turns", sa.BigInteger(), nullable=False),
        sa.Column("collected", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "conversation_unread",
        "conversation",
        ["last_at"],
        unique=False,
        sqlite_where=sa.text("state = 'agent' AND last_role = 'customer' AND last_customer_n > read_n"),
        postgresql_where=sa.text("state = 'agent' AND last_role = 'customer' AND last_customer_n > read_n"),
    )
    op.create_table(
        "inbox",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "source"),
        sqlite_with_rowid=False,
    )


def _log() -> None:
    op.create_table(
        "entry",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=True),
        sa.Column("turn", sa.Text(), nullable=True),
        sa.Column("handoff", sa.Text(), nullable=True),
        sa.Column("named", sa.BigInteger(), nullable=False),
        sa.Column("remote", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "conversation", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "entry_remote",
        "entry",
        ["site", "remote"],
        unique=False,
        sqlite_where=sa.text("remote IS NOT NULL"),
        postgresql_where=sa.text("remote IS NOT NULL"),
    )
    op.create_index(
        "entry_suppressed",
        "entry",
        ["site"],
        unique=False,
        sqlite_where=sa.text("audience = 'suppressed'"),
        postgresql_where=sa.text("audience = 'suppressed'"),
    )
    op.create_table(
        "file",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "id"),
    )


def _handoffs() -> None:
    op.create_table(
        "handoff",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("envelope_id", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("why_here", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("first_n", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("operator_id", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("rung", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("preferred", sa.Text(), nullable=True),
        sa.Column("audience_rule", sa.Text(), nullable=False),
        sa.Column("first_reply", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "id"),
        sa.UniqueConstraint("site", "conversation", "envelope_id", name="handoff_envelope"),
        sa.UniqueConstraint("site", "ticket", name="handoff_ticket"),
    )
    op.create_index(
        "handoff_one_open",
        "handoff",
        ["site", "conversation"],
        unique=True,
        sqlite_where=sa.text("state IN ('waiting', 'human')"),
        postgresql_where=sa.text("state IN ('waiting', 'human')"),
    )
    op.create_index(
        "handoff_open",
        "handoff",
        ["site", "opened_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'human')"),
        postgresql_where=sa.text("state IN ('waiting', 'human')"),
    )


def _tickets_and_timers() -> None:
    op.create_table(
        "ticket",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "timer",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("handoff", sa.Text(), nullable=False),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "handoff", "rung"),
        sqlite_with_rowid=False,
    )
    op.create_index("timer_due", "timer", ["due_at"], unique=False)


def _lanes() -> None:
    op.create_table(
        "channel",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("desk", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("next_free_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.Column("cosmetic_free_at", sa.BigInteger(), nullable=False),
        sa.Column("new_in_a_row", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "desk", "channel"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lane",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("handoff", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("desk", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("next_k", sa.BigInteger(), nullable=False),
        sa.Column("sent_k", sa.BigInteger(), nullable=False),
        sa.Column("head_k", sa.BigInteger(), nullable=True),
        sa.Column("head_at", sa.BigInteger(), nullable=True),
        sa.Column("head_not_before", sa.BigInteger(), nullable=True),
        sa.Column("head_urgency", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=False),
        sa.Column("lease_epoch", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "handoff", "ordinal"),
        sqlite_with_rowid=False,
    )
    op.create_index("lane_conversation", "lane", ["site", "conversation"], unique=False)
    op.create_index(
        "lane_root",
        "lane",
        ["site", "desk", "root"],
        unique=False,
        sqlite_where=sa.text("root IS NOT NULL"),
        postgresql_where=sa.text("root IS NOT NULL"),
    )
    waiting = sa.text("head_at IS NOT NULL")
    leaving = ["head_urgency", "head_at", "handoff", "ordinal"]
    for name, columns in (("lane_waiting", ["desk"]), ("lane_in_channel", ["site", "desk", "channel"])):
        op.create_index(
            name, "lane", [*columns, *leaving], unique=False, sqlite_where=waiting, postgresql_where=waiting
        )


def _outs() -> None:
    op.create_table(
        "out",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("handoff", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("k", sa.BigInteger(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=True),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("looks", sa.BigInteger(), nullable=False),
        sa.Column("attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("remote", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("maybe_sent", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "handoff", "ordinal", "k"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "out_dead",
        "out",
        ["site", "queued_at"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "out_in_flight",
        "out",
        ["site", "key"],
        unique=False,
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "out_unsent",
        "out",
        ["queued_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('new', 'sending')"),
        postgresql_where=sa.text("state IN ('new', 'sending')"),
    )


def _turns() -> None:
    op.create_table(
        "stream",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("turn", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "conversation"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "turn",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("upto_n", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("handoff", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("site", "id", name="turn_id"),
    )
    op.create_index(
        "turn_live",
        "turn",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "turn_one_live",
        "turn",
        ["site", "conversation"],
        unique=True,
        sqlite_where=sa.text("state IN ('queued', 'running') AND kind <> 'rehearsal'"),
        postgresql_where=sa.text("state IN ('queued', 'running') AND kind <> 'rehearsal'"),
    )


def _between_processes() -> None:
    op.create_table(
        "file_piece",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("site", "digest")),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site", "digest", "number"),
    )
    op.create_table(
        "lease",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("site", "name", "owner")),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "desk_fact",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("site", "desk", "name", "value")),
        sa.PrimaryKeyConstraint("site", "desk", "name"),
        sqlite_with_rowid=False,
    )
