"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
    # Migrations only add. From which revision on may code work on this one?
    op.execute(sa.text("INSERT INTO schema_info VALUES (${repr(up_revision)}, ${repr(down_revision)})"))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM schema_info WHERE revision = ${repr(up_revision)}"))
    ${downgrades if downgrades else "pass"}
