"""Which pictures an item has, and at which address of ours each is shown.  Pure.

The address is made from the one upstream, so that an item's HTML is the same before and after a picture has
been fetched."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from afeed.core.item import Item
from afeed.web.links import image_url

#: Below it a picture is found by :func:`media_key`, in hexadecimal.
BY_KEY = "/media/by/"
#: Below it a file is found by its SHA-256, in hexadecimal, a full stop and its kind.
BY_CONTENT = "/media/"

KEY_BYTES = 16


def media_key(url: str) -> bytes:
    """What a picture is known by: a hash of its address upstream, as :func:`upstream` has it."""
    return blake2b(url.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES, person=b"afeed.media").digest()


def upstream(url: str | None) -> str | None:
    """Where the picture at ``url`` is to be fetched from; None for one that is nowhere, or on this server
    already."""
    found = image_url(url)
    return None if found is None or found.startswith("/") else found


def kept_url(url: str | None) -> str | None:
    """Where a page shows the picture at ``url`` of an event whose pictures are kept."""
    found = upstream(url)
    return image_url(url) if found is None else BY_KEY + media_key(found).hex()


def shown_url(keeps: bool) -> Callable[[str | None], str | None]:
    """Where pages of an event show the picture at an address upstream, or of ours: here if it ``keeps`` its
    pictures, else there.  None for one that may not be shown."""
    return kept_url if keeps else image_url


def pictures(item: Item) -> tuple[str, ...]:
    """The addresses upstream of all that a page shows of ``item``: the author, and each photo small and large.
    Of a film only the still picture: it is played where it is."""
    shown = [item.author.avatar]
    for media in item.media:
        shown.append(media.thumb_url)
        if media.type == "photo":
            shown.append(media.url)
    return tuple(dict.fromkeys(found for url in shown if (found := upstream(url)) is not None))
