"""Who is signed in, what they hid, whom they blocked, and what they did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "organiser_sessions",
        sa.Column("id_hash", sa.LargeBinary, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("credential", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
    )
    op.create_index("sign_in_attempts_by_age", "sign_in_attempts", ["last_at"])
    op.create_table(
        "hidden_items",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("item_key", sa.LargeBinary, primary_key=True),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("hidden_at", sa.Text, nullable=False),
        sa.Column("because", sa.Text),
        sa.Column("version", sa.Text),
        sa.Column("removed", sa.Boolean, nullable=False),
    )
    op.create_table(
        "blocked_authors",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("author_key", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("blocked_at", sa.Text, nullable=False),
    )
    op.create_table(
        "organiser_actions",
        # SQLite counts by itself only in a column that is called INTEGER.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("event", sa.Text),
        sa.Column("subject", sa.Text),
    )
