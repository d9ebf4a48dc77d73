"""One consistent state, whatever log and archive do while it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.bulk import filling, finish
from afeed.command.collecting import ATTEMPTS, Collected, collect
from afeed.command.program import Refused
from afeed.core.backup import Beginning, Closing, Composer, Hole, Opening, parse
from afeed.core.change import POSTED, REDACTED, REMOVED, Change
from afeed.core.cursor import Ancestor
from afeed.core.draft import RESTORED, Draft, Removed
from afeed.livelog.taken import Moved, Taken
from tests.archive.support import EVENT, logged
from tests.fakes import MemoryLog, a_post

NOW = "2026-11-21T17:00:00.000Z"


class FakeLog:
    """A reader that gives ``changes`` as they stand, from ``first`` on; ``surprise`` is called before each
    reading."""

    def __init__(self, changes: list[Change], epoch: str = "e1", first: int = 1) -> None:
        self.changes = changes
        self.epoch = epoch
        self.ancestors: tuple[Ancestor, ...] = ()
        self.first = first
        self.readings = 0
        self.surprise: Callable[[], None] = lambda: None

    def events(self) -> dict[str, int]:
        return {EVENT: len(self.changes)}

    def nodes(self) -> int:
        return 0

    def take(self, event: str, after: int, put: Callable[[Change], object]) -> Taken | None:
        self.readings += 1
        self.surprise()
        first = max(self.first, after + 1)
        for change in self.changes:
            if change.seq >= first:
                put(change)
        return Taken(self.epoch, self.ancestors, first, len(self.changes), {"x": "7"})


def now_of(drafts: list[Draft]) -> list[Change]:
    """The changes as a log has them after all of ``drafts``."""
    log = MemoryLog([EVENT])
    log.append(EVENT, None, drafts)
    return log.events[EVENT].changes


class CollectingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.url = f"sqlite:///{self.directory}/archive.sqlite3"
        self.lines: list[bytes] = []

    def archive(self, changes: list[Change], *, epoch: str = "e1", upto: int | None = None) -> None:
        (self.directory / "archive.sqlite3").unlink(missing_ok=True)
        head = upto if upto is not None else len(changes)
        begun = Beginning(event=EVENT, epoch=epoch, head=head, ancestors=(), holes=(), positions={})
        with filling(self.url, "sha", NOW) as archive:
            archive.begin(begun)
            archive.add(EVENT, changes)
        finish(self.url)

    def write(self, lines: bytes) -> None:
        self.lines.append(lines)

    def collect(self, log: FakeLog) -> tuple[Collected, list[Change]]:
        self.lines.clear()
        opening = Opening(created=NOW, afeed="1", events=(EVENT,))
        composer = Composer(self.write, opening)
        found = collect(self.url, log, EVENT, self.directory, NOW, composer, lambda *told: None)
        composer.close()
        parts = list(parse(b"".join(self.lines).splitlines(keepends=True)))
        self.assertIsInstance(parts[-1], Closing)
        self.assertEqual(list(self.directory.glob(".afeed-backup*")), [])
        return found, [part for part in parts if isinstance(part, Change)]

    def test_an_item_removed_after_the_archive_has_it_is_not_in_the_backup(self) -> None:
        drafts: list[Draft] = [a_post(1, "secret words"), a_post(2), Removed("push:1"), a_post(3)]
        self.archive(logged(drafts)[:2])
        found, changes = self.collect(FakeLog(now_of(drafts), first=3))
        self.assertEqual(changes, now_of(drafts))
        self.assertEqual([change.type for change in changes][:3:2], [REDACTED, REMOVED])
        self.assertNotIn(b"secret words", b"".join(self.lines))
        self.assertEqual((found.changes, found.remarks), (4, ()))

    def test_an_item_that_a_later_page_of_the_log_removes_is_not_in_the_backup(self) -> None:
        drafts: list[Draft] = [a_post(1, "secret words"), a_post(2), Removed("push:1")]
        # As if read page by page: the first page before the removal, the last one after it.
        _, changes = self.collect(FakeLog(logged(drafts)))
        self.assertEqual(changes, now_of(drafts))
        self.assertNotIn(b"secret words", b"".join(self.lines))

    def test_what_was_removed_and_restored_is_in_the_backup_as_it_is_now(self) -> None:
        drafts: list[Draft] = [a_post(1, "secret words"), Removed("push:1"), a_post(1, "shown", RESTORED + "a")]
        for archived in range(4):
            self.archive(logged(drafts)[:archived])
            _, changes = self.collect(FakeLog(logged(drafts), first=archived + 1))
            self.assertEqual([change.type for change in changes], [REDACTED, REMOVED, POSTED], archived)
            self.assertNotIn(b"secret words", b"".join(self.lines))
            self.assertIn(b"shown", b"".join(self.lines))

    def test_the_log_says_where_the_event_stands(self) -> None:
        changes = now_of([a_post(n) for n in range(1, 6)])
        self.archive(changes[:3], epoch="old1")
        log = FakeLog(changes, first=3)
        log.ancestors = (Ancestor("old1", 4),)
        found, collected = self.collect(log)
        self.assertEqual(collected, changes)
        begun = found.beginning
        self.assertEqual((begun.epoch, begun.head, begun.ancestors), ("e1", 5, log.ancestors))
        self.assertEqual((begun.holes, begun.positions), ((), {"x": "7"}))

    def test_a_log_that_was_trimmed_behind_the_archive_is_read_anew(self) -> None:
        changes = now_of([a_post(n) for n in range(1, 9)])
        self.archive(changes[:2])
        log = FakeLog(changes, first=6)
        # The strainer copied meanwhile, and then the log forgot; the copy is there at the next look.
        log.surprise = lambda: self.archive(changes[:6]) if log.readings == 1 else None
        found, collected = self.collect(log)
        self.assertEqual((collected, found.remarks, log.readings), (changes, (), 2))

    def test_changes_that_are_nowhere_become_a_hole_that_is_told(self) -> None:
        changes = now_of([a_post(n) for n in range(1, 9)])
        self.archive(changes[:2])
        found, collected = self.collect(FakeLog(changes, first=6))
        self.assertEqual(collected, changes[:2] + changes[5:])
        self.assertEqual(found.beginning.holes, (Hole(3, 5, "e1", NOW),))
        self.assertIn("changes 3 to 5", found.remarks[0])

    def test_a_log_that_moves_is_read_anew_and_not_for_ever(self) -> None:
        changes = now_of([a_post(1)])
        log = FakeLog(changes)

        def move() -> None:
            if log.readings < limit:
                raise Moved("a new epoch")

        log.surprise = move
        limit = 3
        self.assertEqual(self.collect(log)[1], changes)
        limit, log.readings = 100, 0
        self.assertRaises(Moved, self.collect, log)
        self.assertEqual(log.readings, ATTEMPTS)

    def test_the_archive_may_tidy_up_while_the_backup_is_written(self) -> None:
        changes = now_of([a_post(n) for n in range(1, 6)])
        self.archive(changes[:3])
        busy: list[int] = []

        def write(lines: bytes) -> None:
            with closing(sqlite3.connect(self.directory / "archive.sqlite3", timeout=0)) as archive:
                archive.execute("UPDATE positions SET updated_at = updated_at || '.'")
                archive.commit()
                busy.append(archive.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
            self.lines.append(lines)

        self.write = write  # type: ignore[method-assign]
        # So that it is the last connection that tidies up, and not each.
        with closing(sqlite3.connect(self.directory / "archive.sqlite3")) as other:
            other.execute("SELECT 1 FROM positions").fetchall()
            self.assertEqual(self.collect(FakeLog(changes, first=4))[1], changes)
        self.assertEqual(set(busy), {0})
        self.assertGreater(len(busy), 3)

    def test_an_event_that_goes_while_it_is_looked_for_is_refused(self) -> None:
        self.archive([])
        log = FakeLog([])
        log.take = lambda *asked: None  # type: ignore[method-assign]
        error = self.assertRaises(Refused, self.collect, log)
        self.assertIn("neither", str(error))
        self.assertIn("try again", str(error))

    def test_an_archive_of_another_history_is_refused(self) -> None:
        changes = now_of([a_post(n) for n in range(1, 6)])
        for epoch, archived in (("other", changes[:3]), ("e1", changes)):
            self.archive(archived, epoch=epoch)
            error = self.assertRaises(Refused, self.collect, FakeLog(changes[:4]))
            self.assertIn(f"the archive is at {epoch}:{len(archived)}", str(error))
