"""kill -9 at any moment: the archive has what the log recorded, each change once."""

from __future__ import annotations

import signal
import time
from random import Random

from twisted.internet import threads
from twisted.internet.defer import Deferred

from afeed.core.change import EDITED, POSTED, REDACTED, REMOVED
from afeed.core.draft import Posted, Removed
from tests.archive import straining_child
from tests.archive.support import EVENT, ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase, child
from tests.fakes import MemoryLog

KILLS = 20


class KillSuite:
    """Mixed into a test case per database below."""

    timeout = 600

    def torture(self, rng: Random) -> None:
        """Kill children at random moments of their work, then let one finish."""
        script = straining_child.__file__
        log = self.directory / "log"
        log.mkdir()
        for _ in range(KILLS):
            process = child(script, str(log), self.database.url, "stay")
            assert process.stdout is not None
            # Before it is at work, too: while it opens, recovers or migrates.
            lines = 1 if rng.random() < 0.3 else rng.randrange(2, 60)
            for _ in range(lines):
                if process.stdout.readline() in (b"", b"done\n"):
                    break
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
            _, errors = process.communicate()
            self.assertEqual((process.returncode, errors), (-signal.SIGKILL, b""))
        process = child(script, str(log), self.database.url)
        _, errors = process.communicate(timeout=300)
        self.assertEqual((process.returncode, errors), (0, b""))

    def expected(self) -> list[tuple[int, str, str | None]]:
        """Seq, type and id of every change, as a log that never failed would have them now."""
        log = MemoryLog([EVENT])
        log.append(EVENT, None, list(straining_child.drafts()))
        return [(change.seq, change.type, change.id) for change in log.events[EVENT].changes]

    def test_nothing_is_lost_and_nothing_comes_twice(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.check_after_kills())

    async def check_after_kills(self) -> None:
        await threads.deferToThread(self.torture, Random(20261121))
        archive = await self.open()
        found = await archive.read(EVENT, 0, 10_000)
        self.assertEqual([(change.seq, change.type, change.id) for change in found], self.expected())
        self.assertEqual(self.database.query("SELECT count(*) FROM holes"), [(0,)])
        kinds = {change.type for change in found}
        self.assertEqual(kinds, {POSTED, EDITED, REMOVED, REDACTED}, "the recording has everything in it")
        offered = list(straining_child.drafts())
        removed = {draft.id for draft in offered if isinstance(draft, Removed)}
        texts = {draft.item.id: draft.item.text for draft in offered if isinstance(draft, Posted)}
        page = await archive.items(EVENT, 10_000)
        self.assertEqual(
            {item.item.id: item.item.text for item in page},
            {id_: text for id_, text in texts.items() if id_ not in removed},
        )
        self.assertEqual(len(page), len({item.seq for item in page}))


class SQLiteKillTests(KillSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLKillTests(KillSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
