"""What would show in a soak that something grows; and a short one.

``python -m tests.chaos soak`` is the hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
from random import Random, SystemRandom

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos.soak import LONG, SHORT, Sample, figures, growths, slope, soak, take_sample, told, too_much


def hour(*, rss_mb: float = 0, fds: float = 0, threads: float = 0, noise: float = 0) -> list[Sample]:
    """The samples of an hour in which so much is added, evenly, to what there is at its beginning."""
    rng = Random(1)
    return [
        Sample(
            at=at,
            rss_mb=120 + rss_mb * at / 3600 + rng.uniform(-noise, noise),
            fds=45 + fds * at / 3600 + rng.uniform(-noise, noise),
            threads=12 + threads * at / 3600,
            viewers=500,
            cpu_s=at / 10,
        )
        for at in range(10, 3601, 10)
    ]


class GrowthTests(SynchronousTestCase):
    """What grows is found, whichever it is."""

    def test_the_line_through_points(self) -> None:
        self.assertAlmostEqual(slope([(0, 1), (1, 3), (2, 5)]), 2)
        self.assertAlmostEqual(slope([(0, 5), (1, 3), (2, 1)]), -2)
        self.assertAlmostEqual(slope([(0, 4), (1, 4), (2, 4)]), 0)
        self.assertAlmostEqual(slope([(0, 0), (1, 3), (2, 0), (3, 3)]), 0.6)
        self.assertEqual(slope([(1, 4)]), 0)

    def test_an_hour_without_growth_is_well(self) -> None:
        self.assertEqual(too_much(hour(), LONG), [])
        self.assertEqual(too_much(hour(noise=5), LONG), [])

    def test_each_thing_that_grows_is_named(self) -> None:
        for name, samples in (
            ("resident memory", hour(rss_mb=15, noise=2)),
            ("open files", hour(fds=15, noise=2)),
            ("threads", hour(threads=3)),
        ):
            (sentence,) = too_much(samples, LONG)
            self.assertTrue(sentence.startswith(f"{name} grew by "), sentence)

    def test_a_step_is_growth_as_well(self) -> None:
        samples = [sample._replace(threads=12 + 4 * (sample.at > 2000)) for sample in hour()]
        self.assertEqual(len(too_much(samples, LONG)), 1)

    def test_only_what_comes_after_the_warm_up_counts(self) -> None:
        early = [sample._replace(rss_mb=min(120.0, sample.at / 5)) for sample in hour()]
        self.assertEqual(too_much(early, LONG), [])
        self.assertNotEqual(too_much(early, LONG._replace(warm_up_s=0)), [])

    def test_it_is_told_in_units_of_the_whole_time(self) -> None:
        found = {name: (round(grown, 3), allowed) for name, _, grown, allowed in growths(hour(rss_mb=12), LONG)}
        self.assertEqual(found, {"resident memory": (10, 10), "open files": (0, 10), "threads": (0, 2)})
        self.assertIn(
            "resident memory 122 to 132 MB, growth 10.00 (at most 10); ", figures(hour(rss_mb=12), LONG)
        )
        self.assertIn("  10.0\n", told(hour(), LONG))  # CPU, in percent


#: Takes 50 MB, 30 files and 5 threads when it is told to, and waits.
_GROWS = """
import os, sys, threading
print("begun", flush=True)
sys.stdin.readline()
kept = [bytearray(os.urandom(50_000_000)), *(open(os.devnull) for _ in range(30))]
for _ in range(5):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("grown", flush=True)
sys.stdin.readline()
"""


class SampleTests(SynchronousTestCase):
    """The kernel is asked for what grows indeed."""

    def test_memory_files_and_threads_of_a_process_are_seen(self) -> None:
        # In a process of its own: in this one others come and go.
        with subprocess.Popen(
            [sys.executable, "-c", _GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"begun\n")
            before = take_sample(process.pid, 0.0, 0)
            process.stdin.write(b"grow\n")
            self.assertEqual(process.stdout.readline(), b"grown\n")
            after = take_sample(process.pid, 0.0, 10)
            process.stdin.write(b"end\n")
        self.assertGreater(after.rss_mb - before.rss_mb, 40)
        self.assertEqual(after.fds - before.fds, 30 - 10)
        self.assertEqual(after.threads - before.threads, 5)


class ShortTests(TestCase):
    timeout = 240

    def test_a_few_seconds_of_an_event(self) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = soak(SHORT, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        self.assertGreater(row.deliveries, 5_000)
        for name in ("resident memory", "open files", "threads"):
            self.assertIn(name, row.note)
