"""The runner of long runs: it believes no scenario that says nothing, and hides none that fails."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.__main__ import BROKEN, KEPT, UNFINISHED, main, run
from tests.chaos.table import Row, Scenario, rendered, scenario, scenarios

KEPT_ROW = Row("power cut", 17, faults=1000, deliveries=1_234_567, lost=0, repeated=0, reordered=0)


def running(*chosen: Scenario, long: bool = False, seed: int | None = None) -> tuple[int, str]:
    """The exit status of running these, and what was printed."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = run(chosen, long, seed)
    return status, output.getvalue()


def returning(*rows: Row) -> Scenario:
    return Scenario("made-up", "does nothing", lambda long, seed: rows)


class TableTests(SynchronousTestCase):
    def test_every_count_and_any_remark_breaks_a_promise(self) -> None:
        self.assertTrue(KEPT_ROW.clean)
        for broken in ({"lost": 1}, {"repeated": 1}, {"reordered": 1}, {"remark": "health stayed green"}):
            self.assertFalse(KEPT_ROW._replace(**broken).clean, broken)

    def test_the_table_has_a_line_for_each_row_and_the_remarks_below(self) -> None:
        rows = [KEPT_ROW, Row("flood", 4, 1, 20, 3, 0, 0, "gaps: 1", 2.25, 0.5, 9.04)]
        self.assertEqual(
            rendered(rows),
            "fault      seed  faults  deliveries  lost  repeated  reordered  back s  red s  green s  verdict\n"
            "---------  ----  ------  ----------  ----  --------  ---------  ------  -----  -------  -------\n"
            "power cut    17   1,000   1,234,567     0         0          0                          kept\n"
            "flood         4       1          20     3         0          0     2.2    0.5      9.0  BROKEN\n"
            "flood, seed 4: gaps: 1",
        )


class RunnerTests(SynchronousTestCase):
    def test_kept_promises_end_with_zero(self) -> None:
        status, output = running(returning(KEPT_ROW))
        self.assertEqual(status, KEPT)
        self.assertIn("1,234,567", output)

    def test_one_broken_promise_among_many_is_told(self) -> None:
        status, output = running(returning(KEPT_ROW, KEPT_ROW._replace(lost=1)), returning(KEPT_ROW))
        self.assertEqual(status, BROKEN)
        self.assertIn("BROKEN", output)

    def test_a_scenario_that_fails_stops_no_other_and_is_not_taken_for_a_success(self) -> None:
        def fail(long: bool, seed: int) -> Row:
            raise AssertionError("the server did not start")

        status, output = running(Scenario("failing", "fails", fail), returning(KEPT_ROW), seed=5)
        self.assertEqual(status, UNFINISHED)
        self.assertIn("the server did not start", output)
        self.assertIn("Not run to the end: failing (seed 5)", output)
        self.assertIn("power cut", output)

    def test_a_scenario_is_told_its_length_and_seed(self) -> None:
        told: list[tuple[bool, int]] = []

        def note(long: bool, seed: int) -> Sequence[Row]:
            told.append((long, seed))
            return ()

        running(Scenario("noting", "", note), long=True, seed=7)
        running(Scenario("noting", "", note), long=False)
        self.assertEqual(told[0], (True, 7))
        self.assertFalse(told[1][0])

    def test_the_seed_that_was_chosen_is_printed(self) -> None:
        seeds: list[int] = []

        def note(long: bool, seed: int) -> Sequence[Row]:
            seeds.append(seed)
            return ()

        _, output = running(Scenario("noting", "", note))
        self.assertIn(f"noting, seed {seeds[0]}", output)

    def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(self) -> None:
        output = io.StringIO()
        with contextlib.redirect_stderr(output), self.assertRaises(SystemExit) as ended:
            main(["no-such-fault"])
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("there is no no-such-fault", output.getvalue())
        with contextlib.redirect_stdout(output):
            self.assertEqual(main(["--list"]), KEPT)
        for name in scenarios():
            self.assertIn(name, output.getvalue())


class RegistryTests(SynchronousTestCase):
    def test_two_modules_cannot_take_the_same_name(self) -> None:
        for name, found in scenarios().items():

            def impostor(long: bool, seed: int) -> Row:
                return KEPT_ROW

            with self.assertRaisesRegex(ValueError, found.run.__module__):
                scenario(name, "another")(impostor)

    def test_every_scenario_has_a_name_for_a_command_line_and_says_what_it_does(self) -> None:
        for name, found in scenarios().items():
            self.assertRegex(name, r"\A[a-z0-9-]+\Z")
            self.assertTrue(found.about)
            self.assertNotIn("\n", found.about)
