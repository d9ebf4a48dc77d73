"""Finding the file of a picture that a page shows, for those who ask for it by the thousand.

Files that this node does not have, because another one fetched them, it fetches for itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, BinaryIO

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from afeed.archive.media import MediaTable
from afeed.core.errors import ArchiveUnavailable
from afeed.media.fetching import Fetcher, NotNow, Unfit
from afeed.media.store import Kept, MediaStore

#: For so long an answer of the database is good, in seconds; what is removed is shown no longer than that.
FRESH_S = 2.0
#: So many answers are remembered, and are used for longer while the database is away.
REMEMBERED = 4096
#: Questions that come within so many seconds are asked together.
TOGETHER_S = 0.005
#: So many files are fetched for this node at once, and none again within so many seconds after a fault.
LACKING_AT_ONCE, LACKING_RETRY_S = 4, 60.0

_log = Logger()


@attrs.frozen
class _Answer:
    at: float
    url: str
    kept: Kept | None


class Shelf:
    """Finds files.  ``in_thread(function, *arguments)`` does what blocks."""

    def __init__(
        self,
        table: MediaTable,
        store: MediaStore,
        fetcher: Fetcher,
        clock: IReactorTime,
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._table = table
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._in_thread = in_thread
        self._known: OrderedDict[bytes, _Answer | None] = OrderedDict()
        self._asked: dict[bytes, float] = {}
        self._waiting: dict[bytes, list[Deferred[None]]] = {}
        self._lacking: dict[bytes, float] = {}
        self._bringing = 0

    async def by_key(self, media_key: bytes) -> tuple[Kept, BinaryIO] | None:
        """The file of a picture, open; None for one that is not here (yet).  Raises
        :class:`~afeed.core.errors.ArchiveUnavailable` where that is not known."""
        answer = await self._find(media_key)
        if answer is None or answer.kept is None:
            return None
        found = await self.by_content(answer.kept.sha256, answer.kept.kind)
        if found is None:
            self._bring(media_key, answer.url, answer.kept)
        return found

    async def by_content(self, sha: bytes, kind: str) -> tuple[Kept, BinaryIO] | None:
        """A file, open; None where it is not here."""
        found: tuple[Kept, BinaryIO] | None = await self._in_thread(self._open, sha, kind)
        return found

    def _open(self, sha: bytes, kind: str) -> tuple[Kept, BinaryIO] | None:
        try:
            file = self._store.open(sha, kind)
        except FileNotFoundError:
            return None
        return Kept(sha, kind, file.seek(0, 2)), file

    # -- what the database knows

    async def _find(self, media_key: bytes) -> _Answer | None:
        now = self._clock.seconds()
        if media_key in self._known and now - self._asked[media_key] < FRESH_S:
            return self._known[media_key]
        asked: Deferred[None] = Deferred()
        waiting = self._waiting.setdefault(media_key, [])
        waiting.append(asked)
        if len(self._waiting) == 1 and len(waiting) == 1:
            self._clock.callLater(TOGETHER_S, self._ask)
        try:
            await asked
        except ArchiveUnavailable:
            if self._known.get(media_key) is None:
                raise
        return self._known.get(media_key)

    def _ask(self) -> None:
        waiting, self._waiting = self._waiting, {}
        finding = self._table.find(list(waiting))

        def found(answers: dict[bytes, tuple[str, Kept | None]]) -> None:
            now = self._clock.seconds()
            for media_key in waiting:
                answer = answers.get(media_key)
                self._known[media_key] = None if answer is None else _Answer(now, *answer)
                self._known.move_to_end(media_key)
                self._asked[media_key] = now
            while len(self._known) > REMEMBERED:
                oldest, _ = self._known.popitem(last=False)
                del self._asked[oldest]

        def tell(result: Any) -> None:
            for deferreds in waiting.values():
                for deferred in deferreds:
                    if not deferred.called:
                        deferred.callback(result)

        finding.addCallback(found).addBoth(tell)

    # -- what other nodes have

    def _bring(self, media_key: bytes, url: str, kept: Kept) -> None:
        """Fetch for this node what another one keeps, unless that was tried a moment ago."""
        now = self._clock.seconds()
        if self._bringing >= LACKING_AT_ONCE or self._lacking.get(media_key, 0.0) > now:
            return
        if len(self._lacking) >= REMEMBERED:
            self._lacking.clear()
        self._lacking[media_key] = now + LACKING_RETRY_S
        self._bringing += 1
        Deferred.fromCoroutine(self._brought(url, kept)).addBoth(self._ended)

    async def _brought(self, url: str, kept: Kept) -> None:
        try:
            picture = await self._fetcher.fetch(url)
            # What is another picture by now is not what everybody else is shown.
            if await self._in_thread(_is, kept, picture.body):
                await self._in_thread(self._store.put, picture.body, picture.kind)
        except (Unfit, NotNow, OSError) as error:
            _log.debug("A picture that another node has could not be fetched: {why}", why=str(error))
        except Exception:  # nobody waits for it, so nobody else would tell
            _log.failure("A picture that another node has could not be fetched, which is a defect of afeed")

    def _ended(self, result: object) -> None:
        self._bringing -= 1


def _is(kept: Kept, body: bytes) -> bool:
    return sha256(body).digest() == kept.sha256
