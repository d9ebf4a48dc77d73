"""Pictures that are kept, and authors who are forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("media_key", sa.LargeBinary, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("noted_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary),
        sa.Column("kind", sa.Text),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("error", sa.Text),
    )
    op.create_index("media_by_turn", "media", ["state", "next_at"])
    op.create_index("media_by_content", "media", ["sha256"])
    op.create_table(
        "media_uses",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("item_key", sa.LargeBinary, primary_key=True),
        sa.Column("media_key", sa.LargeBinary, primary_key=True),
    )
    op.create_index("media_uses_by_media", "media_uses", ["media_key"])
    op.create_table(
        "media_positions",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "media_gone",
        # SQLite counts by itself only in a column that is called INTEGER.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "forgetting_secret",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "forgotten_authors",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("author_hash", sa.LargeBinary, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "forget_requests",
        # SQLite counts by itself only in a column that is called INTEGER.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("author_hash", sa.LargeBinary, nullable=False),
        sa.Column("asked_at", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("beat_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.Text),
        sa.Column("looked_at", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.BigInteger, nullable=False),
        sa.Column("cleaned", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text),
    )
    op.create_index("forget_requests_by_state", "forget_requests", ["state"])
