"""A few thousand bad inputs for every parser, and proof that the fuzzer would notice."""

from __future__ import annotations

import json
import resource
from collections.abc import Hashable
from contextlib import ExitStack
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import engine, samples
from tests.fuzz.engine import Target, run
from tests.fuzz.mutation import Mutator
from tests.fuzz.scenario import fuzz
from tests.fuzz.table import TARGETS
from tests.fuzz.upstream import harmless, inert

CASES = 2000
SEED = 20261121


class ParserTests(SynchronousTestCase):
    """One test for each target, below."""

    def check(self, name: str) -> None:
        result = run(TARGETS[name], CASES, SEED)
        self.assertEqual([crash.error for crash in result.crashes], [])
        self.assertEqual(result.cases, CASES)
        self.assertLess(result.grown_kb, engine.MAX_GROWTH_KB)
        self.assertGreater(result.outcomes, 3, "the cases are all alike to it")


def _test_of(name: str) -> None:
    def test(self: ParserTests) -> None:
        self.check(name)

    test.__name__ = f"test_{name.replace('-', '_')}"
    test.__doc__ = f"Of {TARGETS[name].reads}."
    setattr(ParserTests, test.__name__, test)


for _name in TARGETS:
    _test_of(_name)


class FuzzerTests(SynchronousTestCase):
    def test_a_seed_makes_the_same_cases_again(self) -> None:
        def cases(seed: int) -> list[bytes]:
            mutator = Mutator(Random(seed), samples.pushes(), (b"id",), json=True)
            return [mutator.make() for _ in range(300)]

        self.assertEqual(cases(1), cases(1))
        self.assertNotEqual(cases(1), cases(2))

    def test_most_cases_of_json_are_json_and_differ(self) -> None:
        mutator = Mutator(Random(1), samples.pushes(), (b"id",), json=True)
        cases = [mutator.make() for _ in range(500)]
        self.assertGreater(len(set(cases)), 300)
        self.assertGreater(sum(_is_json(case) for case in cases), 250)

    def test_a_defect_is_found_once_and_its_case_kept(self) -> None:
        def fragile(case: bytes) -> Hashable:
            if json.loads(case).get("text") is None:
                raise KeyError("text")
            return None

        def opened(stack: ExitStack) -> engine.Check:
            def check(case: bytes) -> Hashable:
                try:
                    return fragile(case)
                except (ValueError, AttributeError):
                    return "refused"

            return check

        result = run(Target("fragile", "nothing", samples.pushes, opened, json=True), 2000, SEED)
        (crash,) = result.crashes
        self.addCleanup(crash.kept.unlink)
        self.assertFalse(result.sound)
        self.assertIn("KeyError", crash.error)
        self.assertRaises(KeyError, fragile, crash.kept.read_bytes())

    def test_memory_that_is_not_let_go_is_noticed(self) -> None:
        hoard: list[bytearray] = []

        def opened(stack: ExitStack) -> engine.Check:
            def check(case: bytes) -> Hashable:
                hoard.append(bytearray(b"x" * 100_000))
                return None

            return check

        self.assertFalse(run(Target("hoarder", "nothing", samples.pushes, opened), 1000, SEED).sound)

    def test_a_case_that_takes_for_ever_is_noticed(self) -> None:
        def opened(stack: ExitStack) -> engine.Check:
            return lambda case: sum(range(400_000))

        self.patch(engine, "MAX_CASE_S", 0.0001)
        result = run(Target("slow", "nothing", samples.pushes, opened), 3, SEED)
        self.assertIn("TimeoutError", result.crashes[0].error)
        for crash in result.crashes:
            crash.kept.unlink()

    def test_a_case_that_takes_the_machine_s_memory_is_noticed(self) -> None:
        def opened(stack: ExitStack) -> engine.Check:
            return lambda case: len(bytearray(2 * engine.MAX_CASE_BYTES))

        before = resource.getrlimit(resource.RLIMIT_AS)
        result = run(Target("greedy", "nothing", samples.pushes, opened), 3, SEED)
        self.assertIn("MemoryError", result.crashes[0].error)
        for crash in result.crashes:
            crash.kept.unlink()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_AS), before)

    def test_it_ends_in_time_and_says_how_many_cases_that_were(self) -> None:
        seen: list[bytes] = []

        def opened(stack: ExitStack) -> engine.Check:
            return lambda case: seen.append(case)

        result = run(Target("endless", "nothing", samples.pushes, opened), 10**9, SEED, 1.0)
        self.assertGreater(result.cases, 10)
        self.assertLessEqual(result.cases, len(seen))  # the slowest ones are timed once more
        self.assertLess(result.seconds, 60)
        self.assertGreater(result.warm_kb, 0, "it was not looked at what memory is in use")

    def test_some_of_what_is_accepted_is_among_the_cases_of_each_format(self) -> None:
        for name in ("frab", "voc", "ical", "programme", "backup"):
            target = TARGETS[name]
            rng = Random(SEED)
            mutator = Mutator(rng, target.samples(), target.tokens, target.json, target.sound)
            with ExitStack() as stack:
                check = target.open(stack)
                found = [check(mutator.make()) for _ in range(2000)]
            # A refusal begins with its words.
            accepted = [one for one in found if isinstance(one, tuple) and not isinstance(one[0], str)]
            self.assertGreater(len(accepted), 20, name)
            self.assertGreater(len(set(accepted)), 2, name)

    def test_markup_that_is_not_allowed_is_noticed(self) -> None:
        for html in (
            "<b>x</b>",
            '<p lang="en">x</p>',
            "<a href='javascript:x'>x</a>",
            "<p>\u202ex</p>",
            "<p>x",
        ):
            self.assertRaises(AssertionError, harmless, html)
        for html in ("<script>", '<p onclick="x">', '<a href="javascript:x">', '<img src="data:x">'):
            self.assertRaises(AssertionError, inert, html)

    def test_the_long_run_has_a_row_for_each(self) -> None:
        self.patch(engine, "MAX_GROWTH_KB", 10**9)
        rows = fuzz(False, SEED)
        self.assertEqual([row.name for row in rows], [f"fuzz {name}" for name in TARGETS])
        self.assertTrue(all(row.clean for row in rows), [row.remark for row in rows])


def _is_json(case: bytes) -> bool:
    try:
        json.loads(case)
    except ValueError:
        return False
    return True
