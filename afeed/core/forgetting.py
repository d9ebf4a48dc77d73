"""Authors who are forgotten: how they are known without their names, and what of an item is theirs.

What is kept of one is a keyed hash of the name under which blocking knows authors
(:func:`afeed.core.moderation.author_key`).  The key is made once and is in the archive's database: whoever has
a hash without it, from a backup, a log or the record of what was done, cannot try names until one fits; whoever
has that database can, as afeed itself does with every item that comes.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from enum import Enum

import msgspec

from afeed.core.draft import Draft, Posted
from afeed.core.errors import BadInput
from afeed.core.item import Author, Item
from afeed.core.moderation import author_key

#: Instead of a slug: at every event, also those that are yet to come.
EVERYWHERE = "*"

SECRET_BYTES, HASH_BYTES = 32, 16
#: So many names are remembered with their hashes.
_REMEMBERED = 50_000
#: Sources are called so; the rest is a handle, an address or a name.
_NAMED = re.compile(r"(?P<source>[a-z][a-z0-9_-]{0,31}):(?P<name>\S.*)\Z", re.DOTALL)
_LONGEST = 500


class Part(Enum):
    """What somebody has to do with an item: it is theirs, or somebody else's that they brought or that quotes
    them."""

    AUTHOR = "author"
    BESIDE = "beside"


def read_author(text: str) -> str:
    """The author key in what an operator types, ``x:@Ann`` or ``push:Ann Lee``; raises
    :class:`~afeed.core.errors.BadInput` for anything else."""
    match = _NAMED.match(text.strip())
    if match is None or len(text) > _LONGEST:
        raise BadInput(
            "an author is named by source and handle, such as x:@ann, or where there is no handle by source "
            "and address or name, such as push:Ann Lee"
        )
    name = match["name"]
    if not name.startswith(("https://", "http://")):
        name = " ".join(name.casefold().split())
    return f"{match['source']}:{name}"


def author_hash(secret: bytes, key: str) -> bytes:
    """What is kept of an author."""
    return hmac.digest(secret, key.encode("utf-8", "surrogatepass"), "sha256")[:HASH_BYTES]


def label(hash_: bytes) -> str:
    """How somebody who is forgotten is called where it has to be said that they were: enough of the hash to
    tell one from another."""
    return f"forgotten:{hash_[:6].hex()}"


class Forgotten:
    """Who is forgotten at which event, at hand for every draft before it is recorded."""

    def __init__(self) -> None:
        self._secret = b""
        self._everywhere: frozenset[bytes] = frozenset()
        self._at: dict[str, frozenset[bytes]] = {}
        self._hashes: dict[str, bytes] = {}

    def know(self, secret: bytes, forgotten: Iterable[tuple[str, bytes]]) -> None:
        """These are forgotten, by event (or :data:`EVERYWHERE`) and hash."""
        found: dict[str, set[bytes]] = {}
        for event, hash_ in forgotten:
            found.setdefault(event, set()).add(hash_)
        everywhere = frozenset(found.pop(EVERYWHERE, ()))
        if secret != self._secret:
            self._hashes.clear()
        self._secret, self._everywhere = secret, everywhere
        self._at = {event: everywhere | hashes for event, hashes in found.items()}

    def at(self, event: str) -> frozenset[bytes]:
        """The hashes of those who are forgotten there."""
        return self._at.get(event, self._everywhere)

    def part(self, event: str, item: Item) -> Part | None:
        """What those who are forgotten have to do with ``item``, None for nothing."""
        hashes = self.at(event)
        if not hashes:
            return None
        if self._is(item.source, item.author, hashes):
            return Part.AUTHOR
        beside = self._is(item.source, item.shared_by, hashes) or (
            item.quote is not None and self._is(item.source, item.quote.author, hashes)
        )
        return Part.BESIDE if beside else None

    def cleaned(self, event: str, item: Item) -> Item:
        """Somebody else's ``item`` without what it has of those who are forgotten: that they brought it, and
        what it quotes."""
        hashes = self.at(event)
        if self._is(item.source, item.shared_by, hashes):
            item = msgspec.structs.replace(item, shared_by=None)
        if item.quote is not None and self._is(item.source, item.quote.author, hashes):
            item = msgspec.structs.replace(item, quote=None)
        return item

    def admits(self, event: str, draft: Draft) -> bool:
        """Whether ``draft`` may be recorded, or held: nothing by somebody who is forgotten is."""
        return not isinstance(draft, Posted) or self.part(event, draft.item) is not Part.AUTHOR

    def prepare(self, event: str, draft: Draft) -> Draft:
        """``draft`` without what it has of those who are forgotten."""
        if isinstance(draft, Posted) and self.part(event, draft.item) is Part.BESIDE:
            return Posted(self.cleaned(event, draft.item), draft.version)
        return draft

    def is_author(self, event: str, key: str) -> bool:
        """Whether somebody is forgotten, by an author key."""
        return self._hash(key) in self.at(event)

    def _is(self, source: str, author: Author | None, hashes: frozenset[bytes]) -> bool:
        key = None if author is None else author_key(source, author)
        return key is not None and self._hash(key) in hashes

    def _hash(self, key: str) -> bytes:
        found = self._hashes.get(key)
        if found is None:
            if len(self._hashes) >= _REMEMBERED:
                self._hashes.clear()
            found = self._hashes[key] = author_hash(self._secret, key)
        return found
