"""What organisers decide is the last word, whatever happens in which order."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.filings import Correction
from afeed.core.attribution.memory import Move
from afeed.core.draft import Posted
from afeed.core.errors import ArchiveUnavailable, LeaseLost
from tests.fakes import MemoryLog
from tests.filing.support import CLEAR, EVENT, SCHEDULE, VAGUE, FakeStore, Office, filings, item, posted


class RegisterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = MemoryLog([EVENT])
        self.store = FakeStore()
        self.office = Office(self.log, SCHEDULE, self.store)
        self.office.start()
        self.addCleanup(self.office.stop)
        posted(self.log, [item(number, VAGUE, author=f"a{number}") for number in range(1, 6)])
        self.office.pass_(1.0)

    def file(self, *moves: Move, mark: str = "m") -> int:
        from twisted.internet.defer import Deferred

        return int(self.successResultOf(Deferred.fromCoroutine(self.office.register.file(EVENT, moves, mark))))

    def test_the_same_filing_is_recorded_once(self) -> None:
        moves = [Move("x:1", "lamps"), Move("x:2", None), Move("x:99", "lamps")]
        self.assertEqual(self.file(*moves), 2)
        self.assertEqual(self.file(*moves), 0)
        self.assertEqual(filings(self.log), [("x:1", "lamps"), ("x:2", None)])

    def test_what_was_decided_is_not_filed_again(self) -> None:
        self.store.decisions.append(Correction(1, EVENT, "x:1", "boats"))
        self.assertEqual(self.file(Move("x:1", "lamps"), Move("x:2", "lamps")), 1)
        self.office.pass_(5.0)
        # The leader also says it itself: whoever decided may have been killed before the log was told.
        self.assertEqual(filings(self.log)[0], ("x:2", "lamps"))
        self.assertEqual(dict(filings(self.log)), {"x:1": "boats", "x:2": "lamps"})

    def test_a_decision_in_the_very_moment_of_another_filing_is_the_last_word(self) -> None:
        looks = 0

        def decide() -> None:
            nonlocal looks
            looks += 1
            if looks == 2:  # after the append: another node decided just before it, and its word came first
                self.store.decisions.append(Correction(7, EVENT, "x:1", "boats"))

        self.store.before = decide
        self.assertEqual(self.file(Move("x:1", "lamps")), 1)
        self.store.before = lambda: None
        self.assertEqual(filings(self.log), [("x:1", "lamps"), ("x:1", "boats")])
        self.office.pass_(9.0)
        self.assertEqual(filings(self.log)[-1], ("x:1", "boats"))

    def test_a_decision_is_told_by_who_made_it_and_once(self) -> None:
        from twisted.internet.defer import Deferred

        decision = Correction(3, EVENT, "x:1", None)
        self.store.decisions.append(decision)
        self.successResultOf(Deferred.fromCoroutine(self.office.register.decide(decision)))
        self.office.pass_(9.0)
        self.assertEqual(filings(self.log), [("x:1", None)])
        edited = self.office.clerk.prepare(EVENT, Posted(item(1, CLEAR), "2"))
        assert isinstance(edited, Posted)
        self.assertIsNone(edited.item.talk)

    def test_a_new_leader_puts_right_what_a_restored_log_has_lost(self) -> None:
        self.store.decisions = self.store.misplaced = [Correction(3, EVENT, "x:1", "boats")]
        self.office.lead.token = "n 2"
        self.office.pass_(3.0)
        self.store.misplaced = []
        self.assertEqual(filings(self.log)[-1], ("x:1", "boats"))
        count = len(filings(self.log))
        self.office.pass_(9.0)
        self.assertEqual(len(filings(self.log)), count)

    def test_only_the_node_that_runs_the_sources_files_anything(self) -> None:
        from twisted.internet.defer import Deferred

        self.office.lead.token = None
        work = Deferred.fromCoroutine(self.office.register.file(EVENT, [Move("x:1", "lamps")], "m"))
        self.failureResultOf(work, LeaseLost)
        self.office.register.move(EVENT, [Move("x:1", "lamps")])
        self.office.pass_(9.0)
        self.assertEqual(filings(self.log), [])

    def test_while_the_database_is_away_filing_goes_on(self) -> None:
        self.store.fault = ArchiveUnavailable("away")
        self.assertEqual(self.file(Move("x:1", "lamps")), 1)
        self.office.pass_(9.0)
        self.assertEqual(self.flushLoggedErrors(), [])
