"""An index for forgetting the source ids of long ago."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("inbox_at", "inbox", ["at"], unique=False)
    # Processes that know only the revision before may go on working on this one.
    op.execute(sa.text("INSERT INTO schema_info VALUES ('0002', '0001')"))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM schema_info WHERE revision = '0002'"))
    op.drop_index("inbox_at", "inbox")
