"""The index of words: FTS5 in SQLite, a GIN index over ``tsvector`` in PostgreSQL, behind one face.

A *place* is where an item is in the index: the number of its event and its ``first_seq``, so that places of an
event are a range in the order in which items came.  Neither index knows any language: words come folded
(:mod:`afeed.core.search.words`), facets are words like others (:mod:`afeed.core.search.facets`), and the newest
are found first, which is what both can do quickly.

SQLite's table is contentless: it holds no text, so that the archive does not double, but it has to be told
exactly what it was given when something is taken out again.  What was taken out may still stand in its older
segments, as words without order, until :meth:`SearchIndex.tidy` has merged them.  PostgreSQL's GIN index cannot
give the newest first, and sorting half a million places takes too long; so each item also has the word of its
block of places, and blocks are looked through from the newest on, ever more of them at a time.  What is not
found soon is mostly rare: then a few thousand places of all blocks are sorted after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any, Protocol

import attrs
from sqlalchemy import Connection, text

from afeed.core.search.facets import ALL
from afeed.core.search.wish import Term, Wish

#: Bits of a place that are the ``first_seq``.
SEQ_BITS = 41
#: Bits of it that tell apart the places of a block.
BLOCK_BITS = 13
#: How many blocks are looked through at once: at first (the last one may have hardly any place), then, and from
#: then on.
WIDTHS = (2, 16, 64)
#: After so many of these, what the rest has is sorted if it is no more than ``FEW``.
PATIENCE, FEW = 1, 4000

#: Rows of one statement.
_ROWS = 50
#: Pages that are merged in one go: some milliseconds.
_MERGE_PAGES = 200


def place(number: int, first_seq: int) -> int:
    """Where an item of the event ``number`` is."""
    return number << SEQ_BITS | first_seq


def seq_of(found: int) -> int:
    """The ``first_seq`` at a place."""
    return found & ((1 << SEQ_BITS) - 1)


@attrs.frozen
class Match:
    """What is looked for: ``wish``, and of each of the groups in ``facets`` at least one word."""

    wish: Wish = attrs.field(factory=Wish)
    facets: tuple[tuple[str, ...], ...] = ()


class Rows(Protocol):
    """What finding needs of a transaction."""

    async def rows(self, statement: Any, parameters: Any = None) -> list[Any]:
        """Execute; all rows it gives, as tuples."""
        ...


Entry = tuple[int, Sequence[str]]


class SearchIndex(Protocol):
    """An index.  What writes blocks."""

    def add(self, connection: Connection, entries: Iterable[Entry]) -> None:
        """Put items in, each with its place and words."""
        ...

    def take_out(self, connection: Connection, entries: Iterable[Entry]) -> None:
        """Take items out, each with the very words it was put in with."""
        ...

    def clear(self, connection: Connection) -> None:
        """Empty it."""
        ...

    def tidy(self, connection: Connection) -> bool:
        """Do some of the work after which nothing is left of what was taken out; whether there is more."""
        ...

    async def find(self, sql: Rows, match: Match, low: int, high: int, limit: int) -> list[int]:
        """The last ``limit`` places between ``low`` and ``high``, both exclusive, the last first."""
        ...


def _portions(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    portion: list[Entry] = []
    for entry in entries:
        portion.append(entry)
        if len(portion) == _ROWS:
            yield portion
            portion = []
    if portion:
        yield portion


class SqliteIndex:
    """FTS5."""

    def add(self, connection: Connection, entries: Iterable[Entry]) -> None:
        for portion in _portions(entries):
            rows = ", ".join(["(?, ?)"] * len(portion))
            values = tuple(part for where, words in portion for part in (where, " ".join(words)))
            connection.exec_driver_sql(f"INSERT INTO search (rowid, words) VALUES {rows}", values)  # noqa: S608

    def take_out(self, connection: Connection, entries: Iterable[Entry]) -> None:
        for portion in _portions(entries):
            rows = ", ".join(["('delete', ?, ?)"] * len(portion))
            values = tuple(part for where, words in portion for part in (where, " ".join(words)))
            statement = f"INSERT INTO search (search, rowid, words) VALUES {rows}"  # noqa: S608
            connection.exec_driver_sql(statement, values)

    def clear(self, connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO search (search) VALUES ('delete-all')")

    def tidy(self, connection: Connection) -> bool:
        count = "SELECT total_changes()"
        before = connection.exec_driver_sql(count).scalar_one()
        # A negative number begins by putting all segments on one level (sqlite.org/fts5.html, "merge").
        connection.exec_driver_sql("INSERT INTO search (search, rank) VALUES ('merge', ?)", (-_MERGE_PAGES,))
        # The documentation's own test for whether there was anything to do.
        return bool(connection.exec_driver_sql(count).scalar_one() - before >= 2)

    async def find(self, sql: Rows, match: Match, low: int, high: int, limit: int) -> list[int]:
        statement = text(
            "SELECT rowid FROM search WHERE search MATCH :match AND rowid > :low AND rowid < :high "
            "ORDER BY rowid DESC LIMIT :limit"
        )
        parameters = {"match": fts5(match), "low": low, "high": high, "limit": limit}
        return [found for (found,) in await sql.rows(statement, parameters)]


def fts5(match: Match) -> str:
    """``match`` in FTS5's words.  Everything is quoted, so that nothing in it is an operator."""
    parts = ["(" + " OR ".join(f'"{word}"' for word in group) + ")" for group in match.facets]
    parts += [_fts5_term(term) for term in match.wish.wanted]
    found = " AND ".join(parts or [f'"{ALL}"'])
    for term in match.wish.unwanted:
        found = f"({found}) NOT {_fts5_term(term)}"
    return found


