"""The log of every event, the present state of its items, and how far both have come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("item_key", sa.LargeBinary),
        sa.Column("stored", sa.LargeBinary, nullable=False),
    )
    op.create_index("changes_by_item", "changes", ["event", "item_key"])
    op.create_table(
        "items",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("item_key", sa.LargeBinary, primary_key=True),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("removed_seq", sa.BigInteger),
        sa.Column("version", sa.Text),
        sa.Column("source", sa.Text),
        sa.Column("handle", sa.Text),
        sa.Column("created_at", sa.Text),
        sa.Column("content", sa.LargeBinary),
    )
    visible = sa.text("removed_seq IS NULL")
    op.create_index(
        "items_visible", "items", ["event", "first_seq"], sqlite_where=visible, postgresql_where=visible
    )
    op.create_table(
        "positions",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )
    op.create_table(
        "epochs",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Text, primary_key=True),
        sa.Column("shared", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "holes",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("noticed_at", sa.Text, nullable=False),
    )
