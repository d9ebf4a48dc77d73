"""The runner of long runs: it believes no scenario that says nothing, and hides none that fails."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from docutils.core import publish_doctree
from docutils.nodes import entry, paragraph, table
from docutils.nodes import row as table_row
from twisted.trial.unittest import SynchronousTestCase

from tests.chaos import page
from tests.chaos.__main__ import BROKEN, KEPT, UNFINISHED, main, run
from tests.chaos.page import Part
from tests.chaos.table import Row, Scenario, rendered, scenario, scenarios, totals

KEPT_ROW = Row("power cut", 17, faults=1000, deliveries=1_234_567, lost=0, repeated=0, reordered=0)


def running(
    *chosen: Scenario, long: bool = False, seed: int | None = None, path: Path | None = None
) -> tuple[int, str]:
    """The exit status of running these, and what was printed."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = run(chosen, long, seed, path)
    return status, output.getvalue()


def returning(*rows: Row, name: str = "made-up") -> Scenario:
    return Scenario(name, "does nothing", lambda long, seed: rows)


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

    def test_figures_are_told_below_the_table(self) -> None:
        self.assertIn("\npower cut: it took 3 s", rendered([KEPT_ROW._replace(note="it took 3 s")]))

    def test_totals_leave_out_what_no_running_system_was_put_to(self) -> None:
        apart = Row("control", 1, faults=7, deliveries=70, lost=7, repeated=7, reordered=7, counted=False)
        sums = totals([KEPT_ROW, KEPT_ROW._replace(lost=2, repeated=3, reordered=4), apart])
        self.assertEqual(sums, (2000, 2_469_134, 2, 3, 4, 2))
        self.assertEqual(
            str(sums), "2,000 faults, 2,469,134 deliveries checked: 2 lost, 3 repeated, 4 reordered"
        )


class PageTests(SynchronousTestCase):
    """What a run leaves behind."""

    ROWS = (
        Row("kill -9, `embedded` log_", 17, 1000, 1_234_567, 0, 0, 0, note="it took *3 s*\n  or |more|"),
        Row("flood", 4, 1, 20, 3, 0, 0, "gaps: \\1", 2.25, 0.5, 9.04),
        Row("control", 4, 1, 0, 0, 0, 0, counted=False),
    )

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def tables(self) -> list[list[list[str]]]:
        """The text of the cells of each table; the page may have nothing that docutils finds fault with."""
        tree = publish_doctree(
            self.path.read_text("utf-8"), settings_overrides={"halt_level": 2, "report_level": 2}
        )
        self.paragraphs = [one.astext() for one in tree.findall(paragraph)]
        return [
            [[cell.astext() for cell in line.findall(entry)] for line in one.findall(table_row)]
            for one in tree.findall(table)
        ]

    def test_it_says_what_was_found_whatever_the_words(self) -> None:
        page.add(self.path, Part("made-up", "2 cores", list(self.ROWS)))
        counted, apart = self.tables()
        self.assertEqual([len(counted), len(apart)], [3, 2])
        self.assertEqual(counted[0][:3], ["scenario", "fault", "seed"])
        self.assertEqual(
            counted[1],
            [
                *("made-up", "kill -9, `embedded` log_", "17", "1,000", "1,234,567", "0", "0", "0"),
                *("", "", "", "kept"),
            ],
        )
        self.assertEqual(counted[2][-4:], ["2.2", "0.5", "9.0", "BROKEN"])
        self.assertEqual(apart[1][1], "control")
        self.assertIn("kill -9, `embedded` log_: it took *3 s* or |more|", self.paragraphs)
        self.assertIn("flood, seed 4: gaps: \\1", self.paragraphs)
        self.assertIn(f"{totals(self.ROWS)}. Promises that were broken: 1.", self.paragraphs)
        self.assertIn("2 cores", self.paragraphs)

    def test_it_can_be_read_again(self) -> None:
        part = Part("made-up", "2 cores", list(self.ROWS))
        page.add(self.path, part)
        self.assertEqual(page.read(self.path), {"made-up": part})

    def test_a_run_of_some_scenarios_keeps_the_others(self) -> None:
        one, two = (KEPT_ROW._replace(name=name, note=f"of {name}") for name in ("one", "two"))
        running(returning(one, one, name="first"), returning(two, name="second"), path=self.path, long=True)
        (before,) = self.tables()
        running(returning(one._replace(faults=9), name="first"), path=self.path, long=True)
        (after,) = self.tables()
        self.assertEqual(
            [line[:4] for line in before[1:]], [["first", "one", "17", "1,000"]] * 2 + [before[3][:4]]
        )
        self.assertEqual(after, [before[0], ["first", "one", "17", "9", *before[1][4:]], before[3]])
        self.assertEqual(sum("cores of" in one for one in self.paragraphs), 1)

    def test_other_machines_are_told_apart(self) -> None:
        page.add(self.path, Part("first", "2 cores", [KEPT_ROW]))
        page.add(self.path, Part("second", "8 cores", [KEPT_ROW]))
        self.tables()
        self.assertIn("first: 2 cores", self.paragraphs)
        self.assertIn("second: 8 cores", self.paragraphs)

    def test_what_does_not_end_is_not_hidden_by_an_earlier_success(self) -> None:
        def fail(long: bool, seed: int) -> Row:
            raise AssertionError("the server did not start")

        running(returning(KEPT_ROW, name="first"), path=self.path)
        running(Scenario("first", "fails", fail), path=self.path)
        (lines,) = self.tables()
        self.assertEqual([line[-1] for line in lines[1:]], ["BROKEN"])
        self.assertIn("the server did not start", self.path.read_text("utf-8"))

    def test_short_runs_are_not_for_it(self) -> None:
        output = io.StringIO()
        with contextlib.redirect_stderr(output), self.assertRaises(SystemExit):
            main(["--short", "--write", str(self.path)])
        self.assertIn("short form", output.getvalue())


class RunnerTests(SynchronousTestCase):
    def test_kept_promises_end_with_zero(self) -> None:
        status, output = running(returning(KEPT_ROW))
        self.assertEqual(status, KEPT)
        self.assertEqual(output.splitlines()[-1], str(totals([KEPT_ROW])))

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


#: Every promise has a scenario that breaks what it is about.  One that is not found any more proves nothing.
REQUIRED = {
    *("clients", "clients-nodes", "controls", "disks", "fail-points", "fuzz", "hints", "kills", "leader"),
    *("nodes-redis", "rolling-restart", "slow", "soak", "sql", "torn", "upstream"),
    *("redis-accept-then-close", "redis-crash", "redis-cut-off", "redis-evicting", "redis-failover"),
    *("redis-flush", "redis-hang", "redis-lagging-failover", "redis-lost-second", "redis-maxmemory"),
    *("redis-password", "redis-refill", "redis-restart", "redis-silence", "redis-slow", "redis-too-slow"),
    "redis-wipe",
}


class RegistryTests(SynchronousTestCase):
    def test_none_is_missing_and_none_is_unknown_here(self) -> None:
        self.assertEqual(set(scenarios()), REQUIRED)

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
