"""The tables of the archive.

``changes`` is the live log, row for row and byte for byte; the other tables can be made from it.  Times are
RFC 3339 text in UTC, which sorts as it stands.  JSON is kept as bytes: it comes from and goes to sockets, and
PostgreSQL's text could not hold everything people post.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, MetaData, Table, Text

#: Alembic's table, under a name of our own: other programs in the same database may use Alembic too.
REVISION_TABLE = "afeed_revision"

metadata = MetaData()

#: Every change as the live log stored it.  ``item_key`` is :func:`afeed.core.draft.key` of the item's id.
changes = Table(
    "changes",
    metadata,
    Column("event", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("item_key", LargeBinary),
    Column("stored", LargeBinary, nullable=False),
    Index("changes_by_item", "event", "item_key"),
)

#: The present state of every item.  ``first_seq`` is where it was first posted, ``seq`` the change that last
#: spoke of it.  ``removed_seq`` is the change that removed it: then everything people wrote is null.
items = Table(
    "items",
    metadata,
    Column("event", Text, primary_key=True),
    Column("item_key", LargeBinary, primary_key=True),
    Column("item_id", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("removed_seq", BigInteger),
    Column("version", Text),
    Column("source", Text),
    Column("handle", Text),
    Column("created_at", Text),
    Column("content", LargeBinary),
)

#: Serves pages of visible items, newest first, however far back they are.
items_visible = Index(
    "items_visible",
    items.c.event,
    items.c.first_seq,
    sqlite_where=items.c.removed_seq.is_(None),
    postgresql_where=items.c.removed_seq.is_(None),
)

#: How far the strainer has copied each event; changed only together with the rows it speaks of.
positions = Table(
    "positions",
    metadata,
    Column("event", Text, primary_key=True),
    Column("epoch", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("updated_at", Text, nullable=False),
)

#: The earlier epochs of each event and the last seq they share with the one in ``positions``.
epochs = Table(
    "epochs",
    metadata,
    Column("event", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("shared", BigInteger, nullable=False),
)

#: Ranges (inclusive) that the live log had already forgotten when the strainer came to them.
holes = Table(
    "holes",
    metadata,
    Column("event", Text, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("noticed_at", Text, nullable=False),
)

#: The outages of every source as the log last spoke of them, in the change ``seq``: no ``to_at`` while one
#: lasts, ``state`` ``open`` until what was missed has been fetched, ``closed`` then.
source_gaps = Table(
    "source_gaps",
    metadata,
    Column("event", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("from_at", Text, primary_key=True),
    Column("to_at", Text),
    Column("state", Text, nullable=False),
    Column("fetched", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

#: While a restore is under way: the SHA-256 of the backup, and whether the archive has all of it.  It is no
#: part of the schema: that it exists is what keeps everybody else out.
restore = Table(
    "afeed_restore",
    MetaData(),
    Column("backup", Text, nullable=False),
    Column("filled", Boolean, nullable=False),
)
