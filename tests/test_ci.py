"""The closing line of a run tells the truth about it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "totals.py"


def load() -> ModuleType:
    spec = spec_from_file_location("totals", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TotalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.module = load()

    def close(self, output: str, tests_status: int = 0, lint_status: int = 0) -> tuple[str, int]:
        result: tuple[str, int] = self.module.close(output, tests_status, lint_status)
        return result

    def test_a_good_run(self) -> None:
        output = "Ran 12 tests in 0.1s\n\nPASSED (successes=12)\n"
        self.assertEqual(self.close(output), ("12 passed, 0 failed, 0 skipped", 0))

    def test_failures_errors_and_unexpected_successes_have_failed(self) -> None:
        output = (
            "FAILED (skips=1, expectedFailures=2, failures=3, errors=4, unexpectedSuccesses=5, successes=6)\n"
        )
        self.assertEqual(self.close(output, 1), ("8 passed, 12 failed, 1 skipped", 1))

    def test_skipped_tests_are_counted_apart(self) -> None:
        self.assertEqual(self.close("PASSED (skips=2, successes=3)\n"), ("3 passed, 0 failed, 2 skipped", 0))

    def test_the_last_summary_counts(self) -> None:
        output = (
            "PASSED (successes=1)\nmake: something else\nFAILED (errors=1, successes=7)\nmake: *** Error 1\n"
        )
        self.assertEqual(self.close(output, 2), ("7 passed, 1 failed, 0 skipped", 1))

    def test_a_run_without_tests_has_not_passed(self) -> None:
        self.assertEqual(self.close("Ran 0 tests in 0.0s\n\nPASSED\n"), ("0 passed, 0 failed, 0 skipped", 1))

    def test_a_run_that_never_came_to_its_end_has_failed(self) -> None:
        self.assertEqual(self.close("pip: no such host\n", 2), ("0 passed, 1 failed, 0 skipped", 1))

    def test_output_without_a_summary_has_not_passed_whatever_the_status(self) -> None:
        self.assertEqual(self.close("nothing\n", 0)[1], 1)

    def test_a_test_runner_that_dies_after_its_summary_has_failed(self) -> None:
        self.assertEqual(self.close("PASSED (successes=3)\n", 2), ("3 passed, 1 failed, 0 skipped", 1))

    def test_the_linters_count_as_one_more_when_they_fail(self) -> None:
        self.assertEqual(self.close("PASSED (successes=3)\n", 0, 2), ("3 passed, 1 failed, 0 skipped", 1))

    def test_the_line_is_the_last_thing_printed(self) -> None:
        output = Path(self.mktemp())
        output.write_text("PASSED (successes=3)\n", "utf-8")
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--tests-status", "0", "--lint-status", "1", str(output)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=30,
        )
        self.assertEqual(done.stdout.splitlines()[-1], "3 passed, 1 failed, 0 skipped")
        self.assertEqual(done.returncode, 1)