def _fts5_term(term: Term) -> str:
    return '"' + " ".join(word.replace('"', '""') for word in term.words) + '"' + (" *" if term.open else "")


class PostgresIndex:
    """GIN over ``tsvector``."""

    def add(self, connection: Connection, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        # Two arrays, because the driver reads a statement with many parameters slowly.
        connection.exec_driver_sql(
            "INSERT INTO search (place, words) "
            "SELECT place, words::tsvector FROM unnest(%s::bigint[], %s::text[]) AS new (place, words) "
            "ON CONFLICT (place) DO UPDATE SET words = excluded.words",
            ([where for where, _ in entries], [tsvector(where, words) for where, words in entries]),
        )

    def take_out(self, connection: Connection, entries: Iterable[Entry]) -> None:
        places = [where for where, _ in entries]
        if places:
            connection.exec_driver_sql("DELETE FROM search WHERE place = ANY(%s)", (places,))

    def clear(self, connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM search")

    def tidy(self, connection: Connection) -> bool:
        return False  # vacuum does it

    async def find(self, sql: Rows, match: Match, low: int, high: int, limit: int) -> list[int]:
        wanted = tsquery(match)
        found: list[int] = []
        first, last = low >> BLOCK_BITS, (high - 1) >> BLOCK_BITS
        for number, width in enumerate(chain(WIDTHS, repeat(WIDTHS[-1]))):
            if last < first or len(found) >= limit:
                break
            if number == PATIENCE:
                parameters = {"match": wanted, "low": low, "high": min(high, last + 1 << BLOCK_BITS)}
                more = {"few": FEW + 1, "limit": limit - len(found)}
                rows = await sql.rows(_RARE, parameters | more)
                if not rows or rows[0][1] <= FEW:
                    found += [one for one, _ in rows]
                    break
            blocks = range(max(first, last - width + 1), last + 1)
            named = " | ".join(f"'{_block(number)}'" for number in blocks)
            parameters = {"match": f"({named}) & {wanted}", "low": low, "high": high}
            found += [one for (one,) in await sql.rows(_NEWEST, parameters | {"limit": limit - len(found)})]
            last -= width
        return found


# The conditions on the place are no use to an index: the planner, which cannot know how words and places go
# together, would now and then walk through all of them.
_PLACES = (
    "SELECT place FROM search WHERE words @@ CAST(:match AS tsquery) AND place + 0 < :high AND place + 0 > :low"
)
_NEWEST = text(f"{_PLACES} ORDER BY place + 0 DESC LIMIT :limit")
# What is materialised is planned as if all of it were wanted, that is by the index, and made as it is read.
_RARE = text(
    f"WITH found AS MATERIALIZED ({_PLACES}) SELECT place, count(*) OVER () "  # noqa: S608
    "FROM (SELECT place FROM found LIMIT :few) AS rest ORDER BY place DESC LIMIT :limit"
)


def _block(number: int) -> str:
    return f"{ALL}b{number:x}"


def tsvector(where: int, words: Sequence[str]) -> str:
    """The words of one item, as PostgreSQL reads them: those of the text with their positions, which only
    phrases need, the others without."""
    positions: dict[str, list[int]] = {_block(where >> BLOCK_BITS): []}
    for number, word in enumerate(words, 1):
        known = positions.setdefault(word, [])
        if word[0] != ALL:
            known.append(number)
    return " ".join(
        f"'{_escaped(word)}'" + (":" + ",".join(map(str, known)) if known else "")
        for word, known in positions.items()
    )


def tsquery(match: Match) -> str:
    """``match`` in PostgreSQL's words."""
    parts = ["(" + " | ".join(f"'{_escaped(word)}'" for word in group) + ")" for group in match.facets]
    parts += [_tsquery_term(term) for term in match.wish.wanted]
    parts = parts or [f"'{ALL}'"]
    parts += [f"!{_tsquery_term(term)}" for term in match.wish.unwanted]
    return " & ".join(parts)


def _tsquery_term(term: Term) -> str:
    *others, last = (f"'{_escaped(word)}'" for word in term.words)
    return "(" + " <-> ".join([*others, last + (":*" if term.open else "")]) + ")"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("'", "''")
