"""The links by which speakers open the reports of their talks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_links",
        sa.Column("key_hash", sa.LargeBinary, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("talk", sa.Text, nullable=False),
        sa.Column("made_at", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("used_at", sa.Text),
    )
    op.create_index("report_links_by_talk", "report_links", ["event", "talk"])
