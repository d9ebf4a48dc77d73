"""Where the pages of the live site are in the copy.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from afeed.web.pages import Reader

_TALK = re.compile(r"/[^/]+/talks/([^/]+)\Z")
_ITEM = re.compile(r"/[^/]+/items/(\d+)\Z")


def talk_file(talk: str, page: int = 1) -> str:
    """A talk's page, the first having its newest posts.  No id has an underscore: ``intro-2`` may be another
    talk."""
    return f"talks/{talk}.html" if page == 1 else f"talks/{talk}_{page}.html"


def talk_report_file(talk: str) -> str:
    """A talk's report."""
    return f"reports/{talk}.html"


def day_file(day: str, page: int = 1) -> str:
    """A day of the archive, the first page having its earliest posts."""
    return f"days/{day}.html" if page == 1 else f"days/{day}-{page}.html"


@attrs.frozen
class SiteReader(Reader):
    """Who reads a page of the copy: ``file`` is where it is, so that all addresses are relative to it.
    ``item`` gives the file of the page on which the item of some seq stands; ``older`` is the next page of a
    talk."""

    file: str = "index.html"
    item: Callable[[int], str | None] = lambda seq: None
    older: str | None = None

    def address(self, path: str, **query: object) -> str:
        """The file in which what is at ``path`` of the live site can be found."""
        return self.to(self._file(path, query))

    def to(self, file: str) -> str:
        """``file`` as it is written in this page."""
        return "../" * self.file.count("/") + file

    def _file(self, path: str, query: dict[str, object]) -> str:
        if found := _TALK.match(path):
            return self.older if "before" in query and self.older is not None else talk_file(found[1])
        if found := _ITEM.match(path):
            seq = int(found[1])
            page = self.item(seq)
            return "index.html" if page is None else f"{page}#post-{seq}"
        if path.endswith("/schedule"):
            return "schedule.html"
        if path.endswith("/archive"):
            return "archive.html"
        return "index.html"
