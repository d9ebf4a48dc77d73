"""Which pictures are kept, which are to be fetched, and what shows them, in the archive's database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, exists, func, select, update
from twisted.internet.defer import Deferred

from afeed.archive.engine import Transaction
from afeed.archive.store import SqlArchive
from afeed.archive.tables import media, media_gone, media_positions, media_uses
from afeed.media.addresses import media_key
from afeed.media.store import Kept

WAITING, KEPT, FAILED = "waiting", "kept", "failed"

#: The longest reason that is remembered, in characters.
_LONGEST_ERROR = 300
#: As many keys as one statement names.
_MANY = 500


class Wanted(NamedTuple):
    """A picture whose turn it is: ``attempts`` counts those that failed, ``since`` is when it was first wanted,
    in seconds since 1970."""

    key: bytes
    url: str
    attempts: int
    since: int


class Standing(NamedTuple):
    """How many there are in which state, since when the oldest waits (seconds since 1970, None for none), and
    how many bytes the files have."""

    waiting: int
    kept: int
    failed: int
    oldest: int | None
    size: int


class Gone(NamedTuple):
    """A file that nothing shows any more; ``number`` grows."""

    number: int
    sha256: bytes
    kind: str


class MediaTable:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; then nothing was changed.
    Times are seconds since 1970."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive

    def position(self, event: str) -> Deferred[int | None]:
        """Fires with the change up to which the pictures of ``event`` are known, None for one whose pictures
        were never looked at."""
        statement = select(media_positions.c.seq).where(media_positions.c.event == event)

        async def work(sql: Transaction) -> int | None:
            found = await sql.rows(statement)
            return int(found[0][0]) if found else None

        return self._archive.read_with(work)

    def note(
        self,
        event: str,
        after: int | None,
        upto: int,
        shown: Mapping[bytes, Sequence[str]],
        now: float,
    ) -> Deferred[bool]:
        """What the changes above ``after`` (None: the first ever) up to ``upto`` leave: the addresses of the
        pictures that each item, by its key, shows now; none for one that is gone.  Fires with False, and
        nothing was changed, when somebody else has been there since."""
        insert = self._archive.insert

        def work(connection: Connection) -> bool:
            if not _advance(connection, insert, event, after, upto):
                return False
            before = _shown_by(connection, event, list(shown))
            new: dict[bytes, str] = {}
            uses = []
            for item_key, urls in shown.items():
                for url in urls:
                    key = media_key(url)
                    new[key] = url
                    uses.append({"event": event, "item_key": item_key, "media_key": key})
            if new:
                rows = [_row(key, url, now) for key, url in new.items()]
                connection.execute(insert(media).on_conflict_do_nothing(index_elements=["media_key"]), rows)
                index = ["event", "item_key", "media_key"]
                connection.execute(insert(media_uses).on_conflict_do_nothing(index_elements=index), uses)
            wanted = {(use["item_key"], use["media_key"]) for use in uses}
            ended = [use for use in before if use not in wanted]
            for item_key, key in ended:
                here = (media_uses.c.event == event) & (media_uses.c.item_key == item_key)
                connection.execute(delete(media_uses).where(here & (media_uses.c.media_key == key)))
            _release(connection, {key for _, key in ended}, now)
            return True

        async def visit(sql: Transaction) -> bool:
            done.append(await sql.at_once(work))
            return True

        done: list[bool] = []
        # Addresses upstream name people: they are not to stay in the database's files either.
        return self._archive.erase_with(visit).addCallback(lambda _: done[-1])

    def due(self, now: float, limit: int, besides: Sequence[bytes] = ()) -> Deferred[list[Wanted]]:
        """Fires with pictures whose turn it is, ``besides`` those that are under way: first what came last, for
        people look at that."""
        columns = (media.c.media_key, media.c.url, media.c.attempts, media.c.noted_at)
        turn = (media.c.state == WAITING) & (media.c.next_at <= int(now)) & media.c.media_key.not_in(besides)
        statement = select(*columns).where(turn).order_by(media.c.next_at.desc()).limit(limit)

        async def work(sql: Transaction) -> list[Wanted]:
            return [Wanted(*row) for row in await sql.rows(statement)]

        return self._archive.read_with(work)

    def keep(self, key: bytes, kept: Kept, now: float) -> Deferred[bool]:
        """The picture is in a file.  Fires with False if nothing shows it any more: then its file goes, too,
        unless another picture is the same."""
        values = {
            "state": KEPT,
            "sha256": kept.sha256,
            "kind": kept.kind,
            "bytes": kept.size,
            "error": None,
        }

        async def work(sql: Transaction) -> bool:
            touched = await sql.execute(update(media).where(media.c.media_key == key).values(values))
            if not touched and not await sql.rows(_having(kept.sha256)):
                await sql.execute(media_gone.insert(), _gone(kept.sha256, kept.kind, now))
            return touched > 0

        return self._archive.write_with(work)

    def later(self, key: bytes, attempts: int, next_at: float, error: str) -> Deferred[None]:
        """It could not be fetched; the next attempt is due at ``next_at``."""
        values = {"attempts": attempts, "next_at": int(next_at), "error": error[:_LONGEST_ERROR]}
        return self._set(key, values)

    def give_up(self, key: bytes, error: str) -> Deferred[None]:
        """It is not fetched any more."""
        return self._set(key, {"state": FAILED, "error": error[:_LONGEST_ERROR]})

    def postpone(self, keys: Sequence[bytes], next_at: float) -> Deferred[None]:
        """Leave ``keys`` alone until ``next_at``; that is no attempt."""
        here = media.c.media_key.in_(keys) & (media.c.next_at < int(next_at))

        async def work(sql: Transaction) -> None:
            await sql.execute(update(media).where(here).values(next_at=int(next_at)))

        return self._archive.write_with(work)

    def _set(self, key: bytes, values: Mapping[str, object]) -> Deferred[None]:
        async def work(sql: Transaction) -> None:
            here = (media.c.media_key == key) & (media.c.state == WAITING)
            await sql.execute(update(media).where(here).values(values))

        return self._archive.write_with(work)

    def find(self, keys: Sequence[bytes]) -> Deferred[dict[bytes, tuple[str, Kept | None]]]:
        """Fires with the address upstream of each picture that is known, and its file if it is kept."""
        columns = (media.c.media_key, media.c.url, media.c.state, media.c.sha256, media.c.kind, media.c.bytes)

        async def work(sql: Transaction) -> dict[bytes, tuple[str, Kept | None]]:
            found: dict[bytes, tuple[str, Kept | None]] = {}
            for first in range(0, len(keys), _MANY):
                these = media.c.media_key.in_(keys[first : first + _MANY])
                for key, url, state, sha, kind, size in await sql.rows(select(*columns).where(these)):
                    found[key] = url, Kept(sha, kind, size) if state == KEPT else None
            return found

        return self._archive.read_with(work)

    def standing(self) -> Deferred[Standing]:
        """Fires with how it is altogether."""
        counted = select(media.c.state, func.count(), func.min(media.c.noted_at)).group_by(media.c.state)
        sizes = select(func.max(media.c.bytes).label("size")).where(media.c.state == KEPT)
        files = sizes.group_by(media.c.sha256, media.c.kind).subquery()
        total = select(func.coalesce(func.sum(files.c.size), 0))

        async def work(sql: Transaction) -> Standing:
            found = {state: (count, oldest) for state, count, oldest in await sql.rows(counted)}
            ((size,),) = await sql.rows(total)
            waiting, oldest = found.get(WAITING, (0, None))
            kept, failed = (found.get(state, (0, None))[0] for state in (KEPT, FAILED))
            return Standing(waiting, kept, failed, oldest, int(size))

        return self._archive.read_with(work)

    def gone(self, after: int, limit: int) -> Deferred[list[Gone]]:
        """Fires with what is to be deleted, above the number ``after``, in order; without what came again."""
        columns = (media_gone.c.id, media_gone.c.sha256, media_gone.c.kind)
        statement = select(*columns).where(media_gone.c.id > after).order_by(media_gone.c.id).limit(limit)

        async def work(sql: Transaction) -> list[Gone]:
            return [Gone(*row) for row in await sql.rows(statement)]

        return self._archive.read_with(work)

    def last_gone(self) -> Deferred[int]:
        """Fires with the highest number there is."""

        async def work(sql: Transaction) -> int:
            ((last,),) = await sql.rows(select(func.max(media_gone.c.id)))
            return int(last or 0)

        return self._archive.read_with(work)

    def known(self, files: Sequence[bytes]) -> Deferred[set[bytes]]:
        """Fires with those of the hashes that are of pictures which are shown."""
        statement = select(media.c.sha256).where(media.c.sha256.in_(files), media.c.state == KEPT)

        async def work(sql: Transaction) -> set[bytes]:
            return {sha for (sha,) in await sql.rows(statement)}

        return self._archive.read_with(work)

    def tidy(self, before: float) -> Deferred[None]:
        """Forget what was deleted long ago."""

        async def work(sql: Transaction) -> None:
            await sql.execute(delete(media_gone).where(media_gone.c.at < int(before)))

        return self._archive.write_with(work)


def _advance(connection: Connection, insert: Any, event: str, after: int | None, upto: int) -> bool:
    """Move the position, if it is ``after``."""
    if after is None:
        first = insert(media_positions).values(event=event, seq=upto)
        statement = first.on_conflict_do_nothing(index_elements=["event"])
    else:
        here = (media_positions.c.event == event) & (media_positions.c.seq == after)
        statement = update(media_positions).where(here).values(seq=upto)
    return connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount == 1


def _row(key: bytes, url: str, now: float) -> dict[str, object]:
    return {
        "media_key": key,
        "url": url,
        "state": WAITING,
        "noted_at": int(now),
        "attempts": 0,
        "next_at": int(now),
    }


def _shown_by(connection: Connection, event: str, item_keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """(item, picture) as it was."""
    found: list[tuple[bytes, bytes]] = []
    for first in range(0, len(item_keys), _MANY):
        these = media_uses.c.item_key.in_(item_keys[first : first + _MANY])
        statement = select(media_uses.c.item_key, media_uses.c.media_key)
        rows = connection.execute(statement.where(media_uses.c.event == event, these))
        found.extend((item_key, key) for item_key, key in rows)
    return found


def _release(connection: Connection, keys: set[bytes], now: float) -> None:
    """Let go of those that nothing shows any more, and of their files."""
    used = exists().where(media_uses.c.media_key == media.c.media_key)
    ordered = sorted(keys)
    for first in range(0, len(ordered), _MANY):
        these = media.c.media_key.in_(ordered[first : first + _MANY])
        found = connection.execute(
            select(media.c.media_key, media.c.sha256, media.c.kind).where(these & ~used)
        ).fetchall()
        if not found:
            continue
        connection.execute(delete(media).where(media.c.media_key.in_([key for key, _, _ in found])))
        for sha, kind in sorted({(sha, kind) for _, sha, kind in found if sha is not None}):
            if connection.execute(_having(sha)).first() is None:
                connection.execute(media_gone.insert(), _gone(sha, kind, now))


def _having(sha: bytes) -> Select[Any]:
    return select(media.c.media_key).where(media.c.sha256 == sha).limit(1)


def _gone(sha: bytes, kind: str, now: float) -> dict[str, object]:
    return {"sha256": sha, "kind": kind, "at": int(now)}
