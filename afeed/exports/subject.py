"""What an export is of, and where the same can be found on the web."""

from __future__ import annotations

from datetime import date
from urllib.parse import quote, urlsplit

import attrs


@attrs.frozen(kw_only=True)
class Subject:
    """An event or one ``talk`` of it.

    ``public_url`` is the server's, without a slash at the end; ``starts`` is the event's first day.  ``name``
    and ``talk_title`` are for people, ``talk`` is the talk's id.  ``keeps_media`` says that pictures are shown
    from the server's own address.
    """

    public_url: str
    slug: str
    name: str
    starts: date
    talk: str | None = None
    talk_title: str | None = None
    keeps_media: bool = False

    @property
    def title(self) -> str:
        """What the whole is called."""
        return self.name if self.talk is None else f"{self.talk_title or self.talk} – {self.name}"

    @property
    def path(self) -> str:
        """Where its page is on this server."""
        return f"/{self.slug}" if self.talk is None else talk_path(self.slug, self.talk)

    @property
    def home(self) -> str:
        """The address of its page."""
        return self.public_url + self.path

    def permalink(self, seq: int) -> str:
        """The address of the page of the post that was first posted as ``seq``."""
        return self.public_url + item_path(self.slug, seq)

    @property
    def feed_id(self) -> str:
        """What feed readers know it by: the same for ever (RFC 4151)."""
        return self._tag("" if self.talk is None else f"/talks/{self.talk}")

    def item_id(self, item_id: str) -> str:
        """What they know one post by: the same in the feed of the event and in that of a talk."""
        return self._tag(f"/items/{quote(item_id, safe=':')}")

    def _tag(self, rest: str) -> str:
        host = urlsplit(self.public_url).hostname or "localhost"
        # An address in brackets is no authority of a tag.
        authority = host.lower() if ":" not in host else "localhost"
        return f"tag:{authority},{self.starts.isoformat()}:{self.slug}{rest}"


def talk_path(slug: str, talk: str) -> str:
    """Where the page of a talk is."""
    return f"/{slug}/talks/{quote(talk, safe='')}"


def item_path(slug: str, seq: int) -> str:
    """Where the page of one post is."""
    return f"/{slug}/items/{seq}"
