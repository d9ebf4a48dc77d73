"""CSV (RFC 4180), for spreadsheets."""

from __future__ import annotations

import csv
import io

from afeed.core.item import Author
from afeed.exports.subject import Subject
from afeed.interfaces import PageItem

COLUMNS = (
    "id",
    "created_at",
    "source",
    "kind",
    "author",
    "handle",
    "author_url",
    "text",
    "lang",
    "url",
    "permalink",
    "talk",
    "reply_to",
    "shared_by",
    "quotes",
    "photos",
    "sensitive",
)

#: With these a spreadsheet takes a cell for a formula, which may run programs and send the sheet away (OWASP,
#: CSV Injection); the last four are their full-width forms, which some programs take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def guarded(cell: str) -> str:
    """``cell`` with an apostrophe in front where a spreadsheet would calculate with it: it shows the rest as
    text."""
    return f"'{cell}" if cell.startswith(_FORMULA) or cell.lstrip().startswith(_FORMULA) else cell


class Sheet:
    """Writes one row for each item, below a row of names.

    UTF-8 with the mark in front by which Excel tells; lines end with CR and LF.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def begin(self) -> bytes:
        return b"\xef\xbb\xbf" + _row(COLUMNS)

    def item(self, found: PageItem) -> bytes:
        """A row.  Several addresses are separated by spaces."""
        item = found.item
        return _row(
            (
                item.id,
                item.created_at,
                item.source,
                item.kind,
                item.author.name,
                item.author.handle or "",
                item.author.url or "",
                item.text,
                item.lang or "",
                item.url or "",
                self._subject.permalink(found.seq),
                item.talk or "",
                item.reply_to or "",
                "" if item.shared_by is None else _named(item.shared_by),
                "" if item.quote is None else item.quote.url or item.quote.text,
                " ".join(medium.url for medium in item.media),
                "yes" if item.sensitive else "",
            )
        )

    def end(self) -> bytes:
        return b""


def _row(cells: tuple[str, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([guarded(cell) for cell in cells])
    return line.getvalue().encode("utf-8", "replace")


def _named(author: Author) -> str:
    return f"{author.name} ({author.handle})" if author.handle else author.name
