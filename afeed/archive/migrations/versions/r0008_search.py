"""What items are found by, and how many there are of each talk, day, hour, author, source and kind.

Nothing is filled in here: that is done while afeed runs (:mod:`afeed.archive.indexing`), so that a large
archive starts as quickly as ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: ``afeed.archive.search_index`` says why they are as they are.
_WORDS = {
    "sqlite": (
        "CREATE VIRTUAL TABLE search USING fts5(words, content='', columnsize=0, "
        "tokenize=\"ascii tokenchars '#@_.~-'\")",
    ),
    "postgresql": (
        "CREATE TABLE search (place BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
        "ALTER TABLE search ALTER COLUMN words SET STATISTICS 0",
        "CREATE INDEX search_words ON search USING gin (words) WITH (gin_pending_list_limit = 1024)",
    ),
}


def upgrade() -> None:
    op.create_table(
        "search_events",
        # SQLite counts by itself only in a column that is called INTEGER.
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("event", sa.Text, nullable=False, unique=True),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("scheme", sa.BigInteger, nullable=False),
        sa.Column("upto", sa.BigInteger),
    )
    op.create_table(
        "tallies",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("facet", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("shown", sa.BigInteger, nullable=False),
        sa.Column("label", sa.Text),
    )
    op.create_index("tallies_by_size", "tallies", ["event", "facet", "shown"])
    connection = op.get_bind()
    for statement in _WORDS[connection.dialect.name]:
        connection.execute(sa.text(statement))
