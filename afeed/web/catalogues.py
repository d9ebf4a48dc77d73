"""``python -m afeed.web.catalogues`` brings ``locale/*.po`` up to date with the templates and the code.

New messages come untranslated, those that nobody uses any more go; translations stay.  ``NAME`` as an argument
begins the catalogue of another language (``python -m afeed.web.catalogues nl``)."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel import Locale
from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).parent
LOCALE = WEB / "locale"

#: What may hold words, and what reads them.
_SOURCES = (("*.py", "python"), ("templates/*.html", "jinja2.ext:babel_extract"))
_OPTIONS = {"newstyle_gettext": "true", "trimmed": "true", "trim_blocks": "true", "silent": "false"}
#: Lines of the head that say nothing but when and by whom, which the history of the file knows better.
_IDLE = (
    b"Project-Id-",
    b"Report-Msgid-",
    b"POT-Creation-",
    b"PO-Revision-",
    b"Last-Translator",
    b"Language-Team",
    b"Generated-By",
)
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}


def template() -> Catalog:
    """Every message of the pages, untranslated."""
    found = Catalog(project="afeed", fuzzy=False)
    for path, method in _files():
        with path.open("rb") as source:
            for _, message, comments, context in extract(
                method,
                source,
                keywords=_KEYWORDS,
                comment_tags=("L10N:",),
                options=_OPTIONS,
                strip_comment_tags=True,
            ):
                found.add(message, auto_comments=comments, context=context)
    return found


def updated(name: str, written: bytes) -> bytes:
    """The catalogue ``written`` of the language ``name``, with exactly the messages of today."""
    present = read_po(io.BytesIO(written), locale=name)
    present.update(template(), no_fuzzy_matching=True, update_creation_date=False)
    present.fuzzy = False
    present.header_comment = f"# afeed's pages in {Locale.parse(name).english_name}."
    lines = io.BytesIO()
    write_po(lines, present, width=110, sort_output=True, ignore_obsolete=True, no_location=True)
    return b"".join(line for line in lines.getvalue().splitlines(True) if not line[1:].startswith(_IDLE))


def _files() -> Iterator[tuple[Path, str]]:
    for pattern, method in _SOURCES:
        for path in sorted(WEB.glob(pattern)):
            yield path, method


def main(names: Sequence[str]) -> None:
    """Update all catalogues, and begin those of ``names`` that are missing."""
    for path in sorted({*LOCALE.glob("*.po"), *(LOCALE / f"{name}.po" for name in names)}):
        path.write_bytes(updated(path.stem, path.read_bytes() if path.exists() else b""))


if __name__ == "__main__":
    main(sys.argv[1:])
