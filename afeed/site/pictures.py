"""The pictures of a copy: taken from what afeed keeps, or fetched from where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore

from afeed.core.item import Item
from afeed.core.pictures import KINDS
from afeed.media.addresses import media_key, pictures, upstream
from afeed.media.fetching import Fetcher, NotNow, Unfit
from afeed.site.folder import KEPT

#: Pictures that are fetched side by side.
SIDE_BY_SIDE = 4


@attrs.define
class Gathered:
    """How many were there already, were fetched, and could not be had."""

    there: int = 0
    fetched: int = 0
    missing: int = 0


class PictureFolder:
    """Pictures by a hash of the address they came from, in the copy at ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # What somebody who was killed has left of one.
        for part in (folder / KEPT).glob("*.part"):
            part.unlink()

    def place(self, address: str) -> str | None:
        """Where the picture from ``address`` is in the copy; None where it is not."""
        source = upstream(address)
        if source is None:
            return None
        name = media_key(source).hex()
        for kind in KINDS:
            if (self._folder / KEPT / f"{name}.{kind}").exists():
                return f"{KEPT}/{name}.{kind}"
        return None

    def put(self, source: str, body: bytes, kind: str) -> None:
        """Keep a picture; it is whole as soon as it has its name."""
        folder = self._folder / KEPT
        folder.mkdir(exist_ok=True)
        path = folder / f"{media_key(source).hex()}.{kind}"
        part = path.with_suffix(".part")
        part.write_bytes(body)
        part.replace(path)


def wanted(
    items: Iterable[Item],
    folder: PictureFolder,
    kept: Callable[[str], tuple[bytes, str] | None],
    gathered: Gathered,
) -> list[str]:
    """The addresses of the pictures of ``items`` that have to be fetched; those of which ``kept(address)`` has
    content and kind are put into ``folder``."""
    missing = []
    for source in dict.fromkeys(source for item in items for source in pictures(item)):
        have = None if folder.place(source) is not None else kept(source)
        if have is not None:
            folder.put(source, *have)
        if folder.place(source) is None:
            missing.append(source)
        else:
            gathered.there += 1
    return missing


async def fetch(sources: Iterable[str], folder: PictureFolder, fetcher: Fetcher, gathered: Gathered) -> None:
    """Put the pictures from these addresses into ``folder``.  One that cannot be had stays where it is."""
    turn = DeferredSemaphore(SIDE_BY_SIDE)

    async def one(source: str) -> None:
        try:
            found = await fetcher.fetch(source)
        except (Unfit, NotNow):
            gathered.missing += 1
        else:
            folder.put(source, found.body, found.kind)
            gathered.fetched += 1

    waiting: list[Deferred[Any]] = [turn.run(one, source) for source in sources]
    await DeferredList(waiting, fireOnOneErrback=True, consumeErrors=True)
