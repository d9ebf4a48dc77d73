"""Under which talk every item is, what organisers filed themselves, and how far filing everything again is."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: In an item's JSON this can be nothing but a talk that it has: within a text the quotes are escaped.
_HAS_TALK = b'"talk":"'


class _Item(msgspec.Struct):
    talk: str | None = None


def upgrade() -> None:
    op.add_column("items", sa.Column("talk", sa.Text))
    _fill(op.get_bind())
    visible = sa.text("removed_seq IS NULL")
    op.create_index(
        "items_by_talk",
        "items",
        ["event", "talk", "first_seq"],
        sqlite_where=visible,
        postgresql_where=visible,
    )
    op.create_table(
        "filings",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("item_key", sa.LargeBinary, primary_key=True),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("talk", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "refilings",
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("after_seq", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )


def _fill(connection: sa.Connection) -> None:
    """Recordings may have brought talks already; few archives have one that does."""
    items = sa.table(
        "items",
        sa.column("event", sa.Text),
        sa.column("item_key", sa.LargeBinary),
        sa.column("content", sa.LargeBinary),
        sa.column("talk", sa.Text),
    )
    pattern = sa.literal(_HAS_TALK, sa.LargeBinary)
    if connection.dialect.name == "sqlite":
        found = sa.func.instr(items.c.content, pattern) > 0
    else:  # PostgreSQL's strpos takes no bytes; this compares them
        found = sa.func.position(pattern.op("IN")(items.c.content)) > 0
    rows = connection.execute(sa.select(items.c.event, items.c.item_key, items.c.content).where(found)).all()
    for event, key, content in rows:
        try:
            talk = msgspec.json.decode(content, type=_Item).talk
        except msgspec.DecodeError:  # one that no page can show either
            continue
        here = (items.c.event == event) & (items.c.item_key == key)
        connection.execute(items.update().where(here).values(talk=talk))
