"""The tables of the archive.

``changes`` is the live log, row for row and byte for byte; the tables from ``items`` to ``source_gaps`` can be
made from it, and those of the organisers stand for themselves.  Times are
RFC 3339 text in UTC, which sorts as it stands.  JSON is kept as bytes: it comes from and goes to sockets, and
PostgreSQL's text could not hold everything people post.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

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
#: spoke of it.  ``removed_seq`` is the change that removed it: then everything people wrote is null.  ``talk``
#: is the talk it is filed under by now; the one within ``content`` is that of its last posting or edit.
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
    Column("talk", Text),
)

#: Serves the pages of one talk, and of what is filed under none.
items_by_talk = Index(
    "items_by_talk",
    items.c.event,
    items.c.talk,
    items.c.first_seq,
    sqlite_where=items.c.removed_seq.is_(None),
    postgresql_where=items.c.removed_seq.is_(None),
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

#: Who is signed in.  ``id_hash`` is the SHA-256 of what the browser has, which is kept nowhere; ``credential``
#: a fingerprint of the account's password hash, so that a new password ends what began with the old one.  Times
#: are seconds since 1970.  One that has expired stays for a while, to know the browser by.
organiser_sessions = Table(
    "organiser_sessions",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    Column("account", Text, nullable=False),
    Column("credential", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
)

#: How often signing in has failed of late, and from when on the next attempt is looked at.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Index("sign_in_attempts_by_age", "last_at"),
)

#: What organisers hid: the only place that still has its content.  ``because`` is the blocked author whose item
#: it is, else null; ``version`` is null until it is being posted again; ``removed`` says whether the log was
#: told.
hidden_items = Table(
    "hidden_items",
    metadata,
    Column("event", Text, primary_key=True),
    Column("item_key", LargeBinary, primary_key=True),
    Column("item_id", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("hidden_at", Text, nullable=False),
    Column("because", Text),
    Column("version", Text),
    Column("removed", Boolean, nullable=False),
)

#: Authors whose items are not shown.  ``author_key`` is :func:`afeed.core.moderation.author_key`.
blocked_authors = Table(
    "blocked_authors",
    metadata,
    Column("event", Text, primary_key=True),
    Column("author_key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("blocked_at", Text, nullable=False),
)

#: What organisers keep from the screen where they changed it: ``settings`` is the JSON of
#: :class:`afeed.core.filters.Filters`.  No row: what the configuration says applies.
event_filters = Table(
    "event_filters",
    metadata,
    Column("event", Text, primary_key=True),
    Column("settings", LargeBinary, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("account", Text, nullable=False),
)

#: What organisers did: never changed, only added to.
organiser_actions = Table(
    "organiser_actions",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("event", Text),
    Column("subject", Text),
)

#: The links by which speakers open the reports of their talks.  ``key_hash`` is the SHA-256 of the key in the
#: link, which is kept nowhere; ``used_at`` is the day on which it last opened one.
report_links = Table(
    "report_links",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("event", Text, nullable=False),
    Column("talk", Text, nullable=False),
    Column("made_at", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("used_at", Text),
    Index("report_links_by_talk", "event", "talk"),
)

#: Pictures that are kept, or are to be, by :func:`afeed.media.addresses.media_key` of their address upstream.
#: ``state`` is ``waiting``, ``kept`` or ``failed``; times are seconds since 1970, ``next_at`` that of the next
#: attempt.  ``sha256``, ``kind`` (``jpg`` ...) and ``bytes`` are those of the file.
media = Table(
    "media",
    metadata,
    Column("media_key", LargeBinary, primary_key=True),
    Column("url", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("sha256", LargeBinary),
    Column("kind", Text),
    Column("bytes", BigInteger),
    Column("error", Text),
    Index("media_by_turn", "state", "next_at"),
    Index("media_by_content", "sha256"),
)

#: Which item shows which picture: what nothing shows any more is let go.
media_uses = Table(
    "media_uses",
    metadata,
    Column("event", Text, primary_key=True),
    Column("item_key", LargeBinary, primary_key=True),
    Column("media_key", LargeBinary, primary_key=True),
    Index("media_uses_by_media", "media_key"),
)

#: Up to which change of each event the pictures are known.
media_positions = Table(
    "media_positions",
    metadata,
    Column("event", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

#: Files that every node deletes.
media_gone = Table(
    "media_gone",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

#: One row: the key with which authors who are forgotten are hashed.
forgetting_secret = Table(
    "forgetting_secret",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("secret", LargeBinary, nullable=False),
)

#: Authors of whom nothing is taken any more: ``author_hash`` is :func:`afeed.core.forgetting.author_hash`,
#: ``event`` a slug, or ``*`` for all.
forgotten_authors = Table(
    "forgotten_authors",
    metadata,
    Column("event", Text, primary_key=True),
    Column("author_hash", LargeBinary, primary_key=True),
    Column("at", Text, nullable=False),
)

#: What was asked for and how far it is: ``state`` is ``waiting``, ``working`` or ``done``; ``beat_at`` is when
#: somebody last worked on it, in seconds since 1970; the numbers count changes that were looked at, items that
#: were removed, and items of others from which the author was taken out.
forget_requests = Table(
    "forget_requests",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event", Text, nullable=False),
    Column("author_hash", LargeBinary, nullable=False),
    Column("asked_at", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("beat_at", BigInteger, nullable=False),
    Column("done_at", Text),
    Column("looked_at", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),
    Column("cleaned", BigInteger, nullable=False),
    Column("detail", Text),
    Index("forget_requests_by_state", "state"),
)

#: Items that an organiser filed: they stay under ``talk`` (none for null), whatever filing again would find.
#: ``number`` grows with each of these decisions.
filings = Table(
    "filings",
    metadata,
    Column("event", Text, primary_key=True),
    Column("item_key", LargeBinary, primary_key=True),
    Column("item_id", Text, nullable=False),
    Column("talk", Text),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("number", BigInteger, nullable=False, unique=True),
)

#: How far filing every item of an event again has come.  ``asked`` counts how often organisers asked for it;
#: ``wanted`` says by which schedule and weights, and for which time of asking, the ``run`` is; ``after_seq`` is
#: the first_seq up to which it is done, ``seen`` items and ``changed`` filings so far.
refilings = Table(
    "refilings",
    metadata,
    Column("event", Text, primary_key=True),
    Column("asked", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("after_seq", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("updated_at", Text, nullable=False),
)

#: What is searched: the number of an event in the index, and by which zone and scheme of words
#: (:data:`afeed.core.search.words.SCHEME`) its items are indexed.  ``upto`` is the first_seq up to which they
#: are while older ones still have to be, null once all are.
search_events = Table(
    "search_events",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event", Text, nullable=False, unique=True),
    Column("zone", Text, nullable=False),
    Column("scheme", BigInteger, nullable=False),
    Column("upto", BigInteger),
)

#: How many visible items there are of each value of each facet (:mod:`afeed.core.search.facets`), with what
#: people read for it where that is not the value itself.
tallies = Table(
    "tallies",
    metadata,
    Column("event", Text, primary_key=True),
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("shown", BigInteger, nullable=False),
    Column("label", Text),
    Index("tallies_by_size", "event", "facet", "shown"),
)

#: The index of words, which is made by hand: a virtual table in SQLite, and in PostgreSQL one with a type of
#: column that SQLite does not have.
SEARCH_TABLE = "search"

#: While a restore is under way: the SHA-256 of the backup, and whether the archive has all of it.  It is no
#: part of the schema: that it exists is what keeps everybody else out.
restore = Table(
    "afeed_restore",
    MetaData(),
    Column("backup", Text, nullable=False),
    Column("filled", Boolean, nullable=False),
)
